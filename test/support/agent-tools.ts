/**
 * What a request tells the model of its tools, in whichever dialect it comes.
 */
import { asList, asObject, type JsonObject } from '../../src/dialects/json-value.ts'
import type { ToolCall } from './scripted-answers.ts'

/** What the model has before it. */
export interface Situation {
  readonly tools: readonly OfferedTool[]
  /** The text of every tool result in the conversation, in order. */
  readonly results: readonly string[]
  /** False if the client takes one call at a time. */
  readonly mayCallTwice: boolean
}

/** A tool as the request offers it. */
export interface OfferedTool {
  /** Without its namespace. */
  readonly name: string
  readonly namespace?: string
  readonly kind: 'function' | 'freeform' | 'tool_search'
  readonly fields: readonly string[]
}

/** Reads a request's body. */
export function readSituation(json: unknown): Situation {
  const body = asObject(json)
  const isOneAtATime =
    body['parallel_tool_calls'] === false || asObject(body['tool_choice'])['disable_parallel_tool_use'] === true
  return { tools: offeredTools(body), results: toolResults(body), mayCallTwice: !isOneAtATime }
}

/**
 * The tool of that name. A translation may have put the name of the namespace before it.
 */
export function findTool({ tools }: Situation, name: string): OfferedTool | undefined {
  return tools.find((tool) => tool.name === name) ?? tools.find((tool) => tool.name.endsWith(`__${name}`))
}

/**
 * A call of `tool`: `given` is the arguments of a function, or the text of a freeform tool. Where such a tool is
 * offered as a function with one field, the text goes there.
 */
export function callOf(tool: OfferedTool, given: Readonly<Record<string, unknown>> | string): ToolCall {
  const { name, namespace, kind, fields } = tool
  const [field] = fields
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(kind === 'tool_search' ? { type: kind } : {}),
    arguments: typeof given === 'string' && kind === 'function' && field !== undefined ? { [field]: given } : given,
  }
}

function offeredTools(body: JsonObject): readonly OfferedTool[] {
  // Responses has tools within the conversation: those of a model that takes no others, and those that were searched for.
  const within = objectsIn(body['input']).filter(({ tools }) => tools !== undefined)
  return [body, ...within].flatMap(({ tools }) => objectsIn(tools)).flatMap((tool) => readTool(tool))
}

function readTool(tool: JsonObject, namespace?: string): readonly OfferedTool[] {
  if (tool['type'] === 'namespace') {
    return objectsIn(tool['tools']).flatMap((member) => readTool(member, String(tool['name'])))
  }
  const {
    type,
    name = type,
    parameters,
    input_schema: schema,
  } = { ...tool, ...asObject(tool['function']) } as JsonObject
  const kind = type === 'custom' && schema === undefined ? 'freeform' : type === 'tool_search' ? type : 'function'
  const fields = Object.keys(asObject(asObject(parameters ?? schema)['properties']))
  return [{ name: String(name), kind, fields, ...(namespace === undefined ? {} : { namespace }) }]
}

function toolResults(body: JsonObject): readonly string[] {
  const blocks = objectsIn(body['messages']).flatMap((message) =>
    message['role'] === 'tool' ? [message] : objectsIn(message['content']).filter(({ type }) => type === 'tool_result'),
  )
  const items = objectsIn(body['input']).filter(({ type }) => String(type).endsWith('_output'))
  return [...blocks, ...items].map(({ content, output }) => textOf(content ?? output))
}

function textOf(content: unknown): string {
  return typeof content === 'string'
    ? content
    : objectsIn(content)
        .map(({ text = '' }) => String(text))
        .join('\n')
}

/** The members of a list, each as an object. */
export function objectsIn(value: unknown): readonly JsonObject[] {
  return asList(value).map(asObject)
}
