import { describe, expect, test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { exportLedger } from '../../../src/ledger/export.ts'
import { splitLines } from '../../../src/ledger/export-lines.ts'
import { verifyExport } from '../../../src/ledger/verify-export.ts'
import { STATEMENT, type DualSigned, type Evidence, type Hello, type Statement } from '../../../src/wire/account.ts'
import { open, seal, signingInput, type Signed } from '../../../src/wire/envelope.ts'
import { ORDER, type Order } from '../../../src/wire/inference.ts'
import { FRAMES, LIMITS } from '../../../src/wire/registry.ts'
import {
  hexed,
  LedgerPair,
  plain,
  receiptOf,
  signatureChecker,
  START_MS,
  testKey,
  voucherOf,
} from '../../support/ledger-pair.ts'

describe('after a break of the exchange', () => {
  /** HELLO and DONE of both, the proposal, its answer, DONE. */
  const FRAMES_OF_ONE_SETTLEMENT = 7

  test.each(Array.from({ length: FRAMES_OF_ONE_SETTLEMENT }, (_, index) => index))(
    'behind frame %i, one more settles',
    async (cutAfter) => {
      const pair = await LedgerPair.reconciled()
      await pair.trade({ vouched: 30, receipted: 20 })
      await pair.exchange({ cutAfter }).catch(() => undefined)
      await pair.exchange()
      expectSettled(pair, 20n)
      expect(new Set(pair.released(FRAMES.proposal).map(({ payload }) => toHex(payload))).size).toBe(1)
    },
  )

  test('that lost a countersignature, the buyer is ahead by one and shows the statement', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    await expect(pair.exchange({ cutAfter: 5 })).rejects.toMatchObject({ code: 'stream_incomplete' })
    expect(pair.views().map(({ sequence }) => sequence)).toEqual([1, 0])
    await pair.crash('seller')
    await pair.exchange()
    expectSettled(pair, 30n)
    expect(pair.released(FRAMES.statements)).toHaveLength(1)
  })
})

describe('a side that was restored from an old copy', () => {
  test.each(['buyer', 'seller'] as const)('catches up: the %s', async (side) => {
    const pair = await LedgerPair.reconciled()
    const empty = pair[side].store.copy()
    for (let count = 1; count <= 2 * LIMITS.statementsPerFrame + 1; count++) {
      await pair.trade({ max: 10, vouched: 2 })
      await pair.exchange()
    }
    const unsettled = await pair.trade({ max: 50, vouched: 40, receipted: 30 })
    await pair[side].restore(empty)
    pair.disconnect()
    await pair.exchange()
    expectSettled(pair, 60n)
    expect(await pair[side].ledger.callRecord(unsettled.id)).toMatchObject({ settledAt: 16 })
    await expectToVerify(pair[side])
  })

  test('takes no statement without the papers of its calls', async () => {
    const pair = await LedgerPair.reconciled()
    const empty = pair.buyer.store.copy()
    const order = await pair.trade({ vouched: 30, receipted: 20 })
    await pair.exchange()
    const statements = await pair.seller.ledger.statementsAfter(pair.account, 0)
    const papers = await pair.seller.ledger.papersSettled(pair.account, order.id)
    const other = await pair.trade({ vouched: 10 })
    await pair.exchange()
    const foreign = await pair.seller.ledger.papersSettled(pair.account, other.id)
    await pair.buyer.restore(empty)
    const { ledger } = pair.buyer
    expect(hexed(await ledger.papersLacked(pair.account, statements))).toEqual([toHex(order.id)])
    for (const shown of [
      [],
      [foreign],
      [{ ...papers, voucher: undefined }],
      [{ ...papers, voucher: foreign.voucher }],
      [{ ...papers, receipt: undefined }],
      [{ ...papers, order: { ...papers.order, signature: new Uint8Array(64) } }],
    ]) {
      await expect(ledger.appendStatements(pair.account, statements, shown)).rejects.toMatchObject({
        code: 'statement_invalid',
      })
    }
    expect(pair.views()[0]).toMatchObject({ sequence: 0 })
    await ledger.appendStatements(pair.account, statements, [papers])
    await expectToVerify(pair.buyer)
    expect(await ledger.papersLacked(pair.account, statements)).toEqual([])
  })

  test('signs nothing before the two were compared', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    const old = pair.seller.store.copy()
    await pair.exchange()
    await pair.seller.restore(old)
    await expect(pair.seller.ledger.propose(pair.account, 1n)).rejects.toMatchObject({ code: 'account_unreconciled' })
    pair.disconnect()
    await pair.exchange()
    expectSettled(pair, 30n)
    expect(pair.released(FRAMES.proposal)).toHaveLength(1)
  })

  test('at the seller, is paid for a call that it forgot, on the ground of its own acceptance', async () => {
    const pair = await LedgerPair.reconciled()
    const empty = pair.seller.store.copy()
    await pair.trade({ vouched: 40 })
    await pair.crash('buyer')
    await pair.seller.restore(empty)
    pair.disconnect()
    await pair.exchange()
    expectSettled(pair, 40n)
    await expectToVerify(pair.seller)
  })

  test.each(['buyer', 'seller'] as const)(
    'from a backup of before a rejection, at the %s, goes on from there, and nothing is frozen',
    async (side) => {
      const pair = await LedgerPair.reconciled()
      const order = await pair.openCall(100)
      await pair.vouch(order, 30)
      await pair.closeSale(order)
      await pair.closePurchase(order, receiptOf(order, pair.seller.key, 20)) // the seller lost it, and asks for more
      const backup = await pair[side].backUp()
      await pair.exchange()
      expect(pair.released(FRAMES.rejection)).toHaveLength(1)
      await pair[side].restore(backup)
      pair.disconnect()
      await pair.trade({ vouched: 5 }).catch(() => undefined)
      await pair.exchange()
      await pair.trade({ vouched: 5 })
      await pair.exchange()
      for (const { frozen, sequence } of pair.views()) {
        expect(frozen).toBeUndefined()
        expect(sequence).toBeGreaterThan(0)
      }
    },
  )

  test('from a backup, at the buyer, gets a proposal of before anew, and nothing is signed twice', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    const backup = await pair.buyer.backUp()
    await pair.exchange({ cutAfter: 4 }).catch(() => undefined) // the proposal is made, and its answer never is
    await pair.buyer.restore(backup)
    pair.disconnect()
    await pair.exchange()
    expectSettled(pair, 30n)
    const [statement] = await pair.seller.ledger.statementsAfter(pair.account, 0)
    if (statement === undefined) throw new Error('there is no statement')
    expect(open(STATEMENT, signedBySeller(statement)).value).toMatchObject({ buyerRestoredAtMs: START_MS })
  })
})

describe('evidence', () => {
  test('raises the seller to the buyer’s newest voucher', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 10)
    await pair.vouch(order, 50, { isLost: true })
    await pair.closeSale(order)
    await pair.closePurchase(order)
    expect(pair.views().map(({ unsettled }) => unsettled)).toEqual([50n, 10n])
    await pair.exchange()
    expectSettled(pair, 50n)
  })

  test('never lowers what the seller holds, even if a newer voucher says less', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.trade({ vouched: 30 })
    const lower = voucherOf(order, pair.buyer.key, { index: 9, amount: 1n })
    const shown: Evidence = {
      order: plain(order),
      acceptance: undefined,
      voucher: plain(lower),
      receipt: undefined,
    }
    await expect(pair.seller.ledger.adoptEvidence(pair.account, shown)).rejects.toMatchObject({
      code: 'voucher_invalid',
    })
    expect(pair.views()[1]).toMatchObject({ unsettled: 30n })
  })

  test('that came after a proposal leaves the proposal as it is, and its voucher in the ledger', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 10)
    await pair.vouch(order, 50, { isLost: true })
    await pair.closeSale(order)
    await pair.seller.ledger.propose(pair.account, 1_000n)
    await pair.closePurchase(order)
    await pair.exchange({ cutAfter: 6 }).catch(() => undefined) // the countersignature is lost
    expect(pair.views().map(({ sequence }) => sequence)).toEqual([1, 0])
    await pair.exchange()
    expectSettled(pair, 10n)
    for (const { ledger } of [pair.buyer, pair.seller]) {
      const record = await ledger.callRecord(order.id)
      expect((record?.settledVoucher ?? record?.voucher)?.value.amount).toBe(10n)
    }
  })

  test('with its own signature makes a buyer remember what its disk forgot', async () => {
    const pair = await LedgerPair.reconciled()
    const empty = pair.buyer.store.copy()
    const order = await pair.trade({ vouched: 30, receipted: 20 })
    await pair.buyer.restore(empty)
    pair.disconnect()
    await pair.buyer.ledger.adoptEvidence(pair.account, {
      order: plain(order),
      acceptance: undefined,
      voucher: plain(voucherOf(order, pair.buyer.key, { amount: 30n })),
      receipt: plain(receiptOf(order, pair.seller.key, 20)),
    })
    expect(pair.views()[0]).toMatchObject({ unsettled: 20n, liveCalls: 0 })
  })

  type Show = (pair: LedgerPair, order: Signed<Order>) => Evidence
  const show = (order: Signed<Order>, voucher: Signed<unknown>, receipt?: Signed<unknown>): Evidence => ({
    order: plain(order),
    acceptance: undefined,
    voucher: plain(voucher),
    receipt: receipt === undefined ? undefined : plain(receipt),
  })
  /** What a seller shows of a call at 30 that the buyer never made, or made for others; undefined: passed over. */
  const FOREIGN: readonly [name: string, code: string | undefined, evidence: Show][] = [
    ['an order with the seller’s signature', 'signature_invalid', (pair, order) => forgedOrder(pair, order)],
    [
      'a voucher with the seller’s signature',
      'signature_invalid',
      (pair, order) => show(order, voucherOf(order, pair.seller.key, { amount: 30n })),
    ],
    [
      'a voucher of another buyer',
      'voucher_invalid',
      (_pair, order) => show(order, voucherOf(order, testKey(9), { amount: 30n, buyer: testKey(9).publicKey })),
    ],
    [
      'a voucher above the order',
      'voucher_invalid',
      (pair, order) => show(order, voucherOf(order, pair.buyer.key, { amount: 101n })),
    ],
    [
      'a voucher for nothing',
      undefined,
      (pair, order) => show(order, voucherOf(order, pair.buyer.key, { amount: 0n })),
    ],
    ['an order of another network', undefined, (pair) => ofOther(pair, { network: 'other' })],
    ['an order in another asset', undefined, (pair) => ofOther(pair, { asset: 'EUR' })],
    ['an order at another seller', undefined, (pair) => ofOther(pair, { seller: testKey(9).publicKey })],
    [
      'a receipt with the buyer’s signature',
      'signature_invalid',
      (pair, order) =>
        show(order, voucherOf(order, pair.buyer.key, { amount: 30n }), receiptOf(order, pair.buyer.key, 1)),
    ],
  ]

  test.each(FOREIGN)('that is %s changes nothing', async (_name, code, evidence) => {
    const pair = await LedgerPair.reconciled()
    const adopted = pair.buyer.ledger.adoptEvidence(pair.account, evidence(pair, pair.order(100)))
    if (code === undefined) await adopted
    else await expect(adopted).rejects.toMatchObject({ code })
    expect(pair.buyer.ledger.accountViews()).toEqual([])
  })

  function forgedOrder(pair: LedgerPair, { value, id }: Signed<Order>): Evidence {
    const forged = { ...seal(ORDER, value, pair.seller.key), id }
    return show(forged, voucherOf(forged, pair.buyer.key, { amount: 30n }))
  }

  function ofOther(pair: LedgerPair, over: Partial<Order>): Evidence {
    const order = pair.order(100, over)
    return show(order, voucherOf(order, pair.buyer.key, { amount: 30n }))
  }

  test('of an order that this seller never served takes none of its credit', async () => {
    const pair = await LedgerPair.reconciled()
    const order = pair.order(100)
    const evidence = show(order, voucherOf(order, pair.buyer.key, { amount: 30n }))
    await pair.seller.ledger.adoptEvidence(pair.account, evidence)
    expect(pair.seller.ledger.accountViews()).toEqual([])
  })

  test('of a running call is passed over', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.seller.ledger.adoptEvidence(
      pair.account,
      show(order, voucherOf(order, pair.buyer.key, { index: 5, amount: 30n })),
    )
    expect(pair.views()[1]).toMatchObject({ liveCalls: 1, held: 100n })
  })

  test('of a settled call is passed over', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.trade({ vouched: 30 })
    await pair.exchange()
    const evidence = show(order, voucherOf(order, pair.buyer.key, { index: 5, amount: 90n }))
    for (const { ledger } of [pair.buyer, pair.seller]) await ledger.adoptEvidence(pair.account, evidence)
    expectSettled(pair, 30n)
  })

  test('of more calls than one exchange carries comes with the next', async () => {
    const pair = await LedgerPair.reconciled()
    pair.creditLimit = 10_000n
    const empty = pair.buyer.store.copy()
    const count = LIMITS.helloCalls + 40
    for (let index = 0; index < count; index++) await pair.trade({ max: 1, vouched: 1 })
    await pair.buyer.restore(empty)
    pair.disconnect()
    await pair.exchange()
    expect(pair.released(FRAMES.evidence)).toHaveLength(LIMITS.helloCalls)
    expect(pair.released(FRAMES.rejection)).toEqual([])
    await pair.exchange()
    expectSettled(pair, BigInt(count))
  })
})

describe('two histories', () => {
  test('freeze the account on both sides, with both statements kept, also after a restart', async () => {
    const pair = await forkedPair()
    await expect(pair.exchange()).rejects.toMatchObject({ code: 'account_forked' })
    const frozen = { code: 'account_frozen' }
    for (let round = 0; round < 2; round++) {
      for (const view of pair.views()) expect(view.frozen).toBeDefined()
      for (const { store } of [pair.buyer, pair.seller]) expect(store.keys().filter(isEvidence)).toHaveLength(2)
      await expect(pair.openPurchase(pair.order(1))).rejects.toMatchObject(frozen)
      await expect(pair.openSale(pair.order(1))).rejects.toMatchObject(frozen)
      await expect(pair.seller.ledger.propose(pair.account, 1n)).rejects.toMatchObject(frozen)
      await pair.crash('buyer')
      await pair.crash('seller')
    }
  })

  test.each(['buyer', 'seller'] as const)(
    'that part below are proven by the lower newest statement: the %s is ahead',
    async (ahead) => {
      const pair = await forkedPair({ aheadBy: 3, ahead })
      const [buyer, seller] = pair.views()
      expect(Math.abs(buyer.sequence - seller.sequence)).toBe(3)
      await expect(pair.exchange()).rejects.toMatchObject({ code: 'account_forked' })
      for (const side of [pair.buyer, pair.seller]) {
        const [conflict] = await side.ledger.conflicts()
        expect(conflict).toMatchObject({ sequence: 1, equivocators: ['buyer', 'seller'] })
      }
      for (const { frozen } of pair.views()) expect(frozen).toBeDefined()
    },
  )

  test('that both sides began from backups are admitted, and freeze nothing: the older one is passed over', async () => {
    const pair = await forkedPair({ isBackup: true })
    await expect(pair.exchange()).rejects.toMatchObject({ code: 'account_rolled_back' })
    for (const side of [pair.buyer, pair.seller]) {
      expect(await side.ledger.conflicts()).toEqual([])
      expect(side.store.keys().filter(isEvidence)).toEqual([])
    }
    for (const { frozen } of pair.views()) expect(frozen).toBeUndefined()
    const refused = { code: 'account_unreconciled' }
    await expect(pair.openPurchase(pair.order(1))).rejects.toMatchObject(refused)
    await expect(pair.openSale(pair.order(1))).rejects.toMatchObject(refused)
  })

  test('that are only claimed freeze nothing', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    await pair.exchange()
    const [own] = await pair.seller.ledger.statementsAfter(pair.account, 0)
    if (own === undefined) throw new Error('there is no statement')
    const forged = { ...own, buyerSignature: new Uint8Array(64) }
    const foreign = dualSigned(
      { ...open(STATEMENT, signedBySeller(own)).value, buyer: testKey(9).publicKey },
      testKey(9),
      pair,
    )
    for (const [proof, code] of [
      [[own, own], 'statement_invalid'],
      [[own, forged], 'signature_invalid'],
      [[own, foreign], 'statement_invalid'],
    ] as const) {
      await expect(pair.seller.ledger.freeze(pair.account, proof[0], proof[1])).rejects.toMatchObject({ code })
    }
    expect(pair.views()[1].frozen).toBeUndefined()
    expect(pair.seller.store.keys().filter(isEvidence)).toEqual([])
  })

  test('are proven once: a second proof adds nothing, and the ledger opens with the first', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    await pair.exchange()
    const [own] = await pair.seller.ledger.statementsAfter(pair.account, 0)
    if (own === undefined) throw new Error('there is no statement')
    const { value } = open(STATEMENT, signedBySeller(own))
    for (const sequence of [1, 2, 3]) {
      const [one, other] = [1n, 2n].map((creditLimit) =>
        dualSigned({ ...value, sequence, creditLimit }, pair.buyer.key, pair),
      )
      if (one === undefined || other === undefined) throw new Error('there are two')
      await pair.seller.ledger.freeze(pair.account, one, other)
    }
    await pair.crash('seller')
    expect(await pair.seller.ledger.conflicts()).toMatchObject([{ sequence: 1 }])
    expect(pair.views()[1].frozen).toContain('sequence 1')
  })

  /**
   * Both sides went back to the same old copy and settled another call, then one came back with its newest disk: two statements
   * at 1. That side is further by `aheadBy` statements.
   */
  async function forkedPair({
    isBackup = false,
    ahead = 'seller',
    aheadBy = 0,
  }: { isBackup?: boolean; ahead?: 'buyer' | 'seller'; aheadBy?: number } = {}): Promise<LedgerPair> {
    const pair = await LedgerPair.reconciled()
    const copyOf = (side: 'buyer' | 'seller') => (isBackup ? pair[side].backUp() : pair[side].store.copy())
    const [oldBuyer, oldSeller] = [await copyOf('buyer'), await copyOf('seller')]
    for (let count = 0; count <= aheadBy; count++) {
      await pair.trade({ vouched: 30 })
      await pair.exchange()
    }
    const newest = pair[ahead].store
    await pair.buyer.restore(oldBuyer)
    await pair.seller.restore(oldSeller)
    pair.disconnect()
    await pair.exchange()
    await pair.trade({ vouched: 20 })
    await pair.exchange()
    await pair[ahead].restore(newest.copy())
    pair.disconnect()
    return pair
  }
})

describe('statements that are shown', () => {
  const CHANGES: readonly [name: string, code: string, change: (statement: Statement) => Partial<Statement>][] = [
    ['with a gap', 'statement_invalid', () => ({ sequence: 3 })],
    ['again', 'statement_invalid', () => ({ sequence: 1 })],
    ['with a wrong total', 'statement_invalid', ({ owed }) => ({ owed: owed + 1n })],
    ['of another past', 'statement_invalid', () => ({ previous: new Uint8Array(32) })],
    ['of another seller', 'signature_invalid', () => ({ seller: testKey(9).publicKey })],
  ]

  test.each(CHANGES)('%s are refused', async (_name, code, change) => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 30 })
    await pair.exchange()
    const [own] = await pair.seller.ledger.statementsAfter(pair.account, 0)
    if (own === undefined) throw new Error('there is no statement')
    const { value, id } = open(STATEMENT, signedBySeller(own))
    const next: Statement = { ...value, sequence: 2, previous: id, items: [], owed: value.owed }
    const shown = dualSigned({ ...next, ...change(next) }, pair.buyer.key, pair)
    await expect(pair.seller.ledger.appendStatements(pair.account, [shown], [])).rejects.toMatchObject({ code })
    expect(pair.views()[1]).toMatchObject({ sequence: 1, owed: 30n })
    await pair.seller.ledger.appendStatements(pair.account, [dualSigned(next, pair.buyer.key, pair)], [])
    expect(pair.views()[1]).toMatchObject({ sequence: 2, owed: 30n })
  })
})

test('a HELLO names sealed calls with their newest voucher, and none that runs', async () => {
  const pair = await LedgerPair.reconciled()
  const sealed = await pair.trade({ vouched: 30 })
  await pair.openCall(10)
  const hello: Hello = pair.buyer.ledger.hello(pair.account)
  expect(hello.calls.map(({ order, voucherIndex }) => [toHex(order), voucherIndex])).toEqual([[toHex(sealed.id), 1]])
  expect(hello).toMatchObject({ sequence: 0, head: undefined })
})

function expectSettled(pair: LedgerPair, owed: bigint): void {
  const [buyer, seller] = pair.views()
  expect(toHex(buyer.head ?? new Uint8Array())).toBe(toHex(seller.head ?? new Uint8Array()))
  for (const view of [buyer, seller]) expect(view).toMatchObject({ owed, unsettled: 0n, held: 0n, frozen: undefined })
}

/** What it exports can be checked by anyone. */
async function expectToVerify({ ledger }: LedgerPair['buyer']): Promise<void> {
  await verifyExport(splitLines(exportLedger(ledger, START_MS)), signatureChecker)
}

function isEvidence(key: string): boolean {
  return key.startsWith('0b')
}

function signedBySeller({ body, sellerSignature }: DualSigned) {
  return { body, signature: sellerSignature }
}

function dualSigned(statement: Statement, buyer: LedgerPair['buyer']['key'], pair: LedgerPair): DualSigned {
  const { body, signature } = seal(STATEMENT, statement, pair.seller.key)
  return { body, sellerSignature: signature, buyerSignature: buyer.sign(signingInput(STATEMENT.domain, body)) }
}
