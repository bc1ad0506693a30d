/**
 * The head of this node's journal in memory: where its chain stands, and what was spent today. The entries themselves are in
 * the store. Source: protocols/ledger/v1.md.
 */
import { sha256 } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { journalEntryShape, type InferenceRecord, type JournalEntry } from '../wire/journal.ts'
import { encodeBody } from '../wire/shape.ts'
import { journalWrite, type Records } from './records.ts'
import type { Write } from './store.ts'

const DAY_MS = 86_400_000

/** Where the journal's chain stands. */
export interface JournalHead {
  /** 0 before the first entry. */
  readonly sequence: number
  readonly head: Uint8Array | undefined
}

export interface Journal {
  /** Puts one inference at the end of the chain. The write must go to the queue before another entry is appended. */
  append(inference: InferenceRecord): Write
  head(): JournalHead
  /** What the purchases of today (UTC) cost, in micros. */
  spentToday(): bigint
}

export async function loadJournal(dependencies: {
  readonly records: Records
  readonly clock: Clock
}): Promise<Journal> {
  const { records, clock } = dependencies
  let chain: JournalHead = { sequence: 0, head: undefined }
  let spent = { day: dayOf(clock.nowMs()), micros: 0n }

  for await (const { entry, encoded } of records.journalEntries(true)) {
    if (chain.head === undefined) chain = { sequence: entry.sequence, head: sha256(encoded) }
    if (dayOf(entry.recordedAtMs) < spent.day) break
    if (entry.direction === 'bought') spent.micros += entry.amount ?? 0n
  }

  /** Today's sum, begun anew at midnight. */
  function today(): { micros: bigint } {
    const day = dayOf(clock.nowMs())
    if (spent.day !== day) spent = { day, micros: 0n }
    return spent
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
      if (entry.direction === 'bought') today().micros += entry.amount ?? 0n
      return journalWrite(entry.sequence, encoded)
    },
    head: () => chain,
    spentToday: () => today().micros,
  }
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}
