/**
 * A conversation as a Chat Completions request, for a server of a given profile. What it does not take is left out and
 * reported; what cannot be left out without changing the question is refused.
 */
import { createHash } from 'node:crypto'
import type { RequestWriting } from '../conversation/contract.ts'
import type { Conversation, OutputFormat } from '../conversation/conversation.ts'
import { effortOf } from '../conversation/reasoning-wish.ts'
import { isClosed, portableSchema } from '../conversation/json-schema.ts'
import { withoutUndefined, type JsonObject } from '../json-value.ts'
import { nearestEffort } from '../profiles.ts'
import { refusal } from './refuse.ts'
import { writeMessages } from './write-messages.ts'
import { writeTools } from './write-tools.ts'

const STOPS_MAX = 4
const USER_CHARACTERS_MAX = 64

const SERVICE_TIERS: ReadonlySet<string> = new Set(['auto', 'default', 'flex', 'scale', 'priority', 'fast'])

const REASONING_FIELD = {
  'openai-chat': 'reasoning_effort',
  'openai-responses': 'reasoning.effort',
  'anthropic-messages': 'thinking',
}

const FORMAT_FIELD = {
  'openai-chat': 'response_format',
  'openai-responses': 'text.format',
  'anthropic-messages': 'output_config.format',
}

/** Clients of Messages name none: theirs is made of their session, and nothing of what they asked is lost with it. */
const CACHE_KEY_FIELD = { 'openai-chat': 'prompt_cache_key', 'openai-responses': 'prompt_cache_key' }

const STOP_FIELD = { 'openai-chat': 'stop', 'anthropic-messages': 'stop_sequences' }

/**
 * Writes a request.
 * @throws TokError `translation_refused` for more than one choice, a format of answers or a medium that the target has not
 */
export function writeRequest(conversation: Conversation, writing: RequestWriting): JsonObject {
  const { profile, losses } = writing
  const { stream, extras, outputTokensMax } = conversation
  losses.dropExtras(extras, 'openai-chat', '')
  const limit =
    outputTokensMax === undefined ? undefined : Math.min(outputTokensMax, profile.outputTokensMax ?? outputTokensMax)
  return withoutUndefined({
    ...extras['openai-chat'],
    model: writing.model,
    messages: writeMessages(conversation.turns, writing),
    ...writeTools(conversation, writing),
    [profile.outputLimitField]: limit,
    reasoning_effort: writeEffort(conversation, writing),
    ...writeSampling(conversation, writing),
    response_format: writeFormat(conversation.format, writing),
    ...writeRest(conversation, writing),
    stream,
    // Usage is what is paid by: asked for always, shown to the client only if it asked.
    stream_options: stream ? { include_usage: true } : undefined,
  })
}

function writeEffort({ reasoning }: Conversation, { profile, losses }: RequestWriting): string | undefined {
  const wish = effortOf(reasoning)
  if (wish === undefined) return undefined
  if (profile.reasoning !== 'none') return nearestEffort(wish, profile)
  if (wish !== 'none') losses.drop(REASONING_FIELD)
  return undefined
}

function writeSampling({ sampling }: Conversation, writing: RequestWriting): JsonObject {
  const { profile, losses } = writing
  if ((sampling.choices ?? 1) > 1) throw refusal('n', writing, 'one answer at a time is translated')
  const tuning = {
    temperature: sampling.temperature,
    top_p: sampling.topP,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    logit_bias: sampling.logitBias,
  }
  if (!profile.takesSampling) {
    for (const [field, value] of Object.entries(tuning)) {
      if (value !== undefined && value !== DEFAULT_TUNING[field]) losses.drop(field)
    }
  }
  // Answers have no place for them in the hub.
  if (sampling.logprobs === true) losses.drop('logprobs')
  if ((sampling.topLogprobs ?? 0) > 0) losses.drop('top_logprobs')
  if (sampling.topK !== undefined) losses.drop('top_k')
  return {
    ...(profile.takesSampling ? tuning : {}),
    seed: sampling.seed,
    stop: writeStops(sampling.stop, writing),
  }
}

/** What a server that takes no tuning does anyway. */
const DEFAULT_TUNING: JsonObject = { temperature: 1, top_p: 1, presence_penalty: 0, frequency_penalty: 0 }

function writeStops(stops: readonly string[] = [], { profile, losses }: RequestWriting): readonly string[] | undefined {
  if (stops.length === 0) return undefined
  if (!profile.takesStop || stops.length > STOPS_MAX) losses.drop(STOP_FIELD)
  return profile.takesStop ? stops.slice(0, STOPS_MAX) : undefined
}

function writeFormat(format: OutputFormat | undefined, writing: RequestWriting): JsonObject | undefined {
  const { profile } = writing
  switch (format?.kind) {
    case undefined:
    case 'text':
      return undefined
    case 'json-object':
      if (profile.format === 'none') throw refusal(FORMAT_FIELD, writing, 'the model answers in plain text only')
      return { type: 'json_object' }
    case 'json-schema': {
      if (profile.format !== 'json-schema') throw refusal(FORMAT_FIELD, writing, 'the model keeps to no JSON schema')
      const schema = portableSchema(format.schema)
      return {
        type: 'json_schema',
        json_schema: withoutUndefined({
          name: format.name ?? 'answer',
          description: format.description,
          schema,
          // A dialect that has no such switch is always strict.
          strict: profile.takesStrict ? (format.strict ?? isClosed(schema)) : undefined,
        }),
      }
    }
  }
}

function writeRest(conversation: Conversation, { profile, losses }: RequestWriting): JsonObject {
  const { caching, user, metadata, serviceTier, verbosity } = conversation
  const { key, retention, mark } = caching
  if (verbosity !== undefined && !profile.takesVerbosity) {
    losses.drop({ 'openai-chat': 'verbosity', 'openai-responses': 'text.verbosity' })
  }
  if (key !== undefined && !profile.takesCaching) losses.drop(CACHE_KEY_FIELD)
  if (retention !== undefined && !profile.takesCaching) losses.drop('prompt_cache_retention')
  if (mark !== undefined) losses.drop('cache_control')
  // OpenAI takes notes only on answers that it stores, and these are not stored.
  if (metadata !== undefined && Object.keys(metadata).length > 0) losses.drop('metadata')
  if (user !== undefined && !profile.takesIdentity) {
    losses.drop({ 'openai-chat': 'user', 'openai-responses': 'user', 'anthropic-messages': 'metadata.user_id' })
  }
  const tier = serviceTier === 'standard_only' ? 'default' : serviceTier
  const takesTier = tier !== undefined && profile.takesServiceTier && SERVICE_TIERS.has(tier)
  if (tier !== undefined && tier !== 'auto' && !takesTier) losses.drop('service_tier')
  return {
    verbosity: profile.takesVerbosity ? verbosity : undefined,
    prompt_cache_key: profile.takesCaching ? key : undefined,
    prompt_cache_retention: profile.takesCaching ? retention : undefined,
    user: user !== undefined && profile.takesIdentity ? fitUser(user) : undefined,
    service_tier: takesTier ? tier : undefined,
  }
}

/** Claude Code names its user by a JSON text; OpenAI takes 64 characters. */
function fitUser(user: string): string {
  return user.length <= USER_CHARACTERS_MAX ? user : createHash('sha256').update(user).digest('hex')
}
