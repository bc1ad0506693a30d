/**
 * Failures in the words of the dialect that asked, so that its clients read them as their own: before an answer as an HTTP
 * reply, within one as its last event. Sources: the published SDKs' error types, and what Codex and Claude Code were seen to
 * do with each.
 */
import { TokError } from '../base/errors.ts'
import type { StreamPosition } from './answer-tally.ts'
import type { OverflowTokens } from './context-overflow.ts'
import type { Dialect, Vendor } from './dialect.ts'
import type { JsonObject } from './json-value.ts'
import {
  isAnthropicOverflow,
  kindOfStatus,
  STATUS_OF_KIND,
  type ErrorKind,
  type ProviderError,
} from './provider-error.ts'

/** A whole HTTP reply. */
export interface ErrorReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

interface KindEntry {
  readonly openaiType: string
  readonly anthropicType: string
  /**
   * In response.failed. Codex shortens its conversation on context_length_exceeded, stops on insufficient_quota and
   * invalid_prompt, and asks again on every other code.
   */
  readonly responsesCode: string
  /** True if asking again may help. */
  readonly isRetryable: boolean
}

const entry = (openaiType: string, anthropicType: string, responsesCode: string, isRetryable = false): KindEntry => ({
  openaiType,
  anthropicType,
  responsesCode,
  isRetryable,
})

// oxfmt-ignore
const KINDS: Readonly<Record<ErrorKind, KindEntry>> = {
  invalid_request: entry('invalid_request_error', 'invalid_request_error', 'invalid_prompt'),
  context_length: entry('invalid_request_error', 'invalid_request_error', 'context_length_exceeded'),
  authentication: entry('authentication_error', 'authentication_error', 'invalid_prompt'),
  billing: entry('insufficient_quota', 'billing_error', 'insufficient_quota'),
  permission: entry('permission_error', 'permission_error', 'invalid_prompt'),
  not_found: entry('not_found_error', 'not_found_error', 'invalid_prompt'),
  too_large: entry('invalid_request_error', 'request_too_large', 'invalid_prompt'),
  rate_limit: entry('rate_limit_exceeded', 'rate_limit_error', 'rate_limit_exceeded', true),
  quota: entry('insufficient_quota', 'rate_limit_error', 'insufficient_quota'),
  timeout: entry('server_error', 'timeout_error', 'server_error', true),
  server: entry('server_error', 'api_error', 'server_error', true),
  overloaded: entry('server_error', 'overloaded_error', 'server_error', true),
}

/** What is left of an agent's room for output when it had better shorten its conversation than its answer, in tokens. */
const OUTPUT_ROOM_MIN = 4_000

const NOWHERE: StreamPosition = { answerId: undefined, nextSequenceNumber: 0 }

/** A failure of either origin, in the words of one vendor. */
interface Failure extends KindEntry {
  readonly status: number
  readonly message: string
  /** As OpenAI's errors hold them. */
  readonly code: string | null
  readonly param: string | null
  /** The code of the table. */
  readonly tokCode: string
  /** As Anthropic's errors hold them, where its SDK acts on them. */
  readonly anthropicDetails?: object | undefined
}

/** On this the SDK's tool runner goes on without leaving the conversation at the server. */
const THREAD_REFUSED = { error_code: 'thread_unsupported_request', unsupported: [] }

/**
 * The reply to a request that failed before anything was answered. `x-tok-error` holds the code of the table;
 * `x-should-retry: false`, which both SDKs obey, tells that asking again cannot help. Of a provider's error the caller adds
 * the headers that travel (`retry-after`).
 */
export function errorReply(vendor: Vendor, error: TokError | ProviderError, requestId: string): ErrorReply {
  const failure = failureOf(vendor, error)
  const body = vendor === 'openai' ? { error: openaiError(failure) } : anthropicError(failure, requestId)
  return {
    status: failure.status,
    headers: {
      'content-type': 'application/json',
      'x-request-id': requestId,
      ...(vendor === 'anthropic' ? { 'request-id': requestId } : {}),
      'x-tok-error': failure.tokCode,
      ...(failure.isRetryable ? {} : { 'x-should-retry': 'false' }),
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
  error: TokError | ProviderError,
  requestId: string,
  position: StreamPosition = NOWHERE,
): Uint8Array {
  const failure = failureOf(dialect === 'anthropic-messages' ? 'anthropic' : 'openai', error)
  switch (dialect) {
    case 'openai-chat':
      return Buffer.from(`\n\ndata: ${JSON.stringify({ error: openaiError(failure) })}\n\n`)
    case 'anthropic-messages':
      return namedEvent('error', anthropicError(failure, requestId))
    case 'openai-responses':
      return namedEvent('response.failed', {
        type: 'response.failed',
        sequence_number: position.nextSequenceNumber,
        response: {
          id: position.answerId ?? `resp_${requestId}`,
          object: 'response',
          status: 'failed',
          error: responseErrorOf(failure),
          incomplete_details: null,
          output: [],
          usage: null,
        },
      })
  }
}

/** What a reply's headers advise beyond its body; for a caller that sends headers of its own. */
export function adviceOf({ headers }: ErrorReply): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name === 'x-should-retry' || name === 'x-tok-error'),
  )
}

/** What `response.failed` holds as its error, for a stream that this node writes itself. */
export function responseError(error: ProviderError): JsonObject {
  return responseErrorOf(failureOf('openai', error))
}

function responseErrorOf({ responsesCode, message }: Failure): JsonObject {
  return { code: responsesCode, message }
}

function namedEvent(name: string, value: unknown): Uint8Array {
  return Buffer.from(`\n\nevent: ${name}\ndata: ${JSON.stringify(value)}\n\n`)
}

/** The member of the request that is at fault, where one is and it is named by its path. */
function paramOf({ details }: TokError): string | null {
  const named = details['param'] ?? details['field']
  return typeof named === 'string' && /^[\w.[\]]+$/.test(named) ? named : null
}

function openaiError({ message, openaiType, param, code }: Failure): object {
  return { message, type: openaiType, param, code }
}

function anthropicError({ message, anthropicType, anthropicDetails }: Failure, requestId: string): object {
  const details = anthropicDetails === undefined ? {} : { details: anthropicDetails }
  return { type: 'error', error: { type: anthropicType, message, ...details }, request_id: requestId }
}

function failureOf(vendor: Vendor, error: TokError | ProviderError): Failure {
  return error instanceof TokError ? failureHere(error) : failureThere(vendor, error)
}

/** A failure of the table: it keeps its status, and says what to do. */
function failureHere(error: TokError): Failure {
  const { status, retryable, code } = error
  // Agents hammer on a 429 unless it says that money, not speed, is the matter.
  const isSpent = status === 429 && !retryable
  return {
    ...KINDS[isSpent ? 'quota' : kindOfStatus(status)],
    isRetryable: retryable,
    status,
    message: `${error.message}; ${error.next}`,
    code: isSpent ? 'insufficient_quota' : code,
    param: paramOf(error),
    tokCode: code,
    anthropicDetails:
      code === 'translation_refused' && error.details['field'] === 'thread' ? THREAD_REFUSED : undefined,
  }
}

function failureThere(vendor: Vendor, error: ProviderError): Failure {
  return {
    ...KINDS[error.kind],
    status: statusFor(vendor, error),
    message: error.kind === 'context_length' ? overflowMessage(vendor, error) : error.message,
    code: codeOf(error),
    param: error.param ?? null,
    tokCode: 'provider_failed',
  }
}

/** The provider's status where it goes with what is the matter. Anthropic is overloaded with 529, everyone else with 503. */
function statusFor(vendor: Vendor, { kind, status }: ProviderError): number {
  if (kind === 'overloaded' && vendor === 'anthropic') return 529
  if (kind === 'overloaded' || kindOfStatus(status) !== kind) return STATUS_OF_KIND[kind]
  return status
}

function codeOf({ kind, code }: ProviderError): string | null {
  if (kind === 'context_length') return 'context_length_exceeded'
  if (kind === 'quota' || kind === 'billing') return 'insufficient_quota'
  return code ?? null
}

/** What each vendor's agents know an overflow by, with the numbers where they are told. */
function overflowMessage(vendor: Vendor, { message, tokens = {} }: ProviderError): string {
  return vendor === 'anthropic' ? anthropicOverflow(message, tokens) : openaiOverflow(message, tokens)
}

function anthropicOverflow(message: string, { used, output, max }: OverflowTokens): string {
  if (isAnthropicOverflow(message)) return message
  if (used === undefined || max === undefined) return `prompt is too long: ${message}`
  // Claude Code reads this sentence too, and asks for less output.
  if (output !== undefined && max - used >= OUTPUT_ROOM_MIN) {
    return `input length and \`max_tokens\` exceed context limit: ${used} + ${output} > ${max}, decrease input length or \`max_tokens\` and try again`
  }
  const total = used > max ? used : used + (output ?? 0)
  return total > max ? `prompt is too long: ${total} tokens > ${max} maximum` : `prompt is too long: ${message}`
}

function openaiOverflow(message: string, { used, output = 0, max }: OverflowTokens): string {
  if (/context (?:length|window)/i.test(message)) return message
  const room =
    max === undefined ? 'the context window of this model' : `this model's maximum context length of ${max} tokens`
  const size = used === undefined ? 'Your input' : `Your input of ${used + output} tokens`
  return `${size} exceeds ${room} (${message})`
}
