/**
 * How much a seller lends. Pure: what the accounts say in, limits out.
 *
 * A buyer without a payment on record gets the stranger credit, and all strangers together no more than the stranger budget: so
 * a swarm of new identities takes the budget at the most. Source: market rules in docs/ARCHITECTURE.md, "Trust".
 */

/** What the operator allows, in micros. */
export interface CreditPolicy {
  readonly strangerCredit: bigint
  readonly strangerBudget: bigint
  /** For buyers that have paid before. 0: no more than a stranger. */
  readonly creditLimit: bigint
}

/** An account as the policy sees it; amounts in micros. */
export interface CreditAccount {
  readonly owed: bigint
  readonly paid: bigint
  readonly unsettled: bigint
  readonly held: bigint
}

/** The most this buyer may owe, in micros. */
export function creditLimitFor(account: CreditAccount, policy: CreditPolicy): bigint {
  if (isStranger(account)) return policy.strangerCredit
  return policy.creditLimit > policy.strangerCredit ? policy.creditLimit : policy.strangerCredit
}

/** What may still be lent to strangers, in micros, given all accounts on which this node is owed. */
export function strangerRoom(accounts: readonly CreditAccount[], policy: CreditPolicy): bigint {
  const lent = accounts
    .filter(isStranger)
    .reduce((sum, { owed, paid, unsettled, held }) => sum + owed - paid + unsettled + held, 0n)
  return policy.strangerBudget > lent ? policy.strangerBudget - lent : 0n
}

/** True for a buyer that never paid anything back. */
export function isStranger(account: CreditAccount): boolean {
  return account.paid === 0n
}
