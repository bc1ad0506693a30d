import { expect, test } from 'vitest'
import { nameOfHash } from '../../../src/wire/hash-name.ts'
import { recordOf } from '../../../src/node/ledger-views.ts'
import { LedgerPair } from '../../support/ledger-pair.ts'

const POLICY = { strangerCredit: 100_000n, strangerBudget: 0n, creditLimit: 0n }

test('a settled call tells its whole story, on both sides, to the signatures and the price', async () => {
  const pair = await LedgerPair.reconciled()
  const order = await pair.trade({ vouched: 30, receipted: 20 })
  await pair.exchange()
  for (const side of ['buyer', 'seller'] as const) {
    const { ledger } = pair[side]
    await ledger.takeCheckpoint()
    const story = await recordOf(ledger, nameOfHash(order.id), POLICY)
    expect(story).toMatchObject({
      journal: {
        direction: side === 'buyer' ? 'bought' : 'sold',
        amount: '20',
        held: '100',
        prices: { output: '1000000' },
      },
      checkpoint: { sequence: 1, entries: 1 },
      order: { amountMax: '100' },
      voucher: { amount: '30' },
      receipt: { amount: '20' },
      price: {
        countedBy: 'receipt',
        parts: [
          { tokens: 'input', count: 0 },
          { tokens: 'cached input', count: 0 },
          { tokens: 'cache write', count: 0 },
          { tokens: 'output', count: 20, microsPerMtok: '1000000', product: '20000000' },
        ],
        total: '20000000',
        amountMicros: '20',
      },
      settledAt: 1,
      statement: {
        sequence: 1,
        owed: '20',
        calls: 1,
        item: { amount: '20', order: nameOfHash(order.id) },
        sellerSignature: expect.stringMatching(/^[0-9a-f]{128}$/),
        buyerSignature: expect.stringMatching(/^[0-9a-f]{128}$/),
      },
    })
    if (side === 'seller') expect(story).toMatchObject({ acceptance: { order: nameOfHash(order.id) } })
  }
})

test('a call that is not settled tells what is known of it', async () => {
  const pair = await LedgerPair.reconciled()
  const order = await pair.trade({ vouched: 7 })
  const story = await recordOf(pair.buyer.ledger, nameOfHash(order.id), POLICY)
  expect(story).toMatchObject({ voucher: { amount: '7' }, price: { countedBy: 'voucher', amountMicros: '7' } })
  expect(story['statement']).toBeUndefined()
  expect(story['checkpoint']).toBeUndefined()
})
