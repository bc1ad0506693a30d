/**
 * Finds the JSON object around a place in a body's bytes, so that one object of a large body can be read or cut out while the
 * rest stays as it is.
 */
import type { ByteSpan } from './skim-request.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** How many bytes outside of strings, and strings, are walked over in each direction. */
const STEPS_MAX = 65_536

/**
 * The innermost object around `at`, braces included, in bytes that hold valid JSON.
 * @param at an offset that is not within a string; the opening quote of one will do
 * @returns undefined if there is none, or if it is larger than is worth looking through
 */
export function enclosingObject(bytes: Buffer, at: number): ByteSpan | undefined {
  const start = openingBrace(bytes, at)
  const end = start === undefined ? undefined : closingBrace(bytes, at)
  return start === undefined || end === undefined ? undefined : { start, end: end + 1 }
}

/** The quote that ends the string which begins at `start`, or -1. */
export function closingQuote(bytes: Buffer, start: number): number {
  let quote = bytes.indexOf(QUOTE, start + 1)
  while (quote !== -1 && isEscaped(bytes, quote)) quote = bytes.indexOf(QUOTE, quote + 1)
  return quote
}

function openingBrace(bytes: Buffer, from: number): number | undefined {
  let depth = 0
  let at = from - 1
  for (let steps = 0; at >= 0 && steps < STEPS_MAX; steps += 1, at -= 1) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      // Walked backward, a string may hold escaped quotes: its first quote is the nearest that is none.
      do {
        at = at === 0 ? -1 : bytes.lastIndexOf(QUOTE, at - 1)
        steps += 1
      } while (at !== -1 && isEscaped(bytes, at) && steps < STEPS_MAX)
    } else if (byte === CLOSE_BRACE) {
      depth += 1
    } else if (byte === OPEN_BRACE) {
      if (depth === 0) return at
      depth -= 1
    }
  }
  return undefined
}

function closingBrace(bytes: Buffer, from: number): number | undefined {
  let depth = 0
  let at = from
  for (let steps = 0; at < bytes.length && steps < STEPS_MAX; steps += 1, at += 1) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      at = closingQuote(bytes, at)
      if (at === -1) return undefined
    } else if (byte === OPEN_BRACE) {
      depth += 1
    } else if (byte === CLOSE_BRACE) {
      if (depth === 0) return at
      depth -= 1
    }
  }
  return undefined
}

function isEscaped(bytes: Buffer, quote: number): boolean {
  let start = quote
  while (start > 0 && bytes[start - 1] === BACKSLASH) start -= 1
  return (quote - start) % 2 === 1
}
