/**
 * What a vector file holds, and what its cases are made with: three fixed keys, one fixed time, JSON readings, and CBOR
 * written by hand where a case has to break the rules of encoding. The format is described in protocols/README.md.
 */
import { encode } from '@ipld/dag-cbor'
import { fromHex, sha256, toHex, utf8 } from '../../src/base/bytes.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { encodeEnvelope, seal, signingInput, type Envelope, type Kind } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed, type NodeKey } from '../../src/wire/identity.ts'
import { encodeBody, type Shape } from '../../src/wire/shape.ts'

/** A value as JSON: bytes as hex, amounts as decimal text. */
export type Reading = string | number | readonly Reading[] | { readonly [name: string]: Reading }

/** A case. `check` names what is done with the inputs; what must come out stands beside them. */
export interface Case {
  readonly name: string
  readonly check: string
  /** The list and step of a specification's Validation that refuses it ("envelope 3"); rejecting cases only. */
  readonly step?: string
  /** The code it is refused with; rejecting cases only. */
  readonly error?: ErrorCode
  readonly [field: string]: Reading | undefined
}

/** One protocol's vectors. */
export interface VectorFile {
  readonly protocol: string
  readonly accept: readonly Case[]
  readonly reject: readonly Case[]
}

/** The keys that sign in vectors. */
export const KEYS = {
  buyer: nodeKeyFromSeed(new Uint8Array(32).fill(1)),
  seller: nodeKeyFromSeed(new Uint8Array(32).fill(2)),
  stranger: nodeKeyFromSeed(new Uint8Array(32).fill(3)),
} as const

/** The seeds of `KEYS`, as the files name them. */
export const SEEDS = { buyer: '01'.repeat(32), seller: '02'.repeat(32), stranger: '03'.repeat(32) } as const

/** 2027-01-15T08:00:00Z. */
export const NOW_MS = 1_800_000_000_000

export const NETWORK = 'vectors'
export const ASSET = 'USD'

/** A digest that stands for something the case does not show. */
export function digestOf(words: string): Uint8Array {
  return sha256(utf8(words))
}

/** A decoded or typed value as JSON. Fields that are left out stay out. */
export function reading(value: unknown): Reading {
  if (typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(reading)
  if (typeof value !== 'object' || value === null) throw new TypeError(`a vector cannot hold ${String(value)}`)
  const present = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(present.map(([name, field]) => [name, reading(field)]))
}

/** A signed message that must be accepted. */
export function accepted<T>(name: string, kind: Kind<T>, value: NoInfer<T>, key: NodeKey): Case {
  const { body, id, signature } = seal(kind, value, key)
  return {
    name,
    check: 'open',
    kind: kind.name,
    value: reading(value),
    body: toHex(body),
    signed: toHex(signingInput(kind.domain, body)),
    signature: toHex(signature),
    id: toHex(id),
    envelope: toHex(encodeEnvelope({ body, signature })),
  }
}

/** A body signed as it is, however malformed: so that nothing else is wrong with it. */
export function signRaw(domain: string, body: Uint8Array, key: NodeKey): Envelope {
  return { body, signature: key.sign(signingInput(domain, body)) }
}

/** A signed message that must be refused. */
export function refused<T>(
  name: string,
  kind: Kind<T>,
  envelope: Envelope | Uint8Array,
  step: string,
  error: ErrorCode,
): Case {
  const data =
    envelope instanceof Uint8Array ? envelope : encode({ body: envelope.body, signature: envelope.signature })
  return { name, check: 'open', kind: kind.name, step, error, envelope: toHex(data) }
}

/** An unsigned message, by the name of its rule in the CDDL, that must be read. */
export function readable<T>(name: string, rule: string, shape: Shape<T>, value: T): Case {
  return { name, check: 'read', rule, value: reading(value), bytes: toHex(encodeBody(shape, value)) }
}

/** An unsigned message that must not be read. */
export function unreadable(name: string, rule: string, bytes: Uint8Array): Case {
  return { name, check: 'read', rule, step: 'envelope 3', error: 'encoding_invalid', bytes: toHex(bytes) }
}

/** CBOR of a map with raw values, in the order given: whatever is wrong with it is meant. */
export function rawMap(entries: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  return Buffer.concat([head(5, entries.length), ...entries.flatMap(([name, value]) => [encode(name), value])])
}

/** The body of `value` with some fields replaced by raw CBOR, added or (undefined) left out; fields stay in order. */
export function alteredBody(
  value: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, Uint8Array | undefined>>,
): Uint8Array {
  const fields = new Map<string, Uint8Array>()
  for (const [name, field] of Object.entries(value)) if (field !== undefined) fields.set(name, encode(field))
  for (const [name, change] of Object.entries(changes)) {
    if (change === undefined) fields.delete(name)
    else fields.set(name, change)
  }
  return rawMap([...fields].toSorted(([left], [right]) => Buffer.compare(encode(left), encode(right))))
}

/** Raw CBOR from hex. */
export function raw(hex: string): Uint8Array {
  const bytes = fromHex(hex)
  if (bytes.length * 2 !== hex.length) throw new TypeError(`not hex: ${hex}`)
  return bytes
}

/** The head of a CBOR item with a count below 24. */
function head(majorType: number, count: number): Uint8Array {
  if (count >= 24) throw new RangeError('a longer head is not needed here')
  return Uint8Array.of((majorType << 5) | count)
}
