/**
 * Checkpoints: one signed hash over where all accounts and the journal of a node stand. Source: protocols/ledger/v1.md.
 *
 * Whoever has seen a checkpoint can tell whether the node later forgot an account or an entry that it had then.
 */
import type { Kind } from './envelope.ts'
import { KEY_BYTES } from './identity.ts'
import { DOMAINS } from './registry.ts'
import { amount, bytes, oneOf, optional, record, text, uint, type Read } from './shape.ts'

const HASH_BYTES = 32

const checkpointShape = record({
  type: oneOf(DOMAINS.checkpoint),
  network: text(32),
  asset: text(16),
  node: bytes(KEY_BYTES),
  /** 1 for the first checkpoint of the node, then one more each. */
  sequence: uint,
  /** Id of the checkpoint before; absent for the first. */
  previous: optional(bytes(HASH_BYTES)),
  createdAtMs: uint,
  /** Accounts with a statement, and the Merkle root of their heads in ascending order of account ids. */
  accounts: uint,
  accountsRoot: bytes(HASH_BYTES),
  /** Journal entries ever written, the Merkle root over their bytes, and SHA-256 of the newest (absent if there is none). */
  entries: uint,
  entriesRoot: bytes(HASH_BYTES),
  journalHead: optional(bytes(HASH_BYTES)),
})
export type Checkpoint = Read<typeof checkpointShape>

export const CHECKPOINT: Kind<Checkpoint> = {
  name: 'checkpoint',
  domain: DOMAINS.checkpoint,
  shape: checkpointShape,
  signerOf: (checkpoint) => checkpoint.node,
}

/** Where an account stands: a leaf of `accountsRoot`. */
export const accountHeadShape = record({
  account: bytes(HASH_BYTES),
  /** Of its newest statement, and the id of that. */
  sequence: uint,
  head: bytes(HASH_BYTES),
  owed: amount,
  paid: amount,
})
export type AccountHeadLeaf = Read<typeof accountHeadShape>
