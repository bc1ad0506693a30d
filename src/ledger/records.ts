/**
 * What the ledger's store holds: every key and value in it is read and written here, and the rest of the ledger knows only
 * records. A signed record's signatures are checked each time it is opened. Source: protocols/ledger/v1.md.
 */
import { toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import {
  accountId,
  accountShape,
  dualSignedShape,
  openStatement,
  proposalShape,
  REJECTION,
  type Account,
  type DualSigned,
  type ProposalFrame,
  type Rejection,
  type SignedStatement,
} from '../wire/account.ts'
import { ADVERT, type Advert } from '../wire/advert.ts'
import { CHECKPOINT, type Checkpoint } from '../wire/checkpoint.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  envelopeShape,
  open,
  type Envelope,
  type Kind,
  type Signed,
} from '../wire/envelope.ts'
import {
  ACCEPTANCE,
  ORDER,
  RECEIPT,
  VOUCHER,
  type Acceptance,
  type Order,
  type Receipt,
  type Voucher,
} from '../wire/inference.ts'
import { journalEntryShape, type JournalEntry } from '../wire/journal.ts'
import { LIMITS } from '../wire/registry.ts'
import { amount, bytes, decodeBody, encodeBody, list, optional, record, text, uint, type Read } from '../wire/shape.ts'
import { liveCall, type AccountHead, type Call } from './account-state.ts'
import { statementCopyShape, type ConflictingStatement, type StatementCopy } from './equivocation.ts'
import { keyOf, rangeOf, sortableUint, SPACES, type Store, type Write } from './store.ts'

/** The value of an open call's key. */
const CALL_MARKS = { live: 0, disputed: 1, sealed: 2 } as const

const headShape = record({
  account: accountShape,
  sequence: uint,
  head: optional(bytes(32)),
  owed: amount,
  paid: amount,
  creditLimit: amount,
})

/** More sellers, models or buyers in one day are counted again from its entries at the next start. */
const NAMES_OF_DAY_MAX = 4_096
const namedAmounts = list(record({ name: text(LIMITS.modelNameBytes), amount }), NAMES_OF_DAY_MAX)

/** What the trades of a day (UTC, counted from 1970) come to up to a place of the journal, by name. */
const storedTotalsShape = record({
  day: uint,
  spent: amount,
  spentWith: namedAmounts,
  spentOn: namedAmounts,
  soldTo: namedAmounts,
})
export type StoredTotals = Read<typeof storedTotalsShape>

/** A checkpoint, and the peaks and totals from which the journal goes on after it. Only the checkpoint is signed. */
const checkpointShape = record({
  checkpoint: envelopeShape,
  peaks: list(bytes(32), 53),
  totals: optional(storedTotalsShape),
})

/** How far the second verifier has come in an account, and what it refuses there. */
const reverifiedShape = record({ through: uint, mismatch: optional(text(1_024)) })
export type ReverifiedMark = Read<typeof reverifiedShape>

/** Sequence of the checkpoint after which the journal begins here; what is before was pruned. */
const JOURNAL_START_KEY = keyOf(SPACES.meta, Uint8Array.of(1))

/** A checkpoint of this node. */
export interface StoredCheckpoint extends Signed<Checkpoint> {
  /** Peaks of the tree over the journal's entries that it covers. */
  readonly peaks: readonly Uint8Array[]
  /** Of its day; undefined if they name too much. */
  readonly totals?: StoredTotals | undefined
}

/** True for totals that a checkpoint can hold. */
export function areStorable({ spentWith, spentOn, soldTo }: StoredTotals): boolean {
  return [spentWith, spentOn, soldTo].every(({ length }) => length <= NAMES_OF_DAY_MAX)
}

/** One stored statement with its place. */
export interface StoredStatement extends SignedStatement {
  readonly account: Uint8Array
}

/** Everything that is recorded about one call. */
export interface CallRecord {
  readonly order: Signed<Order>
  /** Kept by the seller. */
  readonly acceptance: Signed<Acceptance> | undefined
  readonly voucher: Signed<Voucher> | undefined
  /** The voucher a statement settled it with, where that is not the newest. */
  readonly settledVoucher: Signed<Voucher> | undefined
  readonly receipt: Signed<Receipt> | undefined
  /** Sequence of the statement that settled it. */
  readonly settledAt: number | undefined
}

/**
 * What anyone may read from an open ledger.
 * @throws TokError `encoding_invalid`, `signature_invalid` for bytes that are no record
 */
export interface LedgerRecords {
  /** Statements after `sequence`, as many as a frame holds unless fewer are asked for, for a side that lacks them. */
  statementsAfter(account: Account, sequence: number, countMax?: number): Promise<readonly DualSigned[]>
  /** The statements of an account, oldest first. */
  statementsOf(accountIdBytes: Uint8Array): AsyncIterable<StoredStatement>
  /** All that is recorded about an order, or undefined if none is. */
  callRecord(orderId: Uint8Array): Promise<CallRecord | undefined>
  /** The journal's entries after `sequence` as their bytes stand in the chain; oldest first, or newest first. */
  journalEntries(newestFirst?: boolean, sequence?: number): AsyncIterable<{ entry: JournalEntry; encoded: Uint8Array }>
  /** This node's checkpoints after `sequence`, oldest first, or newest first. */
  checkpoints(newestFirst?: boolean, sequence?: number): AsyncIterable<StoredCheckpoint>
  /** The checkpoint after which the journal begins here, or undefined if nothing was pruned. */
  journalStart(): Promise<StoredCheckpoint | undefined>
}

/** What the parts of the ledger read, beyond that. */
export interface Records extends LedgerRecords {
  heads(): AsyncIterable<{ account: Account; head: AccountHead }>
  /** Calls that no statement settles yet. @throws TokError `ledger_corrupt` if the order of one is missing */
  openCalls(): AsyncIterable<Call>
  hasOrder(orderId: Uint8Array): Promise<boolean>
  orderOf(orderId: Uint8Array): Promise<Signed<Order> | undefined>
  receiptOf(orderId: Uint8Array): Promise<Signed<Receipt> | undefined>
  /** Sequence of the statement that settled an order. */
  settledAt(orderId: Uint8Array): Promise<number | undefined>
  proposalOf(accountIdBytes: Uint8Array): Promise<ProposalFrame | undefined>
  /** Rejections of proposals at `sequence`, oldest first. */
  rejectionsOf(accountIdBytes: Uint8Array, sequence: number): Promise<readonly Signed<Rejection>[]>
  /** The newest statement of an account that this buyer refused. */
  rejectedOf(accountIdBytes: Uint8Array): Promise<StatementCopy | undefined>
  /** The statements that prove an equivocation in an account; none: none is proven. */
  evidenceOf(accountIdBytes: Uint8Array): Promise<readonly StatementCopy[]>
  /** Sequences of the entries up to `sequence` that are on the disk, also of those that were pruned but not deleted yet. */
  journalSequences(sequence: number): AsyncIterable<number>
  /** The same of all accounts. */
  evidence(): AsyncIterable<StatementCopy>
  /** A statement as its bytes are on the disk; its signatures are not checked. */
  storedStatement(accountIdBytes: Uint8Array, sequence: number): Promise<DualSigned | undefined>
  /** The papers of a kind that are kept for an order, as their bytes are on the disk; their signatures are not checked. */
  storedPapers(kind: Pick<Kind<never>, 'name' | 'domain'>, orderId: Uint8Array): Promise<readonly Envelope[]>
  reverifiedMarks(): AsyncIterable<{ account: Uint8Array; mark: ReverifiedMark }>
  /** This node's own adverts, oldest first. */
  adverts(): AsyncIterable<Signed<Advert>>
}

export function createRecords(store: Store): Records {
  const hasOrder = async (orderId: Uint8Array): Promise<boolean> =>
    (await store.get(keyOf(SPACES.order, orderId))) !== undefined
  const orderOf = (orderId: Uint8Array) => readSigned(SPACES.order, ORDER, orderId)
  const voucherOf = (orderId: Uint8Array) => readSigned(SPACES.voucher, VOUCHER, orderId)
  const receiptOf = (orderId: Uint8Array) => readSigned(SPACES.receipt, RECEIPT, orderId)

  async function readSigned<T>(space: number, kind: Kind<T>, id: Uint8Array): Promise<Signed<T> | undefined> {
    const stored = await store.get(keyOf(space, id))
    return stored === undefined ? undefined : open(kind, decodeEnvelope(stored, kind.name))
  }

  async function* heads(): AsyncIterable<{ account: Account; head: AccountHead }> {
    for await (const [, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.account)))) {
      const { account, ...head } = decodeBody(headShape, value, 'account head')
      yield { account, head: { ...head, head: head.head } }
    }
  }

  async function* openCalls(): AsyncIterable<Call> {
    for await (const [key, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.openCall)))) {
      const orderId = key.subarray(33)
      const order = await orderOf(orderId)
      if (order === undefined) {
        throw new TokError('ledger_corrupt', {
          position: `order ${toHex(orderId)}`,
          reason: 'an open call without order',
        })
      }
      yield {
        ...liveCall(order),
        live: value[0] === CALL_MARKS.live,
        disputed: value[0] === CALL_MARKS.disputed,
        voucher: await voucherOf(orderId),
        receipt: await receiptOf(orderId),
        acceptance: await readSigned(SPACES.acceptance, ACCEPTANCE, orderId),
      }
    }
  }

  async function settledAt(orderId: Uint8Array): Promise<number | undefined> {
    const stored = await store.get(keyOf(SPACES.settled, orderId))
    return stored === undefined ? undefined : Number(Buffer.from(stored).readBigUInt64BE(32))
  }

  async function callRecord(orderId: Uint8Array): Promise<CallRecord | undefined> {
    const order = await orderOf(orderId)
    if (order === undefined) return undefined
    return {
      order,
      acceptance: await readSigned(SPACES.acceptance, ACCEPTANCE, orderId),
      voucher: await voucherOf(orderId),
      settledVoucher: await readSigned(SPACES.settledVoucher, VOUCHER, orderId),
      receipt: await receiptOf(orderId),
      settledAt: await settledAt(orderId),
    }
  }

  async function statementsAfter(
    account: Account,
    sequence: number,
    countMax: number = LIMITS.statementsPerFrame,
  ): Promise<readonly DualSigned[]> {
    const ofAccount = keyOf(SPACES.statement, accountId(account))
    const [, to] = rangeOf(ofAccount)
    const found: DualSigned[] = []
    for await (const [, value] of store.entries(Buffer.concat([ofAccount, sortableUint(sequence + 1)]), to)) {
      found.push(decodeBody(dualSignedShape, value, 'statement'))
      if (found.length === countMax) break
    }
    return found
  }

  async function* statementsOf(accountIdBytes: Uint8Array): AsyncIterable<StoredStatement> {
    for await (const [, value] of store.entries(...rangeOf(keyOf(SPACES.statement, accountIdBytes)))) {
      yield { ...openStatement(decodeBody(dualSignedShape, value, 'statement')), account: accountIdBytes }
    }
  }

  async function proposalOf(accountIdBytes: Uint8Array): Promise<ProposalFrame | undefined> {
    const stored = await store.get(keyOf(SPACES.proposal, accountIdBytes))
    return stored === undefined ? undefined : decodeBody(proposalShape, stored, 'proposal')
  }

  async function rejectionsOf(accountIdBytes: Uint8Array, sequence: number): Promise<readonly Signed<Rejection>[]> {
    const prefix = keyOf(SPACES.rejection, accountIdBytes, sortableUint(sequence))
    const found: Signed<Rejection>[] = []
    for await (const [, value] of store.entries(...rangeOf(prefix))) {
      found.push(open(REJECTION, decodeEnvelope(value, 'rejection')))
    }
    return found
  }

  async function rejectedOf(accountIdBytes: Uint8Array): Promise<StatementCopy | undefined> {
    const stored = await store.get(keyOf(SPACES.rejected, accountIdBytes))
    return stored === undefined ? undefined : decodeBody(statementCopyShape, stored, 'rejected statement')
  }

  async function evidenceOf(accountIdBytes: Uint8Array): Promise<readonly StatementCopy[]> {
    const found: StatementCopy[] = []
    for await (const copy of evidence(accountIdBytes)) found.push(copy)
    return found
  }

  async function* evidence(accountIdBytes: Uint8Array = new Uint8Array()): AsyncIterable<StatementCopy> {
    for await (const [, value] of store.entries(...rangeOf(keyOf(SPACES.evidence, accountIdBytes)))) {
      yield decodeBody(statementCopyShape, value, 'evidence')
    }
  }

  async function* journalEntries(
    newestFirst = false,
    sequence = 0,
  ): AsyncIterable<{ entry: JournalEntry; encoded: Uint8Array }> {
    const start = await journalStart()
    const after = Math.max(sequence, start?.value.entries ?? 0)
    for await (const [, encoded] of store.entries(...rangeAfter(SPACES.journal, after), newestFirst)) {
      yield { entry: decodeBody(journalEntryShape, encoded, 'journal entry'), encoded }
    }
  }

  async function* checkpoints(newestFirst = false, sequence = 0): AsyncIterable<StoredCheckpoint> {
    for await (const [, value] of store.entries(...rangeAfter(SPACES.checkpoint, sequence), newestFirst)) {
      yield readCheckpoint(value)
    }
  }

  async function storedStatement(accountIdBytes: Uint8Array, sequence: number): Promise<DualSigned | undefined> {
    const stored = await store.get(keyOf(SPACES.statement, accountIdBytes, sortableUint(sequence)))
    return stored === undefined ? undefined : decodeBody(dualSignedShape, stored, 'statement')
  }

  async function storedPapers(
    kind: Pick<Kind<never>, 'name' | 'domain'>,
    orderId: Uint8Array,
  ): Promise<readonly Envelope[]> {
    const spaces = Object.entries(PAPER_KINDS).filter(([, of]) => of.domain === kind.domain)
    const found = await Promise.all(spaces.map(([space]) => store.get(keyOf(SPACES[space as PaperSpace], orderId))))
    return found.flatMap((stored) => (stored === undefined ? [] : [decodeEnvelope(stored, kind.name)]))
  }

  async function* reverifiedMarks(): AsyncIterable<{ account: Uint8Array; mark: ReverifiedMark }> {
    for await (const [key, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.reverified)))) {
      yield { account: key.subarray(1), mark: decodeBody(reverifiedShape, value, 'mark') }
    }
  }

  async function* journalSequences(sequence: number): AsyncIterable<number> {
    const [from] = rangeAfter(SPACES.journal, 0)
    const [to] = rangeAfter(SPACES.journal, sequence)
    for await (const [key] of store.entries(from, to)) yield Number(Buffer.from(key).readBigUInt64BE(1))
  }

  async function journalStart(): Promise<StoredCheckpoint | undefined> {
    const sequence = await store.get(JOURNAL_START_KEY)
    if (sequence === undefined) return undefined
    const stored = await store.get(keyOf(SPACES.checkpoint, sequence))
    if (stored !== undefined) return readCheckpoint(stored)
    throw new TokError('ledger_corrupt', { position: 'journal', reason: 'the checkpoint it begins after is missing' })
  }

  async function* adverts(): AsyncIterable<Signed<Advert>> {
    for await (const [, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.advert)))) {
      yield open(ADVERT, decodeEnvelope(value, 'advert'))
    }
  }

  return {
    heads,
    openCalls,
    hasOrder,
    orderOf,
    receiptOf,
    settledAt,
    callRecord,
    statementsAfter,
    statementsOf,
    proposalOf,
    rejectionsOf,
    rejectedOf,
    evidenceOf,
    evidence: () => evidence(),
    journalEntries,
    journalSequences,
    storedStatement,
    storedPapers,
    reverifiedMarks,
    checkpoints,
    journalStart,
    adverts,
  }
}

/** Where the papers of a call lie. */
const PAPER_KINDS = {
  order: ORDER,
  acceptance: ACCEPTANCE,
  voucher: VOUCHER,
  settledVoucher: VOUCHER,
  receipt: RECEIPT,
} as const
type PaperSpace = keyof typeof PAPER_KINDS

function readCheckpoint(stored: Uint8Array): StoredCheckpoint {
  const { checkpoint, peaks, totals } = decodeBody(checkpointShape, stored, 'checkpoint')
  return { ...open(CHECKPOINT, checkpoint), peaks, totals }
}

/** The keys of what is counted in `space`, after `sequence`. */
function rangeAfter(space: number, sequence: number): [Uint8Array, Uint8Array] {
  const [, to] = rangeOf(Uint8Array.of(space))
  return [keyOf(space, sortableUint(sequence + 1)), to]
}

// Writing: each returns the write, and the caller decides with what it goes to disk in one batch.

/** A paper of a call, under the id of its order. */
export function callPaperWrite(space: PaperSpace, orderId: Uint8Array, paper: Envelope): Write {
  return { key: keyOf(SPACES[space], orderId), value: encodeEnvelope(paper) }
}

/** How far an open call is; undefined: it is not open any more. */
export function openCallWrite(
  accountIdBytes: Uint8Array,
  orderId: Uint8Array,
  mark: keyof typeof CALL_MARKS | undefined,
): Write {
  const value = mark === undefined ? undefined : Uint8Array.of(CALL_MARKS[mark])
  return { key: keyOf(SPACES.openCall, accountIdBytes, orderId), value }
}

export function settledWrite(orderId: Uint8Array, accountIdBytes: Uint8Array, sequence: number): Write {
  return { key: keyOf(SPACES.settled, orderId), value: Buffer.concat([accountIdBytes, sortableUint(sequence)]) }
}

export function headWrite(accountIdBytes: Uint8Array, account: Account, head: AccountHead): Write {
  return { key: keyOf(SPACES.account, accountIdBytes), value: encodeBody(headShape, { account, ...head }) }
}

export function statementWrite(accountIdBytes: Uint8Array, statement: SignedStatement): Write {
  const { value, body, sellerSignature, buyerSignature } = statement
  return {
    key: keyOf(SPACES.statement, accountIdBytes, sortableUint(value.sequence)),
    value: encodeBody(dualSignedShape, { body, sellerSignature, buyerSignature }),
  }
}

/** The proposal that waits for its answer; undefined: none does. */
export function proposalWrite(accountIdBytes: Uint8Array, frame: ProposalFrame | undefined): Write {
  const value = frame === undefined ? undefined : encodeBody(proposalShape, frame)
  return { key: keyOf(SPACES.proposal, accountIdBytes), value }
}

/** A rejection that `countBefore` others of the same sequence precede. */
export function rejectionWrite(accountIdBytes: Uint8Array, rejection: Signed<Rejection>, countBefore: number): Write {
  const { sequence } = rejection.value
  return {
    key: keyOf(SPACES.rejection, accountIdBytes, sortableUint(sequence), sortableUint(countBefore)),
    value: encodeEnvelope(rejection),
  }
}

/** The statement that this buyer refused last; it takes the place of the one before. */
export function rejectedWrite(accountIdBytes: Uint8Array, statement: StatementCopy): Write {
  return { key: keyOf(SPACES.rejected, accountIdBytes), value: encodeBody(statementCopyShape, statement) }
}

/** A statement that helps to prove an equivocation. */
export function evidenceWrite(accountIdBytes: Uint8Array, { id, ...statement }: ConflictingStatement): Write {
  const { body, sellerSignature, buyerSignature } = statement
  return {
    key: keyOf(SPACES.evidence, accountIdBytes, id),
    value: encodeBody(statementCopyShape, { body, sellerSignature, buyerSignature }),
  }
}

export function journalWrite(sequence: number, encoded: Uint8Array): Write {
  return { key: keyOf(SPACES.journal, sortableUint(sequence)), value: encoded }
}

export function checkpointWrite({ value, body, signature, peaks, totals }: StoredCheckpoint): Write {
  return {
    key: keyOf(SPACES.checkpoint, sortableUint(value.sequence)),
    value: encodeBody(checkpointShape, { checkpoint: { body, signature }, peaks, totals }),
  }
}

export function reverifiedWrite(accountIdBytes: Uint8Array, mark: ReverifiedMark): Write {
  return { key: keyOf(SPACES.reverified, accountIdBytes), value: encodeBody(reverifiedShape, mark) }
}

export function journalEntryDeletion(sequence: number): Write {
  return { key: keyOf(SPACES.journal, sortableUint(sequence)), value: undefined }
}

export function checkpointDeletion(sequence: number): Write {
  return { key: keyOf(SPACES.checkpoint, sortableUint(sequence)), value: undefined }
}

/** From now on the journal begins after this checkpoint. */
export function journalStartWrite({ value }: StoredCheckpoint): Write {
  return { key: JOURNAL_START_KEY, value: sortableUint(value.sequence) }
}

/** An advert at its sequence; undefined: it has expired. */
export function advertWrite(sequence: number, advert: Signed<Advert> | undefined): Write {
  const value = advert === undefined ? undefined : encodeEnvelope(advert)
  return { key: keyOf(SPACES.advert, sortableUint(sequence)), value }
}
