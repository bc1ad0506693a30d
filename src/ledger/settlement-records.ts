/**
 * The part of the ledger's store that holds payments and nettings under way, and what keeps each from counting twice.
 * Everything else in the store is read and written in records.ts. Source: protocols/account/v1.md.
 */
import { sha256, utf8 } from '../base/bytes.ts'
import {
  accountId,
  NETTING,
  nettingFrameShape,
  PAYMENT,
  type Account,
  type NettingFrame,
  type Payment,
} from '../wire/account.ts'
import { envelopeShape, open } from '../wire/envelope.ts'
import { decodeBody, encodeBody, oneOf, optional, record, text } from '../wire/shape.ts'
import { referenceName, type OpenNetting, type OpenPayment } from './account-state.ts'
import { keyOf, rangeOf, sortableUint, SPACES, type Store, type Write } from './store.ts'

const paymentRecordShape = record({
  payment: envelopeShape,
  state: oneOf('proposed', 'confirmed', 'refused', 'cancelled'),
  reason: optional(text(512)),
})

/** Where the payment of a reference stands. */
export interface SettledReference {
  /** Id of the account. */
  readonly account: Uint8Array
  /** Sequence of its statement. */
  readonly sequence: number
}

export interface SettlementRecords {
  /** Payments that no statement holds yet. @throws TokError `encoding_invalid`, `signature_invalid` */
  openPayments(): AsyncIterable<OpenPayment>
  /** Nettings that are not settled in both accounts. @throws TokError `encoding_invalid`, `signature_invalid` */
  openNettings(): AsyncIterable<OpenNetting>
  /** The statement that holds the payment of a reference to this seller, whoever the buyer was. */
  settledReference(payment: Pick<Payment, 'seller' | 'adapter' | 'reference'>): Promise<SettledReference | undefined>
  /** True if a statement of the account holds the netting. */
  isNettingSettled(accountIdBytes: Uint8Array, nettingId: Uint8Array): Promise<boolean>
}

export function createSettlementRecords(store: Store): SettlementRecords {
  const isNettingSettled = async (accountIdBytes: Uint8Array, nettingId: Uint8Array): Promise<boolean> =>
    (await store.get(keyOf(SPACES.settledNetting, accountIdBytes, nettingId))) !== undefined

  return {
    async *openPayments() {
      for await (const [, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.payment)))) {
        const { payment, state, reason } = decodeBody(paymentRecordShape, value, 'payment record')
        yield { signed: open(PAYMENT, payment), state, reason }
      }
    },
    async *openNettings() {
      for await (const [, value] of store.entries(...rangeOf(Uint8Array.of(SPACES.netting)))) {
        const { body, buyerSignature, sellerSignature } = decodeBody(nettingFrameShape, value, 'netting')
        const signed = open(NETTING, { body, signature: buyerSignature })
        const settledIn = new Set<string>()
        for (const id of accountsOfNetting(signed.value)) {
          if (await isNettingSettled(id, signed.id)) settledIn.add(Buffer.from(id).toString('hex'))
        }
        if (settledIn.size < 2) yield { signed, sellerSignature, settledIn, isSetAside: false }
      }
    },
    async settledReference(payment) {
      const stored = await store.get(referenceKey(payment))
      if (stored === undefined) return undefined
      return { account: stored.subarray(0, 32), sequence: Number(Buffer.from(stored).readBigUInt64BE(32)) }
    },
    isNettingSettled,
  }
}

/** The same two peers the other way. */
export function oppositeOf({ network, asset, buyer, seller }: Account): Account {
  return { network, asset, buyer: seller, seller: buyer }
}

/** The ids of the two accounts that a netting is of. */
export function accountsOfNetting(parties: Account): readonly [Uint8Array, Uint8Array] {
  return [accountId(parties), accountId(oppositeOf(parties))]
}

/** A payment under way; undefined: it is over. */
export function paymentWrite(accountIdBytes: Uint8Array, id: Uint8Array, payment: OpenPayment | undefined): Write {
  const key = keyOf(SPACES.payment, accountIdBytes, id)
  if (payment === undefined) return { key, value: undefined }
  const { signed, state, reason } = payment
  const { body, signature } = signed
  return { key, value: encodeBody(paymentRecordShape, { payment: { body, signature }, state, reason }) }
}

/** From now on this reference stands for the payment in that statement. */
export function referenceWrite(
  payment: Pick<Payment, 'seller' | 'adapter' | 'reference'>,
  accountIdBytes: Uint8Array,
  sequence: number,
): Write {
  return { key: referenceKey(payment), value: Buffer.concat([accountIdBytes, sortableUint(sequence)]) }
}

/** The netting under way; undefined: it is over. */
export function nettingWrite({ signed, sellerSignature }: OpenNetting, isOver = false): Write {
  const key = keyOf(SPACES.netting, signed.id)
  return isOver
    ? { key, value: undefined }
    : { key, value: encodeBody(nettingFrameShape, frameOf(signed, sellerSignature)) }
}

function frameOf(
  { body, signature: buyerSignature }: OpenNetting['signed'],
  sellerSignature: Uint8Array | undefined,
): NettingFrame {
  return { body, buyerSignature, sellerSignature }
}

export function settledNettingWrite(accountIdBytes: Uint8Array, nettingId: Uint8Array, sequence: number): Write {
  return { key: keyOf(SPACES.settledNetting, accountIdBytes, nettingId), value: sortableUint(sequence) }
}

function referenceKey(payment: Pick<Payment, 'seller' | 'adapter' | 'reference'>): Uint8Array {
  return keyOf(SPACES.settledReference, sha256(Buffer.concat([payment.seller, utf8(referenceName(payment))])))
}
