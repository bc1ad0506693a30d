/**
 * Reads Responses answers. Source: the types of the `openai` SDK.
 */
import { noteError, textBytesOf } from '../answer-tally.ts'
import type { AnswerFinish, AnswerReader, AnswerTally } from '../answer-tally.ts'
import { asCount, asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { readUsage } from './usage.ts'

/** Events whose `delta` is text that the model generated. */
const TEXT_DELTAS: ReadonlySet<unknown> = new Set([
  'response.output_text.delta',
  'response.refusal.delta',
  'response.reasoning_text.delta',
  'response.reasoning_summary_text.delta',
  'response.function_call_arguments.delta',
  'response.custom_tool_call_input.delta',
  'response.mcp_call_arguments.delta',
  'response.code_interpreter_call_code.delta',
])

const TERMINAL_EVENTS: ReadonlySet<unknown> = new Set(['response.completed', 'response.incomplete', 'response.failed'])

/** Items that ask the client to run something. */
const CALL_ITEMS: ReadonlySet<unknown> = new Set([
  'function_call',
  'custom_tool_call',
  'local_shell_call',
  'shell_call',
  'apply_patch_call',
  'computer_call',
  'tool_search_call',
])

/** More items under way at once than this are counted by their deltas alone. */
const OPEN_ITEMS_MAX = 1_024

/** Reads answers of `/v1/responses`. A stream has ended with response.completed, .incomplete or .failed. */
export function meterResponsesAnswer(tally: AnswerTally): AnswerReader {
  /** Bytes counted from the deltas of items that are not done, by output index. */
  const openItems = new Map<unknown, number>()
  let calls = false
  let refused = false

  const count = (outputIndex: unknown, bytes: number): void => {
    tally.textBytes += bytes
    if (openItems.has(outputIndex) || openItems.size < OPEN_ITEMS_MAX) {
      openItems.set(outputIndex, (openItems.get(outputIndex) ?? 0) + bytes)
    }
  }

  const noteItem = (item: JsonObject): void => {
    calls ||= CALL_ITEMS.has(item['type'])
    refused ||= asList(item['content']).some((part) => asObject(part)['type'] === 'refusal')
  }

  /** Some servers send items whole, without deltas: what was not counted on the way is counted here. */
  const closeItem = (outputIndex: unknown, item: JsonObject): void => {
    noteItem(item)
    tally.textBytes += Math.max(0, itemBytes(item) - (openItems.get(outputIndex) ?? 0))
    openItems.delete(outputIndex)
  }

  const readResponse = (response: JsonObject): void => {
    tally.model = asText(response['model']) ?? tally.model
    if (isObject(response['usage'])) tally.usage = readUsage(response['usage'])
    const output = asList(response['output'])
    output.forEach((item) => noteItem(asObject(item)))
    tally.textBytes = Math.max(
      tally.textBytes,
      output.reduce<number>((bytes, item) => bytes + itemBytes(asObject(item)), 0),
    )
    if (isObject(response['error'])) noteError(tally, response['error'])
    else tally.finish = finishOf(response, calls, refused)
  }

  return {
    event(value) {
      const type = value['type']
      const sequenceNumber = asCount(value['sequence_number'])
      if (sequenceNumber !== undefined) {
        tally.position = { ...tally.position, nextSequenceNumber: sequenceNumber + 1 }
      }
      if (TEXT_DELTAS.has(type)) {
        count(value['output_index'], textBytesOf(value['delta']))
      } else if (type === 'response.output_item.added') {
        count(value['output_index'], textBytesOf(asObject(value['item'])['name']))
      } else if (type === 'response.output_item.done') {
        closeItem(value['output_index'], asObject(value['item']))
      } else if (type === 'response.created') {
        const response = asObject(value['response'])
        tally.model = asText(response['model'])
        tally.position = { ...tally.position, answerId: asText(response['id']) }
      } else if (TERMINAL_EVENTS.has(type)) {
        readResponse(asObject(value['response']))
      } else if (type === 'error' || (type === undefined && isObject(value['error']))) {
        noteError(tally, value['error'] ?? value)
      }
    },
    done: () => undefined,
    whole(value) {
      if (value['object'] === undefined && isObject(value['error'])) noteError(tally, value['error'])
      else readResponse(value)
    },
  }
}

function finishOf(response: JsonObject, calls: boolean, refused: boolean): AnswerFinish | undefined {
  switch (response['status']) {
    case 'completed':
    case undefined:
      return calls ? 'tool_calls' : refused ? 'refusal' : 'complete'
    case 'incomplete':
      return asObject(response['incomplete_details'])['reason'] === 'content_filter' ? 'refusal' : 'length'
    case 'failed':
    case 'cancelled':
      return 'error'
    default:
      return undefined
  }
}

function itemBytes(item: JsonObject): number {
  let bytes = textBytesOf(item['name']) + textBytesOf(item['arguments']) + textBytesOf(item['input'])
  bytes += textBytesOf(item['code'])
  if (CALL_ITEMS.has(item['type'])) {
    const structured = item['action'] ?? item['operation']
    if (isObject(structured)) bytes += textBytesOf(JSON.stringify(structured))
  }
  for (const entry of [...asList(item['content']), ...asList(item['summary'])]) {
    const part = asObject(entry)
    bytes += textBytesOf(part['text']) + textBytesOf(part['refusal'])
  }
  return bytes
}
