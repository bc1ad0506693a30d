import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { closingQuote, enclosingObject } from '../../../src/dialects/enclosing-object.ts'

describe('the object around a place', () => {
  // body, with | at the place | object
  it.each([
    ['{"a":{"b":|"c"}}', '{"b":"c"}'],
    ['{"a":{"b":"c"|}}', '{"b":"c"}'],
    ['{"a":{"b":"}{"},"c":|1}', '{"a":{"b":"}{"},"c":1}'],
    ['[{"a":"\\\\"},{"b":"\\"{","c":|[{}],"d":"}"},{}]', '{"b":"\\"{","c":[{}],"d":"}"}'],
    ['[|1]', undefined],
    ['|', undefined],
    ['{"a":|1', undefined],
  ])('in %s is %s', (marked, expected) => {
    const bytes = Buffer.from(marked.replace('|', ''))
    const span = enclosingObject(bytes, marked.indexOf('|'))
    expect(span === undefined ? undefined : bytes.toString('utf8', span.start, span.end)).toBe(expected)
  })

  it('is found in any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (before, within, after) => {
        const inner = JSON.stringify({ before, place: 0, within })
        const text = JSON.stringify([{ before, after: [after, '@', within] }]).replace('"@"', () => inner)
        const bytes = Buffer.from(text)
        const start = bytes.indexOf(inner)
        const at = start + Buffer.byteLength(inner.slice(0, inner.indexOf('"place":0') + 8))
        fc.pre(start !== -1 && inner.indexOf('"place":0') === inner.lastIndexOf('"place":0'))
        expect(enclosingObject(bytes, at)).toEqual({ start, end: start + Buffer.byteLength(inner) })
      }),
    )
  })
})

describe('the end of a string', () => {
  it.each([
    ['"abc",1', 4],
    ['"a\\"b"', 5],
    ['"a\\\\"', 4],
    ['"a\\"', -1],
  ])('%s is at %s', (text, end) => {
    expect(closingQuote(Buffer.from(text), 0)).toBe(end)
  })
})
