/**
 * The account of a directed pair buyer -> seller: a hash-chained list of statements that both signed, and the messages that
 * bring both sides to the same view of it. Source: protocols/account/v1.md.
 *
 * Only the seller, the creditor, proposes; the buyer countersigns or rejects. So there is never a race of proposers.
 */
import { sha256, utf8 } from '../base/bytes.ts'
import { checkSignature, envelopeShape, type Kind } from './envelope.ts'
import { KEY_BYTES, SIGNATURE_BYTES } from './identity.ts'
import { billedUsageShape } from './pricing.ts'
import { ACCOUNT_ID_DOMAIN, DOMAINS, LIMITS } from './registry.ts'
import {
  amount,
  bytes,
  bytesUpTo,
  decodeBody,
  encodeBody,
  list,
  oneOf,
  oneOfKinds,
  optional,
  record,
  text,
  uint,
  type Read,
} from './shape.ts'

const HASH_BYTES = 32

/** Who owes whom, on which network, in which asset. */
export const accountShape = record({
  network: text(32),
  asset: text(16),
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
})
export type Account = Read<typeof accountShape>

/** The 32-byte id of an account: SHA-256 of the domain, a zero byte and the encoded parties. */
export function accountId(account: Account): Uint8Array {
  const { network, asset, buyer, seller } = account
  const body = encodeBody(accountShape, { network, asset, buyer, seller })
  return sha256(Buffer.concat([utf8(ACCOUNT_ID_DOMAIN), new Uint8Array(1), body]))
}

/** One call, settled. Its amount is the lesser of what the receipt says and what the voucher promised. */
const callItemShape = record({
  kind: oneOf('call'),
  order: bytes(HASH_BYTES),
  /** Id of the buyer's voucher that covers the amount. */
  voucher: bytes(HASH_BYTES),
  /** Id of the seller's receipt; absent if the call broke off before one. */
  receipt: optional(bytes(HASH_BYTES)),
  usage: billedUsageShape,
  amount: amount,
})
export type CallItem = Read<typeof callItemShape>

/** What a payment says in the buyer's announcement and in the statement alike. */
const paymentFields = {
  /** How it was paid: "manual", or the name of another adapter. */
  adapter: text(32),
  /** What the payment is known by outside: one payment, one reference. */
  reference: text(256),
  amount,
  /** When it was paid, as the buyer says. */
  paidAtMs: uint,
} as const

/** A payment outside the ledger that the seller says it received: `paid` rises by its amount. */
const paymentItemShape = record({
  kind: oneOf('payment'),
  /** Id of the buyer's announcement. */
  payment: bytes(HASH_BYTES),
  ...paymentFields,
})
export type PaymentItem = Read<typeof paymentItemShape>

/** What is set off against the opposite account: `paid` rises by its amount in both. */
const nettingItemShape = record({
  kind: oneOf('netting'),
  /** Id of the document that both signed. */
  netting: bytes(HASH_BYTES),
  amount,
})
export type NettingItem = Read<typeof nettingItemShape>

const itemShape = oneOfKinds({ call: callItemShape, payment: paymentItemShape, netting: nettingItemShape })
export type Item = Read<typeof itemShape>

/** What an item settles, and is known by: the id of its order, announcement or document. */
export function itemId(item: Item): Uint8Array {
  if (item.kind === 'call') return item.order
  return item.kind === 'payment' ? item.payment : item.netting
}

/** The calls that a statement settles. */
export function callItems({ items }: Pick<Statement, 'items'>): readonly CallItem[] {
  return items.filter((item) => item.kind === 'call')
}

const statementShape = record({
  type: oneOf(DOMAINS.statement),
  network: text(32),
  asset: text(16),
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
  /** 1 for the first statement of the account, then one more each. */
  sequence: uint,
  /** Id of the statement before; absent for the first. */
  previous: optional(bytes(HASH_BYTES)),
  items: list(itemShape, LIMITS.statementItems),
  /** All that was ever billed on this account, this statement included, in micros; never falls. */
  owed: amount,
  /** All that was ever paid or set off, in micros; never falls, and is never above `owed`. */
  paid: amount,
  /** The most the buyer may owe from now on, in micros. */
  creditLimit: amount,
  issuedAtMs: uint,
  /** Id of the rejection of an earlier proposal at this sequence: the only ground for a second one. */
  rejection: optional(bytes(HASH_BYTES)),
  /** When each side's ledger was last brought up from a copy, by its own clock; absent: never. Only equality counts. */
  buyerRestoredAtMs: optional(uint),
  sellerRestoredAtMs: optional(uint),
})
export type Statement = Read<typeof statementShape>

/** A statement, as its proposer signs it. */
export const STATEMENT: Kind<Statement> = {
  name: 'statement',
  domain: DOMAINS.statement,
  shape: statementShape,
  signerOf: (statement) => statement.seller,
}

/** A statement with both signatures, as it stands in the ledger and travels between the two. */
export const dualSignedShape = record({
  body: bytesUpTo(32_768),
  sellerSignature: bytes(SIGNATURE_BYTES),
  buyerSignature: bytes(SIGNATURE_BYTES),
})
export type DualSigned = Read<typeof dualSignedShape>

/** A statement whose two signatures were checked here. */
export interface SignedStatement extends DualSigned {
  readonly value: Statement
  readonly id: Uint8Array
}

/**
 * Reads a statement and checks both signatures.
 * @throws TokError `encoding_invalid`, `signature_invalid`
 */
export function openStatement(dualSigned: DualSigned): SignedStatement {
  const value = decodeBody(statementShape, dualSigned.body, 'statement')
  const { body, sellerSignature, buyerSignature } = dualSigned
  checkSignature(STATEMENT, value.seller, { body, signature: sellerSignature })
  checkSignature(STATEMENT, value.buyer, { body, signature: buyerSignature })
  return { value, id: sha256(body), body, sellerSignature, buyerSignature }
}

const rejectionShape = record({
  type: oneOf(DOMAINS.rejection),
  network: text(32),
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
  sequence: uint,
  /** Id of the refused statement. */
  statement: bytes(HASH_BYTES),
  /** A code of the registry. */
  code: text(64),
  reason: text(512),
  /** What the refused item is known by (`itemId`), if it was one item. */
  item: optional(bytes(HASH_BYTES)),
})
export type Rejection = Read<typeof rejectionShape>

/** The buyer's signed refusal of a proposal. Who signed one never countersigns that proposal. */
export const REJECTION: Kind<Rejection> = {
  name: 'rejection',
  domain: DOMAINS.rejection,
  shape: rejectionShape,
  signerOf: (rejection) => rejection.buyer,
}

const paymentShape = record({
  type: oneOf(DOMAINS.payment),
  network: text(32),
  asset: text(16),
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
  ...paymentFields,
  issuedAtMs: uint,
  /** The seller confirms it before, or not at all. */
  expiresAtMs: uint,
})
export type Payment = Read<typeof paymentShape>

/** The buyer's word that it paid outside the ledger. It counts once the seller has put it into a statement. */
export const PAYMENT: Kind<Payment> = {
  name: 'payment',
  domain: DOMAINS.payment,
  shape: paymentShape,
  signerOf: (payment) => payment.buyer,
}

const nettingShape = record({
  type: oneOf(DOMAINS.netting),
  network: text(32),
  asset: text(16),
  /** Who proposes it: the buyer of one of the two accounts, and the seller of the other. */
  buyer: bytes(KEY_BYTES),
  seller: bytes(KEY_BYTES),
  /** What each owes the other less from then on, in micros. */
  amount,
  nonce: bytes(16),
  issuedAtMs: uint,
  /** The other side signs it before, or not at all. */
  expiresAtMs: uint,
})
export type Netting = Read<typeof nettingShape>

/** A document by which two peers set off what they owe each other, as its proposer signs it first. */
export const NETTING: Kind<Netting> = {
  name: 'netting',
  domain: DOMAINS.netting,
  shape: nettingShape,
  signerOf: (netting) => netting.buyer,
}

/** Payload of NETTING: the proposer's signature alone proposes, both seal. */
export const nettingFrameShape = record({
  body: bytesUpTo(1_024),
  buyerSignature: bytes(SIGNATURE_BYTES),
  sellerSignature: optional(bytes(SIGNATURE_BYTES)),
})
export type NettingFrame = Read<typeof nettingFrameShape>

/** Payload of SETTLEMENT_REFUSAL: why the seller takes no payment, or the other side no netting, of this id. */
export const settlementRefusalShape = record({
  document: bytes(HASH_BYTES),
  /** A code of the registry. */
  code: text(64),
  reason: text(512),
})
export type SettlementRefusal = Read<typeof settlementRefusalShape>

/** Payload of HELLO: how one side sees an account. */
export const helloShape = record({
  account: accountShape,
  /** Sequence and id of the newest dual-signed statement; sequence 0 and no id before the first. */
  sequence: uint,
  head: optional(bytes(HASH_BYTES)),
  /** Calls not settled yet, with the index of the newest voucher known (absent: none). */
  calls: list(record({ order: bytes(HASH_BYTES), voucherIndex: optional(uint) }), LIMITS.helloCalls),
  /** When this side's ledger was last brought up from a copy; absent: never. */
  restoredAtMs: optional(uint),
})
export type Hello = Read<typeof helloShape>

/** Payload of STATEMENTS: dual-signed statements in order, for the side that lacks them. */
export const statementsFrameShape = record({ statements: list(dualSignedShape, LIMITS.statementsPerFrame) })

/** Payload of WANTED: the orders of those statements whose papers this side lacks, answered by one EVIDENCE for each. */
export const wantedShape = record({ orders: list(bytes(HASH_BYTES), LIMITS.wantedOrders) })

/**
 * Payload of EVIDENCE: what the other side signed or was sent about one call and does not have. Each side believes its own
 * valid signature, whatever its database says.
 */
export const evidenceShape = record({
  order: envelopeShape,
  /** The seller's own word that it took the order; of unsettled calls only. */
  acceptance: optional(envelopeShape),
  voucher: optional(envelopeShape),
  receipt: optional(envelopeShape),
})
export type Evidence = Read<typeof evidenceShape>

/** Payload of PROPOSAL: the statement as the seller signed it, and the vouchers and receipts that its items name. */
export const proposalShape = record({
  body: bytesUpTo(32_768),
  signature: bytes(SIGNATURE_BYTES),
  vouchers: list(envelopeShape, LIMITS.statementItems),
  receipts: list(envelopeShape, LIMITS.statementItems),
})
export type ProposalFrame = Read<typeof proposalShape>

/** Payload of COUNTERSIGNATURE. */
export const countersignatureShape = record({ statement: bytes(HASH_BYTES), signature: bytes(SIGNATURE_BYTES) })
