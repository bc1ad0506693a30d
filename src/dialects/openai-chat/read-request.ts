/**
 * A Chat Completions request as a conversation. Source: the types of the `openai` SDK, and the requests of real clients.
 */
import { TokError } from '../../base/errors.ts'
import type { RequestReading } from '../conversation/contract.ts'
import {
  EFFORTS,
  type CallableTool,
  type Conversation,
  type Effort,
  type OutputFormat,
  type Sampling,
  type Tool,
  type ToolChoice,
} from '../conversation/conversation.ts'
import { malformed } from '../conversation/malformed.ts'
import { asBoolean, asCount, asList, asNumber, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { asGivenObject, membersOf, type Members } from './members.ts'
import { takeCacheMark } from './read-content.ts'
import { readMessages } from './read-messages.ts'

/**
 * Reads a request. Members the hub has no word for, and those that are not of their kind, are in `extras`.
 * @throws TokError `body_malformed`; `translation_refused` for an answer in audio, which no other dialect has
 */
export function readRequest(body: JsonObject, _reading: RequestReading): Conversation {
  const members = membersOf(body)
  const model = members.take('model', asText)
  if (model === undefined) throw malformed('model', 'is not the name of a model')
  const stream = members.take('stream', (value) => value ?? undefined) ?? false
  if (typeof stream !== 'boolean') throw malformed('stream', 'is neither true nor false')
  refuseAudioAnswer(body, model)
  members.ignore('messages', 'modalities', 'audio')
  // Not to be stored is what happens anyway.
  if (body['store'] === false) members.ignore('store')
  const streamOptions = members.take('stream_options', asGivenObject)
  const outputTokens = members.take('max_completion_tokens', asCount)
  const outputTokensLegacy = members.take('max_tokens', asCount)
  const conversation = {
    model,
    stream,
    turns: readMessages(body['messages']),
    tools: takeTools(members),
    toolChoice: takeToolChoice(members),
    // `functions` knows no answer with more than one call.
    parallelToolCalls: members.take('parallel_tool_calls', asBoolean) ?? (isLegacy(body) ? false : undefined),
    outputTokensMax: outputTokens ?? outputTokensLegacy,
    reasoning: { effort: members.take('reasoning_effort', asEffort) },
    sampling: takeSampling(members),
    format: members.take('response_format', readFormat),
    verbosity: members.take('verbosity', asText),
    caching: {
      key: members.take('prompt_cache_key', asText),
      retention: members.take('prompt_cache_retention', asText),
    },
    user: members.take('user', asText) ?? members.take('safety_identifier', asText),
    metadata: members.take('metadata', asGivenObject),
    serviceTier: members.take('service_tier', asText),
    wantsStreamUsage: streamOptions?.['include_usage'] === true,
  }
  const rest = members.rest()
  return { ...conversation, extras: rest === undefined ? {} : { 'openai-chat': rest } }
}

/** True for a request of the deprecated kind, whose client knows no `tool_calls`. */
export function isLegacy(body: JsonObject): boolean {
  return asList(body['functions']).length > 0 && asList(body['tools']).length === 0
}

function refuseAudioAnswer(body: JsonObject, model: string): void {
  if (!asList(body['modalities']).includes('audio')) return
  throw new TokError('translation_refused', {
    field: 'modalities',
    target: model,
    dialect: 'another dialect',
    reason: 'only Chat Completions answers with audio',
  })
}

function takeTools(members: Members): readonly Tool[] {
  const tools = members.take('tools', (value) => value ?? undefined) ?? []
  if (!Array.isArray(tools)) throw malformed('tools', 'is not a list')
  const functions = asList(members.take('functions', (value) => (Array.isArray(value) ? value : undefined)))
  const webSearch = members.take('web_search_options', asGivenObject)
  return [
    ...tools.map((tool, index) => readTool(tool, `tools[${index}]`)),
    ...functions.map((value, index) => readFunction(asObject(value), membersOf({}), `functions[${index}]`)),
    ...(webSearch === undefined
      ? []
      : [
          {
            kind: 'hosted' as const,
            capability: 'web-search' as const,
            name: 'web_search',
            native: { dialect: 'openai-chat' as const, value: webSearch },
            webSearch: { location: asGivenObject(asObject(webSearch['user_location'])['approximate']) },
          },
        ]),
  ]
}

function readTool(tool: unknown, path: string): Tool {
  if (!isObject(tool)) throw malformed(path, 'is not a tool')
  const members = membersOf(tool)
  members.ignore('type')
  const custom = members.take('custom', asGivenObject)
  if (custom !== undefined) return readCustom(custom, members, `${path}.custom`)
  const own = members.take('function', asGivenObject)
  if (own !== undefined) return readFunction(own, members, `${path}.function`)
  const type = asText(tool['type'])
  if (type === undefined || type === 'function') throw malformed(`${path}.function`, 'is not a function')
  return { kind: 'hosted', capability: 'other', name: type, native: { dialect: 'openai-chat', value: tool } }
}

/** @param outer the members around the function: some clients mark the tool there */
function readFunction(value: JsonObject, outer: Members, path: string): CallableTool {
  const inner = membersOf(value)
  const name = inner.take('name', asText)
  if (name === undefined) throw malformed(`${path}.name`, 'is not the name of a tool')
  return {
    kind: 'function',
    name,
    description: inner.take('description', asText),
    parameters: inner.take('parameters', asGivenObject),
    strict: inner.take('strict', asBoolean),
    cacheMark: takeCacheMark(outer) ?? takeCacheMark(inner),
    extras: { 'openai-chat': { ...outer.rest(), ...inner.rest() } },
  }
}

function readCustom(value: JsonObject, outer: Members, path: string): CallableTool {
  const inner = membersOf(value)
  const name = inner.take('name', asText)
  if (name === undefined) throw malformed(`${path}.name`, 'is not the name of a tool')
  const format = inner.take('format', asGivenObject)
  return {
    kind: 'custom',
    name,
    description: inner.take('description', asText),
    // The hub's grammars lie flat, as those of Responses do.
    format: isObject(format?.['grammar']) ? { type: 'grammar', ...format['grammar'] } : format,
    cacheMark: takeCacheMark(outer),
    extras: { 'openai-chat': { ...outer.rest(), ...inner.rest() } },
  }
}

function takeToolChoice(members: Members): ToolChoice | undefined {
  return members.take('tool_choice', readToolChoice) ?? members.take('function_call', readFunctionChoice)
}

function readToolChoice(choice: unknown): ToolChoice | undefined {
  if (choice === 'none' || choice === 'auto' || choice === 'required') return { kind: choice }
  if (!isObject(choice)) return undefined
  const name = nameOfChosen(choice)
  if (name !== undefined) return { kind: 'tool', name }
  if (choice['type'] !== 'allowed_tools') return { kind: 'native', native: { dialect: 'openai-chat', value: choice } }
  const allowed = asObject(choice['allowed_tools'])
  return {
    kind: 'allowed',
    mode: allowed['mode'] === 'required' ? 'required' : 'auto',
    tools: asList(allowed['tools']).flatMap((tool) => {
      const allowedName = nameOfChosen(asObject(tool))
      return allowedName === undefined ? [] : [{ name: allowedName }]
    }),
  }
}

function nameOfChosen(choice: JsonObject): string | undefined {
  return asText(asObject(choice['function'])['name']) ?? asText(asObject(choice['custom'])['name'])
}

function readFunctionChoice(choice: unknown): ToolChoice | undefined {
  if (choice === 'none' || choice === 'auto') return { kind: choice }
  const name = asText(asObject(choice)['name'])
  return name === undefined ? undefined : { kind: 'tool', name }
}

function takeSampling(members: Members): Sampling {
  return {
    temperature: members.take('temperature', asNumber),
    topP: members.take('top_p', asNumber),
    topK: members.take('top_k', asNumber),
    seed: members.take('seed', asNumber),
    presencePenalty: members.take('presence_penalty', asNumber),
    frequencyPenalty: members.take('frequency_penalty', asNumber),
    stop: members.take('stop', readStops),
    logprobs: members.take('logprobs', asBoolean),
    topLogprobs: members.take('top_logprobs', asCount),
    logitBias: members.take('logit_bias', asGivenObject),
    choices: members.take('n', asCount),
  }
}

function readStops(stop: unknown): readonly string[] | undefined {
  if (typeof stop === 'string') return [stop]
  const stops = asList(stop).filter((each) => typeof each === 'string')
  return stops.length === 0 ? undefined : stops
}

function readFormat(format: unknown): OutputFormat | undefined {
  if (!isObject(format)) return undefined
  switch (format['type']) {
    case 'text':
      return { kind: 'text' }
    case 'json_object':
      return { kind: 'json-object' }
    case 'json_schema': {
      const { name, description, schema, strict } = asObject(format['json_schema'])
      if (!isObject(schema)) throw malformed('response_format.json_schema.schema', 'is not a JSON schema')
      return {
        kind: 'json-schema',
        name: asText(name),
        description: asText(description),
        schema,
        strict: asBoolean(strict),
      }
    }
    default:
      return undefined
  }
}

function asEffort(value: unknown): Effort | undefined {
  return EFFORTS.find((effort) => effort === value)
}
