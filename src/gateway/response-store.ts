/**
 * Answers of `/v1/responses` that clients asked to keep: a LevelDB of its own, bounded and expiring. It is a convenience,
 * not a record: a write is in the operating system's hands when it resolves, and the oldest give way to the newest.
 *
 *   "r" key              the answer and its whole input, as JSON
 *   "i" time ":" key     its size; the order of age, and all that is read at the start
 *   key = JSON of [owner, id]
 */
import { Level } from 'level'
import type { Clock } from '../base/clock.ts'
import { reasonOf, TokError } from '../base/errors.ts'
import type { JsonObject } from '../dialects/json-value.ts'

/** One answer with what it answered. */
export interface StoredResponse {
  /** The Responses object, its output included. */
  readonly response: JsonObject
  /** Every input item the model saw, those of earlier answers included. */
  readonly input: readonly unknown[]
}

/** Keeps answers. Whoever asks is named in each call, and nobody sees what is another's. */
export interface ResponseStore {
  get(owner: string, id: string): Promise<StoredResponse | undefined>
  /**
   * Keeps an answer under the id it has; from the call on `get` gives it. False if it is larger than the whole store.
   * @throws TokError `response_store_failed`
   */
  put(owner: string, id: string, stored: StoredResponse): Promise<boolean>
  /**
   * False if there was none.
   * @throws TokError `response_store_failed`
   */
  delete(owner: string, id: string): Promise<boolean>
  close(): Promise<void>
}

/** Bounds of a store. */
export interface ResponseStoreOptions {
  readonly lifetimeMs: number
  readonly bytesMax: number
  readonly countMax?: number
}

const COUNT_MAX = 100_000
/** What has expired is also removed while nobody asks: it was promised to be gone. */
const SWEEP_MS = 3_600_000
const TIME_DIGITS = 15

interface Entry {
  readonly bytes: number
  readonly storedAtMs: number
}

type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string }

/**
 * Opens the store of a directory, which it makes.
 * @throws TokError `data_directory_in_use`, `data_directory_unusable`
 */
export async function openResponseStore(
  directory: string,
  { clock }: { readonly clock: Clock },
  { lifetimeMs, bytesMax, countMax = COUNT_MAX }: ResponseStoreOptions,
): Promise<ResponseStore> {
  const level = await openLevel(directory)
  /** By key, the oldest first. */
  const entries = new Map<string, Entry>()
  /** What LevelDB may not show yet. */
  const arriving = new Map<string, StoredResponse>()
  let bytesHeld = 0
  let lastWrite: Promise<void> = Promise.resolve()

  const forget = (key: string): Operation[] => {
    const entry = entries.get(key)
    if (entry === undefined) return []
    entries.delete(key)
    arriving.delete(key)
    bytesHeld -= entry.bytes
    return [
      { type: 'del', key: `r${key}` },
      { type: 'del', key: ageKey(entry.storedAtMs, key) },
    ]
  }

  /** What has expired, and the oldest beyond the bounds once `countComing` more of `bytesComing` are there. */
  const forgetOld = (countComing: number, bytesComing: number): Operation[] => {
    const operations: Operation[] = []
    for (const [key, { storedAtMs }] of entries) {
      const isFull = bytesHeld + bytesComing > bytesMax || entries.size + countComing > countMax
      if (!isFull && storedAtMs + lifetimeMs > clock.nowMs()) break
      operations.push(...forget(key))
    }
    return operations
  }

  /** One after another, so that a late write cannot undo a newer one. */
  const write = (operations: readonly Operation[]): Promise<void> => {
    const written = lastWrite.then(async () => {
      try {
        if (operations.length > 0) await level.batch([...operations])
      } catch (cause) {
        throw new TokError('response_store_failed', { reason: reasonOf(cause) }, { cause })
      }
    })
    lastWrite = written.catch(() => undefined)
    return written
  }

  const sweep = async (): Promise<void> => {
    // A disk that fails here fails the next `put` too, which has somebody to tell.
    cancelSweep = clock.after(SWEEP_MS, () => void sweep().catch(() => undefined))
    await write(forgetOld(0, 0))
  }

  for await (const [key, bytes] of level.iterator({ gte: 'i', lt: 'j' })) {
    const storedAtMs = Number(key.slice(1, 1 + TIME_DIGITS))
    entries.set(key.slice(2 + TIME_DIGITS), { bytes: Number(bytes), storedAtMs })
    bytesHeld += Number(bytes)
  }
  let cancelSweep = (): void => undefined
  await sweep()

  return {
    async get(owner, id) {
      const key = keyOf(owner, id)
      const entry = entries.get(key)
      if (entry === undefined || entry.storedAtMs + lifetimeMs <= clock.nowMs()) return undefined
      const early = arriving.get(key)
      if (early !== undefined) return early
      const text = await level.get(`r${key}`)
      return text === undefined ? undefined : (JSON.parse(text) as StoredResponse)
    },
    async put(owner, id, stored) {
      const key = keyOf(owner, id)
      const text = JSON.stringify(stored)
      const bytes = Buffer.byteLength(text)
      if (bytes > bytesMax) return false
      const storedAtMs = clock.nowMs()
      const operations = [...forget(key), ...forgetOld(1, bytes)]
      entries.set(key, { bytes, storedAtMs })
      bytesHeld += bytes
      arriving.set(key, stored)
      operations.push({ type: 'put', key: `r${key}`, value: text })
      operations.push({ type: 'put', key: ageKey(storedAtMs, key), value: String(bytes) })
      try {
        await write(operations)
      } catch (error) {
        forget(key)
        throw error
      }
      if (arriving.get(key) === stored) arriving.delete(key)
      return true
    },
    async delete(owner, id) {
      const operations = forget(keyOf(owner, id))
      await write(operations)
      return operations.length > 0
    },
    async close() {
      cancelSweep()
      await lastWrite
      await level.close()
    },
  }
}

function keyOf(owner: string, id: string): string {
  return JSON.stringify([owner, id])
}

function ageKey(storedAtMs: number, key: string): string {
  return `i${String(storedAtMs).padStart(TIME_DIGITS, '0')}:${key}`
}

async function openLevel(directory: string): Promise<Level<string, string>> {
  const level = new Level<string, string>(directory, { keyEncoding: 'utf8', valueEncoding: 'utf8' })
  try {
    await level.open()
    return level
  } catch (thrown) {
    const cause = thrown instanceof Error && thrown.cause !== undefined ? thrown.cause : thrown
    if ((cause as NodeJS.ErrnoException).code === 'LEVEL_LOCKED') {
      throw new TokError('data_directory_in_use', { directory, detail: '' }, { cause: thrown })
    }
    const reason = `${reasonOf(cause)}; it holds kept answers only, and may be deleted`
    throw new TokError('data_directory_unusable', { directory, reason }, { cause: thrown })
  }
}
