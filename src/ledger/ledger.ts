/**
 * The ledger: accounts with other peers and this node's journal. The only owner of its store.
 *
 * Every promise this module returns resolves after what it stands for is on disk; what goes to a peer is sent after that (R1).
 * In memory, reservations are made before the disk is asked and released after it answered, so that no two calls use the same
 * credit. Nothing here knows the network: the other side's words come in as verified or verifiable messages.
 * Source: protocols/account/v1.md and protocols/ledger/v1.md.
 */
import { equalBytes, sha256, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import {
  accountId,
  accountShape,
  dualSignedShape,
  openStatement,
  proposalShape,
  REJECTION,
  STATEMENT,
  type Account,
  type CallItem,
  type DualSigned,
  type Evidence,
  type Hello,
  type ProposalFrame,
  type Rejection,
  type SignedStatement,
} from '../wire/account.ts'
import { ADVERT, type Advert } from '../wire/advert.ts'
import {
  checkSignature,
  decodeEnvelope,
  encodeEnvelope,
  open,
  seal,
  signingInput,
  type Envelope,
  type Kind,
  type Signed,
} from '../wire/envelope.ts'
import { peerOfKey, type NodeKey } from '../wire/identity.ts'
import {
  checkBilling,
  ORDER,
  RECEIPT,
  VOUCHER,
  type Acceptance,
  type Order,
  type Receipt,
  type Voucher,
} from '../wire/inference.ts'
import { journalEntryShape, type InferenceRecord, type JournalEntry } from '../wire/journal.ts'
import { priceUsage, type BilledUsage } from '../wire/pricing.ts'
import { DOMAINS, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import { amount, bytes, decodeBody, encodeBody, optional, record, uint } from '../wire/shape.ts'
import {
  buildStatement,
  breachOfChain,
  claimOf,
  exposureOf,
  headAfter,
  heldOf,
  isToSettle,
  judgeProposal,
  liveCall,
  NO_HEAD,
  unsettledOf,
  type AccountHead,
  type AccountState,
  type Call,
  type KnownCall,
} from './account-state.ts'
import { createCommitQueue, keyOf, rangeOf, sortableUint, SPACES, type Store, type Write } from './store.ts'

const SCHEMA_VERSION = 1
const DAY_MS = 86_400_000

/** The value of an open call's key. */
const CALL_MARKS = { live: 0, disputed: 1, sealed: 2 } as const

/** One account, for people and policies. Amounts in micros. */
export interface AccountView {
  readonly id: Uint8Array
  /** This node's side. */
  readonly side: 'buyer' | 'seller'
  /** The other side's peer ID. */
  readonly peer: string
  readonly sequence: number
  readonly head: Uint8Array | undefined
  readonly owed: bigint
  readonly paid: bigint
  /** Sealed calls that no statement holds yet. */
  readonly unsettled: bigint
  /** Maxima of live calls. */
  readonly held: bigint
  readonly creditLimit: bigint
  readonly liveCalls: number
  readonly frozen: string | undefined
}

/** One stored statement with its place. */
export interface StoredStatement extends SignedStatement {
  readonly account: Uint8Array
}

/** Everything that is recorded about one call. */
export interface CallRecord {
  readonly order: Signed<Order>
  readonly voucher: Signed<Voucher> | undefined
  /** The voucher a statement settled it with, where that is not the newest. */
  readonly settledVoucher: Signed<Voucher> | undefined
  readonly receipt: Signed<Receipt> | undefined
  /** Sequence of the statement that settled it. */
  readonly settledAt: number | undefined
}

/** A call that is being sold, as `openSale` admits it. */
export interface SaleTerms {
  /** The most this buyer may owe, in micros. */
  readonly creditLimit: bigint
  /** What may still be lent to buyers without history, in micros; undefined if this buyer has one. */
  readonly strangerRoom: bigint | undefined
}

/** What a purchase may use. */
export interface PurchaseTerms {
  /** The most that may be spent today (UTC), held and settled together, in micros; undefined: no limit. */
  readonly spendLimit: bigint | undefined
  /** The credit limit the seller's advert promises a stranger, in micros: counts until the seller has said another. */
  readonly strangerCredit: bigint
}

/** The buyer's final answer to a proposal. */
export type ProposalAnswer =
  | { readonly countersignature: Uint8Array; readonly statement: Uint8Array }
  | { readonly rejection: Envelope }

export type Ledger = Awaited<ReturnType<typeof openLedger>>

const headShape = record({
  account: accountShape,
  sequence: uint,
  head: optional(bytes(32)),
  owed: amount,
  paid: amount,
  creditLimit: amount,
})

/**
 * Opens the ledger of the node that owns `key` and loads what is open. Calls that were live when the process ended are sealed.
 * @throws TokError `ledger_corrupt` naming the record
 */
export async function openLedger(
  dependencies: { readonly store: Store; readonly key: NodeKey; readonly clock: Clock },
  options: { readonly network: string; readonly asset: string },
) {
  const { store, key, clock } = dependencies
  const { network, asset } = options
  const queue = createCommitQueue(store)
  const accounts = new Map<string, AccountState>()
  const accountOfOrder = new Map<string, AccountState>()
  /** Steps of one call, and of one account, go one after the other: by id in hexadecimal, the last of each. */
  const lasts = new Map<string, Promise<unknown>>()
  /** Who waits for a live call to be sealed, by order. */
  const sealings = new Map<string, Set<() => void>>()
  let journalSequence = 0
  let journalHead: Uint8Array | undefined
  let advertSequence = 0
  let spentToday = { day: 0, micros: 0n }
  let ownAdverts: Signed<Advert>[] = []

  const broken: Call[] = []

  await checkSchema()
  await loadAccounts()
  await loadJournalHead()
  await loadAdverts()
  await sealBrokenCalls(broken)

  // Loading.

  async function checkSchema(): Promise<void> {
    const schemaKey = keyOf(SPACES.meta, Uint8Array.of(0))
    const stored = await store.get(schemaKey)
    if (stored === undefined) {
      for await (const _ of store.entries(Uint8Array.of(0), Uint8Array.of(0xff))) {
        throw new TokError('ledger_corrupt', { position: 'meta', reason: 'the schema version is missing' })
      }
      await queue.commit([{ key: schemaKey, value: Uint8Array.of(SCHEMA_VERSION) }])
    } else if (stored[0] !== SCHEMA_VERSION) {
      throw new TokError('ledger_corrupt', {
        position: 'meta',
        reason: `schema ${stored[0]} is not ${SCHEMA_VERSION}: it was written by another version of tok-node`,
      })
    }
  }

  async function loadAccounts(): Promise<void> {
    for await (const [, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.account)))) {
      const { account, ...head } = decodeBody(headShape, value, 'account head')
      const state = stateOf(account)
      state.head = { ...head, head: head.head }
      state.creditLimitTold = head.creditLimit
    }
    for await (const [entryKey, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.openCall)))) {
      const orderId = entryKey.subarray(33)
      const call = await loadCall(orderId)
      const state = stateOf(accountOf(call.order.value))
      call.disputed = value[0] === CALL_MARKS.disputed
      call.live = value[0] === CALL_MARKS.live
      addCall(state, call)
      if (call.live) broken.push(call)
    }
    for (const state of accounts.values()) {
      const { buyer, seller } = state.account
      if (!equalBytes(buyer, key.publicKey) && !equalBytes(seller, key.publicKey)) {
        throw new TokError('ledger_corrupt', {
          position: `account ${toHex(state.id)}`,
          reason: 'it is the ledger of another node key',
        })
      }
      const proposal = await store.get(keyOf(SPACES.proposal, state.id))
      if (proposal !== undefined) {
        const frame = decodeBody(proposalShape, proposal, 'proposal')
        state.pending = { statement: open(STATEMENT, frame), frame }
      }
      const rejection = (await rejectionsOf(state, state.head.sequence + 1)).at(-1)
      state.rejection = rejection?.id
      if (state.side === 'seller' && rejection !== undefined && refusedCallOf(state, rejection.value) === undefined) {
        state.frozen = frozenBy(rejection.value)
      }
      for await (const _ of store.entries(...rangeOf(keyOf(SPACES.evidence, state.id)))) {
        state.frozen = 'both sides signed different statements at one sequence; the proof is kept'
      }
    }
  }

  /** Calls that were live when the process ended without closing them: sealed now, with their line in the journal. */
  async function sealBrokenCalls(calls: readonly Call[]): Promise<void> {
    for (const { order, receipt } of calls) {
      const { value } = order
      const isPurchase = equalBytes(value.buyer, key.publicKey)
      await closeCall(order.id, undefined, {
        requestId: toHex(order.id),
        direction: isPurchase ? 'bought' : 'sold',
        endpoint: value.endpoint,
        dialect: value.dialect,
        stream: 'no',
        requestedModel: value.model,
        resolvedModel: value.model,
        counterparty: isPurchase ? value.seller : value.buyer,
        order: order.id,
        receipt: receipt?.id,
        status: 'failed',
        error: 'node_stopping',
        tokenSource: 'absent',
        durationMs: 0,
        retries: 0,
      })
    }
  }

  async function loadCall(orderId: Uint8Array): Promise<Call> {
    const order = await readSigned(SPACES.order, ORDER, orderId)
    if (order === undefined) {
      throw new TokError('ledger_corrupt', {
        position: `order ${toHex(orderId)}`,
        reason: 'an open call without order',
      })
    }
    const voucher = await readSigned(SPACES.voucher, VOUCHER, orderId)
    const receipt = await readSigned(SPACES.receipt, RECEIPT, orderId)
    return { ...liveCall(order), voucher, receipt }
  }

  async function loadJournalHead(): Promise<void> {
    const today = dayOf(clock.nowMs())
    spentToday = { day: today, micros: 0n }
    for await (const [, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.journal)), true)) {
      const entry = decodeBody(journalEntryShape, value, 'journal entry')
      if (journalHead === undefined) {
        journalHead = sha256(value)
        journalSequence = entry.sequence
      }
      if (dayOf(entry.recordedAtMs) < today) break
      if (entry.direction === 'bought') spentToday.micros += entry.amount ?? 0n
    }
  }

  async function loadAdverts(): Promise<void> {
    for await (const [, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.advert)))) {
      const advert = open(ADVERT, decodeEnvelope(value, 'advert'))
      advertSequence = advert.value.sequence
      ownAdverts.push(advert)
    }
  }

  async function readSigned<T>(space: number, kind: Kind<T>, id: Uint8Array): Promise<Signed<T> | undefined> {
    const stored = await store.get(keyOf(space, id))
    return stored === undefined ? undefined : open(kind, decodeEnvelope(stored, kind.name))
  }

  // Accounts in memory.

  function accountOf({ network: name, asset: unit, buyer, seller }: Account): Account {
    return { network: name, asset: unit, buyer, seller }
  }

  function isOwn(account: Account): boolean {
    return account.network === network && account.asset === asset
  }

  function stateOf(account: Account): AccountState {
    const id = accountId(account)
    const name = toHex(id)
    const known = accounts.get(name)
    if (known !== undefined) return known
    const state: AccountState = {
      id,
      account,
      side: equalBytes(account.buyer, key.publicKey) ? 'buyer' : 'seller',
      head: NO_HEAD,
      calls: new Map(),
      pending: undefined,
      rejection: undefined,
      frozen: undefined,
      reconciled: false,
      creditLimitTold: undefined,
    }
    accounts.set(name, state)
    return state
  }

  function addCall(state: AccountState, call: Call): void {
    const name = toHex(call.order.id)
    accounts.set(toHex(state.id), state)
    state.calls.set(name, call)
    accountOfOrder.set(name, state)
  }

  function dropCall(state: AccountState, orderId: Uint8Array): void {
    const name = toHex(orderId)
    state.calls.delete(name)
    accountOfOrder.delete(name)
  }

  function findCall(orderId: Uint8Array): { state: AccountState; call: Call } | undefined {
    const name = toHex(orderId)
    const state = accountOfOrder.get(name)
    const call = state?.calls.get(name)
    return state === undefined || call === undefined ? undefined : { state, call }
  }

  function requireUsable(state: AccountState): void {
    if (state.frozen !== undefined) throw frozenError(state)
    if (!state.reconciled) throw new TokError('account_unreconciled')
  }

  function frozenError(state: AccountState): TokError {
    return new TokError('account_frozen', {
      peer: otherPeer(state),
      reason: state.frozen,
      account: toHex(state.id),
    })
  }

  function otherPeer(state: AccountState): string {
    return peerOfKey(state.side === 'buyer' ? state.account.seller : state.account.buyer)
  }

  function openCallKey(state: AccountState, orderId: Uint8Array): Uint8Array {
    return keyOf(SPACES.openCall, state.id, orderId)
  }

  function put(space: number, id: Uint8Array, envelope: Envelope): Write {
    return { key: keyOf(space, id), value: encodeEnvelope(envelope) }
  }

  /** Runs `step` when the steps asked for before under this id, of an order or an account, are through. */
  function oneAfterAnother<T>(id: Uint8Array, step: () => Promise<T>): Promise<T> {
    const name = toHex(id)
    const before = lasts.get(name) ?? Promise.resolve()
    const result = before.then(step, step)
    const settled = result.then(
      () => undefined,
      () => undefined,
    )
    lasts.set(name, settled)
    void settled.then(() => {
      if (lasts.get(name) === settled) lasts.delete(name)
    })
    return result
  }

  // Journal.

  function journalWrite(inference: InferenceRecord): Write {
    const entry: JournalEntry = {
      kind: 'inference',
      sequence: journalSequence + 1,
      previous: journalHead,
      recordedAtMs: clock.nowMs(),
      ...inference,
    }
    const encoded = encodeBody(journalEntryShape, entry)
    journalSequence = entry.sequence
    journalHead = sha256(encoded)
    if (entry.direction === 'bought') addSpent(entry.amount ?? 0n)
    return { key: keyOf(SPACES.journal, sortableUint(entry.sequence)), value: encoded }
  }

  function addSpent(micros: bigint): void {
    const today = dayOf(clock.nowMs())
    if (spentToday.day !== today) spentToday = { day: today, micros: 0n }
    spentToday.micros += micros
  }

  /** Spent today and held now by purchases, in micros. */
  function spentAndHeld(): bigint {
    addSpent(0n)
    let micros = spentToday.micros
    for (const state of accounts.values()) if (state.side === 'buyer') micros += heldOf(state)
    return micros
  }

  // Buying.

  /**
   * Reserves the maximum of a purchase and records its order (R1).
   * @throws TokError `account_unreconciled`, `account_frozen`, `credit_exhausted`, `spend_limit_reached`
   */
  async function openPurchase(order: Signed<Order>, terms: PurchaseTerms): Promise<void> {
    const state = stateOf(accountOf(order.value))
    requireUsable(state)
    const room = purchaseRoom(order.value.seller, terms)
    if (order.value.amountMax > room.credit) {
      throw new TokError('credit_exhausted', { detail: `${room.credit} micros are left of the line` })
    }
    if (room.spend !== undefined && order.value.amountMax > room.spend) throw spendLimitError(terms.spendLimit ?? 0n)
    addCall(state, liveCall(order))
    await queue.commit([
      put(SPACES.order, order.id, order),
      { key: openCallKey(state, order.id), value: Uint8Array.of(CALL_MARKS.live) },
    ])
  }

  function spendLimitError(limit: bigint): TokError {
    return new TokError('spend_limit_reached', { limit: `${limit} micros`, spent: `${spentAndHeld()} micros` })
  }

  /** What a purchase from `seller` may still use, in micros: of its credit line, and of today's spending limit. */
  function purchaseRoom(seller: Uint8Array, terms: PurchaseTerms): { credit: bigint; spend: bigint | undefined } {
    const state = stateOf({ network, asset, buyer: key.publicKey, seller })
    const limit = state.creditLimitTold ?? terms.strangerCredit
    return {
      credit: limit - exposureOf(state),
      spend: terms.spendLimit === undefined ? undefined : terms.spendLimit - spentAndHeld(),
    }
  }

  /** Notes the credit limit the seller stated in an acceptance. */
  function noteAcceptance(acceptance: Signed<Acceptance>): void {
    const found = findCall(acceptance.value.order)
    if (found !== undefined) found.state.creditLimitTold = acceptance.value.creditLimit
  }

  /**
   * Signs and records a voucher for the cumulative `usage` of a live purchase; undefined if it is sealed, or if neither amount
   * nor output grows: a voucher never falls.
   */
  function signVoucher(orderId: Uint8Array, usage: BilledUsage): Promise<Signed<Voucher> | undefined> {
    return oneAfterAnother(orderId, async () => {
      const found = findCall(orderId)
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
      await queue.commit([put(SPACES.voucher, orderId, voucher)])
      call.voucher = voucher
      return voucher
    })
  }

  /**
   * Seals a purchase: nothing is signed for it any more, its liability is its newest voucher, the rest of its hold is free (R5).
   * `receipt` is kept where it came and holds. `inference` is its line in the journal; if the request was not answered by this
   * call, and nothing is owed for it, the line is left to the call that answers.
   */
  function closePurchase(
    orderId: Uint8Array,
    receipt: Signed<Receipt> | undefined,
    inference: Omit<InferenceRecord, 'amount'>,
    { isAnswered }: { readonly isAnswered: boolean },
  ): Promise<void> {
    return oneAfterAnother(orderId, () => closeCall(orderId, receipt, inference, isAnswered))
  }

  // Selling.

  /**
   * Admits an order: checks it against the account and reserves its maximum, then records order and acceptance (R1).
   * @throws TokError `order_known`, `account_unreconciled`, `account_frozen`, `credit_exhausted`
   */
  async function openSale(order: Signed<Order>, acceptance: Signed<Acceptance>, terms: SaleTerms): Promise<void> {
    const state = stateOf(accountOf(order.value))
    requireUsable(state)
    if (findCall(order.id) !== undefined) throw new TokError('order_known')
    const maximum = order.value.amountMax
    const room = terms.creditLimit - exposureOf(state)
    if (maximum > room) throw new TokError('credit_exhausted', { detail: `${room} micros are left of the line` })
    if (terms.strangerRoom !== undefined && maximum > terms.strangerRoom) {
      throw new TokError('credit_exhausted', { detail: 'the budget for buyers without history is used up' })
    }
    addCall(state, liveCall(order))
    if ((await store.get(keyOf(SPACES.order, order.id))) !== undefined) {
      dropCall(state, order.id)
      throw new TokError('order_known')
    }
    await queue.commit([
      put(SPACES.order, order.id, order),
      put(SPACES.acceptance, order.id, acceptance),
      { key: openCallKey(state, order.id), value: Uint8Array.of(CALL_MARKS.live) },
    ])
  }

  /**
   * Records a voucher of a live sale. Only after it resolves may the window count it (R2). An older or equal one is ignored.
   * @throws TokError `voucher_invalid`, `signature_invalid`
   */
  async function recordVoucher(orderId: Uint8Array, envelope: Envelope): Promise<Signed<Voucher> | undefined> {
    const found = findCall(orderId)
    if (found === undefined || !found.call.live) return undefined
    const { call } = found
    const voucher = openVoucher(call.order, envelope)
    return oneAfterAnother(orderId, async () => {
      if (!call.live || !isNews(voucher, call.voucher)) return undefined
      await queue.commit([put(SPACES.voucher, orderId, voucher)])
      call.voucher = voucher
      return voucher
    })
  }

  /** @throws TokError `voucher_invalid` for one that is newer and promises less: a voucher never falls */
  function isNews(voucher: Signed<Voucher>, known: Signed<Voucher> | undefined): boolean {
    if (known === undefined) return true
    if (voucher.value.index <= known.value.index) return false
    if (voucher.value.amount >= known.value.amount) return true
    throw new TokError('voucher_invalid', { reason: 'its amount is below the one before' })
  }

  function openVoucher(order: Signed<Order>, envelope: Envelope): Signed<Voucher> {
    const voucher = open(VOUCHER, envelope)
    if (!isOfCall(voucher.value, order.id, order.value)) {
      throw new TokError('voucher_invalid', { reason: 'it belongs to another order' })
    }
    checkBilling(voucher.value, order.value)
    return voucher
  }

  /** Records this seller's receipt; it is sent after that. */
  function recordReceipt(receipt: Signed<Receipt>): Promise<void> {
    const { order } = receipt.value
    return oneAfterAnother(order, async () => {
      const found = findCall(order)
      if (found?.call.live !== true)
        throw new TokError('internal_error', { reason: 'a receipt for a call that is over' })
      await queue.commit([put(SPACES.receipt, order, receipt)])
      found.call.receipt = receipt
    })
  }

  /** Seals a sale: it counts at its newest voucher, or at its receipt if that is lower. */
  function closeSale(orderId: Uint8Array, inference: Omit<InferenceRecord, 'amount'>): Promise<void> {
    return oneAfterAnother(orderId, () => closeCall(orderId, undefined, inference))
  }

  async function closeCall(
    orderId: Uint8Array,
    receipt: Signed<Receipt> | undefined,
    inference: Omit<InferenceRecord, 'amount'>,
    isAnswered = true,
  ): Promise<void> {
    const found = findCall(orderId)
    if (found?.call.live !== true) throw new TokError('record_not_found', { id: toHex(orderId) })
    const { state, call } = found
    const sealed: Call = { ...call, live: false, receipt: receipt ?? call.receipt }
    const claim = claimOf(sealed)
    const isOpen = isToSettle(sealed)
    const writes: Write[] = isAnswered || isOpen ? [journalWrite({ ...inference, amount: claim })] : []
    if (receipt !== undefined) writes.push(put(SPACES.receipt, orderId, receipt))
    const mark = isOpen ? Uint8Array.of(CALL_MARKS.sealed) : undefined
    await queue.commit([...writes, { key: openCallKey(state, orderId), value: mark }])
    call.receipt = sealed.receipt
    call.live = false
    if (!isOpen) dropCall(state, orderId)
    for (const resume of sealings.get(toHex(orderId)) ?? []) resume()
  }

  // The exchange between the two sides of an account.

  /** How this side sees an account. Calls beyond the limit of one HELLO follow in the next exchange. */
  function hello(account: Account): Hello {
    const state = stateOf(account)
    const sealedCalls = [...state.calls.values()].filter((call) => !call.live).slice(0, LIMITS.helloCalls)
    return {
      account: state.account,
      sequence: state.head.sequence,
      head: state.head.head,
      calls: sealedCalls.map((call) => ({ order: call.order.id, voucherIndex: call.voucher?.value.index })),
    }
  }

  /** Statements after `sequence`, as many as a frame holds unless fewer are asked for, for a side that lacks them. */
  async function statementsAfter(
    account: Account,
    sequence: number,
    countMax: number = LIMITS.statementsPerFrame,
  ): Promise<readonly DualSigned[]> {
    const { id } = stateOf(account)
    const from = keyOf(SPACES.statement, id, sortableUint(sequence + 1))
    const [, to] = rangeOf(keyOf(SPACES.statement, id))
    const found: DualSigned[] = []
    for await (const [, value] of store.entries(from, to)) {
      found.push(decodeBody(dualSignedShape, value, 'statement'))
      if (found.length === countMax) break
    }
    return found
  }

  /**
   * Appends statements that the other side holds and this one lacks. Both signatures must verify: this node believes its own
   * signature, whatever its database says (R6).
   * @throws TokError `statement_invalid`, `signature_invalid`
   */
  function appendStatements(account: Account, statements: readonly DualSigned[]): Promise<void> {
    return oneAfterAnother(accountId(account), async () => {
      const state = stateOf(account)
      for (const each of statements) {
        const statement = openStatement(each)
        const breach = breachOfChain(state.account, state.head, statement.value)
        if (breach !== undefined) throw new TokError('statement_invalid', { reason: breach })
        const { pending } = state
        const isPending = pending !== undefined && equalBytes(pending.statement.id, statement.id)
        await post(state, statement, isPending ? papersOf(pending.frame) : NO_PAPERS)
      }
    })
  }

  /** One batch: statement with the papers of its items, head, settled marks, open calls, pending proposal (R4). */
  async function post(state: AccountState, statement: SignedStatement, papers: Papers): Promise<void> {
    const head = headAfter(statement.value, statement.id)
    const sequence = sortableUint(head.sequence)
    const { body, sellerSignature, buyerSignature } = statement
    await queue.commit([
      ...statement.value.items.flatMap((item) => paperWrites(state, item, papers)),
      {
        key: keyOf(SPACES.statement, state.id, sequence),
        value: encodeBody(dualSignedShape, { body, sellerSignature, buyerSignature }),
      },
      headWrite(state, head),
      { key: keyOf(SPACES.proposal, state.id), value: undefined },
      ...statement.value.items.flatMap((item) => [
        { key: keyOf(SPACES.settled, item.order), value: Buffer.concat([state.id, sequence]) },
        { key: openCallKey(state, item.order), value: undefined },
      ]),
    ])
    state.head = head
    state.creditLimitTold = head.creditLimit
    state.pending = undefined
    state.rejection = undefined
    for (const item of statement.value.items) dropCall(state, item.order)
  }

  function headWrite(state: AccountState, head: AccountHead): Write {
    const value = encodeBody(headShape, { account: state.account, ...head })
    return { key: keyOf(SPACES.account, state.id), value }
  }

  /** What the other side should see of the calls that it does not list, or lists with an older voucher. */
  function evidenceFor(account: Account, theirs: Hello): readonly Evidence[] {
    const state = stateOf(account)
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
  }

  /**
   * Takes in what the other side shows of a call. The buyer adopts what bears its own signatures (R6); the seller a higher
   * voucher of an order that it accepted, or that its own receipt proves it served. What proves nothing new is passed over.
   * @throws TokError `encoding_invalid`, `signature_invalid`, `voucher_invalid`
   */
  async function adoptEvidence(account: Account, evidence: Evidence): Promise<void> {
    const order = open(ORDER, evidence.order)
    if (!equalBytes(accountId(accountOf(order.value)), accountId(account)) || evidence.voucher === undefined) return
    const voucher = openVoucher(order, evidence.voucher)
    if (voucher.value.amount === 0n) return
    const shown = evidence.receipt === undefined ? undefined : open(RECEIPT, evidence.receipt)
    await oneAfterAnother(accountId(account), () =>
      oneAfterAnother(order.id, async () => {
        const state = stateOf(account)
        const known = findCall(order.id)?.call
        if (known?.live === true || !isNews(voucher, known?.voucher)) return
        if (known === undefined && (await settledAt(order.id)) !== undefined) return
        const receipt =
          (await readSigned(SPACES.receipt, RECEIPT, order.id)) ??
          (shown !== undefined && isOfCall(shown.value, order.id, account) ? shown : undefined)
        const isServed = receipt !== undefined || (await store.get(keyOf(SPACES.order, order.id))) !== undefined
        if (state.side === 'seller' && !isServed) return
        await queue.commit([
          put(SPACES.order, order.id, order),
          put(SPACES.voucher, order.id, voucher),
          ...(receipt === undefined ? [] : [put(SPACES.receipt, order.id, receipt)]),
          { key: openCallKey(state, order.id), value: Uint8Array.of(CALL_MARKS.sealed) },
        ])
        addCall(state, { ...liveCall(order), live: false, voucher, receipt })
      }),
    )
  }

  /** Marks an account as compared with the other side on the present connection: signing may go on (R9). */
  function setReconciled(account: Account, isReconciled: boolean): void {
    stateOf(account).reconciled = isReconciled
    if (!isReconciled) void oneAfterAnother(accountId(account), async () => forgetStranger(account))
  }

  /** A stranger leaves no trace in memory. */
  function forgetStranger(account: Account): void {
    const state = stateOf(account)
    const isEmpty = state.head.sequence === 0 && state.calls.size === 0 && state.frozen === undefined
    if (isEmpty && !state.reconciled) accounts.delete(toHex(state.id))
  }

  /**
   * Keeps the proof that two statements which both sides signed stand at one sequence, and signs nothing for the account any
   * more, for good.
   * @throws TokError `signature_invalid`, `statement_invalid` if `proof` does not prove it: nothing changes then
   */
  async function freeze(account: Account, reason: string, proof: readonly DualSigned[]): Promise<void> {
    const state = stateOf(account)
    const statements = proof.map(openStatement)
    const isFork = statements.some((one) =>
      statements.some((other) => one.value.sequence === other.value.sequence && !equalBytes(one.id, other.id)),
    )
    const isOfAccount = statements.every(({ value }) => equalBytes(accountId(accountOf(value)), state.id))
    if (!isFork || !isOfAccount) throw new TokError('statement_invalid', { reason: 'it proves no fork' })
    state.frozen = reason
    await queue.commit(
      proof.map((each) => ({
        key: keyOf(SPACES.evidence, state.id, sha256(each.body)),
        value: encodeBody(dualSignedShape, each),
      })),
    )
  }

  /**
   * The seller's proposal: the pending one if there is one, byte for byte (R3), otherwise a new one, recorded before it is
   * given (R1); undefined if nothing is to be settled.
   * @throws TokError `account_frozen`, `account_unreconciled`
   */
  function propose(account: Account, creditLimit: bigint): Promise<ProposalFrame | undefined> {
    return oneAfterAnother(accountId(account), async () => {
      const state = stateOf(account)
      requireUsable(state)
      if (state.pending !== undefined) return state.pending.frame
      const value = buildStatement(state, creditLimit, clock.nowMs())
      if (value === undefined) return undefined
      const statement = seal(STATEMENT, value, key)
      const settledCalls = value.items.flatMap((item) => state.calls.get(toHex(item.order)) ?? [])
      const frame: ProposalFrame = {
        ...plain(statement),
        vouchers: settledCalls.flatMap((call) => (call.voucher === undefined ? [] : [plain(call.voucher)])),
        receipts: settledCalls.flatMap((call) => (call.receipt === undefined ? [] : [plain(call.receipt)])),
      }
      await queue.commit([{ key: keyOf(SPACES.proposal, state.id), value: encodeBody(proposalShape, frame) }])
      state.pending = { statement, frame }
      return frame
    })
  }

  /**
   * The buyer's answer to a proposal: its countersignature or its signed rejection, both recorded first and final. The same
   * proposal gets the same answer. A call in it that still runs here is waited for: its end is on the way.
   * @throws TokError `encoding_invalid`, `signature_invalid`, `account_frozen`, `account_unreconciled`; `statement_invalid` if
   *   a call goes on running
   */
  function answerProposal(account: Account, frame: ProposalFrame): Promise<ProposalAnswer> {
    return oneAfterAnother(accountId(account), async () => {
      const state = stateOf(account)
      requireUsable(state)
      const statement = open(STATEMENT, frame)
      const { sequence } = statement.value
      const [stored] = await statementsAfter(account, sequence - 1, 1)
      if (stored !== undefined && equalBytes(stored.body, statement.body)) {
        return { countersignature: stored.buyerSignature, statement: statement.id }
      }
      const rejections = await rejectionsOf(state, sequence)
      const same = rejections.find((each) => equalBytes(each.value.statement, statement.id))
      if (same !== undefined) return { rejection: plain(same) }
      await Promise.all(statement.value.items.map((item) => awaitSealing(item.order)))
      const papers = papersOf(frame)
      const known = await knowledgeOfItems(state, statement.value.items, papers)
      const refusal = judgeProposal(state, statement.value, rejections.at(-1)?.id, (item) => known.get(item) ?? NOTHING)
      if (refusal !== undefined) {
        const value: Rejection = {
          type: DOMAINS.rejection,
          network,
          buyer: account.buyer,
          seller: account.seller,
          sequence,
          statement: statement.id,
          code: refusal.code,
          reason: refusal.reason,
          order: refusal.order,
        }
        const rejection = seal(REJECTION, value, key)
        await queue.commit([rejectionWrite(state, rejection, rejections.length)])
        return { rejection: plain(rejection) }
      }
      const buyerSignature = key.sign(signingInput(STATEMENT.domain, statement.body))
      const { value, id, body, signature: sellerSignature } = statement
      await post(state, { value, id, body, sellerSignature, buyerSignature }, papers)
      return { countersignature: buyerSignature, statement: id }
    })
  }

  /** Resolves when the call does not run here. @throws TokError `statement_invalid` if it still does after a while */
  async function awaitSealing(orderId: Uint8Array): Promise<void> {
    if (findCall(orderId)?.call.live !== true) return
    const name = toHex(orderId)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiters = sealings.get(name) ?? new Set()
    sealings.set(name, waiters.add(resolve))
    const cancel = clock.after(TIMEOUTS.receiptMs, () =>
      reject(new TokError('statement_invalid', { reason: 'it settles a call that still runs here' })),
    )
    try {
      await promise
    } finally {
      cancel()
      waiters.delete(resolve)
      if (waiters.size === 0) sealings.delete(name)
    }
  }

  async function knowledgeOfItems(
    state: AccountState,
    items: readonly CallItem[],
    papers: Papers,
  ): Promise<ReadonlyMap<CallItem, KnownCall>> {
    const known = new Map<CallItem, KnownCall>()
    for (const item of items) known.set(item, await knowledgeOf(state, item, papers))
    return known
  }

  async function knowledgeOf(state: AccountState, item: CallItem, papers: Papers): Promise<KnownCall> {
    const call = state.calls.get(toHex(item.order))
    const order = call?.order ?? (await readSigned(SPACES.order, ORDER, item.order))
    const voucher = papers.vouchers.get(toHex(item.voucher))
    const receipt = item.receipt === undefined ? undefined : papers.receipts.get(toHex(item.receipt))
    const isOurs = (paper: Voucher | Receipt): boolean => isOfCall(paper, item.order, state.account)
    return {
      order: order !== undefined && equalBytes(order.value.seller, state.account.seller) ? order : undefined,
      isSettled: (await settledAt(item.order)) !== undefined,
      promised: call === undefined ? 0n : claimOf(call),
      voucher: voucher !== undefined && isOurs(voucher.value) ? voucher : undefined,
      receipt: receipt !== undefined && isOurs(receipt.value) ? receipt : undefined,
    }
  }

  /** Keeps the papers an item names, so that the statement can be checked from this ledger alone. */
  function paperWrites(state: AccountState, item: CallItem, { vouchers, receipts }: Papers): Write[] {
    const newest = state.calls.get(toHex(item.order))?.voucher
    const voucher = vouchers.get(toHex(item.voucher))
    const receipt = item.receipt === undefined ? undefined : receipts.get(toHex(item.receipt))
    const writes: Write[] = []
    if (voucher !== undefined && (newest === undefined || !equalBytes(newest.id, voucher.id))) {
      writes.push(put(SPACES.settledVoucher, item.order, voucher))
    }
    if (receipt !== undefined) writes.push(put(SPACES.receipt, item.order, receipt))
    return writes
  }

  /**
   * The seller takes the buyer's countersignature of its pending proposal.
   * @throws TokError `statement_invalid`, `signature_invalid`
   */
  function applyCountersignature(
    account: Account,
    answer: { readonly statement: Uint8Array; readonly signature: Uint8Array },
  ): Promise<void> {
    return oneAfterAnother(accountId(account), async () => {
      const state = stateOf(account)
      const { pending } = state
      if (pending === undefined || !equalBytes(pending.statement.id, answer.statement)) {
        throw new TokError('statement_invalid', { reason: 'the countersignature is for no pending proposal' })
      }
      const { body, signature: sellerSignature } = pending.statement
      const statement = openStatement({ body, sellerSignature, buyerSignature: answer.signature })
      await post(state, statement, papersOf(pending.frame))
    })
  }

  /**
   * The seller takes the buyer's rejection of its pending proposal: the refused item is set aside, and the next proposal names
   * the rejection. A rejection of the statement as a whole freezes the account for good: there is nothing to take out.
   * @throws TokError `statement_invalid`, `signature_invalid`
   */
  function applyRejection(account: Account, envelope: Envelope): Promise<Signed<Rejection>> {
    return oneAfterAnother(accountId(account), async () => {
      const state = stateOf(account)
      const rejection = open(REJECTION, envelope)
      const pending = state.pending?.statement
      checkSignature(REJECTION, account.buyer, envelope)
      if (pending === undefined || !equalBytes(pending.id, rejection.value.statement)) {
        throw new TokError('statement_invalid', { reason: 'the rejection is of no pending proposal' })
      }
      const call = refusedCallOf(state, rejection.value)
      const count = (await rejectionsOf(state, pending.value.sequence)).length
      await queue.commit([
        rejectionWrite(state, rejection, count),
        { key: keyOf(SPACES.proposal, state.id), value: undefined },
        ...(call === undefined
          ? []
          : [{ key: openCallKey(state, call.order.id), value: Uint8Array.of(CALL_MARKS.disputed) }]),
      ])
      if (call === undefined) state.frozen = frozenBy(rejection.value)
      else call.disputed = true
      state.pending = undefined
      state.rejection = rejection.id
      return rejection
    })
  }

  /** The call a rejection is about; undefined if it refuses the statement as a whole. */
  function refusedCallOf(state: AccountState, { order }: Rejection): Call | undefined {
    return order === undefined ? undefined : state.calls.get(toHex(order))
  }

  function rejectionWrite(state: AccountState, rejection: Signed<Rejection>, count: number): Write {
    const { sequence } = rejection.value
    return {
      key: keyOf(SPACES.rejection, state.id, sortableUint(sequence), sortableUint(count)),
      value: encodeEnvelope(rejection),
    }
  }

  /** Rejections of proposals at `sequence`, oldest first. */
  async function rejectionsOf(state: AccountState, sequence: number): Promise<readonly Signed<Rejection>[]> {
    const prefix = keyOf(SPACES.rejection, state.id, sortableUint(sequence))
    const found: Signed<Rejection>[] = []
    for await (const [, value] of store.entries(...rangeOf(prefix))) {
      found.push(open(REJECTION, decodeEnvelope(value, 'rejection')))
    }
    return found
  }

  // Adverts of this node.

  /** Records this node's next advert before it is published: its price binds, and its sequence never repeats. */
  async function recordAdvert(build: (sequence: number) => Advert): Promise<Signed<Advert>> {
    const advert = seal(ADVERT, build(advertSequence + 1), key)
    advertSequence = advert.value.sequence
    const nowMs = clock.nowMs()
    const expired = ownAdverts.filter((each) => each.value.expiresAtMs <= nowMs)
    ownAdverts = [...ownAdverts.filter((each) => each.value.expiresAtMs > nowMs), advert]
    await queue.commit([
      put(SPACES.advert, sortableUint(advert.value.sequence), advert),
      ...expired.map((each) => ({ key: keyOf(SPACES.advert, sortableUint(each.value.sequence)), value: undefined })),
    ])
    return advert
  }

  /** This node's advert of that id, if it has not expired. */
  function advertInForce(id: Uint8Array): Signed<Advert> | undefined {
    const nowMs = clock.nowMs()
    return ownAdverts.find((each) => equalBytes(each.id, id) && each.value.expiresAtMs > nowMs)
  }

  // Reading.

  async function settledAt(orderId: Uint8Array): Promise<number | undefined> {
    const stored = await store.get(keyOf(SPACES.settled, orderId))
    return stored === undefined ? undefined : Number(Buffer.from(stored).readBigUInt64BE(32))
  }

  function viewOf(state: AccountState): AccountView {
    return {
      id: state.id,
      side: state.side,
      peer: otherPeer(state),
      sequence: state.head.sequence,
      head: state.head.head,
      owed: state.head.owed,
      paid: state.head.paid,
      unsettled: unsettledOf(state),
      held: heldOf(state),
      creditLimit: state.creditLimitTold ?? state.head.creditLimit,
      liveCalls: [...state.calls.values()].filter((call) => call.live).length,
      frozen: state.frozen,
    }
  }

  /** Every account of this network and asset that was ever used. */
  function accountViews(): readonly AccountView[] {
    return [...accounts.values()]
      .filter((state) => isOwn(state.account) && (state.head.sequence > 0 || state.calls.size > 0))
      .map(viewOf)
  }

  /** The account with `peerKey` on which this node is on `side`. */
  function accountView(side: 'buyer' | 'seller', peerKey: Uint8Array): AccountView {
    const [buyer, seller] = side === 'buyer' ? [key.publicKey, peerKey] : [peerKey, key.publicKey]
    return viewOf(stateOf({ network, asset, buyer, seller }))
  }

  /** All that is recorded about an order, or undefined if none is. */
  async function callRecord(orderId: Uint8Array): Promise<CallRecord | undefined> {
    const order = await readSigned(SPACES.order, ORDER, orderId)
    if (order === undefined) return undefined
    return {
      order,
      voucher: await readSigned(SPACES.voucher, VOUCHER, orderId),
      settledVoucher: await readSigned(SPACES.settledVoucher, VOUCHER, orderId),
      receipt: await readSigned(SPACES.receipt, RECEIPT, orderId),
      settledAt: await settledAt(orderId),
    }
  }

  /** The statements of an account, oldest first. */
  async function* statementsOf(accountIdBytes: Uint8Array): AsyncIterable<StoredStatement> {
    for await (const [, value] of store.entries(...rangeOf(keyOf(SPACES.statement, accountIdBytes)))) {
      yield { ...openStatement(decodeBody(dualSignedShape, value, 'statement')), account: accountIdBytes }
    }
  }

  /** Orders of an account that no statement settles yet and that have a voucher. */
  function unsettledOrders(accountIdBytes: Uint8Array): readonly Uint8Array[] {
    const state = accounts.get(toHex(accountIdBytes))
    return state === undefined
      ? []
      : [...state.calls.values()].filter((call) => call.voucher).map((call) => call.order.id)
  }

  /** The journal's entries as their bytes stand in the chain; oldest first, or newest first. */
  async function* journalEntries(newestFirst = false): AsyncIterable<{ entry: JournalEntry; encoded: Uint8Array }> {
    for await (const [, encoded] of store.entries(...rangeOf(Uint8Array.of(SPACES.journal)), newestFirst)) {
      yield { entry: decodeBody(journalEntryShape, encoded, 'journal entry'), encoded }
    }
  }

  return {
    key,
    network,
    asset,
    openPurchase,
    purchaseRoom,
    spentAndHeld,
    noteAcceptance,
    signVoucher,
    closePurchase,
    openSale,
    recordVoucher,
    recordReceipt,
    closeSale,
    /** Appends one inference to the journal. */
    recordInference: (inference: InferenceRecord): Promise<void> => queue.commit([journalWrite(inference)]),
    hello,
    statementsAfter,
    appendStatements,
    evidenceFor,
    adoptEvidence,
    setReconciled,
    freeze,
    propose,
    answerProposal,
    applyCountersignature,
    applyRejection,
    recordAdvert,
    advertInForce,
    accountViews,
    accountView,
    callRecord,
    statementsOf,
    unsettledOrders,
    journalEntries,
    journalHead: (): { sequence: number; head: Uint8Array | undefined } => ({
      sequence: journalSequence,
      head: journalHead,
    }),
    /** Waits for what is being written, then closes the store. */
    async close(): Promise<void> {
      await queue.idle()
      await store.close()
    },
  }
}

/** What came with a statement and holds, by id in hexadecimal. */
interface Papers {
  readonly vouchers: ReadonlyMap<string, Signed<Voucher>>
  readonly receipts: ReadonlyMap<string, Signed<Receipt>>
}

const NO_PAPERS: Papers = { vouchers: new Map(), receipts: new Map() }

/** The papers of a proposal whose signatures hold: one that does not is as good as missing. */
function papersOf(frame: ProposalFrame): Papers {
  return { vouchers: openAll(VOUCHER, frame.vouchers), receipts: openAll(RECEIPT, frame.receipts) }
}

function openAll<T>(kind: Kind<T>, envelopes: readonly Envelope[]): ReadonlyMap<string, Signed<T>> {
  const opened = new Map<string, Signed<T>>()
  for (const envelope of envelopes) {
    try {
      const signed = open(kind, envelope)
      opened.set(toHex(signed.id), signed)
    } catch (thrown) {
      if (!(thrown instanceof TokError)) throw thrown
    }
  }
  return opened
}

/** True if a voucher or receipt is of this order and these parties. */
function isOfCall(paper: Voucher | Receipt, order: Uint8Array, { network, buyer, seller }: Account): boolean {
  return (
    paper.network === network &&
    equalBytes(paper.order, order) &&
    equalBytes(paper.buyer, buyer) &&
    equalBytes(paper.seller, seller)
  )
}

function frozenBy(rejection: Rejection): string {
  return `the buyer rejects statement ${rejection.sequence}`
}

const NOTHING: KnownCall = {
  order: undefined,
  isSettled: false,
  promised: 0n,
  voucher: undefined,
  receipt: undefined,
}

function plain(envelope: Envelope): Envelope {
  return { body: envelope.body, signature: envelope.signature }
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}
