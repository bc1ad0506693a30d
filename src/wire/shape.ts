/**
 * Shapes of CBOR values: each reads a decoded value strictly and writes it back. The one place where bytes
 * from outside become typed values.
 *
 * Encoding: deterministic CBOR, DAG-CBOR profile (protocols/envelope/v1.md). A body has exactly one encoding:
 * `decodeBody` encodes again and compares, so no accepted message has two forms.
 */
import { decode, encode } from '@ipld/dag-cbor'
import { AMOUNT_MAX_MICROS } from '../base/amount.ts'
import { equalBytes } from '../base/bytes.ts'
import { reasonOf, TokError } from '../base/errors.ts'

/** Reads a decoded CBOR value as a `T`, or throws a plain Error that names the field. */
export interface Shape<T> {
  read(value: unknown, path: string): T
  /** The CBOR form; undefined leaves the field out. */
  write(value: T): unknown
}

/** What a shape reads. */
export type Read<S> = S extends Shape<infer T> ? T : never

type Fields = Readonly<Record<string, Shape<unknown>>>
type OptionalKeys<F extends Fields> = { [K in keyof F]: undefined extends Read<F[K]> ? K : never }[keyof F]
type Record_<F extends Fields> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: Read<F[K]> } & {
  readonly [K in OptionalKeys<F>]?: Exclude<Read<F[K]>, undefined> | undefined
}

const refuse = (path: string, expected: string): never => {
  throw new Error(`${path} must be ${expected}`)
}

/** A whole number from 0 to 2^53 - 1: counts, times in ms. */
export const uint: Shape<number> = {
  read: (value, path) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
      ? value
      : refuse(path, 'a whole number from 0 to 2^53 - 1'),
  write: (value) => value,
}

/** An amount in micros, 0 to 2^63 - 1. */
export const amount: Shape<bigint> = {
  read(value, path) {
    const isInteger = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))
    if (!isInteger) return refuse(path, 'an amount in micros')
    const micros = BigInt(value)
    return micros >= 0n && micros <= AMOUNT_MAX_MICROS ? micros : refuse(path, 'an amount from 0 to 2^63 - 1')
  },
  write: (value) => value,
}

/** Exactly `length` bytes. */
export const bytes = (length: number): Shape<Uint8Array> => ({
  read: (value, path) =>
    value instanceof Uint8Array && value.length === length ? value : refuse(path, `${length} bytes`),
  write: (value) => value,
})

/** At most `max` bytes. */
export const bytesUpTo = (max: number): Shape<Uint8Array> => ({
  read: (value, path) =>
    value instanceof Uint8Array && value.length <= max ? value : refuse(path, `at most ${max} bytes`),
  write: (value) => value,
})

/**
 * True if `value` may stand in a message: 1 to `maxBytes` of UTF-8, well-formed, no byte order mark at its start. Decoders drop
 * that mark and replace half a surrogate pair, so neither would come back as it was written. Ask before taking in a foreign text.
 */
export function isWireText(value: string, maxBytes: number): boolean {
  const size = Buffer.byteLength(value)
  return size > 0 && size <= maxBytes && value.isWellFormed() && !value.startsWith('\ufeff')
}

/** As much of a foreign text as a message may hold, for people to read: `isWireText`, or "" if nothing of it can stand there. */
export function cutToWireText(value: string, maxBytes: number): string {
  const cut = new Uint8Array(maxBytes)
  // Writes whole characters only, and U+FFFD for half a surrogate pair.
  const { written } = new TextEncoder().encodeInto(value.replace(/^\ufeff+/, ''), cut)
  return Buffer.from(cut.buffer, 0, written).toString()
}

/** A text of 1 to `max` UTF-8 bytes, as `isWireText` has it. */
export const text = (max: number): Shape<string> => ({
  read: (value, path) =>
    typeof value === 'string' && isWireText(value, max)
      ? value
      : refuse(path, `a well-formed text of 1 to ${max} bytes, without a byte order mark`),
  write: (value) => value,
})

/** One of the given words. */
export const oneOf = <const W extends readonly string[]>(...words: W): Shape<W[number]> => ({
  read: (value, path) =>
    typeof value === 'string' && words.includes(value) ? (value as W[number]) : refuse(path, words.join(' or ')),
  write: (value) => value,
})

/** A list of at most `max` items. */
export const list = <T>(item: Shape<T>, max: number): Shape<readonly T[]> => ({
  read: (value, path) =>
    Array.isArray(value) && value.length <= max
      ? value.map((each, index) => item.read(each, `${path}[${index}]`))
      : refuse(path, `a list of at most ${max}`),
  write: (value) => value.map((each) => item.write(each)),
})

/** A field that may be left out; it is never present as null. */
export const optional = <T>(shape: Shape<T>): Shape<T | undefined> => ({
  read: (value, path) => (value === undefined ? undefined : shape.read(value, path)),
  write: (value) => (value === undefined ? undefined : shape.write(value)),
})

/** A map of texts to texts: at most `maxEntries`, keys and values of 1 to `maxBytes` bytes. */
export const texts = (maxEntries: number, maxBytes: number): Shape<Readonly<Record<string, string>>> => ({
  read(value, path) {
    const map = readMap(value, path)
    const keys = Object.keys(map)
    if (keys.length > maxEntries) refuse(path, `a map of at most ${maxEntries}`)
    const one = text(maxBytes)
    for (const key of keys) {
      one.read(key, `${path} key`)
      one.read(map[key], `${path}.${key}`)
    }
    return map as Record<string, string>
  },
  write: (value) => value,
})

/** A map with exactly the given fields: an unknown or missing one is refused. */
export const record = <F extends Fields>(fields: F): Shape<Record_<F>> => {
  const names = Object.keys(fields)
  return {
    read(value, path) {
      const map = readMap(value, path)
      for (const key of Object.keys(map)) if (!Object.hasOwn(fields, key)) refuse(`${path}.${key}`, 'absent')
      const result: Record<string, unknown> = {}
      for (const name of names) {
        const read = fields[name]?.read(map[name], `${path}.${name}`)
        if (read !== undefined) result[name] = read
      }
      return result as Record_<F>
    },
    write(value) {
      const result: Record<string, unknown> = {}
      for (const name of names) {
        const written = fields[name]?.write((value as Record<string, unknown>)[name])
        if (written !== undefined) result[name] = written
      }
      return result
    },
  }
}

/** A map of one of several shapes; its field `kind` says which. */
export const oneOfKinds = <S extends Readonly<Record<string, Shape<{ readonly kind: string }>>>>(
  shapes: S,
): Shape<Read<S[keyof S]>> => {
  const shapeOf = (value: unknown, path: string): Shape<unknown> => {
    const { kind } = Object(value) as { kind?: unknown }
    const isKnown = typeof kind === 'string' && Object.hasOwn(shapes, kind)
    return (isKnown ? shapes[kind] : undefined) ?? refuse(`${path}.kind`, Object.keys(shapes).join(' or '))
  }
  return {
    read: (value, path) => shapeOf(value, path).read(value, path) as Read<S[keyof S]>,
    write: (value) => shapeOf(value, 'value').write(value),
  }
}

/**
 * The one encoding of `value`.
 * @throws TokError `internal_error` if `decodeBody` would refuse it: what nobody can read is never signed or kept
 */
export function encodeBody<T>(shape: Shape<T>, value: T): Uint8Array {
  const written = shape.write(value)
  try {
    shape.read(written, 'body')
  } catch (thrown) {
    throw new TokError('internal_error', { reason: reasonOf(thrown) }, { cause: thrown })
  }
  return encode(written)
}

/**
 * Reads a body of kind `what`.
 * @throws TokError `encoding_invalid` if it is not this shape, not in its only encoding, or has bytes left over
 */
export function decodeBody<T>(shape: Shape<T>, body: Uint8Array, what: string): T {
  try {
    const decoded: unknown = decode(body)
    const value = shape.read(decoded, what)
    if (!equalBytes(encode(decoded), body)) throw new Error('not in deterministic form')
    return value
  } catch (thrown) {
    throw new TokError('encoding_invalid', { what, reason: reasonOf(thrown) }, { cause: thrown })
  }
}

function readMap(value: unknown, path: string): Record<string, unknown> {
  const prototype: unknown = typeof value === 'object' && value !== null ? Object.getPrototypeOf(value) : undefined
  // A map that is to be written may have no prototype; a decoded one always has Object's.
  const isMap = prototype === Object.prototype || prototype === null
  return isMap ? (value as Record<string, unknown>) : refuse(path, 'a map')
}
