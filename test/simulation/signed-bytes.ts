/**
 * What the auditor makes of bytes by itself: it shares no code with the node that it watches. Sources: protocols/envelope/v1.md,
 * protocols/inference/v1.md, protocols/account/v1.md.
 */
import { createHash, createPublicKey, verify } from 'node:crypto'
import { decode, encode } from '@ipld/dag-cbor'

export type Bytes = Uint8Array
/** A decoded body. */
export type Fields = Readonly<Record<string, unknown>>

/** What a voucher promises: an amount in micros, and the output tokens it counts. */
export interface Promised {
  readonly index: number
  readonly amount: bigint
  readonly tokens: number
}

/** The id of the account that a signed body belongs to. */
export function accountIdOf({ network, asset, buyer, seller }: Fields): string {
  return hex(sha256(Buffer.concat([Buffer.from('tok/account/1\0'), encode({ network, asset, buyer, seller })])))
}

export function sha256(bytes: Bytes): Bytes {
  return createHash('sha256').update(bytes).digest()
}

export function hex(bytes: Bytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

export function fromHex(text: string): Bytes {
  return Buffer.from(text, 'hex')
}

export function envelope(bytes: Bytes): { readonly body: Bytes; readonly signature: Bytes } {
  return decode(bytes)
}

export function fieldsOf(body: Bytes): Fields {
  return decode(body)
}

export function micros(value: unknown): bigint {
  return BigInt(value as number | bigint)
}

export function promiseIn(voucher: Fields): Promised {
  const usage = voucher['usage'] as Fields
  return { index: Number(voucher['index']), amount: micros(voucher['amount']), tokens: Number(usage['outputTokens']) }
}

/** The running count at the head of a part. */
export function countIn(part: Bytes): number {
  return Buffer.from(part.buffer, part.byteOffset, 4).readUInt32BE(0)
}

/** In micros: each count at its price per million, rounded up once. */
export function priceOf(usage: Fields, prices: Readonly<Record<string, bigint>>): bigint {
  const price = (name: string): bigint => prices[name] ?? 0n
  const cached = micros(usage['cachedInputTokens'])
  const written = micros(usage['cacheWriteTokens'])
  const plain = micros(usage['inputTokens']) - cached - written
  const cost =
    plain * price('input') +
    cached * price('cachedInput') +
    written * price('cacheWrite') +
    micros(usage['outputTokens']) * price('output')
  return (cost + 999_999n) / 1_000_000n
}

const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

export function isSigned(publicKey: Bytes, domain: string, body: Bytes, signature: Bytes): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
  return verify(null, Buffer.concat([Buffer.from(`${domain}\0`), sha256(body)]), key, signature)
}
