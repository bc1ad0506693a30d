import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokError } from '../../../src/base/errors.ts'
import { replaceModel, skimRequest } from '../../../src/dialects/skim-request.ts'

const skim = (text: string): ReturnType<typeof skimRequest> => skimRequest(Buffer.from(text))

function refusalOf(text: string): TokError {
  try {
    skim(text)
  } catch (error) {
    if (error instanceof TokError) return error
    throw error
  }
  throw new Error(`accepted ${text}`)
}

describe('skimming a request body', () => {
  it('reads model, stream and the output limit, and nothing below the top level', () => {
    const text =
      '{"messages":[{"model":"inner","stream":false}],"metadata":{"model":"inner"},"model":"gpt-5","stream":true,"max_tokens":10}'
    const skimmed = skim(text)
    expect(skimmed).toMatchObject({ model: 'gpt-5', stream: true, maxOutputTokens: 10 })
    expect(text.slice(skimmed.modelSpan.start, skimmed.modelSpan.end)).toBe('"gpt-5"')
  })

  it('takes a member name with escapes for what it means', () => {
    expect(skim(String.raw`{"mo\u0064el":"a\"b","s\u0074ream":true}`)).toMatchObject({ model: 'a"b', stream: true })
  })

  it('takes the output limit of each dialect, the greatest if there are several, for all choices together', () => {
    expect(skim('{"model":"m"}').maxOutputTokens).toBeUndefined()
    expect(skim('{"model":"m","max_tokens":null}').maxOutputTokens).toBeUndefined()
    expect(skim('{"model":"m","max_output_tokens":7}').maxOutputTokens).toBe(7)
    expect(skim('{"model":"m","max_tokens":7,"max_completion_tokens":9}').maxOutputTokens).toBe(9)
    expect(skim('{"model":"m","max_completion_tokens":9,"n":3}').maxOutputTokens).toBe(27)
    expect(skim('{"model":"m","max_tokens":-1.5}').maxOutputTokens).toBeUndefined()
  })

  it('tells whether an answer is not to be stored', () => {
    const texts = [
      '{"model":"m"}',
      '{"model":"m","store":null}',
      '{"model":"m","store":true}',
      '{"model":"m","store": false }',
    ]
    expect(texts.map((text) => skim(text).declinesStore)).toEqual([false, false, false, true])
  })

  it('reads "stream": null as not streaming', () => {
    expect(skim('{"model":"m","stream":null}').stream).toBe(false)
  })

  it.each([
    ['', 'expected "{" at byte 0'],
    ['[]', 'expected "{" at byte 0'],
    ['"model"', 'expected "{" at byte 0'],
    ['{"model":"m"', 'expected "," or "}" at byte 12'],
    ['{"model":"m', 'the body ends inside a string at byte 11'],
    ['{"model":"m","a":[1', 'the body ends inside an object or list at byte 19'],
    ['{"model":"m","a":[1}', 'a bracket closes another kind at byte 19'],
    ['{"model":"m"} {}', 'bytes after the end of the object at byte 14'],
    ['{"model":"m",}', 'expected a member name in quotes at byte 13'],
    ['{"model":"m" "a":1}', 'expected "," or "}" at byte 13'],
    ['{"model" "m"}', 'expected ":" at byte 9'],
    ['{"model":}', 'expected a value at byte 9'],
    ['{"model":"m","a":nul}', 'expected a value at byte 17'],
    ['{"model":"m","a":01}', 'expected a value at byte 17'],
    ['{model:"m"}', 'expected a member name in quotes at byte 1'],
    ['{"model":7}', '"model" is not a string at byte 9'],
    ['{"model":"m","stream":"yes"}', '"stream" is neither true nor false at byte 22'],
    ['{"model":"a","model":"b"}', '"model" stands there twice at byte 21'],
    [String.raw`{"model":"a","\u006dodel":"b"}`, '"model" stands there twice at byte 26'],
    ['{"model":"m","stream":true,"stream":false}', '"stream" stands there twice at byte 36'],
    [String.raw`{"model":"\x"}`, 'not a valid value at byte 9'],
    [`{"model":"m","a":${'['.repeat(1_001)}`, 'nested more than 1000 deep at byte 1017'],
  ])('refuses %s', (text, reason) => {
    expect(refusalOf(text)).toMatchObject({ code: 'body_malformed', details: { reason } })
  })

  it.each(['{}', '{"model":null}', '{"model":""}', '{"stream":true}'])('asks for a model: %s', (text) => {
    expect(refusalOf(text).code).toBe('model_missing')
  })

  const bodies = fc
    .record({
      rest: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ stringUnit: 'grapheme' })),
      model: fc.string({ unit: 'grapheme', minLength: 1 }),
      stream: fc.option(fc.boolean(), { nil: undefined }),
      maxTokens: fc.option(fc.nat(), { nil: undefined }),
      indent: fc.constantFrom(undefined, 1, '\t'),
      isFirst: fc.boolean(),
    })
    .map(({ rest, model, stream, maxTokens, indent, isFirst }) => {
      const { n: _n, stream: _stream, max_completion_tokens: _c, max_output_tokens: _o, ...others } = rest
      const own = { model, stream, max_tokens: maxTokens }
      return JSON.stringify(isFirst ? { ...own, ...others, ...own } : { ...others, ...own }, null, indent)
    })

  it('agrees with a full parser on every body', () => {
    fc.assert(
      fc.property(bodies, (text) => {
        const parsed = JSON.parse(text) as Record<string, unknown>
        const skimmed = skim(text)
        expect(skimmed.model).toBe(parsed['model'])
        expect(skimmed.stream).toBe(parsed['stream'] ?? false)
        expect(skimmed.maxOutputTokens).toBe(parsed['max_tokens'])
      }),
      { numRuns: 500 },
    )
  })

  it('refuses every body that was cut short, and every body with something after it', () => {
    fc.assert(
      fc.property(bodies, fc.nat(), fc.constantFrom('}', ']', 'x', '{}', ',', '"'), (text, cut, tail) => {
        const bytes = Buffer.from(text)
        expect(() => skimRequest(bytes.subarray(0, cut % bytes.length))).toThrow(TokError)
        expect(() => skimRequest(Buffer.concat([bytes, Buffer.from(tail)]))).toThrow(TokError)
      }),
    )
  })

  it('puts another model in and leaves every other byte as it was', () => {
    fc.assert(
      fc.property(bodies, fc.string({ unit: 'grapheme', minLength: 1 }), (text, name) => {
        const bytes = Buffer.from(text)
        const { modelSpan } = skimRequest(bytes)
        const changed = Buffer.from(replaceModel(bytes, modelSpan, name))
        expect(skimRequest(changed).model).toBe(name)
        expect(changed.subarray(0, modelSpan.start)).toEqual(bytes.subarray(0, modelSpan.start))
        const tail = bytes.length - modelSpan.end
        expect(changed.subarray(changed.length - tail)).toEqual(bytes.subarray(modelSpan.end))
      }),
    )
  })

  it('never hangs or crashes on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => skimRequest(bytes)).toThrow(TokError)
      }),
    )
  })
})
