/**
 * Frames: how every tok protocol cuts a libp2p stream into messages.
 *
 * Source: protocols/framing/v1.md. Layout: u32 big-endian length of what follows, u8 type, u32 big-endian
 * call number, payload. On a stream that carries one exchange only the call number is 0.
 */
import { TokError } from '../base/errors.ts'
import { LIMITS } from './registry.ts'

/** Bytes of a frame before its payload: length, type, call number. */
export const FRAME_HEADER_BYTES = 9

/** Bytes that the length field counts besides the payload: type and call number. */
const COUNTED_HEADER_BYTES = 5

/**
 * The bytes of one frame.
 * @throws TokError `frame_too_large` if the payload passes LIMITS.framePayloadBytes.
 */
export function encodeFrame(type: number, call: number, payload: Uint8Array): Uint8Array {
  refuseLargePayload(payload.byteLength)
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength)
  const view = new DataView(frame.buffer)
  view.setUint32(0, COUNTED_HEADER_BYTES + payload.byteLength)
  view.setUint8(4, type)
  view.setUint32(5, call)
  frame.set(payload, FRAME_HEADER_BYTES)
  return frame
}

/** Takes the bytes of a stream as they come and gives its frames. */
export interface FrameDecoder {
  /**
   * Reads on. Calls `onFrame` for each frame completed by `chunk`; its payload is a copy of its own.
   * @throws TokError `frame_too_large` or `frame_malformed`, before anything of that frame is kept. The
   *   stream is beyond repair then.
   */
  push(chunk: Uint8Array): void
  /** Asserts that the stream ended between two frames. @throws TokError `frame_malformed` */
  end(): void
}

/** Creates a decoder for one direction of one stream. It keeps at most one incomplete frame. */
export function createFrameDecoder(onFrame: (type: number, call: number, payload: Uint8Array) => void): FrameDecoder {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  const view = new DataView(header.buffer)
  let headerBytes = 0
  let payload: Uint8Array | undefined
  let payloadBytes = 0

  const fill = (target: Uint8Array, filled: number, chunk: Uint8Array, offset: number): number => {
    const taken = Math.min(target.byteLength - filled, chunk.byteLength - offset)
    target.set(chunk.subarray(offset, offset + taken), filled)
    return taken
  }

  return {
    push(chunk) {
      let offset = 0
      while (offset < chunk.byteLength) {
        if (payload === undefined) {
          const taken = fill(header, headerBytes, chunk, offset)
          headerBytes += taken
          offset += taken
          if (headerBytes < FRAME_HEADER_BYTES) return
          payload = new Uint8Array(readPayloadLength(view))
          payloadBytes = 0
        }
        const taken = fill(payload, payloadBytes, chunk, offset)
        payloadBytes += taken
        offset += taken
        if (payloadBytes < payload.byteLength) return
        const complete = payload
        payload = undefined
        headerBytes = 0
        onFrame(view.getUint8(4), view.getUint32(5), complete)
      }
    },
    end() {
      if (headerBytes > 0) throw new TokError('frame_malformed', { reason: 'the stream ended within a frame' })
    },
  }
}

function readPayloadLength(header: DataView): number {
  const length = header.getUint32(0) - COUNTED_HEADER_BYTES
  if (length < 0) throw new TokError('frame_malformed', { reason: 'its length does not cover its header' })
  refuseLargePayload(length)
  return length
}

function refuseLargePayload(bytes: number): void {
  const limitBytes = LIMITS.framePayloadBytes
  if (bytes > limitBytes) throw new TokError('frame_too_large', { bytes, limitBytes })
}
