/**
 * Which seller to buy from. Pure: offers, needs and what was seen of the sellers in; a ranking with reasons out.
 */
import { formatAmount } from '../base/amount.ts'
import { TokError } from '../base/errors.ts'
import type { Offer } from '../wire/advert.ts'
import { affordableOutputTokens, maximumPrice } from '../wire/pricing.ts'
import type { ListedOffer } from './offer-book.ts'
import type { SellerRecord } from './reputation.ts'

/** What the request needs, in one dialect. */
export interface Need {
  /** What the seller would be asked in. */
  readonly dialect: Offer['dialects'][number]
  /** True if that is not what the client asks in. */
  readonly isTranslated: boolean
  /** The buyer's estimate. */
  readonly inputTokensEstimate: number
  /** The most input tokens that may be billed. */
  readonly inputTokensMax: number
  /** The most output tokens the client asked for, or the buyer's default. 0 for an endpoint without output. */
  readonly outputTokensWanted: number
}

/** What this node may use with one seller, in micros. */
export interface Room {
  readonly credit: bigint
  readonly spend: bigint | undefined
  /** The spending limit that leaves `spend`. */
  readonly spendLimit?: { readonly words: string } | undefined
}

export interface Candidate extends ListedOffer {
  readonly need: Need
  /** From 0 to 1. */
  readonly score: number
  /** The maximum the order will state: what was wanted, or what the room pays for. */
  readonly outputTokensMax: number
  readonly amountMax: bigint
  /** Why it stands where it stands, for people. */
  readonly reason: string
}

/** A seller that was passed over, and why. */
export interface PassedOver {
  readonly peer: string
  readonly reason: string
  /** What keeps the seller out, where that is money: its credit line, or this node's own spending limit. */
  readonly money?: 'credit' | 'spend'
  /** Set if the request cannot be asked of it at all. */
  readonly error?: TokError
}

/** With less output than this paid for, an answer is not worth starting, unless less was wanted. */
const OUTPUT_TOKENS_MIN = 256
/** Output that a typical answer has: for comparing prices. */
const OUTPUT_TOKENS_TYPICAL = 500
/** What an unknown first part counts as, in ms. */
const FIRST_PART_UNKNOWN_MS = 1_500
const FIRST_PART_SCALE_MS = 1_500

const WEIGHTS = { price: 0.5, reliability: 0.35, speed: 0.15 } as const

/**
 * Ranks the offers that can take the request, best first: price against the cheapest, reliability and time to the first part as
 * this node saw them itself. Equal scores rank by peer ID, so that the same facts always give the same order.
 * @param needFor what the request needs in the dialect this offer is asked in, or why it cannot be
 */
export function selectSellers(
  offers: readonly ListedOffer[],
  needFor: (offer: Offer) => Need | TokError,
  roomWith: (offer: ListedOffer) => Room,
  recordOf: (peer: string) => SellerRecord,
): { readonly candidates: readonly Candidate[]; readonly passedOver: readonly PassedOver[] } {
  const passedOver: PassedOver[] = []
  const fitting: (Omit<Candidate, 'score' | 'reason'> & { typicalPrice: bigint })[] = []
  for (const listed of offers) {
    const need = needFor(listed.offer)
    if (need instanceof TokError) {
      passedOver.push({ peer: listed.peer, reason: need.message, error: need })
      continue
    }
    const room = roomWith(listed)
    const obstacle = obstacleOf(listed, need, recordOf(listed.peer)) ?? moneyObstacle(listed, need, room)
    if (obstacle !== undefined) {
      passedOver.push({ peer: listed.peer, ...obstacle })
      continue
    }
    const outputTokensMax = outputRoom(listed, need, budgetOf(room))
    const amountMax = maximumPrice(need.inputTokensMax, outputTokensMax, listed.offer.prices)
    fitting.push({ ...listed, need, outputTokensMax, amountMax, typicalPrice: typicalPriceOf(listed, need) })
  }
  const cheapest = fitting.reduce<bigint | undefined>(
    (least, { typicalPrice }) => (least === undefined || typicalPrice < least ? typicalPrice : least),
    undefined,
  )
  const candidates = fitting.map(({ typicalPrice, ...listed }) => {
    const record = recordOf(listed.peer)
    const price = typicalPrice === 0n ? 1 : Number(cheapest ?? 0n) / Number(typicalPrice)
    const reliability = (record.succeeded + 1) / (record.succeeded + record.failed + 1.5)
    const speed = FIRST_PART_SCALE_MS / (FIRST_PART_SCALE_MS + (record.firstPartMs ?? FIRST_PART_UNKNOWN_MS))
    const score = WEIGHTS.price * price + WEIGHTS.reliability * Math.min(1, reliability) + WEIGHTS.speed * speed
    return {
      ...listed,
      score,
      reason: reasonFor(listed, record, typicalPrice === cheapest),
    }
  })
  candidates.sort((one, other) => other.score - one.score || (one.peer < other.peer ? -1 : 1))
  return { candidates, passedOver }
}

function outputRoom({ offer }: ListedOffer, need: Need, budget: bigint): number {
  return Math.min(need.outputTokensWanted, affordableOutputTokens(budget, need.inputTokensMax, offer.prices))
}

function budgetOf({ credit, spend }: Pick<Room, 'credit' | 'spend'>): bigint {
  return spend !== undefined && spend < credit ? spend : credit
}

function obstacleOf({ offer }: ListedOffer, need: Need, record: SellerRecord): { reason: string } | undefined {
  const { contextTokens } = offer
  if (contextTokens !== undefined && need.inputTokensEstimate > contextTokens) {
    return { reason: `its context is ${contextTokens} tokens, the request has about ${need.inputTokensEstimate}` }
  }
  if (record.restsForMs > 0) return { reason: `failed lately, rests for ${Math.ceil(record.restsForMs / 1_000)} s` }
  return undefined
}

/** Why an answer worth starting cannot be paid for: the seller's credit line, or this node's own limit. */
function moneyObstacle(
  listed: ListedOffer,
  need: Need,
  { credit, spend, spendLimit }: Room,
): Pick<PassedOver, 'reason' | 'money'> | undefined {
  const outputTokensMin = Math.min(OUTPUT_TOKENS_MIN, need.outputTokensWanted)
  const least = maximumPrice(need.inputTokensMax, outputTokensMin, listed.offer.prices)
  const shown = (micros: bigint): string => formatAmount(micros > 0n ? micros : 0n)
  if (least > credit) {
    const reason = `${shown(credit)} is left of its credit line, this request may cost ${shown(least)} or more`
    return { reason, money: 'credit' }
  }
  if (spend === undefined || least <= spend) return undefined
  return {
    reason: `${shown(spend)} is left of the spending limit ${spendLimit?.words ?? ''}, this request may cost ${shown(least)} or more`,
    money: 'spend',
  }
}

function typicalPriceOf({ offer }: ListedOffer, need: Need): bigint {
  return maximumPrice(need.inputTokensEstimate, Math.min(need.outputTokensWanted, OUTPUT_TOKENS_TYPICAL), offer.prices)
}

function reasonFor(
  { offer, need }: Pick<Candidate, 'offer' | 'need'>,
  record: SellerRecord,
  isCheapest: boolean,
): string {
  const calls = record.succeeded + record.failed
  const facts = [
    `${formatAmount(offer.prices.input)}/${formatAmount(offer.prices.output)} per Mtok${isCheapest ? ', cheapest' : ''}`,
    calls === 0 ? 'no history' : `${record.succeeded} of ${calls} calls good`,
  ]
  if (need.isTranslated) facts.push(`translated to ${need.dialect}`)
  if (record.firstPartMs !== undefined) facts.push(`first part after ${Math.round(record.firstPartMs)} ms`)
  return facts.join('; ')
}
