/**
 * Token counts as Responses writes them: `input_tokens` includes what was cached, `output_tokens` what was thought.
 */
import { UNKNOWN_USAGE, type TokenUsage } from '../answer-tally.ts'
import { asCount, asObject, isObject, type JsonObject } from '../json-value.ts'

/** Reads `usage`; what is not there stays unknown. */
export function readUsage(usage: unknown): TokenUsage {
  if (!isObject(usage)) return UNKNOWN_USAGE
  const input = asObject(usage['input_tokens_details'])
  const output = asObject(usage['output_tokens_details'])
  return {
    inputTokens: asCount(usage['input_tokens']),
    cachedInputTokens: asCount(input['cached_tokens']),
    cacheWriteTokens: asCount(input['cache_write_tokens']),
    outputTokens: asCount(usage['output_tokens']),
    reasoningTokens: asCount(output['reasoning_tokens']),
  }
}

/** Writes `usage`; null where a total is unknown. Details must be numbers, so that an unknown one shows as 0. */
export function writeUsage(usage: TokenUsage): JsonObject | null {
  const { inputTokens, outputTokens } = usage
  if (inputTokens === undefined || outputTokens === undefined) return null
  return {
    input_tokens: inputTokens,
    input_tokens_details: {
      cached_tokens: usage.cachedInputTokens ?? 0,
      cache_write_tokens: usage.cacheWriteTokens ?? 0,
    },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens ?? 0 },
    total_tokens: inputTokens + outputTokens,
  }
}
