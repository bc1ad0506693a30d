/**
 * Writes frames to a libp2p stream: the frames of one event-loop turn in one `send()`, and nothing more while
 * the stream is choked. One write per frame costs about three times the CPU (noise, yamux and two system calls
 * each time).
 */
import type { Stream } from '@libp2p/interface'
import { TokError, toTokError } from '../base/errors.ts'

/** Written at once when this much is queued, so that a turn never builds up more than the stream may take. */
const BATCH_BYTES = 262_144

/** What may wait while the peer does not read. Senders stop at `choked`; only control frames come on top. */
const QUEUE_BYTES_MAX = 4_194_304

/** The one who writes to a stream. Frames leave whole and in order. */
export interface StreamWriter {
  /** True while the stream takes nothing: `onRoom` follows, or the stream's end. */
  readonly choked: boolean
  /** Queues a frame. Aborts the stream if the peer lets too much wait. After the stream's end, drops it. */
  write(frame: Uint8Array): void
  /** Sends now what is queued, as far as the stream takes it. */
  flush(): void
}

/**
 * Takes over writing to `stream`; `onRoom` is called each time that a choked stream takes more. The stream
 * must have a `maxWriteBufferLength` above BATCH_BYTES.
 */
export function createStreamWriter(stream: Stream, onRoom: () => void): StreamWriter {
  let queue: Uint8Array[] = []
  let queuedBytes = 0
  let choked = false
  let turnScheduled = false

  const flush = (): void => {
    if (choked || queue.length === 0 || stream.writeStatus !== 'writable') return
    const bytes = queue.length === 1 && queue[0] !== undefined ? queue[0] : Buffer.concat(queue)
    queue = []
    queuedBytes = 0
    try {
      choked = !stream.send(bytes)
    } catch (thrown) {
      // The connection below is gone and its 'close' is still to come; the stream ends now, with the reason.
      stream.abort(toTokError(thrown))
    }
  }

  // A stream counts as idle after a whole turn without a frame. Its next frame then leaves at once; the
  // frames after it share the write at the end of their turn.
  const endTurn = (): void => {
    turnScheduled = false
    if (queue.length === 0 || choked) return
    flush()
    scheduleTurn()
  }
  const scheduleTurn = (): void => {
    turnScheduled = true
    setImmediate(endTurn)
  }

  // `onDrain()` of libp2p resolves at once for ever after its first drain, hence the event. The stream first
  // sends what it holds itself, in a microtask queued before this one, and may be full again after that.
  stream.addEventListener('drain', () => {
    queueMicrotask(() => {
      if (!choked || stream.writableNeedsDrain) return
      choked = false
      flush()
      if (!choked) onRoom()
    })
  })

  return {
    get choked() {
      return choked
    },
    write(frame) {
      if (stream.writeStatus !== 'writable') return
      queue.push(frame)
      queuedBytes += frame.byteLength
      if (queuedBytes > QUEUE_BYTES_MAX) {
        stream.abort(
          new TokError('limit_exceeded', { limit: QUEUE_BYTES_MAX, what: 'bytes that the peer does not read' }),
        )
        return
      }
      if (!turnScheduled) {
        flush()
        scheduleTurn()
      } else if (queuedBytes >= BATCH_BYTES) {
        flush()
      }
    },
    flush,
  }
}
