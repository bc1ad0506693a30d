/**
 * From a ledger whose process was killed while it wrote to one that is ready. As a program: `node scripts/bench/ledger-recovery.ts
 * measure 1000000` measures it for so many journal entries; `fill` and `open` are the processes that are killed and measured.
 */
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { nodeKeyFromSeed } from '../../src/wire/identity.ts'
import { LIMITS } from '../../src/wire/registry.ts'
import { tableOf, type Figure } from './figures.ts'
import { figure, openBenchLedger, pairUp, settle, trade } from './ledger-calls.ts'
import { kilobytesOf } from './ledger-size.ts'

const PROGRAM = fileURLToPath(import.meta.url)
const KEYS = { seller: nodeKeyFromSeed(new Uint8Array(32).fill(1)), buyer: nodeKeyFromSeed(new Uint8Array(32).fill(2)) }

/** Entries come evenly over this one day (UTC), so that it is known how many are of "today" when the ledger is opened. */
const DAY_START_MS = Date.UTC(2026, 0, 1)
const DAY_MS = 86_400_000
const DAY_END_MS = DAY_START_MS + DAY_MS - 1
/** As a running node makes them. */
const CHECKPOINT_EVERY_MS = 600_000
/** Of so many entries, 32 are sold calls, each with a voucher and a receipt, under one statement; the rest are local. */
const BATCH = 320
const MORE_WRITING_MS = 500
const FILL_LIMIT_MS = 1_200_000

/** What opening took, in ms. */
interface Recovery {
  readonly openMs: number
  readonly entries: number
}

/** Fills a ledger, kills the process that writes to it, and opens copies of what it left. */
export async function benchRecovery(directory: string, entries: number): Promise<Figure[]> {
  const store = join(directory, 'seller')
  await fillAndKill(directory, entries)
  const what = `recovery after SIGKILL, ${entries} journal entries`
  const figures = [figure(`${what}: size`, (await kilobytesOf(store)) / 1_000, 'MB')]
  const target = entries >= 1_000_000 ? { atMost: 5 } : undefined
  for (const [day, nowMs] of Object.entries({ 'of earlier days': DAY_START_MS + DAY_MS, 'all of today': DAY_END_MS })) {
    for (const cache of ['warm', 'cold'] as const) {
      const copy = join(directory, 'copy')
      await cp(store, copy, { recursive: true })
      const isReady = cache === 'warm' || (await dropFromCache(copy))
      const recovery = isReady ? await recover(copy, nowMs) : undefined
      if (recovery !== undefined && recovery.entries < entries) throw new Error('entries are missing')
      figures.push(figure(`${what}, ${day}, ${cache}`, recovery && recovery.openMs / 1_000, 's', target))
      await rm(copy, { recursive: true })
    }
  }
  return figures
}

/** Resolves when the process that filled the ledger, and went on writing, is dead. */
async function fillAndKill(directory: string, entries: number): Promise<void> {
  const child = fork(PROGRAM, ['fill', directory, `${entries}`], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const exited = once(child, 'exit')
  const ended = new AbortController()
  child.once('exit', (code) => ended.abort(new Error(`filling the ledger ended with code ${code}`)))
  try {
    await once(child, 'message', { signal: AbortSignal.any([ended.signal, AbortSignal.timeout(FILL_LIMIT_MS)]) })
    await wait(MORE_WRITING_MS)
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

/** Opens a ledger in a fresh process. */
async function recover(directory: string, nowMs: number): Promise<Recovery> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, 'open', directory, `${nowMs}`])
  return JSON.parse(stdout) as Recovery
}

/** Takes the files out of the kernel's cache, as far as an ordinary user can; false where there is no GNU dd. */
async function dropFromCache(directory: string): Promise<boolean> {
  try {
    for (const name of await readdir(directory)) {
      const words = [`of=${join(directory, name)}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']
      await promisify(execFile)('dd', words)
    }
    return true
  } catch {
    return false // another system's dd: the figure says that it was not measured
  }
}

/** Writes until it is killed; tells the parent when `entries` are on the disk. */
async function fill(directory: string, entries: number): Promise<void> {
  process.on('disconnect', () => process.exit())
  let nowMs = DAY_START_MS
  const clock: Clock = { ...systemClock, nowMs: () => nowMs }
  const seller = await openBenchLedger(join(directory, 'seller'), KEYS.seller, clock)
  const pair = pairUp(await openBenchLedger(join(directory, 'buyer'), KEYS.buyer, clock), seller)
  let checkpointAtMs = nowMs + CHECKPOINT_EVERY_MS
  for (let isTold = false; ;) {
    await Promise.all([
      ...Array.from({ length: LIMITS.statementItems }, () => trade(pair, [300])),
      ...Array.from({ length: BATCH - LIMITS.statementItems }, () => recordLocal(seller)),
    ])
    await settle(pair)
    const written = seller.journalHead().sequence
    nowMs = Math.min(DAY_END_MS, DAY_START_MS + Math.floor((written * DAY_MS) / entries))
    if (nowMs >= checkpointAtMs) {
      await seller.takeCheckpoint()
      checkpointAtMs += CHECKPOINT_EVERY_MS
    }
    if (isTold || written < entries) continue
    process.send?.({ written })
    isTold = true
  }
}

function recordLocal(ledger: Ledger): Promise<void> {
  return ledger.recordInference({
    requestId: `request-${ledger.journalHead().sequence}`,
    direction: 'local',
    endpoint: 'chat',
    dialect: 'openai-chat',
    stream: 'yes',
    requestedModel: 'bench-model',
    resolvedModel: 'bench-model',
    status: 'completed',
    httpStatus: 200,
    inputTokens: 1_000,
    outputTokens: 300,
    tokenSource: 'provider',
    durationMs: 9_000,
    retries: 0,
  })
}

async function open(directory: string, nowMs: number): Promise<void> {
  const startedAtMs = performance.now()
  const ledger = await openBenchLedger(directory, KEYS.seller, { ...systemClock, nowMs: () => nowMs })
  const recovery: Recovery = { openMs: performance.now() - startedAtMs, entries: ledger.journalHead().sequence }
  await ledger.close()
  console.log(JSON.stringify(recovery))
}

async function measure(entries: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'tok-bench-'))
  try {
    console.log(tableOf(await benchRecovery(directory, entries)).join('\n'))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const [job, first = '', second] = process.argv.slice(2)
  if (job === 'fill') await fill(first, Number(second))
  else if (job === 'open') await open(first, Number(second))
  else await measure(Number(first))
}
