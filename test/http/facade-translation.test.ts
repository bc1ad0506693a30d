/**
 * What the facade adds around a translation: modes, reports, errors, keep-alive, the loop guard, turns asked again.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { startFacade, type FacadeOptions, type TestFacade } from '../support/facade.ts'
import { exchange, open, until } from '../support/http-exchange.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const SSE = { 'content-type': 'text/event-stream' }
const CHAT_STREAM = [
  'data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}\n\n',
  'data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
  'data: {"id":"c1","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}\n\n',
  'data: [DONE]\n\n',
]
const QUESTION = { model: 'm', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] }

let provider: ScriptedProvider
const facades: TestFacade[] = []

beforeAll(async () => {
  provider = await startScriptedProvider()
})
afterEach(async () => {
  for (const facade of facades.splice(0)) await facade.close()
})
afterAll(() => provider.close())

async function facadeOf(dialect: Dialect, options: Partial<FacadeOptions> = {}): Promise<TestFacade> {
  const facade = await startFacade({
    servers: [{ name: 'engine', url: provider.url, dialects: [dialect] }],
    ...options,
  })
  facades.push(facade)
  return facade
}

describe('a request that must be translated', () => {
  test('is asked in the dialect of its provider, answered in its own, and recorded with both', async () => {
    const facade = await facadeOf('openai-chat')
    provider.script({ headers: SSE, body: CHAT_STREAM })
    const answer = await exchange(`${facade.url}/v1/messages?beta=true`, {
      headers: { 'anthropic-version': '2023-06-01', 'anthropic-beta': 'some-feature', 'x-api-key': 'secret' },
      body: { ...QUESTION, stream: true, top_k: 5 },
    })
    expect(answer.status, answer.text()).toBe(200)
    expect(answer.headers['content-type']).toContain('text/event-stream')
    expect(answer.text()).toMatch(/^event: message_start\n/)
    expect(answer.text()).toMatch(/event: message_stop\ndata: \{"type":"message_stop"\}\n\n$/)
    const asked = provider.requests.at(-1)
    expect(asked?.path).toBe('/v1/chat/completions')
    expect(asked?.json).toMatchObject({ model: 'm', stream: true, stream_options: { include_usage: true } })
    expect(Object.keys(asked?.headers ?? {}).filter((name) => name.startsWith('anthropic-'))).toEqual([])
    await until(() => facade.records.length === 1)
    expect(facade.records[0]).toMatchObject({
      endpoint: 'messages',
      dialect: 'anthropic-messages',
      providerDialect: 'openai-chat',
      status: 'completed',
      inputTokens: 7,
      outputTokens: 1,
      tokenSource: 'provider',
    })
  })

  test('says what was dropped, in a header and in the metrics', async () => {
    const facade = await facadeOf('anthropic-messages')
    const answer = await exchange(`${facade.url}/v1/chat/completions`, {
      body: { ...QUESTION, seed: 7, logit_bias: {} },
    })
    expect(answer.status, answer.text()).toBe(200)
    expect(answer.headers['x-tok-dropped']).toContain('seed')
    const { headers, text } = await exchange(`${facade.url}/metrics`)
    expect(headers['content-type']).toContain('text/plain')
    expect(text()).toContain('tok_translation_dropped_total{endpoint="chat",field="seed"} 1')
  })

  test('is refused by name where leaving a field out would change what was asked', async () => {
    const facade = await facadeOf('anthropic-messages')
    const before = provider.requests.length
    const answer = await exchange(`${facade.url}/v1/chat/completions`, { body: { ...QUESTION, n: 3 } })
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({ error: { type: 'invalid_request_error', param: 'n' } })
    expect(provider.requests).toHaveLength(before)
    expect(facade.records.at(-1)).toMatchObject({ status: 'failed' })
  })

  test('is refused where work_mode lets nothing be translated', async () => {
    const facade = await facadeOf('openai-chat', { workMode: 'passthrough' })
    const answer = await exchange(`${facade.url}/v1/messages`, { body: QUESTION })
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message:
          'work_mode=passthrough does not support translation (endpoint=messages expects anthropic provider, ' +
          'but model=m routes to openai provider); set work_mode=auto or work_mode=translation to enable translation',
      },
    })
  })

  test('gets its errors in its own words, status and retry-after kept', async () => {
    const facade = await facadeOf('openai-chat')
    const body = '{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}'
    provider.script({ status: 429, headers: { 'retry-after': '3', 'x-ratelimit-remaining-tokens': '0' }, body })
    const answer = await exchange(`${facade.url}/v1/messages`, { body: QUESTION })
    expect(answer.status).toBe(429)
    expect(answer.headers).toMatchObject({ 'retry-after': '3', 'anthropic-ratelimit-tokens-remaining': '0' })
    expect(answer.json()).toMatchObject({ type: 'error', error: { type: 'rate_limit_error', message: 'slow down' } })
  })

  test('F9: is told of a full context so that its agent compacts', async () => {
    const facade = await facadeOf('openai-chat')
    const message =
      "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
    provider.script({ status: 400, body: JSON.stringify({ error: { message, code: 'context_length_exceeded' } }) })
    const answer = await exchange(`${facade.url}/v1/messages`, { body: QUESTION })
    expect(answer.status).toBe(400)
    expect(answer.text()).toContain('prompt is too long: 9000 tokens > 8192 maximum')
  })

  test('whose stream breaks off ends in an error of its own dialect', async () => {
    const facade = await facadeOf('openai-chat')
    provider.script({ headers: SSE, body: [CHAT_STREAM[0] ?? '', 20], ending: 'truncate' })
    const answer = await exchange(`${facade.url}/v1/messages`, { body: { ...QUESTION, stream: true } })
    expect(answer.text()).toContain('event: error\ndata: {"type":"error","error":{"type":"api_error"')
    expect(answer.text()).not.toContain('message_stop')
  })

  test.each([
    ['says nothing of its tokens', CHAT_STREAM.filter((event) => !event.includes('usage')), 'counted'],
    ['breaks off before it says anything of them', CHAT_STREAM.slice(0, 1), 'counted'],
    ['says them at the end', CHAT_STREAM, 'provider'],
  ])('is told of an estimate while its provider %s, and that is in no record', async (_, body, tokenSource) => {
    const facade = await facadeOf('openai-chat')
    provider.script({ headers: SSE, body })
    const question = { ...QUESTION, messages: [{ role: 'user', content: 'hi '.repeat(400) }], stream: true }
    const answer = await exchange(`${facade.url}/v1/messages`, { body: question })
    const counts = [...answer.text().matchAll(/"input_tokens":(\d+)/g)].map(([, count]) => Number(count))
    expect(counts[0]).toBeGreaterThan(250)
    const [record] = facade.records
    expect(record).toMatchObject({ tokenSource, outputTokens: expect.any(Number) })
    expect(record?.inputTokens).toBe(tokenSource === 'provider' ? 7 : undefined)
    expect(record?.cacheWriteTokens).toBeUndefined()
    if (body.length > 1) expect(counts.at(-1)).toBe(tokenSource === 'provider' ? 7 : counts[0])
  })

  test('slows its provider down to the pace of its client', async () => {
    const facade = await facadeOf('openai-chat')
    const delta = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(60_000) } }] })}\n\n`
    provider.script({ headers: SSE, body: Array.from({ length: 400 }, () => delta) })
    const question = { body: { ...QUESTION, stream: true } }
    const client = open(`${facade.url}/v1/messages`, question, (incoming) => incoming.pause())
    client.on('error', () => undefined)
    await until(() => (provider.requests.at(-1)?.bytesSent ?? 0) > 1_000_000, 5_000)
    await new Promise((resolve) => setTimeout(resolve, 500))
    const sent = provider.requests.at(-1)?.bytesSent ?? 0
    expect(sent).toBeLessThan(16_000_000)
    client.destroy()
    await until(() => provider.requests.at(-1)?.wasAbandoned === true)
  })
})

describe('a provider that thinks before it answers', () => {
  const hasty = { gateway: { thinkingMs: 40, quietMs: 30 } }

  test('leaves no client in silence, and then answers as ever', async () => {
    const facade = await facadeOf('openai-chat', hasty)
    provider.script({ headAfterMs: 250, headers: SSE, body: CHAT_STREAM })
    const answer = await exchange(`${facade.url}/v1/messages`, { body: { ...QUESTION, stream: true } })
    expect(answer.text()).toMatch(/^event: ping\n/)
    expect(answer.text()).toMatch(/event: message_start\n[^]*event: message_stop\n/)
    expect(facade.records.at(-1)).toMatchObject({ status: 'completed', httpStatus: 200 })
  })

  test.each([
    ['messages', 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"'],
    ['chat/completions', 'data: {"error":{'],
    ['responses', 'event: response.failed\n'],
  ])('and then fails: %s ends in its own error', async (path, expected) => {
    const facade = await facadeOf('openai-chat', hasty)
    provider.script({ headAfterMs: 150, status: 503, body: '{"error":{"message":"overloaded"}}' })
    const body = { ...QUESTION, input: 'hi', stream: true }
    const answer = await exchange(`${facade.url}/v1/${path}`, { body })
    expect(answer.status).toBe(200)
    expect(answer.text()).toContain(expected)
    expect(facade.records.at(-1)).toMatchObject({ status: 'failed' })
  })

  test('may still be given up for the next one', async () => {
    const facade = await facadeOf('openai-chat', {
      ...hasty,
      servers: [
        { name: 'engine', url: provider.url, dialects: ['openai-chat'] },
        { name: 'other', url: provider.url, dialects: ['openai-chat'] },
      ],
    })
    provider.script({ headAfterMs: 150, status: 503 })
    provider.script({ headers: SSE, body: CHAT_STREAM })
    const answer = await exchange(`${facade.url}/v1/messages`, { body: { ...QUESTION, stream: true } })
    expect(answer.text()).toContain('event: message_stop')
    expect(facade.records.at(-1)).toMatchObject({ status: 'completed', target: 'other', retries: 1 })
  })

  test('is not waited for by who asked for a whole answer: that one gets its status', async () => {
    const facade = await facadeOf('openai-chat', hasty)
    provider.script({ headAfterMs: 150, status: 400, body: '{"error":{"message":"no"}}' })
    expect((await exchange(`${facade.url}/v1/messages`, { body: QUESTION })).status).toBe(400)
  })
})

describe('an agent that goes round in a circle', () => {
  const circle = (rounds: number) => ({
    model: 'm',
    max_tokens: 100,
    messages: [
      { role: 'user', content: 'look at the file' },
      ...Array.from({ length: rounds }, (_, index) => [
        {
          role: 'assistant',
          content: [{ type: 'tool_use', id: `toolu_${index}`, name: 'Read', input: { path: 'a' } }],
        },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: `toolu_${index}`, content: 'no such file: a' }] },
      ]).flat(),
    ],
  })

  test('is warned beside the newest result, and then stopped', async () => {
    const facade = await facadeOf('anthropic-messages')
    const counts: (string | undefined)[] = []
    for (const rounds of [2, 3, 4]) {
      const answer = await exchange(`${facade.url}/v1/messages`, { body: circle(rounds) })
      expect(answer.status, answer.text()).toBe(200)
      counts.push(answer.headers['x-tok-loop-count'] as string | undefined)
    }
    const [second, third, fourth] = provider.requests.slice(-3).map(({ json }) => JSON.stringify(json))
    expect(second).toBe(JSON.stringify(circle(2)))
    // All but the newest result is what it was: the prompt cache stays good.
    const before = JSON.stringify(circle(3)).slice(0, -40)
    expect(third?.startsWith(before.slice(0, before.lastIndexOf('no such file')))).toBe(true)
    expect(third?.length).toBeGreaterThan(JSON.stringify(circle(3)).length)
    expect(fourth).not.toBe(third)
    expect(counts).toEqual(['2', '3', '4'])
    const refused = await exchange(`${facade.url}/v1/messages`, { body: circle(5) })
    expect(refused).toMatchObject({ status: 400, headers: { 'x-tok-error': 'tool_loop' } })
    expect(refused.text()).toContain('Read')
  })
})

describe('a turn that is asked again', () => {
  const headers = { 'x-claude-code-session-id': 'session-1', 'anthropic-version': '2023-06-01' }

  test('F12: without streaming after its stream failed is recorded as a retry of it', async () => {
    const facade = await facadeOf('openai-chat')
    provider.script({ headers: SSE, body: [CHAT_STREAM[0] ?? '', 20], ending: 'reset' })
    await exchange(`${facade.url}/v1/messages?beta=true`, { headers, body: { ...QUESTION, stream: true } })
    const again = await exchange(`${facade.url}/v1/messages?beta=true`, {
      headers,
      body: { ...QUESTION, stream: false, max_tokens: 64_000 },
    })
    expect(again.status).toBe(200)
    const [failed, retried] = facade.records
    expect(failed?.status).not.toBe('completed')
    expect(retried).toMatchObject({ status: 'completed', retryOf: failed?.requestId })
    // The next turn is another one.
    const messages = [...QUESTION.messages, { role: 'assistant', content: 'Hello' }, { role: 'user', content: 'more' }]
    await exchange(`${facade.url}/v1/messages`, { headers, body: { ...QUESTION, messages } })
    expect(facade.records.at(-1)?.retryOf).toBeUndefined()
  })

  test('of another session is none', async () => {
    const facade = await facadeOf('openai-chat')
    provider.script({ status: 500 })
    await exchange(`${facade.url}/v1/messages`, { headers, body: QUESTION })
    const other = { ...headers, 'x-claude-code-session-id': 'session-2' }
    await exchange(`${facade.url}/v1/messages`, { headers: other, body: QUESTION })
    expect(facade.records.at(-1)).toMatchObject({ status: 'completed', retryOf: undefined })
  })
})
