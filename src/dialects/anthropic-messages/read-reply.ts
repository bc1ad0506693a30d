/**
 * Reads a whole Messages answer: as the events it would have been streamed in, so that both come out the same.
 */
import { isDeepStrictEqual } from 'node:util'
import { TokError } from '../../base/errors.ts'
import { createAnswerFold, type Answer } from '../conversation/answer.ts'
import type { AnswerReading } from '../conversation/contract.ts'
import { asObject, type JsonObject } from '../json-value.ts'
import { createMessageEvents } from './read-stream.ts'

/** Reads a whole answer. @throws TokError `provider_broken` if it holds no content */
export function readReply(reply: JsonObject, reading: AnswerReading): Answer {
  const { content, usage } = reply
  const fold = createAnswerFold()
  if (Array.isArray(content)) {
    const events = createMessageEvents(reading, (event) => fold.add(event))
    events.take({ type: 'message_start', message: reply })
    content.forEach((block: unknown, index) => {
      events.take({ type: 'content_block_start', index, content_block: block })
      // A stream opens every call with an empty input; here the input is what it is.
      if (isDeepStrictEqual(asObject(block)['input'], {}))
        events.take({ type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json: '{}' } })
      events.take({ type: 'content_block_stop', index })
    })
    events.take({ type: 'message_delta', delta: reply, usage })
    events.take({ type: 'message_stop' })
  }
  if (fold.answer !== undefined) return fold.answer
  throw new TokError('provider_broken', { provider: reading.target, reason: 'its answer is a message without content' })
}
