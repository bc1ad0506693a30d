/**
 * `tok-node ledger reconcile`, `backup`, `recover` and `evidence`: what keeps accounts alive when disks die and peers lie.
 */
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Command } from 'commander'
import { reasonOf, TokError } from '../base/errors.ts'
import type { ReconcileView } from '../gateway/admin-api.ts'
import type { Conflict } from '../ledger/equivocation.ts'
import { peerOfKey } from '../wire/identity.ts'
import { connectAdmin, findAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { EXIT } from './failure.ts'
import { openLedgerSource } from './ledger-source.ts'
import { harmless, paint, print, printJson } from './output.ts'

/** Every account may need a dial, and a long one many frames. */
const RECONCILE_TIMEOUT_MS = 600_000

const NOT_RECOVERED = [
  'the journal: what this node answered locally, and its own notes on trades, were on its disk only',
  'what was spent today: the spending limit of the day begins anew',
  'calls that the other side denies, and accounts with peers that are not met again',
] as const

export function defineLedgerRecovery(command: Command): void {
  const reconcile = command
    .command('reconcile')
    .description('compare accounts with the other side now, and settle what is open')
  addConfigFlags(reconcile)
    .argument('[peer]', 'a seller; every seller with an account unless given')
    .action((peer: string | undefined) => reconcileNow(reconcile, peer))

  const backup = command.command('backup').description('copy ledger and node key, also of a running node')
  addConfigFlags(backup)
    .argument('<directory>', 'an empty or new directory, which a node can be started on')
    .action((directory: string) => backUp(backup, resolve(directory)))

  const recover = command
    .command('recover')
    .description('begin a new ledger for a node that lost its own, to be filled by the other sides of its accounts')
  addConfigFlags(recover)
    .requiredOption('--from-peers', 'from what this node’s counterparties hold, signed by its key')
    .action(() => recoverFromPeers(recover))

  const evidence = command.command('evidence').description('proofs that somebody signed two histories of an account')
  const exporting = evidence.command('export').description('write them as a file that anyone can check')
  addConfigFlags(exporting)
    .option('-o, --output <file>', 'write there instead of stdout')
    .action(({ output }: { output?: string }) => exportEvidence(exporting, output))
  evidence
    .command('verify')
    .description('check a file of proofs by tweetnacl; needs no node')
    .argument('<file>', 'a file of `tok-node ledger evidence export`, of any node')
    .option('--json', 'print JSON')
    .action((file: string, { json = false }: { json?: boolean }) => verifyEvidence(file, json))
}

async function reconcileNow(command: Command, peer: string | undefined): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const admin = await connectAdmin(config.dataDirectory)
  const body = peer === undefined ? {} : { peer }
  const results = await admin.ask<readonly ReconcileView[]>('ledger/reconcile', {
    body,
    timeoutMs: RECONCILE_TIMEOUT_MS,
  })
  if (results.some(({ reconciled }) => !reconciled)) process.exitCode = EXIT.failed
  if (wantsJson(command)) printJson({ accounts: results })
  else if (results.length === 0) print('no account to compare: nothing was bought yet')
  else {
    print(
      ...results.map((each) =>
        each.reconciled
          ? `${paint('green', 'equal')}  ${each.peer}`
          : `${paint('red', 'failed')} ${each.peer}: ${harmless(each.reason ?? '')}`,
      ),
    )
  }
}

async function backUp(command: Command, directory: string): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const source = await openLedgerSource(config)
  try {
    await source.backUp(directory)
  } finally {
    await source.close()
  }
  if (wantsJson(command)) printJson({ directory })
  else {
    print(
      `backed up to ${directory}, with the node key: who has it can sign debts`,
      `start on it with: tok-node start --data-dir ${directory}`,
      `${paint('dim', 'never run both: the copy asks every peer what was signed since, and then is the node')}`,
    )
  }
}

async function recoverFromPeers(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command)
  if ((await findAdmin(config.dataDirectory)) !== undefined) {
    throw new TokError('data_directory_in_use', { directory: config.dataDirectory, detail: '' })
  }
  const { beginRecovery } = await import('../node/ledger-copies.ts')
  await beginRecovery(config.dataDirectory)
  if (wantsJson(command)) printJson({ directory: config.dataDirectory, notRecovered: NOT_RECOVERED })
  else {
    print(
      'a new ledger is ready: start the node, and it asks every seller it meets for its account; buyers bring theirs',
      'as they connect. `tok-node ledger reconcile PEER` asks one seller now, `tok-node ledger list` shows what is back.',
      ...NOT_RECOVERED.map((each) => `${paint('dim', 'not recovered')} ${each}`),
    )
  }
}

async function exportEvidence(command: Command, output: string | undefined): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const source = await openLedgerSource(config)
  const lines = await source.evidence().finally(() => source.close())
  const text = lines.map((line) => `${line}\n`).join('')
  if (output === undefined) {
    process.stdout.write(text)
    return
  }
  await writeFile(output, text, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
    const reason = `${output} cannot be written: ${reasonOf(error)}`
    throw new TokError('argument_invalid', { reason }, { cause: error })
  })
  if (wantsJson(command)) printJson({ file: output, proofs: lines.length })
  else print(`${lines.length} proofs written to ${output}; check: tok-node ledger evidence verify ${output}`)
}

async function verifyEvidence(file: string, json: boolean): Promise<void> {
  const { verifyEvidenceLine } = await import('../ledger/evidence.ts')
  const proven: Conflict[] = []
  try {
    for await (const text of createInterface({ input: createReadStream(file) })) {
      proven.push(verifyEvidenceLine(text, { file, line: proven.length + 1 }))
    }
  } catch (thrown) {
    if (thrown instanceof TokError) throw thrown
    throw new TokError('export_invalid', { file, position: 'start', reason: reasonOf(thrown) }, { cause: thrown })
  }
  const views = proven.map(({ account, sequence, equivocators }) => ({
    buyer: peerOfKey(account.buyer),
    seller: peerOfKey(account.seller),
    network: account.network,
    sequence,
    equivocators,
  }))
  if (json) printJson({ verified: true, proofs: views })
  else {
    print(
      `${paint('green', 'verified')} ${file}: ${views.length} proofs, by tweetnacl`,
      ...views.map(
        ({ buyer, seller, network, sequence, equivocators }) =>
          `  ${equivocators.join(' and ')} signed two statements at sequence ${sequence}: ${buyer} owes ${seller}, network ${harmless(network)}`,
      ),
    )
  }
}
