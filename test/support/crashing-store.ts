/**
 * A ledger's store in memory, for tests of what a power cut leaves behind: writes take their time, and a crash keeps a random
 * prefix of those that were not answered yet.
 */
import { setImmediate } from 'node:timers/promises'
import { toHex } from '../../src/base/bytes.ts'
import type { Store, Write } from '../../src/ledger/store.ts'

export interface CrashingStore extends Store {
  /**
   * The power goes: nothing that was asked of this store is ever answered again. Gives the disk as the next process finds it,
   * with some of the unanswered writes, the oldest first.
   */
  crash(): CrashingStore
  /** A backup of what is on the disk now. */
  copy(): CrashingStore
  /** From now on every write fails with this system error. */
  failWrites(code: 'ENOSPC' | 'EIO'): void
  /** Writes wait until the function it gives is called. */
  holdWrites(): () => void
  /** Every key on the disk in hexadecimal, sorted. */
  keys(): readonly string[]
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** An empty store whose reads and writes take up to `turnsMax` turns of the event loop. */
export function createCrashingStore(random: () => number, turnsMax = 0): CrashingStore {
  return storeOn(new Map(), random, turnsMax)
}

/** By key in hexadecimal, which sorts as the bytes do. */
type Disk = Map<string, Uint8Array>

function storeOn(disk: Disk, random: () => number, turnsMax: number): CrashingStore {
  const unanswered: (readonly Write[])[] = []
  let isDead = false
  let failure: string | undefined
  let held: Promise<void> | undefined

  const turns = async (): Promise<void> => {
    for (let left = Math.floor(random() * (turnsMax + 1)); left > 0; left--) await setImmediate()
    if (isDead) await new Promise(() => undefined)
  }

  return {
    async get(key) {
      await turns()
      return disk.get(toHex(key))
    },
    async write(writes) {
      unanswered.push(writes)
      await held
      await turns()
      if (failure !== undefined) throw Object.assign(new Error(`${failure}: write failed`), { code: failure })
      unanswered.splice(unanswered.indexOf(writes), 1)
      apply(disk, writes)
    },
    async *entries(from, to, reverse = false) {
      await turns()
      const [first, end] = [toHex(from), toHex(to)]
      const found = [...disk]
        .filter(([key]) => first <= key && key < end)
        .toSorted(([one], [other]) => (one < other ? -1 : 1))
      for (const [key, value] of reverse ? found.toReversed() : found)
        yield [new Uint8Array(Buffer.from(key, 'hex')), value]
    },
    close: () => turns(),
    crash() {
      isDead = true
      const kept = failure === undefined ? Math.floor(random() * (unanswered.length + 1)) : 0
      for (const writes of unanswered.slice(0, kept)) apply(disk, writes)
      return storeOn(disk, random, turnsMax)
    },
    copy: () => storeOn(new Map(disk), random, turnsMax),
    failWrites(code) {
      failure = code
    },
    holdWrites() {
      const { promise, resolve } = Promise.withResolvers<void>()
      held = promise
      return () => {
        held = undefined
        resolve()
      }
    },
    keys: () => [...disk.keys()].toSorted(),
  }
}

function apply(disk: Disk, writes: readonly Write[]): void {
  for (const { key, value } of writes) {
    if (value === undefined) disk.delete(toHex(key))
    else disk.set(toHex(key), new Uint8Array(value))
  }
}
