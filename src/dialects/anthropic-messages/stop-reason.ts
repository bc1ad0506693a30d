/**
 * Why an answer ended, in the words of Messages and the hub's.
 */
import type { Stop } from '../conversation/answer.ts'
import { asObject, asText, type JsonObject } from '../json-value.ts'

const REASONS: ReadonlyMap<string, Stop['reason']> = new Map([
  ['end_turn', 'end'],
  ['stop_sequence', 'stop-sequence'],
  ['tool_use', 'tool-calls'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'context-full'],
  ['refusal', 'refusal'],
  ['pause_turn', 'pause'],
  ['compaction', 'compaction'],
])

const WORDS: Readonly<Record<Stop['reason'], string>> = {
  end: 'end_turn',
  'stop-sequence': 'stop_sequence',
  'tool-calls': 'tool_use',
  length: 'max_tokens',
  'context-full': 'model_context_window_exceeded',
  refusal: 'refusal',
  pause: 'pause_turn',
  compaction: 'compaction',
}

/** Reads the members of a whole message, or of a message_delta's `delta`. An unknown reason is a plain end. */
export function readStop(value: JsonObject): Stop {
  return {
    reason: REASONS.get(asText(value['stop_reason']) ?? '') ?? 'end',
    sequence: asText(value['stop_sequence']),
    explanation: asText(asObject(value['stop_details'])['explanation']),
  }
}

/** What an answer held that its reason to end depends on. */
export interface Held {
  readonly toolCalls: boolean
  readonly refusals: boolean
}

/**
 * The members that tell why an answer ended. A client would wait for a call that is not there, and pass over one that is;
 * a stop sequence is named only if it is known.
 */
export function writeStop(stop: Stop, held: Held): JsonObject {
  const reason = reasonFor(stop, held)
  return {
    stop_reason: WORDS[reason],
    stop_sequence: reason === 'stop-sequence' ? stop.sequence : null,
    stop_details:
      reason === 'refusal' ? { type: 'refusal', category: null, explanation: stop.explanation ?? null } : null,
  }
}

function reasonFor({ reason, sequence }: Stop, { toolCalls, refusals }: Held): Stop['reason'] {
  if (reason === 'stop-sequence' && sequence === undefined) return 'end'
  if (reason === 'tool-calls' && !toolCalls) return 'end'
  if (reason === 'end' && toolCalls) return 'tool-calls'
  if (reason === 'end' && refusals) return 'refusal'
  return reason
}
