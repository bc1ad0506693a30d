/**
 * The built-in model `loopback`: no engine, no network, the same answer to the same request. It says back what
 * the user said last, in every dialect, streamed or whole, so that clients and this node can be tried offline.
 *
 * Its length and speed stand in the model's name, as in a URL's query:
 *   loopback                       the last user text, at once
 *   loopback?tokens=200            exactly 200 tokens, repeating it
 *   loopback?tokens=200&rate=50    at 50 tokens a second
 * A token is one word with the space after it. An output limit in the request ends the answer as it would end
 * a real one. Input tokens are estimated (`estimateInputTokens`).
 */
import { sha256, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { TokError, toTokError } from '../base/errors.ts'
import { DIALECTS, ENDPOINTS } from '../dialects/dialect.ts'
import { errorReply } from '../dialects/error-reply.ts'
import { estimateInputTokens, tokenCountAnswer } from '../dialects/estimate-input-tokens.ts'
import type { AnswerHead, AnswerSink, Exchange, ModelRequest } from '../dialects/exchange.ts'
import { asList, asObject, asText, parseObject, type JsonObject } from '../dialects/json-value.ts'
import { skimRequest } from '../dialects/skim-request.ts'
import { streamedAnswer, wholeAnswer, type AnswerPiece, type AnswerPlan } from './loopback-answers.ts'
import { embeddingsAnswer } from './loopback-embeddings.ts'
import type { Provider, ProviderModel } from './provider.ts'

/** The name of the built-in provider and of its model. */
export const LOOPBACK = 'loopback'

const TOKENS_MAX = 100_000
const RATE_MAX = 100_000
/** Events written before the event loop gets its turn. */
const EVENTS_PER_TURN = 64
const ID_HEX_DIGITS = 24

/** True for every name of the built-in model, with parameters or without. */
export function isLoopbackModel(model: string): boolean {
  return /^loopback(?:\?|$)/i.test(model)
}

/** Makes the built-in provider. It is always up. */
export function createLoopback({ clock }: { readonly clock: Clock }): Provider {
  const models = [describeModel(LOOPBACK)]
  return {
    name: LOOPBACK,
    kind: 'loopback',
    origin: '',
    missingKey: undefined,
    dialects: DIALECTS,
    models: () => models,
    lists: (model) => (isLoopbackModel(model) ? describeModel(model) : undefined),
    health: () => ({ state: 'up', reason: undefined }),
    refresh: () => Promise.resolve(),
    close: () => Promise.resolve(),
    send: (request, sink) => play(clock, answerOf(clock, request), sink),
  }
}

function describeModel(id: string): ProviderModel {
  return { id, contextTokens: undefined, ownedBy: 'tok-node', embeddings: undefined }
}

interface LoopbackAnswer {
  readonly head: AnswerHead
  readonly pieces: Iterator<AnswerPiece>
  /** Undefined: at once. */
  readonly tokensPerSecond: number | undefined
}

function answerOf(clock: Clock, request: ModelRequest): LoopbackAnswer {
  try {
    return planAnswer(clock, request)
  } catch (thrown) {
    const { status, headers, body } = errorReply(
      ENDPOINTS[request.endpoint].vendor,
      toTokError(thrown),
      request.requestId,
    )
    return { head: { status, headers }, pieces: onePiece(body, 0), tokensPerSecond: undefined }
  }
}

function planAnswer(clock: Clock, request: ModelRequest): LoopbackAnswer {
  const skimmed = skimRequest(request.body)
  const value = parseObject(Buffer.from(request.body).toString('utf8'))
  if (value === undefined) throw new TokError('body_malformed', { reason: 'it does not parse as JSON' })
  const inputTokens = estimateInputTokens(request.body)
  const wholeHead: AnswerHead = { status: 200, headers: { 'content-type': 'application/json' } }
  if (request.endpoint === 'count_tokens' || request.endpoint === 'embeddings') {
    const body =
      request.endpoint === 'embeddings' ? embeddingsAnswer(value, inputTokens) : tokenCountAnswer(inputTokens)
    return { head: wholeHead, pieces: onePiece(Buffer.from(body).toString('utf8'), 0), tokensPerSecond: undefined }
  }

  if (request.endpoint === 'input_tokens' || request.endpoint === 'compact') {
    throw new TokError('endpoint_unsupported', { target: LOOPBACK, endpoint: ENDPOINTS[request.endpoint].path })
  }
  const parameters = readParameters(request.model)
  const wanted = makeTokens(lastUserText(value), parameters.tokens)
  const tokens = wanted.slice(0, skimmed.maxOutputTokens ?? wanted.length)
  const plan: AnswerPlan = {
    id: toHex(sha256(request.body)).slice(0, ID_HEX_DIGITS),
    model: request.model,
    createdS: Math.floor(clock.nowMs() / 1_000),
    tokens,
    isCut: tokens.length < wanted.length,
    inputTokens,
    includeUsage: asObject(value['stream_options'])['include_usage'] === true,
  }
  if (!skimmed.stream) {
    const body = wholeAnswer(request.endpoint, plan)
    return { head: wholeHead, pieces: onePiece(body, tokens.length), tokensPerSecond: parameters.rate }
  }
  return {
    head: { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } },
    pieces: streamedAnswer(request.endpoint, plan),
    tokensPerSecond: parameters.rate,
  }
}

function* onePiece(text: string, tokens: number): Generator<AnswerPiece, undefined> {
  yield { text, tokens }
}

interface LoopbackParameters {
  readonly tokens: number | undefined
  readonly rate: number | undefined
}

function readParameters(model: string): LoopbackParameters {
  const query = new URLSearchParams(model.split('?')[1] ?? '')
  for (const name of query.keys()) {
    if (name !== 'tokens' && name !== 'rate') throw malformedParameter(`loopback knows no parameter "${name}"`)
  }
  return {
    tokens: readParameter(query, 'tokens', TOKENS_MAX),
    rate: readParameter(query, 'rate', RATE_MAX),
  }
}

function readParameter(query: URLSearchParams, name: string, max: number): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > max) {
    throw malformedParameter(`loopback's ${name} is a whole number from 1 to ${max}`)
  }
  return value
}

function malformedParameter(reason: string): TokError {
  return new TokError('body_malformed', { reason })
}

/** The tokens of `text`, or as many of them, over and over, as asked for. Joined they are the answer. */
function makeTokens(text: string, count: number | undefined): readonly string[] {
  if (count === undefined) return text.match(/^\s+|\S+\s*/g) ?? []
  const words = text.trim().split(/\s+/)
  return Array.from({ length: count }, (_, index) => {
    const word = words[index % words.length] ?? ''
    return index === count - 1 ? word : `${word} `
  })
}

function lastUserText(value: JsonObject): string {
  if (typeof value['input'] === 'string' && value['input'] !== '') return value['input']
  const turns = [...asList(value['messages']), ...asList(value['input'])].map(asObject)
  const last = turns.findLast((turn) => turn['role'] === 'user' && textOf(turn['content']) !== '')
  return last === undefined ? LOOPBACK : textOf(last['content'])
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return asList(content)
    .map((part) => asText(asObject(part)['text']) ?? '')
    .join('')
}

/** Plays an answer into the sink, as fast as its rate and the sink allow. */
function play(clock: Clock, answer: LoopbackAnswer, sink: AnswerSink): Exchange {
  const { pieces, tokensPerSecond } = answer
  const startMs = clock.monotonicMs()
  let tokensSent = 0
  let isOver = false
  let isPaused = false
  let upcoming = pieces.next()
  let cancelTimer = (): void => undefined

  const dueInMs = (tokens: number): number => {
    if (tokensPerSecond === undefined || tokens === 0) return 0
    return startMs + ((tokensSent + tokens) * 1_000) / tokensPerSecond - clock.monotonicMs()
  }

  const pump = (): void => {
    for (let events = 0; events < EVENTS_PER_TURN; events += 1) {
      if (isOver || isPaused) return
      if (upcoming.done === true) {
        isOver = true
        sink.onEnd()
        return
      }
      const { text, tokens } = upcoming.value
      const delayMs = dueInMs(tokens)
      if (delayMs > 0) {
        cancelTimer = clock.after(delayMs, pump)
        return
      }
      tokensSent += tokens
      upcoming = pieces.next()
      if (!sink.onData(Buffer.from(text))) isPaused = true
    }
    if (!isPaused) setImmediate(pump)
  }

  setImmediate(() => {
    if (isOver) return
    sink.onHead(answer.head)
    pump()
  })

  return {
    resume() {
      if (!isPaused || isOver) return
      isPaused = false
      setImmediate(pump)
    },
    abort(error) {
      if (isOver) return
      isOver = true
      cancelTimer()
      sink.onFailure(error)
    },
  }
}
