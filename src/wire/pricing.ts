/**
 * What one call costs.
 *
 * Source: protocols/inference/v1.md, "Amount". Buyer and seller both run this, and a voucher or receipt is valid only if
 * they reach the same number, so the arithmetic is integer throughout.
 * Units: tokens are counts; prices are micros per million tokens (Mtok); amounts are micros.
 */
import { divideRoundingUp } from '../base/amount.ts'
import { amount, record, uint, type Read } from './shape.ts'

const TOKENS_PER_MTOK = 1_000_000n

/** Prices of one model, in micros per Mtok. There is no fee per call: a failed call costs nothing. */
export const pricesShape = record({
  input: amount,
  cachedInput: amount,
  cacheWrite: amount,
  output: amount,
})
export type Prices = Read<typeof pricesShape>

/**
 * Token counts that are billed. `inputTokens` is the whole input; cached and cache-write tokens are parts of it.
 */
export const billedUsageShape = record({
  inputTokens: uint,
  cachedInputTokens: uint,
  cacheWriteTokens: uint,
  outputTokens: uint,
})
export type BilledUsage = Read<typeof billedUsageShape>

/** Nothing used. */
export const NO_USAGE: BilledUsage = { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0 }

/**
 * Prices `usage`, in micros. Rounds up once, at the end, on cumulative counts: how a call is cut into vouchers never
 * changes its price. The parts of the input may not exceed it (`isPriceable`).
 */
export function priceUsage(usage: BilledUsage, prices: Prices): bigint {
  const cached = BigInt(usage.cachedInputTokens)
  const written = BigInt(usage.cacheWriteTokens)
  const plain = BigInt(usage.inputTokens) - cached - written
  const cost =
    plain * prices.input +
    cached * prices.cachedInput +
    written * prices.cacheWrite +
    BigInt(usage.outputTokens) * prices.output
  return divideRoundingUp(cost, TOKENS_PER_MTOK)
}

/** True if the parts of the input fit into it: what a count must satisfy before it is priced. */
export function isPriceable(usage: BilledUsage): boolean {
  return usage.cachedInputTokens + usage.cacheWriteTokens <= usage.inputTokens
}

/** The most output tokens that `budgetMicros` pays for beside `inputTokens` of plain input; 0 if not even those. */
export function affordableOutputTokens(budgetMicros: bigint, inputTokens: number, prices: Prices): number {
  const left = budgetMicros * TOKENS_PER_MTOK - BigInt(inputTokens) * dearestInput(prices)
  if (left < 0n) return 0
  if (prices.output === 0n) return Number.MAX_SAFE_INTEGER
  const tokens = left / prices.output
  return tokens > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(tokens)
}

/** The most a call of these counts can cost, however its input is split. */
export function maximumPrice(inputTokensMax: number, outputTokensMax: number, prices: Prices): bigint {
  const cost = BigInt(inputTokensMax) * dearestInput(prices) + BigInt(outputTokensMax) * prices.output
  return divideRoundingUp(cost, TOKENS_PER_MTOK)
}

function dearestInput(prices: Prices): bigint {
  return [prices.input, prices.cachedInput, prices.cacheWrite].reduce((most, each) => (each > most ? each : most))
}
