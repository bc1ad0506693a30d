/**
 * The ledger alone, without a network, over real LevelDBs: what it takes in, what it holds, how it comes back, and the check of an
 * export.
 */
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { exportLedger } from '../../src/ledger/export.ts'
import { splitLines } from '../../src/ledger/export-lines.ts'
import { createSignatureChecker, type SignatureEngine } from '../../src/ledger/signature-check.ts'
import { verifyExport, type VerifiedExport } from '../../src/ledger/verify-export.ts'
import { median, type Figure } from './figures.ts'
import { costOfVerifying, writeLargeExport } from './large-export.ts'
import { figure, openFresh, orderOf, pairUp, settle, trade } from './ledger-calls.ts'
import { benchRecovery } from './ledger-recovery.ts'
import { benchSize } from './ledger-size.ts'
import { benchStatements } from './ledger-statements.ts'
import { benchBesideStreams, benchVouchers } from './ledger-vouchers.ts'
import type { Workbench } from './workbench.ts'

const ACCOUNTS = 4
const STATEMENTS = 3_000
const STATEMENTS_FOR_TWEETNACL = 40
const VERIFY_ROUNDS = 3

/** Calls above the number of names that are held in memory. */
const LARGE = { calls: 96_000, entries: 1_000_000 }

/** A tenth of what is promised, as filling the ledger takes minutes: `ledger-recovery.ts` measures a million. */
const RECOVERY_ENTRIES = 100_000

export async function benchLedger(bench: Workbench): Promise<Figure[]> {
  return [
    ...(await benchVouchers(bench)),
    ...(await benchBesideStreams(bench)),
    ...(await benchStatements(bench)),
    ...(await benchSize(bench)),
    ...(await benchRecovery(await bench.directory(), RECOVERY_ENTRIES)),
    ...(await benchVerify(bench)),
    ...(await benchLargeExport(bench)),
  ]
}

// The check of an export.

async function benchVerify(bench: Workbench): Promise<Figure[]> {
  const large = await writeExport(bench, STATEMENTS)
  const small = await writeExport(bench, STATEMENTS_FOR_TWEETNACL)
  const native: Verification[] = []
  const independent: Verification[] = []
  for (let round = 0; round < VERIFY_ROUNDS; round += 1) {
    native.push(await verify(large, 'native'))
    independent.push(await verify(small, 'tweetnacl'))
  }
  const [first] = native
  if (first === undefined) throw new Error('nothing was verified')
  const { statements, signatures } = first.verified
  const rate = (runs: readonly Verification[], of: (verified: VerifiedExport) => number): number =>
    median(runs.map(({ verified, elapsedMs }) => (of(verified) * 1_000) / elapsedMs))
  return [
    figure('statements in the export', statements, ''),
    figure('signatures per statement (order, voucher, receipt, both of the statement)', signatures / statements, ''),
    figure(
      'verify, native: statements',
      rate(native, (each) => each.statements),
      '/s',
      { atLeast: 5_000 },
    ),
    figure(
      'verify, native: signatures',
      rate(native, (each) => each.signatures),
      '/s',
    ),
    figure(
      'verify, tweetnacl: statements',
      rate(independent, (each) => each.statements),
      '/s',
    ),
    figure(
      'verify, tweetnacl: signatures',
      rate(independent, (each) => each.signatures),
      '/s',
    ),
  ]
}

/** What a file of a million entries takes beyond one of a tenth of them: memory that does not grow with the file. */
async function benchLargeExport(bench: Workbench): Promise<Figure[]> {
  const directory = await bench.directory()
  const costs = []
  for (const share of [1, 10]) {
    const path = join(directory, `large-${share}.ndjson`)
    await writeLargeExport(path, { calls: LARGE.calls / share, entries: LARGE.entries / share }, orderOf)
    costs.push(await costOfVerifying(path))
  }
  const [large, small] = costs
  if (large === undefined || small === undefined) throw new Error('nothing was verified')
  const megabytes = (bytes: number): number => bytes / 1_048_576
  return [
    figure(
      `verify, native: ${LARGE.entries} journal entries and ${LARGE.calls} settled calls`,
      large.elapsedMs / 1_000,
      's',
    ),
    figure('verify, native: lines', (large.lines * 1_000) / large.elapsedMs, '/s'),
    figure('most memory of that process', megabytes(large.rssMaxBytes), 'MB', { atMost: 512 }),
    figure('the same for a tenth of the file', megabytes(small.rssMaxBytes), 'MB'),
  ]
}

interface Verification {
  readonly verified: VerifiedExport
  readonly elapsedMs: number
}

/** Checks a file as `ledger verify` does, on every core. Starting the threads is not counted. */
async function verify(path: string, engine: SignatureEngine): Promise<Verification> {
  const checker = createSignatureChecker(engine)
  try {
    await Promise.all(Array.from({ length: checker.width }, () => checker.check([]))) // they answer: they have started
    const startedAtMs = performance.now()
    const verified = await verifyExport(splitLines(createReadStream(path, { highWaterMark: 262_144 })), checker)
    return { verified, elapsedMs: performance.now() - startedAtMs }
  } finally {
    await checker.close()
  }
}

/** A seller's export after so many calls, each settled by a statement of its own, with several buyers. */
async function writeExport(bench: Workbench, statements: number): Promise<string> {
  const seller = await openFresh(bench)
  const buyers = await Promise.all(Array.from({ length: ACCOUNTS }, () => openFresh(bench)))
  await Promise.all(
    buyers.map(async (buyer) => {
      const pair = pairUp(buyer, seller)
      for (let call = 0; call < statements / ACCOUNTS; call += 1) {
        await trade(pair, [300 + call])
        await settle(pair)
      }
    }),
  )
  const lines: string[] = []
  for await (const line of exportLedger(seller, systemClock.nowMs())) lines.push(line)
  const path = join(await bench.directory(), 'export.ndjson')
  await writeFile(path, lines.join(''))
  await Promise.all([seller, ...buyers].map((ledger) => ledger.close()))
  return path
}
