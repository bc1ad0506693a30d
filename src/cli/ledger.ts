/**
 * `tok-node ledger`: the accounts with other peers and this node's journal.
 */
import { open, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { formatAmount } from '../base/amount.ts'
import { reasonOf, TokError } from '../base/errors.ts'
import type { JsonObject, JsonValue } from '../gateway/admin-api.ts'
import type { VerifiedExport } from '../ledger/verify-export.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { EXIT } from './failure.ts'
import { defineLedgerAccounts } from './ledger-accounts.ts'
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

  const verify = command
    .command('verify')
    .description('check every signature, chain and price of an exported file, or of this node’s own ledger')
  addConfigFlags(verify)
    .argument('[file]', 'a file of `tok-node ledger export`, of any node; needs no node')
    .option('--native', 'check with Node’s own Ed25519 instead of tweetnacl: faster, and not independent of the signer')
    .action((file: string | undefined, { native = false, json = false }: { native?: boolean; json?: boolean }) =>
      file === undefined ? withLedger(verify, verifyOwn) : verifyFile(file, native, json),
    )

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
    const items: readonly JsonValue[] = Array.isArray(value) ? value : [value]
    return items.flatMap((item) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? [`${indent}${paint('cyan', name)}`, ...recordLines(item as JsonObject, depth + 1)]
        : [`${indent}${paint('dim', name.padEnd(20))} ${harmless(shownValue(name, item))}`],
    )
  })
}

function shownValue(name: string, value: JsonValue): string {
  if (name.endsWith('Micros') && typeof value === 'string') return usd(value)
  if (name.endsWith('AtMs') && typeof value === 'number') return new Date(value).toISOString()
  return String(value)
}

async function verifyOwn(source: LedgerSource, json: boolean): Promise<void> {
  const view = await source.verify()
  if (!view.verified) process.exitCode = EXIT.failed
  if (json) {
    printJson(view)
  } else if (view.verified) {
    print(`${paint('green', 'verified')}: ${view.statements} statements, ${view.entries} journal entries`)
  } else {
    print(`${paint('red', 'damaged')} at ${view.problem?.position ?? '?'}: ${view.problem?.reason ?? '?'}`)
  }
}

async function verifyFile(file: string, native: boolean, json: boolean): Promise<void> {
  const { verifyExportFile } = await import('../ledger/verify-export.ts')
  const verified = await verifyExportFile(file, native ? 'native' : 'tweetnacl')
  if (json) printJson(jsonOf(verified))
  else print(...verifiedLines(file, verified))
}

function jsonOf({ accounts, ...verified }: VerifiedExport): unknown {
  return {
    verified: true,
    ...verified,
    accounts: accounts.map(({ id, buyer, seller, statements, calls, owed, paid, head }) => ({
      account: Buffer.from(id).toString('hex'),
      buyer,
      seller,
      statements,
      calls,
      owedMicros: owed.toString(),
      paidMicros: paid.toString(),
      headHash: Buffer.from(head).toString('hex'),
    })),
  }
}

function verifiedLines(file: string, verified: VerifiedExport): string[] {
  const { node, network, exportedAtMs, lines, statements, signatures, engine, accounts, unsettled, cannotShow } =
    verified
  return [
    `${paint('green', 'verified')} ${file}: ${lines} lines, ${statements} statements, ${signatures} signatures by ${engine}`,
    `  of node ${node}, network ${harmless(network)}, exported ${new Date(exportedAtMs).toISOString()}`,
    ...table(
      ['buyer', 'seller', '>statements', '>calls', '>owed', '>paid'],
      accounts.map((each) => [
        each.buyer,
        each.seller,
        each.statements.toString(),
        each.calls.toString(),
        `${formatAmount(each.owed)} USD`,
        `${formatAmount(each.paid)} USD`,
      ]),
    ),
    ...(unsettled === 0 ? [] : [`${unsettled} orders with a voucher are not settled yet`]),
    ...cannotShow.map((each) => `${paint('dim', 'it cannot show')} ${each}`),
  ]
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
