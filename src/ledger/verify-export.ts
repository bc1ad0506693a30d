/**
 * Verifies an exported ledger, line by line, without a database or a node. Source: protocols/ledger/v1.md, list "export", whose
 * steps the faults name. What it holds in memory does not grow with the file, but for a summary of each account.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { equalBytes, fromHex, sha256, toHex } from '../base/bytes.ts'
import {
  accountId,
  callItems,
  STATEMENT,
  type Account,
  type CallItem,
  type DualSigned,
  type Item,
  type Statement,
} from '../wire/account.ts'
import { accountHeadShape, CHECKPOINT, type Checkpoint } from '../wire/checkpoint.ts'
import { signingInput, type Envelope, type Kind, type Signed } from '../wire/envelope.ts'
import { keyOfPeer, peerOfKey } from '../wire/identity.ts'
import { ORDER, RECEIPT, VOUCHER, type Order, type Receipt, type Voucher } from '../wire/inference.ts'
import { journalEntryShape } from '../wire/journal.ts'
import { createMerkleTree, peaksOf } from '../wire/merkle.ts'
import { encodeBody } from '../wire/shape.ts'
import { breachOfChain, breachOfItem, headAfter, namesOf, NO_HEAD, type AccountHead } from './account-state.ts'
import { createClaimQueue } from './claim-queue.ts'
import {
  EXPORT_SEAL,
  FIRST_LINK,
  headerMembers,
  journalMembers,
  signedMembers,
  startMembers,
  statementMembers,
  type ExportSeal,
  type LineMembers,
} from './export.ts'
import {
  bytesOf,
  checkLine,
  decodeOn,
  exportFault,
  ExportFault,
  parseLine,
  splitLines,
  type ExportLine,
} from './export-lines.ts'
import { createNameSet, type NameSet } from './name-set.ts'
import { createSignatureChecker, type SignatureChecker, type SignatureEngine } from './signature-check.ts'

/** What one account of a verified export says. Amounts in micros. */
export interface VerifiedAccount {
  readonly id: Uint8Array
  readonly buyer: string
  readonly seller: string
  readonly statements: number
  readonly calls: number
  readonly owed: bigint
  readonly paid: bigint
  readonly head: Uint8Array
}

/** What a verified export says, and what no export can show. */
export interface VerifiedExport {
  readonly node: string
  readonly network: string
  readonly exportedAtMs: number
  readonly lines: number
  readonly statements: number
  readonly signatures: number
  readonly engine: SignatureEngine
  readonly accounts: readonly VerifiedAccount[]
  /** Orders with a voucher that no statement settles yet. */
  readonly unsettled: number
  /** Nettings that stand in one of their two accounts only: the other statement is still to come. */
  readonly halfNettings: number
  /** Entries in the file. */
  readonly journalEntries: number
  /** Entries before those, which were pruned: they are known by the peaks of their tree alone. */
  readonly journalPruned: number
  readonly checkpoints: number
  /** The newest checkpoint; undefined if there is none. */
  readonly checkpoint: VerifiedCheckpoint | undefined
  readonly cannotShow: readonly string[]
}

/** The newest checkpoint of an export. */
export interface VerifiedCheckpoint {
  readonly id: Uint8Array
  readonly sequence: number
  readonly createdAtMs: number
  /** True if it covers every account and entry of the file. */
  readonly coversAll: boolean
}

/** What an export cannot prove, whatever it holds. */
const CANNOT_SHOW = [
  'that nothing newer exists: compare with the other side’s export, or with a newer checkpoint of this node',
  'that the answers were good or came from the named model',
  'that a journal entry without a signed receipt is true: it is this node’s own word',
] as const

/** The papers of one statement: order, voucher and receipt of each item, with room for one more. */
const PAPERS_MAX = 128

/**
 * Verifies the file at `path`. `onProgress` is told how many of its bytes were read.
 * @throws TokError `export_invalid` naming file, position and reason of the first fault
 */
export async function verifyExportFile(
  path: string,
  engine: SignatureEngine,
  onProgress: (bytesRead: number, bytesTotal: number) => void = () => undefined,
): Promise<VerifiedExport> {
  const checker = createSignatureChecker(engine)
  try {
    return await verifyExport(splitLines(chunksOf(path, onProgress)), checker)
  } catch (thrown) {
    throw exportFault(path, thrown)
  } finally {
    await checker.close()
  }
}

async function* chunksOf(
  path: string,
  onProgress: (bytesRead: number, bytesTotal: number) => void,
): AsyncIterable<Uint8Array> {
  const { size } = await stat(path)
  const stream = createReadStream(path, { highWaterMark: 262_144 })
  for await (const chunk of stream) {
    onProgress(stream.bytesRead, size)
    yield chunk as Uint8Array
  }
}

/**
 * Verifies lines: every line is exactly what its signed bytes make it, every signature holds, every chain is whole, every price
 * recomputes, no order is settled twice, the checkpoints say what the file holds, nothing is missing at the end.
 * @throws ExportFault at the first fault in the order of the lines
 */
export async function verifyExport(
  lines: AsyncIterable<ExportLine>,
  checker: SignatureChecker,
): Promise<VerifiedExport> {
  const settled = createNameSet()
  try {
    return await verifyWith(lines, checker, settled)
  } finally {
    await settled.close()
  }
}

type Header = Omit<ExportSeal, 'type' | 'lines' | 'link'>

/** The account whose statements are being read. */
interface OpenAccount {
  readonly id: Uint8Array
  readonly account: Account
  head: AccountHead
  calls: number
}

interface ReadCheckpoint extends Signed<Checkpoint> {
  readonly line: number
}

async function verifyWith(
  lines: AsyncIterable<ExportLine>,
  checker: SignatureChecker,
  settled: NameSet,
): Promise<VerifiedExport> {
  const signatures = createClaimQueue(checker)
  const accounts: VerifiedAccount[] = []
  const accountsTree = createMerkleTree()
  let open: OpenAccount | undefined
  /** By id: those since the last statement, the newest of them. */
  const papers = new Map<string, Signed<Order | Voucher | Receipt>>()
  let link = FIRST_LINK
  let header: Header | undefined
  let journal: { tree: ReturnType<typeof createMerkleTree>; head: Uint8Array | undefined } | undefined
  let journalPruned = 0
  let checkpoint: ReadCheckpoint | undefined
  let checkpoints = 0
  let statements = 0
  let unsettled = 0
  let halfNettings = 0
  let end: ExportLine | undefined
  let last: ExportLine = { bytes: Buffer.alloc(0), offset: 0, number: 0 }

  try {
    for await (const line of lines) {
      last = line
      if (end !== undefined) throw new ExportFault(line, 0, 26, 'there is a line after the seal')
      await readLine(line)
      await signatures.room()
    }
    if (end === undefined) {
      const missing = { bytes: Buffer.alloc(0), offset: last.offset + last.bytes.length, number: last.number + 1 }
      throw new ExportFault(missing, undefined, 27, 'the file ends before its seal: lines are missing')
    }
  } catch (thrown) {
    // A signature that fails on an earlier line is the first fault.
    const earlier = await signatures.drained().catch((fault: unknown) => fault)
    if (earlier instanceof ExportFault && thrown instanceof ExportFault && earlier.line <= thrown.line) throw earlier
    throw thrown
  }
  await signatures.drained()
  const whole = requireHeader(end)
  return {
    node: peerOfKey(whole.node),
    network: whole.network,
    exportedAtMs: whole.exportedAtMs,
    lines: end.number,
    statements,
    signatures: signatures.count(),
    engine: checker.engine,
    accounts,
    unsettled,
    halfNettings,
    journalEntries: (journal?.tree.count() ?? 0) - journalPruned,
    journalPruned,
    checkpoints,
    checkpoint: checkpoint && {
      id: checkpoint.id,
      sequence: checkpoint.value.sequence,
      createdAtMs: checkpoint.value.createdAtMs,
      coversAll: checkpoint.line === end.number - 1,
    },
    cannotShow: CANNOT_SHOW,
  }

  async function readLine(line: ExportLine): Promise<void> {
    const members = parseLine(line)
    if (line.number === 1) {
      header = readHeader(line, members)
      link = checkLine(line, headerMembers(header), link)
      return
    }
    switch (members['kind']) {
      case 'order':
        keep(readSigned(line, members, ORDER))
        break
      case 'voucher': {
        const voucher = readSigned(line, members, VOUCHER)
        if (papers.has(toHex(voucher.value.order))) unsettled += 1
        keep(voucher)
        break
      }
      case 'receipt':
        keep(readSigned(line, members, RECEIPT))
        break
      case 'statement':
        await readStatement(line, members)
        papers.clear()
        break
      case 'start':
      case 'checkpoint':
        readCheckpoint(line, members)
        break
      case 'journal':
        readJournal(line, members)
        break
      case 'seal':
        readSeal(line, members)
        end = line
        break
      default:
        throw new ExportFault(line, 0, 3, `a line of unknown kind "${String(members['kind'])}"`)
    }
  }

  function requireHeader(line: ExportLine): Header {
    if (header === undefined) throw new ExportFault(line, 0, 2, 'there is no header')
    return header
  }

  function readSigned<T>(
    line: ExportLine,
    members: LineMembers,
    kind: Kind<T>,
    membersOf: (signed: Signed<T>) => LineMembers = (signed) => signedMembers(kind.name, signed),
  ): Signed<T> {
    const envelope = { body: bytesOf(line, members, 'body'), signature: bytesOf(line, members, 'signature') }
    const value = decodeOn(line, kind.shape, envelope.body, kind.name)
    const signed = { value, id: sha256(envelope.body), ...envelope }
    link = checkLine(line, membersOf(signed), link)
    claim(line, kind, kind.signerOf(value), envelope)
    return signed
  }

  function keep(paper: Signed<Order | Voucher | Receipt>): void {
    const name = toHex(paper.id)
    papers.delete(name)
    papers.set(name, paper)
    if (papers.size > PAPERS_MAX) papers.delete(papers.keys().next().value ?? '')
  }

  async function readStatement(line: ExportLine, members: LineMembers): Promise<void> {
    const dualSigned: DualSigned = {
      body: bytesOf(line, members, 'body'),
      sellerSignature: bytesOf(line, members, 'sellerSignature'),
      buyerSignature: bytesOf(line, members, 'buyerSignature'),
    }
    const { body, sellerSignature, buyerSignature } = dualSigned
    const value = decodeOn(line, STATEMENT.shape, body, 'statement')
    link = checkLine(line, statementMembers({ ...dualSigned, value, id: sha256(body) }), link)
    claim(line, STATEMENT, value.seller, { body, signature: sellerSignature })
    claim(line, STATEMENT, value.buyer, { body, signature: buyerSignature })
    await postStatement(line, value, sha256(body))
    statements += 1
  }

  async function postStatement(line: ExportLine, value: Statement, id: Uint8Array): Promise<void> {
    const { network: name, asset, buyer, seller } = value
    const of = requireHeader(line)
    if (!equalBytes(buyer, of.node) && !equalBytes(seller, of.node)) {
      throw new ExportFault(line, undefined, 7, 'the exporting node is no party to this account')
    }
    if (name !== of.network || asset !== of.asset) {
      throw new ExportFault(line, undefined, 8, 'the statement is of another network or asset')
    }
    const current = openAccount(line, { network: name, asset, buyer, seller })
    const breach = breachOfChain(current.account, current.head, value)
    if (breach !== undefined) throw new ExportFault(line, undefined, 10, `the statement breaks the chain: ${breach}`)
    for (const item of value.items) await postItem(line, value, item, current)
    current.head = headAfter(value, id)
    current.calls += callItems(value).length
  }

  function openAccount(line: ExportLine, account: Account): OpenAccount {
    const id = accountId(account)
    const order = open === undefined ? 1 : Buffer.compare(id, open.id)
    if (open !== undefined && order === 0) return open
    if (order < 0) throw new ExportFault(line, undefined, 9, 'the accounts are not in the order of their ids')
    closeAccount()
    open = { id, account, head: NO_HEAD, calls: 0 }
    return open
  }

  function closeAccount(): void {
    if (open === undefined) return
    const { id, account, calls, head } = open
    const { sequence, owed, paid } = head
    const newest = head.head ?? FIRST_LINK
    accountsTree.add(encodeBody(accountHeadShape, { account: id, sequence, head: newest, owed, paid }))
    const [buyer, seller] = [peerOfKey(account.buyer), peerOfKey(account.seller)]
    accounts.push({ id, buyer, seller, statements: sequence, calls, owed, paid, head: newest })
    open = undefined
  }

  async function postItem(
    line: ExportLine,
    statement: Statement,
    item: Item,
    { id, account }: OpenAccount,
  ): Promise<void> {
    if (item.kind === 'call') return postCall(line, statement, item)
    for (const name of namesOf(item)) {
      if (await settled.add(`${toHex(id)} ${name}`)) continue
      throw new ExportFault(line, undefined, 11, `${name}: it is settled twice`)
    }
    if (item.kind !== 'netting') return
    const { buyer, seller } = account
    const documentOf = (one: Uint8Array, other: Uint8Array): string =>
      `${toHex(item.netting)} ${toHex(one)} ${toHex(other)} ${item.amount}`
    const isHalf = await settled.add(toHex(item.netting))
    // The document was settled in the opposite account before, or in none.
    if (!isHalf && (await settled.add(documentOf(seller, buyer)))) {
      throw new ExportFault(
        line,
        undefined,
        11,
        `netting ${toHex(item.netting)}: it is another one in the opposite account`,
      )
    }
    await settled.add(documentOf(buyer, seller))
    halfNettings += isHalf ? 1 : -1
  }

  async function postCall(line: ExportLine, statement: Statement, item: CallItem): Promise<void> {
    const refuse = (step: number, reason: string): never => {
      throw new ExportFault(line, undefined, step, `order ${toHex(item.order)}: ${reason}`)
    }
    if (!(await settled.add(toHex(item.order)))) refuse(11, 'it is settled twice')
    const order = paperOf(item.order, ORDER) ?? refuse(12, 'the order is missing before its statement')
    const voucher = paperOf(item.voucher, VOUCHER) ?? refuse(13, 'the voucher is missing before its statement')
    const receipt =
      item.receipt && (paperOf(item.receipt, RECEIPT) ?? refuse(14, 'the receipt is missing before its statement'))
    for (const { network, buyer, seller } of [order, voucher, ...(receipt === undefined ? [] : [receipt])]) {
      const isOfParties = equalBytes(buyer, statement.buyer) && equalBytes(seller, statement.seller)
      if (!isOfParties || network !== statement.network) refuse(15, 'a paper of the call is of other parties')
    }
    if (order.asset !== statement.asset) refuse(15, 'the order is in another asset')
    for (const paper of [voucher, receipt]) {
      if (paper !== undefined && !equalBytes(paper.order, item.order)) refuse(16, 'a paper is of another order')
    }
    const wrong = breachOfItem(item, order, voucher, receipt)
    if (wrong !== undefined) refuse(17, wrong)
    unsettled -= 1
  }

  function paperOf<T extends Order | Voucher | Receipt>(id: Uint8Array, kind: Kind<T>): T | undefined {
    const value = papers.get(toHex(id))?.value
    return value?.type === kind.domain ? (value as T) : undefined
  }

  function readJournal(line: ExportLine, members: LineMembers): void {
    const encoded = bytesOf(line, members, 'body')
    const entry = decodeOn(line, journalEntryShape, encoded, 'journal entry')
    link = checkLine(line, journalMembers(encoded, entry), link)
    journal ??= { tree: createMerkleTree(), head: undefined }
    const { tree, head } = journal
    if (entry.sequence !== tree.count() + 1) {
      throw new ExportFault(line, undefined, 18, `journal entry ${entry.sequence} after ${tree.count()}`)
    }
    if (!isSame(entry.previous, head)) {
      throw new ExportFault(line, undefined, 19, 'the journal entry does not follow the one before')
    }
    tree.add(encoded)
    journal.head = sha256(encoded)
  }

  function readCheckpoint(line: ExportLine, members: LineMembers): void {
    const isStart = members['kind'] === 'start'
    const listed = Array.isArray(members['peaks']) ? (members['peaks'] as readonly unknown[]) : []
    const peaks = listed.map((peak) => fromHex(String(peak)))
    const signed = readSigned(line, members, CHECKPOINT, (read) =>
      isStart ? startMembers(read, peaks) : signedMembers('checkpoint', read),
    )
    const { value } = signed
    const { node, network: name, asset } = requireHeader(line)
    if (!equalBytes(value.node, node) || value.network !== name || value.asset !== asset) {
      throw new ExportFault(line, undefined, 20, 'the checkpoint is of another node, network or asset')
    }
    if (isStart) {
      const isFirst = journal === undefined && checkpoint === undefined
      const isTree = peaks.length === peaksOf(value.entries) && peaks.every((peak) => peak.length === FIRST_LINK.length)
      const tree = createMerkleTree({ count: value.entries, peaks })
      if (!isFirst || !isTree || !equalBytes(tree.root(), value.entriesRoot)) {
        throw new ExportFault(line, undefined, 21, 'the journal cannot begin here')
      }
      journal = { tree, head: value.journalHead }
      journalPruned = value.entries
    }
    journal ??= { tree: createMerkleTree(), head: undefined }
    const { tree, head } = journal
    if (
      value.entries !== tree.count() ||
      !equalBytes(value.entriesRoot, tree.root()) ||
      !isSame(value.journalHead, head)
    ) {
      throw new ExportFault(line, undefined, 22, 'the checkpoint is not of the journal before it')
    }
    const isNext =
      checkpoint === undefined ? isStart || value.sequence === 1 : value.sequence === checkpoint.value.sequence + 1
    const follows =
      checkpoint === undefined ? isStart || value.previous === undefined : isSame(value.previous, checkpoint.id)
    if (!isNext || !follows) throw new ExportFault(line, undefined, 23, 'the checkpoint does not follow the one before')
    checkpoint = { ...signed, line: line.number }
    checkpoints += 1
  }

  function readSeal(line: ExportLine, members: LineMembers): void {
    const before = link
    const { value } = readSigned(line, members, EXPORT_SEAL)
    closeAccount()
    if (checkpoint?.line === line.number - 1) {
      const { accounts: count, accountsRoot } = checkpoint.value
      if (count !== accountsTree.count() || !equalBytes(accountsRoot, accountsTree.root())) {
        throw new ExportFault(line, undefined, 24, 'the last checkpoint is of other accounts')
      }
    }
    const of = requireHeader(line)
    const matches =
      value.lines === line.number - 1 &&
      equalBytes(value.link, before) &&
      equalBytes(value.node, of.node) &&
      value.network === of.network &&
      value.asset === of.asset &&
      value.exportedAtMs === of.exportedAtMs
    if (!matches) throw new ExportFault(line, undefined, 25, 'the seal is of another file')
  }

  function claim<T>(line: ExportLine, kind: Kind<T>, publicKey: Uint8Array, envelope: Envelope): void {
    const message = signingInput(kind.domain, envelope.body)
    signatures.add({ publicKey, message, signature: envelope.signature }, () => {
      return new ExportFault(line, undefined, 6, `the signature of the ${kind.name} does not verify`)
    })
  }
}

function readHeader(line: ExportLine, { network, asset, node, exportedAtMs }: LineMembers): Header {
  const publicKey = typeof node === 'string' ? keyOfPeer(node) : undefined
  const isHeader = typeof network === 'string' && typeof asset === 'string' && Number.isSafeInteger(exportedAtMs)
  if (!isHeader || publicKey === undefined) throw new ExportFault(line, undefined, 2, 'the header is malformed')
  return { network, asset, node: publicKey, exportedAtMs: exportedAtMs as number }
}

function isSame(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right
  return equalBytes(left, right)
}
