/**
 * What settled calls take on the disk of either side, as LevelDB left it and after it was told to compact everything.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { systemRandomBytes } from '../../src/base/bytes.ts'
import { nodeKeyFromSeed } from '../../src/wire/identity.ts'
import { LIMITS } from '../../src/wire/registry.ts'
import type { Figure } from './figures.ts'
import { figure, openBenchLedger, pairUp, settle, trade } from './ledger-calls.ts'
import { TOKENS_PER_VOUCHER } from './ledger-vouchers.ts'
import type { Workbench } from './workbench.ts'

const STATEMENTS = 125
const CALLS = STATEMENTS * LIMITS.statementItems
/** A call of 640 tokens. */
const VOUCHERS = Array.from({ length: 5 }, (_, before) => TOKENS_PER_VOUCHER * (before + 1))

export async function benchSize(bench: Workbench): Promise<Figure[]> {
  const directories = { seller: await bench.directory(), buyer: await bench.directory() }
  const open = (directory: string) => openBenchLedger(directory, nodeKeyFromSeed(systemRandomBytes(32)))
  const pair = pairUp(await open(directories.buyer), await open(directories.seller))
  for (let count = 0; count < STATEMENTS; count += 1) {
    await Promise.all(Array.from({ length: LIMITS.statementItems }, () => trade(pair, VOUCHERS)))
    await settle(pair)
  }
  await Promise.all([pair.buyer.close(), pair.seller.close()])
  const figures = []
  for (const [side, directory] of Object.entries(directories)) {
    const what = `1,000 settled calls with ${VOUCHERS.length} vouchers each on the ${side}’s disk`
    const before = await kilobytesOf(directory)
    await compact(directory)
    figures.push(figure(`${what}, as it lies`, (before * 1_000) / CALLS, 'KB'))
    figures.push(figure(`${what}, compacted`, ((await kilobytesOf(directory)) * 1_000) / CALLS, 'KB'))
  }
  return figures
}

/** What `level` is on Node; its types name only what it can do in a browser too. */
interface Compactable {
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
}

async function compact(directory: string): Promise<void> {
  const level = new Level<Uint8Array, Uint8Array>(directory, { keyEncoding: 'view' }) as Level<Uint8Array, Uint8Array> &
    Compactable
  await level.open()
  await level.compactRange(Uint8Array.of(0x00), Uint8Array.of(0xff))
  await level.close()
}

/** Size of the files in a directory, in 1,000 bytes. */
export async function kilobytesOf(directory: string): Promise<number> {
  const files = await Promise.all((await readdir(directory)).map((name) => stat(join(directory, name))))
  return files.reduce((sum, { size }) => sum + size, 0) / 1_000
}
