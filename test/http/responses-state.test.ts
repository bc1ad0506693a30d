import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { exchange } from '../support/http-exchange.ts'
import { answerWith, DEFAULT_TEXT } from '../support/scripted-answers.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

let engine: ScriptedProvider
let vendor: ScriptedProvider
let facade: TestFacade
let client: OpenAI

beforeAll(async () => {
  engine = await startScriptedProvider()
  vendor = await startScriptedProvider({ models: ['gpt-test'] })
  facade = await startFacade({
    servers: [
      { name: 'engine', url: engine.url },
      { name: 'chat', url: engine.url, dialects: ['openai-chat'] },
      { name: 'messages', url: engine.url, dialects: ['anthropic-messages'] },
    ],
    routes: 'test-model=>engine,chat-model=>chat,messages-model=>messages,gpt-both=>openai|engine,gpt-*=>openai',
    providers: { openai: { baseUrl: vendor.url, apiKey: 'key-of-the-vendor' } },
    gateway: { bodyLimitBytes: 1_000_000 },
  })
  client = new OpenAI({ baseURL: facade.openaiBaseUrl, apiKey: 'any', maxRetries: 0 })
})

afterAll(async () => {
  await facade.close()
  await engine.close()
  await vendor.close()
})

function sent(provider: ScriptedProvider): Record<string, unknown> {
  return provider.requests.at(-1)?.json as Record<string, unknown>
}

describe('an answer that the client wants kept', () => {
  test('is kept here, and no engine is asked to', async () => {
    const answer = await client.responses.create({ model: 'test-model', input: 'What?', store: true })
    expect(sent(engine)).toEqual({ model: 'test-model', input: 'What?', store: false })
    const again = await client.responses.retrieve(answer.id)
    expect(again).toMatchObject({ id: answer.id, output_text: DEFAULT_TEXT, store: true })
  })

  test('is kept when it was streamed, as soon as the client knows its end', async () => {
    const stream = await client.responses.create({ model: 'test-model', input: 'What?', store: true, stream: true })
    for await (const event of stream) {
      if (event.type === 'response.completed') {
        const again = await client.responses.retrieve(event.response.id)
        expect(again.output_text).toBe(DEFAULT_TEXT)
        return
      }
    }
    throw new Error('the stream has no end')
  })

  test('is gone on from: the engine sees the whole conversation, and of instructions the new ones only', async () => {
    const first = await client.responses.create({
      model: 'test-model',
      instructions: 'Be brief.',
      input: [{ role: 'user', content: 'One?' }],
      store: true,
    })
    const second = await client.responses.create({
      model: 'test-model',
      input: 'Two?',
      previous_response_id: first.id,
      store: true,
    })
    expect(sent(engine)).toEqual({
      model: 'test-model',
      input: [{ role: 'user', content: 'One?' }, ...first.output, { type: 'message', role: 'user', content: 'Two?' }],
      store: false,
    })
    await client.responses.create({ model: 'test-model', input: 'Three?', previous_response_id: second.id })
    expect(sent(engine)['input']).toHaveLength(3 + second.output.length + 1)
    expect((await client.responses.retrieve(second.id)).previous_response_id).toBe(first.id)
  })

  test('has its input in pages, in both orders', async () => {
    const input = ['a', 'b', 'c'].map((content) => ({ role: 'user' as const, content }))
    const { id } = await client.responses.create({ model: 'test-model', input, store: true })
    const texts = async (order: 'asc' | 'desc'): Promise<unknown[]> => {
      const found: unknown[] = []
      for await (const item of client.responses.inputItems.list(id, { order, limit: 2 })) {
        expect(item).toMatchObject({ type: 'message', role: 'user', id: expect.any(String) })
        found.push((item as unknown as { content: { text: string }[] }).content[0]?.text)
      }
      return found
    }
    expect(await texts('asc')).toEqual(['a', 'b', 'c'])
    expect(await texts('desc')).toEqual(['c', 'b', 'a'])
  })

  test('can be deleted, and is not found then', async () => {
    const { id } = await client.responses.create({ model: 'test-model', input: 'What?', store: true })
    await client.responses.delete(id)
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404, code: 'response_not_found' })
    await expect(client.responses.delete(id)).rejects.toMatchObject({ status: 404 })
    await expect(client.responses.inputItems.list(id)).rejects.toMatchObject({ status: 404 })
  })

  test('cannot be cancelled: it never ran in the background', async () => {
    const { id } = await client.responses.create({ model: 'test-model', input: 'What?', store: true })
    await expect(client.responses.cancel(id)).rejects.toMatchObject({ status: 400, code: 'response_not_cancellable' })
    await expect(client.responses.cancel('resp_none')).rejects.toMatchObject({ status: 404 })
  })

  test('that failed at the provider is not kept', async () => {
    engine.script({ status: 400, body: '{"error":{"message":"no","type":"invalid_request_error"},"id":"resp_bad"}' })
    await expect(client.responses.create({ model: 'test-model', input: 'What?', store: true })).rejects.toMatchObject({
      status: 400,
    })
    await expect(client.responses.retrieve('resp_bad')).rejects.toMatchObject({ status: 404 })
  })

  test('that broke off is not kept', async () => {
    const created = {
      type: 'response.created',
      sequence_number: 0,
      response: { id: 'resp_cut', status: 'in_progress' },
    }
    engine.script({
      headers: { 'content-type': 'text/event-stream' },
      body: `event: response.created\ndata: ${JSON.stringify(created)}\n\n`,
      ending: 'reset',
    })
    const body = { model: 'test-model', input: 'What?', store: true, stream: true }
    const { text } = await exchange(`${facade.url}/v1/responses`, { body })
    expect(text()).toContain('response.failed')
    expect((await exchange(`${facade.url}/v1/responses/resp_cut`)).status).toBe(404)
  })
})

describe.each(['chat-model', 'messages-model'])('an answer of a server of another dialect (%s)', (model) => {
  test('is kept and gone on from like any other', async () => {
    const first = await client.responses.create({ model, input: 'One?', store: true })
    expect((await client.responses.retrieve(first.id)).output_text).toBe(DEFAULT_TEXT)
    const stream = await client.responses.create({
      model,
      input: 'Two?',
      previous_response_id: first.id,
      store: true,
      stream: true,
    })
    const events: OpenAI.Responses.ResponseStreamEvent[] = []
    for await (const event of stream) events.push(event)
    expect(JSON.stringify(sent(engine)['messages'])).toMatch(/One\?.*forty-two.*Two\?/)
    const last = events.at(-1) as OpenAI.Responses.ResponseCompletedEvent
    expect((await client.responses.retrieve(last.response.id)).previous_response_id).toBe(first.id)
  })

  test('is asked to keep nothing, and told of no loss', async () => {
    const answer = await exchange(`${facade.url}/v1/responses`, { body: { model, input: 'One?', store: true } })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-tok-dropped']).toBeUndefined()
    expect(sent(engine)['store'] ?? false).toBe(false)
  })

  test('is summed up like any other', async () => {
    const body = { model, input: [{ role: 'user', content: 'One?' }, { type: 'compaction_trigger' }], stream: true }
    const answer = await exchange(`${facade.url}/v1/responses`, { body })
    expect(
      answer
        .text()
        .match(/^event: .*$/gm)
        ?.at(-1),
    ).toBe('event: response.completed')
    const [, completed = ''] = /^event: response.completed\ndata: (.*)$/m.exec(answer.text()) ?? []
    const { response } = JSON.parse(completed) as { response: OpenAI.Responses.Response }
    expect(response.output).toMatchObject([{ type: 'compaction' }])
    await client.responses.create({ model, input: [...(response.output as never[]), { role: 'user', content: 'On.' }] })
    expect(JSON.stringify(sent(engine)['messages'])).toContain(DEFAULT_TEXT)
  })
})

describe('an answer that the client does not want kept', () => {
  test.each([{}, { store: false }, { store: null }])('with %o is not, and passes byte for byte', async (store) => {
    const body = ` ${JSON.stringify({ model: 'test-model', input: 'What?', ...store })}`
    const answer = await exchange(`${facade.url}/v1/responses`, { headers: JSON_TYPE, body })
    expect(Buffer.from(engine.requests.at(-1)!.body).toString()).toBe(body)
    const { id } = answer.json() as { id: string }
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
  })
})

describe('a request that goes on from an answer nobody kept', () => {
  test('is refused where the vendor is not the one to ask, in the words clients know', async () => {
    const asked = engine.requests.length
    await expect(
      client.responses.create({ model: 'test-model', input: 'And?', previous_response_id: 'resp_none' }),
    ).rejects.toMatchObject({ status: 400, code: 'previous_response_not_found', param: 'previous_response_id' })
    expect(engine.requests).toHaveLength(asked)
    expect(facade.records.at(-1)).toMatchObject({ status: 'failed', error: 'previous_response_not_found' })
  })

  test('goes to the vendor as it is', async () => {
    const body = '{ "model":"gpt-test", "input":"And?", "previous_response_id":"resp_theirs","store":true}'
    const answer = await exchange(`${facade.url}/v1/responses`, { headers: JSON_TYPE, body })
    expect(Buffer.from(vendor.requests.at(-1)!.body).toString()).toBe(body)
    const { id } = answer.json() as { id: string }
    expect((await exchange(`${facade.url}/v1/responses/${id}`)).status).toBe(404)
  })

  test('is asked of nobody else once the vendor fails', async () => {
    const asked = engine.requests.length
    vendor.script({ status: 503, body: '{}' })
    const body = { model: 'gpt-both', input: 'And?', previous_response_id: 'resp_theirs' }
    expect((await exchange(`${facade.url}/v1/responses`, { body })).status).toBe(503)
    expect(engine.requests).toHaveLength(asked)
  })
})

/** An earlier answer's items as a client names them that takes them for stored. */
function referencesTo(output: readonly { readonly id?: string | null }[]): OpenAI.Responses.ResponseInputItem[] {
  return output.map(({ id }) => ({ type: 'item_reference', id: id ?? '' }))
}

/** What a model says first: why, and what. */
async function thoughtfulAnswer(members: object = {}): Promise<OpenAI.Responses.Response> {
  engine.script((request) => answerWith(request, { reasoning: 'First this.', text: 'Done so.' }))
  const answer = await client.responses.create({ model: 'test-model', input: 'What?', ...members })
  return answer as OpenAI.Responses.Response
}

describe('an item that is only referred to', () => {
  test.each(['test-model', 'chat-model', 'messages-model'])(
    'stands in its place for the server of %s, streamed or not',
    async (model) => {
      engine.script((request) => answerWith(request, { reasoning: 'First this.', text: 'Done so.' }), 2)
      const whole = await client.responses.create({ model, input: 'One?' })
      const stream = await client.responses.create({ model, input: 'Two?', stream: true })
      const output = [...whole.output]
      for await (const event of stream) if (event.type === 'response.output_item.done') output.push(event.item)
      expect(output.map(({ type }) => type)).toEqual(['reasoning', 'message', 'reasoning', 'message'])
      const input = [...referencesTo(output), { role: 'user' as const, content: 'Three?' }]
      const answer = await exchange(`${facade.url}/v1/responses`, { body: { model, input } })
      expect([answer.status, answer.headers['x-tok-dropped']]).toEqual([200, undefined])
      const given = JSON.stringify(sent(engine))
      expect(given).not.toContain('item_reference')
      expect(given.split('First this.')).toHaveLength(3)
      expect(given.split('Done so.')).toHaveLength(3)
    },
  )

  test('is as it was, and the rest of the request with it', async () => {
    const { output } = await thoughtfulAnswer()
    const more = { role: 'user' as const, content: 'Go on.' }
    await client.responses.create({ model: 'test-model', input: [...referencesTo(output), more], temperature: 0.5 })
    expect(sent(engine)).toEqual({ model: 'test-model', input: [...output, more], temperature: 0.5 })
  })

  test('is not known of an answer that was not to be stored, nor of one that was deleted', async () => {
    const unstored = await thoughtfulAnswer({ store: false })
    const deleted = await thoughtfulAnswer({ store: true })
    await client.responses.delete(deleted.id)
    for (const { output } of [unstored, deleted]) {
      await expect(
        client.responses.create({ model: 'test-model', input: referencesTo(output.slice(1)) }),
      ).rejects.toMatchObject({ status: 400, code: 'parameter_unsupported', param: 'input' })
    }
  })

  test.each(['test-model', 'chat-model', 'messages-model'])(
    'and is not known is left out and named if it is reasoning, otherwise refused with what to do (%s)',
    async (model) => {
      const ask = (id: string) =>
        exchange(`${facade.url}/v1/responses`, {
          body: { model, input: [...referencesTo([{ id }]), { role: 'user', content: 'Go on.' }] },
        })
      const dropped = await ask('rs_of_yesterday')
      expect(dropped.status).toBe(200)
      expect(dropped.headers['x-tok-dropped']).toMatch(/reasoning/)
      expect(JSON.stringify(sent(engine))).not.toContain('rs_of_yesterday')
      const asked = engine.requests.length
      const refused = await ask('msg_of_yesterday')
      expect(refused.status).toBe(400)
      expect(refused.text()).toMatch(/msg_of_yesterday.*\\"store\\": false/)
      expect(engine.requests).toHaveLength(asked)
    },
  )

  test("is the vendor's to know if this node does not, and goes there as it is", async () => {
    const body =
      '{ "model":"gpt-test", "input":[{"type":"item_reference","id":"rs_theirs"},{"type":"item_reference","id":"msg_theirs"}]}'
    const { json } = await exchange(`${facade.url}/v1/responses`, { headers: JSON_TYPE, body })
    expect(Buffer.from(vendor.requests.at(-1)!.body).toString()).toBe(body)
    const { output } = json() as OpenAI.Responses.Response
    await expect(client.responses.create({ model: 'test-model', input: referencesTo(output) })).rejects.toMatchObject({
      status: 400,
    })
  })

  test('reaches the vendor whole if another server made it, without reasoning that only that one knows', async () => {
    const { output } = await client.responses.create({ model: 'chat-model', input: 'What?' })
    await client.responses.create({ model: 'gpt-test', input: referencesTo(output) })
    expect(sent(vendor)).toEqual({ model: 'gpt-test', input: output })
  })

  test('may be the summary that stands for a conversation', async () => {
    const input = [{ role: 'user', content: 'One?' }, { type: 'compaction_trigger' }]
    const answer = await exchange(`${facade.url}/v1/responses`, { body: { model: 'chat-model', input } })
    const { output } = answer.json() as OpenAI.Responses.Response
    expect(output).toMatchObject([{ type: 'compaction' }])
    await client.responses.create({ model: 'test-model', input: referencesTo(output) })
    expect(JSON.stringify(sent(engine)['input'])).toContain(DEFAULT_TEXT)
  })

  test('counts with its tokens', async () => {
    engine.script((request) => answerWith(request, { text: 'more '.repeat(800) }))
    const { output } = await client.responses.create({ model: 'test-model', input: 'What?' })
    const { input_tokens } = await client.responses.inputTokens.count({
      model: 'test-model',
      input: referencesTo(output),
    })
    expect(input_tokens).toBeGreaterThan(900)
  })
})

describe('what no target here can do', () => {
  test.each([
    ['background', { background: true }],
    ['conversation', { conversation: 'conv_1' }],
    ['input', { input: [{ type: 'compaction', encrypted_content: 'of somebody else' }] }],
  ])('%s is refused by name', async (param, members) => {
    const body = { model: 'test-model', input: 'What?', ...members }
    const answer = await exchange(`${facade.url}/v1/responses`, { body })
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({ error: { param, code: 'parameter_unsupported' } })
    await exchange(`${facade.url}/v1/responses`, { body: { ...body, model: 'gpt-test' } })
    expect(sent(vendor)).toEqual({ ...body, model: 'gpt-test' })
  })

  test('a conversation beyond the body limit is refused, though its newest part is small', async () => {
    const input = 'x'.repeat(600_000)
    const first = await client.responses.create({ model: 'test-model', input, store: true })
    await expect(
      client.responses.create({ model: 'test-model', input, previous_response_id: first.id }),
    ).rejects.toMatchObject({ status: 413, code: 'body_too_large' })
  })
})

describe('counting input tokens', () => {
  test('is estimated here, kept conversation included, and is no inference of the engine', async () => {
    const asked = engine.requests.length
    const alone = await client.responses.inputTokens.count({ model: 'test-model', input: 'What is it?' })
    expect(alone).toMatchObject({ object: 'response.input_tokens', input_tokens: expect.any(Number) })
    expect(engine.requests).toHaveLength(asked)
    expect(facade.records.at(-1)).toMatchObject({ endpoint: 'count_tokens', target: 'estimate', status: 'completed' })
    const { id } = await client.responses.create({ model: 'test-model', input: 'more '.repeat(800), store: true })
    const more = await client.responses.inputTokens.count({
      model: 'test-model',
      input: 'And?',
      previous_response_id: id,
    })
    expect(more.input_tokens).toBeGreaterThan(alone.input_tokens + 900)
  })

  test('is left to the vendor, and estimated where it cannot', async () => {
    vendor.script({ body: '{"object":"response.input_tokens","input_tokens":77}' })
    expect((await client.responses.inputTokens.count({ model: 'gpt-test', input: 'What?' })).input_tokens).toBe(77)
    expect(vendor.requests.at(-1)?.path).toBe('/v1/responses/input_tokens')
    vendor.script({ status: 404, body: '{}' })
    expect((await client.responses.inputTokens.count({ model: 'gpt-test', input: 'What?' })).input_tokens).toBeLessThan(
      20,
    )
  })
})

test.each([
  ['limit=0', 'limit'],
  ['limit=many', 'limit'],
  ['order=sideways', 'order'],
  ['after=nothing', 'after'],
])('a list of input items with %s is refused', async (query, param) => {
  const { id } = await client.responses.create({ model: 'test-model', input: 'What?', store: true })
  const answer = await exchange(`${facade.url}/v1/responses/${id}/input_items?${query}`)
  expect([answer.status, answer.json()]).toMatchObject([400, { error: { code: 'query_invalid', param } }])
})

test('nothing of all that was an error in the log', () => {
  expect(facade.logLines.filter((line) => line.includes('"level":50'))).toEqual([])
})
