/**
 * Token counts as Chat Completions states them: cached input is part of the input, reasoning part of the output.
 */
import { UNKNOWN_USAGE, type TokenUsage } from '../answer-tally.ts'
import { asCount, asObject, type JsonObject } from '../json-value.ts'

/** The counts of a `usage` member. */
export function readUsage(usage: JsonObject): TokenUsage {
  const input = asObject(usage['prompt_tokens_details'])
  const output = asObject(usage['completion_tokens_details'])
  return {
    ...UNKNOWN_USAGE,
    inputTokens: asCount(usage['prompt_tokens']),
    cachedInputTokens: asCount(input['cached_tokens']),
    cacheWriteTokens: asCount(input['cache_write_tokens']),
    outputTokens: asCount(usage['completion_tokens']),
    reasoningTokens: asCount(output['reasoning_tokens']),
  }
}

/** The `usage` member for what is known; undefined if nothing is. An unknown count is left out, never 0. */
export function writeUsage(usage: TokenUsage): JsonObject | undefined {
  const { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens, reasoningTokens } = usage
  if (inputTokens === undefined && outputTokens === undefined) return undefined
  const hasInputDetails = cachedInputTokens !== undefined || cacheWriteTokens !== undefined
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens === undefined || outputTokens === undefined ? undefined : inputTokens + outputTokens,
    prompt_tokens_details: hasInputDetails
      ? { cached_tokens: cachedInputTokens, cache_write_tokens: cacheWriteTokens }
      : undefined,
    completion_tokens_details: reasoningTokens === undefined ? undefined : { reasoning_tokens: reasoningTokens },
  }
}
