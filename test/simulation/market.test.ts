/**
 * Whole markets in virtual time, with everything that goes wrong in real ones: small enough for each run of the tests. Longer ones:
 * docs/reliability.md.
 */
import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { QUIET, simulate, type SimulationOptions } from './simulation.ts'

const BAD_DAY: SimulationOptions = {
  ...QUIET,
  isPair: false,
  nodes: 8,
  minutes: 1,
  calls: 40,
  killEveryS: 3,
  lossPart: 0.02,
  partitions: 3,
  clockJumps: 4,
  diskFailures: 3,
}

test('a market in which nothing fails answers every question, pays every answer and agrees', async () => {
  const { figures, exportsVerified } = await simulate({ ...BAD_DAY, ...NOTHING_FAILS })
  expect(figures.settledCalls).toBeGreaterThan(60)
  expect(figures.answeredWell).toBeGreaterThan(60)
  expect([figures.lostTokensMax, figures.settledBelowNewestVoucher, exportsVerified]).toEqual([0, 0, 8])
})

// A fresh seed each time looks where nobody looked before; a failure names it.
test.each([1, 2, 3, randomInt(2 ** 31)])(
  'seed %i: nodes die, the network splits, disks fail, clocks jump, and no micro is lost',
  async (seed) => {
    const { figures, faults, exportsVerified } = await simulate({ ...BAD_DAY, seed })
    expect(faults.deaths).toBeGreaterThan(10)
    expect(figures.settledCalls).toBeGreaterThan(30)
    expect([figures.rejections, exportsVerified]).toEqual([0, 8])
  },
)

test.each([4, randomInt(2 ** 31)])('seed %i: nodes restored from older copies are brought back', async (seed) => {
  const { faults, exportsVerified } = await simulate({ ...BAD_DAY, restores: 4, seed })
  expect([faults.restores, exportsVerified]).toEqual([4, 8])
})

test('the same seed is the same run, event by event', async () => {
  const options = { ...BAD_DAY, restores: 2, seed: 5 }
  const first = await simulate(options)
  const second = await simulate(options)
  expect(second).toEqual(first)
  const other = await simulate({ ...options, seed: 6 })
  expect(other.digest).not.toBe(first.digest)
})

const NOTHING_FAILS: Partial<SimulationOptions> = {
  killEveryS: 0,
  lossPart: 0,
  partitions: 0,
  clockJumps: 0,
  diskFailures: 0,
}
