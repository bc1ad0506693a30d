/**
 * Counterparties that may lie: the real network, ledger and account exchange, with a hand in what goes over the wire.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { systemRandomBytes, utf8 } from '../../src/base/bytes.ts'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { createSettler, type Settler } from '../../src/buyer/settle.ts'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import { estimateInputTokens } from '../../src/dialects/estimate-input-tokens.ts'
import { openLedger, type Ledger } from '../../src/ledger/ledger.ts'
import { openLevelStore } from '../../src/ledger/store.ts'
import type { CallChannel, Frame, Network } from '../../src/network/network.ts'
import { modelsForSale } from '../../src/node/offers-for-sale.ts'
import { createProviders } from '../../src/providers/create-providers.ts'
import { createAdvertPublisher } from '../../src/seller/publish-adverts.ts'
import { createSeller } from '../../src/seller/serve-inference.ts'
import { createSettlementAnswerer } from '../../src/seller/settle.ts'
import { openAdvert, type Advert } from '../../src/wire/advert.ts'
import { encodeEnvelope, seal, type Envelope, type Signed } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed, type NodeKey } from '../../src/wire/identity.ts'
import {
  commitToRequest,
  ORDER,
  orderFrameShape,
  refusalShape,
  VOUCHER,
  type Order,
  type OrderFrame,
  type Refusal,
  type Voucher,
} from '../../src/wire/inference.ts'
import { maximumPrice, priceUsage } from '../../src/wire/pricing.ts'
import { DEFAULT_ASSET, DEFAULT_NETWORK, DOMAINS, FRAMES } from '../../src/wire/registry.ts'
import { decodeBody, encodeBody } from '../../src/wire/shape.ts'
import { chatQuestion, eventually, MODEL, type NodeAddress } from './market.ts'
import { addressOf, createTestNetwork, recordCall, within, type RecordedCall } from './network.ts'
import type { ScriptedProvider } from './scripted-provider.ts'

const logger = pino({ level: process.env['TEST_LOG'] ?? 'silent' })

interface Trader {
  readonly key: NodeKey
  readonly ledger: Ledger
  readonly network: Network
  stop(): Promise<void>
}

/** A buyer that writes its own orders. */
export interface RawBuyer extends Trader {
  readonly settler: Settler
  /** The seller's advert in force. */
  readonly advert: Signed<Advert>
  /** What it asks for: a streamed chat. */
  readonly body: Uint8Array
  /** An order for `body` that the seller takes, with `changes`, signed by this buyer or by `signer`. */
  order(changes?: Partial<Order>, signer?: NodeKey): Signed<Order>
  /** Sends an order with its body, and what else its frame says. Parts are consumed unless said otherwise. */
  send(order: Envelope, changes?: Partial<OrderFrame>, options?: { readonly consume?: boolean }): Promise<RecordedCall>
  /** A voucher of `order` for so many output tokens and the order's input estimate, with `changes`. */
  voucher(order: Signed<Order>, outputTokens: number, changes?: Partial<Voucher>): Uint8Array
}

const SALT = new Uint8Array(16)

/** Starts a buyer connected to `seller`; its account is reconciled unless said otherwise. */
export async function startRawBuyer(
  seller: { readonly peerId: string; readonly address: string },
  { reconcile = true }: { readonly reconcile?: boolean } = {},
): Promise<RawBuyer> {
  const base = await openBooks()
  const { key, ledger } = base
  const network = await createTestNetwork({ seed: base.seed, network: DEFAULT_NETWORK, role: 'client' })
  const settler = createSettler({ ledger, network, clock: systemClock, logger })
  await network.connect(seller.address, within(5_000))
  if (reconcile) await settler.reconciled(seller.peerId, within(5_000))
  const data = await eventually(() => network.queryAdvert(seller.peerId, within(5_000)))
  const advert = openAdvert(data, DEFAULT_NETWORK, Date.now())
  const body = utf8(JSON.stringify(chatQuestion({ stream: true }).body))

  return {
    key,
    ledger,
    network,
    settler,
    advert,
    body,
    order(changes = {}, signer = key) {
      const offer = advert.value.offers.find(({ model }) => model === MODEL)
      if (offer === undefined) throw new Error('the seller offers no such model')
      const nowMs = Date.now()
      const inputTokensEstimate = estimateInputTokens(body)
      const counts = {
        inputTokensMax: 2 * inputTokensEstimate,
        outputTokensMax: 4_096,
        prices: offer.prices,
        ...changes,
      }
      return seal(
        ORDER,
        {
          type: DOMAINS.order,
          network: DEFAULT_NETWORK,
          asset: DEFAULT_ASSET,
          buyer: key.publicKey,
          seller: advert.value.seller,
          nonce: systemRandomBytes(16),
          issuedAtMs: nowMs,
          expiresAtMs: nowMs + 60_000,
          advert: advert.id,
          model: offer.model,
          endpoint: 'chat',
          dialect: 'openai-chat',
          prices: offer.prices,
          windowTokens: offer.windowTokens,
          hiddenOutputTokensMax: offer.hiddenOutputTokensMax,
          inputTokensEstimate,
          inputTokensMax: counts.inputTokensMax,
          outputTokensMax: counts.outputTokensMax,
          amountMax: maximumPrice(counts.inputTokensMax, counts.outputTokensMax, counts.prices),
          requestCommitment: commitToRequest(SALT, '', body),
          ...changes,
        },
        signer,
      )
    },
    async send(order, changes = {}, options = {}) {
      const call = recordCall(await network.openCall(seller.peerId, within(5_000)), options)
      const frame: OrderFrame = {
        order: { body: order.body, signature: order.signature },
        salt: SALT,
        query: undefined,
        headers: { 'content-type': 'application/json' },
        stream: 'yes',
        bodyBytes: body.length,
        ...changes,
      }
      call.channel.send(FRAMES.order, encodeBody(orderFrameShape, frame))
      call.channel.send(FRAMES.body, body)
      return call
    },
    voucher(order, outputTokens, changes = {}) {
      const { buyer, seller: to, prices, inputTokensEstimate: inputTokens } = order.value
      const usage = { inputTokens, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens }
      const value: Voucher = {
        type: DOMAINS.voucher,
        network: DEFAULT_NETWORK,
        order: order.id,
        buyer,
        seller: to,
        index: outputTokens,
        usage,
        amount: priceUsage(usage, prices),
        ...changes,
      }
      return encodeEnvelope(seal(VOUCHER, value, key))
    },
    async stop() {
      settler.stop()
      await network.stop()
      await base.close()
    },
  }
}

/** The frames of a type that a call got, in order. */
export function framesOf(call: RecordedCall, type: number): readonly Uint8Array[] {
  return call.frames.filter((frame) => frame.type === type).map(({ payload }) => payload)
}

/** How the seller refused the call; waits for it. */
export async function refusalOf(call: RecordedCall): Promise<Refusal> {
  const [payload] = await eventually(() => {
    const refusals = framesOf(call, FRAMES.refusal)
    return refusals.length > 0 && refusals
  })
  return decodeBody(refusalShape, payload!, 'refusal')
}

/**
 * What a seller does with a frame it is about to send: `send` it, another one, several, later, or none. The end of its call
 * passes as a frame of type CLOSE.
 */
export type Tampering = (frame: Frame, send: (frame: Frame) => void, key: NodeKey) => void

/** A seller whose frames are tampered with on their way out. */
export interface TamperingSeller extends Trader, Pick<NodeAddress, 'peerId'> {
  readonly address: string
  /** Every frame that buyers sent, as it came. */
  readonly received: readonly Frame[]
  /** From here on every grant of credit waits so long. */
  slowDown(grantDelayMs: number): void
}

/** Starts a seller of MODEL at 1 USD in and 2 USD out per Mtok: the real one, whose parts, receipts and ends pass `tamper`. */
export async function startTamperingSeller(
  provider: ScriptedProvider,
  tamper: Tampering,
  clock: Clock = systemClock,
): Promise<TamperingSeller> {
  const base = await openBooks()
  const { key, ledger } = base
  const received: Frame[] = []
  let grantDelayMs = 0
  const providers = createProviders(
    { clock },
    { servers: [{ name: 'engine', url: provider.url, dialects: DIALECTS }], discovery: { isOn: false } },
  )
  await providers.refresh(within(5_000))
  const rules = [{ model: '*', inputMicrosPerMtok: 1_000_000n, outputMicrosPerMtok: 2_000_000n }]
  const forSale = () => modelsForSale(providers.list(), rules, { windowTokens: 256, hiddenOutputTokensMax: 0 })
  const credit = { strangerCredit: 1_000_000n, strangerBudget: 10_000_000n, creditLimit: 0n }
  const supplyOf = (model: string) => forSale().find(({ offer }) => offer.model === model)
  const seller = createSeller({ ledger, clock, logger, supplyOf }, { slots: 10, credit })
  const answerSettlement = createSettlementAnswerer({
    ledger,
    clock,
    logger,
    creditLimitOf: (buyer) => seller.creditLimitOf(buyer),
  })
  const network = await createTestNetwork({
    seed: base.seed,
    network: DEFAULT_NETWORK,
    onCall: (channel) =>
      seller.onCall({
        ...tampered(channel, (frame, send) => tamper(frame, send, key), received),
        consumed(bytes) {
          if (grantDelayMs === 0) channel.consumed(bytes)
          else setTimeout(() => channel.consumed(bytes), grantDelayMs)
        },
      }),
    onAccountStream: answerSettlement,
    currentAdvert: () => publisher.current(),
  })
  const publisher = createAdvertPublisher(
    { ledger, network, clock, random: systemRandomBytes, logger, offersNow: () => forSale().map(({ offer }) => offer) },
    { agent: 'raw', slots: 10, strangerCredit: credit.strangerCredit },
  )
  await eventually(() => publisher.current() !== undefined)
  return {
    key,
    ledger,
    network,
    peerId: key.peer,
    address: addressOf(network),
    received,
    slowDown(delayMs) {
      grantDelayMs = delayMs
    },
    async stop() {
      publisher.stop()
      await network.stop()
      await providers.close()
      await base.close()
    },
  }
}

function tampered(
  channel: CallChannel,
  tamper: (frame: Frame, send: (frame: Frame) => void) => void,
  received: Frame[],
): CallChannel {
  const send = (type: number, payload: Uint8Array): boolean => {
    let hasRoom = true
    tamper({ type, payload }, (frame) => {
      if (frame.type === FRAMES.close) channel.close()
      else hasRoom = channel.send(frame.type, frame.payload)
    })
    return hasRoom
  }
  return {
    peer: channel.peer,
    attach: (handlers) =>
      channel.attach({
        ...handlers,
        onFrame(type, payload) {
          received.push({ type, payload: payload.slice() })
          handlers.onFrame(type, payload)
        },
      }),
    send,
    consumed: (bytes) => channel.consumed(bytes),
    close: () => void send(FRAMES.close, new Uint8Array()),
  }
}

/** A fresh key with a ledger on disk. */
async function openBooks(): Promise<{
  readonly seed: Uint8Array
  readonly key: NodeKey
  readonly ledger: Ledger
  close(): Promise<void>
}> {
  const directory = await mkdtemp(join(tmpdir(), 'tok-trader-'))
  const seed = systemRandomBytes(32)
  const key = nodeKeyFromSeed(seed)
  const store = await openLevelStore(directory, true)
  const ledger = await openLedger(
    { store, key, clock: systemClock },
    { network: DEFAULT_NETWORK, asset: DEFAULT_ASSET },
  )
  return {
    seed,
    key,
    ledger,
    async close() {
      await ledger.close()
      await rm(directory, { recursive: true })
    },
  }
}
