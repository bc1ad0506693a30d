import { describe, expect, test } from 'vitest'
import { utf8 } from '../../../src/base/bytes.ts'
import { bringToSchema, type Migration } from '../../../src/ledger/schema.ts'
import { createCommitQueue, keyOf, rangeOf, SPACES, type Store } from '../../../src/ledger/store.ts'
import { createCrashingStore, seededRandom } from '../../support/crashing-store.ts'

const SCHEMA_KEY = Uint8Array.of(SPACES.meta, 0)
const OLD_SPACE = 0xf0
const NEW_SPACE = 0xf1

/** An example: every record of one space moves to another, each in a batch of its own. */
const moveSpace: Migration = async function* (store) {
  for await (const [key, value] of store.entries(...rangeOf(Uint8Array.of(OLD_SPACE)))) {
    yield [
      { key: keyOf(NEW_SPACE, key.subarray(1)), value },
      { key, value: undefined },
    ]
  }
}

/** Another: every record of the new space ends with a mark. */
const markRecords: Migration = async function* (store) {
  for await (const [key, value] of store.entries(...rangeOf(Uint8Array.of(NEW_SPACE)))) {
    const text = Buffer.from(value).toString()
    // Run again after a crash, it leaves alone what it did before.
    if (!text.endsWith('!')) yield [{ key, value: utf8(`${text}!`) }]
  }
}

const MIGRATIONS = new Map([
  [3, moveSpace],
  [4, markRecords],
])

describe('a store of an older schema', () => {
  test('is brought up step by step', async () => {
    const store = await storeOfVersion(3)
    await bring(store, 5)
    expect(await contents(store)).toEqual(['a!', 'b!', 'c!'])
    expect(await store.get(SCHEMA_KEY)).toEqual(Uint8Array.of(5))
  })

  test('is brought up after a crash in any place', async () => {
    for (let seed = 0; seed < 30; seed++) {
      let store = await storeOfVersion(3, seed)
      const migrated = bring(store, 5)
      migrated.catch(() => undefined)
      for (let turn = 0; turn < seed; turn++) await new Promise((resolve) => setImmediate(resolve))
      store = store.crash()
      await bring(store, 5)
      expect(await contents(store)).toEqual(['a!', 'b!', 'c!'])
    }
  })

  test('from which no step leads here is refused and not touched', async () => {
    const store = await storeOfVersion(2)
    const before = store.keys()
    await expect(bring(store, 5)).rejects.toMatchObject({ code: 'ledger_corrupt' })
    expect(store.keys()).toEqual(before)
  })

  test('that is newer is refused and not touched', async () => {
    const store = await storeOfVersion(6)
    await expect(bring(store, 5)).rejects.toMatchObject({ code: 'ledger_corrupt', details: { position: 'meta' } })
  })
})

test('a new store bears the newest schema', async () => {
  const store = createCrashingStore(seededRandom(1))
  await bring(store, 5)
  expect(await store.get(SCHEMA_KEY)).toEqual(Uint8Array.of(5))
})

function bring(store: Store, version: number): Promise<void> {
  return bringToSchema({ store, queue: createCommitQueue(store) }, version, MIGRATIONS)
}

async function storeOfVersion(version: number, seed = 1) {
  const store = createCrashingStore(seededRandom(seed), 2)
  const records = ['a', 'b', 'c'].map((name) => ({ key: keyOf(OLD_SPACE, utf8(name)), value: utf8(name) }))
  await store.write([{ key: SCHEMA_KEY, value: Uint8Array.of(version) }, ...records])
  return store
}

async function contents(store: Store): Promise<readonly string[]> {
  const found: string[] = []
  for await (const [key, value] of store.entries(Uint8Array.of(OLD_SPACE), Uint8Array.of(0xff))) {
    expect(key[0]).toBe(NEW_SPACE)
    found.push(Buffer.from(value).toString())
  }
  return found
}
