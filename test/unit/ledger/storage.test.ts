import { chmod, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sha256, toHex, utf8 } from '../../../src/base/bytes.ts'
import { openLedger } from '../../../src/ledger/ledger.ts'
import {
  createCommitQueue,
  keyOf,
  openLevelStore,
  rangeOf,
  sortableUint,
  SPACES,
  type Store,
} from '../../../src/ledger/store.ts'
import { createCrashingStore, seededRandom } from '../../support/crashing-store.ts'
import {
  ASSET,
  collect,
  createManualClock,
  LedgerPair,
  lineOf,
  NETWORK,
  testKey,
  turns,
  usageOf,
} from '../../support/ledger-pair.ts'

const put = (name: string, value = 'value') => ({ key: keyOf(SPACES.meta, utf8(name)), value: utf8(value) })

describe('a commit', () => {
  test('is on disk when it resolves, in the order of the calls', async () => {
    const store = createCrashingStore(seededRandom(1))
    const release = store.holdWrites()
    const queue = createCommitQueue(store)
    const done: number[] = []
    const commits = [1, 2, 3].map((number) => queue.commit([put('key', `${number}`)]).then(() => done.push(number)))
    await turns(5)
    expect(done).toEqual([])
    release()
    await Promise.all(commits)
    expect(done).toEqual([1, 2, 3])
    expect(await store.get(put('key').key)).toEqual(utf8('3'))
  })

  test('that waits goes out with the others in one write', async () => {
    const store = createCrashingStore(seededRandom(1))
    let writes = 0
    const counting: Store = {
      ...store,
      write(batch) {
        writes += 1
        return store.write(batch)
      },
    }
    const queue = createCommitQueue(counting)
    await Promise.all(Array.from({ length: 1_999 }, (_, index) => queue.commit([put(`${index}`)])))
    expect(writes).toBe(1)
    await Promise.all(Array.from({ length: 2_001 }, (_, index) => queue.commit([put(`${index}`)])))
    expect(writes).toBe(3)
  })

  test('after a failed one fails too, although the disk works again', async () => {
    const store = createCrashingStore(seededRandom(1))
    let isFull = true
    const flaky: Store = {
      ...store,
      async write(batch) {
        if (isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
        await store.write(batch)
      },
    }
    const queue = createCommitQueue(flaky)
    const failed = { code: 'storage_failed', details: { reason: 'ENOSPC: no space left' } }
    await expect(queue.commit([put('one')])).rejects.toMatchObject(failed)
    isFull = false
    await expect(queue.commit([put('two')])).rejects.toMatchObject(failed)
    await queue.idle()
    expect(store.keys()).toEqual([])
  })
})

describe('a full disk', () => {
  test.each(['ENOSPC', 'EIO'] as const)('ends all signing, with the reason (%s)', async (code) => {
    const pair = await LedgerPair.reconciled()
    const [running, over] = [await pair.openCall(100), await pair.trade({ vouched: 30 })]
    await pair.vouch(running, 10)
    const frame = await pair.seller.ledger.propose(pair.account, 1n)
    if (frame === undefined) throw new Error('nothing to propose')
    const sold = await pair.openCall(10)
    for (const { store } of [pair.buyer, pair.seller]) store.failWrites(code)
    const buyer = pair.buyer.ledger
    const failed = { code: 'storage_failed', details: { reason: `${code}: write failed` } }
    for (let round = 0; round < 2; round++) {
      await expect(pair.openPurchase(pair.order(1))).rejects.toMatchObject(failed)
      await expect(buyer.signVoucher(running.id, usageOf(20))).rejects.toMatchObject(failed)
      await expect(pair.closePurchase(running)).rejects.toMatchObject(failed)
      await expect(buyer.answerProposal(pair.account, frame)).rejects.toMatchObject(failed)
      await expect(buyer.recordInference(lineOf(over, 'bought'))).rejects.toMatchObject(failed)
      await expect(pair.openSale(pair.order(1))).rejects.toMatchObject(failed)
      await expect(pair.closeSale(sold)).rejects.toMatchObject(failed)
    }
    expect(pair.views()[0]).toMatchObject({ sequence: 0 })
    expect((await buyer.callRecord(running.id))?.voucher?.value.amount).toBe(10n)
  })

  test('lets no proposal out, however often it is asked for', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    pair.seller.store.failWrites('ENOSPC')
    for (let round = 0; round < 2; round++) {
      await expect(pair.seller.ledger.propose(pair.account, 1n)).rejects.toMatchObject({ code: 'storage_failed' })
    }
  })
})

describe('the journal', () => {
  test('is one chain, also across a restart', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    await pair.openCall(10)
    await pair.crash('buyer')
    await pair.buyer.ledger.recordInference({ ...lineOf(pair.order(1), 'bought'), direction: 'local' })
    const entries = await collect(pair.buyer.ledger.journalEntries())
    expect(entries.map(({ entry }) => entry.sequence)).toEqual([1, 2, 3])
    for (const [index, { entry }] of entries.entries()) {
      const before = entries[index - 1]
      expect(entry.previous && toHex(entry.previous)).toBe(before && toHex(sha256(before.encoded)))
    }
    const newest = entries.at(-1)
    expect(pair.buyer.ledger.journalHead().sequence).toBe(3)
    expect(toHex(pair.buyer.ledger.journalHead().head ?? new Uint8Array())).toBe(
      newest && toHex(sha256(newest.encoded)),
    )
  })

  test('keeps its order when many are recorded at once', async () => {
    const pair = await LedgerPair.open()
    const line = { ...lineOf(pair.order(1), 'bought'), direction: 'local' as const }
    await Promise.all(Array.from({ length: 50 }, () => pair.buyer.ledger.recordInference(line)))
    const entries = await collect(pair.buyer.ledger.journalEntries(true))
    expect(entries.map(({ entry }) => entry.sequence)).toEqual(Array.from({ length: 50 }, (_, index) => 50 - index))
  })
})

describe('adverts', () => {
  test('never repeat a sequence, stay in force across a restart, and leave the disk when they are expired', async () => {
    const { seller, clock } = await LedgerPair.open()
    const record = () =>
      seller.ledger.recordAdvert((sequence) => ({
        type: 'tok/advert/1',
        network: NETWORK,
        asset: ASSET,
        seller: seller.key.publicKey,
        sequence,
        issuedAtMs: clock.nowMs(),
        expiresAtMs: clock.nowMs() + 120_000,
        agent: 'test',
        slots: 1,
        strangerCredit: 0n,
        offers: [],
      }))
    const first = await record()
    await seller.crash()
    expect(seller.ledger.advertInForce(first.id)?.value.sequence).toBe(1)
    expect((await record()).value.sequence).toBe(2)
    clock.advance(120_000)
    expect(seller.ledger.advertInForce(first.id)).toBeUndefined()
    await seller.crash()
    expect((await record()).value.sequence).toBe(3)
    expect(seller.store.keys().filter((key) => key.startsWith('0e'))).toHaveLength(1)
  })
})

test('a ledger of another schema is refused', async () => {
  const store = createCrashingStore(seededRandom(1))
  await store.write([{ key: Uint8Array.of(SPACES.meta, 0), value: Uint8Array.of(9) }])
  const opened = openLedger({ store, key: testKey(1), clock: createManualClock() }, { network: NETWORK, asset: ASSET })
  await expect(opened).rejects.toMatchObject({ code: 'ledger_corrupt' })
})

test('records without a schema are refused', async () => {
  const store = createCrashingStore(seededRandom(1))
  await store.write([put('something')])
  const opened = openLedger({ store, key: testKey(1), clock: createManualClock() }, { network: NETWORK, asset: ASSET })
  await expect(opened).rejects.toMatchObject({ code: 'ledger_corrupt' })
})

test('the ledger of another node key is refused', async () => {
  const pair = await LedgerPair.reconciled()
  await pair.openCall(10)
  const opened = openLedger({ ...pair.buyer, key: testKey(9) }, { network: NETWORK, asset: ASSET })
  await expect(opened).rejects.toMatchObject({ code: 'ledger_corrupt' })
})

test('accounts of another network stay closed in this one', async () => {
  const pair = await LedgerPair.reconciled()
  await pair.trade({ vouched: 30 })
  await pair.openCall(10)
  const { key, store, clock } = pair.buyer
  const other = await openLedger({ store: store.crash(), key, clock }, { network: 'other', asset: ASSET })
  expect(other.accountViews()).toEqual([])
  expect(other.accountView('buyer', pair.seller.key.publicKey)).toMatchObject({ held: 0n, unsettled: 0n })
})

test.each([
  ['01', '02'],
  ['01ff', '02'],
  ['00ffff', '01'],
  ['ff', 'ffff'],
])('the range of what begins with %s ends at %s', (prefix, end) => {
  const [from, to] = rangeOf(Buffer.from(prefix, 'hex'))
  expect([toHex(from), toHex(to)]).toEqual([prefix, end])
})

test('counts sort as keys do', () => {
  const counts = [0, 1, 255, 256, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER]
  const keys = counts.map((count) => toHex(sortableUint(count)))
  expect(keys.toSorted()).toEqual(keys)
})

describe('the ledger’s LevelDB', () => {
  let directory = ''
  beforeEach(async () => {
    directory = join(await mkdtemp(join(tmpdir(), 'tok-ledger-')), 'ledger')
  })
  afterEach(() => rm(join(directory, '..'), { recursive: true }))

  test('keeps what was written, in order, and gives it both ways', async () => {
    const written = await openLevelStore(directory, true)
    await written.write(['b', 'a', 'c'].map((name) => put(name, name)))
    await written.write([{ key: put('c').key, value: undefined }])
    await written.close()
    const store = await openLevelStore(directory, false)
    try {
      const names = async (reverse: boolean) =>
        (await collect(store.entries(...rangeOf(Uint8Array.of(SPACES.meta)), reverse))).map(([, value]) =>
          Buffer.from(value).toString(),
        )
      expect(await names(false)).toEqual(['a', 'b'])
      expect(await names(true)).toEqual(['b', 'a'])
      expect(await store.get(put('c').key)).toBeUndefined()
    } finally {
      await store.close()
    }
  })

  test('belongs to one process', async () => {
    const store = await openLevelStore(directory, true)
    try {
      await expect(openLevelStore(directory, false)).rejects.toMatchObject({ code: 'data_directory_in_use' })
    } finally {
      await store.close()
    }
  })

  test('that is missing beside an identity is a loss, not a new beginning', async () => {
    await expect(openLevelStore(directory, false)).rejects.toMatchObject({ code: 'ledger_corrupt' })
    await (await openLevelStore(directory, true)).close()
    for (const file of await readdir(directory)) await unlink(join(directory, file))
    await expect(openLevelStore(directory, false)).rejects.toMatchObject({ code: 'ledger_corrupt' })
    expect(await readdir(directory)).toEqual([])
  })

  test.each(['CURRENT', 'MANIFEST', 'other'])('that lost its %s file is refused, and not made anew', async (lost) => {
    const store = await openLevelStore(directory, true)
    await store.write([put('a')])
    await store.close()
    if (lost === 'other') await writeFile(join(directory, 'CURRENT'), 'MANIFEST-999999\n')
    else for (const file of await readdir(directory)) if (file.startsWith(lost)) await unlink(join(directory, file))
    for (const create of [false, true]) {
      const before = await readdir(directory)
      await expect(openLevelStore(directory, create)).rejects.toMatchObject({ code: 'ledger_corrupt' })
      const isKept = before.every(async (file) => (await readdir(directory)).includes(file))
      expect(isKept).toBe(true)
    }
  })

  test('that lost the log that held everything is refused, and not begun from nothing', async () => {
    const store = await openLevelStore(directory, true)
    await store.write([put('a')])
    await store.close()
    for (const file of await readdir(directory)) if (file.endsWith('.log')) await unlink(join(directory, file))
    for (let round = 0; round < 2; round++) {
      await expect(openLevelStore(directory, false)).rejects.toMatchObject({ code: 'ledger_corrupt' })
    }
  })

  test('whose last record was torn by a crash has everything that was answered before', async () => {
    const store = await openLevelStore(directory, true)
    for (const name of ['a', 'b', 'c']) await store.write([put(name)])
    await store.close()
    const log = (await readdir(directory)).find((file) => file.endsWith('.log')) ?? ''
    const whole = await readFile(join(directory, log))
    for (const torn of [1, 5, 12]) {
      await writeFile(join(directory, log), whole.subarray(0, whole.length - torn))
      const opened = await openLevelStore(directory, false)
      expect(toHex((await opened.get(put('b').key)) ?? new Uint8Array())).toBe(toHex(utf8('value')))
      expect(await opened.get(put('c').key)).toBeUndefined()
      await opened.close()
      for (const file of await readdir(directory)) await unlink(join(directory, file))
      const again = await openLevelStore(directory, true)
      for (const name of ['a', 'b', 'c']) await again.write([put(name)])
      await again.close()
    }
  })

  test('that was damaged is refused', async () => {
    const store = await openLevelStore(directory, true)
    await store.write([put('a')])
    await store.close()
    const manifest = (await readdir(directory)).find((file) => file.startsWith('MANIFEST')) ?? ''
    const data = await readFile(join(directory, manifest))
    data.fill(0x5a, 4, 20)
    await writeFile(join(directory, manifest), data)
    await expect(openLevelStore(directory, false)).rejects.toMatchObject({ code: 'ledger_corrupt' })
  })

  test('that is a file is unusable', async () => {
    await writeFile(directory, 'a file')
    await expect(openLevelStore(directory, true)).rejects.toMatchObject({ code: 'data_directory_unusable' })
    await expect(openLevelStore(directory, false)).rejects.toMatchObject({ code: 'data_directory_unusable' })
  })

  test('that may not be written is unusable, unless to the superuser, whom permissions do not bind', async () => {
    const made = await openLevelStore(directory, true)
    await made.write([put('a')])
    await made.close()
    await chmod(directory, 0o500)
    const outcome = await openLevelStore(directory, false).then(
      (store) => store.close(),
      (error: unknown) => error,
    )
    await chmod(directory, 0o700)
    if (process.getuid?.() === 0) expect(outcome).toBeUndefined()
    else expect(outcome).toMatchObject({ code: 'data_directory_unusable' })
  })
})
