/** Vectors of protocols/account/v1.md: statements, what may follow what, items, and the messages of an exchange. */
import { encode } from '@ipld/dag-cbor'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import {
  accountId,
  countersignatureShape,
  dualSignedShape,
  evidenceShape,
  helloShape,
  NETTING,
  nettingFrameShape,
  PAYMENT,
  proposalShape,
  REJECTION,
  settlementRefusalShape,
  STATEMENT,
  statementsFrameShape,
  wantedShape,
  type Account,
  type CallItem,
  type DualSigned,
  type Netting,
  type NettingItem,
  type Payment,
  type PaymentItem,
  type Rejection,
  type Statement,
} from '../../src/wire/account.ts'
import { seal, signingInput } from '../../src/wire/envelope.ts'
import type { NodeKey } from '../../src/wire/identity.ts'
import { ACCEPTANCE, ORDER, RECEIPT, VOUCHER, type Receipt, type Voucher } from '../../src/wire/inference.ts'
import { priceUsage } from '../../src/wire/pricing.ts'
import { DOMAINS, LIMITS } from '../../src/wire/registry.ts'
import { encodeBody } from '../../src/wire/shape.ts'
import {
  accepted,
  alteredBody,
  ASSET,
  digestOf,
  KEYS,
  NETWORK,
  NOW_MS,
  readable,
  reading,
  refused,
  unreadable,
  type Case,
  type Reading,
  type VectorFile,
} from './case.ts'
import { order, receipt, voucher } from './inference.ts'

const account: Account = {
  network: NETWORK,
  asset: ASSET,
  buyer: KEYS.buyer.publicKey,
  seller: KEYS.seller.publicKey,
}

const item: CallItem = {
  kind: 'call',
  order: voucher.order,
  voucher: seal(VOUCHER, voucher, KEYS.buyer).id,
  receipt: seal(RECEIPT, receipt, KEYS.seller).id,
  usage: voucher.usage,
  amount: voucher.amount,
}

const first: Statement = {
  type: DOMAINS.statement,
  ...account,
  sequence: 1,
  items: [item],
  owed: item.amount,
  paid: 0n,
  creditLimit: 110_000n,
  issuedAtMs: NOW_MS + 10_000,
}

const second: Statement = {
  ...first,
  sequence: 2,
  previous: seal(STATEMENT, first, KEYS.seller).id,
  items: [{ ...item, order: digestOf('another order'), voucher: digestOf('its voucher'), receipt: undefined }],
  owed: item.amount * 2n,
  issuedAtMs: NOW_MS + 20_000,
}

const payment: Payment = {
  type: DOMAINS.payment,
  ...account,
  adapter: 'manual',
  reference: 'invoice 7, größer',
  amount: 50n,
  paidAtMs: NOW_MS + 11_000,
  issuedAtMs: NOW_MS + 12_000,
  expiresAtMs: NOW_MS + 86_400_000,
}

const netting: Netting = {
  type: DOMAINS.netting,
  ...account,
  amount: 30n,
  nonce: digestOf('a netting').subarray(0, 16),
  issuedAtMs: NOW_MS + 13_000,
  expiresAtMs: NOW_MS + 613_000,
}

export const paymentItem: PaymentItem = {
  kind: 'payment',
  payment: seal(PAYMENT, payment, KEYS.buyer).id,
  adapter: payment.adapter,
  reference: payment.reference,
  amount: payment.amount,
  paidAtMs: payment.paidAtMs,
}

export const nettingItem: NettingItem = {
  kind: 'netting',
  netting: seal(NETTING, netting, KEYS.buyer).id,
  amount: netting.amount,
}

/** A statement after the first that settles nothing but what was paid. */
const settling: Statement = {
  ...second,
  items: [nettingItem, paymentItem],
  owed: first.owed,
  paid: netting.amount + payment.amount,
}

/** @returns the vectors of accounts */
export function accountVectors(): VectorFile {
  return {
    protocol: 'account/1',
    accept: [...accountIds(), ...statements(), ...chains(), ...items(), ...messages()],
    reject: [...rejectedStatements(), ...rejectedChains(), ...rejectedItems(), ...rejectedMessages()],
  }
}

/** @returns a statement with both signatures */
export function sign(
  statement: Statement,
  sellerKey: NodeKey = KEYS.seller,
  buyerKey: NodeKey = KEYS.buyer,
): DualSigned {
  const { body, signature } = seal(STATEMENT, statement, sellerKey)
  return { body, sellerSignature: signature, buyerSignature: buyerKey.sign(signingInput(STATEMENT.domain, body)) }
}

function accountIds(): Case[] {
  const id = (name: string, of: Account): Case => ({
    name,
    check: 'account-id',
    account: reading(of),
    id: toHex(accountId(of)),
  })
  return [
    id('the id of an account', account),
    id('the id of the account the other way', { ...account, buyer: account.seller, seller: account.buyer }),
    id('the id of the account on another network', { ...account, network: 'main' }),
  ]
}

/** A dual-signed statement as a case holds it. */
function dualSignedCase(dualSigned: DualSigned): Record<string, Reading> {
  return {
    check: 'statement',
    signed: toHex(signingInput(STATEMENT.domain, dualSigned.body)),
    dualSigned: toHex(encodeBody(dualSignedShape, dualSigned)),
  }
}

function statements(): Case[] {
  const whole = (name: string, value: Statement): Case => {
    const dualSigned = sign(value)
    return {
      name,
      ...dualSignedCase(dualSigned),
      check: 'statement',
      value: reading(value),
      body: toHex(dualSigned.body),
      sellerSignature: toHex(dualSigned.sellerSignature),
      buyerSignature: toHex(dualSigned.buyerSignature),
      id: toHex(seal(STATEMENT, value, KEYS.seller).id),
    }
  }
  return [
    whole('the first statement', first),
    whole('the second statement', second),
    whole('a statement of a netting and a payment', settling),
    whole('a statement of a call and a payment', {
      ...second,
      items: [...second.items, paymentItem],
      paid: payment.amount,
    }),
    whole('a statement on the ground of a rejection', { ...second, rejection: digestOf('a rejection') }),
    whole('a statement after both went back to copies', {
      ...second,
      buyerRestoredAtMs: NOW_MS,
      sellerRestoredAtMs: NOW_MS + 1,
    }),
    whole('a statement of 32 items', {
      ...first,
      items: Array.from({ length: LIMITS.statementItems }, (_, index) => ({
        ...item,
        order: digestOf(`order ${index}`),
      })),
      owed: item.amount * BigInt(LIMITS.statementItems),
    }),
  ]
}

function rejectedStatements(): Case[] {
  const wrong = (name: string, dualSigned: DualSigned, step: string, error: ErrorCode): Case => ({
    name,
    ...dualSignedCase(dualSigned),
    check: 'statement',
    step,
    error,
  })
  const { body, sellerSignature, buyerSignature } = sign(first)
  const malformed = (name: string, changes: Readonly<Record<string, Uint8Array>>): Case => {
    const altered = alteredBody({ ...first }, changes)
    const signatureOf = (key: NodeKey): Uint8Array => key.sign(signingInput(STATEMENT.domain, altered))
    const dualSigned = {
      body: altered,
      sellerSignature: signatureOf(KEYS.seller),
      buyerSignature: signatureOf(KEYS.buyer),
    }
    return wrong(name, dualSigned, 'statement 1', 'encoding_invalid')
  }
  const asRejection = KEYS.buyer.sign(signingInput(REJECTION.domain, body))
  return [
    malformed('a statement of 33 items', { items: encode(Array.from({ length: 33 }, () => plainItem())) }),
    malformed('an item of another kind', { items: encode([{ ...plainItem(), kind: 'gift' }]) }),
    malformed('a payment without reference', {
      items: encode([{ ...paymentItem, reference: '' }]),
    }),
    malformed('a netting with a reference', {
      items: encode([{ ...nettingItem, reference: 'invoice 7' }]),
    }),
    malformed('a previous statement that is null', { previous: encode(null) }),
    malformed('a statement of another type', { type: encode(REJECTION.domain) }),
    wrong('a statement its seller did not sign', sign(first, KEYS.stranger), 'statement 2', 'signature_invalid'),
    wrong(
      'signatures that are exchanged',
      { body, sellerSignature: buyerSignature, buyerSignature: sellerSignature },
      'statement 2',
      'signature_invalid',
    ),
    wrong(
      'a statement its buyer did not sign',
      sign(first, KEYS.seller, KEYS.stranger),
      'statement 3',
      'signature_invalid',
    ),
    wrong('a seller that signs for both', sign(first, KEYS.seller, KEYS.seller), 'statement 3', 'signature_invalid'),
    wrong(
      'a countersignature under the domain of rejections',
      { body, sellerSignature, buyerSignature: asRejection },
      'statement 3',
      'signature_invalid',
    ),
  ]
}

function plainItem(): Record<string, unknown> {
  return { ...item }
}

interface Head {
  readonly sequence: number
  readonly head?: Uint8Array | undefined
  readonly owed: bigint
  readonly paid: bigint
  readonly creditLimit: bigint
}

const NO_HEAD: Head = { sequence: 0, owed: 0n, paid: 0n, creditLimit: 0n }
const AFTER_FIRST: Head = {
  sequence: 1,
  head: seal(STATEMENT, first, KEYS.seller).id,
  owed: first.owed,
  paid: 0n,
  creditLimit: first.creditLimit,
}

function follows(name: string, head: Head, statement: Statement): Case {
  return {
    name: `chain: ${name}`,
    check: 'chain',
    account: reading(account),
    head: reading(head),
    statement: toHex(encodeBody(STATEMENT.shape, statement)),
  }
}

function chains(): Case[] {
  return [
    follows('the first statement', NO_HEAD, first),
    follows('the next statement', AFTER_FIRST, second),
    follows('a payment and a netting', AFTER_FIRST, settling),
    follows('all that is owed paid', AFTER_FIRST, {
      ...settling,
      items: [{ ...paymentItem, amount: first.owed }],
      paid: first.owed,
    }),
    follows('a payment of what the statement itself bills', NO_HEAD, {
      ...first,
      items: [...first.items, { ...paymentItem, amount: item.amount }],
      paid: item.amount,
    }),
    follows('a lower credit limit', AFTER_FIRST, { ...second, creditLimit: 0n }),
    follows('a clock that went back', AFTER_FIRST, { ...second, issuedAtMs: 1 }),
  ]
}

function rejectedChains(): Case[] {
  const wrong = (name: string, head: Head, statement: Statement, step: string): Case => ({
    ...follows(name, head, statement),
    step,
    error: 'statement_invalid',
  })
  return [
    wrong('another network', AFTER_FIRST, { ...second, network: 'main' }, 'statement 4'),
    wrong('another asset', AFTER_FIRST, { ...second, asset: 'EUR' }, 'statement 4'),
    wrong('another buyer', AFTER_FIRST, { ...second, buyer: KEYS.stranger.publicKey }, 'statement 4'),
    wrong('another seller', AFTER_FIRST, { ...second, seller: KEYS.stranger.publicKey }, 'statement 4'),
    wrong('a gap', NO_HEAD, second, 'statement 5'),
    wrong('a sequence that stands already', AFTER_FIRST, first, 'statement 5'),
    wrong('a first statement with one before it', NO_HEAD, { ...first, previous: digestOf('nothing') }, 'statement 6'),
    wrong('another statement before it', AFTER_FIRST, { ...second, previous: digestOf('another') }, 'statement 6'),
    wrong('no statement before it', AFTER_FIRST, { ...second, previous: undefined }, 'statement 6'),
    wrong('a micro too much owed', AFTER_FIRST, { ...second, owed: second.owed + 1n }, 'statement 7'),
    wrong('what was owed before forgotten', AFTER_FIRST, { ...second, owed: item.amount }, 'statement 7'),
    wrong('paid without a payment', AFTER_FIRST, { ...second, paid: 1n }, 'statement 8'),
    wrong('a payment that is not counted', AFTER_FIRST, { ...settling, paid: netting.amount }, 'statement 8'),
    wrong('a payment that is counted as a debt', AFTER_FIRST, { ...settling, owed: first.owed + 80n }, 'statement 7'),
    wrong(
      'a micro more paid than is owed',
      AFTER_FIRST,
      { ...settling, items: [{ ...paymentItem, amount: first.owed + 1n }], paid: first.owed + 1n },
      'statement 8',
    ),
    wrong(
      'a payment of nothing',
      AFTER_FIRST,
      { ...settling, items: [{ ...paymentItem, amount: 0n }], paid: 0n },
      'statement 8',
    ),
    wrong(
      'a payment twice',
      AFTER_FIRST,
      { ...settling, items: [paymentItem, { ...paymentItem, reference: 'invoice 8' }], paid: payment.amount * 2n },
      'statement 9',
    ),
    wrong(
      'a reference twice',
      AFTER_FIRST,
      {
        ...settling,
        items: [paymentItem, { ...paymentItem, payment: digestOf('another') }],
        paid: payment.amount * 2n,
      },
      'statement 9',
    ),
    wrong(
      'a netting twice',
      AFTER_FIRST,
      { ...settling, items: [nettingItem, nettingItem], paid: netting.amount * 2n },
      'statement 9',
    ),
    wrong('an order twice', NO_HEAD, { ...first, items: [item, item], owed: item.amount * 2n }, 'statement 9'),
  ]
}

const TERMS = {
  prices: order.prices,
  inputTokensMax: order.inputTokensMax,
  outputTokensMax: order.outputTokensMax,
  amountMax: order.amountMax,
}

type Bill = Pick<Voucher, 'usage' | 'amount'>

function itemCase(name: string, settled: Bill, promised: Bill, claimed?: Bill): Case {
  return {
    name: `item: ${name}`,
    check: 'item',
    order: reading(TERMS),
    item: reading({ usage: settled.usage, amount: settled.amount }),
    voucher: reading({ usage: promised.usage, amount: promised.amount }),
    ...(claimed === undefined ? {} : { receipt: reading({ usage: claimed.usage, amount: claimed.amount }) }),
  }
}

const bill = (outputTokens: number): Bill => {
  const usage = { ...voucher.usage, outputTokens }
  return { usage, amount: priceUsage(usage, order.prices) }
}

function items(): Case[] {
  return [
    itemCase('voucher and receipt agree', bill(250), bill(250), bill(250)),
    itemCase('the receipt is lower', bill(200), bill(250), bill(200)),
    itemCase('the voucher is lower', bill(250), bill(250), bill(300)),
    itemCase('no receipt came', bill(250), bill(250)),
    itemCase('the receipt is above the order', bill(250), bill(250), bill(5_000)),
  ]
}

function rejectedItems(): Case[] {
  const wrong = (name: string, step: string, settled: Bill, promised: Bill, claimed?: Bill): Case => ({
    ...itemCase(name, settled, promised, claimed),
    step,
    error: 'statement_invalid',
  })
  return [
    wrong('an amount that its counts do not cost', 'statement 17', { ...bill(250), amount: 1n }, bill(250)),
    wrong('counts above the order', 'statement 17', bill(1_001), bill(250)),
    wrong('a voucher that its counts do not cost', 'statement 18', bill(250), { ...bill(250), amount: 400n }),
    wrong('more than the receipt', 'statement 19', bill(250), bill(250), bill(200)),
    wrong('more than the voucher', 'statement 19', bill(300), bill(250), bill(300)),
    wrong('less than voucher and receipt', 'statement 19', bill(100), bill(250), bill(250)),
  ]
}

const rejection: Rejection = {
  type: DOMAINS.rejection,
  network: NETWORK,
  buyer: account.buyer,
  seller: account.seller,
  sequence: 2,
  statement: digestOf('a statement'),
  code: 'statement_invalid',
  reason: 'the order is settled already',
  item: item.order,
}

const sealedPayment = seal(PAYMENT, payment, KEYS.buyer)
const sealedNetting = seal(NETTING, netting, KEYS.buyer)
const { body: orderBody, signature: orderSignature } = seal(ORDER, order, KEYS.buyer)
const { body: voucherBody, signature: voucherSignature } = seal(VOUCHER, voucher, KEYS.buyer)
const { body: receiptBody, signature: receiptSignature } = seal<Receipt>(RECEIPT, receipt, KEYS.seller)
const { body: acceptanceBody, signature: acceptanceSignature } = seal(
  ACCEPTANCE,
  {
    type: DOMAINS.acceptance,
    network: NETWORK,
    order: item.order,
    seller: KEYS.seller.publicKey,
    acceptedAtMs: NOW_MS,
    creditLimit: 110_000n,
  },
  KEYS.seller,
)
const { body: firstBody, signature: firstSignature } = seal(STATEMENT, first, KEYS.seller)
const ORDER_ENVELOPE = { body: orderBody, signature: orderSignature }
const ACCEPTANCE_ENVELOPE = { body: acceptanceBody, signature: acceptanceSignature }
const VOUCHER_ENVELOPE = { body: voucherBody, signature: voucherSignature }
const RECEIPT_ENVELOPE = { body: receiptBody, signature: receiptSignature }

function messages(): Case[] {
  const { item: _item, ...wholeRejection } = rejection
  return [
    accepted('a rejection of an item', REJECTION, rejection, KEYS.buyer),
    accepted('a rejection of the whole', REJECTION, wholeRejection, KEYS.buyer),
    accepted('a payment', PAYMENT, payment, KEYS.buyer),
    accepted('a netting before its second signature', NETTING, netting, KEYS.buyer),
    readable('a netting that is proposed', 'netting-frame', nettingFrameShape, {
      body: sealedNetting.body,
      buyerSignature: sealedNetting.signature,
    }),
    readable('a netting that both signed', 'netting-frame', nettingFrameShape, {
      body: sealedNetting.body,
      buyerSignature: sealedNetting.signature,
      sellerSignature: KEYS.seller.sign(signingInput(NETTING.domain, sealedNetting.body)),
    }),
    readable('a refused payment', 'settlement-refusal', settlementRefusalShape, {
      document: sealedPayment.id,
      code: 'reference_used',
      reason: 'statement 2 of this account holds it',
    }),
    accepted('a proposal before its countersignature', STATEMENT, first, KEYS.seller),
    readable('a first hello', 'hello', helloShape, { account, sequence: 0, calls: [] }),
    readable('a hello with open calls', 'hello', helloShape, {
      account,
      sequence: 2,
      head: seal(STATEMENT, second, KEYS.seller).id,
      calls: [{ order: item.order, voucherIndex: 2 }, { order: digestOf('another order') }],
    }),
    readable('statements', 'statements', statementsFrameShape, { statements: [sign(first), sign(second)] }),
    readable('no statements', 'statements', statementsFrameShape, { statements: [] }),
    readable('evidence of an order', 'evidence', evidenceShape, { order: ORDER_ENVELOPE }),
    readable('a hello of a ledger that is a copy', 'hello', helloShape, {
      account,
      sequence: 0,
      calls: [],
      restoredAtMs: NOW_MS,
    }),
    readable('papers that are wanted', 'wanted', wantedShape, { orders: [item.order] }),
    readable('no papers wanted', 'wanted', wantedShape, { orders: [] }),
    readable('evidence that the seller took an order', 'evidence', evidenceShape, {
      order: ORDER_ENVELOPE,
      acceptance: ACCEPTANCE_ENVELOPE,
      voucher: VOUCHER_ENVELOPE,
    }),
    readable('evidence of a call', 'evidence', evidenceShape, {
      order: ORDER_ENVELOPE,
      voucher: VOUCHER_ENVELOPE,
      receipt: RECEIPT_ENVELOPE,
    }),
    readable('a proposal', 'proposal', proposalShape, {
      body: firstBody,
      signature: firstSignature,
      vouchers: [VOUCHER_ENVELOPE],
      receipts: [RECEIPT_ENVELOPE],
    }),
    readable('a countersignature', 'countersignature', countersignatureShape, {
      statement: seal(STATEMENT, first, KEYS.seller).id,
      signature: sign(first).buyerSignature,
    }),
  ]
}

function rejectedMessages(): Case[] {
  const calls = (count: number): unknown[] => Array.from({ length: count }, () => ({ order: item.order }))
  return [
    refused(
      'a rejection signed by its seller',
      REJECTION,
      seal(REJECTION, rejection, KEYS.seller),
      'envelope 6',
      'signature_invalid',
    ),
    refused(
      'a payment announced by its seller',
      PAYMENT,
      seal(PAYMENT, payment, KEYS.seller),
      'envelope 6',
      'signature_invalid',
    ),
    refused('a netting shown as a payment', PAYMENT, sealedNetting, 'envelope 3', 'encoding_invalid'),
    unreadable('a netting without a signature', 'netting-frame', encode({ body: sealedNetting.body })),
    unreadable(
      'a refusal without a reason',
      'settlement-refusal',
      encode({ document: sealedPayment.id, code: 'reference_used', reason: '' }),
    ),
    refused(
      'a statement shown as a rejection',
      REJECTION,
      seal(STATEMENT, first, KEYS.seller),
      'envelope 3',
      'encoding_invalid',
    ),
    unreadable('a hello of 257 calls', 'hello', encode({ account, sequence: 0, calls: calls(LIMITS.helloCalls + 1) })),
    unreadable('a hello without an account', 'hello', encode({ sequence: 0, calls: [] })),
    unreadable('a hello of sequence -1', 'hello', encode({ account, sequence: -1, calls: [] })),
    unreadable(
      'eight statements',
      'statements',
      encode({ statements: Array.from({ length: LIMITS.statementsPerFrame + 1 }, () => sign(first)) }),
    ),
    unreadable(
      'papers of 225 orders wanted',
      'wanted',
      encode({ orders: Array.from({ length: LIMITS.wantedOrders + 1 }, () => item.order) }),
    ),
    unreadable('evidence without an order', 'evidence', encode({ voucher: VOUCHER_ENVELOPE })),
    unreadable(
      'a countersignature of 32 bytes',
      'countersignature',
      encode({ statement: item.order, signature: fromHex('00'.repeat(32)) }),
    ),
  ]
}
