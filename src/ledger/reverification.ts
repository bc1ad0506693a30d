/**
 * What a second verifier has confirmed of the signatures that entered this ledger, and what it has not. The ledger checks every
 * signature by Node's own Ed25519 as it comes; a verifier in the background checks them again by tweetnacl, and a difference
 * freezes the account: one of the two is wrong, or the disk is. Source: docs/decisions/signatures.md.
 */
import { equalBytes, sha256, toHex } from '../base/bytes.ts'
import { toTokError } from '../base/errors.ts'
import { callItems, STATEMENT, type Statement } from '../wire/account.ts'
import { CHECKPOINT } from '../wire/checkpoint.ts'
import { signingInput, type Envelope, type Kind } from '../wire/envelope.ts'
import { ORDER, RECEIPT, VOUCHER } from '../wire/inference.ts'
import { decodeBody } from '../wire/shape.ts'
import type { AccountBook } from './account-book.ts'
import type { Checkpoints } from './checkpoints.ts'
import { reverifiedWrite, type Records, type ReverifiedMark } from './records.ts'
import type { SignatureClaim } from './signature-check.ts'
import type { CommitQueue } from './store.ts'

/** The signatures of one statement with its papers, or of one checkpoint. */
export interface ReverifyStep {
  /** Undefined: a checkpoint. */
  readonly account: Uint8Array | undefined
  readonly sequence: number
  readonly claims: readonly (SignatureClaim & { readonly what: string })[]
  /** What is wrong before any signature is checked: a record that is missing, or is not the one that was signed for. */
  readonly fault: string | undefined
}

/** How far the second verifier has come. */
export interface ReverificationView {
  /** Statements that are in the ledger, and those of them that were confirmed. */
  readonly statements: number
  readonly confirmed: number
  /** Sequence of the newest checkpoint that was confirmed; 0 before the first. */
  readonly checkpointsThrough: number
  /** What it refuses, in words. */
  readonly mismatches: readonly string[]
}

export interface Reverification {
  /** Sequence of the newest statement of the account that the second verifier has confirmed with all before it. */
  reverifiedThrough(accountIdBytes: Uint8Array): number
  reverification(): ReverificationView
  /** What is to be checked next; undefined if all is, or nothing more can be. */
  nextToReverify(): Promise<ReverifyStep | undefined>
  /** Notes that the step holds. */
  setReverified(step: ReverifyStep): Promise<void>
  /** Notes that it does not: its account is frozen for good. */
  setMismatch(step: ReverifyStep, reason: string): Promise<void>
}

/** Stands for the checkpoints among the marks of accounts. */
const CHECKPOINTS = new Uint8Array(32)
const NOTHING: ReverifiedMark = { through: 0, mismatch: undefined }

export async function loadReverification(dependencies: {
  readonly book: AccountBook
  readonly records: Records
  readonly queue: CommitQueue
  readonly checkpoints: Checkpoints
}): Promise<Reverification> {
  const { book, records, queue, checkpoints } = dependencies
  const marks = new Map<string, ReverifiedMark>()
  for await (const { account, mark } of records.reverifiedMarks()) {
    marks.set(toHex(account), mark)
    const state = book.stateOfId(account)
    if (state !== undefined && mark.mismatch !== undefined) state.frozen = mark.mismatch
  }
  const markOf = (account: Uint8Array): ReverifiedMark => marks.get(toHex(account)) ?? NOTHING

  async function note({ account = CHECKPOINTS }: ReverifyStep, mark: ReverifiedMark): Promise<void> {
    await queue.commit([reverifiedWrite(account, mark)])
    marks.set(toHex(account), mark)
  }

  return {
    reverifiedThrough: (account) => markOf(account).through,
    reverification() {
      const states = [...book.states()]
      return {
        statements: states.reduce((sum, { head }) => sum + head.sequence, 0),
        confirmed: states.reduce((sum, { id, head }) => sum + Math.min(markOf(id).through, head.sequence), 0),
        checkpointsThrough: markOf(CHECKPOINTS).through,
        mismatches: [...marks.values()].flatMap(({ mismatch }) => mismatch ?? []),
      }
    },
    async nextToReverify() {
      for (const { id, head } of book.states()) {
        const { through, mismatch } = markOf(id)
        if (mismatch === undefined && through < head.sequence) return stepOfStatement(records, id, through + 1)
      }
      const { through, mismatch } = markOf(CHECKPOINTS)
      const newest = checkpoints.newestCheckpoint()
      if (mismatch !== undefined || newest === undefined || newest.value.sequence <= through) return undefined
      return stepOfCheckpoint(records, through)
    },
    setReverified: (step) => note(step, { through: step.sequence, mismatch: undefined }),
    async setMismatch(step, reason) {
      const state = step.account && book.stateOfId(step.account)
      if (state !== undefined) state.frozen = reason
      await note(step, { through: step.sequence - 1, mismatch: reason })
    },
  }
}

async function stepOfStatement(records: Records, account: Uint8Array, sequence: number): Promise<ReverifyStep> {
  const claims: (SignatureClaim & { what: string })[] = []
  /** A record's body, whose signature is put among the claims. */
  function claim<T>(what: string, kind: Kind<T>, envelope: Envelope, signerOf = kind.signerOf): T {
    const value = decodeBody(kind.shape, envelope.body, what)
    const message = signingInput(kind.domain, envelope.body)
    claims.push({ what, publicKey: signerOf(value), message, signature: envelope.signature })
    return value
  }
  async function claimPaper<T>(kind: Kind<T>, order: Uint8Array, id: Uint8Array): Promise<void> {
    for (const paper of await records.storedPapers(kind, order)) {
      if (!equalBytes(sha256(paper.body), id)) continue
      claim(`${kind.name} of order ${toHex(order)}`, kind, paper)
      return
    }
    throw new Error(`the ${kind.name} of order ${toHex(order)} is missing`)
  }
  try {
    const stored = await records.storedStatement(account, sequence)
    if (stored === undefined) throw new Error('it is missing')
    const { body, sellerSignature, buyerSignature } = stored
    const value: Statement = claim('seller', STATEMENT, { body, signature: sellerSignature })
    claim('buyer', STATEMENT, { body, signature: buyerSignature }, ({ buyer }) => buyer)
    for (const item of callItems(value)) {
      await claimPaper(ORDER, item.order, item.order)
      await claimPaper(VOUCHER, item.order, item.voucher)
      if (item.receipt !== undefined) await claimPaper(RECEIPT, item.order, item.receipt)
    }
    return { account, sequence, claims, fault: undefined }
  } catch (thrown) {
    return { account, sequence, claims, fault: toTokError(thrown).message }
  }
}

async function stepOfCheckpoint(records: Records, after: number): Promise<ReverifyStep> {
  for await (const { value, body, signature } of records.checkpoints(false, after)) {
    const message = signingInput(CHECKPOINT.domain, body)
    const claims = [{ what: 'node', publicKey: value.node, message, signature }]
    return { account: undefined, sequence: value.sequence, claims, fault: undefined }
  }
  return { account: undefined, sequence: after + 1, claims: [], fault: 'it is missing' }
}
