/**
 * Merkle trees over lists that only grow, as RFC 9162 (section 2.1) builds them: one hash stands for the list, and a path of
 * hashes shows that something stands in it. Source: protocols/ledger/v1.md, "Checkpoint".
 */
import { equalBytes, sha256 } from '../base/bytes.ts'

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** A tree that takes leaves at its end and holds one hash per doubling of their number. */
export interface MerkleTree {
  count(): number
  add(leaf: Uint8Array): void
  /** SHA-256, 32 bytes; of nothing for a tree without leaves. */
  root(): Uint8Array
  /** The roots of its whole subtrees, the largest first: all it takes to go on from here. */
  peaks(): readonly Uint8Array[]
  /** The hashes that lead from the tracked leaf to the root, the lowest first. */
  path(): readonly Uint8Array[]
}

/** Where a tree begins: empty, or after leaves that are known by their peaks alone. */
export interface MerkleStart {
  readonly count: number
  readonly peaks: readonly Uint8Array[]
}

interface Subtree {
  readonly hash: Uint8Array
  readonly holdsTracked: boolean
}

/** How many peaks a tree of `count` leaves has: the ones in its binary form. */
export function peaksOf(count: number): number {
  return BigInt(count).toString(2).replaceAll('0', '').length
}

/** A tree that goes on from `start`, and keeps the path of the leaf at index `tracked`. */
export function createMerkleTree(start: MerkleStart = { count: 0, peaks: [] }, tracked?: number): MerkleTree {
  let { count } = start
  const subtrees: Subtree[] = start.peaks.map((hash) => ({ hash, holdsTracked: false }))
  const collected: Uint8Array[] = []

  const join = (left: Subtree, right: Subtree, path: Uint8Array[]): Subtree => {
    if (left.holdsTracked) path.push(right.hash)
    if (right.holdsTracked) path.push(left.hash)
    return { hash: hashOfNode(left.hash, right.hash), holdsTracked: left.holdsTracked || right.holdsTracked }
  }
  const whole = (path: Uint8Array[]): Subtree | undefined => {
    const [last, ...others] = subtrees.toReversed()
    return last && others.reduce((right, left) => join(left, right, path), last)
  }

  return {
    count: () => count,
    add(leaf) {
      let added: Subtree = { hash: hashOfLeaf(leaf), holdsTracked: count === tracked }
      for (let size = count; size % 2 === 1; size = (size - 1) / 2) {
        const left = subtrees.pop()
        if (left !== undefined) added = join(left, added, collected)
      }
      subtrees.push(added)
      count += 1
    },
    root: () => whole([])?.hash ?? sha256(new Uint8Array()),
    peaks: () => subtrees.map(({ hash }) => hash),
    path() {
      const path = [...collected]
      whole(path)
      return path
    },
  }
}

/** True if `path` leads from the leaf at `index` to the root of a tree of `count` leaves (RFC 9162, section 2.1.3.2). */
export function isIncluded(
  { leaf, index, path }: { readonly leaf: Uint8Array; readonly index: number; readonly path: readonly Uint8Array[] },
  { count, root }: { readonly count: number; readonly root: Uint8Array },
): boolean {
  if (index >= count) return false
  let [at, last] = [index, count - 1]
  let hash = hashOfLeaf(leaf)
  for (const other of path) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      hash = hashOfNode(other, hash)
      // A subtree without a right half stands as high as its left half.
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)]
    } else {
      hash = hashOfNode(hash, other)
    }
    ;[at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  }
  return last === 0 && equalBytes(hash, root)
}

function hashOfLeaf(leaf: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([LEAF, leaf]))
}

function hashOfNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([NODE, left, right]))
}
