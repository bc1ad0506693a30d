import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  affordableOutputTokens,
  isPriceable,
  maximumPrice,
  NO_USAGE,
  priceUsage,
  type BilledUsage,
  type Prices,
} from '../../../src/wire/pricing.ts'

/** Rows of counts and prices; the amount in micros stands behind the arrow. */
const TABLE = `
  input cached written output | p_in  p_cached p_write p_out  -> micros
  0     0      0       0      | 100   10       125     400    -> 0
  1     0      0       0      | 1     1        1       1      -> 1
  999999 0     0       0      | 1     1        1       1      -> 1
  1000000 0    0       0      | 1     1        1       1      -> 1
  1000001 0    0       0      | 1     1        1       1      -> 2
  1000000 0    0       1000000| 100   10       125     400    -> 500
  1000000 1000000 0    0      | 100   10       125     400    -> 10
  1000000 0    1000000 0      | 100   10       125     400    -> 125
  1000000 500000 250000 0     | 100   10       125     400    -> 62
  3     1      1       1      | 100000 25000   125000  400000 -> 1
  1000  600    100     250    | 100000 25000   125000  400000 -> 158
  1000  600    100     250    | 0     0        0       0      -> 0
`

describe('a price', () => {
  const rows = TABLE.trim()
    .split('\n')
    .slice(1)
    .map((row) => ({ row: row.trim(), numbers: row.split(/[|>\s-]+/).filter((cell) => cell !== '') }))

  test.each(rows)('$row', ({ numbers }) => {
    const [inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens] = numbers.slice(0, 4).map(Number)
    const [input, cachedInput, cacheWrite, output, micros] = numbers.slice(4).map(BigInt)
    const usage = { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens } as BilledUsage
    const prices = { input, cachedInput, cacheWrite, output } as Prices
    expect(priceUsage(usage, prices)).toBe(micros)
  })

  test('of nothing is nothing', () => {
    fc.assert(
      fc.property(pricesOf(), (prices) => {
        expect(priceUsage(NO_USAGE, prices)).toBe(0n)
      }),
    )
  })

  test('never depends on how a call is cut: the last voucher says what one voucher at the end would have said', () => {
    const cuts = fc.array(usages(), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(cuts, pricesOf(), (parts, prices) => {
        const totals = parts.map((_, index) => sum(parts.slice(0, index + 1)))
        const amounts = totals.map((usage) => priceUsage(usage, prices))
        const increments = amounts.map((amount, index) => amount - (amounts[index - 1] ?? 0n))
        expect(increments.reduce((left, right) => left + right, 0n)).toBe(priceUsage(sum(parts), prices))
        expect(increments.every((increment) => increment >= 0n)).toBe(true)
      }),
    )
  })

  test('is less than a micro above the exact cost', () => {
    fc.assert(
      fc.property(usages(), pricesOf(), (usage, prices) => {
        const exact =
          BigInt(usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens) * prices.input +
          BigInt(usage.cachedInputTokens) * prices.cachedInput +
          BigInt(usage.cacheWriteTokens) * prices.cacheWrite +
          BigInt(usage.outputTokens) * prices.output
        const excess = priceUsage(usage, prices) * 1_000_000n - exact
        expect(excess >= 0n && excess < 1_000_000n).toBe(true)
      }),
    )
  })

  test('is never above the maximum of its counts, however the input is split', () => {
    fc.assert(
      fc.property(usages(), pricesOf(), (usage, prices) => {
        const maximum = maximumPrice(usage.inputTokens, usage.outputTokens, prices)
        expect(priceUsage(usage, prices)).toBeLessThanOrEqual(maximum)
      }),
    )
  })
})

describe('what a budget affords', () => {
  test('costs no more than the budget, and one token more would', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 9n }),
        fc.nat({ max: 10_000 }),
        pricesOf(1n),
        (budget, input, prices) => {
          const tokens = affordableOutputTokens(budget, input, prices)
          if (tokens > 0) expect(maximumPrice(input, tokens, prices)).toBeLessThanOrEqual(budget)
          expect(maximumPrice(input, tokens + 1, prices)).toBeGreaterThan(budget)
        },
      ),
    )
  })

  test('is without bound where output is free, and nothing where not even the input is paid for', () => {
    const perToken = 1_000_000n
    const free: Prices = { input: perToken, cachedInput: 0n, cacheWrite: 0n, output: 0n }
    expect(affordableOutputTokens(11n, 10, free)).toBe(Number.MAX_SAFE_INTEGER)
    expect(affordableOutputTokens(10n, 10, free)).toBe(Number.MAX_SAFE_INTEGER)
    expect(affordableOutputTokens(9n, 10, free)).toBe(0)
    expect(affordableOutputTokens(0n, 0, free)).toBe(Number.MAX_SAFE_INTEGER)
  })
})

test('counts are priceable while the parts of the input fit into it', () => {
  const usage = { inputTokens: 10, cachedInputTokens: 6, cacheWriteTokens: 4, outputTokens: 0 }
  expect(isPriceable(usage)).toBe(true)
  expect(isPriceable({ ...usage, cacheWriteTokens: 5 })).toBe(false)
})

function usages(): fc.Arbitrary<BilledUsage> {
  const count = fc.nat({ max: 2_000_000 })
  return fc.tuple(count, count, count, count).map(([plain, cachedInputTokens, cacheWriteTokens, outputTokens]) => ({
    inputTokens: plain + cachedInputTokens + cacheWriteTokens,
    cachedInputTokens,
    cacheWriteTokens,
    outputTokens,
  }))
}

function pricesOf(outputMin = 0n): fc.Arbitrary<Prices> {
  const price = fc.bigInt({ min: 0n, max: 10n ** 9n })
  const output = fc.bigInt({ min: outputMin, max: 10n ** 9n })
  return fc.record({ input: price, cachedInput: price, cacheWrite: price, output })
}

function sum(parts: readonly BilledUsage[]): BilledUsage {
  return parts.reduce((left, right) => ({
    inputTokens: left.inputTokens + right.inputTokens,
    cachedInputTokens: left.cachedInputTokens + right.cachedInputTokens,
    cacheWriteTokens: left.cacheWriteTokens + right.cacheWriteTokens,
    outputTokens: left.outputTokens + right.outputTokens,
  }))
}
