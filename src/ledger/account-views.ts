/**
 * Accounts as people and policies see them.
 */
import { toHex } from '../base/bytes.ts'
import type { Account } from '../wire/account.ts'
import type { AccountBook } from './account-book.ts'
import {
  confirmedOf,
  heldOf,
  otherPeer,
  settlementsOpenIn,
  unsettledOf,
  windowExposureOf,
  type AccountState,
} from './account-state.ts'
import type { DayTotals, Journal } from './journal.ts'

/** One account, for people and policies. Amounts in micros. */
export interface AccountView {
  readonly id: Uint8Array
  /** This node's side. */
  readonly side: 'buyer' | 'seller'
  /** The other side's peer ID. */
  readonly peer: string
  readonly sequence: number
  readonly head: Uint8Array | undefined
  readonly owed: bigint
  readonly paid: bigint
  /** Sealed calls that no statement holds yet. */
  readonly unsettled: bigint
  /** Maxima of live calls. */
  readonly held: bigint
  /** What was bought on it today (UTC); counted by a seller only. */
  readonly soldToday: bigint
  readonly creditLimit: bigint
  /** Calls whose item the buyer rejected, although the seller holds its order and voucher. */
  readonly disputed: number
  /** Micros of payments and a netting that the seller has confirmed or both have signed, and no statement holds yet. */
  readonly confirmed: bigint
  /** Payments and nettings that wait for the other side. */
  readonly settlementsOpen: number
  /** The most that is delivered, on all live calls, before the buyer has vouched for it, in micros. */
  readonly windowExposure: bigint
  readonly liveCalls: number
  readonly frozen: string | undefined
}

export interface AccountViews {
  /** Every account of this network and asset that was ever used. */
  accountViews(): readonly AccountView[]
  /** The account with `peerKey` on which this node is on `side`. */
  accountView(side: 'buyer' | 'seller', peerKey: Uint8Array): AccountView
  /** Orders of an account that no statement settles yet and that have a voucher. */
  unsettledOrders(accountIdBytes: Uint8Array): readonly Uint8Array[]
}

export function createAccountViews(
  { book, journal }: { readonly book: AccountBook; readonly journal: Pick<Journal, 'today'> },
  { network, asset }: Pick<Account, 'network' | 'asset'>,
): AccountViews {
  const isOfNetwork = ({ account }: AccountState): boolean => account.network === network && account.asset === asset
  const isUsed = ({ head, calls, frozen }: AccountState): boolean =>
    head.sequence > 0 || calls.size > 0 || frozen !== undefined
  return {
    accountViews: () =>
      [...book.states()]
        .filter((state) => isOfNetwork(state) && isUsed(state))
        .map((state) => viewOf(state, journal.today())),
    accountView: (side, peerKey) => viewOf(book.stateWith(side, peerKey), journal.today()),
    unsettledOrders: (accountIdBytes) =>
      [...(book.stateOfId(accountIdBytes)?.calls.values() ?? [])]
        .filter((call) => call.voucher !== undefined)
        .map((call) => call.order.id),
  }
}

function viewOf(state: AccountState, { soldTo }: DayTotals): AccountView {
  const { id, side, head, calls, frozen } = state
  return {
    id,
    side,
    peer: otherPeer(state),
    sequence: head.sequence,
    head: head.head,
    owed: head.owed,
    paid: head.paid,
    unsettled: unsettledOf(state),
    held: heldOf(state),
    soldToday: side === 'seller' ? (soldTo.get(toHex(state.account.buyer)) ?? 0n) : 0n,
    creditLimit: state.creditLimitTold ?? head.creditLimit,
    disputed: [...calls.values()].filter((call) => call.disputed).length,
    confirmed: confirmedOf(state),
    settlementsOpen: settlementsOpenIn(state),
    windowExposure: windowExposureOf(state),
    liveCalls: [...calls.values()].filter((call) => call.live).length,
    frozen,
  }
}
