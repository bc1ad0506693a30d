import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSseReader, type SseEvent } from '../../../src/dialects/sse.ts'

function readAll(
  pieces: readonly Uint8Array[],
  eventCharactersMax?: number,
): { events: SseEvent[]; overflowed: boolean } {
  const events: SseEvent[] = []
  const reader = createSseReader((event) => events.push(event), eventCharactersMax)
  for (const piece of pieces) reader.push(piece)
  reader.end()
  return { events, overflowed: reader.overflowed }
}

function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end))
}

const STREAM = [
  ': a comment',
  'event: first',
  'data: {"text":"grüße 日本 👋"}',
  '',
  'data: one',
  'data: two',
  '',
  'id: 7',
  'data:[DONE]',
  '',
  '',
]
const EVENTS: SseEvent[] = [
  { name: 'first', data: '{"text":"grüße 日本 👋"}' },
  { name: undefined, data: 'one\ntwo' },
  { name: undefined, data: '[DONE]' },
]

describe('reading server-sent events', () => {
  it.each([
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ])('gives the same events however the bytes are cut, with lines ended by %s', (_, lineEnd) => {
    const bytes = Buffer.from(STREAM.join(lineEnd))
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
        expect(readAll(cutAt(bytes, cuts)).events).toEqual(EVENTS)
      }),
    )
    expect(readAll([...bytes].map((byte) => Uint8Array.of(byte))).events).toEqual(EVENTS)
  })

  it('hands out a last event that lacks only its blank line', () => {
    expect(readAll([Buffer.from('data: [DONE]')]).events).toEqual([{ name: undefined, data: '[DONE]' }])
    expect(readAll([Buffer.from('data: [DONE]\r')]).events).toEqual([{ name: undefined, data: '[DONE]' }])
  })

  it('stops at an event longer than allowed, at the same one however the bytes are cut', () => {
    const bytes = Buffer.from(`data: short\n\ndata: ${'x'.repeat(101)}\n\ndata: after\n\n`)
    const expected = { events: [{ name: undefined, data: 'short' }], overflowed: true }
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
        expect(readAll(cutAt(bytes, cuts), 100)).toEqual(expected)
      }),
    )
    expect(readAll([Buffer.from(`data: ${'x'.repeat(100)}\n\n`)], 100).overflowed).toBe(false)
  })
})
