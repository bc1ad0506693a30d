/**
 * One request to a model and its answer, as every source of answers takes and gives it: a provider over
 * HTTP, the built-in loopback model, a seller on the network. The facade and a seller's node are its two
 * readers. Bytes pass through unchanged; nothing here parses a body.
 */
import type { TokError } from '../base/errors.ts'
import type { TokenUsage } from './answer-tally.ts'
import type { Dialect, Endpoint } from './dialect.ts'

/** A request, ready to be sent in its own dialect. */
export interface ModelRequest {
  /** The id in logs, headers and the journal. */
  readonly requestId: string
  readonly endpoint: Endpoint
  readonly dialect: Dialect
  /** The model to ask for at the target; `body` already names it. */
  readonly model: string
  /** The model as the client named it, before aliases and routes. */
  readonly requestedModel: string
  readonly stream: boolean
  /** The query as the client sent it, with its "?", or "". Never a credential. */
  readonly query: string
  /** The client's headers that may travel (dialects/headers.ts), lower-case names. Never a credential. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The failed request that the client repeats with this one. */
  readonly retryOf?: string | undefined
}

/** Status and headers of an answer. Header names are lower-case; only those a client may see. */
export interface AnswerHead {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Takes an answer as it comes. Order: `onHead` once, `onData` any number of times, then exactly one of
 * `onEnd` and `onFailure`. `onFailure` without `onHead` means nothing was answered.
 */
export interface AnswerSink {
  onHead(head: AnswerHead): void
  /** Returns false to ask for a pause; the sink calls `resume()` of the exchange when it wants more. */
  onData(bytes: Uint8Array): boolean
  /**
   * Told of a translated answer, where the bytes may show a client this node's own estimate: what the provider said of its
   * tokens so far. May come at any time between `onHead` and the end; the last one counts.
   */
  onUsage?(usage: TokenUsage): void
  onEnd(): void
  onFailure(error: TokError): void
}

/** A request under way. All three may be called at any time; after the end they do nothing. */
export interface Exchange {
  /** Asks for more after `onData` returned false. */
  resume(): void
  /** Stops the inference within a second. The sink still gets its `onFailure`, with this error. */
  abort(error: TokError): void
}

/** Anything that answers model requests. */
export interface AnswerSource {
  /** The name in `x-tok-target`, logs and the journal. */
  readonly name: string
  /** Starts the request. Never throws: every failure goes to the sink. */
  send(request: ModelRequest, sink: AnswerSink): Exchange
}
