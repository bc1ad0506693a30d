/**
 * Writes a request to a Messages server. Source: the types of `@anthropic-ai/sdk`, platform.claude.com ("Extended thinking",
 * "Adaptive thinking", "Structured outputs", "Prompt caching").
 */
import { createHash } from 'node:crypto'
import { TokError } from '../../base/errors.ts'
import type { RequestWriting } from '../conversation/contract.ts'
import type { Conversation, ReasoningWish, Sampling } from '../conversation/conversation.ts'
import type { FieldName } from '../conversation/losses.ts'
import { budgetTokensOf, effortOf } from '../conversation/reasoning-wish.ts'
import { asList, asText, type JsonObject } from '../json-value.ts'
import { nearestEffort } from '../profiles.ts'
import { closed } from './input-schema.ts'
import { CACHE_MARK_FIELD, mark, type Block } from './write-blocks.ts'
import { isThinking, writeMessages, type Message, type WrittenMessages } from './write-messages.ts'
import { writeTools, type WrittenTools } from './write-tools.ts'

const DIALECT = 'anthropic-messages'

const CACHE_MARKS_MAX = 4
const USER_ID_CHARACTERS_MAX = 256

const REASONING_FIELD: FieldName = {
  'openai-chat': 'reasoning_effort',
  'openai-responses': 'reasoning',
  'anthropic-messages': 'thinking',
}
const FORMAT_FIELD: FieldName = {
  'openai-chat': 'response_format',
  'openai-responses': 'text.format',
  'anthropic-messages': 'output_config.format',
}
const FORMAT_DESCRIPTION_FIELD: FieldName = {
  'openai-chat': 'response_format.json_schema.description',
  'openai-responses': 'text.format.description',
}

/** While it thinks, a model samples from no less than this. */
const TOP_P_MIN_WHILE_THINKING = 0.95

/**
 * Writes a conversation.
 * @throws TokError `translation_refused`
 */
export function writeRequest(conversation: Conversation, writing: RequestWriting): JsonObject {
  const { losses } = writing
  losses.dropExtras(conversation.extras, DIALECT, '')
  const written = writeMessages(conversation.turns, writing)
  const tools = writeTools(conversation, calledNames(written.messages), writing)
  const maxTokens = outputLimit(conversation, writing)
  const thinking = writeThinking(conversation.reasoning, maxTokens, written.messages, tools.isForced, writing)
  const format = writeFormat(conversation, written.system, writing)
  const config = { ...(thinking.effort === undefined ? {} : { effort: thinking.effort }), ...format }
  const isThinkingOn = thinking.config !== undefined && thinking.config['type'] !== 'disabled'
  const ownMark = writeCaching(conversation, written, tools, writing)
  if (conversation.verbosity !== undefined && conversation.verbosity !== 'medium') {
    losses.drop({ 'openai-chat': 'verbosity', 'openai-responses': 'text.verbosity' })
  }
  return {
    ...conversation.extras[DIALECT],
    model: writing.model,
    max_tokens: maxTokens,
    ...(conversation.stream ? { stream: true } : {}),
    ...(written.system.length > 0 ? { system: written.system } : {}),
    messages: written.messages,
    ...(tools.tools.length > 0 ? { tools: tools.tools } : {}),
    ...(tools.choice === undefined ? {} : { tool_choice: tools.choice }),
    ...(tools.servers.length > 0 ? { mcp_servers: tools.servers } : {}),
    ...(thinking.config === undefined ? {} : { thinking: thinking.config }),
    ...(Object.keys(config).length > 0 ? { output_config: config } : {}),
    ...writeSampling(conversation.sampling, isThinkingOn, writing),
    ...writeIdentity(conversation, writing),
    ...writeServiceTier(conversation, writing),
    ...ownMark,
  }
}

function calledNames(messages: readonly Message[]): ReadonlySet<string> {
  const calls = messages.flatMap(({ content }) => content.filter(({ type }) => type === 'tool_use'))
  return new Set(calls.map(({ name }) => String(name)))
}

function outputLimit({ outputTokensMax }: Conversation, { profile }: RequestWriting): number {
  return Math.max(1, Math.min(outputTokensMax ?? profile.outputTokensDefault, profile.outputTokensMax ?? Infinity))
}

interface WrittenThinking {
  readonly config?: JsonObject
  readonly effort?: string
}

function writeThinking(
  wish: ReasoningWish,
  maxTokens: number,
  messages: readonly Message[],
  isForced: boolean,
  { profile, losses }: RequestWriting,
): WrittenThinking {
  const effort = effortOf(wish)
  if (effort === undefined) return {}
  if (effort === 'none') return profile.reasoning === 'none' ? {} : { config: { type: 'disabled' } }
  const isRefused = isForced && !profile.takesForcedToolWhileReasoning
  const budgetTokens = budgetTokensOf(wish, maxTokens)
  const needsBudget = profile.reasoning === 'budget'
  if (
    profile.reasoning === 'none' ||
    isRefused ||
    (needsBudget && (budgetTokens === undefined || continuesUnthought(messages)))
  ) {
    losses.drop(REASONING_FIELD)
    return {}
  }
  const display = displayOf(wish.summary)
  if (needsBudget) return { config: { type: 'enabled', budget_tokens: budgetTokens, ...display } }
  const nearest = nearestEffort(effort, profile)
  return { config: { type: 'adaptive', ...display }, ...(nearest === undefined ? {} : { effort: nearest }) }
}

/** OpenAI asks for a summary of some kind or none; Anthropic's own words stay. */
function displayOf(summary: string | undefined): JsonObject {
  if (summary === undefined || summary === 'none') return {}
  return { display: summary === 'omitted' || summary === 'updates' ? summary : 'summarized' }
}

/**
 * True in the middle of a turn that began without thinking, or whose thinking was another provider's: with a budget the
 * server insists that a turn with calls begins with its own.
 */
function continuesUnthought(messages: readonly Message[]): boolean {
  const spoken = messages.filter(({ role }) => role !== 'system')
  const last = spoken.at(-1)
  const isWithinTurn = last?.role === 'assistant' || last?.content[0]?.['type'] === 'tool_result'
  const answer = spoken.findLast(({ role }) => role === 'assistant')
  return isWithinTurn && answer !== undefined && !isThinking(answer.content[0])
}

function writeFormat({ format }: Conversation, system: Block[], { profile, losses }: RequestWriting): JsonObject {
  if (format === undefined || format.kind === 'text') return {}
  if (format.kind === 'json-schema' && profile.format === 'json-schema') {
    if (format.description !== undefined) losses.drop(FORMAT_DESCRIPTION_FIELD)
    return { format: { type: 'json_schema', schema: closed(format.schema) } }
  }
  // Nothing enforces it then, so it is told, and said to be lost.
  losses.drop(FORMAT_FIELD)
  const schema = format.kind === 'json-schema' ? ` that fits this JSON schema:\n${JSON.stringify(format.schema)}` : '.'
  system.push({ type: 'text', text: `Answer with nothing but one JSON object${schema}` })
  return {}
}

function writeSampling(sampling: Sampling, isThinkingOn: boolean, writing: RequestWriting): JsonObject {
  const { profile, losses } = writing
  const { temperature, topP, topK, stop } = sampling
  if (sampling.choices !== undefined && sampling.choices > 1) {
    throw new TokError('translation_refused', {
      field: 'n',
      target: writing.target,
      dialect: DIALECT,
      reason: 'it gives one answer at a time',
    })
  }
  const lost: readonly (readonly [string, unknown])[] = [
    ['seed', sampling.seed],
    ['presence_penalty', sampling.presencePenalty || undefined],
    ['frequency_penalty', sampling.frequencyPenalty || undefined],
    ['logprobs', sampling.logprobs || undefined],
    ['top_logprobs', sampling.topLogprobs || undefined],
    ['logit_bias', sampling.logitBias],
  ]
  for (const [name, value] of lost) if (value !== undefined) losses.drop(name)
  const result: Record<string, unknown> = {}
  const take = (name: string, value: number | undefined, isTaken: boolean): void => {
    if (value === undefined) return
    if (isTaken && profile.takesSampling) result[name] = value
    else losses.drop(name)
  }
  // To ask for the default is to ask for nothing; OpenAI's temperatures go up to 2.
  const warmth = temperature === undefined || temperature === 1 ? undefined : Math.min(temperature, 1)
  if ((temperature ?? 0) > 1) losses.drop('temperature')
  take('temperature', warmth, !isThinkingOn)
  take('top_p', topP, warmth === undefined && (!isThinkingOn || (topP ?? 0) >= TOP_P_MIN_WHILE_THINKING))
  take('top_k', topK, !isThinkingOn)
  const stops = (stop ?? []).filter((text) => text.trim() !== '')
  if (stops.length < (stop?.length ?? 0) || (stops.length > 0 && !profile.takesStop)) {
    losses.drop({ 'openai-chat': 'stop', 'openai-responses': 'stop', 'anthropic-messages': 'stop_sequences' })
  }
  return stops.length > 0 && profile.takesStop ? { ...result, stop_sequences: stops } : result
}

function writeIdentity({ user, metadata }: Conversation, { profile, losses }: RequestWriting): JsonObject {
  const userId = user ?? asText(metadata?.['user_id'])
  const rest = Object.keys(metadata ?? {}).filter((name) => name !== 'user_id')
  if (rest.length > 0) losses.drop('metadata')
  if (userId === undefined) return {}
  if (!profile.takesIdentity) {
    losses.drop({ 'openai-chat': 'user', 'openai-responses': 'user', 'anthropic-messages': 'metadata.user_id' })
    return {}
  }
  const isLong = userId.length > USER_ID_CHARACTERS_MAX
  return { metadata: { user_id: isLong ? createHash('sha256').update(userId).digest('hex') : userId } }
}

/** "auto" is the one way to what OpenAI calls priority; "standard_only" is the plain tier. */
function writeServiceTier({ serviceTier }: Conversation, { profile, losses }: RequestWriting): JsonObject {
  if (serviceTier === undefined || serviceTier === 'auto') return {}
  const tier =
    serviceTier === 'default' ? 'standard_only' : /^(?:priority|fast|ultrafast)$/.test(serviceTier) ? 'auto' : undefined
  if (tier !== undefined && profile.takesServiceTier) return { service_tier: tier }
  if (serviceTier !== 'default') losses.drop('service_tier')
  return {}
}

/**
 * Sets the cache marks right; gives the request's own. The server takes four, and the last ones stay, which hold for the
 * longest prompts. A client that names a cache by a key, and can set no marks, expects its prompts to be cached all the same:
 * they are marked where they grow.
 */
function writeCaching(
  { caching }: Conversation,
  { system, messages }: WrittenMessages,
  { tools }: WrittenTools,
  writing: RequestWriting,
): Block {
  const { profile, losses } = writing
  const ownMark: Block = {}
  mark(ownMark, caching.mark, writing)
  const blocks = [...tools, ...system, ...messages.flatMap(({ content }) => content.flatMap(withInner)), ownMark]
  const marked = blocks.filter((block) => block['cache_control'] !== undefined)
  for (const block of marked.slice(0, Math.max(0, marked.length - CACHE_MARKS_MAX))) {
    delete block['cache_control']
    losses.drop(CACHE_MARK_FIELD)
  }
  if (caching.key !== undefined && !profile.takesCacheMarks) losses.drop('prompt_cache_key')
  else if (caching.key !== undefined && marked.length === 0) {
    const ttl = caching.retention === undefined ? undefined : '1h'
    for (const block of [system.at(-1) ?? tools.at(-1), messages.at(-1)?.content.at(-1)]) {
      if (block !== undefined) mark(block, { ttl }, writing)
    }
  } else if (caching.retention !== undefined) losses.drop('prompt_cache_retention')
  return ownMark
}

/** A result's own blocks may be marked too. */
function withInner(block: Block): readonly Block[] {
  return block['type'] === 'tool_result' ? [...(asList(block['content']) as readonly Block[]), block] : [block]
}
