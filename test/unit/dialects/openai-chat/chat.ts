/**
 * Puts the pieces of the Chat Completions dialect to work alone: requests from and to the hub, streams from bytes to events and
 * back to bytes.
 */
import OpenAI from 'openai'
import { createAnswerFold, type Answer, type AnswerEvent } from '../../../../src/dialects/conversation/answer.ts'
import type { AnswerReading, AnswerWriting } from '../../../../src/dialects/conversation/contract.ts'
import type { CallableTool, Conversation, Turn } from '../../../../src/dialects/conversation/conversation.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import { createOpaqueSeal } from '../../../../src/dialects/conversation/opaque-state.ts'
import { createToolBridge } from '../../../../src/dialects/conversation/tool-bridge.ts'
import type { Dialect } from '../../../../src/dialects/dialect.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { openaiChat } from '../../../../src/dialects/openai-chat/translation.ts'
import { profileOf, type Profile } from '../../../../src/dialects/profiles.ts'
import { createSseReader } from '../../../../src/dialects/sse.ts'

export const SEAL = createOpaqueSeal(Buffer.from('a secret of the tests'))
export const TARGET = 'server'

/** A conversation that says nothing but what is given. */
export function conversation(members: Partial<Conversation> = {}): Conversation {
  return {
    model: 'asked',
    stream: false,
    turns: [user('hello')],
    tools: [],
    reasoning: {},
    sampling: {},
    caching: {},
    wantsStreamUsage: false,
    extras: {},
    ...members,
  }
}

export function user(...parts: readonly (string | Turn['parts'][number])[]): Turn {
  return turn('user', parts)
}

export function assistant(...parts: readonly (string | Turn['parts'][number])[]): Turn {
  return turn('assistant', parts)
}

export function system(...texts: readonly string[]): Turn {
  return turn('system', texts)
}

function turn(role: Turn['role'], parts: readonly (string | Turn['parts'][number])[]): Turn {
  return {
    role,
    parts: parts.map((part) => (typeof part === 'string' ? { kind: 'text', text: part } : part)),
    extras: {},
  }
}

export function call(callId: string, name = 'weather', input = '{"city":"Riga"}'): Turn['parts'][number] {
  return { kind: 'tool-call', toolKind: 'function', callId, name, input }
}

export function result(callId: string, text: string, isError = false): Turn['parts'][number] {
  return { kind: 'tool-result', toolKind: 'function', callId, content: [{ kind: 'text', text }], isError }
}

export function tool(name: string, members: Partial<CallableTool> = {}): CallableTool {
  return { kind: 'function', name, parameters: { type: 'object', properties: {} }, extras: {}, ...members }
}

/** How a server is asked. */
export interface Ask {
  /** What the client spoke; Anthropic Messages unless given. */
  readonly client?: Dialect
  readonly isVendor?: boolean
  readonly model?: string
  readonly profile?: Partial<Profile>
}

/** The request a server gets, and what it does not. */
export function ask(
  members: Partial<Conversation>,
  { client = 'anthropic-messages', isVendor = false, model = 'a-model', profile: changes = {} }: Ask = {},
): { readonly body: JsonObject; readonly messages: readonly JsonObject[]; readonly dropped: readonly string[] } {
  const whole = conversation(members)
  const profile = { ...profileOf({ dialect: 'openai-chat', provider: TARGET, isVendor, model }), ...changes }
  const losses = createLosses(client)
  const bridge = createToolBridge(whole, profile)
  const body = openaiChat.writeRequest(whole, { model, target: TARGET, profile, bridge, losses })
  // What a server gets has passed through JSON.
  const sent = JSON.parse(JSON.stringify(body)) as JsonObject
  return { body: sent, messages: sent['messages'] as readonly JsonObject[], dropped: losses.fields }
}

/** The client's tools, as the target knows them. */
export function readingOf(tools: Conversation['tools'] = [], turns: readonly Turn[] = []): AnswerReading {
  const profile = profileOf({ dialect: 'openai-chat', provider: TARGET, isVendor: false, model: 'a-model' })
  return {
    answerId: 'a1',
    target: TARGET,
    model: 'a-model',
    bridge: createToolBridge(conversation({ tools, turns }), profile),
  }
}

/** How bytes are cut on their way. */
export type Cut = 'whole' | 'bytes'

export function eventsOf(sse: string, reading = readingOf(), cut: Cut = 'whole'): readonly AnswerEvent[] {
  const events: AnswerEvent[] = []
  const reader = openaiChat.createStreamReader(reading, (event) => events.push(event))
  const lines = createSseReader((event) => reader.event(event))
  const bytes = Buffer.from(sse)
  const size = cut === 'whole' ? bytes.length : 1
  for (let at = 0; at < bytes.length; at += size) lines.push(bytes.subarray(at, at + size))
  lines.end()
  reader.end()
  return events
}

/** The bytes of a stream of these chunks; `[DONE]` follows unless it broke off. */
export function streamOf(chunks: readonly (JsonObject | string)[], { isBroken = false } = {}): string {
  const lines = chunks.map((chunk) => `data: ${typeof chunk === 'string' ? chunk : JSON.stringify(chunk)}\n\n`)
  return lines.join('') + (isBroken ? '' : 'data: [DONE]\n\n')
}

/** A chunk with one delta of the first choice. */
export function delta(members: JsonObject, finishReason: string | null = null, more: JsonObject = {}): JsonObject {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    model: 'served',
    choices: [{ index: 0, delta: members, finish_reason: finishReason }],
    ...more,
  }
}

/** A delta of a call. */
export function fragment(index: number | undefined, text: string | undefined, id?: string, name?: string): JsonObject {
  return delta({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: text } }] })
}

/** The whole answer of a stream that ended properly. */
export function answerOf(events: readonly AnswerEvent[]): Answer {
  const fold = createAnswerFold()
  for (const event of events) fold.add(event)
  if (fold.answer === undefined) throw new Error(`no answer, but ${JSON.stringify(events.at(-1))}`)
  return fold.answer
}

/** Events as one line each, for comparing their order. */
export function outline(events: readonly AnswerEvent[]): readonly string[] {
  return events.map((event) => {
    switch (event.type) {
      case 'block':
        return event.block.kind === 'tool-call' ? `call ${event.block.name} ${event.block.callId}` : event.block.kind
      case 'delta':
        return `+${event.text}`
      case 'end':
        return `end ${event.stop.reason}`
      default:
        return event.type
    }
  })
}

export function writingOf(
  request: JsonObject = {},
  members: Partial<Conversation> = {},
): AnswerWriting & { readonly losses: { readonly fields: readonly string[] } } {
  return {
    answerId: 'a1',
    model: 'asked',
    createdAtS: 1_760_000_000,
    seal: SEAL,
    request,
    estimateInput: () => 42,
    conversation: conversation(members),
    losses: createLosses('openai-chat'),
  }
}

/** The stream a client gets. */
export function written(events: readonly AnswerEvent[], writing = writingOf()): string {
  const writer = openaiChat.createStreamWriter(writing)
  return events.map((event) => writer.write(event)).join('')
}

/** What the official SDK adds a stream up to, less what it parses by itself. @throws its error for a stream that ends in one */
export async function judged(sse: string): Promise<OpenAI.ChatCompletion> {
  const client = new OpenAI({
    apiKey: 'none',
    maxRetries: 0,
    fetch: async () => new Response(sse, { headers: { 'content-type': 'text/event-stream' } }),
  })
  const whole = await client.chat.completions.stream({ model: 'asked', messages: [] }).finalChatCompletion()
  return JSON.parse(
    JSON.stringify(whole, (name, value) => (name === 'parsed' ? undefined : value)),
  ) as OpenAI.ChatCompletion
}
