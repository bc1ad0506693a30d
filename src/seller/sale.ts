/**
 * One call that is being sold: the provider's answer goes out within the window, vouchers come in, the receipt ends it.
 * Source: protocols/inference/v1.md.
 */
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { peerVisibleCode, TokError, toTokError } from '../base/errors.ts'
import { createDelivery, isEventStream, type Delivery } from '../dialects/delivery.ts'
import type { AnswerHead, AnswerSource, Exchange, ModelRequest } from '../dialects/exchange.ts'
import { answerHeadersForBuyer } from '../dialects/headers.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { billedUsage } from '../market/check-receipt.ts'
import type { CallChannel } from '../network/network.ts'
import { decodeEnvelope, encodeEnvelope, seal, type Signed } from '../wire/envelope.ts'
import {
  encodePart,
  fitHeaders,
  headShape,
  progressShape,
  RECEIPT,
  type Order,
  type Receipt,
} from '../wire/inference.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { priceUsage } from '../wire/pricing.ts'
import { DOMAINS, FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import { encodeBody, isWireText } from '../wire/shape.ts'

/** What the journal keeps of a sale beside its order. */
export type SaleLine = Pick<
  InferenceRecord,
  | 'receipt'
  | 'servedModel'
  | 'status'
  | 'httpStatus'
  | 'error'
  | 'tokenSource'
  | 'firstByteMs'
  | 'durationMs'
  | 'retries'
> & {
  readonly inputTokens?: number | undefined
  readonly cachedInputTokens?: number | undefined
  readonly cacheWriteTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** Bytes of a piece that the smallest room of a window still lets out. */
const PIECE_BYTES_MIN = 256
const TEXT_BYTES_PER_TOKEN = 4
const PART_CONTENT_BYTES_MAX = LIMITS.framePayloadBytes - 4
/** Bytes of the provider's answer that wait to be delivered before it is paused, and when it goes on. */
const WAITING_BYTES_HIGH = 262_144
const WAITING_BYTES_LOW = 65_536

export class Sale {
  readonly #ledger: Ledger
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #channel: CallChannel
  readonly #order: Signed<Order>
  readonly #stopsAtMaximum: boolean
  readonly #startedAtMs: number
  readonly #startedAtMonotonicMs: number
  readonly #digest = createHash('sha256')
  readonly #line = Promise.withResolvers<SaleLine>()

  #state: 'accepting' | 'delivering' | 'receipting' | 'over' = 'accepting'
  #exchange: Exchange | undefined
  #head: AnswerHead | undefined
  #delivery: Delivery | undefined
  #answerBytes = 0
  #firstPartMs: number | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #isProviderPaused = false
  /** False until the buyer grants credit for more parts. */
  #isWritable = true
  /** The provider has said all it will; undefined error: properly. */
  #ending: { readonly error: TokError | undefined } | undefined
  #isChannelOpen = true

  #vouchedTokens = 0
  #vouchedMicros = 0n
  /** The newest voucher that came and is not recorded yet: older ones say nothing more. */
  #voucherInbox: Uint8Array | undefined
  #isRecording = false
  #receipt: Signed<Receipt> | undefined

  #cancelVoucherWait: (() => void) | undefined
  #cancelRoomWait: () => void = () => undefined
  #cancelProgress: () => void = () => undefined
  #cancelReceiptWait: (() => void) | undefined

  constructor(
    dependencies: { readonly ledger: Ledger; readonly clock: Clock; readonly logger: Logger },
    channel: CallChannel,
    order: Signed<Order>,
    options: { readonly stopsAtMaximum: boolean },
  ) {
    this.#ledger = dependencies.ledger
    this.#clock = dependencies.clock
    this.#logger = dependencies.logger
    this.#channel = channel
    this.#order = order
    this.#stopsAtMaximum = options.stopsAtMaximum
    this.#startedAtMs = this.#clock.nowMs()
    this.#startedAtMonotonicMs = this.#clock.monotonicMs()
  }

  /**
   * Asks the provider and delivers its answer. Resolves when nothing more will be vouched for, with the line for the journal.
   * @throws TokError `storage_failed`
   */
  run(source: AnswerSource, request: ModelRequest): Promise<SaleLine> {
    if (this.#state === 'accepting') {
      this.#state = 'delivering'
      this.#showProgress()
      if (this.#ending === undefined) this.#ask(source, request)
      else this.#deliver()
    }
    return this.#line.promise
  }

  #ask(source: AnswerSource, request: ModelRequest): void {
    this.#exchange = source.send(request, {
      onHead: (head) => this.#onHead(head),
      onData: (bytes) => this.#onData(bytes),
      onEnd: () => this.#onEnding(undefined),
      onFailure: (error) => this.#onEnding(error),
    })
  }

  /** Ends the call on the wire, once its record is on disk. */
  end(): void {
    if (this.#isChannelOpen) this.#channel.send(FRAMES.end, new Uint8Array())
    this.#channel.close()
  }

  /** Stops the inference; what was delivered is receipted. */
  stop(error: TokError): void {
    if (this.#state === 'receipting' || this.#state === 'over') return
    this.#ending = { error }
    this.#waiting = []
    this.#waitingBytes = 0
    this.#exchange?.abort(error)
    this.#deliver()
  }

  // From the buyer.

  onFrame(type: number, payload: Uint8Array): void {
    if (type === FRAMES.voucher) {
      this.#voucherInbox = payload.slice()
      void this.#recordVouchers()
    } else if (type === FRAMES.abort) {
      this.stop(new TokError('call_aborted'))
    } else {
      this.stop(new TokError('frame_malformed', { reason: `frame 0x${type.toString(16)} is out of turn` }))
    }
  }

  onWritable(): void {
    this.#isWritable = true
    this.#cancelRoomWait()
    this.#deliver()
  }

  /** The buyer is gone: nothing more can be delivered or vouched for. */
  onClosed(): void {
    this.#isChannelOpen = false
    this.stop(new TokError('call_aborted'))
    if (this.#state === 'receipting') this.#conclude()
  }

  async #recordVouchers(): Promise<void> {
    if (this.#isRecording) return
    this.#isRecording = true
    try {
      while (this.#voucherInbox !== undefined) {
        const payload = this.#voucherInbox
        this.#voucherInbox = undefined
        const voucher = await this.#ledger.recordVoucher(this.#order.id, decodeEnvelope(payload, 'voucher'))
        if (voucher === undefined) continue
        // Only now, on disk, does it count for the window (R2).
        this.#vouchedTokens = voucher.value.usage.outputTokens
        this.#vouchedMicros = voucher.value.amount
        this.#cancelVoucherWait?.()
        this.#cancelVoucherWait = undefined
        this.#deliver()
      }
    } catch (thrown) {
      this.stop(toTokError(thrown))
    } finally {
      this.#isRecording = false
    }
    if (this.#state === 'receipting' && this.#isPaidUp()) this.#conclude()
  }

  // From the provider.

  #onHead(head: AnswerHead): void {
    const { headers, leftOut } = fitHeaders(answerHeadersForBuyer(head.headers), 'head')
    if (leftOut.length > 0) {
      this.#logger.debug({ peer: this.#channel.peer, leftOut }, 'headers that no head holds are left out')
    }
    this.#head = { status: head.status, headers }
    this.#delivery = createDelivery(this.#order.value.endpoint, this.#head, this.#order.value.outputTokensMax)
    this.#send(FRAMES.head, encodeBody(headShape, this.#head))
  }

  #onData(bytes: Uint8Array): boolean {
    if (this.#ending !== undefined) return true
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    this.#deliver()
    this.#isProviderPaused = this.#waitingBytes > WAITING_BYTES_HIGH
    return !this.#isProviderPaused
  }

  #onEnding(error: TokError | undefined): void {
    this.#ending ??= { error }
    this.#deliver()
  }

  // To the buyer.

  /** Sends what the window and the credit allow, and ends the call when there is nothing left. */
  #deliver(): void {
    while (
      this.#state === 'delivering' &&
      this.#waiting.length > 0 &&
      this.#isWritable &&
      this.#delivery !== undefined
    ) {
      if (this.#isAtMaximum(this.#delivery)) {
        this.stop(new TokError('order_maximum_reached'))
        return
      }
      const room = this.#vouchedTokens + this.#order.value.windowTokens - this.#delivery.outputTokens
      if (room <= 0) {
        this.#awaitVoucher()
        return
      }
      this.#deliverPiece(this.#delivery, room)
    }
    if (this.#state === 'delivering' && this.#ending !== undefined && this.#waiting.length === 0) void this.#finish()
  }

  /** One part: no more bytes than the room's tokens can have, so that the window is passed by one event at the most. */
  #deliverPiece(delivery: Delivery, room: number): void {
    const first = this.#waiting[0] ?? new Uint8Array()
    const size = Math.min(Math.max(room * TEXT_BYTES_PER_TOKEN, PIECE_BYTES_MIN), PART_CONTENT_BYTES_MAX)
    const piece = first.subarray(0, size)
    if (piece.length === first.length) this.#waiting.shift()
    else this.#waiting[0] = first.subarray(size)
    this.#waitingBytes -= piece.length
    this.#answerBytes += piece.length
    this.#digest.update(piece)
    delivery.push(piece)
    this.#firstPartMs ??= this.#elapsedMs()
    this.#isWritable = this.#send(FRAMES.part, encodePart(delivery.outputTokens, piece))
    if (!this.#isWritable) this.#awaitRoom()
    if (this.#isProviderPaused && this.#waitingBytes < WAITING_BYTES_LOW) {
      this.#isProviderPaused = false
      this.#exchange?.resume()
    }
  }

  /** True if an event stream has come to the order's maximum and the provider itself knows no limit. */
  #isAtMaximum(delivery: Delivery): boolean {
    const { outputTokensMax } = this.#order.value
    const isStream = this.#head !== undefined && isEventStream(this.#head)
    return this.#stopsAtMaximum && isStream && outputTokensMax > 0 && delivery.outputTokens >= outputTokensMax
  }

  #awaitVoucher(): void {
    if (this.#cancelVoucherWait !== undefined) return
    this.#send(FRAMES.progress, encodeBody(progressShape, { stage: 'window' }))
    this.#cancelVoucherWait = this.#clock.after(TIMEOUTS.voucherMs, () =>
      this.stop(new TokError('voucher_timeout', { timeoutMs: TIMEOUTS.voucherMs })),
    )
  }

  /** A buyer that takes nothing does not keep its slot. */
  #awaitRoom(): void {
    this.#cancelRoomWait = this.#clock.after(TIMEOUTS.callIdleMs, () =>
      this.stop(new TokError('limit_exceeded', { limit: TIMEOUTS.callIdleMs, what: 'ms without room for a part' })),
    )
  }

  #send(type: number, payload: Uint8Array): boolean {
    this.#showProgress()
    return this.#isChannelOpen && this.#channel.send(type, payload)
  }

  /** While nothing else is sent, the buyer hears that the call lives. */
  #showProgress(): void {
    this.#cancelProgress()
    if (this.#state !== 'delivering') return
    this.#cancelProgress = this.#clock.after(TIMEOUTS.progressMs, () => {
      const stage = this.#head === undefined ? 'waiting' : 'generating'
      this.#send(FRAMES.progress, encodeBody(progressShape, { stage }))
    })
  }

  // The end.

  async #finish(): Promise<void> {
    this.#state = 'receipting'
    this.#cancelProgress()
    this.#cancelVoucherWait?.()
    this.#cancelRoomWait()
    this.#delivery?.end()
    try {
      const receipt = seal(RECEIPT, this.#receiptBody(), this.#ledger.key)
      await this.#ledger.recordReceipt(receipt)
      this.#receipt = receipt
      this.#send(FRAMES.receipt, encodeEnvelope(receipt))
    } catch (thrown) {
      this.#line.reject(toTokError(thrown))
      return
    }
    if (!this.#isChannelOpen || this.#isPaidUp()) this.#conclude()
    else this.#cancelReceiptWait = this.#clock.after(TIMEOUTS.receiptMs, () => this.#conclude())
  }

  #isPaidUp(): boolean {
    return this.#receipt !== undefined && this.#vouchedMicros >= this.#receipt.value.amount
  }

  #conclude(): void {
    if (this.#state === 'over' || this.#receipt === undefined) return
    this.#state = 'over'
    this.#cancelReceiptWait?.()
    const { value } = this.#receipt
    if (!this.#isPaidUp()) {
      this.#logger.warn(
        { peer: this.#channel.peer, billed: value.amount.toString(), vouched: this.#vouchedMicros.toString() },
        'the buyer did not vouch for the whole receipt',
      )
    }
    this.#line.resolve({
      receipt: this.#receipt.id,
      servedModel: value.model,
      status: value.status,
      httpStatus: value.httpStatus,
      error: value.error,
      ...value.usage,
      tokenSource: value.usageSource,
      firstByteMs: value.firstPartMs,
      durationMs: value.durationMs,
      retries: 0,
    })
  }

  #receiptBody(): Receipt {
    const order = this.#order.value
    const delivery = this.#delivery
    const { usage, source } = billedUsage(order, {
      answerBytes: this.#answerBytes,
      answerDigest: new Uint8Array(),
      countedOutputTokens: delivery?.outputTokens ?? 0,
      textBytes: delivery?.meter.textBytes ?? 0,
      httpStatus: this.#answerBytes === 0 ? undefined : this.#head?.status,
      reported: delivery?.meter.usage ?? {},
    })
    const model = delivery?.meter.model
    return {
      type: DOMAINS.receipt,
      network: order.network,
      order: this.#order.id,
      buyer: order.buyer,
      seller: order.seller,
      model: model !== undefined && isWireText(model, LIMITS.modelNameBytes) ? model : undefined,
      ...this.#result(),
      httpStatus: this.#head?.status,
      usage,
      usageSource: source,
      amount: priceUsage(usage, order.prices),
      answerBytes: this.#answerBytes,
      answerDigest: new Uint8Array(this.#digest.digest()),
      startedAtMs: this.#startedAtMs,
      firstPartMs: this.#firstPartMs === undefined ? undefined : Math.round(this.#firstPartMs),
      durationMs: Math.round(this.#elapsedMs()),
    }
  }

  #result(): Pick<Receipt, 'status' | 'error'> {
    const error = this.#ending?.error
    if (error !== undefined) return { status: statusOf(error), error: peerVisibleCode(error) }
    const isCut = this.#head !== undefined && isEventStream(this.#head) && this.#delivery?.meter.finish === undefined
    return isCut ? { status: 'failed', error: 'provider_broken' } : { status: 'completed' }
  }

  #elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#startedAtMonotonicMs
  }
}

function statusOf(error: TokError): Receipt['status'] {
  if (error.code === 'order_maximum_reached') return 'truncated'
  return error.owner === 'buyer' || error.owner === 'network' ? 'aborted' : 'failed'
}
