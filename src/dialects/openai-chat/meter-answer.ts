/**
 * Reads Chat Completions and Embeddings answers. Source: the types of the `openai` SDK; for reasoning text,
 * which OpenAI does not send here, the fields of DeepSeek and vLLM.
 */
import { noteError, textBytesOf } from '../answer-tally.ts'
import type { AnswerFinish, AnswerReader, AnswerTally } from '../answer-tally.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { readUsage } from './usage.ts'

/** More parallel choices than this are not followed; OpenAI allows 128. */
const CHOICES_MAX = 128

const FINISHES: ReadonlyMap<string, AnswerFinish> = new Map([
  ['length', 'length'],
  ['tool_calls', 'tool_calls'],
  ['function_call', 'tool_calls'],
  ['content_filter', 'refusal'],
])

/** Reads answers of `/v1/chat/completions`. A stream has ended with `[DONE]`, or with every choice finished. */
export function meterChatAnswer(tally: AnswerTally): AnswerReader {
  const openChoices = new Set<unknown>()
  let finish: AnswerFinish | undefined

  const readChoices = (value: JsonObject, member: 'delta' | 'message'): void => {
    if (isObject(value['error'])) {
      noteError(tally, value['error'])
      return
    }
    tally.model ??= asText(value['model'])
    if (isObject(value['usage'])) tally.usage = readUsage(value['usage'])
    for (const item of asList(value['choices'])) {
      const choice = asObject(item)
      tally.textBytes += messageBytes(asObject(choice[member]))
      const reason = asText(choice['finish_reason'])
      if (reason !== undefined) {
        finish = FINISHES.get(reason) ?? 'complete'
        openChoices.delete(choice['index'])
      } else if (openChoices.size < CHOICES_MAX) {
        openChoices.add(choice['index'])
      }
    }
    if (finish !== undefined && tally.finish !== 'error' && openChoices.size === 0) tally.finish = finish
  }

  return {
    event: (value) => readChoices(value, 'delta'),
    done() {
      tally.finish ??= finish ?? 'complete'
    },
    whole: (value) => readChoices(value, 'message'),
  }
}

/** Reads answers of `/v1/embeddings`: no text, only the count of what was read. */
export function meterEmbeddings(tally: AnswerTally): AnswerReader {
  const read = (value: JsonObject): void => {
    if (isObject(value['error'])) {
      noteError(tally, value['error'])
      return
    }
    tally.model = asText(value['model'])
    if (isObject(value['usage'])) tally.usage = readUsage(value['usage'])
    if (Array.isArray(value['data'])) tally.finish = 'complete'
  }
  return { event: read, done: () => undefined, whole: read }
}

function messageBytes(message: JsonObject): number {
  let bytes = contentBytes(message['content']) + textBytesOf(message['refusal'])
  // Some servers send the same reasoning under both names.
  bytes += textBytesOf(message['reasoning_content'] ?? message['reasoning'])
  for (const item of asList(message['tool_calls'])) {
    const call = asObject(item)
    bytes += callBytes(asObject(call['function'])) + callBytes(asObject(call['custom']))
  }
  return bytes + callBytes(asObject(message['function_call']))
}

function contentBytes(content: unknown): number {
  if (!Array.isArray(content)) return textBytesOf(content)
  return content.reduce<number>((bytes, part) => bytes + textBytesOf(asObject(part)['text']), 0)
}

function callBytes(call: JsonObject): number {
  return textBytesOf(call['name']) + textBytesOf(call['arguments']) + textBytesOf(call['input'])
}
