/** Vectors of the Merkle trees in protocols/ledger/v1.md: roots, peaks, and the path of every leaf. */
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { createMerkleTree } from '../../src/wire/merkle.ts'
import type { Case } from './case.ts'

/** @returns trees of 0 to 9 leaves */
export function merkleTrees(): Case[] {
  return Array.from({ length: 10 }, (_, count) => {
    const leaves = Array.from({ length: count }, (__, index) => utf8(`leaf ${index}`))
    const trees = [undefined, ...leaves.keys()].map((tracked) => {
      const tree = createMerkleTree(undefined, tracked)
      for (const leaf of leaves) tree.add(leaf)
      return tree
    })
    const [tree, ...tracking] = trees
    if (tree === undefined) throw new Error('there is always one')
    return {
      name: `a tree of ${count} leaves`,
      check: 'merkle',
      leaves: leaves.map(toHex),
      root: toHex(tree.root()),
      peaks: tree.peaks().map(toHex),
      paths: tracking.map((each) => each.path().map(toHex)),
    }
  })
}
