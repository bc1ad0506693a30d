import { describe, expect, it } from 'vitest'
import { ERRORS, TokError, type ErrorCode } from '../../../src/base/errors.ts'
import { errorEvent, errorReply } from '../../../src/dialects/error-reply.ts'

const bodyOf = (vendor: 'openai' | 'anthropic', code: ErrorCode, details = {}): unknown =>
  JSON.parse(errorReply(vendor, new TokError(code, details), 'req-1').body)

describe('an error reply', () => {
  it("has OpenAI's shape, says what happened and what to do, and names the code", () => {
    const error = new TokError('model_not_found', { model: 'gpt-9', detail: '' })
    const reply = errorReply('openai', error, 'req-1')
    expect(reply).toMatchObject({
      status: 404,
      headers: { 'content-type': 'application/json', 'x-request-id': 'req-1', 'x-tok-error': 'model_not_found' },
    })
    expect(JSON.parse(reply.body)).toEqual({
      error: {
        message: `${error.message}; ${error.next}`,
        type: 'not_found_error',
        param: null,
        code: 'model_not_found',
      },
    })
  })

  it("has Anthropic's shape, with the request id where its clients look for it", () => {
    const reply = errorReply('anthropic', new TokError('body_too_large', { limitBytes: 9 }), 'req-1')
    expect(reply).toMatchObject({ status: 413, headers: { 'request-id': 'req-1' } })
    expect(JSON.parse(reply.body)).toMatchObject({
      type: 'error',
      error: { type: 'request_too_large', message: expect.stringContaining('9 bytes') },
      request_id: 'req-1',
    })
  })

  // code | OpenAI type | OpenAI code | Anthropic type | asked again
  it.each([
    ['body_malformed', 'invalid_request_error', 'body_malformed', 'invalid_request_error', false],
    ['provider_key_missing', 'authentication_error', 'provider_key_missing', 'authentication_error', false],
    ['credit_exhausted', 'insufficient_quota', 'credit_exhausted', 'billing_error', false],
    ['buying_disabled', 'permission_error', 'buying_disabled', 'permission_error', false],
    ['spend_limit_reached', 'insufficient_quota', 'insufficient_quota', 'rate_limit_error', false],
    ['limit_exceeded', 'rate_limit_exceeded', 'limit_exceeded', 'rate_limit_error', true],
    ['no_offer', 'server_error', 'no_offer', 'overloaded_error', true],
    ['provider_timeout', 'server_error', 'provider_timeout', 'timeout_error', true],
    ['provider_broken', 'server_error', 'provider_broken', 'api_error', true],
    ['endpoint_unsupported', 'server_error', 'endpoint_unsupported', 'api_error', false],
  ] as const)(
    '%s is %s (%s) to OpenAI clients and %s to Anthropic ones',
    (code, type, openaiCode, anthropic, retried) => {
      expect(bodyOf('openai', code)).toMatchObject({ error: { type, code: openaiCode } })
      expect(bodyOf('anthropic', code)).toMatchObject({ error: { type: anthropic } })
      const { headers } = errorReply('openai', new TokError(code), 'req-1')
      expect(headers['x-should-retry']).toBe(retried ? undefined : 'false')
    },
  )

  it('is made of every code in both shapes', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      for (const vendor of ['openai', 'anthropic'] as const) {
        expect(bodyOf(vendor, code)).toMatchObject({ error: { type: expect.any(String), message: expect.any(String) } })
      }
    }
  })
})

describe('the error event that ends a broken stream', () => {
  const error = new TokError('provider_broken', { provider: 'ollama', reason: 'reset' })
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

  it('is an error object without [DONE] in chat', () => {
    expect(text(errorEvent('openai-chat', error, 'r'))).toMatch(/^\n\ndata: \{"error":\{"message":"ollama .*\}\}\n\n$/)
  })

  it('goes on with the numbers of the stream in Responses', () => {
    const position = { answerId: 'resp_7', nextSequenceNumber: 12 }
    const event = text(errorEvent('openai-responses', error, 'r', position))
    expect(event).toMatch(/^\n\nevent: response\.failed\ndata: /)
    expect(JSON.parse(event.slice(event.indexOf('{')))).toMatchObject({
      type: 'response.failed',
      sequence_number: 12,
      response: { id: 'resp_7', status: 'failed', error: { code: 'server_error' } },
    })
  })

  it('stops Codex from asking again where money is the matter', () => {
    const spent = new TokError('credit_exhausted', { detail: '' })
    expect(text(errorEvent('openai-responses', spent, 'r'))).toContain('"code":"insufficient_quota"')
  })

  it('is an error event in Messages', () => {
    expect(text(errorEvent('anthropic-messages', error, 'r'))).toMatch(
      /^\n\nevent: error\ndata: \{"type":"error","error":\{"type":"api_error",.*"request_id":"r"\}\n\n$/,
    )
  })
})
