import { describe, expect, test } from 'vitest'
import { judgeConflict, type StatementCopy } from '../../../src/ledger/equivocation.ts'
import { evidenceLine, verifyEvidenceLine } from '../../../src/ledger/evidence.ts'
import { STATEMENT, type Statement } from '../../../src/wire/account.ts'
import { seal, signingInput } from '../../../src/wire/envelope.ts'
import { verifySignature, type NodeKey } from '../../../src/wire/identity.ts'
import { ASSET, hexed, NETWORK, START_MS, testKey } from '../../support/ledger-pair.ts'

const [buyer, seller, stranger] = [testKey(1), testKey(2), testKey(3)]
const first: Statement = {
  type: 'tok/statement/1',
  network: NETWORK,
  asset: ASSET,
  buyer: buyer.publicKey,
  seller: seller.publicKey,
  sequence: 4,
  previous: new Uint8Array(32),
  items: [],
  owed: 10n,
  paid: 0n,
  creditLimit: 100n,
  issuedAtMs: START_MS,
  rejection: undefined,
  buyerRestoredAtMs: undefined,
  sellerRestoredAtMs: undefined,
}

function copy(value: Statement, countersigner?: NodeKey, proposer = seller): StatementCopy {
  const { body, signature: sellerSignature } = seal(STATEMENT, value, proposer)
  const buyerSignature = countersigner?.sign(signingInput(STATEMENT.domain, body))
  return { body, sellerSignature, buyerSignature }
}

const judge = (one: StatementCopy, other: StatementCopy) =>
  judgeConflict(one, other, (each) => verifySignature(each.publicKey, each.message, each.signature))

/** A second statement beside `first`: what differs, who countersigned the two, and who is convicted. */
const CONFLICTS: readonly [
  name: string,
  second: Partial<Statement>,
  countersigned: 0 | 1 | 2,
  by: readonly string[],
][] = [
  ['two proposals on one ground', { owed: 11n }, 0, ['seller']],
  ['a countersigned one and a proposal', { owed: 11n }, 1, ['seller']],
  ['two countersigned ones', { owed: 11n }, 2, ['buyer', 'seller']],
  ['a proposal anew, on the ground of a rejection', { rejection: new Uint8Array(32) }, 1, []],
  ['both countersigned, with a rejection between', { rejection: new Uint8Array(32) }, 2, ['buyer']],
  ['a seller that went back to a copy', { sellerRestoredAtMs: 7 }, 1, []],
  ['a seller that went back, and a buyer that did not', { sellerRestoredAtMs: 7 }, 2, ['buyer']],
  ['a buyer that went back, and a seller that did not', { buyerRestoredAtMs: 7 }, 2, ['seller']],
  ['both went back', { buyerRestoredAtMs: 7, sellerRestoredAtMs: 8 }, 2, []],
]

describe('two statements at one sequence', () => {
  test.each(CONFLICTS)('%s', (_name, second, countersigned, by) => {
    const one = copy(first, countersigned > 0 ? buyer : undefined)
    const other = copy({ ...first, ...second }, countersigned > 1 ? buyer : undefined)
    const conflict = judge(one, other)
    expect(conflict).toMatchObject({ sequence: 4, equivocators: by })
    expect(hexed(judge(other, one))).toEqual(hexed(conflict))
    const line = evidenceLine(conflict)
    const verify = () => verifyEvidenceLine(line, { file: 'proofs', line: 1 })
    if (by.length > 0) expect(hexed(verify())).toEqual(hexed(conflict))
    else expect(verify).toThrow('gone back to copies')
  })

  const NO_PROOF: readonly [name: string, one: StatementCopy, other: StatementCopy, code: string][] = [
    ['the same twice', copy(first), copy(first, buyer), 'statement_invalid'],
    ['of two sequences', copy(first), copy({ ...first, sequence: 5 }), 'statement_invalid'],
    ['of two accounts', copy(first), copy({ ...first, buyer: stranger.publicKey }), 'statement_invalid'],
    ['of two networks', copy(first), copy({ ...first, network: 'other' }), 'statement_invalid'],
    ['one not by the seller', copy(first), copy({ ...first, owed: 11n }, undefined, stranger), 'signature_invalid'],
    ['one not by the buyer', copy(first, buyer), copy({ ...first, owed: 11n }, stranger), 'signature_invalid'],
  ]

  test.each(NO_PROOF)('prove nothing: %s', (_name, one, other, code) => {
    expect(() => judge(one, other)).toThrow(expect.objectContaining({ code }))
  })
})

describe('a line of an evidence file', () => {
  const line = evidenceLine(judge(copy(first, buyer), copy({ ...first, owed: 11n })))

  test('says no more than its signed bodies, whatever is changed in it', () => {
    const refusal = expect.objectContaining({ code: 'export_invalid' })
    for (let at = 0; at < line.length; at += 7) {
      const changed = `${line.slice(0, at)}${line[at] === 'a' ? 'b' : 'a'}${line.slice(at + 1)}`
      expect(() => verifyEvidenceLine(changed, { file: 'proofs', line: 3 }), `character ${at}`).toThrow(refusal)
    }
  }, 60_000)

  test.each(['', '[]', '{}', '{"statements":[1,2]}', 'null', line.slice(1)])('is no %s', (text) => {
    expect(() => verifyEvidenceLine(text, { file: 'proofs', line: 3 })).toThrow(/proofs: line 3/)
  })
})
