/**
 * The ledger alone, in one process, over real LevelDBs: durable vouchers as a seller takes them in, and the check of an export.
 */
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemRandomBytes } from '../../src/base/bytes.ts'
import { systemClock } from '../../src/base/clock.ts'
import { exportLedger } from '../../src/ledger/export.ts'
import { openLedger, type Ledger } from '../../src/ledger/ledger.ts'
import { createSignatureChecker, type SignatureEngine } from '../../src/ledger/signature-check.ts'
import { keyOf, openLevelStore, SPACES } from '../../src/ledger/store.ts'
import { splitLines } from '../../src/ledger/export-lines.ts'
import { verifyExport, type VerifiedExport } from '../../src/ledger/verify-export.ts'
import { decodeEnvelope, encodeEnvelope, open, seal, type Signed } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed } from '../../src/wire/identity.ts'
import { ACCEPTANCE, ORDER, RECEIPT, VOUCHER, type Acceptance, type Order } from '../../src/wire/inference.ts'
import type { InferenceRecord } from '../../src/wire/journal.ts'
import { maximumPrice, NO_USAGE, priceUsage } from '../../src/wire/pricing.ts'
import { DEFAULT_ASSET, DOMAINS } from '../../src/wire/registry.ts'
import { median, type Figure } from './figures.ts'
import { costOfVerifying, writeLargeExport } from './large-export.ts'
import type { Workbench } from './workbench.ts'

const NETWORK = 'bench'
const CREDIT = 10n ** 15n
const INPUT_TOKENS = 1_000
const OUTPUT_TOKENS_MAX = 1_000_000
const PRICES = { input: 130_000n, cachedInput: 130_000n, cacheWrite: 130_000n, output: 570_000n, callFee: 0n }

const ROUNDS = 5
const BUYERS = 8
/** Sales that run at once; each has one voucher on its way, as the window has it. */
const SALES = 64
const VOUCHERS_PER_SALE = 60
const SINGLE_VOUCHERS = 300

const ACCOUNTS = 4
const STATEMENTS = 3_000
const STATEMENTS_FOR_TWEETNACL = 40
const VERIFY_ROUNDS = 3

/** Calls above the number of names that are held in memory. */
const LARGE = { calls: 96_000, entries: 1_000_000 }

export async function benchLedger(bench: Workbench): Promise<Figure[]> {
  return [...(await benchVouchers(bench)), ...(await benchVerify(bench)), ...(await benchLargeExport(bench))]
}

async function openFresh(bench: Workbench): Promise<Ledger> {
  const store = await openLevelStore(await bench.directory(), true)
  const key = nodeKeyFromSeed(systemRandomBytes(32))
  return openLedger({ store, key, clock: systemClock }, { network: NETWORK, asset: DEFAULT_ASSET })
}

// Vouchers.

/** A sale under way and the vouchers that its buyer will send, signed beforehand: signing is the buyer's time. */
interface OpenSale {
  readonly order: Signed<Order>
  readonly vouchers: Uint8Array[]
}

async function benchVouchers(bench: Workbench): Promise<Figure[]> {
  const ledger = await openFresh(bench)
  const bare = await openLevelStore(await bench.directory(), true)
  const sales = await openSales(ledger)
  const rates = { checked: [] as number[], written: [] as number[], alone: [] as number[], together: [] as number[] }
  for (let round = 0; round < ROUNDS; round += 1) {
    const [first] = sales
    if (first === undefined) break
    const sample = first.vouchers.slice(0, SINGLE_VOUCHERS)
    rates.checked.push(await rateOf(sample, (voucher) => void open(VOUCHER, decodeEnvelope(voucher, 'voucher'))))
    rates.written.push(
      await rateOf(sample, (value) => bare.write([{ key: keyOf(SPACES.voucher, first.order.id), value }])),
    )
    rates.alone.push(
      await rateOf(first.vouchers.splice(0, SINGLE_VOUCHERS), (voucher) => record(ledger, first, voucher)),
    )
    rates.together.push(await rateOfSales(ledger, sales))
  }
  await Promise.all([ledger.close(), bare.close()])
  const together = median(rates.together)
  return [
    figure('reading and checking a voucher, one thread', median(rates.checked), '/s'),
    figure('one durable LevelDB write after the other', median(rates.written), '/s'),
    figure('durable vouchers, one after the other', median(rates.alone), '/s'),
    figure(`durable vouchers, ${SALES} sales at once`, together, '/s', { atLeast: 3_000 }),
    figure('durable vouchers / checked vouchers', together / median(rates.checked), 'x'),
  ]
}

/** Calls of `step` per second, one after the other. */
async function rateOf(
  vouchers: readonly Uint8Array[],
  step: (voucher: Uint8Array) => Promise<unknown> | void,
): Promise<number> {
  const startedAtMs = performance.now()
  for (const voucher of vouchers) await step(voucher)
  return (vouchers.length * 1_000) / (performance.now() - startedAtMs)
}

/** Durable vouchers per second of all sales at once. */
async function rateOfSales(ledger: Ledger, sales: readonly OpenSale[]): Promise<number> {
  const startedAtMs = performance.now()
  await Promise.all(
    sales.map(async (sale) => {
      for (const voucher of sale.vouchers.splice(0, VOUCHERS_PER_SALE)) await record(ledger, sale, voucher)
    }),
  )
  return (sales.length * VOUCHERS_PER_SALE * 1_000) / (performance.now() - startedAtMs)
}

/** What a seller does with the payload of a VOUCHER frame. */
async function record(ledger: Ledger, { order }: OpenSale, payload: Uint8Array): Promise<void> {
  const recorded = await ledger.recordVoucher(order.id, decodeEnvelope(payload, 'voucher'))
  if (recorded === undefined) throw new Error('a voucher was not recorded')
}

async function openSales(ledger: Ledger): Promise<OpenSale[]> {
  const buyers = Array.from({ length: BUYERS }, () => nodeKeyFromSeed(systemRandomBytes(32)))
  for (const buyer of buyers) ledger.setReconciled(accountOf(buyer.publicKey, ledger.key.publicKey), true)
  const sales: OpenSale[] = []
  for (let index = 0; index < SALES; index += 1) {
    const buyer = buyers[index % BUYERS]
    if (buyer === undefined) continue
    const order = seal(ORDER, orderOf(buyer.publicKey, ledger.key.publicKey), buyer)
    await ledger.openSale(order, seal(ACCEPTANCE, acceptanceOf(order), ledger.key), {
      creditLimit: CREDIT,
      strangerRoom: undefined,
    })
    const count = ROUNDS * (VOUCHERS_PER_SALE + (index === 0 ? SINGLE_VOUCHERS : 0))
    const vouchers = Array.from({ length: count }, (_, before) => {
      const usage = { ...NO_USAGE, inputTokens: INPUT_TOKENS, outputTokens: 128 * (before + 1) }
      const { network, seller } = order.value
      const value = {
        type: DOMAINS.voucher,
        network,
        order: order.id,
        buyer: buyer.publicKey,
        seller,
        index: before + 1,
        usage,
        amount: priceUsage(usage, PRICES),
      }
      return encodeEnvelope(seal(VOUCHER, value, buyer))
    })
    sales.push({ order, vouchers })
  }
  return sales
}

// The check of an export.

async function benchVerify(bench: Workbench): Promise<Figure[]> {
  const large = await writeExport(bench, STATEMENTS)
  const small = await writeExport(bench, STATEMENTS_FOR_TWEETNACL)
  const native: Verification[] = []
  const independent: Verification[] = []
  for (let round = 0; round < VERIFY_ROUNDS; round += 1) {
    native.push(await verify(large, 'native'))
    independent.push(await verify(small, 'tweetnacl'))
  }
  const [first] = native
  if (first === undefined) throw new Error('nothing was verified')
  const { statements, signatures } = first.verified
  const rate = (runs: readonly Verification[], of: (verified: VerifiedExport) => number): number =>
    median(runs.map(({ verified, elapsedMs }) => (of(verified) * 1_000) / elapsedMs))
  return [
    figure('statements in the export', statements, ''),
    figure('signatures per statement (order, voucher, receipt, both of the statement)', signatures / statements, ''),
    figure(
      'verify, native: statements',
      rate(native, (each) => each.statements),
      '/s',
      { atLeast: 5_000 },
    ),
    figure(
      'verify, native: signatures',
      rate(native, (each) => each.signatures),
      '/s',
    ),
    figure(
      'verify, tweetnacl: statements',
      rate(independent, (each) => each.statements),
      '/s',
    ),
    figure(
      'verify, tweetnacl: signatures',
      rate(independent, (each) => each.signatures),
      '/s',
    ),
  ]
}

/** What a file of a million entries takes beyond one of a tenth of them: memory that does not grow with the file. */
async function benchLargeExport(bench: Workbench): Promise<Figure[]> {
  const directory = await bench.directory()
  const costs = []
  for (const share of [1, 10]) {
    const path = join(directory, `large-${share}.ndjson`)
    await writeLargeExport(path, { calls: LARGE.calls / share, entries: LARGE.entries / share }, orderOf)
    costs.push(await costOfVerifying(path))
  }
  const [large, small] = costs
  if (large === undefined || small === undefined) throw new Error('nothing was verified')
  const megabytes = (bytes: number): number => bytes / 1_048_576
  return [
    figure(
      `verify, native: ${LARGE.entries} journal entries and ${LARGE.calls} settled calls`,
      large.elapsedMs / 1_000,
      's',
    ),
    figure('verify, native: lines', (large.lines * 1_000) / large.elapsedMs, '/s'),
    figure('most memory of that process', megabytes(large.rssMaxBytes), 'MB', { atMost: 512 }),
    figure('the same for a tenth of the file', megabytes(small.rssMaxBytes), 'MB'),
  ]
}

interface Verification {
  readonly verified: VerifiedExport
  readonly elapsedMs: number
}

/** Checks a file as `ledger verify` does, on every core. Starting the threads is not counted. */
async function verify(path: string, engine: SignatureEngine): Promise<Verification> {
  const checker = createSignatureChecker(engine)
  try {
    await Promise.all(Array.from({ length: checker.width }, () => checker.check([]))) // they answer: they have started
    const startedAtMs = performance.now()
    const verified = await verifyExport(splitLines(createReadStream(path, { highWaterMark: 262_144 })), checker)
    return { verified, elapsedMs: performance.now() - startedAtMs }
  } finally {
    await checker.close()
  }
}

/** A seller's export after so many calls, each settled by a statement of its own, with several buyers. */
async function writeExport(bench: Workbench, statements: number): Promise<string> {
  const seller = await openFresh(bench)
  const buyers = await Promise.all(Array.from({ length: ACCOUNTS }, () => openFresh(bench)))
  await Promise.all(buyers.map((buyer) => trade(buyer, seller, statements / ACCOUNTS)))
  const lines: string[] = []
  for await (const line of exportLedger(seller, systemClock.nowMs())) lines.push(line)
  const path = join(await bench.directory(), 'export.ndjson')
  await writeFile(path, lines.join(''))
  await Promise.all([seller, ...buyers].map((ledger) => ledger.close()))
  return path
}

/** Calls of one buyer, one after the other: the same steps as over the network, from the order to the countersignature. */
async function trade(buyer: Ledger, seller: Ledger, calls: number): Promise<void> {
  const account = accountOf(buyer.key.publicKey, seller.key.publicKey)
  buyer.setReconciled(account, true)
  seller.setReconciled(account, true)
  for (let call = 0; call < calls; call += 1) {
    const order = seal(ORDER, orderOf(buyer.key.publicKey, seller.key.publicKey), buyer.key)
    const usage = { ...NO_USAGE, inputTokens: INPUT_TOKENS, outputTokens: 300 + call }
    const amount = priceUsage(usage, PRICES)
    await buyer.openPurchase(order, { spendLimit: undefined, strangerCredit: CREDIT })
    await seller.openSale(order, seal(ACCEPTANCE, acceptanceOf(order), seller.key), {
      creditLimit: CREDIT,
      strangerRoom: undefined,
    })
    const voucher = await buyer.signVoucher(order.id, usage)
    if (voucher === undefined) throw new Error('no voucher was signed')
    await seller.recordVoucher(order.id, voucher)
    const { network, buyer: buyerKey, seller: sellerKey, issuedAtMs } = order.value
    const receipt = seal(
      RECEIPT,
      {
        type: DOMAINS.receipt,
        network,
        order: order.id,
        buyer: buyerKey,
        seller: sellerKey,
        model: 'bench-model',
        status: 'completed',
        httpStatus: 200,
        usage,
        usageSource: 'provider',
        amount,
        answerBytes: 50_000,
        answerDigest: systemRandomBytes(32),
        startedAtMs: issuedAtMs,
        firstPartMs: 200,
        durationMs: 9_000,
      },
      seller.key,
    )
    await seller.recordReceipt(receipt)
    await Promise.all([
      buyer.closePurchase(order.id, receipt, lineOf(order, 'bought', sellerKey, receipt.id), { isAnswered: true }),
      seller.closeSale(order.id, lineOf(order, 'sold', buyerKey, receipt.id)),
    ])
    const proposal = await seller.propose(account, CREDIT)
    if (proposal === undefined) throw new Error('nothing was proposed')
    const answer = await buyer.answerProposal(account, proposal)
    if (!('countersignature' in answer)) throw new Error('a statement was rejected')
    await seller.applyCountersignature(account, { statement: answer.statement, signature: answer.countersignature })
  }
}

function accountOf(buyer: Uint8Array, seller: Uint8Array) {
  return { network: NETWORK, asset: DEFAULT_ASSET, buyer, seller }
}

function orderOf(buyer: Uint8Array, seller: Uint8Array): Order {
  const nowMs = systemClock.nowMs()
  return {
    type: DOMAINS.order,
    ...accountOf(buyer, seller),
    nonce: systemRandomBytes(16),
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + 60_000,
    advert: systemRandomBytes(32),
    model: 'bench-model',
    endpoint: 'chat',
    dialect: 'openai-chat',
    prices: PRICES,
    windowTokens: 256,
    hiddenOutputTokensMax: 0,
    inputTokensEstimate: INPUT_TOKENS,
    inputTokensMax: INPUT_TOKENS,
    outputTokensMax: OUTPUT_TOKENS_MAX,
    amountMax: maximumPrice(INPUT_TOKENS, OUTPUT_TOKENS_MAX, PRICES),
    requestCommitment: systemRandomBytes(32),
  }
}

function acceptanceOf(order: Signed<Order>): Acceptance {
  const { network, seller, issuedAtMs } = order.value
  return { type: DOMAINS.acceptance, network, order: order.id, seller, acceptedAtMs: issuedAtMs, creditLimit: CREDIT }
}

function lineOf(
  order: Signed<Order>,
  direction: 'bought' | 'sold',
  counterparty: Uint8Array,
  receipt: Uint8Array,
): InferenceRecord {
  const { endpoint, dialect, model } = order.value
  return {
    requestId: Buffer.from(order.id).toString('hex'),
    direction,
    endpoint,
    dialect,
    stream: 'yes',
    requestedModel: model,
    resolvedModel: model,
    counterparty,
    order: order.id,
    receipt,
    status: 'completed',
    httpStatus: 200,
    tokenSource: 'provider',
    durationMs: 9_000,
    retries: 0,
  }
}

function figure(name: string, value: number, unit: string, target?: Figure['target']): Figure {
  return { group: 'ledger', name, value, unit, ...(target === undefined ? {} : { target }) }
}
