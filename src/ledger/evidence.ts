/**
 * The proof that somebody signed two histories, as a file that anyone can check without a node or a database: one line of JSON
 * for each proof. Nothing in a line counts but the signed bodies; the rest is what they make, for people to read.
 * Source: protocols/ledger/v1.md, "Evidence file".
 */
import nacl from 'tweetnacl'
import { fromBase64Url, toBase64Url } from '../base/bytes.ts'
import { reasonOf, TokError } from '../base/errors.ts'
import { nameOfHash } from '../wire/hash-name.ts'
import { isCanonicalSignature, isUsableKey, peerOfKey } from '../wire/identity.ts'
import {
  judgeConflict,
  type CheckSignature,
  type Conflict,
  type ConflictingStatement,
  type StatementCopy,
} from './equivocation.ts'
import { readingOf } from './export.ts'

const FORMAT = 'tok/evidence/1'

/** One proof as a line of an evidence file, without its newline. */
export function evidenceLine({ account, sequence, equivocators, statements }: Conflict): string {
  return JSON.stringify({
    format: FORMAT,
    network: account.network,
    asset: account.asset,
    buyer: peerOfKey(account.buyer),
    seller: peerOfKey(account.seller),
    sequence,
    equivocators,
    statements: statements.map(statementMembers),
  })
}

/**
 * Reads a line of an evidence file and checks it by tweetnacl, which shares no code with the signer.
 * @throws TokError `export_invalid` naming file, line and reason if it proves nothing, or says other than its signed bodies
 */
export function verifyEvidenceLine(line: string, place: { readonly file: string; readonly line: number }): Conflict {
  const invalid = (reason: string, cause?: unknown): TokError =>
    new TokError('export_invalid', { file: place.file, position: `line ${place.line}`, reason }, { cause })
  let conflict: Conflict
  try {
    const [one, other] = statementsIn(JSON.parse(line))
    conflict = judgeConflict(one, other, checkByNacl)
  } catch (thrown) {
    throw invalid(reasonOf(thrown), thrown)
  }
  if (conflict.equivocators.length === 0) throw invalid('both sides had gone back to copies between the two')
  if (evidenceLine(conflict) !== line) throw invalid('it is not what its signed bodies make')
  return conflict
}

/** tweetnacl takes S + L for S and keys of small order; both are refused here, as by Node's own. */
const checkByNacl: CheckSignature = ({ publicKey, message, signature }) =>
  isUsableKey(publicKey) && isCanonicalSignature(signature) && nacl.sign.detached.verify(message, signature, publicKey)

function statementMembers({ id, body, sellerSignature, buyerSignature, value }: ConflictingStatement): object {
  return {
    id: nameOfHash(id),
    body: toBase64Url(body),
    sellerSignature: toBase64Url(sellerSignature),
    ...(buyerSignature === undefined ? {} : { buyerSignature: toBase64Url(buyerSignature) }),
    reading: readingOf(value),
  }
}

function statementsIn(value: unknown): [StatementCopy, StatementCopy] {
  const { statements } = Object(value) as { readonly statements?: unknown }
  if (!Array.isArray(statements) || statements.length !== 2) throw new Error('it holds no two statements')
  const [one, other] = statements.map((each: unknown): StatementCopy => {
    const { body, sellerSignature, buyerSignature } = Object(each) as Readonly<Record<string, unknown>>
    return {
      body: bytesIn(body),
      sellerSignature: bytesIn(sellerSignature),
      buyerSignature: buyerSignature === undefined ? undefined : bytesIn(buyerSignature),
    }
  })
  if (one === undefined || other === undefined) throw new Error('it holds no two statements')
  return [one, other]
}

function bytesIn(value: unknown): Uint8Array {
  if (typeof value !== 'string') throw new Error('a body or signature is missing')
  return fromBase64Url(value)
}
