/**
 * A libp2p stream of its own that carries whole frames in turn: the account protocol and the advert query.
 * Back-pressured both ways. The call number of its frames is 0.
 */
import type { Stream } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import { reasonOf, TokError, toTokError } from '../base/errors.ts'
import { createFrameDecoder, encodeFrame } from '../wire/framing.ts'
import { TIMEOUTS } from '../wire/registry.ts'
import { abortable } from './abortable.ts'
import type { Frame, FrameStream } from './network.ts'
import { createStreamWriter } from './stream-writer.ts'

/** Counted on top of each payload that waits, so that empty frames are bounded too. */
const FRAME_OVERHEAD_BYTES = 64

/** Unread bytes at which the stream is paused; what is under way then is bounded by the window of yamux. */
const UNREAD_BYTES = 262_144

/**
 * Takes over `stream`. Whatever waits on it fails with the reason of its end: `stream_incomplete`, or the
 * error it was aborted with. After `close()` the peer has TIMEOUTS.accountMs between frames to end its side.
 */
export function createFrameStream(stream: Stream, peer: string, clock: Clock): FrameStream {
  const frames: Frame[] = []
  let unreadBytes = 0
  /** The peer has ended its side. libp2p's 'end' alone is no proof: it also follows a closed connection. */
  let peerEnded = stream.remoteWriteStatus === 'closed' && stream.status === 'open'
  /** All that the peer sent has been taken in. */
  let ended = false
  let failure: TokError | undefined
  let closing = false
  let cancelLinger: (() => void) | undefined
  /** Wakes whoever waits in `read` or `write`. */
  let changed = Promise.withResolvers<void>()

  const wake = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const abort = (reason: Error): void => {
    failure ??= toTokError(reason)
    stream.abort(failure)
    wake()
  }
  const linger = (): void => {
    cancelLinger?.()
    cancelLinger = clock.after(TIMEOUTS.accountMs, () => abort(brokenOff('the peer did not end the stream')))
  }
  const brokenOff = (reason: string): TokError => new TokError('stream_incomplete', { peer, reason })

  const writer = createStreamWriter(stream, wake)
  const decoder = createFrameDecoder((type, call, payload) => {
    if (call !== 0) throw new TokError('frame_malformed', { reason: `call ${call} on a stream of one exchange` })
    frames.push({ type, payload })
    unreadBytes += payload.byteLength + FRAME_OVERHEAD_BYTES
  })

  // What was read ahead while the protocol was negotiated comes after 'end', hence the look at the buffer.
  const noticeEnd = (): void => {
    if (!peerEnded || stream.readBufferLength > 0) return
    decoder.end()
    ended = true
  }

  stream.addEventListener('message', ({ data }) => {
    try {
      for (const chunk of data instanceof Uint8Array ? [data] : data) decoder.push(chunk)
      noticeEnd()
    } catch (thrown) {
      abort(toTokError(thrown))
      return
    }
    if (closing) linger()
    // Pausing at once, while `resume()` still flushes, would open the window again and reset the stream.
    queueMicrotask(() => {
      if (unreadBytes >= UNREAD_BYTES && stream.readStatus === 'readable') stream.pause()
    })
    wake()
  })
  stream.addEventListener('remoteCloseWrite', () => {
    peerEnded = true
    try {
      noticeEnd()
    } catch (thrown) {
      abort(toTokError(thrown))
    }
    wake()
  })
  stream.addEventListener('close', ({ error }) => {
    cancelLinger?.()
    if (error instanceof TokError) failure ??= error
    else if (error !== undefined) failure ??= brokenOff(reasonOf(error))
    else if (!peerEnded) failure ??= brokenOff('the connection closed')
    wake()
  })

  if (stream.status !== 'open') failure = brokenOff('the stream had closed')
  else noticeEnd()

  return {
    peer,
    async write(type, payload) {
      if (failure !== undefined) throw failure
      if (closing) throw brokenOff('this side was closed')
      writer.write(encodeFrame(type, 0, payload))
      const deadline = AbortSignal.timeout(TIMEOUTS.accountMs)
      while (writer.choked) {
        try {
          await abortable(changed.promise, deadline)
        } catch {
          abort(brokenOff(`the peer read nothing for ${TIMEOUTS.accountMs} ms`))
        }
        if (failure !== undefined) throw failure
      }
    },
    async read(signal) {
      for (;;) {
        const frame = frames.shift()
        if (frame !== undefined) {
          unreadBytes -= frame.payload.byteLength + FRAME_OVERHEAD_BYTES
          if (unreadBytes < UNREAD_BYTES && stream.readStatus === 'paused') stream.resume()
          return frame
        }
        if (failure !== undefined) throw failure
        if (ended) return undefined
        await abortable(changed.promise, signal)
      }
    },
    async close() {
      if (closing || failure !== undefined) return
      closing = true
      writer.flush()
      linger()
      try {
        await stream.close({ signal: AbortSignal.timeout(TIMEOUTS.accountMs) })
      } catch (thrown) {
        abort(brokenOff(reasonOf(thrown)))
      }
      if (stream.status !== 'open') cancelLinger?.()
    },
    abort,
  }
}
