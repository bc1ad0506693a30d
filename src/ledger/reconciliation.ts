/**
 * Bringing the two sides of an account to one view of it, before anything is signed for it: heads, the statements and papers
 * that one side lacks, and the proof of a fork. Source: protocols/account/v1.md; rules R6 and R9 there.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import { accountId, openStatement, type Account, type DualSigned, type Evidence, type Hello } from '../wire/account.ts'
import { open } from '../wire/envelope.ts'
import { ORDER, RECEIPT } from '../wire/inference.ts'
import { LIMITS } from '../wire/registry.ts'
import type { AccountBook } from './account-book.ts'
import { breachOfChain, liveCall } from './account-state.ts'
import { isNews, isOfCall, NO_PAPERS, openVoucher, papersOf, plain } from './call-papers.ts'
import type { OneAfterAnother } from './one-after-another.ts'
import { postStatement } from './post-statement.ts'
import { callPaperWrite, evidenceWrite, openCallWrite, type Records } from './records.ts'
import type { CommitQueue } from './store.ts'

export interface Reconciliation {
  /** How this side sees an account. Calls beyond the limit of one HELLO follow in the next exchange. */
  hello(account: Account): Hello
  /**
   * Appends statements that the other side holds and this one lacks. Both signatures must verify: this node believes its own
   * signature, whatever its database says (R6).
   * @throws TokError `statement_invalid`, `signature_invalid`
   */
  appendStatements(account: Account, statements: readonly DualSigned[]): Promise<void>
  /** What the other side should see of the calls that it does not list, or lists with an older voucher. */
  evidenceFor(account: Account, theirs: Hello): readonly Evidence[]
  /**
   * Takes in what the other side shows of a call. The buyer adopts what bears its own signatures (R6); the seller a higher
   * voucher of an order that it accepted, or that its own receipt proves it served. What proves nothing new is passed over.
   * @throws TokError `encoding_invalid`, `signature_invalid`, `voucher_invalid`
   */
  adoptEvidence(account: Account, evidence: Evidence): Promise<void>
  /** Marks an account as compared with the other side on the present connection: signing may go on (R9). */
  setReconciled(account: Account, isReconciled: boolean): void
  /**
   * Keeps the proof that two statements which both sides signed stand at one sequence, and signs nothing for the account any
   * more, for good.
   * @throws TokError `signature_invalid`, `statement_invalid` if `proof` does not prove it: nothing changes then
   */
  freeze(account: Account, reason: string, proof: readonly DualSigned[]): Promise<void>
}

export function createReconciliation(dependencies: {
  readonly book: AccountBook
  readonly records: Records
  readonly queue: CommitQueue
  readonly oneAfterAnother: OneAfterAnother
}): Reconciliation {
  const { book, records, queue, oneAfterAnother } = dependencies
  return {
    hello(account) {
      const state = book.stateOf(account)
      const sealedCalls = [...state.calls.values()].filter((call) => !call.live).slice(0, LIMITS.helloCalls)
      return {
        account: state.account,
        sequence: state.head.sequence,
        head: state.head.head,
        calls: sealedCalls.map((call) => ({ order: call.order.id, voucherIndex: call.voucher?.value.index })),
      }
    },

    appendStatements: (account, statements) =>
      oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        for (const each of statements) {
          const statement = openStatement(each)
          const breach = breachOfChain(state.account, state.head, statement.value)
          if (breach !== undefined) throw new TokError('statement_invalid', { reason: breach })
          const { pending } = state
          const isPending = pending !== undefined && equalBytes(pending.statement.id, statement.id)
          await postStatement({ book, queue }, state, statement, isPending ? papersOf(pending.frame) : NO_PAPERS)
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
          const isServed = receipt !== undefined || (await records.hasOrder(order.id))
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

    async freeze(account, reason, proof) {
      const state = book.stateOf(account)
      const statements = proof.map(openStatement)
      const isFork = statements.some((one) =>
        statements.some((other) => one.value.sequence === other.value.sequence && !equalBytes(one.id, other.id)),
      )
      const isOfAccount = statements.every(({ value }) => equalBytes(accountId(value), state.id))
      if (!isFork || !isOfAccount) throw new TokError('statement_invalid', { reason: 'it proves no fork' })
      state.frozen = reason
      await queue.commit(statements.map((statement) => evidenceWrite(state.id, statement)))
    },
  }
}
