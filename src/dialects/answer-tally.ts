/**
 * What is known of an answer so far: the one thing that the readers of all dialects fill in.
 */
import { asText, type JsonObject } from './json-value.ts'

/**
 * Token counts as the provider reported them; undefined is unknown, never 0. `inputTokens` is the total:
 * tokens read from a cache and written to one are part of it, as reasoning is part of `outputTokens`.
 */
export interface TokenUsage {
  readonly inputTokens: number | undefined
  readonly cachedInputTokens: number | undefined
  readonly cacheWriteTokens: number | undefined
  readonly outputTokens: number | undefined
  readonly reasoningTokens: number | undefined
}

/** Why an answer ended. Undefined elsewhere means that it has not ended properly. */
export type AnswerFinish = 'complete' | 'length' | 'tool_calls' | 'refusal' | 'error'

/** Where a stream of the Responses dialect stands; an error event that ends it goes on from here. */
export interface StreamPosition {
  readonly answerId: string | undefined
  readonly nextSequenceNumber: number
}

/** The running account of one answer. Written by the reader of its dialect only. */
export interface AnswerTally {
  textBytes: number
  usage: TokenUsage
  model: string | undefined
  finish: AnswerFinish | undefined
  errorMessage: string | undefined
  position: StreamPosition
}

/** Reads the answers of one endpoint into a tally. */
export interface AnswerReader {
  /** One event of a stream. */
  event(value: JsonObject): void
  /** The stream's `[DONE]`. */
  done(): void
  /** A whole answer. */
  whole(value: JsonObject): void
}

/** Usage of which nothing is known. */
export const UNKNOWN_USAGE: TokenUsage = {
  inputTokens: undefined,
  cachedInputTokens: undefined,
  cacheWriteTokens: undefined,
  outputTokens: undefined,
  reasoningTokens: undefined,
}

/** A tally of nothing yet. */
export function createAnswerTally(): AnswerTally {
  return {
    textBytes: 0,
    usage: UNKNOWN_USAGE,
    model: undefined,
    finish: undefined,
    errorMessage: undefined,
    position: { answerId: undefined, nextSequenceNumber: 0 },
  }
}

/** UTF-8 bytes of a value if it is text, otherwise 0. A lone surrogate counts as U+FFFD, 3 bytes. */
export function textBytesOf(value: unknown): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : 0
}

/** Notes the failure an answer carries: `{message}`, or whatever a server that knows no better says. */
export function noteError(tally: AnswerTally, error: unknown): void {
  tally.finish = 'error'
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : error
  tally.errorMessage = asText(message) ?? JSON.stringify(error)
}
