/**
 * Measures what the project promises: `npm run bench`, or `npm run bench -- GROUP…` for passthrough, dialects,
 * market, ledger, start.
 * Prints a table and writes bench-results.json. What each figure means stands in docs/performance.md.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { benchDialects } from './bench/dialects.ts'
import { isMet, tableOf, type Figure } from './bench/figures.ts'
import { benchLedger } from './bench/ledger.ts'
import { benchMarket } from './bench/market.ts'
import { benchPassthrough } from './bench/passthrough.ts'
import { benchStart } from './bench/start.ts'
import { createWorkbench, type Workbench } from './bench/workbench.ts'

const GROUPS: Readonly<Record<string, (bench: Workbench) => Promise<Figure[]>>> = {
  passthrough: benchPassthrough,
  dialects: benchDialects,
  market: benchMarket,
  ledger: benchLedger,
  start: benchStart,
}

const RESULTS = join(import.meta.dirname, '../bench-results.json')

/** Longer than a group takes on a slow machine; a bench that hangs ends with the name of what hung. */
const GROUP_LIMIT_MS = 900_000

async function main(words: readonly string[]): Promise<void> {
  const unknown = words.find((word) => !Object.hasOwn(GROUPS, word))
  if (unknown !== undefined) {
    console.error(`no group "${unknown}"; there are ${Object.keys(GROUPS).join(', ')}`)
    process.exitCode = 2
    return
  }
  const machine = describeMachine()
  const [load = 0] = machine.loadBefore
  console.log(`${machine.cores} cores (${machine.cpu}), Node ${machine.node}, load ${load.toFixed(2)} before the run`)
  if (load > machine.cores / 2)
    console.log('The machine is busy: the figures say as much about that as about tok-node.')

  const figures: Figure[] = []
  for (const name of words.length === 0 ? Object.keys(GROUPS) : words) {
    const found = await runGroup(name)
    console.log(tableOf(found).join('\n'))
    figures.push(...found)
  }
  writeFileSync(
    RESULTS,
    `${JSON.stringify({ machine: { ...machine, loadAfter: loadavg() }, figures: figures.map(withVerdict) }, undefined, 2)}\n`,
  )

  const missed = figures.filter((figure) => isMet(figure) === false)
  const judged = figures.filter((figure) => isMet(figure) !== undefined)
  console.log(`\n${judged.length - missed.length} of ${judged.length} targets met; written to bench-results.json`)
}

/** Every group brings its own processes and leaves none, so that none of them loads the next group. */
async function runGroup(name: string): Promise<Figure[]> {
  const bench = createWorkbench()
  const onInterrupt = (): void => {
    void bench.close().then(() => process.exit(130))
  }
  process.once('SIGINT', onInterrupt)
  process.once('SIGTERM', onInterrupt)
  const limit = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => limit.reject(new Error(`"${name}" is not over after ${GROUP_LIMIT_MS} ms`)),
    GROUP_LIMIT_MS,
  )
  try {
    return await Promise.race([GROUPS[name]?.(bench) ?? [], limit.promise])
  } finally {
    clearTimeout(timer)
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onInterrupt)
    await bench.close()
  }
}

function describeMachine() {
  return {
    at: new Date().toISOString(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    loadBefore: loadavg(),
    version: (
      JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { readonly version: string }
    ).version,
  }
}

function withVerdict(figure: Figure) {
  const met = isMet(figure)
  return met === undefined ? figure : { ...figure, met }
}

await main(process.argv.slice(2))
