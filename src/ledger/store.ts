/**
 * The ledger's LevelDB: a directory of its own, one process, numbered key spaces, and one queue through which every write goes.
 */
import { readdir } from 'node:fs/promises'
import { Level } from 'level'
import { reasonOf, TokError } from '../base/errors.ts'

/** One write of a batch. */
export interface Write {
  readonly key: Uint8Array
  /** Undefined deletes the key. */
  readonly value: Uint8Array | undefined
}

/** An ordered, durable map of bytes. LevelDB here; a simulation brings one that crashes. */
export interface Store {
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  /** Applies all writes or none. Resolved means: on disk. */
  write(writes: readonly Write[]): Promise<void>
  /** Entries with `from <= key < to`, ascending, or descending if `reverse`. */
  entries(from: Uint8Array, to: Uint8Array, reverse?: boolean): AsyncIterable<[Uint8Array, Uint8Array]>
  close(): Promise<void>
}

/** The first byte of every key. Never reuse a number. */
export const SPACES = {
  meta: 0x01,
  order: 0x02,
  voucher: 0x03,
  receipt: 0x04,
  acceptance: 0x05,
  proposal: 0x06,
  statement: 0x07,
  account: 0x08,
  settled: 0x09,
  openCall: 0x0a,
  evidence: 0x0b,
  rejection: 0x0c,
  journal: 0x0d,
  advert: 0x0e,
  settledVoucher: 0x0f,
  checkpoint: 0x10,
  reverified: 0x11,
  payment: 0x18,
  settledReference: 0x19,
  netting: 0x1a,
  settledNetting: 0x1b,
  rejected: 0x12,
} as const

/** A key: the space, then its parts. */
export function keyOf(space: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([Uint8Array.of(space), ...parts])
}

/** A count as 8 bytes, big-endian, so that keys sort by it. */
export function sortableUint(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

/** The range of all keys that begin with `prefix`. */
export function rangeOf(prefix: Uint8Array): [Uint8Array, Uint8Array] {
  const end = new Uint8Array(prefix)
  for (let index = end.length - 1; index >= 0; index--) {
    const byte = end[index] ?? 0
    if (byte < 0xff) {
      end[index] = byte + 1
      return [prefix, end.subarray(0, index + 1)]
    }
  }
  return [prefix, Uint8Array.of(0xff, 0xff)]
}

/**
 * Opens the LevelDB of a ledger. `create` is true only for a node that has no identity yet: a ledger that is missing beside an
 * existing identity is lost, and starting over from nothing would forget signed debts.
 * @throws TokError `data_directory_in_use`, `ledger_corrupt`, `data_directory_unusable`
 */
export async function openLevelStore(directory: string, create: boolean): Promise<Store> {
  const files = await filesIn(directory)
  if (!create && files.length === 0) {
    throw new TokError('ledger_corrupt', {
      position: directory,
      reason: 'it is missing, and this node has an identity',
    })
  }
  const level = new Level<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    // LevelDB would begin anew beside the data of one that lost its CURRENT file.
    createIfMissing: create && !files.some((file) => /\.(ldb|log)$/.test(file)),
  })
  try {
    await level.open()
  } catch (thrown) {
    throw openFailure(directory, thrown)
  }
  if (!create && (await level.keys({ limit: 1 }).next()) === undefined) {
    // LevelDB opens without a word if its log is gone, and that held everything.
    await level.close()
    throw new TokError('ledger_corrupt', {
      position: directory,
      reason: 'it holds nothing, and this node has an identity',
    })
  }
  return {
    get: (key) => level.get(key),
    write: (writes) =>
      level.batch(
        writes.map(({ key, value }) => (value === undefined ? { type: 'del', key } : { type: 'put', key, value })),
        { sync: true },
      ),
    entries: (from, to, reverse = false) => level.iterator({ gte: from, lt: to, reverse }),
    close: () => level.close(),
  }
}

/** Writes in order of arrival, many at a time: what waits while the disk syncs goes out together in the next batch. */
export interface CommitQueue {
  /**
   * Writes all of `writes` in one batch; resolves when they are on disk. Batches become durable in the order of the calls.
   * @throws TokError `storage_failed`; after the first failure every commit fails, because what was built on it is unknown
   */
  commit(writes: readonly Write[]): Promise<void>
  /** Resolves when nothing waits. */
  idle(): Promise<void>
}

interface Waiting {
  readonly writes: readonly Write[]
  readonly resolve: () => void
  readonly reject: (error: TokError) => void
}

/** Writes that one batch holds at the most, so that a burst cannot stall the disk for long. */
const WRITES_PER_BATCH = 2_000

export function createCommitQueue(store: Store): CommitQueue {
  let waiting: Waiting[] = []
  let flushing: Promise<void> | undefined
  let failure: TokError | undefined

  const flush = async (): Promise<void> => {
    await undefined // let the callers of this turn join the first batch
    while (waiting.length > 0) {
      const batch = takeBatch()
      try {
        if (failure !== undefined) throw failure
        await store.write(batch.flatMap((each) => each.writes))
        for (const each of batch) each.resolve()
      } catch (thrown) {
        failure ??= new TokError('storage_failed', { reason: reasonOf(thrown) }, { cause: thrown })
        for (const each of batch) each.reject(failure)
      }
    }
    flushing = undefined
  }

  const takeBatch = (): Waiting[] => {
    let count = 0
    const end = waiting.findIndex((each) => (count += each.writes.length) > WRITES_PER_BATCH)
    const size = end === -1 ? waiting.length : Math.max(end, 1)
    const batch = waiting.slice(0, size)
    waiting = waiting.slice(size)
    return batch
  }

  return {
    commit: (writes) =>
      new Promise((resolve, reject) => {
        waiting.push({ writes, resolve, reject })
        flushing ??= flush()
      }),
    idle: async () => {
      await flushing
    },
  }
}

async function filesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new TokError('data_directory_unusable', { directory, reason: reasonOf(thrown) }, { cause: thrown })
  }
}

function openFailure(directory: string, thrown: unknown): TokError {
  const cause = thrown instanceof Error && thrown.cause !== undefined ? thrown.cause : thrown
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'LEVEL_LOCKED')
    return new TokError('data_directory_in_use', { directory, detail: '' }, { cause: thrown })
  if (code === 'LEVEL_CORRUPTION') {
    return new TokError('ledger_corrupt', { position: directory, reason: reasonOf(cause) }, { cause: thrown })
  }
  const reason = reasonOf(cause)
  return /does not exist|No such file/.test(reason)
    ? new TokError('ledger_corrupt', { position: directory, reason }, { cause: thrown })
    : new TokError('data_directory_unusable', { directory, reason }, { cause: thrown })
}
