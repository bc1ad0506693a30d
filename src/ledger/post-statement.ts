/**
 * The one way a statement with both signatures comes into the ledger: proposed and answered, or shown by the other side.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { CallItem, SignedStatement } from '../wire/account.ts'
import type { AccountBook } from './account-book.ts'
import { headAfter, type AccountState } from './account-state.ts'
import { papersOfItem, type Papers } from './call-papers.ts'
import { callPaperWrite, headWrite, openCallWrite, proposalWrite, settledWrite, statementWrite } from './records.ts'
import type { CommitQueue, Write } from './store.ts'

/**
 * Appends a statement that was found to follow: one batch with the papers of its items, head, settled marks, open calls and
 * pending proposal (R4). The caller keeps the steps of the account one after the other.
 */
export async function postStatement(
  { book, queue }: { readonly book: AccountBook; readonly queue: CommitQueue },
  state: AccountState,
  statement: SignedStatement,
  papers: Papers,
): Promise<void> {
  const { items, sequence } = statement.value
  const head = headAfter(statement.value, statement.id)
  await queue.commit([
    ...items.flatMap((item) => paperWrites(state, item, papers)),
    statementWrite(state.id, statement),
    headWrite(state.id, state.account, head),
    proposalWrite(state.id, undefined),
    ...items.flatMap(({ order }) => [
      settledWrite(order, state.id, sequence),
      openCallWrite(state.id, order, undefined),
    ]),
  ])
  state.head = head
  state.creditLimitTold = head.creditLimit
  state.pending = undefined
  state.rejection = undefined
  for (const { order } of items) book.dropCall(state, order)
}

/** Keeps the papers an item names, so that the statement can be checked from this ledger alone. */
function paperWrites(state: AccountState, item: CallItem, papers: Papers): Write[] {
  const newest = state.calls.get(toHex(item.order))?.voucher
  const { order, voucher, receipt } = papersOfItem(papers, item)
  const writes: Write[] = []
  if (order !== undefined) writes.push(callPaperWrite('order', item.order, order))
  if (voucher !== undefined && (newest === undefined || !equalBytes(newest.id, voucher.id))) {
    writes.push(callPaperWrite('settledVoucher', item.order, voucher))
  }
  if (receipt !== undefined) writes.push(callPaperWrite('receipt', item.order, receipt))
  return writes
}
