import { connect } from 'node:net'
import OpenAI from 'openai'
import { ResponsesWS } from 'openai/resources/responses/ws'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startFacade, type FacadeOptions, type TestFacade } from '../support/facade.ts'
import { openFrames, type Frame, type FrameClient } from '../support/frame-client.ts'
import { exchange, until } from '../support/http-exchange.ts'
import { DEFAULT_TEXT } from '../support/scripted-answers.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const SSE = { 'content-type': 'text/event-stream' }

let engine: ScriptedProvider
let facade: TestFacade
const clients: FrameClient[] = []
const facades: TestFacade[] = []

beforeAll(async () => {
  engine = await startScriptedProvider()
  facade = await startFacade({ servers: [{ name: 'engine', url: engine.url }], gateway: { bodyLimitBytes: 1_000_000 } })
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.terminate()
  for (const started of facades.splice(0)) await started.close()
})

afterAll(async () => {
  await facade.close()
  await engine.close()
})

async function connectTo(
  { url }: { readonly url: string },
  options?: Parameters<typeof openFrames>[1],
): Promise<FrameClient> {
  const client = await openFrames(url, options)
  clients.push(client)
  return client
}

async function facadeWith(gateway: NonNullable<FacadeOptions['gateway']>): Promise<TestFacade> {
  const started = await startFacade({ servers: [{ name: 'engine', url: engine.url }], gateway })
  facades.push(started)
  return started
}

function response(
  frame: Frame | undefined,
): Record<string, unknown> & { readonly id: string; readonly output: unknown[] } {
  return frame?.['response'] as never
}

function sent(): Record<string, unknown> {
  return engine.requests.at(-1)?.json as Record<string, unknown>
}

const event = (type: string, rest: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`

describe('an answer over WebSocket', () => {
  test('is the events of the stream, one in a frame, and the request is one over HTTP', async () => {
    const { create } = await connectTo(facade)
    const frames = await create({ model: 'test-model', input: 'What?', store: false })
    expect(sent()).toEqual({ model: 'test-model', input: 'What?', store: false, stream: true })
    expect(frames[0]?.type).toBe('response.created')
    expect(frames.map((frame) => frame['sequence_number'])).toEqual(frames.map((_, index) => index))
    const body = { model: 'test-model', input: 'What?', stream: true }
    const overHttp = (await exchange(`${facade.url}/v1/responses`, { body })).text()
    expect(frames.map(({ type }) => type)).toEqual([...overHttp.matchAll(/^event: (.*)$/gm)].map(([, type]) => type))
    expect(facade.records.at(-2)).toMatchObject({ endpoint: 'responses', status: 'completed', tokenSource: 'provider' })
  })

  test('is what the official client makes of it', async () => {
    const socket = new ResponsesWS(new OpenAI({ baseURL: facade.openaiBaseUrl, apiKey: 'any' }))
    let text = ''
    for await (const message of socket.stream()) {
      if (message.type === 'open') socket.send({ type: 'response.create', model: 'test-model', input: 'What?' })
      if (message.type !== 'message') continue
      if (message.message.type === 'response.output_text.delta') text += message.message.delta
      if (message.message.type === 'response.completed') break
    }
    socket.close()
    expect(text).toBe(DEFAULT_TEXT)
  })

  test('asks the provider for nothing that only a WebSocket has', async () => {
    const headers = {
      'openai-beta': 'responses_websockets=2026-02-06, other=v1',
      'x-codex-turn-metadata': 'old',
      originator: 'me',
    }
    const { create } = await connectTo(facade, { headers })
    const client_metadata = { turn: '1', 'x-codex-ws-stream-request-start-ms': '5', ws_request_header_traceparent: 'x' }
    await create({ model: 'test-model', input: 'What?', client_metadata })
    expect(sent()['client_metadata']).toEqual({ turn: '1' })
    expect(engine.requests.at(-1)?.headers).toMatchObject({ 'openai-beta': 'other=v1', originator: 'me' })
    expect(engine.requests.at(-1)?.headers['x-codex-turn-metadata']).toBeUndefined()
  })

  test('comes to a client that packs its frames', async () => {
    const { create, socket } = await connectTo(facade, { perMessageDeflate: { threshold: 0 } })
    expect(socket.extensions).toContain('permessage-deflate')
    expect((await create({ model: 'test-model', input: 'What? '.repeat(1_000) })).at(-1)?.type).toBe(
      'response.completed',
    )
    expect(sent()['input']).toBe('What? '.repeat(1_000))
  })

  test('that broke off ends as a failed one, and the connection goes on', async () => {
    const { create } = await connectTo(facade)
    engine.script({
      headers: SSE,
      body: event('response.created', { sequence_number: 0, response: { id: 'resp_cut', status: 'in_progress' } }),
      ending: 'reset',
    })
    const failed = await create({ model: 'test-model', input: 'What?' })
    expect(failed.at(-1)).toMatchObject({ type: 'response.failed', response: { id: 'resp_cut', status: 'failed' } })
    expect((await create({ model: 'test-model', input: 'What?' })).at(-1)?.type).toBe('response.completed')
  })
})

describe('going on from the last answer of the connection', () => {
  test('needs the new items only, though nothing is stored', async () => {
    const { create } = await connectTo(facade)
    const first = await create({ model: 'test-model', input: [{ role: 'user', content: 'One?' }], store: false })
    const { id, output } = response(first.at(-1))
    await create({ model: 'test-model', input: [{ role: 'user', content: 'Two?' }], previous_response_id: id })
    expect(sent()).toEqual({
      model: 'test-model',
      input: [{ role: 'user', content: 'One?' }, ...output, { role: 'user', content: 'Two?' }],
      stream: true,
    })
    expect((await exchange(`${facade.url}/v1/responses/${id}`)).status).toBe(404)
  })

  test('is possible again after a failure', async () => {
    const { create } = await connectTo(facade)
    const { id } = response((await create({ model: 'test-model', input: 'One?' })).at(-1))
    engine.script({
      status: 429,
      headers: { 'retry-after': '3' },
      body: '{"error":{"message":"slow","code":"rate_limit_exceeded"}}',
    })
    const [refused] = await create({ model: 'test-model', input: 'Two?', previous_response_id: id })
    expect(refused).toMatchObject({ type: 'error', status: 429, headers: { 'retry-after': '3' } })
    const again = await create({ model: 'test-model', input: 'Two?', previous_response_id: id })
    expect(again.at(-1)?.type).toBe('response.completed')
  })

  test('is not possible on another connection: that one has to say everything', async () => {
    const one = await connectTo(facade)
    const { id } = response((await one.create({ model: 'test-model', input: 'One?' })).at(-1))
    const other = await connectTo(facade)
    const [refused] = await other.create({ model: 'test-model', input: 'Two?', previous_response_id: id })
    expect(refused).toMatchObject({
      type: 'error',
      status: 400,
      error: { code: 'previous_response_not_found', param: 'previous_response_id' },
    })
  })

  test('is possible anywhere from a stored one', async () => {
    const one = await connectTo(facade)
    const { id } = response((await one.create({ model: 'test-model', input: 'One?', store: true })).at(-1))
    const other = await connectTo(facade)
    const frames = await other.create({ model: 'test-model', input: 'Two?', previous_response_id: id })
    expect(frames.at(-1)?.type).toBe('response.completed')
    expect(sent()['input']).toHaveLength(3)
  })

  test('may refer to its items, which another connection knows only of a stored one', async () => {
    const one = await connectTo(facade)
    const other = await connectTo(facade)
    const refer = async (client: FrameClient, item: unknown) => {
      const input = [
        { type: 'item_reference', id: (item as { id: string }).id },
        { role: 'user', content: 'Two?' },
      ]
      return (await client.create({ model: 'test-model', input })).at(-1)
    }
    const [item] = response((await one.create({ model: 'test-model', input: 'One?' })).at(-1)).output
    expect((await refer(one, item))?.type).toBe('response.completed')
    expect(sent()['input']).toEqual([item, { role: 'user', content: 'Two?' }])
    expect(await refer(other, item)).toMatchObject({ status: 400, error: { param: 'input' } })
    const [stored] = response((await one.create({ model: 'test-model', input: 'One?', store: true })).at(-1)).output
    expect((await refer(other, stored))?.type).toBe('response.completed')
  })

  test('never crosses to the conversation of a connection beside it', async () => {
    const pair = await Promise.all([connectTo(facade), connectTo(facade)])
    const ids: (string | undefined)[] = [undefined, undefined]
    for (const round of [1, 2, 3]) {
      const answers = await Promise.all(
        pair.map(({ create }, index) =>
          create({ model: 'test-model', input: `${index}.${round}`, previous_response_id: ids[index] }),
        ),
      )
      answers.forEach((frames, index) => {
        ids[index] = response(frames.at(-1)).id
      })
    }
    const inputs = engine.requests.slice(-6).map(({ json }) => JSON.stringify((json as { input: unknown }).input))
    const asked = inputs.map((text) => [...text.matchAll(/"([01])\.\d"/g)].map(([, index]) => index))
    for (const indexes of asked) expect(new Set(indexes).size).toBe(1)
  })
})

describe('a prewarm', () => {
  test('asks nobody, costs nothing, and is gone on from', async () => {
    const { create } = await connectTo(facade)
    const [asked, recorded] = [engine.requests.length, facade.records.length]
    const frames = await create({ model: 'test-model', input: [{ role: 'user', content: 'Soon.' }], generate: false })
    expect(frames.map(({ type }) => type)).toEqual(['response.created', 'response.completed'])
    expect(response(frames[1])).toMatchObject({ id: expect.any(String), status: 'completed', output: [] })
    expect([engine.requests.length, facade.records.length]).toEqual([asked, recorded])
    const { id } = response(frames[1])
    await create({
      model: 'test-model',
      input: [{ role: 'user', content: 'Now.' }],
      previous_response_id: id,
      generate: true,
    })
    expect(sent()).toEqual({
      model: 'test-model',
      input: [
        { role: 'user', content: 'Soon.' },
        { role: 'user', content: 'Now.' },
      ],
      stream: true,
    })
  })
})

describe('a frame that cannot be served', () => {
  test.each([
    ['no JSON', 'hello', 400, 'body_malformed'],
    ['another type', '{"type":"response.steer"}', 400, 'body_malformed'],
    ['no model', '{"type":"response.create","input":"x"}', 400, 'model_missing'],
    ['no model to warm', '{"type":"response.create","input":"x","generate":false}', 400, 'model_missing'],
    ['a lane', '{"type":"response.create","model":"test-model","stream_id":"a"}', 400, 'parameter_unsupported'],
    ['background', '{"type":"response.create","model":"test-model","background":true}', 400, 'parameter_unsupported'],
  ])('for it has %s is answered with an error, and the connection goes on', async (_, frame, status, code) => {
    const client = await connectTo(facade)
    client.send(frame)
    expect(await client.ended()).toMatchObject({ type: 'error', status, error: { code, message: expect.any(String) } })
    expect((await client.create({ model: 'test-model', input: 'x' })).at(-1)?.type).toBe('response.completed')
  })

  test('for another one is under way is refused, and that one goes on', async () => {
    const client = await connectTo(facade)
    engine.script({
      headers: SSE,
      body: [
        event('response.created', { response: { id: 'resp_a' } }),
        100,
        event('response.completed', { response: { id: 'resp_a', output: [] } }),
      ],
    })
    client.send({ type: 'response.create', model: 'test-model', input: 'x' })
    await until(() => client.frames.length > 0)
    client.send({ type: 'response.create', model: 'test-model', input: 'y' })
    expect(await client.ended()).toMatchObject({ type: 'error', status: 409, error: { code: 'connection_busy' } })
    expect(await client.ended()).toMatchObject({ type: 'response.completed', response: { id: 'resp_a' } })
  })

  test('is none that follows the last event, though the provider is not done with its stream', async () => {
    const client = await connectTo(facade)
    const completed = event('response.completed', { response: { id: 'resp_a', output: [] } })
    engine.script({ headers: SSE, body: [completed, 300], ending: 'end' })
    for (const input of ['x', 'y']) {
      expect((await client.create({ model: 'test-model', input })).at(-1)?.type).toBe('response.completed')
    }
    await until(() => facade.records.length >= 2)
    expect(facade.records.slice(-2).map(({ status }) => status)).toEqual(['completed', 'completed'])
    expect(client.socket.readyState).toBe(client.socket.OPEN)
  })

  test('for it is larger than a body may be ends the connection', async () => {
    const client = await connectTo(facade)
    client.send({ type: 'response.create', model: 'test-model', input: 'x'.repeat(1_000_000) })
    expect(await client.closed).toBe(1009)
  })

  test('for it acknowledges an answer is taken in silence', async () => {
    const client = await connectTo(facade)
    client.send({ type: 'response.processed', response_id: 'resp_1' })
    await client.create({ model: 'test-model', input: 'x' })
    expect(client.frames[0]?.type).toBe('response.created')
  })
})

describe('a client that', () => {
  test('leaves in the middle stops the provider within a second', async () => {
    const client = await connectTo(facade)
    engine.script({ headers: SSE, body: event('response.created', { response: { id: 'resp_1' } }), ending: 'hang' })
    client.send({ type: 'response.create', model: 'test-model', input: 'x' })
    await until(() => client.frames.length > 0)
    client.socket.terminate()
    await until(() => engine.requests.at(-1)?.wasAbandoned === true, 1_000)
    expect(facade.records.at(-1)).toMatchObject({ status: 'aborted', error: 'client_left' })
  })

  test('reads slowly slows the provider, and gets every frame in the end', async () => {
    const client = await connectTo(facade)
    const delta = 'x'.repeat(10_000)
    const deltas = Array.from({ length: 3_000 }, (_, index) => event('response.output_text.delta', { index, delta }))
    const completed = event('response.completed', { response: { id: 'resp_1', output: [] } })
    engine.script({ headers: SSE, body: [...deltas, completed] })
    client.socket.pause()
    client.send({ type: 'response.create', model: 'test-model', input: 'x' })
    const bytesSent = (): number => engine.requests.at(-1)?.bytesSent ?? 0
    await until(() => bytesSent() > 1_000_000)
    let before = -1
    await until(() => {
      const isStill = bytesSent() === before
      before = bytesSent()
      return isStill
    }, 5_000)
    expect(bytesSent()).toBeLessThan(20_000_000)
    client.socket.resume()
    await client.ended()
    const indexes = client.frames.filter(({ type }) => type.endsWith('delta')).map((frame) => frame['index'])
    expect(indexes).toEqual(deltas.map((_, index) => index))
  })

  test('is a web page is refused before the connection stands', async () => {
    await expect(openFrames(facade.url, { origin: 'https://example.org' })).rejects.toThrow('403')
    await expect(openFrames(facade.url, { headers: { host: 'example.org' } })).rejects.toThrow('403')
  })

  test('answers no ping is let go', async () => {
    const strict = await facadeWith({ webSocket: { pingMs: 50, idleMs: 60_000 } })
    const client = await connectTo(strict, { autoPong: false })
    expect(await client.closed).toBe(1006)
    const answering = await connectTo(strict)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(answering.socket.readyState).toBe(answering.socket.OPEN)
  })

  test('asks nothing for long is let go, and not while it waits for an answer', async () => {
    const strict = await facadeWith({ webSocket: { pingMs: 60_000, idleMs: 100 } })
    const client = await connectTo(strict)
    engine.script({
      headers: SSE,
      body: [
        event('response.created', { response: { id: 'resp_1' } }),
        300,
        event('response.completed', { response: { id: 'resp_1', output: [] } }),
      ],
    })
    expect((await client.create({ model: 'test-model', input: 'x' })).at(-1)?.type).toBe('response.completed')
    expect(await client.closed).toBe(1000)
  })

  test('sends garbage instead of a handshake or of frames harms nobody', async () => {
    const { port } = new URL(facade.url)
    const head = 'GET /v1/responses HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n'
    for (const rest of [
      '\r\n',
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x05\xff',
    ]) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => undefined)
      socket.end(Buffer.from(head + rest, 'latin1'))
      await new Promise((resolve) => socket.on('close', resolve).resume())
    }
    expect((await exchange(`${facade.url}/health`)).status).toBe(200)
  })
})

test('a stopping node lets answers end, closes what rests, and takes no new connection', async () => {
  const stopping = await facadeWith({})
  const [busy, resting] = [await connectTo(stopping), await connectTo(stopping)]
  engine.script({
    headers: SSE,
    body: [
      event('response.created', { response: { id: 'resp_1' } }),
      200,
      event('response.completed', { response: { id: 'resp_1', output: [] } }),
    ],
  })
  busy.send({ type: 'response.create', model: 'test-model', input: 'x' })
  await until(() => busy.frames.length > 0)
  const drained = stopping.drain(5_000)
  expect(await resting.closed).toBe(1001)
  await expect(openFrames(stopping.url)).rejects.toThrow('503')
  expect((await busy.ended()).type).toBe('response.completed')
  expect(await busy.closed).toBe(1001)
  await drained
})
