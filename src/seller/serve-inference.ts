/**
 * The order of a sale, in one place: take the order and its body, check, reserve, accept, ask the provider, deliver within the
 * window, write the receipt, take the final voucher. Source: journey B in docs/ARCHITECTURE.md, protocols/inference/v1.md.
 */
import type { Logger } from 'pino'
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { peerVisibleCode, TokError, toTokError } from '../base/errors.ts'
import { ENDPOINTS } from '../dialects/dialect.ts'
import { estimateInputTokens } from '../dialects/estimate-input-tokens.ts'
import type { AnswerSource, ModelRequest } from '../dialects/exchange.ts'
import { requestHeadersForSeller } from '../dialects/headers.ts'
import { replaceModel, skimRequest } from '../dialects/skim-request.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { creditLineOf, isStranger, strangerRoom, type CreditPolicy } from '../market/credit-policy.ts'
import type { CallChannel } from '../network/network.ts'
import { encodeEnvelope, open, seal, type Signed } from '../wire/envelope.ts'

import { keyOfPeer } from '../wire/identity.ts'
import {
  ACCEPTANCE,
  commitToRequest,
  ORDER,
  orderFrameShape,
  REASON_BYTES_MAX,
  refusalShape,
  type Acceptance,
  type Order,
  type OrderFrame,
} from '../wire/inference.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { maximumPrice } from '../wire/pricing.ts'
import { CLOCK_TOLERANCE_MS, DOMAINS, FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import { cutToWireText, decodeBody, encodeBody } from '../wire/shape.ts'
import { Sale } from './sale.ts'

/** Where a sold model runs. */
export interface Supply {
  readonly source: AnswerSource
  /** The model as the provider names it. */
  readonly model: string
}

export interface SellerDependencies {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly logger: Logger
  /** The provider behind an offered model; undefined if it is gone. */
  readonly supplyOf: (model: string) => Supply | undefined
}

export interface SellerOptions {
  /** Calls served at once. */
  readonly slots: number
  readonly credit: CreditPolicy
}

export interface Seller {
  /** Serves a call that a buyer opened. Never throws. */
  onCall(channel: CallChannel): void
  /** The most `buyer` (public key) may owe, in micros. */
  creditLimitOf(buyer: Uint8Array): bigint
  callsOpen(): number
  /** Takes no new orders, or takes them again. */
  setPaused(isPaused: boolean): void
  isPaused(): boolean
  /** Takes no new orders, waits for the running calls, and stops those that are left after `graceMs`. */
  drain(graceMs: number): Promise<void>
}

/** Bytes of request bodies held for orders that are not running yet, all buyers together. */
const WAITING_BODY_BYTES_MAX = 268_435_456
/** What an order must state of the estimate of its input: less would leave the seller unpaid if the call breaks off. */
const INPUT_ESTIMATE_PART = 0.9

export function createSeller(dependencies: SellerDependencies, options: SellerOptions): Seller {
  const { ledger, clock, logger, supplyOf } = dependencies
  const sales = new Set<Sale>()
  let waitingBodyBytes = 0
  let isPaused = false
  let isDraining = false
  let slotsTaken = 0
  /** Calls from the moment their body is here to their end. */
  const serving = new Set<Promise<void>>()

  const sellerAccounts = () => ledger.accountViews().filter((account) => account.side === 'seller')

  const creditLimitOf = (buyer: Uint8Array): bigint =>
    creditLineOf(ledger.accountView('seller', buyer), options.credit).limit

  /** What can be checked before the body is here. @throws TokError with the code the buyer is told */
  const admit = (frame: OrderFrame, peer: string): Signed<Order> => {
    if (isDraining) throw new TokError('node_stopping')
    if (isPaused) throw new TokError('selling_disabled')
    const order = open(ORDER, frame.order)
    checkOrder(order.value, peer)
    if (slotsTaken >= options.slots) throw new TokError('capacity_exhausted', { slots: options.slots })
    if (frame.bodyBytes > LIMITS.requestBodyBytes) {
      throw new TokError('body_too_large', { limitBytes: LIMITS.requestBodyBytes })
    }
    if (waitingBodyBytes + frame.bodyBytes > WAITING_BODY_BYTES_MAX) {
      throw new TokError('limit_exceeded', { limit: WAITING_BODY_BYTES_MAX, what: 'bytes of waiting requests' })
    }
    return order
  }

  const checkOrder = (order: Order, peer: string): void => {
    const invalid = (reason: string): TokError => new TokError('order_invalid', { reason })
    const buyer = keyOfPeer(peer)
    if (buyer === undefined || !equalBytes(order.buyer, buyer))
      throw invalid('it is not signed by the peer that sends it')
    if (!equalBytes(order.seller, ledger.key.publicKey)) throw invalid('it is for another seller')
    if (order.network !== ledger.network) throw new TokError('network_mismatch', { network: order.network })
    if (order.asset !== ledger.asset) throw invalid(`its asset is ${order.asset}`)
    const nowMs = clock.nowMs()
    if (order.expiresAtMs + CLOCK_TOLERANCE_MS < nowMs) throw new TokError('order_expired')
    if (order.issuedAtMs > nowMs + CLOCK_TOLERANCE_MS) throw invalid('it is issued in the future')
    const advert = ledger.advertInForce(order.advert)
    if (advert === undefined) throw new TokError('advert_unknown')
    const offer = advert.value.offers.find(({ model }) => model === order.model)
    if (offer === undefined) throw new TokError('model_not_offered', { model: order.model })
    const isAtOffer =
      (['input', 'cachedInput', 'cacheWrite', 'output'] as const).every(
        (name) => order.prices[name] === offer.prices[name],
      ) &&
      order.windowTokens === offer.windowTokens &&
      order.hiddenOutputTokensMax === offer.hiddenOutputTokensMax
    if (!isAtOffer) throw invalid('its terms are not those of the advert')
    if (!offer.dialects.includes(order.dialect)) throw invalid(`the offer does not serve ${order.dialect}`)
    if (ENDPOINTS[order.endpoint].dialect !== order.dialect)
      throw invalid(`${order.endpoint} is not in ${order.dialect}`)
    if (order.inputTokensEstimate > order.inputTokensMax) throw invalid('its estimate is above its maximum')
    if (order.amountMax !== maximumPrice(order.inputTokensMax, order.outputTokensMax, order.prices)) {
      throw invalid('its maximum is not what its counts cost')
    }
  }

  /** Checks what the body shows, reserves, and records the acceptance. */
  const accept = async (order: Signed<Order>, frame: OrderFrame, body: Uint8Array): Promise<Signed<Acceptance>> => {
    if (!equalBytes(commitToRequest(frame.salt, frame.query ?? '', body), order.value.requestCommitment)) {
      throw new TokError('order_invalid', { reason: 'it is bound to another request' })
    }
    if (order.value.inputTokensEstimate < INPUT_ESTIMATE_PART * estimateInputTokens(body)) {
      throw new TokError('order_invalid', { reason: 'it estimates less input than the request has' })
    }
    const { buyer } = order.value
    const account = ledger.accountView('seller', buyer)
    const creditLimit = creditLimitOf(buyer)
    const acceptance = seal(
      ACCEPTANCE,
      {
        type: DOMAINS.acceptance,
        network: ledger.network,
        order: order.id,
        seller: ledger.key.publicKey,
        acceptedAtMs: clock.nowMs(),
        creditLimit,
      },
      ledger.key,
    )
    await ledger.openSale(order, acceptance, {
      creditLimit,
      strangerRoom: isStranger(account, options.credit) ? strangerRoom(sellerAccounts(), options.credit) : undefined,
    })
    return acceptance
  }

  const refuse = (channel: CallChannel, thrown: unknown): void => {
    const error = toTokError(thrown)
    const code = peerVisibleCode(error)
    const reason = code === error.code ? cutToWireText(error.message, REASON_BYTES_MAX) : 'the seller failed'
    logger.info({ peer: channel.peer, code: error.code, reason: error.message }, 'order refused')
    channel.send(FRAMES.refusal, encodeBody(refusalShape, { code, reason }))
    channel.close()
  }

  /** Runs one sale to its end. @throws TokError if it is refused: nothing was accepted then */
  const serve = async (channel: CallChannel, sale: Sale, order: Signed<Order>, frame: OrderFrame, body: Uint8Array) => {
    const supply = supplyOf(order.value.model)
    if (supply === undefined) throw new TokError('model_not_offered', { model: order.value.model })
    const request = requestFor(order, frame, body, supply.model)
    const acceptance = await accept(order, frame, body)
    channel.send(FRAMES.acceptance, encodeEnvelope(acceptance))
    sales.add(sale)
    try {
      const line = await sale.run(supply.source, request)
      await ledger.closeSale(order.id, { ...lineOf(order, frame, supply), ...line })
      sale.end()
    } catch (thrown) {
      const error = toTokError(thrown)
      logger.error({ peer: channel.peer, code: error.code, reason: error.message }, 'a sale could not be recorded')
      channel.close()
    } finally {
      sales.delete(sale)
    }
  }

  const onCall = (channel: CallChannel): void => {
    let frame: OrderFrame | undefined
    let order: Signed<Order> | undefined
    let pieces: Uint8Array[] = []
    let bytesHere = 0
    let sale: Sale | undefined
    let isOver = false

    const giveBack = (): void => {
      if (isOver) return
      isOver = true
      cancelWait()
      pieces = []
      if (order === undefined) return
      slotsTaken -= 1
      waitingBodyBytes -= frame?.bodyBytes ?? 0
    }
    const stop = (thrown: unknown): void => {
      if (isOver) return
      giveBack()
      refuse(channel, thrown)
    }
    const cancelWait = clock.after(TIMEOUTS.callIdleMs, () => {
      stop(new TokError('limit_exceeded', { limit: TIMEOUTS.callIdleMs, what: 'ms for an order and its body' }))
    })
    const begin = (opened: Signed<Order>, of: OrderFrame): void => {
      cancelWait()
      const body = Buffer.concat(pieces)
      pieces = []
      const { outputTokensMax } = opened.value
      const stopsAtMaximum = (skimRequest(body).maxOutputTokens ?? Infinity) > outputTokensMax
      sale = new Sale({ ledger, clock, logger }, channel, opened, { stopsAtMaximum })
      if (isDraining) throw new TokError('node_stopping')
      const served = serve(channel, sale, opened, of, body).then(giveBack, stop)
      serving.add(served)
      void served.finally(() => serving.delete(served))
    }
    const onOrderFrame = (type: number, payload: Uint8Array): void => {
      if (type === FRAMES.order && frame === undefined) {
        const read = decodeBody(orderFrameShape, payload, 'order')
        order = admit(read, channel.peer)
        frame = read
        slotsTaken += 1
        waitingBodyBytes += frame.bodyBytes
      } else if (type === FRAMES.body && frame !== undefined) {
        bytesHere += payload.length
        if (bytesHere > frame.bodyBytes)
          throw new TokError('frame_malformed', { reason: 'more body than was announced' })
        pieces.push(payload.slice())
        channel.consumed(payload.length)
      } else if (type === FRAMES.abort) {
        giveBack()
        channel.close()
        return
      } else {
        throw new TokError('frame_malformed', { reason: `frame 0x${type.toString(16)} is out of turn` })
      }
      if (order !== undefined && frame !== undefined && bytesHere === frame.bodyBytes) begin(order, frame)
    }
    channel.attach({
      onFrame(type, payload) {
        if (isOver) return
        try {
          if (sale === undefined) onOrderFrame(type, payload)
          else sale.onFrame(type, payload)
        } catch (thrown) {
          stop(thrown)
        }
      },
      onWritable: () => sale?.onWritable(),
      onClosed() {
        if (sale === undefined) giveBack()
        else sale.onClosed()
      },
    })
  }

  return {
    onCall,
    creditLimitOf,
    callsOpen: () => sales.size,
    setPaused(paused) {
      isPaused = paused
    },
    isPaused: () => isPaused,
    async drain(graceMs) {
      isDraining = true
      await within(clock, graceMs, Promise.all(serving))
      for (const sale of sales) sale.stop(new TokError('node_stopping'))
      await within(clock, TIMEOUTS.receiptMs, Promise.all(serving))
    },
  }
}

/** The provider's request: the buyer's bytes, with the model's name as the provider writes it. */
function requestFor(order: Signed<Order>, frame: OrderFrame, body: Uint8Array, model: string): ModelRequest {
  const { endpoint, dialect } = order.value
  const skimmed = skimRequest(body)
  return {
    requestId: toHex(order.id),
    endpoint,
    dialect,
    model,
    requestedModel: order.value.model,
    stream: skimmed.stream,
    query: frame.query ?? '',
    headers: requestHeadersForSeller(frame.headers),
    body: skimmed.model === model ? body : replaceModel(body, skimmed.modelSpan, model),
  }
}

function lineOf(
  order: Signed<Order>,
  frame: OrderFrame,
  supply: Supply,
): Pick<
  InferenceRecord,
  | 'requestId'
  | 'direction'
  | 'endpoint'
  | 'dialect'
  | 'stream'
  | 'requestedModel'
  | 'resolvedModel'
  | 'target'
  | 'counterparty'
  | 'order'
> {
  const { endpoint, dialect, model, buyer } = order.value
  return {
    requestId: toHex(order.id),
    direction: 'sold',
    endpoint,
    dialect,
    stream: frame.stream,
    requestedModel: model,
    resolvedModel: supply.model,
    target: supply.source.name,
    counterparty: buyer,
    order: order.id,
  }
}

/** Resolves with the work, or when the time is up. */
async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = clock.after(limitMs, resolve)
    void work.finally(() => {
      cancel()
      resolve()
    })
  })
}
