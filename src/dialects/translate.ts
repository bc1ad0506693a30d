/**
 * One request in the client's dialect, asked of a target in the target's, and its answer back: the body through the hub, the
 * answer's bytes through the hub's events as they come. It holds no socket and no clock; the caller sends and writes.
 *
 *   request: read-request (client's) -> Conversation -> write-request (target's)
 *   answer:  stream reader (target's) -> AnswerEvent* -> stream writer (client's)
 *            read-reply (target's)    -> Answer       -> write-reply (client's)
 *            an error answer          -> ProviderError -> the client's envelope
 */
import { TokError, toTokError } from '../base/errors.ts'
import { anthropicMessages } from './anthropic-messages/translation.ts'
import { createAnswerFold, replayAnswer, type AnswerListener } from './conversation/answer.ts'
import type { AnswerReading, AnswerWriting, DialectTranslation } from './conversation/contract.ts'
import { createLosses, type Losses } from './conversation/losses.ts'
import type { OpaqueSeal } from './conversation/opaque-state.ts'
import { createToolBridge } from './conversation/tool-bridge.ts'
import { isEventStream } from './delivery.ts'
import type { Dialect, Endpoint } from './dialect.ts'
import type { AnswerHead, AnswerSink, ModelRequest } from './exchange.ts'
import { isObject, parseObject, type JsonObject } from './json-value.ts'
import { openaiChat } from './openai-chat/translation.ts'
import { openaiResponses } from './openai-responses/translation.ts'
import { profileOf } from './profiles.ts'
import { readProviderError, writeProviderError } from './provider-error.ts'
import { createSseReader, type SseReader } from './sse.ts'

const TRANSLATIONS: Readonly<Record<Dialect, DialectTranslation>> = {
  'openai-chat': openaiChat,
  'openai-responses': openaiResponses,
  'anthropic-messages': anthropicMessages,
}

/** The endpoint that generates in a dialect. */
export const GENERATING: Readonly<Record<Dialect, Endpoint>> = {
  'openai-chat': 'chat',
  'openai-responses': 'responses',
  'anthropic-messages': 'messages',
}

/** The longest whole answer that is translated, in bytes. */
const WHOLE_ANSWER_BYTES_MAX = 33_554_432

/** Where a translated request goes. */
export interface TranslationTarget {
  readonly dialect: Dialect
  /** Its name: opaque state is given back to the target that made it only. */
  readonly name: string
  readonly isVendor: boolean
  /** The model to ask for there. */
  readonly model: string
}

/** What translating needs from outside. */
export interface TranslationDependencies {
  readonly seal: OpaqueSeal
  /** Seconds since 1970. */
  nowS(): number
  /** Told of what an answer held that the client's dialect cannot say. */
  readonly onAnswerLosses?: ((fields: readonly string[]) => void) | undefined
}

/** A request on its way in another dialect. */
export interface Translated {
  readonly request: ModelRequest
  /** Fields of the client's request that the target's dialect, or the target, cannot take. */
  readonly dropped: readonly string[]
  /** Takes the target's answer and gives it on to the client's sink in the client's dialect. */
  readonly sink: AnswerSink
}

/**
 * Translates a request and wires its answer back.
 * @param sink takes the answer in the client's dialect; its head carries `x-tok-dropped` where something was lost
 * @throws TokError `body_malformed`; `translation_refused` where leaving a field out would change what was asked
 */
export function translate(
  request: ModelRequest,
  target: TranslationTarget,
  sink: AnswerSink,
  { seal, nowS, onAnswerLosses }: TranslationDependencies,
): Translated {
  const body = parseObject(
    Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength).toString('utf8'),
  )
  if (body === undefined) throw new TokError('body_malformed', { reason: 'it does not parse as a JSON object' })
  const losses = createLosses(request.dialect)
  const conversation = TRANSLATIONS[request.dialect].readRequest(body, { seal, losses })
  const profile = profileOf({ ...target, provider: target.name })
  const bridge = createToolBridge(conversation, profile)
  const written = TRANSLATIONS[target.dialect].writeRequest(conversation, {
    model: target.model,
    target: target.name,
    profile,
    bridge,
    losses,
  })
  const dropped = losses.fields
  const answerLosses = createLosses(request.dialect)
  return {
    request: {
      ...request,
      endpoint: GENERATING[target.dialect],
      dialect: target.dialect,
      model: target.model,
      query: '',
      body: Buffer.from(JSON.stringify(written)),
    },
    dropped,
    sink: new TranslatingSink(
      sink,
      target.dialect,
      request,
      { target: target.name, model: target.model, bridge },
      {
        answerId: request.requestId.replaceAll(/[^0-9A-Za-z]/g, '').toLowerCase(),
        model: request.requestedModel,
        createdAtS: nowS(),
        seal,
        request: body,
        conversation,
        losses: answerLosses,
      },
      dropped,
      () => {
        if (answerLosses.fields.length > 0) onAnswerLosses?.(answerLosses.fields)
      },
    ),
  }
}

/** A body of one dialect as the other would have it; for tests and for reading what a client would be told. */
export function translateBody(
  body: JsonObject,
  from: Dialect,
  target: TranslationTarget,
  seal: OpaqueSeal,
): { readonly body: JsonObject; readonly dropped: readonly string[] } {
  const losses: Losses = createLosses(from)
  const conversation = TRANSLATIONS[from].readRequest(body, { seal, losses })
  const profile = profileOf({ ...target, provider: target.name })
  const bridge = createToolBridge(conversation, profile)
  const written = TRANSLATIONS[target.dialect].writeRequest(conversation, {
    model: target.model,
    target: target.name,
    profile,
    bridge,
    losses,
  })
  return { body: written, dropped: losses.fields }
}

/** How the body of an answer goes through. */
interface BodyTranslation {
  /** Text for the client; "" for nothing yet. */
  push(bytes: Uint8Array): string
  end(): string
}

/** A class: one hidden class for all answers (see answer-meter.ts). */
class TranslatingSink implements AnswerSink {
  readonly #sink: AnswerSink
  readonly #from: Dialect
  readonly #request: ModelRequest
  readonly #reading: AnswerReading
  readonly #writing: AnswerWriting
  readonly #dropped: readonly string[]
  readonly #onOver: () => void
  #body: BodyTranslation | undefined
  #isOver = false

  constructor(
    sink: AnswerSink,
    from: Dialect,
    request: ModelRequest,
    reading: AnswerReading,
    writing: AnswerWriting,
    dropped: readonly string[],
    onOver: () => void,
  ) {
    this.#sink = sink
    this.#from = from
    this.#request = request
    this.#reading = reading
    this.#writing = writing
    this.#dropped = dropped
    this.#onOver = onOver
  }

  onHead(head: AnswerHead): void {
    const { status } = head
    const isError = status >= 400
    const wantsStream = this.#request.stream && !isError
    if (isError) this.#body = this.#errorBody(status)
    else if (isEventStream(head)) this.#body = wantsStream ? this.#streamToStream() : this.#streamToWhole()
    else this.#body = wantsStream ? this.#wholeToStream() : this.#wholeToWhole()
    const headers: Record<string, string> = { ...head.headers }
    delete headers['content-encoding']
    headers['content-type'] = wantsStream ? 'text/event-stream; charset=utf-8' : 'application/json'
    if (this.#dropped.length > 0) headers['x-tok-dropped'] = this.#dropped.join(', ')
    this.#sink.onHead({ status: isError ? this.#statusOf(status) : status, headers })
  }

  onData(bytes: Uint8Array): boolean {
    return this.#pass(() => this.#body?.push(bytes) ?? '')
  }

  onEnd(): void {
    this.#pass(() => this.#body?.end() ?? '')
    if (this.#isOver) return
    this.#finish()
    this.#sink.onEnd()
  }

  onFailure(error: TokError): void {
    if (this.#isOver) return
    this.#finish()
    this.#sink.onFailure(error)
  }

  /** Gives on what a piece of the answer became; what cannot be read ends the answer as a broken one. */
  #pass(translateNext: () => string): boolean {
    if (this.#isOver) return true
    try {
      const text = translateNext()
      return text === '' || this.#sink.onData(Buffer.from(text))
    } catch (thrown) {
      this.onFailure(toTokError(thrown))
      return true
    }
  }

  #finish(): void {
    this.#isOver = true
    this.#onOver()
  }

  #streamToStream(): BodyTranslation {
    const writer = TRANSLATIONS[this.#request.dialect].createStreamWriter(this.#writing)
    let text = ''
    const reader = this.#eventsOf((event) => {
      text += writer.write(event)
    })
    const take = (): string => {
      const taken = text
      text = ''
      return taken
    }
    return {
      push(bytes) {
        reader.push(bytes)
        return take()
      },
      end() {
        reader.end()
        return take()
      },
    }
  }

  #streamToWhole(): BodyTranslation {
    const fold = createAnswerFold()
    const reader = this.#eventsOf((event) => fold.add(event))
    return {
      push(bytes) {
        reader.push(bytes)
        return ''
      },
      end: () => {
        reader.end()
        if (fold.answer === undefined)
          throw this.#broken(fold.error?.message ?? 'its stream ended before its last event')
        return JSON.stringify(TRANSLATIONS[this.#request.dialect].writeReply(fold.answer, this.#writing))
      },
    }
  }

  #wholeToWhole(): BodyTranslation {
    return this.#whole((reply) => {
      const answer = TRANSLATIONS[this.#from].readReply(reply, this.#reading)
      return JSON.stringify(TRANSLATIONS[this.#request.dialect].writeReply(answer, this.#writing))
    })
  }

  /** A server that was asked for a stream and does not stream: its answer comes as a stream all the same. */
  #wholeToStream(): BodyTranslation {
    return this.#whole((reply) => {
      const writer = TRANSLATIONS[this.#request.dialect].createStreamWriter(this.#writing)
      let text = ''
      replayAnswer(TRANSLATIONS[this.#from].readReply(reply, this.#reading), (event) => {
        text += writer.write(event)
      })
      return text
    })
  }

  #errorBody(status: number): BodyTranslation {
    return this.#collect((text) => {
      const error = readProviderError(status, text)
      return writeProviderError(this.#request.dialect, error, this.#request.requestId).body
    })
  }

  #whole(write: (reply: JsonObject) => string): BodyTranslation {
    return this.#collect((text) => {
      const reply = parseObject(text)
      if (reply === undefined) throw this.#broken('its answer is not a JSON object')
      if (isObject(reply['error'])) throw this.#broken('it answered with an error and a status of success')
      return write(reply)
    })
  }

  #collect(finish: (text: string) => string): BodyTranslation {
    const parts: Uint8Array[] = []
    let bytesHeld = 0
    return {
      push: (bytes) => {
        bytesHeld += bytes.length
        if (bytesHeld > WHOLE_ANSWER_BYTES_MAX)
          throw this.#broken(`more than ${WHOLE_ANSWER_BYTES_MAX} bytes in one piece`)
        parts.push(bytes)
        return ''
      },
      end: () => finish(Buffer.concat(parts).toString('utf8')),
    }
  }

  #eventsOf(listener: AnswerListener): SseReader {
    const events = TRANSLATIONS[this.#from].createStreamReader(this.#reading, listener)
    const lines = createSseReader((event) => events.event(event))
    return {
      push: (bytes) => {
        lines.push(bytes)
        if (lines.overflowed) throw this.#broken('an event of its stream is too long')
      },
      end() {
        lines.end()
        events.end()
      },
      get overflowed() {
        return lines.overflowed
      },
    }
  }

  #statusOf(status: number): number {
    return status
  }

  #broken(reason: string): TokError {
    return new TokError('provider_broken', { provider: this.#reading.target, reason })
  }
}
