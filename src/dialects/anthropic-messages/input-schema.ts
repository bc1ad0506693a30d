/**
 * Makes JSON schemas that other vendors take fit for Anthropic: a tool's schema is a plain object at its top, and a strict one
 * closes every object within it.
 */
import { asList, asObject, isObject, type JsonObject } from '../json-value.ts'

const COMBINATORS = ['allOf', 'anyOf', 'oneOf'] as const

/** Members that hold schemas, by name or as a list. */
const MAPS_OF_SCHEMAS: readonly string[] = ['properties', '$defs', 'definitions', 'patternProperties']
const LISTS_OF_SCHEMAS: readonly string[] = ['anyOf', 'allOf', 'oneOf', 'prefixItems']
const SCHEMAS: readonly string[] = ['items', 'additionalProperties', 'not']

/** References at the top of a schema that are followed; more are a circle. */
const REFERENCES_MAX = 8

/**
 * A tool's schema with an object at its top: alternatives there become one object with all their properties, of which those
 * are required that every alternative requires.
 */
export function toolSchemaOf(parameters: JsonObject | undefined): JsonObject {
  const { $schema: _, ...schema } = resolveTop(parameters ?? {})
  const combined = COMBINATORS.filter((name) => Array.isArray(schema[name]))
  if (combined.length === 0) return schema['type'] === 'object' ? schema : { ...schema, type: 'object' }
  let merged = withoutMembers(schema, COMBINATORS)
  for (const name of combined) {
    const variants = asList(schema[name]).map((variant) => toolSchemaOf(inScopeOf(schema, asObject(variant))))
    merged = combine(merged, variants, name === 'allOf')
  }
  return { ...merged, type: 'object' }
}

/** True if every object in a schema names all it may hold, as strict tools demand. */
export function isClosed(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.every(isClosed)
  if (!isObject(schema)) return true
  if (describesObject(schema) && schema['additionalProperties'] !== false) return false
  return childrenOf(schema).every(isClosed)
}

/** The schema with every object closed that says nothing of further properties, or allows any. */
export function closed(schema: JsonObject): JsonObject {
  const result: Record<string, unknown> = { ...schema }
  for (const [name, value] of Object.entries(schema)) {
    if (MAPS_OF_SCHEMAS.includes(name)) {
      result[name] = Object.fromEntries(
        Object.entries(asObject(value)).map(([key, inner]) => [key, closedValue(inner)]),
      )
    } else if (LISTS_OF_SCHEMAS.includes(name)) {
      result[name] = asList(value).map(closedValue)
    } else if (SCHEMAS.includes(name)) {
      result[name] = Array.isArray(value) ? value.map(closedValue) : closedValue(value)
    }
  }
  if (describesObject(schema) && !isObject(schema['additionalProperties'])) result['additionalProperties'] = false
  return result
}

function closedValue(value: unknown): unknown {
  return isObject(value) ? closed(value) : value
}

function describesObject({ type, properties }: JsonObject): boolean {
  return type === 'object' || (Array.isArray(type) && type.includes('object')) || isObject(properties)
}

function childrenOf(schema: JsonObject): readonly unknown[] {
  return Object.entries(schema).flatMap(([name, value]) => {
    if (MAPS_OF_SCHEMAS.includes(name)) return Object.values(asObject(value))
    return LISTS_OF_SCHEMAS.includes(name) || SCHEMAS.includes(name) ? [value] : []
  })
}

/** Follows a reference that stands for the whole schema. */
function resolveTop(schema: JsonObject): JsonObject {
  let current = schema
  for (let count = 0; count < REFERENCES_MAX && typeof current['$ref'] === 'string'; count += 1) {
    const target = current['$ref']
      .replace(/^#\//, '')
      .split('/')
      .reduce<unknown>((value, name) => asObject(value)[name], schema)
    if (!isObject(target)) return withoutMembers(current, ['$ref'])
    current = { ...withoutMembers(current, ['$ref']), ...target }
  }
  return current
}

/** An alternative refers to definitions of the whole. */
function inScopeOf(schema: JsonObject, variant: JsonObject): JsonObject {
  const { $defs, definitions } = schema
  return {
    ...variant,
    ...(isObject($defs) ? { $defs: { ...$defs, ...asObject(variant['$defs']) } } : {}),
    ...(isObject(definitions) ? { definitions: { ...definitions, ...asObject(variant['definitions']) } } : {}),
  }
}

function combine(base: JsonObject, variants: readonly JsonObject[], isAll: boolean): JsonObject {
  const properties: Record<string, unknown> = { ...asObject(base['properties']) }
  for (const variant of variants) {
    for (const [name, value] of Object.entries(asObject(variant['properties']))) {
      properties[name] = eitherOf(properties[name], value)
    }
  }
  const lists = variants.map((variant) => asList(variant['required']))
  const all = [...new Set([...asList(base['required']), ...lists.flat()])]
  const ofEvery = (name: unknown): boolean =>
    asList(base['required']).includes(name) || lists.every((list) => list.includes(name))
  const required = isAll ? all : all.filter(ofEvery)
  // What an alternative forbids another one may allow.
  const rest = isAll ? base : withoutMembers(base, ['additionalProperties'])
  return { ...rest, properties, ...(required.length === 0 ? {} : { required }) }
}

function eitherOf(known: unknown, next: unknown): unknown {
  if (known === undefined || JSON.stringify(known) === JSON.stringify(next)) return next
  const alternatives = asList(asObject(known)['anyOf'])
  return { anyOf: [...(alternatives.length === 0 ? [known] : alternatives), next] }
}

function withoutMembers(value: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)))
}
