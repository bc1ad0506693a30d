/**
 * The accounts of this node and their open calls, in memory. A reservation stands here before the disk is asked, so that no two
 * calls use the same credit.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import { accountId, STATEMENT, type Account } from '../wire/account.ts'
import { open } from '../wire/envelope.ts'
import type { NodeKey } from '../wire/identity.ts'
import { decodeBody } from '../wire/shape.ts'
import {
  frozenBy,
  NO_HEAD,
  isOfItem,
  provenBy,
  setAsideNetting,
  type AccountState,
  type Call,
} from './account-state.ts'
import { checkNatively, judgeConflict } from './equivocation.ts'
import type { Records } from './records.ts'
import { oppositeOf, type SettlementRecords } from './settlement-records.ts'

export interface AccountBook {
  states(): Iterable<AccountState>
  /** The state of an account, or of the account that an order belongs to; a new one for a stranger. */
  stateOf(account: Account): AccountState
  /** The account with a peer on this network, on which this node is on `side`. */
  stateWith(side: 'buyer' | 'seller', peerKey: Uint8Array): AccountState
  stateOfId(accountIdBytes: Uint8Array): AccountState | undefined
  /** Forgets an account of which nothing is kept: a stranger leaves no trace in memory. */
  forgetStranger(account: Account): void
  addCall(state: AccountState, call: Call): void
  dropCall(state: AccountState, orderId: Uint8Array): void
  findCall(orderId: Uint8Array): { state: AccountState; call: Call } | undefined
}

export interface AccountBookOptions extends Pick<Account, 'network' | 'asset'> {
  /** When this ledger was last brought up from a copy; undefined: never. */
  readonly restoredAtMs: number | undefined
}

/**
 * Loads the accounts of the node that owns `key`, and their open calls; `broken` are those calls that were live when the
 * process ended.
 * @throws TokError `ledger_corrupt` naming the record
 */
export async function loadAccountBook(
  {
    records,
    settlementRecords,
    key,
  }: { readonly records: Records; readonly settlementRecords: SettlementRecords; readonly key: NodeKey },
  options: AccountBookOptions,
): Promise<{ readonly book: AccountBook; readonly broken: readonly Call[] }> {
  const book = createAccountBook(key, options)
  for await (const { account, head } of records.heads()) {
    const state = book.stateOf(account)
    state.head = head
    state.creditLimitTold = head.creditLimit
  }
  const broken: Call[] = []
  for await (const call of records.openCalls()) {
    book.addCall(book.stateOf(call.order.value), call)
    if (call.live) broken.push(call)
  }
  for await (const payment of settlementRecords.openPayments()) {
    const { id, value } = payment.signed
    book.stateOf(value).payments.set(toHex(id), payment)
  }
  for await (const netting of settlementRecords.openNettings()) {
    for (const account of [netting.signed.value, oppositeOf(netting.signed.value)]) {
      book.stateOf(account).netting = netting
    }
  }
  // A proof may stand alone: a seller is convicted by what the buyer refused.
  for await (const { body } of records.evidence()) book.stateOf(decodeBody(STATEMENT.shape, body, 'statement'))
  for (const state of book.states()) {
    requireOwn(state, key)
    await loadExchange(state, records)
  }
  return { book, broken }
}

function requireOwn({ id, account }: AccountState, key: NodeKey): void {
  if (equalBytes(account.buyer, key.publicKey) || equalBytes(account.seller, key.publicKey)) return
  throw new TokError('ledger_corrupt', {
    position: `account ${toHex(id)}`,
    reason: 'it is the ledger of another node key',
  })
}

/** What the exchange between the two sides left: the pending proposal, the rejection it rests on, and what froze the account. */
async function loadExchange(state: AccountState, records: Records): Promise<void> {
  const frame = await records.proposalOf(state.id)
  if (frame !== undefined) state.pending = { statement: open(STATEMENT, frame), frame }
  const rejections = await records.rejectionsOf(state.id, state.head.sequence + 1)
  for (const { value } of rejections) setAsideNetting(state, value)
  const rejection = rejections.at(-1)
  state.rejection = rejection?.id
  const isFinal = rejection !== undefined && rejection.value.code !== 'statement_outdated'
  if (state.side === 'seller' && isFinal && !isOfItem(state, rejection.value)) {
    state.frozen = frozenBy(rejection.value)
  }
  const [one, other] = await records.evidenceOf(state.id)
  if (one !== undefined && other !== undefined) state.frozen = provenBy(judgeConflict(one, other, checkNatively))
}

function createAccountBook(key: NodeKey, { network, asset, restoredAtMs }: AccountBookOptions): AccountBook {
  /** By id in hexadecimal. */
  const accounts = new Map<string, AccountState>()
  const accountOfOrder = new Map<string, AccountState>()

  function stateOf({ network: name, asset: unit, buyer, seller }: Account): AccountState {
    const account = { network: name, asset: unit, buyer, seller }
    const id = accountId(account)
    const known = accounts.get(toHex(id))
    if (known !== undefined) return known
    const state: AccountState = {
      id,
      account,
      side: equalBytes(buyer, key.publicKey) ? 'buyer' : 'seller',
      head: NO_HEAD,
      calls: new Map(),
      payments: new Map(),
      netting: undefined,
      pending: undefined,
      rejection: undefined,
      frozen: undefined,
      reconciled: false,
      ownRestoredAtMs: restoredAtMs,
      otherRestoredAtMs: undefined,
      creditLimitTold: undefined,
    }
    accounts.set(toHex(id), state)
    return state
  }

  return {
    states: () => accounts.values(),
    stateOf,
    stateWith(side, peerKey) {
      const [buyer, seller] = side === 'buyer' ? [key.publicKey, peerKey] : [peerKey, key.publicKey]
      return stateOf({ network, asset, buyer, seller })
    },
    stateOfId: (accountIdBytes) => accounts.get(toHex(accountIdBytes)),
    forgetStranger(account) {
      const state = stateOf(account)
      const isUnused = state.head.sequence === 0 && state.calls.size === 0 && state.payments.size === 0
      const isEmpty = isUnused && state.frozen === undefined
      if (isEmpty && !state.reconciled) accounts.delete(toHex(state.id))
    },
    addCall(state, call) {
      const name = toHex(call.order.id)
      // From its first call on an account is kept, whatever was forgotten before.
      accounts.set(toHex(state.id), state)
      state.calls.set(name, call)
      accountOfOrder.set(name, state)
    },
    dropCall(state, orderId) {
      const name = toHex(orderId)
      state.calls.delete(name)
      accountOfOrder.delete(name)
    },
    findCall(orderId) {
      const name = toHex(orderId)
      const state = accountOfOrder.get(name)
      const call = state?.calls.get(name)
      return state === undefined || call === undefined ? undefined : { state, call }
    },
  }
}
