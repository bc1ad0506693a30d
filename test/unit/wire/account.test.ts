import { expect, test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import {
  accountId,
  dualSignedShape,
  openStatement,
  proposalShape,
  STATEMENT,
  statementsFrameShape,
  type Account,
  type Statement,
} from '../../../src/wire/account.ts'
import { seal, signingInput } from '../../../src/wire/envelope.ts'
import { nodeKeyFromSeed, type NodeKey } from '../../../src/wire/identity.ts'
import { RECEIPT, VOUCHER } from '../../../src/wire/inference.ts'
import type { BilledUsage } from '../../../src/wire/pricing.ts'
import { LIMITS } from '../../../src/wire/registry.ts'
import { encodeBody } from '../../../src/wire/shape.ts'

const buyer = nodeKeyFromSeed(new Uint8Array(32).fill(6))
const seller = nodeKeyFromSeed(new Uint8Array(32).fill(7))
const account: Account = { network: 'test', asset: 'USD', buyer: buyer.publicKey, seller: seller.publicKey }

const AMOUNT_MAX = 2n ** 63n - 1n

const largestUsage: BilledUsage = {
  inputTokens: Number.MAX_SAFE_INTEGER,
  cachedInputTokens: Number.MAX_SAFE_INTEGER,
  cacheWriteTokens: Number.MAX_SAFE_INTEGER,
  outputTokens: Number.MAX_SAFE_INTEGER,
}

/** A statement as large as its limits let it be. */
const largest: Statement = {
  type: 'tok/statement/1',
  ...account,
  network: 'n'.repeat(32),
  asset: 'a'.repeat(16),
  sequence: Number.MAX_SAFE_INTEGER,
  previous: new Uint8Array(32),
  items: Array.from({ length: LIMITS.statementItems }, () => ({
    kind: 'call',
    order: new Uint8Array(32),
    voucher: new Uint8Array(32),
    receipt: new Uint8Array(32),
    usage: largestUsage,
    amount: AMOUNT_MAX,
  })),
  owed: AMOUNT_MAX,
  paid: AMOUNT_MAX,
  creditLimit: AMOUNT_MAX,
  issuedAtMs: Number.MAX_SAFE_INTEGER,
  rejection: new Uint8Array(32),
}

function countersign(statement: Statement, by: NodeKey) {
  const { body, signature } = seal(STATEMENT, statement, seller)
  return { body, sellerSignature: signature, buyerSignature: by.sign(signingInput(STATEMENT.domain, body)) }
}

test('an account has one id, another for each direction, network and asset', () => {
  const others = [
    account,
    { ...account, buyer: account.seller, seller: account.buyer },
    { ...account, network: 'other' },
    { ...account, asset: 'EUR' },
  ]
  expect(new Set(others.map((each) => toHex(accountId(each)))).size).toBe(4)
  expect(toHex(accountId({ ...account }))).toBe(toHex(accountId(account)))
})

test('a statement counts once both signed it', () => {
  expect(openStatement(countersign(largest, buyer)).value).toEqual(largest)
  expect(() => openStatement(countersign(largest, seller))).toThrow('the signature of a statement does not verify')
})

test('the largest proposal, with the largest vouchers and receipts, fits a frame', () => {
  const paper = {
    order: new Uint8Array(32),
    ...account,
    network: 'n'.repeat(32),
    usage: largestUsage,
    amount: AMOUNT_MAX,
  }
  const voucher = seal(VOUCHER, { type: 'tok/voucher/1', ...paper, index: Number.MAX_SAFE_INTEGER }, buyer)
  const receipt = seal(
    RECEIPT,
    {
      type: 'tok/receipt/1',
      ...paper,
      model: 'm'.repeat(LIMITS.modelNameBytes),
      status: 'completed',
      httpStatus: Number.MAX_SAFE_INTEGER,
      error: 'e'.repeat(64),
      usageSource: 'provider',
      answerBytes: Number.MAX_SAFE_INTEGER,
      answerDigest: new Uint8Array(32),
      startedAtMs: Number.MAX_SAFE_INTEGER,
      firstPartMs: Number.MAX_SAFE_INTEGER,
      durationMs: Number.MAX_SAFE_INTEGER,
    },
    seller,
  )
  const proposal = encodeBody(proposalShape, {
    ...seal(STATEMENT, largest, seller),
    vouchers: Array.from({ length: LIMITS.statementItems }, () => voucher),
    receipts: Array.from({ length: LIMITS.statementItems }, () => receipt),
  })
  expect(proposal.length).toBeLessThan(LIMITS.framePayloadBytes)
})

test('the largest statements of one frame fit it, and one more would not', () => {
  const sizeOf = (count: number): number => {
    const statements = Array.from(
      { length: count },
      () => encodeBody(dualSignedShape, countersign(largest, buyer)).length,
    )
    return statements.reduce((sum, size) => sum + size, encodeBody(statementsFrameShape, { statements: [] }).length)
  }
  expect(sizeOf(LIMITS.statementsPerFrame)).toBeLessThanOrEqual(LIMITS.framePayloadBytes)
  expect(sizeOf(LIMITS.statementsPerFrame + 1)).toBeGreaterThan(LIMITS.framePayloadBytes)
})
