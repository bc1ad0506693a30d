/**
 * The messages of a Chat Completions request as turns. Source: the types of the `openai` SDK, roles and members that are
 * deprecated there included; reasoning as DeepSeek, vLLM and OpenRouter take it back.
 */
import type { Extras, Part, ReasoningPart, ToolCallPart, ToolKind, Turn } from '../conversation/conversation.ts'
import { malformed } from '../conversation/malformed.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { asGivenObject, membersOf, type Members } from './members.ts'
import { readContent } from './read-content.ts'

/** Calls of the history, so that a result is known as one of its kind. */
interface CallsSoFar {
  readonly kinds: Map<string, ToolKind>
  /** The id given to the last `function_call`, which has none of its own. */
  functionCallId: string
}

/**
 * The turns of a request, one for each message.
 * @throws TokError `body_malformed`, naming the member that cannot be read
 */
export function readMessages(messages: unknown): readonly Turn[] {
  if (!Array.isArray(messages)) throw malformed('messages', 'is not a list')
  const calls: CallsSoFar = { kinds: new Map(), functionCallId: 'function_call' }
  return messages.map((message, index) => {
    const path = `messages[${index}]`
    if (!isObject(message)) throw malformed(path, 'is not an object')
    return readMessage(message, calls, path, index)
  })
}

function readMessage(message: JsonObject, calls: CallsSoFar, path: string, index: number): Turn {
  const members = membersOf(message)
  members.ignore('role', 'content')
  const { role } = message
  switch (role) {
    case 'system':
    case 'developer':
    case 'user':
      return { role, parts: readContent(message['content'], `${path}.content`), extras: extrasOf(members) }
    case 'assistant':
      return { role, parts: readAssistant(message, members, calls, path, index), extras: extrasOf(members) }
    case 'tool':
    case 'function':
      return { role: 'user', parts: [readResult(message, members, calls, path)], extras: extrasOf(members) }
    default:
      throw malformed(`${path}.role`, 'is none of system, developer, user, assistant, tool and function')
  }
}

function readAssistant(
  message: JsonObject,
  members: Members,
  calls: CallsSoFar,
  path: string,
  index: number,
): readonly Part[] {
  const reasoning = takeReasoning(members)
  const content = readContent(message['content'], `${path}.content`)
  const parts: Part[] = reasoning === undefined ? [...content] : [reasoning, ...content]
  const refusal = members.take('refusal', asText)
  if (refusal !== undefined) parts.push({ kind: 'refusal', text: refusal })
  const toolCalls = members.take('tool_calls', (value) => value ?? undefined)
  if (toolCalls !== undefined && !Array.isArray(toolCalls)) throw malformed(`${path}.tool_calls`, 'is not a list')
  asList(toolCalls).forEach((value, position) => {
    const call = readCall(asObject(value), `${path}.tool_calls[${position}]`, `call_${index}_${position}`)
    calls.kinds.set(call.callId, call.toolKind)
    parts.push(call)
  })
  const functionCall = members.take('function_call', asGivenObject)
  if (functionCall !== undefined) {
    calls.functionCallId = `function_call_${index}`
    parts.push(callPart('function', calls.functionCallId, functionCall, `${path}.function_call`))
  }
  return parts
}

function readCall(call: JsonObject, path: string, idIfNone: string): ToolCallPart {
  const callId = asText(call['id']) ?? idIfNone
  return isObject(call['custom'])
    ? callPart('custom', callId, call['custom'], `${path}.custom`)
    : callPart('function', callId, asObject(call['function']), `${path}.function`)
}

function callPart(toolKind: 'function' | 'custom', callId: string, call: JsonObject, path: string): ToolCallPart {
  const name = asText(call['name'])
  if (name === undefined) throw malformed(`${path}.name`, 'is not the name of a tool')
  const input = call[toolKind === 'custom' ? 'input' : 'arguments'] ?? ''
  return { kind: 'tool-call', toolKind, callId, name, input: typeof input === 'string' ? input : JSON.stringify(input) }
}

function readResult(message: JsonObject, members: Members, calls: CallsSoFar, path: string): Part {
  // It repeats the name that the call has.
  members.ignore('name')
  const isFunction = message['role'] === 'function'
  const callId = isFunction ? calls.functionCallId : members.take('tool_call_id', asText)
  if (callId === undefined) throw malformed(`${path}.tool_call_id`, 'is not the id of a call')
  return {
    kind: 'tool-result',
    toolKind: calls.kinds.get(callId) ?? 'function',
    callId,
    content: readContent(message['content'], `${path}.content`),
    isError: false,
  }
}

/** Reasoning of an earlier answer: the text, and all its members for a server that wants them back as they were. */
function takeReasoning(members: Members): ReasoningPart | undefined {
  const readable = members.take('reasoning_content', asText)
  const other = members.take('reasoning', asText)
  const details = members.take('reasoning_details', (value) => (Array.isArray(value) ? value : undefined))
  if (readable === undefined && other === undefined && details === undefined) return undefined
  const value = {
    ...(readable === undefined ? {} : { reasoning_content: readable }),
    ...(other === undefined ? {} : { reasoning: other }),
    ...(details === undefined ? {} : { reasoning_details: details }),
  }
  return { kind: 'reasoning', text: readable ?? other ?? '', native: { dialect: 'openai-chat', value } }
}

function extrasOf(members: Members): Extras {
  const rest = members.rest()
  return rest === undefined ? {} : { 'openai-chat': rest }
}
