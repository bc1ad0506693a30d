/**
 * What a test asks of an SDK, whichever it is. Each SDK has a file beside this one that does it in that SDK's own words.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Dialect } from '../../src/dialects/dialect.ts'

/** An SDK set up for one dialect, pointed at a facade. */
export interface SdkClient {
  /**
   * Puts a question and runs its tool until there is an answer. Nothing is asked twice.
   * @throws the SDK's own errors
   */
  ask(question: Question): Promise<Answer>
  /** One vector for each text; absent where the SDK has none for this dialect. */
  readonly embed?: (texts: readonly string[]) => Promise<readonly (readonly number[])[]>
}

/** What an SDK does not do, whichever server it asks. */
export type SdkLimit =
  /** It reads no schema's answer from a stream. */
  | 'streamed schema'
  /** It counts the tokens of a stream wrongly. */
  | 'streamed usage'
  /** It takes an answer that the server says has failed for a short one. */
  | 'failed stream'
  /** It says that a stream failed, but not why. */
  | 'failed stream, reason'

/** How to set up an SDK, and how it is known to behave. */
export interface SdkSetup {
  /** As its users call it, with what is chosen of it. */
  readonly name: string
  readonly dialect: Dialect
  readonly limits?: readonly SdkLimit[]
  /** What it does with the model's reasoning: hands it out, or gives it back in the next turn too. */
  readonly reasoning: 'ignored' | 'shown' | 'returned'
  readonly hasEmbeddings?: boolean
  connect(facadeUrl: string): SdkClient
  /** Reads an error that `ask` threw. */
  readError(error: unknown): SdkError
  /** What it makes of a provider that is busy, and of a conversation too long for the model. */
  readonly busy: string
  readonly tooLong: string
}

/** An SDK's own error. */
export interface SdkError {
  /** The SDK's word for it. */
  readonly kind: string
  readonly message: string
  readonly status: number | undefined
  readonly retryAfter: string | undefined
}

/** What is thrown and is no error of the server's, in the form of one. */
export function otherError(error: unknown): SdkError {
  const message = error instanceof Error ? error.message : JSON.stringify(error)
  return { kind: 'other', message, status: undefined, retryAfter: undefined }
}

/** One question to a model. */
export interface Question {
  readonly prompt: string
  readonly isStreamed: boolean
  /** A PNG in base64. */
  readonly picture?: string
  readonly tool?: SdkTool
  /** Asks for an object with a `name` and an `age` in place of text. */
  readonly wantsPerson?: boolean
  readonly signal?: AbortSignal
  /** Hears each piece of a streamed text as it arrives. */
  readonly onPiece?: (text: string) => void
}

/** A tool with one argument, `place`. */
export interface SdkTool {
  readonly name: string
  readonly description: string
  run(place: string): string
}

/** What the SDK handed out in the end. */
export interface Answer {
  readonly text: string
  /** Of every turn, in order; empty if it showed none. */
  readonly reasoning: readonly string[]
  /** Of the last turn. */
  readonly usage: SdkUsage
  readonly person?: unknown
}

/** Tokens of one turn. */
export interface SdkUsage {
  readonly inputTokens: number | undefined
  readonly cachedInputTokens: number | undefined
  readonly outputTokens: number | undefined
}

/** The key every SDK is given. */
export const CLIENT_KEY = 'sk-of-the-client'

const INSTALLED_IN = process.env['TOK_CLIENTS']

/**
 * Loads a package that scripts/test-clients.ts installed. They are not among the repository's own, so `Module` says of
 * each no more than what is called.
 */
export function loadSdk<Module>(name: string): Module {
  if (INSTALLED_IN === undefined) throw new Error('TOK_CLIENTS names no folder: run this by "npm run test:clients"')
  return createRequire(join(INSTALLED_IN, 'package.json'))(name) as Module
}

interface Zod {
  object(shape: Readonly<Record<string, object>>): object
  string(): object
  int(): object
}

const zod = loadSdk<Zod>('zod')

/** The schema of the person that `wantsPerson` asks for. */
export const PERSON_SCHEMA = zod.object({ name: zod.string(), age: zod.int() })

/** The schema of a tool's arguments. */
export const PLACE_SCHEMA = zod.object({ place: zod.string() })
