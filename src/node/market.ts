/**
 * The trading half of a node: the libp2p host with a buyer, a seller or both behind it. Built only for a role that trades, so that
 * a node for local providers loads none of it.
 */
import type { Logger } from 'pino'
import type { RandomBytes } from '../base/bytes.ts'
import { sleep, type Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import { createBuyer, type Buyer, type BuyerDependencies } from '../buyer/purchase.ts'
import { createSettler, type Settler } from '../buyer/settle.ts'
import { createOfferTracker, type OfferTracker } from '../buyer/track-offers.ts'
import type { Config } from '../config/config.ts'
import type { SpendRule } from '../config/kinds.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { ModelSpendLimit } from '../ledger/purchases.ts'
import { createOfferBook, type OfferBook } from '../market/offer-book.ts'
import { createReputation, type Reputation } from '../market/reputation.ts'
import { createManualAdapter, type SettlementAdapter } from '../market/settlement-adapter.ts'
import { createNetwork } from '../network/host.ts'
import type { Network } from '../network/network.ts'
import { matchesPattern } from '../routing/routes.ts'
import { createPaymentChecker } from '../seller/check-payments.ts'
import { createAdvertPublisher, type AdvertPublisher } from '../seller/publish-adverts.ts'
import { createSeller, type Seller, type Supply } from '../seller/serve-inference.ts'
import { createSettlementAnswerer } from '../seller/settle.ts'
import { canonicalModel, type Offer } from '../wire/advert.ts'
import { keyOfPeer } from '../wire/identity.ts'
import { LIMITS } from '../wire/registry.ts'
import { creditPolicyOf } from './ledger-views.ts'

/** What a node needs to trade. */
export interface MarketDependencies {
  readonly ledger: Ledger
  /** 32 bytes. */
  readonly seed: Uint8Array
  readonly clock: Clock
  readonly random: RandomBytes
  readonly logger: Logger
  readonly translation: BuyerDependencies['translation']
  readonly offersNow: () => readonly Offer[]
  readonly supplyOf: (model: string) => Supply | undefined
  /** What carries it: libp2p, or the network of a simulation. */
  readonly createNetwork?: typeof createNetwork
}

/** A node's market. */
export interface Market {
  readonly network: Network
  readonly offers: OfferBook
  readonly reputation: Reputation
  /** Undefined on a node that does not buy. */
  readonly buyer: Buyer | undefined
  /** Undefined on a node that does not sell. */
  readonly seller: Seller | undefined
  readonly publisher: AdvertPublisher | undefined
  /** Keeps the accounts on which this node buys; undefined on a node that does not. */
  readonly settler: Settler | undefined
  /** The ways of paying outside the ledger that this node knows. */
  readonly adapters: readonly SettlementAdapter[]
  /** Takes no new orders and finishes the sales under way, at most `graceMs` long. Buying goes on. */
  drain(graceMs: number): Promise<void>
  /** Waits for purchases that are ending and for the last statements, a few seconds at most, then leaves the network. */
  stop(): Promise<void>
}

/** Connections of a node whose business is not to be a meeting point, and of one that others join through. */
const CONNECTIONS_MAX = { buyer: 100, seller: 1_000 } as const
/** How long a stopping node waits for the statements of its last calls, in ms. */
const LAST_SETTLEMENT_MS = 2_000

/** @throws TokError `config_invalid`, `port_in_use` from the host */
export async function startMarket(dependencies: MarketDependencies, config: Config, agent: string): Promise<Market> {
  const { ledger, seed, clock, random, logger, translation } = dependencies
  const host = dependencies.createNetwork ?? createNetwork
  const sells = config.role === 'seller' || config.role === 'both'
  const buys = config.role === 'buyer' || config.role === 'both'
  const offers = createOfferBook({ clock }, { network: ledger.network, asset: ledger.asset, ownPeer: ledger.key.peer })
  const reputation = createReputation({ clock })

  const seller = sells
    ? createSeller(
        { ledger, clock, logger, supplyOf: dependencies.supplyOf },
        {
          slots: config.selling.slots,
          credit: creditPolicyOf(config),
        },
      )
    : undefined
  // The host calls back from the moment it listens; what it calls is there a turn later.
  let publisher: AdvertPublisher | undefined = undefined
  let tracker: OfferTracker | undefined = undefined
  let settler: Settler | undefined = undefined

  const adapters = [createManualAdapter({ autoConfirmMax: config.selling.autoConfirmMaxMicros })]
  const answerSettlement =
    seller &&
    createSettlementAnswerer({
      ledger,
      clock,
      logger,
      creditLimitOf: (buyer) => seller.creditLimitOf(buyer),
      checkPayments: createPaymentChecker({ ledger, clock, logger }, { adapters }),
      ...(buys ? { settleOwn: (peer) => settler?.settleSoon(peer) } : {}),
    })

  const forgetConnection = (peer: string): void => {
    settler?.forgetConnection(peer)
    const buyer = keyOfPeer(peer)
    if (seller === undefined || buyer === undefined) return
    const { network: name, asset, key } = ledger
    ledger.setReconciled({ network: name, asset, buyer, seller: key.publicKey }, false)
  }

  const network = await host(
    { seed, clock, random, logger },
    {
      network: config.network.name,
      listen: config.network.listen,
      bootstrap: config.network.bootstrap,
      mdns: config.network.mdns,
      role: sells ? 'server' : 'client',
      maxConnections: sells ? CONNECTIONS_MAX.seller : CONNECTIONS_MAX.buyer,
      callsPerStream: LIMITS.callsPerStream,
    },
    {
      onCall(channel) {
        if (seller === undefined) channel.close()
        else seller.onCall(channel)
      },
      async onAccountStream(stream) {
        if (answerSettlement === undefined) throw new TokError('selling_disabled')
        await answerSettlement(stream)
      },
      judgeAdvert: (data) => tracker?.judge(data) ?? 'ignore',
      currentAdvert: () => publisher?.current(),
      onPeerConnected(peer) {
        tracker?.ask(peer)
        publisher?.greet()
        if (settler !== undefined && isToCompare(ledger, peer)) settler.settleSoon(peer)
      },
      onPeerDisconnected: forgetConnection,
    },
  )

  tracker = createOfferTracker({ network, offers, clock, logger }, { network: ledger.network })
  if (buys) settler = createSettler({ ledger, network, clock, logger })
  const buyer =
    settler &&
    createBuyer(
      { ledger, network, offers, tracker, settler, reputation, clock, random, logger, translation },
      {
        workMode: config.routing.workMode,
        spendLimit: config.buying.spendMaxMicros,
        sellerSpendLimit: config.buying.spendMaxPerSellerMicros,
        modelSpendLimits: config.buying.spendMaxPerModel.map(spendLimitOf),
        outputTokensDefault: config.buying.orderOutputTokensDefault,
      },
    )
  publisher = sells
    ? createAdvertPublisher(
        { ledger, network, clock, random, logger, offersNow: dependencies.offersNow },
        { agent, slots: config.selling.slots, strangerCredit: config.selling.strangerCreditMicros },
      )
    : undefined
  for (const { peer } of network.peers()) tracker.ask(peer)
  // What the last process left half done is not known here: each seller is asked once.
  for (const peer of sellersOf(ledger)) settler?.settleSoon(peer)

  return {
    network,
    offers,
    reputation,
    buyer,
    seller,
    publisher,
    settler,
    adapters,
    async drain(graceMs) {
      publisher?.stop()
      await seller?.drain(graceMs)
    },
    async stop() {
      await buyer?.idle()
      await settleLast(ledger, network, clock)
      settler?.stop()
      await network.stop()
    },
  }
}

/** Every seller this node ever bought from. */
function sellersOf(ledger: Ledger): ReadonlySet<string> {
  const bought = ledger.accountViews().filter(({ side }) => side === 'buyer')
  return new Set(bought.map(({ peer }) => peer))
}

/** True for a seller with which there is an account, and for any peer if this ledger may have forgotten one. */
function isToCompare(ledger: Ledger, peer: string): boolean {
  return ledger.restoredAtMs !== undefined || sellersOf(ledger).has(peer)
}

/** Waits a moment for the statements of calls that have just ended; what is left is settled at the next start. */
async function settleLast(ledger: Ledger, network: Network, clock: Clock): Promise<void> {
  const deadlineMs = clock.monotonicMs() + LAST_SETTLEMENT_MS
  const isOpen = (): boolean =>
    ledger.accountViews().some(({ unsettled, peer }) => unsettled > 0n && network.isConnected(peer))
  while (isOpen() && clock.monotonicMs() < deadlineMs) await sleep(clock, 20)
}

function spendLimitOf({ model: name, micros }: SpendRule): ModelSpendLimit {
  const pattern = canonicalModel(name)
  return { name, micros, covers: (model) => matchesPattern(pattern, model) }
}
