/**
 * Reading the members of an object that a client wrote: those that are understood are taken, the others are left over. So a
 * member that is unknown, and one that is not of the kind it should be, end up in the same place: they are reported.
 */
import { isObject, type JsonObject } from '../json-value.ts'

/** The members of one object. */
export interface Members {
  /** The member as `read` understands it; undefined, and left over, if it does not. */
  take<Value>(name: string, read: (value: unknown) => Value | undefined): Value | undefined
  /** Marks members as taken. */
  ignore(...names: readonly string[]): void
  /** What nobody took and says something; undefined if that is nothing. */
  rest(): JsonObject | undefined
}

/** Makes the members of an object ready to be taken. */
export function membersOf(value: JsonObject): Members {
  const taken = new Set<string>()
  return {
    take(name, read) {
      const result = read(value[name])
      if (result !== undefined) taken.add(name)
      return result
    },
    ignore(...names) {
      for (const name of names) taken.add(name)
    },
    rest() {
      const left = Object.entries(value).filter(([name, member]) => !taken.has(name) && !isEmpty(member))
      return left.length === 0 ? undefined : Object.fromEntries(left)
    },
  }
}

/** The value if it is an object. */
export function asGivenObject(value: unknown): JsonObject | undefined {
  return isObject(value) ? value : undefined
}

/** True for what says nothing: null, an empty list. */
export function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0)
}
