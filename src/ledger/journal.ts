/**
 * The head of this node's journal in memory: where its chain and its Merkle tree stand, and what was spent today. The entries
 * themselves are in the store. Source: protocols/ledger/v1.md.
 */
import { sha256, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import { canonicalModel } from '../wire/advert.ts'
import { journalEntryShape, type InferenceRecord, type JournalEntry } from '../wire/journal.ts'
import { createMerkleTree } from '../wire/merkle.ts'
import { encodeBody } from '../wire/shape.ts'
import { areStorable, journalWrite, type Records, type StoredTotals } from './records.ts'
import type { Write } from './store.ts'

const DAY_MS = 86_400_000

/** Where the journal's chain stands. */
export interface JournalHead {
  /** 0 before the first entry. */
  readonly sequence: number
  readonly head: Uint8Array | undefined
}

/** The same, with the Merkle tree over the bytes of all entries, and what the day's trades came to. */
export interface JournalMark extends JournalHead {
  readonly root: Uint8Array
  readonly peaks: readonly Uint8Array[]
  /** Undefined if they name too much to be kept. */
  readonly totals: StoredTotals | undefined
}

/** What the trades of one day (UTC) come to, in micros. */
export interface DayTotals {
  /** What all purchases cost. */
  readonly spent: bigint
  /** The same by the seller's key in hexadecimal, and by canonical model. */
  readonly spentWith: ReadonlyMap<string, bigint>
  readonly spentOn: ReadonlyMap<string, bigint>
  /** What sales earned, by the buyer's key in hexadecimal. */
  readonly soldTo: ReadonlyMap<string, bigint>
}

export interface Journal {
  /** Puts one inference at the end of the chain. The write must go to the queue before another entry is appended. */
  append(inference: InferenceRecord): Write
  head(): JournalHead
  mark(): JournalMark
  /** The trades of today. */
  today(): DayTotals
}

/** @throws TokError `ledger_corrupt` if entries are missing at its end, or between its last checkpoint and there */
export async function loadJournal(dependencies: {
  readonly records: Records
  readonly clock: Clock
}): Promise<Journal> {
  const { records, clock } = dependencies
  let totals = noTotals(dayOf(clock.nowMs()))
  const start = await records.journalStart()
  let chain: JournalHead = { sequence: start?.value.entries ?? 0, head: start?.value.journalHead }
  for await (const { entry, encoded } of records.journalEntries(true)) {
    chain = { sequence: entry.sequence, head: sha256(encoded) }
    break
  }

  // The newest checkpoint knows the tree, and the trades of its day, up to its place: a start reads what came after it, not
  // the whole journal, nor the whole day.
  let tree = createMerkleTree()
  let isDayWhole = false
  for await (const { value, peaks, totals: known } of records.checkpoints(true)) {
    tree = createMerkleTree({ count: value.entries, peaks })
    isDayWhole = known !== undefined && known.day <= totals.day
    if (known?.day === totals.day) totals = readTotals(known)
    break
  }
  if (!isDayWhole) {
    for await (const { entry } of records.journalEntries(true)) {
      if (dayOf(entry.recordedAtMs) < totals.day) break
      if (entry.sequence <= tree.count()) count(totals, entry)
    }
  }
  for await (const { entry, encoded } of records.journalEntries(false, tree.count())) {
    tree.add(encoded)
    if (dayOf(entry.recordedAtMs) >= totals.day) count(totals, entry)
  }
  if (tree.count() !== chain.sequence) {
    const reason = `its newest entry is ${chain.sequence}, and ${tree.count()} were written`
    throw new TokError('ledger_corrupt', { position: 'journal', reason })
  }

  /** Today's totals, begun anew at midnight. */
  function today(): Totals {
    const day = dayOf(clock.nowMs())
    if (totals.day !== day) totals = noTotals(day)
    return totals
  }

  return {
    append(inference) {
      const entry: JournalEntry = {
        kind: 'inference',
        sequence: chain.sequence + 1,
        previous: chain.head,
        recordedAtMs: clock.nowMs(),
        ...inference,
      }
      const encoded = encodeBody(journalEntryShape, entry)
      chain = { sequence: entry.sequence, head: sha256(encoded) }
      tree.add(encoded)
      count(today(), entry)
      return journalWrite(entry.sequence, encoded)
    },
    head: () => chain,
    mark: () => ({ ...chain, root: tree.root(), peaks: tree.peaks(), totals: writeTotals(today()) }),
    today,
  }
}

/** Totals that grow. One entry for each seller, model and buyer of the day. */
interface Totals extends DayTotals {
  readonly day: number
  spent: bigint
  readonly spentWith: Map<string, bigint>
  readonly spentOn: Map<string, bigint>
  readonly soldTo: Map<string, bigint>
}

function noTotals(day: number): Totals {
  return { day, spent: 0n, spentWith: new Map(), spentOn: new Map(), soldTo: new Map() }
}

function count(totals: Totals, { direction, amount = 0n, counterparty, resolvedModel }: JournalEntry): void {
  const add = (to: Map<string, bigint>, name: string): void => {
    to.set(name, (to.get(name) ?? 0n) + amount)
  }
  if (amount === 0n || counterparty === undefined) return
  if (direction === 'sold') {
    add(totals.soldTo, toHex(counterparty))
  } else if (direction === 'bought') {
    totals.spent += amount
    add(totals.spentWith, toHex(counterparty))
    add(totals.spentOn, canonicalModel(resolvedModel))
  }
}

function writeTotals({ day, spent, spentWith, spentOn, soldTo }: Totals): StoredTotals | undefined {
  const list = (amounts: ReadonlyMap<string, bigint>) => [...amounts].map(([name, amount]) => ({ name, amount }))
  const stored = { day, spent, spentWith: list(spentWith), spentOn: list(spentOn), soldTo: list(soldTo) }
  return areStorable(stored) ? stored : undefined
}

function readTotals({ day, spent, spentWith, spentOn, soldTo }: StoredTotals): Totals {
  const map = (amounts: StoredTotals['spentOn']) => new Map(amounts.map(({ name, amount }) => [name, amount]))
  return { day, spent, spentWith: map(spentWith), spentOn: map(spentOn), soldTo: map(soldTo) }
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}
