import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compareExports, type AccountComparison } from '../../../src/ledger/compare-exports.ts'
import { exportLedger } from '../../../src/ledger/export.ts'
import { verifyExportFile } from '../../../src/ledger/verify-export.ts'
import { collect, LedgerPair, type LedgerSide } from '../../support/ledger-pair.ts'

let directory = ''
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tok-compare-'))
})
afterAll(() => rm(directory, { recursive: true }))

describe('the exports of both sides', () => {
  test('that agree are equal to the last statement', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 3)
    expect(await compare(pair.buyer, pair.seller)).toEqual([
      expect.objectContaining({
        buyer: pair.buyer.key.peer,
        seller: pair.seller.key.peer,
        statements: [3, 3],
        agreedThrough: 3,
        fork: undefined,
      }),
    ])
  })

  test('of which one is behind say what it lacks', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 1)
    const old = await written(pair.buyer)
    await settledCalls(pair, 2)
    expect(await compareFiles(old, await written(pair.seller))).toMatchObject([
      { statements: [1, 3], agreedThrough: 1, fork: undefined },
    ])
  })

  test('that parted name the first statement that differs, and both who signed it', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 1)
    const [buyerBackup, sellerBackup] = [pair.buyer.store.copy(), pair.seller.store.copy()]
    await settledCalls(pair, 2)
    const first = await written(pair.buyer)
    await pair.buyer.restore(buyerBackup)
    await pair.seller.restore(sellerBackup)
    await pair.exchange()
    await pair.trade({ vouched: 9 })
    await pair.exchange()
    const [comparison] = await compareFiles(first, await written(pair.seller))
    expect(comparison).toMatchObject({
      statements: [3, 2],
      agreedThrough: 1,
      fork: { sequence: 2, equivocators: [pair.seller.key.peer, pair.buyer.key.peer], followsRejection: false },
    })
  })

  test('of nodes that never traded with each other have nothing to compare', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 1)
    const files = [await written(pair.buyer), await written(pair.buyer)] as const
    expect(await collect(compareExports(files, [pair.buyer.key.peer, 'a stranger']))).toEqual([])
  })
})

async function settledCalls(pair: LedgerPair, count: number): Promise<void> {
  for (let call = 0; call < count; call++) {
    await pair.trade({ vouched: 30, receipted: 20 })
    await pair.exchange()
  }
}

let files = 0
async function written({ ledger }: LedgerSide): Promise<string> {
  const path = join(directory, `${(files += 1)}.ndjson`)
  await writeFile(path, (await collect(exportLedger(ledger, 1))).join(''))
  return path
}

async function compare(one: LedgerSide, other: LedgerSide): Promise<readonly AccountComparison[]> {
  return compareFiles(await written(one), await written(other))
}

async function compareFiles(one: string, other: string): Promise<readonly AccountComparison[]> {
  const nodes = [(await verifyExportFile(one, 'native')).node, (await verifyExportFile(other, 'native')).node] as const
  return collect(compareExports([one, other], nodes))
}
