/**
 * Carries calls to and from peers over long-lived streams. Opening a stream costs a round trip and as much CPU
 * as some thirty parts, so a stream is opened once and kept: `callsPerStream` calls share it, the next one is
 * opened when it is full, and an idle one waits for the next call. With one call per stream this is a pool
 * of warm streams.
 */
import type { Stream } from '@libp2p/interface'
import type { Logger } from 'pino'
import type { Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import { LIMITS } from '../wire/registry.ts'
import { abortable } from './abortable.ts'
import { CallStream } from './call-stream.ts'
import type { CallChannel } from './network.ts'

/** Open calls that one peer may have here, over all its streams: each may hold a megabyte of body. */
const CALLS_PER_PEER = 2 * LIMITS.callsPerStream

/** Streams to a peer that are kept without a call. */
const IDLE_STREAMS = 4

/** What the carrier needs. */
export interface CarrierDependencies {
  readonly clock: Clock
  readonly logger: Logger
  /** Opens a stream of the inference protocol, connecting first if need be. Bounded in time. @throws TokError */
  openStream(peer: string): Promise<Stream>
  /** A peer opened a call here. */
  onCall(call: CallChannel): void
}

/** The streams of all peers, and the calls on them. */
export interface Carrier {
  /** @throws TokError `seller_unreachable`, or the signal's reason */
  openCall(peer: string, signal: AbortSignal): Promise<CallChannel>
  /** Takes a stream that a peer opened. */
  accept(stream: Stream, peer: string): void
  /** Ends every stream and call with `error`; nothing is opened any more. */
  stop(error: TokError): void
}

/** A stream to a peer, from the moment it is asked for. */
interface Lane {
  readonly stream: Promise<CallStream>
  /** Calls on it, those waiting for it to open included. */
  calls: number
}

/** Creates the carrier. `callsPerStream` is what this side opens; a peer may put up to LIMITS.callsPerStream. */
export function createCarrier(
  { clock, logger, openStream, onCall }: CarrierDependencies,
  options: { readonly callsPerStream: number },
): Carrier {
  const lanesByPeer = new Map<string, Set<Lane>>()
  const streams = new Set<CallStream>()
  const inboundCalls = new Map<string, number>()
  let stopped: TokError | undefined

  const track = (
    stream: Stream,
    peer: string,
    handlers: {
      onCall?(call: CallChannel): void
      onCallOver(): void
      onEnd?(): void
    },
  ): CallStream => {
    const callStream = new CallStream(stream, peer, clock, {
      onCall: (call) => handlers.onCall?.(call),
      onCallOver: () => handlers.onCallOver(),
      onFault: (fault) => logger.error({ err: fault, peer }, 'a handler failed after its call had ended'),
      onEnd(error) {
        streams.delete(callStream)
        handlers.onEnd?.()
        logger[error.code === 'internal_error' ? 'error' : 'debug']({ err: error, peer }, 'a call stream ended')
      },
    })
    streams.add(callStream)
    return callStream
  }

  const forget = (peer: string, lane: Lane): void => {
    const lanes = lanesByPeer.get(peer)
    lanes?.delete(lane)
    if (lanes?.size === 0) lanesByPeer.delete(peer)
  }

  const openLane = (peer: string): Lane => {
    const open = async (): Promise<CallStream> => {
      try {
        const stream = await openStream(peer)
        const callStream = track(stream, peer, {
          onCallOver: () => leave(peer, lane),
          onEnd: () => forget(peer, lane),
        })
        if (stopped !== undefined) callStream.abort(stopped)
        return callStream
      } catch (thrown) {
        forget(peer, lane)
        throw thrown
      }
    }
    const lane: Lane = { stream: open(), calls: 0 }
    const lanes = lanesByPeer.get(peer) ?? new Set()
    lanesByPeer.set(peer, lanes.add(lane))
    return lane
  }

  const leave = (peer: string, lane: Lane): void => {
    lane.calls -= 1
    const lanes = lanesByPeer.get(peer)
    if (lane.calls > 0 || lanes?.has(lane) !== true) return
    if ([...lanes].filter(({ calls }) => calls === 0).length <= IDLE_STREAMS) return
    forget(peer, lane)
    lane.stream.then(
      (stream) => stream.close(),
      () => undefined,
    )
  }

  return {
    async openCall(peer, signal) {
      if (stopped !== undefined) throw stopped
      const lane =
        [...(lanesByPeer.get(peer) ?? [])].find(({ calls }) => calls < options.callsPerStream) ?? openLane(peer)
      lane.calls += 1
      try {
        return (await abortable(lane.stream, signal)).openCall()
      } catch (thrown) {
        leave(peer, lane)
        throw thrown
      }
    },

    accept(stream, peer) {
      track(stream, peer, {
        onCall(call) {
          const calls = (inboundCalls.get(peer) ?? 0) + 1
          inboundCalls.set(peer, calls)
          if (calls > CALLS_PER_PEER) {
            throw new TokError('limit_exceeded', { limit: CALLS_PER_PEER, what: 'open calls of one peer' })
          }
          onCall(call)
        },
        onCallOver() {
          const calls = (inboundCalls.get(peer) ?? 1) - 1
          if (calls === 0) inboundCalls.delete(peer)
          else inboundCalls.set(peer, calls)
        },
      })
    },

    stop(error) {
      stopped = error
      for (const stream of [...streams]) stream.abort(error)
    },
  }
}
