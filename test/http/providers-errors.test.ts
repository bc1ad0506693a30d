import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TokError } from '../../src/base/errors.ts'
import { createAnswerMeter } from '../../src/dialects/answer-meter.ts'
import { ENDPOINTS, type Endpoint } from '../../src/dialects/dialect.ts'
import { errorEvent, errorReply } from '../../src/dialects/error-reply.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const messages = [{ role: 'user' as const, content: 'hi' }]
const broken = new TokError('provider_broken', { provider: 'ollama', reason: 'reset' })

let server: ScriptedProvider
let openai: OpenAI
let anthropic: Anthropic

beforeAll(async () => {
  server = await startScriptedProvider()
  openai = new OpenAI({ apiKey: 'x', baseURL: `${server.url}/v1`, maxRetries: 2, logLevel: 'off' })
  anthropic = new Anthropic({ apiKey: 'x', baseURL: server.url, maxRetries: 2, logLevel: 'off' })
})

afterAll(() => server.close())

/** The first `events` events of a default answer, cut `extra` bytes into the next, and then the error event. */
async function breakStream(endpoint: Endpoint, events: number, extra: number): Promise<void> {
  const reply = await fetch(server.url + ENDPOINTS[endpoint].path, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', stream: true, messages }),
  })
  const frames = (await reply.text()).split(/(?<=\n\n)/)
  const delivered = frames.slice(0, events).join('') + (frames[events] ?? '').slice(0, extra)
  const meter = createAnswerMeter(endpoint, true)
  meter.push(Buffer.from(delivered))
  const event = errorEvent(ENDPOINTS[endpoint].dialect, broken, 'req-1', meter.position)
  server.script({ headers: { 'content-type': 'text/event-stream' }, body: [delivered, event] })
}

async function readAll(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const seen: unknown[] = []
  for await (const event of stream) seen.push(event)
  return seen
}

describe('a stream that breaks', () => {
  it('is an APIError with the reason in a chat stream', async () => {
    await breakStream('chat', 3, 0)
    const stream = await openai.chat.completions.create({ model: 'm', messages, stream: true })
    await expect(readAll(stream)).rejects.toThrow('ollama broke off its answer: reset')
  })

  it('is an APIError with the reason in a Messages stream', async () => {
    await breakStream('messages', 4, 0)
    const stream = await anthropic.messages.create({ model: 'm', max_tokens: 9, messages, stream: true })
    await expect(readAll(stream)).rejects.toThrow('ollama broke off its answer: reset')
    await breakStream('messages', 4, 0)
    const helper = anthropic.messages.stream({ model: 'm', max_tokens: 9, messages })
    await expect(helper.finalMessage()).rejects.toThrow('ollama broke off its answer: reset')
  })

  it('is a failed response with the reason in a Responses stream, under the same id and the next number', async () => {
    await breakStream('responses', 6, 0)
    const stream = await openai.responses.create({ model: 'm', input: 'hi', stream: true })
    const events = (await readAll(stream)) as OpenAI.Responses.ResponseStreamEvent[]
    const created = events[0]
    const failed = events.at(-1)
    expect(failed).toMatchObject({
      type: 'response.failed',
      sequence_number: 6,
      response: { status: 'failed', error: { message: expect.stringContaining('ollama broke off') } },
    })
    expect(failed?.type === 'response.failed' && failed.response.id).toBe(
      created?.type === 'response.created' && created.response.id,
    )
  })

  it.each(['chat', 'messages', 'responses'] as const)(
    'within an event of %s never looks like an end',
    async (endpoint) => {
      await breakStream(endpoint, 3, 30)
      const read = async (): Promise<unknown> => {
        if (endpoint === 'messages')
          return anthropic.messages.stream({ model: 'm', max_tokens: 9, messages }).finalMessage()
        if (endpoint === 'chat') {
          return openai.chat.completions.stream({ model: 'm', messages }).finalChatCompletion()
        }
        return openai.responses.stream({ model: 'm', input: 'hi' }).finalResponse()
      }
      await expect(read()).rejects.toThrow(/JSON|broke off/)
    },
  )
})

describe('an error reply', () => {
  const script = (vendor: 'openai' | 'anthropic', error: TokError): void => {
    server.script(errorReply(vendor, error, 'req-1'))
  }

  it('that cannot be helped by asking again is asked once by both SDKs', async () => {
    const spent = new TokError('spend_limit_reached', { limit: '1.00', spent: '1.00' })
    script('openai', spent)
    const before = server.requests.length
    const failure = await openai.chat.completions.create({ model: 'm', messages }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(OpenAI.RateLimitError)
    expect(failure).toMatchObject({ code: 'insufficient_quota', requestID: 'req-1' })
    script('anthropic', spent)
    const other = await anthropic.messages
      .create({ model: 'm', max_tokens: 9, messages })
      .catch((error: unknown) => error)
    expect(other).toBeInstanceOf(Anthropic.RateLimitError)
    expect(other).toMatchObject({ requestID: 'req-1', message: expect.stringContaining('spending limit') })
    expect(server.requests.length - before).toBe(2)
  })

  it('that may pass is asked again by both SDKs', async () => {
    script('openai', new TokError('no_offer', { model: 'm', detail: 'busy' }))
    await expect(openai.chat.completions.create({ model: 'm', messages })).resolves.toBeDefined()
    script('anthropic', new TokError('no_offer', { model: 'm', detail: 'busy' }))
    await expect(anthropic.messages.create({ model: 'm', max_tokens: 9, messages })).resolves.toBeDefined()
  })
})

describe('the scripted provider itself', () => {
  const tools = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] }

  it('calls a tool first and speaks after its result, in chat', async () => {
    const runner = openai.chat.completions.runTools({
      model: 'm',
      stream: true,
      messages,
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            description: 'the weather',
            parameters: tools,
            parse: JSON.parse,
            function: (given: { city: string }) => `rain in ${given.city}`,
          },
        },
      ],
    })
    expect(await runner.finalContent()).toBe('The answer is forty-two.')
    expect(JSON.stringify(server.requests.at(-1)?.json)).toContain('rain in sample')
  })

  it('calls a tool first and speaks after its result, in Responses', async () => {
    const tool = { type: 'function' as const, name: 'weather', parameters: tools, strict: true }
    const first = await openai.responses.stream({ model: 'm', input: 'hi', tools: [tool] }).finalResponse()
    const call = first.output[0]
    expect(call).toMatchObject({ type: 'function_call', name: 'weather', arguments: '{"city":"sample"}' })
    const callId = call?.type === 'function_call' ? call.call_id : ''
    const input = [{ type: 'function_call_output' as const, call_id: callId, output: 'rain' }]
    const second = await openai.responses.stream({ model: 'm', input, tools: [tool] }).finalResponse()
    expect(second.output_text).toBe('The answer is forty-two.')
  })

  it('calls a tool first and speaks after its result, in Messages', async () => {
    const request = { model: 'm', max_tokens: 9, tools: [{ name: 'weather', input_schema: tools }] }
    const first = await anthropic.messages.stream({ ...request, messages }).finalMessage()
    expect(first).toMatchObject({ stop_reason: 'tool_use', content: [{ name: 'weather', input: { city: 'sample' } }] })
    const call = first.content[0]
    const result = {
      type: 'tool_result' as const,
      tool_use_id: call?.type === 'tool_use' ? call.id : '',
      content: 'rain',
    }
    const second = await anthropic.messages
      .stream({ ...request, messages: [...messages, { role: 'user', content: [result] }] })
      .finalMessage()
    expect(second).toMatchObject({ stop_reason: 'end_turn', content: [{ text: 'The answer is forty-two.' }] })
  })
})
