/**
 * A WebSocket client of `/v1/responses` for tests: frames out, frames back, whatever they hold.
 */
import { once } from 'node:events'
import { WebSocket, type ClientOptions } from 'ws'

/** One frame of the node. */
export type Frame = Readonly<Record<string, unknown>> & { readonly type: string }

/** An open connection. */
export interface FrameClient {
  readonly socket: WebSocket
  /** Every frame so far. */
  readonly frames: readonly Frame[]
  /** Sends an object as JSON, a string as it is. */
  send(frame: object | string): void
  /** Sends a `response.create` and gives the frames it is answered with, the last one included. */
  create(request: object): Promise<readonly Frame[]>
  /** The next frame of an answer's end, or an error. */
  ended(): Promise<Frame>
  /** The code the connection was closed with. */
  readonly closed: Promise<number>
}

const LAST = new Set(['response.completed', 'response.incomplete', 'response.failed', 'error'])

/** Connects to the facade at `url`. Rejects if the handshake is refused. */
export async function openFrames(url: string, options: ClientOptions = {}): Promise<FrameClient> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/responses`, options)
  const frames: Frame[] = []
  const waiting: (() => void)[] = []
  let handedOut = 0
  const closed = new Promise<number>((resolve) => {
    socket.on('close', (code) => resolve(code))
  })
  socket.on('message', (data) => {
    frames.push(JSON.parse(String(data)) as Frame)
    for (const wake of waiting.splice(0)) wake()
  })
  await once(socket, 'open')
  const client: FrameClient = {
    socket,
    frames,
    closed,
    send: (frame) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    async create(request) {
      const start = handedOut
      client.send({ type: 'response.create', ...request })
      await client.ended()
      return frames.slice(start, handedOut)
    },
    async ended() {
      for (;;) {
        const index = frames.findIndex(({ type }, at) => at >= handedOut && LAST.has(type))
        if (index !== -1) {
          handedOut = index + 1
          return frames[index]!
        }
        await Promise.race([
          new Promise<void>((resolve) => waiting.push(resolve)),
          closed.then((code) => Promise.reject(new Error(`closed with ${code}`))),
        ])
      }
    },
  }
  return client
}
