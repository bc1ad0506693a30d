/**
 * What the running node tells and does for its operator: the admin API over the parts of the node.
 */
import { systemRandomBytes } from '../base/bytes.ts'
import { TokError, toTokError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Config } from '../config/config.ts'
import type { PriceRule } from '../config/kinds.ts'
import type { AdminApi, ModelTargetView, ModelView, ReconcileView, SellingView } from '../gateway/admin-api.ts'
import { exportLedger } from '../ledger/export.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Providers } from '../providers/create-providers.ts'
import type { Router } from '../routing/router.ts'
import { backUpNode } from './ledger-copies.ts'
import {
  accountsOf,
  creditPolicyOf,
  evidenceOf,
  ledgerStatusOf,
  proofOf,
  pruneLedger,
  recordOf,
  verifyLedger,
} from './ledger-views.ts'
import type { Market } from './market.ts'
import { settle, settlementsOf } from './settling.ts'
import { VERSION } from './version.ts'

/** The parts of the node that the admin API reads and steers. */
export interface AdminDependencies {
  readonly config: Config
  readonly ledger: Ledger
  readonly providers: Providers
  readonly router: Router
  readonly clock: Clock
  readonly startedAtMs: number
  readonly facadeUrl: () => string
  /** Undefined before the network is joined, and on a node that does not trade. */
  readonly market: () => Market | undefined
  readonly rules: () => readonly PriceRule[]
  readonly setRules: (rules: readonly PriceRule[]) => void
  readonly stop: () => void
}

/** Accounts that are compared at the same time. */
const RECONCILED_AT_ONCE = 16
/** A request of this size is explained where none is at hand. */
const EXPLAINED_INPUT_TOKENS = 1_000

export function createAdmin(dependencies: AdminDependencies): AdminApi {
  const { config, ledger, providers, router, clock, market } = dependencies
  const policy = creditPolicyOf(config)

  const requireSeller = (): NonNullable<Market['seller']> => {
    const seller = market()?.seller
    if (seller === undefined) throw new TokError('selling_disabled')
    return seller
  }

  const selling = (): SellingView => ({
    paused: requireSeller().isPaused(),
    offers: dependencies.rules().map(({ model, inputMicrosPerMtok, outputMicrosPerMtok }) => ({
      model,
      inputMicrosPerMtok: inputMicrosPerMtok.toString(),
      outputMicrosPerMtok: outputMicrosPerMtok.toString(),
    })),
  })

  return {
    async status() {
      const joined = market()
      return {
        version: VERSION,
        pid: process.pid,
        peerId: ledger.key.peer,
        role: config.role,
        network: ledger.network,
        facade: dependencies.facadeUrl(),
        multiaddrs: joined?.network.multiaddrs() ?? [],
        startedAtMs: dependencies.startedAtMs,
        peersConnected: joined?.network.peers().length ?? 0,
        ledger: ledgerStatusOf(ledger),
        providers: providers.list().map((provider) => {
          const models = provider.models()
          return {
            name: provider.name,
            origin: provider.origin,
            dialects: provider.dialects,
            health: provider.health().state,
            ...(models === undefined ? {} : { models: models.length }),
          }
        }),
        ...(joined?.buyer === undefined ? {} : { buying: buyingView(ledger, config) }),
        ...(joined?.seller === undefined
          ? {}
          : {
              selling: {
                paused: joined.seller.isPaused(),
                offers: joined.publisher?.offers().length ?? 0,
                callsOpen: joined.seller.callsOpen(),
                slots: config.selling.slots,
              },
            }),
      }
    },
    models: async () => listModels(providers, market()),
    async offers() {
      const joined = market()
      return (joined?.offers.offers() ?? []).map(({ offer, advert, peer }) => ({
        seller: peer,
        model: offer.model,
        ...(offer.contextTokens === undefined ? {} : { contextTokens: offer.contextTokens }),
        inputMicrosPerMtok: offer.prices.input.toString(),
        outputMicrosPerMtok: offer.prices.output.toString(),
        expiresAtMs: advert.value.expiresAtMs,
        connected: joined?.network.isConnected(peer) ?? false,
      }))
    },
    peers: async () =>
      (market()?.network.peers() ?? []).map(({ peer, multiaddrs, direction, openedAtMs, roundTripMs }) => ({
        peer,
        multiaddrs,
        direction,
        openedAtMs,
        ...(roundTripMs === undefined ? {} : { roundTripMs }),
      })),
    async explain(model, endpoint) {
      const decision = router.explain({ endpoint, model })
      const ranking = market()?.buyer?.rank(decision.model, endpoint, EXPLAINED_INPUT_TOKENS)
      const targets = decision.targets.flatMap(({ name, kind, reason }) =>
        kind === 'network' && ranking !== undefined
          ? ranking.candidates.map((each) => ({ name: each.peer, kind, reason: each.reason }))
          : [{ name, kind, reason }],
      )
      return {
        requestedModel: model,
        resolvedModel: decision.model,
        endpoint,
        targets,
        refused: [
          ...decision.refused.map(({ name, reason }) => ({ name, reason })),
          ...(ranking?.passedOver ?? []).map(({ peer, reason }) => ({ name: peer, reason })),
        ],
      }
    },
    accounts: async () => accountsOf(ledger, policy),
    settlements: async () => settlementsOf(ledger),
    settle: (request) => settle({ ledger, clock, random: systemRandomBytes, market }, request),
    show: (id) => recordOf(ledger, id, policy),
    exportLedger: () => exportLedger(ledger, clock.nowMs()),
    verifyLedger: () => verifyLedger(ledger, clock.nowMs()),
    prove: async (id) => ({ proof: await proofOf(ledger, id) }),
    pruneLedger: (beforeMs) => pruneLedger(ledger, beforeMs),
    evidence: () => evidenceOf(ledger),
    backUpLedger: (directory) => backUpNode(ledger, config.dataDirectory, directory),
    async reconcile(peer) {
      const settler = market()?.settler
      if (settler === undefined) {
        const reason = 'this node does not buy; the accounts of a seller are compared when their buyers connect'
        throw new TokError('network_unavailable', { reason })
      }
      const peers = peer === undefined ? sellersOf(ledger) : [peer]
      const results: ReconcileView[] = []
      for (let from = 0; from < peers.length; from += RECONCILED_AT_ONCE) {
        const some = peers.slice(from, from + RECONCILED_AT_ONCE)
        results.push(...(await Promise.all(some.map((each) => reconcileWith(settler, each)))))
      }
      return results
    },
    selling: async () => selling(),
    async setOffers(offers) {
      requireSeller()
      dependencies.setRules(
        offers.map(({ model, inputMicrosPerMtok, outputMicrosPerMtok }) => ({
          model,
          inputMicrosPerMtok: BigInt(inputMicrosPerMtok),
          outputMicrosPerMtok: BigInt(outputMicrosPerMtok),
        })),
      )
      return selling()
    },
    async pauseSelling() {
      requireSeller().setPaused(true)
      return selling()
    },
    async resumeSelling() {
      requireSeller().setPaused(false)
      return selling()
    },
    stop: dependencies.stop,
  }
}

function sellersOf(ledger: Ledger): readonly string[] {
  return ledger.accountViews().flatMap(({ side, peer }) => (side === 'buyer' ? [peer] : []))
}

async function reconcileWith(settler: NonNullable<Market['settler']>, peer: string): Promise<ReconcileView> {
  try {
    await settler.reconcile(peer)
    return { peer, reconciled: true }
  } catch (thrown) {
    const { code, message } = toTokError(thrown)
    return { peer, reconciled: false, code, reason: message }
  }
}

function buyingView(
  ledger: Ledger,
  config: Config,
): { spentTodayMicros: string; heldMicros: string; limitMicros: string } {
  const held = ledger.accountViews().reduce((sum, view) => (view.side === 'buyer' ? sum + view.held : sum), 0n)
  return {
    spentTodayMicros: (ledger.spentAndHeld() - held).toString(),
    heldMicros: held.toString(),
    limitMicros: config.buying.spendMaxMicros.toString(),
  }
}

/** Local models first, then what the network offers; a model that both have runs here. */
function listModels(providers: Providers, market: Market | undefined): readonly ModelView[] {
  const models = new Map<string, { view: Omit<ModelView, 'targets'>; targets: ModelTargetView[] }>()
  const add = (view: Omit<ModelView, 'targets'>, target: ModelTargetView): void => {
    const known = models.get(view.id)
    if (known === undefined) models.set(view.id, { view, targets: [target] })
    else known.targets.push(target)
  }
  for (const provider of providers.list()) {
    for (const { id, ownedBy, contextTokens } of provider.models() ?? []) {
      const context = contextTokens === undefined ? {} : { contextTokens }
      add({ id, ownedBy: ownedBy ?? provider.name, ...context }, { name: provider.name, kind: 'local' })
    }
  }
  for (const { offer, peer } of market?.buyer === undefined ? [] : market.offers.offers()) {
    const context = offer.contextTokens === undefined ? {} : { contextTokens: offer.contextTokens }
    add(
      { id: offer.model, ownedBy: 'network', ...context },
      {
        name: peer,
        kind: 'network',
        inputMicrosPerMtok: offer.prices.input.toString(),
        outputMicrosPerMtok: offer.prices.output.toString(),
      },
    )
  }
  return [...models.values()].map(({ view, targets }) => ({ ...view, targets }))
}
