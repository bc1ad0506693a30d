import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { exchange } from '../support/http-exchange.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** Spacing, key order, escapes, a nested "model", unknown members: nothing that parsing and writing again would keep. */
const PECULIAR_BODY =
  '\r\n{ "zebra" : 1.50e+1,\t"messages":[{"role":"user","content":"f\\u00fcr \\/ 😀 \\ud83d\\ude00","model":"inner"}] ,' +
  '"model" : "test-\\u006dodel", "input":"x","max_tokens":5, "from_next_year":{"model":{"a":[null,-0]}} }\n'

let provider: ScriptedProvider
let facade: TestFacade

beforeAll(async () => {
  provider = await startScriptedProvider({ models: ['test-model', 'org/name-7b'] })
  facade = await startFacade({ servers: [{ name: 'engine', url: provider.url }], aliases: 'nick=>org/name-7b' })
})

afterAll(async () => {
  await facade.close()
  await provider.close()
})

describe('a request', () => {
  test.each(['/v1/chat/completions', '/v1/responses', '/v1/embeddings', '/v1/messages', '/v1/messages/count_tokens'])(
    'to %s reaches the provider byte for byte',
    async (path) => {
      const { status } = await exchange(`${facade.url}${path}`, { headers: JSON_TYPE, body: PECULIAR_BODY })
      expect(status).toBe(200)
      expect(provider.requests.at(-1)?.path).toBe(path)
      expect(Buffer.from(provider.requests.at(-1)!.body).toString()).toBe(PECULIAR_BODY)
    },
  )

  test('of many packets reaches the provider byte for byte', async () => {
    const body = JSON.stringify({ model: 'test-model', messages: [{ role: 'user', content: 'ü'.repeat(1_500_000) }] })
    await exchange(`${facade.url}/v1/chat/completions`, { headers: JSON_TYPE, body })
    expect(Buffer.from(provider.requests.at(-1)!.body).toString()).toBe(body)
  })

  test.each([
    ['/v1/chat/completions', '/v1/chat/completions'],
    ['/chat/completions', '/v1/chat/completions'],
    ['/v1/v1/chat/completions', '/v1/chat/completions'],
    ['/openai/v1/chat/completions/', '/v1/chat/completions'],
    ['/openai/embeddings', '/v1/embeddings'],
    ['/v1/responses/?a=b', '/v1/responses?a=b'],
    ['/anthropic/v1/messages?beta=true', '/v1/messages?beta=true'],
    ['/messages', '/v1/messages'],
    ['/anthropic/v1/v1/messages/count_tokens', '/v1/messages/count_tokens'],
  ])('to %s is one to %s', async (asked, served) => {
    const { status } = await exchange(`${facade.url}${asked}`, { body: { model: 'test-model', max_tokens: 1 } })
    expect(status).toBe(200)
    expect(provider.requests.at(-1)?.path).toBe(served)
  })

  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['identity', (bytes: Buffer) => bytes],
  ])('packed with %s reaches the provider unpacked', async (encoding, pack) => {
    const body = pack(Buffer.from(PECULIAR_BODY))
    const headers = { ...JSON_TYPE, 'content-encoding': encoding }
    const { status } = await exchange(`${facade.url}/v1/chat/completions`, { headers, body })
    expect(status).toBe(200)
    expect(Buffer.from(provider.requests.at(-1)!.body).toString()).toBe(PECULIAR_BODY)
    expect(provider.requests.at(-1)?.headers['content-encoding']).toBeUndefined()
  })

  test('needs no content type', async () => {
    const { status } = await exchange(`${facade.url}/v1/chat/completions`, { body: PECULIAR_BODY })
    expect(status).toBe(200)
  })

  test('for an alias differs at the provider in the name of the model only', async () => {
    const body = '{"messages":[{"model":"nick"}],  "model" : "nick"  ,"n":1}'
    const { headers } = await exchange(`${facade.url}/v1/chat/completions`, { headers: JSON_TYPE, body })
    expect(Buffer.from(provider.requests.at(-1)!.body).toString()).toBe(
      '{"messages":[{"model":"nick"}],  "model" : "org/name-7b"  ,"n":1}',
    )
    expect(headers['x-tok-model']).toBe('org/name-7b')
    expect(facade.records.at(-1)).toMatchObject({ requestedModel: 'nick', resolvedModel: 'org/name-7b' })
  })

  test("keeps its vendor's headers, and leaves its credentials here", async () => {
    const secret = 'secret-of-the-client'
    await exchange(`${facade.url}/v1/messages`, {
      headers: {
        authorization: `Bearer ${secret}`,
        'x-api-key': secret,
        cookie: secret,
        'proxy-authorization': secret,
        'x-unknown': secret,
        'anthropic-version': '2023-06-01',
        'anthropic-beta': 'one-2025-01-01,two-2026-01-01',
        'x-claude-code-session-id': 'session',
        'user-agent': 'agent/1',
      },
      body: { model: 'test-model', max_tokens: 1 },
    })
    const { headers } = provider.requests.at(-1)!
    expect(headers).toMatchObject({
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'one-2025-01-01,two-2026-01-01',
      'x-claude-code-session-id': 'session',
      'user-agent': 'agent/1',
    })
    expect(JSON.stringify(headers)).not.toContain(secret)
  })
})

describe('an answer', () => {
  const events =
    'event: one\r\ndata: {"choices":[{"index":0,"delta":{"content":"für 😀"}}]}\r\n\r\n: comment\n\n' +
    'data:{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

  test('streamed in any pieces comes to the client byte for byte', async () => {
    const bytes = Buffer.from(events)
    for (const size of [1, 2, 3, 7, 64, bytes.length]) {
      const body = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      )
      provider.script({ headers: { 'content-type': 'text/event-stream; charset=utf-8' }, body })
      const answer = await exchange(`${facade.url}/v1/chat/completions`, {
        body: { model: 'test-model', stream: true },
      })
      expect(answer.text()).toBe(events)
      expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    }
  })

  test('not streamed comes byte for byte, with its length where it came at once', async () => {
    const body = ' {"choices" : [ ], "x":"\\u00e4ä" }\n'
    provider.script({ body })
    const answer = await exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model' } })
    expect(answer.text()).toBe(body)
  })

  test('of many megabytes comes byte for byte', async () => {
    const body = JSON.stringify({ data: 'ü'.repeat(4_000_000) })
    provider.script({ body })
    const answer = await exchange(`${facade.url}/v1/embeddings`, { body: { model: 'test-model' } })
    expect(answer.text() === body).toBe(true)
  })

  test("keeps the provider's status, body, retry-after and rate limits, and both request ids", async () => {
    provider.script({
      status: 429,
      headers: {
        'content-type': 'application/problem+json',
        'retry-after': '3',
        'x-ratelimit-remaining-tokens': '0',
        'x-request-id': 'req_of_the_provider',
        'set-cookie': 'a=b',
        server: 'engine',
      },
      body: '{"error":{"message":"slow down","type":"tokens","code":null}}',
    })
    const answer = await exchange(`${facade.url}/v1/chat/completions`, { body: { model: 'test-model' } })
    expect(answer.status).toBe(429)
    expect(answer.text()).toBe('{"error":{"message":"slow down","type":"tokens","code":null}}')
    expect(answer.headers).toMatchObject({
      'content-type': 'application/problem+json',
      'retry-after': '3',
      'x-ratelimit-remaining-tokens': '0',
      'x-tok-provider-request-id': 'req_of_the_provider',
      'x-tok-target': 'engine',
      'x-tok-model': 'test-model',
    })
    expect(answer.headers['x-request-id']).toBe(facade.records.at(-1)?.requestId)
    expect(answer.headers['set-cookie'] ?? answer.headers['server']).toBeUndefined()
  })

  test("keeps Anthropic's own request id, which its client shows", async () => {
    provider.script({ headers: { 'request-id': 'req_0' }, body: '{}' })
    const answer = await exchange(`${facade.url}/v1/messages`, { body: { model: 'test-model' } })
    expect(answer.headers['request-id']).toBe('req_0')
  })
})

describe('the list of models', () => {
  test('is read by both vendors’ clients', async () => {
    const openai = await new OpenAI({ baseURL: facade.openaiBaseUrl, apiKey: 'x' }).models.list()
    const anthropic = await new Anthropic({ baseURL: facade.anthropicBaseUrl, apiKey: 'x' }).models.list({
      limit: 1_000,
    })
    const names = expect.arrayContaining(['test-model', 'org/name-7b', 'loopback'])
    expect(openai.data.map(({ id }) => id)).toEqual(names)
    expect(anthropic.data.map(({ id }) => id)).toEqual(names)
    expect(anthropic.data[0]).toMatchObject({ type: 'model', display_name: anthropic.data[0]?.id })
    expect(anthropic.hasNextPage()).toBe(false)
  })

  test('gives one model by its id, slashes included', async () => {
    const openai = new OpenAI({ baseURL: facade.openaiBaseUrl, apiKey: 'x' })
    expect(await openai.models.retrieve('org/name-7b')).toMatchObject({ id: 'org/name-7b', object: 'model' })
    const plain = await exchange(`${facade.url}/v1/models/org/name-7b`)
    expect(plain.json()).toMatchObject({ x_tok: { targets: [{ name: 'engine', kind: 'local' }] } })
  })

  test('answers an unknown id in the words of whoever asks', async () => {
    const openai = await exchange(`${facade.url}/v1/models/none`)
    expect([openai.status, openai.json()]).toMatchObject([404, { error: { code: 'model_not_found' } }])
    const anthropic = await exchange(`${facade.url}/v1/models/none`, { headers: { 'anthropic-version': '2023-06-01' } })
    expect([anthropic.status, anthropic.json()]).toMatchObject([
      404,
      { type: 'error', error: { type: 'not_found_error' } },
    ])
  })
})

describe('counting tokens', () => {
  const question = { model: 'test-model', messages: [{ role: 'user', content: 'four words of text' }] }

  test('is left to a provider that can', async () => {
    const answer = await exchange(`${facade.url}/v1/messages/count_tokens`, { body: question })
    expect(answer.json()).toEqual({ input_tokens: 21 })
    expect(answer.headers['x-tok-target']).toBe('engine')
  })

  test.each([404, 405, 500, 529])('is estimated where the provider answers %d', async (status) => {
    provider.script({ status })
    const answer = await exchange(`${facade.url}/v1/messages/count_tokens`, { body: question })
    expect([answer.status, answer.json()]).toMatchObject([200, { input_tokens: expect.any(Number) }])
    expect(answer.headers['x-tok-target']).toBe('estimate')
  })

  test('is estimated for a model in another dialect, without asking anybody', async () => {
    const other = await startFacade({ servers: [{ name: 'chat', url: provider.url, dialects: ['openai-chat'] }] })
    const before = provider.requests.length
    const answer = await exchange(`${other.url}/v1/messages/count_tokens`, { body: question })
    expect(answer.headers['x-tok-target']).toBe('estimate')
    expect(provider.requests).toHaveLength(before)
    await other.close()
  })

  test('claims no tokens in the journal', () => {
    expect(facade.records.filter(({ endpoint }) => endpoint === 'count_tokens').at(-1)).toMatchObject({
      status: 'completed',
      tokenSource: 'absent',
    })
  })
})

describe('a probe', () => {
  test.each([
    ['HEAD', '/'],
    ['GET', '/'],
    ['HEAD', '/api/hello'],
    ['HEAD', '/anthropic'],
    ['HEAD', '/v1/messages'],
    ['HEAD', '/v1/models'],
    ['GET', '/health'],
  ])('%s %s is answered', async (method, path) => {
    expect((await exchange(`${facade.url}${path}`, { method })).status).toBe(200)
  })

  test('for WebSocket, where that is off, is told at once to use HTTP', async () => {
    const plain = await startFacade({ gateway: { webSocket: undefined } })
    const headers = { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-version': '13' }
    const answer = await exchange(`${plain.url}/v1/responses`, { headers })
    await plain.close()
    expect([answer.status, answer.json()]).toMatchObject([426, { error: { code: 'websocket_unsupported' } }])
  })

  test('for HTTP/2 is answered over HTTP/1.1, body and all', async () => {
    const headers = { upgrade: 'h2c', connection: 'Upgrade, HTTP2-Settings', 'http2-settings': '' }
    const answer = await exchange(`${facade.url}/v1/responses`, { headers, body: { model: 'test-model', input: 'x' } })
    expect(answer.status).toBe(200)
  })
})
