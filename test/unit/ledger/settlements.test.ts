import { describe, expect, test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { exportLedger } from '../../../src/ledger/export.ts'
import type { SettlementView } from '../../../src/ledger/settlements.ts'
import { verifyExport } from '../../../src/ledger/verify-export.ts'
import { splitLines } from '../../../src/ledger/export-lines.ts'
import {
  itemId,
  NETTING,
  PAYMENT,
  REJECTION,
  STATEMENT,
  type Item,
  type Netting,
  type Payment,
} from '../../../src/wire/account.ts'
import { open, seal, signingInput } from '../../../src/wire/envelope.ts'
import { FRAMES, LIMITS } from '../../../src/wire/registry.ts'
import { collect, hexed, LedgerPair, plain, signatureChecker, START_MS, testKey } from '../../support/ledger-pair.ts'

const DAY_MS = 86_400_000

describe('a payment', () => {
  test('is announced, confirmed, and then stands in a statement of both: the balance falls, the line is free again', async () => {
    const pair = await pairOwing(60)
    const announced = await pay(pair, 50n, 'invoice 7')
    expect(announced).toMatchObject({ kind: 'payment', state: 'proposed', side: 'buyer', amount: 50n })
    await pair.exchange()
    expect(pair.views().map(({ paid, settlementsOpen }) => [paid, settlementsOpen])).toEqual([
      [0n, 1],
      [0n, 1],
    ])
    expect(settlementsOf(pair, 'seller')).toMatchObject([{ state: 'proposed', side: 'seller', reference: 'invoice 7' }])
    await pair.seller.ledger.confirmPayment(announced.id)
    await pair.exchange()
    for (const view of pair.views()) {
      expect(view).toMatchObject({ owed: 60n, paid: 50n, settlementsOpen: 0, confirmed: 0n, frozen: undefined })
    }
    expect([settlementsOf(pair, 'buyer'), settlementsOf(pair, 'seller')]).toEqual([[], []])
    expect(await itemsOf(pair, 'buyer')).toMatchObject([
      { kind: 'call' },
      { kind: 'payment', adapter: 'manual', reference: 'invoice 7', amount: 50n, paidAtMs: START_MS },
    ])
    await expectExports(pair)
  })

  test('frees credit for further calls', async () => {
    const pair = await pairOwing(60)
    pair.creditLimit = 100n
    await expect(pair.openSale(pair.order(41))).rejects.toMatchObject({ code: 'credit_exhausted' })
    await settle(pair, 60n, 'a')
    await pair.openCall(100)
  })

  test('in the same exchange as calls is settled with them, and may pay what they bill', async () => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 60n, 'a')
    await pair.exchange()
    await pair.seller.ledger.confirmPayment(id)
    await pair.trade({ vouched: 7 })
    await pair.exchange()
    expect(pair.views()[0]).toMatchObject({ sequence: 2, owed: 67n, paid: 60n })
  })

  test('is announced again as the one that waits, whatever happens in between', async () => {
    const pair = await pairOwing(60)
    const first = await pay(pair, 10n, 'a')
    expect(toHex((await pay(pair, 10n, 'a')).id)).toBe(toHex(first.id))
    await pair.crash('buyer')
    pair.clock.advance(1_000)
    expect(toHex((await pay(pair, 10n, 'a')).id)).toBe(toHex(first.id))
    expect(settlementsOf(pair, 'buyer')).toHaveLength(1)
  })

  /** What a buyer that owes 60 announces after a payment of 10 with reference "a" that waits; and the refusal. */
  const refused: readonly [name: string, amount: bigint, reference: string, code: string][] = [
    ['of more than is left to pay', 51n, 'b', 'settlement_invalid'],
    ['of nothing', 0n, 'b', 'settlement_invalid'],
    ['with a reference that waits for another amount', 11n, 'a', 'reference_used'],
  ]
  test.each(refused)('%s is not announced', async (_name, amount, reference, code) => {
    const pair = await pairOwing(60)
    await pay(pair, 10n, 'a')
    await expect(pay(pair, amount, reference)).rejects.toMatchObject({ code })
    await pay(pair, 50n, 'b')
  })

  test('with a settled reference is refused for good, on both sides', async () => {
    const pair = await pairOwing(60)
    await settle(pair, 10n, 'a')
    await expect(pay(pair, 10n, 'a')).rejects.toMatchObject({ code: 'reference_used' })
    await pair.crash('buyer')
    await expect(pay(pair, 10n, 'a')).rejects.toMatchObject({ code: 'reference_used' })
    const again = sealPayment(pair, { reference: 'a', amount: 10n, issuedAtMs: START_MS + 5 })
    const refusals = await pair.seller.ledger.takePayments(pair.account, [plain(again)])
    expect(refusals).toMatchObject([{ code: 'reference_used' }])
    expect(settlementsOf(pair, 'seller')).toEqual([])
  })

  test('is counted for one buyer only: a second one with the same reference is refused', async () => {
    const pair = await pairOwing(60)
    await settle(pair, 10n, 'transfer 9')
    const other = await pair.withBuyer(testKey(7))
    await other.trade({ vouched: 30 })
    await other.exchange()
    await pay(other, 10n, 'transfer 9')
    await other.exchange()
    expect(settlementsOf(other, 'buyer')).toMatchObject([{ state: 'refused' }])
    expect(settlementsOf(other, 'seller')).toEqual([])
  })

  test('shown by two buyers at once is confirmed for one of them, however close the two are', async () => {
    const pair = await pairOwing(60)
    const other = await pair.withBuyer(testKey(7))
    await other.trade({ vouched: 30 })
    await other.exchange()
    const announced = [await pay(pair, 10n, 'transfer 9'), await pay(other, 10n, 'transfer 9')]
    for (const each of [pair, other]) await each.exchange()
    const outcomes = await Promise.allSettled(announced.map(({ id }) => pair.seller.ledger.confirmPayment(id)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'reference_used' } })
  })

  test('waits with 16 others at the most', async () => {
    const pair = await pairOwing(60)
    for (let count = 0; count < LIMITS.openPayments; count++) await pay(pair, 1n, `part ${count}`)
    await expect(pay(pair, 1n, 'one more')).rejects.toMatchObject({ code: 'limit_exceeded' })
    await pair.exchange()
    expect(settlementsOf(pair, 'seller')).toHaveLength(LIMITS.openPayments)
  })

  test('is taken back by the buyer, and forgotten by the seller; the reference is free again', async () => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 10n, 'a')
    await pair.exchange()
    expect(await pair.buyer.ledger.cancelPayment(id)).toMatchObject({ state: 'cancelled' })
    await pair.exchange()
    expect(settlementsOf(pair, 'seller')).toEqual([])
    await expect(pair.seller.ledger.confirmPayment(id)).rejects.toMatchObject({ code: 'record_not_found' })
    pair.clock.advance(1)
    await settle(pair, 12n, 'a')
    expect(pair.views()[1]).toMatchObject({ paid: 12n })
  })

  test('that was confirmed before the buyer took it back counts', async () => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 10n, 'a')
    await pair.exchange()
    await pair.seller.ledger.confirmPayment(id)
    await pair.buyer.ledger.cancelPayment(id)
    await pair.exchange()
    expect(pair.views().map(({ paid }) => paid)).toEqual([10n, 10n])
    await expect(pair.buyer.ledger.cancelPayment(id)).rejects.toMatchObject({ code: 'record_not_found' })
  })

  test('that the seller refuses comes back with the reason, also after a broken exchange', async () => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 10n, 'a')
    await pair.exchange()
    await pair.seller.ledger.refusePayment(id, 'nothing came')
    await pair.exchange({ cutAfter: 5 }).catch(() => undefined)
    await pair.exchange()
    expect(settlementsOf(pair, 'buyer')).toMatchObject([{ state: 'refused', reason: 'nothing came' }])
    await pair.exchange()
    expect(settlementsOf(pair, 'seller')).toEqual([])
    expect(pair.views().map(({ paid, settlementsOpen }) => [paid, settlementsOpen])).toEqual([
      [0n, 0],
      [0n, 0],
    ])
  })

  test('that nobody confirms expires on both sides, and pays nothing', async () => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 60n, 'a')
    await pair.exchange()
    pair.clock.advance(15 * DAY_MS)
    expect(settlementsOf(pair, 'buyer')).toMatchObject([{ state: 'expired' }])
    await expect(pair.seller.ledger.confirmPayment(id)).rejects.toMatchObject({ code: 'settlement_invalid' })
    await pair.exchange()
    expect(settlementsOf(pair, 'seller')).toEqual([])
    await settle(pair, 60n, 'a')
  })

  test('confirmed twice counts once; what is confirmed can be neither refused nor cancelled', async () => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 10n, 'a')
    await pair.exchange()
    await Promise.all([pair.seller.ledger.confirmPayment(id), pair.seller.ledger.confirmPayment(id)])
    await expect(pair.seller.ledger.refusePayment(id, 'no')).rejects.toMatchObject({ code: 'settlement_invalid' })
    await pair.exchange()
    await pair.exchange()
    expect(pair.views().map(({ paid, sequence }) => [paid, sequence])).toEqual([
      [10n, 2],
      [10n, 2],
    ])
  })

  test('that is more than is owed by then waits until it is owed', async () => {
    const [pair, opposite] = await pairsOwing(60, 60)
    const { id } = await pay(pair, 60n, 'a')
    await pair.exchange()
    await pair.seller.ledger.confirmPayment(id)
    // Another machine of the buyer agreed to a netting meanwhile: both signatures stand, so it goes first.
    const document = sealNetting(pair, { amount: 20n })
    const sellerSignature = pair.seller.key.sign(document.input)
    const sealed = { body: document.body, buyerSignature: document.signature, sellerSignature }
    for (const side of [pair.buyer, pair.seller]) await side.ledger.takeNetting(pair.account, sealed)
    await pair.exchange()
    await opposite.exchange()
    expect(pair.views()[1]).toMatchObject({ owed: 60n, paid: 20n, confirmed: 60n })
    await pair.trade({ vouched: 20 })
    await pair.exchange()
    expect(pair.views().map(({ owed, paid }) => [owed, paid])).toEqual([
      [80n, 80n],
      [80n, 80n],
    ])
    await expectExports(pair)
  })

  test('is found again by a buyer that lost its disk before the statement: it stands by its signature', async () => {
    const pair = await pairOwing(60)
    const backup = pair.buyer.store.copy()
    const { id } = await pay(pair, 10n, 'a')
    await pair.exchange()
    await pair.seller.ledger.confirmPayment(id)
    await pair.buyer.restore(backup)
    pair.disconnect()
    await pair.exchange()
    expect(pair.views().map(({ paid }) => paid)).toEqual([10n, 10n])
    expect(pair.released(FRAMES.rejection)).toEqual([])
  })

  test('is announced again to a seller that lost its disk after confirming: it decides anew', async () => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 10n, 'a')
    await pair.exchange()
    const backup = pair.seller.store.copy()
    await pair.seller.ledger.confirmPayment(id)
    await pair.exchange({ cutAfter: 5 }).catch(() => undefined)
    await pair.seller.restore(backup)
    pair.disconnect()
    await pair.exchange()
    expect(settlementsOf(pair, 'seller')).toMatchObject([{ state: 'proposed' }])
    await pair.seller.ledger.confirmPayment(id)
    await pair.exchange()
    expect(pair.views().map(({ paid }) => paid)).toEqual([10n, 10n])
  })

  test('of another account, or signed by another, is not taken in', async () => {
    const pair = await pairOwing(60)
    const { ledger } = pair.seller
    const forged = seal(PAYMENT, { ...paymentOf(pair, {}), buyer: testKey(9).publicKey }, testKey(9))
    await expect(ledger.takePayments(pair.account, [plain(forged)])).rejects.toMatchObject({
      code: 'settlement_invalid',
    })
    const foreign = seal(PAYMENT, paymentOf(pair, {}), testKey(9))
    await expect(ledger.takePayments(pair.account, [plain(foreign)])).rejects.toMatchObject({
      code: 'signature_invalid',
    })
    await expect(pair.buyer.ledger.adoptPayment(pair.account, plain(foreign))).rejects.toMatchObject({
      code: 'signature_invalid',
    })
  })

  test('of more than is owed is refused by the seller, whatever the buyer announces', async () => {
    const pair = await pairOwing(60)
    const refusals = await pair.seller.ledger.takePayments(pair.account, [
      plain(sealPayment(pair, { reference: 'a', amount: 40n })),
      plain(sealPayment(pair, { reference: 'b', amount: 21n })),
      plain(sealPayment(pair, { reference: 'c', amount: 0n })),
      plain(sealPayment(pair, { reference: 'd', amount: 1n, expiresAtMs: START_MS })),
      plain(sealPayment(pair, { reference: 'a', amount: 1n })),
    ])
    expect(refusals.map(({ code }) => code)).toEqual([
      'settlement_invalid',
      'settlement_invalid',
      'settlement_invalid',
      'reference_used',
    ])
    expect(settlementsOf(pair, 'seller')).toMatchObject([{ reference: 'a', amount: 40n }])
  })
})

describe('a buyer refuses to sign', () => {
  /** What a dishonest seller writes into the statement of a payment of 10 with reference "a". */
  const lies: readonly [name: string, change: (item: Item) => Item][] = [
    ['a payment nobody announced', (item) => ({ ...item, payment: new Uint8Array(32) }) as Item],
    ['another amount', (item) => ({ ...item, amount: 9n })],
    ['another reference', (item) => ({ ...item, reference: 'b' }) as Item],
    ['another adapter', (item) => ({ ...item, adapter: 'cash' }) as Item],
    ['another time', (item) => ({ ...item, paidAtMs: 1 }) as Item],
    ['a netting nobody signed', ({ amount }) => ({ kind: 'netting', netting: new Uint8Array(32), amount })],
  ]
  test.each(lies)('%s: the item is rejected alone', async (_name, change) => {
    const pair = await pairOwing(60)
    const { id } = await pay(pair, 10n, 'a')
    await pair.exchange()
    await pair.seller.ledger.confirmPayment(id)
    const frame = await pair.seller.ledger.propose(pair.account, 1_000n)
    const { value } = open(STATEMENT, frame!)
    const items = value.items.map(change)
    const lie = { ...value, items, paid: items.reduce((sum, { amount }) => sum + amount, 0n) }
    const proposal = { ...frame!, ...plain(seal(STATEMENT, lie, pair.seller.key)) }
    const answer = await pair.buyer.ledger.answerProposal(pair.account, proposal)
    const rejection = 'rejection' in answer ? open(REJECTION, answer.rejection).value : undefined
    expect(rejection).toMatchObject({ code: 'statement_invalid' })
    expect(hexed(rejection?.item)).toEqual(hexed(itemId(items[0]!)))
    expect(pair.views()[0]).toMatchObject({ paid: 0n })
  })
})

describe('a netting', () => {
  test('sets off what two peers owe each other, by as much as both owe', async () => {
    const [pair, opposite] = await pairsOwing(60, 25)
    expect(await net(pair)).toMatchObject({ kind: 'netting', state: 'proposed', amount: 25n })
    await pair.exchange()
    expect(settlementsOf(pair, 'seller')).toMatchObject([{ state: 'sealed' }])
    await opposite.exchange()
    expect(pair.views().map(({ owed, paid }) => [owed, paid])).toEqual([
      [60n, 25n],
      [60n, 25n],
    ])
    expect(opposite.views().map(({ owed, paid }) => [owed, paid])).toEqual([
      [25n, 25n],
      [25n, 25n],
    ])
    expect([settlementsOf(pair, 'buyer'), settlementsOf(pair, 'seller')]).toEqual([[], []])
    await expectExports(pair, { halfNettings: 0 })
    expect(pair.buyer.store.keys().filter((key) => key.startsWith('1a'))).toEqual([])
  })

  test('stands in the export as half while one account lacks it', async () => {
    const [pair] = await pairsOwing(60, 25)
    await net(pair)
    await pair.exchange()
    await expectExports(pair, { halfNettings: 1 })
  })

  test('again is another one, and the next can follow', async () => {
    const [pair, opposite] = await pairsOwing(60, 25)
    for (const [index, amount] of [10n, 15n].entries()) {
      await net(pair, amount, index)
      await pair.exchange()
      await opposite.exchange()
    }
    expect(opposite.views().map(({ paid }) => paid)).toEqual([25n, 25n])
    await expect(net(pair)).rejects.toMatchObject({ code: 'settlement_invalid' })
  })

  test('may be proposed by either side', async () => {
    const [pair, opposite] = await pairsOwing(60, 25)
    await net(opposite)
    await opposite.exchange()
    await pair.exchange()
    expect(pair.views().map(({ paid }) => paid)).toEqual([25n, 25n])
    expect(opposite.views().map(({ paid }) => paid)).toEqual([25n, 25n])
  })

  /** What one account owes the other, what is proposed, and the refusal. */
  const refused: readonly [owed: number, opposite: number, amount: bigint | undefined, reason: string][] = [
    [60, 25, 26n, 'more than'],
    [60, 0, undefined, 'nothing to set off'],
    [60, 25, 0n, 'nothing to set off'],
  ]
  test.each(refused)('of %d against %d cannot be of %s', async (owed, other, amount, reason) => {
    const [pair] = await pairsOwing(owed, other)
    await expect(net(pair, amount)).rejects.toMatchObject({
      code: 'settlement_invalid',
      message: expect.stringContaining(reason),
    })
  })

  test('with oneself is refused', async () => {
    const pair = await pairOwing(60)
    const { ledger, key } = pair.buyer
    await expect(ledger.proposeNetting(key.publicKey, 1n, new Uint8Array(16))).rejects.toMatchObject({
      code: 'settlement_invalid',
    })
  })

  test('leaves what a payment under way pays', async () => {
    const [pair] = await pairsOwing(60, 60)
    await pay(pair, 50n, 'a')
    await expect(net(pair, 11n)).rejects.toMatchObject({ code: 'settlement_invalid' })
    expect(await net(pair)).toMatchObject({ amount: 10n })
    await expect(pay(pair, 1n, 'b')).rejects.toMatchObject({ code: 'settlement_invalid' })
  })

  test('is not sealed by a side that owes less, that has another under way, or too late', async () => {
    const [pair, opposite] = await pairsOwing(60, 25)
    const answer = (over: Partial<Netting>) =>
      pair.seller.ledger.answerNetting(pair.account, sealNetting(pair, over).signed)
    expect(await answer({ amount: 26n })).toMatchObject({ code: 'settlement_invalid' })
    expect(await answer({ amount: 0n })).toMatchObject({ code: 'settlement_invalid' })
    expect(await answer({ expiresAtMs: START_MS })).toMatchObject({ code: 'settlement_invalid' })
    await net(opposite)
    expect(await answer({})).toMatchObject({ code: 'settlement_invalid', reason: expect.stringContaining('under way') })
    expect(settlementsOf(pair, 'seller')).toMatchObject([{ state: 'proposed' }])
  })

  test('refused comes to its proposer, who may propose another', async () => {
    const [pair, opposite] = await pairsOwing(60, 25)
    await net(pair, 5n)
    await net(opposite, 6n, 1)
    await pair.exchange()
    expect(settlementsOf(pair, 'buyer')).toEqual([])
    await opposite.exchange()
    await pair.exchange()
    expect(pair.views().map(({ paid }) => paid)).toEqual([6n, 6n])
  })

  test('that is sealed once gets the same answer again', async () => {
    const [pair] = await pairsOwing(60, 25)
    const { signed } = sealNetting(pair, { amount: 5n })
    const first = await pair.seller.ledger.answerNetting(pair.account, signed)
    expect(first).toHaveProperty('sellerSignature')
    expect(await pair.seller.ledger.answerNetting(pair.account, signed)).toEqual(first)
  })

  test('with a signature that does not hold, or of other peers, is not taken in', async () => {
    const [pair] = await pairsOwing(60, 25)
    const { body, signature: buyerSignature } = sealNetting(pair, {})
    const take = (frame: Parameters<typeof pair.buyer.ledger.takeNetting>[1]) =>
      pair.buyer.ledger.takeNetting(pair.account, frame)
    const invalid = { code: 'signature_invalid' }
    await expect(take({ body, buyerSignature: new Uint8Array(64) })).rejects.toMatchObject(invalid)
    await expect(take({ body, buyerSignature, sellerSignature: buyerSignature })).rejects.toMatchObject(invalid)
    const foreign = seal(NETTING, { ...sealNetting(pair, {}).signed.value, buyer: testKey(9).publicKey }, testKey(9))
    await expect(take({ body: foreign.body, buyerSignature: foreign.signature })).rejects.toMatchObject({
      code: 'settlement_invalid',
    })
  })

  test('whose proposal was never answered is forgotten in time', async () => {
    const [pair] = await pairsOwing(60, 25)
    await net(pair)
    await expect(net(pair, 1n, 1)).rejects.toMatchObject({ message: expect.stringContaining('under way') })
    pair.clock.advance(DAY_MS)
    expect(settlementsOf(pair, 'buyer')).toMatchObject([{ state: 'expired' }])
    expect(await net(pair, 1n, 1)).toMatchObject({ state: 'proposed' })
  })

  test('survives any cut and crash of either side in between: in the end both accounts hold it once', async () => {
    for (let cutAfter = 0; cutAfter < 14; cutAfter++) {
      for (const dying of ['buyer', 'seller'] as const) {
        const [pair, opposite] = await pairsOwing(60, 25)
        await net(pair)
        await pair.exchange({ cutAfter }).catch(() => undefined)
        await pair.crash(dying)
        opposite.disconnect()
        await opposite.exchange({ cutAfter }).catch(() => undefined)
        await opposite.crash(dying)
        pair.disconnect()
        for (const each of [pair, opposite, pair, opposite]) await each.exchange()
        for (const each of [pair, opposite]) {
          expect(each.views().map(({ paid, settlementsOpen }) => [paid, settlementsOpen])).toEqual([
            [25n, 0],
            [25n, 0],
          ])
        }
        await expectExports(pair, { halfNettings: 0 })
      }
    }
  })

  test('is found again by a side that lost its disk, whichever: the other shows it', async () => {
    for (const losing of ['buyer', 'seller'] as const) {
      const [pair, opposite] = await pairsOwing(60, 25)
      const backup = pair[losing].store.copy()
      await net(pair)
      await pair.exchange()
      await pair[losing].restore(backup)
      pair.disconnect()
      opposite.disconnect()
      for (const each of [pair, opposite, pair]) await each.exchange()
      for (const each of [pair, opposite]) {
        expect(each.views().map(({ paid, settlementsOpen }) => [paid, settlementsOpen])).toEqual([
          [25n, 0],
          [25n, 0],
        ])
      }
    }
  })
})

test('payments survive a crash at any moment, and count once', async () => {
  for (let cutAfter = 0; cutAfter < 12; cutAfter++) {
    for (const dying of ['buyer', 'seller'] as const) {
      const pair = await pairOwing(60)
      const { id } = await pay(pair, 20n, 'a')
      await pair.exchange()
      await pair.seller.ledger.confirmPayment(id)
      await pair.exchange({ cutAfter }).catch(() => undefined)
      await pair.crash(dying)
      await pair.exchange()
      await pair.exchange()
      expect(pair.views().map(({ paid, settlementsOpen }) => [paid, settlementsOpen])).toEqual([
        [20n, 0],
        [20n, 0],
      ])
    }
  }
})

/** A pair whose buyer owes `owed`, settled. */
async function pairOwing(owed: number): Promise<LedgerPair> {
  const pair = await LedgerPair.reconciled()
  if (owed > 0) await pair.trade({ max: owed, vouched: owed })
  await pair.exchange()
  return pair
}

/** Both accounts of two peers, and what is owed on each. */
async function pairsOwing(owed: number, other: number): Promise<readonly [LedgerPair, LedgerPair]> {
  const pair = await pairOwing(owed)
  const opposite = pair.opposite()
  await opposite.exchange()
  if (other > 0) await opposite.trade({ max: other, vouched: other })
  await opposite.exchange()
  return [pair, opposite]
}

function pay(pair: LedgerPair, amount: bigint, reference: string): Promise<SettlementView> {
  return pair.buyer.ledger.announcePayment(pair.account.seller, {
    adapter: 'manual',
    reference,
    amount,
    paidAtMs: START_MS,
  })
}

/** Announced, confirmed, and in a statement. */
async function settle(pair: LedgerPair, amount: bigint, reference: string): Promise<void> {
  const { id } = await pay(pair, amount, reference)
  await pair.exchange()
  await pair.seller.ledger.confirmPayment(id)
  await pair.exchange()
}

function net(pair: LedgerPair, amount?: bigint, nonce = 0): Promise<SettlementView> {
  return pair.buyer.ledger.proposeNetting(pair.account.seller, amount, new Uint8Array(16).fill(nonce))
}

function settlementsOf(pair: LedgerPair, side: 'buyer' | 'seller'): readonly SettlementView[] {
  return pair[side].ledger
    .settlements()
    .filter(({ peer }) => peer === pair[side === 'buyer' ? 'seller' : 'buyer'].key.peer)
}

async function itemsOf(pair: LedgerPair, side: 'buyer' | 'seller'): Promise<readonly Item[]> {
  const statements = await collect(pair[side].ledger.statementsOf(pair.views()[0].id))
  return statements.flatMap(({ value }) => value.items)
}

async function expectExports(pair: LedgerPair, expected: object = {}): Promise<void> {
  for (const side of [pair.buyer, pair.seller]) {
    const verified = await verifyExport(splitLines(exportLedger(side.ledger, START_MS)), signatureChecker)
    expect(verified).toMatchObject(expected)
    const [view] = pair.views()
    expect(verified.accounts).toContainEqual(expect.objectContaining({ owed: view.owed, paid: view.paid }))
  }
}

function paymentOf(pair: LedgerPair, over: Partial<Payment>): Payment {
  return {
    type: 'tok/payment/1',
    ...pair.account,
    adapter: 'manual',
    reference: 'a',
    amount: 1n,
    paidAtMs: START_MS,
    issuedAtMs: START_MS,
    expiresAtMs: START_MS + DAY_MS,
    ...over,
  }
}

function sealPayment(pair: LedgerPair, over: Partial<Payment>) {
  return seal(PAYMENT, paymentOf(pair, over), pair.buyer.key)
}

function sealNetting(pair: LedgerPair, over: Partial<Netting>) {
  const value: Netting = {
    type: 'tok/netting/1',
    ...pair.account,
    amount: 5n,
    nonce: new Uint8Array(16).fill(9),
    issuedAtMs: START_MS,
    expiresAtMs: START_MS + DAY_MS,
    ...over,
  }
  const signed = seal(NETTING, value, pair.buyer.key)
  return { ...signed, signed, input: signingInput(NETTING.domain, signed.body) }
}
