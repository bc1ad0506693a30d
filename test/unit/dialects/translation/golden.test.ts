/**
 * Streams of providers (test/fixtures/streams) and what clients of the other dialects are sent for them, to the byte.
 * UPDATE_GOLDEN=1 writes the translations anew.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DIALECTS, type Dialect } from '../../../../src/dialects/dialect.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { hear, requestOf, vendorTarget } from '../../../support/translation.ts'

const FOLDER = join(import.meta.dirname, '../../../fixtures/streams')
const isUpdate = process.env['UPDATE_GOLDEN'] === '1'
const parameters = { type: 'object', properties: { path: { type: 'string' } } }

/** What each client asked: it knows the tools that are called. */
const REQUESTS: Readonly<Record<Dialect, JsonObject>> = {
  'openai-chat': {
    stream_options: { include_usage: true },
    tools: ['read', 'list', 'apply_patch'].map((name) => ({ type: 'function', function: { name, parameters } })),
  },
  'openai-responses': {
    include: ['reasoning.encrypted_content'],
    tools: [
      ...['read', 'list'].map((name) => ({ type: 'function', name, parameters, strict: false })),
      { type: 'custom', name: 'apply_patch' },
    ],
  },
  'anthropic-messages': {
    tools: ['read', 'list', 'apply_patch'].map((name) => ({ name, input_schema: parameters })),
  },
}

const cases = DIALECTS.flatMap((provider) =>
  readdirSync(join(FOLDER, provider))
    .filter((file) => file.endsWith('.sse') && !file.includes('.to-'))
    .flatMap((file) => {
      const name = file.replace(/\.sse$/, '')
      return DIALECTS.filter((client) => client !== provider).map((client) => ({ provider, name, client }))
    }),
)

describe('streams of providers', () => {
  test('are there in every dialect, the same ones', () => {
    const namesOf = (dialect: Dialect): string[] =>
      cases
        .filter(({ provider }) => provider === dialect)
        .map(({ name }) => name)
        .toSorted()
    expect(namesOf('openai-chat').length).toBeGreaterThan(20)
    for (const dialect of DIALECTS) expect(namesOf(dialect)).toEqual(namesOf('openai-chat'))
  })

  test.each(cases)('$provider/$name for a client of $client', async ({ provider, name, client }) => {
    const stream = readFileSync(join(FOLDER, provider, `${name}.sse`), 'utf8')
    const request = requestOf(client, REQUESTS[client])
    const { text, end } = await hear({ from: client, request, target: vendorTarget(provider) }, { body: stream })
    expect(end).toBe(name === 'error-mid-stream' ? 'error' : 'complete')
    const golden = join(FOLDER, provider, `${name}.to-${client}.sse`)
    if (isUpdate) writeFileSync(golden, text)
    expect(existsSync(golden), `${golden}: write it with UPDATE_GOLDEN=1`).toBe(true)
    expect(text).toBe(readFileSync(golden, 'utf8'))
  })
})
