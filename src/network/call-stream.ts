/**
 * One libp2p stream and the calls on it. The side that opened the stream opens the calls; they are numbered
 * 1, 2, 3… in the order of their first frame, which is an ORDER. A side that breaks the rules loses the stream.
 * Source: protocols/framing/v1.md.
 */
import type { Stream } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import { reasonOf, TokError, toTokError } from '../base/errors.ts'
import { createFrameDecoder, encodeFrame } from '../wire/framing.ts'
import { FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import { Call, type CallCarrier } from './call.ts'
import { createStreamWriter, type StreamWriter } from './stream-writer.ts'

/** What the owner of a stream is told. */
export interface CallStreamHandlers {
  /** The peer opened a call. Never called on a stream opened here. @throws TokError to refuse the stream */
  onCall(call: Call): void
  /** A call ended on this side. */
  onCallOver(): void
  /** A user's handler threw after its call had ended. */
  onFault(fault: TokError): void
  /** The stream is gone, and every call on it has been ended. */
  onEnd(error: TokError): void
}

/** One libp2p stream that carries calls. */
export class CallStream implements CallCarrier {
  readonly peer: string
  readonly #stream: Stream
  readonly #clock: Clock
  readonly #handlers: CallStreamHandlers
  readonly #writer: StreamWriter
  readonly #opener: boolean
  /** Calls by number. */
  readonly #calls = new Map<number, Call>()
  /** Every call of this side, those without a number yet included. */
  readonly #open = new Set<Call>()
  /** Calls that hold frames which credit allows, in turn. */
  readonly #senders = new Set<Call>()
  /** Calls whose user waits to be told that it may go on. */
  readonly #waiters = new Set<Call>()
  #lastNumber = 0
  #ended = false

  constructor(stream: Stream, peer: string, clock: Clock, handlers: CallStreamHandlers) {
    this.peer = peer
    this.#stream = stream
    this.#clock = clock
    this.#handlers = handlers
    this.#opener = stream.direction === 'outbound'
    this.#writer = createStreamWriter(stream, () => this.#serveCalls())
    const decoder = createFrameDecoder((type, number, payload) => this.#onFrame(type, number, payload))
    stream.addEventListener('message', ({ data }) => {
      try {
        for (const chunk of data instanceof Uint8Array ? [data] : data) decoder.push(chunk)
      } catch (thrown) {
        this.abort(toTokError(thrown))
      }
    })
    stream.addEventListener('remoteCloseWrite', () => this.#onPeerEnd())
    stream.addEventListener('close', ({ error }) => this.#onClose(error))
    // Events from before this moment are lost; their traces are not.
    if (stream.status !== 'open') queueMicrotask(() => this.#onClose(undefined))
    else if (stream.remoteWriteStatus === 'closed') queueMicrotask(() => this.#onPeerEnd())
  }

  /** Opens a call. @throws TokError `seller_unreachable` if the stream has ended. */
  openCall(): Call {
    if (this.#ended) throw new TokError('seller_unreachable', { peer: this.peer, reason: 'its stream has ended' })
    const call = new Call(this, this.#clock)
    this.#open.add(call)
    return call
  }

  /** Ends an idle stream; the peer ends its side in turn, or the stream is dropped. */
  close(): void {
    this.#writer.flush()
    const drop = (): void => this.abort(this.#brokenOff('the peer did not end the stream'))
    this.#clock.after(TIMEOUTS.openMs, drop)
    this.#stream.close({ signal: AbortSignal.timeout(TIMEOUTS.openMs) }).catch(drop)
  }

  /** Drops the stream at once; every call on it ends with `error`. */
  abort(error: TokError): void {
    this.#end(error)
    this.#stream.abort(error)
  }

  // What calls ask for.

  get choked(): boolean {
    return this.#writer.choked
  }

  enter(call: Call): number {
    this.#lastNumber += 1
    this.#calls.set(this.#lastNumber, call)
    return this.#lastNumber
  }

  transmit(number: number, type: number, payload: Uint8Array): void {
    this.#writer.write(encodeFrame(type, number, payload))
  }

  wantsToSend(call: Call): void {
    this.#senders.add(call)
    this.#serveCalls()
  }

  wantsRoom(call: Call): void {
    this.#waiters.add(call)
  }

  release(call: Call): void {
    this.#senders.delete(call)
    this.#waiters.delete(call)
    this.#open.delete(call)
    if (call.number !== undefined) this.#calls.delete(call.number)
    this.#handlers.onCallOver()
  }

  report(fault: TokError): void {
    this.#handlers.onFault(fault)
  }

  /** Lets calls send what waits, a frame each in turn, and then tells those with nothing left to go on. */
  #serveCalls(): void {
    for (const call of this.#senders) {
      if (this.#writer.choked) return
      this.#senders.delete(call)
      // Added again it comes last, and this loop meets it once more after the others.
      if (call.sendNext()) this.#senders.add(call)
    }
    for (const call of [...this.#waiters]) {
      if (this.#writer.choked) return
      this.#waiters.delete(call)
      if (!call.tellWritable()) this.#waiters.add(call)
    }
  }

  #onFrame(type: number, number: number, payload: Uint8Array): void {
    if (this.#ended) return
    const call = this.#calls.get(number)
    if (call !== undefined) {
      call.receive(type, payload)
    } else if (number > this.#lastNumber || number === 0) {
      this.#acceptCall(type, number, payload)
    }
    // Any other number is a call that has ended here; what was under way for it is dropped.
  }

  #acceptCall(type: number, number: number, payload: Uint8Array): void {
    if (this.#opener || number !== this.#lastNumber + 1 || type !== FRAMES.order) {
      throw new TokError('frame_malformed', { reason: `call ${number} was never opened` })
    }
    if (this.#open.size >= LIMITS.callsPerStream) {
      throw new TokError('limit_exceeded', { limit: LIMITS.callsPerStream, what: 'calls on one stream' })
    }
    this.#lastNumber = number
    const call = new Call(this, this.#clock, number)
    this.#calls.set(number, call)
    this.#open.add(call)
    this.#handlers.onCall(call)
    call.receive(type, payload)
  }

  #onPeerEnd(): void {
    if (this.#open.size > 0) {
      this.abort(this.#brokenOff('the peer ended its side'))
    } else {
      this.close()
    }
  }

  #onClose(error: Error | undefined): void {
    this.#end(
      error instanceof TokError
        ? error
        : this.#brokenOff(error === undefined ? 'the connection closed' : reasonOf(error)),
    )
  }

  #end(error: TokError): void {
    if (this.#ended) return
    this.#ended = true
    for (const call of [...this.#open]) call.end(error)
    this.#handlers.onEnd(error)
  }

  #brokenOff(reason: string): TokError {
    return this.#opener
      ? new TokError('stream_incomplete', { peer: this.peer, reason })
      : new TokError('call_aborted', { peer: this.peer, reason })
  }
}
