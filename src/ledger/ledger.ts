/**
 * The ledger: accounts with other peers and this node's journal. The only owner of its store.
 *
 * Every promise this module returns resolves after what it stands for is on disk; what goes to a peer is sent after that (R1).
 * In memory, reservations are made before the disk is asked and released after it answered, so that no two calls use the same
 * credit. Nothing here knows the network: the other side's words come in as verified or verifiable messages.
 * Source: protocols/account/v1.md and protocols/ledger/v1.md.
 */
import type { Clock } from '../base/clock.ts'
import { TokError, toTokError } from '../base/errors.ts'
import type { NodeKey } from '../wire/identity.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { loadAccountBook } from './account-book.ts'
import { createAccountViews, type AccountViews } from './account-views.ts'
import { createCallSealing } from './call-sealing.ts'
import { loadCheckpoints, type Checkpoints } from './checkpoints.ts'
import { copyStore, noteRestored } from './copies.ts'
import { loadJournal, type JournalHead } from './journal.ts'
import { createOneAfterAnother } from './one-after-another.ts'
import { loadOwnAdverts, type OwnAdverts } from './own-adverts.ts'
import { createPruning, type Pruning } from './pruning.ts'
import { createPurchases, type Purchases } from './purchases.ts'
import { createReconciliation, type Reconciliation } from './reconciliation.ts'
import { createRecords, type LedgerRecords } from './records.ts'
import { loadReverification, type Reverification } from './reverification.ts'
import { createSales, type Sales } from './sales.ts'
import { createSettlementRecords } from './settlement-records.ts'
import { createSettlements, type Settlements } from './settlements.ts'
import { bringToSchema } from './schema.ts'
import { createStatements, type Statements } from './statements.ts'
import { createCommitQueue, type Store } from './store.ts'

/** An open ledger: what each part of it promises stands with that part. */
export interface Ledger
  extends
    Purchases,
    Sales,
    Reconciliation,
    Statements,
    Settlements,
    OwnAdverts,
    AccountViews,
    LedgerRecords,
    Checkpoints,
    Pruning,
    Reverification {
  readonly key: NodeKey
  readonly network: string
  readonly asset: string
  /** When this ledger was last brought up from a copy; undefined: never. */
  readonly restoredAtMs: number | undefined
  /** Copies what is on disk at one moment into `to`, an empty store, which then knows that it is a copy. */
  backUp(to: Store): Promise<void>
  /** Appends one inference to the journal. */
  recordInference(inference: InferenceRecord): Promise<void>
  journalHead(): JournalHead
  /** Waits for what is being written, then closes the store. */
  close(): Promise<void>
}

/**
 * Opens the ledger of the node that owns `key` and loads what is open. Calls that were live when the process ended are sealed.
 * @throws TokError `ledger_corrupt` naming what is damaged
 */
export async function openLedger(
  { store, key, clock }: { readonly store: Store; readonly key: NodeKey; readonly clock: Clock },
  options: { readonly network: string; readonly asset: string },
): Promise<Ledger> {
  const queue = createCommitQueue(store)
  const records = createRecords(store)
  const settlementRecords = createSettlementRecords(store)
  await bringToSchema({ store, queue })
  const restoredAtMs = await noteRestored({ store, queue, clock })
  const { book, broken } = await loading(
    'accounts',
    loadAccountBook({ records, settlementRecords, key }, { ...options, restoredAtMs }),
  )
  const journal = await loading('journal', loadJournal({ records, clock }))
  const ownAdverts = await loading('adverts', loadOwnAdverts({ records, queue, key, clock }, { restoredAtMs }))
  const sealing = createCallSealing({ book, journal, queue, key, clock })
  await sealing.sealBroken(broken)

  const oneAfterAnother = createOneAfterAnother()
  const parts = { book, records, settlementRecords, journal, queue, sealing, oneAfterAnother, key, clock }
  const checkpoints = await loading('checkpoints', loadCheckpoints(parts, options))
  const reverification = await loading('marks', loadReverification({ ...parts, checkpoints }))
  const { statementsAfter, statementsOf, callRecord, journalEntries, journalStart } = records
  const { network, asset } = options
  return {
    key,
    network,
    asset,
    restoredAtMs,
    backUp: (to) => copyStore(store, to),
    ...createPurchases(parts, options),
    ...createSales(parts),
    ...createReconciliation(parts),
    ...createStatements(parts, options),
    ...createSettlements(parts, options),
    ...createAccountViews(parts, options),
    ...ownAdverts,
    ...checkpoints,
    ...createPruning(parts),
    ...reverification,
    statementsAfter,
    statementsOf,
    callRecord,
    journalEntries,
    journalStart,
    checkpoints: records.checkpoints,
    journalHead: journal.head,
    recordInference: (inference) => queue.commit([journal.append(inference)]),
    async close() {
      await queue.idle()
      await store.close()
    },
  }
}

/** What cannot be read back from this node's own disk is damage, not a peer's fault. @throws TokError `ledger_corrupt` */
async function loading<T>(position: string, load: Promise<T>): Promise<T> {
  try {
    return await load
  } catch (thrown) {
    const { code, message } = toTokError(thrown)
    if (code !== 'encoding_invalid' && code !== 'signature_invalid') throw thrown
    throw new TokError('ledger_corrupt', { position, reason: message }, { cause: thrown })
  }
}
