/**
 * What keeps a running node's ledger provable: a checkpoint every ten minutes and at the end, and the second verifier of
 * everything signed.
 */
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { toTokError } from '../base/errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { startNaclVerifier } from '../ledger/nacl-verifier.ts'
import { createSignatureChecker } from '../ledger/signature-check.ts'

const CHECKPOINT_MS = 600_000
/** Of each second of one core. */
const NACL_BUDGET_MS = 100
const NACL_LOOK_MS = 10_000

export interface LedgerUpkeep {
  /** Makes a last checkpoint. */
  stop(): Promise<void>
}

export function startLedgerUpkeep(dependencies: {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly logger: Logger
}): LedgerUpkeep {
  const { ledger, clock, logger } = dependencies

  const takeCheckpoint = async (): Promise<void> => {
    try {
      await ledger.takeCheckpoint()
    } catch (thrown) {
      const { code, message } = toTokError(thrown)
      logger.error({ code, reason: message }, 'no checkpoint was made')
    }
  }
  let cancel = (): void => undefined
  const schedule = (): void => {
    cancel = clock.after(CHECKPOINT_MS, () => {
      void takeCheckpoint()
      schedule()
    })
  }
  schedule()

  const verifier = startNaclVerifier(
    {
      ledger,
      clock,
      openChecker: () => createSignatureChecker('tweetnacl', 1),
      events: {
        onMismatch: ({ account }, reason) =>
          logger.error(
            { account: account && Buffer.from(account).toString('hex'), reason },
            'the ledger holds a signature that does not verify; its account is frozen',
          ),
        onFailure: ({ code, message }) => logger.error({ code, reason: message }, 'the second verifier is over'),
      },
    },
    { budgetMsPerS: NACL_BUDGET_MS, lookMs: NACL_LOOK_MS },
  )
  return {
    async stop() {
      cancel()
      await verifier.stop()
      await takeCheckpoint()
    },
  }
}
