/**
 * The part of an account exchange in which both sides come to hold the same statements, the same code for buyer and seller: each
 * says with HELLO where it stands, the one that is ahead shows what the other lacks, with the papers it asks for, and two
 * histories are found at the newest statement that both hold. Source: protocols/account/v1.md, "Sequence".
 */
import { equalBytes, sha256, toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import {
  callItems,
  evidenceShape,
  openStatement,
  statementsFrameShape,
  wantedShape,
  type Account,
  type DualSigned,
  type Evidence,
  type Hello,
} from '../wire/account.ts'
import { decodeBody, encodeBody } from '../wire/shape.ts'
import { peerOfKey } from '../wire/identity.ts'
import { FRAMES } from '../wire/registry.ts'
import type { Reconciliation } from './reconciliation.ts'
import type { LedgerRecords } from './records.ts'

/** The frames of one exchange, as this side reads and writes them. */
export interface ExchangeFrames {
  write(type: number, payload: Uint8Array): Promise<void>
  /** The payload of the next frame, which has to be of `type`. @throws TokError naming a peer that breaks the protocol */
  read(type: number): Promise<Uint8Array>
  /** Called when the other side has shown something new that both signed: what follows is no endless exchange. */
  onProgress(): void
}

type Books = Reconciliation & Pick<LedgerRecords, 'statementsAfter'>

/**
 * Brings the account to one chain on both sides, after the two HELLOs. Returns when both hold the same statements.
 * @param isBuyer this side's part: of two that could begin, the buyer does
 * @throws TokError `account_forked` for two histories, kept as proof; `account_rolled_back` if both had gone back to copies
 *   between the two; `statement_invalid`, `frame_malformed` and what `frames` throws
 */
export async function catchUp(
  books: Books,
  account: Account,
  { mine, theirs, isBuyer }: { readonly mine: Hello; readonly theirs: Hello; readonly isBuyer: boolean },
  frames: ExchangeFrames,
): Promise<void> {
  books.noteHello(account, theirs)
  const common = Math.min(mine.sequence, theirs.sequence)
  if (common > 0 && theirs.sequence === common) {
    const own = await statementAt(common)
    const isSame = theirs.head !== undefined && equalBytes(sha256(own.body), theirs.head)
    if (!isSame) return fork(own, isBuyer || mine.sequence > common)
  }
  if (mine.sequence > theirs.sequence) await show()
  else await take()

  async function statementAt(sequence: number): Promise<DualSigned> {
    const [statement] = await books.statementsAfter(account, sequence - 1, 1)
    if (statement === undefined)
      throw new TokError('ledger_corrupt', { position: `statement ${sequence}`, reason: 'it is missing' })
    return statement
  }

  /** Sends what the other side lacks, a frame at a time, each with the papers that it asks for. */
  async function show(): Promise<void> {
    for (let from = theirs.sequence; from < mine.sequence;) {
      const statements = await books.statementsAfter(account, from)
      await frames.write(FRAMES.statements, encodeBody(statementsFrameShape, { statements }))
      const { orders } = decodeBody(wantedShape, await frames.read(FRAMES.wanted), 'wanted')
      const shown = new Set(
        statements.flatMap((each) => callItems(openStatement(each).value).map(({ order }) => toHex(order))),
      )
      for (const order of orders) {
        // Each order once, so that little asked for is never much sent.
        if (!shown.delete(toHex(order)))
          throw new TokError('frame_malformed', { reason: 'papers of no statement shown' })
        await frames.write(FRAMES.evidence, encodeBody(evidenceShape, await books.papersSettled(account, order)))
      }
      from += statements.length
    }
  }

  /** Takes what this side lacks. A statement at the place of this side's newest one says that the two differ. */
  async function take(): Promise<void> {
    for (let from = mine.sequence; from < theirs.sequence;) {
      const statements = await readStatements()
      const [first] = statements
      if (first === undefined) throw new TokError('frame_malformed', { reason: 'statements are missing' })
      if (from === common && common > 0 && openStatement(first).value.sequence === common) {
        return fork(await statementAt(common), false, first)
      }
      const orders = await books.papersLacked(account, statements)
      await frames.write(FRAMES.wanted, encodeBody(wantedShape, { orders }))
      const papers: Evidence[] = []
      for (const _ of orders) papers.push(decodeBody(evidenceShape, await frames.read(FRAMES.evidence), 'evidence'))
      await books.appendStatements(account, statements, papers)
      frames.onProgress()
      from += statements.length
    }
  }

  /** Both show their statement at the place where they differ; the one that noticed it begins, the buyer if both did. */
  async function fork(own: DualSigned, isFirst: boolean, shown?: DualSigned): Promise<void> {
    const showOwn = () => frames.write(FRAMES.statements, encodeBody(statementsFrameShape, { statements: [own] }))
    if (isFirst) await showOwn()
    const [other] = shown === undefined ? await readStatements() : [shown]
    if (!isFirst) await showOwn()
    if (other === undefined) throw new TokError('frame_malformed', { reason: 'it does not show its statement' })
    const { equivocators, sequence } = await books.freeze(account, own, other)
    if (equivocators.length > 0) throw new TokError('account_forked', { sequence })
    throw new TokError('account_rolled_back', { peer: peerOfKey(isBuyer ? account.seller : account.buyer), sequence })
  }

  async function readStatements(): Promise<readonly DualSigned[]> {
    return decodeBody(statementsFrameShape, await frames.read(FRAMES.statements), 'statements').statements
  }
}
