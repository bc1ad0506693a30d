/**
 * Bytes: comparing, printing and hashing. Sources: Node's `crypto` and `Buffer`.
 */
import { hash, randomBytes } from 'node:crypto'

/** Gives `length` unpredictable bytes. Injected where a simulation has to repeat a run. */
export type RandomBytes = (length: number) => Uint8Array

/** The operating system's random bytes. */
export const systemRandomBytes: RandomBytes = (length) => new Uint8Array(randomBytes(length))

/** SHA-256 of `bytes`, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}

/** True if both hold the same bytes. Not constant time: never compare secrets with it. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** Bytes of a hexadecimal text; an odd or foreign character ends the reading, so check the length. */
export function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}

/** Base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/** Bytes of a base64url text. Lenient about foreign characters: re-encode and compare where it matters. */
export function fromBase64Url(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64url'))
}

/** The UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'utf8'))
}
