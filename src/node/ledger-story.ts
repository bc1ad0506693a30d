/**
 * One call's whole story, from its order to the statement that settled it, and how its price came about: JSON for people and
 * programs. Bodies read as in an export: amounts are decimal micros.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { JsonObject } from '../gateway/admin-api.ts'
import { readingOf } from '../ledger/export.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { CallRecord } from '../ledger/records.ts'
import { callItems, openStatement } from '../wire/account.ts'
import { nameOfHash } from '../wire/hash-name.ts'
import type { Order } from '../wire/inference.ts'
import type { JournalEntry } from '../wire/journal.ts'
import { priceUsage, type BilledUsage } from '../wire/pricing.ts'

/** What is recorded of a call: its journal entry, its papers, or both. */
export async function storyOf(
  ledger: Ledger,
  entry: JournalEntry | undefined,
  call: CallRecord | undefined,
): Promise<JsonObject> {
  const checkpoint = entry && (await checkpointAfter(ledger, entry.sequence))
  return {
    kind: 'inference',
    ...(entry === undefined ? {} : { journal: reading(entry) }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(call === undefined ? {} : await papersOf(ledger, call)),
  }
}

async function papersOf(ledger: Ledger, call: CallRecord): Promise<JsonObject> {
  const { order, acceptance, receipt, settledAt } = call
  const voucher = call.settledVoucher ?? call.voucher
  const statement = settledAt === undefined ? undefined : await statementOf(ledger, order.value, order.id, settledAt)
  const isReceiptLower =
    receipt !== undefined && (voucher === undefined || receipt.value.amount <= voucher.value.amount)
  const usage = isReceiptLower ? receipt.value.usage : voucher?.value.usage
  return {
    order: signedReading(order),
    ...(acceptance === undefined ? {} : { acceptance: signedReading(acceptance) }),
    ...(voucher === undefined ? {} : { voucher: signedReading(voucher) }),
    ...(receipt === undefined ? {} : { receipt: signedReading(receipt) }),
    ...(usage === undefined ? {} : { price: priceStory(usage, order.value, isReceiptLower ? 'receipt' : 'voucher') }),
    settledAt,
    ...(statement === undefined ? {} : { statement }),
  }
}

/** The statement that settled a call, with its item for it and both signatures. */
async function statementOf(
  ledger: Ledger,
  { network, asset, buyer, seller }: Order,
  orderId: Uint8Array,
  sequence: number,
): Promise<JsonObject | undefined> {
  const [stored] = await ledger.statementsAfter({ network, asset, buyer, seller }, sequence - 1, 1)
  if (stored === undefined) return undefined
  const { value, id, sellerSignature, buyerSignature } = openStatement(stored)
  const item = callItems(value).find(({ order }) => equalBytes(order, orderId))
  const { items: _, ...rest } = reading(value)
  return {
    id: nameOfHash(id),
    ...rest,
    calls: callItems(value).length,
    ...(item === undefined ? {} : { item: reading(item) }),
    sellerSignature: toHex(sellerSignature),
    buyerSignature: toHex(buyerSignature),
  }
}

/** The first checkpoint that covers an entry. */
async function checkpointAfter(ledger: Ledger, entry: number): Promise<JsonObject | undefined> {
  for await (const { id, value } of ledger.checkpoints()) {
    const { sequence, createdAtMs, entries } = value
    if (entries >= entry) return { id: nameOfHash(id), sequence, createdAtMs, entries }
  }
  return undefined
}

/** How an amount comes about: tokens times prices, added up, divided once and rounded up. */
function priceStory(usage: BilledUsage, { prices, amountMax }: Order, countedBy: 'receipt' | 'voucher'): JsonObject {
  const plain = usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens
  const parts = [
    { tokens: 'input', count: plain, microsPerMtok: prices.input },
    { tokens: 'cached input', count: usage.cachedInputTokens, microsPerMtok: prices.cachedInput },
    { tokens: 'cache write', count: usage.cacheWriteTokens, microsPerMtok: prices.cacheWrite },
    { tokens: 'output', count: usage.outputTokens, microsPerMtok: prices.output },
  ].map((part) => ({ ...part, product: BigInt(part.count) * part.microsPerMtok }))
  const total = parts.reduce((sum, { product }) => sum + product, 0n)
  return {
    countedBy,
    parts: parts.map((part) => ({
      ...part,
      microsPerMtok: part.microsPerMtok.toString(),
      product: part.product.toString(),
    })),
    total: total.toString(),
    amountMicros: priceUsage(usage, prices).toString(),
    amountMaxMicros: amountMax.toString(),
  }
}

function signedReading(signed: { readonly id: Uint8Array; readonly value: unknown }): JsonObject {
  return { id: nameOfHash(signed.id), ...reading(signed.value) }
}

/** Bodies hold texts, counts, amounts and bytes only, and their reading has none but JSON values. */
function reading(value: unknown): JsonObject {
  return readingOf(value) as JsonObject
}
