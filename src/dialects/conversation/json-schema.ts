/**
 * What JSON schemas of tools and answers must be to go to servers that are strict about them.
 */
import { asList, asObject, isObject, type JsonObject } from '../json-value.ts'

/** A schema nested deeper is not called closed. */
const SCHEMA_DEPTH_MAX = 32

/** A schema without the member that says in which language it is written: some servers take it for a keyword. */
export function portableSchema(schema: JsonObject): JsonObject {
  const { $schema: _language, ...rest } = schema
  return rest
}

/** True if every object of a schema lists all its members as required and allows no others, as strict mode demands. */
export function isClosed(schema: unknown, depth = 0): boolean {
  if (Array.isArray(schema)) return schema.every((each) => isClosed(each, depth + 1))
  if (!isObject(schema)) return true
  if (depth > SCHEMA_DEPTH_MAX) return false
  if (schema['type'] === 'object' || isObject(schema['properties'])) {
    const required = new Set(asList(schema['required']))
    if (schema['additionalProperties'] !== false) return false
    if (!Object.keys(asObject(schema['properties'])).every((name) => required.has(name))) return false
  }
  return Object.entries(schema).every(([keyword, value]) =>
    MAPS_OF_SCHEMAS.has(keyword)
      ? Object.values(asObject(value)).every((each) => isClosed(each, depth + 1))
      : !SCHEMAS.has(keyword) || isClosed(value, depth + 1),
  )
}

/** Keywords whose value maps names to schemas. */
const MAPS_OF_SCHEMAS: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions'])

/** Keywords whose value is a schema, or a list of them. */
const SCHEMAS: ReadonlySet<string> = new Set(['items', 'anyOf', 'oneOf', 'allOf', 'prefixItems'])
