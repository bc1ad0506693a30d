/**
 * What whole and streamed answers of Messages have in common: their head, opaque fields, and counts.
 */
import type { TokenUsage } from '../answer-tally.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import type { Native, OpaqueState, ToolCallPart } from '../conversation/conversation.ts'
import { sealState } from '../conversation/opaque-state.ts'
import { fitName } from '../conversation/tool-bridge.ts'
import { asList, asObject, asText, type JsonObject } from '../json-value.ts'

const DIALECT = 'anthropic-messages'
const CHARACTERS_PER_TOKEN = 4
const CALL_ID_CHARACTERS_MAX = 64

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

/**
 * The opening of a call's block. An id that was forgotten is made of the answer's and the block's place; one of characters that
 * Anthropic refuses in a history is changed, as for every target, since this client may ask Anthropic next.
 */
export function callHead(
  { callId, name }: ToolCallPart,
  index: number,
  { answerId }: AnswerWriting,
  ownCallId: (callId: string) => string,
): JsonObject {
  const id = ownCallId(callId === '' ? `toolu_${answerId}${index}` : fitName(callId, CALL_ID_CHARACTERS_MAX))
  return { type: 'tool_use', id, name, input: {} }
}

/** A citation in Anthropic's form: its own, or the address that another vendor cites. */
export function citationOf({ dialect, value }: Native): JsonObject | undefined {
  if (dialect === DIALECT) return value
  const cited = dialect === 'openai-chat' ? asObject(value['url_citation']) : value
  const url = asText(cited['url'])
  if (value['type'] !== 'url_citation' || url === undefined) return undefined
  return {
    type: 'web_search_result_location',
    url,
    title: asText(cited['title']) ?? null,
    cited_text: '',
    encrypted_index: '',
  }
}

/** A web search that the provider made, as Anthropic shows its own. */
export interface WebSearch {
  readonly use: JsonObject
  readonly input: JsonObject
  readonly result: JsonObject
}

/** The web search behind an item of Responses; undefined for every other one. */
export function webSearchOf(
  { dialect, value }: Native,
  index: number,
  { answerId }: AnswerWriting,
): WebSearch | undefined {
  if (dialect !== 'openai-responses' || value['type'] !== 'web_search_call') return undefined
  const action = asObject(value['action'])
  const id = `srvtoolu_${answerId}${index}`
  const urls = asList(action['sources']).map((source) => asText(asObject(source)['url']))
  const found = [...new Set([...urls, asText(action['url'])])].filter((url) => url !== undefined)
  return {
    use: { type: 'server_tool_use', id, name: 'web_search', input: {} },
    input: { query: asText(action['query']) ?? asText(asList(action['queries'])[0]) ?? '' },
    result: {
      type: 'web_search_tool_result',
      tool_use_id: id,
      content: found.map((url) => ({
        type: 'web_search_result',
        url,
        title: url,
        encrypted_content: '',
        page_age: null,
      })),
    },
  }
}

/**
 * Counts for a client that measures its context by them, and breaks where there are none: what the provider left out is
 * estimated from the request and from the characters of the answer.
 */
export function measuredUsage(usage: TokenUsage, characters: number, writing: AnswerWriting): TokenUsage {
  return {
    ...usage,
    inputTokens: usage.inputTokens ?? writing.estimateInput(),
    outputTokens: usage.outputTokens ?? Math.ceil(characters / CHARACTERS_PER_TOKEN),
  }
}
