/**
 * One call on a stream that several may share: its order of frames, its credit, its end.
 *
 * BODY and PART frames spend credit that the receiver grants back as its user consumes them, so that what is
 * on its way or unread never passes LIMITS.callCreditBytes per direction, whatever the other calls do.
 * Source: protocols/framing/v1.md.
 */
import type { Clock } from '../base/clock.ts'
import { TokError, toTokError } from '../base/errors.ts'
import { FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import type { CallChannel, CallHandlers, Frame } from './network.ts'

/** Credit goes back in pieces of this size or more: one CREDIT frame for many parts. */
const GRANT_BYTES = LIMITS.callCreditBytes / 4

/** What a call may hold back for want of credit. A user who waits for `onWritable` stays far below. */
const WAITING_BYTES_MAX = 2 * LIMITS.callCreditBytes

/** Counted on top of each payload that waits, so that empty frames are bounded too. */
const FRAME_OVERHEAD_BYTES = 64

/** BODY frames that may wait for `attach`, besides the bound of their credit: a kilobyte each on average. */
const EARLY_FRAMES_MAX = 1_024

/** What a call asks of the stream that carries it. */
export interface CallCarrier {
  readonly peer: string
  /** True while the stream takes nothing. */
  readonly choked: boolean
  /** Gives a call its number, the next one of the stream. */
  enter(call: Call): number
  transmit(call: number, type: number, payload: Uint8Array): void
  /** The call holds frames that its credit allows: `sendNext` is called when the stream has room. */
  wantsToSend(call: Call): void
  /** The user was told to wait: `tellWritable` is called when the stream has room. */
  wantsRoom(call: Call): void
  /** The call ended on this side and forgets the stream. */
  release(call: Call): void
  /** A handler threw after its call had ended: nobody else is left to be told. */
  report(fault: TokError): void
}

/** One side of a call. */
export class Call implements CallChannel {
  readonly peer: string
  readonly #carrier: CallCarrier
  readonly #clock: Clock
  /** Undefined until the first frame: the opener's numbers follow the order in which calls appear on the wire. */
  #number: number | undefined
  #state: 'open' | 'closing' | 'over' = 'open'
  #handlers: CallHandlers | undefined
  /** Bytes of BODY or PART that may be sent. */
  #credit: number = LIMITS.callCreditBytes
  /** Bytes of BODY or PART that the peer may send. */
  #allowance: number = LIMITS.callCreditBytes
  #consumedBytes = 0
  #waiting: Frame[] = []
  #waitingBytes = 0
  /** Frames from before `attach`. */
  #early: Frame[] = []
  #earlyControlFrames = 0
  #ending: { readonly error: Error | undefined } | undefined
  #cancelLinger: (() => void) | undefined

  constructor(carrier: CallCarrier, clock: Clock, number?: number) {
    this.peer = carrier.peer
    this.#carrier = carrier
    this.#clock = clock
    this.#number = number
  }

  get number(): number | undefined {
    return this.#number
  }

  attach(handlers: CallHandlers): void {
    this.#handlers = handlers
    for (let frame = this.#early.shift(); frame !== undefined; frame = this.#early.shift()) {
      this.#deliver(frame.type, frame.payload)
    }
    if (this.#ending !== undefined) this.#tellClosed(this.#ending.error)
  }

  send(type: number, payload: Uint8Array): boolean {
    if (this.#state !== 'open') return false
    if (type === FRAMES.abort) this.#dropWaiting()
    if (this.#waiting.length === 0 && this.#mayTransmit(type, payload)) {
      this.#transmit(type, payload)
    } else {
      this.#wait(type, payload)
    }
    const writable = this.#writable()
    if (!writable) this.#carrier.wantsRoom(this)
    return writable
  }

  consumed(bytes: number): void {
    if (this.#state !== 'open' || this.#number === undefined) return
    this.#consumedBytes += bytes
    if (this.#consumedBytes < GRANT_BYTES) return
    this.#allowance += this.#consumedBytes
    this.#carrier.transmit(this.#number, FRAMES.credit, encodeGrant(this.#consumedBytes))
    this.#consumedBytes = 0
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    if (this.#waiting.length === 0) {
      this.#finish()
    } else {
      this.#cancelLinger = this.#clock.after(TIMEOUTS.callIdleMs, () => this.#finish())
    }
  }

  /**
   * Takes a frame of the peer.
   * @throws TokError if the peer broke the rules of framing: the stream is to be ended.
   */
  receive(type: number, payload: Uint8Array): void {
    if (type === FRAMES.credit) {
      this.#takeGrant(payload)
    } else if (type === FRAMES.close) {
      this.end(undefined)
    } else {
      if (isCounted(type)) this.#spendAllowance(payload.byteLength)
      if (this.#state === 'open') this.#deliver(type, payload)
    }
  }

  /** Ends the call without a word to the peer: it closed the call (no error), or the stream is gone. */
  end(error: Error | undefined): void {
    if (this.#state === 'over') return
    const untold = this.#state === 'open'
    this.#over()
    if (untold) this.#tellClosed(error)
  }

  /** Sends the oldest frame that waits, if credit allows; true if another may follow. */
  sendNext(): boolean {
    const next = this.#waiting[0]
    if (next === undefined || !this.#mayTransmit(next.type, next.payload)) return false
    this.#waiting.shift()
    this.#waitingBytes -= next.payload.byteLength + FRAME_OVERHEAD_BYTES
    this.#transmit(next.type, next.payload)
    if (this.#waiting.length === 0 && this.#state === 'closing') this.#finish()
    return this.#waiting.length > 0
  }

  /** Tells the user that it may go on; false if it may not yet. */
  tellWritable(): boolean {
    if (this.#state !== 'open') return true
    if (!this.#writable()) return false
    this.#guard(() => this.#handlers?.onWritable())
    return true
  }

  #writable(): boolean {
    return this.#state === 'open' && this.#waiting.length === 0 && this.#credit > 0 && !this.#carrier.choked
  }

  #mayTransmit(type: number, payload: Uint8Array): boolean {
    return !isCounted(type) || (this.#credit >= payload.byteLength && !this.#carrier.choked)
  }

  #transmit(type: number, payload: Uint8Array): void {
    if (isCounted(type)) this.#credit -= payload.byteLength
    this.#number ??= this.#carrier.enter(this)
    this.#carrier.transmit(this.#number, type, payload)
  }

  #wait(type: number, payload: Uint8Array): void {
    this.#waiting.push({ type, payload })
    this.#waitingBytes += payload.byteLength + FRAME_OVERHEAD_BYTES
    if (this.#waitingBytes > WAITING_BYTES_MAX) {
      this.#fail(
        new TokError('limit_exceeded', { limit: WAITING_BYTES_MAX, what: 'bytes waiting for the credit of a call' }),
      )
    } else {
      this.#carrier.wantsToSend(this)
    }
  }

  #dropWaiting(): void {
    this.#waiting = []
    this.#waitingBytes = 0
  }

  #spendAllowance(bytes: number): void {
    this.#allowance -= bytes
    if (this.#allowance < 0) {
      throw new TokError('limit_exceeded', { limit: LIMITS.callCreditBytes, what: 'bytes of a call without credit' })
    }
  }

  #takeGrant(payload: Uint8Array): void {
    if (payload.byteLength !== 4) throw new TokError('frame_malformed', { reason: 'CREDIT is one u32' })
    this.#credit += new DataView(payload.buffer, payload.byteOffset).getUint32(0)
    if (this.#credit > LIMITS.callCreditBytes) {
      throw new TokError('frame_malformed', { reason: 'CREDIT grants more than was sent' })
    }
    this.#carrier.wantsToSend(this)
  }

  #deliver(type: number, payload: Uint8Array): void {
    const handlers = this.#handlers
    if (handlers !== undefined) {
      this.#guard(() => handlers.onFrame(type, payload))
      return
    }
    if (!isCounted(type)) this.#earlyControlFrames += 1
    if (this.#earlyControlFrames > LIMITS.callControlFrames || this.#early.length >= EARLY_FRAMES_MAX) {
      throw new TokError('limit_exceeded', { limit: LIMITS.callControlFrames, what: 'frames of a call that wait' })
    }
    this.#early.push({ type, payload })
  }

  /** A fault in a user's handler ends its own call, not the stream of all. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (thrown) {
      if (this.#state === 'open') this.#fail(toTokError(thrown))
      else this.#carrier.report(toTokError(thrown))
    }
  }

  #fail(error: TokError): void {
    this.#early = []
    this.#finish()
    this.#tellClosed(error)
  }

  /** Tells the peer that the call is over, and ends it here. */
  #finish(): void {
    if (this.#number !== undefined) this.#carrier.transmit(this.#number, FRAMES.close, new Uint8Array(0))
    this.#over()
  }

  #over(): void {
    this.#state = 'over'
    this.#dropWaiting()
    this.#cancelLinger?.()
    this.#carrier.release(this)
  }

  #tellClosed(error: Error | undefined): void {
    if (this.#handlers === undefined) {
      this.#ending = { error }
    } else {
      this.#ending = undefined
      const handlers = this.#handlers
      this.#guard(() => handlers.onClosed(error))
    }
  }
}

/** True for the frames that spend credit. */
function isCounted(type: number): boolean {
  return type === FRAMES.body || type === FRAMES.part
}

function encodeGrant(bytes: number): Uint8Array {
  const payload = new Uint8Array(4)
  new DataView(payload.buffer).setUint32(0, bytes)
  return payload
}
