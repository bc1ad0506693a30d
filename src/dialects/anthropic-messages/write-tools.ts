/**
 * Writes tools, and which of them to use, as Messages takes them.
 */
import type { RequestWriting } from '../conversation/contract.ts'
import type { Conversation, HostedTool, ToolChoice, WebSearchSettings } from '../conversation/conversation.ts'
import type { Losses } from '../conversation/losses.ts'
import type { BridgedTool } from '../conversation/tool-bridge.ts'
import type { JsonObject } from '../json-value.ts'
import { isClosed, toolSchemaOf } from './input-schema.ts'
import { mark, type Block } from './write-blocks.ts'

const DIALECT = 'anthropic-messages'
const WEB_SEARCH_NAME = 'web_search'

const TOOL_CHOICE_FIELD = 'tool_choice'
const STRICT_FIELD = {
  'openai-chat': 'tools[].function.strict',
  'openai-responses': 'tools[].strict',
  'anthropic-messages': 'tools[].strict',
}

/** The members of a request that concern tools. */
export interface WrittenTools {
  readonly tools: readonly Block[]
  readonly servers: readonly JsonObject[]
  readonly choice: JsonObject | undefined
  /** True if the model has to call a tool. */
  readonly isForced: boolean
}

/**
 * Writes the tools of a conversation.
 * @param history names of tools that the written messages call
 */
export function writeTools(
  { tools, toolChoice, parallelToolCalls }: Conversation,
  history: ReadonlySet<string>,
  writing: RequestWriting,
): WrittenTools {
  const { bridge, profile, losses } = writing
  const allowed = allowedNames(toolChoice, writing)
  const offered = bridge.tools.filter(({ wireName }) => allowed === undefined || allowed.has(wireName))
  const written: Block[] = offered.map((tool) => toolBlock(tool, writing))
  const names = new Set(offered.map(({ wireName }) => wireName))
  const servers: JsonObject[] = []
  for (const tool of tools) {
    if (tool.kind !== 'hosted') continue
    const hosted = profile.hosted.has(tool.capability) ? hostedBlocks(tool) : undefined
    // No two tools may have one name, and the client's own comes first.
    if (hosted === undefined || names.has(String(hosted.tool['name']))) {
      losses.drop(losses.dialect === 'openai-chat' ? 'web_search_options' : `tools[].${tool.name}`)
      continue
    }
    dropUnsaid(tool, losses)
    written.push(hosted.tool)
    if (hosted.server !== undefined) servers.push(hosted.server)
  }
  if (written.length === 0) {
    if (toolChoice !== undefined && toolChoice.kind !== 'none' && toolChoice.kind !== 'auto') {
      losses.drop(TOOL_CHOICE_FIELD)
    }
    // A conversation with calls in it is only taken with tools declared, even if none may be called any more.
    const past = [...history].map((name) => ({ name, input_schema: { type: 'object' } }))
    return { tools: past, servers, choice: past.length === 0 ? undefined : { type: 'none' }, isForced: false }
  }
  const choice = choiceOf(toolChoice, written, writing)
  const isForced = choice?.['type'] === 'any' || choice?.['type'] === 'tool'
  if (parallelToolCalls !== false || choice?.['type'] === 'none') return { tools: written, servers, choice, isForced }
  if (!profile.takesParallelSwitch) {
    losses.drop({
      'openai-chat': 'parallel_tool_calls',
      'openai-responses': 'parallel_tool_calls',
      'anthropic-messages': 'tool_choice.disable_parallel_tool_use',
    })
    return { tools: written, servers, choice, isForced }
  }
  const serial = { type: 'auto', ...choice, disable_parallel_tool_use: true }
  return { tools: written, servers, choice: serial, isForced }
}

/** The tools a choice narrows the list down to; undefined for all. */
function allowedNames(choice: ToolChoice | undefined, { bridge }: RequestWriting): ReadonlySet<string> | undefined {
  return choice?.kind === 'allowed' ? new Set(choice.tools.map((tool) => bridge.wireNameOf(tool))) : undefined
}

function toolBlock({ tool, wireName, parameters, description }: BridgedTool, writing: RequestWriting): Block {
  const { profile, losses } = writing
  losses.dropExtras(tool.extras, DIALECT, 'tools[]')
  const schema = toolSchemaOf(parameters)
  const isStrict = tool.strict === true && profile.takesStrict && isClosed(schema)
  if (tool.strict === true && !isStrict) losses.drop(STRICT_FIELD)
  const block: Block = {
    ...tool.extras[DIALECT],
    name: wireName,
    ...(description === undefined ? {} : { description }),
    input_schema: schema,
    ...(isStrict ? { strict: true } : {}),
  }
  mark(block, tool.cacheMark, writing)
  return block
}

function hostedBlocks(tool: HostedTool): { readonly tool: Block; readonly server?: JsonObject } | undefined {
  const { mcp, webSearch, native } = tool
  if (mcp !== undefined) {
    const { serverName, url, authorization, allowedTools } = mcp
    if (url === undefined) return undefined
    const enabled = allowedTools?.map((name) => [name, { enabled: true }] as const)
    return {
      server: {
        type: 'url',
        name: serverName,
        url,
        ...(authorization === undefined ? {} : { authorization_token: authorization }),
      },
      tool: {
        type: 'mcp_toolset',
        mcp_server_name: serverName,
        ...(enabled === undefined ? {} : { default_config: { enabled: false }, configs: Object.fromEntries(enabled) }),
      },
    }
  }
  if (native.dialect === DIALECT) return { tool: { ...native.value } }
  return webSearch === undefined ? undefined : { tool: webSearchBlock(webSearch) }
}

/** What is said of a hosted tool in each dialect that Messages has a word for, or means nothing. */
const SAID: ReadonlySet<string> = new Set([
  'type',
  'filters',
  'user_location',
  'server_label',
  'server_url',
  'authorization',
  'allowed_tools',
])

/** Notes what OpenAI says of a tool that its provider runs, and Messages cannot. */
function dropUnsaid({ native, name, capability }: HostedTool, losses: Losses): void {
  if (native.dialect === DIALECT) return
  for (const [member, value] of Object.entries(native.value)) {
    // Nobody is asked before Anthropic calls a tool of a server.
    const isDone = value === null || (member === 'require_approval' && value === 'never')
    if (isDone || SAID.has(member)) continue
    const tool = capability === 'mcp' ? 'mcp' : name
    losses.drop(native.dialect === 'openai-chat' ? `web_search_options.${member}` : `tools[].${tool}.${member}`)
  }
}

function webSearchBlock({ allowedDomains, blockedDomains, location, usesMax }: WebSearchSettings): Block {
  return {
    type: 'web_search_20250305',
    name: WEB_SEARCH_NAME,
    ...(usesMax === undefined ? {} : { max_uses: usesMax }),
    // The two exclude each other.
    ...(allowedDomains !== undefined && allowedDomains.length > 0
      ? { allowed_domains: allowedDomains }
      : blockedDomains !== undefined && blockedDomains.length > 0
        ? { blocked_domains: blockedDomains }
        : {}),
    ...(location === undefined ? {} : { user_location: { type: 'approximate', ...location } }),
  }
}

function choiceOf(
  choice: ToolChoice | undefined,
  tools: readonly Block[],
  { bridge, losses }: RequestWriting,
): JsonObject | undefined {
  switch (choice?.kind) {
    case undefined:
      return undefined
    case 'none':
    case 'auto':
      return { type: choice.kind }
    case 'required':
      return { type: 'any' }
    case 'allowed':
      return { type: choice.mode === 'required' ? 'any' : 'auto' }
    case 'tool': {
      const name = bridge.wireNameOf(choice)
      if (tools.some((tool) => tool['name'] === name)) return { type: 'tool', name }
      break
    }
    case 'native': {
      const { dialect, value } = choice.native
      if (dialect === DIALECT) return value
      const isSearch = String(value['type']).startsWith(WEB_SEARCH_NAME)
      if (isSearch && tools.some(({ name }) => name === WEB_SEARCH_NAME)) return { type: 'tool', name: WEB_SEARCH_NAME }
      break
    }
  }
  losses.drop(TOOL_CHOICE_FIELD)
  return undefined
}
