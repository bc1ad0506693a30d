/** What the tests of this dialect build with. */
import Anthropic from '@anthropic-ai/sdk'
import { createAnswerFold, type Answer, type AnswerEvent } from '../../../../src/dialects/conversation/answer.ts'
import type { AnswerReading, AnswerWriting } from '../../../../src/dialects/conversation/contract.ts'
import type { Conversation, Part, Turn } from '../../../../src/dialects/conversation/conversation.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import { createOpaqueSeal } from '../../../../src/dialects/conversation/opaque-state.ts'
import { createToolBridge } from '../../../../src/dialects/conversation/tool-bridge.ts'
import { anthropicMessages } from '../../../../src/dialects/anthropic-messages/translation.ts'
import type { Dialect } from '../../../../src/dialects/dialect.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { profileOf, type Profile } from '../../../../src/dialects/profiles.ts'
import { createSseReader } from '../../../../src/dialects/sse.ts'

export const seal = createOpaqueSeal(Buffer.alloc(32, 7))

/** A Messages request with one question, and whatever else. */
export function request(more: JsonObject = {}): JsonObject {
  return { model: 'claude-sonnet-4-5', max_tokens: 1024, messages: [{ role: 'user', content: 'Hello' }], ...more }
}

export function read(body: JsonObject): Conversation {
  return anthropicMessages.readRequest(body, { seal, losses: createLosses('anthropic-messages') })
}

/** The parts of all turns of a request with these messages. */
export function readMessages(...messages: JsonObject[]): readonly Turn[] {
  return read(request({ messages })).turns
}

/** A conversation of these turns. */
export function conversation(turns: readonly Turn[], more: Partial<Conversation> = {}): Conversation {
  return {
    model: 'any',
    stream: false,
    turns,
    tools: [],
    reasoning: {},
    sampling: {},
    caching: {},
    wantsStreamUsage: false,
    extras: {},
    ...more,
  }
}

export function turn(role: Turn['role'], ...parts: (Part | string)[]): Turn {
  return { role, parts: parts.map((part) => (typeof part === 'string' ? text(part) : part)), extras: {} }
}

export function text(words: string): Part {
  return { kind: 'text', text: words }
}

export function call(callId: string, name = 'look', input = '{}'): Part {
  return { kind: 'tool-call', toolKind: 'function', callId, name, input }
}

export function result(callId: string, ...content: (Part | string)[]): Part {
  const parts = content.map((part) => (typeof part === 'string' ? text(part) : part))
  return { kind: 'tool-result', toolKind: 'function', callId, content: parts, isError: false }
}

export interface Written {
  readonly body: JsonObject
  readonly dropped: readonly string[]
}

/** Writes a conversation of a client for Anthropic, or a server like it. */
export function write(
  asked: Conversation,
  {
    model = 'claude-sonnet-4-5',
    dialect = 'openai-chat',
    profile,
  }: { model?: string; dialect?: Dialect; profile?: Partial<Profile> } = {},
): Written {
  const own = profileOf({ dialect: 'anthropic-messages', provider: 'anthropic', isVendor: true, model })
  const fitted = { ...own, ...profile }
  const losses = createLosses(dialect)
  const body = anthropicMessages.writeRequest(asked, {
    model,
    target: 'anthropic',
    profile: fitted,
    bridge: createToolBridge(asked, fitted),
    losses,
  })
  return { body, dropped: losses.fields }
}

/** The messages written for these turns. */
export function writeTurns(...turns: Turn[]): unknown {
  return write(conversation(turns)).body['messages']
}

export function reading(asked: Conversation = conversation([])): AnswerReading {
  const profile = profileOf({ dialect: 'anthropic-messages', provider: 'anthropic', isVendor: true, model: 'm' })
  return { answerId: 'a1', target: 'anthropic', model: 'm', bridge: createToolBridge(asked, profile) }
}

export function writing(more: Partial<AnswerWriting> = {}): AnswerWriting {
  return {
    answerId: 'a1',
    model: 'claude-sonnet-5',
    createdAtS: 1,
    seal,
    request: request(),
    estimateInput: () => 42,
    conversation: conversation([]),
    losses: createLosses('anthropic-messages'),
    ...more,
  }
}

/** Server-sent events as Anthropic writes them. */
export function sse(...events: JsonObject[]): string {
  return events.map((event) => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`).join('')
}

/** Reads a stream that comes in pieces. */
export function readStream(
  pieces: readonly (string | Uint8Array)[],
  how: AnswerReading = reading(),
): readonly AnswerEvent[] {
  const events: AnswerEvent[] = []
  const reader = anthropicMessages.createStreamReader(how, (event) => events.push(event))
  const lines = createSseReader((event) => reader.event(event))
  for (const piece of pieces) lines.push(Buffer.from(piece))
  lines.end()
  reader.end()
  return events
}

export function fold(events: readonly AnswerEvent[]): Answer {
  const sum = createAnswerFold()
  for (const event of events) sum.add(event)
  if (sum.answer === undefined) throw new Error(`no answer: ${JSON.stringify(sum.error)}`)
  return sum.answer
}

/** The stream written for events. */
export function writeStream(events: readonly AnswerEvent[], how: AnswerWriting = writing()): string {
  const writer = anthropicMessages.createStreamWriter(how)
  return events.map((event) => writer.write(event)).join('')
}

/** The events of a written stream, with the name of their line. */
export function eventsOf(stream: string): readonly JsonObject[] {
  const events: JsonObject[] = []
  const lines = createSseReader(({ name, data }) => {
    const value = JSON.parse(data) as JsonObject
    if (value['type'] !== name) throw new Error(`event ${name} holds ${String(value['type'])}`)
    events.push(value)
  })
  lines.push(Buffer.from(stream))
  return events
}

/** What the official SDK makes of a stream. */
export function accumulate(stream: string): Promise<Anthropic.Message> {
  const answer = (): Promise<Response> =>
    Promise.resolve(new Response(stream, { headers: { 'content-type': 'text/event-stream' } }))
  const client = new Anthropic({ apiKey: 'none', fetch: answer, maxRetries: 0 })
  return client.messages
    .stream({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] })
    .finalMessage()
}
