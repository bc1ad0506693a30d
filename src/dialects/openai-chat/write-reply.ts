import { replayAnswer, type Answer } from '../conversation/answer.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import type { JsonObject } from '../json-value.ts'
import { AnswerDeltas, messageOf } from './answer-deltas.ts'
import { writeFinishReason } from './finish-reason.ts'
import { writeUsage } from './usage.ts'

/** Writes a whole answer: what the deltas of its stream add up to. */
export function writeReply(answer: Answer, writing: AnswerWriting): JsonObject {
  const deltas = new AnswerDeltas(writing)
  const written: JsonObject[] = []
  replayAnswer(answer, (event) => written.push(...deltas.next(event)))
  const usage = writeUsage(answer.usage)
  return {
    id: `chatcmpl-${writing.answerId}`,
    object: 'chat.completion',
    created: writing.createdAtS,
    model: writing.model,
    choices: [
      {
        index: 0,
        message: messageOf(written),
        logprobs: null,
        finish_reason: writeFinishReason(answer.stop, deltas.hasCalls, deltas.isLegacy),
      },
    ],
    ...(usage === undefined ? {} : { usage }),
  }
}
