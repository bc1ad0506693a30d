/**
 * Reads an answer beside its bytes, which it never changes or delays: how much text was generated, what the
 * provider says it cost, and whether the answer is whole. Buyer and seller both run it on a bought call, so
 * every number it gives depends on the bytes alone, not on how they were cut.
 */
import { createAnswerTally, type AnswerReader, type AnswerTally } from './answer-tally.ts'
import type { AnswerFinish, StreamPosition, TokenUsage } from './answer-tally.ts'
import { meterMessagesAnswer, meterTokenCount } from './anthropic-messages/meter-answer.ts'
import type { Endpoint } from './dialect.ts'
import { parseObject } from './json-value.ts'
import { meterChatAnswer, meterEmbeddings } from './openai-chat/meter-answer.ts'
import { meterResponsesAnswer } from './openai-responses/meter-answer.ts'
import { createSseReader } from './sse.ts'

/** The running account of one answer. */
export interface AnswerMeter {
  /** Takes the next bytes of the answer's body. */
  push(bytes: Uint8Array): void
  /** The body is over, by its proper end or not. A whole (not streamed) answer is read only now. */
  end(): void
  /**
   * UTF-8 bytes of what the model generated so far: text, refusals, readable reasoning, names and arguments of
   * tool calls. Not counted: signatures, encrypted reasoning, pictures, embeddings, results of the provider's
   * own tools. Arguments given as an object count as JSON.stringify writes them.
   */
  readonly textBytes: number
  /** `textBytes` / 4, rounded up: the count that both sides of a sale agree on while it runs. */
  readonly countedOutputTokens: number
  /** What the provider reported. */
  readonly usage: TokenUsage
  /** The model that answered, as the provider names it. */
  readonly model: string | undefined
  /** Why the answer ended; undefined while it has not, and for ever if it broke off. */
  readonly finish: AnswerFinish | undefined
  /** What the provider said went wrong, with `finish` "error". */
  readonly errorMessage: string | undefined
  /** Where an error event would have to go on (`errorEvent`). */
  readonly position: StreamPosition
  /** True once an event, or a whole answer, was too long to be read: the rest above may be incomplete, `finish` missing. */
  readonly overflowed: boolean
}

/** Text bytes that count as one token while a call runs. */
export const TEXT_BYTES_PER_TOKEN = 4

/** The longest whole answer that is read, in bytes. Of a longer one nothing is known. */
export const WHOLE_ANSWER_BYTES_MAX = 16_777_216

const READERS: Readonly<Record<Endpoint, (tally: AnswerTally) => AnswerReader>> = {
  chat: meterChatAnswer,
  embeddings: meterEmbeddings,
  responses: meterResponsesAnswer,
  messages: meterMessagesAnswer,
  count_tokens: meterTokenCount,
  input_tokens: meterTokenCount,
  compact: meterResponsesAnswer,
}

/**
 * Makes the meter of one answer of `endpoint`. `stream` says what the answer is, not what was asked: true if
 * its content type is `text/event-stream`. Holds at most one event, or one whole answer, in memory.
 */
export function createAnswerMeter(endpoint: Endpoint, stream: boolean): AnswerMeter {
  const tally = createAnswerTally()
  const reader = READERS[endpoint](tally)
  return new TallyMeter(tally, stream ? readEvents(reader) : readWhole(reader))
}

/** A class: accessors in an object literal would cost a hidden class, and a longer life, for every answer. */
class TallyMeter implements AnswerMeter {
  readonly #tally: AnswerTally
  readonly #input: AnswerInput

  constructor(tally: AnswerTally, input: AnswerInput) {
    this.#tally = tally
    this.#input = input
  }

  push(bytes: Uint8Array): void {
    this.#input.push(bytes)
  }

  end(): void {
    this.#input.end()
  }

  get textBytes(): number {
    return this.#tally.textBytes
  }

  get countedOutputTokens(): number {
    return Math.ceil(this.#tally.textBytes / TEXT_BYTES_PER_TOKEN)
  }

  get usage(): TokenUsage {
    return this.#tally.usage
  }

  get model(): string | undefined {
    return this.#tally.model
  }

  get finish(): AnswerFinish | undefined {
    return this.#tally.finish
  }

  get errorMessage(): string | undefined {
    return this.#tally.errorMessage
  }

  get position(): StreamPosition {
    return this.#tally.position
  }

  get overflowed(): boolean {
    return this.#input.overflowed
  }
}

interface AnswerInput {
  readonly push: (bytes: Uint8Array) => void
  readonly end: () => void
  readonly overflowed: boolean
}

function readEvents(reader: AnswerReader): AnswerInput {
  return createSseReader((event) => {
    if (event.data === '[DONE]') {
      reader.done()
      return
    }
    const value = parseObject(event.data)
    if (value !== undefined) reader.event(value)
  })
}

function readWhole(reader: AnswerReader): AnswerInput {
  let parts: Uint8Array[] = []
  let bytesHeld = 0
  const input = {
    overflowed: false,
    push(bytes: Uint8Array) {
      bytesHeld += bytes.length
      input.overflowed = bytesHeld > WHOLE_ANSWER_BYTES_MAX
      if (input.overflowed) parts = []
      else parts.push(bytes)
    },
    end() {
      if (input.overflowed) return
      const value = parseObject(Buffer.concat(parts).toString('utf8'))
      parts = []
      if (value !== undefined) reader.whole(value)
    },
  }
  return input
}
