/**
 * The messages of one call: order, acceptance, refusal, head, parts, progress, voucher, receipt.
 * Source: protocols/inference/v1.md.
 */
import { createHmac } from 'node:crypto'
import { TokError } from '../base/errors.ts'
import { DIALECT_WORDS } from './advert.ts'
import { envelopeShape, type Kind } from './envelope.ts'
import { KEY_BYTES } from './identity.ts'
import { billedUsageShape, isPriceable, pricesShape, priceUsage, type BilledUsage, type Prices } from './pricing.ts'
import { DOMAINS, LIMITS } from './registry.ts'
import { amount, bytes, isWireText, oneOf, optional, record, text, texts, uint, type Read } from './shape.ts'

const HASH_BYTES = 32
const SALT_BYTES = 16
const QUERY_BYTES_MAX = 1_024
/** Headers that a frame holds. */
const HEADERS_MAX = { order: 8, head: 32 } as const

/** Bytes of a refusal's reason. */
export const REASON_BYTES_MAX = 512

/** What a buyer may ask of a seller. Token counting is never bought: the buyer estimates it itself. */
export const ORDER_ENDPOINTS = ['chat', 'responses', 'embeddings', 'messages'] as const

const orderShape = record({
  type: oneOf(DOMAINS.order),
  network: text(32),
  asset: text(16),
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
  nonce: bytes(16),
  issuedAtMs: uint,
  /** After this the seller does not start it. */
  expiresAtMs: uint,
  /** Id of the advert whose offer this order takes. */
  advert: bytes(HASH_BYTES),
  model: text(LIMITS.modelNameBytes),
  endpoint: oneOf(...ORDER_ENDPOINTS),
  dialect: oneOf(...DIALECT_WORDS),
  /** Copied from the offer, so that the account can be checked without it. */
  prices: pricesShape,
  windowTokens: uint,
  hiddenOutputTokensMax: uint,
  /** Input tokens that vouchers count until the receipt knows them: the buyer's estimate. */
  inputTokensEstimate: uint,
  /** The most that may be billed, in tokens and in micros. */
  inputTokensMax: uint,
  outputTokensMax: uint,
  amountMax: amount,
  /** HMAC-SHA256 of the request under a salt: binds the order to it without revealing it to the account's readers. */
  requestCommitment: bytes(HASH_BYTES),
})
export type Order = Read<typeof orderShape>

export const ORDER: Kind<Order> = {
  name: 'order',
  domain: DOMAINS.order,
  shape: orderShape,
  signerOf: (order) => order.buyer,
}

const acceptanceShape = record({
  type: oneOf(DOMAINS.acceptance),
  network: text(32),
  order: bytes(HASH_BYTES),
  seller: bytes(KEY_BYTES),
  acceptedAtMs: uint,
  /** The most the buyer may owe this seller, in micros. */
  creditLimit: amount,
})
export type Acceptance = Read<typeof acceptanceShape>

/** The seller's durable promise that this order exists and has a slot. */
export const ACCEPTANCE: Kind<Acceptance> = {
  name: 'acceptance',
  domain: DOMAINS.acceptance,
  shape: acceptanceShape,
  signerOf: (acceptance) => acceptance.seller,
}

const voucherShape = record({
  type: oneOf(DOMAINS.voucher),
  network: text(32),
  order: bytes(HASH_BYTES),
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
  /** Grows with every voucher of the order. */
  index: uint,
  usage: billedUsageShape,
  /** Cumulative, in micros; never falls. */
  amount: amount,
})
export type Voucher = Read<typeof voucherShape>

/** The buyer's promise of a cumulative amount. Only the newest counts. */
export const VOUCHER: Kind<Voucher> = {
  name: 'voucher',
  domain: DOMAINS.voucher,
  shape: voucherShape,
  signerOf: (voucher) => voucher.buyer,
}

const receiptShape = record({
  type: oneOf(DOMAINS.receipt),
  network: text(32),
  order: bytes(HASH_BYTES),
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
  /** The model the provider said it used; absent if it said none. */
  model: optional(text(LIMITS.modelNameBytes)),
  /**
   * completed: the provider's answer is whole, an error answer included; truncated: it reached the order's maximum;
   * aborted: the buyer stopped it or sent no voucher; failed: the provider did not answer, or broke off.
   */
  status: oneOf('completed', 'truncated', 'aborted', 'failed'),
  /** HTTP status of the provider's answer; absent if there was none. */
  httpStatus: optional(uint),
  /** Why it failed or was aborted: a code of the registry. */
  error: optional(text(64)),
  usage: billedUsageShape,
  /** provider: the provider's own counts; counted: by the rule of the specification, from the parts. */
  usageSource: oneOf('provider', 'counted'),
  amount: amount,
  /** Bytes of all parts, and their SHA-256. */
  answerBytes: uint,
  answerDigest: bytes(HASH_BYTES),
  startedAtMs: uint,
  /** From the acceptance to the first part; absent if there was none. */
  firstPartMs: optional(uint),
  durationMs: uint,
})
export type Receipt = Read<typeof receiptShape>

/** The seller's account of one call. Complete when a statement that holds it is countersigned. */
export const RECEIPT: Kind<Receipt> = {
  name: 'receipt',
  domain: DOMAINS.receipt,
  shape: receiptShape,
  signerOf: (receipt) => receipt.seller,
}

/** Payload of the ORDER frame: the signed order and what the request needs beside its body. */
export const orderFrameShape = record({
  order: envelopeShape,
  salt: bytes(SALT_BYTES),
  query: optional(text(QUERY_BYTES_MAX)),
  headers: texts(HEADERS_MAX.order, LIMITS.headersBytes),
  stream: oneOf('yes', 'no'),
  bodyBytes: uint,
})
export type OrderFrame = Read<typeof orderFrameShape>

/** Payload of the REFUSAL frame. The code is one of the registry's; the reason is for people. */
export const refusalShape = record({ code: text(64), reason: text(REASON_BYTES_MAX), retryAfterMs: optional(uint) })
export type Refusal = Read<typeof refusalShape>

/** Payload of the HEAD frame: status and headers of the provider's answer. */
export const headShape = record({ status: uint, headers: texts(HEADERS_MAX.head, LIMITS.headersBytes) })

/** @throws TokError `query_too_long` if no order frame holds `query`; "" is none */
export function checkQuery(query: string): void {
  if (query !== '' && !isWireText(query, QUERY_BYTES_MAX)) {
    throw new TokError('query_too_long', { limitBytes: QUERY_BYTES_MAX })
  }
}

/**
 * The headers that an ORDER or HEAD frame holds, in their order, and the names of those left out: what is empty or no text of
 * the wire, what is beyond their number, and what would bring all names and values above `headersBytes`. A foreign header never
 * breaks a call.
 */
export function fitHeaders(
  headers: Readonly<Record<string, string>>,
  frame: keyof typeof HEADERS_MAX,
): { readonly headers: Readonly<Record<string, string>>; readonly leftOut: readonly string[] } {
  const kept: [string, string][] = []
  const leftOut: string[] = []
  let bytesLeft: number = LIMITS.headersBytes
  for (const [name, value] of Object.entries(headers)) {
    const bytesForValue = bytesLeft - Buffer.byteLength(name)
    const hasPlace = kept.length < HEADERS_MAX[frame]
    if (hasPlace && isWireText(name, bytesLeft) && isWireText(value, bytesForValue)) {
      kept.push([name, value])
      bytesLeft = bytesForValue - Buffer.byteLength(value)
    } else {
      leftOut.push(name)
    }
  }
  return { headers: Object.fromEntries(kept), leftOut }
}

/** Payload of the PROGRESS frame: the call lives, though nothing is sent; `window`: the seller waits for a voucher. */
export const progressShape = record({ stage: oneOf('waiting', 'generating', 'window') })

/** Payload of the ABORT frame. */
export const abortShape = record({ code: text(64) })

/** Bytes of a PART before its content: the running count of output tokens, 32 bits, big-endian. */
export const PART_HEADER_BYTES = 4

/** A PART: the running count of output tokens delivered with it, and the provider's bytes as they came. */
export function encodePart(outputTokens: number, content: Uint8Array): Uint8Array {
  const payload = new Uint8Array(PART_HEADER_BYTES + content.length)
  new DataView(payload.buffer).setUint32(0, outputTokens)
  payload.set(content, PART_HEADER_BYTES)
  return payload
}

/** @throws TokError `frame_malformed` */
export function decodePart(payload: Uint8Array): { outputTokens: number; content: Uint8Array } {
  if (payload.length < PART_HEADER_BYTES) throw new TokError('frame_malformed', { reason: 'a part without its count' })
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  return { outputTokens: view.getUint32(0), content: payload.subarray(PART_HEADER_BYTES) }
}

/** The commitment of an order to its request: HMAC-SHA256 under `salt` of the lengths and bytes of query and body. */
export function commitToRequest(salt: Uint8Array, query: string, body: Uint8Array): Uint8Array {
  const head = new Uint8Array(8)
  const view = new DataView(head.buffer)
  view.setUint32(0, Buffer.byteLength(query))
  view.setUint32(4, body.length)
  const digest = createHmac('sha256', salt).update(head).update(query).update(body).digest()
  return new Uint8Array(digest)
}

/**
 * Checks counts and amount against the order they are billed under.
 * @throws TokError `voucher_invalid` naming what does not fit
 */
export function checkBilling(
  bill: { readonly usage: BilledUsage; readonly amount: bigint },
  order: {
    readonly prices: Prices
    readonly inputTokensMax: number
    readonly outputTokensMax: number
    readonly amountMax: bigint
  },
): void {
  const refuse = (reason: string): never => {
    throw new TokError('voucher_invalid', { reason })
  }
  const { usage } = bill
  if (!isPriceable(usage)) refuse('the parts of the input exceed it')
  if (usage.inputTokens > order.inputTokensMax) refuse(`more than ${order.inputTokensMax} input tokens`)
  if (usage.outputTokens > order.outputTokensMax) refuse(`more than ${order.outputTokensMax} output tokens`)
  if (bill.amount > order.amountMax) refuse(`more than ${order.amountMax} micros`)
  const price = priceUsage(usage, order.prices)
  if (price !== bill.amount) refuse(`the amount is ${bill.amount} micros, the counts cost ${price}`)
}

/**
 * The counts that may be billed of what was used: nothing above the order's maxima, the parts of the input within it.
 * What is beyond is the seller's own cost.
 */
export function capUsage(
  usage: BilledUsage,
  order: { readonly inputTokensMax: number; readonly outputTokensMax: number },
): BilledUsage {
  const inputTokens = Math.min(usage.inputTokens, order.inputTokensMax)
  const cachedInputTokens = Math.min(usage.cachedInputTokens, inputTokens)
  return {
    inputTokens,
    cachedInputTokens,
    cacheWriteTokens: Math.min(usage.cacheWriteTokens, inputTokens - cachedInputTokens),
    outputTokens: Math.min(usage.outputTokens, order.outputTokensMax),
  }
}
