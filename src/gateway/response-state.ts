/**
 * What `/v1/responses` remembers, for targets that remember nothing. It stands between the client's request and the target's
 * dialect: the request is made whole before it is sent or translated, the answer is read after it was.
 *
 *   previous_response_id  the kept conversation takes its place in `input`
 *   store: true           the answer is kept here, and nobody else is asked to
 *   item_reference        the item of an earlier answer takes its place; answers are noted for that, unless store: false
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
import { createResponseRecall, type ResponseRecall } from './response-recall.ts'
import type { ResponseStore, StoredResponse } from './response-store.ts'

/** Answers of one connection, kept as long as it is open, whether the client had them stored or not. */
export interface ResponseMemory {
  /** Of the connection: items of answers that are not stored are nobody else's. */
  readonly id: string
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
  /**
   * Deletes a kept answer, and what could be referred to of it. False if there was none.
   * @throws TokError `response_store_failed`
   */
  delete(owner: string, id: string): Promise<boolean>
}

/** Nobody asks the node but the programs of this machine, which all are one caller. */
export const LOCAL_OWNER = 'local'

const RESPONSE_ENDPOINTS: ReadonlySet<Endpoint> = new Set(['responses', 'compact', 'input_tokens'])
const ID_CHARACTERS_MAX = 256
/** How the type of every item of compaction begins. As bytes: a text costs more than twice as much to search for. */
const COMPACTION = Buffer.from('"compaction')
const ITEM_REFERENCE = Buffer.from('"item_reference"')
/** How ids of reasoning begin. A reference to reasoning can be done without, as `tidyRequest` and translation do. */
const REASONING_ID = 'rs_'

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
  const recall = createResponseRecall(dependencies)
  const turnOf = async (question: ResponseQuestion): Promise<Turn> => {
    const { body, owner, memory } = question
    const request = parseObject(Buffer.from(body).toString('utf8'))
    if (request === undefined) throw new TokError('body_malformed', { reason: 'it does not parse as JSON' })
    const id = asText(request['previous_response_id'])
    const previous = id === undefined ? undefined : (memory?.get(id) ?? (await dependencies.store.get(owner, id)))
    return new Turn({ ...dependencies, recall }, question, request, id, previous)
  }
  return {
    open(question) {
      const { endpoint, body, skimmed, memory } = question
      if (!RESPONSE_ENDPOINTS.has(endpoint)) return undefined
      const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
      const { asksForState, declinesStore } = skimmed
      const mayRefer = !declinesStore && bytes.includes(ITEM_REFERENCE)
      const isPlain = !asksForState && !mayRefer && !bytes.includes(COMPACTION)
      if (endpoint !== 'responses' || !isPlain || memory !== undefined) return turnOf(question)
      return declinesStore ? undefined : Promise.resolve(notingTurn(recall, question.owner))
    },
    async prewarm(question) {
      return (await turnOf(question)).remember(`resp_${question.requestId.replaceAll('-', '')}`)
    },
    async delete(owner, id) {
      const stored = await dependencies.store.get(owner, id)
      if (stored !== undefined) recall.forget(owner, asList(stored.response['output']))
      return dependencies.store.delete(owner, id)
    },
  }
}

/** A request that needs no state itself, but whose answer may be referred to. */
function notingTurn(recall: ResponseRecall, owner: string): ResponseTurn {
  return {
    body: undefined,
    choose: (targets) => targets,
    questionFor: () => undefined,
    sinkFor: (target, sink) =>
      keepsResponses(target) ? sink : keepingSink(sink, (response) => recall.note(owner, asList(response['output']))),
  }
}

interface TurnDependencies extends ResponseStateDependencies {
  readonly recall: ResponseRecall
}

class Turn implements ResponseTurn {
  readonly body: Uint8Array | undefined
  readonly #dependencies: TurnDependencies
  readonly #question: ResponseQuestion
  readonly #previousId: string | undefined
  /** Every item of the conversation, without a trigger at its end. */
  readonly #input: readonly unknown[]
  readonly #compacts: boolean
  readonly #isStored: boolean
  /** Why only the vendor itself can take it. */
  readonly #vendorOnly: TokError | undefined

  constructor(
    dependencies: TurnDependencies,
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
    this.#input = whole.map((item) => this.#readable(item))
    this.#vendorOnly = whyVendorOnly(request, previousId, previous, this.#input)
    if (previous !== undefined || this.#input.some((item, index) => item !== whole[index])) {
      const { previous_response_id: _id, ...rest } = request
      const kept = previous === undefined ? request : rest
      this.body = Buffer.from(JSON.stringify({ ...kept, input: [...this.#input, ...trigger] }))
      const limitBytes = question.bodyLimitBytes
      if (this.body.length > limitBytes) throw new TokError('body_too_large', { limitBytes })
    }
  }

  /** The item itself, where it is only referred to or sealed by this node. */
  #readable(given: unknown): unknown {
    const item = isReference(given) ? (this.#recalled(referenceOf(given)) ?? given) : given
    return isCompaction(item) ? (openCompaction(item, this.#dependencies.seal) ?? item) : item
  }

  #recalled(id: string): JsonObject | undefined {
    const { recall } = this.#dependencies
    return recall.find(this.#scope, id) ?? recall.find(this.#question.owner, id)
  }

  /** Whose the items of an answer are that is not stored: the connection's, where it remembers at all. */
  get #scope(): string {
    const { owner, memory } = this.#question
    return memory === undefined ? owner : `${owner} ${memory.id}`
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
    const { endpoint, memory, skimmed } = this.#question
    const isVendor = keepsResponses(target)
    const isNoted = !isVendor && !skimmed.declinesStore
    const isKept = endpoint === 'responses' && (isNoted || memory !== undefined)
    const kept = isKept ? keepingSink(sink, (response) => this.#keep(response, isNoted)) : sink
    return this.#compacts && !isVendor ? this.#compactingSink(target, kept) : kept
  }

  #keep(response: JsonObject, isNoted: boolean): void {
    const { requestId, owner, memory } = this.#question
    const { store, recall, logger } = this.#dependencies
    if (isNoted) recall.note(this.#isStored ? owner : this.#scope, asList(response['output']))
    const id = asText(response['id'])
    if (id === undefined || id.length > ID_CHARACTERS_MAX) return
    memory?.put(id, { response, input: this.#input })
    if (!isNoted || !this.#isStored) return
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
  const lost = input.find((item) => isReference(item) && !referenceOf(item).startsWith(REASONING_ID))
  if (lost !== undefined) {
    const reason = `it refers to "${referenceOf(lost)}", which is not held here: send the item itself, as SDKs do with "store": false`
    return new TokError('parameter_unsupported', { param: 'input', reason })
  }
  return undefined
}

function isReference(item: unknown): boolean {
  return asObject(item)['type'] === 'item_reference'
}

function referenceOf(item: unknown): string {
  return asText(asObject(item)['id']) ?? ''
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
