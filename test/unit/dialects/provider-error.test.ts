import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DIALECTS, type Dialect } from '../../../src/dialects/dialect.ts'
import { errorEvent, errorReply } from '../../../src/dialects/error-reply.ts'
import { needsReEnvelope, providerErrorOf, readProviderError } from '../../../src/dialects/provider-error.ts'

describe('an error answer of a provider', () => {
  // shape | status | body | kind | message
  it.each([
    [
      'OpenAI',
      400,
      '{"error":{"message":"bad","type":"invalid_request_error","param":"seed","code":"unknown_parameter"}}',
      'invalid_request',
      'bad',
    ],
    [
      'OpenAI, out of money',
      429,
      '{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}',
      'quota',
      'You exceeded your current quota',
    ],
    [
      'OpenAI, too fast',
      429,
      '{"error":{"message":"Rate limit reached on tokens per min","type":"tokens","code":"rate_limit_exceeded"}}',
      'rate_limit',
      'Rate limit reached on tokens per min',
    ],
    [
      'OpenAI, wrong key',
      401,
      '{"error":{"message":"no","type":"invalid_request_error","code":"invalid_api_key"}}',
      'authentication',
      'no',
    ],
    [
      'Anthropic',
      529,
      '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}',
      'overloaded',
      'Overloaded',
    ],
    [
      'Anthropic, no credit',
      400,
      '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}',
      'billing',
      'Your credit balance is too low to access the API.',
    ],
    [
      'Anthropic, in a stream',
      200,
      '{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}',
      'rate_limit',
      'slow',
    ],
    [
      'vLLM',
      404,
      '{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}',
      'not_found',
      'The model `x` does not exist.',
    ],
    [
      'llama.cpp, loading',
      503,
      '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
      'overloaded',
      'Loading model',
    ],
    [
      'Ollama',
      404,
      '{"error":"model \\"x\\" not found, try pulling it first"}',
      'not_found',
      'model "x" not found, try pulling it first',
    ],
    ['FastAPI', 404, '{"detail":"Not Found"}', 'not_found', 'Not Found'],
    [
      'FastAPI, a list',
      422,
      '{"detail":[{"loc":["body","messages",0],"msg":"Field required","type":"missing"},{"msg":"other"}]}',
      'invalid_request',
      'body.messages.0: Field required; other',
    ],
    [
      'Gemini',
      400,
      '[{"error":{"code":400,"message":"Invalid value","status":"INVALID_ARGUMENT"}}]',
      'invalid_request',
      'Invalid value',
    ],
    [
      'a router that quotes',
      502,
      '{"error":{"code":502,"message":"Provider returned error","metadata":{"raw":"upstream is down"}}}',
      'server',
      'Provider returned error: upstream is down',
    ],
    [
      'a web page',
      502,
      '<html>\r\n<head><title>502 Bad Gateway</title></head><body>nginx</body></html>',
      'server',
      'the provider answered with a web page: "502 Bad Gateway"',
    ],
    ['a text', 503, ' no healthy upstream\n', 'overloaded', 'no healthy upstream'],
    ['nothing', 504, '', 'timeout', 'the provider answered with status 504 and said nothing'],
    ['an empty object', 500, '{}', 'server', 'the provider answered with status 500 and said nothing'],
    ['names of no error', 500, '{"error":{"message":"x","type":"constructor","code":"__proto__"}}', 'server', 'x'],
  ] as const)('is read: %s', (_, status, body, kind, message) => {
    expect(readProviderError(status, body)).toMatchObject({ kind, message })
    expect(readProviderError(status, Buffer.from(body))).toEqual(readProviderError(status, body))
  })

  it('keeps its status, code and field', () => {
    const body = '{"error":{"message":"bad","param":"seed","code":"unknown_parameter"}}'
    expect(readProviderError(422, body)).toMatchObject({ status: 422, param: 'seed', code: 'unknown_parameter' })
  })

  it('within a stream has the status it tells, or that of its kind', () => {
    expect(providerErrorOf({ error: { message: 'x', code: 404 } })).toMatchObject({ status: 404, kind: 'not_found' })
    expect(providerErrorOf({ type: 'error', error: { type: 'overloaded_error', message: 'x' } }).status).toBe(503)
    const failed = { type: 'response.failed', response: { error: { code: 'rate_limit_exceeded', message: 'x' } } }
    expect(providerErrorOf(failed)).toMatchObject({ status: 429, kind: 'rate_limit' })
    const flat = { type: 'error', code: 'server_error', message: 'x', param: null }
    expect(providerErrorOf(flat)).toMatchObject({ status: 502, kind: 'server', message: 'x' })
  })

  it('is told as one of its kind where its status is none that HTTP has', () => {
    expect(readProviderError(1000, '{}')).toMatchObject({ status: 502, kind: 'server' })
  })

  it('tells of an overflow with the numbers that stand beside the message', () => {
    const llama =
      '{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":14429,"n_ctx":8192}}'
    expect(readProviderError(400, llama)).toMatchObject({ kind: 'context_length', tokens: { used: 14429, max: 8192 } })
  })

  it('is no overflow while the provider asks to wait', () => {
    expect(readProviderError(429, '{"message":"prompt is too long for now"}').kind).toBe('rate_limit')
    expect(readProviderError(400, '{"message":"Too many tokens, please wait before trying again."}').kind).toBe(
      'invalid_request',
    )
  })

  it.each([
    'sk-proj-abcdefgh12345678',
    'sk-ant-api03-AAAAbbbbCCCC',
    'sk-proj-****************1234',
    'Bearer abcdefghijkl',
    'AIzaSyA1234567890abcdefghijk',
  ])('does not repeat the key %s', (key) => {
    const { message } = readProviderError(401, `{"error":{"message":"Incorrect API key provided: ${key}."}}`)
    expect(message).toContain('Incorrect API key provided: [secret]')
    expect(message).not.toContain(key.slice(-6))
  })

  it('is quoted to a bounded length', () => {
    expect(readProviderError(500, 'x'.repeat(1_000_000)).message.length).toBeLessThan(2_100)
  })
})

describe('a provider error as a client reads it', () => {
  const overflow = (tokens: object) =>
    ({ status: 500, kind: 'context_length', message: 'does not fit', tokens }) as const
  const read = (reply: { body: string }) => JSON.parse(reply.body)

  // tokens | to Anthropic clients | to OpenAI clients
  it.each([
    [
      { used: 9000, max: 8192 },
      'prompt is too long: 9000 tokens > 8192 maximum',
      "Your input of 9000 tokens exceeds this model's maximum context length of 8192 tokens (does not fit)",
    ],
    [
      { used: 20_000, output: 32_000, max: 40_960 },
      'input length and `max_tokens` exceed context limit: 20000 + 32000 > 40960, decrease input length or `max_tokens` and try again',
      "Your input of 52000 tokens exceeds this model's maximum context length of 40960 tokens (does not fit)",
    ],
    [
      { used: 8000, output: 4096, max: 8192 },
      'prompt is too long: 12096 tokens > 8192 maximum',
      "Your input of 12096 tokens exceeds this model's maximum context length of 8192 tokens (does not fit)",
    ],
    [
      { max: 8192 },
      'prompt is too long: does not fit',
      "Your input exceeds this model's maximum context length of 8192 tokens (does not fit)",
    ],
    [{}, 'prompt is too long: does not fit', 'Your input exceeds the context window of this model (does not fit)'],
  ])('an overflow of %j makes its agent shorten the conversation', (tokens, anthropic, openai) => {
    const toAnthropic = errorReply('anthropic', overflow(tokens), 'r')
    expect(toAnthropic).toMatchObject({ status: 400, headers: { 'x-should-retry': 'false' } })
    expect(read(toAnthropic).error).toEqual({ type: 'invalid_request_error', message: anthropic })
    const toOpenai = errorReply('openai', overflow(tokens), 'r')
    expect(toOpenai.status).toBe(400)
    expect(read(toOpenai).error).toEqual({
      message: openai,
      type: 'invalid_request_error',
      param: null,
      code: 'context_length_exceeded',
    })
    expect(Buffer.from(errorEvent('openai-responses', overflow(tokens), 'r')).toString()).toContain(
      '"code":"context_length_exceeded"',
    )
  })

  // provider's status and word | OpenAI status, type, code | Anthropic status, type | response.failed | asked again
  it.each([
    [529, 'overloaded_error', 503, 'server_error', null, 529, 'overloaded_error', 'server_error', true],
    [503, 'x', 503, 'server_error', null, 529, 'overloaded_error', 'server_error', true],
    [429, 'x', 429, 'rate_limit_exceeded', null, 429, 'rate_limit_error', 'rate_limit_exceeded', true],
    [
      429,
      'insufficient_quota',
      429,
      'insufficient_quota',
      'insufficient_quota',
      429,
      'rate_limit_error',
      'insufficient_quota',
      false,
    ],
    [402, 'x', 402, 'insufficient_quota', 'insufficient_quota', 402, 'billing_error', 'insufficient_quota', false],
    [
      400,
      'billing_error',
      402,
      'insufficient_quota',
      'insufficient_quota',
      402,
      'billing_error',
      'insufficient_quota',
      false,
    ],
    [401, 'x', 401, 'authentication_error', null, 401, 'authentication_error', 'invalid_prompt', false],
    [403, 'x', 403, 'permission_error', null, 403, 'permission_error', 'invalid_prompt', false],
    [404, 'x', 404, 'not_found_error', null, 404, 'not_found_error', 'invalid_prompt', false],
    [413, 'x', 413, 'invalid_request_error', null, 413, 'request_too_large', 'invalid_prompt', false],
    [422, 'x', 422, 'invalid_request_error', null, 422, 'invalid_request_error', 'invalid_prompt', false],
    [504, 'x', 504, 'server_error', null, 504, 'timeout_error', 'server_error', true],
    [408, 'x', 408, 'server_error', null, 408, 'timeout_error', 'server_error', true],
    [502, 'x', 502, 'server_error', null, 502, 'api_error', 'server_error', true],
  ] as const)(
    '%s %s is %s %s (%s) to OpenAI clients, %s %s to Anthropic ones, %s in a Responses stream; asked again: %s',
    (status, word, openaiStatus, openaiType, code, anthropicStatus, anthropicType, responsesCode, retried) => {
      const error = readProviderError(status, JSON.stringify({ error: { message: 'm', type: word } }))
      const toOpenai = errorReply('openai', error, 'r')
      expect(toOpenai.status).toBe(openaiStatus)
      expect(read(toOpenai)).toEqual({ error: { message: 'm', type: openaiType, param: null, code } })
      const toAnthropic = errorReply('anthropic', error, 'r')
      expect(toAnthropic.status).toBe(anthropicStatus)
      expect(read(toAnthropic)).toEqual({
        type: 'error',
        error: { type: anthropicType, message: 'm' },
        request_id: 'r',
      })
      expect(toOpenai.headers).toMatchObject({ 'x-tok-error': 'provider_failed' })
      expect(toOpenai.headers['x-should-retry']).toBe(retried ? undefined : 'false')
      expect(Buffer.from(errorEvent('openai-responses', error, 'r')).toString()).toContain(
        `"error":{"code":"${responsesCode}"`,
      )
    },
  )
})

describe('an error answer within one dialect', () => {
  const openai = '{"error":{"message":"bad","type":"invalid_request_error","param":null,"code":null}}'
  const anthropic = '{"type":"error","error":{"type":"invalid_request_error","message":"bad"},"request_id":"req_1"}'
  const fullOpenai = `{"error":{"message":"This model's maximum context length is 9 tokens","code":"context_length_exceeded"}}`

  // dialect | body | written anew
  it.each<[Dialect, string, boolean]>([
    ['openai-chat', openai, false],
    ['openai-responses', openai, false],
    ['anthropic-messages', anthropic, false],
    ['anthropic-messages', openai, true],
    ['openai-chat', '{"error":"model not found"}', true],
    ['openai-chat', '{"detail":"Not Found"}', true],
    ['openai-chat', '<html><title>502</title></html>', true],
    ['anthropic-messages', '', true],
    ['openai-chat', '{"object":"error","message":"x","code":400}', true],
    ['openai-responses', fullOpenai, false],
    ['openai-responses', fullOpenai.replace('"context_length_exceeded"', '400'), true],
    ['anthropic-messages', anthropic.replace('bad', 'prompt is too long: 9 tokens > 8 maximum'), false],
    ['anthropic-messages', anthropic.replace('bad', 'the request exceeds the available context size'), true],
    ['openai-chat', openai.replace('bad', 'Incorrect API key provided: sk-proj-abcdefgh12345678'), true],
  ])('%s: %s is written anew: %s', (dialect, body, expected) => {
    expect(needsReEnvelope(dialect, Buffer.from(body))).toBe(expected)
  })

  it('is in its shape once it was written', () => {
    const status = fc.integer({ min: 400, max: 599 })
    const body = fc.oneof(
      fc.string(),
      fc.json(),
      fc.record({ error: fc.jsonValue() }).map((value) => JSON.stringify(value)),
    )
    fc.assert(
      fc.property(status, body, fc.constantFrom(...DIALECTS), (told, text, dialect) => {
        const error = readProviderError(told, text)
        expect(error.message).not.toBe('')
        const reply = errorReply(dialect === 'anthropic-messages' ? 'anthropic' : 'openai', error, 'r')
        expect(reply.status).toBeGreaterThanOrEqual(400)
        expect(needsReEnvelope(dialect, reply.body)).toBe(false)
        expect(errorEvent(dialect, error, 'r').length).toBeGreaterThan(0)
      }),
      { numRuns: 500 },
    )
  })

  it('is read in little time, however it is made', () => {
    const hostile = [
      '<title',
      'sk-',
      'maximum context length is ',
      'prompt (length 1) is too long',
      'keep the first 1 tokens when',
      'a',
    ].map((piece) => piece.repeat(65_536 / piece.length))
    for (const body of hostile) {
      const startedAt = performance.now()
      readProviderError(400, `{"error":{"message":${JSON.stringify(body.slice(0, 60_000))}}}`)
      readProviderError(400, `<html>${body}`)
      expect(performance.now() - startedAt).toBeLessThan(250)
    }
  })
})
