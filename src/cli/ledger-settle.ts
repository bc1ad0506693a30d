/**
 * `tok-node ledger settle`: payments outside the ledger, and setting off what two nodes owe each other.
 */
import type { Command } from 'commander'
import { parseAmount } from '../base/amount.ts'
import { TokError } from '../base/errors.ts'
import type { SettlementView, SettleRequest } from '../gateway/admin-api.ts'
import { connectAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { harmless, paint, print, printJson, table, usd } from './output.ts'

/** A peer that must be reached first may take its time. */
const TIMEOUT_MS = 20_000
const ID_SHOWN = 12

interface Flags {
  readonly amount?: string
  readonly reference?: string
  readonly adapter: string
  readonly paidAt?: string
  readonly net?: true
  readonly confirm?: string
  readonly refuse?: string
  readonly reason: string
  readonly cancel?: string
}

export function defineLedgerSettle(command: Command): void {
  const settle = command
    .command('settle')
    .description('announce, confirm or list payments; set off what two nodes owe each other. Without arguments: list')
  addConfigFlags(settle)
    .argument('[peer]', 'peer ID of the other side')
    .option('--amount <usd>', 'what was paid; with --net the most to set off')
    .option('--reference <text>', 'what the payment is known by outside: one payment, one reference')
    .option('--adapter <name>', 'how it was paid', 'manual')
    .option('--paid-at <time>', 'when, as ISO 8601; now unless given')
    .option('--net', 'set off the two accounts with this peer')
    .option('--confirm <id>', 'as the seller: this payment has arrived')
    .option('--refuse <id>', 'as the seller: this payment has not arrived')
    .option('--reason <text>', 'why it is refused', 'it did not arrive')
    .option('--cancel <id>', 'as the buyer: take this announcement back')
    .action((peer: string | undefined, flags: Flags) => run(settle, requestOf(peer, flags)))
}

async function run(command: Command, request: SettleRequest | undefined): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const admin = await connectAdmin(config.dataDirectory)
  const json = wantsJson(command)
  if (request === undefined) {
    const settlements = await admin.ask<readonly SettlementView[]>('ledger/settlements')
    if (json) printJson({ settlements })
    else print(...linesOf(settlements))
    return
  }
  const settlement = await admin.ask<SettlementView>('ledger/settle', { body: request, timeoutMs: TIMEOUT_MS })
  if (json) printJson(settlement)
  else print(...linesOf([settlement]), ...nextOf(settlement))
}

/** Undefined: list what there is. @throws TokError `argument_invalid`, `config_invalid` */
function requestOf(peer: string | undefined, flags: Flags): SettleRequest | undefined {
  const { amount, reference, adapter, paidAt, net, confirm, refuse, reason, cancel } = flags
  const named = [peer, confirm, refuse, cancel].filter((each) => each !== undefined)
  if (named.length > 1) throw invalid('one of: a peer, --confirm, --refuse, --cancel')
  if (confirm !== undefined) return { action: 'confirm', id: confirm }
  if (refuse !== undefined) return { action: 'refuse', id: refuse, reason }
  if (cancel !== undefined) return { action: 'cancel', id: cancel }
  if (peer === undefined) return undefined
  const micros = amount === undefined ? undefined : parseAmount(amount).toString()
  if (net) return { action: 'net', peer, ...(micros === undefined ? {} : { amountMicros: micros }) }
  if (micros === undefined || reference === undefined) throw invalid('a payment needs --amount and --reference')
  const paidAtMs = paidAt === undefined ? undefined : Date.parse(paidAt)
  if (Number.isNaN(paidAtMs)) throw invalid(`"${paidAt}" is not a time such as 2026-01-31T12:00:00Z`)
  const when = paidAtMs === undefined ? {} : { paidAtMs }
  return { action: 'pay', peer, amountMicros: micros, adapter, reference, ...when }
}

function linesOf(settlements: readonly SettlementView[]): string[] {
  if (settlements.length === 0) return ['no payment and no netting is under way']
  return table(
    ['id', 'kind', 'we are', 'the other side', '>amount', 'state', 'reference', ''],
    settlements.map((each) => [
      each.id.slice(0, ID_SHOWN),
      each.kind === 'payment' ? harmless(each.adapter ?? '') : each.kind,
      each.side,
      each.counterparty,
      usd(each.amountMicros),
      paint(each.state === 'refused' || each.state === 'expired' ? 'red' : 'cyan', each.state),
      harmless(each.reference ?? ''),
      harmless(each.reason ?? ''),
    ]),
  )
}

/** What happens now. */
function nextOf({ state, kind, side }: SettlementView): string[] {
  if (kind === 'netting') return ['the other side signs it when it is reached; see `tok-node ledger accounts`']
  if (state === 'proposed') return ['the seller confirms it when it has arrived; see `tok-node ledger settle`']
  if (state === 'confirmed' && side === 'seller') return ['it stands in the next statement, when the buyer asks for it']
  return []
}

function invalid(reason: string): TokError {
  return new TokError('argument_invalid', { reason })
}
