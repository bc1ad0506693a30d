/**
 * Asks the adapters which announced payments have arrived, and confirms or refuses them. What no adapter can tell is left to the
 * operator.
 */
import type { Logger } from 'pino'
import { timeoutSignal, type Clock } from '../base/clock.ts'
import { toTokError } from '../base/errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { SettlementView } from '../ledger/settlements.ts'
import { adapterNamed, type PaymentFinding, type SettlementAdapter } from '../market/settlement-adapter.ts'

/** All payments of one exchange together: the buyer waits for it. */
const CHECK_MS = 5_000

/** Looks for the payments that the buyer with this peer ID has announced. Never throws for what an adapter does. */
export function createPaymentChecker(
  { ledger, clock, logger }: { readonly ledger: Ledger; readonly clock: Clock; readonly logger: Logger },
  { adapters }: { readonly adapters: readonly SettlementAdapter[] },
): (buyer: string) => Promise<void> {
  const look = async (payment: SettlementView, signal: AbortSignal): Promise<void> => {
    if (payment.kind !== 'payment') return
    const finding = await askAdapter(adapters, payment, signal)
    if (finding.found === 'received') await ledger.confirmPayment(payment.id)
    if (finding.found === 'refused') await ledger.refusePayment(payment.id, finding.reason)
  }
  return async (buyer) => {
    const signal = timeoutSignal(clock, CHECK_MS)
    const waiting = ledger.settlements().filter(({ kind, side, peer, state }) => {
      return kind === 'payment' && side === 'seller' && peer === buyer && state === 'proposed'
    })
    for (const payment of waiting) {
      try {
        await look(payment, signal)
      } catch (thrown) {
        const { code, message } = toTokError(thrown)
        logger.warn({ peer: buyer, code, reason: message }, 'a payment could not be checked')
      }
    }
  }
}

async function askAdapter(
  adapters: readonly SettlementAdapter[],
  payment: Extract<SettlementView, { kind: 'payment' }>,
  signal: AbortSignal,
): Promise<PaymentFinding> {
  let adapter: SettlementAdapter
  try {
    adapter = adapterNamed(adapters, payment.adapter)
  } catch (thrown) {
    return { found: 'refused', reason: toTokError(thrown).message }
  }
  return adapter.check(payment, signal)
}
