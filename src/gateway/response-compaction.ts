/**
 * Compaction for models whose server has none: a summary, asked of the model itself, takes the place of the conversation. It
 * travels as an opaque `compaction` item that this node seals, and reads when it comes back. Pure.
 * Source: translation-cases.md D28 and D29; Codex ends a session that gets no such item, or two.
 */
import { createHash } from 'node:crypto'
import type { OpaqueSeal } from '../dialects/conversation/opaque-state.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../dialects/json-value.ts'

const INSTRUCTION =
  'This conversation has to be shortened now. Write the notes from which another assistant, who has seen nothing of it, can ' +
  'go on at once. Say what the user wants, with every requirement and preference, in their own words where these matter; ' +
  'what was decided, and why; what is done, with paths, commands, names, numbers and results exactly as they are; what was ' +
  'tried and did not work; what is still open, and the very next step. Leave out what no longer matters. Call no tool. ' +
  'Answer with the notes alone.'

const SUMMARY_HEAD = 'Notes on the conversation so far, which was shortened here:\n\n'

/** Members that would make the summary something else than a text, or ask the server to keep it. */
const LEFT_OUT = [
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'max_tool_calls',
  'max_output_tokens',
  'text',
  'include',
  'context_management',
  'prompt',
  'store',
] as const

/** True for the last input item of a request to compact. */
export function isCompactionTrigger(item: unknown): boolean {
  return asObject(item)['type'] === 'compaction_trigger'
}

/** True for a compaction, whoever made it. */
export function isCompaction(item: unknown): boolean {
  const type = asObject(item)['type']
  return type === 'compaction' || type === 'compaction_summary'
}

/** True for a message: other items may have a role as well. */
export function isMessage(item: unknown): boolean {
  const { type, role } = asObject(item)
  return type === 'message' || (type === undefined && role !== undefined)
}

/** The message that says what this node's own `compaction` item holds; undefined for anybody else's. */
export function openCompaction(item: unknown, seal: OpaqueSeal): JsonObject | undefined {
  const summary = asText(seal.open(asText(asObject(item)['encrypted_content']) ?? '')?.['summary'])
  return summary === undefined ? undefined : textMessage('user', SUMMARY_HEAD + summary)
}

/** The request for a summary of `input`, made of `request`. No tools: what they did is told as text. */
export function summaryRequest(request: JsonObject, input: readonly unknown[]): JsonObject {
  const asked: Record<string, unknown> = { ...request }
  for (const name of LEFT_OUT) delete asked[name]
  return { ...asked, input: [...input.flatMap(tellItem), textMessage('user', INSTRUCTION)] }
}

/** The answer's text; undefined if it has none. */
export function summaryOf(response: JsonObject): string | undefined {
  const parts = asList(response['output']).flatMap((item) => asList(asObject(item)['content']))
  const texts = parts
    .filter((part) => asObject(part)['type'] === 'output_text')
    .map((part) => asText(asObject(part)['text']))
  return asText(texts.join('').trim())
}

/** The one `compaction` item of an answer; its id follows from what it holds. */
export function compactionItem(summary: string, seal: OpaqueSeal): JsonObject {
  const content = seal.seal({ summary })
  const id = `cmp_${createHash('sha256').update(content).digest('hex').slice(0, 32)}`
  return { id, type: 'compaction', encrypted_content: content }
}

/** The Responses object whose output is the compaction alone. */
export function compactedResponse(response: JsonObject, item: JsonObject): JsonObject {
  return { ...response, status: 'completed', incomplete_details: null, output: [item] }
}

/** The event stream of such a response, whole. */
export function compactionEvents(response: JsonObject, item: JsonObject): Uint8Array {
  const begun = { ...response, status: 'in_progress', output: [], usage: null }
  const events = [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    { type: 'response.output_item.added', output_index: 0, item },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response },
  ]
  const texts = events.map(
    ({ type, ...rest }, index) =>
      `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: index, ...rest })}\n\n`,
  )
  return Buffer.from(texts.join(''))
}

/** The answer of `/v1/responses/compact`: what the user said, then the compaction. */
export function compactAnswer(response: JsonObject, input: readonly unknown[], item: JsonObject): JsonObject {
  const said = input.filter((each) => isMessage(each) && asObject(each)['role'] === 'user')
  return {
    id: response['id'],
    object: 'response.compaction',
    created_at: response['created_at'],
    output: [...said, item],
    usage: response['usage'] ?? null,
  }
}

/** An item as a model without tools can read it; nothing for what only its maker can read. */
function tellItem(item: unknown): readonly JsonObject[] {
  if (!isObject(item)) return []
  if (isMessage(item)) return [item]
  if (item['output'] !== undefined) return [textMessage('user', `[Result of a tool: ${textOf(item['output'])}]`)]
  if (item['call_id'] === undefined) return []
  const { id: _id, call_id: _callId, status: _status, type, name, ...rest } = item
  const what = rest['arguments'] ?? rest['input'] ?? rest
  return [textMessage('assistant', `[Call of the tool ${asText(name) ?? String(type)}: ${textOf(what)}]`)]
}

/** A picture or a file in a tool's result is only named: as text it would be noise. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return JSON.stringify(value)
  const parts = value.map(asObject)
  return parts.map((part) => asText(part['text']) ?? `(${String(part['type'])})`).join('\n')
}

/** Text as plain content, which every server takes, whatever parts it knows. */
function textMessage(role: 'user' | 'assistant', text: string): JsonObject {
  return { type: 'message', role, content: text }
}
