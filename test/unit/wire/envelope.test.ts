import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equalBytes, sha256, toHex, utf8 } from '../../../src/base/bytes.ts'
import { TokError } from '../../../src/base/errors.ts'
import {
  checkSignature,
  decodeEnvelope,
  encodeEnvelope,
  open,
  seal,
  signingInput,
  type Kind,
} from '../../../src/wire/envelope.ts'
import { nodeKeyFromSeed } from '../../../src/wire/identity.ts'
import { bytes, oneOf, record, text, type Read } from '../../../src/wire/shape.ts'

const key = nodeKeyFromSeed(new Uint8Array(32).fill(4))
const noteShape = record({ type: oneOf('test/note/1'), author: bytes(32), words: text(60) })
type Note = Read<typeof noteShape>
const NOTE: Kind<Note> = { name: 'note', domain: 'test/note/1', shape: noteShape, signerOf: ({ author }) => author }

const note = (words: string): Note => ({ type: 'test/note/1', author: key.publicKey, words })
const words = fc.string({ minLength: 1, maxLength: 20 })

describe('a sealed message', () => {
  test('opens to what was sealed, under the same id', () => {
    fc.assert(
      fc.property(words, (text_) => {
        const sealed = seal(NOTE, note(text_), key)
        const opened = open(NOTE, decodeEnvelope(encodeEnvelope(sealed), 'note'))
        expect(opened.value).toEqual(note(text_))
        expect(toHex(opened.id)).toBe(toHex(sha256(sealed.body)))
      }),
    )
  })

  test('does not open with any byte of its envelope changed', () => {
    const whole = encodeEnvelope(seal(NOTE, note('hello'), key))
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = whole.slice()
        changed[at]! ^= by
        expect(() => open(NOTE, decodeEnvelope(changed, 'note'))).toThrow(TokError)
      }),
      { numRuns: 300 },
    )
  })

  test('keeps its id when its envelope is written again', () => {
    const sealed = seal(NOTE, note('hello'), key)
    const { body, signature } = decodeEnvelope(encodeEnvelope(sealed), 'note')
    expect(equalBytes(encodeEnvelope({ body, signature }), encodeEnvelope(sealed))).toBe(true)
  })

  test('means nothing for another purpose', () => {
    const sealed = seal(NOTE, note('hello'), key)
    const other = { ...NOTE, name: 'letter', domain: 'test/letter/1' }
    expect(() => checkSignature(other, key.publicKey, sealed)).toThrow('the signature of a letter does not verify')
  })
})

test('random bytes are no envelope', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      expect(() => decodeEnvelope(random, 'note')).toThrow(expect.objectContaining({ code: 'encoding_invalid' }))
    }),
  )
})

test('a signature covers the domain, a zero byte and the digest of the body', () => {
  const body = utf8('body')
  const input = signingInput('test/note/1', body)
  expect(toHex(input)).toBe(`${toHex(utf8('test/note/1'))}00${toHex(sha256(body))}`)
})
