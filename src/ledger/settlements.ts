/**
 * Payments outside the ledger and nettings, from the first word of one side to the statement that holds them. The buyer
 * announces a payment, the seller confirms it, and its next statement says so; a netting is signed by both, and then stands in a
 * statement of each of the two accounts. Source: protocols/account/v1.md, "Payments and nettings".
 */
import { equalBytes, sha256, toHex, utf8 } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { formatAmount } from '../base/amount.ts'
import { peerVisibleCode, TokError, toTokError } from '../base/errors.ts'
import {
  accountId,
  NETTING,
  PAYMENT,
  type Account,
  type Netting,
  type NettingFrame,
  type Payment,
  type SettlementRefusal,
} from '../wire/account.ts'
import { checkSignature, open, seal, signingInput, type Envelope, type Signed } from '../wire/envelope.ts'
import type { NodeKey } from '../wire/identity.ts'
import { CLOCK_TOLERANCE_MS, DOMAINS, LIMITS } from '../wire/registry.ts'
import { cutToWireText } from '../wire/shape.ts'
import type { AccountBook } from './account-book.ts'
import {
  otherPeer,
  payableOf,
  referenceName,
  requireUnfrozen,
  requireUsable,
  type AccountState,
  type OpenNetting,
  type OpenPayment,
} from './account-state.ts'
import { plain } from './call-papers.ts'
import type { OneAfterAnother } from './one-after-another.ts'
import {
  accountsOfNetting,
  nettingWrite,
  oppositeOf,
  paymentWrite,
  type SettlementRecords,
} from './settlement-records.ts'
import type { CommitQueue } from './store.ts'

/** What the buyer says of a payment. */
export type PaymentTerms = Pick<Payment, 'adapter' | 'reference' | 'amount' | 'paidAtMs'>

/** A payment or a netting under way, for people and adapters. */
export type SettlementView = {
  readonly id: Uint8Array
  /** This node's side; in a netting, that of who proposed it. */
  readonly side: 'buyer' | 'seller'
  /** The other side's peer ID. */
  readonly peer: string
  /** In micros. */
  readonly amount: bigint
  readonly issuedAtMs: number
  readonly expiresAtMs: number
} & (
  | {
      readonly kind: 'payment'
      readonly adapter: string
      readonly reference: string
      readonly paidAtMs: number
      readonly state: OpenPayment['state'] | 'expired'
      /** Why it was refused. */
      readonly reason: string | undefined
    }
  | {
      readonly kind: 'netting'
      /** sealed: both signed it; settled in one of the two accounts at the most. */
      readonly state: 'proposed' | 'sealed' | 'expired'
    }
)

export interface Settlements {
  /**
   * The buyer announces a payment to `seller`. The same announcement again gives the one that is open.
   * @throws TokError `settlement_invalid` for more than is owed, `reference_used`, `limit_exceeded`, `account_frozen`
   */
  announcePayment(seller: Uint8Array, terms: PaymentTerms): Promise<SettlementView>
  /** The buyer takes an announcement back. @throws TokError `record_not_found`, `settlement_invalid` if it is too late */
  cancelPayment(id: Uint8Array): Promise<SettlementView>
  /**
   * The seller says that a payment arrived: its next statement holds it.
   * @throws TokError `record_not_found`, `settlement_invalid` if it is expired or cancelled, `reference_used`
   */
  confirmPayment(id: Uint8Array): Promise<SettlementView>
  /** The seller says that a payment did not arrive. @throws TokError `record_not_found`, `settlement_invalid` */
  refusePayment(id: Uint8Array, reason: string): Promise<SettlementView>
  /**
   * Proposes to set off `amount` micros, or as much as possible, of what this node and a peer owe each other.
   * `nonce`: 16 bytes never used before.
   * @throws TokError `settlement_invalid`, `account_frozen`
   */
  proposeNetting(peerKey: Uint8Array, amount: bigint | undefined, nonce: Uint8Array): Promise<SettlementView>
  /** Every payment and netting under way. */
  settlements(): readonly SettlementView[]

  // The account exchange.

  /** What this side shows: a buyer its announcements, a seller those it confirmed. */
  paymentsToShow(account: Account): readonly Envelope[]
  /**
   * The seller takes in what the buyer announced, and forgets what it announces no longer and was not confirmed. Gives what it
   * refuses, with the reason.
   * @throws TokError `encoding_invalid`, `signature_invalid`, `settlement_invalid` for one of another account
   */
  takePayments(account: Account, shown: readonly Envelope[]): Promise<readonly SettlementRefusal[]>
  /**
   * The buyer takes back in what it signed, and the seller has confirmed (R6).
   * @throws TokError `encoding_invalid`, `signature_invalid`, `settlement_invalid` for one of another account
   */
  adoptPayment(account: Account, shown: Envelope): Promise<void>
  /** The seller's refusal of an announcement, or the other side's of a netting, of this account. */
  takeRefusal(account: Account, refusal: SettlementRefusal): Promise<void>
  /** The netting this side shows: its own proposal in the account it buys on, and what both signed in both accounts. */
  nettingToShow(account: Account): NettingFrame | undefined
  /**
   * Takes in a netting that both signed: this node believes its own signature (R6). Gives a proposal back, to be answered once
   * the account is reconciled.
   * @throws TokError `encoding_invalid`, `signature_invalid`, `settlement_invalid` for one of other accounts
   */
  takeNetting(account: Account, frame: NettingFrame): Promise<Signed<Netting> | undefined>
  /** The answer to a proposal: the document with both signatures, recorded first (R1), or the refusal. */
  answerNetting(account: Account, proposal: Signed<Netting>): Promise<NettingFrame | SettlementRefusal>
}

/** How long an announcement waits for the seller, in ms: people confirm it. */
const PAYMENT_LIFETIME_MS = 14 * 86_400_000
/** How long a netting waits for the other side's signature, in ms: a program answers. */
const NETTING_LIFETIME_MS = 600_000

export function createSettlements(
  dependencies: {
    readonly book: AccountBook
    readonly settlementRecords: SettlementRecords
    readonly queue: CommitQueue
    readonly oneAfterAnother: OneAfterAnother
    readonly key: NodeKey
    readonly clock: Clock
  },
  { asset }: Pick<Account, 'asset'>,
): Settlements {
  const { book, settlementRecords, queue, oneAfterAnother, key, clock } = dependencies

  const invalid = (reason: string): TokError => new TokError('settlement_invalid', { reason })
  const shown = (micros: bigint): string => `${formatAmount(micros)} ${asset}`

  /** Records the next state of a payment, then takes it over. */
  async function put(state: AccountState, payment: OpenPayment): Promise<SettlementView> {
    const { id } = payment.signed
    await queue.commit([paymentWrite(state.id, id, payment)])
    state.payments.set(toHex(id), payment)
    return viewOfPayment(state, payment, clock.nowMs())
  }

  /** Forgets payments that were not confirmed in time. */
  async function dropExpired(state: AccountState): Promise<void> {
    for (const [name, payment] of state.payments) {
      if (payment.state === 'confirmed' || !isExpired(payment, clock.nowMs())) continue
      await queue.commit([paymentWrite(state.id, payment.signed.id, undefined)])
      state.payments.delete(name)
    }
  }

  /** Runs `step` with the payment of this node on `side` as it then stands. */
  function withPayment(
    id: Uint8Array,
    side: 'buyer' | 'seller',
    step: (state: AccountState, payment: OpenPayment) => Promise<SettlementView>,
  ): Promise<SettlementView> {
    const missing = (): TokError => new TokError('record_not_found', { id: toHex(id) })
    const state = [...book.states()].find((each) => each.side === side && each.payments.has(toHex(id)))
    if (state === undefined) return Promise.reject(missing())
    return oneAfterAnother(state.id, async () => {
      const payment = state.payments.get(toHex(id))
      if (payment === undefined) throw missing()
      return step(state, payment)
    })
  }

  /** The other payment to this seller that has the reference, whoever its buyer is; or undefined. */
  async function referenceUsed(state: AccountState, { value, id }: Signed<Payment>): Promise<TokError | undefined> {
    const { reference } = value
    const settled = await settlementRecords.settledReference(value)
    if (settled !== undefined) {
      const where = equalBytes(settled.account, state.id) ? 'this account' : 'another account'
      return new TokError('reference_used', { reference, detail: `statement ${settled.sequence} of ${where} holds it` })
    }
    for (const other of book.states()) {
      if (!equalBytes(other.account.seller, state.account.seller)) continue
      for (const { signed, state: at } of other.payments.values()) {
        const isOpen = at === 'confirmed' || (at === 'proposed' && other === state)
        const isSame = referenceName(signed.value) === referenceName(value)
        if (isOpen && isSame && !equalBytes(signed.id, id)) {
          return new TokError('reference_used', { reference, detail: 'another payment with it is under way' })
        }
      }
    }
    return undefined
  }

  /** Why a payment cannot be taken into an account, or undefined. */
  async function obstacleTo(state: AccountState, payment: Signed<Payment>): Promise<TokError | undefined> {
    const used = await referenceUsed(state, payment)
    if (used !== undefined) return used
    const { amount } = payment.value
    if (amount === 0n) return invalid('a payment of nothing')
    const payable = payableOf(state)
    return amount > payable
      ? invalid(`${shown(amount)} is more than the ${shown(payable)} that can be paid`)
      : undefined
  }

  function ofAccount<T extends Payment | Netting>(state: AccountState, value: T): T {
    if (!equalBytes(accountId(value), state.id)) throw invalid('it is of another account')
    return value
  }

  /** Keeps the steps of both accounts of two peers still while `step` runs. */
  function withBoth<T>(
    account: Account,
    step: (states: readonly [AccountState, AccountState]) => Promise<T>,
  ): Promise<T> {
    const [one, other] = accountsOfNetting(account)
    // Always in one order, so that no two wait for each other.
    const [first, second] = Buffer.compare(one, other) < 0 ? [one, other] : [other, one]
    return oneAfterAnother(first, () =>
      oneAfterAnother(second, () => step([book.stateOf(account), book.stateOf(oppositeOf(account))])),
    )
  }

  /** The netting under way, unless it is a proposal that nobody can seal any more. */
  function liveNetting(state: AccountState): OpenNetting | undefined {
    const { netting } = state
    return netting !== undefined && isOver(netting, clock.nowMs()) ? undefined : netting
  }

  /** Why two peers cannot set off this amount now, or undefined. */
  function obstacleToNetting(states: readonly [AccountState, AccountState], amount: bigint): TokError | undefined {
    if (states.some((state) => liveNetting(state) !== undefined)) return invalid('another netting is under way')
    if (amount === 0n) return invalid('there is nothing to set off')
    const most = mostToNet(states)
    return amount > most ? invalid(`${shown(amount)} is more than the ${shown(most)} that both owe`) : undefined
  }

  function mostToNet(states: readonly [AccountState, AccountState]): bigint {
    const [one, other] = states.map((state) => payableOf({ ...state, netting: liveNetting(state) }))
    return lesser(one ?? 0n, other ?? 0n)
  }

  async function putNetting(states: readonly [AccountState, AccountState], netting: OpenNetting): Promise<void> {
    const before = states[0].netting
    const replaced = before === undefined || equalBytes(before.signed.id, netting.signed.id) ? [] : [before]
    await queue.commit([...replaced.map((each) => nettingWrite(each, true)), nettingWrite(netting)])
    for (const state of states) state.netting = netting
  }

  return {
    async announcePayment(seller, terms) {
      const state = book.stateWith('buyer', seller)
      return oneAfterAnother(state.id, async () => {
        requireUnfrozen(state)
        const nowMs = clock.nowMs()
        for (const payment of state.payments.values()) {
          const { value } = payment.signed
          const isSame = referenceName(value) === referenceName(terms) && value.amount === terms.amount
          if (isSame && isUnderWay(payment, nowMs)) return viewOfPayment(state, payment, nowMs)
        }
        const { network, asset: unit, buyer } = state.account
        const { adapter, reference, amount, paidAtMs } = terms
        const value: Payment = {
          type: DOMAINS.payment,
          network,
          asset: unit,
          buyer,
          seller,
          adapter,
          reference,
          amount,
          paidAtMs,
          issuedAtMs: nowMs,
          expiresAtMs: nowMs + PAYMENT_LIFETIME_MS,
        }
        await dropExpired(state)
        const signed = seal(PAYMENT, value, key)
        const obstacle = await obstacleTo(state, signed)
        if (obstacle !== undefined) throw obstacle
        const openPayments = [...state.payments.values()].filter((payment) => isUnderWay(payment, nowMs))
        if (openPayments.length >= LIMITS.openPayments) {
          throw new TokError('limit_exceeded', {
            limit: LIMITS.openPayments,
            what: 'payments that wait for one seller',
          })
        }
        return put(state, { signed, state: 'proposed', reason: undefined })
      })
    },

    cancelPayment: (id) =>
      withPayment(id, 'buyer', (state, payment) => {
        if (payment.state !== 'proposed') throw invalid(`it is ${payment.state} already`)
        return put(state, { ...payment, state: 'cancelled' })
      }),

    confirmPayment: (id) =>
      withPayment(id, 'seller', (state, payment) => {
        const { value } = payment.signed
        // Two buyers may show one payment at the same moment: the second is judged when the first is on disk.
        return oneAfterAnother(sha256(utf8(referenceName(value))), async () => {
          if (payment.state === 'confirmed') return viewOfPayment(state, payment, clock.nowMs())
          if (isExpired(payment, clock.nowMs())) throw invalid('it is expired: the buyer has to announce it again')
          const used = await referenceUsed(state, payment.signed)
          if (used !== undefined) throw used
          return put(state, { ...payment, state: 'confirmed', reason: undefined })
        })
      }),

    refusePayment: (id, reason) =>
      withPayment(id, 'seller', (state, payment) => {
        if (payment.state === 'confirmed') throw invalid('it is confirmed already')
        return put(state, { ...payment, state: 'refused', reason: cutToWireText(reason, 512) || 'no reason given' })
      }),

    async proposeNetting(peerKey, amount, nonce) {
      if (equalBytes(peerKey, key.publicKey)) throw invalid('this is the own node')
      const { account } = book.stateWith('buyer', peerKey)
      return withBoth(account, async (states) => {
        for (const state of states) {
          requireUnfrozen(state)
          await dropExpired(state)
        }
        const { network, asset: unit, buyer, seller } = account
        const issuedAtMs = clock.nowMs()
        const value: Netting = {
          type: DOMAINS.netting,
          network,
          asset: unit,
          buyer,
          seller,
          amount: amount ?? mostToNet(states),
          nonce,
          issuedAtMs,
          expiresAtMs: issuedAtMs + NETTING_LIFETIME_MS,
        }
        const obstacle = obstacleToNetting(states, value.amount)
        if (obstacle !== undefined) throw obstacle
        const netting = newNetting(seal(NETTING, value, key), undefined)
        await putNetting(states, netting)
        return viewOfNetting(states[0], netting, issuedAtMs)
      })
    },

    settlements() {
      const nowMs = clock.nowMs()
      return [...book.states()].flatMap((state) => [
        ...[...state.payments.values()].map((payment) => viewOfPayment(state, payment, nowMs)),
        // It stands in both accounts, and is shown in the one that it names.
        ...(state.netting !== undefined && equalBytes(state.account.buyer, state.netting.signed.value.buyer)
          ? [viewOfNetting(state, state.netting, nowMs)]
          : []),
      ])
    },

    paymentsToShow(account) {
      const state = book.stateOf(account)
      return [...state.payments.values()]
        .filter(({ state: at }) => at === 'confirmed' || (at === 'proposed' && state.side === 'buyer'))
        .filter((payment) => isUnderWay(payment, clock.nowMs()))
        .slice(0, LIMITS.openPayments)
        .map(({ signed }) => plain(signed))
    },

    takePayments: (account, envelopes) =>
      oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        const announced = new Map<string, Signed<Payment>>()
        for (const envelope of envelopes.slice(0, LIMITS.openPayments)) {
          const signed = open(PAYMENT, envelope)
          ofAccount(state, signed.value)
          announced.set(toHex(signed.id), signed)
        }
        for (const [name, { signed, state: at }] of state.payments) {
          if (announced.has(name) || at === 'confirmed') continue
          await queue.commit([paymentWrite(state.id, signed.id, undefined)])
          state.payments.delete(name)
        }
        const refusals: SettlementRefusal[] = []
        for (const [name, signed] of announced) {
          const known = state.payments.get(name)
          if (known?.state === 'refused') {
            const error = invalid(known.reason ?? 'the seller refused it')
            refusals.push({ ...refusalOf(signed.id, error), reason: known.reason ?? error.message })
          }
          if (known !== undefined) continue
          const payment = { signed, state: 'proposed', reason: undefined } as const
          const isLate = isExpired(payment, clock.nowMs())
          const obstacle = isLate ? invalid('it is expired') : await obstacleTo(state, signed)
          if (obstacle !== undefined) refusals.push(refusalOf(signed.id, obstacle))
          else await put(state, payment)
        }
        return refusals
      }),

    async adoptPayment(account, envelope) {
      const signed = open(PAYMENT, envelope)
      await oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        ofAccount(state, signed.value)
        const known = state.payments.get(toHex(signed.id))
        if (known?.state === 'confirmed') return
        const settled = await settlementRecords.settledReference(signed.value)
        if (settled === undefined) await put(state, { signed, state: 'confirmed', reason: undefined })
      })
    },

    takeRefusal: (account, { document, reason }) =>
      withBoth(account, async (states) => {
        const [state] = states
        const payment = state.payments.get(toHex(document))
        if (payment?.state === 'proposed' || payment?.state === 'confirmed') {
          await put(state, { ...payment, state: 'refused', reason })
        }
        const { netting } = state
        if (netting === undefined || !equalBytes(netting.signed.id, document)) return
        if (netting.sellerSignature !== undefined) return
        await queue.commit([nettingWrite(netting, true)])
        for (const each of states) each.netting = undefined
      }),

    nettingToShow(account) {
      const state = book.stateOf(account)
      const netting = liveNetting(state)
      if (netting === undefined) return undefined
      const { signed, sellerSignature } = netting
      const isProposer = equalBytes(signed.value.buyer, key.publicKey)
      if (sellerSignature === undefined && (!isProposer || state.side !== 'buyer')) return undefined
      return { body: signed.body, buyerSignature: signed.signature, sellerSignature }
    },

    async takeNetting(account, { body, buyerSignature, sellerSignature }) {
      const signed = open(NETTING, { body, signature: buyerSignature })
      const { value } = signed
      const isOfPair = accountsOfNetting(account).some((id) => equalBytes(id, accountId(value)))
      if (!isOfPair) throw invalid('it is of other accounts')
      if (sellerSignature === undefined) return signed
      checkSignature(NETTING, value.seller, { body, signature: sellerSignature })
      await withBoth(value, async (states) => {
        const known = states[0].netting
        const isSame = known !== undefined && equalBytes(known.signed.id, signed.id)
        if (isSame && known.sellerSignature !== undefined) return
        const netting = isSame ? known : newNetting(signed, sellerSignature)
        for (const { id } of states) {
          if (await settlementRecords.isNettingSettled(id, signed.id)) netting.settledIn.add(toHex(id))
        }
        // Another one that both signed goes first: this one is shown again.
        const isBusy = !isSame && known?.sellerSignature !== undefined
        if (netting.settledIn.size === 2 || isBusy) return
        await putNetting(states, { ...netting, sellerSignature })
      })
      return undefined
    },

    answerNetting: (account, proposal) =>
      withBoth(account, async (states) => {
        try {
          const { value, id, body, signature: buyerSignature } = proposal
          ofAccount(states[0], value)
          requireUsable(states[0])
          requireUnfrozen(states[1])
          const known = states[0].netting
          if (known?.sellerSignature !== undefined && equalBytes(known.signed.id, id)) {
            return { body, buyerSignature, sellerSignature: known.sellerSignature }
          }
          for (const state of states) await dropExpired(state)
          if (value.expiresAtMs <= clock.nowMs()) throw invalid('it is expired')
          for (const each of accountsOfNetting(value)) {
            if (await settlementRecords.isNettingSettled(each, id)) throw invalid('it is settled already')
          }
          const obstacle = obstacleToNetting(states, value.amount)
          if (obstacle !== undefined) throw obstacle
          const sellerSignature = key.sign(signingInput(NETTING.domain, body))
          await putNetting(states, newNetting(proposal, sellerSignature))
          return { body, buyerSignature, sellerSignature }
        } catch (thrown) {
          const error = toTokError(thrown)
          if (error.code === 'storage_failed' || error.code === 'internal_error') throw error
          return refusalOf(proposal.id, error)
        }
      }),
  }

  function viewOfNetting(state: AccountState, netting: OpenNetting, nowMs: number): SettlementView {
    const { signed, sellerSignature } = netting
    const { amount, issuedAtMs, expiresAtMs } = signed.value
    const at = sellerSignature !== undefined ? 'sealed' : isOver(netting, nowMs) ? 'expired' : 'proposed'
    const [side, peer] = [state.side, otherPeer(state)]
    return { kind: 'netting', id: signed.id, side, peer, amount, issuedAtMs, expiresAtMs, state: at }
  }
}

function viewOfPayment(state: AccountState, payment: OpenPayment, nowMs: number): SettlementView {
  const { id, value } = payment.signed
  const { amount, issuedAtMs, expiresAtMs, adapter, reference, paidAtMs } = value
  const at = payment.state === 'proposed' && isExpired(payment, nowMs) ? 'expired' : payment.state
  const [side, peer] = [state.side, otherPeer(state)]
  const times = { issuedAtMs, expiresAtMs, paidAtMs }
  return { kind: 'payment', id, side, peer, amount, ...times, adapter, reference, state: at, reason: payment.reason }
}

/** True for a payment that still may come into a statement by itself. */
function isUnderWay(payment: OpenPayment, nowMs: number): boolean {
  return payment.state === 'confirmed' || (payment.state === 'proposed' && !isExpired(payment, nowMs))
}

function isExpired({ signed }: OpenPayment, nowMs: number): boolean {
  return signed.value.expiresAtMs <= nowMs
}

/** True for a proposal so old that an honest other side seals it no more, whatever its clock says. */
function isOver({ signed, sellerSignature }: OpenNetting, nowMs: number): boolean {
  return sellerSignature === undefined && signed.value.expiresAtMs + CLOCK_TOLERANCE_MS <= nowMs
}

function newNetting(signed: Signed<Netting>, sellerSignature: Uint8Array | undefined): OpenNetting {
  return { signed, sellerSignature, settledIn: new Set(), isSetAside: false }
}

function refusalOf(document: Uint8Array, error: TokError): SettlementRefusal {
  const code = peerVisibleCode(error)
  return { document, code, reason: cutToWireText(error.message, 512) }
}

function lesser(one: bigint, other: bigint): bigint {
  return one < other ? one : other
}
