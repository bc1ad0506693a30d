/**
 * What each dialect gives to translation: a reader and a writer each of requests, whole replies and streams. translate.ts
 * puts them together; they know the hub and their own dialect only.
 */
import type { JsonObject } from '../json-value.ts'
import type { Profile } from '../profiles.ts'
import type { SseEvent } from '../sse.ts'
import type { Answer, AnswerEvent, AnswerListener } from './answer.ts'
import type { Conversation } from './conversation.ts'
import type { Losses } from './losses.ts'
import type { OpaqueSeal } from './opaque-state.ts'
import type { ToolBridge } from './tool-bridge.ts'

export interface RequestReading {
  /** Opens what this node sealed into an earlier answer. */
  readonly seal: OpaqueSeal
  readonly losses: Losses
}

export interface RequestWriting {
  /** The name to ask for. */
  readonly model: string
  /** The target: opaque state of another one is not given to it. */
  readonly target: string
  readonly profile: Profile
  readonly bridge: ToolBridge
  readonly losses: Losses
}

export interface AnswerReading {
  /** Lower-case letters and digits, its own for every answer: call ids that the target forgot are made of it. */
  readonly answerId: string
  readonly target: string
  /** The model that was asked for there. */
  readonly model: string
  /** Gives tools their names, kinds and inputs back. */
  readonly bridge: ToolBridge
}

export interface AnswerWriting {
  /** Lower-case letters and digits, its own for every answer: ids of the answer and its items are made of it. */
  readonly answerId: string
  /** The model as the client asked for it. */
  readonly model: string
  readonly createdAtS: number
  readonly seal: OpaqueSeal
  /** What the client sent, for dialects whose answers repeat it. Without what was said. */
  readonly request: JsonObject
  /** This node's own count of the whole request's tokens, for clients that need one where the provider gives none. */
  estimateInput(): number
  readonly conversation: Conversation
  /** What an answer held and the dialect cannot say; too late for a header of a stream, but counted. */
  readonly losses: Losses
}

/** Takes a stream's events and ends it. */
export interface StreamReader {
  event(event: SseEvent): void
  /** The bytes are over. Emits `error` unless the answer had come to its proper end; nothing after `end` or `error`. */
  end(): void
}

/** Turns events into the text of server-sent events; "" for one that shows nothing. */
export interface StreamWriter {
  write(event: AnswerEvent): string
}

/** One dialect. Nothing here throws but TokError: `body_malformed` for what cannot be read, `translation_refused` for what cannot be said. */
export interface DialectTranslation {
  readRequest(body: JsonObject, reading: RequestReading): Conversation
  writeRequest(conversation: Conversation, writing: RequestWriting): JsonObject
  /** Headers without which the dialect's vendor refuses what such a request holds. */
  requestHeaders?(request: JsonObject): Readonly<Record<string, string>>
  readReply(reply: JsonObject, reading: AnswerReading): Answer
  writeReply(answer: Answer, writing: AnswerWriting): JsonObject
  createStreamReader(reading: AnswerReading, emit: AnswerListener): StreamReader
  createStreamWriter(writing: AnswerWriting): StreamWriter
}
