/**
 * A client that costs little: it shares the cores with what it measures. One request at a time on a raw socket, prepared bytes
 * out, and of the answer only its status, its end and its events are read.
 */
import { connect, type Socket } from 'node:net'

/** One answer, read to its end. */
export interface Answer {
  /** Server-sent events in it. */
  readonly events: number
  /** When its first body byte came, and its last. */
  readonly firstByteAtMs: number
  readonly endedAtMs: number
}

/** The bytes of a POST of JSON to `url`. */
export function prepareRequest(url: string, body: Uint8Array): Buffer {
  const { host, pathname } = new URL(url)
  const head =
    `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const END_OF_EVENT = Buffer.from('\n\n')
/** The last chunk of a chunked body. No event of the bench holds these bytes. */
const LAST_CHUNK = '0\r\n\r\n'

/** A keep-alive connection. */
export class HttpConnection {
  readonly #socket: Socket
  #onData: (bytes: Buffer) => void = () => undefined
  #onLost: (error: Error) => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#onData(bytes))
    socket.on('error', (error) => this.#onLost(error))
    socket.on('close', () => this.#onLost(new Error('the server closed the connection')))
  }

  static open(url: string): Promise<HttpConnection> {
    const { hostname, port } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port) })
    return new Promise((resolve, reject) => {
      socket.once('connect', () => resolve(new HttpConnection(socket)))
      socket.once('error', reject)
    })
  }

  /**
   * Sends a prepared request and reads its answer. `onEvents` is told how many events each read completed.
   * Rejects if the status is not 200, or the connection is lost.
   */
  exchange(request: Buffer, onEvents?: (count: number, atMs: number) => void): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let head: Buffer | undefined
      let isChunked = false
      let bytesLeft = 0
      let firstByteAtMs = 0
      let events = 0
      let tail = ''

      const readHead = (bytes: Buffer): Buffer | undefined => {
        head = head === undefined ? bytes : Buffer.concat([head, bytes])
        const end = head.indexOf(END_OF_HEAD)
        if (end === -1) return undefined
        const text = head.toString('latin1', 0, end).toLowerCase()
        const length = /\r\ncontent-length: (\d+)/.exec(text)?.[1]
        isChunked = length === undefined
        bytesLeft = Number(length ?? 0)
        if (!text.startsWith('http/1.1 200 ')) reject(new Error(`the answer is ${text.split('\r\n')[0]}`))
        return head.subarray(end + END_OF_HEAD.length)
      }

      const readBody = (bytes: Buffer, atMs: number): void => {
        if (bytes.length === 0) return
        if (firstByteAtMs === 0) firstByteAtMs = atMs
        bytesLeft -= bytes.length
        const completed = countEvents(bytes, tail.endsWith('\n'))
        events += completed
        if (completed > 0) onEvents?.(completed, atMs)
        tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - LAST_CHUNK.length))).slice(
          -LAST_CHUNK.length,
        )
        if (isChunked ? tail === LAST_CHUNK : bytesLeft <= 0) resolve({ events, firstByteAtMs, endedAtMs: atMs })
      }

      let isInBody = false
      this.#onLost = reject
      this.#onData = (bytes) => {
        const atMs = performance.now()
        if (isInBody) {
          readBody(bytes, atMs)
          return
        }
        const rest = readHead(bytes)
        if (rest === undefined) return
        isInBody = true
        readBody(rest, atMs)
      }
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#onLost = () => undefined
    this.#socket.destroy()
  }
}

/** Events that `bytes` complete; `afterLineEnd` says whether the byte before them ended a line. */
function countEvents(bytes: Buffer, afterLineEnd: boolean): number {
  let count = afterLineEnd && bytes[0] === 0x0a ? 1 : 0
  for (let at = bytes.indexOf(END_OF_EVENT); at !== -1; at = bytes.indexOf(END_OF_EVENT, at + END_OF_EVENT.length))
    count += 1
  return count
}
