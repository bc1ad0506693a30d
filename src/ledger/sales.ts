/**
 * The calls this node sells: admit, record vouchers and receipt, seal. Source: protocols/inference/v1.md and
 * protocols/account/v1.md.
 */
import { TokError } from '../base/errors.ts'
import type { Envelope, Signed } from '../wire/envelope.ts'
import type { Acceptance, Order, Receipt, Voucher } from '../wire/inference.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import type { AccountBook } from './account-book.ts'
import { exposureOf, liveCall, requireUsable } from './account-state.ts'
import { isNews, openVoucher } from './call-papers.ts'
import type { CallSealing } from './call-sealing.ts'
import type { OneAfterAnother } from './one-after-another.ts'
import { callPaperWrite, openCallWrite, type Records } from './records.ts'
import type { CommitQueue } from './store.ts'

/** A call that is being sold, as `openSale` admits it. */
export interface SaleTerms {
  /** The most this buyer may owe, in micros. */
  readonly creditLimit: bigint
  /** What may still be lent to buyers without history, in micros; undefined if this buyer has one. */
  readonly strangerRoom: bigint | undefined
}

export interface Sales {
  /**
   * Admits an order: checks it against the account and reserves its maximum, then records order and acceptance (R1).
   * @throws TokError `order_known`, `account_unreconciled`, `account_frozen`, `credit_exhausted`
   */
  openSale(order: Signed<Order>, acceptance: Signed<Acceptance>, terms: SaleTerms): Promise<void>
  /**
   * Records a voucher of a live sale. Only after it resolves may the window count it (R2). An older or equal one is ignored.
   * @throws TokError `voucher_invalid`, `signature_invalid`
   */
  recordVoucher(orderId: Uint8Array, envelope: Envelope): Promise<Signed<Voucher> | undefined>
  /** Records this seller's receipt; it is sent after that. */
  recordReceipt(receipt: Signed<Receipt>): Promise<void>
  /** Seals a sale: it counts at its newest voucher, or at its receipt if that is lower. */
  closeSale(orderId: Uint8Array, inference: Omit<InferenceRecord, 'amount'>): Promise<void>
}

export function createSales(dependencies: {
  readonly book: AccountBook
  readonly records: Records
  readonly queue: CommitQueue
  readonly sealing: CallSealing
  readonly oneAfterAnother: OneAfterAnother
}): Sales {
  const { book, records, queue, sealing, oneAfterAnother } = dependencies
  return {
    async openSale(order, acceptance, terms) {
      const state = book.stateOf(order.value)
      requireUsable(state)
      if (book.findCall(order.id) !== undefined) throw new TokError('order_known')
      const maximum = order.value.amountMax
      const room = terms.creditLimit - exposureOf(state)
      if (maximum > room) throw new TokError('credit_exhausted', { detail: `${room} micros are left of the line` })
      if (terms.strangerRoom !== undefined && maximum > terms.strangerRoom) {
        throw new TokError('credit_exhausted', { detail: 'the budget for buyers without history is used up' })
      }
      book.addCall(state, { ...liveCall(order), acceptance })
      if (await records.hasOrder(order.id)) {
        book.dropCall(state, order.id)
        throw new TokError('order_known')
      }
      await queue.commit([
        callPaperWrite('order', order.id, order),
        callPaperWrite('acceptance', order.id, acceptance),
        openCallWrite(state.id, order.id, 'live'),
      ])
    },

    async recordVoucher(orderId, envelope) {
      const found = book.findCall(orderId)
      if (found === undefined || !found.call.live) return undefined
      const { call } = found
      const voucher = openVoucher(call.order, envelope)
      return oneAfterAnother(orderId, async () => {
        if (!call.live || !isNews(voucher, call.voucher)) return undefined
        await queue.commit([callPaperWrite('voucher', orderId, voucher)])
        call.voucher = voucher
        return voucher
      })
    },

    recordReceipt(receipt) {
      const { order } = receipt.value
      return oneAfterAnother(order, async () => {
        const found = book.findCall(order)
        if (found?.call.live !== true) {
          throw new TokError('internal_error', { reason: 'a receipt for a call that is over' })
        }
        await queue.commit([callPaperWrite('receipt', order, receipt)])
        found.call.receipt = receipt
      })
    },

    closeSale: (orderId, inference) =>
      oneAfterAnother(orderId, () => sealing.sealCall(orderId, undefined, inference, true)),
  }
}
