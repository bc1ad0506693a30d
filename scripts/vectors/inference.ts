/** Vectors of protocols/inference/v1.md: the messages of a call, its price, and what may be billed. */
import { encode } from '@ipld/dag-cbor'
import { fromHex, toHex, utf8 } from '../../src/base/bytes.ts'
import { seal } from '../../src/wire/envelope.ts'
import {
  abortShape,
  ACCEPTANCE,
  capUsage,
  commitToRequest,
  encodePart,
  headShape,
  ORDER,
  orderFrameShape,
  progressShape,
  RECEIPT,
  refusalShape,
  VOUCHER,
  type Order,
  type OrderFrame,
  type Receipt,
  type Voucher,
} from '../../src/wire/inference.ts'
import { priceUsage, type BilledUsage, type Prices } from '../../src/wire/pricing.ts'
import { DOMAINS } from '../../src/wire/registry.ts'
import { countingVectors } from './counting.ts'
import {
  accepted,
  alteredBody,
  ASSET,
  digestOf,
  KEYS,
  NETWORK,
  NOW_MS,
  raw,
  reading,
  readable,
  refused,
  signRaw,
  unreadable,
  type Case,
  type VectorFile,
} from './case.ts'

const SALT = fromHex('000102030405060708090a0b0c0d0e0f')
const REQUEST = utf8('{"model":"qwen3:8b","messages":[{"role":"user","content":"Hello"}]}')

const PRICES: Prices = { input: 100_000n, cachedInput: 25_000n, cacheWrite: 125_000n, output: 400_000n }
const FREE: Prices = { input: 0n, cachedInput: 0n, cacheWrite: 0n, output: 0n }
const USAGE: BilledUsage = { inputTokens: 1_000, cachedInputTokens: 600, cacheWriteTokens: 100, outputTokens: 250 }

/** The order that other vectors build on. */
export const order: Order = {
  type: DOMAINS.order,
  network: NETWORK,
  asset: ASSET,
  buyer: KEYS.buyer.publicKey,
  seller: KEYS.seller.publicKey,
  nonce: fromHex('a0a1a2a3a4a5a6a7a8a9aaabacadaeaf'),
  issuedAtMs: NOW_MS,
  expiresAtMs: NOW_MS + 60_000,
  advert: digestOf('an advert'),
  model: 'qwen3:8b',
  endpoint: 'chat',
  dialect: 'openai-chat',
  prices: PRICES,
  windowTokens: 256,
  hiddenOutputTokensMax: 0,
  inputTokensEstimate: 900,
  inputTokensMax: 2_000,
  outputTokensMax: 1_000,
  amountMax: 500n,
  requestCommitment: commitToRequest(SALT, '', REQUEST),
}
const orderId = seal(ORDER, order, KEYS.buyer).id

/** A voucher of that order. */
export const voucher: Voucher = {
  type: DOMAINS.voucher,
  network: NETWORK,
  order: orderId,
  buyer: KEYS.buyer.publicKey,
  seller: KEYS.seller.publicKey,
  index: 2,
  usage: USAGE,
  amount: priceUsage(USAGE, PRICES),
}

/** The receipt of that order. */
export const receipt: Receipt = {
  type: DOMAINS.receipt,
  network: NETWORK,
  order: orderId,
  buyer: KEYS.buyer.publicKey,
  seller: KEYS.seller.publicKey,
  model: 'qwen3:8b',
  status: 'completed',
  httpStatus: 200,
  usage: USAGE,
  usageSource: 'provider',
  amount: priceUsage(USAGE, PRICES),
  answerBytes: 5_120,
  answerDigest: digestOf('an answer'),
  startedAtMs: NOW_MS + 20,
  firstPartMs: 180,
  durationMs: 4_200,
}

/** @returns the vectors of a call */
export function inferenceVectors(): VectorFile {
  return {
    protocol: 'inference/1',
    accept: [
      ...signedMessages(),
      ...frames(),
      ...commitments(),
      ...prices(),
      ...caps(),
      ...billings(),
      ...countingVectors(order),
    ],
    reject: [...rejectedMessages(), ...rejectedFrames(), ...rejectedBillings()],
  }
}

function signedMessages(): Case[] {
  const { buyer, seller } = KEYS
  const acceptance = {
    type: DOMAINS.acceptance,
    network: NETWORK,
    order: orderId,
    seller: seller.publicKey,
    acceptedAtMs: NOW_MS + 20,
    creditLimit: 100_000n,
  } as const
  return [
    accepted('an order', ORDER, order, buyer),
    accepted('an order for embeddings', ORDER, { ...order, endpoint: 'embeddings', outputTokensMax: 0 }, buyer),
    accepted('an order of the dearest kind', ORDER, { ...order, amountMax: 2n ** 63n - 1n }, buyer),
    accepted('an acceptance', ACCEPTANCE, acceptance, seller),
    accepted('a voucher', VOUCHER, voucher, buyer),
    accepted('a voucher for nothing', VOUCHER, firstVoucher(), buyer),
    accepted('a receipt', RECEIPT, receipt, seller),
    accepted('the receipt of a call that failed before its first part', RECEIPT, failedReceipt(), seller),
  ]
}

function firstVoucher(): Voucher {
  const usage = { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0 }
  return { ...voucher, index: 1, usage, amount: 0n }
}

function failedReceipt(): Receipt {
  const { model: _model, httpStatus: _status, firstPartMs: _first, ...rest } = receipt
  const usage = { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0 }
  return {
    ...rest,
    status: 'failed',
    error: 'provider_timeout',
    usage,
    usageSource: 'counted',
    amount: 0n,
    answerBytes: 0,
    answerDigest: digestOf(''),
  }
}

const { body: orderBody, signature: orderSignature } = seal(ORDER, order, KEYS.buyer)

const orderFrame: OrderFrame = {
  order: { body: orderBody, signature: orderSignature },
  salt: SALT,
  headers: {},
  stream: 'yes',
  bodyBytes: REQUEST.length,
}

function frames(): Case[] {
  const part = (name: string, outputTokens: number, content: Uint8Array): Case => ({
    name,
    check: 'part',
    payload: toHex(encodePart(outputTokens, content)),
    outputTokens,
    content: toHex(content),
  })
  return [
    readable('an order frame', 'order-frame', orderFrameShape, orderFrame),
    readable('an order frame with a query and headers', 'order-frame', orderFrameShape, {
      ...orderFrame,
      query: '?beta=true',
      headers: { 'anthropic-version': '2023-06-01', 'anthropic-beta': 'one,two' },
      stream: 'no',
    }),
    readable('a refusal', 'refusal', refusalShape, { code: 'order_expired', reason: 'the order is expired' }),
    readable('a refusal for a while', 'refusal', refusalShape, {
      code: 'capacity_exhausted',
      reason: 'all 4 slots are busy',
      retryAfterMs: 2_000,
    }),
    readable('a head', 'head', headShape, { status: 200, headers: { 'content-type': 'text/event-stream' } }),
    readable('a head without headers', 'head', headShape, { status: 500, headers: {} }),
    readable('progress', 'progress', progressShape, { stage: 'waiting' }),
    readable('progress while a voucher is awaited', 'progress', progressShape, { stage: 'window' }),
    readable('an abort', 'abort', abortShape, { code: 'call_aborted' }),
    part('a part', 3, utf8('data: {}\n\n')),
    part('a part without content', 4_294_967_295, new Uint8Array()),
  ]
}

function commitments(): Case[] {
  const commitment = (name: string, query: string, body: Uint8Array): Case => ({
    name,
    check: 'commitment',
    salt: toHex(SALT),
    query,
    body: toHex(body),
    commitment: toHex(commitToRequest(SALT, query, body)),
  })
  return [
    commitment('the commitment to a request', '', REQUEST),
    commitment('the commitment to a request with a query', '?beta=true', REQUEST),
    commitment('the commitment to the same bytes cut elsewhere', '?beta=tru', Buffer.concat([utf8('e'), REQUEST])),
    commitment('the commitment to an empty request', '', new Uint8Array()),
  ]
}

/** Counts as a table: input, of it cached, of it written, output. */
function usageOf(counts: readonly [number, number, number, number]): BilledUsage {
  const [inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens] = counts
  return { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens }
}

function prices(): Case[] {
  const most = 2n ** 63n - 1n
  const dearest: Prices = { input: most, cachedInput: most, cacheWrite: most, output: most }
  const million = 1_000_000
  const table: readonly (readonly [string, readonly [number, number, number, number], Prices])[] = [
    ['nothing costs nothing', [0, 0, 0, 0], PRICES],
    ['a price that comes out even', [0, 0, 0, 5], PRICES],
    ['one token above it costs a whole micro', [0, 0, 0, 6], PRICES],
    ['the least fraction costs a whole micro', [1, 1, 0, 0], PRICES],
    ['fractions are added before they are rounded', [3, 1, 1, 1], PRICES],
    ['each part at its own price', [1_000, 600, 100, 250], PRICES],
    ['input that is cached whole', [1_000, 1_000, 0, 0], PRICES],
    ['input that is written whole', [1_000, 0, 1_000, 0], PRICES],
    ['what is free stays free', [1_000, 10, 10, 1_000], FREE],
    ['a million of each', [3 * million, million, million, million], PRICES],
    ['the greatest numbers', [Number.MAX_SAFE_INTEGER, 1, 1, Number.MAX_SAFE_INTEGER], dearest],
  ]
  return table.map(([name, counts, of]) => ({
    name: `price: ${name}`,
    check: 'price',
    usage: reading(usageOf(counts)),
    prices: reading(of),
    amount: priceUsage(usageOf(counts), of).toString(),
  }))
}

function caps(): Case[] {
  const limits = { inputTokensMax: 100, outputTokensMax: 50 }
  const table: readonly (readonly [string, readonly [number, number, number, number]])[] = [
    ['counts within the order', [100, 60, 40, 50]],
    ['more input than ordered', [140, 60, 20, 10]],
    ['more cached input than may be billed at all', [140, 120, 20, 10]],
    ['cache writes give way to cached input', [140, 60, 80, 10]],
    ['more output than ordered', [10, 0, 0, 51]],
    ['parts that exceed the input', [10, 8, 8, 0]],
    ['nothing', [0, 0, 0, 0]],
  ]
  return table.map(([name, counts]) => ({
    name: `cap: ${name}`,
    check: 'cap',
    usage: reading(usageOf(counts)),
    limits,
    capped: reading(capUsage(usageOf(counts), limits)),
  }))
}

/** What a bill is held against. */
const TERMS = { prices: PRICES, inputTokensMax: 2_000, outputTokensMax: 1_000, amountMax: 500n }

function billing(name: string, usage: BilledUsage, amount: bigint): Case {
  return { name: `bill: ${name}`, check: 'billing', usage: reading(usage), amount: `${amount}`, order: reading(TERMS) }
}

function billings(): Case[] {
  const fits = (name: string, usage: BilledUsage): Case => billing(name, usage, priceUsage(usage, PRICES))
  return [
    fits('a bill that fits', USAGE),
    fits('nothing', usageOf([0, 0, 0, 0])),
    fits('all the input', usageOf([2_000, 0, 0, 0])),
    fits('the whole output', usageOf([0, 0, 0, 1_000])),
    fits('the whole amount', usageOf([1_000, 0, 0, 1_000])),
  ]
}

function rejectedBillings(): Case[] {
  const wrong = (name: string, usage: BilledUsage, step: string, amount = priceUsage(usage, PRICES)): Case => ({
    ...billing(name, usage, amount),
    step,
    error: 'voucher_invalid',
  })
  return [
    wrong('parts that exceed the input', usageOf([10, 8, 3, 0]), 'bill 1', 5n),
    wrong('one input token too many', usageOf([2_001, 0, 0, 0]), 'bill 2'),
    wrong('one output token too many', usageOf([0, 0, 0, 1_001]), 'bill 3'),
    wrong('one micro above the order', usageOf([1_010, 0, 0, 1_000]), 'bill 4'),
    wrong('a micro more than the counts cost', USAGE, 'bill 5', priceUsage(USAGE, PRICES) + 1n),
    wrong('a micro less than the counts cost', USAGE, 'bill 5', priceUsage(USAGE, PRICES) - 1n),
    wrong('a price rounded down', usageOf([0, 0, 0, 6]), 'bill 5', 2n),
    wrong('a price rounded part by part', usageOf([3, 1, 1, 1]), 'bill 5', 4n),
  ]
}

function rejectedMessages(): Case[] {
  const { buyer, seller, stranger } = KEYS
  const malformed = (name: string, changes: Readonly<Record<string, Uint8Array | undefined>>): Case =>
    refused(
      name,
      ORDER,
      signRaw(ORDER.domain, alteredBody({ ...order }, changes), buyer),
      'envelope 3',
      'encoding_invalid',
    )
  const signedBy = <T>(name: string, kind: Parameters<typeof seal<T>>[0], value: T, key: typeof buyer): Case =>
    refused(name, kind, seal(kind, value, key), 'envelope 6', 'signature_invalid')
  return [
    malformed('an order to count tokens', { endpoint: encode('count_tokens') }),
    malformed('an order in a dialect that nobody knows', { dialect: encode('telnet') }),
    malformed('an order without prices', { prices: undefined }),
    malformed('an order with a nonce of 15 bytes', { nonce: encode(new Uint8Array(15)) }),
    malformed('an order for a negative amount', { amountMax: raw('20') }),
    malformed('an order for a fraction of a token', { outputTokensMax: raw('fb3fe0000000000000') }),
    malformed('an order with a model of 201 bytes', { model: encode('m'.repeat(201)) }),
    refused(
      'a receipt of a status that does not exist',
      RECEIPT,
      signRaw(RECEIPT.domain, alteredBody({ ...receipt }, { status: encode('perfect') }), seller),
      'envelope 3',
      'encoding_invalid',
    ),
    refused(
      'a voucher with its usage as a list',
      VOUCHER,
      signRaw(VOUCHER.domain, alteredBody({ ...voucher }, { usage: encode([1_000, 600, 100, 250]) }), buyer),
      'envelope 3',
      'encoding_invalid',
    ),
    signedBy('an order signed by its seller', ORDER, order, seller),
    signedBy('a voucher signed by its seller', VOUCHER, voucher, seller),
    signedBy('a receipt signed by its buyer', RECEIPT, receipt, buyer),
    signedBy('a receipt signed by a stranger', RECEIPT, receipt, stranger),
    refused(
      'a voucher whose body says it is a receipt',
      VOUCHER,
      signRaw(VOUCHER.domain, alteredBody({ ...voucher }, { type: encode(RECEIPT.domain) }), buyer),
      'envelope 3',
      'encoding_invalid',
    ),
  ]
}

function rejectedFrames(): Case[] {
  const headers = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`x-${index}`, 'y']))
  return [
    unreadable('an order frame of nine headers', 'order-frame', encode({ ...orderFrame, headers })),
    unreadable(
      'an order frame with a header that has no value',
      'order-frame',
      encode({ ...orderFrame, headers: { a: '' } }),
    ),
    unreadable('an order frame with a truth value', 'order-frame', encode({ ...orderFrame, stream: true })),
    unreadable('an order frame with an empty query', 'order-frame', encode({ ...orderFrame, query: '' })),
    unreadable(
      'an order frame with the order beside its envelope',
      'order-frame',
      encode({ ...orderFrame, order: order.nonce }),
    ),
    unreadable('a refusal without a reason', 'refusal', encode({ code: 'order_expired' })),
    unreadable('a head with a status as a text', 'head', encode({ status: '200', headers: {} })),
    unreadable('progress of a stage that does not exist', 'progress', encode({ stage: 'thinking' })),
    unreadable('an abort with a byte after it', 'abort', Buffer.concat([encode({ code: 'call_aborted' }), raw('00')])),
    { name: 'a part without its count', check: 'part', step: 'part 1', error: 'frame_malformed', payload: '000000' },
    { name: 'a part without a byte', check: 'part', step: 'part 1', error: 'frame_malformed', payload: '' },
  ]
}
