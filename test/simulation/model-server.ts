/**
 * A model server whose answers are drawn from chance: it streams text at some rate, and now and then it fails, breaks off, falls
 * silent or reports no usage. Each token it counts is four bytes of text, so that its own count and the running count agree.
 */
import { TokError } from '../../src/base/errors.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { AnswerSink, AnswerSource, Exchange, ModelRequest } from '../../src/dialects/exchange.ts'
import type { Randomness } from './randomness.ts'

/** What an answer is like. */
type Course = 'whole' | 'uncounted' | 'broken' | 'refused' | 'silent'

/** A token of text: four bytes, so that the running count of the text and the count of tokens are the same number. */
export const TOKEN_TEXT = 'word'

/** The most tokens of one event: the most by which a window can be passed. */
export const EVENT_TOKENS_MAX = 24

/** Of twenty answers that begin; the rest is whole. */
const COURSES: readonly Course[] = ['uncounted', 'broken', 'refused', 'silent']
const ANSWERS = 20
const SILENCE_MS = 30_000

/** A source of answers named "engine"; the longest takes about `secondsMax`. */
export function createModelServer(clock: Clock, random: Randomness, secondsMax: number): AnswerSource {
  return { name: 'engine', send: (request, sink) => new Answer(clock, random, secondsMax, request, sink) }
}

class Answer implements Exchange {
  readonly #clock: Clock
  readonly #sink: AnswerSink
  readonly #course: Course
  readonly #inputTokens: number
  readonly #tokens: number
  readonly #tokensPerEvent: number
  readonly #everyMs: number
  #tokensSent = 0
  #isOver = false
  #isPaused = false
  #cancel: () => void

  constructor(clock: Clock, random: Randomness, secondsMax: number, { body }: ModelRequest, sink: AnswerSink) {
    this.#clock = clock
    this.#sink = sink
    this.#course = COURSES[random.whole(1, ANSWERS) - 1] ?? 'whole'
    const { max_tokens: limit = Infinity } = JSON.parse(Buffer.from(body).toString('utf8')) as { max_tokens?: number }
    this.#inputTokens = Math.ceil(body.length / random.between(3, 6))
    const tokensPerSecond = random.between(10, 60)
    this.#tokens = Math.ceil(Math.min(limit, tokensPerSecond * random.between(0, secondsMax)))
    this.#tokensPerEvent = random.whole(4, EVENT_TOKENS_MAX)
    this.#everyMs = (this.#tokensPerEvent * 1_000) / tokensPerSecond
    const firstMs = this.#course === 'silent' ? SILENCE_MS : random.between(100, 2_500)
    this.#cancel = clock.after(firstMs, () => this.#begin())
  }

  resume(): void {
    if (!this.#isPaused || this.#isOver) return
    this.#isPaused = false
    this.#next()
  }

  abort(error: TokError): void {
    if (this.#isOver) return
    this.#over()
    this.#sink.onFailure(error)
  }

  #begin(): void {
    if (this.#course === 'refused') {
      this.#over()
      this.#sink.onHead({ status: 503, headers: { 'content-type': 'application/json' } })
      this.#sink.onData(Buffer.from('{"error":{"message":"overloaded"}}'))
      this.#sink.onEnd()
      return
    }
    this.#sink.onHead({ status: 200, headers: { 'content-type': 'text/event-stream' } })
    this.#next()
  }

  #next(): void {
    if (this.#isOver || this.#isPaused) return
    if (this.#course === 'broken' && this.#tokensSent > this.#tokens / 2) {
      this.#over()
      this.#sink.onFailure(new TokError('provider_broken', { provider: 'engine', reason: 'the connection closed' }))
      return
    }
    if (this.#tokensSent === this.#tokens) {
      this.#finish()
      return
    }
    const tokens = Math.min(this.#tokensPerEvent, this.#tokens - this.#tokensSent)
    this.#tokensSent += tokens
    const goesOn = this.#sink.onData(event({ choices: [{ index: 0, delta: { content: TOKEN_TEXT.repeat(tokens) } }] }))
    this.#isPaused = !goesOn
    this.#cancel = this.#clock.after(this.#everyMs, () => this.#next())
  }

  #finish(): void {
    const usage = { prompt_tokens: this.#inputTokens, completion_tokens: this.#tokens }
    this.#over()
    this.#sink.onData(event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }))
    if (this.#course !== 'uncounted') this.#sink.onData(event({ choices: [], usage }))
    this.#sink.onData(Buffer.from('data: [DONE]\n\n'))
    this.#sink.onEnd()
  }

  #over(): void {
    this.#isOver = true
    this.#cancel()
  }
}

function event(members: object): Uint8Array {
  return Buffer.from(
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'm', ...members })}\n\n`,
  )
}
