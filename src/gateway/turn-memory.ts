/**
 * Recognises a turn that is asked again. Agents repeat a turn whose stream failed, some of them without streaming, as a new
 * request: the journal says of it which request it repeats, so that one turn is not taken for two.
 */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../base/clock.ts'
import { parseObject } from '../dialects/json-value.ts'

/** Remembers turns that failed, for a while. */
export interface TurnMemory {
  /** Notes that the answer to a request failed after it was asked for. */
  noteFailed(headers: IncomingHttpHeaders, body: Uint8Array, requestId: string): void
  /** The newest failed request of the same session that asked the same; undefined if there is none. */
  failedBefore(headers: IncomingHttpHeaders, body: Uint8Array): string | undefined
}

/** Where agents name their session. */
const SESSION_HEADERS = ['x-claude-code-session-id', 'session-id', 'x-session-id', 'x-session-affinity'] as const
/** Longer than any agent waits before it asks again, in ms. */
const REMEMBERED_MS = 600_000
const SESSIONS_MAX = 1_000

interface FailedTurn {
  readonly digest: string
  readonly requestId: string
  readonly failedAtMs: number
}

/** Makes an empty memory. It holds one turn per session, and digests only. */
export function createTurnMemory(clock: Clock): TurnMemory {
  const failed = new Map<string, FailedTurn>()
  return {
    noteFailed(headers, body, requestId) {
      const session = sessionOf(headers)
      const digest = session === undefined ? undefined : digestOf(body)
      if (session === undefined || digest === undefined) return
      failed.delete(session)
      failed.set(session, { digest, requestId, failedAtMs: clock.monotonicMs() })
      if (failed.size > SESSIONS_MAX) failed.delete(failed.keys().next().value ?? '')
    },
    failedBefore(headers, body) {
      const session = sessionOf(headers)
      const turn = session === undefined ? undefined : failed.get(session)
      // Nearly every request ends here: a body is only read where its session has just failed.
      if (session === undefined || turn === undefined) return undefined
      const isFresh = clock.monotonicMs() - turn.failedAtMs < REMEMBERED_MS
      if (isFresh && digestOf(body) === turn.digest) return turn.requestId
      failed.delete(session)
      return undefined
    },
  }
}

function sessionOf(headers: IncomingHttpHeaders): string | undefined {
  for (const name of SESSION_HEADERS) {
    const value = headers[name]
    if (typeof value === 'string' && value !== '') return `${name}: ${value}`
  }
  return undefined
}

/** What was asked, whatever limits, betas and streaming it is asked with the second time. */
function digestOf(body: Uint8Array): string | undefined {
  const { buffer, byteOffset, byteLength } = body
  const value = parseObject(Buffer.from(buffer, byteOffset, byteLength).toString('utf8'))
  if (value === undefined) return undefined
  const asked = JSON.stringify([value['model'], value['messages'] ?? value['input']])
  return createHash('sha256').update(asked).digest('base64')
}
