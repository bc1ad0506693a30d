/**
 * `/v1/responses` over WebSocket: requests come as `response.create` frames, one at a time on a connection, and are served
 * as those over HTTP are. What a connection answered last it remembers, so that a client goes on with the new items alone.
 * Source: developers.openai.com/api/docs/guides/websocket-mode; Codex, which closes a connection it cannot use.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import type { Clock } from '../base/clock.ts'
import { TokError, toTokError } from '../base/errors.ts'
import { errorReply } from '../dialects/error-reply.ts'
import { asObject, isObject, parseObject, type JsonObject } from '../dialects/json-value.ts'
import { skimRequest } from '../dialects/skim-request.ts'
import { checkCaller } from './check-caller.ts'
import { normaliseUrl } from './normalise-url.ts'
import type { InferenceRelay } from './relay-inference.ts'
import { errorFrame, FrameOutlet } from './response-frames.ts'
import { LOCAL_OWNER, type ResponseMemory, type ResponseState } from './response-state.ts'
import type { StoredResponse } from './response-store.ts'

/** What the WebSocket side works with. */
export interface ResponseWebSocketDependencies {
  readonly relay: InferenceRelay
  readonly state: ResponseState
  readonly clock: Clock
  readonly logger: Logger
}

/** How long a connection may be silent. */
export interface WebSocketTimes {
  /** Between two pings; a client that answered none of them meanwhile is gone. */
  readonly pingMs: number
  /** A connection without a request for this long is closed. */
  readonly idleMs: number
}

/** Its limits. */
export interface ResponseWebSocketOptions extends WebSocketTimes {
  readonly bodyLimitBytes: number
  /** Whether the node listens on loopback only. */
  readonly boundToLoopback: boolean
}

/** The open connections. */
export interface ResponseWebSocket {
  /** Closes connections as they come to rest. */
  drain(): void
  /** Ends all that are left, at once. */
  close(): void
}

const PATH = '/v1/responses'
const CONNECTIONS_MAX = 256
/** Bytes of refusals and of an answer that a client may leave unread. */
const UNREAD_MAX = 1_048_576
/** Answers a connection goes on from: the last one, and the one before, from which a client may try again. */
const REMEMBERED = 2

/** True for requests that open such a connection; any other with an `Upgrade` header is an ordinary request. */
export function isResponseUpgrade({ method, url = '', headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && pathOf(normaliseUrl(url)) === PATH
}

/** Takes connections from `server`, whose `shouldUpgradeCallback` is `isResponseUpgrade`. */
export function serveResponseWebSocket(
  server: Server,
  dependencies: ResponseWebSocketDependencies,
  options: ResponseWebSocketOptions,
): ResponseWebSocket {
  const connections = new Set<Connection>()
  let isDraining = false
  const acceptor = new WebSocketServer({
    noServer: true,
    maxPayload: options.bodyLimitBytes,
    clientTracking: false,
    // What comes in may be packed; what goes out is not: a packer costs memory on every connection, for loopback.
    perMessageDeflate: { concurrencyLimit: 4, serverNoContextTakeover: true, clientNoContextTakeover: true },
  })

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    try {
      checkCaller(request.headers, options.boundToLoopback)
      // Only under a Node that cannot tell upgrades apart.
      if (!isResponseUpgrade(request)) throw new TokError('websocket_unsupported')
      if (isDraining) throw new TokError('node_stopping')
      if (connections.size >= CONNECTIONS_MAX) {
        throw new TokError('limit_exceeded', { limit: CONNECTIONS_MAX, what: 'WebSocket connections' })
      }
    } catch (thrown) {
      refuse(socket, toTokError(thrown))
      return
    }
    acceptor.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = new Connection(webSocket, request, dependencies, options, () => connections.delete(connection))
      connections.add(connection)
    })
  })

  return {
    drain() {
      isDraining = true
      for (const connection of connections) connection.drain()
    },
    close() {
      isDraining = true
      for (const connection of connections) connection.terminate()
    },
  }
}

class Connection {
  readonly #socket: WebSocket
  readonly #headers: IncomingHttpHeaders
  readonly #url: string
  readonly #dependencies: ResponseWebSocketDependencies
  readonly #options: ResponseWebSocketOptions
  readonly #memory = createMemory()
  /** The answer under way. */
  #outlet: FrameOutlet | undefined
  #isBusy = false
  #isDraining = false
  #isAlive = true
  #cancelPing: () => void = () => undefined
  #cancelIdle: () => void = () => undefined

  constructor(
    socket: WebSocket,
    { headers, url = '' }: IncomingMessage,
    dependencies: ResponseWebSocketDependencies,
    options: ResponseWebSocketOptions,
    onClosed: () => void,
  ) {
    this.#socket = socket
    this.#headers = headersOfFrames(headers)
    this.#url = url
    this.#dependencies = dependencies
    this.#options = options
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary))
    socket.on('pong', () => {
      this.#isAlive = true
    })
    socket.on('error', (error) => {
      dependencies.logger.debug({ reason: error.message }, 'a WebSocket broke')
    })
    socket.on('close', () => {
      this.#cancelPing()
      this.#cancelIdle()
      this.#outlet?.destroy()
      onClosed()
    })
    this.#pingLater()
    this.#rest()
  }

  drain(): void {
    this.#isDraining = true
    if (!this.#isBusy) this.#socket.close(1001, 'the node is stopping')
  }

  terminate(): void {
    this.#socket.terminate()
  }

  #pingLater(): void {
    this.#cancelPing = this.#dependencies.clock.after(this.#options.pingMs, () => {
      if (!this.#isAlive) {
        this.#socket.terminate()
        return
      }
      this.#isAlive = false
      this.#socket.ping()
      this.#pingLater()
    })
  }

  /** Between two requests. */
  #rest(): void {
    this.#isBusy = false
    this.#outlet = undefined
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (this.#isDraining) {
      this.drain()
      return
    }
    const close = (): void => this.#socket.close(1000, 'no request for a long time')
    this.#cancelIdle = this.#dependencies.clock.after(this.#options.idleMs, close)
  }

  #free(outlet: FrameOutlet): void {
    this.#outlet = undefined
    this.#isBusy = false
    outlet.destroy()
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    // Codex acknowledges answers; nothing waits for that.
    const frame = isBinary ? undefined : parseObject(String(data))
    if (frame?.['type'] === 'response.processed') return
    const requestId = randomUUID()
    // What is left of an answer that the client has is ended as if the client had hung up.
    if (this.#outlet?.isAnswered === true) this.#free(this.#outlet)
    if (this.#isBusy) {
      this.#sendError(new TokError('connection_busy'), requestId)
      return
    }
    this.#isBusy = true
    this.#cancelIdle()
    this.#create(frame, requestId).catch((thrown: unknown) => {
      const error = toTokError(thrown)
      if (error.code === 'internal_error') this.#dependencies.logger.error({ requestId, err: error }, 'frame failed')
      this.#sendError(error, requestId)
      this.#rest()
    })
  }

  async #create(frame: JsonObject | undefined, requestId: string): Promise<void> {
    if (frame?.['type'] !== 'response.create') {
      throw new TokError('body_malformed', { reason: 'a frame is not a JSON object with "type": "response.create"' })
    }
    if (frame['stream_id'] !== undefined) {
      const reason = 'a connection has one response at a time'
      throw new TokError('parameter_unsupported', { param: 'stream_id', reason })
    }
    const { type: _type, generate, stream: _stream, ...request } = frame
    const metadata = request['client_metadata']
    const body = Buffer.from(
      JSON.stringify({
        ...request,
        ...(isObject(metadata) ? { client_metadata: metadataOfRequest(metadata) } : {}),
        stream: true,
      }),
    )
    if (generate === false) {
      await this.#prewarm(body, requestId)
      this.#rest()
      return
    }
    const outlet = new FrameOutlet(this.#socket)
    this.#outlet = outlet
    outlet.on('error', (error) => this.#dependencies.logger.warn({ requestId, reason: error.message }, 'answer broke'))
    outlet.on('close', () => {
      if (this.#outlet === outlet) this.#rest()
    })
    const caller = { headers: this.#headers, url: this.#url, memory: this.#memory }
    await this.#dependencies.relay.serve('responses', requestId, caller, body, outlet)
  }

  /** The conversation is remembered, and nobody is asked: the answer is an empty one to go on from. */
  async #prewarm(body: Uint8Array, requestId: string): Promise<void> {
    const { bodyLimitBytes } = this.#options
    const response = await this.#dependencies.state.prewarm({
      requestId,
      endpoint: 'responses',
      body,
      skimmed: skimRequest(body),
      owner: LOCAL_OWNER,
      memory: this.#memory,
      bodyLimitBytes,
    })
    const begun = { ...response, status: 'in_progress' }
    this.#send({ type: 'response.created', sequence_number: 0, response: begun })
    this.#send({ type: 'response.completed', sequence_number: 1, response })
  }

  #send(event: JsonObject): void {
    this.#socket.send(JSON.stringify(event), { compress: false })
  }

  #sendError(error: TokError, requestId: string): void {
    const { status, headers, body } = errorReply('openai', error, requestId)
    const { 'content-type': _type, ...rest } = headers
    this.#socket.send(errorFrame(status, asObject(parseObject(body)?.['error']), rest), { compress: false })
    // Who keeps asking and reads nothing would fill the memory with refusals.
    if (this.#socket.bufferedAmount > UNREAD_MAX) this.#socket.terminate()
  }
}

function createMemory(): ResponseMemory {
  const remembered = new Map<string, StoredResponse>()
  return {
    id: randomUUID(),
    get: (id) => remembered.get(id),
    put(id, stored) {
      remembered.delete(id)
      remembered.set(id, stored)
      const [oldest] = remembered.keys()
      if (remembered.size > REMEMBERED && oldest !== undefined) remembered.delete(oldest)
    },
  }
}

/** What a handshake says of itself is not said of the requests after it: a body it has not, the protocol, its own turn. */
function headersOfFrames(handshake: IncomingHttpHeaders): IncomingHttpHeaders {
  const headers = { ...handshake }
  for (const name of ['content-type', 'content-encoding', 'content-length', 'x-codex-turn-metadata'])
    delete headers[name]
  const betas = String(headers['openai-beta'] ?? '').split(',')
  const kept = betas
    .map((beta) => beta.trim())
    .filter((beta) => beta !== '' && !beta.startsWith('responses_websockets'))
  if (kept.length > 0) headers['openai-beta'] = kept.join(', ')
  else delete headers['openai-beta']
  return headers
}

/** Codex puts what would be headers, and times of the connection, into the metadata of its frames. */
function metadataOfRequest(metadata: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !/^(?:x-codex-ws-|ws_)/.test(name)))
}

function pathOf(url: string): string {
  return url.split('?')[0] ?? ''
}

/** Nobody else listens to the socket any more: an error that nobody hears would end the process. */
function refuse(socket: Duplex, error: TokError): void {
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  const { status, headers, body } = errorReply('openai', error, randomUUID())
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = Buffer.byteLength(body)
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nconnection: close\r\n${lines.join('')}content-length: ${length}\r\n\r\n${body}`,
  )
}
