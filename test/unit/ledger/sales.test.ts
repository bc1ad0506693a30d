import { describe, expect, test } from 'vitest'
import { strangerRoom, type CreditPolicy } from '../../../src/market/credit-policy.ts'
import type { Voucher } from '../../../src/wire/inference.ts'
import { acceptanceOf, LedgerPair, receiptOf, testKey, usageOf, voucherOf } from '../../support/ledger-pair.ts'

describe('an order that is admitted', () => {
  test('reserves its maximum', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.openSale(pair.order(70))
    expect(pair.views()[1]).toMatchObject({ held: 70n, liveCalls: 1, unsettled: 0n })
  })

  test('is the last that fits the line: one micro more is refused', async () => {
    const pair = await LedgerPair.reconciled()
    pair.creditLimit = 100n
    await pair.openSale(pair.order(60))
    await expect(pair.openSale(pair.order(41))).rejects.toMatchObject({ code: 'credit_exhausted' })
    await pair.openSale(pair.order(40))
  })

  test('several hundred at once never pass the line', async () => {
    const pair = await LedgerPair.reconciled()
    const orders = Array.from({ length: 400 }, () => pair.order(7))
    const outcomes = await Promise.allSettled(orders.map((order) => pair.openSale(order)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(142)
    expect(pair.views()[1]).toMatchObject({ held: 994n })
  })

  test('of a stranger takes no more than what is left for all strangers', async () => {
    const pair = await LedgerPair.reconciled()
    const { ledger } = pair.seller
    const policy: CreditPolicy = { strangerCredit: 1_000n, strangerBudget: 100n, creditLimit: 1_000n }
    const sell = (max: number) => {
      const order = pair.order(max)
      const terms = { creditLimit: 1_000n, strangerRoom: strangerRoom(ledger.accountViews(), policy) }
      return ledger.openSale(order, acceptanceOf(order, pair.seller.key, 1_000n), terms)
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 300 }, () => sell(3)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(33)
    await expect(sell(2)).rejects.toMatchObject({ code: 'credit_exhausted' })
    await sell(1)
  })

  test('is run once, however often it comes: while it runs, when it is over, and when it is settled', async () => {
    const pair = await LedgerPair.reconciled()
    const known = { code: 'order_known' }
    const order = pair.order(100)
    await pair.openPurchase(order)
    const twice = await Promise.allSettled([pair.openSale(order), pair.openSale(order)])
    expect(twice.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await expect(pair.openSale(order)).rejects.toMatchObject(known)
    await pair.vouch(order, 10)
    await pair.closeSale(order, 10)
    await expect(pair.openSale(order)).rejects.toMatchObject(known)
    await pair.closePurchase(order)
    await pair.exchange()
    await expect(pair.openSale(order)).rejects.toMatchObject(known)
    await pair.crash('seller')
    await pair.exchange()
    await expect(pair.openSale(order)).rejects.toMatchObject(known)
    expect(pair.views()[1]).toMatchObject({ owed: 10n, held: 0n })
  })

  test('was compared before', async () => {
    const pair = await LedgerPair.open()
    await expect(pair.openSale(pair.order(1))).rejects.toMatchObject({ code: 'account_unreconciled' })
  })
})

/** A voucher after one of 30 tokens, index 3, under an order of at most 100; and what becomes of it. */
const VOUCHERS: readonly [name: string, over: Partial<Voucher>, outcome: 'counts' | 'ignored' | string][] = [
  ['a higher one', { index: 4, amount: 40n }, 'counts'],
  ['one that leaves indexes out', { index: 9, amount: 31n }, 'counts'],
  ['one of the same amount', { index: 4, amount: 30n }, 'counts'],
  ['the same again', { index: 3, amount: 30n }, 'ignored'],
  ['an older one', { index: 2, amount: 20n }, 'ignored'],
  ['a newer one for less', { index: 4, amount: 29n }, 'voucher_invalid'],
  ['one at another price', { index: 4, usage: usageOf(40), amount: 39n }, 'voucher_invalid'],
  ['one above the maximum', { index: 4, amount: 101n }, 'voucher_invalid'],
  ['one of another order', { index: 4, amount: 40n, order: new Uint8Array(32) }, 'voucher_invalid'],
  ['one for another seller', { index: 4, amount: 40n, seller: testKey(9).publicKey }, 'voucher_invalid'],
  ['one of another buyer', { index: 4, amount: 40n, buyer: testKey(9).publicKey }, 'signature_invalid'],
  ['one of another network', { index: 4, amount: 40n, network: 'other' }, 'voucher_invalid'],
]

describe('a voucher that comes', () => {
  test.each(VOUCHERS)('%s', async (_name, over, outcome) => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    const record = (fields: Partial<Voucher>) =>
      pair.seller.ledger.recordVoucher(order.id, voucherOf(order, pair.buyer.key, fields))
    await record({ index: 3, amount: 30n })
    const recorded = record(over)
    if (outcome === 'counts') expect((await recorded)?.value.amount).toBe(over.amount)
    else if (outcome === 'ignored') expect(await recorded).toBeUndefined()
    else await expect(recorded).rejects.toMatchObject({ code: outcome })
    const kept = await pair.seller.ledger.callRecord(order.id)
    expect(kept?.voucher?.value.amount).toBe(outcome === 'counts' ? over.amount : 30n)
  })

  test('with the signature of someone else is refused', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    const foreign = voucherOf(order, testKey(9), { amount: 10n })
    await expect(pair.seller.ledger.recordVoucher(order.id, foreign)).rejects.toMatchObject({
      code: 'signature_invalid',
    })
    expect(pair.views()[1]).toMatchObject({ unsettled: 0n })
  })

  test('after the end of the call is ignored, and so is one that waited while the call was sealed', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 10)
    const late = voucherOf(order, pair.buyer.key, { index: 2, amount: 20n })
    const closed = pair.closeSale(order)
    const waited = pair.seller.ledger.recordVoucher(order.id, late)
    await closed
    expect(await waited).toBeUndefined()
    expect(await pair.seller.ledger.recordVoucher(order.id, late)).toBeUndefined()
    expect((await pair.seller.ledger.callRecord(order.id))?.voucher?.value.amount).toBe(10n)
  })
})

describe('the end of a sale', () => {
  test('counts at a receipt below the voucher', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 30)
    await pair.closeSale(order, 20)
    expect(pair.views()[1]).toMatchObject({ held: 0n, unsettled: 20n })
  })

  test('happens once', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 30)
    await pair.closeSale(order)
    await expect(pair.closeSale(order)).rejects.toMatchObject({ code: 'record_not_found' })
    expect(pair.seller.ledger.journalHead().sequence).toBe(1)
  })

  test('takes no receipt for a call that is not open', async () => {
    const pair = await LedgerPair.reconciled()
    const receipt = receiptOf(pair.order(10), pair.seller.key, 1)
    await expect(pair.seller.ledger.recordReceipt(receipt)).rejects.toMatchObject({ code: 'internal_error' })
  })
})
