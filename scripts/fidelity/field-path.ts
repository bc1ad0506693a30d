/**
 * Names a field of a body: `messages[user].content[image_url].image_url.detail`. A name in brackets picks the elements of a
 * list by their `role` or `type`; empty brackets pick all. Bodies are looked at in their long form (`expandBody`), so that a
 * text and a list of one text part are the same.
 */
import type { Dialect } from '../../src/dialects/dialect.ts'
import { isObject, type JsonObject } from '../../src/dialects/json-value.ts'

interface Step {
  readonly name: string
  /** Of a list: which elements, "" for all; undefined for no list. */
  readonly kind: string | undefined
}

function stepsOf(path: string): readonly Step[] {
  return path.split('.').map((segment) => {
    const { name = segment, kind } = /^(?<name>\w+)(?:\[(?<kind>\w*)\])?$/.exec(segment)?.groups ?? {}
    return { name, kind }
  })
}

const isPicked = (element: unknown, kind: string): boolean =>
  kind === '' || (isObject(element) && (element['role'] === kind || element['type'] === kind))

/** Every value a path leads to. */
export function valuesAt(body: unknown, path: string): unknown[] {
  return stepsOf(path).reduce<unknown[]>(
    (values, { name, kind }) =>
      values.flatMap((value) => {
        const member = isObject(value) ? value[name] : undefined
        if (kind === undefined) return member === undefined ? [] : [member]
        return Array.isArray(member) ? member.filter((element) => isPicked(element, kind)) : []
      }),
    [body],
  )
}

/** The body without what a path leads to. */
export function withoutPath(body: JsonObject, path: string): JsonObject {
  const [first, ...rest] = stepsOf(path)
  return first === undefined ? body : without(body, first, rest)
}

function without(value: JsonObject, step: Step, rest: readonly Step[]): JsonObject {
  const { name, kind } = step
  const { [name]: member, ...others } = value
  const [next, ...further] = rest
  if (kind === undefined) {
    if (next === undefined) return others
    return isObject(member) ? { ...value, [name]: without(member, next, further) } : value
  }
  if (!Array.isArray(member)) return value
  const list = member.flatMap((element: unknown) => {
    if (!isPicked(element, kind)) return [element]
    if (next === undefined) return []
    return [isObject(element) ? without(element, next, further) : element]
  })
  return { ...value, [name]: list }
}

/** A request or answer with every text that may stand for a list of parts as that list. */
export function expandBody(dialect: Dialect, body: JsonObject): JsonObject {
  switch (dialect) {
    case 'openai-chat':
      return { ...body, ...expandList(body, 'messages', (message) => expandText(message, 'content', 'text')) }
    case 'openai-responses': {
      const input = typeof body['input'] === 'string' ? [{ role: 'user', content: body['input'] }] : body['input']
      return { ...body, ...expandList({ input }, 'input', expandItem) }
    }
    case 'anthropic-messages': {
      const expanded = expandText(body, 'system', 'text')
      return { ...expanded, ...expandList(body, 'messages', expandMessage) }
    }
  }
}

function expandItem(item: JsonObject): JsonObject {
  const isMessage = item['type'] === undefined && item['role'] !== undefined
  const typed = isMessage ? { type: 'message', ...item } : item
  const part = item['role'] === 'assistant' ? 'output_text' : 'input_text'
  return expandText(expandText(typed, 'content', part), 'output', 'input_text')
}

function expandMessage(message: JsonObject): JsonObject {
  const expanded = expandText(message, 'content', 'text')
  return { ...expanded, ...expandList(expanded, 'content', (block) => expandText(block, 'content', 'text')) }
}

function expandText(value: JsonObject, name: string, type: string): JsonObject {
  const text = value[name]
  return typeof text === 'string' && text !== '' ? { ...value, [name]: [{ type, text }] } : value
}

function expandList(value: JsonObject, name: string, expand: (element: JsonObject) => JsonObject): JsonObject {
  const list = value[name]
  return Array.isArray(list) ? { [name]: list.map((each: unknown) => (isObject(each) ? expand(each) : each)) } : {}
}
