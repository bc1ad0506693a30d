/**
 * `tok-node ledger accounts`: every account with all that bears on what may still be traded on it.
 */
import type { Command } from 'commander'
import type { AccountView } from '../gateway/admin-api.ts'
import { addConfigFlags } from './config-flags.ts'
import type { LedgerSource } from './ledger-source.ts'
import { harmless, paint, print, printJson, usd } from './output.ts'

async function showAccounts(source: LedgerSource, json: boolean): Promise<void> {
  const accounts = await source.accounts()
  if (json) printJson({ accounts })
  else if (accounts.length === 0) print('no account yet: nothing was bought or sold')
  else for (const account of accounts) print(...linesOf(account), '')
}

/** Adds the command; `withSource` opens the ledger for it. */
export function defineLedgerAccounts(
  command: Command,
  withSource: (command: Command, use: (source: LedgerSource, json: boolean) => Promise<void>) => Promise<void>,
): void {
  const accounts = command
    .command('accounts')
    .description('list the accounts with balance, credit line, holds, exposure and state')
  addConfigFlags(accounts).action(() => withSource(accounts, showAccounts))
}

function linesOf(account: AccountView): string[] {
  const { side, counterparty, line, settlementsOpen, liveCalls, disputed, frozen } = account
  const direction = side === 'seller' ? `${counterparty} owes us` : `we owe ${counterparty}`
  const rows: [string, string][] = [
    ['account', account.account],
    ['balance', `${usd(account.balanceMicros)}  (owed ${usd(account.owedMicros)}, paid ${usd(account.paidMicros)})`],
    [
      'not settled yet',
      `${usd(account.unsettledMicros)} in ended calls, ${usd(account.heldMicros)} held by ${liveCalls}`,
    ],
    ['credit line', `${usd(account.creditLimitMicros)}, ${usd(account.roomMicros)} left`],
  ]
  if (line !== undefined) {
    const halved = line.halvings === 0 ? '' : `, halved ${line.halvings} times`
    const grown = `${usd(line.grantMicros)} to strangers + ${usd(line.earnedMicros)} earned${halved}`
    rows.push(['  made of', `${grown}; grows to ${usd(line.capMicros)}`])
  }
  rows.push(['ahead of vouchers', `at most ${usd(account.windowExposureMicros)}`])
  if (settlementsOpen > 0)
    rows.push(['under way', `${settlementsOpen} payments or nettings, ${usd(account.confirmedMicros)} confirmed`])
  if (disputed > 0) rows.push(['disputed', `${disputed} calls the buyer rejects`])
  const state = frozen === undefined ? paint('green', 'open') : paint('red', harmless(`frozen: ${frozen}`))
  rows.push(['state', `${state}, ${account.statements} statements`])
  return [paint('bold', direction), ...rows.map(([name, value]) => `  ${paint('dim', name.padEnd(20))}${value}`)]
}
