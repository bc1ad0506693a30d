/**
 * Reads a provider's error answer, in whatever shape it comes, into one form. Written again by error-reply.ts, in the dialect
 * of whoever asked. Shapes: OpenAI, Anthropic, FastAPI (`detail`), Ollama (`error` is a text), Gemini (a list of one), vLLM
 * (the error at the top level), a text, a web page of a proxy, nothing.
 */
import { readContextOverflow, type OverflowTokens } from './context-overflow.ts'
import type { Dialect } from './dialect.ts'
import { asList, asObject, asText, isObject, type JsonObject } from './json-value.ts'

/** What went wrong at a provider, as far as a client acts on it. */
export type ErrorKind =
  | 'invalid_request'
  | 'context_length'
  | 'authentication'
  | 'billing'
  | 'permission'
  | 'not_found'
  | 'too_large'
  | 'rate_limit'
  | 'quota'
  | 'timeout'
  | 'server'
  | 'overloaded'

/** A provider's error. */
export interface ProviderError {
  /** The HTTP status; that of the kind where the error came within a stream and told none. */
  readonly status: number
  readonly kind: ErrorKind
  /** In the provider's words, without secrets. Never "". */
  readonly message: string
  /** The provider's own word for it. */
  readonly code?: string | undefined
  /** The field of the request it is about. */
  readonly param?: string | undefined
  /** Of `context_length` only. */
  readonly tokens?: OverflowTokens | undefined
}

/** More of an error answer need not be kept: what follows is not read. */
export const ERROR_BODY_BYTES_MAX = 65_536

const MESSAGE_CHARACTERS_MAX = 2_000

const KIND_OF_STATUS: Readonly<Record<number, ErrorKind>> = {
  401: 'authentication',
  402: 'billing',
  403: 'permission',
  404: 'not_found',
  408: 'timeout',
  413: 'too_large',
  429: 'rate_limit',
  503: 'overloaded',
  504: 'timeout',
  529: 'overloaded',
}

/** The status of a kind that came without one, and of a status that does not go with its kind. */
export const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid_request: 400,
  context_length: 400,
  authentication: 401,
  billing: 402,
  permission: 403,
  not_found: 404,
  too_large: 413,
  rate_limit: 429,
  quota: 429,
  timeout: 504,
  server: 502,
  overloaded: 503,
}

/** What the codes and types of errors say. Statuses say it better, but for money. */
const KIND_OF_WORD: ReadonlyMap<string, ErrorKind> = new Map([
  ['api_error', 'server'],
  ['authentication_error', 'authentication'],
  ['billing_error', 'billing'],
  ['billing_hard_limit_reached', 'quota'],
  ['exceeded_current_quota_error', 'quota'],
  ['insufficient_quota', 'quota'],
  ['invalid_api_key', 'authentication'],
  ['invalid_prompt', 'invalid_request'],
  ['invalid_request_error', 'invalid_request'],
  ['model_not_found', 'not_found'],
  ['not_found_error', 'not_found'],
  ['overloaded_error', 'overloaded'],
  ['permission_error', 'permission'],
  ['quota_exceeded', 'quota'],
  ['rate_limit_error', 'rate_limit'],
  ['rate_limit_exceeded', 'rate_limit'],
  ['request_too_large', 'too_large'],
  ['server_error', 'server'],
  ['server_is_overloaded', 'overloaded'],
  ['slow_down', 'overloaded'],
  ['timeout_error', 'timeout'],
  ['unavailable_error', 'overloaded'],
])

const NO_MONEY = /credit balance is too low|insufficient (?:account )?(?:balance|credits?|funds)/i

const WEB_PAGE = /^\s*<(?:!doctype|html|head|body|\?xml)/i
const HEADLINE = /<(?:title|h1)\b[^<>]{0,200}>([^<]{1,200})/i

/** Keys and tokens as the vendors form them; providers like to repeat the one they refuse. */
const SECRETS =
  /\b(?:(?:sk|pk|rk|gsk|xai|csk|fw|pplx|nvapi|tok|r8|hf|gh[opsu])[-_][\w*.-]{8,}|AIza[\w-]{20,}|AKIA[A-Z0-9]{12,}|eyJ[\w-]{10,}\.[\w.-]{10,})|\bBearer\s+[\w~+/.=*-]{8,}/g

/** The kind of an error of which only the status is known. */
export function kindOfStatus(status: number): ErrorKind {
  return KIND_OF_STATUS[status] ?? (status >= 500 ? 'server' : 'invalid_request')
}

/**
 * Reads an error answer. Never throws: what has no known shape is quoted.
 * @param status the HTTP status of the answer, 400 or more
 * @param body all of it, or its first `ERROR_BODY_BYTES_MAX` bytes
 */
export function readProviderError(status: number, body: string | Uint8Array): ProviderError {
  const text = textOf(body)
  const value = parse(text)
  return isObject(value) ? providerErrorOf(value, status) : errorOf(describe(text, status), [], status)
}

/**
 * Reads an error that is JSON already: an event within a stream (`{error}`, `{type: "error"}`, `response.failed`), or a whole
 * answer's body.
 * @param status the HTTP status, where there is one that tells of an error
 */
export function providerErrorOf(value: JsonObject, status?: number): ProviderError {
  const error = errorWithin(value)
  const message = messageOf(value, error)
  const words = [error['code'], error['type'], error['status']].filter((word) => typeof word === 'string')
  const told = [status, error['code'], error['status_code'], error['status']].find(isErrorStatus)
  const { tokens, ...read } = errorOf(message ?? describe('', told), words, told)
  return {
    ...read,
    code: asText(error['code']),
    param: asText(error['param']),
    tokens: tokens && {
      ...tokens,
      used: tokens.used ?? numberOf(error['n_prompt_tokens']),
      max: tokens.max ?? numberOf(error['n_ctx']),
    },
  }
}

/**
 * True if an error answer of a provider would mislead a client of its own dialect: it is not in the dialect's shape, tells of
 * an overflow in words that the dialect's agents do not know, or repeats a secret. It is then to be written anew.
 */
export function needsReEnvelope(dialect: Dialect, body: string | Uint8Array): boolean {
  const text = textOf(body)
  const value = parse(text)
  if (!isObject(value) || !isObject(value['error'])) return true
  const { type, code, message } = value['error']
  if (typeof message !== 'string' || withoutSecrets(text) !== text) return true
  const overflows = providerErrorOf(value).kind === 'context_length'
  if (dialect === 'anthropic-messages') {
    if (value['type'] !== 'error' || typeof type !== 'string') return true
    return overflows && !isAnthropicOverflow(message)
  }
  return overflows && code !== 'context_length_exceeded'
}

/** True for the sentences by which Anthropic tells of an overflow, and its agents know it. */
export function isAnthropicOverflow(message: string): boolean {
  return /prompt is too long|input length and `max_tokens` exceed context limit: \d+ \+ \d+ > \d+/.test(message)
}

function errorOf(message: string, words: readonly string[], status: number | undefined): ProviderError {
  const overflow = mayOverflow(status) ? readContextOverflow(message, words) : undefined
  const kind = overflow === undefined ? kindOf(message, words, status) : 'context_length'
  const clipped = message.length > MESSAGE_CHARACTERS_MAX ? `${message.slice(0, MESSAGE_CHARACTERS_MAX)}...` : message
  return {
    status: isErrorStatus(status) ? status : STATUS_OF_KIND[kind],
    kind,
    message: withoutSecrets(clipped),
    tokens: overflow,
  }
}

function mayOverflow(status: number | undefined): boolean {
  return status !== 401 && status !== 403 && status !== 429
}

function kindOf(message: string, words: readonly string[], status: number | undefined): ErrorKind {
  const word = words.map((each) => KIND_OF_WORD.get(each.toLowerCase())).find((kind) => kind !== undefined)
  if (word === 'quota' || word === 'billing') return word
  if (NO_MONEY.test(message)) return 'billing'
  const ofStatus = status === undefined ? undefined : KIND_OF_STATUS[status]
  return ofStatus ?? word ?? kindOfStatus(status ?? 500)
}

function errorWithin(value: JsonObject): JsonObject {
  if (isObject(value['error'])) return value['error']
  const failed = asObject(value['response'])['error']
  return isObject(failed) ? failed : value
}

function messageOf(value: JsonObject, error: JsonObject): string | undefined {
  const message = asText(error['message']) ?? asText(value['error']) ?? asText(value['message'])
  // A router in between says only that its own provider failed, and quotes it.
  const quoted = asText(asObject(error['metadata'])['raw'])
  if (message !== undefined) return quoted === undefined ? message : `${message}: ${quoted}`
  return asText(value['detail']) ?? detailsOf(asList(value['detail'])) ?? detailsOf([value['detail']])
}

/** FastAPI's list of what is wrong where. */
function detailsOf(details: readonly unknown[]): string | undefined {
  const lines = details.slice(0, 8).flatMap((each) => {
    const { loc, msg, message, error } = asObject(each)
    const text = asText(msg) ?? asText(message) ?? asText(error)
    return text === undefined
      ? []
      : [[asList(loc).map(String).join('.'), text].filter((part) => part !== '').join(': ')]
  })
  return lines.length === 0 ? undefined : lines.join('; ')
}

function describe(text: string, status: number | undefined): string {
  const said = text.trim()
  if (said === '')
    return `the provider answered with ${status === undefined ? 'an error' : `status ${status}`} and said nothing`
  if (!WEB_PAGE.test(said)) return said
  const headline = HEADLINE.exec(said)?.[1]?.trim()
  return headline === undefined
    ? 'the provider answered with a web page'
    : `the provider answered with a web page: "${headline}"`
}

function withoutSecrets(text: string): string {
  return text.replace(SECRETS, '[secret]')
}

function textOf(body: string | Uint8Array): string {
  if (typeof body === 'string') return body.slice(0, ERROR_BODY_BYTES_MAX)
  const length = Math.min(body.byteLength, ERROR_BODY_BYTES_MAX)
  return Buffer.from(body.buffer, body.byteOffset, length).toString('utf8')
}

/** The first of a list, as Gemini gives its errors. */
function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value[0] : value
  } catch {
    return undefined
  }
}

function isErrorStatus(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 400 && value <= 599
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined
}
