import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AMOUNT_MAX_MICROS, divideRoundingUp, formatAmount, parseAmount } from '../../../src/base/amount.ts'
import { TokError } from '../../../src/base/errors.ts'

/** Rows of a text table; the outcome stands behind the arrow. */
function rows(table: string): string[][] {
  return table
    .trim()
    .split('\n')
    .map((row) => row.split('->').map((cell) => cell.trim()))
}

describe('a decimal amount', () => {
  test.each(
    rows(`
      0              -> 0
      1              -> 1000000
      0.25           -> 250000
      0.000001       -> 1
      1.5            -> 1500000
      007            -> 7000000
      999999999999   -> 999999999999000000
    `),
  )('%s reads as %s micros', (text, micros) => {
    expect(parseAmount(text!)).toBe(BigInt(micros!))
  })

  test('may stand between spaces', () => {
    expect(parseAmount(' 0.25\n')).toBe(250_000n)
  })

  test.each(['', '-1', '+1', '.5', '1.', '1e3', '1,5', '0x10', 'Infinity', '1.0000001', '1000000000000', '1 000'])(
    '"%s" is refused, never guessed',
    (text) => {
      const refusal = new TokError('config_invalid', {
        reason: `"${text}" is not an amount such as 0.25 (digits, at most six decimals)`,
      })
      expect(() => parseAmount(text)).toThrow(refusal)
    },
  )

  test('every amount that can be written fits a message', () => {
    expect(parseAmount('999999999999.999999')).toBeLessThanOrEqual(AMOUNT_MAX_MICROS)
  })
})

describe('micros', () => {
  test.each(
    rows(`
      0          -> 0.00
      1          -> 0.000001
      10         -> 0.00001
      250000     -> 0.25
      500000     -> 0.50
      1000000    -> 1.00
      1234560    -> 1.23456
      -1500000   -> -1.50
      -1         -> -0.000001
    `),
  )('%s are shown as %s', (micros, text) => {
    expect(formatAmount(BigInt(micros!))).toBe(text)
  })

  test('read back as they are shown', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 999_999_999_999_999_999n }), (micros) => {
        expect(parseAmount(formatAmount(micros))).toBe(micros)
      }),
    )
  })
})

describe('division', () => {
  test.each(
    rows(`
      0 / 1000000         -> 0
      1 / 1000000         -> 1
      999999 / 1000000    -> 1
      1000000 / 1000000   -> 1
      1000001 / 1000000   -> 2
      7 / 1               -> 7
    `),
  )('%s rounds up to %s', (division, quotient) => {
    const [dividend, divisor] = division!.split('/').map((term) => BigInt(term.trim()))
    expect(divideRoundingUp(dividend!, divisor!)).toBe(BigInt(quotient!))
  })

  test('gives the least whole number that is not too little', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 80n }),
        fc.bigInt({ min: 1n, max: 2n ** 40n }),
        (dividend, divisor) => {
          const quotient = divideRoundingUp(dividend, divisor)
          expect(quotient * divisor).toBeGreaterThanOrEqual(dividend)
          expect((quotient - 1n) * divisor).toBeLessThan(dividend)
        },
      ),
    )
  })
})
