import { describe, expect, test } from 'vitest'
import { creditLimitFor, isStranger, strangerRoom, type CreditAccount } from '../../../src/market/credit-policy.ts'

/** An account, what the operator lends strangers and payers, and the limit. */
const LIMITS = `
  owed paid unsettled held | stranger payer -> limit
  0    0    0         0    | 100      0     -> 100
  500  0    0         0    | 100      900   -> 100
  0    0    50        40   | 100      900   -> 100
  500  1    0         0    | 100      900   -> 900
  500  500  0         0    | 100      900   -> 900
  500  500  0         0    | 100      0     -> 100
  500  500  0         0    | 100      99    -> 100
  0    0    0         0    | 0        900   -> 0
`

describe('a buyer’s credit limit', () => {
  test.each(rowsOf(LIMITS))('%s', (row) => {
    const [owed, paid, unsettled, held, strangerCredit, creditLimit, limit] = numbersOf(row)
    const account = accountOf({ owed, paid, unsettled, held })
    const policy = { strangerCredit: strangerCredit ?? 0n, strangerBudget: 0n, creditLimit: creditLimit ?? 0n }
    expect(creditLimitFor(account, policy)).toBe(limit)
  })
})

/** Accounts as owed/paid/unsettled/held, the budget for all strangers, and what is left of it. */
const ROOMS = `
  accounts                    | budget -> room
                              | 100    -> 100
  30/0/0/0                    | 100    -> 70
  30/0/20/10                  | 100    -> 40
  30/0/0/0 0/0/50/0 0/0/0/20  | 100    -> 0
  30/0/0/0 0/0/50/0 0/0/0/21  | 100    -> 0
  900/1/500/500               | 100    -> 100
  900/1/500/500 40/0/0/0      | 100    -> 60
  1/0/0/0                     | 0      -> 0
`

describe('what is left for all strangers', () => {
  test.each(rowsOf(ROOMS))('%s', (row) => {
    const [accounts = '', rest = ''] = row.split('|')
    const [budget, room] = numbersOf(rest)
    const views = accounts.split(' ').flatMap((text) => (text === '' ? [] : [readAccount(text)]))
    const policy = { strangerCredit: 0n, strangerBudget: budget ?? 0n, creditLimit: 0n }
    expect(strangerRoom(views, policy)).toBe(room)
  })
})

test('a buyer is a stranger until it has paid something back', () => {
  expect(isStranger(accountOf({ owed: 1_000n }))).toBe(true)
  expect(isStranger(accountOf({ owed: 1_000n, paid: 1n }))).toBe(false)
})

function accountOf(over: { readonly [Name in keyof CreditAccount]?: bigint | undefined }): CreditAccount {
  const { owed = 0n, paid = 0n, unsettled = 0n, held = 0n } = over
  return { owed, paid, unsettled, held }
}

function readAccount(text: string): CreditAccount {
  const [owed, paid, unsettled, held] = text.split('/').map(BigInt)
  return accountOf({ owed, paid, unsettled, held })
}

function rowsOf(table: string): string[] {
  const rows = table.split('\n').slice(2, -1)
  return rows.map((row) => row.trim())
}

function numbersOf(text: string): bigint[] {
  return (text.match(/\d+/g) ?? []).map(BigInt)
}
