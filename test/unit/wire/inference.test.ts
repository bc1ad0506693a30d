import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../../../src/base/bytes.ts'
import { capUsage, checkBilling, commitToRequest, decodePart, encodePart } from '../../../src/wire/inference.ts'
import { isPriceable, maximumPrice, priceUsage, type BilledUsage } from '../../../src/wire/pricing.ts'

const PRICES = { input: 100n, cachedInput: 25n, cacheWrite: 125n, output: 400n, callFee: 3n }

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

function isSame(left: BilledUsage, right: BilledUsage): boolean {
  return (
    left.inputTokens === right.inputTokens &&
    left.cachedInputTokens === right.cachedInputTokens &&
    left.cacheWriteTokens === right.cacheWriteTokens &&
    left.outputTokens === right.outputTokens
  )
}
