/**
 * This node's checkpoints: where accounts and journal stand, signed, and proofs that one account or one entry was there.
 * Source: protocols/ledger/v1.md, "Checkpoint" and "Proof file".
 */
import { equalBytes, toHex, utf8 } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import { accountHeadShape, CHECKPOINT, type AccountHeadLeaf, type Checkpoint } from '../wire/checkpoint.ts'
import { seal, type Signed } from '../wire/envelope.ts'
import type { NodeKey } from '../wire/identity.ts'
import { createMerkleTree } from '../wire/merkle.ts'
import { DOMAINS } from '../wire/registry.ts'
import { encodeBody } from '../wire/shape.ts'
import type { AccountBook } from './account-book.ts'
import type { AccountState } from './account-state.ts'
import type { Journal } from './journal.ts'
import type { OneAfterAnother } from './one-after-another.ts'
import { checkpointWrite, type Records, type StoredCheckpoint } from './records.ts'
import type { CommitQueue } from './store.ts'

/** An account at the moment of a snapshot. */
export interface AccountSnapshot {
  readonly id: Uint8Array
  /** Where it stands; undefined before its first statement. */
  readonly head: AccountHeadLeaf | undefined
  /** Orders with a voucher that no statement settles. */
  readonly unsettled: readonly Uint8Array[]
}

/** Where everything stood at one moment. */
export interface LedgerSnapshot {
  /** In ascending order of their ids. */
  readonly accounts: readonly AccountSnapshot[]
  /** Entries of the journal. */
  readonly entries: number
  /** What is signed over it; undefined while nothing was ever recorded. */
  readonly checkpoint: StoredCheckpoint | undefined
}

/** What shows that a leaf is under a checkpoint. */
export interface InclusionProof {
  readonly checkpoint: StoredCheckpoint
  /** `account`: the head of an account; `entry`: an entry of the journal. */
  readonly of: 'account' | 'entry'
  readonly leaf: Uint8Array
  readonly index: number
  readonly path: readonly Uint8Array[]
}

export interface Checkpoints {
  /** Signs where accounts and journal stand, unless the newest checkpoint says just that; recorded before it is given (R1). */
  takeCheckpoint(): Promise<LedgerSnapshot>
  /** Where they stand without a checkpoint: for a ledger whose disk takes nothing more. */
  snapshot(): LedgerSnapshot
  /** The newest, made or loaded. */
  newestCheckpoint(): Signed<Checkpoint> | undefined
  /** @throws TokError `record_not_found` for an account without a statement */
  proveAccount(accountIdBytes: Uint8Array): Promise<InclusionProof>
  /** @throws TokError `record_not_found` for an entry that is not in the journal, or was pruned */
  proveEntry(sequence: number): Promise<InclusionProof>
}

const STEP = utf8('checkpoint')

export async function loadCheckpoints(
  dependencies: {
    readonly book: AccountBook
    readonly records: Records
    readonly journal: Journal
    readonly queue: CommitQueue
    readonly oneAfterAnother: OneAfterAnother
    readonly key: NodeKey
    readonly clock: Clock
  },
  { network, asset }: { readonly network: string; readonly asset: string },
): Promise<Checkpoints> {
  const { book, records, journal, queue, oneAfterAnother, key, clock } = dependencies
  let newest: StoredCheckpoint | undefined
  for await (const stored of records.checkpoints(true)) {
    newest = stored
    break
  }

  function snapshot(): LedgerSnapshot {
    const accounts = [...book.states()]
      .filter(({ account }) => account.network === network && account.asset === asset)
      .map((state) => ({
        id: state.id,
        head: headOf(state),
        unsettled: [...state.calls.values()].flatMap(({ voucher, order }) => (voucher === undefined ? [] : [order.id])),
      }))
      .toSorted((one, other) => Buffer.compare(one.id, other.id))
    return { accounts, entries: journal.head().sequence, checkpoint: undefined }
  }

  const takeCheckpoint = (): Promise<LedgerSnapshot> =>
    oneAfterAnother(STEP, async () => {
      const now = snapshot()
      const leaves = leavesOf(now)
      const mark = journal.mark()
      const tree = createMerkleTree()
      for (const leaf of leaves) tree.add(encodeBody(accountHeadShape, leaf))
      const accountsRoot = tree.root()
      const before = newest?.value
      const isSame =
        before === undefined
          ? leaves.length === 0 && mark.sequence === 0
          : equalBytes(before.accountsRoot, accountsRoot) && equalBytes(before.entriesRoot, mark.root)
      if (isSame) return { ...now, checkpoint: newest }
      const signed = seal(
        CHECKPOINT,
        {
          type: DOMAINS.checkpoint,
          network,
          asset,
          node: key.publicKey,
          sequence: (before?.sequence ?? 0) + 1,
          previous: newest?.id,
          createdAtMs: clock.nowMs(),
          accounts: leaves.length,
          accountsRoot,
          entries: mark.sequence,
          entriesRoot: mark.root,
          journalHead: mark.head,
        },
        key,
      )
      const checkpoint = { ...signed, peaks: mark.peaks, totals: mark.totals }
      await queue.commit([checkpointWrite(checkpoint)])
      newest = checkpoint
      return { ...now, checkpoint }
    })

  return {
    takeCheckpoint,
    snapshot,
    newestCheckpoint: () => newest,

    async proveAccount(accountIdBytes) {
      const { checkpoint, ...now } = await takeCheckpoint()
      const leaves = leavesOf(now)
      const index = leaves.findIndex(({ account }) => equalBytes(account, accountIdBytes))
      if (index === -1 || checkpoint === undefined)
        throw new TokError('record_not_found', { id: toHex(accountIdBytes) })
      const encoded = leaves.map((leaf) => encodeBody(accountHeadShape, leaf))
      const tree = createMerkleTree(undefined, index)
      for (const leaf of encoded) tree.add(leaf)
      return { checkpoint, of: 'account', leaf: encoded[index] ?? new Uint8Array(), index, path: tree.path() }
    },

    async proveEntry(sequence) {
      const { checkpoint } = await takeCheckpoint()
      const start = await records.journalStart()
      const tree = createMerkleTree(start && { count: start.value.entries, peaks: start.peaks }, sequence - 1)
      let leaf: Uint8Array | undefined
      for await (const { entry, encoded } of records.journalEntries()) {
        if (entry.sequence > (checkpoint?.value.entries ?? 0)) break
        if (entry.sequence === sequence) leaf = encoded
        tree.add(encoded)
      }
      if (leaf === undefined || checkpoint === undefined) throw new TokError('record_not_found', { id: `${sequence}` })
      return { checkpoint, of: 'entry', leaf, index: sequence - 1, path: tree.path() }
    },
  }
}

function headOf({ id, head: { sequence, head, owed, paid } }: AccountState): AccountHeadLeaf | undefined {
  return head === undefined ? undefined : { account: id, sequence, head, owed, paid }
}

/** The leaves of the accounts' tree: an account without a statement has none. */
function leavesOf({ accounts }: Pick<LedgerSnapshot, 'accounts'>): readonly AccountHeadLeaf[] {
  return accounts.flatMap(({ head }) => head ?? [])
}
