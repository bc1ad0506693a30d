/**
 * A buyer's request, as the facade sees it (journey A): read what routing needs, ask for targets, send the client's
 * bytes to the first, write the answer's bytes back as they come, and record the outcome, once, whatever it was.
 *
 *   body -> skim -> route -> target 1 -> head -> data* -> end -> record
 *     |       |       |         |          |       |       |
 *     |       |       |         |          |       |       +-- an event stream without its last event: error event
 *     |       |       |         |          |       +-- broken: error event, or the connection is closed
 *     |       |       |         |          +-- 429 or 5xx, and another target is left: ask that one
 *     |       |       |         +-- failed before it answered: the next target if that can help, or the native error
 *     +-------+-------+-- refused: the native error
 *   The client leaves at any point: the inference is aborted at once. It leaves at the last event: the answer was whole.
 *
 * A target of another dialect gets the request translated, and its answer comes back in the client's (dialects/translate.ts);
 * all the rest is the same for both.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { TokError, toTokError } from '../base/errors.ts'
import { createAnswerMeter, type AnswerMeter } from '../dialects/answer-meter.ts'
import type { TokenUsage } from '../dialects/answer-tally.ts'
import { isEventStream } from '../dialects/delivery.ts'
import { ENDPOINTS, type Dialect, type Endpoint, type Vendor } from '../dialects/dialect.ts'
import { adviceOf, errorEvent, errorReply } from '../dialects/error-reply.ts'
import type { AnswerHead, AnswerSink, Exchange, ModelRequest } from '../dialects/exchange.ts'
import {
  answerHeadersForBuyer,
  queryForTarget,
  requestHeadersForProvider,
  requestHeadersForSeller,
} from '../dialects/headers.ts'
import { parseObject } from '../dialects/json-value.ts'
import { guardLoops, mayLoop, type LoopGuardOptions } from '../dialects/loop-guard.ts'
import { needsReEnvelope, readProviderError } from '../dialects/provider-error.ts'
import { replaceModel, skimRequest, type ByteSpan } from '../dialects/skim-request.ts'
import { adaptRequest, type AdaptedRequest, type TranslationDependencies } from '../dialects/translate.ts'
import type { Router, RouteTarget } from '../routing/router.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { LIMITS } from '../wire/registry.ts'
import { isWireText } from '../wire/shape.ts'
import { createAnswerWriter, type AnswerOutlet, type AnswerWriter } from './answer-writer.ts'
import { estimateSource } from './estimate-source.ts'
import { recordOf } from './inference-record.ts'
import type { Metrics } from './metrics.ts'
import { readBody } from './read-body.ts'
import { createTurnMemory, type TurnMemory } from './turn-memory.ts'
import {
  keepsResponses,
  LOCAL_OWNER,
  type ResponseMemory,
  type ResponseState,
  type ResponseTurn,
} from './response-state.ts'

/** What the relay works with. */
export interface RelayDependencies {
  readonly router: Router
  readonly responses: ResponseState
  /** Told of every inference once, when its answer is over. */
  recordInference(record: InferenceRecord): void
  readonly translation: Pick<TranslationDependencies, 'seal'>
  readonly metrics: Metrics
  readonly logger: Logger
  readonly clock: Clock
}

/** Limits of the relay. */
export interface RelayOptions {
  /** The most bytes of a request body, after decoding. */
  readonly bodyLimitBytes: number
  /** Silence after which an event stream gets a keep-alive event, in ms. */
  readonly quietMs: number
  /** After this long without an answer's head, a client that asked for a stream gets one that is only kept alive, in ms. */
  readonly thinkingMs: number
  readonly loopGuard: LoopGuardOptions
}

/** Who asks, as far as the relay looks: an IncomingMessage, or what stands for one on another transport. */
export interface InferenceCaller {
  readonly headers: IncomingHttpHeaders
  /** Path and query. */
  readonly url?: string | undefined
  /** What its connection remembers of earlier answers. */
  readonly memory?: ResponseMemory | undefined
}

/** Serves inferences. */
export interface InferenceRelay {
  /**
   * Answers one request, with an answer or a native error, and never throws. Resolves when it has been sent to a target
   * or refused; the answer goes on by itself.
   * @param requestId its id in the answer, the log and the journal
   * @param received the body as it came over the wire
   */
  serve(
    endpoint: Endpoint,
    requestId: string,
    caller: InferenceCaller,
    received: Uint8Array | undefined,
    outlet: AnswerOutlet,
  ): Promise<void>
  /** Refuses new requests, waits for the running ones, and stops those that are left after `graceMs`. */
  drain(graceMs: number): Promise<void>
}

const KEEP_ALIVE_EVENTS: Readonly<Record<Vendor, Uint8Array>> = {
  openai: Buffer.from(': keep-alive\n\n'),
  anthropic: Buffer.from('event: ping\ndata: {"type": "ping"}\n\n'),
}

/** What a purchase tells of itself. */
const PURCHASE_HEADERS = ['x-tok-target', 'x-tok-cost-micros', 'x-tok-receipt', 'x-tok-dropped'] as const
const STATUS_MAX = 599
/** Of an error's body no more is read than this. */
const ERROR_BYTES_MAX = 1_048_576
/** How long what follows an answer's last event is waited for once its client has hung up. */
const UNREAD_MS = 1_000

/** Makes the relay. */
export function createInferenceRelay(dependencies: RelayDependencies, options: RelayOptions): InferenceRelay {
  const running = new Set<Inference>()
  const turns = createTurnMemory(dependencies.clock)
  let isDraining = false
  let onIdle: (() => void) | undefined

  const onOver = (inference: Inference): void => {
    running.delete(inference)
    if (running.size === 0) onIdle?.()
  }

  return {
    async serve(endpoint, requestId, caller, received, outlet) {
      const inference = new Inference(dependencies, options, turns, endpoint, requestId, caller, outlet, onOver)
      running.add(inference)
      if (isDraining) inference.fail(new TokError('node_stopping'))
      else await inference.start(received)
    },
    async drain(graceMs) {
      isDraining = true
      if (running.size === 0) return
      await new Promise<void>((resolve) => {
        const cancel = dependencies.clock.after(graceMs, resolve)
        onIdle = () => {
          cancel()
          resolve()
        }
      })
      for (const inference of running) inference.fail(new TokError('node_stopping'))
    },
  }
}

/** What the client asked for. */
interface Asked {
  readonly body: Uint8Array
  readonly model: string
  readonly modelSpan: ByteSpan
  readonly stream: boolean
}

interface ErrorBody {
  readonly head: AnswerHead
  readonly parts: Uint8Array[]
  bytes: number
}

/** One request, from its arrival to the end of its answer. */
class Inference {
  readonly #dependencies: RelayDependencies
  readonly #options: RelayOptions
  readonly #turns: TurnMemory
  readonly #endpoint: Endpoint
  readonly #vendor: Vendor
  readonly #caller: InferenceCaller
  readonly #outlet: AnswerOutlet
  readonly #onOver: (inference: Inference) => void
  readonly #requestId: string
  readonly #startedAtMs: number
  readonly #writer: AnswerWriter

  /** Undefined until the body is read: what names no model is refused, and is no inference. */
  #asked: Asked | undefined
  /** What is remembered for it, or of it; undefined for nearly all. */
  #turn: ResponseTurn | undefined
  #targets: readonly RouteTarget[] = []
  /** How many targets were asked; the newest is the one whose answer counts. */
  #attempts = 0
  #exchange: Exchange | undefined
  #servedBy: string | undefined
  #httpStatus: number | undefined
  #isEventStream = false
  #loopCount = 0
  #retryOf: string | undefined
  #cancelThinking: () => void = () => undefined
  #cancelUnread: () => void = () => undefined
  /** True while the client has an event stream that is only kept alive: no target has begun to answer yet. */
  #isKeptAlive = false
  /** The body of an error, which is read before it is given on; undefined for any other answer. */
  #errorBody: ErrorBody | undefined
  #meter: AnswerMeter | undefined
  /** What a translated answer's provider said. */
  #usage: TokenUsage | undefined
  #firstByteAtMs: number | undefined
  #isOver = false

  constructor(
    dependencies: RelayDependencies,
    options: RelayOptions,
    turns: TurnMemory,
    endpoint: Endpoint,
    requestId: string,
    caller: InferenceCaller,
    outlet: AnswerOutlet,
    onOver: (inference: Inference) => void,
  ) {
    this.#dependencies = dependencies
    this.#options = options
    this.#turns = turns
    this.#endpoint = endpoint
    this.#vendor = ENDPOINTS[endpoint].vendor
    this.#requestId = requestId
    this.#caller = caller
    this.#outlet = outlet
    this.#onOver = onOver
    this.#startedAtMs = dependencies.clock.monotonicMs()
    this.#writer = createAnswerWriter(outlet, dependencies.clock, {
      quietMs: options.quietMs,
      quietEvent: KEEP_ALIVE_EVENTS[this.#vendor],
      onDrain: () => this.#exchange?.resume(),
      onUnwritable: (cause) => {
        const provider = this.#target?.name
        this.fail(
          new TokError('provider_broken', { provider, reason: 'its status or a header is not HTTP' }, { cause }),
        )
      },
    })
    outlet.on('close', () => this.#onClientGone())
  }

  async start(received: Uint8Array | undefined): Promise<void> {
    try {
      const body = await readBody(this.#caller.headers, received, this.#options.bodyLimitBytes)
      if (this.#isOver) return
      const skimmed = skimRequest(body)
      const { model, modelSpan, stream } = skimmed
      if (!isWireText(model, LIMITS.modelNameBytes)) {
        const reason = `"model" is not a well-formed text of at most ${LIMITS.modelNameBytes} bytes`
        throw new TokError('body_malformed', { reason })
      }
      this.#asked = { body, model, modelSpan, stream }
      this.#retryOf = this.#turns.failedBefore(this.#caller.headers, body)
      const opening = this.#dependencies.responses.open({
        requestId: this.#requestId,
        endpoint: this.#endpoint,
        body,
        skimmed,
        owner: LOCAL_OWNER,
        memory: this.#caller.memory,
        bodyLimitBytes: this.#options.bodyLimitBytes,
      })
      if (opening !== undefined) {
        this.#turn = await opening
        if (this.#isOver) return
        const whole = this.#turn.body
        if (whole !== undefined) this.#asked = { ...this.#asked, body: whole, modelSpan: skimRequest(whole).modelSpan }
      }
      this.#asked = this.#guarded(this.#asked)
      const targets = this.#findTargets(model)
      this.#targets = this.#turn?.choose(targets) ?? targets
      if (stream)
        this.#cancelThinking = this.#dependencies.clock.after(this.#options.thinkingMs, () => this.#keepAlive())
      this.#askNext()
    } catch (thrown) {
      this.fail(toTokError(thrown))
    }
  }

  /** Ends the inference with an error: native and whole before the answer has begun, as its last event after. */
  fail(error: TokError): void {
    if (this.#isOver) return
    this.#meter?.end()
    const position = this.#meter?.position
    const wasBegun = this.#writer.begun
    if (wasBegun) {
      this.#writer.breakOff(errorEvent(ENDPOINTS[this.#endpoint].dialect, error, this.#requestId, position))
    } else {
      const { status, headers, body } = errorReply(this.#vendor, error, this.#requestId)
      this.#httpStatus = status
      this.#meter = undefined
      this.#firstByteAtMs = undefined
      this.#outlet.writeHead(status, {
        ...headers,
        ...this.#targetHeaders(),
        'content-length': Buffer.byteLength(body),
      })
      this.#outlet.end(body)
    }
    this.#finish(wasBegun ? 'truncated' : 'failed', error)
    this.#exchange?.abort(error)
  }

  get #target(): RouteTarget | undefined {
    return this.#targets[this.#attempts - 1]
  }

  /**
   * Tokens are counted for whatever model could be asked, by a provider of this node or else by the estimate: never by a
   * seller.
   * @throws TokError what the router throws; for counting tokens only `model_not_found`
   */
  #findTargets(model: string): readonly RouteTarget[] {
    const { router } = this.#dependencies
    // Parts of the Responses API go where it goes.
    const endpoint = ENDPOINTS[this.#endpoint].dialect === 'openai-responses' ? 'responses' : this.#endpoint
    const question = { endpoint, model }
    if (!this.#isCount) return router.route(question).targets
    const estimate = estimateTarget(model, ENDPOINTS[this.#endpoint].dialect)
    if (endpoint === 'responses') return [...router.route(question).targets.filter(keepsResponses), estimate]
    try {
      return [...router.route(question).targets, estimate]
    } catch (error) {
      if (error instanceof TokError && error.code === 'endpoint_unsupported') return [estimate]
      throw error
    }
  }

  /**
   * The request with a warning beside its newest tool result, where the agent goes round in a circle.
   * @throws TokError `tool_loop` once it was warned in vain
   */
  #guarded(asked: Asked): Asked {
    const { loopGuard } = this.#options
    const { dialect } = ENDPOINTS[this.#endpoint]
    if (!loopGuard.isOn || !mayLoop(dialect, asked.body)) return asked
    const value = parseObject(Buffer.from(asked.body).toString('utf8'))
    if (value === undefined) return asked
    const { count, body } = guardLoops(dialect, value, loopGuard)
    this.#loopCount = count
    if (body === value) return asked
    const bytes = Buffer.from(JSON.stringify(body))
    return { ...asked, body: bytes, modelSpan: skimRequest(bytes).modelSpan }
  }

  /** The client's stream begins though nobody answers yet: many clients and proxies give up on silence. */
  #keepAlive(): void {
    if (this.#isOver || this.#httpStatus !== undefined || this.#writer.begun) return
    this.#isKeptAlive = true
    this.#isEventStream = true
    const headers = this.#answerHeaders({ 'content-type': 'text/event-stream; charset=utf-8' })
    this.#writer.head({ status: 200, headers }, true)
    this.#writer.data(KEEP_ALIVE_EVENTS[this.#vendor])
  }

  #askNext(): void {
    const asked = this.#asked
    this.#attempts += 1
    const target = this.#target
    if (asked === undefined || target === undefined) throw new TokError('internal_error', { reason: 'no target' })
    const attempt = this.#attempts
    const question = this.#turn?.questionFor(target, asked.body)
    const { headers, url = '' } = this.#caller
    const queryStart = url.indexOf('?')
    const request: ModelRequest = {
      requestId: this.#requestId,
      endpoint: question?.endpoint ?? this.#endpoint,
      dialect: ENDPOINTS[this.#endpoint].dialect,
      model: target.model,
      requestedModel: asked.model,
      stream: asked.stream,
      retryOf: this.#retryOf,
      query: queryStart === -1 ? '' : queryForTarget(url.slice(queryStart)),
      headers: target.kind === 'network' ? requestHeadersForSeller(headers) : requestHeadersForProvider(headers),
      body: question?.body ?? bodyNaming(target.model, asked),
    }
    this.#exchange = undefined
    this.#usage = undefined
    const sink = this.#sinkOf(attempt)
    const adapted = this.#adapt(target, request, this.#turn?.sinkFor(target, sink) ?? sink)
    const exchange = target.source.send(adapted.request, adapted.sink)
    if (this.#isCurrent(attempt)) this.#exchange = exchange
    else exchange.abort(new TokError('call_aborted'))
  }

  /** The request as the target takes it. A purchase adapts it itself, for each seller. */
  #adapt(target: RouteTarget, request: ModelRequest, sink: AnswerSink): AdaptedRequest {
    if (target.kind === 'network') return { request, sink }
    const { translation, clock, metrics } = this.#dependencies
    return adaptRequest(request, target, sink, {
      ...translation,
      nowS: () => Math.floor(clock.nowMs() / 1_000),
      onDropped: (fields) => metrics.countDropped(this.#endpoint, fields),
    })
  }

  get #isCount(): boolean {
    return ENDPOINTS[this.#endpoint].recordedAs === 'count_tokens'
  }

  /** False for an answer nobody waits for any more: its target was given up, or the inference is over. */
  #isCurrent(attempt: number): boolean {
    return !this.#isOver && attempt === this.#attempts
  }

  #sinkOf(attempt: number): AnswerSink {
    return {
      onHead: (head) => {
        if (this.#isCurrent(attempt)) this.#onHead(head)
      },
      onData: (bytes) => {
        if (!this.#isCurrent(attempt)) return true
        if (this.#errorBody !== undefined) return this.#collectError(this.#errorBody, bytes)
        this.#firstByteAtMs ??= this.#dependencies.clock.monotonicMs()
        this.#meter?.push(bytes)
        return this.#writer.data(bytes)
      },
      onUsage: (usage) => {
        if (this.#isCurrent(attempt)) this.#usage = usage
      },
      onEnd: () => {
        if (this.#isCurrent(attempt)) this.#onEnd()
      },
      onFailure: (error) => {
        if (!this.#isCurrent(attempt)) return
        if (error.elsewhere && this.#mayAskNext()) this.#giveUp(error)
        else this.fail(error)
      },
    }
  }

  #mayAskNext(): boolean {
    return (!this.#writer.begun || this.#isKeptAlive) && this.#attempts < this.#targets.length
  }

  #giveUp(error: TokError): void {
    const { logger } = this.#dependencies
    logger.info({ requestId: this.#requestId, target: this.#target?.name, code: error.code }, 'target given up')
    const exchange = this.#exchange
    this.#httpStatus = undefined
    this.#errorBody = undefined
    this.#meter = undefined
    this.#firstByteAtMs = undefined
    if (!this.#isKeptAlive) this.#writer.withdraw()
    try {
      this.#askNext()
    } catch (thrown) {
      this.fail(toTokError(thrown))
    }
    exchange?.abort(error)
  }

  #onHead(given: AnswerHead): void {
    const head = this.#target?.kind === 'network' ? headOfPurchase(given) : given
    const { status, headers } = head
    if (status < 200 || status > STATUS_MAX) {
      const reason = `it gave the status ${status}, which HTTP does not have`
      this.fail(new TokError('provider_broken', { provider: this.#target?.name, reason }))
      return
    }
    if (this.#mayAskNext() && this.#isWorthAnother(status)) {
      this.#giveUp(new TokError('provider_failed', { provider: this.#target?.name, status }))
      return
    }
    this.#httpStatus = status
    const isReadable = headers['content-encoding'] === undefined || headers['content-encoding'] === 'identity'
    if (status >= 400 && isReadable) {
      this.#errorBody = { head, parts: [], bytes: 0 }
      return
    }
    if (this.#isKeptAlive && !(isReadable && isEventStream(head))) {
      const reason = 'it was asked for a stream and answers otherwise'
      this.fail(new TokError('provider_broken', { provider: this.#target?.name, reason }))
      return
    }
    this.#isEventStream = isReadable && isEventStream(head)
    if (isReadable && !this.#isCount) {
      this.#meter = createAnswerMeter(this.#endpoint, this.#isEventStream)
    }
    const own = this.#answerHeaders(headers)
    if (this.#isKeptAlive) this.#isKeptAlive = false
    else this.#writer.head({ status, headers: own }, this.#isEventStream)
  }

  /** A client error is the answer. A provider that cannot count tokens leaves that to the estimate. */
  #isWorthAnother(status: number): boolean {
    if (status === 429 || status >= 500) return true
    return this.#isCount && (status === 404 || status === 405)
  }

  #onEnd(): void {
    this.#meter?.end()
    const provider = this.#target?.name
    if (this.#httpStatus !== undefined && this.#httpStatus >= 400) {
      if (this.#errorBody === undefined) this.#writer.end()
      else this.#giveError(this.#errorBody)
      this.#finish('failed', new TokError('provider_failed', { provider, status: this.#httpStatus }))
    } else if (this.#isEventStream && this.#meter?.finish === undefined && this.#meter?.overflowed !== true) {
      // HTTP ended well and the answer did not: passed on as it is, a client would take half an answer for all of it.
      this.fail(new TokError('provider_broken', { provider, reason: 'the stream ended before its last event' }))
    } else {
      this.#writer.end()
      const isError = this.#meter?.finish === 'error'
      this.#finish(
        isError ? 'failed' : 'completed',
        isError ? new TokError('provider_failed', { provider, status: this.#httpStatus }) : undefined,
      )
    }
  }

  #collectError(error: ErrorBody, bytes: Uint8Array): boolean {
    if (error.bytes < ERROR_BYTES_MAX) error.parts.push(bytes)
    error.bytes += bytes.length
    return true
  }

  /** A provider's error as it is, if it has the shape that clients of this dialect read; otherwise in that shape. */
  #giveError({ head: { status, headers }, parts }: ErrorBody): void {
    const { dialect } = ENDPOINTS[this.#endpoint]
    const body = Buffer.concat(parts)
    const readError = () => readProviderError(status, body)
    if (this.#isKeptAlive) {
      this.#writer.breakOff(errorEvent(dialect, readError(), this.#requestId))
      return
    }
    if (needsReEnvelope(dialect, body)) {
      const reply = errorReply(this.#vendor, readError(), this.#requestId)
      const own = this.#answerHeaders({ ...adviceOf(reply), ...headers, 'content-type': 'application/json' })
      this.#writer.head({ status: reply.status, headers: own }, false)
      this.#writer.data(Buffer.from(reply.body))
    } else {
      this.#writer.head({ status, headers: this.#answerHeaders(headers) }, false)
      this.#writer.data(body)
    }
    this.#writer.end()
  }

  #onClientGone(): void {
    if (this.#isOver) return
    const error = new TokError('client_left')
    if (this.#isEventStream && this.#meter?.finish !== undefined) {
      // Codex hangs up at the last event, before the end of HTTP and, of a bought answer, before the seller's receipt.
      this.#exchange?.resume()
      this.#cancelUnread = this.#dependencies.clock.after(UNREAD_MS, () => {
        this.#onEnd()
        this.#exchange?.abort(error)
      })
      return
    }
    this.#meter?.end()
    this.#finish('aborted', error)
    this.#exchange?.abort(error)
  }

  #answerHeaders(headers: AnswerHead['headers']): Record<string, string> {
    const own: Record<string, string> = { ...this.#targetHeaders(), ...headers, 'x-request-id': this.#requestId }
    const providerId = headers['x-request-id']
    if (providerId !== undefined) own['x-tok-provider-request-id'] = providerId
    if (this.#vendor === 'anthropic') own['request-id'] ??= this.#requestId
    this.#servedBy = own['x-tok-target']
    return own
  }

  /** A network target names the seller, and what it knows of the price, by `x-tok-` headers of its own. */
  #targetHeaders(): Record<string, string> {
    const target = this.#target
    const headers: Record<string, string> = {}
    if (target !== undefined) {
      headers['x-tok-target'] = headerText(target.name)
      headers['x-tok-model'] = headerText(target.model)
    }
    if (this.#loopCount > 1) headers['x-tok-loop-count'] = String(this.#loopCount)
    return headers
  }

  /** The one end of every inference. */
  #finish(status: InferenceRecord['status'], error: TokError | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelThinking()
    this.#cancelUnread()
    this.#writer.dispose()
    const { clock, logger, recordInference } = this.#dependencies
    const target = this.#target
    const durationMs = clock.monotonicMs() - this.#startedAtMs
    const outcome = { requestId: this.#requestId, endpoint: this.#endpoint, status, code: error?.code, durationMs }
    if (error?.code === 'internal_error') logger.error({ ...outcome, err: error }, 'inference failed')
    else logger.debug({ ...outcome, target: target?.name }, 'inference over')
    try {
      if (this.#asked !== undefined) {
        if (status !== 'completed') this.#turns.noteFailed(this.#caller.headers, this.#asked.body, this.#requestId)
        recordInference(
          recordOf({
            requestId: this.#requestId,
            endpoint: this.#endpoint,
            stream: this.#asked.stream,
            requestedModel: this.#asked.model,
            resolvedModel: target?.model ?? this.#asked.model,
            target: target && { name: this.#servedBy ?? target.name, kind: target.kind, dialect: target.dialect },
            status,
            httpStatus: this.#httpStatus,
            errorCode: error?.code,
            meter: this.#meter,
            usage: this.#usage,
            firstByteMs: this.#firstByteAtMs === undefined ? undefined : this.#firstByteAtMs - this.#startedAtMs,
            durationMs,
            retries: Math.max(0, this.#attempts - 1),
            retryOf: this.#retryOf,
          }),
        )
      }
    } catch (thrown) {
      // The answer is out; what is left is to say that its record is missing.
      logger.error({ ...outcome, err: thrown }, 'inference not recorded')
    }
    this.#onOver(this)
  }
}

function bodyNaming(model: string, { body, model: asked, modelSpan }: Asked): Uint8Array {
  return model === asked ? body : replaceModel(body, modelSpan, model)
}

/** A seller is a stranger: of its headers only those that a buyer may see, and what the purchase itself adds. */
function headOfPurchase({ status, headers }: AnswerHead): AnswerHead {
  const own: Record<string, string> = { ...answerHeadersForBuyer(headers) }
  for (const name of PURCHASE_HEADERS) {
    const value = headers[name]
    if (value !== undefined) own[name] = value
  }
  return { status, headers: own }
}

/** What is left when no provider counts: the estimate. */
function estimateTarget(model: string, dialect: Dialect): RouteTarget {
  const { name } = estimateSource
  return { source: estimateSource, name, kind: 'local', model, dialect, isVendor: false, reason: 'no provider counts' }
}

/** A header's value may only hold printable ASCII here; other names go percent-encoded. */
function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text.toWellFormed())
}
