import { describe, expect, test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { checkBilling } from '../../../src/wire/inference.ts'
import { collect, LedgerPair, lineOf, receiptOf, testKey, turns, usageOf } from '../../support/ledger-pair.ts'

/** What is left of limits that only totals of the day by seller and by model can tell. */
function totalsOf(pair: LedgerPair): Readonly<Record<'spent' | 'spentWith' | 'spentOn', bigint | undefined>> {
  const { ledger } = pair.buyer
  const { seller } = pair.account
  const model = pair.order(1).value.model
  const modelSpendLimits = [{ pattern: model, micros: 1_000n, covers: (name: string) => name === model }]
  const roomBy = (limits: object) =>
    ledger.purchaseRoom(seller, model, { spendLimit: undefined, strangerCredit: 10_000n, ...limits }).spend
  return {
    spent: ledger.spentAndHeld(),
    spentWith: roomBy({ sellerSpendLimit: 1_000n }),
    spentOn: roomBy({ modelSpendLimits }),
  }
}

/** Purchases that run, one after the other, and how the last of them ends. */
const LIMITS_TABLE = `
  credit spend | maxima of the purchases -> the last one
  100    -     | 100                     -> runs
  100    -     | 101                     -> credit_exhausted
  100    -     | 60 40                   -> runs
  100    -     | 60 41                   -> credit_exhausted
  100    50    | 50                      -> runs
  100    50    | 51                      -> spend_limit_reached
  100    50    | 30 20                   -> runs
  100    50    | 30 21                   -> spend_limit_reached
  0      -     | 1                       -> credit_exhausted
  0      -     | 0                       -> runs
`

describe('a purchase within its limits', () => {
  test.each(rowsOf(LIMITS_TABLE))('$row', async ({ cells, outcome }) => {
    const [credit = '', spend = '', ...maxima] = cells
    const { buyer, order } = await pairWithOrders()
    const terms = { spendLimit: spend === '-' ? undefined : BigInt(spend), strangerCredit: BigInt(credit) }
    const last = Number(maxima.pop())
    for (const max of maxima) await buyer.ledger.openPurchase(order(Number(max)), terms)
    const opened = buyer.ledger.openPurchase(order(last), terms)
    if (outcome === 'runs') await opened
    else await expect(opened).rejects.toMatchObject({ code: outcome })
  })

  test('several hundred at once never pass the line', async () => {
    const { buyer, order } = await pairWithOrders()
    const orders = Array.from({ length: 400 }, () => order(7))
    const terms = { spendLimit: undefined, strangerCredit: 1_000n }
    const outcomes = await Promise.allSettled(orders.map((each) => buyer.ledger.openPurchase(each, terms)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(142)
    expect(buyer.ledger.accountViews()[0]).toMatchObject({ held: 994n, liveCalls: 142 })
  })

  test('the seller’s newest word on the credit limit counts, not the advert’s', async () => {
    const pair = await LedgerPair.reconciled()
    pair.creditLimit = 150n
    await pair.trade({ max: 100, vouched: 100, receipted: 100 })
    await pair.exchange()
    const terms = { spendLimit: undefined, strangerCredit: 1_000n }
    expect(pair.buyer.ledger.purchaseRoom(pair.account.seller, 'any', terms)).toMatchObject({
      credit: 50n,
      spend: undefined,
    })
    await expect(pair.buyer.ledger.openPurchase(pair.order(51), terms)).rejects.toMatchObject({
      code: 'credit_exhausted',
    })
    await pair.buyer.ledger.openPurchase(pair.order(50), terms)
  })

  test('what was spent today counts until the day is over, also after a restart', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ max: 100, vouched: 30, receipted: 30 })
    expect(pair.buyer.ledger.spentAndHeld()).toBe(30n)
    await pair.buyer.crash()
    expect(pair.buyer.ledger.spentAndHeld()).toBe(30n)
    pair.clock.advance(86_400_000)
    expect(pair.buyer.ledger.spentAndHeld()).toBe(0n)
    await pair.buyer.crash()
    expect(pair.buyer.ledger.spentAndHeld()).toBe(0n)
  })

  test.each([
    ['before any trade', 0],
    ['between two', 1],
    ['after them', 2],
  ])('a start goes on from the totals of a checkpoint %s', async (_, tradesBefore) => {
    const pair = await LedgerPair.reconciled()
    const trade = () => pair.trade({ max: 100, vouched: 30, receipted: 30 })
    const { spentWith, spentOn } = await (async () => {
      for (let count = 0; count < 2; count += 1) {
        if (count === tradesBefore) await pair.buyer.ledger.takeCheckpoint()
        await trade()
      }
      if (tradesBefore === 2) await pair.buyer.ledger.takeCheckpoint()
      return totalsOf(pair)
    })()
    await pair.buyer.crash()
    expect(totalsOf(pair)).toEqual({ spent: 60n, spentWith, spentOn })
    // A checkpoint of yesterday says nothing of today.
    pair.clock.advance(86_400_000)
    await pair.buyer.crash()
    expect(pair.buyer.ledger.spentAndHeld()).toBe(0n)
  })

  test('nothing is ordered before the account was compared', async () => {
    const pair = await LedgerPair.open()
    await expect(pair.openPurchase(pair.order(1))).rejects.toMatchObject({ code: 'account_unreconciled' })
    await pair.exchange()
    await pair.openPurchase(pair.order(1))
    await pair.buyer.crash()
    await expect(pair.openPurchase(pair.order(1))).rejects.toMatchObject({ code: 'account_unreconciled' })
  })
})

/** Purchases as model:maximum, under limits of 60 with this seller, 40 on "small*" and 90 in all; how the last of them ends. */
const BUDGETS = `
  purchases            -> the last one
  big:60               -> runs
  big:61               -> max_spend_per_seller
  small-a:40           -> runs
  small-a:41           -> max_spend_per_model
  small-a:30 small-b:10 -> runs
  small-a:30 small-b:11 -> max_spend_per_model
  SMALL_A:30 small-b:11 -> max_spend_per_model
  small-a:40 big:20    -> runs
  small-a:40 big:21    -> max_spend_per_seller
  big:20 small-a:40    -> runs
  big:30 small-a:31    -> max_spend_per_seller
`

describe('spending limits per seller and per model', () => {
  const limits = {
    spendLimit: 90n,
    sellerSpendLimit: 60n,
    modelSpendLimits: [{ name: 'small*', micros: 40n, covers: (model: string) => model.startsWith('small') }],
    strangerCredit: 1_000n,
  }

  test.each(rowsOf(BUDGETS))('$row', async ({ cells, outcome }) => {
    const pair = await LedgerPair.reconciled()
    const orders = cells.map((cell) => {
      const [model = '', max] = cell.split(':')
      return pair.order(Number(max), { model })
    })
    const opened = orders.map((order) => pair.buyer.ledger.openPurchase(order, limits))
    await Promise.all(opened.slice(0, -1))
    if (outcome === 'runs') await opened.at(-1)
    else await expect(opened.at(-1)).rejects.toMatchObject({ code: 'spend_limit_reached', details: { key: outcome } })
  })

  test('of one seller leave another its own, up to what may be spent in all', async () => {
    const pair = await LedgerPair.reconciled()
    const { ledger } = pair.buyer
    await ledger.openPurchase(pair.order(60, { model: 'big' }), limits)
    const room = ledger.purchaseRoom(testKey(9).publicKey, 'big', limits)
    expect(room).toMatchObject({ spend: 30n, spendLimit: { scope: 'all', words: 'a day', micros: 90n, used: 60n } })
  })

  test('count what was spent today, also after a restart, and begin anew at midnight', async () => {
    const pair = await LedgerPair.reconciled()
    const order = pair.order(40, { model: 'small-a' })
    await pair.openPurchase(order)
    await pair.openSale(order)
    await pair.vouch(order, 25)
    const receipt = await pair.closeSale(order, 25)
    await pair.closePurchase(order, receipt)
    const roomFor = (model: string) => pair.buyer.ledger.purchaseRoom(pair.account.seller, model, limits).spend
    expect([roomFor('small-b'), roomFor('big')]).toEqual([15n, 35n])
    await pair.buyer.crash()
    expect([roomFor('small-b'), roomFor('big')]).toEqual([15n, 35n])
    pair.clock.advance(86_400_000)
    expect([roomFor('small-b'), roomFor('big')]).toEqual([40n, 60n])
  })

  test('are not passed by several hundred at once', async () => {
    const pair = await LedgerPair.reconciled()
    const orders = Array.from({ length: 300 }, (_, index) =>
      pair.order(3, { model: index % 2 === 0 ? 'small' : 'big' }),
    )
    const outcomes = await Promise.allSettled(orders.map((each) => pair.buyer.ledger.openPurchase(each, limits)))
    const opened = orders.filter((_, index) => outcomes[index]?.status === 'fulfilled')
    const heldOn = (model: string) => 3 * opened.filter(({ value }) => value.model === model).length
    expect([heldOn('small'), heldOn('big')]).toEqual([30, 30])
  })
})

test('several hundred whole calls of one pair at the edge of the line never pass it, and all that ran are settled', async () => {
  const pair = await LedgerPair.reconciled({ turnsMax: 3 })
  pair.creditLimit = 500n
  const outcomes = { ran: 0, refused: 0 }
  let exchanging = Promise.resolve()
  const call = async (index: number): Promise<void> => {
    await turns(index % 40)
    try {
      await pair.trade({ max: 20, vouched: 1 + (index % 20), receipted: 1 + (index % 20) })
      outcomes.ran += 1
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'credit_exhausted' })
      outcomes.refused += 1
    }
    for (const { owed, paid, unsettled, held } of pair.views()) {
      expect(owed - paid + unsettled + held).toBeLessThanOrEqual(500n)
    }
    exchanging = exchanging.then(() => pair.exchange())
  }
  await Promise.all(Array.from({ length: 300 }, (_, index) => call(index)))
  await exchanging
  expect(outcomes.ran + outcomes.refused).toBe(300)
  expect(outcomes.ran).toBeGreaterThan(20)
  expect(outcomes.refused).toBeGreaterThan(20)
  const [ours, theirs] = pair.views()
  expect(ours).toMatchObject({ unsettled: 0n, held: 0n, owed: theirs.owed })
})

describe('a voucher', () => {
  test('never falls, and says nothing twice', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    const sign = (tokens: number) => pair.buyer.ledger.signVoucher(order.id, usageOf(tokens))
    expect((await sign(10))?.value).toMatchObject({ index: 1, amount: 10n })
    expect(await sign(10)).toBeUndefined()
    expect(await sign(9)).toBeUndefined()
    expect((await sign(11))?.value).toMatchObject({ index: 2, amount: 11n })
  })

  test('is never signed above the order', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await expect(pair.buyer.ledger.signVoucher(order.id, usageOf(101))).rejects.toMatchObject({
      code: 'voucher_invalid',
    })
  })

  test('of many asked for at once is one of a growing chain', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    const asked = [40, 10, 70, 70, 60, 100]
    const signed = await Promise.all(asked.map((tokens) => pair.buyer.ledger.signVoucher(order.id, usageOf(tokens))))
    const vouchers = signed.flatMap((voucher) => voucher?.value ?? [])
    expect(vouchers.map(({ index, amount }) => [index, amount])).toEqual([
      [1, 40n],
      [2, 70n],
      [3, 100n],
    ])
    for (const voucher of vouchers) checkBilling(voucher, order.value)
  })

  test('is not signed once the purchase is sealed, whether by its end or by a restart', async () => {
    const pair = await LedgerPair.reconciled()
    const [ended, broken] = [await pair.openCall(100), await pair.openCall(100)]
    for (const order of [ended, broken]) await pair.vouch(order, 10)
    await pair.closePurchase(ended)
    expect(await pair.vouch(ended, 20)).toBeUndefined()
    await pair.crash('buyer')
    await pair.exchange()
    expect(await pair.vouch(broken, 20)).toBeUndefined()
    expect((await pair.buyer.ledger.callRecord(broken.id))?.voucher?.value.amount).toBe(10n)
  })
})

describe('the end of a purchase', () => {
  test('frees what the voucher does not promise', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 30)
    expect(pair.views()[0]).toMatchObject({ held: 100n, unsettled: 0n })
    await pair.closePurchase(order)
    expect(pair.views()[0]).toMatchObject({ held: 0n, unsettled: 30n })
  })

  test('counts at a receipt below the voucher, and at the voucher where the receipt is above', async () => {
    const pair = await LedgerPair.reconciled()
    for (const receipted of [20, 50]) {
      const order = await pair.openCall(100)
      await pair.vouch(order, 30)
      await pair.closePurchase(order, receiptOf(order, pair.seller.key, receipted))
    }
    expect(pair.views()[0]).toMatchObject({ unsettled: 50n })
  })

  test('without a voucher leaves nothing open', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.closePurchase(order)
    expect(pair.views()[0]).toMatchObject({ held: 0n, unsettled: 0n, liveCalls: 0 })
    await expect(pair.closePurchase(order)).rejects.toMatchObject({ code: 'record_not_found' })
  })

  test('happens once: a second one writes nothing', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 30)
    await pair.closePurchase(order)
    await expect(pair.closePurchase(order)).rejects.toMatchObject({ code: 'record_not_found' })
    expect(pair.buyer.ledger.journalHead().sequence).toBe(1)
    expect(pair.buyer.ledger.spentAndHeld()).toBe(30n)
  })

  test('leaves no line in the journal when another call answers and nothing is owed', async () => {
    const pair = await LedgerPair.reconciled()
    const [refused, vouched] = [await pair.openCall(100), await pair.openCall(100)]
    await pair.vouch(vouched, 5)
    for (const order of [refused, vouched]) {
      await pair.buyer.ledger.closePurchase(order.id, undefined, lineOf(order, 'bought'), { isAnswered: false })
    }
    const lines = await collect(pair.buyer.ledger.journalEntries())
    expect(lines.map(({ entry }) => [toHex(entry.order ?? vouched.id), entry.amount])).toEqual([
      [toHex(vouched.id), 5n],
    ])
  })
})

describe('a restart with running calls', () => {
  test('seals them at their vouchers, drops those without, and says so in the journal', async () => {
    const pair = await LedgerPair.reconciled()
    const [vouched, silent] = [await pair.openCall(100), await pair.openCall(100)]
    await pair.vouch(vouched, 30)
    for (const side of [pair.buyer, pair.seller]) {
      await side.crash()
      expect(side.ledger.accountViews()[0]).toMatchObject({ liveCalls: 0, held: 0n, unsettled: 30n })
      const lines = await collect(side.ledger.journalEntries())
      const byOrder = new Map(lines.map(({ entry }) => [toHex(entry.order ?? new Uint8Array()), entry]))
      expect(byOrder.get(toHex(vouched.id))).toMatchObject({ amount: 30n, status: 'failed' })
      expect(byOrder.get(toHex(silent.id))).toMatchObject({ amount: 0n, status: 'failed' })
    }
    await pair.exchange()
    expect(pair.views().map((view) => view.owed)).toEqual([30n, 30n])
  })
})

async function pairWithOrders() {
  const pair = await LedgerPair.reconciled()
  return { buyer: pair.buyer, order: (max: number) => pair.order(max) }
}

/** Rows of a text table: cells before the arrow, the outcome behind it. */
function rowsOf(table: string): { row: string; cells: string[]; outcome: string }[] {
  return table
    .trim()
    .split('\n')
    .slice(1)
    .map((row) => {
      const [before = '', outcome = ''] = row.split('->')
      const cells = before.split(/[\s|]+/).filter((cell) => cell !== '')
      return { row: row.trim(), cells, outcome: outcome.trim() }
    })
}
