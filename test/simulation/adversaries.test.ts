/**
 * Random schedules of one buyer and one seller, honest and not, over disks that crash and a network that breaks: the invariants of
 * protocols/account/v1.md hold for whoever keeps the rules. fast-check prints the seed and the smallest schedule of a failure.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ADVERSARIES } from './adversaries.ts'
import { QUIET, simulate, type SimulationOptions } from './simulation.ts'

/** What may happen to a pair within a minute. */
const anyMinute: fc.Arbitrary<SimulationOptions> = fc.record({
  ...Object.fromEntries(Object.entries(QUIET).map(([name, value]) => [name, fc.constant(value)])),
  seed: fc.nat(),
  calls: fc.integer({ min: 1, max: 12 }),
  killEveryS: fc.constantFrom(0, 2, 5, 11),
  lossPart: fc.constantFrom(0, 0.02, 0.2),
  partitions: fc.nat({ max: 2 }),
  clockJumps: fc.nat({ max: 2 }),
  diskFailures: fc.nat({ max: 2 }),
  restores: fc.nat({ max: 2 }),
  windowTokens: fc.constantFrom(16, 64, 256),
  lineMicros: fc.constantFrom(1_000n, 5_000n, 1_000_000n),
}) as fc.Arbitrary<SimulationOptions>

test('two honest nodes keep every invariant, whatever happens to them', async () => {
  await fc.assert(
    fc.asyncProperty(anyMinute, async (options) => {
      await simulate(options)
    }),
    { numRuns: 25 },
  )
})

test.each(ADVERSARIES)('a $role that $name takes nothing from an honest node', async ({ tamper, side }) => {
  await fc.assert(
    fc.asyncProperty(anyMinute, async (options) => {
      const tamperOf = (index: number) => (index === side ? tamper : undefined)
      await simulate({ ...options, restores: 0, lawless: [side], tamperOf })
    }),
    { numRuns: 5 },
  )
})

test('both sides are played', () => {
  expect(new Set(ADVERSARIES.map(({ side }) => side))).toEqual(new Set([0, 1]))
})
