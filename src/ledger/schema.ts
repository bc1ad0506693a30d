/**
 * The version of the store's layout, and the way from an older one to this. A step is named by the version it starts from.
 */
import { TokError } from '../base/errors.ts'
import { createCommitQueue, keyOf, openLevelStore, SPACES, type CommitQueue, type Store, type Write } from './store.ts'

/** Rewrites a store from one version to the next, in batches; run again from its beginning if it was broken off. */
export type Migration = (store: Store) => AsyncIterable<readonly Write[]>

/** The layout that this version of tok-node writes. */
export const SCHEMA_VERSION = 1

/** The steps from older layouts: the one at `n` makes version `n + 1` of version `n`. */
export const MIGRATIONS: ReadonlyMap<number, Migration> = new Map()

const SCHEMA_KEY = keyOf(SPACES.meta, Uint8Array.of(0))

/**
 * Opens the LevelDB of a node that has no identity yet, and marks it: before there is a key, so that no crash leaves a key beside
 * a ledger that holds nothing.
 * @throws TokError as `openLevelStore` does
 */
export async function openNewStore(directory: string): Promise<Store> {
  const store = await openLevelStore(directory, true)
  await bringToSchema({ store, queue: createCommitQueue(store) })
  return store
}

/**
 * Marks a new store with `version`, and brings an older one up to it, step by step; each step is durable before the next.
 * @throws TokError `ledger_corrupt` for a store without a version, of a newer one, or one from which no step leads here
 */
export async function bringToSchema(
  { store, queue }: { readonly store: Store; readonly queue: CommitQueue },
  version: number = SCHEMA_VERSION,
  migrations: ReadonlyMap<number, Migration> = MIGRATIONS,
): Promise<void> {
  let stored = (await store.get(SCHEMA_KEY))?.[0]
  if (stored === undefined) {
    for await (const _ of store.entries(Uint8Array.of(0), Uint8Array.of(0xff))) {
      throw new TokError('ledger_corrupt', { position: 'meta', reason: 'the schema version is missing' })
    }
    await queue.commit([schemaWrite(version)])
    return
  }
  for (; stored < version; stored += 1) {
    const migrate = migrations.get(stored)
    if (migrate === undefined) break
    for await (const writes of migrate(store)) await queue.commit(writes)
    await queue.commit([schemaWrite(stored + 1)])
  }
  if (stored === version) return
  throw new TokError('ledger_corrupt', {
    position: 'meta',
    reason: `schema ${stored} is not ${version}: it was written by another version of tok-node`,
  })
}

function schemaWrite(version: number): Write {
  return { key: SCHEMA_KEY, value: Uint8Array.of(version) }
}
