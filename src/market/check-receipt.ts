/**
 * Is the receipt right? Pure: the order, the receipt, and what the buyer saw itself.
 */
import { equalBytes } from '../base/bytes.ts'
import { TokError, toTokError } from '../base/errors.ts'
import type { Signed } from '../wire/envelope.ts'
import { capUsage, checkBilling, type Order, type Receipt } from '../wire/inference.ts'
import type { BilledUsage } from '../wire/pricing.ts'

/** The answer as the buyer saw it. */
export interface SeenAnswer {
  readonly answerBytes: number
  readonly answerDigest: Uint8Array
  /** Output tokens by the running count. */
  readonly countedOutputTokens: number
  /** UTF-8 bytes of generated text. */
  readonly textBytes: number
  /** Status of the answer; undefined if there was none: a head without a byte after it is no answer, and costs nothing. */
  readonly httpStatus: number | undefined
  /** What the provider's own bytes say was used; undefined where they say nothing. */
  readonly reported: ReportedUsage
}

/** Counts as a provider reports them; a missing one is undefined. */
export interface ReportedUsage {
  readonly inputTokens?: number | undefined
  readonly cachedInputTokens?: number | undefined
  readonly cacheWriteTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** Tokens an answer may have beside its text: starts, ends, separators of tool calls. */
const STRUCTURE_TOKENS_MAX = 64

/**
 * The usage that is billed for an answer, by the rule both sides share: the provider's counts where its bytes give both input
 * and output, otherwise the order's input estimate and the running count; never above the order's maxima; nothing for an
 * answer whose status is 400 or more, or that never came.
 */
export function billedUsage(order: Order, seen: SeenAnswer): { usage: BilledUsage; source: Receipt['usageSource'] } {
  const { reported } = seen
  if (seen.httpStatus === undefined || seen.httpStatus >= 400) {
    return {
      usage: { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0 },
      source: 'counted',
    }
  }
  const { inputTokens, outputTokens } = reported
  const hasBoth = inputTokens !== undefined && (outputTokens !== undefined || order.endpoint === 'embeddings')
  const usage = hasBoth
    ? {
        inputTokens,
        cachedInputTokens: reported.cachedInputTokens ?? 0,
        cacheWriteTokens: reported.cacheWriteTokens ?? 0,
        outputTokens: outputTokens ?? 0,
      }
    : countedUsage(order, seen.countedOutputTokens)
  return { usage: capUsage(usage, order), source: hasBoth ? 'provider' : 'counted' }
}

/** What a voucher counts while a call runs. */
export function countedUsage(order: Order, countedOutputTokens: number): BilledUsage {
  return {
    inputTokens: Math.min(order.inputTokensEstimate, order.inputTokensMax),
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: Math.min(countedOutputTokens, order.outputTokensMax),
  }
}

/**
 * Checks a receipt against its order and what the buyer saw. What holds is signed for; what does not is settled at the last
 * voucher.
 * @throws TokError `stream_incomplete` if bytes of the answer are missing or other than the seller sent; `receipt_disputed`
 *   naming what is wrong with the bill
 */
export function checkReceipt(peer: string, order: Signed<Order>, receipt: Signed<Receipt>, seen: SeenAnswer): void {
  const dispute = (reason: string): never => {
    throw new TokError('receipt_disputed', { peer, reason })
  }
  const { value } = receipt
  const isOfOrder =
    equalBytes(value.order, order.id) &&
    equalBytes(value.seller, order.value.seller) &&
    equalBytes(value.buyer, order.value.buyer) &&
    value.network === order.value.network
  if (!isOfOrder) dispute('it is of another order')
  if (value.answerBytes !== seen.answerBytes || !equalBytes(value.answerDigest, seen.answerDigest)) {
    throw new TokError('stream_incomplete', {
      peer,
      reason: `${seen.answerBytes} of ${value.answerBytes} bytes came, or others than were sent`,
    })
  }
  try {
    checkBilling(value, order.value)
  } catch (thrown) {
    dispute(toTokError(thrown).message)
  }
  const due = billedUsage(order.value, seen)
  for (const name of ['inputTokens', 'cachedInputTokens', 'cacheWriteTokens', 'outputTokens'] as const) {
    if (value.usage[name] !== due.usage[name]) {
      dispute(`it bills ${value.usage[name]} ${name}, the answer itself says ${due.usage[name]}`)
    }
  }
  const plausible = seen.textBytes + STRUCTURE_TOKENS_MAX + order.value.hiddenOutputTokensMax
  if (value.usage.outputTokens > plausible && value.usage.outputTokens > seen.countedOutputTokens) {
    dispute(`it bills ${value.usage.outputTokens} output tokens for ${seen.textBytes} bytes of text`)
  }
}
