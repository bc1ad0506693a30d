/**
 * Reading members of a request of which the rest depends, and saying what is wrong with them.
 */
import { TokError } from '../../base/errors.ts'
import { asText, type JsonObject } from '../json-value.ts'

/** What a request that cannot be read fails with: "messages[3].content is neither a text nor a list of blocks". */
export function malformed(path: string, fault: string): TokError {
  return new TokError('body_malformed', { reason: `${path} ${fault}` })
}

/**
 * A member that must be a text which says something.
 * @throws TokError `body_malformed`
 */
export function textMember(value: JsonObject, name: string, path = ''): string {
  const text = asText(value[name])
  if (text === undefined) throw malformed(path === '' ? name : `${path}.${name}`, 'is not a text')
  return text
}
