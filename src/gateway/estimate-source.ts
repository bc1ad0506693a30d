/**
 * The last target of a token count: this node's own estimate, so that counting is never turned into an inference
 * somebody bills.
 */
import { estimateInputTokens, tokenCountAnswer } from '../dialects/estimate-input-tokens.ts'
import type { AnswerSource } from '../dialects/exchange.ts'

/** Answers `/v1/messages/count_tokens` and `/v1/responses/input_tokens` from the bytes of the request. */
export const estimateSource: AnswerSource = {
  name: 'estimate',
  send(request, sink) {
    sink.onHead({ status: 200, headers: { 'content-type': 'application/json' } })
    const tokens = estimateInputTokens(request.body)
    const isResponses = request.endpoint === 'input_tokens'
    sink.onData(isResponses ? responsesCount(tokens) : tokenCountAnswer(tokens))
    sink.onEnd()
    return { resume: () => undefined, abort: () => undefined }
  },
}

function responsesCount(inputTokens: number): Uint8Array {
  return Buffer.from(JSON.stringify({ object: 'response.input_tokens', input_tokens: inputTokens }))
}
