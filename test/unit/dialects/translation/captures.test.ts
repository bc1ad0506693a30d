/**
 * Requests as real clients send them, asked of every other dialect: none fails but for what is refused by rule, and what is
 * written breaks no rule of its dialect.
 */
import { describe, expect, test } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import { DIALECTS, type Dialect } from '../../../../src/dialects/dialect.ts'
import { asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import type { TranslationTarget } from '../../../../src/dialects/translate.ts'
import { loadCaptures } from '../../../support/captures.ts'
import { faultsOfRequest } from '../../../support/translation-request-rules.ts'
import { genericTarget, translate, vendorTarget } from '../../../support/translation.ts'

/** Fields whose request is refused by rule: only the vendor's own servers know what they refer to. */
const REFUSED = new Set(['previous_response_id', 'conversation', 'thread'])

function dialectOf(path: string): Dialect | undefined {
  if (path.endsWith('/chat/completions')) return 'openai-chat'
  if (path.endsWith('/responses')) return 'openai-responses'
  return path.endsWith('/messages') ? 'anthropic-messages' : undefined
}

interface Case {
  readonly name: string
  readonly dialect: Dialect
  readonly body: JsonObject
}

const { captures } = loadCaptures()
const cases = captures.flatMap(({ name, path, bytes }): Case[] => {
  const dialect = dialectOf(path)
  if (dialect === undefined || bytes === undefined) return []
  return [{ name, dialect, body: asObject(JSON.parse(bytes.toString('utf8'))) }]
})

function targetsFor(dialect: Dialect): readonly TranslationTarget[] {
  return DIALECTS.filter((each) => each !== dialect).flatMap((each) => [
    genericTarget(each),
    vendorTarget(each),
    vendorTarget(each, each === 'anthropic-messages' ? 'claude-haiku-4-5' : 'gpt-4.1'),
  ])
}

describe(`${cases.length} requests of real clients`, () => {
  test.each(cases)('$name is taken by every target', ({ dialect, body }) => {
    for (const target of targetsFor(dialect)) {
      const label = `${target.dialect} ${target.model}`
      try {
        const { sent } = translate({ from: dialect, request: body, target })
        expect(faultsOfRequest(target, sent), label).toEqual([])
      } catch (error) {
        if (!(error instanceof TokError)) throw error
        expect(error.code, `${label}: ${error.message}`).toBe('translation_refused')
        expect(REFUSED, `${label}: ${error.message}`).toContain(error.details['field'])
      }
    }
  })

  test('are there in every dialect', () => {
    expect(new Set(cases.map(({ dialect }) => dialect))).toEqual(new Set(DIALECTS))
  })
})
