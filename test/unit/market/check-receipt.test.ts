import { describe, expect, test } from 'vitest'
import { sha256, utf8 } from '../../../src/base/bytes.ts'
import { billedUsage, checkReceipt, countedUsage, type SeenAnswer } from '../../../src/market/check-receipt.ts'
import { seal, type Signed } from '../../../src/wire/envelope.ts'
import { ORDER, RECEIPT, type Order, type Receipt } from '../../../src/wire/inference.ts'
import { priceUsage, type BilledUsage } from '../../../src/wire/pricing.ts'
import { testKey } from '../../support/ledger-pair.ts'

const buyer = testKey(1)
const seller = testKey(2)

const orderValue: Order = {
  type: 'tok/order/1',
  network: 'test',
  asset: 'USD',
  buyer: buyer.publicKey,
  seller: seller.publicKey,
  nonce: new Uint8Array(16),
  issuedAtMs: 0,
  expiresAtMs: 1,
  advert: new Uint8Array(32),
  model: 'loopback/echo',
  endpoint: 'chat',
  dialect: 'openai-chat',
  prices: { input: 100_000n, cachedInput: 25_000n, cacheWrite: 125_000n, output: 400_000n },
  windowTokens: 256,
  hiddenOutputTokensMax: 10,
  inputTokensEstimate: 100,
  inputTokensMax: 200,
  outputTokensMax: 1_000,
  amountMax: 500n,
  requestCommitment: new Uint8Array(32),
}
const order = seal(ORDER, orderValue, buyer)

const answer = utf8('the answer')
const seen: SeenAnswer = {
  answerBytes: answer.length,
  answerDigest: sha256(answer),
  countedOutputTokens: 50,
  textBytes: 200,
  httpStatus: 200,
  reported: {},
}

/**
 * What the provider's bytes say (- : nothing), the status (- : no head), and what is billed of at most 200 in and 1000 out where
 * the estimate is 100 in and the running count 50 out. Counts: in/cached/written/out.
 */
const BILLED = `
  endpoint   status reported        -> billed           source
  chat       200    -/-/-/-         -> 100/0/0/50       counted
  chat       200    80/-/-/40       -> 80/0/0/40        provider
  chat       200    80/30/20/40     -> 80/30/20/40      provider
  chat       200    0/-/-/0         -> 0/0/0/0          provider
  chat       200    80/-/-/-        -> 100/0/0/50       counted
  chat       200    -/-/-/40        -> 100/0/0/50       counted
  embeddings 200    80/-/-/-        -> 80/0/0/0         provider
  chat       200    900/-/-/40      -> 200/0/0/40       provider
  chat       200    80/-/-/9000     -> 80/0/0/1000      provider
  chat       200    80/90/90/40     -> 80/80/0/40       provider
  chat       400    80/-/-/40       -> 0/0/0/0          counted
  chat       503    -/-/-/-         -> 0/0/0/0          counted
  chat       -      -/-/-/-         -> 0/0/0/0          counted
`

describe('what is billed', () => {
  const rows = BILLED.split('\n').slice(2, -1)
  test.each(rows.map((row) => row.trim()))('%s', (row) => {
    const [endpoint, status, reported = '', , billed = '', source] = row.split(/\s+/)
    const of = { ...orderValue, endpoint: endpoint === 'embeddings' ? ('embeddings' as const) : ('chat' as const) }
    const httpStatus = status === '-' ? undefined : Number(status)
    const outcome = billedUsage(of, { ...seen, httpStatus, reported: countsIn(reported) })
    expect(outcome).toEqual({ usage: countsIn(billed), source })
  })

  test('while the call runs is the estimate and the running count, never above the order', () => {
    expect(countedUsage(orderValue, 50)).toEqual(countsIn('100/0/0/50'))
    expect(countedUsage({ ...orderValue, inputTokensEstimate: 900 }, 5_000)).toEqual(countsIn('200/0/0/1000'))
  })
})

describe('a receipt', () => {
  test('that says what the buyer saw holds', () => {
    const reported = countsIn('80/30/20/40')
    expect(() => checkReceipt('peer', order, receiptFor(countsIn('100/0/0/50')), seen)).not.toThrow()
    expect(() => checkReceipt('peer', order, receiptFor(reported), { ...seen, reported })).not.toThrow()
  })

  test('for nothing holds where the answer failed', () => {
    const receipt = receiptFor(countsIn('0/0/0/0'), { httpStatus: 500 })
    expect(() => checkReceipt('peer', order, receipt, { ...seen, httpStatus: 500 })).not.toThrow()
  })

  const WRONG: readonly [
    name: string,
    code: string,
    reason: RegExp,
    receipt: Signed<Receipt>,
    saw?: Partial<SeenAnswer>,
  ][] = [
    [
      'of another order',
      'receipt_disputed',
      /another order/,
      receiptFor(countsIn('100/0/0/50'), { order: new Uint8Array(32) }),
    ],
    [
      'of another buyer',
      'receipt_disputed',
      /another order/,
      receiptFor(countsIn('100/0/0/50'), { buyer: seller.publicKey }),
    ],
    [
      'of another seller',
      'receipt_disputed',
      /another order/,
      receiptFor(countsIn('100/0/0/50'), { seller: buyer.publicKey }),
    ],
    [
      'of another network',
      'receipt_disputed',
      /another order/,
      receiptFor(countsIn('100/0/0/50'), { network: 'other' }),
    ],
    ['of more bytes', 'stream_incomplete', /10 of 11 bytes/, receiptFor(countsIn('100/0/0/50'), { answerBytes: 11 })],
    [
      'of other bytes',
      'stream_incomplete',
      /others than were sent/,
      receiptFor(countsIn('100/0/0/50'), { answerDigest: new Uint8Array(32) }),
    ],
    [
      'at another price',
      'receipt_disputed',
      /the amount is 29 micros/,
      receiptFor(countsIn('100/0/0/50'), { amount: 29n }),
    ],
    ['above the maximum', 'receipt_disputed', /more than 1000 output/, receiptFor(countsIn('100/0/0/1001'))],
    [
      'with parts above the input',
      'receipt_disputed',
      /parts of the input exceed/,
      receiptFor(countsIn('10/8/8/50'), { amount: 30n }),
    ],
    ['with more input', 'receipt_disputed', /101 inputTokens.* 100/, receiptFor(countsIn('101/0/0/50'))],
    ['with less input', 'receipt_disputed', /99 inputTokens.* 100/, receiptFor(countsIn('99/0/0/50'))],
    ['with more output', 'receipt_disputed', /51 outputTokens.* 50/, receiptFor(countsIn('100/0/0/51'))],
    [
      'that hides the cache',
      'receipt_disputed',
      /0 cachedInputTokens.* 30/,
      receiptFor(countsIn('80/0/0/40')),
      { reported: countsIn('80/30/0/40') },
    ],
    [
      'that invents cache writes',
      'receipt_disputed',
      /9 cacheWriteTokens.* 0/,
      receiptFor(countsIn('80/0/9/40')),
      { reported: countsIn('80/0/0/40') },
    ],
    [
      'for a failed answer',
      'receipt_disputed',
      /100 inputTokens.* 0/,
      receiptFor(countsIn('100/0/0/50')),
      { httpStatus: 500 },
    ],
  ]

  test.each(WRONG)('%s is refused', (_name, code, reason, receipt, saw = {}) => {
    expect(() => checkReceipt('peer', order, receipt, { ...seen, ...saw })).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(reason) }),
    )
  })

  test('bills no more tokens than text, its structure and hidden output can have', () => {
    const reported = (outputTokens: number) => ({ inputTokens: 80, outputTokens })
    const check = (outputTokens: number, countedOutputTokens = 0) =>
      checkReceipt('peer', order, receiptFor(countsIn(`80/0/0/${outputTokens}`)), {
        ...seen,
        countedOutputTokens,
        reported: reported(outputTokens),
      })
    check(200 + 64 + 10)
    expect(() => check(200 + 64 + 11)).toThrow('bills 275 output tokens for 200 bytes')
    check(275, 275)
  })
})

function receiptFor(usage: BilledUsage, over: Partial<Receipt> = {}): Signed<Receipt> {
  const value: Receipt = {
    type: 'tok/receipt/1',
    network: 'test',
    order: order.id,
    buyer: buyer.publicKey,
    seller: seller.publicKey,
    model: undefined,
    status: 'completed',
    httpStatus: 200,
    error: undefined,
    usage,
    usageSource: 'counted',
    amount: priceUsage(usage, orderValue.prices),
    answerBytes: answer.length,
    answerDigest: sha256(answer),
    startedAtMs: 0,
    firstPartMs: undefined,
    durationMs: 0,
    ...over,
  }
  return seal(RECEIPT, value, seller)
}

/** Counts written as input/cached/written/output; those that are not there stay out. */
function countsIn(text: string): BilledUsage {
  const [inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens] = text.split('/')
  const counts = { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens }
  const known = Object.entries(counts).filter(([, count]) => count !== undefined && count !== '-')
  return Object.fromEntries(known.map(([name, count]) => [name, Number(count)])) as unknown as BilledUsage
}
