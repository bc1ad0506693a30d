/**
 * The papers of a call, vouchers and receipts, as they come from the other side. Pure.
 * Source: protocols/inference/v1.md and protocols/account/v1.md.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import type { Account, CallItem, Evidence, ProposalFrame } from '../wire/account.ts'
import { open, type Envelope, type Kind, type Signed } from '../wire/envelope.ts'
import { checkBilling, ORDER, RECEIPT, VOUCHER, type Order, type Receipt, type Voucher } from '../wire/inference.ts'

/** True if a voucher or receipt is of this order and these parties. */
export function isOfCall(
  paper: Voucher | Receipt,
  order: Uint8Array,
  { network, buyer, seller }: Pick<Account, 'network' | 'buyer' | 'seller'>,
): boolean {
  return (
    paper.network === network &&
    equalBytes(paper.order, order) &&
    equalBytes(paper.buyer, buyer) &&
    equalBytes(paper.seller, seller)
  )
}

/** @throws TokError `encoding_invalid`, `signature_invalid`, `voucher_invalid` unless it is a voucher of this order */
export function openVoucher(order: Signed<Order>, envelope: Envelope): Signed<Voucher> {
  const voucher = open(VOUCHER, envelope)
  if (!isOfCall(voucher.value, order.id, order.value)) {
    throw new TokError('voucher_invalid', { reason: 'it belongs to another order' })
  }
  checkBilling(voucher.value, order.value)
  return voucher
}

/**
 * True if a voucher is newer than the one that is known.
 * @throws TokError `voucher_invalid` for one that is newer and promises less: a voucher never falls
 */
export function isNews(voucher: Signed<Voucher>, known: Signed<Voucher> | undefined): boolean {
  if (known === undefined) return true
  if (voucher.value.index <= known.value.index) return false
  if (voucher.value.amount >= known.value.amount) return true
  throw new TokError('voucher_invalid', { reason: 'its amount is below the one before' })
}

/** What came with a statement and holds, by id in hexadecimal. */
export interface Papers {
  readonly orders: ReadonlyMap<string, Signed<Order>>
  readonly vouchers: ReadonlyMap<string, Signed<Voucher>>
  readonly receipts: ReadonlyMap<string, Signed<Receipt>>
}

export const NO_PAPERS: Papers = { orders: new Map(), vouchers: new Map(), receipts: new Map() }

/** The papers of a proposal whose signatures hold: one that does not is as good as missing. */
export function papersOf(frame: ProposalFrame): Papers {
  return { ...NO_PAPERS, vouchers: openAll(VOUCHER, frame.vouchers), receipts: openAll(RECEIPT, frame.receipts) }
}

/** The papers that the other side shows of calls in statements; one whose signature does not hold is as good as missing. */
export function papersShown(evidence: readonly Evidence[]): Papers {
  return {
    orders: openAll(
      ORDER,
      evidence.map(({ order }) => order),
    ),
    vouchers: openAll(
      VOUCHER,
      evidence.flatMap(({ voucher }) => voucher ?? []),
    ),
    receipts: openAll(
      RECEIPT,
      evidence.flatMap(({ receipt }) => receipt ?? []),
    ),
  }
}

function openAll<T>(kind: Kind<T>, envelopes: readonly Envelope[]): ReadonlyMap<string, Signed<T>> {
  const opened = new Map<string, Signed<T>>()
  for (const envelope of envelopes) {
    try {
      const signed = open(kind, envelope)
      opened.set(toHex(signed.id), signed)
    } catch (thrown) {
      if (!(thrown instanceof TokError)) throw thrown
    }
  }
  return opened
}

/** The order, voucher and receipt that an item names, where they came. */
export function papersOfItem({ orders, vouchers, receipts }: Papers, item: NamedPapers): CallPapers {
  return {
    order: orders.get(toHex(item.order)),
    voucher: vouchers.get(toHex(item.voucher)),
    receipt: item.receipt === undefined ? undefined : receipts.get(toHex(item.receipt)),
  }
}

/** What an item names. */
export type NamedPapers = Pick<CallItem, 'order' | 'voucher' | 'receipt'>

export interface CallPapers {
  readonly order: Signed<Order> | undefined
  readonly voucher: Signed<Voucher> | undefined
  readonly receipt: Signed<Receipt> | undefined
}

/** A signed message as it is sent: the envelope, without what was read from it. */
export function plain({ body, signature }: Envelope): Envelope {
  return { body, signature }
}
