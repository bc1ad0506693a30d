/**
 * Verifies an exported ledger, line by line, without a database or a node. Source: protocols/ledger/v1.md, "Export file".
 */
import { createReadStream } from 'node:fs'
import { equalBytes, fromBase64Url, sha256, toHex } from '../base/bytes.ts'
import { reasonOf, toTokError, TokError } from '../base/errors.ts'
import { accountId, STATEMENT, type Account, type CallItem, type DualSigned, type Statement } from '../wire/account.ts'
import { signingInput, type Envelope, type Kind, type Signed } from '../wire/envelope.ts'
import { keyOfPeer, peerOfKey } from '../wire/identity.ts'
import { ORDER, RECEIPT, VOUCHER, type Order, type Receipt, type Voucher } from '../wire/inference.ts'
import { journalEntryShape } from '../wire/journal.ts'
import { decodeBody } from '../wire/shape.ts'
import { breachOfChain, breachOfItem, headAfter, NO_HEAD, type AccountHead } from './account-state.ts'
import {
  EXPORT_SEAL,
  FIRST_LINK,
  headerMembers,
  journalMembers,
  signedMembers,
  statementMembers,
  writeLine,
  type ExportSeal,
  type LineMembers,
} from './export.ts'
import {
  createSignatureChecker,
  type SignatureChecker,
  type SignatureClaim,
  type SignatureEngine,
} from './signature-check.ts'

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
  readonly journalEntries: number
  readonly cannotShow: readonly string[]
}

/** One line and where its first byte stands in the file. */
export interface ExportLine {
  readonly bytes: Buffer
  readonly offset: number
  /** 1 for the first line. */
  readonly number: number
}

/** What an export cannot prove, whatever it holds. */
const CANNOT_SHOW = [
  'that nothing newer exists: compare with the other side’s export',
  'that the answers were good or came from the named model',
  'that a journal entry without a signed receipt is true: it is this node’s own word',
] as const

/** Signatures sent to a thread at once. */
const CLAIMS_PER_BATCH = 64
/** A line of the largest statement with its reading has less. */
const LINE_BYTES_MAX = 1_048_576

/**
 * Verifies the file at `path`.
 * @throws TokError `export_invalid` naming file, position and reason of the first fault
 */
export async function verifyExportFile(path: string, engine: SignatureEngine): Promise<VerifiedExport> {
  const checker = createSignatureChecker(engine)
  try {
    return await verifyExport(splitLines(createReadStream(path, { highWaterMark: 262_144 })), checker)
  } catch (thrown) {
    if (thrown instanceof ExportFault) {
      const { position, reason } = thrown
      throw new TokError('export_invalid', { file: path, position, reason }, { cause: thrown })
    }
    if (thrown instanceof TokError) throw thrown
    throw new TokError('export_invalid', { file: path, position: 'start', reason: reasonOf(thrown) }, { cause: thrown })
  } finally {
    await checker.close()
  }
}

/** A fault of an export and where it stands. */
export class ExportFault extends Error {
  override readonly name = 'ExportFault'
  readonly position: string
  readonly reason: string
  readonly line: number

  constructor(line: ExportLine, at: number | undefined, reason: string) {
    const place =
      at === undefined ? `bytes ${line.offset}-${line.offset + line.bytes.length}` : `byte ${line.offset + at}`
    super(`line ${line.number}, ${place}: ${reason}`)
    this.position = `line ${line.number}, ${place}`
    this.reason = reason
    this.line = line.number
  }
}

/** Cuts bytes into lines. @throws ExportFault for a line without end or an endless one */
export async function* splitLines(chunks: AsyncIterable<Uint8Array | string>): AsyncIterable<ExportLine> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  let number = 1
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, typeof chunk === 'string' ? Buffer.from(chunk) : chunk])
    let start = 0
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a, start)) {
      yield { bytes: rest.subarray(start, end), offset: offset + start, number: number++ }
      start = end + 1
    }
    rest = rest.subarray(start)
    offset += start
    if (rest.length > LINE_BYTES_MAX) throw new ExportFault({ bytes: rest, offset, number }, 0, 'a line has no end')
  }
  if (rest.length > 0) throw new ExportFault({ bytes: rest, offset, number }, rest.length, 'the last line is cut off')
}

interface AccountProgress {
  readonly account: Account
  head: AccountHead
  calls: number
}

/**
 * Verifies lines: every line is exactly what its signed bytes make it, every signature holds, every chain is whole, every price
 * recomputes, no order is settled twice, nothing is missing at the end.
 * @throws ExportFault at the first fault in the order of the lines
 */
export async function verifyExport(
  lines: AsyncIterable<ExportLine>,
  checker: SignatureChecker,
): Promise<VerifiedExport> {
  const signatures = createClaimQueue(checker)
  const accounts = new Map<string, AccountProgress>()
  const settled = new Set<string>()
  /** Papers since the last statement: those of its items, or unsettled ones. */
  let orders = new Map<string, Signed<Order>>()
  let vouchers = new Map<string, Signed<Voucher>>()
  let receipts = new Map<string, Signed<Receipt>>()
  let link = FIRST_LINK
  let header: Header | undefined
  let journalSequence = 0
  let journalHead: Uint8Array | undefined
  let statements = 0
  let unsettled = 0
  let end: ExportLine | undefined

  try {
    for await (const line of lines) {
      if (end !== undefined) throw new ExportFault(line, 0, 'there is a line after the seal')
      if (line.number === 1) {
        header = readHeader(line)
        link = checkLine(line, headerMembers(header), link)
        continue
      }
      if (header === undefined) throw new ExportFault(line, 0, 'there is no header')
      const members = parseLine(line)
      switch (members.kind) {
        case 'order':
          orders = add(orders, readSigned(line, members, ORDER))
          break
        case 'voucher':
          vouchers = add(vouchers, readSigned(line, members, VOUCHER))
          break
        case 'receipt':
          receipts = add(receipts, readSigned(line, members, RECEIPT))
          break
        case 'statement':
          await readStatement(line, members, header)
          statements += 1
          unsettled += unsettledIn(orders, vouchers, settled)
          orders = new Map()
          vouchers = new Map()
          receipts = new Map()
          break
        case 'journal':
          readJournal(line, members)
          break
        case 'seal':
          readSeal(line, members, header)
          end = line
          break
        default:
          throw new ExportFault(line, 0, `a line of unknown kind "${String(members.kind)}"`)
      }
      await signatures.room()
    }
  } catch (thrown) {
    // A signature that fails on an earlier line is the first fault.
    const earlier = await signatures.drained().catch((fault: unknown) => fault)
    if (earlier instanceof ExportFault && thrown instanceof ExportFault && earlier.line <= thrown.line) throw earlier
    throw thrown
  }
  await signatures.drained()
  if (header === undefined || end === undefined) {
    const line = { bytes: Buffer.alloc(0), offset: 0, number: 1 }
    throw new ExportFault(line, undefined, 'the file ends before its seal: lines are missing')
  }
  return {
    node: peerOfKey(header.node),
    network: header.network,
    exportedAtMs: header.exportedAtMs,
    lines: end.number,
    statements,
    signatures: signatures.count(),
    engine: checker.engine,
    accounts: [...accounts.values()].map(({ account, head, calls }) => ({
      id: accountId(account),
      buyer: peerOfKey(account.buyer),
      seller: peerOfKey(account.seller),
      statements: head.sequence,
      calls,
      owed: head.owed,
      paid: head.paid,
      head: head.head ?? FIRST_LINK,
    })),
    unsettled: unsettled + unsettledIn(orders, vouchers, settled),
    journalEntries: journalSequence,
    cannotShow: CANNOT_SHOW,
  }

  function readSigned<T>(line: ExportLine, members: LineMembers, kind: Kind<T>): Signed<T> {
    const envelope = { body: bytesOf(line, members, 'body'), signature: bytesOf(line, members, 'signature') }
    const value = decodeOn(line, () => decodeBody(kind.shape, envelope.body, kind.name))
    const signed = { value, id: sha256(envelope.body), ...envelope }
    claim(line, kind, kind.signerOf(value), envelope)
    link = checkLine(line, signedMembers(kind.name, signed), link)
    return signed
  }

  async function readStatement(line: ExportLine, members: LineMembers, of: Header): Promise<void> {
    const dualSigned: DualSigned = {
      body: bytesOf(line, members, 'body'),
      sellerSignature: bytesOf(line, members, 'sellerSignature'),
      buyerSignature: bytesOf(line, members, 'buyerSignature'),
    }
    const { body, sellerSignature, buyerSignature } = dualSigned
    const value = decodeOn(line, () => decodeBody(STATEMENT.shape, body, 'statement'))
    claim(line, STATEMENT, value.seller, { body, signature: sellerSignature })
    claim(line, STATEMENT, value.buyer, { body, signature: buyerSignature })
    link = checkLine(line, statementMembers({ ...dualSigned, value, id: sha256(body) }), link)
    postStatement(line, value, sha256(body), of)
  }

  function postStatement(line: ExportLine, value: Statement, id: Uint8Array, of: Header): void {
    const account: Account = {
      network: value.network,
      asset: value.asset,
      buyer: value.buyer,
      seller: value.seller,
    }
    if (!equalBytes(account.buyer, of.node) && !equalBytes(account.seller, of.node)) {
      throw new ExportFault(line, undefined, 'the exporting node is no party to this account')
    }
    if (account.network !== of.network || account.asset !== of.asset) {
      throw new ExportFault(line, undefined, 'the statement is of another network or asset')
    }
    const name = toHex(accountId(account))
    const progress = accounts.get(name) ?? { account, head: NO_HEAD, calls: 0 }
    accounts.set(name, progress)
    const breach = breachOfChain(account, progress.head, value)
    if (breach !== undefined) throw new ExportFault(line, undefined, `the statement breaks the chain: ${breach}`)
    for (const item of value.items) {
      const wrong = breachOfCall(value, item)
      if (wrong !== undefined) throw new ExportFault(line, undefined, `order ${toHex(item.order)}: ${wrong}`)
      settled.add(toHex(item.order))
    }
    progress.head = headAfter(value, id)
    progress.calls += value.items.length
  }

  function breachOfCall(statement: Statement, item: CallItem): string | undefined {
    if (settled.has(toHex(item.order))) return 'it is settled twice'
    const order = orders.get(toHex(item.order))
    if (order === undefined) return 'the order is missing before its statement'
    const voucher = vouchers.get(toHex(item.voucher))
    if (voucher === undefined) return 'the voucher is missing before its statement'
    const receipt = item.receipt === undefined ? undefined : receipts.get(toHex(item.receipt))
    if (item.receipt !== undefined && receipt === undefined) return 'the receipt is missing before its statement'
    const papers = [order.value, voucher.value, ...(receipt === undefined ? [] : [receipt.value])]
    for (const { network, buyer, seller } of papers) {
      const isOfParties = equalBytes(buyer, statement.buyer) && equalBytes(seller, statement.seller)
      if (!isOfParties || network !== statement.network) return 'a paper of the call is of other parties'
    }
    for (const paper of [voucher, receipt]) {
      if (paper !== undefined && !equalBytes(paper.value.order, item.order)) return 'a paper is of another order'
    }
    return breachOfItem(item, order.value, voucher.value, receipt?.value)
  }

  function readJournal(line: ExportLine, members: LineMembers): void {
    const encoded = bytesOf(line, members, 'body')
    const entry = decodeOn(line, () => decodeBody(journalEntryShape, encoded, 'journal entry'))
    link = checkLine(line, journalMembers(encoded, entry), link)
    if (entry.sequence !== journalSequence + 1) {
      throw new ExportFault(line, undefined, `journal entry ${entry.sequence} after ${journalSequence}`)
    }
    const isFollowing =
      entry.previous === undefined || journalHead === undefined
        ? entry.previous === journalHead
        : equalBytes(entry.previous, journalHead)
    if (!isFollowing) throw new ExportFault(line, undefined, 'the journal entry does not follow the one before')
    journalSequence = entry.sequence
    journalHead = sha256(encoded)
  }

  function readSeal(line: ExportLine, members: LineMembers, of: Header): void {
    const before = link
    const { value } = readSigned(line, members, EXPORT_SEAL)
    const matches =
      value.lines === line.number - 1 &&
      equalBytes(value.link, before) &&
      equalBytes(value.node, of.node) &&
      value.network === of.network &&
      value.asset === of.asset &&
      value.exportedAtMs === of.exportedAtMs
    if (!matches) throw new ExportFault(line, undefined, 'the seal is of another file')
  }

  function claim<T>(line: ExportLine, kind: Kind<T>, publicKey: Uint8Array, envelope: Envelope): void {
    const message = signingInput(kind.domain, envelope.body)
    signatures.add({ publicKey, message, signature: envelope.signature }, () => {
      return new ExportFault(line, undefined, `the signature of the ${kind.name} does not verify`)
    })
  }
}

type Header = Omit<ExportSeal, 'type' | 'lines' | 'link'>

/** A line must be, to the byte, what `members` and the link before it make. Gives the line's link. */
function checkLine(line: ExportLine, members: LineMembers, before: Uint8Array): Uint8Array {
  const expected = writeLine(members, before)
  const expectedBytes = Buffer.from(expected.text)
  if (equalBytes(expectedBytes, line.bytes)) return expected.link
  let at = 0
  while (at < expectedBytes.length && expectedBytes[at] === line.bytes[at]) at += 1
  const linkStart = expectedBytes.length - (2 * expected.link.length + 2)
  // What the bytes say and what they are signed for agree up to the link: then a value that has no signature of its own changed.
  const reason =
    at >= linkStart ? 'the line’s link does not match its content' : 'the line is not what its signed bytes make'
  throw at >= linkStart ? new ExportFault(line, undefined, reason) : new ExportFault(line, at, reason)
}

function parseLine(line: ExportLine): LineMembers {
  try {
    const members: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line.bytes))
    if (typeof members === 'object' && members !== null && !Array.isArray(members)) return members as LineMembers
  } catch (thrown) {
    throw new ExportFault(line, jsonFaultOffset(thrown), `the line is not JSON: ${reasonOf(thrown)}`)
  }
  throw new ExportFault(line, 0, 'the line is no JSON object')
}

function jsonFaultOffset(thrown: unknown): number | undefined {
  const found = / at position (\d+)/.exec(reasonOf(thrown))
  return found === null ? undefined : Number(found[1])
}

function readHeader(line: ExportLine): Header {
  const { network, asset, node, exportedAtMs } = parseLine(line)
  const publicKey = typeof node === 'string' ? keyOfPeer(node) : undefined
  const isHeader = typeof network === 'string' && typeof asset === 'string' && Number.isSafeInteger(exportedAtMs)
  if (!isHeader || publicKey === undefined) throw new ExportFault(line, undefined, 'the header is malformed')
  return { network, asset, node: publicKey, exportedAtMs: exportedAtMs as number }
}

function bytesOf(line: ExportLine, members: LineMembers, name: string): Uint8Array {
  const value = members[name]
  if (typeof value !== 'string') throw new ExportFault(line, undefined, `the line has no ${name}`)
  return fromBase64Url(value)
}

function decodeOn<T>(line: ExportLine, decode: () => T): T {
  try {
    return decode()
  } catch (thrown) {
    throw new ExportFault(line, undefined, toTokError(thrown).message)
  }
}

/** Orders among the papers before a statement, or after the last, that have a voucher and that no statement settles. */
function unsettledIn(
  orders: ReadonlyMap<string, unknown>,
  vouchers: ReadonlyMap<string, Signed<Voucher>>,
  settled: ReadonlySet<string>,
): number {
  const vouched = new Set([...vouchers.values()].map(({ value }) => toHex(value.order)))
  return [...orders.keys()].filter((order) => vouched.has(order) && !settled.has(order)).length
}

function add<T>(map: Map<string, Signed<T>>, signed: Signed<T>): Map<string, Signed<T>> {
  return map.set(toHex(signed.id), signed)
}

interface ClaimQueue {
  add(claim: SignatureClaim, fault: () => ExportFault): void
  /** Resolves when more may be added; rejects with the first fault found. */
  room(): Promise<void>
  /** Resolves when everything was checked; rejects with the fault of the earliest line. */
  drained(): Promise<void>
  count(): number
}

function createClaimQueue(checker: SignatureChecker): ClaimQueue {
  let batch: { readonly claim: SignatureClaim; readonly fault: () => ExportFault }[] = []
  const running = new Set<Promise<void>>()
  let firstFault: ExportFault | undefined
  let failure: unknown
  let count = 0

  const send = (): void => {
    const sent = batch
    batch = []
    const checked = checker
      .check(sent.map((each) => each.claim))
      .then((holds) => {
        holds.forEach((isValid, index) => {
          const fault = isValid ? undefined : sent[index]?.fault()
          if (fault !== undefined && (firstFault === undefined || fault.line < firstFault.line)) firstFault = fault
        })
      })
      .catch((thrown: unknown) => {
        failure ??= thrown
      })
      .finally(() => running.delete(checked))
    running.add(checked)
  }
  const raise = (): void => {
    if (failure !== undefined) throw failure
    if (firstFault !== undefined) throw firstFault
  }
  return {
    add(claim, fault) {
      count += 1
      batch.push({ claim, fault })
      if (batch.length >= CLAIMS_PER_BATCH) send()
    },
    async room() {
      while (running.size > 2 * checker.width) await Promise.race(running)
      raise()
    },
    async drained() {
      if (batch.length > 0) send()
      while (running.size > 0) await Promise.all(running)
      raise()
    },
    count: () => count,
  }
}
