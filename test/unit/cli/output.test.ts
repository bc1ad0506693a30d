import { describe, expect, it } from 'vitest'
import { duration, harmless, table, usd } from '../../../src/cli/output.ts'

describe('text of others on a terminal', () => {
  const attempts: [what: string, text: string, shown: string][] = [
    ['a colour', '\u001b[31mred', '[31mred'],
    ['a cursor move', 'a\u001b[2Ab', 'a[2Ab'],
    ['an eight-bit control', 'a\u009b2Jb', 'a2Jb'],
    ['a carriage return that overwrites the line', 'bad\rgood', 'badgood'],
    ['a reversed reading direction', 'a\u202eb', 'ab'],
    ['line breaks and tabs, which stay', 'a\n\tb', 'a\n\tb'],
    ['other scripts, which stay', 'größe 模型 🙂', 'größe 模型 🙂'],
  ]
  it.each(attempts)('cannot hold %s', (_, text, shown) => {
    expect(harmless(text)).toBe(shown)
  })
})

it('a table aligns numbers to the right and ends no line with blanks', () => {
  expect(
    table(
      ['model', '>price', ''],
      [
        ['a', '1', ''],
        ['longer', '20', 'x'],
      ],
    ),
  ).toEqual(['model   price', 'a           1', 'longer     20  x'])
})

it.each([
  ['250000', '0.25 USD'],
  ['-1', '-0.000001 USD'],
  ['12000000', '12.00 USD'],
])('%s micros read %s', (micros, text) => {
  expect(usd(micros)).toBe(text)
})

it.each([
  [-5, '0 s'],
  [59_400, '59 s'],
  [61_000, '1 min 1 s'],
  [7_380_000, '2 h 3 min'],
  [180_000_000, '2 d 2 h'],
])('%d ms read "%s"', (spanMs, text) => {
  expect(duration(spanMs)).toBe(text)
})
