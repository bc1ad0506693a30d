/**
 * How the client's tools appear at a target that knows fewer kinds of tools, and shorter names: freeform tools become
 * functions with one text field, namespaces are flattened, long names get a digest. Everything is derived from the request,
 * so the same conversation always gives the same names, and an answer finds its way back.
 */
import { createHash } from 'node:crypto'
import { parseObject, type JsonObject } from '../json-value.ts'
import type { Profile } from '../profiles.ts'
import type { CallableTool, Conversation, ToolCallPart, ToolKind } from './conversation.ts'
import { repairCommand, wantsCommandList } from './shell-repair.ts'

/** The name by which a tool is known to the client. */
export interface ToolName {
  readonly name: string
  readonly namespace?: string | undefined
}

/** A tool as the target sees it. */
export interface BridgedTool {
  readonly tool: CallableTool
  /** Its name at the target. */
  readonly wireName: string
  /** Its kind there: its own where the target takes it, otherwise a function. */
  readonly wireKind: ToolKind
  /** The arguments' schema there; undefined where the target takes the custom tool as it is. */
  readonly parameters: JsonObject | undefined
  /** With the grammar quoted, where the target cannot enforce it. */
  readonly description: string | undefined
}

/** The two-way map of one request. */
export interface ToolBridge {
  /** Tools to offer: without deferred ones that nothing has asked for yet. */
  readonly tools: readonly BridgedTool[]
  /** The name at the target: of a declared tool, or of one that only the history knows. */
  wireNameOf(name: ToolName): string
  /** True if the target gets this tool as a function though the client called it otherwise. */
  isWrapped(call: Pick<ToolCallPart, 'toolKind' | 'name' | 'namespace'>): boolean
  /** A call's arguments as the target is shown them in the history. */
  wireInputOf(call: ToolCallPart): string
  /** A call id as the target is shown it: the same for call and result, within its characters and length. */
  wireCallIdOf(callId: string): string
  /** The client's tool behind a name the target called; an undeclared name stays as it is, a function. */
  toolOf(wireName: string): {
    readonly toolKind: ToolKind
    readonly name: string
    readonly namespace?: string | undefined
  }
  /** True if the arguments of a call to that name must be whole before they can be given back (`inputOf`). */
  needsWholeInput(wireName: string): boolean
  /** The client's form of arguments that the target generated. */
  inputOf(wireName: string, argumentsText: string): string
}

const NAME = /^[A-Za-z0-9_-]+$/
const DIGEST_CHARACTERS = 8
const INPUT_FIELD = 'input'

const CUSTOM_PARAMETERS: JsonObject = {
  type: 'object',
  properties: { [INPUT_FIELD]: { type: 'string', description: 'The whole input of the tool, as plain text' } },
  required: [INPUT_FIELD],
  additionalProperties: false,
}

/** Makes the map of a conversation for a target. */
export function createToolBridge(conversation: Pick<Conversation, 'tools' | 'turns'>, profile: Profile): ToolBridge {
  const wireNames = new Map<string, string>()
  const byWireName = new Map<string, BridgedTool>()
  const declared = conversation.tools.filter((tool): tool is CallableTool => tool.kind !== 'hosted')
  const idOf = ({ name, namespace }: ToolName): string =>
    profile.takesNamespaces ? name : `${namespace ?? ''}\n${name}`

  const toldGroups = new Set<string>()
  /** What a group is for is told with its first member, where groups are not known. */
  const withGroup = (tool: CallableTool): CallableTool => {
    const { namespace, namespaceDescription, description } = tool
    if (profile.takesNamespaces || namespace === undefined || namespaceDescription === undefined) return tool
    if (toldGroups.has(namespace)) return tool
    toldGroups.add(namespace)
    return { ...tool, description: `${namespaceDescription}\n\n${description ?? ''}`.trim() }
  }

  const add = (tool: CallableTool): void => {
    if (wireNames.has(idOf(tool))) return
    const flat = tool.namespace === undefined || profile.takesNamespaces ? tool.name : `${tool.namespace}__${tool.name}`
    const wireName = unusedName(flat, profile.toolNameCharactersMax, (name) => byWireName.has(name))
    wireNames.set(idOf(tool), wireName)
    byWireName.set(wireName, bridge(withGroup(tool), wireName, profile))
  }
  // A tool of its own keeps its name against a namespace's member that would be flattened to the same.
  for (const tool of declared) if (tool.namespace === undefined) add(tool)
  for (const tool of declared) if (tool.namespace !== undefined) add(tool)

  const wanted = referencedNames(conversation)
  const offered = [...byWireName.values()].filter(({ tool }) => tool.isDeferred !== true || wanted.has(tool.name))
  const isWrapped: ToolBridge['isWrapped'] = ({ toolKind }) =>
    toolKind !== 'function' && !profile.toolKinds.has(toolKind)

  return {
    tools: offered,
    wireNameOf(name) {
      const known = wireNames.get(idOf(name))
      if (known !== undefined) return known
      const flat =
        name.namespace === undefined || profile.takesNamespaces ? name.name : `${name.namespace}__${name.name}`
      return fitName(flat, profile.toolNameCharactersMax)
    },
    isWrapped,
    wireInputOf(call) {
      return call.toolKind === 'custom' && isWrapped(call) ? JSON.stringify({ [INPUT_FIELD]: call.input }) : call.input
    },
    wireCallIdOf: (callId) => fitName(callId, profile.callIdCharactersMax),
    toolOf(wireName) {
      const tool = byWireName.get(wireName)?.tool
      return tool === undefined
        ? { toolKind: 'function', name: wireName }
        : { toolKind: tool.kind, name: tool.name, namespace: tool.namespace }
    },
    needsWholeInput(wireName) {
      const bridged = byWireName.get(wireName)
      return bridged !== undefined && (isWrappedCustom(bridged) || wantsCommandList(bridged.tool.parameters))
    },
    inputOf(wireName, argumentsText) {
      const bridged = byWireName.get(wireName)
      if (bridged === undefined) return argumentsText
      if (isWrappedCustom(bridged)) return unwrapCustomInput(argumentsText)
      return wantsCommandList(bridged.tool.parameters)
        ? repairCommand(bridged.tool.parameters, argumentsText)
        : argumentsText
    },
  }
}

function isWrappedCustom({ tool, wireKind }: BridgedTool): boolean {
  return tool.kind === 'custom' && wireKind === 'function'
}

function bridge(tool: CallableTool, wireName: string, profile: Profile): BridgedTool {
  const isKept = tool.kind === 'function' || profile.toolKinds.has(tool.kind)
  if (isKept) {
    return { tool, wireName, wireKind: tool.kind, parameters: tool.parameters, description: tool.description }
  }
  if (tool.kind !== 'custom') {
    return { tool, wireName, wireKind: 'function', parameters: tool.parameters, description: tool.description }
  }
  return {
    tool,
    wireName,
    wireKind: 'function',
    parameters: CUSTOM_PARAMETERS,
    description: describeGrammar(tool),
  }
}

/** A target that cannot enforce a grammar is told it. */
function describeGrammar({ description, format }: CallableTool): string | undefined {
  const definition = format?.['definition']
  if (typeof definition !== 'string') return description
  const syntax = typeof format?.['syntax'] === 'string' ? format['syntax'] : 'given'
  return [description ?? '', `The text in "${INPUT_FIELD}" must match this ${syntax} grammar:`, definition]
    .join('\n\n')
    .trim()
}

/** The text of a freeform call that came as a function's arguments: its one field, or, where the model forgot to wrap it, all of it. */
function unwrapCustomInput(argumentsText: string): string {
  const value = parseObject(argumentsText)
  if (value === undefined) return argumentsText
  const input = value[INPUT_FIELD]
  if (typeof input === 'string') return input
  const [only, ...others] = Object.values(value)
  return typeof only === 'string' && others.length === 0 ? only : argumentsText
}

/** Tools that a result loaded, or that were already called. */
function referencedNames({ turns }: Pick<Conversation, 'turns'>): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { parts } of turns) {
    for (const part of parts) {
      if (part.kind === 'tool-call') names.add(part.name)
      if (part.kind === 'tool-reference') names.add(part.name)
      if (part.kind !== 'tool-result') continue
      for (const inner of part.content) if (inner.kind === 'tool-reference') names.add(inner.name)
      for (const tool of part.tools ?? []) names.add(tool.name)
    }
  }
  return names
}

function unusedName(name: string, charactersMax: number, isUsed: (name: string) => boolean): string {
  const fitted = fitName(name, charactersMax)
  if (!isUsed(fitted)) return fitted
  for (let count = 2; ; count += 1) {
    const candidate = fitName(`${name}__${count}`, charactersMax)
    if (!isUsed(candidate)) return candidate
  }
}

/** A name in the characters and length that targets take; where it must change, a digest of the whole keeps it distinct. */
export function fitName(name: string, charactersMax: number): string {
  if (name.length <= charactersMax && NAME.test(name)) return name
  const digest = createHash('sha256').update(name).digest('hex').slice(0, DIGEST_CHARACTERS)
  const clean = name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, charactersMax - DIGEST_CHARACTERS - 1)
  return `${clean}_${digest}`
}
