/**
 * Carries a provider's opaque state (signatures, encrypted reasoning) through a client of another dialect, in that dialect's
 * own opaque field: sealed by this node, so that what comes back is what was given, and nobody else's.
 *
 *   MARK base64url(JSON of the value) "." base64url(HMAC-SHA-256 over all before the ".", first 16 bytes)
 *
 * It is authenticated, not encrypted: the value was given to this very client's machine anyway.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { DIALECTS } from '../dialect.ts'
import { asText, isObject, parseObject, type JsonObject } from '../json-value.ts'
import type { OpaqueState } from './conversation.ts'

/** Every sealed text begins with it. */
export const OPAQUE_MARK = 'tok1.'

const MAC_BYTES = 16

/** Seals and opens with one secret. */
export interface OpaqueSeal {
  seal(value: JsonObject): string
  /** The value that was sealed; undefined for any other text. */
  open(text: string): JsonObject | undefined
}

/** Makes the seal of a node. `secret` stays the same over its life, or sealed state of earlier runs is ignored. */
export function createOpaqueSeal(secret: Uint8Array): OpaqueSeal {
  const macOf = (text: string): Buffer => createHmac('sha256', secret).update(text).digest().subarray(0, MAC_BYTES)
  return {
    seal(value) {
      const text = OPAQUE_MARK + Buffer.from(JSON.stringify(value)).toString('base64url')
      return `${text}.${macOf(text).toString('base64url')}`
    },
    open(text) {
      if (!text.startsWith(OPAQUE_MARK)) return undefined
      const end = text.lastIndexOf('.')
      const mac = Buffer.from(text.slice(end + 1), 'base64url')
      const signed = text.slice(0, end)
      if (mac.length !== MAC_BYTES || !timingSafeEqual(mac, macOf(signed))) return undefined
      return parseObject(Buffer.from(signed.slice(OPAQUE_MARK.length), 'base64url').toString('utf8'))
    },
  }
}

/** True for what a node sealed, be it this one or another. */
export function isSealed(text: string): boolean {
  return text.startsWith(OPAQUE_MARK)
}

/** A state in the opaque field of another dialect. */
export function sealState(seal: OpaqueSeal, { dialect, value, source, model }: OpaqueState): string {
  return seal.seal({ dialect, value, source, model })
}

/** The state in an opaque field that a client brought back; undefined if no state of this node is in it. */
export function openState(seal: OpaqueSeal, text: string): OpaqueState | undefined {
  const opened = seal.open(text)
  const dialect = DIALECTS.find((each) => each === opened?.['dialect'])
  const value = opened?.['value']
  if (dialect === undefined || !isObject(value)) return undefined
  return { dialect, value, source: asText(opened?.['source']), model: asText(opened?.['model']) }
}
