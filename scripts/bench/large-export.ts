/**
 * A large export, and what verifying it takes: `node scripts/bench/large-export.ts verify FILE` is the process that is measured,
 * so that nothing else is in its memory.
 */
import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { sha256, systemRandomBytes } from '../../src/base/bytes.ts'
import {
  EXPORT_SEAL,
  FIRST_LINK,
  headerMembers,
  journalMembers,
  signedMembers,
  statementMembers,
  writeLine,
  type LineMembers,
} from '../../src/ledger/export.ts'
import { verifyExportFile } from '../../src/ledger/verify-export.ts'
import { STATEMENT, type CallItem } from '../../src/wire/account.ts'
import { seal, signingInput, type Kind, type Signed } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed, type NodeKey } from '../../src/wire/identity.ts'
import { ORDER, VOUCHER, type Order } from '../../src/wire/inference.ts'
import { journalEntryShape, type JournalEntry } from '../../src/wire/journal.ts'
import { NO_USAGE, priceUsage } from '../../src/wire/pricing.ts'
import { DOMAINS, LIMITS } from '../../src/wire/registry.ts'
import { decodeBody, encodeBody } from '../../src/wire/shape.ts'

/** What verifying a file took. */
export interface VerifyCost {
  readonly elapsedMs: number
  readonly rssMaxBytes: number
  readonly lines: number
}

/** Writes the export of a seller: so many calls with one buyer, settled 32 at a time, and so many journal entries. */
export async function writeLargeExport(
  path: string,
  { calls, entries }: { readonly calls: number; readonly entries: number },
  orderOf: (buyer: Uint8Array, seller: Uint8Array) => Order,
): Promise<void> {
  const [buyer, seller] = [nodeKeyFromSeed(systemRandomBytes(32)), nodeKeyFromSeed(systemRandomBytes(32))]
  const { network, asset } = orderOf(buyer.publicKey, seller.publicKey)
  const header = { network, asset, node: seller.publicKey, exportedAtMs: 1 }
  const file = createWriteStream(path)
  let [link, lines] = [FIRST_LINK, 0]
  const write = async (members: LineMembers): Promise<void> => {
    const written = writeLine(members, link)
    link = written.link
    lines += 1
    if (!file.write(`${written.text}\n`)) await once(file, 'drain')
  }
  await write(headerMembers(header))
  for (const each of settledCalls(calls, buyer, seller, orderOf)) await write(each)
  for (const each of journal(entries)) await write(each)
  const value = { type: DOMAINS.export, ...header, lines, link } as const
  await write(signedMembers('seal', seal(EXPORT_SEAL, value, seller)))
  file.end()
  await once(file, 'close')
}

function* settledCalls(
  calls: number,
  buyer: NodeKey,
  seller: NodeKey,
  orderOf: (buyer: Uint8Array, seller: Uint8Array) => Order,
): Iterable<LineMembers> {
  let [sequence, owed, previous] = [0, 0n, undefined as Uint8Array | undefined]
  for (let done = 0; done < calls; done += LIMITS.statementItems) {
    const items: CallItem[] = []
    for (let index = 0; index < LIMITS.statementItems; index += 1) {
      const value = orderOf(buyer.publicKey, seller.publicKey)
      const order = signed(ORDER, value, buyer)
      const usage = { ...NO_USAGE, inputTokens: 100, outputTokens: index }
      const amount = priceUsage(usage, value.prices)
      const { network } = value
      const parties = { buyer: buyer.publicKey, seller: seller.publicKey }
      const promise = { type: DOMAINS.voucher, network, order: order.id, ...parties, index: 1, usage, amount } as const
      const voucher = signed(VOUCHER, promise, buyer)
      owed += amount
      items.push({ kind: 'call', order: order.id, voucher: voucher.id, usage, amount })
      yield signedMembers('order', order)
      yield signedMembers('voucher', voucher)
    }
    const { network, asset } = orderOf(buyer.publicKey, seller.publicKey)
    sequence += 1
    const statement = signed(
      STATEMENT,
      {
        type: DOMAINS.statement,
        network,
        asset,
        buyer: buyer.publicKey,
        seller: seller.publicKey,
        sequence,
        previous,
        items,
        owed,
        paid: 0n,
        creditLimit: owed,
        issuedAtMs: 1,
      },
      seller,
    )
    previous = statement.id
    const buyerSignature = buyer.sign(signingInput(STATEMENT.domain, statement.body))
    yield statementMembers({ ...statement, sellerSignature: statement.signature, buyerSignature })
  }
}

/** Signed, with its fields in the order in which an export shows them. */
function signed<T>(kind: Kind<T>, value: NoInfer<T>, key: NodeKey): Signed<T> {
  const sealed = seal(kind, value, key)
  return { ...sealed, value: decodeBody(kind.shape, sealed.body, kind.name) }
}

function* journal(entries: number): Iterable<LineMembers> {
  let previous: Uint8Array | undefined
  for (let sequence = 1; sequence <= entries; sequence += 1) {
    const entry: JournalEntry = {
      kind: 'inference',
      sequence,
      ...(previous === undefined ? {} : { previous }),
      recordedAtMs: sequence,
      requestId: `request-${sequence}`,
      direction: 'local',
      endpoint: 'chat',
      dialect: 'openai-chat',
      stream: 'yes',
      requestedModel: 'bench-model',
      resolvedModel: 'bench-model',
      status: 'completed',
      httpStatus: 200,
      inputTokens: 1_000,
      outputTokens: 300,
      tokenSource: 'provider',
      durationMs: 9_000,
      retries: 0,
    }
    const encoded = encodeBody(journalEntryShape, entry)
    previous = sha256(encoded)
    yield journalMembers(encoded, entry)
  }
}

/** Verifies a file in a process of its own, with Node's own signatures. */
export async function costOfVerifying(path: string): Promise<VerifyCost> {
  const program = fileURLToPath(import.meta.url)
  const { stdout } = await promisify(execFile)(process.execPath, [program, 'verify', path])
  return JSON.parse(stdout) as VerifyCost
}

if (import.meta.main && process.argv[2] === 'verify') {
  const startedAtMs = performance.now()
  const { lines } = await verifyExportFile(process.argv[3] ?? '', 'native')
  const elapsedMs = performance.now() - startedAtMs
  const cost: VerifyCost = { elapsedMs, rssMaxBytes: process.resourceUsage().maxRSS * 1_024, lines }
  console.log(JSON.stringify(cost))
}
