import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import nacl from 'tweetnacl'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { exportLedger } from '../../../src/ledger/export.ts'
import { splitLines } from '../../../src/ledger/export-lines.ts'
import type { SignatureChecker } from '../../../src/ledger/signature-check.ts'
import { verifyExport } from '../../../src/ledger/verify-export.ts'
import { verifyFile } from '../../../src/verifier/tok-verify.mjs'
import { isCanonicalSignature, isUsableKey } from '../../../src/wire/identity.ts'
import { collect, LedgerPair, lineOf } from '../../support/ledger-pair.ts'

const PROGRAM = join(import.meta.dirname, '../../../src/verifier/tok-verify.mjs')
const VECTORS = join(import.meta.dirname, '../../../protocols/ledger/v1.vectors.json')

interface ExportCase {
  readonly name: string
  readonly check: string
  readonly lines: readonly string[]
  readonly step?: string
}

const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Record<'accept' | 'reject', readonly ExportCase[]>
const cases = [...vectors.accept, ...vectors.reject].filter(({ check }) => check === 'export')

/** tweetnacl's answers, each asked for once: most bytes of a changed file are those of the file before. */
const answers = new Map<string, boolean>()
function verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  const name = [message, signature, publicKey].map(toHex).join()
  const known = answers.get(name) ?? nacl.sign.detached.verify(message, signature, publicKey)
  answers.set(name, known)
  return known
}
const checker: SignatureChecker = {
  engine: 'tweetnacl',
  width: 1,
  check: async (claims) =>
    claims.map(
      ({ message, signature, publicKey }) =>
        isUsableKey(publicKey) && isCanonicalSignature(signature) && verify(message, signature, publicKey),
    ),
  close: async () => undefined,
}

/** What each of the two says of a file: what it holds, or line and step of the first fault. */
async function verdicts(file: Uint8Array): Promise<readonly [own: unknown, standalone: unknown]> {
  const { engine: _, cannotShow: __, ...own } = await verifyExport(splitLines(chunks(file)), checker).catch(faultOf)
  const { asset: ___, ...standalone } = await verifyFile(chunks(file), verify).catch(faultOf)
  return [comparable(own), comparable(standalone)]
}

function faultOf(thrown: unknown): never {
  const { line, step } = thrown as { line?: number; step?: number }
  if (line === undefined || step === undefined) throw thrown
  return { line, step } as never
}

describe('the standalone verifier', () => {
  test.each(cases.map((of) => [of.name, of] as const))('says the same of %s', async (_, { lines, step }) => {
    const [own, standalone] = await verdicts(Buffer.from(lines.map((line) => `${line}\n`).join('')))
    expect(standalone).toEqual(own)
    if (step !== undefined) expect(standalone).toMatchObject({ step: Number(step.replace('export ', '')) })
    else expect(standalone).toMatchObject({ lines: lines.length })
  })

  test('says the same of a whole ledger, and of it after any byte was changed', async () => {
    const file = Buffer.from((await collect(exportLedger((await tradedPair()).seller.ledger, 1))).join(''))
    const [own, standalone] = await verdicts(file)
    expect(own).toMatchObject({ statements: 2, checkpoints: 1, unsettled: 1, journalEntries: 4 })
    expect(standalone).toEqual(own)
    for (let at = 0; at < file.length; at++) {
      const changed = Buffer.from(file)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      const [one, other] = await verdicts(changed)
      expect(one, `byte ${at}`).toHaveProperty('step')
      expect(other, `byte ${at}`).toEqual(one)
    }
  }, 120_000)

  test('says the same of a ledger whose sides went back to copies', async () => {
    const pair = await LedgerPair.reconciled()
    for (const side of [pair.buyer, pair.seller]) await side.restore(await side.backUp())
    pair.disconnect()
    await pair.exchange()
    await pair.trade({ vouched: 30 })
    await pair.exchange()
    const file = Buffer.from((await collect(exportLedger(pair.seller.ledger, 1))).join(''))
    const [own, standalone] = await verdicts(file)
    expect(file.toString()).toContain('sellerRestoredAtMs')
    expect(own).toMatchObject({ statements: 1 })
    expect(standalone).toEqual(own)
  })

  test('says the same of a ledger whose journal was pruned', async () => {
    const pair = await tradedPair()
    const { ledger } = pair.seller
    await ledger.takeCheckpoint()
    pair.clock.advance(86_400_000)
    await ledger.pruneJournal(pair.clock.nowMs())
    await ledger.recordInference({ ...lineOf(pair.order(1), 'sold'), requestId: 'größer "\u2028' })
    const [own, standalone] = await verdicts(Buffer.from((await collect(exportLedger(ledger, 1))).join('')))
    expect(own).toMatchObject({ journalPruned: 4, journalEntries: 1 })
    expect(standalone).toEqual(own)
  })
})

describe('the program', () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tok-verify-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  test('prints what a file holds, and ends with 1 for one that was changed', async () => {
    const text = (await collect(exportLedger((await tradedPair()).buyer.ledger, 1))).join('')
    const [good, bad] = [join(directory, 'good.ndjson'), join(directory, 'bad.ndjson')]
    await writeFile(good, text)
    await writeFile(bad, text.replace('"owed":"20"', '"owed":"21"'))
    const run = promisify(execFile)
    const { stdout } = await run(process.execPath, [PROGRAM, good])
    expect(JSON.parse(stdout)).toMatchObject({ verified: true, statements: 2, accounts: [{ owed: '27', calls: 2 }] })
    await expect(run(process.execPath, [PROGRAM, bad])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(step 5)'),
    })
    await expect(run(process.execPath, [PROGRAM, join(directory, 'none')])).rejects.toMatchObject({ code: 1 })
  })

  test('has less than 300 lines of code, and imports nothing of the node', () => {
    const lines = readFileSync(PROGRAM, 'utf8').split('\n')
    const code = lines.filter((line) => !/^\s*($|\/\/|\/?\*)/.test(line))
    expect(code.length).toBeLessThan(300)
    const imported = code.flatMap((line) => /^import .* from '(.*)'$/.exec(line)?.[1] ?? [])
    expect(imported.filter((name) => !name.startsWith('node:'))).toEqual(['@ipld/dag-cbor', 'tweetnacl'])
  })
})

/** Two settled calls, and one that is not. */
async function tradedPair(): Promise<LedgerPair> {
  const pair = await LedgerPair.reconciled()
  await pair.trade({ vouched: 30, receipted: 20 })
  await pair.exchange()
  await pair.trade({ vouched: 7 })
  await pair.exchange()
  await pair.trade({ vouched: 3 })
  for (const side of [pair.seller, pair.buyer]) {
    await side.ledger.recordInference({ ...lineOf(pair.order(1), 'sold'), direction: 'local' })
  }
  return pair
}

/** Bytes as hexadecimal, whatever kind of array holds them. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, comparable(each)]))
}

async function* chunks(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
