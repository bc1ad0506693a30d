/** Vectors of protocols/advert/v1.md: adverts, and the keys that models are looked up by. */
import { encode } from '@ipld/dag-cbor'
import { toHex } from '../../src/base/bytes.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { ADVERT, canonicalModel, modelKey, type Advert, type Offer } from '../../src/wire/advert.ts'
import { encodeEnvelope, seal, type Envelope } from '../../src/wire/envelope.ts'
import type { NodeKey } from '../../src/wire/identity.ts'
import { ADVERT_LIFETIME_MS, CLOCK_TOLERANCE_MS, DOMAINS, LIMITS } from '../../src/wire/registry.ts'
import {
  accepted,
  alteredBody,
  ASSET,
  digestOf,
  KEYS,
  NETWORK,
  NOW_MS,
  raw,
  signRaw,
  type Case,
  type VectorFile,
} from './case.ts'

const offer: Offer = {
  model: 'qwen3:8b',
  dialects: ['openai-chat'],
  prices: { input: 100_000n, cachedInput: 25_000n, cacheWrite: 100_000n, output: 400_000n },
  windowTokens: 256,
  hiddenOutputTokensMax: 0,
}

const richOffer: Offer = {
  model: 'Claude-Haiku 4.5',
  dialects: ['openai-chat', 'openai-responses', 'anthropic-messages'],
  prices: { input: 1_000_000n, cachedInput: 100_000n, cacheWrite: 1_250_000n, output: 5_000_000n },
  contextTokens: 200_000,
  windowTokens: 4_096,
  hiddenOutputTokensMax: 32_000,
}

const advert: Advert = {
  type: DOMAINS.advert,
  network: NETWORK,
  asset: ASSET,
  seller: KEYS.seller.publicKey,
  sequence: 7,
  issuedAtMs: NOW_MS - 1_000,
  expiresAtMs: NOW_MS + 899_000,
  agent: 'tok-node/0.1.0',
  slots: 4,
  strangerCredit: 100_000n,
  offers: [offer],
}

/** @returns the vectors of adverts */
export function advertVectors(): VectorFile {
  return { protocol: 'advert/1', accept: [...acceptedAdverts(), ...modelKeys()], reject: rejectedAdverts() }
}

function acceptedAdverts(): Case[] {
  const whole = (name: string, changes: Partial<Advert>): Case => ({
    ...accepted(name, ADVERT, { ...advert, ...changes }, KEYS.seller),
    check: 'advert',
    network: NETWORK,
    nowMs: NOW_MS,
  })
  const { min, max } = ADVERT_LIFETIME_MS
  return [
    whole('an advert of one offer', {}),
    whole('an advert of three offers', {
      offers: [offer, richOffer, { ...offer, model: 'llama3.3', contextTokens: 0 }],
    }),
    whole('an advert of no offer', { offers: [], slots: 0 }),
    whole('an advert of sixteen offers', {
      offers: Array.from({ length: LIMITS.advertOffers }, (_, index) => ({ ...offer, model: `model-${index}` })),
    }),
    whole('an advert that names a checkpoint', { checkpoint: digestOf('a checkpoint') }),
    whole('the shortest life', { issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + min }),
    whole('the longest life', { issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + max }),
    whole('the last millisecond of its life', { issuedAtMs: NOW_MS + 1 - min, expiresAtMs: NOW_MS + 1 }),
    whole('a clock of the seller that is 300 s ahead', {
      issuedAtMs: NOW_MS + CLOCK_TOLERANCE_MS,
      expiresAtMs: NOW_MS + CLOCK_TOLERANCE_MS + min,
    }),
  ]
}

function modelKeys(): Case[] {
  const names = [
    'qwen3:8b',
    'Qwen_3  8B',
    ' llama3.3:latest ',
    'LLAMA3.3',
    'org/Model-Name:Q4_K_M',
    'ｆｕｌｌｗｉｄｔｈ',
    'ﬁne\u00a0tuned',
    'ΣΑΣ',
    'latest:latest',
  ]
  return names.map((model) => ({
    name: `the key of "${model}"`,
    check: 'model-key',
    network: NETWORK,
    model,
    canonical: canonicalModel(model),
    key: toHex(modelKey(NETWORK, model)),
  }))
}

function rejectedAdverts(): Case[] {
  const refuse = (name: string, envelope: Envelope, step: string, error: ErrorCode): Case => ({
    name,
    check: 'advert',
    kind: ADVERT.name,
    step,
    error,
    network: NETWORK,
    nowMs: NOW_MS,
    envelope: toHex(encodeEnvelope(envelope)),
  })
  const changed = (
    name: string,
    changes: Partial<Advert>,
    step: string,
    error: ErrorCode,
    key: NodeKey = KEYS.seller,
  ) => refuse(name, seal(ADVERT, { ...advert, ...changes }, key), step, error)
  const altered = (name: string, changes: Readonly<Record<string, Uint8Array | undefined>>): Case =>
    refuse(
      name,
      signRaw(ADVERT.domain, alteredBody({ ...advert }, changes), KEYS.seller),
      'envelope 3',
      'encoding_invalid',
    )
  const { min, max } = ADVERT_LIFETIME_MS

  return [
    changed(
      'more than 4096 bytes',
      { offers: Array.from({ length: 16 }, () => ({ ...richOffer, model: 'm'.repeat(LIMITS.modelNameBytes) })) },
      'advert 1',
      'frame_too_large',
    ),
    altered('seventeen offers', { offers: encode(Array.from({ length: LIMITS.advertOffers + 1 }, () => offer)) }),
    altered('an offer with a field that it does not have', { offers: encode([{ ...offer, queue: 3 }]) }),
    altered('a price that is a float', {
      offers: Buffer.concat([raw('81'), alteredBody({ ...offer }, { prices: floatPrices() })]),
    }),
    altered('an offer in a dialect that nobody knows', { offers: encode([{ ...offer, dialects: ['telnet'] }]) }),
    altered('an offer without a model', { offers: encode([{ ...offer, model: '' }]) }),
    changed('an advert signed by someone else', {}, 'envelope 6', 'signature_invalid', KEYS.stranger),
    changed('an advert of another network', { network: 'main' }, 'advert 3', 'network_mismatch'),
    changed(
      'a life one millisecond too short',
      { expiresAtMs: advert.issuedAtMs + min - 1 },
      'advert 4',
      'encoding_invalid',
    ),
    changed(
      'a life one millisecond too long',
      { expiresAtMs: advert.issuedAtMs + max + 1 },
      'advert 4',
      'encoding_invalid',
    ),
    changed('an end before the beginning', { expiresAtMs: advert.issuedAtMs - 1 }, 'advert 4', 'encoding_invalid'),
    changed(
      'an advert from more than 300 s in the future',
      { issuedAtMs: NOW_MS + CLOCK_TOLERANCE_MS + 1, expiresAtMs: NOW_MS + CLOCK_TOLERANCE_MS + 1 + min },
      'advert 5',
      'encoding_invalid',
    ),
    changed('an advert that ends now', { issuedAtMs: NOW_MS - min, expiresAtMs: NOW_MS }, 'advert 6', 'advert_expired'),
  ]
}

function floatPrices(): Uint8Array {
  return alteredBody({ ...offer.prices }, { input: raw('fb40f86a0000000000') })
}
