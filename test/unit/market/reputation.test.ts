import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { createReputation, type Reputation } from '../../../src/market/reputation.ts'

const GOOD = { succeeded: true, firstPartMs: 100, tokensPerSecond: 50 }
const BAD = { succeeded: false, firstPartMs: undefined, tokensPerSecond: undefined }

function start(): { reputation: Reputation; pass: (seconds: number) => void } {
  let nowMs = 0
  const reputation = createReputation({ clock: { ...systemClock, monotonicMs: () => nowMs } })
  return { reputation, pass: (seconds) => (nowMs += seconds * 1_000) }
}

/**
 * Each step is a success (+), a failure (-) or seconds that pass; the last column is how long the seller rests then, in s.
 */
const STORIES = `
  what happened                                        | steps                  | rests
  nothing is known                                     |                        | 0
  one failure removes nobody                           | -                      | 0
  two failures neither                                 | - -                    | 0
  three within a minute                                | - - -                  | 15
  three, not within a minute                           | - 40 - 40 -            | 0
  a success in between                                 | - - + - -              | 0
  half of the rest is over                             | - - - 8                | 7
  the rest is over                                     | - - - 15               | 0
  one more failure after the rest: twice as long       | - - - 15 -             | 30
  and again                                            | - - - 15 - 30 -        | 60
  never longer than ten minutes                        | - - - 15 - 30 - 60 - 120 - 240 - 480 - 600 - | 600
  a success after the rest forgives                    | - - - 15 + - -         | 0
  and the next rest is short again                     | - - - 15 - 30 + - - -  | 15
  calls that were under way when the rest began        | - - - - - - - 5        | 10
`
  .trim()
  .split('\n')
  .slice(1)
  .map((row) => row.split('|').map((cell) => cell.trim()) as [string, string, string])

describe('a seller that fails rests, and comes back', () => {
  test.each(STORIES)('%s', (_, steps, rests) => {
    const { reputation, pass } = start()
    for (const step of steps.split(/\s+/).filter(Boolean)) {
      if (step === '+') reputation.note('seller', GOOD)
      else if (step === '-') reputation.note('seller', BAD)
      else pass(Number(step))
    }
    expect(reputation.of('seller').restsForMs / 1_000).toBe(Number(rests))
  })
})

test('calls are counted, and times averaged with more weight on the newest', () => {
  const { reputation } = start()
  reputation.note('seller', { succeeded: true, firstPartMs: 100, tokensPerSecond: undefined })
  reputation.note('seller', { succeeded: true, firstPartMs: 200, tokensPerSecond: 40 })
  reputation.note('seller', BAD)
  expect(reputation.of('seller')).toEqual({
    succeeded: 2,
    failed: 1,
    firstPartMs: 130,
    tokensPerSecond: 40,
    restsForMs: 0,
  })
  expect(reputation.of('another')).toMatchObject({ succeeded: 0, failed: 0, firstPartMs: undefined })
})
