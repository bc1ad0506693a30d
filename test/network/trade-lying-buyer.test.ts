import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemRandomBytes } from '../../src/base/bytes.ts'
import { decodeEnvelope, open } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed } from '../../src/wire/identity.ts'
import {
  decodePart,
  progressShape,
  RECEIPT,
  type Order,
  type OrderFrame,
  type Receipt,
} from '../../src/wire/inference.ts'
import { FRAMES } from '../../src/wire/registry.ts'
import { decodeBody } from '../../src/wire/shape.ts'
import {
  accountsOf,
  chatEvents,
  EVENT_STREAM,
  eventually,
  exportedLines,
  hastyClock,
  journalOf,
  startMarket,
  statusOf,
  type SellerOptions,
  type TestMarket,
  type TestSeller,
} from '../support/market.ts'
import type { RecordedCall } from '../support/network.ts'
import { framesOf, refusalOf, startRawBuyer, type RawBuyer } from '../support/raw-trader.ts'

let market: TestMarket
let seller: TestSeller
let buyer: RawBuyer

async function start(options: SellerOptions = {}, reconcile = true): Promise<void> {
  market = await startMarket({ sellers: [options] })
  seller = market.sellers[0]!
  buyer = await startRawBuyer({ peerId: seller.peerId, address: seller.node.multiaddrs()[0]! }, { reconcile })
}
afterEach(async () => {
  await buyer.stop()
  await market.stop()
})

/** Scripts a long answer: events of 40 bytes of text, 10 tokens, each. */
function scriptLongAnswer(events = 100): void {
  seller.provider.script({ headers: EVENT_STREAM, body: chatEvents(Array(events).fill('x'.repeat(40))) })
}

async function receiptOf(call: RecordedCall): Promise<Receipt> {
  const [payload] = await eventually(() => framesOf(call, FRAMES.receipt).length > 0 && framesOf(call, FRAMES.receipt))
  return open(RECEIPT, decodeEnvelope(payload!, 'receipt')).value
}

/** Output tokens that the seller's newest part counts. */
function tokensDelivered(call: RecordedCall): number {
  const last = framesOf(call, FRAMES.part).at(-1)
  return last === undefined ? 0 : decodePart(last).outputTokens
}

/** What the seller may still claim of the buyer, in micros. */
async function unsettledOfBuyer(): Promise<string> {
  const account = (await accountsOf(seller)).find(({ counterparty }) => counterparty === buyer.key.peer)
  return account?.unsettledMicros ?? '0'
}

describe('an order that is not in order is refused by its name, and nothing runs', () => {
  beforeEach(() => start())
  const stranger = nodeKeyFromSeed(systemRandomBytes(32))
  const cases: [string, string, () => Partial<Order>, Partial<OrderFrame>?][] = [
    [
      'a lower price than the advert',
      'order_invalid',
      () => ({ prices: { ...buyer.order().value.prices, output: 1n } }),
    ],
    ['a wider window than the advert', 'order_invalid', () => ({ windowTokens: 100_000 })],
    ['more hidden tokens than the advert', 'order_invalid', () => ({ hiddenOutputTokensMax: 1_000 })],
    ['an advert that nobody knows', 'advert_unknown', () => ({ advert: new Uint8Array(32) })],
    ['a model that is not offered', 'model_not_offered', () => ({ model: 'another-model' })],
    ['a time that is long over', 'order_expired', () => ({ issuedAtMs: 1, expiresAtMs: Date.now() - 400_000 })],
    ['a time that is to come', 'order_invalid', () => ({ issuedAtMs: Date.now() + 400_000 })],
    ['another seller', 'order_invalid', () => ({ seller: stranger.publicKey })],
    ['another network', 'network_mismatch', () => ({ network: 'other' })],
    ['another asset', 'order_invalid', () => ({ asset: 'EUR' })],
    ['a dialect that is not of its endpoint', 'order_invalid', () => ({ dialect: 'anthropic-messages' })],
    ['a maximum that its counts do not cost', 'order_invalid', () => ({ amountMax: 1n })],
    ['less input than its body has', 'order_invalid', () => ({ inputTokensEstimate: 1 })],
    ['another body than its commitment', 'order_invalid', () => ({ requestCommitment: new Uint8Array(32) })],
    ['a body that no order may have', 'body_too_large', () => ({}), { bodyBytes: 50_000_000 }],
    ['more than the seller lends', 'credit_exhausted', () => ({ outputTokensMax: 10_000_000 })],
  ]

  test.each(cases)('it states %s: %s', async (_, code, changes, frame = {}) => {
    const call = await buyer.send(buyer.order(changes()), frame)
    expect((await refusalOf(call)).code).toBe(code)
    expect(seller.provider.requests).toHaveLength(0)
    expect(await unsettledOfBuyer()).toBe('0')
  })

  test('it is signed by somebody else than its buyer', async () => {
    const { body } = buyer.order()
    const { signature } = buyer.order({}, stranger)
    expect((await refusalOf(await buyer.send({ body, signature }))).code).toBe('signature_invalid')
  })

  test('it is of another buyer than the peer that sends it', async () => {
    const call = await buyer.send(buyer.order({ buyer: stranger.publicKey }, stranger))
    expect((await refusalOf(call)).code).toBe('order_invalid')
  })

  test('it was run before', async () => {
    const order = buyer.order()
    const first = await buyer.send(order)
    await receiptOf(first)
    expect((await refusalOf(await buyer.send(order))).code).toBe('order_known')
    first.channel.close()
    await eventually(async () => (await statusOf(seller)).selling?.callsOpen === 0)
    expect((await refusalOf(await buyer.send(order))).code).toBe('order_known')
    expect(seller.provider.requests).toHaveLength(1)
  })
})

describe('a buyer', () => {
  test('whose account was not compared since it connected is told so', async () => {
    await start({}, false)
    expect((await refusalOf(await buyer.send(buyer.order()))).code).toBe('account_unreconciled')
  })

  test('that never signs a voucher gets the window and no more, and owes nothing', async () => {
    await start({ clock: hastyClock })
    scriptLongAnswer()
    const call = await buyer.send(buyer.order())
    await eventually(() => framesOf(call, FRAMES.progress).length > 0)
    const stages = framesOf(call, FRAMES.progress).map(
      (payload) => decodeBody(progressShape, payload, 'progress').stage,
    )
    expect(stages).toContain('window')
    const { status, error } = await receiptOf(call)
    expect([status, error]).toEqual(['aborted', 'voucher_timeout'])
    expect(tokensDelivered(call)).toBeGreaterThanOrEqual(256)
    expect(tokensDelivered(call)).toBeLessThan(256 + 10)
    await eventually(() => framesOf(call, FRAMES.end).length > 0)
    expect(await unsettledOfBuyer()).toBe('0')
  })

  test('that takes no bytes holds a slot for a while only', async () => {
    await start({ clock: hastyClock })
    const event = `data: {"choices":[],"padding":"${'p'.repeat(4_000)}"}\n\n`
    seller.provider.script({ headers: EVENT_STREAM, body: [...Array(2_000).fill(event), ...chatEvents([])] })
    await buyer.send(buyer.order(), {}, { consume: false })
    await eventually(() => seller.provider.requests[0]?.wasAbandoned)
    await eventually(async () => (await statusOf(seller)).selling?.callsOpen === 0)
    expect(journalOf(await exportedLines(seller))).toMatchObject([{ status: 'aborted', error: 'limit_exceeded' }])
  })

  test('that signs one voucher and goes owes what it signed', async () => {
    await start()
    scriptLongAnswer()
    const order = buyer.order()
    const call = await buyer.send(order)
    await eventually(() => tokensDelivered(call) >= 256)
    call.channel.send(FRAMES.voucher, buyer.voucher(order, 100))
    await eventually(() => tokensDelivered(call) >= 356)
    call.channel.close()
    await eventually(async () => (await unsettledOfBuyer()) === String(order.value.inputTokensEstimate + 200))
    expect(tokensDelivered(call)).toBeLessThan(356 + 10)
  })

  const badVouchers: [string, (order: ReturnType<RawBuyer['order']>) => Uint8Array][] = [
    ['whose amount is not the price of its counts', (order) => buyer.voucher(order, 50, { amount: 1n })],
    ['beyond the maximum of the order', (order) => buyer.voucher(order, 5_000)],
    ['of another order', (order) => buyer.voucher(order, 50, { order: new Uint8Array(32) })],
    ['below the one before', (order) => buyer.voucher(order, 10, { index: 1_000 })],
  ]

  test.each(badVouchers)('that sends a voucher %s is stopped, and owes by its last good one', async (_, bad) => {
    await start()
    scriptLongAnswer()
    const order = buyer.order()
    const call = await buyer.send(order)
    await eventually(() => tokensDelivered(call) >= 256)
    call.channel.send(FRAMES.voucher, buyer.voucher(order, 20))
    await eventually(() => tokensDelivered(call) >= 276)
    call.channel.send(FRAMES.voucher, bad(order))
    expect(await receiptOf(call)).toMatchObject({ status: 'aborted', error: 'voucher_invalid' })
    expect(tokensDelivered(call)).toBeLessThan(276 + 10)
    call.channel.close()
    await eventually(async () => (await unsettledOfBuyer()) === String(order.value.inputTokensEstimate + 40))
  })
})
