/**
 * A set of names that does not grow in memory with what it holds: beyond a number they go to a LevelDB in a temporary directory,
 * which is removed with the set. A million names take 40 MB there, and the memory of LevelDB's caches here.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'

export interface NameSet {
  /** Adds `name`; false if it was in the set before. */
  add(name: string): Promise<boolean>
  /** Removes what lies on the disk. */
  close(): Promise<void>
}

/** Names held in memory: about 10 MB. */
const IN_MEMORY_MAX = 65_536

export function createNameSet(inMemoryMax: number = IN_MEMORY_MAX): NameSet {
  const recent = new Set<string>()
  let directory: string | undefined
  let level: Level<string, string> | undefined

  const moveToDisk = async (): Promise<void> => {
    if (level === undefined) {
      directory = await mkdtemp(join(tmpdir(), 'tok-names-'))
      level = new Level(directory)
    }
    await level.batch([...recent].map((name) => ({ type: 'put', key: name, value: '' })))
    recent.clear()
  }
  return {
    async add(name) {
      if (recent.has(name)) return false
      if (level !== undefined && (await level.get(name)) !== undefined) return false
      recent.add(name)
      if (recent.size >= inMemoryMax) await moveToDisk()
      return true
    },
    async close() {
      await level?.close()
      if (directory !== undefined) await rm(directory, { recursive: true, force: true })
    },
  }
}
