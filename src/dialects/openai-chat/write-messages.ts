/**
 * Turns as the messages of a Chat Completions request. What servers insist on, and clients of other dialects do not keep to:
 * one system message, at the start; the results of a message's calls directly after it, one for each call, in the order of the
 * calls, in text alone; no two messages of one role in a row.
 */
import type { RequestWriting } from '../conversation/contract.ts'
import type { Part, ReasoningPart, ToolCallPart, ToolResultPart, Turn } from '../conversation/conversation.ts'
import { asList, asText, type JsonObject } from '../json-value.ts'
import { CACHE_MARK_FIELD, Content, writeCacheMark, writeMedia, writeNative } from './write-content.ts'

/** A message as it is put together; an assistant's with the results of its calls. */
type Step = PlainStep | AssistantStep

interface PlainStep {
  readonly role: 'system' | 'user'
  readonly content: Content
  /** Members of this dialect that the hub has no word for. */
  readonly extras: JsonObject | undefined
}

interface AssistantStep {
  readonly role: 'assistant'
  readonly content: Content
  /** Earlier reasoning, in the members it goes back in. */
  readonly reasoning: JsonObject[]
  readonly calls: ToolCallPart[]
  /** By call id; of several for one call the last counts. */
  readonly results: Map<string, ToolResultPart>
  readonly extras: JsonObject | undefined
}

/** The messages so far. */
interface Draft {
  readonly steps: Step[]
  /** The last message that made a call of that id. */
  readonly callers: Map<string, AssistantStep>
}

/** Said for a call that was never answered: a provider refuses a history that leaves one open. */
const NO_RESULT = 'No result.'

const TURN_PATH = { 'openai-chat': 'messages[]', 'openai-responses': 'input[]', 'anthropic-messages': 'messages[]' }

const PART_PATH = {
  'openai-chat': 'messages[].content[]',
  'openai-responses': 'input[].content[]',
  'anthropic-messages': 'messages[].content[]',
}

const REASONING_FIELD = {
  'openai-chat': 'messages[].reasoning_content',
  'openai-responses': 'input[].reasoning',
  'anthropic-messages': 'messages[].content[].thinking',
}

/**
 * The messages of a request.
 * @throws TokError `translation_refused` for media that the target does not take
 */
export function writeMessages(turns: readonly Turn[], writing: RequestWriting): readonly JsonObject[] {
  const draft: Draft = { steps: [], callers: new Map() }
  for (const turn of turns) {
    writing.losses.dropExtras(turn.extras, 'openai-chat', TURN_PATH)
    for (const part of turn.parts) writing.losses.dropExtras(part.extras, 'openai-chat', PART_PATH)
    if (turn.role === 'assistant') addAssistant(draft, turn, writing)
    else if (turn.role === 'user') addUser(draft, turn, writing)
    else addSystem(draft, turn, writing)
  }
  return writeSteps(draft.steps, writing)
}

function writeSteps(steps: readonly Step[], writing: RequestWriting): readonly JsonObject[] {
  const messages: JsonObject[] = []
  /** What results held beside text, for the user's message that follows. */
  let media = new Content()
  for (const step of steps) {
    if (step.role === 'user') {
      media.append(step.content)
      messages.push({ ...step.extras, role: 'user', content: media.toJson() })
      media = new Content()
      continue
    }
    if (!media.isEmpty) messages.push({ role: 'user', content: media.toJson() })
    media = new Content()
    if (step.role === 'assistant') {
      messages.push(writeAssistant(step, writing))
      for (const call of step.calls) messages.push(writeResultOf(call, step, media, writing))
    } else {
      messages.push({ ...step.extras, role: writing.profile.systemRole, content: step.content.toJson() })
    }
  }
  if (!media.isEmpty) messages.push({ role: 'user', content: media.toJson() })
  return messages
}

function addSystem({ steps }: Draft, turn: Turn, writing: RequestWriting): void {
  const content = new Content()
  for (const part of turn.parts) addPart(content, part, writing)
  if (content.isEmpty) return
  const isLeading = steps.every(({ role }) => role === 'system')
  if (isLeading || writing.profile.takesSystemAnywhere) {
    plainStep(steps, 'system', turn).content.append(content)
  } else {
    // The words by which agents tell a model what the user did not say. Claude Code's own texts have them already.
    const text = content.toText()
    const isReminder = text.trimStart().startsWith('<system-reminder>')
    plainStep(steps, 'user').content.addText(isReminder ? text : `<system-reminder>\n${text}\n</system-reminder>`)
  }
}

function addUser(draft: Draft, turn: Turn, writing: RequestWriting): void {
  const content = new Content()
  for (const part of turn.parts) {
    if (part.kind === 'tool-result') addResult(draft, part, content, writing)
    else addPart(content, part, writing)
  }
  if (!content.isEmpty) plainStep(draft.steps, 'user', turn).content.append(content)
}

/** Puts a result where its call is. One whose call is not known is told to the model in the user's message. */
function addResult({ callers }: Draft, result: ToolResultPart, content: Content, writing: RequestWriting): void {
  const caller = callers.get(result.callId)
  if (caller !== undefined) {
    caller.results.set(result.callId, result)
    return
  }
  const media = new Content()
  content.addText(`Result of the call ${result.callId}:\n${writeResult(result, media, writing)}`)
  content.append(media)
}

function addAssistant(draft: Draft, turn: Turn, writing: RequestWriting): void {
  const content = new Content()
  const reasoning: JsonObject[] = []
  const calls: ToolCallPart[] = []
  let wasText = false
  for (const part of turn.parts) {
    if (part.kind === 'reasoning') {
      const members = writeReasoning(part, writing)
      if (members !== undefined) reasoning.push(members)
    } else if (part.kind === 'tool-call') {
      if (part.cacheMark !== undefined) writing.losses.drop(CACHE_MARK_FIELD)
      calls.push(part)
    } else {
      addPart(content, part, writing, wasText)
    }
    // A text that was answered in several pieces is one text again.
    wasText = part.kind === 'text'
  }
  if (content.isEmpty && reasoning.length === 0 && calls.length === 0) return
  const step = assistantStep(draft.steps, turn)
  step.content.append(content)
  for (const members of reasoning) step.reasoning.push(members)
  for (const call of calls) {
    step.calls.push(call)
    draft.callers.set(call.callId, step)
  }
}

/** @param continues a text goes on with the one before it */
function addPart(content: Content, part: Part, writing: RequestWriting, continues = false): void {
  switch (part.kind) {
    case 'text':
    case 'refusal':
      content.addText(part.text, { continues, mark: writeCacheMark(part.cacheMark, writing) })
      break
    case 'image':
    case 'file':
    case 'audio':
      content.addPart(writeMedia(part, writing))
      break
    case 'tool-reference':
      content.addText(tellLoaded([writing.bridge.wireNameOf({ name: part.name })]))
      break
    case 'native': {
      const written = writeNative(part, writing)
      if (written !== undefined) content.addPart(written)
      break
    }
    case 'reasoning':
    case 'tool-call':
    case 'tool-result':
      writing.losses.drop(PART_PATH)
      break
  }
}

/** The message to add to: the last one, if it is of that role; servers' templates want roles to alternate. */
function plainStep(steps: Step[], role: PlainStep['role'], turn?: Turn): PlainStep {
  const extras = turn?.extras['openai-chat']
  const last = steps.at(-1)
  if (last !== undefined && last.role === role && last.extras === undefined && extras === undefined) return last
  const step: PlainStep = { role, content: new Content(), extras }
  steps.push(step)
  return step
}

/** The assistant goes on in its last message, unless a result came since. */
function assistantStep(steps: Step[], turn: Turn): AssistantStep {
  const extras = turn.extras['openai-chat']
  const last = steps.at(-1)
  const mayGoOn = last?.role === 'assistant' && last.results.size === 0
  if (mayGoOn && last.extras === undefined && extras === undefined) return last
  const step: AssistantStep = {
    role: 'assistant',
    content: new Content(),
    reasoning: [],
    calls: [],
    results: new Map(),
    extras,
  }
  steps.push(step)
  return step
}

function writeAssistant({ content, calls, reasoning, extras }: AssistantStep, writing: RequestWriting): JsonObject {
  return {
    ...extras,
    role: 'assistant',
    content: content.isEmpty && calls.length > 0 ? null : content.toJson(),
    ...joinReasoning(reasoning),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => writeCall(call, writing)) }),
  }
}

function writeCall(call: ToolCallPart, { bridge }: RequestWriting): JsonObject {
  const id = bridge.wireCallIdOf(call.callId)
  const name = bridge.wireNameOf(call)
  const input = bridge.wireInputOf(call)
  if (call.toolKind === 'custom' && !bridge.isWrapped(call)) return { id, type: 'custom', custom: { name, input } }
  // Templates of local servers parse the arguments of the history.
  return { id, type: 'function', function: { name, arguments: input === '' ? '{}' : input } }
}

function writeResultOf(call: ToolCallPart, step: AssistantStep, media: Content, writing: RequestWriting): JsonObject {
  const result = step.results.get(call.callId)
  const content = new Content()
  const mark = writeCacheMark(result?.cacheMark, writing)
  content.addText(result === undefined ? NO_RESULT : writeResult(result, media, writing), { mark })
  return { role: 'tool', tool_call_id: writing.bridge.wireCallIdOf(call.callId), content: content.toJson() }
}

/** The text of a result. What it holds beside text no server takes there; it goes into `media`, under the name of the call. */
function writeResult(result: ToolResultPart, media: Content, writing: RequestWriting): string {
  const content = new Content()
  const seen = new Content()
  for (const part of result.content) {
    const isMedia = part.kind === 'image' || part.kind === 'file' || part.kind === 'audio'
    addPart(isMedia ? seen : content, part, writing)
  }
  content.addText(tellLoaded((result.tools ?? []).map((tool) => writing.bridge.wireNameOf(tool))))
  if (!seen.isEmpty) {
    media.addText(`What the call ${writing.bridge.wireCallIdOf(result.callId)} returned beside text:`)
    media.append(seen)
    if (content.isEmpty) content.addText('See the next message of the user.')
  }
  return result.isError ? `Error: ${content.toText()}` : content.toText()
}

function tellLoaded(names: readonly string[]): string {
  return names.map((name) => `tool ${name} loaded`).join('\n')
}

/**
 * Earlier reasoning, where the target takes any: in the members it gave it in, if it is its own, otherwise as text. What it
 * cannot be told is reported.
 */
function writeReasoning(
  { text, native }: ReasoningPart,
  { profile, losses, target }: RequestWriting,
): JsonObject | undefined {
  const value = native?.dialect === 'openai-chat' ? native.value : {}
  const isOwn = native?.dialect === 'openai-chat' && (native.source ?? target) === target
  const readable = asText(value['reasoning_content']) ?? asText(value['reasoning']) ?? text
  if (profile.takesReasoningContent && isOwn) return value
  if (profile.takesReasoningContent && readable !== '') return { reasoning_content: readable }
  losses.drop(REASONING_FIELD)
  return undefined
}

function joinReasoning(parts: readonly JsonObject[]): JsonObject {
  const joined: Record<string, unknown> = {}
  for (const part of parts) {
    for (const [name, value] of Object.entries(part)) {
      const before = joined[name]
      joined[name] = Array.isArray(value) ? [...asList(before), ...value] : `${asText(before) ?? ''}${String(value)}`
    }
  }
  return joined
}
