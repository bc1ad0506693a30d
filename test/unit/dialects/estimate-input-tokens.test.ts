import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { estimateInputTokens, tokenCountAnswer } from '../../../src/dialects/estimate-input-tokens.ts'

const estimate = (text: string): number => estimateInputTokens(Buffer.from(text))
const BLOB = 'A'.repeat(512)

describe('estimating input tokens', () => {
  it.each([
    ['', 3, 'a base of 3'],
    ['{}', 3, 'brackets count nothing'],
    ['{"ab":"cdef"}', 5, '6 bytes of strings, names included'],
    ['{"ab":"日本"}', 5, 'bytes, not characters: 2 + 6'],
    [String.raw`{"ab":"\n\n\"\\"}`, 5, 'a short escape counts 1: 2 + 4'],
    [String.raw`{"ab":"\u65e5\u672c"}`, 5, 'a long escape counts 3: 2 + 6'],
    ['[1,-2.5e3,300]', 6, 'each number is a token'],
    ['{"a":true,"b":null}', 4, 'literals count nothing'],
    [`{"a":"${BLOB}"}`, 4, 'an opaque string counts nothing'],
    [`{"a":"${BLOB.slice(1)}"}`, 131, 'a shorter one is text: 1 + 511'],
    [`{"a":"data:image/png;base64,${BLOB}"}`, 4, 'a data URL is opaque'],
    [`{"a":"${BLOB} "}`, 132, 'a space makes it text: 1 + 513'],
    ['{"type":"image"}', 1_606, 'an attachment: 9 bytes and 1,600 tokens'],
    ['{"type" : "input_image"}', 1_607, 'whatever space is between'],
    ['{"kind":"image"}', 6, 'only under "type"'],
    ['{"type":"text","a":"image"}', 1_603 - 1_600 + 4, 'only the next string'],
    ['{"a":"type","image":1}', 3 + Math.ceil(14 / 4), 'a value "type" is no member name'],
  ])('%s is %i tokens: %s', (text, tokens) => {
    expect(estimate(text)).toBe(tokens)
  })

  it('counts a picture once in every dialect', () => {
    const bodies = [
      { type: 'image_url', image_url: { url: `data:image/png;base64,${BLOB}` } },
      { type: 'input_image', image_url: `data:image/png;base64,${BLOB}` },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: BLOB } },
    ]
    for (const body of bodies) {
      const tokens = estimate(JSON.stringify(body))
      expect(tokens).toBeGreaterThan(1_600)
      expect(tokens).toBeLessThan(1_630)
    }
  })

  it('stays near a quarter of the bytes of prose, and answers for any bytes', () => {
    const prose = 'It was a bright cold day in April, and the clocks were striking thirteen. '.repeat(200)
    const tokens = estimate(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: prose }] }))
    expect(tokens / (prose.length / 4)).toBeCloseTo(1, 1)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        const counted = estimateInputTokens(bytes)
        expect(Number.isSafeInteger(counted) && counted >= 3).toBe(true)
      }),
    )
  })

  it('is told to clients of count_tokens in their own form', () => {
    expect(Buffer.from(tokenCountAnswer(42)).toString()).toBe('{"input_tokens":42}')
  })
})
