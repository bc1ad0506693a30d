/**
 * Envelopes: a body and the signature over it. Source: protocols/envelope/v1.md.
 *
 * The signature covers the domain, a zero byte and the SHA-256 of the body, so that a signature made for one
 * purpose means nothing for another. An id is the SHA-256 of the body alone: an id that covered the signature
 * could be forked by whoever re-encodes it.
 */
import { sha256, utf8 } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import { SIGNATURE_BYTES, verifySignature, type NodeKey } from './identity.ts'
import { bytes, bytesUpTo, decodeBody, encodeBody, record, type Read, type Shape } from './shape.ts'

/** Bytes of the largest signed body: a statement of 32 items. */
const BODY_BYTES_MAX = 32_768

/** A body with one signature, as it travels inside frames and stands on disk. */
export const envelopeShape = record({ body: bytesUpTo(BODY_BYTES_MAX), signature: bytes(SIGNATURE_BYTES) })
export type Envelope = Read<typeof envelopeShape>

/** A kind of signed message: its domain, its shape, and which of its fields names the signer. */
export interface Kind<T> {
  readonly name: string
  readonly domain: string
  readonly shape: Shape<T>
  readonly signerOf: (value: T) => Uint8Array
}

/** A signed message whose signature was made or checked here. */
export interface Signed<T> extends Envelope {
  readonly value: T
  /** SHA-256 of the body, 32 bytes. */
  readonly id: Uint8Array
}

/** What a signature covers. */
export function signingInput(domain: string, body: Uint8Array): Uint8Array {
  return Buffer.concat([utf8(domain), new Uint8Array(1), sha256(body)])
}

/** Signs `value` with the node's key. */
export function seal<T>(kind: Kind<T>, value: T, key: NodeKey): Signed<T> {
  const body = encodeBody(kind.shape, value)
  return { value, body, id: sha256(body), signature: key.sign(signingInput(kind.domain, body)) }
}

/**
 * Reads and checks a signed message.
 * @throws TokError `encoding_invalid`, `signature_invalid`
 */
export function open<T>(kind: Kind<T>, envelope: Envelope): Signed<T> {
  const value = decodeBody(kind.shape, envelope.body, kind.name)
  checkSignature(kind, kind.signerOf(value), envelope)
  return { value, body: envelope.body, id: sha256(envelope.body), signature: envelope.signature }
}

/** @throws TokError `signature_invalid` unless `publicKey` signed the body for this kind */
export function checkSignature<T>(kind: Kind<T>, publicKey: Uint8Array, envelope: Envelope): void {
  if (!verifySignature(publicKey, signingInput(kind.domain, envelope.body), envelope.signature)) {
    throw new TokError('signature_invalid', { what: kind.name })
  }
}

/** An envelope as bytes: the form on disk, in gossip and in frames that carry nothing else. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return encodeBody(envelopeShape, { body: envelope.body, signature: envelope.signature })
}

/** @throws TokError `encoding_invalid` */
export function decodeEnvelope(data: Uint8Array, what: string): Envelope {
  return decodeBody(envelopeShape, data, what)
}
