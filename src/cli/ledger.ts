/**
 * `tok-node ledger`: the accounts with other peers and this node's journal.
 */
import { open, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { reasonOf, TokError } from '../base/errors.ts'
import type { JsonObject, JsonValue } from '../gateway/admin-api.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { defineLedgerAccounts } from './ledger-accounts.ts'
import { defineLedgerProofs } from './ledger-proofs.ts'
import { defineLedgerRecovery } from './ledger-recovery.ts'
import { defineLedgerSettle } from './ledger-settle.ts'
import { openLedgerSource, type LedgerSource } from './ledger-source.ts'
import { harmless, paint, print, printJson, table, usd } from './output.ts'

export function defineLedger(command: Command): void {
  const list = command.command('list').description('list the accounts')
  addConfigFlags(list).action(() => withLedger(list, listAccounts))

  defineLedgerAccounts(command, withLedger)
  defineLedgerSettle(command)

  const show = command
    .command('show')
    .description('show an account, or an inference by its request id, order or receipt')
  addConfigFlags(show)
    .argument('<id>', 'account, peer ID, request id, order or receipt')
    .action((id: string) => withLedger(show, (source, json) => showRecord(source, id, json)))

  defineLedgerProofs(command, withLedger)

  const exporting = command.command('export').description('write the whole ledger as NDJSON that anyone can verify')
  addConfigFlags(exporting)
    .option('-o, --output <file>', 'write there instead of stdout')
    .action(({ output }: { output?: string }) =>
      withLedger(exporting, (source, json) => exportLedger(source, output, json)),
    )

  defineLedgerRecovery(command)
}

async function withLedger(
  command: Command,
  use: (source: LedgerSource, json: boolean) => Promise<void>,
): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const source = await openLedgerSource(config)
  try {
    await use(source, wantsJson(command))
  } finally {
    await source.close()
  }
}

async function listAccounts(source: LedgerSource, json: boolean): Promise<void> {
  const accounts = await source.accounts()
  if (json) {
    printJson({ accounts })
  } else if (accounts.length === 0) {
    print('no account yet: nothing was bought or sold')
  } else {
    print(
      ...table(
        ['account', 'we are', 'the other side', '>statements', '>owed', '>paid', '>balance', ''],
        accounts.map((each) => [
          each.account.slice(0, 12),
          each.side,
          each.counterparty,
          each.statements.toString(),
          usd(each.owedMicros),
          usd(each.paidMicros),
          usd(each.balanceMicros),
          each.frozen === undefined ? '' : paint('red', harmless(`frozen: ${each.frozen}`)),
        ]),
      ),
    )
  }
}

async function showRecord(source: LedgerSource, id: string, json: boolean): Promise<void> {
  const found = await source.show(id)
  if (json) printJson(found)
  else print(...recordLines(found, 0))
}

/** A JSON value as indented "name  value" lines. */
function recordLines(record: JsonObject, depth: number): string[] {
  const indent = '  '.repeat(depth)
  return Object.entries(record).flatMap(([name, value]) => {
    if (value === undefined || value === null) return []
    if (name === 'parts') return priceLines(value, indent)
    const items: readonly JsonValue[] = Array.isArray(value) ? value : [value]
    return items.flatMap((item) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? [`${indent}${paint('cyan', name)}`, ...recordLines(item as JsonObject, depth + 1)]
        : [`${indent}${paint('dim', name.padEnd(20))} ${harmless(shownValue(name, item))}`],
    )
  })
}

/** The parts of a price, line by line. */
function priceLines(parts: JsonValue, indent: string): string[] {
  const rows = (Array.isArray(parts) ? parts : []).map((part) => {
    const { tokens, count, microsPerMtok, product } = part as JsonObject
    return [String(tokens), String(count), `x ${String(microsPerMtok)}`, `= ${String(product)}`]
  })
  return table(['tokens', '>count', '>micros per Mtok', '>product'], rows).map((line) => `${indent}${line}`)
}

function shownValue(name: string, value: JsonValue): string {
  if (name.endsWith('Micros') && typeof value === 'string') return usd(value)
  if (name.endsWith('AtMs') && typeof value === 'number') return new Date(value).toISOString()
  return String(value)
}

async function exportLedger(source: LedgerSource, output: string | undefined, json: boolean): Promise<void> {
  const lines = Readable.from(await source.export(), { objectMode: false })
  if (output === undefined) {
    // The export is JSON already, line by line; `end: false` leaves stdout open for what may follow.
    await pipeline(lines, process.stdout, { end: false })
    return
  }
  const file = await open(output, 'wx', 0o600).catch((error: unknown) => {
    const reason = `${output} cannot be written: ${reasonOf(error)}`
    throw new TokError('argument_invalid', { reason }, { cause: error })
  })
  try {
    await pipeline(lines, file.createWriteStream())
  } catch (error) {
    // Half an export proves nothing.
    await rm(output, { force: true })
    throw error
  }
  if (json) printJson({ file: output })
  else print(`written to ${output}; check it anywhere with: tok-node ledger verify ${output}`)
}
