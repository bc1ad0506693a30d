import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { TokError } from '../../src/base/errors.ts'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import {
  createHttpProvider,
  DEFAULT_TIMEOUTS,
  type HttpProviderOptions,
  type ProviderTimeouts,
} from '../../src/providers/http-provider.ts'
import type { Provider } from '../../src/providers/provider.ts'
import { collectAnswer, modelRequest } from '../support/collect-answer.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const SSE = { 'content-type': 'text/event-stream' }
const CHAT = { model: 'test-model', messages: [{ role: 'user', content: 'hi' }] }

let scripted: ScriptedProvider
const made: Provider[] = []

beforeEach(async () => {
  scripted = await startScriptedProvider()
})

afterEach(async () => {
  await Promise.all(made.splice(0).map((provider) => provider.close(0)))
  await scripted.close()
})

function providerOf(
  options: Partial<Omit<HttpProviderOptions, 'timeouts'>> & { timeouts?: Partial<ProviderTimeouts> } = {},
): Provider {
  const provider = createHttpProvider(
    { clock: systemClock },
    {
      name: 'rack',
      kind: 'server',
      baseUrl: scripted.url,
      dialects: DIALECTS,
      ...options,
      timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
    },
  )
  made.push(provider)
  return provider
}

describe('a request to a provider', () => {
  it('goes out byte for byte, and the answer comes back byte for byte', async () => {
    const body = Buffer.from('{ "model":"test-model",\n\t"messages":[], "unknown\\u0020field": 1.0 }')
    const bytes = Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0x00, 0xc3, 0x0a, 0x0a])
    scripted.script({ headers: SSE, body: [bytes.subarray(0, 5), bytes.subarray(5)] })
    const answer = collectAnswer(providerOf(), modelRequest('chat', CHAT, { body }))
    expect(await answer.ended).toBeUndefined()
    expect(scripted.requests[0]?.body).toEqual(body)
    expect(Buffer.concat(answer.pieces)).toEqual(bytes)
  })

  it.each([
    ['chat', '/v1/chat/completions'],
    ['embeddings', '/v1/embeddings'],
    ['responses', '/v1/responses'],
    ['messages', '/v1/messages?beta=true'],
    ['count_tokens', '/v1/messages/count_tokens'],
  ] as const)('for %s goes to %s', async (endpoint, path) => {
    const query = endpoint === 'messages' ? '?beta=true' : ''
    const answer = collectAnswer(
      providerOf({ baseUrl: `${scripted.url}/v1/` }),
      modelRequest(endpoint, CHAT, { query }),
    )
    expect(await answer.ended).toBeUndefined()
    expect(answer.head?.status).toBe(200)
    expect(scripted.requests[0]).toMatchObject({ method: 'POST', path })
  })

  it("keeps the provider's status, headers and error body", async () => {
    const body = '{"error":{"message":"slow down"}}'
    scripted.script({ status: 429, headers: { 'retry-after': '7', 'set-cookie': 'a=b', 'x-request-id': 'p-1' }, body })
    const answer = collectAnswer(providerOf(), modelRequest('chat', CHAT))
    expect(await answer.ended).toBeUndefined()
    expect(answer.head).toEqual({
      status: 429,
      headers: { 'content-type': 'application/json', 'retry-after': '7', 'x-request-id': 'p-1' },
    })
    expect(answer.text()).toBe(body)
  })

  it('asks for an answer that is not compressed', async () => {
    await collectAnswer(providerOf(), modelRequest('chat', CHAT)).ended
    expect(scripted.requests[0]?.headers['accept-encoding']).toBe('identity')
  })

  it('brings the key of the node in the way of the dialect, and its organization', async () => {
    const provider = providerOf({ apiKey: 'k', organization: 'org', kind: 'hosted', anthropicBeta: 'beta-1' })
    const headers = { 'anthropic-beta': 'beta-2', 'anthropic-version': '2024-01-01' }
    await collectAnswer(provider, modelRequest('chat', CHAT)).ended
    await collectAnswer(provider, modelRequest('messages', CHAT)).ended
    await collectAnswer(provider, modelRequest('messages', CHAT, { headers })).ended
    await collectAnswer(providerOf({ apiKey: 'k' }), modelRequest('messages', CHAT)).ended
    const [chat, messages, own, server] = scripted.requests.map((request) => request.headers)
    expect(chat).toMatchObject({ authorization: 'Bearer k', 'openai-organization': 'org' })
    expect(chat).not.toHaveProperty('x-api-key')
    expect(messages).toMatchObject({
      'x-api-key': 'k',
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'beta-1',
    })
    expect(messages).not.toHaveProperty('authorization')
    expect(own).toMatchObject(headers)
    expect(server).toMatchObject({ 'x-api-key': 'k', authorization: 'Bearer k' })
  })

  it('without the key it needs fails with its reason, and nothing is sent', async () => {
    const provider = providerOf({ keyVariable: 'TOKLIGENCE_OPENAI_API_KEY' })
    const answer = collectAnswer(provider, modelRequest('chat', CHAT))
    const error = await answer.ended
    expect(error).toMatchObject({ code: 'provider_key_missing', next: 'set TOKLIGENCE_OPENAI_API_KEY' })
    expect(scripted.requests).toEqual([])
  })

  it('in a dialect it does not speak is refused', async () => {
    const answer = collectAnswer(providerOf({ dialects: ['openai-chat'] }), modelRequest('messages', CHAT))
    expect(await answer.ended).toMatchObject({ code: 'endpoint_unsupported' })
  })
})

describe('a provider that fails', () => {
  it('is unreachable where nothing listens', async () => {
    const provider = providerOf({ baseUrl: `http://127.0.0.1:${await freePort()}` })
    const error = await collectAnswer(provider, modelRequest('chat', CHAT)).ended
    expect(error).toMatchObject({ code: 'provider_unreachable', retryable: true })
    expect(error?.message).toContain('ECONNREFUSED')
    expect(provider.health()).toMatchObject({ state: 'down' })
  })

  it.each(['reset', 'truncate'] as const)('within its answer (%s) has broken it off', async (ending) => {
    scripted.script({ headers: SSE, body: ['data: 1\n\n', 'data: 2'], ending })
    const answer = collectAnswer(providerOf(), modelRequest('chat', CHAT))
    expect(await answer.ended).toMatchObject({ code: 'provider_broken' })
    expect(answer.head?.status).toBe(200)
    expect(answer.text()).toBe('data: 1\n\ndata: 2')
  })

  it('before its answer has broken off too, without a head', async () => {
    const server = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()))
    const answer = collectAnswer(providerOf({ baseUrl: urlOf(server) }), modelRequest('chat', CHAT))
    expect(await answer.ended).toMatchObject({ code: 'provider_broken' })
    expect(answer.head).toBeUndefined()
    server.close()
  })

  it('by speaking something else than HTTP has broken off', async () => {
    const server = await listen((socket) => socket.once('data', () => socket.end('SSH-2.0-nonsense\r\n')))
    const answer = collectAnswer(providerOf({ baseUrl: urlOf(server) }), modelRequest('chat', CHAT))
    expect(await answer.ended).toMatchObject({ code: 'provider_broken' })
    server.close()
  })

  it('by sending elsewhere is not followed', async () => {
    scripted.script({ status: 307, headers: { location: 'http://127.0.0.1:1/steal' } })
    const answer = collectAnswer(providerOf({ apiKey: 'k' }), modelRequest('chat', CHAT))
    expect(await answer.ended).toMatchObject({ code: 'provider_failed', details: { status: 307 } })
    expect(answer.head).toBeUndefined()
  })

  // what is awaited | what the server does
  it.each([
    ['no answer', { headersMs: 200 }, { silent: true }],
    ['nothing after the headers of its answer', { firstByteMs: 200 }, { headers: SSE, ending: 'hang' }],
    ['nothing more of its answer', { idleMs: 200 }, { headers: SSE, body: 'data: 1\n\n', ending: 'hang' }],
  ] as const)('by sending %s in time is given up', async (awaited, timeouts, script) => {
    scripted.script(script)
    const startMs = performance.now()
    const error = await collectAnswer(providerOf({ timeouts }), modelRequest('chat', CHAT)).ended
    expect(error).toMatchObject({ code: 'provider_timeout', details: { awaited, timeoutMs: 200 } })
    expect(performance.now() - startMs).toBeLessThan(1_500)
    await vi.waitFor(() => expect(scripted.requests[0]?.wasAbandoned).toBe(true))
  })

  it('is not given up for an answer that takes longer than any of the timeouts', async () => {
    scripted.script({ headers: SSE, body: Array.from({ length: 12 }, () => [100, 'data: 1\n\n'] as const).flat() })
    const timeouts = { headersMs: 500, firstByteMs: 500, idleMs: 500 }
    const answer = collectAnswer(providerOf({ timeouts }), modelRequest('chat', CHAT))
    expect(await answer.ended).toBeUndefined()
    expect(answer.pieces).toHaveLength(12)
  })
})

describe('a client that leaves', () => {
  const left = new TokError('client_left')

  it.each([
    ['before the head', { silent: true }],
    ['within the answer', { headers: SSE, body: 'data: 1\n\n', ending: 'hang' }],
  ] as const)('%s stops the inference within a second', async (_, script) => {
    scripted.script(script)
    const answer = collectAnswer(providerOf(), modelRequest('chat', CHAT))
    await vi.waitFor(() => expect(scripted.requests).toHaveLength(1))
    const startMs = performance.now()
    answer.exchange.abort(left)
    expect(await answer.ended).toBe(left)
    await vi.waitFor(() => expect(scripted.requests[0]?.wasAbandoned).toBe(true))
    expect(performance.now() - startMs).toBeLessThan(1_000)
  })

  it('while its answer is paused leaves no connection behind', async () => {
    scripted.script({ headers: SSE, body: ['data: 1\n\n', 'data: 2\n\n'], ending: 'hang' })
    const answer = collectAnswer(providerOf(), modelRequest('chat', CHAT), () => false)
    await vi.waitFor(() => expect(answer.pieces).toHaveLength(1))
    answer.exchange.abort(left)
    await vi.waitFor(() => expect(scripted.requests[0]?.wasAbandoned).toBe(true))
  })

  it('while its request still waits for a connection is never sent, and later requests are', async () => {
    const provider = providerOf()
    scripted.script({ headers: SSE, body: 'data: 1\n\n', ending: 'hang' }, 256)
    const running = Array.from({ length: 256 }, () => collectAnswer(provider, modelRequest('chat', CHAT)))
    await vi.waitFor(() => expect(scripted.requests).toHaveLength(256), 10_000)
    const waiting = Array.from({ length: 20 }, () => collectAnswer(provider, modelRequest('chat', CHAT), () => false))
    for (const answer of waiting) answer.exchange.abort(left)
    expect(await Promise.all(waiting.map((answer) => answer.ended))).toEqual(waiting.map(() => left))
    const next = collectAnswer(provider, modelRequest('chat', CHAT))
    for (const answer of running) answer.exchange.abort(left)
    expect(await next.ended).toBeUndefined()
    expect(scripted.requests).toHaveLength(257)
  })

  it('is told once, whatever happens afterwards', async () => {
    scripted.script({ headers: SSE, body: 'data: 1\n\n' })
    const failures: TokError[] = []
    let ends = 0
    const exchange = providerOf().send(modelRequest('chat', CHAT), {
      onHead: () => exchange.abort(left),
      onData: () => true,
      onEnd: () => (ends += 1),
      onFailure: (error) => failures.push(error),
    })
    await vi.waitFor(() => expect(failures).toEqual([left]))
    exchange.abort(new TokError('call_aborted'))
    exchange.resume()
    await wait(100)
    expect({ failures, ends }).toEqual({ failures: [left], ends: 0 })
  })
})

describe('a slow reader', () => {
  it('slows the provider down, loses nothing, and is never taken for a silent one', async () => {
    const piece = Buffer.alloc(65_536, 'x')
    const total = 400 * piece.length
    scripted.script({ headers: SSE, body: Array.from({ length: 400 }, () => piece) })
    const provider = providerOf({ timeouts: { idleMs: 300 } })
    let isReading = false
    const answer = collectAnswer(provider, modelRequest('chat', CHAT), () => isReading)
    await wait(1_000)
    const sentWhilePaused = scripted.requests[0]?.bytesSent ?? 0
    expect(sentWhilePaused).toBeLessThan(total / 2)
    isReading = true
    answer.exchange.resume()
    expect(await answer.ended).toBeUndefined()
    expect(Buffer.concat(answer.pieces)).toHaveLength(total)
  })
})

describe('too many requests at once', () => {
  it('are refused beyond a bound, and the places come back', async () => {
    const provider = providerOf()
    scripted.script({ silent: true }, 256)
    const running = Array.from({ length: 512 }, () => collectAnswer(provider, modelRequest('chat', CHAT)))
    const refused = collectAnswer(provider, modelRequest('chat', CHAT))
    expect(await refused.ended).toMatchObject({ code: 'limit_exceeded', retryable: true })
    await vi.waitFor(() => expect(scripted.requests).toHaveLength(256), 10_000)
    for (const answer of running) answer.exchange.abort(new TokError('client_left'))
    await vi.waitFor(async () => {
      const error = await collectAnswer(provider, modelRequest('chat', CHAT)).ended
      expect(error).toBeUndefined()
    }, 10_000)
  })
})

describe('the models of a provider', () => {
  const signal = new AbortController().signal

  it('are unknown until they are read, and then kept', async () => {
    const provider = providerOf()
    expect(provider.models()).toBeUndefined()
    await provider.refresh(signal)
    expect(provider.models()).toMatchObject([{ id: 'test-model', ownedBy: 'test' }])
    expect(provider.lists('TEST-model')?.id).toBe('test-model')
    await scripted.close()
    await provider.refresh(signal)
    expect(provider.models()).toHaveLength(1)
    expect(provider.health()).toMatchObject({ state: 'down' })
    scripted = await startScriptedProvider()
  })

  it('are read by themselves when somebody asks', async () => {
    const provider = providerOf()
    await vi.waitFor(() => expect(provider.models()).toHaveLength(1))
  })

  it('stay unknown at a server that does not list them, which is up all the same', async () => {
    const server = await listen((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')),
    )
    const provider = providerOf({ baseUrl: urlOf(server) })
    await provider.refresh(signal)
    expect(provider.models()).toBeUndefined()
    expect(provider.health()).toEqual({ state: 'up', reason: 'it does not list its models' })
    server.close()
  })

  it('are not asked of a vendor whose key is missing', async () => {
    const provider = providerOf({ kind: 'hosted', keyVariable: 'TOKLIGENCE_OPENAI_API_KEY' })
    await provider.refresh(signal)
    expect(provider.models()).toBeUndefined()
    expect(provider.health()).toEqual({ state: 'unknown', reason: 'no API key; set TOKLIGENCE_OPENAI_API_KEY' })
  })
})

it('a provider that is closed lets running answers through, for a while', async () => {
  scripted.script({ headers: SSE, body: ['data: 1\n\n', 300, 'data: 2\n\n'] })
  scripted.script({ headers: SSE, body: 'data: 1\n\n', ending: 'hang' })
  const provider = providerOf()
  const finishing = collectAnswer(provider, modelRequest('chat', CHAT))
  const hanging = collectAnswer(provider, modelRequest('chat', CHAT))
  await vi.waitFor(() => expect(hanging.pieces).toHaveLength(1))
  await provider.close(1_000)
  expect(await finishing.ended).toBeUndefined()
  expect(await hanging.ended).toMatchObject({ code: 'node_stopping' })
})

function listen(onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function freePort(): Promise<number> {
  const server = await listen(() => undefined)
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
