/**
 * One order with one seller: the order goes out, parts come back, vouchers follow, the receipt ends it.
 * Source: protocols/inference/v1.md.
 *
 *   order, body -> acceptance -> head -> part* -> receipt -> final voucher -> end
 *                     |            |       |         |
 *                     |            |       |         +-- wrong or missing: settled at the last voucher
 *                     |            |       +-- silence, broken stream: the same; the client gets an error, never a normal end
 *                     |            +-- 429 or 5xx while another seller is left: the attempt failed, nothing was given on
 *                     +-- refusal: the attempt failed, nothing is owed
 */
import { createHash } from 'node:crypto'
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { peerVisibleCode, readErrorCode, TokError, toTokError } from '../base/errors.ts'
import { createDelivery, isEventStream, type Delivery } from '../dialects/delivery.ts'
import type { AnswerHead, AnswerSink, ModelRequest } from '../dialects/exchange.ts'
import { answerHeadersForBuyer } from '../dialects/headers.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { checkReceipt, countedUsage, type SeenAnswer } from '../market/check-receipt.ts'
import type { CallChannel } from '../network/network.ts'
import { decodeEnvelope, encodeEnvelope, open, type Signed } from '../wire/envelope.ts'
import {
  abortShape,
  ACCEPTANCE,
  decodePart,
  headShape,
  orderFrameShape,
  progressShape,
  RECEIPT,
  refusalShape,
  type Order,
  type OrderFrame,
  type Receipt,
} from '../wire/inference.ts'
import { nameOfHash } from '../wire/hash-name.ts'
import { FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import { decodeBody, encodeBody } from '../wire/shape.ts'

/** How an attempt ended. */
export interface AttemptOutcome {
  /** True if the client was told an ending: its answer, or its failure. False: another seller may be tried. */
  readonly isAnswered: boolean
  /** What went wrong; undefined if the answer is whole and its receipt right. */
  readonly error: TokError | undefined
  /** The receipt, if it came and holds. */
  readonly receipt: Signed<Receipt> | undefined
  readonly delivery: Delivery | undefined
  readonly httpStatus: number | undefined
  /** From the order to the first part, in ms. */
  readonly firstPartMs: number | undefined
}

/** What an attempt works with. */
export interface AttemptDependencies {
  readonly ledger: Ledger
  readonly clock: Clock
}

/** What is asked of the seller. */
export interface AttemptRequest {
  readonly order: Signed<Order>
  readonly model: ModelRequest
  readonly salt: Uint8Array
  /** True if no other seller is left: then a provider's 429 or 5xx is given on as the answer. */
  readonly isLastSeller: boolean
}

/** A voucher is signed once this part of the window is used: 1/2. */
const VOUCHERS_PER_WINDOW = 2
/** Time after which what is not vouched for is vouched for, in ms. */
const VOUCHER_EVERY_MS = 2_000
/** A whole answer is held back to this size until its receipt is here, so that its headers can name price and receipt. */
const HELD_BYTES_MAX = 262_144

/** A call with one seller, from the order to its end. Sends the order when it is made. */
export class Attempt {
  /** Resolves when the call is over on this side; never rejects. */
  readonly outcome: Promise<AttemptOutcome>

  readonly #ledger: Ledger
  readonly #clock: Clock
  readonly #channel: CallChannel
  readonly #request: AttemptRequest
  readonly #sink: AnswerSink
  readonly #startedAtMs: number
  readonly #digest = createHash('sha256')
  readonly #conclude: (outcome: AttemptOutcome) => void

  #stage: 'ordered' | 'accepted' | 'receipted' | 'over' = 'ordered'
  #bodyBytesSent = 0
  #head: AnswerHead | undefined
  #delivery: Delivery | undefined
  #answerBytes = 0
  #firstPartMs: number | undefined
  #receipt: Signed<Receipt> | undefined
  #error: TokError | undefined

  /** Parts of a whole answer that wait for the receipt; undefined once they flow. */
  #held: Uint8Array[] | undefined
  /** True if the answer is not given on: a failing provider while other sellers are left. */
  #isSwallowed = false
  #isHeadGivenOn = false
  /** True once the client was told an ending. */
  #isAnswered = false
  /** False while the client takes no more: then nothing is vouched for, and the seller is held back. */
  #isFlowing = true
  #bytesToConsume = 0

  #tokensVouched = 0
  #isVouching = false
  #cancelVoucher: (() => void) | undefined
  #cancelWait: () => void = () => undefined

  constructor({ ledger, clock }: AttemptDependencies, channel: CallChannel, request: AttemptRequest, sink: AnswerSink) {
    const { promise, resolve } = Promise.withResolvers<AttemptOutcome>()
    this.outcome = promise
    this.#conclude = resolve
    this.#ledger = ledger
    this.#clock = clock
    this.#channel = channel
    this.#request = request
    this.#sink = sink
    this.#startedAtMs = clock.monotonicMs()
    this.#held = request.model.stream ? undefined : []
    channel.attach({
      onFrame: (type, payload) => this.#guard(() => this.#onFrame(type, payload)),
      onWritable: () => this.#sendBody(),
      onClosed: (error) => this.#onClosed(error),
    })
    this.#sendOrder()
  }

  /** The client takes more. */
  resume(): void {
    if (this.#stage === 'over') return
    this.#isFlowing = true
    if (this.#stage === 'accepted' && !this.#isAnswered) this.#waitFor('nothing', TIMEOUTS.callIdleMs)
    this.#consume()
    this.#vouchIfDue()
  }

  /** The client is gone, or the node stops. What was delivered is still receipted and paid. */
  abort(error: TokError): void {
    if (this.#stage === 'over' || this.#isAnswered) return
    this.#error = error
    this.#isAnswered = true
    this.#sink.onFailure(error)
    this.#sendAbort('call_aborted')
    if (this.#stage === 'ordered') {
      this.#end()
      return
    }
    this.#isFlowing = true
    this.#consume()
    this.#waitFor('no receipt', TIMEOUTS.receiptMs)
  }

  // The order.

  #sendOrder(): void {
    const { order, model, salt } = this.#request
    const frame: OrderFrame = {
      order: { body: order.body, signature: order.signature },
      salt,
      query: model.query === '' ? undefined : model.query,
      headers: model.headers,
      stream: model.stream ? 'yes' : 'no',
      bodyBytes: model.body.length,
    }
    this.#channel.send(FRAMES.order, encodeBody(orderFrameShape, frame))
    this.#sendBody()
  }

  /** As much as the seller has room for. It answers a whole request only, so its time to answer begins with the last byte. */
  #sendBody(): void {
    if (this.#stage !== 'ordered') return
    const { body } = this.#request.model
    let hasRoom = true
    while (this.#bodyBytesSent < body.length && hasRoom) {
      const piece = body.subarray(this.#bodyBytesSent, this.#bodyBytesSent + LIMITS.framePayloadBytes)
      this.#bodyBytesSent += piece.length
      hasRoom = this.#channel.send(FRAMES.body, piece)
    }
    if (this.#bodyBytesSent < body.length) this.#waitFor('no room for the request', TIMEOUTS.callIdleMs)
    else this.#waitFor('no acceptance', TIMEOUTS.acceptanceMs)
  }

  // What comes from the seller.

  #onFrame(type: number, payload: Uint8Array): void {
    if (this.#stage === 'over') return
    if (this.#stage === 'accepted' && !this.#isAnswered) this.#waitFor('nothing', TIMEOUTS.callIdleMs)
    switch (type) {
      case FRAMES.acceptance:
        return this.#onAcceptance(payload)
      case FRAMES.refusal:
        return this.#onRefusal(payload)
      case FRAMES.head:
        return this.#onHead(payload)
      case FRAMES.part:
        return this.#onPart(payload)
      case FRAMES.progress: {
        const { stage } = decodeBody(progressShape, payload, 'progress')
        if (stage === 'window') void this.#vouch()
        return undefined
      }
      case FRAMES.receipt:
        return void this.#onReceipt(payload).catch((thrown: unknown) => this.#break(toTokError(thrown)))
      case FRAMES.end:
        if (this.#stage !== 'receipted') throw this.#misbehaved('it ended the call without a receipt')
        return this.#end()
      default:
        throw this.#misbehaved(`frame 0x${type.toString(16)} is out of turn`)
    }
  }

  #onAcceptance(payload: Uint8Array): void {
    const acceptance = open(ACCEPTANCE, decodeEnvelope(payload, 'acceptance'))
    const { order, seller } = acceptance.value
    const isOurs = equalBytes(order, this.#order.id) && equalBytes(seller, this.#order.value.seller)
    if (!isOurs || this.#stage !== 'ordered') throw this.#misbehaved('the acceptance is of another order')
    this.#stage = 'accepted'
    this.#ledger.noteAcceptance(acceptance)
    this.#waitFor('nothing', TIMEOUTS.callIdleMs)
  }

  #onRefusal(payload: Uint8Array): void {
    if (this.#stage !== 'ordered') throw this.#misbehaved('it refused an order it had accepted')
    const { code, reason } = decodeBody(refusalShape, payload, 'refusal')
    this.#error ??= new TokError('seller_refused', { peer: this.#channel.peer, code: readErrorCode(code), reason })
    this.#end()
  }

  #onHead(payload: Uint8Array): void {
    if (this.#stage !== 'accepted' || this.#head !== undefined) throw this.#misbehaved('a head out of turn')
    const { status, headers } = decodeBody(headShape, payload, 'head')
    this.#head = { status, headers: answerHeadersForBuyer(headers) }
    this.#delivery = createDelivery(this.#request.model.endpoint, this.#head, this.#order.value.outputTokensMax)
    this.#isSwallowed = !this.#request.isLastSeller && (status === 429 || status >= 500)
    if (this.#held === undefined) this.#giveHeadOn()
  }

  #onPart(payload: Uint8Array): void {
    const { outputTokens, content } = decodePart(payload)
    const delivery = this.#delivery
    if (this.#stage !== 'accepted' || delivery === undefined) throw this.#misbehaved('a part out of turn')
    this.#firstPartMs ??= this.#clock.monotonicMs() - this.#startedAtMs
    this.#answerBytes += content.length
    this.#digest.update(content)
    delivery.push(content)
    if (outputTokens > delivery.outputTokens) {
      throw this.#misbehaved(`it counts ${outputTokens} tokens where the parts make ${delivery.outputTokens}`)
    }
    this.#bytesToConsume += payload.length
    if (this.#held === undefined) this.#giveOn(content)
    else {
      this.#held.push(content.slice())
      if (this.#answerBytes > HELD_BYTES_MAX) this.#releaseHeld()
    }
    this.#consume()
    this.#vouchIfDue()
  }

  /** What holds is signed for and ends the answer well; a wrong bill is settled at what this side counted itself. */
  async #onReceipt(payload: Uint8Array): Promise<void> {
    if (this.#stage !== 'accepted') throw this.#misbehaved('a receipt out of turn')
    const receipt = open(RECEIPT, decodeEnvelope(payload, 'receipt'))
    this.#stage = 'receipted'
    this.#cancelVoucher?.()
    this.#waitFor('no end of the call', TIMEOUTS.receiptMs)
    this.#delivery?.end()
    const order = this.#order
    const failure = this.#failureIn(receipt.value)
    let due = receipt.value.usage
    try {
      checkReceipt(this.#channel.peer, order, receipt, this.#seen())
      this.#receipt = receipt
      this.#error ??= failure
    } catch (thrown) {
      this.#error ??= failure ?? toTokError(thrown)
      due = countedUsage(order.value, this.#delivery?.outputTokens ?? 0)
    }
    // A wrong bill takes nothing from an answer that came whole.
    const isWhole = this.#error === undefined || this.#error.code === 'receipt_disputed'
    if (isWhole && this.#head !== undefined) this.#answer()
    else this.#tellFailure()
    const isOwed = this.#receipt !== undefined || this.#delivery !== undefined
    const voucher = isOwed ? await this.#ledger.signVoucher(order.id, due) : undefined
    if (voucher !== undefined && this.#stageNow() !== 'over')
      this.#channel.send(FRAMES.voucher, encodeEnvelope(voucher))
  }

  /** What the client has to be told of a call with this receipt; undefined if its answer is whole. */
  #failureIn(receipt: Receipt): TokError | undefined {
    const { peer } = this.#channel
    const code = readErrorCode(receipt.error ?? 'internal_error')
    switch (receipt.status) {
      case 'truncated':
        return new TokError('order_maximum_reached')
      case 'failed':
      case 'aborted':
        return this.#isHeadGivenOn
          ? new TokError('stream_incomplete', { peer, reason: `its provider: ${code}` })
          : new TokError('seller_refused', { peer, code, reason: 'its provider failed' })
      case 'completed':
        if (this.#isSwallowed) return new TokError('provider_failed', { provider: peer, status: receipt.httpStatus })
        return this.#isCutStream()
          ? new TokError('stream_incomplete', { peer, reason: 'the stream of its provider lacks its last event' })
          : undefined
    }
  }

  #isCutStream(): boolean {
    const head = this.#head
    return head !== undefined && isEventStream(head) && this.#delivery?.meter.finish === undefined
  }

  #seen(): SeenAnswer {
    return {
      answerBytes: this.#answerBytes,
      answerDigest: new Uint8Array(this.#digest.copy().digest()),
      countedOutputTokens: this.#delivery?.outputTokens ?? 0,
      textBytes: this.#delivery?.meter.textBytes ?? 0,
      httpStatus: this.#answerBytes === 0 ? undefined : this.#head?.status,
      reported: this.#delivery?.meter.usage ?? {},
    }
  }

  // Vouchers.

  #vouchIfDue(): void {
    const unvouched = (this.#delivery?.outputTokens ?? 0) - this.#tokensVouched
    if (unvouched <= 0 || !this.#isFlowing) return
    if (unvouched >= this.#order.value.windowTokens / VOUCHERS_PER_WINDOW) void this.#vouch()
    else this.#cancelVoucher ??= this.#clock.after(VOUCHER_EVERY_MS, () => void this.#vouch())
  }

  /** Signs for what the client took. Only the newest count matters, so one signature runs at a time. */
  async #vouch(): Promise<void> {
    this.#cancelVoucher?.()
    this.#cancelVoucher = undefined
    const tokens = this.#delivery?.outputTokens ?? 0
    if (this.#isVouching || this.#stage !== 'accepted' || !this.#isFlowing || tokens <= this.#tokensVouched) return
    this.#isVouching = true
    try {
      const voucher = await this.#ledger.signVoucher(this.#order.id, countedUsage(this.#order.value, tokens))
      this.#tokensVouched = tokens
      if (voucher !== undefined && this.#stageNow() !== 'over') {
        this.#channel.send(FRAMES.voucher, encodeEnvelope(voucher))
      }
    } catch (thrown) {
      this.#break(toTokError(thrown))
    } finally {
      this.#isVouching = false
    }
    this.#vouchIfDue()
  }

  // What goes to the client.

  #giveHeadOn(): void {
    if (this.#head === undefined || this.#isSwallowed || this.#isAnswered) return
    const headers: Record<string, string> = { ...this.#head.headers, 'x-tok-target': this.#channel.peer }
    if (this.#receipt !== undefined) {
      headers['x-tok-receipt'] = nameOfHash(this.#receipt.id)
      headers['x-tok-cost-micros'] = this.#receipt.value.amount.toString()
    }
    this.#isHeadGivenOn = true
    this.#sink.onHead({ status: this.#head.status, headers })
  }

  #giveOn(content: Uint8Array): void {
    if (this.#isSwallowed || this.#isAnswered) return
    this.#isFlowing = this.#sink.onData(content)
    if (!this.#isFlowing) this.#cancelWait() // the silence that follows is this side's own
  }

  #releaseHeld(): void {
    const parts = this.#held
    if (parts === undefined) return
    this.#held = undefined
    this.#giveHeadOn()
    for (const part of parts) this.#giveOn(part)
  }

  /** The answer is whole. */
  #answer(): void {
    this.#releaseHeld()
    if (this.#isAnswered || this.#isSwallowed) return
    this.#isAnswered = true
    this.#sink.onEnd()
  }

  #consume(): void {
    if (!this.#isFlowing || this.#bytesToConsume === 0) return
    this.#channel.consumed(this.#bytesToConsume)
    this.#bytesToConsume = 0
  }

  // The end.

  #onClosed(error: Error | undefined): void {
    const { peer } = this.#channel
    const reason = error === undefined ? 'it ended the call early' : toTokError(error).message
    if (this.#stage !== 'receipted') {
      const code = this.#stage === 'ordered' ? 'seller_unreachable' : 'stream_incomplete'
      this.#error ??= new TokError(code, { peer, reason })
    }
    this.#end()
  }

  /** Stops the call because of `error`, and tells the seller. */
  #break(error: TokError): void {
    if (this.#stage === 'over') return
    this.#error ??= error
    this.#sendAbort(peerVisibleCode(error))
    this.#end()
  }

  #end(): void {
    if (this.#stage === 'over') return
    this.#stage = 'over'
    this.#cancelWait()
    this.#cancelVoucher?.()
    this.#channel.close()
    this.#delivery?.end()
    this.#tellFailure()
    this.#conclude({
      isAnswered: this.#isAnswered,
      error: this.#error,
      receipt: this.#receipt,
      delivery: this.#delivery,
      httpStatus: this.#head?.status,
      firstPartMs: this.#firstPartMs,
    })
  }

  /** A client that has seen a part of the answer is told that the rest will not come. */
  #tellFailure(): void {
    if (!this.#isHeadGivenOn || this.#isAnswered) return
    this.#isAnswered = true
    this.#sink.onFailure(this.#error ?? new TokError('receipt_missing', { peer: this.#channel.peer }))
  }

  #sendAbort(code: string): void {
    this.#channel.send(FRAMES.abort, encodeBody(abortShape, { code }))
  }

  #waitFor(awaited: string, timeoutMs: number): void {
    this.#cancelWait()
    this.#cancelWait = this.#clock.after(timeoutMs, () => {
      if (this.#stage === 'receipted') this.#end()
      else this.#break(new TokError('seller_timeout', { peer: this.#channel.peer, awaited, timeoutMs }))
    })
  }

  #guard(step: () => void): void {
    try {
      step()
    } catch (thrown) {
      this.#break(toTokError(thrown))
    }
  }

  #misbehaved(reason: string): TokError {
    return new TokError('seller_misbehaved', { peer: this.#channel.peer, reason })
  }

  get #order(): Signed<Order> {
    return this.#request.order
  }

  /** The stage, read anew after an await. */
  #stageNow(): 'ordered' | 'accepted' | 'receipted' | 'over' {
    return this.#stage
  }
}
