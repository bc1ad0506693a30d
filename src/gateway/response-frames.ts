/**
 * An answer's way out over a WebSocket: the events of its stream become text frames, one each; anything else an error frame.
 * Source: the ResponseWsError type of the `openai` SDK, and what Codex reads of it.
 */
import { Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { asText, isObject, parseObject } from '../dialects/json-value.ts'
import { createSseReader, type SseReader } from '../dialects/sse.ts'
import type { AnswerOutlet } from './answer-writer.ts'

/** Bytes on their way to a client above which the provider waits, and down to which it does. */
const BUFFERED_MAX = 262_144
const ERROR_BYTES_MAX = 1_048_576
const LAST_EVENT = /"type"\s*:\s*"response\.(?:completed|incomplete|failed)"/

/** One answer as frames on one connection, which outlives it. */
export class FrameOutlet extends Writable implements AnswerOutlet {
  /** True once the client has the last event: it may ask again, though the provider's stream has not ended yet. */
  isAnswered = false
  readonly #socket: WebSocket
  #status = 200
  #headers: Readonly<Record<string, string | number>> = {}
  #events: SseReader | undefined
  #errorParts: Buffer[] = []
  #errorBytes = 0
  /** Set while the client is slower than the answer. */
  #proceed: (() => void) | undefined

  constructor(socket: WebSocket) {
    super()
    this.#socket = socket
  }

  writeHead(status: number, headers: Readonly<Record<string, string | number>>): void {
    this.#status = status
    this.#headers = headers
    if (!String(headers['content-type']).startsWith('text/event-stream')) return
    this.#events = createSseReader(({ data }) => {
      if (!data.startsWith('{')) return
      this.#send(data)
      this.isAnswered ||= LAST_EVENT.test(data)
    })
  }

  flushHeaders(): void {
    // A frame is sent for each event, and there is no head to send before them.
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    if (this.#events === undefined) {
      this.#errorBytes += bytes.length
      if (this.#errorBytes <= ERROR_BYTES_MAX) this.#errorParts.push(bytes)
      callback()
      return
    }
    this.#events.push(bytes)
    if (this.#events.overflowed) callback(new Error('an event is too long'))
    else if (this.#socket.bufferedAmount <= BUFFERED_MAX) callback()
    else this.#proceed = callback
  }

  override _final(callback: () => void): void {
    if (this.#events === undefined) this.#send(this.#errorFrame())
    else this.#events.end()
    callback()
  }

  /** An answer that ends without its end leaves a client that cannot tell, unless the connection ends with it. */
  override _destroy(_error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.writableFinished && !this.isAnswered) this.#socket.close(1011, 'the answer broke off')
    callback()
  }

  #send(text: string): void {
    this.#socket.send(text, { compress: false }, () => {
      if (this.#proceed === undefined || this.#socket.bufferedAmount > BUFFERED_MAX) return
      const proceed = this.#proceed
      this.#proceed = undefined
      proceed()
    })
  }

  #errorFrame(): string {
    const text = Buffer.concat(this.#errorParts).toString('utf8')
    const told = parseObject(text)?.['error']
    const isError = this.#status >= 400
    const status = isError ? this.#status : 502
    const message = isError ? (asText(text) ?? `status ${status}`) : 'the model answered without a stream'
    const error = isObject(told) ? told : { type: 'server_error', code: null, message, param: null }
    const headers = Object.entries(this.#headers).filter(([name]) => !name.startsWith('content-'))
    return errorFrame(status, error, Object.fromEntries(headers))
  }
}

/** A frame that says that a request failed, as an HTTP answer of that status would. */
export function errorFrame(status: number, error: object, headers: Readonly<Record<string, string | number>>): string {
  return JSON.stringify({ type: 'error', status, error, headers })
}
