/**
 * Failures in the words of the dialect that asked, so that its clients read them as their own: before an
 * answer as an HTTP reply, within one as its last event. Sources: the published SDKs' error types, and what
 * Codex and Claude Code were seen to do with each.
 */
import type { TokError } from '../base/errors.ts'
import type { StreamPosition } from './answer-tally.ts'
import type { Dialect, Vendor } from './dialect.ts'

/** A whole HTTP reply. */
export interface ErrorReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const OPENAI_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'insufficient_quota',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_exceeded',
}

const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

const NOWHERE: StreamPosition = { answerId: undefined, nextSequenceNumber: 0 }

/**
 * The reply to a request that failed before anything was answered. `x-tok-error` holds the code of the table;
 * `x-should-retry: false`, which both SDKs obey, tells that asking again cannot help.
 */
export function errorReply(vendor: Vendor, error: TokError, requestId: string): ErrorReply {
  const body = vendor === 'openai' ? { error: openaiError(error) } : anthropicError(error, requestId)
  return {
    status: error.status,
    headers: {
      'content-type': 'application/json',
      'x-request-id': requestId,
      ...(vendor === 'anthropic' ? { 'request-id': requestId } : {}),
      'x-tok-error': error.code,
      ...(error.retryable ? {} : { 'x-should-retry': 'false' }),
    },
    body: JSON.stringify(body),
  }
}

/**
 * The last event of a stream that broke. Chat: an `error` object and no `[DONE]`. Responses: response.failed,
 * because Codex does not read a bare error event; `position` (of the answer's meter) continues its numbers.
 * Messages: an `error` event. A blank line goes first, so that an event cut in its middle cannot swallow it.
 */
export function errorEvent(
  dialect: Dialect,
  error: TokError,
  requestId: string,
  position: StreamPosition = NOWHERE,
): Uint8Array {
  switch (dialect) {
    case 'openai-chat':
      return Buffer.from(`\n\ndata: ${JSON.stringify({ error: openaiError(error) })}\n\n`)
    case 'anthropic-messages':
      return namedEvent('error', anthropicError(error, requestId))
    case 'openai-responses':
      return namedEvent('response.failed', {
        type: 'response.failed',
        sequence_number: position.nextSequenceNumber,
        response: {
          id: position.answerId ?? `resp_${requestId}`,
          object: 'response',
          status: 'failed',
          error: { code: responsesCode(error), message: explain(error) },
          incomplete_details: null,
          output: [],
          usage: null,
        },
      })
  }
}

function namedEvent(name: string, value: unknown): Uint8Array {
  return Buffer.from(`\n\nevent: ${name}\ndata: ${JSON.stringify(value)}\n\n`)
}

function explain(error: TokError): string {
  return `${error.message}; ${error.next}`
}

function openaiError(error: TokError): Readonly<Record<string, string | null>> {
  // Agents hammer on a 429 unless it says that money, not speed, is the matter.
  const spent = error.status === 429 && !error.retryable
  const type = spent ? 'insufficient_quota' : (OPENAI_TYPES[error.status] ?? openaiTypeOf(error.status))
  const { param: named } = error.details
  const param = typeof named === 'string' ? named : null
  return { message: explain(error), type, param, code: spent ? 'insufficient_quota' : error.code }
}

function openaiTypeOf(status: number): string {
  return status < 500 ? 'invalid_request_error' : 'server_error'
}

function anthropicError(error: TokError, requestId: string): object {
  const type = ANTHROPIC_TYPES[error.status] ?? (error.status < 500 ? 'invalid_request_error' : 'api_error')
  return { type: 'error', error: { type, message: explain(error) }, request_id: requestId }
}

/** Codex asks again after every code but a few; `insufficient_quota` is one that stops it. */
function responsesCode(error: TokError): string {
  const isMoney = error.status === 402 || (error.status === 429 && !error.retryable)
  return isMoney ? 'insufficient_quota' : 'server_error'
}
