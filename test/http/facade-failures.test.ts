import { request as httpRequest } from 'node:http'
import { createServer } from 'node:net'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { TokError } from '../../src/base/errors.ts'
import type { AnswerSource } from '../../src/dialects/exchange.ts'
import { startFacade, type FacadeOptions, type TestFacade } from '../support/facade.ts'
import { exchange, open, until } from '../support/http-exchange.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const SSE = { 'content-type': 'text/event-stream' }
const ENDPOINT_PATHS = {
  chat: '/v1/chat/completions',
  responses: '/v1/responses',
  embeddings: '/v1/embeddings',
  messages: '/v1/messages',
} as const
const PATHS = Object.values(ENDPOINT_PATHS)

let provider: ScriptedProvider
let second: ScriptedProvider
let deadUrl: string
let facade: TestFacade
const opened: TestFacade[] = []

/** A facade that is closed after the test. */
async function facadeWith(options: FacadeOptions): Promise<TestFacade> {
  const started = await startFacade(options)
  opened.push(started)
  return started
}

beforeAll(async () => {
  provider = await startScriptedProvider()
  second = await startScriptedProvider({ text: 'The second answers.' })
  const gone = await startScriptedProvider()
  deadUrl = gone.url
  await gone.close()
  facade = await startFacade({
    servers: [
      { name: 'engine', url: provider.url },
      { name: 'chat-only', url: second.url, dialects: ['openai-chat'] },
      { name: 'messages-only', url: second.url, dialects: ['anthropic-messages'] },
      { name: 'dead', url: deadUrl },
    ],
    routes:
      'test-model=>engine,chat-model=>chat-only,messages-model=>messages-only,dead-model=>dead,gpt-*=>openai,claude-*=>anthropic',
    gateway: { bodyLimitBytes: 100_000 },
    providers: { timeouts: { headersMs: 200, firstByteMs: 200, idleMs: 200 } },
  })
})

afterEach(async () => {
  for (const started of opened.splice(0)) await started.close()
})

afterAll(async () => {
  await facade.close()
  await provider.close()
  await second.close()
})

/** The error of an answer, in the shape of the dialect that asked. */
function nativeError(path: string, body: unknown): { readonly type: string; readonly message: string } {
  if (path.startsWith('/v1/messages')) {
    expect(body).toEqual({
      type: 'error',
      error: { type: expect.any(String), message: expect.any(String) },
      request_id: expect.any(String),
    })
  } else {
    expect(body).toEqual({
      error: { message: expect.any(String), type: expect.any(String), param: null, code: expect.any(String) },
    })
  }
  return (body as { error: { type: string; message: string } }).error
}

describe('each refusal comes in the words of the dialect that asked', () => {
  test.each(PATHS)('%s: an unknown model is not found', async (path) => {
    const answer = await exchange(`${facade.url}${path}`, { body: { model: 'nobody-has-it' } })
    expect(answer.status).toBe(404)
    expect(nativeError(path, answer.json()).message).toContain('nobody-has-it')
    expect(facade.records.at(-1)).toMatchObject({
      status: 'failed',
      error: 'model_not_found',
      requestedModel: 'nobody-has-it',
      httpStatus: 404,
      retries: 0,
      tokenSource: 'absent',
    })
    expect(facade.records.at(-1)?.target).toBeUndefined()
  })

  test.each([
    ['no JSON', 'hello', 400, 'body_malformed'],
    ['cut JSON', '{"model":"test-model"', 400, 'body_malformed'],
    ['a list', '[]', 400, 'body_malformed'],
    ['nothing', '', 400, 'body_malformed'],
    ['no model', '{"messages":[]}', 400, 'model_missing'],
    ['a model of 201 bytes', JSON.stringify({ model: 'm'.repeat(201) }), 400, 'body_malformed'],
    ['too much', JSON.stringify({ model: 'test-model', input: 'x'.repeat(100_000) }), 413, 'body_too_large'],
  ])('a body with %s is refused, and is no inference', async (_, body, status, code) => {
    const before = facade.records.length
    for (const path of PATHS) {
      const answer = await exchange(`${facade.url}${path}`, { headers: { 'content-type': 'application/json' }, body })
      expect(answer.status).toBe(status)
      nativeError(path, answer.json())
      expect(answer.headers['x-tok-error']).toBe(code)
    }
    expect(facade.records).toHaveLength(before)
  })

  test('a body whose length is not told is refused once it is too long', async () => {
    const headers = { 'transfer-encoding': 'chunked', 'content-type': 'application/json' }
    const body = JSON.stringify({ model: 'test-model', input: 'x'.repeat(5_000_000) })
    const answer = await exchange(`${facade.url}/v1/responses`, { headers, body })
    expect([answer.status, answer.headers['x-tok-error']]).toEqual([413, 'body_too_large'])
  })

  test.each([
    ['gzip', gzipSync(Buffer.alloc(2_000_000)), 413],
    ['zstd', zstdCompressSync(Buffer.alloc(2_000_000)), 413],
    ['gzip', Buffer.from('not packed at all'), 400],
    ['zstd', zstdCompressSync(Buffer.alloc(2_000)).subarray(0, 10), 400],
    ['compress', Buffer.from('{}'), 415],
    ['gzip, gzip', Buffer.from('{}'), 415],
    ['__proto__', Buffer.from('{}'), 415],
  ])('a body packed with %s that cannot be unpacked within the limit is refused', async (encoding, body, status) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': encoding }
    for (const path of PATHS) {
      const answer = await exchange(`${facade.url}${path}`, { headers, body })
      expect(answer.status).toBe(status)
      nativeError(path, answer.json())
    }
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'json',
    'application/jsonp',
  ])('content of type %s is refused: a page of the web may send it unasked', async (type) => {
    for (const path of PATHS) {
      const headers = { 'content-type': type }
      const answer = await exchange(`${facade.url}${path}`, { headers, body: '{"model":"test-model"}' })
      expect(answer.status).toBe(415)
      nativeError(path, answer.json())
    }
  })

  test('embeddings have no other form: a model without them is refused', async () => {
    const answer = await exchange(`${facade.url}${ENDPOINT_PATHS.embeddings}`, { body: { model: 'messages-model' } })
    expect(answer.status).toBe(501)
    nativeError(ENDPOINT_PATHS.embeddings, answer.json())
    expect(facade.records.at(-1)).toMatchObject({ status: 'failed', error: 'endpoint_unsupported' })
  })

  test.each([
    [ENDPOINT_PATHS.chat, 'gpt-5.5', 'TOKLIGENCE_OPENAI_API_KEY'],
    [ENDPOINT_PATHS.messages, 'claude-sonnet-5', 'TOKLIGENCE_ANTHROPIC_API_KEY'],
  ])('%s: %s needs a key that is not set', async (path, model, variable) => {
    const answer = await exchange(`${facade.url}${path}`, { body: { model } })
    expect(answer.status).toBe(401)
    expect(nativeError(path, answer.json()).message).toContain(variable)
  })

  test.each(PATHS)('%s: a dead provider is a bad gateway', async (path) => {
    const answer = await exchange(`${facade.url}${path}`, { body: { model: 'dead-model' } })
    expect(answer.status).toBe(502)
    expect(nativeError(path, answer.json()).message).toContain('dead')
    expect(answer.headers['x-tok-target']).toBe('dead')
    expect(facade.records.at(-1)).toMatchObject({ status: 'failed', error: 'provider_unreachable', target: 'dead' })
  })

  test.each(PATHS)('%s: a silent provider is a timeout', async (path) => {
    provider.script({ silent: true })
    const answer = await exchange(`${facade.url}${path}`, { body: { model: 'test-model' } })
    expect(answer.status).toBe(504)
    nativeError(path, answer.json())
  })

  test('a type that is none is named, under an id of its own', async () => {
    const answers = [1, 2].map(() =>
      exchange(`${facade.url}/v1/messages`, { body: '{}', headers: { 'content-type': 'json' } }),
    )
    const [one, other] = await Promise.all(answers)
    expect([one?.status, nativeError('/v1/messages', one?.json()).message]).toEqual([
      415,
      expect.stringContaining('"json"'),
    ])
    expect(one?.headers['x-request-id']).toMatch(/^[\da-f]{8}-[\da-f-]{27}$/)
    expect(one?.headers['x-request-id']).not.toBe(other?.headers['x-request-id'])
  })

  test.each([
    ['GET', '/v1/nothing', {}],
    ['POST', '/v1/completions', {}],
    ['GET', '/v1/messages', {}],
    ['GET', '/v1/responses', {}],
    ['PATCH', '/anthropic/v1/else', {}],
    ['GET', '/v1/else', { 'anthropic-version': '2023-06-01' }],
  ])('%s %s is no route', async (method, path, headers) => {
    const answer = await exchange(`${facade.url}${path}`, { method, headers })
    expect(answer.status).toBe(404)
    const isAnthropic = path !== '/v1/else' ? /anthropic|messages/.test(path) : true
    nativeError(isAnthropic ? '/v1/messages' : '/v1', answer.json())
  })

  test.each([
    ['GET', '/v1/responses/resp_1'],
    ['DELETE', '/v1/responses/resp_1'],
    ['GET', '/v1/responses/resp_1/input_items'],
    ['POST', '/v1/responses/resp_1/cancel'],
  ])('%s %s: no such answer is kept here', async (method, path) => {
    const answer = await exchange(`${facade.url}${path}`, { method })
    expect(answer.status).toBe(404)
    nativeError(path, answer.json())
  })

  test('a path that is no URL is refused', async () => {
    const answer = await exchange(`${facade.url}/v1/models/%zz`)
    expect(answer.status).toBe(400)
    nativeError('/v1', answer.json())
  })
})

describe('a web page', () => {
  test.each(['https://evil.example', 'http://127.0.0.1.evil.example', 'null', 'file://'])(
    'at %s may not use the node',
    async (origin) => {
      for (const path of [...PATHS, '/v1/models', '/api/v1/status']) {
        const answer = await exchange(`${facade.url}${path}`, {
          method: path.startsWith('/v1/models') || path.startsWith('/api') ? 'GET' : 'POST',
          headers: { origin, 'content-type': 'application/json' },
        })
        expect(answer.status).toBe(403)
      }
    },
  )

  test.each(['evil.example', 'evil.example:8081', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.1'])(
    'that has bound the name "%s" to this machine may not use the node',
    async (host) => {
      expect((await exchange(`${facade.url}/v1/models`, { headers: { host } })).status).toBe(403)
    },
  )

  test.each([
    ['localhost:8081', 'http://localhost:3000'],
    ['127.0.0.1', 'http://127.0.0.1'],
    ['[::1]:8081', 'http://[::1]:5173'],
    ['tok.localhost', 'https://app.localhost'],
  ])('of this machine, asking %s from %s, may', async (host, origin) => {
    expect((await exchange(`${facade.url}/v1/models`, { headers: { host, origin } })).status).toBe(200)
  })
})

describe('the next target', () => {
  const both = (): FacadeOptions => ({
    servers: [
      { name: 'first', url: provider.url },
      { name: 'second', url: second.url },
    ],
  })

  test.each([429, 500, 502, 503, 529])(
    'is asked where the first answers %d, and the client sees nothing of it',
    async (status) => {
      const pair = await facadeWith(both())
      provider.script({ status, headers: { 'retry-after': '9' }, body: '{}' })
      const answer = await exchange(`${pair.url}/v1/chat/completions`, { body: { model: 'test-model' } })
      expect(answer.status).toBe(200)
      expect(answer.text()).toContain('The second answers.')
      expect(answer.headers).toMatchObject({ 'x-tok-target': 'second' })
      expect(answer.headers['retry-after']).toBeUndefined()
      expect(pair.records).toMatchObject([{ status: 'completed', target: 'second', retries: 1, httpStatus: 200 }])
    },
  )

  test('is asked where the first is dead, for every endpoint', async () => {
    const pair = await facadeWith({
      servers: [
        { name: 'dead', url: deadUrl },
        { name: 'second', url: second.url },
      ],
    })
    for (const path of PATHS) {
      const answer = await exchange(`${pair.url}${path}`, { body: { model: 'test-model' } })
      expect([answer.status, answer.headers['x-tok-target']]).toEqual([200, 'second'])
    }
    expect(pair.records).toHaveLength(PATHS.length)
  })

  test.each([400, 401, 403, 404, 422])(
    'is not asked where the first answers %d: that is the answer',
    async (status) => {
      const pair = await facadeWith(both())
      const before = second.requests.length
      provider.script({ status, body: '{"error":{"message":"as I said"}}' })
      const answer = await exchange(`${pair.url}/v1/chat/completions`, { body: { model: 'test-model' } })
      expect([answer.status, answer.text()]).toEqual([status, '{"error":{"message":"as I said"}}'])
      expect(second.requests).toHaveLength(before)
      expect(pair.records).toMatchObject([
        { status: 'failed', error: 'provider_failed', httpStatus: status, retries: 0 },
      ])
    },
  )

  test('is not asked once the client has seen a byte', async () => {
    const pair = await facadeWith(both())
    const before = second.requests.length
    provider.script({ headers: SSE, body: ['data: {"choices":[]}\n\n', 20], ending: 'reset' })
    const answer = await exchange(`${pair.url}/v1/chat/completions`, { body: { model: 'test-model', stream: true } })
    expect(answer.text()).toContain('data: {"error":')
    expect(second.requests).toHaveLength(before)
  })

  test('was the last: its answer stands, with its retry-after', async () => {
    const pair = await facadeWith(both())
    provider.script({ status: 503 })
    second.script({ status: 429, headers: { 'retry-after': '7' }, body: '{"error":{"message":"busy"}}' })
    const answer = await exchange(`${pair.url}/v1/messages`, { body: { model: 'test-model' } })
    expect(answer.status).toBe(429)
    expect(answer.headers['retry-after']).toBe('7')
    expect(answer.json()).toMatchObject({ type: 'error', error: { type: 'rate_limit_error', message: 'busy' } })
  })
})

describe('an answer that breaks off', () => {
  const CHAT_EVENT =
    'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
  const MESSAGES_EVENTS =
    'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],' +
    '"model":"test-model","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}\n\n' +
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n' +
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}\n\n'
  const RESPONSES_EVENT =
    'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response",' +
    '"status":"in_progress","output":[]}}\n\n'

  const endings = ['reset', 'truncate', 'end', 'hang'] as const

  test.each(endings)('(%s) is an error to the OpenAI client, never a short answer', async (ending) => {
    const openai = new OpenAI({ baseURL: facade.openaiBaseUrl, apiKey: 'x', maxRetries: 0 })
    provider.script({ headers: SSE, body: [CHAT_EVENT, 20], ending })
    const chat = openai.chat.completions.stream({ model: 'test-model', messages: [] }).finalChatCompletion()
    await expect(chat).rejects.toThrow(OpenAI.APIError)
    expect(facade.records.at(-1)).toMatchObject({ status: 'truncated', tokenSource: 'counted', outputTokens: 1 })
    provider.script({ headers: SSE, body: [RESPONSES_EVENT, 20], ending })
    const response = await exchange(`${facade.url}/v1/responses`, { body: { model: 'test-model', stream: true } })
    expect(response.text().startsWith(RESPONSES_EVENT)).toBe(true)
    expect(response.text()).toContain('event: response.failed')
    expect(response.text()).toContain('"sequence_number":1')
  })

  test.each(endings)('(%s) is an error to the Anthropic client, never a short answer', async (ending) => {
    const anthropic = new Anthropic({ baseURL: facade.anthropicBaseUrl, apiKey: 'x', maxRetries: 0 })
    provider.script({ headers: SSE, body: [MESSAGES_EVENTS, 20], ending })
    const message = anthropic.messages.stream({ model: 'test-model', max_tokens: 9, messages: [] }).finalMessage()
    await expect(message).rejects.toThrow(Anthropic.APIError)
    expect(facade.records.at(-1)).toMatchObject({ status: 'truncated', inputTokens: 3 })
  })

  test('within an event still ends with an error of its own', async () => {
    provider.script({ headers: SSE, body: [`${CHAT_EVENT}data: {"cho`, 20], ending: 'reset' })
    const answer = await exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model', stream: true } })
    expect(answer.text()).toMatch(/^data: \{"id".*\n\ndata: \{"cho\n\ndata: \{"error":\{.*\}\}\n\n$/)
    expect(answer.text()).not.toContain('[DONE]')
  })

  test('and is not streamed loses its connection', async () => {
    provider.script({ body: ['{"choices":[', 20], ending: 'reset' })
    await expect(exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model' } })).rejects.toThrow(
      'aborted',
    )
    expect(facade.records.at(-1)).toMatchObject({ status: 'truncated', error: 'provider_broken' })
  })

  test('in the provider’s own words passes as it is', async () => {
    const events = `${CHAT_EVENT}data: {"error":{"message":"out of memory"}}\n\n`
    provider.script({ headers: SSE, body: events })
    const answer = await exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model', stream: true } })
    expect(answer.text()).toBe(events)
    expect(facade.records.at(-1)).toMatchObject({ status: 'failed', error: 'provider_failed' })
  })

  test('only in appearance, with an event too long to be read here, passes as it is', async () => {
    const events = `data: {"picture":"${'A'.repeat(5_000_000)}"}\n\ndata: [DONE]\n\n`
    provider.script({ headers: SSE, body: events })
    const answer = await exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model', stream: true } })
    expect(answer.text() === events).toBe(true)
    expect(facade.records.at(-1)).toMatchObject({ status: 'completed', tokenSource: 'absent' })
  })

  test('packed, though nobody asked for that, passes as it is', async () => {
    const body = gzipSync(CHAT_EVENT)
    provider.script({ headers: { ...SSE, 'content-encoding': 'gzip' }, body })
    const answer = await exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model', stream: true } })
    expect(Buffer.compare(answer.body, body)).toBe(0)
    expect(facade.records.at(-1)).toMatchObject({ status: 'completed', tokenSource: 'absent' })
  })
})

describe('a client that leaves', () => {
  test('while it sends its request is no inference, and no harm', async () => {
    const before = facade.records.length
    const request = httpRequest(`${facade.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': '1000' },
    })
    request.on('error', () => undefined)
    await new Promise((resolve) => request.write('{"model":"test-model",', resolve))
    await new Promise((resolve) => setTimeout(resolve, 30))
    request.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect((await exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model' } })).status).toBe(200)
    expect(facade.records).toHaveLength(before + 1)
    expect(facade.logLines.join('')).not.toContain('internal_error')
  })

  test.each([
    ['before the answer', { silent: true }],
    ['in the middle of a stream', { headers: SSE, body: ['data: {"choices":[]}\n\n', 60_000] }],
    ['in the middle of a whole answer', { body: ['{"choices":[', 60_000] }],
  ])('%s stops the provider within a second', async (_, script) => {
    const patient = await facadeWith({ servers: [{ name: 'engine', url: provider.url }] })
    provider.script(script)
    const before = provider.requests.length
    const request = open(
      `${patient.url}/v1/chat/completions`,
      { body: { model: 'test-model', stream: true } },
      (answer) => answer.on('error', () => undefined).resume(),
    )
    request.on('error', () => undefined)
    await until(() => provider.requests.length > before)
    await new Promise((resolve) => setTimeout(resolve, 50))
    request.destroy()
    const leftAtMs = performance.now()
    await until(() => provider.requests.at(-1)!.wasAbandoned)
    expect(performance.now() - leftAtMs).toBeLessThan(1_000)
    expect(patient.records).toMatchObject([{ status: 'aborted', error: 'client_left', target: 'engine' }])
  })

  test('while its request waits for a connection leaves no connection lost', async () => {
    const patient = await facadeWith({ servers: [{ name: 'engine', url: provider.url }] })
    const ask = () => {
      const request = open(`${patient.url}/v1/chat/completions`, { body: { model: 'test-model' } }, (answer) =>
        answer.resume(),
      )
      request.on('error', () => undefined)
      return request
    }
    const before = provider.requests.length
    provider.script({ silent: true }, 256)
    const stuck = Array.from({ length: 256 }, ask)
    await until(() => provider.requests.length === before + 256, 5_000)
    const queued = Array.from({ length: 5 }, ask)
    await new Promise((resolve) => setTimeout(resolve, 100))
    for (const request of queued) request.destroy()
    await until(() => patient.records.length === 5)
    expect(patient.records.every(({ status }) => status === 'aborted')).toBe(true)
    for (const request of stuck) request.destroy()
    await until(() => patient.records.length === 261)
    expect(provider.requests).toHaveLength(before + 256)
    const answers = await Promise.all(
      Array.from({ length: 300 }, () =>
        exchange(`${patient.url}/v1/chat/completions`, { body: { model: 'test-model' } }),
      ),
    )
    expect(answers.every(({ status }) => status === 200)).toBe(true)
  })
})

test('a slow client slows the provider, and gets every byte in the end', async () => {
  const patient = await facadeWith({ servers: [{ name: 'engine', url: provider.url }] })
  const piece = Buffer.from(`data: {"choices":[{"index":0,"delta":{"content":"${'x'.repeat(65_000)}"}}]}\n\n`)
  const pieces = 1_600
  provider.script({ headers: SSE, body: [...Array<Buffer>(pieces).fill(piece), 'data: [DONE]\n\n'] })
  let length = 0
  const ended = new Promise<void>((resolve, reject) => {
    const request = open(
      `${patient.url}/v1/chat/completions`,
      { body: { model: 'test-model', stream: true } },
      (answer) => {
        setTimeout(() => {
          answer.on('data', (bytes: Buffer) => (length += bytes.length))
          answer.on('end', resolve)
        }, 700)
      },
    )
    request.on('error', reject)
  })
  await until(() => (provider.requests.at(-1)?.bytesSent ?? 0) > 100_000)
  await new Promise((resolve) => setTimeout(resolve, 400))
  // What the sockets of three programs hold; the rest of the 104 MB waits at the provider.
  expect(provider.requests.at(-1)!.bytesSent).toBeLessThan(30_000_000)
  await ended
  expect(length).toBe(pieces * piece.length + 'data: [DONE]\n\n'.length)
  expect(patient.records).toMatchObject([{ status: 'completed' }])
})

describe('a silent stream', () => {
  const quiet: FacadeOptions['gateway'] = { quietMs: 40 }

  test.each([
    [ENDPOINT_PATHS.chat, ': keep-alive\n\n'],
    [ENDPOINT_PATHS.responses, ': keep-alive\n\n'],
    [ENDPOINT_PATHS.messages, 'event: ping\ndata: {"type": "ping"}\n\n'],
  ])('on %s is kept alive between events, never within one', async (path, sign) => {
    const patient = await facadeWith({ servers: [{ name: 'engine', url: provider.url }], gateway: quiet })
    const first = 'event: error\ndata: {"type":"error","error":'
    const rest = '{"message":"x"}}\r\n'
    const last = '\r\n'
    provider.script({ headers: SSE, body: [150, first, 150, rest, 150, last, 150] })
    const answer = await exchange(`${patient.url}${path}`, { body: { model: 'test-model', stream: true } })
    const [before, after, ...more] = answer.text().split(first + rest + last)
    expect(more).toEqual([])
    for (const part of [before, after]) expect(part?.split(sign).join('')).toBe('')
    expect(before).toContain(sign)
    expect(after).toContain(sign)
  })

  test('that is no event stream is left alone', async () => {
    const patient = await facadeWith({ servers: [{ name: 'engine', url: provider.url }], gateway: quiet })
    provider.script({ body: ['{"choices":', 150, '[]}'] })
    const answer = await exchange(`${patient.url}/v1/chat/completions`, { body: { model: 'test-model', stream: true } })
    expect(answer.text()).toBe('{"choices":[]}')
  })
})

describe('a seller as the target', () => {
  const seller = (send: AnswerSource['send']): AnswerSource => ({ name: 'network', send })
  const idle = { resume: () => undefined, abort: () => undefined }

  test('is shown no header that tells who asks, and names itself in the answer', async () => {
    let seen: Readonly<Record<string, string>> = {}
    const buying = await facadeWith({
      routes: '*=>network',
      network: seller((request, sink) => {
        seen = request.headers
        sink.onHead({
          status: 200,
          headers: { 'content-type': 'application/json', 'x-tok-target': '12D3KooWseller', 'x-tok-receipt': 'r1' },
        })
        sink.onData(Buffer.from('{}'))
        sink.onEnd()
        return idle
      }),
    })
    const answer = await exchange(`${buying.url}/v1/messages`, {
      headers: { 'anthropic-beta': 'b', 'user-agent': 'agent/1', 'session-id': 's', authorization: 'Bearer x' },
      body: { model: 'any' },
    })
    expect(seen).toEqual({ 'anthropic-beta': 'b', 'content-type': 'application/json' })
    expect(answer.headers).toMatchObject({
      'x-tok-target': '12D3KooWseller',
      'x-tok-receipt': 'r1',
      'content-length': '2',
    })
    expect(buying.records).toMatchObject([{ direction: 'bought', target: '12D3KooWseller', status: 'completed' }])
  })

  test.each([
    [1_000, {}],
    [200, { 'content-type': 'a\r\nb: c' }],
    [200, { 'retry-after': '\u0007' }],
  ])('that answers status %d with headers %o cannot break the node', async (status, headers) => {
    const buying = await facadeWith({
      routes: '*=>network',
      network: seller((_, sink) => {
        sink.onHead({ status, headers })
        sink.onData(Buffer.from('{}'))
        setTimeout(() => sink.onEnd(), 10)
        return idle
      }),
    })
    const answer = await exchange(`${buying.url}/v1/chat/completions`, { body: { model: 'any' } })
    expect(answer.status).toBe(502)
    expect(buying.records).toMatchObject([{ status: 'failed', error: 'provider_broken' }])
  })

  test.each([
    [{ 'content-length': '1' }],
    [{ 'transfer-encoding': 'identity' }],
    [{ connection: 'close' }],
    [{ 'set-cookie': 'a=b' }],
    [{ 'access-control-allow-origin': '*' }],
    [{ 'x-tok-error': 'internal_error' }],
    [{ 'x y': 'z' }],
  ])('cannot say %o to the client', async (headers: Readonly<Record<string, string>>) => {
    const buying = await facadeWith({
      routes: '*=>network',
      network: seller((_, sink) => {
        sink.onHead({ status: 200, headers: { 'content-type': 'application/json', ...headers } })
        sink.onData(Buffer.from('{"a":1}'))
        setTimeout(() => sink.onEnd(), 10)
        return idle
      }),
    })
    const answer = await exchange(`${buying.url}/v1/chat/completions`, { body: { model: 'any' } })
    expect(answer.text()).toBe('{"a":1}')
    for (const [name, value] of Object.entries(headers)) expect(answer.headers[name]).not.toEqual(value)
  })

  test('that breaks off at once leaves no trace in the answer of the next target', async () => {
    const NATIVE = '{"error":{"message":"as I said"}}'
    const buying = await facadeWith({
      servers: [{ name: 'engine', url: provider.url }],
      routes: '*=>network|engine',
      network: seller((_, sink) => {
        setImmediate(() => {
          sink.onHead({ status: 200, headers: { 'content-type': 'text/event-stream', 'x-tok-target': 'seller' } })
          sink.onFailure(new TokError('stream_incomplete', { peer: 'seller', reason: 'the connection closed' }))
        })
        return idle
      }),
    })
    provider.script({ status: 400, headers: { 'content-type': 'application/json' }, body: NATIVE })
    const answer = await exchange(`${buying.url}/v1/chat/completions`, { body: { model: 'any', stream: true } })
    expect([answer.status, answer.headers['x-tok-target'], answer.text()]).toEqual([400, 'engine', NATIVE])
  })

  test('and a provider see no credential of the query', async () => {
    const seen: string[] = []
    const buying = await facadeWith({
      servers: [{ name: 'engine', url: provider.url }],
      routes: '*=>network|engine',
      network: seller((request, sink) => {
        seen.push(request.query)
        queueMicrotask(() => sink.onFailure(new TokError('seller_unreachable', { peer: 'seller', reason: 'gone' })))
        return idle
      }),
    })
    await exchange(`${buying.url}/v1/messages?beta=true&api-key=secret`, { body: { model: 'test-model' } })
    expect([...seen, provider.requests.at(-1)?.path]).toEqual(['?beta=true', '/v1/messages?beta=true'])
  })

  test('that fails is followed by the error of the table', async () => {
    const buying = await facadeWith({
      routes: '*=>network',
      network: seller((_, sink) => {
        sink.onFailure(new TokError('spend_limit_reached', { limit: '1.00', spent: '1.00' }))
        return idle
      }),
    })
    const answer = await exchange(`${buying.url}/v1/messages`, { body: { model: 'any' } })
    expect([answer.status, answer.headers['x-should-retry']]).toEqual([429, 'false'])
  })

  test('is never asked to count tokens', async () => {
    const buying = await facadeWith({
      routes: '*=>network',
      network: seller(() => {
        throw new Error('a seller was asked to count')
      }),
    })
    const answer = await exchange(`${buying.url}/v1/messages/count_tokens`, { body: { model: 'any' } })
    expect([answer.status, answer.headers['x-tok-target']]).toEqual([200, 'estimate'])
  })
})

describe('a stopping node', () => {
  test('finishes running answers, refuses new ones, and ends what takes too long', async () => {
    const stopping = await facadeWith({ servers: [{ name: 'engine', url: provider.url }] })
    const url = `${stopping.url}/v1/chat/completions`
    const body = { model: 'test-model', stream: true }
    const before = provider.requests.length
    provider.script({ headers: SSE, body: [200, 'data: [DONE]\n\n'] })
    provider.script({ headers: SSE, body: ['data: {"choices":[]}\n\n', 60_000] })
    const short = exchange(url, { body })
    await until(() => provider.requests.length === before + 1)
    const endless = exchange(url, { body })
    await until(() => provider.requests.length === before + 2)
    const startedAtMs = performance.now()
    const drained = stopping.drain(500)
    const refused = await exchange(url, { body })
    expect([refused.status, refused.headers['x-tok-error']]).toEqual([503, 'node_stopping'])
    expect((await short).text()).toBe('data: [DONE]\n\n')
    await drained
    expect(performance.now() - startedAtMs).toBeGreaterThan(450)
    expect((await endless).text()).toContain('data: {"error":')
    expect(stopping.records.map(({ status }) => status)).toEqual(['completed', 'truncated'])
  })

  test('with nothing to finish stops at once', async () => {
    const stopping = await facadeWith({})
    const startedAtMs = performance.now()
    await stopping.drain(60_000)
    expect(performance.now() - startedAtMs).toBeLessThan(1_000)
  })
})

test('a port that is taken is one clear error', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  await expect(startFacade({ gateway: { port } })).rejects.toMatchObject({
    code: 'port_in_use',
    message: `the address 127.0.0.1:${port} is taken by another program`,
  })
  await new Promise((resolve) => other.close(resolve))
})

test('no prompt, answer or key is written to the log', async () => {
  const logged = await facadeWith({ servers: [{ name: 'engine', url: provider.url }] })
  provider.script({ body: '{"choices":[{"message":{"content":"a private answer"}}]}' })
  await exchange(`${logged.url}/v1/chat/completions`, {
    headers: { authorization: 'Bearer a-private-key' },
    body: { model: 'test-model', messages: [{ role: 'user', content: 'a private question' }] },
  })
  expect(logged.logLines.join('')).toContain(logged.records[0]!.requestId)
  expect(logged.logLines.join('')).not.toContain('private')
})
