/**
 * Stops agents that call the same tool with the same arguments and get the same result, over and over. The conversation as
 * sent tells: nothing is remembered between requests.
 *
 * A round is what the model called in one turn, with the results; calls made side by side count as a set, so that a round
 * counts once however many there are. Rounds at the end of the conversation that are equal are counted; another argument,
 * another result, a user's turn or an exempt tool ends the count. Results are compared without what clients stamp on them
 * (times, running numbers, reminders), and without cache marks.
 *
 * What is said to the model goes into the newest result, at the end of the prompt: whatever is cached before it stays so.
 */
import { TokError } from '../base/errors.ts'
import type { Dialect } from './dialect.ts'
import { enclosingObject } from './enclosing-object.ts'
import { asList, asObject, asText, isObject, parseObject, type JsonObject } from './json-value.ts'

/** When the guard speaks. Counts are of equal rounds. */
export interface LoopGuardOptions {
  readonly isOn: boolean
  /** The model is told. At least 2. */
  readonly warnAt: number
  /** The model is told that it will be stopped. */
  readonly urgeAt: number
  /** The request is refused. */
  readonly refuseAt: number
  /** Names of tools that are meant to be called again and again; `*` stands for any characters, case does not matter. */
  readonly exempt: readonly string[]
}

/** As in the table of the configuration. */
export const DEFAULT_LOOP_GUARD: LoopGuardOptions = {
  isOn: true,
  warnAt: 3,
  urgeAt: 4,
  refuseAt: 5,
  exempt: [
    'write_stdin',
    'wait',
    'wait_*',
    'sleep',
    'BashOutput',
    'TaskOutput',
    'AgentOutputTool',
    'Monitor',
    'poll*',
    '*_poll',
  ],
}

/** A body that the guard has seen. */
export interface GuardedBody {
  /** Equal rounds at its end: 1 where nothing repeats, 0 where it ends with no round or with one of an exempt tool. */
  readonly count: number
  /** The same object where nothing was added. */
  readonly body: JsonObject
}

type Step =
  | { readonly kind: 'call'; readonly id: unknown; readonly name: string; readonly input: unknown }
  | { readonly kind: 'result'; readonly id: unknown; readonly content: unknown; readonly place: Place }
  /** Anything after which calling again is no repetition. */
  | { readonly kind: 'break' }

/** Where a result stands in the conversation's list, and among the blocks of its message. */
interface Place {
  readonly index: number
  readonly block?: number
}

interface Pair {
  readonly call: Step & { readonly kind: 'call' }
  readonly result: Step & { readonly kind: 'result' }
}

type Round = readonly Pair[]

/**
 * A word that stands in every tool result of a dialect, as the end of a JSON string. Unescaped quotes make it a word of the
 * body itself, not of a text within.
 */
const RESULT_MARKS: Readonly<Record<Dialect, string>> = {
  'openai-chat': '"tool_call_id"',
  'openai-responses': '_call_output"',
  'anthropic-messages': '"tool_result"',
}

const LIST_NAMES: Readonly<Record<Dialect, string>> = {
  'openai-chat': 'messages',
  'openai-responses': 'input',
  'anthropic-messages': 'messages',
}

const REMINDER_START = '<system-reminder>'
const REMINDER_END = '</system-reminder>'

/** Lines by which Codex and Qwen Code tell one run of the same command from the next. */
const RUN_STAMPS = /^(?:Chunk ID|Wall time|Process Group PGID): .*$/gm

/** Characters that every JSON writer leaves as they are. */
const PLAIN_RUN = /[\w .()-]{1,64}/g
const SAMPLED_CHARACTERS = 400

/**
 * False if no round of the conversation can have been repeated; true says nothing. Reads bytes only: the newest result, and
 * whether its text stands anywhere before it.
 */
export function mayLoop(dialect: Dialect, body: Uint8Array): boolean {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const mark = RESULT_MARKS[dialect]
  const newest = bytes.lastIndexOf(mark)
  if (newest <= 0 || bytes.lastIndexOf(mark, newest - 1) === -1) return false
  const span = enclosingObject(bytes, newest + mark.length)
  if (span === undefined) return true
  const result = bytes.subarray(span.start, span.end)
  const [step] = STEP_READERS[dialect](asConversation(dialect, parseObject(result.toString('utf8'))))
  const sample = step?.kind === 'result' ? plainSample(step.content) : undefined
  return sample === undefined || !result.includes(sample) || bytes.subarray(0, span.start).includes(sample)
}

/** A conversation of one result. */
function asConversation(dialect: Dialect, result: JsonObject | undefined): readonly unknown[] {
  return dialect === 'anthropic-messages' ? [{ role: 'user', content: [result] }] : [result]
}

/**
 * Counts the equal rounds at the end of a conversation, and warns the model where there are too many.
 * @param body a request's parsed body, nested no deeper than skimRequest allows; one without a conversation comes back as it is
 * @throws TokError `tool_loop` from `refuseAt` equal rounds on
 */
export function guardLoops(dialect: Dialect, body: JsonObject, options: LoopGuardOptions): GuardedBody {
  const rounds = options.isOn ? readRounds(dialect, asList(body[LIST_NAMES[dialect]])) : []
  const newest = rounds.at(-1)
  if (newest === undefined) return { count: 0, body }
  const count = countEqual(rounds, options.exempt)
  if (count < Math.min(options.warnAt, options.urgeAt, options.refuseAt)) return { count, body }
  const tool = [...new Set(newest.map(({ call }) => call.name))].join(', ')
  if (count >= options.refuseAt) throw new TokError('tool_loop', { tool, count })
  const place = newest.at(-1)?.result.place
  if (place === undefined) return { count, body }
  return { count, body: withNote(dialect, body, place, noteOf(tool, count, options)) }
}

function noteOf(tool: string, count: number, { urgeAt, refuseAt }: LoopGuardOptions): string {
  const fact = `${tool} was called ${count} times in a row with the same arguments and gave the same result every time.`
  return count >= urgeAt
    ? `[Loop guard, urgent] ${fact} Do not make this call again: at ${refuseAt} times the request is refused. Do something else, or say what keeps you from going on.`
    : `[Loop guard] ${fact} Once more will not change it: try another way, or say what keeps you from going on.`
}

function countEqual(rounds: readonly Round[], exempt: readonly string[]): number {
  const exemptions = exempt.map(toRegExp)
  const keyOf = (round: Round | undefined): string | undefined =>
    round === undefined || round.some(({ call }) => exemptions.some((pattern) => pattern.test(call.name)))
      ? undefined
      : roundKey(round)
  const newest = keyOf(rounds.at(-1))
  if (newest === undefined) return 0
  let count = 1
  while (keyOf(rounds.at(-1 - count)) === newest) count += 1
  return count
}

function roundKey(round: Round): string {
  const keys = round.map(({ call, result }) =>
    JSON.stringify([call.name, canonicalInput(call.input), resultText(result.content)]),
  )
  return [...new Set(keys)].toSorted().join('\n')
}

function readRounds(dialect: Dialect, list: readonly unknown[]): readonly Round[] {
  const rounds: Pair[][] = []
  let calls = new Map<unknown, Pair['call']>()
  let pairs: Pair[] = []
  const closeRound = (): void => {
    if (pairs.length > 0) rounds.push(pairs)
    calls = new Map()
    pairs = []
  }
  for (const step of STEP_READERS[dialect](list)) {
    if (step.kind === 'call') {
      if (pairs.length > 0) closeRound()
      calls.set(step.id, step)
    } else if (step.kind === 'result') {
      const call = calls.get(step.id)
      if (call !== undefined) pairs.push({ call, result: step })
    } else {
      closeRound()
      rounds.length = 0
    }
  }
  closeRound()
  return rounds
}

const STEP_READERS: Readonly<Record<Dialect, (list: readonly unknown[]) => Iterable<Step>>> = {
  'openai-chat': chatSteps,
  'openai-responses': responsesSteps,
  'anthropic-messages': messagesSteps,
}

function* chatSteps(messages: readonly unknown[]): Iterable<Step> {
  for (const [index, message] of messages.map(asObject).entries()) {
    if (message['role'] === 'tool') {
      yield { kind: 'result', id: message['tool_call_id'], content: message['content'], place: { index } }
    } else if (message['role'] === 'user') {
      if (!isReminder(message['content'])) yield { kind: 'break' }
    } else {
      for (const call of asList(message['tool_calls']).map(asObject)) {
        const { name, arguments: json, input } = asObject(call['function'] ?? call['custom'])
        yield { kind: 'call', id: call['id'], name: String(name), input: json ?? input }
      }
    }
  }
}

function* responsesSteps(items: readonly unknown[]): Iterable<Step> {
  for (const [index, item] of items.map(asObject).entries()) {
    const { type, call_id: id } = item
    if (type === 'function_call' || type === 'custom_tool_call') {
      const name = [item['namespace'], item['name']].filter((part) => asText(part) !== undefined).join('.')
      yield { kind: 'call', id, name, input: item['arguments'] ?? item['input'] }
    } else if (type === 'function_call_output' || type === 'custom_tool_call_output') {
      yield { kind: 'result', id, content: item['output'], place: { index } }
    } else if (item['role'] === 'user') {
      if (!isReminder(item['content'])) yield { kind: 'break' }
    } else if (typeof type === 'string' && /_call(?:_output)?$/.test(type)) {
      yield { kind: 'break' }
    }
  }
}

function* messagesSteps(messages: readonly unknown[]): Iterable<Step> {
  for (const [index, message] of messages.map(asObject).entries()) {
    const content = message['content']
    const blocks = asList(content).map(asObject)
    for (const [block, { type, id, name, input, tool_use_id: useId, content: result }] of blocks.entries()) {
      if (type === 'tool_use') yield { kind: 'call', id, name: String(name), input }
      if (type === 'tool_result') yield { kind: 'result', id: useId, content: result, place: { index, block } }
    }
    const said = typeof content === 'string' ? content : blocks.filter(({ type }) => type !== 'tool_result')
    if (message['role'] === 'user' && said.length > 0 && !isReminder(said)) yield { kind: 'break' }
  }
}

/** True for what a client, not a person, says in a user's name. */
function isReminder(content: unknown): boolean {
  const texts = typeof content === 'string' ? [content] : asList(content).map(textOf)
  return texts.length > 0 && texts.every((text) => text?.trimStart().startsWith(REMINDER_START) === true)
}

/** Arguments in one form, whatever the order of their members; text that is not JSON as it is. */
function canonicalInput(input: unknown): string {
  if (typeof input !== 'string') return canonical(input)
  try {
    return canonical(JSON.parse(input))
  } catch {
    return input
  }
}

function canonical(value: unknown): string {
  const sorted = (_: string, member: unknown): unknown =>
    isObject(member) ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1))) : member
  return JSON.stringify(value, sorted) ?? ''
}

/** A result as it is compared: the same for a text and for a list that holds this text. */
function resultText(content: unknown): string {
  const text = onlyText(content)
  if (text !== undefined) return withoutStamps(text)
  return canonical(
    Array.isArray(content) ? content.map((part) => ({ ...asObject(part), cache_control: undefined })) : content,
  )
}

/** The text of a content that is nothing but text. */
function onlyText(content: unknown): string | undefined {
  if (typeof content === 'string') return content
  if (content === undefined || content === null) return ''
  if (!Array.isArray(content)) return undefined
  const texts = content.map(textOf)
  return texts.includes(undefined) ? undefined : texts.join('\n')
}

function textOf(part: unknown): string | undefined {
  const { type, text } = asObject(part)
  return (type === 'text' || type === 'input_text' || type === 'output_text') && typeof text === 'string'
    ? text
    : undefined
}

function withoutStamps(result: string): string {
  let text = result.trimEnd()
  while (text.endsWith(REMINDER_END)) {
    const start = text.lastIndexOf(REMINDER_START)
    if (start === -1) break
    text = text.slice(0, start).trimEnd()
  }
  return text.replace(RUN_STAMPS, '')
}

/** A piece of a result's text that stands in every body the same way if the result does; undefined if it has none. */
function plainSample(content: unknown): string | undefined {
  const text = onlyText(content)
  const runs = text === undefined ? null : withoutStamps(text).slice(0, SAMPLED_CHARACTERS).match(PLAIN_RUN)
  return runs?.reduce((longest, run) => (run.length > longest.length ? run : longest))
}

function withNote(dialect: Dialect, body: JsonObject, { index, block }: Place, note: string): JsonObject {
  const listName = LIST_NAMES[dialect]
  const list = asList(body[listName])
  const entry = asObject(list[index])
  const noted = block === undefined ? addNote(dialect, entry, note) : addNoteToBlock(dialect, entry, block, note)
  return { ...body, [listName]: list.with(index, noted) }
}

function addNoteToBlock(dialect: Dialect, message: JsonObject, block: number, note: string): JsonObject {
  const blocks = asList(message['content'])
  return { ...message, content: blocks.with(block, addNote(dialect, asObject(blocks[block]), note)) }
}

function addNote(dialect: Dialect, result: JsonObject, note: string): JsonObject {
  const isResponses = dialect === 'openai-responses'
  const member = isResponses ? 'output' : 'content'
  const content = result[member]
  if (Array.isArray(content)) {
    return { ...result, [member]: [...content, { type: isResponses ? 'input_text' : 'text', text: note }] }
  }
  const said = typeof content === 'string' ? content : content === undefined ? '' : JSON.stringify(content)
  return { ...result, [member]: said === '' ? note : `${said}\n\n${note}` }
}

function toRegExp(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 'is')
}
