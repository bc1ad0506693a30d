/**
 * A buyer's and a seller's ledger over crashing stores, and the account exchange between them: the code of both sides over a
 * stream in memory that can be cut. Every output token costs 1 micro, so that tokens and micros are the same numbers.
 */
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import { createSettler } from '../../src/buyer/settle.ts'
import { toHex } from '../../src/base/bytes.ts'
import { TokError } from '../../src/base/errors.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { AccountView } from '../../src/ledger/account-views.ts'
import { openLedger, type Ledger } from '../../src/ledger/ledger.ts'
import type { SignatureChecker } from '../../src/ledger/signature-check.ts'
import type { Frame, FrameStream, Network } from '../../src/network/network.ts'
import { createSettlementAnswerer } from '../../src/seller/settle.ts'
import type { Account } from '../../src/wire/account.ts'
import { seal, type Envelope, type Signed } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed, verifySignature, type NodeKey } from '../../src/wire/identity.ts'
import {
  ACCEPTANCE,
  ORDER,
  RECEIPT,
  VOUCHER,
  type Acceptance,
  type Order,
  type Receipt,
  type Voucher,
} from '../../src/wire/inference.ts'
import type { InferenceRecord } from '../../src/wire/journal.ts'
import { NO_USAGE, type BilledUsage } from '../../src/wire/pricing.ts'
import { createCrashingStore, seededRandom, type CrashingStore } from './crashing-store.ts'

export const NETWORK = 'test'
export const ASSET = 'USD'
/** The day the tests begin, 2026-01-05 00:00 UTC. */
export const START_MS = Date.UTC(2026, 0, 5)

/** Checks signatures in this thread, as the worker threads do. */
export const signatureChecker: SignatureChecker = {
  engine: 'native',
  width: 1,
  check: async (claims) => claims.map((each) => verifySignature(each.publicKey, each.message, each.signature)),
  close: async () => undefined,
}

/** A clock that stands still until it is advanced. */
export interface ManualClock extends Clock {
  advance(ms: number): void
}

export function createManualClock(startMs = START_MS): ManualClock {
  let elapsedMs = 0
  const timers = new Set<{ readonly atMs: number; readonly callback: () => void }>()
  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    after(delayMs, callback) {
      const timer = { atMs: elapsedMs + delayMs, callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    advance(ms) {
      elapsedMs += ms
      for (const timer of [...timers]) {
        if (timer.atMs > elapsedMs) continue
        timers.delete(timer)
        timer.callback()
      }
    },
  }
}

/** The key of a test's peer. */
export function testKey(number: number): NodeKey {
  return nodeKeyFromSeed(new Uint8Array(32).fill(number))
}

/** A node's ledger that can crash, be restored from a copy, and be opened again. */
export class LedgerSide {
  readonly key: NodeKey
  readonly clock: ManualClock
  store: CrashingStore
  ledger: Ledger
  #death = Promise.withResolvers<void>()

  private constructor(key: NodeKey, clock: ManualClock, store: CrashingStore, ledger: Ledger) {
    this.key = key
    this.clock = clock
    this.store = store
    this.ledger = ledger
  }

  static async open(key: NodeKey, clock: ManualClock, store: CrashingStore): Promise<LedgerSide> {
    return new LedgerSide(key, clock, store, await openTestLedger(key, clock, store))
  }

  /** The work's result, or undefined if this side crashed before. */
  whileAlive<T>(work: Promise<T>): Promise<T | undefined> {
    work.catch(() => undefined) // what a dead process runs into is nobody's concern
    return Promise.race([work, this.#death.promise.then(() => undefined)])
  }

  /** The process dies, and another opens what is on the disk. */
  async crash(): Promise<void> {
    await this.restore(this.store.crash())
  }

  /** What `tok-node ledger backup` would write now: a copy that knows that it is one. */
  async backUp(): Promise<CrashingStore> {
    const copy = createCrashingStore(seededRandom(1))
    await this.ledger.backUp(copy)
    return copy
  }

  /** The process dies, and another opens `store`. */
  async restore(store: CrashingStore): Promise<void> {
    this.#death.resolve()
    this.ledger = await openTestLedger(this.key, this.clock, store)
    this.store = store
    this.#death = Promise.withResolvers() // what is asked in between is asked of the dead process
  }
}

function openTestLedger(key: NodeKey, clock: Clock, store: CrashingStore): Promise<Ledger> {
  return openLedger({ store, key, clock }, { network: NETWORK, asset: ASSET })
}

/** A frame that one side wrote: from then on the other side may have it. */
export interface ReleasedFrame extends Frame {
  readonly from: 'buyer' | 'seller'
}

export class LedgerPair {
  readonly buyer: LedgerSide
  readonly seller: LedgerSide
  readonly account: Account
  readonly clock: ManualClock
  /** Every frame that was written in an exchange. */
  readonly frames: ReleasedFrame[] = []
  creditLimit = 1_000n
  #stream: { cut(): void } | undefined
  #orders = 0

  private constructor(buyer: LedgerSide, seller: LedgerSide, clock: ManualClock) {
    this.buyer = buyer
    this.seller = seller
    this.clock = clock
    this.account = { network: NETWORK, asset: ASSET, buyer: buyer.key.publicKey, seller: seller.key.publicKey }
  }

  static async open({ seed = 1, turnsMax = 0 } = {}): Promise<LedgerPair> {
    const clock = createManualClock()
    const random = seededRandom(seed)
    const buyer = await LedgerSide.open(testKey(1), clock, createCrashingStore(random, turnsMax))
    const seller = await LedgerSide.open(testKey(2), clock, createCrashingStore(random, turnsMax))
    return new LedgerPair(buyer, seller, clock)
  }

  /** A pair of another buyer and the seller of this one, that has exchanged HELLO. */
  async withBuyer(key: NodeKey): Promise<LedgerPair> {
    const buyer = await LedgerSide.open(key, this.clock, createCrashingStore(seededRandom(1)))
    const pair = new LedgerPair(buyer, this.seller, this.clock)
    await pair.exchange()
    return pair
  }

  /** A pair that has exchanged HELLO. */
  static async reconciled(options: { seed?: number; turnsMax?: number } = {}): Promise<LedgerPair> {
    const pair = await LedgerPair.open(options)
    await pair.exchange()
    return pair
  }

  /** The account of the same two the other way round, over the same ledgers. */
  opposite(): LedgerPair {
    return new LedgerPair(this.seller, this.buyer, this.clock)
  }

  /** One side dies in the middle of whatever it does, and starts again; the stream between the two is gone. */
  async crash(side: 'buyer' | 'seller'): Promise<void> {
    this.#stream?.cut()
    await this[side].crash()
    this.disconnect()
  }

  /** Both forget that they compared the account. */
  disconnect(): void {
    this.buyer.ledger.setReconciled(this.account, false)
    this.seller.ledger.setReconciled(this.account, false)
  }

  /**
   * One account exchange, whose stream breaks after `cutAfter` frames. Resolves when both sides are through with it.
   * @throws TokError what the buyer's side throws
   */
  async exchange({ cutAfter = Infinity } = {}): Promise<void> {
    const logger = pino({ level: 'silent' })
    const { buyer, seller, clock } = this
    const streams = createStreamPair(seller.key.peer, buyer.key.peer, cutAfter, (frame) => this.frames.push(frame))
    this.#stream = streams
    const answer = createSettlementAnswerer({
      ledger: seller.ledger,
      clock,
      logger,
      creditLimitOf: () => this.creditLimit,
      settleOwn: () => undefined, // the test runs the opposite exchange itself
    })
    const settler = createSettler({ ledger: buyer.ledger, network: networkWith(streams.buyerEnd), clock, logger })
    const answered = seller.whileAlive(answer(streams.sellerEnd)).finally(streams.cut)
    try {
      await buyer.whileAlive(settler.reconciled(seller.key.peer, new AbortController().signal))
    } finally {
      settler.stop()
      streams.cut()
      await answered
      this.#stream = undefined
    }
  }

  /** An order of this buyer for at most `max` tokens and micros. */
  order(max: number, over: Partial<Order> = {}): Signed<Order> {
    this.#orders += 1
    const nonce = new Uint8Array(16)
    new DataView(nonce.buffer).setUint32(0, this.#orders)
    const order: Order = {
      type: 'tok/order/1',
      ...this.account,
      nonce,
      issuedAtMs: this.clock.nowMs(),
      expiresAtMs: this.clock.nowMs() + 60_000,
      advert: new Uint8Array(32),
      model: 'loopback/echo',
      endpoint: 'chat',
      dialect: 'openai-chat',
      prices: PRICES,
      windowTokens: 256,
      hiddenOutputTokensMax: 0,
      inputTokensEstimate: 0,
      inputTokensMax: 0,
      outputTokensMax: max,
      amountMax: BigInt(max),
      requestCommitment: new Uint8Array(32),
      ...over,
    }
    return seal(ORDER, order, this.buyer.key)
  }

  async openPurchase(order: Signed<Order>): Promise<void> {
    await this.buyer.ledger.openPurchase(order, { spendLimit: undefined, strangerCredit: this.creditLimit })
  }

  /** The seller takes an order, and the buyer hears of it. */
  async openSale(order: Signed<Order>): Promise<void> {
    const terms = { creditLimit: this.creditLimit, strangerRoom: undefined }
    const acceptance = acceptanceOf(order, this.seller.key, this.creditLimit)
    await this.seller.ledger.openSale(order, acceptance, terms)
    this.buyer.ledger.noteAcceptance(acceptance)
  }

  /** A call that runs on both sides. */
  async openCall(max: number): Promise<Signed<Order>> {
    const order = this.order(max)
    await this.openPurchase(order)
    await this.openSale(order)
    return order
  }

  /** The buyer vouches for `tokens`, and the seller records it unless it is lost on the way. */
  async vouch(order: Signed<Order>, tokens: number, { isLost = false } = {}): Promise<Signed<Voucher> | undefined> {
    const voucher = await this.buyer.ledger.signVoucher(order.id, usageOf(tokens))
    if (voucher !== undefined && !isLost) await this.seller.ledger.recordVoucher(order.id, voucher)
    return voucher
  }

  closePurchase(order: Signed<Order>, receipt?: Signed<Receipt>): Promise<void> {
    const line = lineOf(order, 'bought', receipt)
    return this.buyer.ledger.closePurchase(order.id, receipt, line, { isAnswered: true })
  }

  /** The seller seals the call, with a receipt for `receipted` tokens if that is given. */
  async closeSale(order: Signed<Order>, receipted?: number): Promise<Signed<Receipt> | undefined> {
    const receipt = receipted === undefined ? undefined : receiptOf(order, this.seller.key, receipted)
    if (receipt !== undefined) await this.seller.ledger.recordReceipt(receipt)
    await this.seller.ledger.closeSale(order.id, lineOf(order, 'sold', receipt))
    return receipt
  }

  /** A whole call: vouched for, receipted if `receipted` is given, over on both sides. Not settled. */
  async trade({ max = 100, vouched, receipted }: Trade): Promise<Signed<Order>> {
    const order = await this.openCall(max)
    if (vouched > 0) await this.vouch(order, vouched)
    const receipt = await this.closeSale(order, receipted)
    await this.closePurchase(order, receipt)
    return order
  }

  /** The account as each side sees it. */
  views(): readonly [buyer: AccountView, seller: AccountView] {
    return [
      this.buyer.ledger.accountView('buyer', this.seller.key.publicKey),
      this.seller.ledger.accountView('seller', this.buyer.key.publicKey),
    ]
  }

  /** Frames of one type, oldest first. */
  released(type: number): readonly ReleasedFrame[] {
    return this.frames.filter((frame) => frame.type === type)
  }
}

interface Trade {
  readonly max?: number
  readonly vouched: number
  readonly receipted?: number
}

const PRICES = { input: 0n, cachedInput: 0n, cacheWrite: 0n, output: 1_000_000n }

export function usageOf(outputTokens: number): BilledUsage {
  return { ...NO_USAGE, outputTokens }
}

/** A voucher as its fields say, signed by `key`. */
export function voucherOf(order: Signed<Order>, key: NodeKey, over: Partial<Voucher>): Signed<Voucher> {
  const { network, buyer, seller } = order.value
  const outputTokens = over.usage?.outputTokens ?? Number(over.amount ?? 0n)
  const voucher: Voucher = {
    type: 'tok/voucher/1',
    network,
    order: order.id,
    buyer,
    seller,
    index: 1,
    usage: usageOf(outputTokens),
    amount: BigInt(outputTokens),
    ...over,
  }
  return seal(VOUCHER, voucher, key)
}

/** A receipt for `outputTokens`. */
export function receiptOf(
  order: Signed<Order>,
  key: NodeKey,
  outputTokens: number,
  over: Partial<Receipt> = {},
): Signed<Receipt> {
  const { network, buyer, seller } = order.value
  const receipt: Receipt = {
    type: 'tok/receipt/1',
    network,
    order: order.id,
    buyer,
    seller,
    model: undefined,
    status: 'completed',
    httpStatus: 200,
    error: undefined,
    usage: usageOf(outputTokens),
    usageSource: 'counted',
    amount: BigInt(outputTokens),
    answerBytes: 0,
    answerDigest: new Uint8Array(32),
    startedAtMs: START_MS,
    firstPartMs: undefined,
    durationMs: 0,
    ...over,
  }
  return seal(RECEIPT, receipt, key)
}

export function acceptanceOf(order: Signed<Order>, key: NodeKey, creditLimit: bigint): Signed<Acceptance> {
  const { network, seller, issuedAtMs: acceptedAtMs } = order.value
  return seal(
    ACCEPTANCE,
    { type: 'tok/acceptance/1', network, order: order.id, seller, acceptedAtMs, creditLimit },
    key,
  )
}

/** The journal's line of a call. */
export function lineOf(
  order: Signed<Order>,
  direction: 'bought' | 'sold',
  receipt?: Signed<Receipt>,
): Omit<InferenceRecord, 'amount'> {
  const { endpoint, dialect, model, buyer, seller } = order.value
  return {
    requestId: 'request',
    direction,
    endpoint,
    dialect,
    stream: 'no',
    requestedModel: model,
    resolvedModel: model,
    counterparty: direction === 'bought' ? seller : buyer,
    order: order.id,
    receipt: receipt?.id,
    status: 'completed',
    tokenSource: 'counted',
    durationMs: 0,
    retries: 0,
  }
}

export function plain({ body, signature }: Envelope): Envelope {
  return { body, signature }
}

/** Everything that comes, as a list. */
export async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** A value whose bytes are read as hexadecimal, for comparing: the kind of array that holds them says nothing. */
export function hexed(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(hexed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, hexed(each)]))
}

/** Lets `count` turns of the event loop pass. */
export async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await setImmediate()
}

/** The part of the network that the buyer's settler uses. */
function networkWith(stream: FrameStream): Network {
  return { openAccountStream: async () => stream, isConnected: () => false } as Partial<Network> as Network
}

/** Two ends of a stream. After `cutAfter` frames nothing more arrives, and both ends are told. */
function createStreamPair(
  sellerPeer: string,
  buyerPeer: string,
  cutAfter: number,
  onFrame: (frame: ReleasedFrame) => void,
): { buyerEnd: FrameStream; sellerEnd: FrameStream; cut(): void } {
  let framesLeft = cutAfter
  const toSeller = createDirection()
  const toBuyer = createDirection()
  const cut = (
    reason: Error = new TokError('stream_incomplete', { peer: 'the other side', reason: 'it broke' }),
  ): void => {
    toSeller.break(reason)
    toBuyer.break(reason)
  }
  const end = (peer: string, from: 'buyer' | 'seller', out: Direction, into: Direction): FrameStream => ({
    peer,
    async write(type, payload) {
      if (out.reason !== undefined) throw out.reason
      onFrame({ from, type, payload })
      framesLeft -= 1
      if (framesLeft < 0) cut()
      else out.push({ type, payload: new Uint8Array(payload) })
    },
    read: (signal) => into.read(signal),
    close: async () => out.push(undefined),
    abort: cut,
  })
  return {
    buyerEnd: end(sellerPeer, 'buyer', toSeller, toBuyer),
    sellerEnd: end(buyerPeer, 'seller', toBuyer, toSeller),
    cut: () => cut(),
  }
}

interface Direction {
  reason: Error | undefined
  push(frame: Frame | undefined): void
  read(signal: AbortSignal): Promise<Frame | undefined>
  break(reason: Error): void
}

function createDirection(): Direction {
  const waiting: (Frame | undefined)[] = []
  let wake: () => void = () => undefined
  return {
    reason: undefined,
    push(frame) {
      waiting.push(frame)
      wake()
    },
    async read(signal) {
      while (waiting.length === 0) {
        if (this.reason !== undefined) throw this.reason
        signal.throwIfAborted()
        await new Promise<void>((resolve) => {
          wake = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      return waiting.shift()
    },
    break(reason) {
      this.reason ??= reason
      wake()
    },
  }
}
