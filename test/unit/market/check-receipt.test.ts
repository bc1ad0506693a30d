import { describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/base/bytes.ts'
import { billedUsage, checkReceipt, type ReportedUsage, type SeenAnswer } from '../../../src/market/check-receipt.ts'
import { seal } from '../../../src/wire/envelope.ts'
import { nodeKeyFromSeed } from '../../../src/wire/identity.ts'
import { ORDER, RECEIPT, type Order, type Receipt } from '../../../src/wire/inference.ts'
import { maximumPrice, priceUsage } from '../../../src/wire/pricing.ts'
import { DOMAINS } from '../../../src/wire/registry.ts'

const buyer = nodeKeyFromSeed(new Uint8Array(32).fill(1))
const seller = nodeKeyFromSeed(new Uint8Array(32).fill(2))
/** An output token costs as much as two of input, and a cached one half. */
const PRICES = { input: 1_000_000n, cachedInput: 500_000n, cacheWrite: 1_000_000n, output: 2_000_000n }

const order = seal(
  ORDER,
  {
    type: DOMAINS.order,
    network: 'test',
    asset: 'USD',
    buyer: buyer.publicKey,
    seller: seller.publicKey,
    nonce: new Uint8Array(16),
    issuedAtMs: 1,
    expiresAtMs: 2,
    advert: new Uint8Array(32),
    model: 'llama',
    endpoint: 'chat',
    dialect: 'openai-chat',
    prices: PRICES,
    windowTokens: 256,
    hiddenOutputTokensMax: 100,
    inputTokensEstimate: 40,
    inputTokensMax: 80,
    outputTokensMax: 1_000,
    amountMax: maximumPrice(80, 1_000, PRICES),
    requestCommitment: new Uint8Array(32),
  },
  buyer,
)

const ANSWER = Buffer.from('the answer')
const REPORTED: ReportedUsage = { inputTokens: 50, cachedInputTokens: 10, outputTokens: 30 }
const SEEN: SeenAnswer = {
  answerBytes: ANSWER.length,
  answerDigest: sha256(ANSWER),
  countedOutputTokens: 25,
  textBytes: 100,
  httpStatus: 200,
  reported: REPORTED,
}

describe('billed is', () => {
  const without = (...names: (keyof ReportedUsage)[]): ReportedUsage =>
    Object.fromEntries(Object.entries(REPORTED).filter(([name]) => !names.includes(name as keyof ReportedUsage)))
  /** Input, cached, written, output. */
  const cases: [string, Partial<SeenAnswer>, Partial<Order>, string, readonly number[]][] = [
    ['what the provider reports', {}, {}, 'provider', [50, 10, 0, 30]],
    [
      'with a cache that is not mentioned as none',
      { reported: without('cachedInputTokens') },
      {},
      'provider',
      [50, 0, 0, 30],
    ],
    [
      'what was counted where output is not reported',
      { reported: without('outputTokens') },
      {},
      'counted',
      [40, 0, 0, 25],
    ],
    [
      'what was counted where input is not reported',
      { reported: without('inputTokens') },
      {},
      'counted',
      [40, 0, 0, 25],
    ],
    [
      'input alone for embeddings',
      { reported: without('outputTokens') },
      { endpoint: 'embeddings' },
      'provider',
      [50, 10, 0, 0],
    ],
    ['nothing for an error', { httpStatus: 400 }, {}, 'counted', [0, 0, 0, 0]],
    ['nothing for no answer', { httpStatus: undefined }, {}, 'counted', [0, 0, 0, 0]],
    [
      'no more input than was ordered',
      { reported: { ...REPORTED, inputTokens: 500 } },
      {},
      'provider',
      [80, 10, 0, 30],
    ],
    [
      'no more output than was ordered',
      { reported: { ...REPORTED, outputTokens: 5_000 } },
      {},
      'provider',
      [50, 10, 0, 1_000],
    ],
    [
      'no more of a cache than there is input',
      { reported: { ...REPORTED, cachedInputTokens: 90 } },
      {},
      'provider',
      [50, 50, 0, 30],
    ],
    [
      'no more counted than was ordered',
      { reported: {}, countedOutputTokens: 2_000 },
      {},
      'counted',
      [40, 0, 0, 1_000],
    ],
  ]

  test.each(cases)('%s', (_, seen, ordered, source, counts) => {
    const billed = billedUsage({ ...order.value, ...ordered }, { ...SEEN, ...seen })
    const { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens } = billed.usage
    expect([inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens]).toEqual(counts)
    expect(billed.source).toBe(source)
  })
})

describe('a receipt', () => {
  const { usage } = billedUsage(order.value, SEEN)
  const receipt = (changes: Partial<Receipt> = {}): Parameters<typeof checkReceipt>[2] =>
    seal(
      RECEIPT,
      {
        type: DOMAINS.receipt,
        network: 'test',
        order: order.id,
        buyer: buyer.publicKey,
        seller: seller.publicKey,
        model: 'llama',
        status: 'completed',
        httpStatus: 200,
        error: undefined,
        usage,
        usageSource: 'provider',
        amount: priceUsage(usage, PRICES),
        answerBytes: ANSWER.length,
        answerDigest: sha256(ANSWER),
        startedAtMs: 1,
        firstPartMs: 1,
        durationMs: 2,
        ...changes,
      },
      seller,
    )
  const billing = (changes: Partial<Receipt['usage']>): Partial<Receipt> => {
    const billed = { ...usage, ...changes }
    return { usage: billed, amount: priceUsage(billed, PRICES) }
  }

  test('that says what the buyer saw holds', () => {
    expect(() => checkReceipt('peer', order, receipt(), SEEN)).not.toThrow()
  })

  const faults: [string, Partial<Receipt>, Partial<SeenAnswer>, string, RegExp][] = [
    ['of another order', { order: new Uint8Array(32) }, {}, 'receipt_disputed', /another order/],
    ['for another buyer', { buyer: seller.publicKey }, {}, 'receipt_disputed', /another order/],
    ['on another network', { network: 'other' }, {}, 'receipt_disputed', /another order/],
    ['over more bytes than came', { answerBytes: 11 }, {}, 'stream_incomplete', /10 of 11 bytes/],
    [
      'over other bytes than came',
      { answerDigest: new Uint8Array(32) },
      {},
      'stream_incomplete',
      /others than were sent/,
    ],
    ['with an amount that its counts do not cost', { amount: 1n }, {}, 'receipt_disputed', /the amount is 1 micros/],
    ['beyond the order', billing({ outputTokens: 1_001 }), {}, 'receipt_disputed', /more than 1000 output/],
    ['with one token of output more', billing({ outputTokens: 31 }), {}, 'receipt_disputed', /31 outputTokens.* 30/],
    ['with one token of input more', billing({ inputTokens: 51 }), {}, 'receipt_disputed', /51 inputTokens/],
    [
      'without the discount of the cache',
      billing({ cachedInputTokens: 0 }),
      {},
      'receipt_disputed',
      /0 cachedInputTokens/,
    ],
    ['for an error answer', {}, { httpStatus: 500 }, 'receipt_disputed', /bills 50 inputTokens/],
  ]

  test.each(faults)('%s does not hold', (_, changes, seen, code, reason) => {
    const check = (): void => checkReceipt('peer', order, receipt(changes), { ...SEEN, ...seen })
    expect(check).toThrow(expect.objectContaining({ code, message: expect.stringMatching(reason) }))
  })

  /** 10 bytes of text are 10 tokens at the most, beside 64 for structure and the 100 hidden ones of the offer. */
  test.each([
    [174, true],
    [175, false],
  ])('for %i tokens of output with 10 bytes of text holds: %s', (outputTokens, holds) => {
    const seen = { ...SEEN, textBytes: 10, countedOutputTokens: 3, reported: { ...REPORTED, outputTokens } }
    const check = (): void => checkReceipt('peer', order, receipt(billing({ outputTokens })), seen)
    if (holds) expect(check).not.toThrow()
    else expect(check).toThrow(expect.objectContaining({ code: 'receipt_disputed' }))
  })
})
