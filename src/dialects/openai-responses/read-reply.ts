/**
 * A whole Responses answer, and what its stream shares with it: blocks of an item, why it ended.
 * Source: the types of the `openai` SDK (`Response`).
 */
import { TokError } from '../../base/errors.ts'
import type { Answer, Block, Stop } from '../conversation/answer.ts'
import type { AnswerReading } from '../conversation/contract.ts'
import type {
  NativePart,
  OpaqueState,
  ReasoningPart,
  RefusalPart,
  TextPart,
  ToolCallPart,
} from '../conversation/conversation.ts'
import { asList, asObject, asText, type JsonObject } from '../json-value.ts'
import { readCall, readReasoningText } from './read-items.ts'
import { readUsage } from './usage.ts'

/**
 * Reads a whole answer.
 * @throws TokError `provider_broken` for one that failed, or is not finished
 */
export function readReply(reply: JsonObject, reading: AnswerReading): Answer {
  const status = reply['status'] ?? 'completed'
  if (status !== 'completed' && status !== 'incomplete') {
    const said = asText(asObject(reply['error'])['message'])
    const reason = said ?? `its answer has the status "${String(status)}"`
    throw new TokError('provider_broken', { provider: reading.target, reason })
  }
  const blocks = asList(reply['output']).flatMap((item, index) => readItem(asObject(item), index, reading))
  return {
    id: asText(reply['id']),
    model: asText(reply['model']),
    blocks,
    usage: readUsage(reply['usage']),
    stop: stopOf(reply, blocks),
    extras: {},
  }
}

/** The blocks of an item; none for a call without a name, which nobody could answer. */
function readItem(item: JsonObject, index: number, reading: AnswerReading): readonly Block[] {
  switch (item['type']) {
    case 'message':
      return asList(item['content']).flatMap((part) => readAnswerPart(asObject(part)) ?? [])
    case 'reasoning': {
      const block = readReasoningItem(item, reading)
      return block.text === '' && block.native === undefined ? [] : [block]
    }
    default: {
      if (readCall(item) === undefined) return [readNativeItem(item)]
      const call = readCallItem(item, index, reading)
      return call === undefined ? [] : [call]
    }
  }
}

/** A part of an assistant's message; undefined for one that says nothing readable. */
export function readAnswerPart(part: JsonObject): TextPart | RefusalPart | undefined {
  const annotations = asList(part['annotations'])
  const extras = annotations.length === 0 ? undefined : { 'openai-responses': { annotations } }
  const refusal = asText(part['refusal'])
  if (refusal !== undefined) return { kind: 'refusal', text: refusal, extras }
  const text = asText(part['text'])
  return text === undefined ? undefined : { kind: 'text', text, extras }
}

/** Reasoning with the state that only its provider understands, if there is any. */
export function readReasoningItem(item: JsonObject, reading: AnswerReading): ReasoningPart {
  return { kind: 'reasoning', text: readReasoningText(item), native: readReasoningState(item, reading) }
}

/** The item itself, to go back to the same provider. A mere summary would be refused there, or be of no use. */
export function readReasoningState(item: JsonObject, { target, model }: AnswerReading): OpaqueState | undefined {
  const isStateful = asText(item['encrypted_content']) !== undefined || asList(item['content']).length > 0
  return isStateful ? { dialect: 'openai-responses', value: item, source: target, model } : undefined
}

/** A call under the client's name for the tool; undefined while, or if, it has no name. */
export function readCallItem(
  item: JsonObject,
  index: number,
  { bridge, answerId }: AnswerReading,
): ToolCallPart | undefined {
  const call = readCall(item)
  if (call === undefined || call.name === '') return undefined
  const tool = call.toolKind === 'function' || call.toolKind === 'custom' ? bridge.toolOf(call.name) : call
  return {
    kind: 'tool-call',
    // A name that was never declared is called as the target called it.
    toolKind: tool.toolKind === 'function' ? call.toolKind : tool.toolKind,
    name: tool.name,
    namespace: tool.namespace ?? call.namespace,
    callId: call.callId === '' ? `call_${answerId}_${index}` : call.callId,
    input: bridge.inputOf(call.name, call.input),
  }
}

/** An item that the hub has no word for. */
export function readNativeItem(item: JsonObject): NativePart {
  return {
    kind: 'native',
    type: asText(item['type']) ?? 'unknown',
    native: { dialect: 'openai-responses', value: item },
  }
}

/** Why an answer ended, by its status and what it holds. */
export function stopOf(response: JsonObject, blocks: readonly Pick<Block, 'kind'>[]): Stop {
  if (response['status'] === 'incomplete') {
    const { reason } = asObject(response['incomplete_details'])
    return { reason: reason === 'content_filter' ? 'refusal' : 'length' }
  }
  const has = (kind: Block['kind']): boolean => blocks.some((block) => block.kind === kind)
  return { reason: has('tool-call') ? 'tool-calls' : has('refusal') ? 'refusal' : 'end' }
}
