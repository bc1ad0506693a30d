/**
 * How a statement comes to bear both signatures: the seller proposes, the buyer countersigns or rejects, and every answer is
 * recorded before it is given. Source: protocols/account/v1.md; rules R1, R3 and R7 there.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import {
  accountId,
  callItems,
  itemId,
  openStatement,
  REJECTION,
  STATEMENT,
  type Account,
  type CallItem,
  type ProposalFrame,
  type Rejection,
  type Statement,
} from '../wire/account.ts'
import { checkSignature, open, seal, signingInput, type Envelope, type Signed } from '../wire/envelope.ts'
import type { NodeKey } from '../wire/identity.ts'
import type { Receipt, Voucher } from '../wire/inference.ts'
import { DOMAINS } from '../wire/registry.ts'
import { decodeBody } from '../wire/shape.ts'
import type { AccountBook } from './account-book.ts'
import {
  buildStatement,
  claimOf,
  frozenBy,
  judgeProposal,
  isOfItem,
  setAsideNetting,
  requireUsable,
  type AccountState,
  type KnownCall,
  type Refusal,
} from './account-state.ts'
import { isOfCall, papersOf, papersOfItem, plain, type Papers } from './call-papers.ts'
import type { CallSealing } from './call-sealing.ts'
import type { StatementCopy } from './equivocation.ts'
import { freezeByProof } from './freeze-account.ts'
import type { OneAfterAnother } from './one-after-another.ts'
import { postStatement } from './post-statement.ts'
import { openCallWrite, proposalWrite, rejectedWrite, rejectionWrite, type Records } from './records.ts'
import { paymentWrite } from './settlement-records.ts'
import type { CommitQueue } from './store.ts'

/** The buyer's final answer to a proposal. */
export type ProposalAnswer =
  | { readonly countersignature: Uint8Array; readonly statement: Uint8Array }
  | { readonly rejection: Envelope }

export interface Statements {
  /**
   * The seller's proposal: the pending one if there is one, byte for byte (R3), otherwise a new one, recorded before it is
   * given (R1); undefined if nothing is to be settled.
   * @throws TokError `account_frozen`, `account_unreconciled`
   */
  propose(account: Account, creditLimit: bigint): Promise<ProposalFrame | undefined>
  /**
   * The buyer's answer to a proposal: its countersignature or its signed rejection, both recorded first and final. The same
   * proposal gets the same answer. A call in it that still runs here is waited for: its end is on the way.
   * @throws TokError `encoding_invalid`, `signature_invalid`, `account_frozen`, `account_unreconciled`; `statement_invalid` if
   *   a call goes on running
   */
  answerProposal(account: Account, frame: ProposalFrame): Promise<ProposalAnswer>
  /**
   * The seller takes the buyer's countersignature of its pending proposal.
   * @throws TokError `statement_invalid`, `signature_invalid`
   */
  applyCountersignature(
    account: Account,
    answer: { readonly statement: Uint8Array; readonly signature: Uint8Array },
  ): Promise<void>
  /**
   * The seller takes the buyer's rejection of its pending proposal: the refused item is set aside, and the next proposal names
   * the rejection. A rejection of the statement as a whole freezes the account for good, as there is nothing to take out, unless
   * a side went back to a copy since: then it is proposed anew.
   * @throws TokError `statement_invalid`, `signature_invalid`
   */
  applyRejection(account: Account, envelope: Envelope): Promise<Signed<Rejection>>
}

/** Rejections at one sequence, after which a buyer that calls a proposal outdated once more gets no other. */
const OUTDATED_MAX = 32

export function createStatements(
  dependencies: {
    readonly book: AccountBook
    readonly records: Records
    readonly queue: CommitQueue
    readonly sealing: CallSealing
    readonly oneAfterAnother: OneAfterAnother
    readonly key: NodeKey
    readonly clock: Clock
  },
  { network }: { readonly network: string },
): Statements {
  const { book, records, queue, sealing, oneAfterAnother, key, clock } = dependencies

  async function judge(
    state: AccountState,
    statement: Statement,
    papers: Papers,
    lastRejection: Uint8Array | undefined,
  ): Promise<Refusal | undefined> {
    const known = new Map<CallItem, KnownCall>()
    for (const item of callItems(statement)) known.set(item, await knowledgeOf(state, item, papers))
    return judgeProposal(state, statement, lastRejection, (item) => known.get(item) ?? NOTHING)
  }

  async function knowledgeOf(state: AccountState, item: CallItem, papers: Papers): Promise<KnownCall> {
    const call = state.calls.get(toHex(item.order))
    const order = call?.order ?? (await records.orderOf(item.order))
    const { voucher, receipt } = papersOfItem(papers, item)
    const isOurs = (paper: Voucher | Receipt): boolean => isOfCall(paper, item.order, state.account)
    return {
      order: order !== undefined && equalBytes(order.value.seller, state.account.seller) ? order : undefined,
      isSettled: (await records.settledAt(item.order)) !== undefined,
      promised: call === undefined ? 0n : claimOf(call),
      voucher: voucher !== undefined && isOurs(voucher.value) ? voucher : undefined,
      receipt: receipt !== undefined && isOurs(receipt.value) ? receipt : undefined,
    }
  }

  /**
   * A statement at the place of one that the buyer answered already, on the same ground, proves that the seller signed two.
   * @throws TokError `account_forked`, after the proof was kept; `statement_invalid` if it is not the next one
   */
  async function requireNoSecond(state: AccountState, statement: Signed<Statement>): Promise<void> {
    const { sequence } = statement.value
    const [countersigned] = await records.statementsAfter(state.account, sequence - 1, 1)
    const isOver = sequence <= state.head.sequence
    const answered = isOver ? countersigned : await records.rejectedOf(state.id)
    if (answered !== undefined && decodeBody(STATEMENT.shape, answered.body, 'statement').sequence === sequence) {
      const { equivocators } = await freezeByProof({ queue, records }, state, answered, copyOf(statement))
      if (equivocators.length > 0) throw new TokError('account_forked', { sequence })
    }
    if (sequence !== state.head.sequence + 1) {
      throw new TokError('statement_invalid', { reason: `sequence ${sequence} after ${state.head.sequence}` })
    }
  }

  return {
    propose: (account, creditLimit) =>
      oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        requireUsable(state)
        if (state.pending !== undefined) return state.pending.frame
        const value = buildStatement(state, creditLimit, clock.nowMs())
        if (value === undefined) return undefined
        const statement = seal(STATEMENT, value, key)
        const settledCalls = callItems(value).flatMap((item) => state.calls.get(toHex(item.order)) ?? [])
        const frame: ProposalFrame = {
          ...plain(statement),
          vouchers: settledCalls.flatMap((call) => (call.voucher === undefined ? [] : [plain(call.voucher)])),
          receipts: settledCalls.flatMap((call) => (call.receipt === undefined ? [] : [plain(call.receipt)])),
        }
        await queue.commit([proposalWrite(state.id, frame)])
        state.pending = { statement, frame }
        return frame
      }),

    answerProposal: (account, frame) =>
      oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        requireUsable(state)
        const statement = open(STATEMENT, frame)
        const { sequence } = statement.value
        const [stored] = await records.statementsAfter(account, sequence - 1, 1)
        if (stored !== undefined && equalBytes(stored.body, statement.body)) {
          return { countersignature: stored.buyerSignature, statement: statement.id }
        }
        const rejections = await records.rejectionsOf(state.id, sequence)
        const same = rejections.find((each) => equalBytes(each.value.statement, statement.id))
        if (same !== undefined) return { rejection: plain(same) }
        await requireNoSecond(state, statement)
        await Promise.all(callItems(statement.value).map((item) => sealing.awaitSealing(item.order)))
        const papers = papersOf(frame)
        const refusal = await judge(state, statement.value, papers, rejections.at(-1)?.id)
        if (refusal !== undefined) {
          const value: Rejection = {
            type: DOMAINS.rejection,
            network,
            buyer: account.buyer,
            seller: account.seller,
            sequence,
            statement: statement.id,
            code: refusal.code,
            reason: refusal.reason,
            item: refusal.item,
          }
          const rejection = seal(REJECTION, value, key)
          // The newest takes the place of the one before: no seller fills this disk with proposals that are refused.
          await queue.commit([rejectionWrite(state.id, rejection, 0), rejectedWrite(state.id, copyOf(statement))])
          return { rejection: plain(rejection) }
        }
        const buyerSignature = key.sign(signingInput(STATEMENT.domain, statement.body))
        const { value, id, body, signature: sellerSignature } = statement
        await postStatement({ book, queue }, state, { value, id, body, sellerSignature, buyerSignature }, papers)
        return { countersignature: buyerSignature, statement: id }
      }),

    applyCountersignature: (account, answer) =>
      oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        const { pending } = state
        if (pending === undefined || !equalBytes(pending.statement.id, answer.statement)) {
          throw new TokError('statement_invalid', { reason: 'the countersignature is for no pending proposal' })
        }
        const { body, signature: sellerSignature } = pending.statement
        const statement = openStatement({ body, sellerSignature, buyerSignature: answer.signature })
        await postStatement({ book, queue }, state, statement, papersOf(pending.frame))
      }),

    applyRejection: (account, envelope) =>
      oneAfterAnother(accountId(account), async () => {
        const state = book.stateOf(account)
        const rejection = open(REJECTION, envelope)
        const pending = state.pending?.statement
        checkSignature(REJECTION, account.buyer, envelope)
        if (pending === undefined || !equalBytes(pending.id, rejection.value.statement)) {
          throw new TokError('statement_invalid', { reason: 'the rejection is of no pending proposal' })
        }
        const { item } = rejection.value
        // Each rejection takes one item out, so that proposing comes to an end whatever the buyer answers.
        if (item !== undefined && !pending.value.items.some((each) => equalBytes(itemId(each), item))) {
          throw new TokError('statement_invalid', {
            reason: 'the rejection names an item that is not in the proposal',
          })
        }
        const name = item === undefined ? '' : toHex(item)
        const call = state.calls.get(name)
        const payment = state.payments.get(name)
        const refused = payment && ({ ...payment, state: 'refused', reason: rejection.value.reason } as const)
        const isItem = isOfItem(state, rejection.value)
        const countBefore = (await records.rejectionsOf(state.id, pending.value.sequence)).length
        const isOutdated = item === undefined && rejection.value.code === 'statement_outdated'
        if (isOutdated && countBefore >= OUTDATED_MAX) {
          throw new TokError('statement_invalid', { reason: `it was rejected ${countBefore} times` })
        }
        await queue.commit([
          rejectionWrite(state.id, rejection, countBefore),
          proposalWrite(state.id, undefined),
          ...(call === undefined ? [] : [openCallWrite(state.id, call.order.id, 'disputed')]),
          ...(refused === undefined ? [] : [paymentWrite(state.id, refused.signed.id, refused)]),
        ])
        if (!isItem && !isOutdated) state.frozen = frozenBy(rejection.value)
        if (call !== undefined) call.disputed = true
        if (refused !== undefined) state.payments.set(name, refused)
        if (isItem) setAsideNetting(state, rejection.value)
        state.pending = undefined
        state.rejection = rejection.id
        return rejection
      }),
  }
}

const NOTHING: KnownCall = {
  order: undefined,
  isSettled: false,
  promised: 0n,
  voucher: undefined,
  receipt: undefined,
}

function copyOf({ body, signature }: Signed<Statement>): StatementCopy {
  return { body, sellerSignature: signature, buyerSignature: undefined }
}
