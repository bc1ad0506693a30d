/**
 * What a given server accepts, as data: one table of traits, first the dialect's own, then what is known of a provider or a
 * family of models. Writers ask their profile and nothing else; a server that differs is a row here.
 */
import type { Dialect } from './dialect.ts'
import type { Effort, HostedTool, ToolKind } from './conversation/conversation.ts'

/** What a server takes. */
export interface Profile {
  /** Chat: the name of the output limit. */
  readonly outputLimitField: 'max_tokens' | 'max_completion_tokens'
  /** Sent where a dialect demands a limit and the client set none. */
  readonly outputTokensDefault: number
  /** A higher wish is cut to it; undefined if unknown. */
  readonly outputTokensMax: number | undefined
  /** The role of system texts. */
  readonly systemRole: 'system' | 'developer'
  /** True if a system text may stand between other turns; otherwise it becomes a reminder in a user turn. */
  readonly takesSystemAnywhere: boolean
  readonly toolKinds: ReadonlySet<ToolKind>
  readonly takesNamespaces: boolean
  /** Tools the provider runs itself. */
  readonly hosted: ReadonlySet<HostedTool['capability']>
  readonly toolNameCharactersMax: number
  readonly callIdCharactersMax: number
  /** How thinking is asked for: by effort, Anthropic's adaptive thinking with effort, a budget, or not at all. */
  readonly reasoning: 'effort' | 'adaptive' | 'budget' | 'none'
  /** Efforts taken; a wish beyond them becomes the nearest. */
  readonly efforts: readonly Effort[]
  /** Chat: the assistant's earlier reasoning goes back as `reasoning_content`. */
  readonly takesReasoningContent: boolean
  readonly takesForcedToolWhileReasoning: boolean
  /** Temperature, top_p and their like. */
  readonly takesSampling: boolean
  readonly takesStop: boolean
  readonly takesImages: boolean
  readonly takesFiles: boolean
  readonly takesAudio: boolean
  readonly takesStrict: boolean
  readonly format: 'json-schema' | 'json-object' | 'none'
  /** prompt_cache_key and retention; cache_control at the top level. */
  readonly takesCaching: boolean
  /** Marks within the prompt: prompt_cache_breakpoint or cache_control. */
  readonly takesCacheMarks: boolean
  readonly takesVerbosity: boolean
  readonly takesServiceTier: boolean
  /** user, safety_identifier, metadata. */
  readonly takesIdentity: boolean
  readonly takesParallelSwitch: boolean
}

/** What a model can do, as far as its server says: undefined is not said. */
export interface ModelCapabilities {
  readonly thinking?: boolean | undefined
  readonly vision?: boolean | undefined
  readonly tools?: boolean | undefined
}

/** A server, as far as its profile depends on it. */
export interface ProfileQuestion {
  readonly dialect: Dialect
  /** The target's name: "openai", "anthropic", a server's own, a peer's. */
  readonly provider: string
  /** The vendor itself, at its own API. */
  readonly isVendor: boolean
  readonly model: string
  readonly capabilities?: ModelCapabilities | undefined
}

interface Row {
  readonly dialect: Dialect
  readonly isVendor?: boolean
  readonly model?: RegExp
  readonly set: Partial<Profile>
}

const ALL_EFFORTS: readonly Effort[] = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']
const FUNCTIONS_ONLY: ReadonlySet<ToolKind> = new Set(['function'])
const NOTHING_HOSTED: ReadonlySet<HostedTool['capability']> = new Set()

/** Any server of the dialect: what nearly all of them take, and nothing that one of them is known to refuse. */
const GENERIC: Readonly<Record<Dialect, Profile>> = {
  'openai-chat': {
    outputLimitField: 'max_tokens',
    outputTokensDefault: 8_192,
    outputTokensMax: undefined,
    systemRole: 'system',
    takesSystemAnywhere: false,
    toolKinds: FUNCTIONS_ONLY,
    takesNamespaces: false,
    hosted: NOTHING_HOSTED,
    toolNameCharactersMax: 64,
    callIdCharactersMax: 64,
    reasoning: 'none',
    efforts: ['none', 'low', 'medium', 'high'],
    takesReasoningContent: true,
    takesForcedToolWhileReasoning: true,
    takesSampling: true,
    takesStop: true,
    takesImages: true,
    takesFiles: true,
    takesAudio: true,
    takesStrict: true,
    format: 'json-schema',
    takesCaching: false,
    takesCacheMarks: false,
    takesVerbosity: false,
    takesServiceTier: false,
    takesIdentity: true,
    takesParallelSwitch: true,
  },
  'openai-responses': {
    outputLimitField: 'max_tokens',
    outputTokensDefault: 8_192,
    outputTokensMax: undefined,
    systemRole: 'developer',
    takesSystemAnywhere: true,
    toolKinds: FUNCTIONS_ONLY,
    takesNamespaces: false,
    hosted: NOTHING_HOSTED,
    toolNameCharactersMax: 64,
    callIdCharactersMax: 64,
    reasoning: 'none',
    efforts: ['none', 'minimal', 'low', 'medium', 'high'],
    takesReasoningContent: false,
    takesForcedToolWhileReasoning: true,
    takesSampling: true,
    takesStop: false,
    takesImages: true,
    takesFiles: true,
    takesAudio: false,
    takesStrict: true,
    format: 'json-schema',
    takesCaching: false,
    takesCacheMarks: false,
    takesVerbosity: false,
    takesServiceTier: false,
    takesIdentity: true,
    takesParallelSwitch: true,
  },
  'anthropic-messages': {
    outputLimitField: 'max_tokens',
    outputTokensDefault: 8_192,
    outputTokensMax: undefined,
    systemRole: 'system',
    takesSystemAnywhere: false,
    toolKinds: FUNCTIONS_ONLY,
    takesNamespaces: false,
    hosted: NOTHING_HOSTED,
    toolNameCharactersMax: 64,
    callIdCharactersMax: 64,
    reasoning: 'budget',
    efforts: ['low', 'medium', 'high', 'xhigh', 'max'],
    takesReasoningContent: false,
    takesForcedToolWhileReasoning: false,
    takesSampling: true,
    takesStop: true,
    takesImages: true,
    takesFiles: true,
    takesAudio: false,
    takesStrict: false,
    format: 'json-schema',
    takesCaching: true,
    takesCacheMarks: true,
    takesVerbosity: false,
    takesServiceTier: false,
    takesIdentity: true,
    takesParallelSwitch: true,
  },
}

/**
 * Models that take an effort at every common engine. For any other Ollama answers 400, so nothing is said to a server of which
 * nothing is known. Not here is what always thinks and is refused a word about it somewhere: Magistral, QwQ, Grok 4.
 */
const REASONING_FAMILY = new RegExp(
  [
    'gpt-?oss',
    '(?:^|/)(?:gpt-[5-9](?!.*chat)|o\\d)',
    'deepseek-(?:r1|reasoner|v3\\.[1-9]|v[4-9])',
    'qwen-?3(?!.*(?:coder|instruct|embed|rerank|guard))',
    'glm-(?:4\\.[5-9]|[5-9])',
    'kimi-k2(?:\\.[5-9]|.*thinking)',
    'minimax-m\\d',
    'nemotron-3',
    'gemma-?4',
    'gemini-(?:2\\.5|[3-9])',
    'grok-4\\.[3-9]',
  ].join('|'),
  'i',
)

/** Of these, those that cannot stop thinking and are refused "none". */
const ALWAYS_REASONING = /gpt-?oss|(?:^|\/)(?:gpt-5(?!\.)|o\d)|gemini-(?:2\.5-pro|[3-9])/i

/** Later rows win. */
const ROWS: readonly Row[] = [
  ...(['openai-chat', 'openai-responses'] as const).flatMap((dialect): readonly Row[] => [
    { dialect, isVendor: true, set: { reasoning: 'effort' } },
    { dialect, isVendor: false, model: REASONING_FAMILY, set: { reasoning: 'effort' } },
    { dialect, isVendor: false, model: ALWAYS_REASONING, set: { efforts: ['low', 'medium', 'high'] } },
  ]),
  {
    dialect: 'openai-chat',
    isVendor: true,
    set: {
      outputLimitField: 'max_completion_tokens',
      systemRole: 'developer',
      takesSystemAnywhere: true,
      toolKinds: new Set(['function', 'custom']),
      efforts: ALL_EFFORTS,
      takesReasoningContent: false,
      takesCaching: true,
      takesServiceTier: true,
    },
  },
  {
    dialect: 'openai-chat',
    isVendor: true,
    model: /^(?:gpt-3|gpt-4|chatgpt-4)/i,
    set: { systemRole: 'system', reasoning: 'none' },
  },
  {
    dialect: 'openai-chat',
    isVendor: true,
    model: /^(?:o\d|gpt-5|gpt-6)/i,
    set: { takesSampling: false, takesStop: false },
  },
  { dialect: 'openai-chat', isVendor: true, model: /^gpt-[5-9]/i, set: { takesVerbosity: true } },
  { dialect: 'openai-chat', isVendor: true, model: /^gpt-(?:5\.[6-9]|[6-9])/i, set: { takesCacheMarks: true } },
  { dialect: 'openai-chat', model: /deepseek/i, set: { takesForcedToolWhileReasoning: false } },
  {
    dialect: 'openai-responses',
    isVendor: true,
    set: {
      toolKinds: new Set(['function', 'custom', 'tool-search', 'local-shell', 'shell', 'apply-patch']),
      takesNamespaces: true,
      hosted: new Set(['web-search', 'mcp', 'other']),
      efforts: ALL_EFFORTS,
      takesCaching: true,
      takesServiceTier: true,
    },
  },
  { dialect: 'openai-responses', isVendor: true, model: /^gpt-[5-9]/i, set: { takesVerbosity: true } },
  { dialect: 'openai-responses', isVendor: true, model: /^gpt-(?:5\.[6-9]|[6-9])/i, set: { takesCacheMarks: true } },
  { dialect: 'openai-responses', isVendor: true, model: /^(?:gpt-3|gpt-4|chatgpt-4)/i, set: { reasoning: 'none' } },
  { dialect: 'openai-responses', isVendor: true, model: /^(?:o\d|gpt-5|gpt-6)/i, set: { takesSampling: false } },
  {
    dialect: 'anthropic-messages',
    isVendor: true,
    set: {
      toolNameCharactersMax: 128,
      hosted: new Set(['web-search', 'mcp']),
      takesStrict: true,
      takesServiceTier: true,
    },
  },
  {
    dialect: 'anthropic-messages',
    model: /^claude-[a-z]+-(?:4-[6-9]|[5-9])/i,
    set: { reasoning: 'adaptive', takesSampling: false, outputTokensDefault: 32_000 },
  },
  { dialect: 'anthropic-messages', model: /^claude-[a-z]+-[5-9]/i, set: { takesSystemAnywhere: true } },
  { dialect: 'anthropic-messages', model: /^claude-(?:3|haiku-3)/i, set: { reasoning: 'none', format: 'none' } },
]

/** The profile of a server for a model. What the server itself says of the model counts for more than the model's name. */
export function profileOf({ dialect, isVendor, model, capabilities }: ProfileQuestion): Profile {
  const rows = ROWS.filter(
    (row) =>
      row.dialect === dialect &&
      (row.isVendor === undefined || row.isVendor === isVendor) &&
      (row.model === undefined || row.model.test(model)),
  )
  return Object.assign({}, GENERIC[dialect], ...rows.map(({ set }) => set), saidBy(dialect, capabilities)) as Profile
}

function saidBy(dialect: Dialect, { thinking, vision }: ModelCapabilities = {}): Partial<Profile> {
  return {
    ...(thinking === false ? { reasoning: 'none' } : {}),
    // Which of Anthropic's ways to ask for thinking is meant, its rows know.
    ...(thinking === true && dialect !== 'anthropic-messages' ? { reasoning: 'effort' } : {}),
    ...(vision === undefined ? {} : { takesImages: vision }),
  }
}

/** The effort nearest to a wish that the profile takes; of two equally near the lower. */
export function nearestEffort(wish: Effort, { efforts }: Pick<Profile, 'efforts'>): Effort | undefined {
  const rankOf = (effort: Effort): number => ALL_EFFORTS.indexOf(effort)
  let best: Effort | undefined
  for (const effort of efforts) {
    // Off is no small amount of thinking.
    if (effort === 'none' && wish !== 'none') continue
    const distance = Math.abs(rankOf(effort) - rankOf(wish))
    if (best === undefined || distance < Math.abs(rankOf(best) - rankOf(wish))) best = effort
  }
  return best
}
