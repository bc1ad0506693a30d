/**
 * Random schedules of calls, crashes and cut exchanges between two honest ledgers, checked against the invariants of
 * protocols/account/v1.md after every step. fast-check prints the seed and the shortest schedule of a failure.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { TokError } from '../../../src/base/errors.ts'
import { exportLedger } from '../../../src/ledger/export.ts'
import { splitLines } from '../../../src/ledger/export-lines.ts'
import { verifyExport } from '../../../src/ledger/verify-export.ts'
import { callItems, countersignatureShape, openStatement, proposalShape, STATEMENT } from '../../../src/wire/account.ts'
import { open, type Signed } from '../../../src/wire/envelope.ts'
import type { Order, Receipt, Voucher } from '../../../src/wire/inference.ts'
import { FRAMES } from '../../../src/wire/registry.ts'
import { decodeBody } from '../../../src/wire/shape.ts'
import { LedgerPair, signatureChecker, START_MS, turns, type LedgerSide } from '../../support/ledger-pair.ts'

type Side = 'buyer' | 'seller'

/** A call and how far it comes in one go: its vouchers, the last of which may be lost, and which sides end it. */
interface CallAct {
  readonly do: 'call'
  readonly max: number
  readonly vouched: readonly number[]
  readonly isLastLost: boolean
  readonly receipted: number | undefined
  readonly isReceiptLost: boolean
  readonly ends: readonly Side[]
}

type Act =
  | CallAct
  | { readonly do: 'vouch'; readonly call: number; readonly tokens: number; readonly isLost: boolean }
  | { readonly do: 'endPurchase'; readonly call: number; readonly hasReceipt: boolean }
  | { readonly do: 'endSale'; readonly call: number; readonly receipted: number | undefined }
  | { readonly do: 'exchange'; readonly cutAfter: number | undefined; readonly isAwaited: boolean }
  | { readonly do: 'restore'; readonly side: Side; readonly backup: number }

interface Step {
  readonly act: Act
  /** A side that dies so many turns of the event loop after the act began. */
  readonly crash: { readonly side: Side; readonly afterTurns: number } | undefined
}

const CREDIT_LIMIT = 300n
/** What an honest run meets: limits, breaks, and calls that are over. Anything else is a fault. */
const EXPECTED = [
  'account_rolled_back',
  'account_unreconciled',
  'credit_exhausted',
  'stream_incomplete',
  'record_not_found',
  'internal_error',
]

const anyCall = fc.nat({ max: 2 })
const anyCount = fc.nat({ max: 120 })
const anyReceipt = fc.option(fc.oneof(fc.constant(0), anyCount), { nil: undefined })
const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      max: fc.integer({ min: 1, max: 120 }),
      vouched: fc.array(anyCount, { maxLength: 3 }),
      isLastLost: fc.boolean(),
      receipted: anyReceipt,
      isReceiptLost: fc.boolean(),
      ends: fc.constantFrom<Side[]>(['seller', 'buyer'], ['seller', 'buyer'], ['seller'], ['buyer'], []),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('vouch' as const), call: anyCall, tokens: anyCount, isLost: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('endPurchase' as const), call: anyCall, hasReceipt: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('endSale' as const), call: anyCall, receipted: anyReceipt }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('exchange' as const),
      cutAfter: fc.option(fc.nat({ max: 9 }), { nil: undefined }),
      isAwaited: fc.boolean(),
    }),
  },
)
const crashes = fc.record({ side: fc.constantFrom<Side>('buyer', 'seller'), afterTurns: fc.nat({ max: 12 }) })
const steps = fc.record({
  act: acts,
  crash: fc.option(crashes, { nil: undefined, freq: 5 }),
})

test('every signature is kept, every debt settled once, and both sides agree when the faults end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 4, maxLength: 40 }), fc.integer(), async (schedule, seed) => {
      const run = await Run.begin(seed)
      for (const step of schedule) {
        await run.take(step)
        await run.audit()
      }
      await run.finish()
    }),
    { numRuns: 120 },
  )
}, 60_000)

test.each(['buyer', 'seller'] as const)(
  'a %s restored from any older copy of its disk is brought back by the other side',
  async (side) => {
    const restore = fc.record({
      do: fc.constant('restore' as const),
      side: fc.constant(side),
      backup: fc.nat({ max: 7 }),
    })
    const restores = fc.record({ act: restore, crash: fc.constant(undefined) })
    const schedules = fc.array(fc.oneof({ weight: 12, arbitrary: steps }, { weight: 1, arbitrary: restores }), {
      minLength: 4,
      maxLength: 30,
    })
    await fc.assert(
      fc.asyncProperty(schedules, fc.integer(), async (schedule, seed) => {
        const run = await Run.begin(seed)
        for (const step of schedule) await run.take(step)
        await run.converge()
        await run.auditExports()
      }),
      { numRuns: 60 },
    )
  },
  60_000,
)

test('whatever backups both sides go back to, nobody is convicted, and both agree or say where they part', async () => {
  const restore = fc.record({
    do: fc.constant('restore' as const),
    side: fc.constantFrom<Side>('buyer', 'seller'),
    backup: fc.nat({ max: 7 }),
  })
  const restores = fc.record({ act: restore, crash: fc.constant(undefined) })
  const trade = { do: 'call', isLastLost: false, receipted: undefined, isReceiptLost: false, ends: ['seller', 'buyer'] }
  const settling: readonly Step[] = [
    { act: { ...trade, max: 9, vouched: [9] } as CallAct, crash: undefined },
    { act: { do: 'exchange', cutAfter: undefined, isAwaited: true }, crash: undefined },
  ]
  const parts = fc.oneof(
    { weight: 1, arbitrary: steps.map((step): readonly Step[] => [step]) },
    { weight: 3, arbitrary: fc.constant(settling) },
    { weight: 3, arbitrary: restores.map((step): readonly Step[] => [step]) },
  )
  const schedules = fc.array(parts, { minLength: 4, maxLength: 24 }).map((each) => each.flat())
  await fc.assert(
    fc.asyncProperty(schedules, fc.integer(), async (schedule, seed) => {
      const run = await Run.begin(seed)
      for (const step of schedule) await run.take(step)
      await run.part()
    }),
    { numRuns: 60 },
  )
}, 60_000)

/** One call and what is known to be signed for it, by promises that resolved. */
interface TrackedCall {
  readonly order: Signed<Order>
  /** The highest amount that a voucher was asked for: a crash may leave it on disk without an answer. */
  asked: bigint
  signed: Signed<Voucher> | undefined
  recorded: Signed<Voucher> | undefined
  receipt: Signed<Receipt> | undefined
  /** The lowest amount that a receipt was asked for, likewise. */
  receipted: bigint | undefined
}

class Run {
  readonly #pair: LedgerPair
  readonly #calls: TrackedCall[] = []
  readonly #chain = new Map<number, string>()
  readonly #backups: Record<Side, LedgerSide['store'][]> = { buyer: [], seller: [] }
  #exchange: Promise<void> = Promise.resolve()
  #isReconciled = true

  private constructor(pair: LedgerPair) {
    this.#pair = pair
  }

  static async begin(seed: number): Promise<Run> {
    const pair = await LedgerPair.reconciled({ seed, turnsMax: 4 })
    pair.creditLimit = CREDIT_LIMIT
    return new Run(pair)
  }

  async take({ act, crash }: Step): Promise<void> {
    this.#pair.clock.advance(1)
    const work = this.#act(act)
    if (crash !== undefined) {
      await turns(crash.afterTurns)
      this.#isReconciled = false
      await this.#pair.crash(crash.side)
      await this.#exchange
      if (this.#backups.buyer.length + this.#backups.seller.length === 0) await this.#auditDisk(crash.side)
    }
    await work
  }

  async #act(act: Act): Promise<void> {
    const tracked = 'call' in act ? this.#calls.at(-1 - act.call) : undefined
    switch (act.do) {
      case 'call':
        return this.#runCall(act)
      case 'vouch':
        return tracked && this.#vouch(tracked, act.tokens, act.isLost)
      case 'endPurchase':
        return tracked && this.#endPurchase(tracked, act.hasReceipt)
      case 'endSale':
        return tracked && this.#endSale(tracked, act.receipted)
      case 'exchange':
        await this.#exchange
        this.#exchange = this.#runExchange(act.cutAfter)
        if (act.isAwaited) await this.#exchange
        return
      case 'restore': {
        await this.#exchange
        const side = this.#pair[act.side]
        const backups = this.#backups[act.side]
        backups.push(await side.backUp())
        this.#isReconciled = false
        await side.restore((backups[act.backup % backups.length] ?? side.store).copy())
        this.#pair.disconnect()
      }
    }
  }

  async #runCall({ max, vouched, isLastLost, receipted, isReceiptLost, ends }: CallAct): Promise<void> {
    const { buyer, seller } = this.#pair
    if (!this.#isReconciled) {
      await this.#exchange
      await (this.#exchange = this.#runExchange())
    }
    const order = this.#pair.order(max)
    if (!(await hasDone(buyer, this.#pair.openPurchase(order)))) return
    if (!(await hasDone(seller, this.#pair.openSale(order)))) {
      await hasDone(buyer, this.#pair.closePurchase(order))
      return
    }
    const tracked = newCall(order)
    this.#calls.push(tracked)
    for (const [index, tokens] of vouched.entries()) {
      await this.#vouch(tracked, tokens, isLastLost && index === vouched.length - 1)
    }
    if (ends.includes('seller')) await this.#endSale(tracked, receipted)
    if (ends.includes('buyer')) await this.#endPurchase(tracked, !isReceiptLost)
  }

  async #vouch(tracked: TrackedCall, wanted: number, isLost: boolean): Promise<void> {
    const { buyer, seller } = this.#pair
    const tokens = Math.min(wanted, tracked.order.value.outputTokensMax)
    if (BigInt(tokens) > tracked.asked) tracked.asked = BigInt(tokens)
    const signing = this.#pair.vouch(tracked.order, tokens, { isLost: true }).then((voucher) => {
      tracked.signed = voucher ?? tracked.signed
    })
    await hasDone(buyer, signing)
    if (tracked.signed === undefined || isLost) return
    const recording = seller.ledger.recordVoucher(tracked.order.id, tracked.signed).then((voucher) => {
      tracked.recorded = voucher ?? tracked.recorded
    })
    await hasDone(seller, recording)
  }

  async #endPurchase({ order, receipt }: TrackedCall, hasReceipt: boolean): Promise<void> {
    await hasDone(this.#pair.buyer, this.#pair.closePurchase(order, hasReceipt ? receipt : undefined))
  }

  async #endSale(tracked: TrackedCall, wanted: number | undefined): Promise<void> {
    const receipted = wanted === undefined ? undefined : Math.min(wanted, tracked.order.value.outputTokensMax)
    if (receipted !== undefined) tracked.receipted = lesser(BigInt(receipted), tracked.receipted)
    const closing = this.#pair.closeSale(tracked.order, receipted).then((receipt) => {
      tracked.receipt = receipt
    })
    await hasDone(this.#pair.seller, closing)
  }

  /** An exchange that waits for a running call is let wait in vain. */
  async #runExchange(cutAfter = Infinity): Promise<void> {
    const exchanged = this.#pair.exchange({ cutAfter }).then(
      () => {
        this.#isReconciled = true
      },
      (thrown: unknown) => expectHonest(thrown),
    )
    const over = exchanged.then(
      () => true,
      () => true,
    )
    for (let round = 0; !(await Promise.race([over, turns(400)])); round++) {
      assert.ok(round < 50, 'an exchange never ends')
      this.#pair.clock.advance(60_000)
    }
    await exchanged
  }

  /** What holds at any moment. */
  async audit(): Promise<void> {
    const [buyer, seller] = this.#pair.views()
    for (const { owed, paid, unsettled, held, frozen } of [buyer, seller]) {
      assert.equal(frozen, undefined)
      const exposure = owed - paid + unsettled + held
      assert.ok(exposure <= CREDIT_LIMIT, `I7: ${exposure} of ${CREDIT_LIMIT}`)
    }
    const ahead = buyer.sequence - seller.sequence
    assert.ok(ahead === 0 || ahead === 1, `I6: the buyer is ahead by ${ahead}`)
    for (const side of ['buyer', 'seller'] as const) await this.#followChain(side)
    const proposed = new Map<number, string>()
    for (const { payload } of this.#pair.released(FRAMES.proposal)) {
      const { id, value } = open(STATEMENT, decodeBody(proposalShape, payload, 'proposal'))
      assert.equal(proposed.get(value.sequence) ?? toHex(id), toHex(id), 'I1: one statement at one sequence')
      proposed.set(value.sequence, toHex(id))
    }
    assert.equal(this.#pair.released(FRAMES.rejection).length, 0, 'nothing honest is rejected')
  }

  /** I6: what one side holds at a sequence the other holds too. */
  async #followChain(side: Side): Promise<void> {
    const { ledger } = this.#pair[side]
    const { sequence: length } = this.#pair.views()[side === 'buyer' ? 0 : 1]
    const newest = await ledger.statementsAfter(this.#pair.account, Math.max(0, length - 2))
    for (const statement of newest.map(openStatement)) {
      const { sequence } = statement.value
      assert.equal(this.#chain.get(sequence) ?? toHex(statement.id), toHex(statement.id), 'I6: one history')
      this.#chain.set(sequence, toHex(statement.id))
    }
  }

  /** I10: the disk that a crash left holds everything that was ever given out. */
  async #auditDisk(side: Side): Promise<void> {
    const { ledger } = this.#pair[side]
    for (const { order, signed, recorded, receipt } of this.#calls) {
      const record = await ledger.callRecord(order.id)
      assert.ok(record, 'I10: an order')
      const promised = side === 'buyer' ? signed : recorded
      assert.ok((record.voucher?.value.index ?? 0) >= (promised?.value.index ?? 0), 'I10: a voucher')
      if (side === 'seller' && receipt !== undefined) {
        assert.equal(record.receipt && toHex(record.receipt.id), toHex(receipt.id), 'I10: a receipt')
      }
    }
    if (side === 'seller') return
    const held = new Set<string>()
    for await (const statement of ledger.statementsOf(this.#pair.views()[0].id)) held.add(toHex(statement.id))
    for (const { payload } of this.#pair.released(FRAMES.countersignature)) {
      const { statement } = decodeBody(countersignatureShape, payload, 'countersignature')
      assert.ok(held.has(toHex(statement)), 'I10: a countersignature')
    }
  }

  /** I8: the faults end, and two exchanges later both agree and nothing is open. */
  async converge(): Promise<void> {
    const { buyer, seller } = this.#pair
    await this.#endAll()
    for (let round = 0; round < 2; round++) await this.#pair.exchange()
    const [ours, theirs] = this.#pair.views()
    assert.equal(ours.head && toHex(ours.head), theirs.head && toHex(theirs.head), 'I8: one head')
    for (const view of [ours, theirs]) {
      const { unsettled, held, liveCalls, frozen } = view
      assert.deepEqual([unsettled, held, liveCalls, frozen], [0n, 0n, 0, undefined], 'I8, I9: nothing is open')
    }
    for (const { ledger, store } of [buyer, seller]) {
      assert.equal(ledger.unsettledOrders(ours.id).length, 0)
      const left = store.keys().filter((key) => key.startsWith('06') || key.startsWith('0a'))
      assert.deepEqual(left, [], 'I8: no proposal, no open call on disk')
    }
  }

  async finish(): Promise<void> {
    await this.converge()
    await this.audit()
    for (const side of ['buyer', 'seller'] as const) {
      await this.#pair[side].crash()
      await this.#auditDisk(side)
      await this.#auditMoney(side)
      await this.#auditExport(side)
    }
  }

  /** Calls that still run are over on both sides, and the connection is new. */
  async #endAll(): Promise<void> {
    await this.#exchange
    for (const { order } of this.#calls) {
      await hasDone(this.#pair.seller, this.#pair.closeSale(order))
      await hasDone(this.#pair.buyer, this.#pair.closePurchase(order))
    }
    this.#pair.disconnect()
  }

  /** The faults end: both agree, or both had gone back to copies and trade no more. Nobody lied, and nobody is said to have. */
  async part(): Promise<void> {
    await this.#endAll()
    let haveParted = false
    for (let round = 0; round < 3; round++) {
      const outcome = await this.#pair.exchange().then(
        () => undefined,
        (thrown: unknown) => (thrown instanceof TokError ? thrown.code : thrown),
      )
      if (outcome === 'account_rolled_back') haveParted = true
      else assert.ok(outcome === undefined || outcome === 'statement_invalid', `an exchange fails: ${String(outcome)}`)
    }
    for (const { frozen } of this.#pair.views()) assert.equal(frozen, undefined)
    for (const { ledger } of [this.#pair.buyer, this.#pair.seller]) {
      assert.deepEqual(await ledger.conflicts(), [])
      await verifyExport(splitLines(exportLedger(ledger, START_MS)), signatureChecker)
    }
    if (haveParted) return
    const [ours, theirs] = this.#pair.views()
    assert.equal(ours.head && toHex(ours.head), theirs.head && toHex(theirs.head), 'I8: one head')
  }

  async auditExports(): Promise<void> {
    for (const side of ['buyer', 'seller'] as const) await this.#auditExport(side)
  }

  /** I3, I4, I5: what is settled is what was signed, once, and the totals are its sum. */
  async #auditMoney(side: Side): Promise<void> {
    const { ledger } = this.#pair[side]
    const settled = new Map<string, bigint>()
    let owed = 0n
    for await (const { value } of ledger.statementsOf(this.#pair.views()[0].id)) {
      for (const { order, amount } of callItems(value)) {
        assert.ok(!settled.has(toHex(order)), 'I5: settled once')
        settled.set(toHex(order), amount)
        owed += amount
      }
      assert.equal(value.owed, owed, 'I4: the total')
    }
    for (const { order, asked, signed, recorded, receipt, receipted } of this.#calls) {
      const amount = settled.get(toHex(order.id)) ?? 0n
      const isSettled = settled.has(toHex(order.id)) || (signed?.value.amount ?? 0n) === 0n
      assert.ok(isSettled, 'I8: what was promised is settled')
      assert.ok(amount <= lesser(asked, receipt?.value.amount), 'I3: no more than was promised')
      const due = lesser(recorded?.value.amount ?? 0n, receipted)
      assert.ok(amount >= due, 'no less than the seller had on disk')
    }
  }

  /** I12: what each side exports verifies. */
  async #auditExport(side: Side): Promise<void> {
    const { ledger } = this.#pair[side]
    const verified = await verifyExport(splitLines(exportLedger(ledger, START_MS)), signatureChecker)
    const view = this.#pair.views()[side === 'buyer' ? 0 : 1]
    assert.equal(verified.unsettled, 0)
    const expected = view.sequence === 0 ? [] : [[view.owed, view.sequence]]
    assert.deepEqual(
      verified.accounts.map(({ owed, statements }) => [owed, statements]),
      expected,
      'I12: what the export says',
    )
  }
}

function newCall(order: Signed<Order>): TrackedCall {
  return { order, asked: 0n, signed: undefined, recorded: undefined, receipt: undefined, receipted: undefined }
}

function lesser(promised: bigint, receipted: bigint | undefined): bigint {
  return receipted !== undefined && receipted < promised ? receipted : promised
}

/** True if the work was done; false if its side died before, or it met what honest runs meet. */
async function hasDone(side: LedgerSide, work: Promise<unknown>): Promise<boolean> {
  const done = work.then(
    () => true,
    (thrown: unknown) => {
      expectHonest(thrown)
      return false
    },
  )
  return (await side.whileAlive(done)) ?? false
}

function expectHonest(thrown: unknown): void {
  if (!(thrown instanceof TokError)) throw thrown
  const isBusy = thrown.code === 'statement_invalid' && thrown.message.includes('still runs here')
  if (!isBusy && !EXPECTED.includes(thrown.code)) throw thrown
}
