/**
 * Ways of paying outside the ledger. An adapter says what a reference looks like, and whether a payment has arrived; who pays
 * and who confirms stands in the ledger. Pure but for what an adapter asks the outside. Source: docs/guides/settling.md.
 */
import { TokError } from '../base/errors.ts'
import type { Payment } from '../wire/account.ts'

/** What a seller's adapter found out about an announced payment. */
export type PaymentFinding =
  /** It is here, final, of this amount, and for this reference alone: it is confirmed at once. */
  | { readonly found: 'received' }
  /** It did not and will not come: it is refused with the reason. */
  | { readonly found: 'refused'; readonly reason: string }
  /** Nothing can be said yet: it is asked again with the next exchange, and the operator may decide. */
  | { readonly found: 'unknown' }

/** One way of paying. */
export interface SettlementAdapter {
  /** As it stands in statements: 1 to 32 bytes. */
  readonly name: string
  /**
   * The one form of a reference that a buyer's operator gives: two texts for one payment must not differ.
   * @throws TokError `settlement_invalid` saying what is expected
   */
  normalise(reference: string): string
  /**
   * Looks for the payment at the seller. Answers within the signal's time; what it throws counts as unknown, and is logged.
   * The ledger sees to it that no reference counts twice.
   */
  check(payment: Pick<Payment, 'reference' | 'amount' | 'paidAtMs'>, signal: AbortSignal): Promise<PaymentFinding>
}

const REFERENCE_BYTES_MAX = 256

/**
 * Payments that people made and people look for: a bank transfer, cash. `autoConfirmMax`: payments up to so many micros count
 * as received unseen; 0 is none.
 */
export function createManualAdapter({ autoConfirmMax }: { readonly autoConfirmMax: bigint }): SettlementAdapter {
  return {
    name: 'manual',
    normalise(reference) {
      const text = reference.normalize('NFC').replaceAll(/\s+/gu, ' ').trim()
      if (text !== '' && Buffer.byteLength(text) <= REFERENCE_BYTES_MAX && text.isWellFormed()) return text
      const reason = `a reference is a text of 1 to ${REFERENCE_BYTES_MAX} bytes that both sides can find the payment by`
      throw new TokError('settlement_invalid', { reason })
    },
    check: async ({ amount }) => ({ found: amount <= autoConfirmMax ? 'received' : 'unknown' }),
  }
}

/** The adapter of this name. @throws TokError `settlement_invalid` naming those there are */
export function adapterNamed(adapters: readonly SettlementAdapter[], name: string): SettlementAdapter {
  const found = adapters.find((adapter) => adapter.name === name)
  if (found !== undefined) return found
  const names = adapters.map((adapter) => adapter.name).join(', ')
  throw new TokError('settlement_invalid', { reason: `no adapter "${name}" here; there is ${names}` })
}
