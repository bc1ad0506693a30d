/**
 * Calls between two ledgers without a network: the same steps in the same order, from the order to the countersignature.
 */
import { systemRandomBytes } from '../../src/base/bytes.ts'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { openLedger, type Ledger } from '../../src/ledger/ledger.ts'
import { openLevelStore } from '../../src/ledger/store.ts'
import type { Account } from '../../src/wire/account.ts'
import { seal, type Signed } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed, type NodeKey } from '../../src/wire/identity.ts'
import { ACCEPTANCE, ORDER, RECEIPT, type Acceptance, type Order } from '../../src/wire/inference.ts'
import type { InferenceRecord } from '../../src/wire/journal.ts'
import { maximumPrice, NO_USAGE, priceUsage } from '../../src/wire/pricing.ts'
import { DEFAULT_ASSET, DOMAINS } from '../../src/wire/registry.ts'
import type { Figure } from './figures.ts'
import type { Workbench } from './workbench.ts'

const NETWORK = 'bench'
export const CREDIT = 10n ** 15n
export const INPUT_TOKENS = 1_000
const OUTPUT_TOKENS_MAX = 1_000_000
export const PRICES = { input: 130_000n, cachedInput: 130_000n, cacheWrite: 130_000n, output: 570_000n, callFee: 0n }

/** A buyer's ledger and a seller's that have compared their account. */
export interface TradingPair {
  readonly buyer: Ledger
  readonly seller: Ledger
  readonly account: Account
}

/** Opens the ledger in `directory`, which may be empty. */
export async function openBenchLedger(directory: string, key: NodeKey, clock: Clock = systemClock): Promise<Ledger> {
  const store = await openLevelStore(directory, true)
  return openLedger({ store, key, clock }, { network: NETWORK, asset: DEFAULT_ASSET })
}

export async function openFresh(bench: Workbench): Promise<Ledger> {
  return openBenchLedger(await bench.directory(), nodeKeyFromSeed(systemRandomBytes(32)))
}

export function pairUp(buyer: Ledger, seller: Ledger): TradingPair {
  const account = accountOf(buyer.key.publicKey, seller.key.publicKey)
  buyer.setReconciled(account, true)
  seller.setReconciled(account, true)
  return { buyer, seller, account }
}

/** One call, sealed on both sides and not settled: a voucher at each of these counts of output tokens, and a receipt at the last. */
export async function trade({ buyer, seller }: TradingPair, outputTokens: readonly number[]): Promise<void> {
  const order = seal(ORDER, orderOf(buyer.key.publicKey, seller.key.publicKey), buyer.key)
  const acceptance = seal(ACCEPTANCE, acceptanceOf(order), seller.key)
  await buyer.openPurchase(order, { spendLimit: undefined, strangerCredit: CREDIT })
  await seller.openSale(order, acceptance, { creditLimit: CREDIT, strangerRoom: undefined })
  buyer.noteAcceptance(acceptance)
  let usage = { ...NO_USAGE, inputTokens: INPUT_TOKENS }
  for (const tokens of outputTokens) {
    usage = { ...usage, outputTokens: tokens }
    const voucher = await buyer.signVoucher(order.id, usage)
    if (voucher === undefined) throw new Error('no voucher was signed')
    await seller.recordVoucher(order.id, voucher)
  }
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
      amount: priceUsage(usage, PRICES),
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
}

/** One statement over what is sealed, as many calls as it takes; durable on both sides when it resolves. */
export async function settle({ buyer, seller, account }: TradingPair): Promise<void> {
  const proposal = await seller.propose(account, CREDIT)
  if (proposal === undefined) throw new Error('nothing was proposed')
  const answer = await buyer.answerProposal(account, proposal)
  if (!('countersignature' in answer)) throw new Error('a statement was rejected')
  await seller.applyCountersignature(account, { statement: answer.statement, signature: answer.countersignature })
}

export function accountOf(buyer: Uint8Array, seller: Uint8Array): Account {
  return { network: NETWORK, asset: DEFAULT_ASSET, buyer, seller }
}

export function orderOf(buyer: Uint8Array, seller: Uint8Array): Order {
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

export function acceptanceOf(order: Signed<Order>): Acceptance {
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

export function figure(name: string, value: number | undefined, unit: string, target?: Figure['target']): Figure {
  return { group: 'ledger', name, value, unit, ...(target === undefined ? {} : { target }) }
}
