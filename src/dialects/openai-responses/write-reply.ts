/**
 * A whole Responses answer: what the last event of its stream would hold.
 */
import { replayAnswer, type Answer } from '../conversation/answer.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import type { JsonObject } from '../json-value.ts'
import { ResponseStreamWriter } from './write-stream.ts'

/** Writes an answer. */
export function writeReply(answer: Answer, writing: AnswerWriting): JsonObject {
  const writer = new ResponseStreamWriter(writing)
  replayAnswer(answer, (event) => writer.write(event))
  return writer.whole ?? {}
}
