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
import { UNKNOWN_USAGE } from './answer-tally.ts'
import { anthropicMessages } from './anthropic-messages/translation.ts'
import { createAnswerFold, replayAnswer, type Answer, type AnswerListener } from './conversation/answer.ts'
import type { AnswerReading, AnswerWriting, DialectTranslation } from './conversation/contract.ts'
import type { Conversation } from './conversation/conversation.ts'
import { createLosses } from './conversation/losses.ts'
import type { OpaqueSeal } from './conversation/opaque-state.ts'
import { createToolBridge, type ToolBridge } from './conversation/tool-bridge.ts'
import { isEventStream } from './delivery.ts'
import { ENDPOINTS, type Dialect, type Endpoint, type Vendor } from './dialect.ts'
import { adviceOf, errorReply } from './error-reply.ts'
import { estimateInputTokens } from './estimate-input-tokens.ts'
import type { AnswerHead, AnswerSink, ModelRequest } from './exchange.ts'
import { answerHeadersForTranslation, requestHeadersForTranslation } from './headers.ts'
import { isObject, parseObject, type JsonObject } from './json-value.ts'
import { openaiChat } from './openai-chat/translation.ts'
import { openaiResponses } from './openai-responses/translation.ts'
import { profileOf, type ModelCapabilities } from './profiles.ts'
import { readProviderError } from './provider-error.ts'
import { createSseReader, type SseReader } from './sse.ts'
import { tidyRequest } from './tidy-request.ts'

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
  /** What the target says the model can do; nothing where it is not known. */
  readonly capabilities?: ModelCapabilities | undefined
}

/** What translating needs from outside. */
export interface TranslationDependencies {
  readonly seal: OpaqueSeal
  /** Seconds since 1970. */
  nowS(): number
  /** Told the fields that a request, and later its answer, could not take along. */
  onDropped(fields: readonly string[]): void
}

/** A request as a target takes it. */
export interface AdaptedRequest {
  readonly request: ModelRequest
  /** Takes the target's answer, and gives it on to the client's sink in the client's dialect. */
  readonly sink: AnswerSink
}

/**
 * Makes a request fit for a target. In the client's own dialect it goes as it is, but for what this node put into earlier
 * answers (tidy-request.ts); otherwise it is translated, and its answer back.
 * @param sink takes the answer in the client's dialect; its head names in `x-tok-dropped` what the request lost
 * @throws TokError `body_malformed`; `translation_refused` where leaving a field out would change what was asked
 */
export function adaptRequest(
  request: ModelRequest,
  target: TranslationTarget,
  sink: AnswerSink,
  dependencies: TranslationDependencies,
): AdaptedRequest {
  if (target.dialect !== request.dialect) return translate(request, target, sink, dependencies)
  const { body, dropped } = tidyRequest(request.dialect, request.body, { isVendor: target.isVendor })
  if (body === request.body) return { request, sink }
  if (dropped.length > 0) dependencies.onDropped(dropped)
  return { request: { ...request, body }, sink: namingDropped(sink, dropped) }
}

function translate(
  request: ModelRequest,
  target: TranslationTarget,
  sink: AnswerSink,
  { seal, nowS, onDropped }: TranslationDependencies,
): AdaptedRequest {
  const { buffer, byteOffset, byteLength } = request.body
  const client = parseObject(Buffer.from(buffer, byteOffset, byteLength).toString('utf8'))
  if (client === undefined) throw new TokError('body_malformed', { reason: 'it does not parse as a JSON object' })
  const { body, conversation, bridge, dropped } = translateBody(client, request.dialect, target, seal)
  if (dropped.length > 0) onDropped(dropped)
  const answerId = request.requestId.replaceAll(/[^0-9A-Za-z]/g, '').toLowerCase()
  return {
    request: {
      ...request,
      endpoint: GENERATING[target.dialect],
      dialect: target.dialect,
      query: '',
      headers: {
        ...requestHeadersForTranslation(request.headers),
        ...TRANSLATIONS[target.dialect].requestHeaders?.(body),
      },
      body: Buffer.from(JSON.stringify(body)),
    },
    sink: new TranslatingSink(
      namingDropped(sink, dropped),
      target.dialect,
      request,
      { answerId, target: target.name, model: target.model, bridge },
      {
        answerId,
        model: request.requestedModel,
        createdAtS: nowS(),
        seal,
        request: withoutTurns(client),
        estimateInput: () => estimateInputTokens(request.body),
        conversation: { ...conversation, turns: [] },
        losses: createLosses(request.dialect),
      },
      onDropped,
    ),
  }
}

/** No answer repeats what was said, which may be megabytes, and this may wait for minutes. */
function withoutTurns({ messages: _messages, input: _input, ...settings }: JsonObject): JsonObject {
  return settings
}

/** A request's body in another dialect, with what the way back needs. */
export interface TranslatedBody {
  readonly body: JsonObject
  readonly conversation: Conversation
  readonly bridge: ToolBridge
  readonly dropped: readonly string[]
}

/** Translates a body alone. Throws as `adaptRequest` does. */
export function translateBody(
  body: JsonObject,
  from: Dialect,
  target: TranslationTarget,
  seal: OpaqueSeal,
): TranslatedBody {
  const losses = createLosses(from)
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
  return { body: written, conversation, bridge, dropped: losses.fields }
}

/** All but printable ASCII, and the sign that stands for it: names of tools may be anything. */
const NOT_IN_HEADERS = /[^ -$&-~]+/g

/** The sink itself, or one that adds what was dropped to the head. */
function namingDropped(sink: AnswerSink, dropped: readonly string[]): AnswerSink {
  if (dropped.length === 0) return sink
  const named = dropped
    .join(', ')
    .toWellFormed()
    .replaceAll(NOT_IN_HEADERS, (text) => encodeURIComponent(text))
  return {
    onHead: ({ status, headers }) => sink.onHead({ status, headers: { ...headers, 'x-tok-dropped': named } }),
    onData: (bytes) => sink.onData(bytes),
    onUsage: (usage) => sink.onUsage?.(usage),
    onEnd: () => sink.onEnd(),
    onFailure: (error) => sink.onFailure(error),
  }
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
  readonly #onDropped: (fields: readonly string[]) => void
  #body: BodyTranslation | undefined
  #isOver = false

  constructor(
    sink: AnswerSink,
    from: Dialect,
    request: ModelRequest,
    reading: AnswerReading,
    writing: AnswerWriting,
    onDropped: (fields: readonly string[]) => void,
  ) {
    this.#sink = sink
    this.#from = from
    this.#request = request
    this.#reading = reading
    this.#writing = writing
    this.#onDropped = onDropped
  }

  onHead(head: AnswerHead): void {
    const { status } = head
    const { vendor } = ENDPOINTS[this.#request.endpoint]
    const headers: Record<string, string> = { ...answerHeadersForTranslation(head.headers, vendor) }
    if (status >= 400) {
      this.#body = this.#errorBody(vendor, { status, headers })
      return
    }
    const wantsStream = this.#request.stream
    if (isEventStream(head)) this.#body = wantsStream ? this.#streamToStream() : this.#streamToWhole()
    else this.#body = wantsStream ? this.#wholeToStream() : this.#wholeToWhole()
    headers['content-type'] = wantsStream ? 'text/event-stream; charset=utf-8' : 'application/json'
    this.#sink.onHead({ status, headers })
    this.#sink.onUsage?.(UNKNOWN_USAGE)
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
    const { fields } = this.#writing.losses
    if (fields.length > 0) this.#onDropped(fields)
  }

  #streamToStream(): BodyTranslation {
    const writer = TRANSLATIONS[this.#request.dialect].createStreamWriter(this.#writing)
    let text = ''
    const reader = this.#eventsOf((event) => {
      if ((event.type === 'start' || event.type === 'end') && event.usage !== undefined)
        this.#sink.onUsage?.(event.usage)
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
        return this.#wholeOf(fold.answer)
      },
    }
  }

  #wholeToWhole(): BodyTranslation {
    return this.#whole((reply) => this.#wholeOf(TRANSLATIONS[this.#from].readReply(reply, this.#reading)))
  }

  #wholeOf(answer: Answer): string {
    this.#sink.onUsage?.(answer.usage)
    return JSON.stringify(TRANSLATIONS[this.#request.dialect].writeReply(answer, this.#writing))
  }

  /** A server that was asked for a stream and does not stream: its answer comes as a stream all the same. */
  #wholeToStream(): BodyTranslation {
    return this.#whole((reply) => {
      const writer = TRANSLATIONS[this.#request.dialect].createStreamWriter(this.#writing)
      let text = ''
      const answer = TRANSLATIONS[this.#from].readReply(reply, this.#reading)
      this.#sink.onUsage?.(answer.usage)
      replayAnswer(answer, (event) => {
        text += writer.write(event)
      })
      return text
    })
  }

  /** Which status an error has depends on what its body says, so the head waits for it. */
  #errorBody(vendor: Vendor, { status, headers }: AnswerHead): BodyTranslation {
    return this.#collect((text) => {
      const reply = errorReply(vendor, readProviderError(status, text), this.#request.requestId)
      this.#sink.onHead({
        status: reply.status,
        headers: { ...adviceOf(reply), ...headers, 'content-type': 'application/json' },
      })
      return reply.body
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

  #broken(reason: string): TokError {
    return new TokError('provider_broken', { provider: this.#reading.target, reason })
  }
}
