/**
 * The tools of a request: those the client runs, of whatever kind, and those of the provider.
 * Source: the types of the `openai` SDK (`Tool`).
 */
import type {
  CallableTool,
  HostedTool,
  McpSettings,
  Tool,
  ToolChoice,
  WebSearchSettings,
} from '../conversation/conversation.ts'
import { malformed } from '../conversation/malformed.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { extrasOf, isContainer, NAME_OF_KIND } from './read-items.ts'

/** The arguments of the tools that Responses knows by type: what their calls' `action`, `operation` or `arguments` hold. */
const PARAMETERS: Readonly<Record<keyof typeof NAME_OF_KIND, JsonObject>> = {
  'tool-search': {
    type: 'object',
    properties: {
      query: { type: 'string', description: 'What the wanted tool does, in a few words' },
      limit: { type: 'integer', description: 'The most tools to find' },
    },
    required: ['query'],
    additionalProperties: false,
  },
  'local-shell': {
    type: 'object',
    properties: {
      command: { type: 'array', items: { type: 'string' }, description: 'The program and its arguments' },
      working_directory: { type: 'string' },
      env: { type: 'object', additionalProperties: { type: 'string' } },
      timeout_ms: { type: 'integer' },
      user: { type: 'string' },
    },
    required: ['command'],
    additionalProperties: false,
  },
  shell: {
    type: 'object',
    properties: {
      commands: { type: 'array', items: { type: 'string' }, description: 'Shell commands to run' },
      timeout_ms: { type: 'integer' },
      max_output_length: { type: 'integer', description: 'The most characters of output to give back' },
    },
    required: ['commands'],
    additionalProperties: false,
  },
  'apply-patch': {
    type: 'object',
    properties: {
      type: { type: 'string', enum: ['create_file', 'update_file', 'delete_file'] },
      path: { type: 'string' },
      diff: {
        type: 'string',
        description: 'V4A diff: lines with "+", "-" or " " in front; needed to create or update a file',
      },
    },
    required: ['type', 'path'],
    additionalProperties: false,
  },
}

const DESCRIPTIONS: Readonly<Record<keyof typeof NAME_OF_KIND, string>> = {
  'tool-search': 'Finds tools that are not loaded yet; those found can be called afterwards.',
  'local-shell': 'Runs a program on the local machine and gives back its output.',
  shell: 'Runs shell commands on the local machine and gives back their output.',
  'apply-patch': 'Creates, updates or deletes one file.',
}

const KIND_OF_TYPE: ReadonlyMap<unknown, keyof typeof NAME_OF_KIND> = new Map([
  ['tool_search', 'tool-search'],
  ['local_shell', 'local-shell'],
  ['shell', 'shell'],
  ['apply_patch', 'apply-patch'],
])

const TOOL_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'name',
  'description',
  'parameters',
  'strict',
  'format',
  'defer_loading',
  'execution',
  'environment',
])

interface Namespace {
  readonly name: string
  readonly description: string | undefined
}

/**
 * Reads a list of tools.
 * @param path of the list, for the error
 * @throws TokError `body_malformed`
 */
export function readTools(list: unknown, path: string): Tool[] {
  if (list === undefined || list === null) return []
  if (!Array.isArray(list)) throw malformed(path, 'is not a list')
  return list.flatMap((tool, index) => readTool(tool, `${path}[${index}]`))
}

/**
 * Tools that only a search finds can be called without one where nobody can search: what the client said of loading them
 * later is kept for its own dialect only.
 */
export function withoutIdleDeferral(tools: readonly Tool[]): readonly Tool[] {
  if (tools.some(({ kind }) => kind === 'tool-search')) return tools
  return tools.map((tool) =>
    tool.kind === 'hosted' || tool.isDeferred !== true
      ? tool
      : {
          ...tool,
          isDeferred: undefined,
          extras: { 'openai-responses': { ...tool.extras['openai-responses'], defer_loading: true } },
        },
  )
}

function readTool(value: unknown, path: string, namespace?: Namespace): Tool[] {
  const tool = asObject(value)
  const type = asText(tool['type'])
  if (type === undefined) throw malformed(`${path}.type`, 'is missing')
  if (type === 'namespace') return readNamespace(tool, path)
  if (type === 'function') return [{ ...readCallable(tool, path, namespace), kind: 'function' }]
  if (type === 'custom') {
    const format = isObject(tool['format']) ? tool['format'] : undefined
    return [{ ...readCallable(tool, path, namespace), kind: 'custom', format, parameters: undefined }]
  }
  const kind = KIND_OF_TYPE.get(type)
  const isHosted =
    kind === undefined ||
    (kind === 'tool-search' && tool['execution'] !== 'client') ||
    (kind === 'shell' && isContainer(tool['environment']))
  return [isHosted ? readHosted(tool, type) : readTyped(tool, kind)]
}

function readNamespace(tool: JsonObject, path: string): Tool[] {
  const name = asText(tool['name'])
  if (name === undefined) throw malformed(`${path}.name`, 'is missing')
  return asList(tool['tools']).flatMap((member, index) =>
    readTool(member, `${path}.tools[${index}]`, {
      name,
      // Said once, by the first member.
      description: index === 0 ? asText(tool['description']) : undefined,
    }),
  )
}

function readCallable(tool: JsonObject, path: string, namespace: Namespace | undefined): Omit<CallableTool, 'kind'> {
  const name = asText(tool['name'])
  if (name === undefined) throw malformed(`${path}.name`, 'is missing')
  return {
    name,
    namespace: namespace?.name,
    namespaceDescription: namespace?.description,
    description: asText(tool['description']),
    parameters: isObject(tool['parameters']) ? tool['parameters'] : undefined,
    strict: typeof tool['strict'] === 'boolean' ? tool['strict'] : undefined,
    isDeferred: tool['defer_loading'] === true ? true : undefined,
    extras: extrasOf(tool, TOOL_MEMBERS) ?? {},
  }
}

function readTyped(tool: JsonObject, kind: keyof typeof NAME_OF_KIND): CallableTool {
  return {
    kind,
    name: NAME_OF_KIND[kind],
    description: asText(tool['description']) ?? DESCRIPTIONS[kind],
    parameters: isObject(tool['parameters']) ? tool['parameters'] : PARAMETERS[kind],
    extras: extrasOf(tool, TOOL_MEMBERS) ?? {},
  }
}

function readHosted(tool: JsonObject, type: string): HostedTool {
  const native = { dialect: 'openai-responses' as const, value: tool }
  if (type.startsWith('web_search')) {
    return { kind: 'hosted', capability: 'web-search', name: 'web_search', native, webSearch: readWebSearch(tool) }
  }
  if (type === 'mcp') {
    const mcp = readMcp(tool)
    return { kind: 'hosted', capability: 'mcp', name: mcp.serverName, native, mcp }
  }
  return { kind: 'hosted', capability: 'other', name: type, native }
}

function readWebSearch(tool: JsonObject): WebSearchSettings {
  const filters = asObject(tool['filters'])
  const { type: _, ...location } = asObject(tool['user_location'])
  return {
    allowedDomains: readTexts(filters['allowed_domains']),
    blockedDomains: readTexts(filters['blocked_domains']),
    location: Object.keys(location).length === 0 ? undefined : location,
  }
}

function readMcp(tool: JsonObject): McpSettings {
  const allowed = tool['allowed_tools']
  return {
    serverName: asText(tool['server_label']) ?? 'mcp',
    url: asText(tool['server_url']),
    authorization: asText(tool['authorization']),
    allowedTools: readTexts(isObject(allowed) ? allowed['tool_names'] : allowed),
  }
}

function readTexts(value: unknown): readonly string[] | undefined {
  const texts = asList(value).filter((each) => typeof each === 'string')
  return texts.length === 0 ? undefined : texts
}

/**
 * Reads `tool_choice`; undefined if nothing was said.
 * @throws TokError `body_malformed`
 */
export function readToolChoice(value: unknown): ToolChoice | undefined {
  if (value === undefined || value === null) return undefined
  if (value === 'none' || value === 'auto' || value === 'required') return { kind: value }
  if (!isObject(value)) throw malformed('tool_choice', 'is neither "none", "auto", "required" nor an object')
  if (value['type'] === 'allowed_tools') {
    const tools = asList(value['tools']).flatMap((entry) => readToolName(asObject(entry)) ?? [])
    return { kind: 'allowed', mode: value['mode'] === 'required' ? 'required' : 'auto', tools }
  }
  const named = readToolName(value)
  const isOfHub = /^(?:function$|custom$|web_search)/.test(String(value['type'])) || KIND_OF_TYPE.has(value['type'])
  if (named !== undefined && isOfHub) return { kind: 'tool', ...named }
  return { kind: 'native', native: { dialect: 'openai-responses', value } }
}

/** The hub's name of a tool that is referred to by name, by type or by server. */
function readToolName(entry: JsonObject): { name: string; namespace?: string | undefined } | undefined {
  const type = asText(entry['type'])
  if (type === undefined) return undefined
  if (KIND_OF_TYPE.has(type)) return { name: type }
  if (type.startsWith('web_search')) return { name: 'web_search' }
  const name = asText(entry['name']) ?? asText(entry['server_label'])
  if (type === 'function' || type === 'custom') {
    return name === undefined ? undefined : { name, namespace: asText(entry['namespace']) }
  }
  return { name: asText(entry['server_label']) ?? type }
}
