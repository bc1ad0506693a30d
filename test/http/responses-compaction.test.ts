import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { openFrames, type Frame } from '../support/frame-client.ts'
import { exchange } from '../support/http-exchange.ts'
import { DEFAULT_USAGE } from '../support/scripted-answers.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const SUMMARY = 'The user wants a boat; the hull is done.'
const TRIGGER = { type: 'compaction_trigger' }
const TOOLS = [{ type: 'function', name: 'saw', parameters: {} }]

/** A conversation with what an agent's has: a tool called and answered, reasoning, a picture. */
const CONVERSATION = [
  { type: 'additional_tools', role: 'developer', tools: TOOLS },
  { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'You build boats.' }] },
  { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Build me a boat.' }] },
  { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'opaque' },
  { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'saw', arguments: '{"wood":"oak"}' },
  {
    type: 'function_call_output',
    call_id: 'call_1',
    output: [
      { type: 'input_text', text: 'Sawn.' },
      { type: 'input_image', image_url: 'data:image/png;base64,AAAA' },
    ],
  },
]

let engine: ScriptedProvider
let vendor: ScriptedProvider
let facade: TestFacade
let client: OpenAI

beforeAll(async () => {
  engine = await startScriptedProvider({ text: SUMMARY, toolCall: false })
  vendor = await startScriptedProvider({ models: ['gpt-test'] })
  facade = await startFacade({
    servers: [{ name: 'engine', url: engine.url }],
    routes: 'test-model=>engine,gpt-*=>openai',
    providers: { openai: { baseUrl: vendor.url, apiKey: 'key-of-the-vendor' } },
  })
  client = new OpenAI({ baseURL: facade.openaiBaseUrl, apiKey: 'any', maxRetries: 0 })
})

afterAll(async () => {
  await facade.close()
  await engine.close()
  await vendor.close()
})

function sent(
  provider: ScriptedProvider,
): Record<string, unknown> & { readonly input: readonly Record<string, unknown>[] } {
  return provider.requests.at(-1)?.json as never
}

/** Asks for a compaction, and gives its one item. */
async function compact(body: object, stream = false): Promise<Record<string, unknown>> {
  const request = { model: 'test-model', tools: TOOLS, tool_choice: 'auto', ...body, stream }
  const answer = await exchange(`${facade.url}/v1/responses`, { body: request })
  expect(answer.status).toBe(200)
  if (!stream) return soleItem(answer.json())
  const events = [...answer.text().matchAll(/^data: (.*)$/gm)].map(
    ([, data]) => JSON.parse(data ?? '') as Record<string, unknown>,
  )
  expect(events.map(({ type }) => type)).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.output_item.done',
    'response.completed',
  ])
  expect(events[3]?.['item']).toEqual(soleItem(events[4]?.['response']))
  return soleItem(events[4]?.['response'])
}

function soleItem(response: unknown): Record<string, unknown> {
  const { output, status, usage } = response as { output: Record<string, unknown>[]; status: string; usage: object }
  expect(status).toBe('completed')
  expect(usage).toMatchObject({ input_tokens: DEFAULT_USAGE.inputTokens, output_tokens: DEFAULT_USAGE.outputTokens })
  expect(output).toEqual([
    { id: expect.stringMatching(/^cmp_/), type: 'compaction', encrypted_content: expect.any(String) },
  ])
  return output[0]!
}

describe('a request to compact', () => {
  test.each([false, true])(
    'becomes one for a summary, without tools, and one compaction item (streamed: %s)',
    async (stream) => {
      await compact({ instructions: 'Be exact.', input: [...CONVERSATION, TRIGGER] }, stream)
      const { input, ...rest } = sent(engine)
      expect(rest).toEqual({ model: 'test-model', instructions: 'Be exact.', stream })
      expect(input.map(({ role }) => role)).toEqual(['developer', 'user', 'assistant', 'user', 'user'])
      expect(input.slice(0, 2)).toEqual(CONVERSATION.slice(1, 3))
      expect(input[2]?.['content']).toContain('saw: {"wood":"oak"}')
      expect(input[3]?.['content']).toContain('Sawn.\n(input_image)')
      expect(facade.records.at(-1)).toMatchObject({
        endpoint: 'responses',
        status: 'completed',
        inputTokens: DEFAULT_USAGE.inputTokens,
        outputTokens: DEFAULT_USAGE.outputTokens,
      })
    },
  )

  test('is answered with a failure where the model writes nothing', async () => {
    engine.script({ body: JSON.stringify({ id: 'resp_1', object: 'response', status: 'completed', output: [] }) })
    const answer = await exchange(`${facade.url}/v1/responses`, {
      body: { model: 'test-model', input: [...CONVERSATION, TRIGGER] },
    })
    expect(answer.status).toBe(502)
    expect(answer.json()).toMatchObject({ error: { code: 'provider_broken' } })
  })

  test("is answered with the provider's own error", async () => {
    engine.script({
      status: 400,
      body: '{"error":{"message":"too long","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}',
    })
    const answer = await exchange(`${facade.url}/v1/responses`, {
      body: { model: 'test-model', input: [...CONVERSATION, TRIGGER], stream: true },
    })
    expect([answer.status, answer.json()]).toMatchObject([400, { error: { code: 'context_length_exceeded' } }])
  })

  test('goes to the vendor as it is', async () => {
    const body = ` ${JSON.stringify({ model: 'gpt-test', input: [...CONVERSATION, TRIGGER], tools: TOOLS })}`
    await exchange(`${facade.url}/v1/responses`, { headers: { 'content-type': 'application/json' }, body })
    expect(Buffer.from(vendor.requests.at(-1)!.body).toString()).toBe(body)
  })

  test('may go on from an answer: what comes after has the summary alone', async () => {
    const { create, socket } = await openFrames(facade.url)
    const idOf = (frames: readonly Frame[]): string =>
      (frames.at(-1) as unknown as { response: { id: string } }).response.id
    const first = await create({ model: 'test-model', input: CONVERSATION.slice(1, 3) })
    const second = await create({ model: 'test-model', input: [TRIGGER], previous_response_id: idOf(first) })
    expect(sent(engine).input).toHaveLength(4)
    await create({ model: 'test-model', input: [{ role: 'user', content: 'On.' }], previous_response_id: idOf(second) })
    expect(sent(engine).input).toEqual([
      { type: 'message', role: 'user', content: expect.stringContaining(SUMMARY) },
      { role: 'user', content: 'On.' },
    ])
    socket.close()
  })
})

describe('a compaction item that comes back', () => {
  test.each(['test-model', 'gpt-test'])('to %s is its summary, whoever is asked', async (model) => {
    const item = await compact({ input: [...CONVERSATION, TRIGGER] })
    await exchange(`${facade.url}/v1/responses`, { body: { model, input: [item, { role: 'user', content: 'On.' }] } })
    expect(sent(model === 'gpt-test' ? vendor : engine).input).toEqual([
      { type: 'message', role: 'user', content: expect.stringContaining(SUMMARY) },
      { role: 'user', content: 'On.' },
    ])
  })

  test("of the vendor's own goes to the vendor as it is", async () => {
    const body = {
      model: 'gpt-test',
      input: [
        { type: 'compaction', encrypted_content: 'theirs' },
        { role: 'user', content: 'On.' },
      ],
    }
    await exchange(`${facade.url}/v1/responses`, { body })
    expect(sent(vendor)).toEqual(body)
  })

  test('that was changed on the way is refused', async () => {
    const item = await compact({ input: [...CONVERSATION, TRIGGER] })
    const changed = { ...item, encrypted_content: String(item['encrypted_content']).replace('tok1.', 'tok1.A') }
    const answer = await exchange(`${facade.url}/v1/responses`, { body: { model: 'test-model', input: [changed] } })
    expect([answer.status, answer.json()]).toMatchObject([400, { error: { param: 'input' } }])
  })
})

describe('/v1/responses/compact', () => {
  test('gives what the user said and one compaction item, which the next request brings', async () => {
    const compacted = await client.responses.compact({ model: 'test-model', input: CONVERSATION as never })
    expect(compacted).toMatchObject({
      id: expect.any(String),
      object: 'response.compaction',
      created_at: expect.any(Number),
      usage: { output_tokens: DEFAULT_USAGE.outputTokens },
    })
    expect(compacted.output).toEqual([
      CONVERSATION[2],
      { id: expect.any(String), type: 'compaction', encrypted_content: expect.any(String) },
    ])
    expect(engine.requests.at(-1)?.path).toBe('/v1/responses')
    expect(facade.records.at(-1)).toMatchObject({ endpoint: 'responses', outputTokens: DEFAULT_USAGE.outputTokens })
    await client.responses.create({
      model: 'test-model',
      input: [...(compacted.output as never[]), { role: 'user', content: 'On.' }],
    })
    expect(JSON.stringify(sent(engine).input[1])).toContain(SUMMARY)
  })

  test('is left to the vendor', async () => {
    vendor.script({ body: '{"id":"resp_9","object":"response.compaction","created_at":1,"output":[],"usage":null}' })
    const body = '{ "model":"gpt-test","input":"x" }'
    const answer = await exchange(`${facade.url}/v1/responses/compact`, {
      headers: { 'content-type': 'application/json' },
      body,
    })
    expect(answer.json()).toMatchObject({ id: 'resp_9' })
    expect(vendor.requests.at(-1)).toMatchObject({ path: '/v1/responses/compact' })
    expect(Buffer.from(vendor.requests.at(-1)!.body).toString()).toBe(body)
  })
})
