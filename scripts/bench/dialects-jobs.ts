/**
 * What the processes of the dialects' bench say to each other, and the names of the models that they ask for.
 */
import type { Dialect } from '../../src/dialects/dialect.ts'

/** An agent's request has about so many bytes. */
export const AGENT_BODY_BYTES = 60_000

/** How a model of the bench answers: whole, or in so many tokens with so many ms between them. */
export type Pace = 'whole' | { readonly tokens: number; readonly intervalMs: number }

/** A model's name says in which dialect its server speaks, and how it answers. */
export function modelNamed(dialect: Dialect, pace: Pace): string {
  return `bench-${dialect}-${pace === 'whole' ? pace : `sse-${pace.tokens}-${pace.intervalMs}`}`
}

/** How the model named in a request's body answers; undefined for no model of the bench. */
export function paceIn(body: Buffer): Pace | undefined {
  const at = body.indexOf('"model":"')
  const name = body.toString('latin1', at, at + 100)
  const [, pace, tokens, intervalMs] = /^"model":"bench-[a-z-]+-(whole|sse)(?:-(\d+)-(\d+))?"/.exec(name) ?? []
  if (pace === 'whole') return pace
  return pace === 'sse' ? { tokens: Number(tokens), intervalMs: Number(intervalMs) } : undefined
}

/** A clock that all processes of a machine share, in ms. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** One request that may be sent again and again. */
export interface Question {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** JSON. */
  readonly body: string
}

/** What the load is asked to do. An answer that is cut, or has fewer than `eventsMin` events, fails the job. */
export type DialectLoad =
  /** The next request as soon as an answer is here. */
  | {
      readonly kind: 'flat-out'
      readonly question: Question
      readonly connections: number
      readonly durationMs: number
    }
  /** Streams of every question, one after the other on each connection. */
  | {
      readonly kind: 'streams'
      readonly questions: readonly Question[]
      readonly connections: number
      readonly streamsPerConnection: number
      readonly eventsMin: number
    }
  /** One stream at a time, of each question in turn. */
  | {
      readonly kind: 'one-by-one'
      readonly questions: readonly Question[]
      readonly rounds: number
      readonly eventsMin: number
    }

export interface DialectLoadResult {
  readonly answers: number
  readonly elapsedMs: number
  /** Of 'one-by-one': when the first byte of each answer came, by the shared clock, in the order they were asked. */
  readonly firstBytesAtMs: readonly number[]
}

/** The provider is asked for this. */
export interface FirstWrites {
  /** When the first byte of each stream since the last question was written, by the shared clock. */
  readonly firstWritesAtMs: readonly number[]
}
