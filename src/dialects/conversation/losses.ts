/**
 * What a translation could not carry. Nothing is dropped in silence: every loss is named in `x-tok-dropped` and counted.
 */
import type { Dialect } from '../dialect.ts'
import type { Extras } from './conversation.ts'

/** A field, or what each dialect calls it; a dialect that is left out has no such field. */
export type FieldName = string | Readonly<Partial<Record<Dialect, string>>>

/** Collects the losses of one translation. */
export interface Losses {
  /** What the client spoke. */
  readonly dialect: Dialect
  /**
   * Notes a loss by the name of the field in the dialect the client spoke, indexes as []: "input[].image", "seed". Where
   * dialects name the same thing differently, all their names are given. A field is named once however often it occurs.
   */
  drop(field: FieldName): void
  /**
   * Notes every member of the extras of other dialects than `kept`, but those that mean nothing to a model.
   * @param path of the node they stand in; "" for the request itself
   */
  dropExtras(extras: Extras | undefined, kept: Dialect, path: FieldName): void
  /** The fields, in the order they were lost. */
  readonly fields: readonly string[]
}

/**
 * Members that carry nothing a model acts on: ids and states of items that were answers once, notes of clients to themselves,
 * how a stream is to be cut.
 */
const MEANINGLESS: ReadonlySet<string> = new Set([
  'id',
  'status',
  'object',
  'created_by',
  'client_metadata',
  'internal_chat_message_metadata_passthrough',
  'caller',
  'eager_input_streaming',
])

/** More than this is not listed: a header has its limits. */
const FIELDS_MAX = 64

/** Makes a collector for a client of `dialect`. */
export function createLosses(dialect: Dialect): Losses {
  const fields = new Set<string>()
  const nameOf = (field: FieldName): string | undefined => (typeof field === 'string' ? field : field[dialect])
  const drop: Losses['drop'] = (field) => {
    const name = nameOf(field)
    if (name !== undefined && fields.size < FIELDS_MAX) fields.add(name)
  }
  return {
    dialect,
    drop,
    dropExtras(extras, kept, field) {
      const path = nameOf(field) ?? ''
      for (const [owner, members] of Object.entries(extras ?? {})) {
        if (owner === kept) continue
        for (const [name, value] of Object.entries(members)) {
          if (value !== null && value !== undefined && !MEANINGLESS.has(name))
            drop(path === '' ? name : `${path}.${name}`)
        }
      }
    },
    get fields() {
      return [...fields]
    },
  }
}
