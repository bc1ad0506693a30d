/**
 * What `/v1/responses` remembers, for targets that remember nothing. It stands between the client's request and the target's
 * dialect: the request is made whole before it is sent or translated, the answer is read after it was.
 *
 *   previous_response_id  the kept conversation takes its place in `input`
 *   store: true           the answer is kept here, and nobody else is asked to
 *   compaction_trigger    becomes the request for a summary, and its answer one `compaction` item
 *   compaction            an item of this node's own becomes its summary
 *
 * OpenAI itself has all of that, so what it is sent is left as it is, but for what only this node can read.
 * Source: gateway.md section 4, translation-cases.md D28, D29.
 */
import type { Logger } from 'pino'
import { TokError, toTokError } from '../base/errors.ts'
import type { OpaqueSeal } from '../dialects/conversation/opaque-state.ts'
import { isEventStream } from '../dialects/delivery.ts'
import type { Endpoint } from '../dialects/dialect.ts'
import type { AnswerHead, AnswerSink } from '../dialects/exchange.ts'
import { asList, asObject, asText, parseObject, type JsonObject } from '../dialects/json-value.ts'
import type { SkimmedRequest } from '../dialects/skim-request.ts'
import type { RouteTarget } from '../routing/router.ts'
import { createResponseCollector, type ResponseCollector } from './response-collector.ts'
import {
  compactAnswer,
  compactedResponse,
  compactionEvents,
  compactionItem,
  isCompaction,
  isCompactionTrigger,
  openCompaction,
  summaryOf,
  summaryRequest,
} from './response-compaction.ts'
import type { ResponseStore, StoredResponse } from './response-store.ts'

/** Answers of one connection, kept as long as it is open, whether the client had them stored or not. */
export interface ResponseMemory {
  get(id: string): StoredResponse | undefined
  put(id: string, stored: StoredResponse): void
}

/** What the state works with. */
export interface ResponseStateDependencies {
  readonly store: ResponseStore
  readonly seal: OpaqueSeal
  readonly logger: Logger
  /** Seconds since 1970. */
  nowS(): number
}

/** One request, as far as state goes. */
export interface ResponseQuestion {
  readonly requestId: string
  readonly endpoint: Endpoint
  readonly body: Uint8Array
  readonly skimmed: SkimmedRequest
  /** Whose answers it may go on from. */
  readonly owner: string
  readonly memory: ResponseMemory | undefined
  /** The most bytes of the request once it is whole. */
  readonly bodyLimitBytes: number
}

/** What state makes of one request. */
export interface ResponseTurn {
  /** The request with the whole conversation in it, for every target alike; undefined if it is what the client sent. */
  readonly body: Uint8Array | undefined
  /**
   * Those of `targets` that can take the request.
   * @throws TokError `previous_response_not_found`, `parameter_unsupported` if none of them can
   */
  choose(targets: readonly RouteTarget[]): readonly RouteTarget[]
  /** What to ask this target for in place of `body`, its model named; undefined to ask for just that. */
  questionFor(target: RouteTarget, body: Uint8Array): TargetQuestion | undefined
  /** Takes the answer in the client's dialect on its way to `sink`. */
  sinkFor(target: RouteTarget, sink: AnswerSink): AnswerSink
}

/** What one target is asked for. */
export interface TargetQuestion {
  readonly endpoint: Endpoint
  readonly body: Uint8Array
}

/** Finds out what state a request needs. */
export interface ResponseState {
  /**
   * Undefined for a request without any. Rejects with TokError `body_malformed`, `body_too_large`.
   */
  open(question: ResponseQuestion): Promise<ResponseTurn> | undefined
  /**
   * Remembers a request without asking anybody, and gives the empty response that the next one can go on from.
   * @throws TokError as `open`, and `previous_response_not_found`, `parameter_unsupported`
   */
  prewarm(question: ResponseQuestion): Promise<JsonObject>
}

/** Nobody asks the node but the programs of this machine, which all are one caller. */
export const LOCAL_OWNER = 'local'

const RESPONSE_ENDPOINTS: ReadonlySet<Endpoint> = new Set(['responses', 'compact', 'input_tokens'])
const ID_CHARACTERS_MAX = 256
/** How the type of every item of compaction begins. As bytes: a text costs more than twice as much to search for. */
const COMPACTION = Buffer.from('"compaction')

/** True for the vendor's own API, which keeps and compacts by itself. */
export function keepsResponses({ isVendor, dialect }: RouteTarget): boolean {
  return isVendor && dialect === 'openai-responses'
}

/** The items of a request's `input`, a text as the message that it stands for. */
function inputItems(input: unknown): readonly unknown[] {
  return typeof input === 'string' ? [{ type: 'message', role: 'user', content: input }] : asList(input)
}

/** The conversation up to the end of an answer. What came before a compaction is gone with it. */
function conversationOf({ input, response }: StoredResponse): readonly unknown[] {
  const output = asList(response['output'])
  return output.some(isCompaction) ? output : [...input, ...output]
}

/** Makes the state of a gateway. */
export function createResponseState(dependencies: ResponseStateDependencies): ResponseState {
  const turnOf = async (question: ResponseQuestion): Promise<Turn> => {
    const { body, owner, memory } = question
    const request = parseObject(Buffer.from(body).toString('utf8'))
    if (request === undefined) throw new TokError('body_malformed', { reason: 'it does not parse as JSON' })
    const id = asText(request['previous_response_id'])
    const previous = id === undefined ? undefined : (memory?.get(id) ?? (await dependencies.store.get(owner, id)))
    return new Turn(dependencies, question, request, id, previous)
  }
  return {
    open(question) {
      const { endpoint, body, skimmed, memory } = question
      if (!RESPONSE_ENDPOINTS.has(endpoint)) return undefined
      const isPlain =
        !skimmed.asksForState && !Buffer.from(body.buffer, body.byteOffset, body.length).includes(COMPACTION)
      if (endpoint === 'responses' && isPlain && memory === undefined) return undefined
      return turnOf(question)
    },
    async prewarm(question) {
      return (await turnOf(question)).remember(`resp_${question.requestId.replaceAll('-', '')}`)
    },
  }
}

class Turn implements ResponseTurn {
  readonly body: Uint8Array | undefined
  readonly #dependencies: ResponseStateDependencies
  readonly #question: ResponseQuestion
  readonly #previousId: string | undefined
  /** Every item of the conversation, without a trigger at its end. */
  readonly #input: readonly unknown[]
  readonly #compacts: boolean
  readonly #isStored: boolean
  /** Why only the vendor itself can take it. */
  readonly #vendorOnly: TokError | undefined

  constructor(
    dependencies: ResponseStateDependencies,
    question: ResponseQuestion,
    request: JsonObject,
    previousId: string | undefined,
    previous: StoredResponse | undefined,
  ) {
    this.#dependencies = dependencies
    this.#question = question
    this.#previousId = previousId
    this.#isStored = request['store'] === true
    const asked = inputItems(request['input'])
    const trigger = question.endpoint === 'responses' && isCompactionTrigger(asked.at(-1)) ? asked.slice(-1) : []
    const added = asked.slice(0, asked.length - trigger.length)
    const whole = previous === undefined ? added : [...conversationOf(previous), ...added]
    this.#compacts = trigger.length > 0 || question.endpoint === 'compact'
    this.#input = whole.map((item) => (isCompaction(item) ? (openCompaction(item, dependencies.seal) ?? item) : item))
    this.#vendorOnly = whyVendorOnly(request, previousId, previous, this.#input)
    if (previous !== undefined || this.#input.some((item, index) => item !== whole[index])) {
      const { previous_response_id: _id, ...rest } = request
      const kept = previous === undefined ? request : rest
      this.body = Buffer.from(JSON.stringify({ ...kept, input: [...this.#input, ...trigger] }))
      const limitBytes = question.bodyLimitBytes
      if (this.body.length > limitBytes) throw new TokError('body_too_large', { limitBytes })
    }
  }

  remember(id: string): JsonObject {
    if (this.#vendorOnly !== undefined) throw this.#vendorOnly
    const { skimmed, memory } = this.#question
    const response = {
      id,
      object: 'response',
      created_at: this.#dependencies.nowS(),
      status: 'completed',
      model: skimmed.model,
      output: [],
      error: null,
      incomplete_details: null,
      usage: { input_tokens: 0, output_tokens: 0, total_tokens: 0 },
    }
    memory?.put(id, { response, input: this.#input })
    return response
  }

  choose(targets: readonly RouteTarget[]): readonly RouteTarget[] {
    if (this.#vendorOnly === undefined) return targets
    const able = targets.filter(keepsResponses)
    if (able.length === 0) throw this.#vendorOnly
    return able
  }

  questionFor(target: RouteTarget, body: Uint8Array): TargetQuestion | undefined {
    const isVendor = keepsResponses(target)
    if (isVendor ? this.body === undefined : !this.#compacts && !this.#isStored) return undefined
    const request = asObject(parseObject(Buffer.from(body).toString('utf8')))
    const input = inputItems(request['input'])
    const asked = isVendor
      ? { ...request, input: input.filter(isReadableByVendor) }
      : this.#compacts
        ? summaryRequest(
            request,
            input.filter((item) => !isCompactionTrigger(item)),
          )
        : { ...request, store: false }
    const endpoint = isVendor || !this.#compacts ? this.#question.endpoint : 'responses'
    return { endpoint, body: Buffer.from(JSON.stringify({ ...asked, model: target.model })) }
  }

  sinkFor(target: RouteTarget, sink: AnswerSink): AnswerSink {
    const { endpoint, memory } = this.#question
    const isStored = this.#isStored && !keepsResponses(target)
    const isKept = endpoint === 'responses' && (isStored || memory !== undefined)
    const kept = isKept ? keepingSink(sink, (response) => this.#keep(response, isStored)) : sink
    return this.#compacts && !keepsResponses(target) ? this.#compactingSink(target, kept) : kept
  }

  #keep(response: JsonObject, isStored: boolean): void {
    const { requestId, owner, memory } = this.#question
    const id = asText(response['id'])
    if (id === undefined || id.length > ID_CHARACTERS_MAX) return
    memory?.put(id, { response, input: this.#input })
    if (!isStored) return
    const { store, logger } = this.#dependencies
    const stored = {
      response: { ...response, store: true, previous_response_id: this.#previousId ?? null },
      input: this.#input,
    }
    store.put(owner, id, stored).then(
      (wasKept) => {
        if (!wasKept) logger.warn({ requestId, response: id }, 'the answer is too large to be kept')
      },
      (thrown: unknown) =>
        logger.error({ requestId, response: id, reason: toTokError(thrown).message }, 'answer not kept'),
    )
  }

  /** Turns the answer to the request for a summary into that of a compaction. */
  #compactingSink(target: RouteTarget, sink: AnswerSink): AnswerSink {
    const isStream = this.#question.endpoint === 'responses' && this.#question.skimmed.stream
    let head: AnswerHead | undefined
    let response: JsonObject | undefined
    let collector: ResponseCollector | undefined
    return {
      onHead: (given) => {
        if (given.status >= 400) {
          sink.onHead(given)
          return
        }
        const contentType = isStream ? 'text/event-stream; charset=utf-8' : 'application/json'
        head = { status: 200, headers: { ...given.headers, 'content-type': contentType } }
        collector = createResponseCollector(isEventStream(given), (whole) => {
          response = whole
        })
      },
      onData(bytes) {
        if (collector === undefined) return sink.onData(bytes)
        collector.push(bytes)
        return true
      },
      onEnd: () => {
        collector?.end()
        const summary = response === undefined ? undefined : summaryOf(response)
        if (head === undefined) {
          sink.onEnd()
        } else if (response === undefined || summary === undefined) {
          sink.onFailure(new TokError('provider_broken', { provider: target.name, reason: 'it wrote no summary' }))
        } else {
          sink.onHead(head)
          sink.onData(this.#compacted(response, summary, isStream))
          sink.onEnd()
        }
      },
      onFailure: (error) => sink.onFailure(error),
    }
  }

  #compacted(response: JsonObject, summary: string, isStream: boolean): Uint8Array {
    const item = compactionItem(summary, this.#dependencies.seal)
    const compacted = compactedResponse(response, item)
    if (isStream) return compactionEvents(compacted, item)
    const isOwnRoute = this.#question.endpoint === 'compact'
    return Buffer.from(JSON.stringify(isOwnRoute ? compactAnswer(response, this.#input, item) : compacted))
  }
}

function whyVendorOnly(
  request: JsonObject,
  previousId: string | undefined,
  previous: StoredResponse | undefined,
  input: readonly unknown[],
): TokError | undefined {
  if (request['background'] === true) {
    const reason = 'this node runs nothing in the background'
    return new TokError('parameter_unsupported', { param: 'background', reason })
  }
  if (request['conversation'] !== undefined && request['conversation'] !== null) {
    const reason = 'this node keeps no conversations'
    return new TokError('parameter_unsupported', { param: 'conversation', reason })
  }
  if (previousId !== undefined && previous === undefined) {
    return new TokError('previous_response_not_found', { id: previousId, param: 'previous_response_id' })
  }
  if (input.some(isCompaction)) {
    const reason = 'it holds a compaction that this node did not make and cannot read'
    return new TokError('parameter_unsupported', { param: 'input', reason })
  }
  return undefined
}

/** The vendor looks for reasoning by its id where it has no content, and knows none that it was not asked to store. */
function isReadableByVendor(item: unknown): boolean {
  const { type, encrypted_content: content } = asObject(item)
  return type !== 'reasoning' || asText(content) !== undefined
}

/** Passes an answer on, and hands out its response before the client can know that it is whole. */
function keepingSink(sink: AnswerSink, keep: (response: JsonObject) => void): AnswerSink {
  let collector: ResponseCollector | undefined
  return {
    onHead(head) {
      const encoding = head.headers['content-encoding'] ?? 'identity'
      if (head.status < 300 && encoding === 'identity') collector = createResponseCollector(isEventStream(head), keep)
      sink.onHead(head)
    },
    onData(bytes) {
      collector?.push(bytes)
      return sink.onData(bytes)
    },
    onEnd() {
      collector?.end()
      sink.onEnd()
    },
    onFailure: (error) => sink.onFailure(error),
  }
}
