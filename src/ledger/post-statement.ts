/**
 * The one way a statement with both signatures comes into the ledger: proposed and answered, or shown by the other side.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { callItems, type CallItem, type Item, type SignedStatement } from '../wire/account.ts'
import type { AccountBook } from './account-book.ts'
import { headAfter, type AccountState } from './account-state.ts'
import { papersOfItem, type Papers } from './call-papers.ts'
import { callPaperWrite, headWrite, openCallWrite, proposalWrite, settledWrite, statementWrite } from './records.ts'
import { nettingWrite, oppositeOf, paymentWrite, referenceWrite, settledNettingWrite } from './settlement-records.ts'
import type { CommitQueue, Write } from './store.ts'

/**
 * Appends a statement that was found to follow: one batch with the papers of its items, head, settled marks, open calls and
 * pending proposal (R4); payments and nettings in it are marked, so that none counts twice. The caller keeps the steps of the account one after the other.
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
    ...callItems(statement.value).flatMap((item) => paperWrites(state, item, papers)),
    statementWrite(state.id, statement),
    headWrite(state.id, state.account, head),
    proposalWrite(state.id, undefined),
    ...items.flatMap((item) => settledWrites(state, item, sequence)),
  ])
  state.head = head
  state.creditLimitTold = head.creditLimit
  state.pending = undefined
  state.rejection = undefined
  for (const item of items) {
    if (item.kind === 'call') book.dropCall(state, item.order)
    else if (item.kind === 'payment') state.payments.delete(toHex(item.payment))
    else await noteNetting(state, item.netting)
  }

  /** The netting counts here; when it does in both accounts, it is over. */
  async function noteNetting(of: AccountState, id: Uint8Array): Promise<void> {
    const { netting } = of
    if (netting === undefined || !equalBytes(netting.signed.id, id)) return
    netting.settledIn.add(toHex(of.id))
    if (netting.settledIn.size < 2) return
    of.netting = undefined
    const opposite = book.stateOf(oppositeOf(of.account))
    if (opposite.netting === netting) opposite.netting = undefined
    await queue.commit([nettingWrite(netting, true)])
  }
}

/** What marks an item as settled, and takes it out of what is open. */
function settledWrites({ id, account }: AccountState, item: Item, sequence: number): Write[] {
  if (item.kind === 'call') return [settledWrite(item.order, id, sequence), openCallWrite(id, item.order, undefined)]
  if (item.kind === 'netting') return [settledNettingWrite(id, item.netting, sequence)]
  return [paymentWrite(id, item.payment, undefined), referenceWrite({ seller: account.seller, ...item }, id, sequence)]
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
