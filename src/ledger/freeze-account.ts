/**
 * The end of an account on which somebody signed two histories: the proof is kept, and nothing is signed for it any more.
 */
import { equalBytes } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import { accountId } from '../wire/account.ts'
import { provenBy, type AccountState } from './account-state.ts'
import { checkNatively, judgeConflict, type Conflict, type StatementCopy } from './equivocation.ts'
import { evidenceWrite, type Records } from './records.ts'
import type { CommitQueue } from './store.ts'

/**
 * Judges two statements of an account. If they convict anyone, the account is frozen for good and both are recorded, unless
 * another proof is already: one is enough, and no peer may bring more without end. Nothing happens if both sides had gone back
 * to copies between the two.
 * @throws TokError `encoding_invalid`, `signature_invalid`, `statement_invalid` if they prove nothing about this account
 */
export async function freezeByProof(
  { queue, records }: { readonly queue: CommitQueue; readonly records: Records },
  state: AccountState,
  one: StatementCopy,
  other: StatementCopy,
): Promise<Conflict> {
  const conflict = judgeConflict(one, other, checkNatively)
  if (!equalBytes(accountId(conflict.account), state.id)) {
    throw new TokError('statement_invalid', { reason: 'they are of another account' })
  }
  if (conflict.equivocators.length > 0) {
    state.frozen = provenBy(conflict)
    const known = await records.evidenceOf(state.id)
    if (known.length === 0) {
      await queue.commit(conflict.statements.map((statement) => evidenceWrite(state.id, statement)))
    }
  }
  return conflict
}
