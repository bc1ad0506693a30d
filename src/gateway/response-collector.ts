/**
 * The Responses object that an answer ends with, read beside its bytes: out of its events or its whole body. Servers differ
 * in what their last event repeats, so the items are taken from their own events where it brings none.
 */
import { asList, asObject, parseObject, type JsonObject } from '../dialects/json-value.ts'
import { createSseReader } from '../dialects/sse.ts'

/** Reads one answer. */
export interface ResponseCollector {
  push(bytes: Uint8Array): void
  /** The body is over: a whole answer is read now. */
  end(): void
}

/** The most characters of items, or bytes of a whole answer, that are held. A longer answer gives no response. */
const HELD_MAX = 16_777_216

const ITEM_DONE = 'response.output_item.done'
const TERMINAL: ReadonlySet<unknown> = new Set(['response.completed', 'response.incomplete', 'response.failed'])
/** Deltas, which are most of a stream, are not parsed. */
const TELLING = /"response\.(?:output_item\.done|completed|incomplete|failed)"/

/**
 * Makes the reader of one answer. `onResponse` is told once, before `push` or `end` returns, of the response with all its
 * output, whatever its status; never of an answer that broke off.
 */
export function createResponseCollector(
  isEventStream: boolean,
  onResponse: (response: JsonObject) => void,
): ResponseCollector {
  return isEventStream ? collectEvents(onResponse) : collectWhole(onResponse)
}

function collectEvents(onResponse: (response: JsonObject) => void): ResponseCollector {
  const items: unknown[] = []
  let charactersHeld = 0
  return createSseReader(({ data }) => {
    if (!TELLING.test(data)) return
    const event = parseObject(data)
    if (event?.['type'] === ITEM_DONE) {
      charactersHeld += data.length
      if (charactersHeld <= HELD_MAX) items.push(event['item'])
    } else if (TERMINAL.has(event?.['type']) && charactersHeld <= HELD_MAX) {
      const response = asObject(event?.['response'])
      onResponse(asList(response['output']).length > 0 ? response : { ...response, output: items })
    }
  })
}

function collectWhole(onResponse: (response: JsonObject) => void): ResponseCollector {
  let pieces: Uint8Array[] = []
  let bytesHeld = 0
  return {
    push(bytes) {
      bytesHeld += bytes.length
      if (bytesHeld <= HELD_MAX) pieces.push(bytes)
      else pieces = []
    },
    end() {
      const response = bytesHeld <= HELD_MAX ? parseObject(Buffer.concat(pieces).toString('utf8')) : undefined
      if (response !== undefined) onResponse(response)
    },
  }
}
