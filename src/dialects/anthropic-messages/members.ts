/**
 * Reading members of a request of which the rest depends, and saying what is wrong with them.
 */
import { malformed } from '../conversation/malformed.ts'
import { asText, type JsonObject } from '../json-value.ts'

/**
 * A member that must be a text which says something.
 * @throws TokError `body_malformed`
 */
export function textMember(value: JsonObject, name: string, path = ''): string {
  const text = asText(value[name])
  if (text === undefined) throw malformed(path === '' ? name : `${path}.${name}`, 'is not a text')
  return text
}
