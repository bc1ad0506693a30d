import { describe, expect, test } from 'vitest'
import { systemRandomBytes } from '../../../src/base/bytes.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { createOfferBook, type OfferBook } from '../../../src/market/offer-book.ts'
import { ADVERT, type Advert, type Offer } from '../../../src/wire/advert.ts'
import { encodeEnvelope, seal } from '../../../src/wire/envelope.ts'
import { nodeKeyFromSeed } from '../../../src/wire/identity.ts'
import { DOMAINS } from '../../../src/wire/registry.ts'

const START_MS = 1_800_000_000_000
const key = nodeKeyFromSeed(new Uint8Array(32).fill(1))
const ownKey = nodeKeyFromSeed(new Uint8Array(32).fill(2))

const OFFER: Offer = {
  model: 'llama',
  dialects: ['openai-chat'],
  prices: { input: 1n, cachedInput: 1n, cacheWrite: 1n, output: 2n },
  contextTokens: undefined,
  windowTokens: 256,
  hiddenOutputTokensMax: 0,
}

function advert(changes: Partial<Advert> = {}, signer = key): Uint8Array {
  const value: Advert = {
    type: DOMAINS.advert,
    network: 'test',
    asset: 'USD',
    seller: signer.publicKey,
    sequence: 10,
    issuedAtMs: START_MS,
    expiresAtMs: START_MS + 600_000,
    agent: 'test',
    slots: 1,
    strangerCredit: 0n,
    offers: [OFFER],
    ...changes,
  }
  return encodeEnvelope(seal(ADVERT, value, signer))
}

function openBook(): { book: OfferBook; pass: (ms: number) => void } {
  let elapsedMs = 0
  const clock = { ...systemClock, nowMs: () => START_MS + elapsedMs, monotonicMs: () => elapsedMs }
  const book = createOfferBook({ clock }, { network: 'test', asset: 'USD', ownPeer: ownKey.peer })
  return { book, pass: (ms) => (elapsedMs += ms) }
}

const flipped = (data: Uint8Array): Uint8Array =>
  data.map((byte, index) => (index === data.length - 1 ? byte ^ 1 : byte))

describe('an advert', () => {
  const refused: [string, Uint8Array, string][] = [
    ['older than the one known', advert({ sequence: 9 }), 'advert_stale'],
    ['other than the one known, with its sequence', advert({ slots: 2 }), 'advert_stale'],
    ['of this node itself', advert({}, ownKey), 'advert_stale'],
    [
      'that has expired',
      advert({ sequence: 11, issuedAtMs: START_MS - 600_000, expiresAtMs: START_MS }),
      'advert_expired',
    ],
    [
      'issued in the future',
      advert({ sequence: 11, issuedAtMs: START_MS + 301_000, expiresAtMs: START_MS + 900_000 }),
      'encoding_invalid',
    ],
    ['that lives too long', advert({ sequence: 11, expiresAtMs: START_MS + 7_200_001 }), 'encoding_invalid'],
    ['of another network', advert({ sequence: 11, network: 'other' }), 'network_mismatch'],
    ['in another asset', advert({ sequence: 11, asset: 'EUR' }), 'encoding_invalid'],
    ['of a seller that did not sign it', advert({ sequence: 11, seller: ownKey.publicKey }), 'signature_invalid'],
    ['with a bit of its signature changed', flipped(advert({ sequence: 11 })), 'signature_invalid'],
    ['that is none', systemRandomBytes(100), 'encoding_invalid'],
    ['that is too large', new Uint8Array(4_097), 'frame_too_large'],
  ]

  test.each(refused)('%s is refused, and the one known stays', (_, data, code) => {
    const { book } = openBook()
    const known = book.add(advert())
    expect(() => book.add(data)).toThrow(expect.objectContaining({ code }))
    expect(book.advertOf(key.peer)).toBe(known)
    expect(book.offers()).toHaveLength(1)
  })

  test('that is newer takes the place of the one known', () => {
    const { book } = openBook()
    book.add(advert())
    book.add(advert({ sequence: 11, offers: [{ ...OFFER, model: 'qwen' }] }))
    expect(book.offers().map(({ offer, peer }) => [offer.model, peer])).toEqual([['qwen', key.peer]])
  })

  test('counts until it expires', () => {
    const { book, pass } = openBook()
    book.add(advert())
    pass(599_999)
    expect(book.offersOf('llama')).toHaveLength(1)
    pass(1)
    expect(book.offersOf('llama')).toEqual([])
    expect(book.advertOf(key.peer)).toBeUndefined()
  })

  test('is heard again whatever its sequence once its seller is forgotten', () => {
    const { book } = openBook()
    book.add(advert())
    book.forget(key.peer)
    expect(book.add(advert({ sequence: 3 })).value.sequence).toBe(3)
  })
})

describe('a seller that talks too fast', () => {
  test('may say four things at once, and then one a second', () => {
    const { book, pass } = openBook()
    const say = (sequence: number) => () => book.add(advert({ sequence }))
    for (const sequence of [1, 2, 3, 4]) say(sequence)()
    expect(say(5)).toThrow(expect.objectContaining({ code: 'advert_stale' }))
    pass(999)
    expect(say(5)).toThrow(expect.objectContaining({ code: 'advert_stale' }))
    pass(1)
    expect(say(5)().value.sequence).toBe(5)
    expect(say(6)).toThrow(expect.objectContaining({ code: 'advert_stale' }))
  })

  test('is not drowned by those who repeat what it said', () => {
    const { book } = openBook()
    const repeat = (): unknown => book.add(advert())
    for (let time = 0; time < 5; time += 1) repeat()
    expect(repeat).toThrow(expect.objectContaining({ code: 'advert_stale' }))
    expect(book.add(advert({ sequence: 11 })).value.sequence).toBe(11)
  })
})

test('an offer is found under any spelling of its model', () => {
  const { book } = openBook()
  book.add(advert({ offers: [{ ...OFFER, model: 'Qwen_2.5 Coder:latest' }] }))
  for (const name of ['qwen-2.5-coder', 'QWEN 2.5 CODER', ' qwen_2.5_coder:latest '])
    expect(book.offersOf(name)).toHaveLength(1)
  expect(book.offersOf('qwen-2.5')).toEqual([])
})

test('with room for no more, the advert that expires first is forgotten', () => {
  const { book } = openBook()
  const peers: string[] = []
  for (let seller = 0; seller <= 5_000; seller += 1) {
    const signer = nodeKeyFromSeed(Buffer.concat([Buffer.alloc(30, 7), Buffer.from([seller >> 8, seller & 255])]))
    peers.push(signer.peer)
    const lifetimeMs = seller === 17 ? 500_000 : 600_000
    book.add(advert({ expiresAtMs: START_MS + lifetimeMs }, signer))
  }
  expect(book.offers()).toHaveLength(5_000)
  expect(book.advertOf(peers[17]!)).toBeUndefined()
}, 60_000)
