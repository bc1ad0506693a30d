/**
 * A sample: a body, and the fields of it that are looked at. Each field is tried by leaving it out of the body, or by the given
 * body without it where leaving it out would leave no valid one.
 */
import type { JsonObject } from '../../src/dialects/json-value.ts'

/** A body, and fields in it. */
export interface Sample {
  /** Members over those of a minimal body. */
  readonly body: JsonObject
  /** Paths (field-path.ts). */
  readonly fields: readonly string[]
  /** The body that lacks them, where taking the path out is not enough. */
  readonly without?: JsonObject
  /** Why these fields may vanish without a word: nothing an answer depends on is in them. */
  readonly meansNothing?: string
}

/** A function tool's schema, closed. */
export const SCHEMA: JsonObject = {
  type: 'object',
  properties: { path: { type: 'string' } },
  required: ['path'],
  additionalProperties: false,
}

/** Why members of an answer that tell of the vendor's service may vanish. */
export const SERVICE = "an account of the vendor's own service, which no client of another dialect reads"

/** Why members that a request must ask for may vanish. */
export const UNASKED = 'comes only if it was asked for, which no client of another dialect can'

/** Why what is shown of the thoughts may vanish. */
export const SHOWN = 'a server of Chat Completions shows of its thoughts what it shows'

/** A picture of one point, base64. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

/** A document of nothing, base64. */
export const PDF = 'JVBERi0xLjQKJSVFT0Y='
