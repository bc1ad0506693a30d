import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import nacl from 'tweetnacl'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromBase64Url, toBase64Url, toHex, utf8 } from '../../../src/base/bytes.ts'
import { EXPORT_SEAL, exportLedger, FIRST_LINK, signedMembers, writeLine } from '../../../src/ledger/export.ts'
import { createSignatureChecker, type SignatureClaim } from '../../../src/ledger/signature-check.ts'
import { ExportFault, splitLines } from '../../../src/ledger/export-lines.ts'
import { verifyExport, verifyExportFile } from '../../../src/ledger/verify-export.ts'
import { seal } from '../../../src/wire/envelope.ts'
import { ORDER } from '../../../src/wire/inference.ts'
import {
  ASSET,
  collect,
  LedgerPair,
  lineOf,
  NETWORK,
  signatureChecker,
  START_MS,
  testKey,
  usageOf,
} from '../../support/ledger-pair.ts'

const EXPORTED_AT_MS = START_MS + 1

describe('an export', () => {
  test('says what the ledger holds: accounts, totals, calls, journal', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30, receipted: 20 })
    await pair.exchange()
    await pair.trade({ vouched: 5 })
    await pair.openCall(10)
    for (const side of ['buyer', 'seller'] as const) {
      const lines = await collect(exportLedger(pair[side].ledger, EXPORTED_AT_MS))
      expect(await verify(lines)).toMatchObject({
        node: pair[side].key.peer,
        network: NETWORK,
        exportedAtMs: EXPORTED_AT_MS,
        lines: lines.length,
        statements: 1,
        accounts: [
          { buyer: pair.buyer.key.peer, seller: pair.seller.key.peer, statements: 1, calls: 1, owed: 20n, paid: 0n },
        ],
        unsettled: 1,
        journalEntries: 2,
        signatures: 9,
      })
    }
  })

  test('of a node that buys at several sellers holds all accounts, and counts what is unsettled in each', async () => {
    const pair = await LedgerPair.open()
    const { ledger } = pair.buyer
    await buyElsewhere(pair, 7)
    await pair.exchange()
    await pair.trade({ vouched: 30 })
    await pair.exchange()
    await pair.trade({ vouched: 2 })
    await buyElsewhere(pair, 8)
    const verified = await verify(await collect(exportLedger(ledger, EXPORTED_AT_MS)))
    expect(verified).toMatchObject({ statements: 1, unsettled: 3, journalEntries: 4 })
    expect(ledger.accountViews().map(({ sequence }) => sequence)).toEqual([0, 1, 0])
  })

  test('of a node that buys and sells holds accounts of both directions', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    await pair.exchange()
    await buyElsewhere(pair, 7, 'seller')
    const verified = await verify(await collect(exportLedger(pair.seller.ledger, EXPORTED_AT_MS)))
    expect(verified).toMatchObject({ statements: 1, unsettled: 1, journalEntries: 2 })
  })

  test('of a node that never traded holds its journal', async () => {
    const { buyer, order } = await LedgerPair.open().then((pair) => ({ buyer: pair.buyer, order: pair.order(1) }))
    const { counterparty: _, order: __, ...line } = lineOf(order, 'bought')
    await buyer.ledger.recordInference({ ...line, direction: 'local' })
    const verified = await verify(await collect(exportLedger(buyer.ledger, EXPORTED_AT_MS)))
    expect(verified).toMatchObject({ accounts: [], unsettled: 0, journalEntries: 1, lines: 4, signatures: 2 })
  })

  test('of an empty ledger is a header and a seal', async () => {
    const { buyer } = await LedgerPair.open()
    expect(await verify(await collect(exportLedger(buyer.ledger, EXPORTED_AT_MS)))).toMatchObject({
      lines: 2,
      accounts: [],
    })
  })
})

describe('a changed export', () => {
  let lines: readonly string[] = []
  beforeAll(async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30, receipted: 20 })
    await pair.exchange()
    lines = await collect(exportLedger(pair.seller.ledger, EXPORTED_AT_MS))
  })

  test('in any byte is refused, on the line of that byte', async () => {
    const bytes = Buffer.from(lines.join(''))
    const lineAt = lines.flatMap((line, index) => Array.from({ length: Buffer.byteLength(line) }, () => index + 1))
    const checker = rememberingChecker()
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      const fault = await verifyExport(splitLines(chunks(changed)), checker).catch((thrown: unknown) => thrown)
      if (!(fault instanceof ExportFault) || fault.line !== lineAt[at]) {
        expect.fail(`byte ${at}, of line ${lineAt[at]}: ${String(fault)}`)
      }
      expect(fault.position).toMatch(/^line \d+, bytes? \d+/)
    }
  }, 30_000)

  const CHANGES: readonly [name: string, change: (all: readonly string[]) => readonly string[], fault: RegExp][] = [
    ['that lost its end', (all) => all.slice(0, -1), /ends before its seal/],
    ['that is cut within a line', (all) => [...all.slice(0, -1), (all.at(-1) ?? '').slice(0, -9)], /^line 8.*cut off/],
    ['with nothing in it', () => [], /ends before its seal/],
    ['with two lines swapped', (all) => swapped(all, 1, 2), /^line 2/],
    ['without one line', (all) => all.toSpliced(3, 1), /^line 4/],
    ['with a line twice', (all) => all.toSpliced(3, 0, all[3] ?? ''), /^line 5/],
    ['with a line after the seal', (all) => [...all, all[0] ?? ''], /^line 9.*after the seal/],
    ['without its header', (all) => all.slice(1), /^line 1.*header/],
    ['with an unknown line', (all) => all.toSpliced(1, 0, '{"kind":"gift"}\n'), /^line 2.*unknown kind/],
    ['with an empty line', (all) => all.toSpliced(1, 0, '\n'), /^line 2.*not JSON/],
    ['with a line of no object', (all) => all.toSpliced(1, 0, '[]\n'), /^line 2.*no JSON object/],
    ['with a line without end', (all) => [...all.slice(0, 1), 'x'.repeat(2_000_000)], /^line 2.*no end/],
    // Linked and sealed anew by its exporter: what the signatures say still counts.
    ['relinked without its order', (all) => relinked(without(all, 'order')), /the order is missing/],
    ['relinked without its voucher', (all) => relinked(without(all, 'voucher')), /the voucher is missing/],
    ['relinked without its receipt', (all) => relinked(without(all, 'receipt')), /the receipt is missing/],
    ['relinked with its statement twice', (all) => relinked(all.toSpliced(5, 0, all[4] ?? '')), /sequence 1 after 1/],
    [
      'relinked with its journal twice',
      (all) => relinked(all.toSpliced(6, 0, all[5] ?? '')),
      /journal entry 1 after 1/,
    ],
    ['sealed by another node', (all) => relinked(all, 9), /the seal is of another file/],
  ]

  test.each(CHANGES)('%s is refused', async (_name, change, fault) => {
    await expect(verify(change(lines))).rejects.toThrow(fault)
  })

  test('that a relinked copy verifies shows the changes above fail for their own sake', async () => {
    expect(await verify(relinked(lines))).toMatchObject({ statements: 1 })
  })

  test('with the seal of another export of the same node is refused', async () => {
    const pair = await LedgerPair.reconciled()
    const other = await collect(exportLedger(pair.seller.ledger, EXPORTED_AT_MS))
    await expect(verify([...lines.slice(0, -1), other.at(-1) ?? ''])).rejects.toThrow(/^line 8/)
  })

  test('with a signature in its second mathematical form (S + L) is refused by both engines', async () => {
    const malleated = relinked(
      lines.map((line) => {
        const members = JSON.parse(line) as Record<string, unknown>
        if (members['kind'] !== 'order') return line
        const signature = malleate(fromBase64Url(String(members['signature'])))
        return `${JSON.stringify({ ...members, signature: toBase64Url(signature) })}\n`
      }),
    )
    for (const engine of ['native', 'tweetnacl'] as const) {
      const checker = createSignatureChecker(engine, 1)
      try {
        await expect(verifyExport(splitLines(chunks(Buffer.from(malleated.join('')))), checker)).rejects.toThrow(
          /^line 2.*signature of the order does not verify/,
        )
      } finally {
        await checker.close()
      }
    }
  })
})

describe('the two signature engines', () => {
  test('agree on every kind of claim', async () => {
    const key = testKey(1)
    const message = utf8('what is signed')
    const good = key.sign(message)
    const { publicKey } = key
    const flipped = good.map((byte, index) => (index === 40 ? byte ^ 1 : byte))
    const claims: readonly [name: string, claim: SignatureClaim, holds: boolean][] = [
      ['a good one', { publicKey, message, signature: good }, true],
      ['a changed signature', { publicKey, message, signature: flipped }, false],
      ['another message', { publicKey, message: utf8('else'), signature: good }, false],
      ['another key', { publicKey: testKey(2).publicKey, message, signature: good }, false],
      ['S + L', { publicKey, message, signature: malleate(good) }, false],
      ['a short signature', { publicKey, message, signature: good.subarray(1) }, false],
      ['a short key', { publicKey: publicKey.subarray(1), message, signature: good }, false],
      ['a key of small order', { publicKey: new Uint8Array(32), message, signature: new Uint8Array(64) }, false],
      ['a key that is no point', { publicKey: new Uint8Array(32).fill(0xfe), message, signature: good }, false],
    ]
    for (const engine of ['native', 'tweetnacl'] as const) {
      const checker = createSignatureChecker(engine, 1)
      try {
        const holds = await checker.check(claims.map(([, claim]) => claim))
        expect(claims.map(([name], index) => [name, holds[index]])).toEqual(
          claims.map(([name, , each]) => [name, each]),
        )
      } finally {
        await checker.close()
      }
    }
    // What the independent verifier alone would let through: why S < L is checked beside it.
    expect(nacl.sign.detached.verify(message, malleate(good), publicKey)).toBe(true)
  })

  test('stop answering when they are closed, instead of hanging', async () => {
    const checker = createSignatureChecker('native', 1)
    const checked = checker.check([
      { publicKey: new Uint8Array(32), message: new Uint8Array(), signature: new Uint8Array(64) },
    ])
    const closed = checker.close()
    const outcome = await checked.then(
      (holds) => holds,
      (error: unknown) => error,
    )
    await closed
    if (Array.isArray(outcome)) expect(outcome).toEqual([false])
    else expect(outcome).toMatchObject({ code: 'worker_failed' })
  })
})

describe('an export file', () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tok-export-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  test.each(['tweetnacl', 'native'] as const)('verifies by %s, and names file and place of a fault', async (engine) => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30, receipted: 20 })
    await pair.exchange()
    const file = join(directory, `${engine}.ndjson`)
    const text = (await collect(exportLedger(pair.buyer.ledger, EXPORTED_AT_MS))).join('')
    await writeFile(file, text)
    expect(await verifyExportFile(file, engine)).toMatchObject({ engine, statements: 1, signatures: 7 })
    await writeFile(file, text.replace('"owed":"20"', '"owed":"21"'))
    await expect(verifyExportFile(file, engine)).rejects.toMatchObject({
      code: 'export_invalid',
      details: { file, position: expect.stringMatching(/^line 5, byte \d+$/) },
    })
  })

  test('that is not there is named', async () => {
    const file = join(directory, 'nothing')
    await expect(verifyExportFile(file, 'native')).rejects.toMatchObject({ code: 'export_invalid', details: { file } })
  })
})

async function* chunks(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

function verify(lines: readonly string[]) {
  return verifyExport(splitLines(chunks(Buffer.from(lines.join('')))), signatureChecker)
}

/** The checker of this thread, which answers a claim it knows from memory. */
function rememberingChecker(): typeof signatureChecker {
  const known = new Map<string, boolean>()
  return {
    ...signatureChecker,
    async check(claims) {
      return Promise.all(
        claims.map(async (claim) => {
          const name = [claim.publicKey, claim.message, claim.signature].map(toHex).join()
          const holds = known.get(name) ?? (await signatureChecker.check([claim]))[0] ?? false
          known.set(name, holds)
          return holds
        }),
      )
    },
  }
}

/** The lines with links and a seal that fit them, sealed by the pair's seller or another key. */
function relinked(lines: readonly string[], sealer = 2): readonly string[] {
  let link = FIRST_LINK
  const content = lines.slice(0, -1).map((line) => {
    const { link: _, ...members } = JSON.parse(line) as Record<string, unknown>
    const written = writeLine(members, link)
    link = written.link
    return `${written.text}\n`
  })
  const key = testKey(sealer)
  const value = {
    type: 'tok/export/1' as const,
    network: NETWORK,
    asset: ASSET,
    node: key.publicKey,
    exportedAtMs: EXPORTED_AT_MS,
    lines: content.length,
    link,
  }
  return [...content, `${writeLine(signedMembers('seal', seal(EXPORT_SEAL, value, key)), link).text}\n`]
}

function without(lines: readonly string[], kind: string): readonly string[] {
  return lines.filter((line) => !line.startsWith(`{"kind":"${kind}"`))
}

function swapped(lines: readonly string[], one: number, other: number): readonly string[] {
  return lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '')
}

/** The same signature with L added to S: it verifies where S < L is not asked for. */
function malleate(signature: Uint8Array): Uint8Array {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const scalar = BigInt(`0x${toHex(signature.slice(32).toReversed())}`) + order
  const bytes = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').toReversed()
  return new Uint8Array([...signature.subarray(0, 32), ...bytes])
}

/** A purchase for 3 at another seller, which no statement settles. */
async function buyElsewhere(pair: LedgerPair, seller: number, buyer: 'buyer' | 'seller' = 'buyer'): Promise<void> {
  const { ledger, key } = pair[buyer]
  const parties = { buyer: key.publicKey, seller: testKey(seller).publicKey }
  const { value } = pair.order(10, parties)
  const order = seal(ORDER, value, key)
  ledger.setReconciled({ ...pair.account, ...parties }, true)
  await ledger.openPurchase(order, { spendLimit: undefined, strangerCredit: 100n })
  await ledger.signVoucher(order.id, usageOf(3))
  await ledger.closePurchase(order.id, undefined, lineOf(order, 'bought'), { isAnswered: true })
}
