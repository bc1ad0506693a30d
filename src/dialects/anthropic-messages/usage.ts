/**
 * Token counts as Messages states them: fresh, cached and newly cached input apart. Elsewhere here input is their sum.
 */
import { UNKNOWN_USAGE, type TokenUsage } from '../answer-tally.ts'
import { asCount, asObject, type JsonObject } from '../json-value.ts'

/** What the events of one answer said so far. */
export interface UsageCounts {
  readonly fresh?: number | undefined
  readonly cacheRead?: number | undefined
  readonly cacheWrite?: number | undefined
  readonly output?: number | undefined
  readonly thinking?: number | undefined
}

/** Counts are cumulative and may be partial: what an event does not say stays as it was. */
export function mergeCounts(before: UsageCounts, usage: JsonObject): UsageCounts {
  return {
    fresh: asCount(usage['input_tokens']) ?? before.fresh,
    cacheRead: asCount(usage['cache_read_input_tokens']) ?? before.cacheRead,
    cacheWrite: asCount(usage['cache_creation_input_tokens']) ?? before.cacheWrite,
    output: asCount(usage['output_tokens']) ?? before.output,
    thinking: asCount(asObject(usage['output_tokens_details'])['thinking_tokens']) ?? before.thinking,
  }
}

/** The counts of the input side in message_start; its output count is provisional. */
export function startCounts(usage: JsonObject): UsageCounts {
  return { ...mergeCounts({}, usage), output: undefined }
}

/** The usage that counts amount to. */
export function usageOf({ fresh, cacheRead, cacheWrite, output, thinking }: UsageCounts): TokenUsage {
  return {
    // A sum that is no safe whole number any more says nothing, and no record could hold it.
    inputTokens: fresh === undefined ? undefined : asCount(fresh + (cacheRead ?? 0) + (cacheWrite ?? 0)),
    cachedInputTokens: cacheRead,
    cacheWriteTokens: cacheWrite,
    outputTokens: output,
    reasoningTokens: thinking,
  }
}

/** A usage as an answer states it. Its clients compute with the four counts, so none is ever absent or null. */
export function writeUsage(usage: TokenUsage = UNKNOWN_USAGE): JsonObject {
  const { inputTokens = 0, cachedInputTokens = 0, cacheWriteTokens = 0, outputTokens = 0, reasoningTokens } = usage
  return {
    input_tokens: Math.max(0, inputTokens - cachedInputTokens - cacheWriteTokens),
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedInputTokens,
    output_tokens: outputTokens,
    ...(reasoningTokens === undefined ? {} : { output_tokens_details: { thinking_tokens: reasoningTokens } }),
  }
}
