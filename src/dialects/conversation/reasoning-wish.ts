/**
 * A wish for thinking in the words of a target: some dialects ask by effort, some by a budget of tokens.
 */
import type { Effort, ReasoningWish } from './conversation.ts'

/** Budgets below these count as that effort; from the last on, as "xhigh". */
const BUCKETS: readonly { readonly belowTokens: number; readonly effort: Effort }[] = [
  { belowTokens: 2_048, effort: 'low' },
  { belowTokens: 8_192, effort: 'medium' },
  { belowTokens: 24_576, effort: 'high' },
]

/** The share of the output limit that an effort may think. */
const SHARES: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 0.1,
  low: 0.1,
  medium: 0.2,
  high: 0.5,
  xhigh: 0.8,
  max: 0.95,
}

const BUDGET_TOKENS_MIN = 1_024

/**
 * The effort a wish amounts to: "none" if thinking is off, the effort that was named, the bucket of its budget, "high" if the
 * model is to decide. Undefined if nothing was said.
 */
export function effortOf({ mode, effort, budgetTokens }: ReasoningWish): Effort | undefined {
  if (mode === 'off') return 'none'
  if (effort !== undefined) return effort
  if (budgetTokens !== undefined)
    return BUCKETS.find(({ belowTokens }) => budgetTokens < belowTokens)?.effort ?? 'xhigh'
  return mode === undefined ? undefined : 'high'
}

/**
 * The budget a wish amounts to under a limit on all output tokens: at least 1024, and less than the limit. Undefined if it is
 * no thinking, or the limit leaves no room for any.
 */
export function budgetTokensOf(wish: ReasoningWish, outputTokensMax: number): number | undefined {
  const effort = effortOf(wish)
  if (effort === undefined || effort === 'none' || outputTokensMax <= BUDGET_TOKENS_MIN) return undefined
  const asked = wish.budgetTokens ?? Math.floor(SHARES[effort] * outputTokensMax)
  return Math.min(Math.max(asked, BUDGET_TOKENS_MIN), outputTokensMax - 1)
}
