/**
 * What the vendors' own servers refuse in a conversation with tools. Many servers do not, so a client that works
 * against a lenient one proves little of a translation. Source: the vendors' API references; the refusals seen of them.
 */
import type { RecordedRequest } from './scripted-provider.ts'

type Json = Readonly<Record<string, unknown>>

/** Why the vendor of the dialect would answer this request with a 400; undefined if it would not. */
export function refusalOf({ path, json }: RecordedRequest): string | undefined {
  const body = asJson(json)
  if (path.includes('/chat/completions')) return refusalOfChat(body)
  if (path.includes('/messages')) return refusalOfMessages(body)
  return refusalOfResponses(body)
}

const OPENAI_NAME = /^[a-zA-Z0-9_-]{1,64}$/
const ANTHROPIC_NAME = /^[a-zA-Z0-9_-]{1,128}$/

function refusalOfChat(body: Json): string | undefined {
  const names = asItems(body['tools']).map((tool) => asJson(tool['function'])['name'])
  const badTool = badNameOf(names, OPENAI_NAME)
  if (badTool !== undefined) return badTool
  let unanswered: readonly unknown[] = []
  for (const [index, message] of asItems(body['messages']).entries()) {
    const place = `messages[${index}]`
    if (message['role'] === 'tool') {
      if (!unanswered.includes(message['tool_call_id']))
        return `${place}: no call ${String(message['tool_call_id'])} before it`
      unanswered = unanswered.filter((id) => id !== message['tool_call_id'])
      continue
    }
    if (unanswered.length > 0) return `${place}: calls without an answer: ${unanswered.join(', ')}`
    const calls = asItems(message['tool_calls'])
    for (const call of calls) {
      const written = asJson(call['function'])['arguments']
      if (typeof written !== 'string') return `${place}: the arguments of a call are no string`
    }
    unanswered = calls.map(({ id }) => id)
  }
  return unanswered.length > 0 ? `calls without an answer at the end: ${unanswered.join(', ')}` : undefined
}

function refusalOfMessages(body: Json): string | undefined {
  if (typeof body['max_tokens'] !== 'number') return 'max_tokens: Field required'
  const badTool = badNameOf(
    asItems(body['tools']).map(({ name }) => name),
    ANTHROPIC_NAME,
  )
  if (badTool !== undefined) return badTool
  let unanswered: readonly unknown[] = []
  for (const [index, message] of asItems(body['messages']).entries()) {
    const place = `messages.${index}`
    const blocks = asItems(message['content'])
    const answers = blocks.filter(({ type }) => type === 'tool_result').map((block) => block['tool_use_id'])
    if (index === 0 && message['role'] !== 'user') return `${place}: the first message is not the user's`
    if (message['content'] === '' || blocks.some(({ type, text }) => type === 'text' && text === '')) {
      return `${place}: text content blocks must be non-empty`
    }
    const missing = unanswered.filter((id) => !answers.includes(id))
    if (missing.length > 0) return `${place}: tool_use without tool_result: ${missing.join(', ')}`
    const unknown = answers.filter((id) => !unanswered.includes(id))
    if (unknown.length > 0) return `${place}: tool_result without tool_use in the message before: ${unknown.join(', ')}`
    if (blocks.some(({ type, signature }) => type === 'thinking' && signature !== SIGNATURE)) {
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

/** What the scripted model signs its thinking with. */
const SIGNATURE = 'c2lnbmF0dXJl'

function refusalOfResponses(body: Json): string | undefined {
  const badTool = badNameOf(
    asItems(body['tools']).flatMap(({ name }) => (name === undefined ? [] : [name])),
    OPENAI_NAME,
  )
  if (badTool !== undefined) return badTool
  const items = asItems(body['input'])
  for (const kind of ['function_call', 'custom_tool_call', 'tool_search_call']) {
    const output = `${kind.replace('search_call', 'search')}_output`
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
  const bad = names.find((name) => typeof name !== 'string' || !rule.test(name))
  if (bad !== undefined || names.includes(undefined)) return `tools: the name ${String(bad)} is not ${rule}`
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  return twice === undefined ? undefined : `tools: the name ${String(twice)} is not unique`
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

function asItems(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(asJson) : []
}
