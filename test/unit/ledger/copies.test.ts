import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { utf8 } from '../../../src/base/bytes.ts'
import { copyStore } from '../../../src/ledger/copies.ts'
import { keyOf, openLevelStore, SPACES } from '../../../src/ledger/store.ts'
import { LedgerPair, NETWORK, START_MS } from '../../support/ledger-pair.ts'

const key = (name: string) => keyOf(SPACES.order, utf8(name))

test('a copy holds what was on disk when it was begun, and nothing of what is written meanwhile', async () => {
  const place = await mkdtemp(join(tmpdir(), 'tok-copies-'))
  const from = await openLevelStore(join(place, 'from'), true)
  const to = await openLevelStore(join(place, 'to'), true)
  try {
    const names = Array.from({ length: 5_000 }, (_, index) => String(index).padStart(5, '0'))
    await from.write(names.map((name) => ({ key: key(name), value: utf8('before') })))
    const copying = copyStore(from, to)
    for (const name of names.toReversed().slice(0, 100)) {
      await from.write([
        { key: key(name), value: utf8('after') },
        { key: key(`${name}-new`), value: utf8('after') },
      ])
    }
    await copying
    let count = 0
    for await (const [, value] of to.entries(key(''), key('\u{10ffff}'))) {
      expect(Buffer.from(value).toString()).toBe('before')
      count += 1
    }
    expect(count).toBe(names.length)
  } finally {
    await Promise.all([from.close(), to.close()])
    await rm(place, { recursive: true })
  }
})

test('a backup knows when it was first opened, at every later start too; the original stays one', async () => {
  const pair = await LedgerPair.reconciled()
  await pair.trade({ vouched: 30 })
  const backup = await pair.buyer.backUp()
  expect(pair.buyer.ledger.restoredAtMs).toBeUndefined()
  pair.clock.advance(5_000)
  await pair.buyer.restore(backup)
  expect(pair.buyer.ledger.restoredAtMs).toBe(START_MS + 5_000)
  pair.clock.advance(5_000)
  await pair.crash('buyer')
  expect(pair.buyer.ledger.restoredAtMs).toBe(START_MS + 5_000)
  expect(pair.buyer.ledger.hello(pair.account)).toMatchObject({ restoredAtMs: START_MS + 5_000 })
  expect(pair.views()[0]).toMatchObject({ unsettled: 30n })
})

test('adverts of a seller that was restored are newer than those it published since the backup', async () => {
  const { seller, clock } = await LedgerPair.open()
  const record = () =>
    seller.ledger.recordAdvert((sequence) => ({
      type: 'tok/advert/1',
      network: NETWORK,
      asset: 'USD',
      seller: seller.key.publicKey,
      sequence,
      issuedAtMs: clock.nowMs(),
      expiresAtMs: clock.nowMs() + 120_000,
      agent: 'test',
      slots: 1,
      strangerCredit: 0n,
      offers: [],
    }))
  await record()
  const backup = await seller.backUp()
  const since = await record()
  await seller.restore(backup)
  expect((await record()).value.sequence).toBeGreaterThan(since.value.sequence)
})
