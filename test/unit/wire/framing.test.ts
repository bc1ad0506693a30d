import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex, toHex, utf8 } from '../../../src/base/bytes.ts'
import { TokError } from '../../../src/base/errors.ts'
import { createFrameDecoder, encodeFrame, FRAME_HEADER_BYTES } from '../../../src/wire/framing.ts'
import { FRAMES, LIMITS } from '../../../src/wire/registry.ts'

interface Seen {
  readonly type: number
  readonly call: number
  readonly payload: string
}

function decode(chunks: readonly Uint8Array[]): Seen[] {
  const seen: Seen[] = []
  const decoder = createFrameDecoder((type, call, payload) => seen.push({ type, call, payload: toHex(payload) }))
  for (const chunk of chunks) decoder.push(chunk)
  decoder.end()
  return seen
}

function codeOf(run: () => void): string | undefined {
  try {
    run()
  } catch (thrown) {
    return thrown instanceof TokError ? thrown.code : String(thrown)
  }
  return undefined
}

describe('a frame', () => {
  // The vectors of protocols/framing/v1.md.
  test.each([
    [FRAMES.part, 0x01020304, '616263', '000000081401020304616263'],
    [FRAMES.credit, 1, '00040000', '00000009050000000100040000'],
    [FRAMES.close, 7, '', '000000050600000007'],
    [FRAMES.advertQuery, 0, '', '000000053100000000'],
  ])('of type %i is length, type, call number and payload, big-endian', (type, call, payload, bytes) => {
    expect(toHex(encodeFrame(type, call, fromHex(payload)))).toBe(bytes)
    expect(decode([fromHex(bytes)])).toEqual([{ type, call, payload }])
  })

  test('may be empty, and is given as soon as its header is whole', () => {
    const seen: number[] = []
    const decoder = createFrameDecoder((type) => seen.push(type))
    decoder.push(encodeFrame(FRAMES.close, 7, new Uint8Array(0)))
    expect(seen).toEqual([FRAMES.close])
  })

  test('may carry the whole limit and no byte more', () => {
    const payload = new Uint8Array(LIMITS.framePayloadBytes)
    expect(decode([encodeFrame(1, 1, payload)])).toHaveLength(1)
    expect(codeOf(() => encodeFrame(1, 1, new Uint8Array(LIMITS.framePayloadBytes + 1)))).toBe('frame_too_large')
  })

  test('keeps its payload apart from the bytes it was read from', () => {
    const bytes = encodeFrame(1, 1, utf8('abc'))
    const payloads: Uint8Array[] = []
    createFrameDecoder((_, __, payload) => payloads.push(payload)).push(bytes)
    bytes.fill(0)
    expect(toHex(payloads[0] ?? new Uint8Array(0))).toBe('616263')
  })
})

describe('reading a stream', () => {
  test('gives the same frames however the bytes are cut', () => {
    const frames = fc.array(
      fc.record({
        type: fc.integer({ min: 0, max: 255 }),
        call: fc.integer({ min: 0, max: 0xffffffff }),
        payload: fc.uint8Array({ maxLength: 40 }),
      }),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(({ type, call, payload }) => encodeFrame(type, call, payload)))
        const chunks: Uint8Array[] = []
        for (let offset = 0, index = 0; offset < bytes.byteLength; index += 1) {
          const length = cuts[index % cuts.length] ?? 1
          chunks.push(bytes.subarray(offset, offset + length))
          offset += length
        }
        expect(decode(chunks)).toEqual(sent.map(({ type, call, payload }) => ({ type, call, payload: toHex(payload) })))
      }),
    )
  })

  test.each([
    ['a length beyond the limit', '000100061400000001', 'frame_too_large'],
    ['the largest length of all', 'ffffffff1400000001', 'frame_too_large'],
    ['a length of nothing', '000000001400000001', 'frame_malformed'],
    ['a length that cuts the header short', '000000041400000001', 'frame_malformed'],
  ])('refuses %s before it takes in a payload', (_, header, code) => {
    expect(header).toHaveLength(2 * FRAME_HEADER_BYTES)
    expect(codeOf(() => createFrameDecoder(() => undefined).push(fromHex(header)))).toBe(code)
  })

  test.each([1, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + 1])(
    'that ends %i bytes into a frame is malformed',
    (bytes) => {
      const frame = encodeFrame(FRAMES.part, 1, utf8('abc'))
      expect(codeOf(() => decode([frame.subarray(0, bytes)]))).toBe('frame_malformed')
    },
  )
})
