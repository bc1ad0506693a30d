/**
 * Copies of a ledger: how one is made while the ledger is in use, and how a ledger knows that it is one. What was signed after
 * the copy was made, it cannot know; so it says to every peer, and in every statement, since when it is a copy (R9).
 */
import type { Clock } from '../base/clock.ts'
import { keyOf, sortableUint, SPACES, type CommitQueue, type Store, type Write } from './store.ts'

/** Stands in a copy until it is opened for the first time. */
const COPY_KEY = keyOf(SPACES.meta, Uint8Array.of(0x10))
/** When a ledger was last opened as a copy. */
const RESTORED_KEY = keyOf(SPACES.meta, Uint8Array.of(0x11))

const WRITES_PER_BATCH = 1_000

/**
 * Copies everything that is on disk at one moment: later writes to `from` are not in it. `to` has to be empty, and knows after
 * that that it is a copy.
 */
export async function copyStore(from: Store, to: Store): Promise<void> {
  let writes: Write[] = [{ key: COPY_KEY, value: new Uint8Array() }]
  for await (const [key, value] of from.entries(Uint8Array.of(0), Uint8Array.of(0xff))) {
    writes.push({ key, value })
    if (writes.length < WRITES_PER_BATCH) continue
    await to.write(writes)
    writes = []
  }
  await to.write(writes)
}

/** Makes `store`, whatever it holds, say that it is a copy when it is opened next. */
export async function markAsCopy(store: Store): Promise<void> {
  await store.write([{ key: COPY_KEY, value: new Uint8Array() }])
}

/** When this ledger was last brought up from a copy: now, if it is one that was not opened before; undefined: never. */
export async function noteRestored({
  store,
  queue,
  clock,
}: {
  readonly store: Store
  readonly queue: CommitQueue
  readonly clock: Clock
}): Promise<number | undefined> {
  if ((await store.get(COPY_KEY)) !== undefined) {
    await queue.commit([
      { key: RESTORED_KEY, value: sortableUint(clock.nowMs()) },
      { key: COPY_KEY, value: undefined },
    ])
  }
  const stored = await store.get(RESTORED_KEY)
  return stored === undefined ? undefined : Number(Buffer.from(stored).readBigUInt64BE())
}
