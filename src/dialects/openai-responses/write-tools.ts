/**
 * The tools of a conversation as a Responses server is offered them.
 * Source: the types of the `openai` SDK (`Tool`, `ToolChoice*`).
 */
import type { RequestWriting } from '../conversation/contract.ts'
import type { CallableTool, Conversation, HostedTool, Native, ToolChoice } from '../conversation/conversation.ts'
import { effortOf } from '../conversation/reasoning-wish.ts'
import type { BridgedTool, ToolName } from '../conversation/tool-bridge.ts'
import { isClosed, portableSchema } from '../conversation/json-schema.ts'
import { asText, type JsonObject } from '../json-value.ts'

const NO_PARAMETERS: JsonObject = { type: 'object', properties: {} }

/** All tools: those of namespaces grouped again where the target knows groups, without those that a result brought along. */
export function writeTools(conversation: Conversation, writing: RequestWriting): readonly JsonObject[] {
  const { bridge, profile, losses } = writing
  const brought = profile.toolKinds.has('tool-search') ? toolsOfResults(conversation) : new Set<unknown>()
  const written: JsonObject[] = []
  const members = new Map<string, JsonObject[]>()
  for (const bridged of bridge.tools) {
    const { tool } = bridged
    losses.dropExtras(tool.extras, 'openai-responses', 'tools[]')
    if (tool.cacheMark !== undefined) losses.drop('tools[].cache_control')
    if (brought.has(tool)) continue
    const own = writeTool(bridged, writing)
    if (tool.namespace === undefined || !profile.takesNamespaces) {
      written.push(own)
      continue
    }
    const group = members.get(tool.namespace)
    if (group === undefined) {
      const list = [own]
      members.set(tool.namespace, list)
      written.push({
        type: 'namespace',
        name: tool.namespace,
        description: tool.namespaceDescription ?? '',
        tools: list,
      })
    } else group.push(own)
  }
  for (const tool of conversation.tools) {
    if (tool.kind === 'hosted') written.push(...writeHosted(tool, writing))
  }
  return written
}

function toolsOfResults({ turns }: Conversation): ReadonlySet<unknown> {
  const parts = turns.flatMap((turn) => turn.parts)
  return new Set(parts.flatMap((part) => (part.kind === 'tool-result' ? (part.tools ?? []) : [])))
}

function writeTool(
  { tool, wireName, wireKind, parameters, description }: BridgedTool,
  writing: RequestWriting,
): JsonObject {
  const extras = tool.extras['openai-responses'] ?? {}
  const described = description === undefined ? {} : { description }
  switch (wireKind) {
    case 'function':
      return {
        type: 'function',
        name: wireName,
        ...described,
        ...writeSchema(tool, parameters ?? NO_PARAMETERS, writing),
        ...extras,
      }
    case 'custom':
      return {
        type: 'custom',
        name: wireName,
        ...described,
        ...(tool.format === undefined ? {} : { format: tool.format }),
        ...extras,
      }
    case 'tool-search':
      return { type: 'tool_search', execution: 'client', ...described, parameters, ...extras }
    case 'local-shell':
      return { type: 'local_shell', ...extras }
    case 'shell':
      return { type: 'shell', environment: { type: 'local' }, ...extras }
    case 'apply-patch':
      return { type: 'apply_patch', ...extras }
  }
}

/** Left out, `strict` would mean true; and it may be true of closed schemas only. */
function writeSchema({ strict }: CallableTool, schema: JsonObject, { profile, losses }: RequestWriting): JsonObject {
  const parameters = portableSchema(schema)
  const isStrict = strict === true && profile.takesStrict && isClosed(parameters)
  if (strict === true && !isStrict)
    losses.drop({ 'openai-chat': 'tools[].function.strict', 'anthropic-messages': 'tools[].strict' })
  return { parameters, strict: isStrict }
}

function writeHosted(tool: HostedTool, { profile, losses }: RequestWriting): readonly JsonObject[] {
  const { capability, native, webSearch, mcp } = tool
  if (profile.hosted.has(capability)) {
    if (native.dialect === 'openai-responses') return [native.value]
    if (webSearch !== undefined) {
      const { allowedDomains, blockedDomains, location, usesMax } = webSearch
      if (usesMax !== undefined) losses.drop({ 'anthropic-messages': 'tools[].max_uses' })
      const size = native.dialect === 'openai-chat' ? native.value['search_context_size'] : undefined
      const filters = {
        ...(allowedDomains === undefined ? {} : { allowed_domains: allowedDomains }),
        ...(blockedDomains === undefined ? {} : { blocked_domains: blockedDomains }),
      }
      return [
        {
          type: 'web_search',
          ...(Object.keys(filters).length === 0 ? {} : { filters }),
          ...(location === undefined ? {} : { user_location: { type: 'approximate', ...location } }),
          ...(size === undefined ? {} : { search_context_size: size }),
        },
      ]
    }
    if (mcp?.url !== undefined) {
      return [
        {
          type: 'mcp',
          server_label: mcp.serverName,
          server_url: mcp.url,
          ...(mcp.authorization === undefined ? {} : { authorization: mcp.authorization }),
          ...(mcp.allowedTools === undefined ? {} : { allowed_tools: mcp.allowedTools }),
          // No other dialect has a way to ask for approval.
          require_approval: 'never',
        },
      ]
    }
  }
  const { type } = native.value
  losses.drop(`tools[].${typeof type === 'string' ? type : tool.name}`)
  return []
}

/**
 * `tool_choice`; undefined if nothing was said, or nothing can be chosen.
 * @param tools as written
 */
export function writeToolChoice(
  conversation: Conversation,
  tools: readonly JsonObject[],
  writing: RequestWriting,
): unknown {
  const { toolChoice: choice, reasoning } = conversation
  if (choice === undefined || tools.length === 0) return undefined
  const { losses, profile } = writing
  const effort = effortOf(reasoning)
  const isReasoning = effort !== undefined && effort !== 'none'
  if (isForced(choice) && isReasoning && !profile.takesForcedToolWhileReasoning) {
    losses.drop('tool_choice')
    return 'auto'
  }
  switch (choice.kind) {
    case 'none':
    case 'auto':
    case 'required':
      return choice.kind
    case 'tool':
      return writeNamedChoice(choice, conversation, writing)
    case 'allowed':
      return {
        type: 'allowed_tools',
        mode: choice.mode,
        tools: choice.tools.map((name) => referTo(name, conversation, writing)),
      }
    case 'native':
      return writeNativeChoice(choice.native, conversation, writing)
  }
}

function writeNamedChoice(choice: ToolName, conversation: Conversation, writing: RequestWriting): JsonObject {
  const reference = referTo(choice, conversation, writing)
  // A search is no function to be named: it is allowed alone.
  return reference['type'] === 'web_search'
    ? { type: 'allowed_tools', mode: 'required', tools: [reference] }
    : reference
}

function writeNativeChoice({ dialect, value }: Native, conversation: Conversation, writing: RequestWriting): unknown {
  if (dialect === 'openai-responses') return value
  const name = asText(value['name'])
  const hosted = conversation.tools.find((tool) => tool.kind === 'hosted' && tool.name === name)
  if (hosted?.kind === 'hosted' && writing.profile.hosted.has(hosted.capability)) {
    return writeNamedChoice(hosted, conversation, writing)
  }
  writing.losses.drop('tool_choice')
  return undefined
}

function isForced({ kind }: ToolChoice): boolean {
  return kind === 'required' || kind === 'tool'
}

/** A tool by its type and name at the target. */
function referTo(
  { name, namespace }: ToolName,
  conversation: Conversation,
  { bridge, profile }: RequestWriting,
): JsonObject {
  const hosted = conversation.tools.find((tool) => tool.kind === 'hosted' && tool.name === name)
  if (hosted?.kind === 'hosted' && profile.hosted.has(hosted.capability)) {
    if (hosted.capability === 'web-search') return { type: 'web_search' }
    return hosted.capability === 'mcp' ? { type: 'mcp', server_label: name } : { type: name }
  }
  const wireName = bridge.wireNameOf({ name, namespace })
  const kind = bridge.tools.find((bridged) => bridged.wireName === wireName)?.wireKind ?? 'function'
  if (kind !== 'function' && kind !== 'custom') return { type: wireName }
  return { type: kind, name: wireName, ...(namespace === undefined || !profile.takesNamespaces ? {} : { namespace }) }
}
