/**
 * Comparing ways to the same answer: every round asks each of them, so that whatever else the machine does hits all alike.
 */
import { median } from './figures.ts'
import type { LoadJob, LoadResult } from './messages.ts'
import { createCpuMeter, type Program } from './workbench.ts'

export type Generator = Program<LoadJob, LoadResult>

/** One way to the answer: where to ask, and the process that is watched. */
export interface Way {
  readonly url: string
  readonly pid: number
}

/** What all rounds of one way came to. */
export interface Measured {
  readonly answers: number
  readonly events: number
  /** Of all rounds together. */
  readonly latenciesMs: readonly number[]
  /** Answers a second: the median of the rounds. */
  readonly perSecond: number
  /** CPU of the watched process, in ms; undefined where the kernel does not tell. */
  readonly cpuMs: number | undefined
  /** Share of one core that the generator used. */
  readonly generatorShare: number
}

/** Runs `job` on each way in turn, `rounds` times. */
export async function inTurn<Name extends string>(
  generator: Generator,
  ways: Readonly<Record<Name, Way>>,
  rounds: number,
  job: (url: string) => LoadJob,
): Promise<Readonly<Record<Name, Measured>>> {
  const runs = (Object.entries(ways) as [Name, Way][]).map(([name, { url, pid }]) => {
    return { name, url, meter: createCpuMeter(pid), results: [] as LoadResult[] }
  })
  for (let round = 0; round < rounds; round += 1) {
    for (const { url, meter, results } of runs) results.push(await meter.during(() => generator.ask(job(url))))
  }
  return Object.fromEntries(
    runs.map(({ name, meter, results }) => [name, measuredOf(results, meter.totalMs())]),
  ) as Record<Name, Measured>
}

function measuredOf(results: readonly LoadResult[], cpuMs: number | undefined): Measured {
  return {
    answers: sum(results.map(({ answers }) => answers)),
    events: sum(results.map(({ events }) => events)),
    latenciesMs: results.flatMap(({ latenciesMs }) => latenciesMs.flat()),
    perSecond: median(results.map(({ answers, elapsedMs }) => (answers * 1_000) / elapsedMs)),
    cpuMs,
    generatorShare: sum(results.map((each) => each.cpuMs)) / sum(results.map((each) => each.elapsedMs)),
  }
}

/** CPU for one of `count`, in µs. */
export function microsEach(cpuMs: number | undefined, count: number): number | undefined {
  return cpuMs === undefined ? undefined : (cpuMs * 1_000) / count
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
