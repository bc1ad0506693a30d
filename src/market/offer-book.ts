/**
 * The offer book: the newest verified advert of every seller this node has heard of, bounded, until it expires.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import { canonicalModel, openAdvert, type Advert, type Offer } from '../wire/advert.ts'
import type { Signed } from '../wire/envelope.ts'
import { peerOfKey } from '../wire/identity.ts'

/** One offer with who makes it and until when it binds. */
export interface ListedOffer {
  readonly offer: Offer
  readonly advert: Signed<Advert>
  /** The seller's peer ID. */
  readonly peer: string
}

export interface OfferBook {
  /**
   * Takes in an advert: verifies it and keeps it if it is newer than the one known of its seller.
   * @throws TokError `advert_stale` for an older one, or one that comes too soon after others, or again and again; `advert_expired`;
   *   `encoding_invalid`, `signature_invalid`, `network_mismatch`, `frame_too_large` for one that proves its sender faulty
   */
  add(data: Uint8Array): Signed<Advert>
  /** Offers of a model in any dialect, under any spelling of its name; own ones left out. */
  offersOf(model: string): readonly ListedOffer[]
  /** Every offer in force. */
  offers(): readonly ListedOffer[]
  /** The advert known of a seller. */
  advertOf(peer: string): Signed<Advert> | undefined
  /** Forgets a seller's advert, so that its next one counts whatever its sequence. */
  forget(peer: string): void
}

/** Sellers remembered; beyond it the advert that expires first is forgotten. */
const SELLERS_MAX = 5_000
/** A seller that talks faster is not listened to: some adverts at once, as after a start or a correction, then one a second. */
const BURST = 4
const INTERVAL_MS = 1_000

/** How much more may come at once; refills with time. */
interface Allowance {
  readonly left: number
  readonly atMs: number
}

interface Heard {
  readonly advert: Signed<Advert>
  /** For newer adverts, and apart from them for this one again: who repeats old ones must not drown the next. */
  readonly newer: Allowance
  readonly repeats: Allowance
}

export function createOfferBook(
  { clock }: { readonly clock: Clock },
  options: { readonly network: string; readonly asset: string; readonly ownPeer: string },
): OfferBook {
  const adverts = new Map<string, Heard>()

  const forgetExpired = (): void => {
    const nowMs = clock.nowMs()
    for (const [peer, { advert }] of adverts) if (advert.value.expiresAtMs <= nowMs) adverts.delete(peer)
  }

  const makeRoom = (): void => {
    if (adverts.size < SELLERS_MAX) return
    let first: [string, number] | undefined
    for (const [peer, { advert }] of adverts) {
      if (first === undefined || advert.value.expiresAtMs < first[1]) first = [peer, advert.value.expiresAtMs]
    }
    if (first !== undefined) adverts.delete(first[0])
  }

  const list = (): readonly ListedOffer[] => {
    forgetExpired()
    return [...adverts].flatMap(([peer, { advert }]) => advert.value.offers.map((offer) => ({ offer, advert, peer })))
  }

  return {
    add(data) {
      const advert = openAdvert(data, options.network, clock.nowMs())
      if (advert.value.asset !== options.asset) {
        throw new TokError('encoding_invalid', { what: 'advert', reason: `its asset is ${advert.value.asset}` })
      }
      const peer = peerOfKey(advert.value.seller)
      if (peer === options.ownPeer) throw new TokError('advert_stale')
      const known = adverts.get(peer)
      const nowMs = clock.monotonicMs()
      if (known !== undefined && equalBytes(known.advert.id, advert.id)) {
        adverts.set(peer, { ...known, repeats: take(known.repeats, nowMs) })
        return known.advert
      }
      if (known !== undefined && advert.value.sequence <= known.advert.value.sequence)
        throw new TokError('advert_stale')
      forgetExpired()
      if (known === undefined) makeRoom()
      const full = { left: BURST, atMs: nowMs }
      adverts.set(peer, { advert, newer: take(known?.newer ?? full, nowMs), repeats: full })
      return advert
    },
    offersOf(model) {
      const name = canonicalModel(model)
      return list().filter(({ offer }) => canonicalModel(offer.model) === name)
    },
    offers: list,
    advertOf(peer) {
      forgetExpired()
      return adverts.get(peer)?.advert
    },
    forget: (peer) => void adverts.delete(peer),
  }
}

/** @throws TokError `advert_stale` if nothing is left */
function take({ left, atMs }: Allowance, nowMs: number): Allowance {
  const refilled = Math.min(BURST, left + (nowMs - atMs) / INTERVAL_MS)
  if (refilled < 1) throw new TokError('advert_stale')
  return { left: refilled - 1, atMs: nowMs }
}
