import { TokError } from '../../base/errors.ts'
import type { RequestWriting } from '../conversation/contract.ts'
import type { FieldName } from '../conversation/losses.ts'

/** What to throw where leaving a field out would change what was asked for. `reason` ends the sentence "X cannot be asked of Y: ". */
export function refusal(
  field: FieldName,
  { losses, target }: Pick<RequestWriting, 'losses' | 'target'>,
  reason: string,
): TokError {
  return new TokError('translation_refused', {
    field: (typeof field === 'string' ? field : field[losses.dialect]) ?? 'a part of it',
    target,
    dialect: 'openai-chat',
    reason,
  })
}
