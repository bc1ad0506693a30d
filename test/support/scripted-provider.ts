/**
 * A model server for tests: a real HTTP server on loopback that speaks every dialect and does what it is told.
 *
 *   const provider = await startScriptedProvider()
 *   provider.script({ status: 429, headers: { 'retry-after': '1' }, body: '{}' })   // the next request only
 *   provider.script({ body: ['data: {"a":1}\n\n', 50, 'data: [DO'], ending: 'reset' })
 *   ...
 *   provider.requests[0]?.json
 *   await provider.close()
 *
 * What is not scripted gets a sensible answer (scripted-answers.ts): text, or first a tool call and then text
 * where the request brings tools.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { defaultReply, modelList, type DefaultAnswer } from './scripted-answers.ts'

/** A piece of a body: bytes to write at once, or a pause in ms. */
export type ScriptedPiece = string | Uint8Array | number

/** What the server does with one request. */
export interface ScriptedReply {
  /** 200 unless given. */
  readonly status?: number
  /** JSON unless a content type is given. */
  readonly headers?: Readonly<Record<string, string>>
  /** Pieces are written one by one, each in a packet of its own as far as that can be forced. */
  readonly body?: string | Uint8Array | readonly ScriptedPiece[]
  /** Wait before the head, in ms. */
  readonly headAfterMs?: number
  /** After the body: end it properly, reset the connection, end the connection within the body, or stay silent. */
  readonly ending?: 'end' | 'reset' | 'truncate' | 'hang'
  /** Never answers at all; the connection stays open. */
  readonly silent?: boolean
}

/** A request as it came. */
export interface RecordedRequest {
  readonly method: string
  /** Path with query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
  /** The body as JSON; undefined if it is none. */
  readonly json: unknown
  /** Body bytes handed to the socket so far. */
  readonly bytesSent: number
  /** True once the caller has gone before the answer was complete. */
  readonly wasAbandoned: boolean
}

/** How the server behaves where nothing is scripted. */
export interface ScriptedProviderOptions extends DefaultAnswer {
  /** Names in `GET /v1/models`, or its whole members; "test-model" unless given. */
  readonly models?: readonly (string | { readonly id: string })[]
  /** What it says of its models at paths of its own, such as "/api/tags"; 404 where nothing is given. */
  readonly details?: (path: string, question: unknown) => unknown
  /** A fixed port; a free one unless given. */
  readonly port?: number
}

/** A running server. */
export interface ScriptedProvider {
  /** "http://127.0.0.1:PORT", without a path. */
  readonly url: string
  readonly port: number
  /** Every request but `GET /v1/models` and those for details, in order of arrival. */
  readonly requests: readonly RecordedRequest[]
  /** What the next request, or the `times` next ones, get. Scripts are used up in order. */
  script(reply: ScriptedReply | ((request: RecordedRequest) => ScriptedReply), times?: number): void
  /** Ends the server and every connection. */
  close(): Promise<void>
}

type Script = (request: RecordedRequest) => ScriptedReply
type Recording = { -readonly [Member in keyof RecordedRequest]: RecordedRequest[Member] }

/** Starts a server on loopback. */
export async function startScriptedProvider(options: ScriptedProviderOptions = {}): Promise<ScriptedProvider> {
  const requests: Recording[] = []
  const scripts: Script[] = []
  const sockets = new Set<Socket>()

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const recording = await record(incoming)
    if (recording.method === 'GET' && recording.path.startsWith('/v1/models')) {
      outgoing.writeHead(200, { 'content-type': 'application/json' }).end(modelList(options.models ?? ['test-model']))
      return
    }
    if (recording.path.startsWith('/api/')) {
      const told = await options.details?.(recording.path, recording.json)
      outgoing.writeHead(told === undefined ? 404 : 200, { 'content-type': 'application/json' })
      outgoing.end(JSON.stringify(told ?? { error: 'not found' }))
      return
    }
    requests.push(recording)
    outgoing.on('close', () => {
      recording.wasAbandoned = !outgoing.writableFinished
    })
    const script = scripts.shift() ?? ((request: RecordedRequest) => defaultReply(request, options))
    await play(script(recording), recording, outgoing)
  }

  const server = createServer((incoming, outgoing) => {
    handle(incoming, outgoing).catch((error: unknown) => outgoing.destroy(error as Error))
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    script(reply, times = 1) {
      const script = typeof reply === 'function' ? reply : () => reply
      for (let count = 0; count < times; count += 1) scripts.push(script)
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

async function record(incoming: IncomingMessage): Promise<Recording> {
  const parts: Uint8Array[] = []
  for await (const part of incoming) parts.push(part as Uint8Array)
  const body = Buffer.concat(parts)
  return {
    method: incoming.method ?? '',
    path: incoming.url ?? '',
    headers: incoming.headers,
    body,
    json: parseJson(body.toString('utf8')),
    bytesSent: 0,
    wasAbandoned: false,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function play(reply: ScriptedReply, recording: Recording, outgoing: ServerResponse): Promise<void> {
  if (reply.silent === true) return
  if (reply.headAfterMs !== undefined) await pause(reply.headAfterMs, outgoing)
  if (outgoing.destroyed) return
  outgoing.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers })
  outgoing.flushHeaders()
  const body = reply.body ?? ''
  const pieces = typeof body === 'string' || body instanceof Uint8Array ? [body] : body
  for (const piece of pieces) {
    if (outgoing.destroyed) return
    if (typeof piece === 'number') await pause(piece, outgoing)
    else await write(outgoing, piece, recording)
  }
  if (outgoing.destroyed) return
  switch (reply.ending ?? 'end') {
    case 'end':
      outgoing.end()
      break
    case 'reset':
      outgoing.socket?.resetAndDestroy()
      break
    case 'truncate':
      outgoing.socket?.end()
      break
    case 'hang':
      break
  }
}

/** Writes one piece and lets it leave before the next; a reader that does not read stops it here. */
async function write(outgoing: ServerResponse, piece: string | Uint8Array, recording: Recording): Promise<void> {
  const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
  if (bytes.length === 0) return
  const hasRoom = outgoing.write(bytes)
  recording.bytesSent += bytes.length
  if (!hasRoom) await until(outgoing, (proceed) => outgoing.once('drain', proceed))
  await new Promise((resolve) => setImmediate(resolve))
}

function pause(delayMs: number, outgoing: ServerResponse): Promise<void> {
  return until(outgoing, (proceed) => setTimeout(proceed, delayMs))
}

/** Waits for what `arrange` calls back for, or until the caller is gone. */
function until(outgoing: ServerResponse, arrange: (proceed: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const proceed = (): void => {
      outgoing.off('close', proceed)
      resolve()
    }
    outgoing.once('close', proceed)
    arrange(proceed)
  })
}
