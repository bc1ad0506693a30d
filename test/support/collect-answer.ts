/**
 * Asking an answer source in a test, and keeping everything it tells.
 */
import type { TokError } from '../../src/base/errors.ts'
import { ENDPOINTS, type Endpoint } from '../../src/dialects/dialect.ts'
import type { AnswerHead, AnswerSource, Exchange, ModelRequest } from '../../src/dialects/exchange.ts'
import { skimRequest } from '../../src/dialects/skim-request.ts'

/** An answer as it came. */
export interface CollectedAnswer {
  readonly head: AnswerHead | undefined
  /** The pieces, as `onData` got them. */
  readonly pieces: Uint8Array[]
  readonly exchange: Exchange
  /** Resolves with the end: undefined if it was proper, otherwise the failure. */
  readonly ended: Promise<TokError | undefined>
  text(): string
}

/** A request to `endpoint` with `body` as JSON. */
export function modelRequest(
  endpoint: Endpoint,
  body: Readonly<Record<string, unknown>>,
  more: Partial<ModelRequest> = {},
): ModelRequest {
  const bytes = Buffer.from(JSON.stringify(body))
  const { model, stream } = skimRequest(bytes)
  const { dialect } = ENDPOINTS[endpoint]
  return {
    requestId: 'req-test',
    endpoint,
    dialect,
    model,
    requestedModel: model,
    stream,
    query: '',
    headers: {},
    body: bytes,
    ...more,
  }
}

/** Sends the request and collects the answer. `onPiece` decides whether to go on; without it, always. */
export function collectAnswer(
  source: AnswerSource,
  request: ModelRequest,
  onPiece: () => boolean = () => true,
): CollectedAnswer {
  let settle: (error: TokError | undefined) => void = () => undefined
  const ended = new Promise<TokError | undefined>((resolve) => {
    settle = resolve
  })
  const pieces: Uint8Array[] = []
  let head: AnswerHead | undefined
  const exchange = source.send(request, {
    onHead: (given) => {
      head = given
    },
    onData: (bytes) => {
      pieces.push(bytes)
      return onPiece()
    },
    onEnd: () => settle(undefined),
    onFailure: settle,
  })
  return {
    get head() {
      return head
    },
    pieces,
    exchange,
    ended,
    text: () => Buffer.concat(pieces).toString('utf8'),
  }
}

/** A `fetch` for the official SDKs that asks `source` instead of the web. */
export function fetchFrom(source: AnswerSource): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const body = JSON.parse(String(init?.body)) as Record<string, unknown>
    const request = modelRequest(endpointOf(url.pathname), body, { query: url.search })
    const answer = collectAnswer(source, request)
    const failure = await answer.ended
    if (failure !== undefined) throw failure
    return new Response(answer.text(), { status: answer.head?.status ?? 0, headers: answer.head?.headers ?? {} })
  }
}

function endpointOf(path: string): Endpoint {
  const found = Object.entries(ENDPOINTS).find(([, entry]) => entry.path === path)
  if (found === undefined) throw new Error(`no endpoint at ${path}`)
  return found[0] as Endpoint
}
