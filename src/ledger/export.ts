/**
 * The exported ledger: NDJSON that anyone can check without a database. Source: protocols/ledger/v1.md, "Export file".
 *
 * Each line holds the signed bytes beside a JSON reading of them, and ends with `link`: the SHA-256 of the link before and of
 * the line so far. The last line is a seal over the last link, signed by the node that exported.
 */
import { sha256, toBase64Url, toHex, utf8 } from '../base/bytes.ts'
import { toTokError } from '../base/errors.ts'
import { DOMAINS } from '../wire/registry.ts'
import { nameOfHash } from '../wire/hash-name.ts'
import { KEY_BYTES, peerOfKey } from '../wire/identity.ts'
import type { Checkpoint } from '../wire/checkpoint.ts'
import type { Envelope, Kind, Signed } from '../wire/envelope.ts'
import { seal } from '../wire/envelope.ts'
import { bytes, oneOf, record, text, uint, type Read } from '../wire/shape.ts'
import { callItems, type DualSigned } from '../wire/account.ts'
import type { JournalEntry } from '../wire/journal.ts'
import type { Ledger } from './ledger.ts'

const HASH_BYTES = 32

const exportSealShape = record({
  type: oneOf(DOMAINS.export),
  network: text(32),
  asset: text(16),
  node: bytes(KEY_BYTES),
  exportedAtMs: uint,
  /** Lines before the seal. */
  lines: uint,
  /** Link of the line before the seal. */
  link: bytes(HASH_BYTES),
})
export type ExportSeal = Read<typeof exportSealShape>

/** The exporter's signature over the whole file. It vouches for the copy, not for what the other signatures say. */
export const EXPORT_SEAL: Kind<ExportSeal> = {
  name: 'seal',
  domain: DOMAINS.export,
  shape: exportSealShape,
  signerOf: (value) => value.node,
}

/** The link before the first line. */
export const FIRST_LINK: Uint8Array = new Uint8Array(HASH_BYTES)

/** Fields that hold a public key, shown as a peer ID. */
const KEY_FIELDS = new Set(['buyer', 'seller', 'node', 'counterparty'])
/** Fields whose 32 bytes name no body, shown in hexadecimal. */
const DIGEST_FIELDS = new Set([
  'nonce',
  'requestCommitment',
  'answerDigest',
  'link',
  'accountsRoot',
  'entriesRoot',
  'account',
])

/** A body as JSON: amounts as decimal text, keys as peer IDs, hashes of bodies as CIDs, other bytes in hexadecimal. */
export function readingOf(value: unknown, field = ''): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) {
    if (KEY_FIELDS.has(field)) return peerOfKey(value)
    return value.length === HASH_BYTES && !DIGEST_FIELDS.has(field) ? nameOfHash(value) : toHex(value)
  }
  if (Array.isArray(value)) return value.map((each) => readingOf(each, field))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, readingOf(each, name)]))
  }
  return value
}

/** A line's members, without its link. */
export type LineMembers = Readonly<Record<string, unknown>>

export function headerMembers(header: Omit<ExportSeal, 'type' | 'lines' | 'link'>): LineMembers {
  const { network, asset, node, exportedAtMs } = header
  return { kind: 'header', format: DOMAINS.export, network, asset, node: peerOfKey(node), exportedAtMs }
}

export function signedMembers(kind: string, signed: Signed<unknown>): LineMembers {
  return {
    kind,
    id: nameOfHash(signed.id),
    ...envelopeMembers(signed),
    reading: readingOf(signed.value),
  }
}

export function statementMembers(
  statement: DualSigned & { readonly value: unknown; readonly id: Uint8Array },
): LineMembers {
  return {
    kind: 'statement',
    id: nameOfHash(statement.id),
    body: toBase64Url(statement.body),
    sellerSignature: toBase64Url(statement.sellerSignature),
    buyerSignature: toBase64Url(statement.buyerSignature),
    reading: readingOf(statement.value),
  }
}

export function journalMembers(encoded: Uint8Array, entry: JournalEntry): LineMembers {
  return { kind: 'journal', body: toBase64Url(encoded), reading: readingOf(entry) }
}

/** Where a journal begins whose older entries were pruned: the checkpoint that covers them, and the peaks of their tree. */
export function startMembers(checkpoint: Signed<Checkpoint>, peaks: readonly Uint8Array[]): LineMembers {
  const { kind: _, reading, ...signed } = signedMembers('start', checkpoint)
  return { kind: 'start', ...signed, peaks: peaks.map(toHex), reading }
}

function envelopeMembers(envelope: Envelope): LineMembers {
  return { body: toBase64Url(envelope.body), signature: toBase64Url(envelope.signature) }
}

/** The text of a line without its newline, and its link. */
export function writeLine(members: LineMembers, before: Uint8Array): { text: string; link: Uint8Array } {
  const start = JSON.stringify(members).slice(0, -1)
  const link = sha256(Buffer.concat([before, utf8(start)]))
  return { text: `${start},"link":"${toHex(link)}"}`, link }
}

/**
 * The ledger as lines, each with its newline, as it stood at one moment. Per account its statements in order, each after the
 * orders, vouchers and receipts it settles, then what is not settled yet; then the journal with its checkpoints, of which the
 * newest covers the whole file; then the seal. A ledger whose disk takes nothing more is exported without a checkpoint of now.
 */
export async function* exportLedger(ledger: Ledger, exportedAtMs: number): AsyncIterable<string> {
  const { network, asset, key } = ledger
  const snapshot = await ledger.takeCheckpoint().catch((thrown: unknown) => {
    if (toTokError(thrown).code === 'storage_failed') return ledger.snapshot()
    throw thrown
  })
  let link = FIRST_LINK
  let lines = 0
  const line = (members: LineMembers): string => {
    const written = writeLine(members, link)
    link = written.link
    lines += 1
    return `${written.text}\n`
  }
  yield line(headerMembers({ network, asset, node: key.publicKey, exportedAtMs }))
  for (const { id, head, unsettled } of snapshot.accounts) {
    for await (const statement of ledger.statementsOf(id)) {
      if (statement.value.sequence > (head?.sequence ?? 0)) break
      for (const { order } of callItems(statement.value)) yield* callLines(order, true)
      yield line(statementMembers(statement))
    }
    for (const order of unsettled) yield* callLines(order, false)
  }
  yield* journalLines()
  const sealed = seal(
    EXPORT_SEAL,
    { type: DOMAINS.export, network, asset, node: key.publicKey, exportedAtMs, lines, link },
    key,
  )
  yield line(signedMembers('seal', sealed))

  async function* callLines(order: Uint8Array, isSettled: boolean): AsyncIterable<string> {
    const call = await ledger.callRecord(order)
    if (call === undefined) return
    yield line(signedMembers('order', call.order))
    const voucher = isSettled ? (call.settledVoucher ?? call.voucher) : call.voucher
    if (voucher !== undefined) yield line(signedMembers('voucher', voucher))
    if (call.receipt !== undefined) yield line(signedMembers('receipt', call.receipt))
  }

  /** Entries, and each checkpoint directly after the newest entry that it covers. */
  async function* journalLines(): AsyncIterable<string> {
    const start = await ledger.journalStart()
    if (start !== undefined) yield line(startMembers(start, start.peaks))
    const checkpoints = ledger.checkpoints(false, start?.value.sequence)[Symbol.asyncIterator]()
    let next = await checkpoints.next()
    async function* upTo(entries: number): AsyncIterable<string> {
      const last = snapshot.checkpoint?.value.sequence ?? 0
      for (; next.done !== true && next.value.value.entries <= entries; next = await checkpoints.next()) {
        if (next.value.value.sequence <= last) yield line(signedMembers('checkpoint', next.value))
      }
    }
    yield* upTo(start?.value.entries ?? 0)
    for await (const { entry, encoded } of ledger.journalEntries()) {
      if (entry.sequence > snapshot.entries) break
      yield line(journalMembers(encoded, entry))
      yield* upTo(entry.sequence)
    }
    await checkpoints.return?.()
  }
}
