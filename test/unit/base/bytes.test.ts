import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  equalBytes,
  fromBase64Url,
  fromHex,
  sha256,
  systemRandomBytes,
  toBase64Url,
  toHex,
  utf8,
} from '../../../src/base/bytes.ts'

test('a digest is the SHA-256 that everyone else computes', () => {
  // FIPS 180-2, appendix B.1.
  expect(toHex(sha256(utf8('abc')))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

test('bytes survive hexadecimal and base64url', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(fromHex(toHex(bytes))).toEqual(bytes)
      expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes)
    }),
  )
})

test('a view into a larger buffer is printed without its surroundings', () => {
  const view = new Uint8Array([0xff, 1, 2, 0xff]).subarray(1, 3)
  expect(toHex(view)).toBe('0102')
  expect(toBase64Url(view)).toBe('AQI')
})

test('a foreign character ends the reading of hexadecimal', () => {
  expect(fromHex('01zz02')).toEqual(new Uint8Array([1]))
})

test('bytes are equal only to the same bytes', () => {
  expect(equalBytes(utf8('tok'), utf8('tok'))).toBe(true)
  expect(equalBytes(utf8('tok'), utf8('toks'))).toBe(false)
  expect(equalBytes(utf8('tok'), utf8('tol'))).toBe(false)
})

test('random bytes have the length asked for and do not repeat', () => {
  const [first, second] = [systemRandomBytes(32), systemRandomBytes(32)]
  expect(first).toHaveLength(32)
  expect(equalBytes(first, second)).toBe(false)
})
