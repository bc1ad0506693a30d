/**
 * A facade for tests: the real gateway, router and providers over real HTTP. Only what stands behind the admin
 * routes is scripted.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { systemClock } from '../../src/base/clock.ts'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { createOpaqueSeal } from '../../src/dialects/conversation/opaque-state.ts'
import type { AnswerSource } from '../../src/dialects/exchange.ts'
import type { WorkMode } from '../../src/dialects/work-mode.ts'
import type { AdminApi, ModelView } from '../../src/gateway/admin-api.ts'
import { createGateway, DEFAULT_GATEWAY_OPTIONS, type GatewayOptions } from '../../src/gateway/gateway.ts'
import { createMetrics } from '../../src/gateway/metrics.ts'
import { openResponseStore } from '../../src/gateway/response-store.ts'
import { createProviders, type ProvidersOptions } from '../../src/providers/create-providers.ts'
import { createRouter, type NetworkTarget } from '../../src/routing/router.ts'
import { parseAliases, parseRoutes } from '../../src/routing/routes.ts'
import type { InferenceRecord } from '../../src/wire/journal.ts'

/** One named server behind the facade. */
export interface FacadeServer {
  readonly name: string
  readonly url: string
  /** All unless given. */
  readonly dialects?: readonly Dialect[]
}

/** How a facade under test is set up. */
export interface FacadeOptions {
  readonly servers?: readonly FacadeServer[]
  /** As in TOKLIGENCE_ROUTES; every model to every server in turn unless given. */
  readonly routes?: string
  readonly aliases?: string
  readonly workMode?: WorkMode
  /** A source that stands for the network. */
  readonly network?: AnswerSource
  readonly providers?: Pick<ProvidersOptions, 'openai' | 'anthropic' | 'timeouts'>
  readonly gateway?: Partial<GatewayOptions>
  readonly admin?: Partial<AdminApi>
}

/** A listening facade. */
export interface TestFacade {
  readonly url: string
  readonly openaiBaseUrl: string
  readonly anthropicBaseUrl: string
  readonly adminToken: string
  /** Every inference recorded so far. */
  readonly records: readonly InferenceRecord[]
  /** Every log line so far, as JSON text. */
  readonly logLines: readonly string[]
  drain(graceMs: number): Promise<void>
  close(): Promise<void>
}

/** Starts a facade on a free port of loopback. */
export async function startFacade(options: FacadeOptions = {}): Promise<TestFacade> {
  const servers = options.servers ?? []
  const names = servers.map(({ name }) => name)
  const providers = createProviders(
    { clock: systemClock },
    {
      servers: servers.map(({ name, url, dialects = DIALECTS }) => ({ name, url, dialects })),
      discovery: { isOn: false },
      ...options.providers,
    },
  )
  await providers.refresh(AbortSignal.timeout(5_000))
  const routes = options.routes ?? (names.length === 0 ? '' : `*=>${names.join('|')}`)
  const buy: NetworkTarget | undefined = options.network && {
    source: options.network,
    canBuy: () => ({ isPossible: true, reason: 'the test sells it', dialects: DIALECTS }),
  }
  const router = createRouter(
    { providers, buy },
    {
      routes: parseRoutes(
        routes,
        [...providers.list()].map(({ name }) => name),
      ),
      aliases: parseAliases(options.aliases ?? ''),
      workMode: options.workMode ?? 'auto',
    },
  )
  const records: InferenceRecord[] = []
  const logLines: string[] = []
  const adminToken = 'token-of-the-test'
  const storeDirectory = await mkdtemp(join(tmpdir(), 'tok-node-responses-'))
  const responseStore = await openResponseStore(
    storeDirectory,
    { clock: systemClock },
    { lifetimeMs: 60_000, bytesMax: 16_777_216 },
  )
  const gateway = await createGateway(
    {
      router,
      responseStore,
      recordInference: (record) => records.push(record),
      translation: { seal: createOpaqueSeal(Buffer.from('secret of the test')) },
      metrics: createMetrics(),
      admin: { ...unscripted, models: () => Promise.resolve(listLocalModels(providers.list())), ...options.admin },
      adminToken,
      logger: pino({ level: 'trace' }, { write: (line: string) => logLines.push(line) }),
      clock: systemClock,
    },
    { ...DEFAULT_GATEWAY_OPTIONS, port: 0, ...options.gateway },
  )
  const { url } = await gateway.listen()
  return {
    url,
    openaiBaseUrl: `${url}/v1`,
    anthropicBaseUrl: url,
    adminToken,
    records,
    logLines,
    drain: (graceMs) => gateway.drain(graceMs),
    async close() {
      await gateway.close()
      await providers.close()
      await responseStore.close()
      await rm(storeDirectory, { recursive: true })
    },
  }
}

type Listed = { readonly name: string; models(): readonly { readonly id: string }[] | undefined }

function listLocalModels(providers: readonly Listed[]): readonly ModelView[] {
  return providers.flatMap(({ name, models }) =>
    (models() ?? []).map(({ id }) => ({ id, ownedBy: name, targets: [{ name, kind: 'local' as const }] })),
  )
}

const notScripted = (): never => {
  throw new Error('the test scripts no such admin answer')
}

const unscripted: AdminApi = {
  status: notScripted,
  models: notScripted,
  offers: notScripted,
  peers: notScripted,
  explain: notScripted,
  accounts: notScripted,
  settlements: notScripted,
  settle: notScripted,
  show: notScripted,
  exportLedger: notScripted,
  verifyLedger: notScripted,
  prove: notScripted,
  pruneLedger: notScripted,
  reconcile: notScripted,
  backUpLedger: notScripted,
  evidence: notScripted,
  selling: notScripted,
  setOffers: notScripted,
  pauseSelling: notScripted,
  resumeSelling: notScripted,
  stop: notScripted,
}
