/**
 * What a request that cannot be read fails with.
 */
import { TokError } from '../../base/errors.ts'

/** @param path the member that decides it and what is wrong with it: `malformed('messages[3].content', 'is not a text')` */
export function malformed(path: string, fault: string): TokError {
  return new TokError('body_malformed', { reason: `${path} ${fault}` })
}
