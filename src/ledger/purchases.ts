/**
 * The calls this node buys: reserve, vouch, seal. Source: protocols/inference/v1.md and protocols/account/v1.md.
 */
import { TokError } from '../base/errors.ts'
import { seal, type Signed } from '../wire/envelope.ts'
import type { NodeKey } from '../wire/identity.ts'
import { checkBilling, VOUCHER, type Acceptance, type Order, type Receipt, type Voucher } from '../wire/inference.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { priceUsage, type BilledUsage } from '../wire/pricing.ts'
import { DOMAINS } from '../wire/registry.ts'
import type { AccountBook } from './account-book.ts'
import { exposureOf, heldOf, liveCall, requireUsable } from './account-state.ts'
import type { CallSealing } from './call-sealing.ts'
import type { Journal } from './journal.ts'
import type { OneAfterAnother } from './one-after-another.ts'
import { callPaperWrite, openCallWrite } from './records.ts'
import type { CommitQueue } from './store.ts'

/** What a purchase may use. */
export interface PurchaseTerms {
  /** The most that may be spent today (UTC), held and settled together, in micros; undefined: no limit. */
  readonly spendLimit: bigint | undefined
  /** The credit limit the seller's advert promises a stranger, in micros: counts until the seller has said another. */
  readonly strangerCredit: bigint
}

export interface Purchases {
  /**
   * Reserves the maximum of a purchase and records its order (R1).
   * @throws TokError `account_unreconciled`, `account_frozen`, `credit_exhausted`, `spend_limit_reached`
   */
  openPurchase(order: Signed<Order>, terms: PurchaseTerms): Promise<void>
  /** What a purchase from `seller` may still use, in micros: of its credit line, and of today's spending limit. */
  purchaseRoom(seller: Uint8Array, terms: PurchaseTerms): { credit: bigint; spend: bigint | undefined }
  /** Spent today and held now by purchases, in micros. */
  spentAndHeld(): bigint
  /**
   * Notes an acceptance: the credit limit it states counts, and it is recorded with the call's first voucher. It proves to a
   * seller that lost its own record that it owes the buyer a settlement.
   */
  noteAcceptance(acceptance: Signed<Acceptance>): void
  /**
   * Signs and records a voucher for the cumulative `usage` of a live purchase; undefined if it is sealed, or if neither amount
   * nor output grows: a voucher never falls.
   */
  signVoucher(orderId: Uint8Array, usage: BilledUsage): Promise<Signed<Voucher> | undefined>
  /**
   * Seals a purchase: nothing is signed for it any more, its liability is its newest voucher, the rest of its hold is free (R5).
   * `receipt` is kept where it came and holds. `inference` is its line in the journal; if the request was not answered by this
   * call, and nothing is owed for it, the line is left to the call that answers.
   */
  closePurchase(
    orderId: Uint8Array,
    receipt: Signed<Receipt> | undefined,
    inference: Omit<InferenceRecord, 'amount'>,
    options: { readonly isAnswered: boolean },
  ): Promise<void>
}

export function createPurchases(
  dependencies: {
    readonly book: AccountBook
    readonly journal: Journal
    readonly queue: CommitQueue
    readonly sealing: CallSealing
    readonly oneAfterAnother: OneAfterAnother
    readonly key: NodeKey
  },
  { network }: { readonly network: string },
): Purchases {
  const { book, journal, queue, sealing, oneAfterAnother, key } = dependencies

  function spentAndHeld(): bigint {
    let micros = journal.spentToday()
    for (const state of book.states()) if (state.side === 'buyer') micros += heldOf(state)
    return micros
  }

  function purchaseRoom(seller: Uint8Array, terms: PurchaseTerms): { credit: bigint; spend: bigint | undefined } {
    const state = book.stateWith('buyer', seller)
    const limit = state.creditLimitTold ?? terms.strangerCredit
    return {
      credit: limit - exposureOf(state),
      spend: terms.spendLimit === undefined ? undefined : terms.spendLimit - spentAndHeld(),
    }
  }

  return {
    purchaseRoom,
    spentAndHeld,

    async openPurchase(order, terms) {
      const state = book.stateOf(order.value)
      requireUsable(state)
      const { amountMax, seller } = order.value
      const room = purchaseRoom(seller, terms)
      if (amountMax > room.credit) {
        throw new TokError('credit_exhausted', { detail: `${room.credit} micros are left of the line` })
      }
      if (room.spend !== undefined && amountMax > room.spend) {
        throw new TokError('spend_limit_reached', {
          limit: `${terms.spendLimit} micros`,
          spent: `${spentAndHeld()} micros`,
        })
      }
      book.addCall(state, liveCall(order))
      await queue.commit([callPaperWrite('order', order.id, order), openCallWrite(state.id, order.id, 'live')])
    },

    noteAcceptance(acceptance) {
      const found = book.findCall(acceptance.value.order)
      if (found === undefined) return
      found.state.creditLimitTold = acceptance.value.creditLimit
      found.call.acceptance = acceptance
    },

    signVoucher: (orderId, usage) =>
      oneAfterAnother(orderId, async () => {
        const found = book.findCall(orderId)
        if (found === undefined || !found.call.live || found.state.frozen !== undefined) return undefined
        const { call } = found
        const order = call.order.value
        const price = priceUsage(usage, order.prices)
        const before = call.voucher?.value
        if (price < (before?.amount ?? 0n)) return undefined
        const isGrown = price > (before?.amount ?? 0n) || usage.outputTokens > (before?.usage.outputTokens ?? 0)
        if (!isGrown) return undefined
        const value: Voucher = {
          type: DOMAINS.voucher,
          network,
          order: orderId,
          buyer: order.buyer,
          seller: order.seller,
          index: (before?.index ?? 0) + 1,
          usage,
          amount: price,
        }
        checkBilling(value, order)
        const voucher = seal(VOUCHER, value, key)
        const { acceptance } = call
        await queue.commit([
          callPaperWrite('voucher', orderId, voucher),
          ...(before !== undefined || acceptance === undefined
            ? []
            : [callPaperWrite('acceptance', orderId, acceptance)]),
        ])
        call.voucher = voucher
        return voucher
      }),

    closePurchase: (orderId, receipt, inference, { isAnswered }) =>
      oneAfterAnother(orderId, () => sealing.sealCall(orderId, receipt, inference, isAnswered)),
  }
}
