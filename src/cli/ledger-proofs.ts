/**
 * `tok-node ledger verify`, `prove` and `prune`: what shows that the ledger is whole, to its owner and to strangers.
 */
import { open } from 'node:fs/promises'
import type { Command } from 'commander'
import { formatAmount } from '../base/amount.ts'
import { TokError } from '../base/errors.ts'
import type { AccountComparison } from '../ledger/compare-exports.ts'
import type { SignatureEngine } from '../ledger/signature-check.ts'
import type { VerifiedExport } from '../ledger/verify-export.ts'
import { addConfigFlags } from './config-flags.ts'
import { EXIT } from './failure.ts'
import type { LedgerSource } from './ledger-source.ts'
import { harmless, paint, print, printJson, table } from './output.ts'

type WithLedger = (command: Command, use: (source: LedgerSource, json: boolean) => Promise<void>) => Promise<void>

const DAY_MS = 86_400_000
const PROGRESS_MS = 500

export function defineLedgerProofs(command: Command, withLedger: WithLedger): void {
  const verify = command
    .command('verify')
    .description('check every signature, chain and price of an exported file, a proof, or this node’s own ledger')
  addConfigFlags(verify)
    .argument('[file]', 'a file of `tok-node ledger export` or `prove`, of any node; needs no node')
    .argument('[other]', 'the export of the other side: says where the two part, and who signed both ways')
    .option('--native', 'check with Node’s own Ed25519 instead of tweetnacl: faster, and not independent of the signer')
    .action((file: string | undefined, other: string | undefined, { native = false, json = false }: VerifyFlags) => {
      const engine = native ? 'native' : 'tweetnacl'
      if (file === undefined) return withLedger(verify, verifyOwn)
      return other === undefined ? verifyFile(file, engine, json) : verifyBoth([file, other], engine, json)
    })

  const prove = command
    .command('prove')
    .description('write a small file that shows an account or a journal entry under a signed checkpoint')
  addConfigFlags(prove)
    .argument('<id>', 'account, or an inference by its request id, order, receipt or journal sequence')
    .action((id: string) =>
      withLedger(prove, async (source) => {
        process.stdout.write(await source.prove(id))
      }),
    )

  const prune = command
    .command('prune')
    .description('forget old journal entries that a checkpoint covers; accounts and statements stay')
  addConfigFlags(prune)
    .requiredOption('--keep-days <days>', 'entries of the last so many days stay')
    .action(({ keepDays }: { keepDays: string }) =>
      withLedger(prune, async (source, json) => {
        const days = Number(keepDays)
        if (!Number.isSafeInteger(days) || days < 0) {
          throw new TokError('argument_invalid', { reason: `--keep-days ${keepDays} is no whole number of days` })
        }
        const pruned = await source.prune(Date.now() - days * DAY_MS)
        if (json) printJson(pruned)
        else if (pruned.entriesGone === 0) print('nothing was pruned: no checkpoint is that old')
        else print(`the journal begins after entry ${pruned.entriesGone}, at checkpoint ${pruned.checkpoint}`)
      }),
    )
}

interface VerifyFlags {
  readonly native?: boolean
  readonly json?: boolean
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

async function verifyFile(file: string, engine: SignatureEngine, json: boolean): Promise<void> {
  if (await isProofFile(file)) return verifyProofFile(file, engine, json)
  const verified = await verifyExportFile(file, engine)
  if (json) printJson(jsonOf(verified))
  else print(...verifiedLines(file, verified))
}

async function verifyExportFile(file: string, engine: SignatureEngine): Promise<VerifiedExport> {
  const { verifyExportFile: verify } = await import('../ledger/verify-export.ts')
  if (!process.stderr.isTTY) return verify(file, engine)
  let toldAtMs = 0
  try {
    return await verify(file, engine, (bytesRead, bytesTotal) => {
      const nowMs = performance.now()
      if (nowMs - toldAtMs < PROGRESS_MS) return
      toldAtMs = nowMs
      process.stderr.write(`\r${file}: ${Math.floor((100 * bytesRead) / bytesTotal)} % `)
    })
  } finally {
    process.stderr.write('\r\u001b[K')
  }
}

async function verifyBoth(files: readonly [string, string], engine: SignatureEngine, json: boolean): Promise<void> {
  const verified = [await verifyExportFile(files[0], engine), await verifyExportFile(files[1], engine)] as const
  const { compareExports } = await import('../ledger/compare-exports.ts')
  const accounts: AccountComparison[] = []
  const nodes = [verified[0].node, verified[1].node] as const
  for await (const account of compareExports(files, nodes)) accounts.push(account)
  if (accounts.some(({ fork }) => fork !== undefined)) process.exitCode = EXIT.failed
  if (json) printJson({ verified: true, nodes, accounts: accounts.map(comparisonJson) })
  else
    print(...verified.flatMap((each, at) => verifiedLines(files[at] ?? '', each)), ...comparisonLines(files, accounts))
}

function comparisonJson({ account, fork, ...rest }: AccountComparison): unknown {
  const statements = fork?.statements.map((id) => Buffer.from(id).toString('hex'))
  return {
    account: Buffer.from(account).toString('hex'),
    ...rest,
    ...(fork === undefined ? {} : { fork: { ...fork, statements } }),
  }
}

function comparisonLines(files: readonly [string, string], accounts: readonly AccountComparison[]): string[] {
  if (accounts.length === 0) return ['no account stands in both: neither says anything about the other']
  return accounts.map(({ buyer, seller, statements, agreedThrough, fork }) => {
    const name = `account of buyer ${buyer} and seller ${seller}`
    if (fork !== undefined) {
      const refused = fork.followsRejection ? '; one of the two stands on the buyer’s signed rejection' : ''
      return `${paint('red', 'forked')} at statement ${fork.sequence}, ${name}: ${fork.equivocators.join(' and ')} signed both${refused}`
    }
    const [one, other] = statements
    if (one === other) return `${paint('green', 'equal')}, ${one} statements, ${name}`
    const [lacking, more] = one < other ? [files[0], other] : [files[1], one]
    return `${paint('yellow', 'behind')}: ${lacking} lacks statements ${agreedThrough + 1} to ${more}, ${name}`
  })
}

async function isProofFile(file: string): Promise<boolean> {
  const start = Buffer.alloc(15)
  const handle = await open(file).catch(() => undefined) // what cannot be opened is told by who reads it
  await handle?.read(start, 0, start.length)
  await handle?.close()
  return start.toString() === '{"kind":"proof"'
}

async function verifyProofFile(file: string, engine: SignatureEngine, json: boolean): Promise<void> {
  const [{ verifyProofFile: verify }, { readingOf }, { nameOfHash }] = await Promise.all([
    import('../ledger/inclusion-proof.ts'),
    import('../ledger/export.ts'),
    import('../wire/hash-name.ts'),
  ])
  const { node, of, checkpoint, shown } = await verify(file, engine)
  const name = nameOfHash(checkpoint.id)
  if (json) {
    printJson({ verified: true, node, of, checkpoint: { ...checkpoint, id: name }, shown: readingOf(shown) })
    return
  }
  const what = of === 'account' ? 'the head of an account' : `journal entry ${shown.sequence}`
  print(
    `${paint('green', 'verified')} ${file}: ${what} under checkpoint ${checkpoint.sequence} of ${node}`,
    `  checkpoint ${name}, ${new Date(checkpoint.createdAtMs).toISOString()}`,
    `  ${harmless(JSON.stringify(readingOf(shown)))}`,
    `${paint('dim', 'it cannot show')} that nothing newer exists, or that an entry without a receipt is true`,
  )
}

function jsonOf({ accounts, checkpoint, ...verified }: VerifiedExport): unknown {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  return {
    verified: true,
    ...verified,
    ...(checkpoint === undefined ? {} : { checkpoint: { ...checkpoint, id: hex(checkpoint.id) } }),
    accounts: accounts.map(({ id, buyer, seller, statements, calls, owed, paid, head }) => ({
      account: hex(id),
      buyer,
      seller,
      statements,
      calls,
      owedMicros: owed.toString(),
      paidMicros: paid.toString(),
      headHash: hex(head),
    })),
  }
}

function verifiedLines(file: string, verified: VerifiedExport): string[] {
  const { node, network, exportedAtMs, lines, statements, signatures, engine, accounts, unsettled, cannotShow } =
    verified
  const { journalEntries, journalPruned, checkpoint } = verified
  const pruned = journalPruned === 0 ? '' : `, after ${journalPruned} that were pruned`
  return [
    `${paint('green', 'verified')} ${file}: ${lines} lines, ${statements} statements, ${signatures} signatures by ${engine}`,
    `  of node ${node}, network ${harmless(network)}, exported ${new Date(exportedAtMs).toISOString()}`,
    `  ${journalEntries} journal entries${pruned}; ${checkpointText(checkpoint)}`,
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

function checkpointText(checkpoint: VerifiedExport['checkpoint']): string {
  if (checkpoint === undefined) return 'no checkpoint'
  const { sequence, createdAtMs, coversAll } = checkpoint
  const covered = coversAll ? 'covers all of it' : 'is older than its end'
  return `checkpoint ${sequence} of ${new Date(createdAtMs).toISOString()} ${covered}`
}
