/**
 * Plain HTTP for tests: exactly the given bytes and headers out, exactly what came in back.
 */
import { request, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'

/** What to send. POST if there is a body, otherwise GET, unless said otherwise. */
export interface HttpQuestion {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is; an object goes as JSON with its content type. */
  readonly body?: string | Uint8Array | object
}

/** An answer, whole. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** The body as text, and as JSON. */
  text(): string
  json(): unknown
}

/** Sends a request and reads the whole answer. Rejects if either breaks off. */
export function exchange(url: string, question: HttpQuestion = {}): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = open(url, question, (incoming) => {
      const pieces: Buffer[] = []
      incoming.on('data', (piece: Buffer) => pieces.push(piece))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const body = Buffer.concat(pieces)
        const text = (): string => body.toString('utf8')
        const json = (): unknown => JSON.parse(text())
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body, text, json })
      })
    })
    outgoing.on('error', reject)
  })
}

/** Sends a request and hands over its answer unread. The request's errors are the caller's to await. */
export function open(
  url: string,
  question: HttpQuestion,
  onAnswer: (incoming: IncomingMessage) => void,
): ClientRequest {
  const { body } = question
  const isPlain = body === undefined || typeof body === 'string' || body instanceof Uint8Array
  const bytes = isPlain ? Buffer.from(body ?? '') : Buffer.from(JSON.stringify(body))
  const method = question.method ?? (body === undefined ? 'GET' : 'POST')
  const isChunked = question.headers?.['transfer-encoding'] !== undefined
  const headers = {
    ...(isPlain ? {} : { 'content-type': 'application/json' }),
    ...(body === undefined || isChunked ? {} : { 'content-length': String(bytes.length) }),
    ...question.headers,
  }
  const outgoing = request(url, { method, headers }, onAnswer)
  outgoing.end(bytes)
  return outgoing
}

/** Waits until `condition` holds, looking every few ms. @throws Error after `timeoutMs` */
export async function until(condition: () => boolean, timeoutMs = 2_000): Promise<void> {
  const startedAtMs = performance.now()
  while (!condition()) {
    if (performance.now() - startedAtMs > timeoutMs)
      throw new Error(`not within ${timeoutMs} ms: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
