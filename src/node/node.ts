/**
 * The composition root: builds a node in the order of the layers, starts it in order, stops it in reverse.
 *
 * The facade listens first and serves local providers; the network is joined after that.
 */
import { hkdfSync, randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { systemRandomBytes } from '../base/bytes.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { reasonOf, TokError, toTokError } from '../base/errors.ts'
import { formatAmount } from '../base/amount.ts'
import type { Config } from '../config/config.ts'
import type { PriceRule } from '../config/kinds.ts'
import { createOpaqueSeal } from '../dialects/conversation/opaque-state.ts'
import type { AnswerSource } from '../dialects/exchange.ts'
import { createGateway, DEFAULT_GATEWAY_OPTIONS } from '../gateway/gateway.ts'
import { createMetrics } from '../gateway/metrics.ts'
import { openResponseStore } from '../gateway/response-store.ts'
import { openLedger, type Ledger } from '../ledger/ledger.ts'
import { openNewStore } from '../ledger/schema.ts'
import { openLevelStore } from '../ledger/store.ts'
import { createProviders, type Providers } from '../providers/create-providers.ts'
import { USUAL_PORTS } from '../providers/discover-engines.ts'
import { parseProviders } from '../providers/parse-providers.ts'
import { createRouter, type NetworkTarget } from '../routing/router.ts'
import { parseAliases, parseRoutes } from '../routing/routes.ts'
import { DEFAULT_ASSET } from '../wire/registry.ts'
import { createAdmin } from './admin.ts'
import {
  ledgerDirectory,
  openNodeKey,
  prepareDataDirectory,
  readNodeKey,
  responsesDirectory,
} from './data-directory.ts'
import { startLedgerUpkeep } from './ledger-upkeep.ts'
import type { Market } from './market.ts'
import { modelsForSale, type ForSale } from './offers-for-sale.ts'
import { removeRuntimeFile, writeRuntimeFile } from './runtime-file.ts'
import { VERSION } from './version.ts'

/** A node that serves. */
export interface RunningNode {
  /** "http://127.0.0.1:8081" */
  readonly facadeUrl: string
  readonly peerId: string
  /** Where others reach it; empty for a node that does not trade. */
  multiaddrs(): readonly string[]
  /** Takes no new work, finishes what is under way within the grace period, and closes everything. */
  stop(): Promise<void>
  /** Resolves when the node was told to stop from within: by the admin API, or because its ledger failed. */
  readonly whenStopped: Promise<void>
}

/** What the key that seals providers' state is derived for: it stays the same as long as the node key does. */
const SEAL_PURPOSE = 'tok-node opaque state'
/** How long a request for the network waits for the host to start, in ms. */
const MARKET_START_MS = 10_000

/**
 * Builds and starts a node.
 * @throws TokError naming what keeps it from starting
 */
export async function createNode({
  config,
  logger,
  clock = systemClock,
}: {
  readonly config: Config
  readonly logger: Logger
  readonly clock?: Clock
}): Promise<RunningNode> {
  const { ledger, seed } = await openRecords(config, clock)
  const closers: (() => Promise<void>)[] = [() => ledger.close()]
  const closeAll = async (): Promise<void> => {
    for (const close of closers.toReversed()) {
      await close().catch((thrown: unknown) => logger.error({ reason: reasonOf(thrown) }, 'not closed properly'))
    }
  }
  try {
    return await assemble()
  } catch (thrown) {
    await closeAll()
    throw toTokError(thrown)
  }

  async function assemble(): Promise<RunningNode> {
    const upkeep = startLedgerUpkeep({ ledger, clock, logger })
    closers.push(() => upkeep.stop())
    const trades = config.role !== 'local'
    const buys = config.role === 'buyer' || config.role === 'both'
    const providers = createProviders({ clock }, providersOptions(config))
    closers.push(() => providers.close())
    const starting = Promise.withResolvers<Market>()
    starting.promise.catch(() => undefined) // reported where the start is awaited
    let market: Market | undefined
    let rules: readonly PriceRule[] = config.selling.rules

    const forSale = (): readonly ForSale[] => modelsForSale(providers.list(), rules, config.selling)
    const router = createRouter(
      { providers, buy: buys ? networkTarget(() => market, starting.promise) : undefined },
      {
        routes: parseRoutes(config.routing.routes, targetNames(providers)),
        aliases: parseAliases(config.routing.modelAliases),
        workMode: config.routing.workMode,
      },
    )
    const metrics = createMetrics()
    const seal = createOpaqueSeal(new Uint8Array(hkdfSync('sha256', seed, '', SEAL_PURPOSE, 32)))
    const stopAsked = Promise.withResolvers<void>()
    const startedAtMs = clock.nowMs()
    const adminToken = randomBytes(32).toString('base64url')
    const admin = createAdmin({
      config,
      ledger,
      providers,
      router,
      clock,
      startedAtMs,
      facadeUrl: () => facadeUrl,
      market: () => market,
      rules: () => rules,
      setRules(next) {
        rules = next
        market?.publisher?.refresh()
      },
      stop: () => stopAsked.resolve(),
    })
    const recordInference: Parameters<typeof createGateway>[0]['recordInference'] = (inference) => {
      // A purchase writes its own line, with its order.
      if (inference.direction === 'bought' && market !== undefined) return
      ledger.recordInference(inference).catch((thrown: unknown) => {
        const { code, message } = toTokError(thrown)
        logger.error({ requestId: inference.requestId, code, reason: message }, 'an inference is not recorded')
        if (code !== 'storage_failed') return
        logger.fatal('the ledger cannot be written; stopping')
        stopAsked.resolve()
      })
    }
    const { lifetimeMs, storedBytesMax, websocket } = config.responses
    const responseStore = await openResponseStore(
      responsesDirectory(config.dataDirectory),
      { clock },
      { lifetimeMs, bytesMax: storedBytesMax },
    )
    closers.push(() => responseStore.close())
    const gateway = await createGateway(
      {
        router,
        responseStore,
        recordInference,
        translation: { seal },
        metrics,
        admin,
        adminToken,
        logger,
        clock,
      },
      {
        ...DEFAULT_GATEWAY_OPTIONS,
        host: config.facade.host,
        port: config.facade.port,
        bodyLimitBytes: config.facade.bodyLimitBytes,
        loopGuard: config.loopGuard,
        webSocket: websocket ? DEFAULT_GATEWAY_OPTIONS.webSocket : undefined,
      },
    )
    closers.push(() => gateway.close())
    const { url: facadeUrl } = await gateway.listen()
    providers.start()
    const runtime = { pid: process.pid, facade: facadeUrl, adminToken, peerId: ledger.key.peer, startedAtMs }
    await writeRuntimeFile(config.dataDirectory, runtime)
    closers.push(() => removeRuntimeFile(config.dataDirectory, process.pid))

    if (trades) {
      const { startMarket } = await import('./market.ts')
      market = await startMarket(
        {
          ledger,
          seed,
          clock,
          random: systemRandomBytes,
          logger,
          translation: { seal, onDropped: metrics.countDropped },
          offersNow: () => forSale().map(({ offer }) => offer),
          supplyOf: (model) => forSale().find(({ offer }) => offer.model === model),
        },
        config,
        `tok-node/${VERSION}`,
      ).catch((thrown: unknown) => {
        starting.reject(toTokError(thrown))
        throw thrown
      })
      const { stop: leave } = market
      closers.push(leave)
      starting.resolve(market)
    }
    logger.info({ facade: facadeUrl, peer: ledger.key.peer, role: config.role, version: VERSION }, 'ready')

    let stopping: Promise<void> | undefined
    const stop = async (): Promise<void> => {
      await Promise.all([gateway.drain(config.drainGraceMs), market?.drain(config.drainGraceMs)])
      await closeAll()
      logger.info('stopped')
    }
    return {
      facadeUrl,
      peerId: ledger.key.peer,
      multiaddrs: () => market?.network.multiaddrs() ?? [],
      stop: () => (stopping ??= stop()),
      whenStopped: stopAsked.promise,
    }
  }
}

/** The ledger and the key: the ledger is made first, so that a key without a ledger means a ledger that was lost. */
async function openRecords(config: Config, clock: Clock): Promise<{ ledger: Ledger; seed: Uint8Array }> {
  const { dataDirectory } = config
  await prepareDataDirectory(dataDirectory)
  const isFirstStart = (await readNodeKey(dataDirectory)) === undefined
  const directory = ledgerDirectory(dataDirectory)
  const store = isFirstStart ? await openNewStore(directory) : await openLevelStore(directory, false)
  try {
    const { key, seed } = await openNodeKey(dataDirectory)
    const ledger = await openLedger({ store, key, clock }, { network: config.network.name, asset: DEFAULT_ASSET })
    return { ledger, seed }
  } catch (thrown) {
    await store.close()
    throw thrown
  }
}

function providersOptions({ providers, facade }: Config): Parameters<typeof createProviders>[1] {
  const { openai, anthropic } = providers
  return {
    openai: {
      baseUrl: openai.baseUrl,
      ...(openai.apiKey === undefined ? {} : { apiKey: openai.apiKey }),
      ...(openai.organization === undefined ? {} : { organization: openai.organization }),
    },
    anthropic: {
      baseUrl: anthropic.baseUrl,
      version: anthropic.version,
      ...(anthropic.apiKey === undefined ? {} : { apiKey: anthropic.apiKey }),
      ...(anthropic.betaHeader === undefined ? {} : { betaHeader: anthropic.betaHeader }),
    },
    servers: parseProviders(providers.servers),
    discovery: {
      isOn: providers.discover,
      ports: [...USUAL_PORTS.keys(), ...providers.discoveryPorts],
      ownPorts: [facade.port],
    },
    timeouts: providers.timeouts,
  }
}

function targetNames(providers: Providers): readonly string[] {
  return providers.list().map(({ name }) => name)
}

/** The network as routing sees it: there from the start, though its host may still be starting. */
function networkTarget(market: () => Market | undefined, starting: Promise<Market>): NetworkTarget {
  const source: AnswerSource = {
    name: 'network',
    send(request, sink) {
      const ready = market()?.buyer
      if (ready !== undefined) return ready.send(request, sink)
      let exchange: ReturnType<AnswerSource['send']> | undefined
      let isOver = false
      const fail = (error: TokError): void => {
        if (isOver) return
        isOver = true
        sink.onFailure(error)
      }
      const timer = setTimeout(
        () => fail(new TokError('network_unavailable', { reason: 'the host is still starting' })),
        MARKET_START_MS,
      )
      starting
        .then(({ buyer }) => {
          if (!isOver) exchange = buyer?.send(request, sink)
          isOver = true
        })
        .catch((thrown: unknown) => fail(new TokError('network_unavailable', { reason: reasonOf(thrown) })))
        .finally(() => clearTimeout(timer))
      return {
        resume: () => exchange?.resume(),
        abort(error) {
          exchange?.abort(error)
          fail(error)
        },
      }
    },
  }
  return {
    source,
    canBuy(model) {
      const offers = market()?.offers.offersOf(model) ?? []
      if (offers.length === 0) {
        const reason = market() === undefined ? 'the network is not joined yet' : 'no offer for it is known'
        return { isPossible: false, reason, dialects: [] }
      }
      const outputs = offers.map(({ offer }) => offer.prices.output)
      const least = outputs.reduce((one, other) => (other < one ? other : one))
      const sellers = offers.length === 1 ? 'one seller offers it' : `${offers.length} sellers offer it`
      const dialects = [...new Set(offers.flatMap(({ offer }) => offer.dialects))]
      return { isPossible: true, reason: `${sellers}, from ${formatAmount(least)} per Mtok of output`, dialects }
    },
  }
}
