/**
 * A whole Responses answer: what the last event of its stream would hold.
 */
import { replayAnswer, type Answer } from '../conversation/answer.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import type { JsonObject } from '../json-value.ts'
import { createResponseObject } from './response-object.ts'
import { ResponseStreamWriter } from './write-stream.ts'

/** Writes an answer. */
export function writeReply(answer: Answer, writing: AnswerWriting): JsonObject {
  // Nobody reads the events here, which would repeat the request three times.
  const writer = new ResponseStreamWriter(writing, { ...createResponseObject(writing), json: () => '{}' })
  replayAnswer(answer, (event) => writer.write(event))
  return writer.whole ?? {}
}
