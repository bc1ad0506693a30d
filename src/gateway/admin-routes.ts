/**
 * The routes of the node's own operator, under `/api/v1`. Each needs the node's token, which stands in its data directory:
 * whoever reads that may command the node.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { TokError, toTokError } from '../base/errors.ts'
import { ENDPOINTS, type Endpoint } from '../dialects/dialect.ts'
import type { AdminApi, SellOffer, SettleRequest } from './admin-api.ts'
import { readBody } from './read-body.ts'

const BODY_LIMIT_BYTES = 65_536
const MICROS = /^\d{1,19}$/

/** Adds the admin routes. */
export function addAdminRoutes(app: FastifyInstance, admin: AdminApi, adminToken: string, logger: Logger): void {
  const expected = digest(`Bearer ${adminToken}`)

  app.register(
    async (routes) => {
      routes.addHook('onRequest', (request, _reply, done) => {
        const isKnown = timingSafeEqual(digest(request.headers.authorization ?? ''), expected)
        done(isKnown ? undefined : new TokError('credential_missing'))
      })
      routes.setErrorHandler((thrown, request, reply) => {
        const error = toTokError(thrown)
        if (error.code === 'internal_error')
          logger.error({ err: thrown, requestId: request.id, path: request.url }, 'request failed')
        return sendError(reply, error)
      })
      routes.setNotFoundHandler((request, reply) =>
        sendError(reply, new TokError('route_unknown', { method: request.method, path: request.url })),
      )

      routes.get('/status', () => admin.status())
      routes.get('/models', () => admin.models())
      routes.get('/offers', () => admin.offers())
      routes.get('/peers', () => admin.peers())
      routes.get('/explain', (request) => {
        const query = request.query as Readonly<Record<string, string | undefined>>
        return admin.explain(readText(query['model'], 'model'), readEndpoint(query['endpoint']))
      })
      routes.get('/ledger/accounts', () => admin.accounts())
      routes.get('/ledger/settlements', () => admin.settlements())
      routes.post('/ledger/settle', { bodyLimit: BODY_LIMIT_BYTES }, (request) => settle(admin, request))
      routes.get('/ledger/show/:id', (request) => admin.show((request.params as { readonly id: string }).id))
      routes.get('/ledger/export', (_request, reply) => {
        const lines = Readable.from(admin.exportLedger())
        // By then the status is out: the client sees a broken connection, and only the log can say why.
        lines.on('error', (error) => logger.error({ err: error }, 'ledger export broke off'))
        return reply.type('application/x-ndjson').send(lines)
      })
      routes.get('/ledger/verify', () => admin.verifyLedger())
      routes.get('/ledger/prove/:id', (request) => admin.prove((request.params as { readonly id: string }).id))
      routes.post('/ledger/prune', { bodyLimit: BODY_LIMIT_BYTES }, (request) => prune(admin, request))
      routes.get('/ledger/evidence', () => admin.evidence())
      routes.post('/ledger/reconcile', { bodyLimit: BODY_LIMIT_BYTES }, (request) => reconcile(admin, request))
      routes.post('/ledger/backup', { bodyLimit: BODY_LIMIT_BYTES }, (request) => backUp(admin, request))
      routes.get('/sell', () => admin.selling())
      routes.post('/sell', { bodyLimit: BODY_LIMIT_BYTES }, (request) => sell(admin, request))
      routes.post('/stop', () => {
        admin.stop()
        return { stopping: true }
      })
    },
    { prefix: '/api/v1' },
  )
}

/** Body: `{"action": "set", "offers": [SellOffer]}`, `{"action": "pause"}` or `{"action": "resume"}`. */
async function sell(admin: AdminApi, request: FastifyRequest): Promise<unknown> {
  const { action, offers } = await readJsonBody(request)
  switch (action) {
    case 'set':
      return admin.setOffers(readOffers(offers))
    case 'pause':
      return admin.pauseSelling()
    case 'resume':
      return admin.resumeSelling()
    default:
      throw new TokError('argument_invalid', { reason: '"action" is none of set, pause, resume' })
  }
}

/** Body: a `SettleRequest`. */
async function settle(admin: AdminApi, request: FastifyRequest): Promise<unknown> {
  return admin.settle(readSettleRequest(await readJsonBody(request)))
}

async function readJsonBody(request: FastifyRequest): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readBody(request.headers, request.body as Buffer | undefined, BODY_LIMIT_BYTES)
  return readObject(Buffer.from(bytes).toString('utf8'))
}

function readSettleRequest(body: Readonly<Record<string, unknown>>): SettleRequest {
  const { action, id, peer, reason, adapter, reference, amountMicros, paidAtMs } = body
  switch (action) {
    case 'pay':
      return {
        action,
        peer: readText(peer, 'peer'),
        amountMicros: readMicros(amountMicros, 'amountMicros'),
        adapter: readText(adapter, 'adapter'),
        reference: readText(reference, 'reference'),
        ...(paidAtMs === undefined ? {} : { paidAtMs: readTime(paidAtMs, 'paidAtMs') }),
      }
    case 'net': {
      const amount = amountMicros === undefined ? {} : { amountMicros: readMicros(amountMicros, 'amountMicros') }
      return { action, peer: readText(peer, 'peer'), ...amount }
    }
    case 'confirm':
    case 'cancel':
      return { action, id: readText(id, 'id') }
    case 'refuse':
      return { action, id: readText(id, 'id'), reason: readText(reason, 'reason') }
    default:
      throw new TokError('argument_invalid', { reason: '"action" is none of pay, net, confirm, refuse, cancel' })
  }
}

function readTime(value: unknown, name: string): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value)
  throw new TokError('argument_invalid', { reason: `"${name}" is not a time in ms` })
}

/** Body: `{"peer": "12D3…"}`, or `{}` for every seller with an account. */
async function reconcile(admin: AdminApi, request: FastifyRequest): Promise<unknown> {
  const { peer } = await readJsonBody(request)
  return admin.reconcile(peer === undefined ? undefined : readText(peer, 'peer'))
}

/** Body: `{"beforeMs": N}`. */
async function prune(admin: AdminApi, request: FastifyRequest): Promise<unknown> {
  const { beforeMs } = await readJsonBody(request)
  if (typeof beforeMs === 'number' && Number.isSafeInteger(beforeMs)) return admin.pruneLedger(beforeMs)
  throw new TokError('argument_invalid', { reason: '"beforeMs" is no time in ms' })
}

/** Body: `{"directory": "/a/whole/path"}`. */
async function backUp(admin: AdminApi, request: FastifyRequest): Promise<unknown> {
  const directory = readText((await readJsonBody(request))['directory'], 'directory')
  await admin.backUpLedger(directory)
  return { directory }
}

function readObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text)) as Readonly<Record<string, unknown>>
  } catch (cause) {
    throw new TokError('body_malformed', { reason: 'it is not JSON' }, { cause })
  }
}

function readOffers(value: unknown): readonly SellOffer[] {
  if (!Array.isArray(value)) throw new TokError('argument_invalid', { reason: '"offers" is not a list' })
  return value.map((item: unknown) => {
    const { model, inputMicrosPerMtok, outputMicrosPerMtok } = Object(item) as Readonly<Record<string, unknown>>
    return {
      model: readText(model, 'model'),
      inputMicrosPerMtok: readMicros(inputMicrosPerMtok, 'inputMicrosPerMtok'),
      outputMicrosPerMtok: readMicros(outputMicrosPerMtok, 'outputMicrosPerMtok'),
    }
  })
}

function readText(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new TokError('argument_invalid', { reason: `"${name}" is missing` })
}

function readMicros(value: unknown, name: string): string {
  if (typeof value === 'string' && MICROS.test(value)) return value
  throw new TokError('argument_invalid', { reason: `"${name}" is not a text of micros such as "250000"` })
}

function readEndpoint(value: string | undefined): Endpoint {
  if (value === undefined) return 'chat'
  if (Object.hasOwn(ENDPOINTS, value)) return value as Endpoint
  throw new TokError('argument_invalid', { reason: `"endpoint" is none of ${Object.keys(ENDPOINTS).join(', ')}` })
}

function sendError(reply: FastifyReply, error: TokError): FastifyReply {
  const { code, message, next, status } = error
  return reply.code(status).send({ error: { code, message, next } })
}

/** Hashed first, so that comparing tells nothing of length or content. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
