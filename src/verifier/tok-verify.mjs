#!/usr/bin/env node
/**
 * Checks an exported ledger: `node tok-verify.mjs FILE`. Exit code 0: it holds; 1: it does not.
 *
 * This is the whole program. It shares no code with the node that wrote the file: tweetnacl checks signatures, @ipld/dag-cbor
 * reads bodies, the rest stands below. It follows protocols/ledger/v1.md, whose list "export" numbers the steps that it names.
 * It holds a name of each settled call in memory, about 150 MB a million; `tok-node ledger verify` holds none.
 */
import { createHash } from 'node:crypto'
import { createReadStream, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { decode, encode } from '@ipld/dag-cbor'
import nacl from 'tweetnacl'

const FIELD = /[:,]\s+(\w+)(\??) ([^,\s]+)/g
/** Fields of the bodies, in the order in which people read them. "?": may be left out; "=": one of these words; hash: 32 bytes. */
const RULES = Object.fromEntries(
  `order: type =tok/order/1, network text:32, asset text:16, buyer hash, seller hash, nonce bytes:16, issuedAtMs count,
  expiresAtMs count, advert hash, model text:200, endpoint =chat|responses|embeddings|messages, dialect dialect, prices prices,
  windowTokens count, hiddenOutputTokensMax count, inputTokensEstimate count, inputTokensMax count, outputTokensMax count,
  amountMax amount, requestCommitment hash
voucher: type =tok/voucher/1, network text:32, order hash, buyer hash, seller hash, index count, usage usage, amount amount
receipt: type =tok/receipt/1, network text:32, order hash, buyer hash, seller hash, model? text:200, status status,
  httpStatus? count, error? text:64, usage usage, usageSource =provider|counted, amount amount, answerBytes count,
  answerDigest hash, startedAtMs count, firstPartMs? count, durationMs count
statement: type =tok/statement/1, network text:32, asset text:16, buyer hash, seller hash, sequence count, previous? hash,
  items items, owed amount, paid amount, creditLimit amount, issuedAtMs count, rejection? hash,
  buyerRestoredAtMs? count, sellerRestoredAtMs? count
call: kind =call, order hash, voucher hash, receipt? hash, usage usage, amount amount
payment: kind =payment, payment hash, adapter text:32, reference text:256, amount amount, paidAtMs count
netting: kind =netting, netting hash, amount amount
journal: kind =inference, sequence count, previous? hash, recordedAtMs count, requestId text:128, direction =local|bought|sold,
  endpoint =chat|responses|embeddings|messages|count_tokens, dialect dialect, providerDialect? dialect, stream =yes|no,
  requestedModel text:200, resolvedModel text:200, servedModel? text:200, target? text:128, counterparty? hash, order? hash,
  receipt? hash, status status, httpStatus? count, error? text:64, inputTokens? count, cachedInputTokens? count,
  cacheWriteTokens? count, outputTokens? count, reasoningTokens? count, tokenSource =provider|counted|absent, amount? amount,
  held? amount, prices? prices, firstByteMs? count, durationMs count, retries count, retryOf? text:128
checkpoint: type =tok/checkpoint/1, network text:32, asset text:16, node hash, sequence count, previous? hash,
  createdAtMs count, accounts count, accountsRoot hash, entries count, entriesRoot hash, journalHead? hash
seal: type =tok/export/1, network text:32, asset text:16, node hash, exportedAtMs count, lines count, link hash
prices: input amount, cachedInput amount, cacheWrite amount, output amount
usage: inputTokens count, cachedInputTokens count, cacheWriteTokens count, outputTokens count`
    .replaceAll(/(\w+\??) dialect/g, '$1 =openai-chat|openai-responses|anthropic-messages')
    .replaceAll(/status status/g, 'status =completed|truncated|aborted|failed')
    .split(/\n(?=\w)/)
    .map((rule) => [rule.split(':')[0], Array.from(rule.matchAll(FIELD), ([, ...field]) => field)]),
)
/** Who signs a line of each kind. */
const SIGNERS = { order: ['buyer'], voucher: ['buyer'], receipt: ['seller'], statement: ['seller', 'buyer'] }
Object.assign(SIGNERS, { journal: [], start: ['node'], checkpoint: ['node'], seal: ['node'] })

/** True if a decoded value is of a type: a rule above, or a word of theirs. */
function fits(value, type) {
  const [name, most] = type.split(':')
  if (name.startsWith('=')) return name.slice(1).split('|').includes(value)
  if (name === 'count') return Number.isSafeInteger(value) && value >= 0
  if (name === 'amount') return fits(value, 'count') || (typeof value === 'bigint' && value >= 0n && value < 2n ** 63n)
  if (name === 'hash' || name === 'bytes') return value instanceof Uint8Array && value.length === Number(most ?? 32)
  if (name === 'text') return typeof value === 'string' && isText(value) && Buffer.byteLength(value) <= Number(most)
  if (name === 'items') return Array.isArray(value) && value.length <= 32 && value.every(isItem)
  const isKnown = ([field, mark, of]) => (mark === '?' && value[field] === undefined) || fits(value[field], of)
  const isMap = typeof value === 'object' && value !== null && RULES[name].every(isKnown)
  return isMap && Object.keys(value).every((key) => RULES[name].some(([field]) => field === key))
}
const isText = (value) => value !== '' && value.isWellFormed() && !value.startsWith('\ufeff')
const isItem = (item) => ['call', 'payment', 'netting'].includes(item?.kind) && fits(item, item.kind)

/** A body for people, as an export shows it. */
function reading(value, type, field) {
  if (type === 'amount') return String(value)
  if (type === 'items') return value.map((item) => reading(item, item.kind))
  const fields = (RULES[type] ?? []).filter(([name]) => value[name] !== undefined)
  if (RULES[type]) return Object.fromEntries(fields.map(([name, , of]) => [name, reading(value[name], of, name)]))
  if (!(value instanceof Uint8Array)) return value
  if (['buyer', 'seller', 'node', 'counterparty'].includes(field)) return peerOf(value)
  const isDigest = ['requestCommitment', 'answerDigest', 'link', 'accountsRoot', 'entriesRoot'].includes(field)
  return type === 'hash' && !isDigest ? cidOf(value) : hex(value)
}

const sha256 = (...parts) => parts.reduce((hashing, part) => hashing.update(part), createHash('sha256')).digest()
const same = (one, other) => (one && other ? Buffer.compare(one, other) === 0 : one === other)
const hex = (data) => Buffer.from(data).toString('hex')
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** A key as a peer ID: base58 of a prefix and the key. */
function peerOf(key) {
  let [number, digits] = [BigInt(`0x2408011220${hex(key)}`), '']
  for (; number > 0n; number /= 58n) digits = BASE58[number % 58n] + digits
  return `1${digits}`
}

/** The key of a peer ID, or undefined. */
function keyOf(peer) {
  const digits = Array.from(String(peer), (digit) => BigInt(BASE58.indexOf(digit)))
  const number = digits.reduce((sum, digit) => sum * 58n + (digit < 0n ? 0n : digit), 0n)
  const key = Buffer.from(number.toString(16).padStart(64, '0').slice(-64), 'hex')
  return peerOf(key) === peer && isUsable(key) ? key : undefined
}

/** The hash of a body as a CID: base32 of a prefix and the hash. */
function cidOf(hash) {
  const number = BigInt(`0x01711220${hex(hash)}`) << 2n
  const digits = Array.from({ length: 58 }, (_, at) => (number >> BigInt(285 - 5 * at)) & 31n)
  return `b${digits.map((digit) => 'abcdefghijklmnopqrstuvwxyz234567'[digit]).join('')}`
}

/** True unless the key has small order: then a signature under it could be anyone's. */
function isUsable(key) {
  const y = hex(key.map((byte, at) => (at === 31 ? byte & 0x7f : byte)))
  return !/^(0[01](00){31}|e[cde](ff){30}7f|26e8958f.{48}6d53fc05|c7176a70.{48}7792ac037a)$/.test(y)
}

/** tweetnacl takes S + L for S, which gives a signature two forms: so S < L is asked for here. */
function holds(key, domain, body, signature, verify) {
  if (signature.length !== 64 || !isUsable(key)) return false
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  if (BigInt(`0x${hex(signature.subarray(32).toReversed())}`) >= order) return false
  return verify(Buffer.concat([Buffer.from(`${domain}\0`), sha256(body)]), signature, key)
}

// Merkle trees as in RFC 9162: a count of leaves, and the roots of the whole subtrees, the largest first.
const join = (left, right) => sha256('\x01', left, right)
const rootOf = ({ peaks }) => (peaks.length === 0 ? sha256() : peaks.reduceRight((root, peak) => join(peak, root)))
function grow(tree, leaf) {
  let added = sha256('\0', leaf)
  for (let size = tree.count; size % 2 === 1; size = (size - 1) / 2) added = join(tree.peaks.pop(), added)
  tree.peaks.push(added)
  tree.count += 1
}

/** True if a bill is within its order, and costs what the order's prices make, rounded up once. */
function isRight({ usage, amount }, { prices, inputTokensMax, outputTokensMax, amountMax }) {
  const [input, cached, written, output] = RULES.usage.map(([name]) => BigInt(usage[name]))
  const [perInput, perCached, perWritten, perOutput] = RULES.prices.map(([name]) => BigInt(prices[name]))
  const cost = (input - cached - written) * perInput + cached * perCached + written * perWritten + output * perOutput
  const isWithin = input <= inputTokensMax && output <= outputTokensMax && amount <= amountMax
  return isWithin && cached + written <= input && (cost + 999_999n) / 1_000_000n === BigInt(amount)
}

/** What an item is known by in its account; a payment by its reference too. */
function namesOf(item) {
  const name = `${item.kind} ${hex(item.order ?? item.payment ?? item.netting)}`
  return item.kind === 'payment' ? [name, JSON.stringify([item.adapter, item.reference])] : [name]
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })
const attempt = async (act) => act()

/** Says what an export holds. @throws Error with `line` and `step`: the first fault. `verify`: for a test that remembers answers. */
export async function verifyFile(chunks, verify = nacl.sign.detached.verify) {
  const counted = 'lines statements signatures checkpoints unsettled halfNettings journalPruned'.split(' ')
  const found = Object.fromEntries(counted.map((name) => [name, 0]))
  const [settled, accounts, leaves] = [new Set(), [], { count: 0, peaks: [] }]
  let [number, rest, link, isSealed, papers] = [1, Buffer.alloc(0), Buffer.alloc(32), false, new Map()]
  let header, account, journal, journalHead, checkpoint, newest
  const isNew = (name) => settled.size < settled.add(name).size
  const demand = (step, is, reason) => {
    if (!is) throw Object.assign(new Error(`line ${number}: ${reason} (step ${step})`), { line: number, step })
  }
  const readers = { order: keep, voucher: keep, receipt: keep, statement: readStatement, journal: readJournal }
  Object.assign(readers, { start: readCheckpoint, checkpoint: readCheckpoint, seal: readSeal })

  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk])
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      await readLine(rest.subarray(0, end))
      rest = rest.subarray(end + 1)
      number += 1
    }
    demand(1, rest.length <= 1_048_576, 'a line has no end')
  }
  demand(1, rest.length === 0, 'the last line is cut off')
  demand(27, isSealed, 'the file ends before its seal: lines are missing')
  const journalEntries = (journal?.count ?? 0) - found.journalPruned
  return { ...header.said, ...found, journalEntries, accounts, checkpoint: newest }

  async function readLine(data) {
    demand(26, !isSealed, 'there is a line after the seal')
    demand(1, data.length <= 1_048_576, 'the line is too long')
    const members = await attempt(() => JSON.parse(UTF8.decode(data))).catch(() => undefined)
    demand(1, typeof members === 'object' && members !== null && !Array.isArray(members), 'the line is no JSON object')
    if (number === 1) return readHeader(data, members)
    demand(3, Object.hasOwn(SIGNERS, members.kind), 'a line of unknown kind')
    await readBody(data, members, members.kind === 'start' ? 'checkpoint' : members.kind)
  }

  /** The line is, to the byte, what its bodies and the link before it make. */
  function checkLine(data, members) {
    const start = JSON.stringify(members).slice(0, -1)
    const next = sha256(link, start)
    demand(5, same(Buffer.from(`${start},"link":"${hex(next)}"}`), data), 'the line is not what its signed bytes make')
    link = next
  }

  function readHeader(data, members) {
    const said = Object.fromEntries(['network', 'asset', 'node', 'exportedAtMs'].map((name) => [name, members[name]]))
    header = { ...said, said, key: keyOf(said.node) }
    const isTyped = [said.network, said.asset].every((name) => typeof name === 'string')
    demand(2, header.key && isTyped && Number.isSafeInteger(said.exportedAtMs), 'the header is malformed')
    checkLine(data, { kind: 'header', format: 'tok/export/1', ...said })
  }

  async function readBody(data, members, rule) {
    const { kind } = members
    const signers = SIGNERS[kind]
    const names = ['body', ...signers.map((signer) => (signers.length === 1 ? 'signature' : `${signer}Signature`))]
    const isWhole = names.every((name) => typeof members[name] === 'string')
    const [body, ...signatures] = names.map((name) => Buffer.from(String(members[name]), 'base64url'))
    const value = await attempt(() => decode(body)).catch(() => undefined)
    demand(4, isWhole && fits(value, rule) && same(encode(value), body), `the body is no ${rule}`)
    const [id, before] = [sha256(body), link]
    const peaks = Array.isArray(members.peaks) ? members.peaks.map((peak) => Buffer.from(String(peak), 'hex')) : []
    const signed = [body, ...signatures].map((part, at) => [names[at], part.toString('base64url')])
    const shown = { ...Object.fromEntries(signed), ...(kind === 'start' && { peaks: peaks.map(hex) }) }
    const named = { kind, ...(kind !== 'journal' && { id: cidOf(id) }) }
    checkLine(data, { ...named, ...shown, reading: reading(value, rule) })
    for (const [at, signer] of signers.entries()) {
      found.signatures += 1
      const isSigned = holds(value[signer], value.type, body, signatures[at], verify)
      demand(6, isSigned, `a signature of the ${kind} does not verify`)
    }
    readers[kind](value, { kind, id, body, before, peaks })
  }

  function keep(paper, { kind, id }) {
    if (kind === 'voucher' && papers.has(hex(paper.order))) found.unsettled += 1
    papers.delete(hex(id))
    papers.set(hex(id), { kind, ...paper })
    if (papers.size > 128) papers.delete(papers.keys().next().value)
  }

  function readStatement(statement, { id }) {
    const { network, asset, buyer, seller, sequence, previous, items } = statement
    demand(7, same(header.key, buyer) || same(header.key, seller), 'the exporting node is no party to this account')
    demand(8, network === header.network && asset === header.asset, 'the statement is of another network or asset')
    const name = sha256('tok/account/1\0', encode({ network, asset, buyer, seller }))
    demand(9, !account || Buffer.compare(name, account.id) >= 0, 'the accounts are not in the order of their ids')
    if (!same(name, account?.id)) {
      closeAccount()
      account = { id: name, buyer, seller, statements: 0, head: undefined, owed: 0n, paid: 0n, calls: 0 }
    }
    const [owed, paid] = [BigInt(statement.owed), BigInt(statement.paid)]
    const calls = items.filter((item) => item.kind === 'call')
    const sum = (some) => some.reduce((total, { amount }) => total + BigInt(amount), 0n)
    const isSum =
      owed === account.owed + sum(calls) && owed + paid === account.owed + account.paid + sum(items) && paid <= owed
    const isOnce = new Set(items.flatMap(namesOf)).size === items.flatMap(namesOf).length
    const isNext = sequence === account.statements + 1 && same(previous, account.head)
    const isSomething = items.every(({ kind, amount }) => kind === 'call' || amount > 0)
    demand(10, isNext && isSum && isOnce && isSomething, 'the statement does not follow the one before')
    for (const item of items) (item.kind === 'call' ? settleCall : settleOther)(item, statement)
    Object.assign(account, { statements: sequence, head: id, owed, paid, calls: account.calls + calls.length })
    found.statements += 1
    papers = new Map()
  }

  function settleCall(call, of) {
    demand(11, isNew(hex(call.order)), 'the order is settled twice')
    const named = ['order', 'voucher', 'receipt'].flatMap((kind, at) => {
      const paper = call[kind] && papers.get(hex(call[kind]))
      demand(12 + at, !call[kind] || paper?.kind === kind, `the ${kind} is missing before its statement`)
      return paper ?? []
    })
    const [order, voucher, receipt = voucher] = named
    const isTheirs = ({ network, buyer, seller }) =>
      network === of.network && same(buyer, of.buyer) && same(seller, of.seller)
    demand(15, named.every(isTheirs) && order.asset === of.asset, 'a paper of the call is of other parties')
    demand(16, same(voucher.order, call.order) && same(receipt.order, call.order), 'a paper is of another order')
    const isDue = call.amount === (receipt.amount < voucher.amount ? receipt.amount : voucher.amount)
    demand(17, isDue && isRight(call, order) && isRight(voucher, order), 'the amount is not what its papers make')
    found.unsettled -= 1
  }

  function settleOther(item) {
    for (const name of namesOf(item)) demand(11, isNew(`${hex(account.id)} ${name}`), 'it is settled twice')
    if (item.kind === 'payment') return
    const documentOf = (buyer, seller) => [item.netting, buyer, seller].map(hex).join(' ') + item.amount
    const isHalf = isNew(hex(item.netting))
    const isOpposite = isHalf || settled.has(documentOf(account.seller, account.buyer))
    demand(11, isOpposite, 'the netting is another one in the opposite account')
    settled.add(documentOf(account.buyer, account.seller))
    found.halfNettings += isHalf ? 1 : -1
  }

  function closeAccount() {
    if (!account) return
    const { id, statements, head, owed, paid } = account
    grow(leaves, encode({ account: id, sequence: statements, head, owed, paid }))
    accounts.push({ ...account, buyer: peerOf(account.buyer), seller: peerOf(account.seller) })
  }

  function readJournal({ sequence, previous }, { body, id }) {
    journal ??= { count: 0, peaks: [] }
    demand(18, sequence === journal.count + 1, 'the journal has a gap')
    demand(19, same(previous, journalHead), 'the journal entry does not follow the one before')
    grow(journal, body)
    journalHead = id
  }

  function readCheckpoint(value, { kind, id, peaks }) {
    const { node, network, asset, entries, sequence, previous, createdAtMs } = value
    const isOurs = same(node, header.key) && network === header.network && asset === header.asset
    demand(20, isOurs, 'the checkpoint is of another node, network or asset')
    if (kind === 'start') {
      const ones = entries.toString(2).replaceAll('0', '').length
      const isTree = peaks.length === ones && same(rootOf({ peaks }), value.entriesRoot)
      demand(21, !journal && isTree && peaks.every((peak) => peak.length === 32), 'the journal cannot begin here')
      ;[journal, journalHead, found.journalPruned] = [{ count: entries, peaks }, value.journalHead, entries]
    }
    journal ??= { count: 0, peaks: [] }
    const isOfJournal = entries === journal.count && same(value.entriesRoot, rootOf(journal))
    demand(22, isOfJournal && same(value.journalHead, journalHead), 'the checkpoint is not of the journal before it')
    const isNext = sequence === (checkpoint?.sequence ?? 0) + 1 && same(previous, checkpoint?.id)
    demand(23, kind === 'start' || isNext, 'the checkpoint does not follow the one before')
    checkpoint = { id, sequence, value, line: number }
    newest = { id, sequence, createdAtMs, coversAll: false }
    found.checkpoints += 1
  }

  function readSeal(seal, { before }) {
    closeAccount()
    const { accounts: count, accountsRoot } = checkpoint?.line === number - 1 ? checkpoint.value : {}
    const isOfAccounts = count === leaves.count && same(accountsRoot, rootOf(leaves))
    demand(24, !accountsRoot || isOfAccounts, 'the last checkpoint is of other accounts')
    const isOfFile = seal.lines === number - 1 && same(seal.link, before) && same(seal.node, header.key)
    const isHeaders = ['network', 'asset', 'exportedAtMs'].every((name) => seal[name] === header[name])
    demand(25, isOfFile && isHeaders, 'the seal is of another file')
    if (newest) newest.coversAll = accountsRoot !== undefined
    found.lines = number
    isSealed = true
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [, , file = ''] = process.argv
  const show = (_, value) =>
    typeof value === 'bigint' ? String(value) : value?.type === 'Buffer' ? hex(value.data) : value
  const cannotShow =
    'that nothing newer exists, that answers were good, that journal entries without a receipt are true'
  try {
    const found = await verifyFile(createReadStream(file))
    process.stdout.write(`${JSON.stringify({ verified: true, ...found, cannotShow }, show, 2)}\n`)
  } catch (error) {
    process.stderr.write(`${file || 'usage: tok-verify FILE'}: ${error.message}\n`)
    process.exitCode = 1
  }
}
