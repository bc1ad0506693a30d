/**
 * Events as a Chat Completions stream: a chunk for every delta, one with the finish reason, one with the usage if the client asked
 * for it, `[DONE]`. An error is the last chunk, and no `[DONE]` follows: by that the SDKs know it.
 */
import type { Stop } from '../conversation/answer.ts'
import type { AnswerWriting, StreamWriter } from '../conversation/contract.ts'
import type { TokenUsage } from '../answer-tally.ts'
import { errorEvent } from '../error-reply.ts'
import type { JsonObject } from '../json-value.ts'
import { AnswerDeltas } from './answer-deltas.ts'
import { writeFinishReason } from './finish-reason.ts'
import { writeUsage } from './usage.ts'

const KEEP_ALIVE = ': keep-alive\n\n'

/** Makes a writer of one stream. */
export function createStreamWriter(writing: AnswerWriting): StreamWriter {
  const { answerId, createdAtS, model, conversation } = writing
  const head = JSON.stringify({
    id: `chatcmpl-${answerId}`,
    object: 'chat.completion.chunk',
    created: createdAtS,
    model,
  })
  // What every chunk repeats is put together once.
  const start = `data: ${head.slice(0, -1)},"choices":[`
  const noUsage = conversation.wantsStreamUsage ? ',"usage":null' : ''
  const deltas = new AnswerDeltas(writing)
  let isOver = false

  const chunk = (delta: JsonObject, finishReason: string | null = null): string =>
    `${start}{"index":0,"delta":${JSON.stringify(delta)},"logprobs":null,"finish_reason":${JSON.stringify(finishReason)}}]${noUsage}}\n\n`

  const end = (stop: Stop, usage: TokenUsage): string => {
    const last = chunk({}, writeFinishReason(stop, deltas.hasCalls, deltas.isLegacy))
    const counts = conversation.wantsStreamUsage ? writeUsage(usage) : undefined
    const usageChunk = counts === undefined ? '' : `${start}],"usage":${JSON.stringify(counts)}}\n\n`
    return `${last}${usageChunk}data: [DONE]\n\n`
  }

  return {
    write(event) {
      if (isOver) return ''
      if (event.type === 'ping') return KEEP_ALIVE
      isOver = event.type === 'end' || event.type === 'error'
      if (event.type === 'error') return Buffer.from(errorEvent('openai-chat', event.error, answerId)).toString()
      let text = ''
      for (const delta of deltas.next(event)) text += chunk(delta)
      return event.type === 'end' ? text + end(event.stop, event.usage) : text
    },
  }
}
