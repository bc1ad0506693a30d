/**
 * How much a seller lends. Pure: what the accounts say in, limits out.
 *
 * A new buyer gets the stranger credit, and its line grows with what it repays. Whoever has not repaid as much as that credit is
 * a stranger, and all strangers together get no more than the stranger budget, in all and per day: so a swarm of new identities
 * takes the budget at the most. Source: market rules in docs/ARCHITECTURE.md, "Trust".
 */

/** What the operator allows, in micros. */
export interface CreditPolicy {
  readonly strangerCredit: bigint
  /** What all strangers may owe at once. */
  readonly strangerBudget: bigint
  /** What strangers are newly lent in a day (UTC); undefined: no more than the budget says. */
  readonly strangerBudgetPerDay?: bigint | undefined
  /** What a line grows to at the most. 0: no line grows above the stranger credit. */
  readonly creditLimit: bigint
  /** What a line grows by with everything repaid, in percent of it; 0 unless given. */
  readonly growthPercent?: number
}

/** An account as the policy sees it; amounts in micros. */
export interface CreditAccount {
  readonly owed: bigint
  readonly paid: bigint
  /** Received by the seller, and not in a statement yet. */
  readonly confirmed: bigint
  readonly unsettled: bigint
  readonly held: bigint
  /** Calls whose item the buyer rejected without ground. */
  readonly disputed: number
  /** Why nothing is signed for it, if so. */
  readonly frozen: string | undefined
  /** What the buyer bought today (UTC). */
  readonly soldToday: bigint
}

/** A credit line and what it is made of, in micros. */
export interface CreditLine {
  readonly limit: bigint
  /** Lent to everybody. */
  readonly grant: bigint
  /** Grown with what was repaid. */
  readonly earned: bigint
  /** What it can grow to. */
  readonly cap: bigint
  /** How often it was halved: once for each item rejected without ground. */
  readonly halvings: number
}

/** The most this buyer may owe, and why. Nothing on a frozen account: two histories were signed, or a statement was denied. */
export function creditLineOf(account: CreditAccount, policy: CreditPolicy): CreditLine {
  const grant = policy.strangerCredit
  const cap = greater(policy.creditLimit, grant)
  const earned = lesser((repaidOf(account) * BigInt(policy.growthPercent ?? 0)) / 100n, cap - grant)
  const halvings = account.disputed
  const limit = account.frozen === undefined ? (grant + earned) >> BigInt(halvings) : 0n
  return { limit, grant, earned, cap, halvings }
}

/** What may still be lent to strangers, in micros, given all accounts on which this node is owed. */
export function strangerRoom(accounts: readonly CreditAccount[], policy: CreditPolicy): bigint {
  const { strangerBudget, strangerBudgetPerDay } = policy
  let lent = 0n
  let lentToday = 0n
  for (const account of accounts) {
    if (!isStranger(account, policy)) continue
    lent += account.owed - account.paid + account.unsettled + account.held
    lentToday += account.soldToday + account.held
  }
  const room = strangerBudget - lent
  const roomToday = strangerBudgetPerDay === undefined ? room : strangerBudgetPerDay - lentToday
  return greater(lesser(room, roomToday), 0n)
}

/** True for a buyer that has not repaid as much as strangers are lent. */
export function isStranger(account: CreditAccount, policy: Pick<CreditPolicy, 'strangerCredit'>): boolean {
  return repaidOf(account) < policy.strangerCredit
}

function repaidOf({ owed, paid, confirmed }: CreditAccount): bigint {
  return lesser(paid + confirmed, owed)
}

function lesser(one: bigint, other: bigint): bigint {
  return one < other ? one : other
}

function greater(one: bigint, other: bigint): bigint {
  return one > other ? one : other
}
