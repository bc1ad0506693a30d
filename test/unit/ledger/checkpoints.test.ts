import { describe, expect, test } from 'vitest'
import { TokError } from '../../../src/base/errors.ts'
import { exportLedger } from '../../../src/ledger/export.ts'
import { ExportFault, splitLines } from '../../../src/ledger/export-lines.ts'
import { verifyProof, writeProof, type VerifiedProof } from '../../../src/ledger/inclusion-proof.ts'
import { openLedger } from '../../../src/ledger/ledger.ts'
import { verifyExport, type VerifiedExport } from '../../../src/ledger/verify-export.ts'
import {
  ASSET,
  collect,
  LedgerPair,
  lineOf,
  NETWORK,
  signatureChecker,
  type LedgerSide,
} from '../../support/ledger-pair.ts'

const DAY_MS = 86_400_000

describe('a checkpoint', () => {
  test('says where accounts and journal stand, names the one before, and is made only if something changed', async () => {
    const pair = await LedgerPair.reconciled()
    const { ledger, key } = pair.seller
    expect((await ledger.takeCheckpoint()).checkpoint).toBeUndefined()
    await settledCall(pair)
    const [first, again] = await Promise.all([ledger.takeCheckpoint(), ledger.takeCheckpoint()])
    expect(first.checkpoint?.value).toMatchObject({ sequence: 1, accounts: 1, entries: 1, node: key.publicKey })
    expect(again.checkpoint).toBe(first.checkpoint)
    await settledCall(pair)
    const second = (await ledger.takeCheckpoint()).checkpoint
    expect(second?.value).toMatchObject({ sequence: 2, accounts: 1, entries: 2, previous: first.checkpoint?.id })
    expect(ledger.newestCheckpoint()).toBe(second)
  })

  test('is remembered across a crash, and the next one goes on from it', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCall(pair)
    const before = (await pair.buyer.ledger.takeCheckpoint()).checkpoint
    await record(pair.buyer, 3)
    await pair.crash('buyer')
    await record(pair.buyer, 1)
    const after = (await pair.buyer.ledger.takeCheckpoint()).checkpoint
    expect(after?.value).toMatchObject({ sequence: 2, previous: before?.id, entries: 5 })
    expect(await exportOf(pair.buyer)).toMatchObject({ checkpoints: 2, journalEntries: 5 })
  })

  test('of a full disk is not given away, and the ledger is exported without it', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCall(pair)
    pair.seller.store.failWrites('ENOSPC')
    await expect(pair.seller.ledger.takeCheckpoint()).rejects.toMatchObject({ code: 'storage_failed' })
    expect(await exportOf(pair.seller)).toMatchObject({ statements: 1, checkpoints: 0, checkpoint: undefined })
  })

  test('covers a whole export, also while calls go on', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCall(pair)
    const lines: string[] = []
    for await (const line of exportLedger(pair.seller.ledger, 1)) {
      lines.push(line)
      if (lines.length === 2) await settledCall(pair)
    }
    expect(await verify(lines)).toMatchObject({ statements: 1, journalEntries: 1, checkpoint: { coversAll: true } })
    expect(await exportOf(pair.seller)).toMatchObject({ statements: 2, journalEntries: 2, checkpoints: 2 })
  })
})

describe('a journal that lost entries', () => {
  test('at its end, which a checkpoint covers, does not open', async () => {
    const pair = await LedgerPair.open()
    await record(pair.buyer, 3)
    await pair.buyer.ledger.takeCheckpoint()
    const { store, key, clock } = pair.buyer
    const keys = store.keys().filter((each) => each.startsWith('0d'))
    await store.write([{ key: Buffer.from(keys.at(-1) ?? '', 'hex'), value: undefined }])
    await expect(openLedger({ store, key, clock }, { network: NETWORK, asset: ASSET })).rejects.toMatchObject({
      code: 'ledger_corrupt',
      details: { position: 'journal' },
    })
  })
})

describe('a proof', () => {
  test('shows an account under a checkpoint, and its balance', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCall(pair)
    const [view] = pair.views()
    const proof = writeProof(await pair.buyer.ledger.proveAccount(view.id))
    expect(await check(proof)).toMatchObject({
      node: pair.buyer.key.peer,
      of: 'account',
      checkpoint: { sequence: 1 },
      shown: { account: new Uint8Array(view.id), sequence: 1, owed: 20n, paid: 0n },
    })
  })

  test.each([1, 2, 5, 7])('shows entry %i of 7', async (sequence) => {
    const pair = await LedgerPair.open()
    await record(pair.buyer, 7)
    const proof = writeProof(await pair.buyer.ledger.proveEntry(sequence))
    expect(await check(proof)).toMatchObject({ of: 'entry', shown: { sequence } })
  })

  test('of what is not there is refused', async () => {
    const pair = await LedgerPair.open()
    await record(pair.buyer, 2)
    for (const proven of [pair.buyer.ledger.proveEntry(3), pair.buyer.ledger.proveAccount(new Uint8Array(32))]) {
      await expect(proven).rejects.toMatchObject({ code: 'record_not_found' })
    }
  })

  test('with any byte changed shows nothing', async () => {
    const pair = await LedgerPair.open()
    await record(pair.buyer, 3)
    const proof = Buffer.from(writeProof(await pair.buyer.ledger.proveEntry(2)))
    for (let at = 0; at < proof.length - 1; at++) {
      const changed = Buffer.from(proof)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 7))
      const fault = await check(changed).catch((thrown: unknown) => thrown)
      expect(fault, `byte ${at}`).toBeInstanceOf(ExportFault)
    }
  })
})

describe('a pruned journal', () => {
  test('goes on from the checkpoint that covers what is gone, and exports and proofs say so', async () => {
    const pair = await LedgerPair.reconciled()
    const side = pair.seller
    await settledCall(pair)
    await record(side, 4)
    await side.ledger.takeCheckpoint()
    pair.clock.advance(DAY_MS)
    const limitMs = pair.clock.nowMs()
    await record(side, 3)
    expect(await side.ledger.pruneJournal(limitMs)).toMatchObject({ entriesGone: 5, start: { value: { sequence: 1 } } })
    const verified = await exportOf(side)
    expect(verified).toMatchObject({ statements: 1, journalEntries: 3, journalPruned: 5, checkpoint: { sequence: 2 } })
    await expect(side.ledger.proveEntry(5)).rejects.toMatchObject({ code: 'record_not_found' })
    expect(await check(writeProof(await side.ledger.proveEntry(7)))).toMatchObject({ shown: { sequence: 7 } })

    await side.crash()
    await record(side, 1)
    expect(await exportOf(side)).toMatchObject({ journalEntries: 4, journalPruned: 5 })
    expect(side.store.keys().filter((key) => key.startsWith('0d'))).toHaveLength(4)
  })

  test('that lost all its entries keeps its sequence, its chain and what it spent', async () => {
    const pair = await LedgerPair.reconciled()
    const side = pair.buyer
    await record(side, 2)
    await side.ledger.takeCheckpoint()
    pair.clock.advance(2 * DAY_MS)
    await side.ledger.pruneJournal(pair.clock.nowMs())
    expect((await collect(side.ledger.journalEntries())).length).toBe(0)
    expect(await exportOf(side)).toMatchObject({ journalEntries: 0, journalPruned: 2, checkpoints: 1 })
    await side.crash()
    await record(side, 1)
    expect((await collect(side.ledger.journalEntries()))[0]?.entry.sequence).toBe(3)
    expect(await exportOf(side)).toMatchObject({ journalEntries: 1, journalPruned: 2, checkpoints: 2 })
  })

  test('keeps what no checkpoint covers, what is newer than asked, and today', async () => {
    const pair = await LedgerPair.reconciled()
    const { ledger } = pair.buyer
    const startMs = pair.clock.nowMs()
    await record(pair.buyer, 1)
    expect(await ledger.pruneJournal(Infinity)).toEqual({ entriesGone: 0, start: undefined })
    await ledger.takeCheckpoint()
    expect(await ledger.pruneJournal(Infinity)).toMatchObject({ entriesGone: 1 })
    pair.clock.advance(DAY_MS / 2)
    await record(pair.buyer, 1)
    await ledger.takeCheckpoint()
    expect(await ledger.pruneJournal(Infinity)).toMatchObject({ entriesGone: 1 })
    pair.clock.advance(DAY_MS)
    expect(await ledger.pruneJournal(startMs)).toMatchObject({ entriesGone: 1 })
    expect(await ledger.pruneJournal(Infinity)).toMatchObject({ entriesGone: 2 })
  })

  test('is whole in every state that a crash in the middle leaves', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const pair = await LedgerPair.open({ seed, turnsMax: 3 })
      const side = pair.buyer
      await record(side, 5)
      await side.ledger.takeCheckpoint()
      pair.clock.advance(DAY_MS)
      const pruned = side.ledger.pruneJournal(pair.clock.nowMs())
      for (let turn = 0; turn < seed; turn++) await new Promise((resolve) => setImmediate(resolve))
      pruned.catch(() => undefined)
      await side.crash()
      await record(side, 1)
      const { journalEntries, journalPruned } = await exportOf(side)
      expect(journalEntries + journalPruned).toBe(6)
    }
  })
})

/** A call of 20 micros, settled by a statement. */
async function settledCall(pair: LedgerPair): Promise<void> {
  await pair.trade({ vouched: 30, receipted: 20 })
  await pair.exchange()
}

/** Records local inferences. */
async function record({ ledger, key }: LedgerSide, count: number): Promise<void> {
  const pair = await LedgerPair.open()
  const { counterparty: _, order: __, ...line } = lineOf(pair.order(1), 'bought')
  for (let index = 0; index < count; index++) {
    await ledger.recordInference({ ...line, direction: 'local', requestId: `${key.peer} ${index}` })
  }
}

async function exportOf({ ledger }: LedgerSide): Promise<VerifiedExport> {
  return verify(await collect(exportLedger(ledger, 1)))
}

function verify(lines: readonly string[]): Promise<VerifiedExport> {
  return verifyExport(splitLines(chunks(Buffer.from(lines.join('')))), signatureChecker)
}

async function check(proof: string | Uint8Array): Promise<VerifiedProof> {
  for await (const line of splitLines(chunks(Buffer.from(proof)))) return verifyProof(line, signatureChecker)
  throw new TokError('export_invalid', { reason: 'no line' })
}

async function* chunks(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
