/**
 * Why an answer ended, in the words of Chat Completions.
 */
import type { Stop } from '../conversation/answer.ts'
import { asText, type JsonObject } from '../json-value.ts'

const REASONS: ReadonlyMap<string, Stop['reason']> = new Map([
  ['length', 'length'],
  ['tool_calls', 'tool-calls'],
  ['function_call', 'tool-calls'],
  ['content_filter', 'refusal'],
])

const FINISH_REASONS: Readonly<Record<Stop['reason'], string>> = {
  end: 'stop',
  'stop-sequence': 'stop',
  'tool-calls': 'stop',
  length: 'length',
  'context-full': 'length',
  refusal: 'content_filter',
  pause: 'stop',
  compaction: 'stop',
}

/**
 * The stop behind a finish reason. Servers name reasons of their own, and some say "stop" beside calls or "tool_calls" without
 * any; what was answered decides.
 * @param stopSequence the stop sequence that was hit, where the server tells (`stopSequenceOf`)
 */
export function readStop(finishReason: string | undefined, hasCalls: boolean, stopSequence: string | undefined): Stop {
  const reason = REASONS.get(finishReason ?? '') ?? 'end'
  if (reason === 'length' || reason === 'refusal') return { reason }
  if (hasCalls) return { reason: 'tool-calls' }
  return stopSequence === undefined ? { reason: 'end' } : { reason: 'stop-sequence', sequence: stopSequence }
}

/** The stop sequence a choice names, as vLLM and SGLang do; a number is a token, not a text. */
export function stopSequenceOf(choice: JsonObject): string | undefined {
  return asText(choice['stop_reason']) ?? asText(choice['matched_stop'])
}

/** The finish reason of a stop, for an answer with or without calls. */
export function writeFinishReason({ reason }: Stop, hasCalls: boolean, isLegacy: boolean): string {
  const isOver = FINISH_REASONS[reason] === 'stop' && reason !== 'pause'
  return hasCalls && isOver ? (isLegacy ? 'function_call' : 'tool_calls') : FINISH_REASONS[reason]
}
