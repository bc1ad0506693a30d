/**
 * What whole and streamed answers of Messages have in common: their head, opaque fields, and counts.
 */
import type { TokenUsage } from '../answer-tally.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import type { OpaqueState, ToolCallPart } from '../conversation/conversation.ts'
import { sealState } from '../conversation/opaque-state.ts'
import { estimateInputTokens } from '../estimate-input-tokens.ts'
import type { JsonObject } from '../json-value.ts'

const DIALECT = 'anthropic-messages'
const CHARACTERS_PER_TOKEN = 4

/** The members of a message that are known before its content. Its id is never another message's: clients merge by it. */
export function messageHead({ answerId, model }: AnswerWriting): JsonObject {
  return { id: `msg_${answerId}`, type: 'message', role: 'assistant', model }
}

/** Thinking that has nothing to read, as its block; undefined where there is nothing to carry either. */
export function hiddenThinking(native: OpaqueState | undefined, writing: AnswerWriting): JsonObject | undefined {
  if (native === undefined) return undefined
  const isOwn = native.dialect === DIALECT && native.value['type'] !== undefined
  return isOwn ? native.value : { type: 'redacted_thinking', data: sealState(writing.seal, native) }
}

/**
 * The signature of readable thinking: Anthropic's own, or a provider's state sealed. Thinking without state is sealed too, so
 * that it is known for none of Anthropic's when it comes back.
 */
export function signatureOf(native: OpaqueState | undefined, { seal }: AnswerWriting): string {
  const own = native?.dialect === DIALECT ? native.value['signature'] : undefined
  if (typeof own === 'string') return own
  return native === undefined ? seal.seal({}) : sealState(seal, native)
}

/** The opening of a call's block. An id that was forgotten is made of the answer's and the block's place. */
export function callHead({ callId, name }: ToolCallPart, index: number, { answerId }: AnswerWriting): JsonObject {
  return { type: 'tool_use', id: callId === '' ? `toolu_${answerId}${index}` : callId, name, input: {} }
}

/**
 * Counts for a client that measures its context by them, and breaks where there are none: what the provider left out is
 * estimated from the request and from the characters of the answer.
 */
export function measuredUsage(usage: TokenUsage, characters: number, { request }: AnswerWriting): TokenUsage {
  return {
    ...usage,
    inputTokens: usage.inputTokens ?? estimateInputTokens(Buffer.from(JSON.stringify(request))),
    outputTokens: usage.outputTokens ?? Math.ceil(characters / CHARACTERS_PER_TOKEN),
  }
}
