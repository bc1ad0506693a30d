/**
 * DATA_DIR/node.json: how the commands of this machine find the node that runs on a data directory. It holds the
 * admin token, so only its owner may read it.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { reasonOf, TokError } from '../base/errors.ts'

/** A running node. */
export interface RuntimeFile {
  readonly pid: number
  /** Base URL of the facade, "http://127.0.0.1:8081". */
  readonly facade: string
  /** The bearer token of the admin API, fresh at every start. */
  readonly adminToken: string
  readonly peerId: string
  readonly startedAtMs: number
}

/** Writes the file, readable by its owner only, whole or not at all. */
export async function writeRuntimeFile(dataDirectory: string, runtime: RuntimeFile): Promise<void> {
  const file = fileOf(dataDirectory)
  const draft = `${file}.${runtime.pid}`
  await rm(draft, { force: true })
  await writeFile(draft, `${JSON.stringify(runtime)}\n`, { mode: 0o600, flag: 'wx' })
  await rename(draft, file)
}

/**
 * The node that runs, or last ran and was killed, on a data directory; undefined if there is no file.
 * @throws TokError `data_directory_unusable` if it cannot be read
 */
export async function readRuntimeFile(dataDirectory: string): Promise<RuntimeFile | undefined> {
  const file = fileOf(dataDirectory)
  try {
    const runtime: unknown = JSON.parse(await readFile(file, 'utf8'))
    if (!isRuntimeFile(runtime)) throw new Error('it lacks a field')
    return runtime
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    const reason = `${file}: ${reasonOf(error)}`
    throw new TokError('data_directory_unusable', { directory: dataDirectory, reason }, { cause: error })
  }
}

/** Removes the file, if it is the one that process `pid` wrote. */
export async function removeRuntimeFile(dataDirectory: string, pid: number): Promise<void> {
  const runtime = await readRuntimeFile(dataDirectory)
  if (runtime?.pid === pid) await rm(fileOf(dataDirectory), { force: true })
}

function fileOf(dataDirectory: string): string {
  return join(dataDirectory, 'node.json')
}

function isRuntimeFile(value: unknown): value is RuntimeFile {
  if (typeof value !== 'object' || value === null) return false
  const { pid, facade, adminToken, peerId, startedAtMs } = value as Record<string, unknown>
  return (
    Number.isSafeInteger(pid) &&
    Number(pid) > 0 &&
    typeof facade === 'string' &&
    typeof adminToken === 'string' &&
    typeof peerId === 'string' &&
    typeof startedAtMs === 'number'
  )
}
