import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createSettler } from '../../../src/buyer/settle.ts'
import { TokError } from '../../../src/base/errors.ts'
import type { Network } from '../../../src/network/network.ts'
import { LedgerPair, turns } from '../../support/ledger-pair.ts'

const TEN_MINUTES_MS = 600_000

/** A settler whose seller never answers, and the peers that it tried to reach. */
function settlerOf({ buyer, clock }: LedgerPair) {
  const asked: string[] = []
  const network = {
    openAccountStream(peer: string) {
      asked.push(peer)
      return Promise.reject(new TokError('seller_unreachable', { peer, reason: 'it is not there' }))
    },
    isConnected: () => false,
  } as Partial<Network> as Network
  const settler = createSettler({ ledger: buyer.ledger, network, clock, logger: pino({ level: 'silent' }) })
  return { settler, asked }
}

test('an account with a running call is compared every ten minutes, and one without is left alone', async () => {
  const pair = await LedgerPair.reconciled()
  const { settler, asked } = settlerOf(pair)
  pair.clock.advance(TEN_MINUTES_MS)
  await turns(5)
  expect(asked).toEqual([])
  await pair.openCall(10)
  pair.clock.advance(TEN_MINUTES_MS)
  pair.clock.advance(0)
  await turns(5)
  expect(asked).toEqual([pair.seller.key.peer])
  settler.stop()
  pair.clock.advance(10 * TEN_MINUTES_MS)
  await turns(5)
  expect(asked).toHaveLength(1)
})

test('`reconcile` compares again although the account was compared, and says why it could not', async () => {
  const pair = await LedgerPair.reconciled()
  const { settler, asked } = settlerOf(pair)
  for (let round = 1; round <= 2; round++) {
    await expect(settler.reconcile(pair.seller.key.peer)).rejects.toMatchObject({ code: 'seller_unreachable' })
    expect(asked).toHaveLength(round)
  }
  settler.stop()
})
