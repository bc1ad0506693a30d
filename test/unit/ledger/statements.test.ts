import { describe, expect, test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import type { CallItem, ProposalFrame, Rejection, Statement } from '../../../src/wire/account.ts'
import { callItems, itemId, proposalShape, REJECTION, STATEMENT } from '../../../src/wire/account.ts'
import { decodeEnvelope, open, seal, type Envelope, type Signed } from '../../../src/wire/envelope.ts'
import type { Order } from '../../../src/wire/inference.ts'
import { FRAMES, LIMITS } from '../../../src/wire/registry.ts'
import { decodeBody } from '../../../src/wire/shape.ts'
import { collect, hexed, LedgerPair, plain, receiptOf, turns, usageOf } from '../../support/ledger-pair.ts'

/** What a call of at most 100 is settled at; - where there is none. */
const SETTLED = `
  vouched receipted -> settled
  30      30        -> 30
  30      -         -> 30
  30      20        -> 20
  30      50        -> 30
  30      0         -> 0
  0       30        -> -
  0       -         -> -
`

describe('a call is settled', () => {
  const rows = SETTLED.trim().split('\n').slice(1)

  test.each(rows)('%s', async (row) => {
    const [before = '', settled = ''] = row.split('->').map((part) => part.trim())
    const [vouched, receipted] = before.split(/\s+/)
    const pair = await LedgerPair.reconciled()
    const call = { vouched: Number(vouched), ...(receipted === '-' ? {} : { receipted: Number(receipted) }) }
    const order = await pair.trade(call)
    await pair.exchange()
    const statements = await statementsOf(pair, 'buyer')
    const items = statements.flatMap(callItems)
    expect(items.map(({ amount }) => amount)).toEqual(settled === '-' ? [] : [BigInt(settled)])
    expect(items.map((item) => toHex(item.order))).toEqual(settled === '-' ? [] : [toHex(order.id)])
    for (const view of pair.views()) {
      expect(view).toMatchObject({ owed: BigInt(settled === '-' ? 0 : settled), unsettled: 0n, held: 0n })
    }
  })

  test('at zero, by its receipt, although the receipt never came to the buyer', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 30)
    await pair.closeSale(order, 0)
    await pair.closePurchase(order)
    expect(pair.views()[0]).toMatchObject({ unsettled: 30n })
    await pair.exchange()
    for (const view of pair.views()) expect(view).toMatchObject({ owed: 0n, unsettled: 0n })
    expect(pair.buyer.ledger.unsettledOrders(pair.views()[0].id)).toEqual([])
  })
})

describe('statements', () => {
  test('follow one another on both sides, with totals that only grow', async () => {
    const pair = await LedgerPair.reconciled()
    for (const tokens of [10, 20, 5]) {
      await pair.trade({ vouched: tokens, receipted: tokens })
      await pair.exchange()
    }
    const chain = await statementsOf(pair, 'seller')
    expect(chain.map(({ sequence, owed, paid }) => [sequence, owed, paid])).toEqual([
      [1, 10n, 0n],
      [2, 30n, 0n],
      [3, 35n, 0n],
    ])
    expect(await statementsOf(pair, 'buyer')).toEqual(chain)
    const [one, two] = await collect(pair.buyer.ledger.statementsOf(pair.views()[0].id))
    expect(toHex(two?.value.previous ?? new Uint8Array())).toBe(toHex(one?.id ?? new Uint8Array()))
    expect(one?.value.previous).toBeUndefined()
  })

  test('hold 32 calls at the most, and the next one takes the rest in the same exchange', async () => {
    const pair = await LedgerPair.reconciled()
    for (let index = 0; index < LIMITS.statementItems + 3; index++) await pair.trade({ max: 10, vouched: 10 })
    await pair.exchange()
    const chain = await statementsOf(pair, 'buyer')
    expect(chain.map(({ items }) => items.length)).toEqual([LIMITS.statementItems, 3])
    expect(pair.views().map(({ owed }) => owed)).toEqual([350n, 350n])
  })

  test('say the credit limit, and the buyer keeps to it', async () => {
    const pair = await LedgerPair.reconciled()
    pair.creditLimit = 777n
    await pair.trade({ vouched: 1 })
    await pair.exchange()
    expect(pair.views()[0].creditLimit).toBe(777n)
  })

  test('wait for a call that has ended at the seller only, instead of disputing it', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 40)
    const receipt = await pair.closeSale(order, 40)
    const exchanged = pair.exchange()
    await turns(20)
    await pair.closePurchase(order, receipt)
    await exchanged
    expect(pair.released(FRAMES.rejection)).toEqual([])
    expect(pair.views().map(({ owed, unsettled }) => [owed, unsettled])).toEqual([
      [40n, 0n],
      [40n, 0n],
    ])
  })

  test('are not refused for a call that goes on running here: the exchange ends, and the next one settles it', async () => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.openCall(100)
    await pair.vouch(order, 40)
    await pair.closeSale(order)
    const exchanged = pair.exchange().catch((error: unknown) => error)
    await turns(20)
    pair.clock.advance(60_000)
    expect(await exchanged).toMatchObject({ code: 'statement_invalid' })
    expect(pair.released(FRAMES.rejection)).toEqual([])
    await pair.closePurchase(order)
    await pair.exchange()
    expect(pair.views().map(({ owed }) => owed)).toEqual([40n, 40n])
  })
})

describe('a proposal', () => {
  test('is the same bytes until it is answered, also after a restart and with more to settle', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const first = await pair.seller.ledger.propose(pair.account, 5n)
    await pair.trade({ vouched: 20 })
    expect(hexed(await pair.seller.ledger.propose(pair.account, 9n))).toEqual(hexed(first))
    await pair.crash('seller')
    await pair.exchange({ cutAfter: 4 }).catch(() => undefined)
    pair.seller.ledger.setReconciled(pair.account, true)
    expect(hexed(await pair.seller.ledger.propose(pair.account, 9n))).toEqual(hexed(first))
  })

  test('asked for twice at once is given once it is on disk, never before', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const release = pair.seller.store.holdWrites()
    const given: unknown[] = []
    const asked = [1, 2].map(() => pair.seller.ledger.propose(pair.account, 5n).then((frame) => given.push(frame)))
    await turns(20)
    expect(given).toEqual([])
    release()
    await Promise.all(asked)
    expect(hexed(given[0])).toEqual(hexed(given[1]))
  })

  test('is neither made nor answered before the account was compared', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const frame = await proposed(pair)
    pair.disconnect()
    const unreconciled = { code: 'account_unreconciled' }
    await expect(pair.seller.ledger.propose(pair.account, 1n)).rejects.toMatchObject(unreconciled)
    await expect(pair.buyer.ledger.answerProposal(pair.account, frame)).rejects.toMatchObject(unreconciled)
  })

  test('that was countersigned gets the same countersignature again, and never a rejection', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const frame = await proposed(pair)
    const answer = await pair.buyer.ledger.answerProposal(pair.account, frame)
    expect(answer).toHaveProperty('countersignature')
    expect(hexed(await pair.buyer.ledger.answerProposal(pair.account, frame))).toEqual(hexed(answer))
    await pair.crash('buyer')
    pair.buyer.ledger.setReconciled(pair.account, true)
    expect(hexed(await pair.buyer.ledger.answerProposal(pair.account, frame))).toEqual(hexed(answer))
  })

  test('answered twice at once gets one answer', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const frame = await proposed(pair)
    const answers = await Promise.all([1, 2].map(() => pair.buyer.ledger.answerProposal(pair.account, frame)))
    expect(hexed(answers[0])).toEqual(hexed(answers[1]))
    expect(pair.views()[0]).toMatchObject({ sequence: 1, owed: 10n })
  })
})

type Change = (frame: ProposalFrame, statement: Statement, pair: LedgerPair) => Partial<ProposalFrame>

/** What a dishonest seller proposes for a call vouched at 30, receipted at 20, whose receipt the buyer has; and the refusal. */
const REFUSED: readonly [name: string, reason: string, isItem: boolean, change: Change][] = [
  ['more than the voucher', 'above', true, (_f, s, p) => resealed(p, s, { amount: 31n, usage: usageOf(31) })],
  [
    'the voucher, as if there were no receipt',
    'above',
    true,
    (_f, s, p) => resealed(p, s, { amount: 30n, usage: usageOf(30), receipt: undefined }),
  ],
  ['another price', 'the counts cost', true, (_f, s, p) => resealed(p, s, { usage: usageOf(19) })],
  ['an order nobody made', 'no such order', true, (_f, s, p) => resealed(p, s, { order: new Uint8Array(32) })],
  ['a voucher that is not there', 'voucher it names', true, () => ({ vouchers: [] })],
  ['a receipt that is not there', 'receipt it names', true, () => ({ receipts: [] })],
  [
    'a voucher whose signature is wrong',
    'voucher it names',
    true,
    (f) => ({ vouchers: f.vouchers.map(({ body }) => ({ body, signature: new Uint8Array(64) })) }),
  ],
  ['a total that is wrong', 'the items make', false, (_f, s, p) => resealedWhole(p, { ...s, owed: 21n })],
  ['a payment nobody made', 'paid is 1', false, (_f, s, p) => resealedWhole(p, { ...s, paid: 1n })],
  ['nothing', 'it settles nothing', false, (_f, s, p) => resealedWhole(p, { ...s, items: [], owed: 0n })],
  [
    'a rejection that was never signed',
    'does not name the rejection',
    false,
    (_f, s, p) => resealedWhole(p, { ...s, rejection: new Uint8Array(32) }),
  ],
  [
    'the same call twice',
    'settled twice',
    false,
    (_f, s, p) => resealedWhole(p, { ...s, items: [...s.items, ...s.items], owed: 40n }),
  ],
]

describe('the buyer refuses to sign', () => {
  test.each(REFUSED)('%s', async (_name, reason, isItem, change) => {
    const pair = await LedgerPair.reconciled()
    const order = await pair.trade({ vouched: 30, receipted: 20 })
    const honest = await proposed(pair)
    const statement = open(STATEMENT, honest).value
    const frame = { ...honest, ...change(honest, statement, pair) }
    const answer = await pair.buyer.ledger.answerProposal(pair.account, frame)
    const rejection = rejectionIn(answer)
    expect(rejection.value.reason).toContain(reason)
    expect(hexed(rejection.value)).toMatchObject({
      code: reason.startsWith('does not name') ? 'statement_outdated' : 'statement_invalid',
      statement: toHex(open(STATEMENT, frame).id),
    })
    expect(rejection.value.item !== undefined).toBe(isItem)
    expect(pair.views()[0]).toMatchObject({ sequence: 0, owed: 0n, unsettled: 20n })
    expect(await pair.buyer.ledger.callRecord(order.id)).toMatchObject({ settledAt: undefined })
    expect(hexed(await pair.buyer.ledger.answerProposal(pair.account, frame))).toEqual(hexed(answer))
  })

  test('an order that is settled already', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const first = await proposed(pair)
    await pair.exchange()
    const statement = open(STATEMENT, first)
    const again: Statement = { ...statement.value, sequence: 2, previous: statement.id, owed: 20n }
    const answer = await pair.buyer.ledger.answerProposal(pair.account, { ...first, ...resealedWhole(pair, again) })
    expect(rejectionIn(answer).value.reason).toBe('the order is settled already')
  })

  test('and does not answer, a statement that is not the next one', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const honest = await proposed(pair)
    const { value } = open(STATEMENT, honest)
    for (const sequence of [0, 2, 7]) {
      const frame = { ...honest, ...resealedWhole(pair, { ...value, sequence }) }
      await expect(pair.buyer.ledger.answerProposal(pair.account, frame)).rejects.toMatchObject({
        code: 'statement_invalid',
      })
    }
    expect(pair.buyer.store.keys().filter((key) => key.startsWith('0c'))).toEqual([])
    expect(await pair.buyer.ledger.answerProposal(pair.account, honest)).toHaveProperty('countersignature')
  })

  test('however many statements a seller proposes on the ground of rejections, and keeps the newest only', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const honest = await proposed(pair)
    const { value } = open(STATEMENT, honest)
    const bodies: ProposalFrame[] = []
    let rejection: Uint8Array | undefined
    for (let owed = 11n; owed < 40n; owed++) {
      const frame = { ...honest, ...resealedWhole(pair, { ...value, owed, rejection }) }
      rejection = rejectionIn(await pair.buyer.ledger.answerProposal(pair.account, frame)).id
      bodies.push(frame)
    }
    expect(pair.buyer.store.keys().filter((key) => key.startsWith('0c'))).toHaveLength(1)
    for (const frame of bodies.toReversed()) {
      expect(await pair.buyer.ledger.answerProposal(pair.account, frame)).toHaveProperty('rejection')
    }
    expect(pair.views()[0]).toMatchObject({ sequence: 0, frozen: undefined })
  })
})

describe('a seller that signs two statements at one place', () => {
  type Second = (pair: LedgerPair, statement: Statement) => Statement
  const SECONDS: readonly [name: string, second: Second][] = [
    ['of which the first was rejected', (_pair, statement) => ({ ...statement, owed: 12n })],
    [
      'of which the first was countersigned',
      (_pair, statement) => ({ ...statement, issuedAtMs: statement.issuedAtMs + 1 }),
    ],
  ]

  test.each(SECONDS)('%s, is convicted by them, and the account is frozen', async (name, second) => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const honest = await proposed(pair)
    const { value } = open(STATEMENT, honest)
    const first = name.includes('rejected') ? { ...honest, ...resealedWhole(pair, { ...value, owed: 11n }) } : honest
    await pair.buyer.ledger.answerProposal(pair.account, first)
    const again = { ...honest, ...resealedWhole(pair, second(pair, value)) }
    await expect(pair.buyer.ledger.answerProposal(pair.account, again)).rejects.toMatchObject({
      code: 'account_forked',
    })
    for (let round = 0; round < 2; round++) {
      expect(pair.views()[0].frozen).toContain('seller signed two statements at sequence 1')
      const [conflict] = await pair.buyer.ledger.conflicts()
      expect(conflict).toMatchObject({ sequence: 1, equivocators: ['seller'] })
      expect(pair.buyer.store.keys().filter((key) => key.startsWith('0b'))).toHaveLength(2)
      await pair.crash('buyer')
    }
  })
})

describe('a rejected proposal', () => {
  test('is proposed again without the refused call, naming the rejection', async () => {
    const pair = await LedgerPair.reconciled()
    const good = await pair.trade({ vouched: 10 })
    const disputed = await tradeWithLostReceipt(pair, 20)
    await pair.exchange()
    const rejected = pair.released(FRAMES.rejection).map(({ payload }) => open(REJECTION, decodeEnvelope(payload, 'x')))
    expect(hexed(rejected.map(({ value }) => value.item))).toEqual([toHex(disputed.id)])
    const [first, second] = proposals(pair)
    expect(first?.value.items).toHaveLength(2)
    expect(hexed(second?.value)).toMatchObject({ sequence: 1, rejection: hexed(rejected[0]?.id), owed: 10n })
    expect(second?.value.items.map((item) => toHex(itemId(item)))).toEqual([toHex(good.id)])
    expect(pair.views().map(({ sequence, owed }) => [sequence, owed])).toEqual([
      [1, 10n],
      [1, 10n],
    ])
  })

  test('leaves the refused call aside, its credit in use, also after a restart', async () => {
    const pair = await LedgerPair.reconciled()
    await tradeWithLostReceipt(pair, 20)
    await pair.exchange()
    for (let round = 0; round < 2; round++) {
      expect(pair.views()[1]).toMatchObject({ sequence: 0, owed: 0n, unsettled: 20n, frozen: undefined })
      await pair.crash('seller')
      await pair.exchange()
    }
    expect(pair.released(FRAMES.proposal)).toHaveLength(1)
  })

  test('names the rejection also when the seller restarts in between', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    await tradeWithLostReceipt(pair, 20)
    const frame = await proposed(pair)
    const rejection = rejectionIn(await pair.buyer.ledger.answerProposal(pair.account, frame))
    await pair.seller.ledger.applyRejection(pair.account, plain(rejection))
    await pair.crash('seller')
    await pair.exchange()
    expect(hexed(proposals(pair).at(-1)?.value)).toMatchObject({ sequence: 1, rejection: toHex(rejection.id) })
    expect(pair.views().map(({ owed }) => owed)).toEqual([10n, 10n])
  })

  test('as a whole freezes the account at the seller, for good', async () => {
    const pair = await LedgerPair.reconciled()
    await pair.trade({ vouched: 10 })
    const frame = await proposed(pair)
    const rejection = seal(
      REJECTION,
      {
        type: 'tok/rejection/1',
        network: 'test',
        buyer: pair.account.buyer,
        seller: pair.account.seller,
        sequence: 1,
        statement: open(STATEMENT, frame).id,
        code: 'statement_invalid',
        reason: 'no',
        item: undefined,
      },
      pair.buyer.key,
    )
    await pair.seller.ledger.applyRejection(pair.account, rejection)
    const frozen = { code: 'account_frozen' }
    await expect(pair.seller.ledger.propose(pair.account, 1n)).rejects.toMatchObject(frozen)
    await expect(pair.openSale(pair.order(1))).rejects.toMatchObject(frozen)
    await pair.crash('seller')
    pair.seller.ledger.setReconciled(pair.account, true)
    await expect(pair.seller.ledger.propose(pair.account, 1n)).rejects.toMatchObject(frozen)
    await expect(pair.openSale(pair.order(1))).rejects.toMatchObject(frozen)
  })

  test('counts only with the buyer’s signature, and for the pending proposal', async () => {
    const pair = await LedgerPair.reconciled()
    await tradeWithLostReceipt(pair, 20)
    const frame = await proposed(pair)
    const { value } = rejectionIn(await pair.buyer.ledger.answerProposal(pair.account, frame))
    const { ledger } = pair.seller
    const foreign = seal(REJECTION, { ...value, buyer: pair.account.seller }, pair.seller.key)
    await expect(ledger.applyRejection(pair.account, foreign)).rejects.toMatchObject({ code: 'signature_invalid' })
    const other = seal(REJECTION, { ...value, statement: new Uint8Array(32) }, pair.buyer.key)
    await expect(ledger.applyRejection(pair.account, other)).rejects.toMatchObject({ code: 'statement_invalid' })
  })

  test('names an order of its own: another one is no answer, or proposing would never end', async () => {
    const pair = await LedgerPair.reconciled()
    await tradeWithLostReceipt(pair, 20)
    const frame = await proposed(pair)
    const { value } = rejectionIn(await pair.buyer.ledger.answerProposal(pair.account, frame))
    const live = pair.order(7)
    await pair.openSale(live)
    const aside = seal(REJECTION, { ...value, item: live.id }, pair.buyer.key)
    const { ledger } = pair.seller
    await expect(ledger.applyRejection(pair.account, aside)).rejects.toMatchObject({ code: 'statement_invalid' })
    expect(hexed(await ledger.propose(pair.account, 1n))).toEqual(hexed(frame))
  })
})

test('a countersignature counts only for the pending proposal, and only the buyer’s', async () => {
  const pair = await LedgerPair.reconciled()
  await pair.trade({ vouched: 10 })
  const statement = open(STATEMENT, await proposed(pair)).id
  const { ledger } = pair.seller
  const signature = new Uint8Array(64)
  await expect(ledger.applyCountersignature(pair.account, { statement, signature })).rejects.toMatchObject({
    code: 'signature_invalid',
  })
  await expect(
    ledger.applyCountersignature(pair.account, { statement: new Uint8Array(32), signature }),
  ).rejects.toMatchObject({ code: 'statement_invalid' })
  expect(pair.views()[1]).toMatchObject({ sequence: 0 })
})

async function proposed(pair: LedgerPair): Promise<ProposalFrame> {
  const frame = await pair.seller.ledger.propose(pair.account, pair.creditLimit)
  if (frame === undefined) throw new Error('there is nothing to propose')
  return frame
}

/** A call vouched for `tokens` whose lower receipt only the buyer has: the seller lost it with its disk, and will ask for more. */
async function tradeWithLostReceipt(pair: LedgerPair, tokens: number): Promise<Signed<Order>> {
  const order = await pair.openCall(100)
  await pair.vouch(order, tokens)
  await pair.closeSale(order)
  await pair.closePurchase(order, receiptOf(order, pair.seller.key, tokens - 1))
  return order
}

function resealed(pair: LedgerPair, statement: Statement, over: Partial<CallItem>) {
  const items = callItems(statement).map((item) => ({ ...item, ...over }))
  return resealedWhole(pair, { ...statement, items, owed: items.reduce((sum, item) => sum + item.amount, 0n) })
}

function resealedWhole(pair: LedgerPair, statement: Statement): { body: Uint8Array; signature: Uint8Array } {
  return plain(seal(STATEMENT, statement, pair.seller.key))
}

function rejectionIn(answer: object): Signed<Rejection> {
  if (!('rejection' in answer)) throw new Error('the proposal was countersigned')
  return open(REJECTION, answer.rejection as Envelope)
}

function proposals(pair: LedgerPair): readonly Signed<Statement>[] {
  return pair.released(FRAMES.proposal).map(({ payload }) => open(STATEMENT, decodeBody(proposalShape, payload, 'x')))
}

async function statementsOf(pair: LedgerPair, side: 'buyer' | 'seller'): Promise<readonly Statement[]> {
  const { id } = pair.views()[0]
  const stored = await collect(pair[side].ledger.statementsOf(id))
  return stored.map(({ value }) => value)
}
