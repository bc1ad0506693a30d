/**
 * The `response` object that a whole answer is and that a stream begins and ends with. It repeats the request's settings, as
 * its type demands: `response.created` of a client that sends 50 KB of tools has 50 KB, but they are made into text once.
 * Source: the types of the `openai` SDK (`Response`).
 */
import type { AnswerWriting } from '../conversation/contract.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'

/** What changes while an answer is made. */
export interface ResponseState {
  readonly status: 'in_progress' | 'completed' | 'incomplete' | 'failed'
  readonly error?: JsonObject | undefined
  readonly incompleteReason?: 'max_output_tokens' | 'content_filter' | undefined
  readonly output: readonly JsonObject[]
  readonly usage: JsonObject | null
}

/** Writes the object of one answer at each of its stages. */
export interface ResponseObject {
  readonly id: string
  object(state: ResponseState): JsonObject
  json(state: ResponseState): string
}

/** Makes the writer of an answer's object. */
export function createResponseObject(writing: AnswerWriting): ResponseObject {
  const id = `resp_${writing.answerId}`
  const settings = repeatRequest(writing.request)
  let settingsJson: string | undefined
  const stateOf = ({ status, error, incompleteReason, output, usage }: ResponseState): JsonObject => ({
    id,
    object: 'response',
    created_at: writing.createdAtS,
    status,
    error: error ?? null,
    incomplete_details: incompleteReason === undefined ? null : { reason: incompleteReason },
    model: writing.model,
    output,
    usage,
  })
  return {
    id,
    object: (state) => ({ ...stateOf(state), ...settings }),
    json(state) {
      settingsJson ??= JSON.stringify(settings).slice(1)
      return `${JSON.stringify(stateOf(state)).slice(0, -1)},${settingsJson}`
    },
  }
}

/** The request's settings, with the vendor's defaults for those that were not said. */
function repeatRequest(request: JsonObject): JsonObject {
  const reasoning = asObject(request['reasoning'])
  const text = asObject(request['text'])
  return {
    access_programs: null,
    background: false,
    instructions: asText(request['instructions']) ?? null,
    max_output_tokens: request['max_output_tokens'] ?? null,
    max_tool_calls: request['max_tool_calls'] ?? null,
    metadata: isObject(request['metadata']) ? request['metadata'] : {},
    parallel_tool_calls: request['parallel_tool_calls'] ?? true,
    previous_response_id: request['previous_response_id'] ?? null,
    prompt_cache_key: request['prompt_cache_key'] ?? null,
    reasoning: { ...reasoning, effort: reasoning['effort'] ?? null, summary: reasoning['summary'] ?? null },
    safety_identifier: request['safety_identifier'] ?? null,
    service_tier: request['service_tier'] ?? 'default',
    store: request['store'] ?? true,
    temperature: request['temperature'] ?? 1,
    text: { ...text, format: text['format'] ?? { type: 'text' } },
    tool_choice: request['tool_choice'] ?? 'auto',
    tools: asList(request['tools']),
    top_logprobs: request['top_logprobs'] ?? 0,
    top_p: request['top_p'] ?? 1,
    truncation: request['truncation'] ?? 'disabled',
    ...(typeof request['user'] === 'string' ? { user: request['user'] } : {}),
  }
}
