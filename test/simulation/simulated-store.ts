/**
 * A node's disk, and the store that one process of it has open: writes take their time, a crash keeps some of what was not
 * answered yet, and a write can fail.
 */
import type { Store, Write } from '../../src/ledger/store.ts'
import type { Randomness } from './randomness.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What is on a disk: keys as latin1 text, which sorts as the bytes do. */
export class SimulatedDisk {
  readonly #values = new Map<string, Uint8Array>()
  /** Every key, sorted, apart by first byte. */
  readonly #keys = new Map<string, string[]>()

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key)
  }

  apply(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      const name = textOf(key)
      if (value === undefined) this.#remove(name)
      else {
        if (!this.#values.has(name)) this.#insert(name)
        this.#values.set(name, value)
      }
    }
  }

  /** Keys with `from <= key < to`, ascending. */
  keysBetween(from: string, to: string): readonly string[] {
    const found: string[] = []
    for (const space of [...this.#keys.keys()].toSorted()) {
      const keys = this.#keys.get(space) ?? []
      for (let index = positionOf(keys, from); index < keys.length; index++) {
        const key = keys[index] as string
        if (key >= to) break
        found.push(key)
      }
    }
    return found
  }

  /** A copy, as a backup is one. */
  copy(): SimulatedDisk {
    const copy = new SimulatedDisk()
    for (const [key, value] of this.#values) copy.#values.set(key, value)
    for (const [space, keys] of this.#keys) copy.#keys.set(space, [...keys])
    return copy
  }

  #insert(key: string): void {
    const space = key.slice(0, 1)
    const keys = this.#keys.get(space) ?? []
    this.#keys.set(space, keys)
    keys.splice(positionOf(keys, key), 0, key)
  }

  #remove(key: string): void {
    const keys = this.#keys.get(key.slice(0, 1))
    if (!this.#values.delete(key) || keys === undefined) return
    keys.splice(positionOf(keys, key), 1)
  }
}

export function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

/** The index of the first key that is not below `key`. */
function positionOf(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

/** Where a write can be when the power goes. */
export type WriteStage = 'issued' | 'durable' | 'answered'

/** Of a write in ms: the usual, and one in fifty. */
const WRITE_MS = [0.2, 3] as const
const SLOW_WRITE_MS = [10, 120] as const
const SLOW_PART = 0.02
const ANSWER_MS = 0.05

export interface StoreHooks {
  /** A batch is on the disk now. */
  onDurable(writes: readonly Write[]): void
}

/** The store of one process. */
export class SimulatedStore implements Store {
  readonly #disk: SimulatedDisk
  readonly #time: VirtualTime
  readonly #random: Randomness
  readonly #hooks: StoreHooks
  #unanswered: (readonly Write[])[] = []
  #isDead = false
  #failure: string | undefined
  #watch: { readonly stage: WriteStage; readonly run: () => void } | undefined

  constructor(disk: SimulatedDisk, time: VirtualTime, random: Randomness, hooks: StoreHooks) {
    this.#disk = disk
    this.#time = time
    this.#random = random
    this.#hooks = hooks
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#disk.get(textOf(key)))
  }

  write(writes: readonly Write[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    if (this.#isDead) return promise
    this.#unanswered.push(writes)
    this.#reach('issued')
    const [least, most] = this.#random.isWithin(SLOW_PART) ? SLOW_WRITE_MS : WRITE_MS
    this.#time.after(this.#random.between(least, most), () => {
      if (this.#isDead) return
      if (this.#failure !== undefined) {
        reject(Object.assign(new Error(`${this.#failure}: write failed`), { code: this.#failure }))
        return
      }
      this.#persist(writes)
      this.#unanswered = this.#unanswered.filter((each) => each !== writes)
      this.#reach('durable')
      this.#time.after(ANSWER_MS, () => {
        if (this.#isDead) return
        resolve()
        this.#reach('answered')
      })
    })
    return promise
  }

  async *entries(from: Uint8Array, to: Uint8Array, reverse = false): AsyncIterable<[Uint8Array, Uint8Array]> {
    const keys = await this.#read(() => this.#disk.keysBetween(textOf(from), textOf(to)))
    for (const key of reverse ? keys.toReversed() : keys) {
      const value = this.#disk.get(key)
      if (value !== undefined) yield [new Uint8Array(Buffer.from(key, 'latin1')), value]
    }
  }

  async close(): Promise<void> {
    await this.#read(() => undefined)
  }

  /** The power goes: nothing is answered any more, and of what was not answered the oldest part is on the disk. */
  crash(): void {
    if (this.#isDead) return
    this.#isDead = true
    const kept = this.#random.whole(0, this.#unanswered.length)
    for (const writes of this.#unanswered.slice(0, kept)) this.#persist(writes)
  }

  /** Calls `run` when the next write is at `stage`: once it was answered, after all that follows from the answer. */
  onNextWrite(stage: WriteStage, run: () => void): void {
    this.#watch = { stage, run }
  }

  /** From now on every write fails with this system error; what waits may be on the disk all the same after a restart. */
  failWrites(code: 'ENOSPC' | 'EIO'): void {
    this.#failure = code
  }

  #persist(writes: readonly Write[]): void {
    this.#disk.apply(writes)
    this.#hooks.onDurable(writes)
  }

  #reach(stage: WriteStage): void {
    const watch = this.#watch
    if (watch?.stage !== stage) return
    this.#watch = undefined
    if (stage === 'answered') this.#time.after(0, watch.run)
    else watch.run()
  }

  async #read<T>(read: () => T): Promise<T> {
    if (this.#random.isWithin(0.2)) {
      await new Promise<void>((resolve) => this.#time.after(this.#random.between(0.05, 1), resolve))
    }
    if (this.#isDead) await new Promise(() => undefined)
    return read()
  }
}
