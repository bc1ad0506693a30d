/**
 * Adverts: a signed, expiring list of one seller's offers. Source: protocols/advert/v1.md.
 *
 * A signed advert is a binding price: an order that names it is honoured until it expires.
 */
import { sha256, utf8 } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import { decodeEnvelope, open, type Kind, type Signed } from './envelope.ts'
import { KEY_BYTES } from './identity.ts'
import { pricesShape } from './pricing.ts'
import { ADVERT_LIFETIME_MS, CLOCK_TOLERANCE_MS, DOMAINS, LIMITS, MODEL_KEY_DOMAIN } from './registry.ts'
import { amount, bytes, list, oneOf, optional, record, text, uint, type Read } from './shape.ts'

/** What a seller's offer can do natively. */
export const DIALECT_WORDS = ['openai-chat', 'openai-responses', 'anthropic-messages'] as const

/** One model at stated prices and limits. */
export const offerShape = record({
  model: text(LIMITS.modelNameBytes),
  /** The dialects that the seller's provider speaks; its bytes pass through. */
  dialects: list(oneOf(...DIALECT_WORDS), DIALECT_WORDS.length),
  prices: pricesShape,
  /** Tokens of input and output together; absent if the seller does not know. */
  contextTokens: optional(uint),
  /** The window W: output tokens the seller lets run ahead of the durable voucher. */
  windowTokens: uint,
  /** The most output tokens a call may be billed for beyond those delivered as text (hidden reasoning). */
  hiddenOutputTokensMax: uint,
})
export type Offer = Read<typeof offerShape>

const advertShape = record({
  type: oneOf(DOMAINS.advert),
  network: text(32),
  asset: text(16),
  seller: bytes(KEY_BYTES),
  /** Grows with every advert of this seller, across restarts. */
  sequence: uint,
  issuedAtMs: uint,
  expiresAtMs: uint,
  agent: text(64),
  /** Calls served at once. */
  slots: uint,
  /** Credit a buyer without history may use, in micros. */
  strangerCredit: amount,
  offers: list(offerShape, LIMITS.advertOffers),
  /** Id of the seller's newest checkpoint: what it had signed and recorded by then it cannot deny later. */
  checkpoint: optional(bytes(32)),
})
export type Advert = Read<typeof advertShape>

export const ADVERT: Kind<Advert> = {
  name: 'advert',
  domain: DOMAINS.advert,
  shape: advertShape,
  signerOf: (advert) => advert.seller,
}

/**
 * Reads an advert and checks all that can be checked without knowing other adverts, in the order of the specification.
 * @throws TokError `frame_too_large`, `encoding_invalid`, `signature_invalid`, `network_mismatch`, `advert_expired`
 */
export function openAdvert(data: Uint8Array, network: string, nowMs: number): Signed<Advert> {
  if (data.length > LIMITS.advertBytes) {
    throw new TokError('frame_too_large', { bytes: data.length, limitBytes: LIMITS.advertBytes })
  }
  const advert = open(ADVERT, decodeEnvelope(data, 'advert'))
  const { network: of, issuedAtMs, expiresAtMs } = advert.value
  if (of !== network) throw new TokError('network_mismatch', { network: of })
  const lifetimeMs = expiresAtMs - issuedAtMs
  if (lifetimeMs < ADVERT_LIFETIME_MS.min || lifetimeMs > ADVERT_LIFETIME_MS.max) {
    throw new TokError('encoding_invalid', { what: 'advert', reason: `it lives ${lifetimeMs} ms` })
  }
  if (issuedAtMs > nowMs + CLOCK_TOLERANCE_MS) {
    throw new TokError('encoding_invalid', { what: 'advert', reason: 'it is issued in the future' })
  }
  if (expiresAtMs <= nowMs) throw new TokError('advert_expired')
  return advert
}

/**
 * A model's name as sellers and buyers look it up: NFKC, lower case, trimmed, "_" and blanks as "-", no ":latest".
 */
export function canonicalModel(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .trim()
    .replace(/[_\s]+/g, '-')
    .replace(/:latest$/, '')
}

/** The 32-byte DHT key under which sellers of a model announce themselves. */
export function modelKey(network: string, model: string): Uint8Array {
  return sha256(utf8(`${MODEL_KEY_DOMAIN}/${network}/${canonicalModel(model)}`))
}
