/**
 * The state of one account as this node knows it, and every decision about it. Pure: no disk, no clock, no socket.
 * Source: protocols/account/v1.md; rules R1 to R9 there.
 */
import { divideRoundingUp } from '../base/amount.ts'
import { equalBytes, toHex } from '../base/bytes.ts'
import { toTokError, TokError, type ErrorCode } from '../base/errors.ts'
import {
  itemId,
  type Account,
  type CallItem,
  type Item,
  type Netting,
  type NettingItem,
  type Payment,
  type PaymentItem,
  type ProposalFrame,
  type Rejection,
  type Statement,
} from '../wire/account.ts'
import type { Signed } from '../wire/envelope.ts'
import { peerOfKey } from '../wire/identity.ts'
import { checkBilling, type Acceptance, type Order, type Receipt, type Voucher } from '../wire/inference.ts'
import type { BilledUsage } from '../wire/pricing.ts'
import { DOMAINS, LIMITS } from '../wire/registry.ts'
import type { Conflict } from './equivocation.ts'

/** A call that no statement has settled yet. */
export interface Call {
  readonly order: Signed<Order>
  /** True while it may still grow; a call that is not live is sealed: its voucher is final on this side. */
  live: boolean
  /** True once the buyer rejected its item: it is not proposed again, and its credit stays used. */
  disputed: boolean
  /** True while no room was left to show it to the other side in this exchange: it is not proposed before it was. */
  isHeldBack: boolean
  /** The newest voucher that is on disk. */
  voucher: Signed<Voucher> | undefined
  receipt: Signed<Receipt> | undefined
  /** The seller's word that it took the order, where this side has it. */
  acceptance: Signed<Acceptance> | undefined
}

/** A payment that no statement holds yet. */
export interface OpenPayment {
  readonly signed: Signed<Payment>
  /**
   * proposed: the buyer says so; confirmed: the seller has received it, and its next statement says so; refused: by the seller;
   * cancelled: by the buyer. What is refused or cancelled waits for nothing, and can still be confirmed by a seller that was
   * quicker: the buyer stands by its signature.
   */
  readonly state: 'proposed' | 'confirmed' | 'refused' | 'cancelled'
  /** Why it was refused. */
  readonly reason: string | undefined
}

/** A netting that is not settled in both accounts yet; one object stands in the state of both. */
export interface OpenNetting {
  readonly signed: Signed<Netting>
  /** Of the seller it names; undefined while it only is proposed. */
  sellerSignature: Uint8Array | undefined
  /** Accounts that have it in a statement, by their id in hexadecimal. */
  readonly settledIn: Set<string>
  /** True once the other side rejected its item: it is not proposed again. */
  isSetAside: boolean
}

/** Where the chain of an account stands. */
export interface AccountHead {
  /** 0 before the first statement. */
  readonly sequence: number
  readonly head: Uint8Array | undefined
  readonly owed: bigint
  readonly paid: bigint
  readonly creditLimit: bigint
}

/** The seller's proposal that waits for the buyer's answer. Sticky: the same bytes are sent until they are answered. */
export interface Proposal {
  readonly statement: Signed<Statement>
  /** As it is sent: the statement with the vouchers and receipts of its items. */
  readonly frame: ProposalFrame
}

export interface AccountState {
  readonly id: Uint8Array
  readonly account: Account
  /** The side this node is on. */
  readonly side: 'buyer' | 'seller'
  head: AccountHead
  /** Unsettled calls by the hexadecimal id of their order. */
  readonly calls: Map<string, Call>
  /** Payments that no statement holds yet, by the hexadecimal id of the buyer's announcement. */
  readonly payments: Map<string, OpenPayment>
  /** The netting that is under way with the opposite account. */
  netting: OpenNetting | undefined
  pending: Proposal | undefined
  /** The rejection on whose ground the next proposal stands. */
  rejection: Uint8Array | undefined
  /** Why nothing is signed for this account any more. */
  frozen: string | undefined
  /** True once HELLO was exchanged on the present connection; nothing is signed before (R9). */
  reconciled: boolean
  /** When this ledger, and the other side's by its newest HELLO, were last brought up from a copy; undefined: never. */
  readonly ownRestoredAtMs: number | undefined
  otherRestoredAtMs: number | undefined
  /** The seller's newest word on the credit limit; undefined before any. */
  creditLimitTold: bigint | undefined
}

export const NO_HEAD: AccountHead = { sequence: 0, head: undefined, owed: 0n, paid: 0n, creditLimit: 0n }

/** A call that begins. */
export function liveCall(order: Signed<Order>): Call {
  return {
    order,
    live: true,
    disputed: false,
    isHeldBack: false,
    voucher: undefined,
    receipt: undefined,
    acceptance: undefined,
  }
}

/** The peer ID of the other side. */
export function otherPeer({ side, account }: AccountState): string {
  return peerOfKey(side === 'buyer' ? account.seller : account.buyer)
}

/** @throws TokError `account_frozen`, `account_unreconciled` if nothing may be signed for this account now */
export function requireUsable(state: AccountState): void {
  requireUnfrozen(state)
  if (!state.reconciled) throw new TokError('account_unreconciled')
}

/** @throws TokError `account_frozen` if nothing is signed for this account any more */
export function requireUnfrozen(state: AccountState): void {
  const { frozen: reason } = state
  if (reason === undefined) return
  throw new TokError('account_frozen', { peer: otherPeer(state), reason, account: toHex(state.id) })
}

/** What a sealed call is settled at: the lesser of the voucher's promise and the receipt's claim; 0 without a voucher. */
export function claimOf(call: Call): bigint {
  if (call.voucher === undefined) return 0n
  const promised = call.voucher.value.amount
  const claimed = call.receipt?.value.amount ?? promised
  return claimed < promised ? claimed : promised
}

/** What the buyer may come to owe if everything open is used to its maximum: what credit checks compare (R8). */
export function exposureOf(state: AccountState): bigint {
  let micros = state.head.owed - state.head.paid
  for (const call of state.calls.values()) micros += call.live ? call.order.value.amountMax : claimOf(call)
  return micros
}

/** The reserved part of the exposure: maxima of live calls. */
export function heldOf(state: AccountState): bigint {
  let micros = 0n
  for (const call of state.calls.values()) if (call.live) micros += call.order.value.amountMax
  return micros
}

/** Sealed calls whose claim no statement holds yet. */
export function unsettledOf(state: AccountState): bigint {
  let micros = 0n
  for (const call of state.calls.values()) if (!call.live) micros += claimOf(call)
  return micros
}

/**
 * True if a sealed call stays open until a statement settles it: its voucher promises something. A receipt for nothing is
 * settled too, at 0, because the buyer may not have it.
 */
export function isToSettle(call: Call): boolean {
  return call.voucher !== undefined && call.voucher.value.amount > 0n
}

/** The item that settles a sealed call, or undefined if nothing was promised for it. */
export function itemOf(call: Call): CallItem | undefined {
  const { voucher, receipt } = call
  if (voucher === undefined || !isToSettle(call)) return undefined
  const isReceiptLower = receipt !== undefined && receipt.value.amount <= voucher.value.amount
  return {
    kind: 'call',
    order: call.order.id,
    voucher: voucher.id,
    receipt: receipt?.id,
    usage: isReceiptLower ? receipt.value.usage : voucher.value.usage,
    amount: claimOf(call),
  }
}

/** What one account still owes beyond its payments under way, in micros: the most that may be paid or set off. */
export function payableOf(state: AccountState): bigint {
  let micros = state.head.owed - state.head.paid
  for (const { signed, state: at } of state.payments.values()) {
    if (at === 'proposed' || at === 'confirmed') micros -= signed.value.amount
  }
  const netting = nettingToSettle(state)
  return netting === undefined ? micros : micros - netting.signed.value.amount
}

/** What the next statements will say is paid, in micros. */
export function confirmedOf(state: AccountState): bigint {
  return settlementItems(state).reduce((sum, { amount }) => sum + amount, 0n)
}

/** Payments and a netting of this account that wait for the other side, or for a statement. */
export function settlementsOpenIn(state: AccountState): number {
  const payments = [...state.payments.values()].filter(({ state: at }) => at === 'proposed' || at === 'confirmed')
  return payments.length + (nettingToSettle(state) === undefined ? 0 : 1)
}

/** The most that is delivered on all live calls before the buyer has vouched for it, in micros. */
export function windowExposureOf(state: AccountState): bigint {
  let micros = 0n
  for (const { live, order, voucher } of state.calls.values()) {
    if (!live) continue
    const { windowTokens, prices, amountMax } = order.value
    const window = divideRoundingUp(BigInt(windowTokens) * prices.output, 1_000_000n)
    const left = amountMax - (voucher?.value.amount ?? 0n)
    micros += window < left ? window : left
  }
  return micros
}

/** The netting of this account that no statement of it holds yet, sealed or proposed. */
export function nettingToSettle({ netting, id }: AccountState): OpenNetting | undefined {
  return netting === undefined || netting.settledIn.has(toHex(id)) ? undefined : netting
}

/** Payments that the seller confirmed, and a netting that both signed. */
function settlementItems(state: AccountState): (PaymentItem | NettingItem)[] {
  const items: (PaymentItem | NettingItem)[] = []
  const netting = nettingToSettle(state)
  if (netting?.sellerSignature !== undefined && !netting.isSetAside) {
    items.push({ kind: 'netting', netting: netting.signed.id, amount: netting.signed.value.amount })
  }
  for (const { signed, state: at } of state.payments.values()) {
    if (at === 'confirmed') items.push(paymentItemOf(signed))
  }
  return items
}

/** The item that a payment stands in a statement as. */
export function paymentItemOf({ id, value }: Signed<Payment>): PaymentItem {
  const { adapter, reference, amount, paidAtMs } = value
  return { kind: 'payment', payment: id, adapter, reference, amount, paidAtMs }
}

/** The next statement a seller proposes, or undefined if nothing is to be settled. */
export function buildStatement(state: AccountState, creditLimit: bigint, issuedAtMs: number): Statement | undefined {
  const settlements = settlementItems(state).slice(0, LIMITS.statementItems / 2)
  const items: Item[] = []
  let { owed, paid } = state.head
  for (const call of state.calls.values()) {
    if (items.length === LIMITS.statementItems - settlements.length) break
    const item = call.live || call.disputed || call.isHeldBack ? undefined : itemOf(call)
    if (item === undefined) continue
    items.push(item)
    owed += item.amount
  }
  for (const item of settlements) {
    // What is not owed cannot be paid: it waits until it is.
    if (paid + item.amount > owed) continue
    items.push(item)
    paid += item.amount
  }
  if (items.length === 0) return undefined
  const { network, asset, buyer, seller } = state.account
  return {
    type: DOMAINS.statement,
    network,
    asset,
    buyer,
    seller,
    sequence: state.head.sequence + 1,
    previous: state.head.head,
    items,
    owed,
    paid,
    creditLimit,
    issuedAtMs,
    rejection: state.rejection,
    buyerRestoredAtMs: state.otherRestoredAtMs,
    sellerRestoredAtMs: state.ownRestoredAtMs,
  }
}

/** Why a statement cannot follow `head` in this account, or undefined if it can. */
export function breachOfChain(account: Account, head: AccountHead, statement: Statement): string | undefined {
  if (
    statement.network !== account.network ||
    statement.asset !== account.asset ||
    !equalBytes(statement.buyer, account.buyer) ||
    !equalBytes(statement.seller, account.seller)
  ) {
    return 'it belongs to another account'
  }
  if (statement.sequence !== head.sequence + 1) return `sequence ${statement.sequence} after ${head.sequence}`
  if (!isSame(statement.previous, head.head)) return 'it does not follow the newest statement'
  let { owed, paid } = head
  for (const { kind, amount } of statement.items) {
    if (kind === 'call') owed += amount
    else if (amount === 0n) return `a ${kind} of nothing`
    else paid += amount
  }
  if (statement.owed !== owed) return `owed is ${statement.owed}, the items make ${owed}`
  if (statement.paid !== paid) return `paid is ${statement.paid}, the items make ${paid}`
  if (paid > owed) return `${paid} is paid, and only ${owed} was owed`
  const names = statement.items.flatMap(namesOf)
  return new Set(names).size === names.length ? undefined : 'something is settled twice'
}

/** What may stand in one account once: an order, a netting, a payment and its reference. */
export function namesOf(item: Item): string[] {
  const name = `${item.kind} ${toHex(itemId(item))}`
  return item.kind === 'payment' ? [name, `reference ${referenceName(item)}`] : [name]
}

/** A payment's reference among those of all adapters. */
export function referenceName({ adapter, reference }: Pick<Payment, 'adapter' | 'reference'>): string {
  return JSON.stringify([adapter, reference])
}

/** Where the chain stands after `statement`. */
export function headAfter(statement: Statement, id: Uint8Array): AccountHead {
  const { sequence, owed, paid, creditLimit } = statement
  return { sequence, head: id, owed, paid, creditLimit }
}

/**
 * Why an item does not follow from its order, voucher and receipt, or undefined if it does. The same check holds for the
 * buyer before it countersigns and for whoever verifies an export.
 */
export function breachOfItem(
  item: { readonly amount: bigint; readonly usage: BilledUsage },
  order: Order,
  voucher: Voucher,
  receipt: Receipt | undefined,
): string | undefined {
  try {
    checkBilling(item, order)
    checkBilling(voucher, order)
  } catch (thrown) {
    return toTokError(thrown).message
  }
  const due = receipt !== undefined && receipt.amount < voucher.amount ? receipt.amount : voucher.amount
  return item.amount === due ? undefined : `the amount is ${item.amount}, voucher and receipt make ${due}`
}

/** A buyer's refusal of a proposal. */
export interface Refusal {
  readonly code: ErrorCode
  readonly reason: string
  /** What the refused item is known by; undefined if the statement as a whole is refused. */
  readonly item: Uint8Array | undefined
}

/** What the buyer knows of the calls in a proposal. */
export interface KnownCall {
  readonly order: Signed<Order> | undefined
  readonly isSettled: boolean
  /** The most the buyer owes for it by what it signed and the receipt it was given. */
  readonly promised: bigint
  /** The voucher and receipt the item names, if they came and hold. */
  readonly voucher: Signed<Voucher> | undefined
  readonly receipt: Signed<Receipt> | undefined
}

/**
 * The buyer's judgement of a proposal: undefined to countersign it, or the refusal (R7). Nothing is countersigned that the
 * buyer did not order, that is settled already, that costs another amount than the order's prices make, or that is above
 * what the buyer itself signed; nor a payment that it did not announce, nor a netting that not both signed.
 */
export function judgeProposal(
  state: AccountState,
  statement: Statement,
  lastRejection: Uint8Array | undefined,
  known: (item: CallItem) => KnownCall,
): Refusal | undefined {
  const refuse = (reason: string, item?: Uint8Array): Refusal => ({ code: 'statement_invalid', reason, item })
  const breach = breachOfChain(state.account, state.head, statement)
  if (breach !== undefined) return refuse(breach)
  const outdated = (reason: string): Refusal => ({ code: 'statement_outdated', reason, item: undefined })
  if (statement.buyerRestoredAtMs !== state.ownRestoredAtMs) return outdated('the buyer went back to a copy since')
  if (!isSame(statement.rejection, lastRejection)) return outdated('it does not name the rejection before it')
  if (statement.items.length === 0) return refuse('it settles nothing')
  for (const item of statement.items) {
    if (item.kind !== 'call') {
      const wrong = breachOfSettlement(state, item)
      if (wrong !== undefined) return refuse(wrong, itemId(item))
      continue
    }
    const { order, isSettled, promised, voucher, receipt } = known(item)
    if (order === undefined) return refuse('the buyer knows no such order', item.order)
    if (isSettled) return refuse('the order is settled already', item.order)
    if (voucher === undefined) return refuse('the voucher it names is missing or not of this order', item.order)
    if (item.receipt !== undefined && receipt === undefined)
      return refuse('the receipt it names is missing', item.order)
    if (item.amount > promised) return refuse('it is above what voucher and receipt make', item.order)
    const wrong = breachOfItem(item, order.value, voucher.value, receipt?.value)
    if (wrong !== undefined) return refuse(wrong, item.order)
  }
  return undefined
}

/** Why a payment or a netting is not what this side signed, or undefined if it is. */
function breachOfSettlement(state: AccountState, item: PaymentItem | NettingItem): string | undefined {
  if (item.kind === 'payment') {
    const payment = state.payments.get(toHex(item.payment))
    if (payment === undefined) return 'the buyer announced no such payment'
    const { adapter, reference, amount, paidAtMs } = payment.signed.value
    const isSaid =
      item.adapter === adapter && item.reference === reference && item.amount === amount && item.paidAtMs === paidAtMs
    return isSaid ? undefined : 'the payment is not as the buyer announced it'
  }
  const netting = nettingToSettle(state)
  if (netting?.sellerSignature === undefined || !equalBytes(netting.signed.id, item.netting)) {
    return 'no netting that both signed is open here'
  }
  return netting.signed.value.amount === item.amount ? undefined : 'the netting is of another amount'
}

/** True if a rejection refuses one item, that can be taken out, and not the statement as a whole. */
export function isOfItem(state: AccountState, { item }: Rejection): boolean {
  if (item === undefined) return false
  const name = toHex(item)
  const netting = state.netting?.signed.id
  return state.calls.has(name) || state.payments.has(name) || (netting !== undefined && equalBytes(netting, item))
}

/** Why an account is frozen whose statement the buyer refuses as a whole: there is nothing to take out of it. */
export function frozenBy(rejection: Rejection): string {
  return `the buyer rejects statement ${rejection.sequence}`
}

/** Notes that the buyer rejected the netting of this account. */
export function setAsideNetting({ netting }: AccountState, { item }: Rejection): void {
  if (netting !== undefined && item !== undefined && equalBytes(netting.signed.id, item)) netting.isSetAside = true
}

/** Why an account is frozen on which somebody signed two histories. */
export function provenBy({ equivocators, sequence }: Pick<Conflict, 'equivocators' | 'sequence'>): string {
  return `${equivocators.join(' and ')} signed two statements at sequence ${sequence}; the proof is kept`
}

function isSame(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right
  return equalBytes(left, right)
}
