/**
 * A conversation as a Responses request. The target remembers nothing: the whole conversation goes with every request, and
 * encrypted reasoning is asked for, so that it can come back.
 * Source: the types of the `openai` SDK (`ResponseCreateParams`).
 */
import { createHash } from 'node:crypto'
import { TokError } from '../../base/errors.ts'
import type { RequestWriting } from '../conversation/contract.ts'
import type { Conversation, OutputFormat, ReasoningWish, Sampling } from '../conversation/conversation.ts'
import type { FieldName } from '../conversation/losses.ts'
import { effortOf } from '../conversation/reasoning-wish.ts'
import { isClosed } from '../conversation/json-schema.ts'
import { withoutUndefined, type JsonObject } from '../json-value.ts'
import { nearestEffort } from '../profiles.ts'
import { writeInput } from './write-input.ts'
import { writeToolChoice, writeTools } from './write-tools.ts'

const USER_CHARACTERS_MAX = 64

/**
 * Writes a request.
 * @throws TokError `translation_refused` for what this dialect, or this target, has no way to ask for
 */
export function writeRequest(conversation: Conversation, writing: RequestWriting): JsonObject {
  const { profile, losses } = writing
  const { sampling, caching, format, verbosity, outputTokensMax, parallelToolCalls } = conversation
  const tools = writeTools(conversation, writing)
  const text = {
    ...(format === undefined || format.kind === 'text' ? {} : { format: writeFormat(format, writing) }),
    ...taken('verbosity', verbosity, profile.takesVerbosity, VERBOSITY, writing),
  }
  losses.dropExtras(conversation.extras, 'openai-responses', '')
  if (caching.mark !== undefined) losses.drop({ 'anthropic-messages': 'cache_control' })
  return withoutUndefined({
    ...conversation.extras['openai-responses'],
    model: writing.model,
    ...writeInput(conversation, writing),
    tools: tools.length === 0 ? undefined : tools,
    tool_choice: writeToolChoice(conversation, tools, writing),
    ...(tools.length === 0
      ? {}
      : taken('parallel_tool_calls', parallelToolCalls, profile.takesParallelSwitch, 'parallel_tool_calls', writing)),
    max_output_tokens:
      outputTokensMax === undefined
        ? undefined
        : Math.min(outputTokensMax, profile.outputTokensMax ?? Number.POSITIVE_INFINITY),
    reasoning: writeReasoningWish(conversation.reasoning, writing),
    include: writeInclude(conversation, writing),
    ...writeSampling(sampling, writing),
    text: Object.keys(text).length === 0 ? undefined : text,
    ...taken('user', userOf(conversation), profile.takesIdentity, USER, writing),
    ...taken('metadata', conversation.metadata, profile.takesIdentity, 'metadata', writing),
    ...taken('service_tier', serviceTierOf(conversation), profile.takesServiceTier, 'service_tier', writing),
    ...taken('prompt_cache_key', caching.key, profile.takesCaching, CACHE_KEY, writing),
    ...taken('prompt_cache_retention', caching.retention, profile.takesCaching, 'prompt_cache_retention', writing),
    stream: conversation.stream ? true : undefined,
    store: false,
  })
}

const USER: FieldName = { 'openai-chat': 'user', 'openai-responses': 'user', 'anthropic-messages': 'metadata.user_id' }
const VERBOSITY: FieldName = { 'openai-chat': 'verbosity', 'openai-responses': 'text.verbosity' }
/** Of a client of Anthropic's dialect it is made up from its session. */
const CACHE_KEY: FieldName = { 'openai-chat': 'prompt_cache_key', 'openai-responses': 'prompt_cache_key' }
const STOP: FieldName = { 'openai-chat': 'stop', 'anthropic-messages': 'stop_sequences' }
const REASONING: FieldName = {
  'openai-chat': 'reasoning_effort',
  'openai-responses': 'reasoning',
  'anthropic-messages': 'thinking',
}

/** The member, where the target takes it and the client set it; otherwise its loss is noted. */
function taken(
  name: string,
  value: unknown,
  isTaken: boolean,
  field: FieldName,
  { losses }: RequestWriting,
): JsonObject {
  if (value === undefined) return {}
  if (isTaken) return { [name]: value }
  losses.drop(field)
  return {}
}

function writeSampling(sampling: Sampling, writing: RequestWriting): JsonObject {
  const { profile, losses } = writing
  if ((sampling.choices ?? 1) > 1) {
    throw new TokError('translation_refused', {
      field: 'n',
      target: writing.target,
      dialect: 'openai-responses',
      reason: 'it gives one answer only',
    })
  }
  const unsaid: readonly (readonly [FieldName, unknown])[] = [
    ['top_k', sampling.topK],
    ['seed', sampling.seed],
    ['presence_penalty', sampling.presencePenalty],
    ['frequency_penalty', sampling.frequencyPenalty],
    ['logit_bias', sampling.logitBias],
    [STOP, sampling.stop],
    // No other dialect's client could be told them.
    ['logprobs', sampling.logprobs === true ? true : undefined],
    ['top_logprobs', sampling.topLogprobs],
  ]
  // Zero asks for what is done anyway.
  for (const [field, value] of unsaid) if (value !== undefined && value !== 0) losses.drop(field)
  return {
    ...taken('temperature', sampling.temperature, profile.takesSampling, 'temperature', writing),
    ...taken('top_p', sampling.topP, profile.takesSampling, 'top_p', writing),
  }
}

function writeReasoningWish(wish: ReasoningWish, { profile, losses }: RequestWriting): JsonObject | undefined {
  const asked = effortOf(wish)
  if (profile.reasoning === 'none') {
    if (asked !== undefined && asked !== 'none') losses.drop(REASONING)
    return undefined
  }
  const effort = asked === undefined ? undefined : nearestEffort(asked, profile)
  const summary = effort === 'none' ? undefined : summaryOf(wish)
  return effort === undefined && summary === undefined ? undefined : withoutUndefined({ effort, summary })
}

/** Anthropic shows thinking unless told not to, OpenAI hides it unless told to. */
function summaryOf({ mode, summary }: ReasoningWish): string | undefined {
  switch (summary) {
    case undefined:
      return mode === 'on' || mode === 'adaptive' ? 'auto' : undefined
    case 'omitted':
      return undefined
    case 'summarized':
    case 'updates':
      return 'auto'
    default:
      return summary
  }
}

function writeInclude(
  { sampling, extras, tools }: Conversation,
  { profile, losses }: RequestWriting,
): readonly unknown[] | undefined {
  const asked = extras['openai-responses']?.['include']
  if (sampling.logprobs === true && !profile.takesSampling) losses.drop('logprobs')
  // Other dialects show what a search found without being asked.
  const showsSources =
    profile.hosted.has('web-search') &&
    tools.some(
      (tool) => tool.kind === 'hosted' && tool.webSearch !== undefined && tool.native.dialect !== 'openai-responses',
    )
  const include = [
    ...(Array.isArray(asked) ? (asked as readonly unknown[]) : []),
    ...(profile.reasoning === 'none' ? [] : ['reasoning.encrypted_content']),
    ...(showsSources ? ['web_search_call.action.sources'] : []),
    ...(sampling.logprobs === true && profile.takesSampling ? ['message.output_text.logprobs'] : []),
  ]
  return include.length === 0 ? undefined : include
}

function writeFormat(format: Exclude<OutputFormat, { kind: 'text' }>, { profile, target }: RequestWriting): JsonObject {
  if (profile.format === 'none') {
    const details = { target, dialect: 'openai-responses', reason: 'it answers with free text only' }
    throw new TokError('translation_refused', { field: 'a JSON answer', ...details })
  }
  if (format.kind === 'json-object') return { type: 'json_object' }
  const { $schema: _, ...schema } = format.schema
  return withoutUndefined({
    type: 'json_schema',
    name: format.name ?? 'answer',
    description: format.description,
    schema,
    strict: format.strict ?? isClosed(schema),
  })
}

/** Longer names for a user than the vendor takes become their digest. */
function userOf({ user }: Conversation): string | undefined {
  if (user === undefined || user.length <= USER_CHARACTERS_MAX) return user
  return createHash('sha256').update(user).digest('hex')
}

/** Anthropic's "standard_only" is OpenAI's "default". */
function serviceTierOf({ serviceTier }: Conversation): string | undefined {
  return serviceTier === 'standard_only' ? 'default' : serviceTier
}
