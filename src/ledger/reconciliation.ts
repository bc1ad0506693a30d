/**
 * Bringing the two sides of an account to one view of it, before anything is signed for it: heads, the statements and papers
 * that one side lacks, and the proof of two histories. Source: protocols/account/v1.md; rules R6 and R9 there.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import {
  accountId,
  callItems,
  openStatement,
  type Account,
  type CallItem,
  type DualSigned,
  type Evidence,
  type Hello,
} from '../wire/account.ts'
import { open, type Signed } from '../wire/envelope.ts'
import { ACCEPTANCE, ORDER, RECEIPT, type Order } from '../wire/inference.ts'
import { LIMITS } from '../wire/registry.ts'
import type { AccountBook } from './account-book.ts'
import { breachOfChain, breachOfItem, liveCall, type AccountState } from './account-state.ts'
import {
  isNews,
  isOfCall,
  openVoucher,
  papersOf,
  papersOfItem,
  papersShown,
  plain,
  type CallPapers,
  type Papers,
} from './call-papers.ts'
import { checkNatively, judgeConflict, type Conflict, type StatementCopy } from './equivocation.ts'
import { freezeByProof } from './freeze-account.ts'
import type { OneAfterAnother } from './one-after-another.ts'
import { postStatement } from './post-statement.ts'
import { callPaperWrite, openCallWrite, type Records } from './records.ts'
import type { CommitQueue } from './store.ts'

export interface Reconciliation {
  /** How this side sees an account. Calls beyond the limit of one HELLO follow in the next exchange. */
  hello(account: Account): Hello
  /** Takes the other side's HELLO: since when its ledger is a copy stands in the next statement. */
  noteHello(account: Account, theirs: Hello): void
  /** Orders of `statements` whose papers, as the statements name them, this side does not have. */
  papersLacked(account: Account, statements: readonly DualSigned[]): Promise<readonly Uint8Array[]>
  /** The papers with which a statement of this account settled an order. @throws TokError `record_not_found` if none did */
  papersSettled(account: Account, orderId: Uint8Array): Promise<Evidence>
  /**
   * Appends statements that the other side holds and this one lacks, with the papers it showed. Both signatures must verify:
   * this node believes its own signature, whatever its database says (R6). Without the papers of every item a statement is not
   * taken, so that what stands in the ledger can always be checked from it.
   * @throws TokError `statement_invalid`, `signature_invalid`
   */
  appendStatements(account: Account, statements: readonly DualSigned[], shown: readonly Evidence[]): Promise<void>
  /** What the other side should see of the calls that it does not list, or lists with an older voucher. */
  evidenceFor(account: Account, theirs: Hello): readonly Evidence[]
  /**
   * Takes in what the other side shows of a call. The buyer adopts what bears its own signatures (R6); the seller a higher
   * voucher of an order that it accepted, or that its own acceptance or receipt proves it served. What proves nothing new is
   * passed over.
   * @throws TokError `encoding_invalid`, `signature_invalid`, `voucher_invalid`
   */
  adoptEvidence(account: Account, evidence: Evidence): Promise<void>
  /** Marks an account as compared with the other side on the present connection: signing may go on (R9). */
  setReconciled(account: Account, isReconciled: boolean): void
  /**
   * Keeps the proof that somebody signed two histories of this account, and signs nothing for it any more, for good. Nothing is
   * kept or frozen if both sides had gone back to copies between the two.
   * @returns what the two statements prove
   * @throws TokError `signature_invalid`, `statement_invalid` if they prove nothing about this account: nothing changes then
   */
  freeze(account: Account, one: StatementCopy, other: StatementCopy): Promise<Conflict>
  /** Proven equivocations, of all accounts. */
  conflicts(): Promise<readonly Conflict[]>
}

export function createReconciliation(dependencies: {
  readonly book: AccountBook
  readonly records: Records
  readonly queue: CommitQueue
  readonly oneAfterAnother: OneAfterAnother
}): Reconciliation {
  const { book, records, queue, oneAfterAnother } = dependencies

  /** What this side has of the papers an item names: recorded, or with the proposal that waits for its answer. */
  async function ownPapers(state: AccountState, item: CallItem): Promise<CallPapers> {
    const recorded = await records.callRecord(item.order)
    const pending = state.pending === undefined ? undefined : papersOfItem(papersOf(state.pending.frame), item)
    const voucher = [recorded?.voucher, recorded?.settledVoucher, pending?.voucher].find(
      (each) => each !== undefined && equalBytes(each.id, item.voucher),
    )
    const receipt = [recorded?.receipt, pending?.receipt].find(
      (each) => each !== undefined && item.receipt !== undefined && equalBytes(each.id, item.receipt),
    )
    return { order: recorded?.order, voucher, receipt }
  }

  /** @throws TokError `statement_invalid` unless the papers of an item, shown or this side's own, make it what it says */
  async function requirePapers(state: AccountState, item: CallItem, shown: Papers): Promise<void> {
    const came = papersOfItem(shown, item)
    const own = await ownPapers(state, item)
    const order = came.order ?? own.order
    const voucher = came.voucher ?? own.voucher
    const receipt = came.receipt ?? own.receipt
    const { buyer, seller, network } = state.account
    const isOurs =
      order !== undefined &&
      equalBytes(order.value.buyer, buyer) &&
      equalBytes(order.value.seller, seller) &&
      order.value.network === network
    if (!isOurs || voucher === undefined || (item.receipt !== undefined && receipt === undefined)) {
      throw new TokError('statement_invalid', { reason: `the papers of order ${toHex(item.order)} are missing` })
    }
    const papers = receipt === undefined ? [voucher.value] : [voucher.value, receipt.value]
    const breach = papers.every((paper) => isOfCall(paper, item.order, state.account))
      ? breachOfItem(item, order.value, voucher.value, receipt?.value)
      : 'a paper is of another call'
    if (breach !== undefined) throw new TokError('statement_invalid', { reason: breach })
  }

  /** What shows that this seller took an order: its record of it, or its own signature. */
  async function hasServed(order: Signed<Order>, { acceptance }: Evidence): Promise<boolean> {
    if (await records.hasOrder(order.id)) return true
    if (acceptance === undefined) return false
    const { value } = open(ACCEPTANCE, acceptance)
    const isOfOrder = equalBytes(value.order, order.id) && equalBytes(value.seller, order.value.seller)
    return isOfOrder && value.network === order.value.network
  }

  return {
    hello(account) {
      const state = book.stateOf(account)
      const sealedCalls = [...state.calls.values()].filter((call) => !call.live).slice(0, LIMITS.helloCalls)
      return {
        account: state.account,
        sequence: state.head.sequence,
        head: state.head.head,
        calls: sealedCalls.map((call) => ({ order: call.order.id, voucherIndex: call.voucher?.value.index })),
        restoredAtMs: state.ownRestoredAtMs,
      }
    },

    noteHello(account, { restoredAtMs }) {
      book.stateOf(account).otherRestoredAtMs = restoredAtMs
    },

    async papersLacked(account, statements) {
      const state = book.stateOf(account)
      const lacked: Uint8Array[] = []
      for (const each of statements) {
        for (const item of callItems(openStatement(each).value)) {
          const { order, voucher, receipt } = await ownPapers(state, item)
          const isWhole = order !== undefined && voucher !== undefined
          if (!isWhole || (item.receipt !== undefined && receipt === undefined)) lacked.push(item.order)
        }
      }
      return lacked
    },

    async papersSettled(account, orderId) {
      const call = await records.callRecord(orderId)
      const voucher = call?.settledVoucher ?? call?.voucher
      const isOfAccount = call !== undefined && equalBytes(accountId(call.order.value), accountId(account))
      if (!isOfAccount || call.settledAt === undefined || voucher === undefined) {
        throw new TokError('record_not_found', { id: toHex(orderId) })
      }
      return {
        order: plain(call.order),
        acceptance: undefined,
        voucher: plain(voucher),
        receipt: call.receipt === undefined ? undefined : plain(call.receipt),
      }
    },

    appendStatements: (account, statements, shown) =>
      oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        const cameWith = papersShown(shown)
        for (const each of statements) {
          const statement = openStatement(each)
          const breach = breachOfChain(state.account, state.head, statement.value)
          if (breach !== undefined) throw new TokError('statement_invalid', { reason: breach })
          for (const item of callItems(statement.value)) await requirePapers(state, item, cameWith)
          const { pending } = state
          const isPending = pending !== undefined && equalBytes(pending.statement.id, statement.id)
          await postStatement({ book, queue }, state, statement, isPending ? papersOf(pending.frame) : cameWith)
        }
      }),

    evidenceFor(account, theirs) {
      const state = book.stateOf(account)
      const known = new Map(theirs.calls.map((call) => [toHex(call.order), call.voucherIndex ?? 0]))
      const evidence: Evidence[] = []
      for (const [name, call] of state.calls) {
        if (call.live || call.voucher === undefined) continue
        const isBehind = (known.get(name) ?? 0) < call.voucher.value.index
        call.isHeldBack = isBehind && evidence.length === LIMITS.helloCalls
        if (!isBehind || call.isHeldBack) continue
        evidence.push({
          order: plain(call.order),
          acceptance: call.acceptance === undefined ? undefined : plain(call.acceptance),
          voucher: plain(call.voucher),
          receipt: call.receipt === undefined ? undefined : plain(call.receipt),
        })
      }
      return evidence
    },

    async adoptEvidence(account, evidence) {
      const order = open(ORDER, evidence.order)
      if (!equalBytes(accountId(order.value), accountId(account)) || evidence.voucher === undefined) return
      const voucher = openVoucher(order, evidence.voucher)
      if (voucher.value.amount === 0n) return
      const shown = evidence.receipt === undefined ? undefined : open(RECEIPT, evidence.receipt)
      await oneAfterAnother(accountId(account), () =>
        oneAfterAnother(order.id, async () => {
          const state = book.stateOf(account)
          const known = book.findCall(order.id)?.call
          if (known?.live === true || !isNews(voucher, known?.voucher)) return
          if (known === undefined && (await records.settledAt(order.id)) !== undefined) return
          const receipt =
            (await records.receiptOf(order.id)) ??
            (shown !== undefined && isOfCall(shown.value, order.id, account) ? shown : undefined)
          const isServed = receipt !== undefined || (await hasServed(order, evidence))
          if (state.side === 'seller' && !isServed) return
          await queue.commit([
            callPaperWrite('order', order.id, order),
            callPaperWrite('voucher', order.id, voucher),
            ...(receipt === undefined ? [] : [callPaperWrite('receipt', order.id, receipt)]),
            openCallWrite(state.id, order.id, 'sealed'),
          ])
          book.addCall(state, { ...liveCall(order), live: false, voucher, receipt })
        }),
      )
    },

    setReconciled(account, isReconciled) {
      book.stateOf(account).reconciled = isReconciled
      if (!isReconciled) void oneAfterAnother(accountId(account), async () => book.forgetStranger(account))
    },

    freeze: (account, one, other) => freezeByProof({ queue, records }, book.stateOf(account), one, other),

    async conflicts() {
      const found: Conflict[] = []
      for (const { id } of book.states()) {
        const [one, other] = await records.evidenceOf(id)
        if (one !== undefined && other !== undefined) found.push(judgeConflict(one, other, checkNatively))
      }
      return found
    },
  }
}
