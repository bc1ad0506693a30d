/** Vectors of the export file in protocols/ledger/v1.md: one whole file, and files of a liar who links and seals them anew. */
import { seal, signingInput } from '../../src/wire/envelope.ts'
import { sha256, toBase64Url, utf8 } from '../../src/base/bytes.ts'
import {
  EXPORT_SEAL,
  FIRST_LINK,
  headerMembers,
  journalMembers,
  signedMembers,
  startMembers,
  statementMembers,
  writeLine,
  type LineMembers,
} from '../../src/ledger/export.ts'
import { writeProof } from '../../src/ledger/inclusion-proof.ts'
import { CHECKPOINT, accountHeadShape, type AccountHeadLeaf, type Checkpoint } from '../../src/wire/checkpoint.ts'
import { createMerkleTree } from '../../src/wire/merkle.ts'
import { accountId, STATEMENT, type CallItem, type Statement } from '../../src/wire/account.ts'
import type { NodeKey } from '../../src/wire/identity.ts'
import { ORDER, RECEIPT, VOUCHER, type Voucher } from '../../src/wire/inference.ts'
import { journalEntryShape, type JournalEntry } from '../../src/wire/journal.ts'
import { priceUsage } from '../../src/wire/pricing.ts'
import { DOMAINS } from '../../src/wire/registry.ts'
import { decodeBody, encodeBody } from '../../src/wire/shape.ts'
import { ASSET, digestOf, KEYS, NETWORK, NOW_MS, type Case } from './case.ts'
import { nettingItem, paymentItem } from './account.ts'
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

/** The statement after the first: a payment and a netting. */
const settling: Statement = {
  ...first,
  sequence: 2,
  previous: seal(STATEMENT, first, seller).id,
  items: [paymentItem, nettingItem],
  paid: paymentItem.amount + nettingItem.amount,
}

/** A call the other way round, and the statement of the opposite account that holds it and a netting. */
const turned = { buyer: seller.publicKey, seller: buyer.publicKey }
const turnedOrder = seal(ORDER, { ...order, ...turned }, seller)
const turnedVoucher = seal(VOUCHER, { ...voucher, ...turned, order: turnedOrder.id }, seller)

function oppositeLines(amount: bigint): LineMembers[] {
  const turnedItem = { ...item, order: turnedOrder.id, voucher: turnedVoucher.id, receipt: undefined }
  const items = [turnedItem, { ...nettingItem, amount }]
  return [
    signedMembers('order', turnedOrder),
    signedMembers('voucher', turnedVoucher),
    statementLine({ ...first, ...turned, items, paid: amount }, buyer, seller),
  ]
}

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

/** Bytes of the entries 1 to `count`, each chained to the one before. */
function entriesTo(count: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const before = entries.at(-1)
    entries.push(encodeBody(journalEntryShape, entry(sequence, before && sha256(before))))
  }
  return entries
}

function treeOf(leaves: readonly Uint8Array[]): ReturnType<typeof createMerkleTree> {
  const tree = createMerkleTree()
  for (const leaf of leaves) tree.add(leaf)
  return tree
}

/** Where the account of `first` stands after it. */
export const accountHead: AccountHeadLeaf = {
  account: accountId(first),
  sequence: 1,
  head: seal(STATEMENT, first, seller).id,
  owed: first.owed,
  paid: 0n,
}

/** A checkpoint over the accounts and the first `entries` entries. */
export function checkpointOf(
  accounts: readonly AccountHeadLeaf[],
  entries: number,
  changes: Partial<Checkpoint> = {},
): Checkpoint {
  const bytes = entriesTo(entries)
  const newest = bytes.at(-1)
  return {
    type: DOMAINS.checkpoint,
    network: NETWORK,
    asset: ASSET,
    node: seller.publicKey,
    sequence: 1,
    createdAtMs: NOW_MS,
    accounts: accounts.length,
    accountsRoot: treeOf(accounts.map((leaf) => encodeBody(accountHeadShape, leaf))).root(),
    entries,
    entriesRoot: treeOf(bytes).root(),
    journalHead: newest && sha256(newest),
    ...changes,
  }
}

function checkpointLine(value: Checkpoint, key: NodeKey = seller): LineMembers {
  return signedMembers('checkpoint', signedOf(value, key))
}

function startLine(value: Checkpoint, peaks = treeOf(entriesTo(value.entries)).peaks()): LineMembers {
  return startMembers(signedOf(value, seller), peaks)
}

/** Signed, and with its fields in the order of the shape. */
function signedOf(value: Checkpoint, key: NodeKey) {
  const signed = seal(CHECKPOINT, value, key)
  return { ...signed, value: decodeBody(CHECKPOINT.shape, signed.body, 'checkpoint') }
}

/** Lines of the entries from `from` to `to`. */
function journalLines(from: number, to: number): LineMembers[] {
  return entriesTo(to)
    .slice(from - 1)
    .map((bytes) => journalMembers(bytes, decodeBody(journalEntryShape, bytes, 'journal entry')))
}

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
    file('a payment, and a netting in both accounts', [
      header,
      ...oppositeLines(nettingItem.amount),
      ...call,
      statementLine(first),
      statementLine(settling),
    ]),
    file('one checkpoint over all', [...whole, checkpointLine(checkpointOf([accountHead], 1))]),
    file('a checkpoint in the middle of the journal', [
      header,
      ...call,
      statementLine(first),
      ...journalLines(1, 3),
      checkpointLine(checkpointOf([], 3)),
      ...journalLines(4, 5),
      checkpointLine(
        checkpointOf([accountHead], 5, {
          sequence: 2,
          previous: seal(CHECKPOINT, checkpointOf([], 3), seller).id,
        }),
      ),
    ]),
    file('a journal whose first five entries were pruned', [
      header,
      startLine(checkpointOf([], 5, { sequence: 4, previous: digestOf('pruned') })),
      ...journalLines(6, 7),
    ]),
    file('a journal that was pruned whole', [header, startLine(checkpointOf([], 4))]),
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
  // Two accounts of the exporter, of which one's id is below the other's.
  const other: Statement = { ...first, buyer: stranger.publicKey }
  const ofStranger = seal(ORDER, { ...order, buyer: stranger.publicKey }, stranger)
  const strangerVoucher = seal(VOUCHER, { ...voucher, order: ofStranger.id, buyer: stranger.publicKey }, stranger)
  const sold = [...call, statementLine(first)]
  const bought = [
    signedMembers('order', ofStranger),
    signedMembers('voucher', strangerVoucher),
    statementLine(
      {
        ...other,
        items: [{ ...item, order: ofStranger.id, voucher: strangerVoucher.id, receipt: undefined }],
      },
      seller,
      stranger,
    ),
  ]
  const isFirstBelow = Buffer.compare(accountId(first), accountId(other)) > 0
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
    lie('a chain that begins in the middle', 'export 10', statement({ sequence: 2, previous: digestOf('hidden') })),
    lie('more owed than the items make', 'export 10', statement({ owed: item.amount + 1n })),
    lie('an order settled twice', 'export 11', [
      ...statement({}),
      ...call,
      statementLine({ ...first, sequence: 2, previous: seal(STATEMENT, first, seller).id, owed: item.amount * 2n }),
    ]),
    lie('a payment in two statements', 'export 11', [
      header,
      ...call,
      statementLine(first),
      statementLine({ ...settling, items: [paymentItem], paid: paymentItem.amount }),
      statementLine({
        ...settling,
        sequence: 3,
        previous: seal(STATEMENT, { ...settling, items: [paymentItem], paid: paymentItem.amount }, seller).id,
        items: [{ ...paymentItem, payment: digestOf('another') }],
        paid: paymentItem.amount * 2n,
      }),
    ]),
    lie('a netting of another amount in the opposite account', 'export 11', [
      header,
      ...oppositeLines(nettingItem.amount - 1n),
      ...call,
      statementLine(first),
      statementLine(settling),
    ]),
    lie(
      'more paid than is owed',
      'export 10',
      statement({ items: [item, { ...paymentItem, amount: item.amount + 1n }], paid: item.amount + 1n }),
    ),
    lie('a statement whose order is missing', 'export 12', [header, voucherLine, receiptLine, statementLine(first)]),
    lie('a statement whose voucher is missing', 'export 13', [header, orderLine, receiptLine, statementLine(first)]),
    lie('a statement whose receipt is missing', 'export 14', [header, orderLine, voucherLine, statementLine(first)]),
    lie('a voucher of another order', 'export 16', [
      header,
      orderLine,
      signedMembers('voucher', openVoucher),
      statementLine({ ...first, items: [{ ...item, voucher: openVoucher.id, receipt: undefined }] }),
    ]),
    lie('more settled than the voucher promised', 'export 17', [
      header,
      ...call,
      statementLine({ ...first, items: [{ ...item, ...amountOf(300) }], owed: amountOf(300).amount }),
    ]),
    lie('a journal that begins in the middle', 'export 18', [header, journalLine(2, digestOf('hidden'))]),
    lie('a journal with a gap', 'export 18', [header, journalLine(1), journalLine(3, firstEntryDigest)]),
    lie('a journal entry that follows another', 'export 19', [
      header,
      journalLine(1),
      journalLine(2, digestOf('another')),
    ]),
    lie('accounts out of order', 'export 9', [
      header,
      ...(isFirstBelow ? [...sold, ...bought] : [...bought, ...sold]).flat(),
    ]),
    lie('a checkpoint of another node', 'export 20', [
      header,
      checkpointLine(checkpointOf([], 0, { node: stranger.publicKey }), stranger),
    ]),
    lie('a journal that begins twice', 'export 21', [
      header,
      startLine(checkpointOf([], 2)),
      startLine(checkpointOf([], 2)),
    ]),
    lie('a journal that begins after other entries', 'export 21', [
      header,
      startLine(checkpointOf([], 2), [digestOf('others')]),
    ]),
    lie('a beginning of other peaks', 'export 21', [
      header,
      startLine(checkpointOf([], 3), [treeOf(entriesTo(3)).root(), digestOf('more')]),
    ]),
    lie('a checkpoint of fewer entries', 'export 22', [header, journalLine(1), checkpointLine(checkpointOf([], 0))]),
    lie('a checkpoint of another journal', 'export 22', [
      header,
      journalLine(1),
      checkpointLine(checkpointOf([], 1, { entriesRoot: digestOf('another') })),
    ]),
    lie('a checkpoint of another newest entry', 'export 22', [
      header,
      journalLine(1),
      checkpointLine(checkpointOf([], 1, { journalHead: digestOf('another') })),
    ]),
    lie('checkpoints with a gap', 'export 23', [header, checkpointLine(checkpointOf([], 0, { sequence: 2 }))]),
    lie('a checkpoint that follows another', 'export 23', [
      header,
      checkpointLine(checkpointOf([], 0)),
      checkpointLine(checkpointOf([], 0, { sequence: 2, previous: digestOf('another') })),
    ]),
    lie('a last checkpoint without the account', 'export 24', [...whole, checkpointLine(checkpointOf([], 1))]),
    lie('a last checkpoint that says another balance', 'export 24', [
      ...whole,
      checkpointLine(checkpointOf([{ ...accountHead, paid: accountHead.owed }], 1)),
    ]),
    bad('a seal by someone else', 'export 6', fileOf(whole, stranger)),
    bad('a seal over another count of lines', 'export 25', fileOf(whole, seller, { lines: 3 })),
    bad('a line after the seal', 'export 26', [...good, orderText]),
    bad('no seal', 'export 27', good.slice(0, -1)),
    bad('no lines', 'export 27', []),
  ]
}

/** @returns proofs that hold, of an account and of each place in a journal of five */
export function acceptedProofs(): Case[] {
  return [
    { name: 'proof: an account', check: 'proof', line: proofOf('account', 0) },
    ...Array.from({ length: 5 }, (_, index) => ({
      name: `proof: entry ${index + 1} of 5`,
      check: 'proof',
      line: proofOf('entry', index),
    })),
  ]
}

/** @returns proofs that show nothing */
export function rejectedProofs(): Case[] {
  const bad = (name: string, step: number, line: string): Case => ({
    name: `proof: ${name}`,
    check: 'proof',
    step: `proof ${step}`,
    error: 'export_invalid',
    line,
  })
  const good = proofOf('entry', 1)
  return [
    bad('no JSON', 1, good.slice(1)),
    bad('of something else', 2, good.replace('"of":"entry"', '"of":"order"')),
    bad('an entry as an account', 2, good.replace('"of":"entry"', '"of":"account"')),
    bad('another reading', 3, good.replace('"status":"completed"', '"status":"failed"')),
    bad('a checkpoint of someone else', 4, proofOf('entry', 1, { key: stranger })),
    bad('another index', 5, proofOf('entry', 1, { index: 2 })),
    bad('an index beyond the tree', 5, proofOf('account', 0, { index: 1 })),
    bad('a step too few', 5, proofOf('entry', 1, { drop: 1 })),
    bad('the path of another entry', 5, proofOf('entry', 1, { pathOf: 2 })),
  ]
}

function proofOf(
  of: 'account' | 'entry',
  at: number,
  changes: { key?: NodeKey; index?: number; drop?: number; pathOf?: number } = {},
): string {
  const leaves = of === 'account' ? [encodeBody(accountHeadShape, accountHead)] : entriesTo(5)
  const tree = createMerkleTree(undefined, changes.pathOf ?? at)
  for (const leaf of leaves) tree.add(leaf)
  const proof = writeProof({
    checkpoint: signedOf(checkpointOf([accountHead], 5), changes.key ?? seller),
    of,
    leaf: leaves[at] ?? new Uint8Array(),
    index: changes.index ?? at,
    path: tree.path().slice(changes.drop ?? 0),
  })
  return proof.trimEnd()
}
