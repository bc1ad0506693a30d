/**
 * Reads the tools of a Messages request, as they stand after every change made in the middle of the conversation.
 */
import type { CacheMark, CallableTool, HostedTool, McpSettings, Tool } from '../conversation/conversation.ts'
import { malformed } from '../conversation/malformed.ts'
import { asCount, asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { clientToolOf } from './client-tools.ts'
import { textMember } from './members.ts'

const DIALECT = 'anthropic-messages'

/** A tool of Claude Code that is never to be called: it keeps a feature of Anthropic's servers on. */
const PLACEHOLDER = 'DeferredToolPlaceholder'

const READ_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'name',
  'description',
  'input_schema',
  'strict',
  'defer_loading',
  'cache_control',
])

/**
 * The tools that may be called now.
 * @throws TokError `body_malformed`
 */
export function readTools(body: JsonObject): readonly Tool[] {
  const listed = body['tools'] ?? []
  if (!Array.isArray(listed)) throw malformed('tools', 'is not a list')
  const servers = asList(body['mcp_servers']).filter(isObject)
  const values = listed.map((value: unknown, index) => {
    if (!isObject(value)) throw malformed(`tools[${index}]`, 'is not an object')
    return value
  })
  // Where the provider itself would search for deferred tools, nobody would load them here: they are offered at once.
  const isSearchedByServer = values.some(({ type }) => typeof type === 'string' && type.startsWith('tool_search_tool'))
  const tools = values.flatMap((value, index) => readTool(value, `tools[${index}]`, servers))
  const changed = applyChanges(tools, body, servers)
  const missing = servers
    .filter(({ name }) => !changed.some((tool) => tool.kind === 'hosted' && tool.mcp?.serverName === name))
    .map((server) => mcpTool(server, {}))
  return [...changed, ...missing].map((tool) =>
    isSearchedByServer && tool.kind !== 'hosted' ? { ...tool, isDeferred: false } : tool,
  )
}

function readTool(value: JsonObject, path: string, servers: readonly JsonObject[]): readonly Tool[] {
  const type = asText(value['type']) ?? 'custom'
  if (type === 'mcp_toolset') {
    const server = servers.find(({ name }) => name === value['mcp_server_name'])
    return [mcpTool(server ?? { name: value['mcp_server_name'] }, value)]
  }
  const standIn = type === 'custom' ? undefined : clientToolOf(type, value)
  if (type !== 'custom' && standIn === undefined) return [hostedTool(value, type)]
  const name = textMember(value, 'name', path)
  if (name === PLACEHOLDER) return []
  const parameters = standIn?.parameters ?? value['input_schema']
  if (parameters !== undefined && !isObject(parameters)) throw malformed(`${path}.input_schema`, 'is not an object')
  const extras = Object.fromEntries(
    Object.entries(value).filter(([member]) => standIn === undefined && !READ_MEMBERS.has(member)),
  )
  const tool: CallableTool = {
    kind: 'function',
    name,
    description: standIn?.description ?? asText(value['description']),
    parameters,
    strict: typeof value['strict'] === 'boolean' ? value['strict'] : undefined,
    isDeferred: value['defer_loading'] === true,
    cacheMark: readCacheMark(value),
    extras: Object.keys(extras).length === 0 ? {} : { [DIALECT]: extras },
  }
  return [tool]
}

/** The cache mark on a block, tool or request. */
export function readCacheMark(value: JsonObject): CacheMark | undefined {
  const mark = value['cache_control']
  return isObject(mark) ? { ttl: asText(mark['ttl']) } : undefined
}

function hostedTool(value: JsonObject, type: string): HostedTool {
  const name = asText(value['name']) ?? type
  const native = { dialect: DIALECT, value } as const
  if (!type.startsWith('web_search_')) return { kind: 'hosted', capability: 'other', name, native }
  const location = value['user_location']
  return {
    kind: 'hosted',
    capability: 'web-search',
    name,
    native,
    webSearch: {
      allowedDomains: textsOf(value['allowed_domains']),
      blockedDomains: textsOf(value['blocked_domains']),
      location: isObject(location) ? withoutType(location) : undefined,
      usesMax: asCount(value['max_uses']),
    },
  }
}

/** Which of a server's tools may be called is said at the server (earlier editions) or in its toolset. */
function mcpTool(server: JsonObject, toolset: JsonObject): HostedTool {
  const serverName = asText(server['name']) ?? ''
  const settings: McpSettings = {
    serverName,
    url: asText(server['url']),
    authorization: asText(server['authorization_token']),
    allowedTools: allowedOf(toolset) ?? textsOf(asObject(server['tool_configuration'])['allowed_tools']),
  }
  return {
    kind: 'hosted',
    capability: 'mcp',
    name: serverName,
    native: { dialect: DIALECT, value: { ...toolset, server } },
    mcp: settings,
  }
}

/** The tools a toolset enables by name, where it enables none by default. */
function allowedOf(toolset: JsonObject): readonly string[] | undefined {
  if (asObject(toolset['default_config'])['enabled'] !== false) return undefined
  return Object.entries(asObject(toolset['configs']))
    .filter(([, config]) => asObject(config)['enabled'] === true)
    .map(([name]) => name)
}

/**
 * Carries out the `tool_addition` and `tool_removal` blocks of system messages. A removed tool is gone from the list, an added
 * one no longer deferred: what stood there before is history only.
 */
function applyChanges(tools: readonly Tool[], body: JsonObject, servers: readonly JsonObject[]): readonly Tool[] {
  const known = new Map(tools.map((tool) => [tool.name, tool]))
  const present = new Map(known)
  for (const message of asList(body['messages'])) {
    if (asObject(message)['role'] !== 'system') continue
    for (const block of asList(asObject(message)['content'])) {
      const { type, tool } = asObject(block)
      const change = asObject(tool)
      const name = asText(change['name']) ?? asText(change['server_name']) ?? ''
      if (type === 'tool_removal') present.delete(name)
      if (type !== 'tool_addition') continue
      const definition = change['definition']
      const added = isObject(definition)
        ? readTool(definition, 'messages[].content[].tool.definition', servers)
        : [known.get(name)].filter((each) => each !== undefined)
      for (const each of added) {
        const loaded = each.kind === 'hosted' ? each : { ...each, isDeferred: false }
        known.set(each.name, loaded)
        present.set(each.name, loaded)
      }
    }
  }
  return [...present.values()]
}

function withoutType(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== 'type'))
}

function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : undefined
}
