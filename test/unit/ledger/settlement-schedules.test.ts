/**
 * Random schedules of calls, payments, nettings, cut exchanges and crashes between two ledgers that buy from each other. What was
 * confirmed is paid once, what both signed is set off once in each account, and nothing else is. fast-check prints the seed and
 * the shortest schedule of a failure.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { TokError } from '../../../src/base/errors.ts'
import { splitLines } from '../../../src/ledger/export-lines.ts'
import { exportLedger } from '../../../src/ledger/export.ts'
import { verifyExport } from '../../../src/ledger/verify-export.ts'
import { itemId } from '../../../src/wire/account.ts'
import { collect, LedgerPair, signatureChecker, START_MS, turns } from '../../support/ledger-pair.ts'

/** 0: the account in which the first buys; 1: the opposite one. */
type Way = 0 | 1

type Act =
  | { readonly do: 'trade'; readonly way: Way; readonly tokens: number }
  | {
      readonly do: 'pay'
      readonly way: Way
      readonly amount: number
      readonly reference: number
      readonly isShown: boolean
    }
  | { readonly do: 'confirm' | 'refuse' | 'cancel'; readonly way: Way; readonly choice: number }
  | { readonly do: 'net'; readonly way: Way; readonly amount: number | undefined }
  | { readonly do: 'exchange'; readonly way: Way; readonly cutAfter: number | undefined }
  | { readonly do: 'crash'; readonly side: 'buyer' | 'seller' }

const way = fc.constantFrom<Way>(0, 1)
const small = fc.nat({ max: 30 })
const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('trade' as const), way, tokens: fc.integer({ min: 1, max: 60 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pay' as const),
      way,
      amount: small,
      reference: fc.nat({ max: 9 }),
      isShown: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('confirm' as const, 'confirm' as const, 'refuse' as const, 'cancel' as const),
      way,
      choice: fc.nat({ max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('net' as const), way, amount: fc.option(small, { nil: undefined }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('exchange' as const),
      way,
      cutAfter: fc.option(fc.nat({ max: 14 }), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('crash' as const), side: fc.constantFrom('buyer', 'seller') }) },
)
/** An act, and after how many turns of the event loop the next begins whether or not it is through. */
const steps = fc.record({ act: acts, patience: fc.option(fc.nat({ max: 20 }), { nil: undefined }) })

/** What honest runs meet. */
const EXPECTED = [
  'account_unreconciled',
  'credit_exhausted',
  'stream_incomplete',
  'record_not_found',
  'settlement_invalid',
  'reference_used',
  'limit_exceeded',
  'internal_error',
]

test('what was confirmed is paid once, and what both signed is set off once in each account', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 6, maxLength: 40 }), fc.integer(), async (schedule, seed) => {
      const first = await LedgerPair.reconciled({ seed, turnsMax: 3 })
      const run = new Run([first, first.opposite()])
      await run.begin()
      for (const step of schedule) await run.take(step)
      await run.converge()
      await run.audit()
    }),
    { numRuns: 80 },
  )
}, 60_000)

class Run {
  readonly #pairs: readonly [LedgerPair, LedgerPair]
  /** Ids of payments whose confirmation is on disk. */
  readonly #confirmed = new Set<string>()
  readonly #running = new Set<Promise<void>>()
  #exchange: Promise<void> = Promise.resolve()
  #nonces = 0

  constructor(pairs: readonly [LedgerPair, LedgerPair]) {
    this.#pairs = pairs
  }

  /** Both owe something. */
  async begin(): Promise<void> {
    for (const pair of this.#pairs) {
      await pair.exchange()
      await pair.trade({ vouched: 50 })
      await pair.exchange()
    }
  }

  async take({ act, patience }: { readonly act: Act; readonly patience: number | undefined }): Promise<void> {
    this.#pairs[0].clock.advance(1)
    const work: Promise<void> = this.#act(act)
      .catch(expectHonest)
      .finally(() => this.#running.delete(work))
    this.#running.add(work)
    await (patience === undefined ? work : Promise.race([work, turns(patience)]))
    if (act.do === 'crash') await work
    for (const pair of this.#pairs) {
      for (const { owed, paid, frozen } of pair.views()) {
        assert.ok(paid <= owed, `${paid} is paid of ${owed}`)
        assert.equal(frozen, undefined)
      }
    }
  }

  async #act(act: Act): Promise<void> {
    if (act.do === 'crash') return this.#crash(act.side)
    const pair = this.#pairs[act.way]
    const { buyer, account } = pair
    switch (act.do) {
      case 'trade':
        await this.#exchangeOf(pair)
        await buyer.whileAlive(
          pair.seller.whileAlive(pair.trade({ max: 60, vouched: act.tokens, receipted: act.tokens })),
        )
        return
      case 'pay': {
        const terms = {
          adapter: 'manual',
          reference: `r${act.reference}`,
          amount: BigInt(act.amount),
          paidAtMs: START_MS,
        }
        await buyer.whileAlive(buyer.ledger.announcePayment(account.seller, terms))
        if (act.isShown) await this.#exchangeOf(pair)
        return
      }
      case 'net': {
        const nonce = new Uint8Array(16).fill(++this.#nonces)
        const amount = act.amount === undefined ? undefined : BigInt(act.amount)
        await buyer.whileAlive(buyer.ledger.proposeNetting(account.seller, amount, nonce))
        return
      }
      case 'exchange':
        return this.#exchangeOf(pair, act.cutAfter)
      default:
        return this.#decide(pair, act.do, act.choice)
    }
  }

  async #decide(pair: LedgerPair, decision: 'confirm' | 'refuse' | 'cancel', choice: number): Promise<void> {
    const side = decision === 'cancel' ? pair.buyer : pair.seller
    const payments = side.ledger.settlements().filter(({ kind, side: on }) => {
      return kind === 'payment' && on === (decision === 'cancel' ? 'buyer' : 'seller')
    })
    const payment = payments[choice % Math.max(1, payments.length)]
    if (payment === undefined) return
    if (decision === 'cancel') await side.whileAlive(side.ledger.cancelPayment(payment.id))
    else if (decision === 'refuse') await side.whileAlive(side.ledger.refusePayment(payment.id, 'no'))
    else if ((await side.whileAlive(side.ledger.confirmPayment(payment.id))) !== undefined) {
      this.#confirmed.add(toHex(payment.id))
    }
  }

  /** One exchange at a time, as one settler and one answerer have it. One that waits for a running call is let wait in vain. */
  #exchangeOf(pair: LedgerPair, cutAfter = Infinity): Promise<void> {
    const after = this.#exchange.then(async () => {
      const exchanged = pair.exchange({ cutAfter }).catch(expectHonest)
      const over = exchanged.then(() => true)
      for (let round = 0; !(await Promise.race([over, turns(400)])); round++) {
        assert.ok(round < 50, 'an exchange never ends')
        pair.clock.advance(60_000)
      }
      await exchanged
    })
    this.#exchange = after.catch(() => undefined)
    return after
  }

  async #crash(side: 'buyer' | 'seller'): Promise<void> {
    await this.#pairs[0].crash(side)
    this.#pairs[1].disconnect()
  }

  async converge(): Promise<void> {
    await Promise.all(this.#running)
    for (const side of ['buyer', 'seller'] as const) await this.#crash(side) // ends calls that a crash left half open
    for (let round = 0; round < 3; round++) {
      for (const pair of this.#pairs) await this.#exchangeOf(pair)
    }
  }

  async audit(): Promise<void> {
    const nettings: string[][] = []
    const paid = new Set<string>()
    for (const pair of this.#pairs) {
      const [ours, theirs] = pair.views()
      assert.equal(ours.head && toHex(ours.head), theirs.head && toHex(theirs.head), 'one head')
      assert.deepEqual([ours.unsettled, ours.held], [0n, 0n])
      const statements = await collect(pair.seller.ledger.statementsOf(theirs.id))
      const items = statements.flatMap(({ value }) => value.items)
      const sum = items.reduce((micros, { kind, amount }) => (kind === 'call' ? micros : micros + amount), 0n)
      assert.equal(theirs.paid, sum, 'paid is the sum of what was paid and set off')
      nettings.push(items.flatMap((item) => (item.kind === 'netting' ? [`${toHex(item.netting)} ${item.amount}`] : [])))
      for (const item of items) {
        if (item.kind !== 'payment') continue
        const id = toHex(itemId(item))
        assert.ok(!paid.has(id), 'a payment counts once')
        paid.add(id)
      }
    }
    assert.deepEqual(nettings[0]?.toSorted(), nettings[1]?.toSorted(), 'each netting stands in both accounts')
    assert.equal(new Set(nettings[0]).size, nettings[0]?.length, 'and once')
    // What is confirmed and waits for more to be owed is on its way still.
    const waiting = this.#pairs.flatMap((pair) =>
      pair.seller.ledger.settlements().flatMap(({ id, state }) => (state === 'confirmed' ? [toHex(id)] : [])),
    )
    for (const id of this.#confirmed) assert.ok(paid.has(id) || waiting.includes(id), 'what is confirmed is paid')
    for (const side of [this.#pairs[0].buyer, this.#pairs[0].seller]) {
      const verified = await verifyExport(splitLines(exportLedger(side.ledger, START_MS)), signatureChecker)
      assert.deepEqual([verified.halfNettings, verified.unsettled], [0, 0], 'the export')
    }
  }
}

function expectHonest(thrown: unknown): void {
  if (!(thrown instanceof TokError)) throw thrown
  const isBusy = thrown.code === 'statement_invalid' && thrown.message.includes('still runs here')
  // The frame that was cut off was the last one.
  const isCut = thrown.code === 'seller_misbehaved' && thrown.message.includes('ended the exchange early')
  if (!isBusy && !isCut && !EXPECTED.includes(thrown.code)) throw thrown
}
