/** Vectors of the export file in protocols/ledger/v1.md: one whole file, and files of a liar who links and seals them anew. */
import { seal, signingInput } from '../../src/wire/envelope.ts'
import { sha256, toBase64Url, utf8 } from '../../src/base/bytes.ts'
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
import { STATEMENT, type CallItem, type Statement } from '../../src/wire/account.ts'
import type { NodeKey } from '../../src/wire/identity.ts'
import { ORDER, RECEIPT, VOUCHER, type Voucher } from '../../src/wire/inference.ts'
import { journalEntryShape, type JournalEntry } from '../../src/wire/journal.ts'
import { priceUsage } from '../../src/wire/pricing.ts'
import { DOMAINS } from '../../src/wire/registry.ts'
import { decodeBody, encodeBody } from '../../src/wire/shape.ts'
import { ASSET, digestOf, KEYS, NETWORK, NOW_MS, type Case } from './case.ts'
import { order, receipt, voucher } from './inference.ts'

const { buyer, seller, stranger } = KEYS

const header = headerMembers({ network: NETWORK, asset: ASSET, node: seller.publicKey, exportedAtMs: NOW_MS })
const orderLine = signedMembers('order', seal(ORDER, order, buyer))
const voucherLine = signedMembers('voucher', seal(VOUCHER, voucher, buyer))
const receiptLine = signedMembers('receipt', seal(RECEIPT, receipt, seller))

const item: CallItem = {
  kind: 'call',
  order: voucher.order,
  voucher: seal(VOUCHER, voucher, buyer).id,
  receipt: seal(RECEIPT, receipt, seller).id,
  usage: voucher.usage,
  amount: voucher.amount,
}

const first: Statement = {
  type: DOMAINS.statement,
  network: NETWORK,
  asset: ASSET,
  buyer: buyer.publicKey,
  seller: seller.publicKey,
  sequence: 1,
  items: [item],
  owed: item.amount,
  paid: 0n,
  creditLimit: 100_000n,
  issuedAtMs: NOW_MS,
}

/** Another call, that no statement settles. */
const openOrder = seal(ORDER, { ...order, nonce: new Uint8Array(16) }, buyer)
const openVoucher = seal(VOUCHER, { ...voucher, order: openOrder.id }, buyer)

function statementLine(statement: Statement, sellerKey: NodeKey = seller, buyerKey: NodeKey = buyer): LineMembers {
  const signed = seal(STATEMENT, statement, sellerKey)
  const buyerSignature = buyerKey.sign(signingInput(STATEMENT.domain, signed.body))
  const value = decodeBody(STATEMENT.shape, signed.body, 'statement') // fields in the order of the shape
  return statementMembers({ ...signed, value, sellerSignature: signed.signature, buyerSignature })
}

function entry(sequence: number, previous: Uint8Array | undefined): JournalEntry {
  return {
    kind: 'inference',
    sequence,
    previous,
    recordedAtMs: NOW_MS,
    requestId: `req-${sequence}`,
    direction: 'sold',
    endpoint: 'chat',
    dialect: 'openai-chat',
    stream: 'yes',
    requestedModel: 'qwen3:8b "größer"\n',
    resolvedModel: 'qwen3:8b',
    target: 'ollama',
    counterparty: buyer.publicKey,
    order: voucher.order,
    status: 'completed',
    tokenSource: 'absent',
    amount: item.amount,
    durationMs: 4_200,
    retries: 0,
  }
}

function journalLine(sequence: number, previous?: Uint8Array): LineMembers {
  const value = entry(sequence, previous)
  return journalMembers(encodeBody(journalEntryShape, value), value)
}

const firstEntryDigest = sha256(encodeBody(journalEntryShape, entry(1, undefined)))

/** The lines of a file, linked and sealed by `key`. */
function fileOf(
  members: readonly LineMembers[],
  key: NodeKey = seller,
  changes: { readonly lines?: number } = {},
): string[] {
  let link = FIRST_LINK
  const write = (each: LineMembers): string => {
    const written = writeLine(each, link)
    link = written.link
    return written.text
  }
  const texts = members.map(write)
  const value = {
    type: DOMAINS.export,
    network: NETWORK,
    asset: ASSET,
    node: seller.publicKey,
    exportedAtMs: NOW_MS,
    lines: changes.lines ?? members.length,
    link,
  } as const
  return [...texts, write(signedMembers('seal', seal(EXPORT_SEAL, value, key)))]
}

const call = [orderLine, voucherLine, receiptLine]
const whole = [header, ...call, statementLine(first), journalLine(1)]

/** @returns the files that verify */
export function acceptedExports(): Case[] {
  const file = (name: string, members: readonly LineMembers[]): Case => ({
    name: `export: ${name}`,
    check: 'export',
    lines: fileOf(members),
  })
  const second: Statement = {
    ...first,
    sequence: 2,
    previous: seal(STATEMENT, first, seller).id,
    items: [{ ...item, order: openOrder.id, voucher: openVoucher.id, receipt: undefined }],
    owed: item.amount * 2n,
  }
  const openCall = [signedMembers('order', openOrder), signedMembers('voucher', openVoucher)]
  return [
    file('nothing happened yet', [header]),
    file('one statement and one entry', whole),
    file('two statements, the second without a receipt', [
      header,
      ...call,
      statementLine(first),
      ...openCall,
      statementLine(second),
    ]),
    file('a call that is not settled', [header, ...openCall, journalLine(1), journalLine(2, firstEntryDigest)]),
  ]
}

/** @returns the files that do not */
export function rejectedExports(): Case[] {
  const bad = (name: string, step: string, lines: readonly string[]): Case => ({
    name: `export: ${name}`,
    check: 'export',
    step,
    error: 'export_invalid',
    lines,
  })
  const lie = (name: string, step: string, members: readonly LineMembers[]): Case => bad(name, step, fileOf(members))
  const good = fileOf(whole)
  const [headerText = '', orderText = '', voucherText = ''] = good
  const edited = (at: number, from: string, to: string): string[] =>
    good.map((text, index) => (index === at ? text.replace(from, to) : text))
  const statement = (changes: Partial<Statement>): LineMembers[] => [
    header,
    ...call,
    statementLine({ ...first, ...changes }),
  ]
  const amountOf = (outputTokens: number): Pick<Voucher, 'usage' | 'amount'> => {
    const usage = { ...voucher.usage, outputTokens }
    return { usage, amount: priceUsage(usage, order.prices) }
  }
  return [
    bad('a line that is no JSON', 'export 1', [headerText, '{"kind":', ...good.slice(1)]),
    bad('a line that is a list', 'export 1', [headerText, '[]', ...good.slice(1)]),
    bad('no header', 'export 2', good.slice(1)),
    bad('a header of a key that nobody has', 'export 2', edited(0, seller.peer, 'nobody')),
    bad('a line of a kind that does not exist', 'export 3', [headerText, '{"kind":"gift"}', ...good.slice(1)]),
    lie('a body that is no order', 'export 4', [header, { ...orderLine, body: toBase64Url(utf8('no order')) }]),
    lie('a journal entry as an order', 'export 4', [header, { ...journalLine(1), kind: 'order', signature: 'AAAA' }]),
    bad(
      'an amount changed in the reading alone',
      'export 5',
      edited(2, `"amount":"${voucher.amount}"`, '"amount":"1"'),
    ),
    bad('a blank inside a line', 'export 5', edited(3, '{"kind"', '{ "kind"')),
    bad('a link changed', 'export 5', edited(4, '"link":"', '"link":"0')),
    bad('a line left out', 'export 5', good.toSpliced(3, 1)),
    bad('two lines exchanged', 'export 5', good.toSpliced(1, 2, voucherText, orderText)),
    bad('a body with base64 that has a second form', 'export 5', edited(1, '","signature"', '=","signature"')),
    lie('an order signed by someone else', 'export 6', [header, signedMembers('order', seal(ORDER, order, stranger))]),
    lie('a statement without the buyer', 'export 6', [header, ...call, statementLine(first, seller, stranger)]),
    lie('a signature of another line', 'export 6', [
      header,
      { ...orderLine, signature: String(receiptLine['signature']) },
    ]),
    lie('an account of strangers', 'export 7', [
      header,
      statementLine({ ...first, buyer: stranger.publicKey, seller: buyer.publicKey }, buyer, stranger),
    ]),
    lie('a statement of another asset', 'export 8', statement({ asset: 'EUR' })),
    lie('a chain that begins in the middle', 'export 9', statement({ sequence: 2, previous: digestOf('hidden') })),
    lie('more owed than the items make', 'export 9', statement({ owed: item.amount + 1n })),
    lie('an order settled twice', 'export 10', [
      ...statement({}),
      ...call,
      statementLine({ ...first, sequence: 2, previous: seal(STATEMENT, first, seller).id, owed: item.amount * 2n }),
    ]),
    lie('a statement whose order is missing', 'export 11', [header, voucherLine, receiptLine, statementLine(first)]),
    lie('a statement whose voucher is missing', 'export 12', [header, orderLine, receiptLine, statementLine(first)]),
    lie('a statement whose receipt is missing', 'export 13', [header, orderLine, voucherLine, statementLine(first)]),
    lie('a voucher of another order', 'export 15', [
      header,
      orderLine,
      signedMembers('voucher', openVoucher),
      statementLine({ ...first, items: [{ ...item, voucher: openVoucher.id, receipt: undefined }] }),
    ]),
    lie('more settled than the voucher promised', 'export 16', [
      header,
      ...call,
      statementLine({ ...first, items: [{ ...item, ...amountOf(300) }], owed: amountOf(300).amount }),
    ]),
    lie('a journal that begins in the middle', 'export 17', [header, journalLine(2, digestOf('hidden'))]),
    lie('a journal with a gap', 'export 17', [header, journalLine(1), journalLine(3, firstEntryDigest)]),
    lie('a journal entry that follows another', 'export 18', [
      header,
      journalLine(1),
      journalLine(2, digestOf('another')),
    ]),
    bad('a seal by someone else', 'export 6', fileOf(whole, stranger)),
    bad('a seal over another count of lines', 'export 19', fileOf(whole, seller, { lines: 3 })),
    bad('a line after the seal', 'export 20', [...good, orderText]),
    bad('no seal', 'export 21', good.slice(0, -1)),
    bad('no lines', 'export 21', []),
  ]
}
