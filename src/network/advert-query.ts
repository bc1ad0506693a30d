/**
 * The advert query: ADVERT_QUERY from one side, the current advert from the other, or nothing if it sells nothing.
 * Source: protocols/advert/v1.md.
 */
import { TokError } from '../base/errors.ts'
import { FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import type { FrameStream } from './network.ts'

/** Asks on a fresh stream and ends it. @throws TokError `stream_incomplete`, or `frame_malformed` for another answer */
export async function askAdvert(stream: FrameStream, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    await stream.write(FRAMES.advertQuery, new Uint8Array(0))
    const frame = await stream.read(signal)
    if (frame !== undefined && (frame.type !== FRAMES.advert || frame.payload.byteLength > LIMITS.advertBytes)) {
      throw new TokError('frame_malformed', { reason: 'the answer to ADVERT_QUERY is no advert' })
    }
    await stream.close()
    return frame?.payload
  } catch (thrown) {
    stream.abort(thrown instanceof Error ? thrown : new TokError('internal_error'))
    throw thrown
  }
}

/** Answers the query on a stream that a peer opened, and ends it. @throws TokError */
export async function answerAdvert(stream: FrameStream, advert: () => Uint8Array | undefined): Promise<void> {
  const frame = await stream.read(AbortSignal.timeout(TIMEOUTS.advertMs))
  if (frame?.type !== FRAMES.advertQuery) {
    throw new TokError('frame_malformed', { reason: 'the first frame is not ADVERT_QUERY' })
  }
  const bytes = advert()
  if (bytes !== undefined) await stream.write(FRAMES.advert, bytes)
}
