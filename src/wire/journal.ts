/**
 * The journal: this node's own hash-chained record of every inference, on every path. Source: protocols/ledger/v1.md.
 *
 * A missing count is absent, never 0. Prompts and answers are not recorded.
 */
import { DIALECT_WORDS } from './advert.ts'
import { KEY_BYTES } from './identity.ts'
import { pricesShape } from './pricing.ts'
import { LIMITS } from './registry.ts'
import { amount, bytes, oneOf, optional, record, text, uint, type Read } from './shape.ts'

const HASH_BYTES = 32

/** What happened to one inference, without its place in the chain. */
const inferenceFields = {
  /** The request id of the facade, or of the call for a sale. */
  requestId: text(128),
  /** local: answered by a provider of this node for its own client; bought: by a seller; sold: for a buyer. */
  direction: oneOf('local', 'bought', 'sold'),
  endpoint: oneOf('chat', 'responses', 'embeddings', 'messages', 'count_tokens'),
  dialect: oneOf(...DIALECT_WORDS),
  /** What the target was asked in, where the request was translated. */
  providerDialect: optional(oneOf(...DIALECT_WORDS)),
  stream: oneOf('yes', 'no'),
  /** As the client named it, as aliases and routes resolved it, and as the provider said it. */
  requestedModel: text(LIMITS.modelNameBytes),
  resolvedModel: text(LIMITS.modelNameBytes),
  servedModel: optional(text(LIMITS.modelNameBytes)),
  /** Provider name, or the peer ID of the seller; absent if no target was found. */
  target: optional(text(128)),
  /** The other side of a trade. */
  counterparty: optional(bytes(KEY_BYTES)),
  order: optional(bytes(HASH_BYTES)),
  receipt: optional(bytes(HASH_BYTES)),
  status: oneOf('completed', 'truncated', 'aborted', 'failed'),
  httpStatus: optional(uint),
  error: optional(text(64)),
  inputTokens: optional(uint),
  cachedInputTokens: optional(uint),
  cacheWriteTokens: optional(uint),
  outputTokens: optional(uint),
  reasoningTokens: optional(uint),
  /** Whose counts these are: the provider's, counted from the bytes, or none. */
  tokenSource: oneOf('provider', 'counted', 'absent'),
  /** What a trade cost or earned, in micros; absent for local inference. */
  amount: optional(amount),
  /** What was reserved for a trade before it began, in micros, and the prices it was made at, in micros per Mtok. */
  held: optional(amount),
  prices: optional(pricesShape),
  /** From the request to the first byte of the answer; absent if there was none. */
  firstByteMs: optional(uint),
  durationMs: uint,
  /** Targets tried before the one that is named. */
  retries: uint,
  /** Request id of a failed inference that the client repeats with this one. */
  retryOf: optional(text(128)),
} as const

const inferenceShape = record(inferenceFields)
export type InferenceRecord = Read<typeof inferenceShape>

/** One entry, as its bytes stand in the chain. */
export const journalEntryShape = record({
  kind: oneOf('inference'),
  /** 1 for the first entry of this node, then one more each. */
  sequence: uint,
  /** SHA-256 of the bytes of the entry before; absent for the first. */
  previous: optional(bytes(HASH_BYTES)),
  recordedAtMs: uint,
  ...inferenceFields,
})
export type JournalEntry = Read<typeof journalEntryShape>
