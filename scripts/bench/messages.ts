/**
 * What the bench's processes say to each other. Times are ms of the one who measured, so only differences mean anything.
 */

/** A server of the bench: where it listens. */
export interface Listening {
  readonly url: string
}

/** A request of the generator. */
export interface LoadRequest {
  readonly model: string
  /** About so many bytes of JSON, shaped like an agent's request. */
  readonly bodyBytes: number
}

/** The model that answers at once with some 500 bytes of JSON. */
export const WHOLE_MODEL = 'bench-json'

/** Streams of the fake provider: their model names say how many events of one token, and the ms between them. */
export const STREAMS = {
  /** For the CPU of an event: each comes alone. */
  brisk: { model: 'bench-sse-100-5', tokens: 100 },
  /** For the first token, which comes alone. */
  first: { model: 'bench-sse-5-2', tokens: 5 },
  /** 50 tokens a second for 8 and 30 s. */
  short: { model: 'bench-sse-400-20', tokens: 400 },
  long: { model: 'bench-sse-1500-20', tokens: 1_500 },
} as const

/** What the fake provider reports as input of every request, in tokens. */
export const INPUT_TOKENS = 100

/** Events of a stream beside its tokens: the one with the finish reason and usage, and `[DONE]`. */
export const CLOSING_EVENTS = 2

/** What the generator is asked to do. Every answer is checked; one that is wrong or cut fails the job. */
export type LoadJob =
  /** Requests at fixed times, whatever the answers do. */
  | ({ readonly kind: 'steady'; readonly url: string } & LoadRequest & {
        readonly connections: number
        readonly perSecond: number
        readonly durationMs: number
      })
  /** The next request as soon as an answer is here. */
  | ({ readonly kind: 'flat-out'; readonly url: string } & LoadRequest & {
        readonly connections: number
        readonly durationMs: number
      })
  /** Streams, one after the other on each connection. */
  | ({ readonly kind: 'streams'; readonly url: string } & LoadRequest & {
        readonly connections: number
        readonly streamsPerConnection: number
        /** Connections begin spread over so long. */
        readonly spreadMs: number
      })
  /** One stream at a time, from each address in turn. */
  | ({ readonly kind: 'first-token'; readonly urls: readonly string[] } & LoadRequest & { readonly count: number })

/** What a job found out. */
export interface LoadResult {
  readonly answers: number
  readonly elapsedMs: number
  /** CPU that the generator itself used, in ms. */
  readonly cpuMs: number
  /** From the moment a request was due to the end of its answer; of a stream to its first event. By address. */
  readonly latenciesMs: readonly (readonly number[])[]
  /** Of streams: events, and the time between one and the next on the same stream. */
  readonly events: number
  readonly gaps: Gaps
}

export interface Gaps {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Gaps of LATE_MS or more. */
  readonly late: number
}

/** A part that comes later than this after the one before it is late, in ms. */
export const LATE_MS = 100
