/**
 * Reads Messages and count_tokens answers. Source: the types of `@anthropic-ai/sdk`.
 */
import { noteError, textBytesOf, UNKNOWN_USAGE } from '../answer-tally.ts'
import type { AnswerFinish, AnswerReader, AnswerTally } from '../answer-tally.ts'
import { asCount, asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { mergeCounts, startCounts, usageOf, type UsageCounts } from './usage.ts'

const FINISHES: ReadonlyMap<string, AnswerFinish> = new Map([
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['tool_use', 'tool_calls'],
  ['refusal', 'refusal'],
])

/** Reads answers of `/v1/messages`. A stream has ended with message_stop. */
export function meterMessagesAnswer(tally: AnswerTally): AnswerReader {
  let counts: UsageCounts = {}
  let stopReason: string | undefined

  const noteUsage = (next: UsageCounts): void => {
    counts = next
    tally.usage = usageOf(counts)
  }

  const finish = (): void => {
    tally.finish = FINISHES.get(stopReason ?? '') ?? 'complete'
  }

  return {
    event(value) {
      switch (value['type']) {
        case 'message_start': {
          const message = asObject(value['message'])
          tally.model = asText(message['model'])
          noteUsage(startCounts(asObject(message['usage'])))
          break
        }
        case 'content_block_start':
          tally.textBytes += blockBytes(asObject(value['content_block']))
          break
        case 'content_block_delta':
          tally.textBytes += deltaBytes(asObject(value['delta']))
          break
        case 'message_delta':
          stopReason = asText(asObject(value['delta'])['stop_reason']) ?? stopReason
          noteUsage(mergeCounts(counts, asObject(value['usage'])))
          break
        case 'message_stop':
          finish()
          break
        case 'error':
          noteError(tally, value['error'])
          break
      }
    },
    done: () => undefined,
    whole(value) {
      if (isObject(value['error'])) {
        noteError(tally, value['error'])
        return
      }
      tally.model = asText(value['model'])
      noteUsage(mergeCounts(counts, asObject(value['usage'])))
      stopReason = asText(value['stop_reason'])
      for (const block of asList(value['content'])) tally.textBytes += blockBytes(asObject(block))
      if (stopReason !== undefined) finish()
    },
  }
}

/** Reads answers of `/v1/messages/count_tokens`. */
export function meterTokenCount(tally: AnswerTally): AnswerReader {
  const read = (value: JsonObject): void => {
    if (isObject(value['error'])) {
      noteError(tally, value['error'])
      return
    }
    const inputTokens = asCount(value['input_tokens'])
    tally.usage = { ...UNKNOWN_USAGE, inputTokens }
    if (inputTokens !== undefined) tally.finish = 'complete'
  }
  return { event: read, done: () => undefined, whole: read }
}

function blockBytes(block: JsonObject): number {
  const bytes = textBytesOf(block['text']) + textBytesOf(block['thinking']) + textBytesOf(block['name'])
  const input = block['input']
  return isObject(input) && Object.keys(input).length > 0 ? bytes + textBytesOf(JSON.stringify(input)) : bytes
}

function deltaBytes(delta: JsonObject): number {
  switch (delta['type']) {
    case 'text_delta':
      return textBytesOf(delta['text'])
    case 'thinking_delta':
      return textBytesOf(delta['thinking'])
    case 'input_json_delta':
      return textBytesOf(delta['partial_json'])
    case 'compaction_delta':
      return textBytesOf(delta['content'])
    default:
      return 0
  }
}
