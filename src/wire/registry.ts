/**
 * Every name and number of the wire: protocol ids, signature domains, frame types, limits, timeouts.
 * protocols/registry.json says the same, and a test holds the two equal.
 */

/** The network that nodes join unless told otherwise; part of every protocol id, topic and signed body. */
export const DEFAULT_NETWORK = 'main'

/** The asset that amounts are counted in: amounts are micros, 10^-6 of it. */
export const DEFAULT_ASSET = 'USD'

/** libp2p protocol ids and the gossip topic of one network. */
export function protocolIds(network: string): {
  readonly inference: string
  readonly account: string
  readonly advert: string
  readonly kad: string
  readonly advertTopic: string
} {
  return {
    inference: `/tok/${network}/inference/1`,
    account: `/tok/${network}/account/1`,
    advert: `/tok/${network}/advert/1`,
    kad: `/tok/${network}/kad/1.0.0`,
    advertTopic: `/tok/${network}/ads/1/0/0`,
  }
}

/** Signature domains. A body names its domain in `type`; the signature covers domain, a zero byte, SHA-256 of the body. */
export const DOMAINS = {
  advert: 'tok/advert/1',
  order: 'tok/order/1',
  acceptance: 'tok/acceptance/1',
  voucher: 'tok/voucher/1',
  receipt: 'tok/receipt/1',
  statement: 'tok/statement/1',
  rejection: 'tok/rejection/1',
  payment: 'tok/payment/1',
  netting: 'tok/netting/1',
  checkpoint: 'tok/checkpoint/1',
  export: 'tok/export/1',
} as const

/** Hash prefix of an account's id; no signature is ever made under it. */
export const ACCOUNT_ID_DOMAIN = 'tok/account/1'

/** Hash prefix of a model's DHT key. */
export const MODEL_KEY_DOMAIN = 'tok/model/1'

/** Frame types. 0x0x: either side or the buyer of a call; 0x1x: the seller of a call; 0x2x: the account; 0x3x: adverts. */
export const FRAMES = {
  order: 0x01,
  body: 0x02,
  voucher: 0x03,
  abort: 0x04,
  credit: 0x05,
  close: 0x06,
  acceptance: 0x11,
  refusal: 0x12,
  head: 0x13,
  part: 0x14,
  progress: 0x15,
  receipt: 0x16,
  end: 0x17,
  hello: 0x21,
  statements: 0x22,
  proposal: 0x23,
  countersignature: 0x24,
  rejection: 0x25,
  evidence: 0x26,
  done: 0x27,
  payment: 0x28,
  netting: 0x29,
  settlementRefusal: 0x2a,
  wanted: 0x2b,
  advertQuery: 0x31,
  advert: 0x32,
} as const

/** Sizes and counts. The reason for each number stands in the specification of its protocol. */
export const LIMITS = {
  /** Payload bytes of one frame. */
  framePayloadBytes: 65_536,
  /** Bytes of request or answer one side may be ahead of what the other has consumed, per call and direction. */
  callCreditBytes: 1_048_576,
  /** Bytes of a request body. */
  requestBodyBytes: 33_554_432,
  /** Calls of one pair on one stream. */
  callsPerStream: 128,
  /** Control frames of one call that may wait to be handled. */
  callControlFrames: 64,
  /** Bytes of an advert's envelope. */
  advertBytes: 4_096,
  /** Offers in an advert. */
  advertOffers: 16,
  /** Characters of a model's name. */
  modelNameBytes: 200,
  /** Calls, payments and nettings settled by one statement. */
  statementItems: 32,
  /** Open calls named in one HELLO; the rest follow in the next exchange. */
  helloCalls: 256,
  /** Payments of one account that wait for the seller, and are shown in one exchange. */
  openPayments: 16,
  /** Statements in one frame: as many of the largest as fit it. */
  statementsPerFrame: 7,
  /** Orders of those statements: so many papers one side may ask for at a time. */
  wantedOrders: 224,
  /** Headers of a request or an answer that travel. */
  headersBytes: 8_192,
} as const

/** Waits, in ms. */
export const TIMEOUTS = {
  /** Dialling a peer. */
  dialMs: 5_000,
  /** Opening a stream on a connected peer. */
  openMs: 5_000,
  /** From the order to its acceptance or refusal. */
  acceptanceMs: 5_000,
  /** Without any frame of a call, PROGRESS included. */
  callIdleMs: 20_000,
  /** Between two PROGRESS frames while nothing else is sent. */
  progressMs: 5_000,
  /** From the end of the parts to the receipt, and from the receipt to the final voucher. */
  receiptMs: 5_000,
  /** A seller's wait for a voucher while the window is used up. */
  voucherMs: 15_000,
  /** One exchange on the account protocol, between two frames. */
  accountMs: 10_000,
  /** A direct advert query. */
  advertMs: 3_000,
  /** One DHT lookup. */
  lookupMs: 5_000,
} as const

/** Tolerance, in ms, between two wall clocks, at admission only. */
export const CLOCK_TOLERANCE_MS = 300_000

/** The least and the most an advert may live, in ms. */
export const ADVERT_LIFETIME_MS = { min: 120_000, max: 7_200_000 } as const
