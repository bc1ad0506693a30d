/**
 * What the vendors' own servers refuse in a conversation with tools. Many servers do not, so a client that works
 * against a lenient one proves little of a translation. Source: the vendors' API references; the refusals seen of them.
 * Refused here as well: what can be no answer of theirs.
 */
import { asObject, type JsonObject } from '../../src/dialects/json-value.ts'
import { objectsIn } from './agent-tools.ts'
import { THINKING_SIGNATURE } from './scripted-answers.ts'
import type { RecordedRequest } from './scripted-provider.ts'

/** Why the vendor of the dialect would answer this request with a 400; undefined if it would not. */
export function refusalOf({ path, json }: RecordedRequest): string | undefined {
  const body = asObject(json)
  if (path.includes('/chat/completions')) return refusalOfChat(body)
  if (path.includes('/messages')) return refusalOfMessages(body)
  return refusalOfResponses(body)
}

const OPENAI_NAME = /^[a-zA-Z0-9_-]{1,64}$/
const ANTHROPIC_NAME = /^[a-zA-Z0-9_-]{1,128}$/

function refusalOfChat(body: JsonObject): string | undefined {
  const names = objectsIn(body['tools']).map((tool) => asObject(tool['function'])['name'])
  const badTool = badNameOf(names, OPENAI_NAME)
  if (badTool !== undefined) return badTool
  let unanswered: readonly unknown[] = []
  for (const [index, message] of objectsIn(body['messages']).entries()) {
    const place = `messages[${index}]`
    if (message['role'] === 'tool') {
      const answered = message['tool_call_id']
      if (!unanswered.includes(answered)) return `${place}: no call ${String(answered)} before it`
      unanswered = unanswered.filter((id) => id !== answered)
      continue
    }
    if (unanswered.length > 0) return `${place}: calls without an answer: ${unanswered.join(', ')}`
    const calls = objectsIn(message['tool_calls'])
    for (const call of calls) {
      const written = asObject(call['function'])['arguments']
      if (typeof written !== 'string') return `${place}: the arguments of a call are no string`
    }
    unanswered = calls.map(({ id }) => id)
  }
  return unanswered.length > 0 ? `calls without an answer at the end: ${unanswered.join(', ')}` : undefined
}

function refusalOfMessages(body: JsonObject): string | undefined {
  if (typeof body['max_tokens'] !== 'number') return 'max_tokens: Field required'
  const badTool = badNameOf(
    objectsIn(body['tools']).map(({ name }) => name),
    ANTHROPIC_NAME,
  )
  if (badTool !== undefined) return badTool
  let unanswered: readonly unknown[] = []
  for (const [index, message] of objectsIn(body['messages']).entries()) {
    const place = `messages.${index}`
    const blocks = objectsIn(message['content'])
    const answers = blocks.filter(({ type }) => type === 'tool_result').map((block) => block['tool_use_id'])
    if (index === 0 && message['role'] !== 'user') return `${place}: the first message is not the user's`
    if (message['content'] === '' || blocks.some(({ type, text }) => type === 'text' && text === '')) {
      return `${place}: text content blocks must be non-empty`
    }
    const missing = unanswered.filter((id) => !answers.includes(id))
    if (missing.length > 0) return `${place}: tool_use without tool_result: ${missing.join(', ')}`
    const unknown = answers.filter((id) => !unanswered.includes(id))
    if (unknown.length > 0) return `${place}: tool_result without tool_use in the message before: ${unknown.join(', ')}`
    if (blocks.some(({ type, signature }) => type === 'thinking' && signature !== THINKING_SIGNATURE)) {
      return `${place}: Invalid signature in thinking block`
    }
    const firstCall = blocks.findIndex(({ type }) => type === 'tool_use')
    if (firstCall !== -1 && blocks.slice(firstCall).some(({ type }) => type !== 'tool_use')) {
      return `${place}: something follows a tool_use, as if turns were run together`
    }
    unanswered = blocks.filter(({ type }) => type === 'tool_use').map(({ id }) => id)
  }
  return undefined
}

const CALLS_AND_OUTPUTS = [
  ['function_call', 'function_call_output'],
  ['custom_tool_call', 'custom_tool_call_output'],
  ['tool_search_call', 'tool_search_output'],
] as const

function refusalOfResponses(body: JsonObject): string | undefined {
  const badTool = badNameOf(
    objectsIn(body['tools']).flatMap(({ name }) => (name === undefined ? [] : [name])),
    OPENAI_NAME,
  )
  if (badTool !== undefined) return badTool
  const items = objectsIn(body['input'])
  for (const [kind, output] of CALLS_AND_OUTPUTS) {
    const called = items.filter(({ type }) => type === kind).map((item) => item['call_id'])
    const answered = items.filter(({ type }) => type === output).map((item) => item['call_id'])
    const missing = called.filter((id) => !answered.includes(id))
    if (missing.length > 0) return `No tool output found for ${kind} ${missing.join(', ')}.`
    const unknown = answered.filter((id) => !called.includes(id))
    if (unknown.length > 0) return `No tool call found for ${output} ${unknown.join(', ')}.`
  }
  return undefined
}

function badNameOf(names: readonly unknown[], rule: RegExp): string | undefined {
  const bad = names.findIndex((name) => typeof name !== 'string' || !rule.test(name))
  if (bad !== -1) return `tools: the name ${String(names[bad])} is not ${rule}`
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  return twice === undefined ? undefined : `tools: the name ${String(twice)} is not unique`
}
