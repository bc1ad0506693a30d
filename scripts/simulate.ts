/**
 * Runs a simulated market and says what came of it: `npm run simulate -- --seed 7 --nodes 100 --minutes 30`.
 * Without a seed it draws one, and prints it. A failure prints seed, step and the last events, and exits 1; the same seed and
 * options fail at the same step again. See docs/reliability.md.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { formatAmount } from '../src/base/amount.ts'
import { QUIET, simulate, SimulationFailure, type SimulationOptions } from '../test/simulation/simulation.ts'

/** The headline of docs/reliability.md. */
const HEADLINE = {
  nodes: '100',
  minutes: '30',
  calls: '600',
  'answer-s': '40',
  'kill-every-s': '5',
  'loss-percent': '2',
  partitions: '5',
  'clock-jumps': '10',
  'disk-failures': '10',
  restores: '0',
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    ...Object.fromEntries(
      Object.entries(HEADLINE).map(([name, preset]) => [name, { type: 'string' as const, default: preset }]),
    ),
    /** Lines of the trace to print at a failure. */
    lines: { type: 'string', default: '40' },
  },
})

const given = values as Readonly<Record<string, string>>
const numberOf = (name: string): number => {
  const number = Number(given[name])
  if (!Number.isFinite(number) || number < 0) throw new Error(`--${name} takes a number that is not negative`)
  return number
}

const options: SimulationOptions = {
  ...QUIET,
  isPair: false,
  seed: numberOf('seed'),
  nodes: numberOf('nodes'),
  minutes: numberOf('minutes'),
  calls: numberOf('calls'),
  answerSecondsMax: numberOf('answer-s'),
  killEveryS: numberOf('kill-every-s'),
  lossPart: numberOf('loss-percent') / 100,
  partitions: numberOf('partitions'),
  clockJumps: numberOf('clock-jumps'),
  diskFailures: numberOf('disk-failures'),
  restores: numberOf('restores'),
  onMinute: ({ accepted, settledCalls }, minute) =>
    console.log(`minute ${minute}: ${accepted} calls accepted, ${settledCalls} settled`),
}

const startedAtMs = performance.now()
console.log(`seed ${options.seed}`)
try {
  const { figures, faults, ...report } = await simulate(options)
  const { settledMicros, failures, callSeconds, ...counts } = figures
  console.log(
    JSON.stringify(
      {
        ...report,
        ...faults,
        ...counts,
        callsAtOnceMean: Math.round(callSeconds / (options.minutes * 60)),
        settled: formatAmount(settledMicros),
        failures,
        wallSeconds: Math.round((performance.now() - startedAtMs) / 1_000),
      },
      undefined,
      2,
    ),
  )
} catch (thrown) {
  if (!(thrown instanceof SimulationFailure)) throw thrown
  console.error(thrown.lastLines.slice(-numberOf('lines')).join('\n'))
  console.error(thrown.message)
  process.exitCode = 1
}
