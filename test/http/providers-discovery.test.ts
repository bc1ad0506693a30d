import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { createProviders, type Providers, type ProvidersOptions } from '../../src/providers/create-providers.ts'
import { probeEngine } from '../../src/providers/discover-engines.ts'
import { collectAnswer, modelRequest } from '../support/collect-answer.ts'
import { startScriptedProvider } from '../support/scripted-provider.ts'

const signal = new AbortController().signal
const CHAT = { model: 'm', messages: [] }
const made: Providers[] = []
const servers: Server[] = []

afterEach(async () => {
  await Promise.all(made.splice(0).map((providers) => providers.close()))
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

type Answer = readonly [status: number, body: unknown]

/** An engine that answers as told by "METHOD /path", and 404 otherwise. */
async function startEngine(answers: Readonly<Record<string, Answer>>, port = 0): Promise<number> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const [status, body] = answers[`${request.method} ${request.url}`] ?? [404, { error: 'not found' }]
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  servers.push(server)
  return (server.address() as AddressInfo).port
}

async function startSilentServer(): Promise<number> {
  const server = createServer(() => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push(server)
  return (server.address() as AddressInfo).port
}

function providersOf(options: ProvidersOptions): Providers {
  const providers = createProviders({ clock: systemClock }, options)
  made.push(providers)
  return providers
}

const models = (...entries: readonly object[]): Answer => [200, { object: 'list', data: entries }]

describe('asking a port of this machine what it is', () => {
  it.each([
    ['vllm', { 'POST /v1/responses': [400, {}], 'POST /v1/messages': [422, {}] }, 3],
    ['library', { 'POST /v1/messages': [400, {}] }, 2],
    ['llamacpp', {}, 1],
    ['sglang', { 'POST /v1/responses': [405, {}] }, 1],
  ] as const)(
    'finds an engine whose models are owned by "%s", and what it speaks',
    async (owner, answers, dialects) => {
      const port = await startEngine({ 'GET /v1/models': models({ id: 'm', owned_by: owner }), ...answers })
      const result = await probeEngine(port, 1_000, signal)
      expect(result).toMatchObject({
        state: 'found',
        engine: { program: owner === 'library' ? 'ollama' : owner, models: [{ id: 'm' }] },
      })
      expect(result.state === 'found' && result.engine.dialects).toHaveLength(dialects)
    },
  )

  it('does not believe LM Studio, which answers 200 to what it does not know', async () => {
    const unknown: Answer = [200, { error: 'Unexpected endpoint or method. (POST /v1/messages)' }]
    const port = await startEngine({
      'GET /v1/models': models({ id: 'm' }),
      'POST /v1/messages': unknown,
      'POST /v1/responses': unknown,
    })
    expect(await probeEngine(port, 1_000, signal)).toMatchObject({ engine: { dialects: ['openai-chat'] } })
  })

  it("reads Ollama's own list where there is no other", async () => {
    const port = await startEngine({ 'GET /api/tags': [200, { models: [{ name: 'llama3:latest' }] }] })
    expect(await probeEngine(port, 1_000, signal)).toMatchObject({ engine: { models: [{ id: 'llama3:latest' }] } })
  })

  it('passes over what is no model server, another tok-node, nothing, and what does not answer', async () => {
    const web = await startEngine({ 'GET /v1/models': [200, '<html>'] })
    expect(await probeEngine(web, 1_000, signal)).toMatchObject({ state: 'absent' })
    const node = await startEngine({ 'GET /v1/models': models({ id: 'm' }, { id: 'loopback', owned_by: 'tok-node' }) })
    expect(await probeEngine(node, 1_000, signal)).toMatchObject({ state: 'absent', reason: 'it is a tok-node' })
    const closed = await startScriptedProvider()
    await closed.close()
    expect(await probeEngine(closed.port, 1_000, signal)).toMatchObject({ state: 'absent' })
    const startMs = performance.now()
    expect(await probeEngine(await startSilentServer(), 200, signal)).toMatchObject({ state: 'silent' })
    expect(performance.now() - startMs).toBeLessThan(1_000)
  })
})

describe('the providers of a node', () => {
  it('are engines, named servers, vendors and the built-in model, in this order', async () => {
    const port = await startEngine({ 'GET /v1/models': models({ id: 'm', owned_by: 'vllm' }) })
    const server = await startScriptedProvider()
    const providers = providersOf({
      servers: [{ name: 'rack', url: server.url, dialects: ['openai-chat'] }],
      discovery: { isOn: true, ports: [port] },
    })
    await providers.refresh(signal)
    expect(providers.list().map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'vllm engine',
      'rack server',
      'openai hosted',
      'anthropic hosted',
      'loopback loopback',
    ])
    expect(providers.get('VLLM')?.lists('m')?.id).toBe('m')
    expect(providers.get('rack')?.models()).toHaveLength(1)
    expect(providers.get('openai')).toMatchObject({
      origin: 'https://api.openai.com',
      missingKey: 'TOKLIGENCE_OPENAI_API_KEY',
    })
    await server.close()
  })

  it('come and go with the engines', async () => {
    const engine = await startScriptedProvider()
    const providers = providersOf({
      discovery: { isOn: true, ports: [engine.port], intervalMs: 50, probeTimeoutMs: 500 },
    })
    providers.start()
    await vi.waitFor(() => expect(providers.get('engine')).toBeDefined())
    const answer = collectAnswer(providers.get('engine')!, modelRequest('chat', CHAT))
    expect(await answer.ended).toBeUndefined()
    await engine.close()
    await vi.waitFor(() => expect(providers.get('engine')).toBeUndefined())
    const again = await startScriptedProvider({ port: engine.port, models: ['other'] })
    await vi.waitFor(() => expect(providers.get('engine')?.lists('other')).toBeDefined())
    await again.close()
  })

  it('of one program are told apart by their ports', async () => {
    const answers = { 'GET /v1/models': models({ id: 'm', owned_by: 'vllm' }) }
    const ports = [await startEngine(answers), await startEngine(answers)]
    const providers = providersOf({ discovery: { isOn: true, ports } })
    await providers.refresh(signal)
    const names = providers.list().flatMap(({ name, kind }) => (kind === 'engine' ? [name] : []))
    expect(names).toHaveLength(2)
    expect(names).toContain('vllm')
    expect(ports.some((port) => names.includes(`vllm-${port}`))).toBe(true)
  })

  it('are not looked for where this node listens, where a named server is, or where discovery is off', async () => {
    const engine = await startScriptedProvider()
    const named = [{ name: 'rack', url: `${engine.url}/v1`, dialects: ['openai-chat'] as const }]
    for (const options of [
      { discovery: { isOn: true, ports: [engine.port], ownPorts: [engine.port] } },
      { discovery: { isOn: true, ports: [engine.port] }, servers: named },
      { discovery: { isOn: false, ports: [engine.port] } },
    ]) {
      const providers = providersOf(options)
      await providers.refresh(signal)
      expect(providers.list().filter(({ kind }) => kind === 'engine')).toEqual([])
    }
    await engine.close()
  })

  it('refuse a base URL that is none', () => {
    expect(() => createProviders({ clock: systemClock }, { openai: { baseUrl: 'nonsense' } })).toThrow(
      'openai: "nonsense"',
    )
  })
})
