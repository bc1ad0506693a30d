/**
 * A Responses request as a conversation. Every item becomes a turn of its own: writers merge what their dialect wants merged.
 * Source: the types of the `openai` SDK (`ResponseCreateParams`), and what Codex was seen to send.
 */
import { TokError } from '../../base/errors.ts'
import type { RequestReading } from '../conversation/contract.ts'
import {
  EFFORTS,
  type Conversation,
  type Effort,
  type Extras,
  type OpaqueState,
  type OutputFormat,
  type Part,
  type ReasoningWish,
  type Tool,
  type ToolKind,
  type ToolResultPart,
  type Turn,
} from '../conversation/conversation.ts'
import { isSealed, openState } from '../conversation/opaque-state.ts'
import { malformed } from '../conversation/malformed.ts'
import { asCount, asList, asNumber, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { callIdOf, extrasOf, readCall, readPart, readReasoningText, textOf } from './read-items.ts'
import { readToolChoice, readTools, withoutIdleDeferral } from './read-tools.ts'

/** Members of the request that the hub has words for, or that this node answers for itself (`store`). */
const READ: ReadonlySet<string> = new Set([
  'model',
  'stream',
  'input',
  'instructions',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'max_output_tokens',
  'reasoning',
  'temperature',
  'top_p',
  'top_logprobs',
  'text',
  'user',
  'safety_identifier',
  'metadata',
  'service_tier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'include',
  'store',
  'stream_options',
])

/** What asks for nothing, however it is said. */
const IDLE: Readonly<Record<string, unknown>> = { truncation: 'disabled', background: false }

/** What cannot be left out, nor be had elsewhere, with the reason. */
const ONLY_AT_VENDOR: Readonly<Record<string, string>> = {
  background: 'the answer would have to be kept for later',
  conversation: 'the conversation is kept by the provider that made it',
  previous_response_id: 'the answer before is kept by the provider that gave it',
  prompt: 'the prompt is kept by the provider it was stored at',
}

const ROLES = { user: 'user', assistant: 'assistant', system: 'system', developer: 'developer' } as const

const MESSAGE_MEMBERS: ReadonlySet<string> = new Set(['type', 'role', 'content'])
const CALL_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'call_id',
  'name',
  'namespace',
  'arguments',
  'input',
  'action',
  'operation',
  'execution',
])
const RESULT_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'call_id',
  'output',
  'status',
  'tools',
  'execution',
  'name',
])

const RESULT_KINDS: ReadonlyMap<string, ToolKind> = new Map([
  ['function_call_output', 'function'],
  ['custom_tool_call_output', 'custom'],
  ['tool_search_output', 'tool-search'],
  ['local_shell_call_output', 'local-shell'],
  ['shell_call_output', 'shell'],
  ['apply_patch_call_output', 'apply-patch'],
])

/** Results of what the provider ran, as the client gives them back: they stand on the user's side. */
const NATIVE_OF_USER: ReadonlySet<string> = new Set([
  'computer_call_output',
  'mcp_approval_response',
  'compaction_trigger',
])

/**
 * Reads a request.
 * @throws TokError `body_malformed`; `translation_refused` for what only the vendor keeps
 */
export function readRequest(body: JsonObject, reading: RequestReading): Conversation {
  refuseWhatOnlyTheVendorKeeps(body)
  const items = readInput(body['input'], reading)
  const text = asObject(body['text'])
  const include = asList(body['include'])
  // None are asked for by 0.
  const topLogprobs = asCount(body['top_logprobs']) || undefined
  return {
    model: asText(body['model']) ?? '',
    stream: readSwitch(body, 'stream') ?? false,
    turns: [...readInstructions(body['instructions']), ...items.turns],
    tools: withoutIdleDeferral([...readTools(body['tools'], 'tools'), ...items.tools]),
    toolChoice: readToolChoice(body['tool_choice']),
    parallelToolCalls: readSwitch(body, 'parallel_tool_calls'),
    outputTokensMax: asCount(body['max_output_tokens']),
    reasoning: readReasoningWish(asObject(body['reasoning']), items.effort, reading),
    sampling: {
      temperature: asNumber(body['temperature']),
      topP: asNumber(body['top_p']),
      topLogprobs,
      logprobs: topLogprobs !== undefined || include.includes('message.output_text.logprobs') || undefined,
    },
    format: items.format ?? readFormat(text['format'], 'text.format', reading),
    verbosity: asText(text['verbosity']),
    caching: { key: asText(body['prompt_cache_key']), retention: asText(body['prompt_cache_retention']) },
    user: readUser(body, reading),
    metadata: isObject(body['metadata']) && Object.keys(body['metadata']).length > 0 ? body['metadata'] : undefined,
    serviceTier: asText(body['service_tier']),
    wantsStreamUsage: true,
    extras: readExtras(body, include),
  }
}

function refuseWhatOnlyTheVendorKeeps(body: JsonObject): void {
  for (const [field, reason] of Object.entries(ONLY_AT_VENDOR)) {
    const value = body[field]
    if (value === undefined || value === null || value === false || value === '') continue
    throw new TokError('translation_refused', { field, target: 'a provider', dialect: 'another dialect', reason })
  }
}

function readExtras(body: JsonObject, include: readonly unknown[]): Extras {
  const asked = Object.fromEntries(Object.entries(body).filter(([name, value]) => IDLE[name] !== value))
  // Encrypted reasoning is always included, and logprobs have their own word.
  const included = include.filter(
    (each) => each !== 'reasoning.encrypted_content' && each !== 'message.output_text.logprobs',
  )
  const own = {
    ...extrasOf(asked, READ)?.['openai-responses'],
    ...(included.length === 0 ? {} : { include: included }),
    ...(asObject(body['stream_options'])['include_obfuscation'] === true
      ? { stream_options: body['stream_options'] }
      : {}),
  }
  return Object.keys(own).length === 0 ? {} : { 'openai-responses': own }
}

function readInstructions(value: unknown): readonly Turn[] {
  if (value === undefined || value === null || value === '') return []
  if (typeof value !== 'string') throw malformed('instructions', 'is not a string')
  return [{ role: 'system', parts: [{ kind: 'text', text: value }], isTopLevel: true, extras: {} }]
}

/** Other dialects have one name for a user. */
function readUser(body: JsonObject, { losses }: RequestReading): string | undefined {
  const user = asText(body['user'])
  const identifier = asText(body['safety_identifier'])
  if (user !== undefined && identifier !== undefined && user !== identifier) losses.drop('user')
  return identifier ?? user
}

function readReasoningWish(
  reasoning: JsonObject,
  update: Effort | undefined,
  { losses }: RequestReading,
): ReasoningWish {
  const { effort: asked, summary, generate_summary: formerly, ...others } = reasoning
  const effort = readEffort(asked)
  const unknown = effort === undefined ? { ...others, effort: asked } : others
  for (const [name, value] of Object.entries(unknown)) {
    if (value !== null && value !== undefined) losses.drop(`reasoning.${name}`)
  }
  return {
    effort: update ?? effort,
    summary: asText(summary) ?? asText(formerly),
  }
}

function readEffort(value: unknown): Effort | undefined {
  return EFFORTS.find((effort) => effort === value)
}

/** @throws TokError `body_malformed` for a schema that is none */
function readFormat(value: unknown, path: string, { losses }: RequestReading): OutputFormat | undefined {
  const format = asObject(value)
  switch (format['type']) {
    case 'text':
      return { kind: 'text' }
    case 'json_object':
      return { kind: 'json-object' }
    case 'json_schema': {
      if (!isObject(format['schema'])) throw malformed(`${path}.schema`, 'is not an object')
      return {
        kind: 'json-schema',
        name: asText(format['name']),
        description: asText(format['description']),
        schema: format['schema'],
        strict: typeof format['strict'] === 'boolean' ? format['strict'] : undefined,
      }
    }
    default:
      if (format['type'] !== undefined) losses.drop(path.replace(/\[\d+\]/, '[]'))
      return undefined
  }
}

/** What the items of `input` come to. */
interface Items {
  readonly turns: Turn[]
  readonly tools: Tool[]
  /** The last that a configuration_update set. */
  effort?: Effort | undefined
  format?: OutputFormat | undefined
}

function readInput(input: unknown, reading: RequestReading): Items {
  const items: Items = { turns: [], tools: [] }
  if (input === undefined || input === null) return items
  if (typeof input === 'string') {
    items.turns.push({ role: 'user', parts: [{ kind: 'text', text: input }], extras: {} })
    return items
  }
  if (!Array.isArray(input)) throw malformed('input', 'is neither a string nor a list')
  const callIds = callIdsOf(input)
  for (const [index, value] of input.entries()) {
    const path = `input[${index}]`
    if (!isObject(value)) throw malformed(path, 'is not an object')
    addItem(items, value, path, { reading, callIds })
  }
  return items
}

/** The results of a local shell name the id of the item, not that of the call. */
function callIdsOf(input: readonly unknown[]): ReadonlyMap<unknown, string> {
  const ids = new Map<unknown, string>()
  for (const entry of input) {
    const item = asObject(entry)
    if (item['type'] === 'local_shell_call') ids.set(item['id'], callIdOf(item))
  }
  return ids
}

interface ItemContext {
  readonly reading: RequestReading
  readonly callIds: ReadonlyMap<unknown, string>
}

function addItem(items: Items, item: JsonObject, path: string, context: ItemContext): void {
  const type = asText(item['type']) ?? (item['role'] === undefined ? 'item_reference' : 'message')
  const add = (role: Turn['role'], parts: readonly Part[], extras: Extras = {}): void => {
    items.turns.push({ role, parts, extras })
  }
  const resultKind = RESULT_KINDS.get(type)
  if (resultKind !== undefined && item['execution'] !== 'server') {
    const result = readResult(item, resultKind, path, context)
    for (const tool of result.tools ?? []) items.tools.push(tool)
    return add('user', [result])
  }
  switch (type) {
    case 'message':
      return add(
        readRole(item['role'], path),
        readContent(item['content'], `${path}.content`),
        extrasOf(item, MESSAGE_MEMBERS),
      )
    case 'reasoning':
      return add('assistant', [readReasoning(item, context.reading)])
    case 'additional_tools':
      for (const tool of readTools(item['tools'], `${path}.tools`)) items.tools.push(tool)
      return undefined
    case 'configuration_update':
      items.effort = readEffort(asObject(item['reasoning'])['effort']) ?? items.effort
      items.format =
        readFormat(asObject(item['text'])['format'], `${path}.text.format`, context.reading) ?? items.format
      return undefined
    case 'item_reference':
      // The AI SDK names what it takes for stored, and sends only calls whole. Reasoning can be done without.
      if (asText(item['id'])?.startsWith('rs_') === true) return context.reading.losses.drop('input[].reasoning')
      throw malformed(path, `refers to an item "${textOf(item['id'])}" that is not kept here: send the item itself`)
    default: {
      const call = readCall(item)
      if (call === undefined) {
        const native: Part = { kind: 'native', type, native: { dialect: 'openai-responses', value: item } }
        return add(NATIVE_OF_USER.has(type) ? 'user' : 'assistant', [native])
      }
      if (call.name === '') throw malformed(`${path}.name`, 'is missing')
      if (call.callId === '') throw malformed(`${path}.call_id`, 'is missing')
      return add('assistant', [{ kind: 'tool-call', ...call, extras: extrasOf(item, CALL_MEMBERS) }])
    }
  }
}

function readRole(value: unknown, path: string): Turn['role'] {
  const role = Object.entries(ROLES).find(([name]) => name === value)?.[1]
  if (role === undefined) throw malformed(`${path}.role`, `is "${textOf(value)}", and no role`)
  return role
}

function readContent(content: unknown, path: string): readonly Part[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (content === undefined || content === null) return []
  if (!Array.isArray(content)) throw malformed(path, 'is neither a string nor a list')
  return content.map((value: unknown, index) => {
    const part = readPart(asObject(value))
    if (part === undefined) throw malformed(`${path}[${index}]`, 'is no part of a message')
    return part
  })
}

function readReasoning(item: JsonObject, { seal }: RequestReading): Part {
  const encrypted = asText(item['encrypted_content'])
  const opened = encrypted === undefined ? undefined : openState(seal, encrypted)
  // What another node sealed is nobody's state here; what is not sealed at all is the vendor's own.
  const isForeign = encrypted !== undefined && isSealed(encrypted)
  const own: OpaqueState | undefined = isForeign ? undefined : { dialect: 'openai-responses', value: item }
  return { kind: 'reasoning', text: readReasoningText(item), native: opened ?? own }
}

function readResult(item: JsonObject, toolKind: ToolKind, path: string, { callIds }: ItemContext): ToolResultPart {
  const callId = callIds.get(item['id']) ?? callIdOf(item)
  if (callId === '') throw malformed(`${path}.call_id`, 'is missing')
  const base = { kind: 'tool-result' as const, toolKind, callId, extras: extrasOf(item, RESULT_MEMBERS) }
  switch (toolKind) {
    case 'tool-search': {
      const tools = readTools(item['tools'], `${path}.tools`)
      return { ...base, tools, content: [{ kind: 'text', text: describeTools(tools) }], isError: false }
    }
    case 'apply-patch': {
      const text = asText(item['output']) ?? asText(item['status']) ?? ''
      return { ...base, content: [{ kind: 'text', text }], isError: item['status'] === 'failed' }
    }
    case 'shell':
      return { ...base, content: [{ kind: 'text', text: textOf(item['output']) }], isError: false }
    default:
      return { ...base, content: readOutput(item['output'], `${path}.output`), isError: false }
  }
}

function readOutput(output: unknown, path: string): readonly Part[] {
  if (Array.isArray(output)) return readContent(output, path)
  const text = textOf(output)
  return readStringifiedParts(text) ?? [{ kind: 'text', text }]
}

/** Some clients give pictures as the JSON text of a list of parts. A list without any is what the tool said. */
function readStringifiedParts(text: string): readonly Part[] | undefined {
  if (!text.startsWith('[') || !text.includes('"input_image"')) return undefined
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    return undefined
  }
  const parts = asList(list).map((value) => readPart(asObject(value)))
  const known = parts.filter((part) => part !== undefined && part.kind !== 'native')
  return known.length === parts.length && known.some((part) => part.kind === 'image') ? known : undefined
}

function describeTools(tools: readonly Tool[]): string {
  if (tools.length === 0) return 'No tools were found.'
  const names = tools.map((tool) =>
    tool.kind !== 'hosted' && tool.namespace !== undefined ? `${tool.name} (of ${tool.namespace})` : tool.name,
  )
  return `These tools are loaded now: ${names.join(', ')}`
}

function readSwitch(body: JsonObject, name: string): boolean | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'boolean') throw malformed(name, 'is neither true nor false')
  return value
}
