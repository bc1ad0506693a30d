/**
 * Two statements at one place of one account: who signed both, and so proves itself dishonest, and who only went back to an
 * old copy of its ledger and said so. Pure. Source: protocols/account/v1.md, "Fork".
 */
import { equalBytes, sha256 } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import { accountId, STATEMENT, type Account, type Statement } from '../wire/account.ts'
import { signingInput } from '../wire/envelope.ts'
import { SIGNATURE_BYTES, verifySignature } from '../wire/identity.ts'
import { bytes, bytesUpTo, decodeBody, optional, record, type Read } from '../wire/shape.ts'
import type { SignatureClaim } from './signature-check.ts'

/** A statement as the seller signed it, and the buyer's signature where there is one. */
export const statementCopyShape = record({
  body: bytesUpTo(32_768),
  sellerSignature: bytes(SIGNATURE_BYTES),
  buyerSignature: optional(bytes(SIGNATURE_BYTES)),
})
export type StatementCopy = Read<typeof statementCopyShape>

/** Two different statements that stand at one sequence of one account. */
export interface Conflict {
  readonly account: Account
  readonly sequence: number
  /** By the id of their bodies, so that a conflict looks the same from both sides. */
  readonly statements: readonly [ConflictingStatement, ConflictingStatement]
  /**
   * Who signed both although nothing of what it knew lay between them. Empty if both sides had their ledgers brought up from a
   * copy between the two, and the later statement says so: then the older one is admitted history, and no fraud.
   */
  readonly equivocators: readonly ('buyer' | 'seller')[]
}

/** One of the two, read and checked. */
export interface ConflictingStatement extends StatementCopy {
  readonly value: Statement
  readonly id: Uint8Array
}

/** True if the signature holds. */
export type CheckSignature = (claim: SignatureClaim) => boolean

/** By Node's own Ed25519. */
export const checkNatively: CheckSignature = ({ publicKey, message, signature }) =>
  verifySignature(publicKey, message, signature)

/**
 * What two copies prove, or an error if they prove nothing.
 * @throws TokError `encoding_invalid`, `signature_invalid`; `statement_invalid` if they can stand together
 */
export function judgeConflict(one: StatementCopy, other: StatementCopy, check: CheckSignature): Conflict {
  const [first, second] = [openCopy(one, check), openCopy(other, check)].toSorted((left, right) =>
    Buffer.compare(left.id, right.id),
  ) as [ConflictingStatement, ConflictingStatement]
  const { sequence, network, asset, buyer, seller } = first.value
  const isOfOnePlace = sequence === second.value.sequence && equalBytes(accountId(first.value), accountId(second.value))
  if (!isOfOnePlace || equalBytes(first.id, second.id)) {
    throw new TokError('statement_invalid', { reason: 'the two are no different statements at one sequence' })
  }
  const equivocators: ('buyer' | 'seller')[] = []
  if (isCountersignedTwice(first, second)) equivocators.push('buyer')
  if (isProposedTwice(first.value, second.value)) equivocators.push('seller')
  return { account: { network, asset, buyer, seller }, sequence, statements: [first, second], equivocators }
}

/** A buyer countersigns one statement at each sequence, until it goes back to a copy. */
function isCountersignedTwice(one: ConflictingStatement, other: ConflictingStatement): boolean {
  const isCountersigned = one.buyerSignature !== undefined && other.buyerSignature !== undefined
  return isCountersigned && one.value.buyerRestoredAtMs === other.value.buyerRestoredAtMs
}

/** A seller proposes a second one on the ground of a rejection of the first, or after it went back to a copy. */
function isProposedTwice(one: Statement, other: Statement): boolean {
  const isOnOneGround =
    one.rejection === undefined || other.rejection === undefined
      ? one.rejection === other.rejection
      : equalBytes(one.rejection, other.rejection)
  return isOnOneGround && one.sellerRestoredAtMs === other.sellerRestoredAtMs
}

function openCopy(
  { body, sellerSignature, buyerSignature }: StatementCopy,
  check: CheckSignature,
): ConflictingStatement {
  const value = decodeBody(STATEMENT.shape, body, 'statement')
  const message = signingInput(STATEMENT.domain, body)
  const isSigned =
    check({ publicKey: value.seller, message, signature: sellerSignature }) &&
    (buyerSignature === undefined || check({ publicKey: value.buyer, message, signature: buyerSignature }))
  if (!isSigned) throw new TokError('signature_invalid', { what: 'statement' })
  return { body, sellerSignature, buyerSignature, value, id: sha256(body) }
}
