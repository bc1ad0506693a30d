/**
 * The running count of a call: how many output tokens the bytes of an answer stand for so far. Buyer and seller run it over the
 * same bytes and reach the same number. Source: protocols/inference/v1.md, "Running count".
 */
import { createAnswerMeter, TEXT_BYTES_PER_TOKEN, type AnswerMeter } from './answer-meter.ts'
import type { Endpoint } from './dialect.ts'
import type { AnswerHead } from './exchange.ts'

/** Counts one answer as it is delivered. */
export interface Delivery {
  readonly meter: AnswerMeter
  /** Output tokens delivered so far, never above the order's maximum. */
  readonly outputTokens: number
  push(bytes: Uint8Array): void
  end(): void
}

/**
 * The rule: an event stream counts a token for every 4 bytes of generated text, rounded up; a whole answer, whose text is only
 * known at its end, one for every 4 bytes of its body, rounded up; an answer whose status is 400 or more counts none; no count
 * exceeds `outputTokensMax`.
 */
export function createDelivery(endpoint: Endpoint, head: AnswerHead, outputTokensMax: number): Delivery {
  return new CountedDelivery(createAnswerMeter(endpoint, isEventStream(head)), head, outputTokensMax)
}

/** A class, as the meter is: one hidden class for all answers. */
class CountedDelivery implements Delivery {
  readonly meter: AnswerMeter
  readonly #isStream: boolean
  readonly #isError: boolean
  readonly #outputTokensMax: number
  #bytes = 0

  constructor(meter: AnswerMeter, head: AnswerHead, outputTokensMax: number) {
    this.meter = meter
    this.#isStream = isEventStream(head)
    this.#isError = head.status >= 400
    this.#outputTokensMax = outputTokensMax
  }

  get outputTokens(): number {
    if (this.#isError) return 0
    const counted = this.#isStream ? this.meter.countedOutputTokens : Math.ceil(this.#bytes / TEXT_BYTES_PER_TOKEN)
    return Math.min(counted, this.#outputTokensMax)
  }

  push(content: Uint8Array): void {
    this.#bytes += content.length
    this.meter.push(content)
  }

  end(): void {
    this.meter.end()
  }
}

/** True if an answer with this head comes as server-sent events. */
export function isEventStream(head: AnswerHead): boolean {
  return (head.headers['content-type'] ?? '').toLowerCase().startsWith('text/event-stream')
}
