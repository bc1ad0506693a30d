/**
 * The HTTP face of the node: OpenAI and Anthropic clients in, targets of the router out, and the admin routes. Routes
 * and their error exits are listed in docs/gateway.md.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { reasonOf, TokError, toTokError } from '../base/errors.ts'
import { ENDPOINTS, type Endpoint, type Vendor } from '../dialects/dialect.ts'
import { errorReply } from '../dialects/error-reply.ts'
import { DEFAULT_LOOP_GUARD } from '../dialects/loop-guard.ts'
import type { AdminApi, JsonObject } from './admin-api.ts'
import { addAdminRoutes } from './admin-routes.ts'
import { checkCaller, isLoopbackName } from './check-caller.ts'
import { modelEntry, modelList } from './list-models.ts'
import { normaliseUrl } from './normalise-url.ts'
import { receiveBody } from './read-body.ts'
import { addResponseRoutes } from './response-routes.ts'
import { createResponseState } from './response-state.ts'
import type { ResponseStore } from './response-store.ts'
import { isResponseUpgrade, serveResponseWebSocket, type WebSocketTimes } from './response-websocket.ts'
import {
  createInferenceRelay,
  type InferenceRelay,
  type RelayDependencies,
  type RelayOptions,
} from './relay-inference.ts'

/** What the gateway works with. */
export interface GatewayDependencies extends Omit<RelayDependencies, 'responses'> {
  readonly responseStore: ResponseStore
  readonly admin: AdminApi
  /** Who knows it may use the admin routes. */
  readonly adminToken: string
}

/** Where the gateway listens, and its limits. */
export interface GatewayOptions extends RelayOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** How `/v1/responses` is served over WebSocket; undefined answers 426. */
  readonly webSocket: WebSocketTimes | undefined
}

/** A gateway, not listening yet. */
export interface Gateway {
  /** @throws TokError `port_in_use`, `config_invalid` if the address cannot be listened on */
  listen(): Promise<{ readonly url: string }>
  /** Answers new requests with `node_stopping` and waits for the running ones, at most `graceMs`. */
  drain(graceMs: number): Promise<void>
  /** Closes the port and every connection. */
  close(): Promise<void>
}

/** What a gateway does if nothing else is said. Units as in GatewayOptions. */
export const DEFAULT_GATEWAY_OPTIONS: GatewayOptions = {
  host: '127.0.0.1',
  port: 8081,
  webSocket: { pingMs: 30_000, idleMs: 1_800_000 },
  bodyLimitBytes: 33_554_432,
  quietMs: 7_500,
  thinkingMs: 12_000,
  loopGuard: DEFAULT_LOOP_GUARD,
}

/** Longer than any usual client keeps an idle connection, so that it is never closed under a request on its way. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const HEADERS_TIMEOUT_MS = 30_000
/** For a request to arrive, body and all. How long its answer takes has no limit. */
const REQUEST_TIMEOUT_MS = 120_000

/** Makes the gateway. */
export async function createGateway(dependencies: GatewayDependencies, options: GatewayOptions): Promise<Gateway> {
  const { admin, adminToken, clock, logger } = dependencies
  const responses = createResponseState({
    store: dependencies.responseStore,
    seal: dependencies.translation.seal,
    logger,
    nowS: () => Math.floor(clock.nowMs() / 1_000),
  })
  const relay = createInferenceRelay({ ...dependencies, responses }, options)
  const boundToLoopback = isLoopbackName(options.host)
  const app = fastify({
    logger: false,
    bodyLimit: options.bodyLimitBytes,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: 0,
    forceCloseConnections: true,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      // Clients of HTTP/2 ask every server for an upgrade; they are answered over HTTP/1.1 as anybody.
      shouldUpgradeCallback: options.webSocket === undefined ? () => false : isResponseUpgrade,
    },
    genReqId: () => randomUUID(),
    rewriteUrl: ({ url = '/' }) => normaliseUrl(url),
    frameworkErrors: (error, request, reply) => sendError(request, reply, readFrameworkError(error, request)),
    clientErrorHandler: refuseConnection,
  })

  // Bodies go on as the bytes they are; `readBody` judges their type.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (request: FastifyRequest) => receiveBody(request.raw, request.routeOptions.bodyLimit))
  app.addHook('onRequest', (request, _reply, done) => {
    checkCaller(request.headers, boundToLoopback)
    done()
  })
  app.setErrorHandler((error, request, reply) => {
    const named = readFrameworkError(error, request)
    if (named.code === 'internal_error')
      logger.error({ err: error, requestId: request.id, path: request.url }, 'request failed')
    sendError(request, reply, named)
  })
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.originalUrl.split('?')
    sendError(request, reply, new TokError('route_unknown', { method: request.method, path }))
  })

  addInferenceRoutes(app, relay)
  addResponseRoutes(app, dependencies.responseStore, responses)
  addModelRoutes(app, admin)
  const startedAtMs = clock.monotonicMs()
  app.get('/health', () => ({ status: 'ok', uptimeMs: Math.round(clock.monotonicMs() - startedAtMs) }))
  app.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await dependencies.metrics.expose()
    return reply.type(contentType).send(text)
  })
  // What clients ask to see whether anybody is there.
  app.get('/', () => ({ name: 'tok-node' }))
  app.get('/api/hello', () => ({ name: 'tok-node' }))
  addAdminRoutes(app, admin, adminToken, logger)
  await app.ready()
  const sockets =
    options.webSocket &&
    serveResponseWebSocket(
      app.server,
      { relay, state: responses, clock, logger },
      { ...options.webSocket, bodyLimitBytes: options.bodyLimitBytes, boundToLoopback },
    )

  return {
    async listen() {
      try {
        await app.listen({ host: options.host, port: options.port })
      } catch (cause) {
        const address = `${options.host}:${options.port}`
        if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE')
          throw new TokError('port_in_use', { address }, { cause })
        throw new TokError('config_invalid', { reason: `cannot listen on ${address}: ${reasonOf(cause)}` }, { cause })
      }
      const { address, family, port } = app.server.address() as AddressInfo
      return { url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}` }
    },
    async drain(graceMs) {
      sockets?.drain()
      await relay.drain(graceMs)
    },
    async close() {
      sockets?.close()
      await app.close()
    },
  }
}

function addInferenceRoutes(app: FastifyInstance, relay: InferenceRelay): void {
  for (const endpoint of Object.keys(ENDPOINTS) as Endpoint[]) {
    const { path } = ENDPOINTS[endpoint]
    app.post(path, (request, reply) => {
      reply.hijack()
      return relay.serve(endpoint, request.id, request.raw, request.body as Buffer | undefined, reply.raw)
    })
    app.head(path, (_request, reply) => reply.send())
  }

  // Codex falls back to HTTP at once on 426, and only after seven tries on anything else.
  app.get('/v1/responses', { exposeHeadRoute: false }, (request) => {
    if (request.headers.upgrade !== undefined) throw new TokError('websocket_unsupported')
    throw new TokError('route_unknown', { method: 'GET', path: '/v1/responses' })
  })
}

function addModelRoutes(app: FastifyInstance, admin: AdminApi): void {
  app.get('/v1/models', async () => modelList(await admin.models()))
  // A model's name may hold slashes.
  app.get('/v1/models/*', (request) => describeModel(admin, (request.params as { readonly '*': string })['*']))
}

async function describeModel(admin: AdminApi, id: string): Promise<JsonObject> {
  const model = (await admin.models()).find((known) => known.id === id)
  if (model === undefined) throw new TokError('model_not_found', { model: id })
  return modelEntry(model)
}

function sendError(request: FastifyRequest, reply: FastifyReply, error: TokError): void {
  const { status, headers, body } = errorReply(vendorOf(request), error, request.id)
  reply.code(status).headers(headers).send(body)
}

/** Whose errors a request is answered with. Only Anthropic's clients send a version. */
function vendorOf({ url, originalUrl, headers }: FastifyRequest): Vendor {
  const isAnthropic = url.startsWith('/v1/messages') || originalUrl.startsWith('/anthropic') || hasVersion(headers)
  return isAnthropic ? 'anthropic' : 'openai'
}

function hasVersion(headers: IncomingHttpHeaders): boolean {
  return headers['anthropic-version'] !== undefined
}

/** Fastify's own refusals, in the words of the table. */
function readFrameworkError(thrown: unknown, { headers }: FastifyRequest): TokError {
  const { code, statusCode, message } = thrown as { code?: string; statusCode?: number; message?: string }
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new TokError('content_type_unsupported', { contentType: headers['content-type'] })
  }
  if (!(thrown instanceof TokError) && statusCode !== undefined && statusCode < 500) {
    return new TokError('body_malformed', { reason: message })
  }
  return toTokError(thrown)
}

/** What is not HTTP, or comes too slowly, gets one plain line: nothing is known of its dialect. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.writable && error.code !== 'ECONNRESET') {
    const status =
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : error.code === 'HPE_HEADER_OVERFLOW'
          ? '431 Request Header Fields Too Large'
          : '400 Bad Request'
    socket.write(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  }
  socket.destroy()
}
