/**
 * Asks the node that runs on a data directory, over its admin API.
 */
import { request } from 'undici'
import { readErrorCode, reasonOf, TokError } from '../base/errors.ts'
import { readRuntimeFile, type RuntimeFile } from '../node/runtime-file.ts'
import { AnsweredError } from './failure.ts'

const CONNECT_TIMEOUT_MS = 5_000

/** A running node. */
export interface AdminClient {
  readonly runtime: RuntimeFile
  /**
   * Asks and gives the JSON answer, of the shape that gateway/admin-api.ts names for the path.
   * @throws AnsweredError for what the node refuses; TokError `node_not_running`, `node_unreachable`
   */
  ask<T>(path: string, question?: Question): Promise<T>
  /** The answer's bytes as they come. Throws as `ask` does. */
  read(path: string): Promise<AsyncIterable<Uint8Array>>
}

/** How to ask. */
export interface Question {
  /** Sent as JSON by POST; without one it is a GET. */
  readonly body?: unknown
  readonly timeoutMs?: number
}

/**
 * The node of a data directory.
 * @throws TokError `node_not_running` if none has left its file there
 */
export async function connectAdmin(dataDirectory: string): Promise<AdminClient> {
  const runtime = await readRuntimeFile(dataDirectory)
  if (runtime === undefined) throw new TokError('node_not_running', { directory: dataDirectory })

  const send = async (path: string, { body, timeoutMs = CONNECT_TIMEOUT_MS }: Question = {}) => {
    try {
      return await request(`${runtime.facade}/api/v1/${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${runtime.adminToken}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headersTimeout: timeoutMs,
      })
    } catch (error) {
      throw silence(error, dataDirectory, runtime)
    }
  }
  return {
    runtime,
    async ask<T>(path: string, question?: Question): Promise<T> {
      const { statusCode, body } = await send(path, question)
      const answer: unknown = await body.json().catch((error: unknown) => {
        throw silence(error, dataDirectory, runtime)
      })
      if (statusCode >= 400) throw refusalOf(answer, statusCode)
      return answer as T
    },
    async read(path) {
      const { statusCode, body } = await send(path)
      if (statusCode >= 400) throw refusalOf(await body.json(), statusCode)
      return body
    },
  }
}

/**
 * The running node, or undefined if none answers: a killed node leaves its file, and its process id may by now be another
 * program's. Whoever needs the data directory to itself still has to take its lock.
 */
export async function findAdmin(dataDirectory: string): Promise<AdminClient | undefined> {
  try {
    const admin = await connectAdmin(dataDirectory)
    await admin.ask('status')
    return admin
  } catch (error) {
    if (error instanceof TokError && (error.code === 'node_not_running' || error.code === 'node_unreachable')) {
      return undefined
    }
    throw error
  }
}

/** True while a process of that id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Nothing answered: the node was killed and left its file, or it hangs. */
function silence(error: unknown, directory: string, { facade, pid }: RuntimeFile): TokError {
  return isAlive(pid)
    ? new TokError('node_unreachable', { directory, reason: `${facade}: ${reasonOf(error)}` }, { cause: error })
    : new TokError('node_not_running', { directory }, { cause: error })
}

function refusalOf(answer: unknown, statusCode: number): AnsweredError {
  const { error } = Object(answer) as { error?: { code?: unknown; message?: unknown; next?: unknown } }
  return new AnsweredError({
    code: readErrorCode(String(error?.code)),
    message: typeof error?.message === 'string' ? error.message : `the node answered with status ${statusCode}`,
    next: typeof error?.next === 'string' ? error.next : '',
  })
}
