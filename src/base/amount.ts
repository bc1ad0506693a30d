/**
 * Amounts of money: `bigint` micros, 10^-6 of the ledger's asset (default USD). Never a float.
 */
import { TokError } from './errors.ts'

/** The largest amount that any message or record may carry: the top of a signed 64-bit integer. */
export const AMOUNT_MAX_MICROS = 2n ** 63n - 1n

const MICROS_PER_UNIT = 1_000_000n
const DECIMAL_AMOUNT = /^(\d{1,12})(?:\.(\d{1,6}))?$/

/** Divides non-negative integers and rounds up, so that the side that is owed never loses a fraction. */
export function divideRoundingUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor
}

/**
 * Reads a decimal amount of the asset ("0.25") as micros (250000n). A price in USD per million tokens
 * reads to micros per Mtok the same way.
 * @throws TokError `config_invalid` for signs, exponents, more than six decimals or anything but digits:
 *   an amount is never guessed.
 */
export function parseAmount(text: string): bigint {
  const match = DECIMAL_AMOUNT.exec(text.trim())
  if (match === null) {
    throw new TokError('config_invalid', {
      reason: `"${text}" is not an amount such as 0.25 (digits, at most six decimals)`,
    })
  }
  return BigInt(match[1] ?? '0') * MICROS_PER_UNIT + BigInt((match[2] ?? '').padEnd(6, '0'))
}

/** Micros as a decimal amount of the asset, without trailing zeros beyond two decimals: 250000n reads "0.25". */
export function formatAmount(micros: bigint): string {
  const sign = micros < 0n ? '-' : ''
  const magnitude = micros < 0n ? -micros : micros
  const decimals = (magnitude % MICROS_PER_UNIT)
    .toString()
    .padStart(6, '0')
    .replace(/0{1,4}$/, '')
  return `${sign}${magnitude / MICROS_PER_UNIT}.${decimals}`
}
