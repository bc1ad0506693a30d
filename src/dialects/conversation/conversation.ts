/**
 * The hub: a request to a model in no dialect. Each dialect has one reader into it and one writer out of it, so n dialects
 * cost 2n mappings. What only one dialect can say rides along in `extras` and `native`, keyed by that dialect: its own
 * writer puts it back, every other one reports it as dropped (losses.ts).
 *
 * Readers keep turns as the client wrote them; a writer merges or reorders them as its dialect demands.
 */
import type { Dialect } from '../dialect.ts'
import type { JsonObject } from '../json-value.ts'

/** Members of a node that the hub has no word for, as they stood in their dialect. */
export type Extras = Readonly<Partial<Record<Dialect, JsonObject>>>

/** A thing only its own dialect understands, as it stood there. */
export interface Native {
  readonly dialect: Dialect
  readonly value: JsonObject
}

/** A whole request. */
export interface Conversation {
  readonly model: string
  readonly stream: boolean
  /** In order; system texts stand where the client put them. */
  readonly turns: readonly Turn[]
  readonly tools: readonly Tool[]
  readonly toolChoice?: ToolChoice | undefined
  readonly parallelToolCalls?: boolean | undefined
  readonly outputTokensMax?: number | undefined
  readonly reasoning: ReasoningWish
  readonly sampling: Sampling
  readonly format?: OutputFormat | undefined
  readonly verbosity?: string | undefined
  readonly caching: Caching
  /** Who the client's own user is, in whatever words the client chose. */
  readonly user?: string | undefined
  readonly metadata?: JsonObject | undefined
  readonly serviceTier?: string | undefined
  /** Only Chat Completions has a choice: whether its stream ends with a usage chunk. */
  readonly wantsStreamUsage: boolean
  readonly extras: Extras
}

/** What one side says in one go. Tool results are parts of user turns. */
export interface Turn {
  readonly role: 'system' | 'developer' | 'user' | 'assistant'
  readonly parts: readonly Part[]
  /** A system text outside the messages: Anthropic's `system`, Responses' `instructions`. */
  readonly isTopLevel?: boolean | undefined
  readonly extras: Extras
}

export type Part =
  | TextPart
  | RefusalPart
  | ImagePart
  | FilePart
  | AudioPart
  | ReasoningPart
  | ToolCallPart
  | ToolResultPart
  | ToolReferencePart
  | NativePart

/** A mark that the prompt up to here may be cached, and for how long (Anthropic's word: "5m", "1h"). */
export interface CacheMark {
  readonly ttl?: string | undefined
}

interface PartBase {
  readonly cacheMark?: CacheMark | undefined
  readonly extras?: Extras | undefined
}

export interface TextPart extends PartBase {
  readonly kind: 'text'
  readonly text: string
}

/** The assistant declined, in these words. */
export interface RefusalPart extends PartBase {
  readonly kind: 'refusal'
  readonly text: string
}

/** Where the bytes of a picture or document are. A file id never crosses vendors. */
export type Source =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'base64'; readonly mediaType: string; readonly data: string }
  | { readonly kind: 'text'; readonly mediaType: string; readonly text: string }
  | { readonly kind: 'file-id'; readonly dialect: Dialect; readonly id: string }

export interface ImagePart extends PartBase {
  readonly kind: 'image'
  readonly source: Source
  /** OpenAI's "low", "high", "auto", "original". */
  readonly detail?: string | undefined
}

export interface FilePart extends PartBase {
  readonly kind: 'file'
  readonly source: Source
  /** A file name or a title. */
  readonly name?: string | undefined
}

export interface AudioPart extends PartBase {
  readonly kind: 'audio'
  /** "wav", "mp3". */
  readonly format: string
  /** base64 */
  readonly data: string
}

/**
 * What the model thought. `text` is readable, "" if hidden. `native` is the block or item as its provider gave it, signature
 * and encrypted content included; only that dialect's writer may use it, and only for the provider in `source`.
 */
export interface ReasoningPart extends PartBase {
  readonly kind: 'reasoning'
  readonly text: string
  readonly native?: OpaqueState | undefined
}

/** State of a provider that its answers carry and its next request must bring back unchanged. */
export interface OpaqueState extends Native {
  /** Name of the target that gave it (provider or peer); undefined if the client spoke to it in this dialect itself. */
  readonly source?: string | undefined
  readonly model?: string | undefined
}

/** What a call is called as. Kinds beside `function` exist in Responses (and custom in Chat) only. */
export type ToolKind = 'function' | 'custom' | 'tool-search' | 'local-shell' | 'shell' | 'apply-patch'

export interface ToolCallPart extends PartBase {
  readonly kind: 'tool-call'
  readonly toolKind: ToolKind
  /** The provider's own, stable both ways. */
  readonly callId: string
  readonly name: string
  /** The Responses namespace the tool stands in. */
  readonly namespace?: string | undefined
  /**
   * As generated: the JSON text of a function's arguments ("" and invalid JSON happen), the free text of a custom tool, the
   * JSON text of the `action`, `operation` or `arguments` of the others.
   */
  readonly input: string
}

export interface ToolResultPart extends PartBase {
  readonly kind: 'tool-result'
  readonly toolKind: ToolKind
  readonly callId: string
  /** Text, images, files and tool references. */
  readonly content: readonly Part[]
  readonly isError: boolean
  /** Tools this result made available (Responses' tool_search_output). Also listed in Conversation.tools. */
  readonly tools?: readonly Tool[] | undefined
}

/** Anthropic's tool_reference: a deferred tool that is now loaded. */
export interface ToolReferencePart extends PartBase {
  readonly kind: 'tool-reference'
  readonly name: string
}

/** A part only its dialect knows: results of hosted tools, containers, compaction of a vendor. */
export interface NativePart extends PartBase {
  readonly kind: 'native'
  readonly native: Native
  /** Its `type`, for the report if it is dropped. */
  readonly type: string
  /** What it says in plain text, where it can be said. */
  readonly text?: string | undefined
}

export type Tool = CallableTool | HostedTool

/** A tool that the client runs. */
export interface CallableTool {
  readonly kind: ToolKind
  readonly name: string
  readonly namespace?: string | undefined
  /** Description of the namespace, for its first member. */
  readonly namespaceDescription?: string | undefined
  readonly description?: string | undefined
  /** JSON schema of the arguments: the documented one for shell, local-shell and apply-patch; undefined for custom tools. */
  readonly parameters?: JsonObject | undefined
  /** Grammar of a custom tool's text. */
  readonly format?: JsonObject | undefined
  readonly strict?: boolean | undefined
  /** Only offered once referenced, or found by a tool search. */
  readonly isDeferred?: boolean | undefined
  readonly cacheMark?: CacheMark | undefined
  readonly extras: Extras
}

/** A tool that the provider runs. */
export interface HostedTool {
  readonly kind: 'hosted'
  /** What it can do, where another dialect has its like. */
  readonly capability: 'web-search' | 'mcp' | 'other'
  readonly name: string
  readonly native: Native
  /** Of a web search: what every dialect can say. */
  readonly webSearch?: WebSearchSettings | undefined
  /** Of an MCP server: what every dialect can say. */
  readonly mcp?: McpSettings | undefined
}

export interface WebSearchSettings {
  readonly allowedDomains?: readonly string[] | undefined
  readonly blockedDomains?: readonly string[] | undefined
  /** `{city, country, region, timezone}`, each optional: the vendors agree on them. */
  readonly location?: JsonObject | undefined
  readonly usesMax?: number | undefined
}

export interface McpSettings {
  readonly serverName: string
  readonly url?: string | undefined
  readonly authorization?: string | undefined
  /** The only tools to offer; undefined for all. */
  readonly allowedTools?: readonly string[] | undefined
}

export type ToolChoice =
  | { readonly kind: 'none' | 'auto' | 'required' }
  | { readonly kind: 'tool'; readonly name: string; readonly namespace?: string | undefined }
  | {
      readonly kind: 'allowed'
      readonly mode: 'auto' | 'required'
      readonly tools: readonly { readonly name: string; readonly namespace?: string | undefined }[]
    }
  /** A hosted tool of that dialect. */
  | { readonly kind: 'native'; readonly native: Native }

/** Efforts in rising order, as OpenAI names them. */
export type Effort = 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max'

export const EFFORTS: readonly Effort[] = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']

/** How much thinking is asked for; nothing set means nothing was said. */
export interface ReasoningWish {
  /** "off": explicitly none. "adaptive": the model decides. "on": with a budget. */
  readonly mode?: 'off' | 'on' | 'adaptive' | undefined
  readonly effort?: Effort | undefined
  readonly budgetTokens?: number | undefined
  /** Whether readable summaries are wanted: OpenAI's "auto", "concise", "detailed"; Anthropic's display. */
  readonly summary?: string | undefined
}

export interface Sampling {
  readonly temperature?: number | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly seed?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly frequencyPenalty?: number | undefined
  readonly stop?: readonly string[] | undefined
  readonly logprobs?: boolean | undefined
  readonly topLogprobs?: number | undefined
  readonly logitBias?: JsonObject | undefined
  /** Chat's `n`. */
  readonly choices?: number | undefined
}

export type OutputFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json-object' }
  | {
      readonly kind: 'json-schema'
      readonly name?: string | undefined
      readonly description?: string | undefined
      readonly schema: JsonObject
      readonly strict?: boolean | undefined
    }

export interface Caching {
  /** OpenAI's prompt_cache_key. */
  readonly key?: string | undefined
  /** OpenAI's prompt_cache_retention. */
  readonly retention?: string | undefined
  /** Anthropic's top-level cache_control. */
  readonly mark?: CacheMark | undefined
}
