/**
 * The verifier in the background: everything signed that entered the ledger, checked again by tweetnacl, which shares no code with
 * what checked it first. It takes a bounded part of one core, runs in a thread only while there is something to check, and goes on
 * after a restart where it was.
 */
import { sleep, type Clock } from '../base/clock.ts'
import { toTokError, type TokError } from '../base/errors.ts'
import type { Reverification, ReverifyStep } from './reverification.ts'
import type { SignatureChecker } from './signature-check.ts'

export interface NaclVerifierEvents {
  /** A signature that the ledger holds does not verify; its account is frozen. */
  onMismatch(step: ReverifyStep, reason: string): void
  /** It cannot go on: the disk takes nothing, or the thread ended. It is over then. */
  onFailure(error: TokError): void
}

export interface NaclVerifier {
  stop(): Promise<void>
}

/** Signatures given to the thread at once: about 30 ms of work. */
const CLAIMS_AT_ONCE = 8
const MS_PER_S = 1_000

/** Starts it. `budgetMsPerS`: of each second on average; `lookMs`: how long it waits before it looks for something new. */
export function startNaclVerifier(
  dependencies: {
    readonly ledger: Reverification
    readonly clock: Clock
    readonly openChecker: () => SignatureChecker
    readonly events: NaclVerifierEvents
  },
  { budgetMsPerS, lookMs }: { readonly budgetMsPerS: number; readonly lookMs: number },
): NaclVerifier {
  const { ledger, clock, openChecker, events } = dependencies
  const stopped = new AbortController()
  const { signal } = stopped
  let checker: SignatureChecker | undefined

  async function run(): Promise<void> {
    await sleep(clock, lookMs, signal)
    for (;;) {
      const step = await ledger.nextToReverify()
      if (step === undefined) {
        await checker?.close()
        checker = undefined
        await sleep(clock, lookMs, signal)
      } else {
        await check(step)
      }
      signal.throwIfAborted()
    }
  }

  async function check(step: ReverifyStep): Promise<void> {
    const fault = step.fault ?? (await firstWrong(step))
    if (fault === undefined) return ledger.setReverified(step)
    const subject = step.account === undefined ? 'checkpoint' : 'statement'
    const reason = `tweetnacl refuses ${subject} ${step.sequence}: ${fault}`
    events.onMismatch(step, reason)
    await ledger.setMismatch(step, reason)
  }

  /** What does not verify. */
  async function firstWrong({ claims }: ReverifyStep): Promise<string | undefined> {
    for (let at = 0; at < claims.length; at += CLAIMS_AT_ONCE) {
      const some = claims.slice(at, at + CLAIMS_AT_ONCE)
      checker ??= openChecker()
      const startedMs = clock.monotonicMs()
      const holds = await checker.check(
        some.map(({ publicKey, message, signature }) => ({ publicKey, message, signature })),
      )
      const wrong = some.find((_, index) => holds[index] !== true)
      if (wrong !== undefined) return `the signature of its ${wrong.what} does not verify`
      const workedMs = clock.monotonicMs() - startedMs
      await sleep(clock, workedMs * (MS_PER_S / budgetMsPerS - 1), signal)
    }
    return undefined
  }

  const running = run()
    .catch((thrown: unknown) => {
      if (!signal.aborted) events.onFailure(toTokError(thrown))
    })
    .finally(() => checker?.close())
  return {
    async stop() {
      stopped.abort()
      await running
    },
  }
}
