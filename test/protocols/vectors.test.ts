/**
 * Runs every vector of protocols/ against this implementation: what must be accepted is read, and encodes to the same bytes;
 * what must be refused is refused with the code the vector names.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import nacl from 'tweetnacl'
import { describe, expect, test } from 'vitest'
import { allVectors, generatedFiles } from '../../scripts/make-vectors.ts'
import { KEYS, reading, SEEDS, type Case, type Reading } from '../../scripts/vectors/case.ts'
import { fromHex, sha256, toHex } from '../../src/base/bytes.ts'
import { TokError } from '../../src/base/errors.ts'
import { createDelivery } from '../../src/dialects/delivery.ts'
import type { Endpoint } from '../../src/dialects/dialect.ts'
import { estimateInputTokens } from '../../src/dialects/estimate-input-tokens.ts'
import { breachOfChain, breachOfItem, type AccountHead } from '../../src/ledger/account-state.ts'
import { verifyProof } from '../../src/ledger/inclusion-proof.ts'
import type { SignatureChecker } from '../../src/ledger/signature-check.ts'
import { ExportFault, splitLines } from '../../src/ledger/export-lines.ts'
import { verifyExport } from '../../src/ledger/verify-export.ts'
import { billedUsage, type SeenAnswer } from '../../src/market/check-receipt.ts'
import {
  accountId,
  countersignatureShape,
  dualSignedShape,
  evidenceShape,
  helloShape,
  NETTING,
  nettingFrameShape,
  openStatement,
  PAYMENT,
  proposalShape,
  REJECTION,
  settlementRefusalShape,
  STATEMENT,
  statementsFrameShape,
  wantedShape,
  type Account,
} from '../../src/wire/account.ts'
import { ADVERT, canonicalModel, modelKey, openAdvert } from '../../src/wire/advert.ts'
import { accountHeadShape, CHECKPOINT } from '../../src/wire/checkpoint.ts'
import { decodeEnvelope, open, signingInput, type Kind } from '../../src/wire/envelope.ts'
import { keyOfPeer, peerOfKey, verifySignature } from '../../src/wire/identity.ts'
import {
  abortShape,
  ACCEPTANCE,
  capUsage,
  checkBilling,
  commitToRequest,
  decodePart,
  headShape,
  ORDER,
  orderFrameShape,
  progressShape,
  RECEIPT,
  refusalShape,
  VOUCHER,
  type Order,
  type Receipt,
  type Voucher,
} from '../../src/wire/inference.ts'
import { journalEntryShape } from '../../src/wire/journal.ts'
import { createMerkleTree, isIncluded } from '../../src/wire/merkle.ts'
import { priceUsage, type BilledUsage, type Prices } from '../../src/wire/pricing.ts'
import { decodeBody, encodeBody, type Shape } from '../../src/wire/shape.ts'

const PROTOCOLS = join(import.meta.dirname, '..', '..', 'protocols')

const KINDS: Readonly<Record<string, Kind<unknown>>> = {
  advert: anyKind(ADVERT),
  order: anyKind(ORDER),
  acceptance: anyKind(ACCEPTANCE),
  voucher: anyKind(VOUCHER),
  receipt: anyKind(RECEIPT),
  statement: anyKind(STATEMENT),
  rejection: anyKind(REJECTION),
  payment: anyKind(PAYMENT),
  netting: anyKind(NETTING),
  checkpoint: anyKind(CHECKPOINT),
}

const SHAPES: Readonly<Record<string, Shape<unknown>>> = {
  'order-frame': orderFrameShape,
  refusal: refusalShape,
  head: headShape,
  progress: progressShape,
  abort: abortShape,
  hello: helloShape,
  statements: statementsFrameShape,
  wanted: wantedShape,
  evidence: evidenceShape,
  'netting-frame': nettingFrameShape,
  'settlement-refusal': settlementRefusalShape,
  proposal: proposalShape,
  countersignature: countersignatureShape,
  'journal-entry': journalEntryShape,
  'account-head': accountHeadShape,
}

function anyKind<T>(kind: Kind<T>): Kind<unknown> {
  return { ...kind, signerOf: (value) => kind.signerOf(value as T) }
}

type Result = Readonly<Record<string, Reading>>

/** What this implementation makes of a case: every field that must stand in it. */
const RUN: Readonly<Record<string, (of: Case) => Result | Promise<Result>>> = {
  open: (of) => opened(of, open(kindOf(of), decodeEnvelope(hex(of, 'envelope'), text(of, 'kind')))),
  advert: (of) => opened(of, openAdvert(hex(of, 'envelope'), text(of, 'network'), Number(of['nowMs']))),
  read(of) {
    const shape = SHAPES[text(of, 'rule')]!
    const bytes = hex(of, 'bytes')
    const value = decodeBody(shape, bytes, text(of, 'rule'))
    const digest = of['digest'] === undefined ? {} : { digest: toHex(sha256(bytes)) }
    return { value: reading(value), bytes: toHex(encodeBody(shape, value)), ...digest }
  },
  peer(of) {
    const peer = peerOfKey(hex(of, 'publicKey'))
    return { peer, publicKey: toHex(keyOfPeer(peer)!) }
  },
  'model-key': (of) => ({
    canonical: canonicalModel(text(of, 'model')),
    key: toHex(modelKey(text(of, 'network'), text(of, 'model'))),
  }),
  price: (of) => ({ amount: String(priceUsage(of['usage'] as unknown as BilledUsage, pricesOf(of['prices']))) }),
  cap(of) {
    const limits = of['limits'] as unknown as Parameters<typeof capUsage>[1]
    return { capped: reading(capUsage(of['usage'] as unknown as BilledUsage, limits)) }
  },
  billing(of) {
    checkBilling(billOf(of), termsOf(of))
    return {}
  },
  commitment: (of) => ({
    commitment: toHex(commitToRequest(hex(of, 'salt'), String(of['query']), hex(of, 'body'))),
  }),
  estimate: (of) => ({ inputTokens: estimateInputTokens(hex(of, 'body')) }),
  'running-count'(of) {
    const head = { status: Number(of['status']), headers: { 'content-type': text(of, 'contentType') } }
    const delivery = createDelivery(text(of, 'endpoint') as Endpoint, head, Number(of['outputTokensMax']))
    const outputTokens = (of['parts'] as readonly string[]).map((part) => {
      delivery.push(fromHex(part))
      return delivery.outputTokens
    })
    return { outputTokens }
  },
  billed(of) {
    const seen = of['seen'] as unknown as Pick<SeenAnswer, 'httpStatus' | 'countedOutputTokens' | 'reported'>
    const unseen = { answerBytes: 0, answerDigest: new Uint8Array(32), textBytes: 0 }
    const { usage, source } = billedUsage(of['order'] as unknown as Order, { ...unseen, ...seen })
    return { usage: reading(usage), source }
  },
  part(of) {
    const { outputTokens, content } = decodePart(hex(of, 'payload'))
    return { outputTokens, content: toHex(content) }
  },
  'account-id': (of) => ({ id: toHex(accountId(accountOf(of))) }),
  statement(of) {
    const dualSigned = decodeBody(dualSignedShape, hex(of, 'dualSigned'), 'statement')
    const { value, id, body, sellerSignature, buyerSignature } = openStatement(dualSigned)
    const whole = { value, id, body, sellerSignature, buyerSignature, signed: signingInput(STATEMENT.domain, body) }
    return reading(whole) as Readonly<Record<string, Reading>>
  },
  chain(of) {
    const head = of['head'] as Readonly<Record<string, string | number>>
    const at: AccountHead = {
      sequence: Number(head['sequence']),
      head: head['head'] === undefined ? undefined : fromHex(String(head['head'])),
      owed: BigInt(head['owed']!),
      paid: BigInt(head['paid']!),
      creditLimit: BigInt(head['creditLimit']!),
    }
    const statement = decodeBody(STATEMENT.shape, hex(of, 'statement'), 'statement')
    refuseBreach(breachOfChain(accountOf(of), at, statement))
    return {}
  },
  async export(of) {
    const file = (of['lines'] as readonly string[]).map((line) => `${line}\n`).join('')
    await atStep(of, () => verifyExport(splitLines(chunksOf(file)), signatureChecker))
    return {}
  },
  async proof(of) {
    const bytes = Buffer.from(text(of, 'line'))
    await atStep(of, () => verifyProof({ bytes, offset: 0, number: 1 }, signatureChecker))
    return {}
  },
  merkle(of) {
    const leaves = (of['leaves'] as readonly string[]).map(fromHex)
    const tree = createMerkleTree()
    for (const leaf of leaves) tree.add(leaf)
    const paths = of['paths'] as readonly (readonly string[])[]
    const included = leaves.map((leaf, index) =>
      isIncluded(
        { leaf, index, path: paths[index]!.map(fromHex) },
        { count: leaves.length, root: fromHex(text(of, 'root')) },
      ),
    )
    expect(included).toEqual(leaves.map(() => true))
    return { root: toHex(tree.root()), peaks: tree.peaks().map(toHex) }
  },
  item(of) {
    const receipt = of['receipt'] === undefined ? undefined : (billOf(of['receipt']) as Receipt)
    const promised = billOf(of['voucher']) as Voucher
    refuseBreach(breachOfItem(billOf(of['item']), termsOf(of) as Order, promised, receipt))
    return {}
  },
}

/** A fault of a file is an `export_invalid`, at the step that the case names. */
async function atStep(of: Case, verify: () => Promise<unknown>): Promise<void> {
  try {
    await verify()
  } catch (thrown) {
    if (!(thrown instanceof ExportFault)) throw thrown
    expect(`${of.check} ${thrown.step}`).toBe(of.step)
    throw new TokError('export_invalid', { reason: thrown.message }, { cause: thrown })
  }
}

/** Checks signatures as the worker threads of the ledger do, in this one. */
const signatureChecker: SignatureChecker = {
  engine: 'native',
  width: 1,
  check: async (claims) => claims.map((each) => verifySignature(each.publicKey, each.message, each.signature)),
  close: async () => undefined,
}

async function* chunksOf(file: string): AsyncIterable<string> {
  for (let at = 0; at < file.length; at += 1_000) yield file.slice(at, at + 1_000)
}

function opened(of: Case, signed: { value: unknown; body: Uint8Array; signature: Uint8Array; id: Uint8Array }) {
  const kind = kindOf(of)
  return {
    value: reading(signed.value),
    body: toHex(encodeBody(kind.shape, signed.value)),
    signed: toHex(signingInput(kind.domain, signed.body)),
    signature: toHex(signed.signature),
    id: toHex(signed.id),
  }
}

/** The ledger names a breach in words; towards the other side each is a `statement_invalid`. */
function refuseBreach(breach: string | undefined): void {
  if (breach !== undefined) throw new TokError('statement_invalid', { reason: breach })
}

function kindOf(of: Case): Kind<unknown> {
  return KINDS[text(of, 'kind')]!
}

function text(of: Case, field: string): string {
  const value = of[field]
  if (typeof value !== 'string') throw new TypeError(`the case "${of.name}" has no text "${field}"`)
  return value
}

function hex(of: Case, field: string): Uint8Array {
  return fromHex(text(of, field))
}

function billOf(of: unknown): { usage: BilledUsage; amount: bigint } {
  const { usage, amount } = of as { usage: BilledUsage; amount: string }
  return { usage, amount: BigInt(amount) }
}

function pricesOf(of: unknown): Prices {
  const amounts = Object.entries(of as Readonly<Record<string, string>>).map(([name, micros]) => [name, BigInt(micros)])
  return Object.fromEntries(amounts) as Prices
}

function termsOf(of: Case) {
  const terms = of['order'] as unknown as { inputTokensMax: number; outputTokensMax: number; amountMax: string }
  const { inputTokensMax, outputTokensMax, amountMax } = terms
  const prices = pricesOf((of['order'] as { prices: Reading }).prices)
  return { prices, inputTokensMax, outputTokensMax, amountMax: BigInt(amountMax) }
}

function accountOf(of: Case): Account {
  const { network, asset, buyer, seller } = of['account'] as Readonly<Record<string, string>>
  return { network: network!, asset: asset!, buyer: fromHex(buyer!), seller: fromHex(seller!) }
}

describe.each([...allVectors()])('the vectors of %s', (_, { accept, reject }) => {
  test.each(accept.map((of) => [of.name, of] as const))('accepted: %s', async (_name, of) => {
    expect(of).toMatchObject(await RUN[of.check]!(of))
  })

  test.each(reject.map((of) => [of.name, of] as const))('refused: %s', async (_name, of) => {
    expect(of.error).toBeDefined()
    const refusal = expect.objectContaining({ name: 'TokError', code: of.error })
    await expect(async () => RUN[of.check]!(of)).rejects.toThrow(refusal)
  })
})

test.each([...generatedFiles()])('%s says what the code says', (path, generated) => {
  expect(readFileSync(join(PROTOCOLS, path), 'utf8')).toBe(generated)
})

describe('tweetnacl, the independent verifier', () => {
  const signedCases = [...allVectors().values()].flatMap(({ accept }) => accept.filter((of) => 'signed' in of))

  test.each(signedCases.map((of) => [of.name, of] as const))('agrees on %s', (_name, of) => {
    const signers =
      of.check === 'statement'
        ? [[KEYS.seller, 'sellerSignature'] as const, [KEYS.buyer, 'buyerSignature'] as const]
        : [[signerOf(of), 'signature'] as const]
    for (const [key, field] of signers) {
      expect(nacl.sign.detached.verify(hex(of, 'signed'), hex(of, field), key.publicKey)).toBe(true)
    }
  })

  test('accepts S + L where this implementation does not: without the range check a signature has two forms', () => {
    const double = allVectors()
      .get('envelope')!
      .reject.find((of) => of.step === 'envelope 5')!
    const { body, signature } = decodeEnvelope(hex(double, 'envelope'), 'acceptance')
    const signed = signingInput(ACCEPTANCE.domain, body)
    expect(nacl.sign.detached.verify(signed, signature, KEYS.seller.publicKey)).toBe(true)
    expect(verifySignature(KEYS.seller.publicKey, signed, signature)).toBe(false)
  })

  test.each(Object.entries(SEEDS))('derives the key and makes the signatures of the %s', (name, seed) => {
    const pair = nacl.sign.keyPair.fromSeed(fromHex(seed))
    const key = KEYS[name as keyof typeof KEYS]
    const message = sha256(fromHex(seed))
    expect(toHex(pair.publicKey)).toBe(toHex(key.publicKey))
    expect(toHex(nacl.sign.detached(message, pair.secretKey))).toBe(toHex(key.sign(message)))
  })

  function signerOf(of: Case) {
    const kind = kindOf(of)
    const signer = toHex(kind.signerOf(decodeBody(kind.shape, hex(of, 'body'), kind.name)))
    return Object.values(KEYS).find((key) => toHex(key.publicKey) === signer)!
  }
})
