import { describe, expect, test } from 'vitest'
import {
  creditLineOf,
  isStranger,
  strangerRoom,
  type CreditAccount,
  type CreditPolicy,
} from '../../../src/market/credit-policy.ts'

/** An account, what the operator lends (grant, cap, growth in percent), and the line. */
const LINES = `
  owed paid confirmed disputed | grant cap  growth -> limit
  0    0    0         0        | 100   0    10     -> 100
  500  0    0         0        | 100   900  10     -> 100
  500  500  0         0        | 100   900  10     -> 150
  500  9    0         0        | 100   900  10     -> 100
  500  10   0         0        | 100   900  10     -> 101
  500  400  100       0        | 100   900  10     -> 150
  500  450  100       0        | 100   900  10     -> 150
  9000 9000 0         0        | 100   900  10     -> 900
  9000 9000 0         0        | 100   0    10     -> 100
  9000 9000 0         0        | 100   99   10     -> 100
  9000 9000 0         0        | 100   900  0      -> 100
  500  500  0         1        | 100   900  10     -> 75
  500  500  0         2        | 100   900  10     -> 37
  500  500  0         99       | 100   900  10     -> 0
  500  500  0         0        | 0     900  10     -> 50
  0    0    0         0        | 0     900  10     -> 0
`

describe('a buyer’s credit line', () => {
  test.each(rowsOf(LINES))('%s', (row) => {
    const [owed, paid, confirmed, disputed, strangerCredit = 0n, creditLimit = 0n, growth = 0n, limit] = numbersOf(row)
    const account = accountOf({ owed, paid, confirmed, disputed: Number(disputed) })
    const policy = { strangerCredit, strangerBudget: 0n, creditLimit, growthPercent: Number(growth) }
    expect(creditLineOf(account, policy).limit).toBe(limit)
  })

  test('is nothing once the account is frozen', () => {
    const policy = { ...NO_POLICY, strangerCredit: 100n, creditLimit: 900n }
    expect(creditLineOf(accountOf({ owed: 500n, paid: 500n, frozen: 'two histories' }), policy).limit).toBe(0n)
  })

  test('says what it is made of', () => {
    const policy = { ...NO_POLICY, strangerCredit: 100n, creditLimit: 900n, growthPercent: 10 }
    const line = creditLineOf(accountOf({ owed: 500n, paid: 300n, disputed: 1 }), policy)
    expect(line).toEqual({ limit: 65n, grant: 100n, earned: 30n, cap: 900n, halvings: 1 })
  })
})

/** Accounts as owed/paid/unsettled/held/sold today, the budgets for all strangers (- for none), and what is left of them. */
const ROOMS = `
  accounts                        | budget day -> room
                                  | 100    -   -> 100
  30/0/0/0/0                      | 100    -   -> 70
  30/0/20/10/0                    | 100    -   -> 40
  30/0/0/0/0 0/0/50/0/0 0/0/0/20/0| 100    -   -> 0
  30/0/0/0/0 0/0/50/0/0 0/0/0/21/0| 100    -   -> 0
  900/49/0/0/0                    | 1000   -   -> 149
  900/50/500/500/0                | 100    -   -> 100
  900/50/500/500/0 40/0/0/0/0     | 100    -   -> 60
  1/0/0/0/0                       | 0      -   -> 0
  30/0/0/0/0                      | 100    50  -> 50
  30/0/0/0/30                     | 100    50  -> 20
  30/20/0/5/30                    | 100    50  -> 15
  30/0/0/0/60                     | 100    50  -> 0
  900/50/0/0/600                  | 100    50  -> 50
`

describe('what is left for all strangers, who are those that repaid less than 50', () => {
  test.each(rowsOf(ROOMS))('%s', (row) => {
    const [accounts = '', rest = ''] = row.split('|')
    const views = accounts.split(' ').flatMap((text) => (text === '' ? [] : [readAccount(text)]))
    const [strangerBudget = 0n, ...days] = numbersOf(rest)
    const room = days.pop()
    const policy: CreditPolicy = { ...NO_POLICY, strangerCredit: 50n, strangerBudget, strangerBudgetPerDay: days[0] }
    expect(strangerRoom(views, policy)).toBe(room)
  })
})

test('a buyer is a stranger until it has repaid as much as strangers are lent: a first micro is no history', () => {
  const policy = { strangerCredit: 100n }
  expect(isStranger(accountOf({ owed: 1_000n }), policy)).toBe(true)
  expect(isStranger(accountOf({ owed: 1_000n, paid: 99n }), policy)).toBe(true)
  expect(isStranger(accountOf({ owed: 1_000n, paid: 100n }), policy)).toBe(false)
  expect(isStranger(accountOf({ owed: 1_000n, paid: 60n, confirmed: 40n }), policy)).toBe(false)
})

const NO_POLICY: CreditPolicy = { strangerCredit: 0n, strangerBudget: 0n, creditLimit: 0n }

function accountOf(over: { readonly [Name in keyof CreditAccount]?: CreditAccount[Name] | undefined }): CreditAccount {
  const { owed = 0n, paid = 0n, confirmed = 0n, unsettled = 0n, held = 0n, disputed = 0, frozen, soldToday = 0n } = over
  return { owed, paid, confirmed, unsettled, held, disputed, frozen, soldToday }
}

function readAccount(text: string): CreditAccount {
  const [owed, paid, unsettled, held, soldToday] = text.split('/').map(BigInt)
  return accountOf({ owed, paid, unsettled, held, soldToday })
}

function rowsOf(table: string): string[] {
  const rows = table.split('\n').slice(2, -1)
  return rows.map((row) => row.trim())
}

function numbersOf(text: string): bigint[] {
  return (text.match(/\d+/g) ?? []).map(BigInt)
}
