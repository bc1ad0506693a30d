import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../../../src/base/bytes.ts'
import {
  capUsage,
  checkBilling,
  checkQuery,
  commitToRequest,
  decodePart,
  encodePart,
  fitHeaders,
  headShape,
  orderFrameShape,
} from '../../../src/wire/inference.ts'
import { isPriceable, maximumPrice, priceUsage, type BilledUsage } from '../../../src/wire/pricing.ts'
import { LIMITS } from '../../../src/wire/registry.ts'
import { encodeBody } from '../../../src/wire/shape.ts'

const PRICES = { input: 100n, cachedInput: 25n, cacheWrite: 125n, output: 400n }

const usages: fc.Arbitrary<BilledUsage> = fc.record({
  inputTokens: fc.nat({ max: 5_000 }),
  cachedInputTokens: fc.nat({ max: 5_000 }),
  cacheWriteTokens: fc.nat({ max: 5_000 }),
  outputTokens: fc.nat({ max: 5_000 }),
})

describe('a part', () => {
  test('reads back with its count', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 32 - 1 }), fc.uint8Array(), (count, content) => {
        const { outputTokens, content: read } = decodePart(encodePart(count, content))
        expect(outputTokens).toBe(count)
        expect(toHex(read)).toBe(toHex(content))
      }),
    )
  })

  test('without its whole count is refused', () => {
    expect(() => decodePart(new Uint8Array(3))).toThrow(expect.objectContaining({ code: 'frame_malformed' }))
  })
})

test('whatever was used, what is left after capping may be billed under the order', () => {
  fc.assert(
    fc.property(usages, fc.nat({ max: 5_000 }), fc.nat({ max: 5_000 }), (usage, inputTokensMax, outputTokensMax) => {
      const amountMax = maximumPrice(inputTokensMax, outputTokensMax, PRICES)
      const order = { prices: PRICES, inputTokensMax, outputTokensMax, amountMax }
      const capped = capUsage(usage, order)
      checkBilling({ usage: capped, amount: priceUsage(capped, PRICES) }, order)
      expect(capUsage(capped, order)).toEqual(capped)
      const fits = isPriceable(usage) && usage.inputTokens <= inputTokensMax && usage.outputTokens <= outputTokensMax
      expect(fits).toBe(isSame(capped, usage))
    }),
  )
})

test('a refused bill says what does not fit', () => {
  const order = { prices: PRICES, inputTokensMax: 100, outputTokensMax: 50, amountMax: 10n }
  const bill = { usage: { inputTokens: 100, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 51 }, amount: 4n }
  expect(() => checkBilling(bill, order)).toThrow('the voucher is not acceptable: more than 50 output tokens')
})

test('a commitment says nothing without its salt, and no other request has the same', () => {
  const salt = new Uint8Array(16).fill(1)
  const commitments = [
    commitToRequest(salt, '', utf8('ab')),
    commitToRequest(salt, 'a', utf8('b')),
    commitToRequest(salt, 'ab', utf8('')),
    commitToRequest(new Uint8Array(16), '', utf8('ab')),
  ]
  expect(new Set(commitments.map(toHex)).size).toBe(4)
})

describe('headers that others chose', () => {
  const foreign = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ size: 'max', maxLength: 9_000 }))
  const order = { body: new Uint8Array(1_500), signature: new Uint8Array(64) }
  const rest = { order, salt: new Uint8Array(16), query: `?${'q'.repeat(1_023)}`, stream: 'yes', bodyBytes: 1 } as const

  test('make no frame that cannot be written or that is too large to send, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(foreign, foreign), { maxLength: 40 }), (entries) => {
        const headers = Object.fromEntries(entries)
        const inHead = fitHeaders(headers, 'head')
        const inOrder = fitHeaders(headers, 'order')
        const head = encodeBody(headShape, { status: 200, headers: inHead.headers })
        const frame = encodeBody(orderFrameShape, { ...rest, headers: inOrder.headers })
        expect(Math.max(head.length, frame.length)).toBeLessThanOrEqual(LIMITS.framePayloadBytes)
        for (const { headers: kept, leftOut } of [inHead, inOrder]) {
          expect([...Object.keys(kept), ...leftOut].toSorted()).toEqual(Object.keys(headers).toSorted())
        }
      }),
    )
  })

  test('stay as they are where they fit, and those that do not are named', () => {
    const fitting = { 'content-type': 'text/event-stream', 'retry-after': '2' }
    expect(fitHeaders(fitting, 'head')).toEqual({ headers: fitting, leftOut: [] })
    const empty = { 'x-should-retry': '', ...fitting, 'content-encoding': '\ufeffgzip' }
    expect(fitHeaders(empty, 'head')).toEqual({ headers: fitting, leftOut: ['x-should-retry', 'content-encoding'] })
  })

  test.each([
    ['order', 8],
    ['head', 32],
  ] as const)('beyond the number of an %s frame are left out', (frame, most) => {
    const headers = Object.fromEntries(Array.from({ length: most + 1 }, (_, index) => [`x-${index}`, 'y']))
    const { headers: kept, leftOut } = fitHeaders(headers, frame)
    expect(Object.keys(kept)).toHaveLength(most)
    expect(leftOut).toEqual([`x-${most}`])
  })

  test('have 8192 bytes together, and one that is too long leaves the room to the next', () => {
    const whole = { a: 'v'.repeat(8_189), b: 'w' }
    expect(fitHeaders(whole, 'head').leftOut).toEqual([])
    expect(fitHeaders({ ...whole, c: '' }, 'head').leftOut).toEqual(['c'])
    expect(fitHeaders({ a: 'v'.repeat(8_192), b: 'w' }, 'head')).toEqual({ headers: { b: 'w' }, leftOut: ['a'] })
  })
})

test.each([
  ['', true],
  ['?beta=true', true],
  [`?${'q'.repeat(1_023)}`, true],
  [`?${'q'.repeat(1_024)}`, false],
  [`?${'é'.repeat(512)}`, false],
  ['?half=\ud800', false],
])('the query %j: an order holds it: %s', (query, isHeld) => {
  if (isHeld) checkQuery(query)
  else expect(() => checkQuery(query)).toThrow(expect.objectContaining({ code: 'query_too_long', status: 414 }))
})

function isSame(left: BilledUsage, right: BilledUsage): boolean {
  return (
    left.inputTokens === right.inputTokens &&
    left.cachedInputTokens === right.cachedInputTokens &&
    left.cacheWriteTokens === right.cacheWriteTokens &&
    left.outputTokens === right.outputTokens
  )
}
