/**
 * Statements per second between one seller's ledger and those of several buyers, all in one process over real LevelDBs: from the
 * proposal to the countersignature, durable on both sides. The calls they settle are made before, and not counted.
 */
import type { Figure } from './figures.ts'
import { figure, openFresh, pairUp, settle, trade, type TradingPair } from './ledger-calls.ts'
import type { Workbench } from './workbench.ts'

/** Accounts that settle at once; an account settles one statement after the other. */
const ACCOUNTS = 16
const WAVES = { 1: 60, 32: 6 } as const

export async function benchStatements(bench: Workbench): Promise<Figure[]> {
  const seller = await openFresh(bench)
  const pairs = await Promise.all(Array.from({ length: ACCOUNTS }, async () => pairUp(await openFresh(bench), seller)))
  await rateOfStatements(pairs, 1) // what runs all day is measured, not the first while code is compiled
  const what = `${ACCOUNTS} accounts at once, both sides in this process`
  const figures = [
    figure(`durable statements of one call, ${what}`, await rateOfStatements(pairs, 1), '/s'),
    figure(`durable statements of 32 calls, ${what}`, await rateOfStatements(pairs, 32), '/s'),
  ]
  await Promise.all([seller, ...pairs.map(({ buyer }) => buyer)].map((ledger) => ledger.close()))
  return figures
}

async function rateOfStatements(pairs: readonly TradingPair[], calls: keyof typeof WAVES): Promise<number> {
  let elapsedMs = 0
  for (let wave = 0; wave < WAVES[calls]; wave += 1) {
    await Promise.all(pairs.flatMap((pair) => Array.from({ length: calls }, () => trade(pair, [300 + wave]))))
    const startedAtMs = performance.now()
    await Promise.all(pairs.map(settle))
    elapsedMs += performance.now() - startedAtMs
  }
  return (WAVES[calls] * pairs.length * 1_000) / elapsedMs
}
