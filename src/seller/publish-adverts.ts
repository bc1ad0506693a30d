/**
 * What this node sells, told to others: a signed advert by gossip, to whoever asks, and a DHT provider record per model. Published
 * when something changed, and in time before the last one expires. Source: journey C in docs/ARCHITECTURE.md.
 */
import type { Logger } from 'pino'
import type { RandomBytes } from '../base/bytes.ts'
import { timeoutSignal, type Clock } from '../base/clock.ts'
import { toTokError } from '../base/errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Network } from '../network/network.ts'
import { modelKey, type Advert, type Offer } from '../wire/advert.ts'
import { encodeEnvelope } from '../wire/envelope.ts'
import { ADVERT_LIFETIME_MS, DOMAINS, LIMITS, TIMEOUTS } from '../wire/registry.ts'

export interface AdvertPublisher {
  /** The advert in force, as bytes; undefined while nothing is sold. */
  current(): Uint8Array | undefined
  /** The offers of the advert in force. */
  offers(): readonly Offer[]
  /** Looks anew at what is sold, and publishes it if it changed. */
  refresh(): void
  /** A peer came: it may have missed the last advert. */
  greet(): void
  stop(): void
}

export interface PublisherOptions {
  readonly agent: string
  readonly slots: number
  readonly strangerCredit: bigint
}

/** Between two adverts when nothing changes, in ms; each lives three times as long. */
const REFRESH_MS = 120_000
const LIFETIME_MS = 3 * REFRESH_MS
const JITTER_PART = 0.25
/** Offers are looked at this often: engines come and go. */
const LOOK_MS = 5_000
/** Changes and newcomers within this time are told together. */
const COALESCE_MS = 300
/** Provider records are announced anew this often. */
const PROVIDE_MS = 1_800_000
const PROVIDE_AGAIN_MS = 15_000

interface Dependencies {
  readonly ledger: Ledger
  readonly network: Network
  readonly clock: Clock
  readonly random: RandomBytes
  readonly logger: Logger
  /** What is sold at this moment. */
  readonly offersNow: () => readonly Offer[]
}

export function createAdvertPublisher(dependencies: Dependencies, options: PublisherOptions): AdvertPublisher {
  const { ledger, network, clock, random, logger, offersNow } = dependencies
  const stopped = new AbortController()
  let data: Uint8Array | undefined
  let offers: readonly Offer[] = []
  let publishing = Promise.resolve()
  let cancelNext = (): void => undefined
  let cancelLook = (): void => undefined
  let cancelGreeting: (() => void) | undefined
  const provided = new Map<string, number>()

  const jittered = (ms: number): number => {
    const byte = random(1)[0] ?? 0
    return ms * (1 - JITTER_PART + (2 * JITTER_PART * byte) / 255)
  }

  const publish = async (): Promise<void> => {
    cancelNext()
    if (stopped.signal.aborted) return
    cancelNext = clock.after(jittered(REFRESH_MS), () => enqueue(publish))
    if (offers.length === 0) {
      data = undefined
      return
    }
    const advert = await ledger.recordAdvert((sequence) => advertOf(sequence))
    data = encodeEnvelope(advert)
    await network.publishAdvert(data)
    for (const { model } of offers) void provide(model)
  }

  const advertOf = (sequence: number): Advert => {
    const nowMs = clock.nowMs()
    return {
      type: DOMAINS.advert,
      network: ledger.network,
      asset: ledger.asset,
      seller: ledger.key.publicKey,
      sequence,
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + Math.min(LIFETIME_MS, ADVERT_LIFETIME_MS.max),
      agent: options.agent,
      slots: options.slots,
      strangerCredit: options.strangerCredit,
      offers,
      checkpoint: ledger.newestCheckpoint()?.id,
    }
  }

  const provide = async (model: string): Promise<void> => {
    const nowMs = clock.monotonicMs()
    if (nowMs < (provided.get(model) ?? 0)) return
    provided.set(model, nowMs + PROVIDE_MS)
    try {
      const signal = AbortSignal.any([stopped.signal, timeoutSignal(clock, TIMEOUTS.lookupMs)])
      await network.provide(modelKey(ledger.network, model), signal)
    } catch (thrown) {
      // Nobody keeps the record yet: try again soon. Gossip and direct queries work meanwhile.
      provided.set(model, nowMs + PROVIDE_AGAIN_MS)
      logger.debug({ model, reason: toTokError(thrown).message }, 'no provider record in the DHT yet')
    }
  }

  const enqueue = (step: () => Promise<void>): void => {
    publishing = publishing.then(step).catch((thrown: unknown) => {
      const error = toTokError(thrown)
      logger.warn({ code: error.code, reason: error.message }, 'the advert could not be published')
    })
  }

  const refresh = (): void => {
    const now = offersNow().slice(0, LIMITS.advertOffers)
    const isSame = signatureOf(now) === signatureOf(offers)
    if (isSame) {
      for (const { model } of offers) void provide(model)
      return
    }
    offers = now
    enqueue(publish)
  }

  const look = (): void => {
    refresh()
    if (!stopped.signal.aborted) cancelLook = clock.after(LOOK_MS, look)
  }
  look()

  return {
    current: () => data,
    offers: () => offers,
    refresh,
    greet() {
      cancelGreeting ??= clock.after(COALESCE_MS, () => {
        cancelGreeting = undefined
        if (data !== undefined && !stopped.signal.aborted)
          enqueue(() => network.publishAdvert(data ?? new Uint8Array()))
        for (const { model } of offers) void provide(model)
      })
    },
    stop() {
      stopped.abort()
      cancelNext()
      cancelLook()
      cancelGreeting?.()
    },
  }
}

/** Equal for equal offers. */
function signatureOf(offers: readonly Offer[]): string {
  return JSON.stringify(offers, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))
}
