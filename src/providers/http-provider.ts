/**
 * A model server behind HTTP. Bytes go through as they are in both directions; this file owns the connections,
 * the credentials and the four timeouts. It never asks twice: whether another try makes sense is routing's.
 *
 * HTTP/1.1 throughout: on a connection of its own a slow reader holds up its own answer only, and closing it
 * is the one way to stop an inference that every server understands.
 */
import { Pool, type Dispatcher } from 'undici'
import type { Clock } from '../base/clock.ts'
import { reasonOf, TokError, toTokError } from '../base/errors.ts'
import { ENDPOINTS, type Dialect } from '../dialects/dialect.ts'
import type { AnswerSink, Exchange, ModelRequest } from '../dialects/exchange.ts'
import { answerHeadersForClient, type IncomingHeaders } from '../dialects/headers.ts'
import type { JsonObject } from '../dialects/json-value.ts'
import { createModelDetails, type AskDetails } from './model-details.ts'
import { indexModels, type Provider, type ProviderHealth, type ProviderKind, type ProviderModel } from './provider.ts'
import { readProviderUrl, type ProviderUrl } from './provider-url.ts'
import { readModels } from './read-models.ts'

/** How long a provider may take, in ms. There is no limit on the whole: a long answer is a good answer. */
export interface ProviderTimeouts {
  /** Until a connection stands. */
  readonly connectMs: number
  /** From the request to the answer's head; an answer that is not streamed is generated in this time. */
  readonly headersMs: number
  /** From the head to the first byte. */
  readonly firstByteMs: number
  /** Between two pieces of the answer. */
  readonly idleMs: number
}

/** What nearly every provider keeps within: ten minutes to think, two to go on. */
export const DEFAULT_TIMEOUTS: ProviderTimeouts = {
  connectMs: 5_000,
  headersMs: 600_000,
  firstByteMs: 600_000,
  idleMs: 120_000,
}

/** One provider. */
export interface HttpProviderOptions {
  readonly name: string
  readonly kind: Exclude<ProviderKind, 'loopback'>
  readonly baseUrl: string
  readonly dialects: readonly Dialect[]
  readonly timeouts: ProviderTimeouts
  readonly apiKey?: string | undefined
  /** Set where no request can succeed without a key: the variable that holds it, for the error. */
  readonly keyVariable?: string | undefined
  /** Value of `openai-organization`. */
  readonly organization?: string | undefined
  /** `anthropic-version` where the client names none. */
  readonly anthropicVersion?: string | undefined
  /** `anthropic-beta` where the client names none. */
  readonly anthropicBeta?: string | undefined
  /** Models known from elsewhere, until the first refresh. */
  readonly models?: readonly ProviderModel[] | undefined
}

const CONNECTIONS_MAX = 256
/** Requests under way or waiting for a connection; the next one is refused at once. */
const REQUESTS_MAX = 512
/** Servers of the uvicorn kind close an idle connection after 5 s without saying so. */
const KEEP_ALIVE_MS = 4_000
const LIST_TIMEOUT_MS = 5_000
const LIST_BYTES_MAX = 8_388_608
const LIST_LIFETIME_MS = 60_000
/** For all questions about single models; those left are asked with the next list. */
const DETAILS_TIMEOUT_MS = 10_000
const NO_LIST_STATUSES: ReadonlySet<unknown> = new Set([404, 405, 501])
const CLOSE_GRACE_MS = 5_000
const DEFAULT_ANTHROPIC_VERSION = '2023-06-01'

/**
 * Makes a provider; it connects when it is first asked. Answers of any status are answers, redirects are not.
 * The sink is told asynchronously, except by `abort`, which tells it before it returns.
 * @throws TokError `config_invalid` for a base URL that is none.
 */
export function createHttpProvider({ clock }: { readonly clock: Clock }, options: HttpProviderOptions): Provider {
  const { name, timeouts } = options
  const url = readProviderUrl(name, options.baseUrl)
  const pool = new Pool(url.origin, {
    connections: CONNECTIONS_MAX,
    pipelining: 1,
    allowH2: false,
    connectTimeout: timeouts.connectMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const running = new Set<Exchange>()
  const list = createModelList(clock, options, url, pool)
  let requests = 0

  const refusalOf = (request: ModelRequest): TokError | undefined => {
    const variable = missingKeyOf(options)
    if (variable !== undefined) return new TokError('provider_key_missing', { provider: name, variable })
    if (!options.dialects.includes(request.dialect)) {
      return new TokError('endpoint_unsupported', { target: name, endpoint: ENDPOINTS[request.endpoint].path })
    }
    if (requests >= REQUESTS_MAX) {
      return new TokError('limit_exceeded', { limit: REQUESTS_MAX, what: `requests to ${name} at once` })
    }
    return undefined
  }

  return {
    name,
    kind: options.kind,
    origin: url.origin,
    missingKey: missingKeyOf(options),
    dialects: options.dialects,
    models: list.models,
    lists: list.find,
    health: list.health,
    refresh: list.refresh,
    send(request, sink) {
      const refusal = refusalOf(request)
      if (refusal !== undefined) {
        queueMicrotask(() => sink.onFailure(refusal))
        return { resume: () => undefined, abort: () => undefined }
      }
      requests += 1
      const exchange = startExchange({ clock, pool, url, list, options }, request, sink, {
        onSettled: () => running.delete(exchange),
        onReleased: () => (requests -= 1),
      })
      running.add(exchange)
      return exchange
    },
    async close(graceMs = CLOSE_GRACE_MS) {
      list.stop()
      const cancel = clock.after(graceMs, () => {
        for (const exchange of running) exchange.abort(new TokError('node_stopping'))
        pool.destroy().catch(() => undefined)
      })
      await pool.close().catch(() => undefined)
      cancel()
    },
  }
}

function missingKeyOf(options: HttpProviderOptions): string | undefined {
  return options.apiKey === undefined ? options.keyVariable : undefined
}

interface ModelList {
  models(): readonly ProviderModel[] | undefined
  find(name: string): ProviderModel | undefined
  health(): ProviderHealth
  refresh(signal: AbortSignal): Promise<void>
  note(health: ProviderHealth): void
  stop(): void
}

const UP: ProviderHealth = { state: 'up', reason: undefined }

function createModelList(clock: Clock, options: HttpProviderOptions, url: ProviderUrl, pool: Pool): ModelList {
  const stopping = new AbortController()
  const details = createModelDetails()
  let models = options.models
  let find = indexModels(models ?? [])
  let health: ProviderHealth = models === undefined ? { state: 'unknown', reason: 'not asked yet' } : UP
  let readAtMs = models === undefined ? Number.NEGATIVE_INFINITY : clock.monotonicMs()
  let reading: Promise<void> | undefined

  const publish = (listed: readonly ProviderModel[]): void => {
    models = details.complete(listed)
    find = indexModels(models)
  }

  const read = async (signal: AbortSignal): Promise<void> => {
    readAtMs = clock.monotonicMs()
    try {
      const listed = await requestModels(
        options,
        url,
        pool,
        AbortSignal.any([signal, AbortSignal.timeout(LIST_TIMEOUT_MS)]),
      )
      publish(listed)
      health = UP
      if (options.kind !== 'hosted') await learnDetails(listed, signal)
    } catch (error) {
      if (!stopping.signal.aborted) health = healthAfter(toTokError(error))
    }
  }

  const learnDetails = async (listed: readonly ProviderModel[], signal: AbortSignal): Promise<void> => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(DETAILS_TIMEOUT_MS)])
    const ask: AskDetails = async (path, question) => {
      const { status, body } = await askServer(options, url, pool, path, limit, question)
      return status === 200 ? body : undefined
    }
    // The list stands without them: what is not known now is asked with the next list.
    await details.learn(listed, ask).catch(() => undefined)
    publish(listed)
  }

  const refresh = (signal: AbortSignal): Promise<void> => {
    const variable = missingKeyOf(options)
    if (variable !== undefined) {
      health = { state: 'unknown', reason: `no API key; set ${variable}` }
      return Promise.resolve()
    }
    reading ??= read(AbortSignal.any([signal, stopping.signal])).finally(() => {
      reading = undefined
    })
    return reading
  }

  const refreshIfOld = (): void => {
    const isOld = clock.monotonicMs() - readAtMs > LIST_LIFETIME_MS
    if (isOld && !stopping.signal.aborted) void refresh(stopping.signal)
  }

  return {
    models() {
      refreshIfOld()
      return models
    },
    find(name) {
      refreshIfOld()
      return find(name)
    },
    health: () => health,
    refresh,
    note(seen) {
      health = seen
    },
    stop: () => stopping.abort(),
  }
}

/** A server without a list of models is up all the same. */
function healthAfter(error: TokError): ProviderHealth {
  const hasNoList = error.code === 'provider_failed' && NO_LIST_STATUSES.has(error.details['status'])
  return { state: hasNoList ? 'up' : 'down', reason: hasNoList ? 'it does not list its models' : error.message }
}

/** @throws TokError `provider_unreachable`, `provider_failed`, `provider_broken` */
async function requestModels(
  options: HttpProviderOptions,
  url: ProviderUrl,
  pool: Pool,
  signal: AbortSignal,
): Promise<readonly ProviderModel[]> {
  const { name } = options
  try {
    // Anthropic gives 20 a page unless asked for more; OpenAI gives all and knows no limit.
    const path = isAnthropicOnly(options) ? '/v1/models?limit=1000' : '/v1/models'
    const { status, body } = await askServer(options, url, pool, path, signal)
    if (status !== 200) throw new TokError('provider_failed', { provider: name, status })
    const models = readModels(body)
    if (models === undefined) throw new TokError('provider_broken', { provider: name, reason: 'it lists no models' })
    return models
  } catch (error) {
    if (error instanceof TokError) throw error
    throw new TokError(
      'provider_unreachable',
      { provider: name, origin: url.origin, reason: reasonOf(error) },
      { cause: error },
    )
  }
}

function isAnthropicOnly({ dialects }: HttpProviderOptions): boolean {
  return dialects.every((dialect) => dialect === 'anthropic-messages')
}

/** A small question about the server itself, by POST if it has a body. */
async function askServer(
  options: HttpProviderOptions,
  url: ProviderUrl,
  pool: Pool,
  path: string,
  signal: AbortSignal,
  question?: JsonObject,
): Promise<{ readonly status: number; readonly body: string }> {
  const isAnthropic = isAnthropicOnly(options)
  const reply = await pool.request({
    method: question === undefined ? 'GET' : 'POST',
    path: url.pathOf(path),
    headers: {
      accept: 'application/json',
      'accept-encoding': 'identity',
      ...(question === undefined ? {} : { 'content-type': 'application/json' }),
      ...(isAnthropic ? { 'anthropic-version': options.anthropicVersion ?? DEFAULT_ANTHROPIC_VERSION } : {}),
      ...credentials(options, isAnthropic ? 'anthropic-messages' : 'openai-chat'),
    },
    body: question === undefined ? null : JSON.stringify(question),
    signal,
  })
  return { status: reply.statusCode, body: await readBounded(reply.body, LIST_BYTES_MAX) }
}

async function readBounded(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of body) {
    bytes += part.length
    if (bytes > bytesMax) throw new Error(`more than ${bytesMax} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** The headers that say who pays, in the way this dialect's servers want to be told. */
function credentials(options: HttpProviderOptions, dialect: Dialect): Record<string, string> {
  const headers: Record<string, string> = {}
  const { apiKey } = options
  const isAnthropic = dialect === 'anthropic-messages'
  if (apiKey !== undefined && isAnthropic) headers['x-api-key'] = apiKey
  // Anthropic takes a bearer for another kind of login; servers that only speak its dialect differ in which they read.
  if (apiKey !== undefined && (!isAnthropic || options.kind !== 'hosted')) headers['authorization'] = `Bearer ${apiKey}`
  if (options.organization !== undefined && !isAnthropic) headers['openai-organization'] = options.organization
  return headers
}

function requestHeaders(options: HttpProviderOptions, request: ModelRequest): Record<string, string> {
  const headers: Record<string, string> = { ...request.headers, ...credentials(options, request.dialect) }
  headers['content-type'] ??= 'application/json'
  if (request.dialect === 'anthropic-messages') {
    headers['anthropic-version'] ??= options.anthropicVersion ?? DEFAULT_ANTHROPIC_VERSION
    if (options.anthropicBeta !== undefined) headers['anthropic-beta'] ??= options.anthropicBeta
  }
  // The answer is read beside its bytes, so it must come as it is.
  headers['accept-encoding'] = 'identity'
  return headers
}

interface ExchangeParts {
  readonly clock: Clock
  readonly pool: Pool
  readonly url: ProviderUrl
  readonly list: ModelList
  readonly options: HttpProviderOptions
}

interface ExchangeEvents {
  /** The sink was told the end. */
  onSettled(): void
  /** undici has let go of the request; until then it takes a place in the queue. */
  onReleased(): void
}

type Phase = 'headers' | 'firstByte' | 'idle'

const AWAITED: Readonly<Record<Phase, string>> = {
  headers: 'no answer',
  firstByte: 'nothing after the headers of its answer',
  idle: 'nothing more of its answer',
}

function startExchange(
  { clock, pool, url, list, options }: ExchangeParts,
  request: ModelRequest,
  sink: AnswerSink,
  events: ExchangeEvents,
): Exchange {
  const { name, timeouts } = options
  let controller: Dispatcher.DispatchController | undefined
  let phase: Phase = 'headers'
  let waitingSinceMs = clock.monotonicMs()
  let settled = false
  let cancelTimer = (): void => undefined

  const settle = (tell: () => void): void => {
    if (settled) return
    settled = true
    cancelTimer()
    events.onSettled()
    tell()
  }

  /** Ends the request at once; undici closes its connection. While it still waits for one, `controller` is unknown. */
  const fail = (error: TokError): void => {
    settle(() => {
      controller?.abort(error)
      sink.onFailure(error)
    })
  }

  const watch = (): void => {
    const timeoutMs = timeouts[`${phase}Ms`]
    const waitedMs = controller?.paused === true ? 0 : clock.monotonicMs() - waitingSinceMs
    if (waitedMs >= timeoutMs) {
      const error = new TokError('provider_timeout', { provider: name, awaited: AWAITED[phase], timeoutMs })
      list.note({ state: 'down', reason: error.message })
      fail(error)
    } else {
      cancelTimer = clock.after(timeoutMs - waitedMs, watch)
    }
  }

  const enter = (next: Phase): void => {
    phase = next
    cancelTimer()
    watch()
  }

  const failureOf = (error: Error): TokError => {
    const reason = reasonOf(error)
    if (controller === undefined) {
      return new TokError('provider_unreachable', { provider: name, origin: url.origin, reason }, { cause: error })
    }
    return new TokError('provider_broken', { provider: name, reason }, { cause: error })
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      // Who left while the request waited for a connection must not leave a paused one behind.
      if (settled) started.abort(new TokError('call_aborted'))
      else controller = started
    },
    onResponseStart(_, status, headers) {
      if (settled || status < 200) return
      waitingSinceMs = clock.monotonicMs()
      list.note(UP)
      if (status >= 300 && status < 400) {
        fail(new TokError('provider_failed', { provider: name, status }))
        return
      }
      enter('firstByte')
      sink.onHead({ status, headers: answerHeadersForClient(headers as IncomingHeaders) })
    },
    onResponseData(current, bytes) {
      if (settled) return
      waitingSinceMs = clock.monotonicMs()
      if (phase === 'firstByte') enter('idle')
      if (!sink.onData(bytes)) current.pause()
    },
    onResponseEnd() {
      events.onReleased()
      settle(() => sink.onEnd())
    },
    onResponseError(_, error) {
      events.onReleased()
      const failure = failureOf(error)
      if (!settled) list.note({ state: 'down', reason: failure.message })
      // undici may report before `send` has returned.
      queueMicrotask(() => fail(failure))
    },
  }

  cancelTimer = clock.after(timeouts.headersMs, watch)
  pool.dispatch(
    {
      method: 'POST',
      path: url.pathOf(ENDPOINTS[request.endpoint].path) + request.query,
      headers: requestHeaders(options, request),
      body: request.body,
    },
    handler,
  )

  return {
    resume() {
      if (settled) return
      waitingSinceMs = clock.monotonicMs()
      controller?.resume()
    },
    abort: fail,
  }
}
