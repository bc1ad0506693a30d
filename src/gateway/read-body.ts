/**
 * A request's body as its client wrote it: JSON by its type, decoded from what the client packed it in. The bytes inside
 * are not looked at.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { reasonOf, TokError } from '../base/errors.ts'

const JSON_TYPE = /^application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i

type Decode = (packed: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Buffer>

// Asynchronous, in Node's thread pool: a large body must not stop every other stream while it is unpacked.
const DECODERS: Readonly<Record<string, Decode>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
}

/**
 * Reads a request's body as it came over the wire, without copying one that arrived in one piece.
 * @throws TokError `body_too_large` once it has more than `limitBytes`; `client_left` if it broke off
 */
export function receiveBody(request: IncomingMessage, limitBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let length = 0
    const refuse = (): void => {
      pieces.length = 0
      reject(new TokError('body_too_large', { limitBytes }))
    }
    if (Number(request.headers['content-length'] ?? 0) > limitBytes) {
      refuse()
      return
    }
    request.on('data', (piece: Buffer) => {
      length += piece.length
      if (length <= limitBytes) pieces.push(piece)
      else refuse()
    })
    request.on('end', () => resolve(pieces[0] !== undefined && pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)))
    request.on('close', () => {
      if (!request.complete) reject(new TokError('client_left'))
    })
  })
}

/**
 * Gives the body's bytes, decoded.
 * @param received what came over the wire; undefined if there was no body
 * @param limitBytes the most bytes it may have after decoding
 * @throws TokError `content_type_unsupported`, `content_encoding_unsupported`, `body_too_large`, `body_malformed`
 */
export async function readBody(
  headers: IncomingHttpHeaders,
  received: Uint8Array | undefined,
  limitBytes: number,
): Promise<Uint8Array> {
  const contentType = headers['content-type']
  if (contentType !== undefined && !JSON_TYPE.test(contentType)) {
    throw new TokError('content_type_unsupported', { contentType })
  }
  if (received === undefined || received.length === 0) throw new TokError('body_malformed', { reason: 'it is empty' })
  const encoding = headers['content-encoding']?.trim().toLowerCase()
  if (encoding === undefined || encoding === '' || encoding === 'identity') return received
  const decode = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding] : undefined
  if (decode === undefined) throw new TokError('content_encoding_unsupported', { encoding })
  try {
    return await decode(received, { maxOutputLength: limitBytes })
  } catch (cause) {
    if (cause instanceof RangeError) throw new TokError('body_too_large', { limitBytes }, { cause })
    throw new TokError('body_malformed', { reason: `it is not ${encoding}: ${reasonOf(cause)}` }, { cause })
  }
}
