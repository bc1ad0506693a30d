/**
 * Where offers come from: gossip as it passes by, the adverts of peers this node meets, and the DHT when a model is asked for
 * that no known offer has. Every advert is verified by the offer book before it counts.
 */
import type { Logger } from 'pino'
import { timeoutSignal, type Clock } from '../base/clock.ts'
import { toTokError } from '../base/errors.ts'
import type { OfferBook } from '../market/offer-book.ts'
import type { AdvertVerdict, Network } from '../network/network.ts'
import { canonicalModel, modelKey } from '../wire/advert.ts'
import { TIMEOUTS } from '../wire/registry.ts'

export interface OfferTracker {
  /** Judges an advert that gossip brought: newer and valid ones are kept and relayed. */
  judge(data: Uint8Array): AdvertVerdict
  /** Asks a peer for its advert, in the background. Peers that sell nothing answer so. */
  ask(peer: string): void
  /** Asks a peer for its advert, whatever is known of it. Never rejects. */
  refresh(peer: string): Promise<void>
  /**
   * Looks in the DHT for sellers of a model and asks them for their adverts. Resolves when one was found, or when the time is
   * up. One lookup per model at a time, and none again within a short while.
   */
  lookUp(model: string, signal: AbortSignal): Promise<void>
}

/** Adverts that prove their sender faulty; anything else that is not kept is merely old. */
const FAULTY: ReadonlySet<string> = new Set([
  'encoding_invalid',
  'signature_invalid',
  'network_mismatch',
  'frame_too_large',
])
const SELLERS_PER_LOOKUP = 20
const LOOKUP_AGAIN_AFTER_MS = 10_000
/** Models whose lookups are remembered. */
const LOOKUPS_MAX = 1_000

export function createOfferTracker(
  { network, offers, clock, logger }: Dependencies,
  options: { readonly network: string },
): OfferTracker {
  const lookups = new Map<string, { readonly startedAtMs: number; readonly found: Promise<void> }>()

  const fetch = async (peer: string, signal: AbortSignal): Promise<boolean> => {
    try {
      const data = await network.queryAdvert(peer, signal)
      if (data === undefined) return false
      offers.add(data)
      return true
    } catch (thrown) {
      const error = toTokError(thrown)
      logger.debug({ peer, code: error.code, reason: error.message }, 'no advert from this peer')
      return error.code === 'advert_stale'
    }
  }

  const search = async (model: string): Promise<void> => {
    const signal = timeoutSignal(clock, TIMEOUTS.lookupMs)
    const asked: Promise<boolean>[] = []
    try {
      for await (const peer of network.findProviders(modelKey(options.network, model), SELLERS_PER_LOOKUP, signal)) {
        const answer = fetch(peer, signal)
        asked.push(answer)
        if (await answer) break
      }
    } catch (thrown) {
      const error = toTokError(thrown)
      logger.debug({ model, code: error.code, reason: error.message }, 'the lookup ended early')
    }
    await Promise.all(asked)
  }

  return {
    judge(data) {
      try {
        offers.add(data)
        return 'accept'
      } catch (thrown) {
        const { code } = toTokError(thrown)
        return FAULTY.has(code) ? 'reject' : 'ignore'
      }
    },
    ask: (peer) => void fetch(peer, timeoutSignal(clock, TIMEOUTS.advertMs)),
    async refresh(peer) {
      offers.forget(peer)
      await fetch(peer, timeoutSignal(clock, TIMEOUTS.advertMs))
    },
    async lookUp(model, signal) {
      const name = canonicalModel(model)
      const known = lookups.get(name)
      const isFresh = known !== undefined && clock.monotonicMs() - known.startedAtMs < LOOKUP_AGAIN_AFTER_MS
      if (!isFresh) {
        if (lookups.size >= LOOKUPS_MAX) lookups.delete(lookups.keys().next().value ?? '')
        lookups.set(name, { startedAtMs: clock.monotonicMs(), found: search(name) })
      }
      const lookup = lookups.get(name)
      await Promise.race([lookup?.found, aborted(signal)])
    },
  }
}

interface Dependencies {
  readonly network: Network
  readonly offers: OfferBook
  readonly clock: Clock
  readonly logger: Logger
}

/** Resolves when the signal aborts: a lookup that takes too long is not waited for. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
