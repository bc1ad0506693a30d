/**
 * The calls this node buys: reserve, vouch, seal. Source: protocols/inference/v1.md and protocols/account/v1.md.
 */
import { formatAmount } from '../base/amount.ts'
import { toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import type { Account } from '../wire/account.ts'
import { canonicalModel } from '../wire/advert.ts'
import { seal, type Signed } from '../wire/envelope.ts'
import { peerOfKey, type NodeKey } from '../wire/identity.ts'
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
  /** The same limit for purchases from one seller; undefined: none. */
  readonly sellerSpendLimit?: bigint | undefined
  /** The same limit for purchases of some models; every one that covers a model counts. */
  readonly modelSpendLimits?: readonly ModelSpendLimit[]
}

/** The most that may be spent a day on the models that a rule covers. */
export interface ModelSpendLimit {
  /** For people: "llama3*". */
  readonly name: string
  readonly micros: bigint
  /** @param model its canonical name */
  covers(model: string): boolean
}

/** A spending limit and how much of it is used, in micros. */
export interface SpendLimit {
  readonly scope: 'all' | 'seller' | 'model'
  /** What it holds for, for people: "a day", "a day with 12D3…", "a day for llama3*". */
  readonly words: string
  readonly micros: bigint
  readonly used: bigint
}

/** What a purchase may still use, in micros. */
export interface PurchaseRoom {
  readonly credit: bigint
  /** Undefined: no limit. */
  readonly spend: bigint | undefined
  /** The limit that leaves least. */
  readonly spendLimit: SpendLimit | undefined
}

export interface Purchases {
  /**
   * Reserves the maximum of a purchase and records its order (R1).
   * @throws TokError `account_unreconciled`, `account_frozen`, `credit_exhausted`, `spend_limit_reached`
   */
  openPurchase(order: Signed<Order>, terms: PurchaseTerms): Promise<void>
  /** What a purchase of `model` from `seller` may still use: of its credit line, and of today's spending limits. */
  purchaseRoom(seller: Uint8Array, model: string, terms: PurchaseTerms): PurchaseRoom
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
  { network, asset }: Pick<Account, 'network' | 'asset'>,
): Purchases {
  const { book, journal, queue, sealing, oneAfterAnother, key } = dependencies

  function spentAndHeld(): bigint {
    let micros = journal.today().spent
    for (const state of book.states()) if (state.side === 'buyer') micros += heldOf(state)
    return micros
  }

  function spentAndHeldOn(rule: ModelSpendLimit): bigint {
    let micros = 0n
    for (const [model, amount] of journal.today().spentOn) if (rule.covers(model)) micros += amount
    for (const state of book.states()) {
      if (state.side !== 'buyer') continue
      for (const { live, order } of state.calls.values()) {
        if (live && rule.covers(canonicalModel(order.value.model))) micros += order.value.amountMax
      }
    }
    return micros
  }

  /** The limits that hold for a purchase, with what is used of each. */
  function spendLimits(seller: Uint8Array, model: string, terms: PurchaseTerms): SpendLimit[] {
    const { spendLimit, sellerSpendLimit, modelSpendLimits = [] } = terms
    const limits: SpendLimit[] = []
    if (spendLimit !== undefined) {
      limits.push({ scope: 'all', words: 'a day', micros: spendLimit, used: spentAndHeld() })
    }
    if (sellerSpendLimit !== undefined) {
      const held = heldOf(book.stateWith('buyer', seller))
      const used = (journal.today().spentWith.get(toHex(seller)) ?? 0n) + held
      limits.push({ scope: 'seller', words: `a day with ${peerOfKey(seller)}`, micros: sellerSpendLimit, used })
    }
    for (const rule of modelSpendLimits) {
      if (!rule.covers(canonicalModel(model))) continue
      const used = spentAndHeldOn(rule)
      limits.push({ scope: 'model', words: `a day for ${rule.name}`, micros: rule.micros, used })
    }
    return limits
  }

  function purchaseRoom(seller: Uint8Array, model: string, terms: PurchaseTerms): PurchaseRoom {
    const state = book.stateWith('buyer', seller)
    const limit = state.creditLimitTold ?? terms.strangerCredit
    const roomOf = ({ micros, used }: SpendLimit): bigint => micros - used
    const [tightest] = spendLimits(seller, model, terms).toSorted((one, other) =>
      roomOf(one) < roomOf(other) ? -1 : 1,
    )
    return {
      credit: limit - exposureOf(state),
      spend: tightest && roomOf(tightest),
      spendLimit: tightest,
    }
  }

  return {
    purchaseRoom,
    spentAndHeld,

    async openPurchase(order, terms) {
      const state = book.stateOf(order.value)
      requireUsable(state)
      const { amountMax, seller, model } = order.value
      const { credit, spend, spendLimit } = purchaseRoom(seller, model, terms)
      if (amountMax > credit) {
        throw new TokError('credit_exhausted', { detail: `${credit} micros are left of the line` })
      }
      if (spend !== undefined && spendLimit !== undefined && amountMax > spend)
        throw spendLimitReached(spendLimit, asset)
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

/** The refusal that a limit stands for. */
export function spendLimitReached({ scope, words, micros, used }: SpendLimit, asset: string): TokError {
  const shown = (amount: bigint): string => `${formatAmount(amount)} ${asset}`
  return new TokError('spend_limit_reached', {
    limit: `${shown(micros)} ${words}`,
    spent: shown(used),
    key: SPEND_KEYS[scope],
  })
}

/** The setting that each limit comes from. */
const SPEND_KEYS = { all: 'max_spend', seller: 'max_spend_per_seller', model: 'max_spend_per_model' } as const
