import { describe, expect, test } from 'vitest'
import type { ListedOffer } from '../../../src/market/offer-book.ts'
import type { SellerRecord } from '../../../src/market/reputation.ts'
import { TokError } from '../../../src/base/errors.ts'
import { selectSellers, type Need, type Room } from '../../../src/market/select-seller.ts'
import type { Advert, Offer } from '../../../src/wire/advert.ts'
import type { Signed } from '../../../src/wire/envelope.ts'

const NEED: Need = {
  dialect: 'openai-chat',
  isTranslated: false,
  inputTokensEstimate: 1_000,
  inputTokensMax: 2_500,
  outputTokensWanted: 1_000,
}
const RICH: Room = { credit: 1_000_000_000n, spend: 1_000_000_000n }
const UNKNOWN: SellerRecord = {
  succeeded: 0,
  failed: 0,
  firstPartMs: undefined,
  tokensPerSecond: undefined,
  restsForMs: 0,
}

/** A seller by its letter, with USD per Mtok in and out, and what was seen of it. */
interface Seller {
  readonly peer: string
  readonly input: number
  readonly output: number
  readonly record: Partial<SellerRecord>
  readonly offer: Partial<Offer>
}

const seller = (
  peer: string,
  input: number,
  output: number,
  record: Partial<SellerRecord> = {},
  offer: Partial<Offer> = {},
): Seller => ({
  peer,
  input,
  output,
  record,
  offer,
})

function listed({ peer, input, output, offer }: Seller): ListedOffer {
  const price = BigInt(input * 1_000_000)
  return {
    peer,
    advert: {} as Signed<Advert>,
    offer: {
      model: 'llama',
      dialects: ['openai-chat'],
      prices: { input: price, cachedInput: price, cacheWrite: price, output: BigInt(output * 1_000_000) },
      contextTokens: undefined,
      windowTokens: 256,
      hiddenOutputTokensMax: 0,
      ...offer,
    },
  }
}

function select(sellers: readonly Seller[], room: Room = RICH, need: Need = NEED) {
  const records = new Map(sellers.map(({ peer, record }) => [peer, { ...UNKNOWN, ...record }]))
  return selectSellers(
    sellers.map(listed),
    ({ dialects }) => (dialects.includes(need.dialect) ? need : OTHER_DIALECT),
    () => room,
    (peer) => records.get(peer) ?? UNKNOWN,
  )
}

const OTHER_DIALECT = new TokError('work_mode_mismatch', { reason: 'it speaks another dialect', other: 'translation' })
const GOOD = { succeeded: 20, firstPartMs: 300 }
const BAD = { succeeded: 2, failed: 10, firstPartMs: 300 }

describe('sellers are ranked', () => {
  const rankings: [string, readonly Seller[], string][] = [
    ['by price', [seller('A', 3, 6), seller('B', 1, 2), seller('C', 2, 4)], 'B C A'],
    ['alike by their peer ID', [seller('C', 1, 2), seller('A', 1, 2), seller('B', 1, 2)], 'A B C'],
    ['a free one first', [seller('A', 1, 2), seller('B', 0, 0)], 'B A'],
    [
      'a proven one before an unknown one at a slightly better price',
      [seller('A', 1, 2), seller('B', 1.1, 2.2, GOOD)],
      'B A',
    ],
    ['a cheap one that often fails behind', [seller('A', 1, 2, BAD), seller('B', 1.5, 3, GOOD)], 'B A'],
    [
      'a quick one before a slow one at the same price',
      [seller('A', 1, 2, { ...GOOD, firstPartMs: 9_000 }), seller('B', 1, 2, GOOD)],
      'B A',
    ],
    ['half the price before the best record', [seller('A', 1, 2), seller('B', 2, 4, GOOD)], 'A B'],
  ]

  test.each(rankings)('%s', (_, sellers, order) => {
    const { candidates, passedOver } = select(sellers)
    expect(candidates.map(({ peer }) => peer).join(' ')).toBe(order)
    expect(passedOver).toEqual([])
  })

  test('with what speaks for each', () => {
    const { candidates } = select([seller('A', 1, 2, { ...GOOD, failed: 1 }), seller('B', 3, 6)])
    expect(candidates.map(({ reason }) => reason)).toEqual([
      '1.00/2.00 per Mtok, cheapest; 20 of 21 calls good; first part after 300 ms',
      '3.00/6.00 per Mtok; no history',
    ])
  })
})

describe('a seller is passed over', () => {
  const other = seller('B', 9, 9)
  const cases: [string, Seller, Room, string][] = [
    [
      'that does not speak the dialect',
      seller('A', 1, 2, {}, { dialects: ['anthropic-messages'] }),
      RICH,
      'it speaks another dialect',
    ],
    [
      'whose context is too short',
      seller('A', 1, 2, {}, { contextTokens: 999 }),
      RICH,
      'its context is 999 tokens, the request has about 1000',
    ],
    ['that rests', seller('A', 1, 2, { restsForMs: 14_001 }), RICH, 'failed lately, rests for 15 s'],
    // 2,500 tokens of input and at least 256 of output: 3,012 micros.
    [
      'whose credit line does not pay for an answer',
      seller('A', 1, 2),
      { credit: 3_011n, spend: 9_000n },
      '0.003011 is left of its credit line, this request may cost 0.003012 or more',
    ],
    [
      'whose credit line is overdrawn',
      seller('A', 1, 2),
      { credit: -5n, spend: undefined },
      '0.00 is left of its credit line, this request may cost 0.003012 or more',
    ],
    [
      'that the spending limit does not pay',
      seller('A', 1, 2),
      { credit: 9_000n, spend: 3_011n, spendLimit: { words: 'a day' } },
      '0.003011 is left of the spending limit a day, this request may cost 0.003012 or more',
    ],
  ]

  test.each(cases)('%s', (_, one, room, reason) => {
    const { candidates, passedOver } = select([one], room)
    expect(candidates).toEqual([])
    expect(passedOver).toMatchObject([{ peer: 'A', reason }])
    const money = reason.includes('spending limit') ? 'spend' : reason.includes('credit line') ? 'credit' : undefined
    expect(passedOver[0]?.money).toBe(money)
  })

  test('and the others stay', () => {
    const { candidates, passedOver } = select([seller('A', 1, 2, { restsForMs: 1 }), other])
    expect(candidates.map(({ peer }) => peer)).toEqual(['B'])
    expect(passedOver).toHaveLength(1)
  })
})

describe('an order is for', () => {
  const maxima: [string, Room, Partial<Need>, number, bigint][] = [
    ['what was wanted, if there is room', RICH, {}, 1_000, 4_500n],
    ['what the credit line pays for', { credit: 3_500n, spend: 9_000n }, {}, 500, 3_500n],
    ['what the spending limit pays for', { credit: 9_000n, spend: 3_300n }, {}, 400, 3_300n],
    ['no output where there is none', { credit: 2_500n, spend: undefined }, { outputTokensWanted: 0 }, 0, 2_500n],
    [
      'little output where little is wanted',
      { credit: 2_520n, spend: undefined },
      { outputTokensWanted: 10 },
      10,
      2_520n,
    ],
  ]

  test.each(maxima)('%s', (_, room, need, outputTokensMax, amountMax) => {
    const { candidates } = select([seller('A', 1, 2)], room, { ...NEED, ...need })
    expect(candidates).toMatchObject([{ outputTokensMax, amountMax }])
  })
})
