/**
 * Reads a Messages request. Source: the types of `@anthropic-ai/sdk` (beta), platform.claude.com ("Mid-conversation system
 * messages", "Per-message effort"), and what Claude Code sends.
 */
import { TokError } from '../../base/errors.ts'
import type { RequestReading } from '../conversation/contract.ts'
import type {
  Conversation,
  Effort,
  OutputFormat,
  ReasoningWish,
  ToolChoice,
  Tool,
  Turn,
} from '../conversation/conversation.ts'
import { EFFORTS } from '../conversation/conversation.ts'
import type { Losses } from '../conversation/losses.ts'
import { malformed } from '../conversation/malformed.ts'
import { asCount, asList, asNumber, asObject, asText, isObject, parseObject, type JsonObject } from '../json-value.ts'
import { textMember } from './members.ts'
import { isBillingNote, readParts } from './read-parts.ts'
import { readCacheMark, readTools } from './read-tools.ts'

const DIALECT = 'anthropic-messages'

const READ_MEMBERS: ReadonlySet<string> = new Set([
  'cache_control',
  'max_tokens',
  'mcp_servers',
  'messages',
  'metadata',
  'model',
  'output_config',
  'output_format',
  'service_tier',
  'speed',
  'stop_sequences',
  'stream',
  'system',
  'temperature',
  'thinking',
  'tool_choice',
  'tools',
  'top_k',
  'top_p',
])

/**
 * Reads a request into the hub.
 * @throws TokError `body_malformed`; `translation_refused` for a conversation that Anthropic is to keep
 */
export function readRequest(body: JsonObject, { seal, losses }: RequestReading): Conversation {
  const messages = messagesOf(body)
  const tools = readTools(body)
  const sessionId = sessionOf(body)
  return {
    model: textMember(body, 'model'),
    stream: flagMember(body, 'stream'),
    turns: [...topLevelTurns(body, seal), ...readTurns(messages, seal)],
    tools,
    toolChoice: readToolChoice(body, tools),
    parallelToolCalls: asObject(body['tool_choice'])['disable_parallel_tool_use'] === true ? false : undefined,
    outputTokensMax: asCount(body['max_tokens']),
    reasoning: readReasoning(body, messages, losses),
    sampling: {
      temperature: asNumber(body['temperature']),
      topP: asNumber(body['top_p']),
      topK: asCount(body['top_k']),
      stop: readStops(body),
    },
    format: readFormat(body),
    caching: { key: sessionId, mark: readCacheMark(body) },
    user: asText(asObject(body['metadata'])['user_id']),
    serviceTier: readServiceTier(body),
    wantsStreamUsage: true,
    extras: readExtras(body),
  }
}

function messagesOf(body: JsonObject): readonly JsonObject[] {
  const messages = body['messages']
  if (!Array.isArray(messages)) throw malformed('messages', 'is not a list')
  return messages.map((message: unknown, index) => {
    if (!isObject(message)) throw malformed(`messages[${index}]`, 'is not an object')
    return message
  })
}

function topLevelTurns(body: JsonObject, seal: RequestReading['seal']): readonly Turn[] {
  const parts = readParts(body['system'], 'system', seal).filter((part) => !isBillingNote(part))
  return parts.length === 0 ? [] : [{ role: 'system', parts, isTopLevel: true, extras: {} }]
}

function readTurns(messages: readonly JsonObject[], seal: RequestReading['seal']): readonly Turn[] {
  const lastUser = messages.findLastIndex(({ role }) => role === 'user')
  return messages.flatMap((message, index) => {
    const { role, content } = message
    if (role !== 'user' && role !== 'assistant' && role !== 'system') {
      throw malformed(`messages[${index}].role`, 'is none of user, assistant and system')
    }
    if (role !== 'system' && content === undefined) throw malformed(`messages[${index}].content`, 'is missing')
    const parts = readParts(content, `messages[${index}].content`, seal)
    // Anthropic keeps showing such a text only until the user speaks again.
    if (role === 'system' && message['clear_at'] === 'next_user_message' && index < lastUser) return []
    return role === 'system' && parts.length === 0 ? [] : [{ role, parts, extras: {} }]
  })
}

/** What thinking is asked for. To say nothing means none with Anthropic, and must not mean another vendor's default. */
function readReasoning(body: JsonObject, messages: readonly JsonObject[], losses: Losses): ReasoningWish {
  const thinking = asObject(body['thinking'])
  const config = asObject(body['output_config'])
  if (config['task_budget'] !== undefined) losses.drop('output_config.task_budget')
  if (thinking['block_binding'] !== undefined) losses.drop('thinking.block_binding')
  const effort = effortIn(messages) ?? readEffort(config['effort'])
  const summary = asText(thinking['display'])
  switch (thinking['type']) {
    case 'enabled':
      return { mode: 'on', budgetTokens: asCount(thinking['budget_tokens']), effort, summary }
    case 'adaptive':
    case 'between_tools':
      return { mode: 'adaptive', effort, summary }
    case 'disabled':
      // Of a model that is not to think there is no effort to ask, and strict servers refuse both together.
      return { mode: 'off' }
    case undefined:
      return effort === undefined ? { mode: 'off' } : { effort }
    default:
      throw malformed('thinking.type', 'is none of enabled, adaptive, between_tools and disabled')
  }
}

/**
 * The effort that system messages set for the present turn. Right after new input it counts at once, elsewhere from the next
 * new input on; results of tools are no new input.
 */
function effortIn(messages: readonly JsonObject[]): Effort | undefined {
  let effort: Effort | undefined
  let coming: Effort | undefined
  let isAfterInput = false
  for (const { role, content, output_config: config } of messages) {
    if (role === 'system') {
      coming = readEffort(asObject(config)['effort']) ?? coming
      if (isAfterInput) effort = coming ?? effort
      continue
    }
    isAfterInput = role === 'user' && !isOnlyResults(content)
    if (isAfterInput) effort = coming ?? effort
  }
  return effort
}

function isOnlyResults(content: unknown): boolean {
  return Array.isArray(content) && content.every((block) => asObject(block)['type'] === 'tool_result')
}

function readEffort(value: unknown): Effort | undefined {
  return EFFORTS.find((effort) => effort === value)
}

function readToolChoice(body: JsonObject, tools: readonly Tool[]): ToolChoice | undefined {
  const choice = body['tool_choice']
  if (choice === undefined || choice === null) return undefined
  const { type, name } = asObject(choice)
  switch (type) {
    case 'auto':
    case 'none':
      return { kind: type }
    case 'any':
      return { kind: 'required' }
    case 'tool':
      return tools.some((tool) => tool.kind === 'hosted' && tool.name === name)
        ? { kind: 'native', native: { dialect: DIALECT, value: asObject(choice) } }
        : { kind: 'tool', name: textMember(asObject(choice), 'name', 'tool_choice') }
    default:
      throw malformed('tool_choice.type', 'is none of auto, any, tool and none')
  }
}

function readStops(body: JsonObject): readonly string[] | undefined {
  const stops = asList(body['stop_sequences']).map(asText)
  return stops.length === 0 ? undefined : stops.filter((stop) => stop !== undefined)
}

function readFormat(body: JsonObject): OutputFormat | undefined {
  const format = asObject(asObject(body['output_config'])['format'] ?? body['output_format'])
  if (format['type'] === undefined) return undefined
  if (format['type'] !== 'json_schema' || !isObject(format['schema'])) {
    throw malformed('output_config.format', 'is no json_schema with a schema')
  }
  return { kind: 'json-schema', schema: format['schema'] }
}

/** In OpenAI's words, which the hub has. */
function readServiceTier(body: JsonObject): string | undefined {
  if (body['speed'] === 'fast') return 'fast'
  const tier = body['service_tier']
  return tier === 'standard_only' ? 'default' : asText(tier)
}

/** Claude Code names its session within the user id: what belongs together for a cache. */
function sessionOf(body: JsonObject): string | undefined {
  const userId = asText(asObject(body['metadata'])['user_id'])
  return userId === undefined ? undefined : asText(parseObject(userId)?.['session_id'])
}

function readExtras(body: JsonObject): Conversation['extras'] {
  if (isObject(body['thread'])) {
    const reason = 'only Anthropic keeps conversations'
    throw new TokError('translation_refused', {
      field: 'thread',
      target: 'a provider',
      dialect: 'another dialect',
      reason,
    })
  }
  const rest = Object.entries(body).filter(([name, value]) => !READ_MEMBERS.has(name) && value !== null)
  return rest.length === 0 ? {} : { [DIALECT]: Object.fromEntries(rest) }
}

function flagMember(body: JsonObject, name: string): boolean {
  const flag = body[name] ?? false
  if (typeof flag !== 'boolean') throw malformed(name, 'is neither true nor false')
  return flag
}
