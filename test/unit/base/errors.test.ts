import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ERRORS, peerVisibleCode, readErrorCode, reasonOf, TokError, toTokError } from '../../../src/base/errors.ts'
import { errorsPage } from '../../../scripts/generate-docs.ts'

describe('the error table', () => {
  test('is the one documented in docs/errors.md (`node scripts/generate-docs.ts` writes it)', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/errors.md'), 'utf8')
    expect(page).toBe(errorsPage())
  })

  test('gives every code a snake_case word, an HTTP error status, a text and a next step', () => {
    for (const [code, { status, text, next }] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
      expect(status, code).toBeGreaterThanOrEqual(400)
      expect(status, code).toBeLessThan(600)
      expect(text, code).not.toBe('')
      expect(next, code).not.toBe('')
    }
  })
})

describe('a failure', () => {
  test('says what happened and what to do, with its details filled in', () => {
    const error = new TokError('provider_key_missing', { provider: 'openai', variable: 'TOKLIGENCE_OPENAI_API_KEY' })
    expect(error.message).toBe('openai needs an API key and none is set')
    expect(error.next).toBe('set TOKLIGENCE_OPENAI_API_KEY')
    expect(error).toMatchObject({ code: 'provider_key_missing', status: 401, owner: 'provider', retryable: false })
  })

  test('leaves nothing in braces when a detail is not known', () => {
    expect(new TokError('model_not_found', { model: 'm' }).message).toBe(
      'the model "m" is served by no local provider and by no offer known here',
    )
  })

  test('keeps amounts exact in its text', () => {
    const error = new TokError('limit_exceeded', { limit: 9_007_199_254_740_993n, what: 'micros' })
    expect(error.message).toBe('more than 9007199254740993 micros')
  })
})

describe('anything thrown', () => {
  test('that is named already stays the same error', () => {
    const error = new TokError('order_expired')
    expect(toTokError(error)).toBe(error)
  })

  test('that is unknown becomes internal_error and keeps its cause', () => {
    const cause = new Error('odd')
    expect(toTokError(cause)).toMatchObject({ code: 'internal_error', details: { reason: 'odd' }, cause })
  })

  test.each([
    [Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED: connect failed'],
    [Object.assign(new Error('EACCES: no access'), { code: 'EACCES' }), 'EACCES: no access'],
    [new RangeError(''), 'RangeError'],
    ['plain text', 'plain text'],
    [undefined, 'undefined'],
  ])('%o has the reason "%s"', (thrown, reason) => {
    expect(reasonOf(thrown)).toBe(reason)
  })
})

describe('a peer', () => {
  test('is told what went wrong with its order, and not what is wrong inside this node', () => {
    expect(peerVisibleCode(new TokError('credit_exhausted'))).toBe('credit_exhausted')
    expect(peerVisibleCode(new TokError('ledger_corrupt'))).toBe('internal_error')
  })

  test('that sends a known code is understood', () => {
    expect(readErrorCode('credit_exhausted')).toBe('credit_exhausted')
  })

  test.each(['no_such_code', 'toString', '__proto__', ''])('that sends "%s" is read as internal_error', (word) => {
    expect(readErrorCode(word)).toBe('internal_error')
  })
})
