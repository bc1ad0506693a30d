import { encode } from '@ipld/dag-cbor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equalBytes, fromHex } from '../../../src/base/bytes.ts'
import { TokError } from '../../../src/base/errors.ts'
import {
  amount,
  bytes,
  bytesUpTo,
  cutToWireText,
  decodeBody,
  encodeBody,
  isWireText,
  list,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint,
  type Read,
} from '../../../src/wire/shape.ts'

const parcel = record({
  kind: oneOf('letter', 'box'),
  weight: uint,
  value: amount,
  label: text(40),
  seal: bytes(4),
  content: bytesUpTo(16),
  stamps: list(text(10), 3),
  notes: texts(3, 20),
  insurance: optional(amount),
})
type Parcel = Read<typeof parcel>

const readableText = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .string({ minLength: 1, maxLength, unit: 'grapheme' })
    .filter((each) => Buffer.byteLength(each) <= maxLength && !each.startsWith('\ufeff'))

const parcels: fc.Arbitrary<Parcel> = fc.record(
  {
    kind: fc.constantFrom('letter', 'box'),
    weight: fc.oneof(fc.maxSafeNat(), fc.nat({ max: 300 })),
    value: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    label: readableText(40),
    seal: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    content: fc.uint8Array({ maxLength: 16 }),
    stamps: fc.array(readableText(10), { maxLength: 3 }),
    notes: fc.dictionary(readableText(20), readableText(20), { maxKeys: 3, noNullPrototype: true }),
    insurance: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  },
  { requiredKeys: ['kind', 'weight', 'value', 'label', 'seal', 'content', 'stamps', 'notes'], noNullPrototype: true },
)

const small: Parcel = {
  kind: 'letter',
  weight: 20,
  value: 1_000n,
  label: 'to a friend',
  seal: fromHex('01020304'),
  content: new Uint8Array(),
  stamps: [],
  notes: {},
}

describe('a body', () => {
  test('reads back as it was written', () => {
    fc.assert(
      fc.property(parcels, (value) => {
        expect(decodeBody(parcel, encodeBody(parcel, value), 'parcel')).toEqual(value)
      }),
    )
  })

  test('has one encoding: changed bytes are refused, or are the encoding of what they read as', () => {
    const change = fc.record({ at: fc.nat(), by: fc.integer({ min: 1, max: 255 }) })
    fc.assert(
      fc.property(parcels, change, fc.constantFrom('flip', 'insert', 'remove'), (value, { at, by }, how) => {
        const body = encodeBody(parcel, value)
        const offset = at % body.length
        const before = body.subarray(0, offset)
        const changed = {
          flip: Buffer.concat([before, Uint8Array.of(body[offset]! ^ by), body.subarray(offset + 1)]),
          insert: Buffer.concat([before, Uint8Array.of(by), body.subarray(offset)]),
          remove: Buffer.concat([before, body.subarray(offset + 1)]),
        }[how]
        const read = readOrRefuse(changed)
        if (read !== undefined) expect(equalBytes(encodeBody(parcel, read), changed)).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })

  test('of random bytes is refused by name, never with a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (random) => {
        expect(readOrRefuse(random)).toBeUndefined()
      }),
      { numRuns: 1_000 },
    )
  })

  test('of any CBOR value is refused unless it is the shape', () => {
    const values = fc.oneof(
      fc.jsonValue().filter((value) => value !== null),
      fc.object({ withBigInt: false, values: [fc.integer(), fc.string(), fc.boolean()] }),
    )
    fc.assert(
      fc.property(values, (value) => {
        expect(readOrRefuse(encode(value))).toBeUndefined()
      }),
    )
  })

  function readOrRefuse(body: Uint8Array): Parcel | undefined {
    try {
      return decodeBody(parcel, body, 'parcel')
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(TokError)
      expect(thrown).toMatchObject({ code: 'encoding_invalid' })
      return undefined
    }
  }
})

describe('a refusal names the field', () => {
  test.each([
    ['parcel.weight', { weight: -1 }],
    ['parcel.weight', { weight: 2 ** 53 }],
    ['parcel.value', { value: -1 }],
    ['parcel.kind', { kind: 'crate' }],
    ['parcel.label', { label: '' }],
    ['parcel.label', { label: 'x'.repeat(41) }],
    ['parcel.seal', { seal: new Uint8Array(5) }],
    ['parcel.content', { content: new Uint8Array(17) }],
    ['parcel.stamps', { stamps: ['a', 'b', 'c', 'd'] }],
    ['parcel.stamps[1]', { stamps: ['a', 7] }],
    ['parcel.notes', { notes: { a: 'a', b: 'b', c: 'c', d: 'd' } }],
    ['parcel.notes.a', { notes: { a: '' } }],
    ['parcel.insurance', { insurance: null }],
    ['parcel.colour', { colour: 'red' }],
  ])('%s', (path, wrong) => {
    expect(() => decodeBody(parcel, encode({ ...small, ...wrong }), 'parcel')).toThrow(`${path} must be`)
  })
})

describe('what could not be read back is never written', () => {
  test.each([
    ['a byte order mark, which decoders drop', { label: '\ufeffhello' }],
    ['half a surrogate pair, which decoders replace', { label: 'a\ud800' }],
    ['a text that is too long', { label: 'x'.repeat(41) }],
    ['a count that is no number', { weight: Number.NaN }],
    ['a negative amount', { value: -1n }],
    ['an amount of 2^63', { value: 2n ** 63n }],
    ['a note with a byte order mark', { notes: { a: '\ufeff' } }],
  ])('%s', (_, wrong) => {
    expect(() => encodeBody(parcel, { ...small, ...wrong })).toThrow(
      expect.objectContaining({ code: 'internal_error' }),
    )
  })

  test('but a map without a prototype is written as any other', () => {
    const notes = Object.assign(Object.create(null) as Record<string, string>, { a: 'b' })
    expect(decodeBody(parcel, encodeBody(parcel, { ...small, notes }), 'parcel').notes).toEqual({ a: 'b' })
  })
})

describe('a foreign text that is cut', () => {
  test('may stand in a message, and is the text itself where that may', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat({ max: 30 }), (value, maxBytes) => {
        const cut = cutToWireText(value, maxBytes)
        expect(cut === '' || isWireText(cut, maxBytes)).toBe(true)
        if (isWireText(value, maxBytes)) expect(cut).toBe(value)
      }),
    )
  })

  test.each([
    ['plain', 3, 'pla'],
    ['né', 2, 'n'],
    ['a😀b', 4, 'a'],
    ['a😀b', 5, 'a😀'],
    ['a\ud800b', 10, 'a\ufffdb'],
    ['\ufeff\ufeffhello', 10, 'hello'],
    ['\ufeff', 10, ''],
  ])('%j to %i bytes is %j', (value, maxBytes, cut) => {
    expect(cutToWireText(value, maxBytes)).toBe(cut)
  })
})
