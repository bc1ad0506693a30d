/**
 * Reading JSON that others wrote, without a schema: a part that is not of the expected kind is absent, never
 * an error, because model servers differ and answers pass through whatever they hold.
 */

/** A JSON object of unknown members. */
export type JsonObject = Readonly<Record<string, unknown>>

const EMPTY_OBJECT: JsonObject = {}
const EMPTY_LIST: readonly unknown[] = []

/** The value if it is an object, otherwise an empty one. */
export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : EMPTY_OBJECT
}

/** True for JSON objects: not for null, not for lists. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value if it is a list, otherwise an empty one. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : EMPTY_LIST
}

/** The value if it is a string that says something. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** The value if it is a non-negative whole number. */
export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

/** The value if it is a number. */
export function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** The value if it is true or false. */
export function asBoolean(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}

/** The object without members that are undefined: as JSON writes it, for those who look at it before. */
export function withoutUndefined(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined))
}

/** The text read as one JSON object, or undefined if it is not one. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
