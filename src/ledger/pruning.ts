/**
 * Forgetting old journal entries without breaking the chain: what a checkpoint covers may go, because the checkpoint holds the
 * hash that the next entry follows and the peaks that the tree goes on from. Statements are never pruned: they prove debts.
 * Source: protocols/ledger/v1.md, "Pruning".
 */
import type { Clock } from '../base/clock.ts'
import {
  journalEntryDeletion,
  checkpointDeletion,
  journalStartWrite,
  type Records,
  type StoredCheckpoint,
} from './records.ts'
import type { CommitQueue, Write } from './store.ts'

/** What pruning left. */
export interface PrunedJournal {
  /** Entries that are gone, ever. */
  readonly entriesGone: number
  /** The checkpoint after which the journal begins; undefined if nothing was ever pruned. */
  readonly start: StoredCheckpoint | undefined
}

export interface Pruning {
  /**
   * Forgets the entries that the newest checkpoint before `beforeMs` covers, and the checkpoints before that one. Entries of
   * today stay: budgets are counted from them. Nothing is forgotten twice, or without a checkpoint.
   */
  pruneJournal(beforeMs: number): Promise<PrunedJournal>
}

const DAY_MS = 86_400_000
const DELETIONS_PER_BATCH = 1_000

export function createPruning(dependencies: {
  readonly records: Records
  readonly queue: CommitQueue
  readonly clock: Clock
}): Pruning {
  const { records, queue, clock } = dependencies
  return {
    async pruneJournal(beforeMs) {
      const todayMs = Math.floor(clock.nowMs() / DAY_MS) * DAY_MS
      const limitMs = Math.min(beforeMs, todayMs)
      const before = await records.journalStart()
      let start = before
      for await (const checkpoint of records.checkpoints(true)) {
        if (checkpoint.value.createdAtMs > limitMs) continue
        if (checkpoint.value.sequence > (before?.value.sequence ?? 0)) start = checkpoint
        break
      }
      if (start === undefined) return { entriesGone: 0, start }
      // First the new beginning, then the deletions: what a crash leaves in between is out of sight, and goes the next time.
      await queue.commit([journalStartWrite(start)])
      let batch: Write[] = []
      for await (const write of deletionsBefore(start)) {
        if (batch.push(write) < DELETIONS_PER_BATCH) continue
        await queue.commit(batch)
        batch = []
      }
      if (batch.length > 0) await queue.commit(batch)
      return { entriesGone: start.value.entries, start }
    },
  }

  async function* deletionsBefore({ value }: StoredCheckpoint): AsyncIterable<Write> {
    for await (const sequence of records.journalSequences(value.entries)) yield journalEntryDeletion(sequence)
    for await (const { value: older } of records.checkpoints()) {
      if (older.sequence >= value.sequence) break
      yield checkpointDeletion(older.sequence)
    }
  }
}
