import { TokError } from '../../base/errors.ts'
import { createAnswerFold, type Answer } from '../conversation/answer.ts'
import type { AnswerReading } from '../conversation/contract.ts'
import { asList, type JsonObject } from '../json-value.ts'
import { ChatAnswer } from './read-stream.ts'

/** Reads a whole answer. @throws TokError `provider_broken` if it is none */
export function readReply(reply: JsonObject, reading: AnswerReading): Answer {
  const fold = createAnswerFold()
  const answer = new ChatAnswer(reading, (event) => fold.add(event))
  answer.chunk(reply, 'message')
  answer.done()
  if (fold.answer === undefined || asList(reply['choices']).length === 0) {
    const reason = fold.error?.message ?? 'its answer has no choice'
    throw new TokError('provider_broken', { provider: reading.target, reason })
  }
  return fold.answer
}
