/**
 * What the vendors' own clients must be able to do through a facade, whatever answers behind it: a provider of
 * this node, or a seller on the network. Behind both stands a scripted provider with its default answers.
 */
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_TEXT, DEFAULT_USAGE } from './scripted-answers.ts'
import type { ScriptedProvider } from './scripted-provider.ts'

/** Where the clients are pointed, and what answers in the end. */
export interface SdkSuiteTarget {
  /** With `/v1`. */
  readonly openaiBaseUrl: string
  /** Without `/v1`. */
  readonly anthropicBaseUrl: string
  readonly provider: Pick<ScriptedProvider, 'requests'>
  /** A model that the facade routes to the provider, in every dialect. */
  readonly model: string
}

const CLIENT_KEY = 'sk-of-the-client'
const WEATHER_SCHEMA = {
  type: 'object' as const,
  properties: { place: { type: 'string' as const } },
  required: ['place'],
  additionalProperties: false,
}

/**
 * Adds the suite. `target` is asked once, after the hooks of the surrounding file have run. Embeddings have one form only:
 * what does not serve them says so.
 */
export function describeSdkSuite(
  name: string,
  target: () => SdkSuiteTarget,
  { servesEmbeddings = true }: { readonly servesEmbeddings?: boolean } = {},
): void {
  describe(`the official clients against ${name}`, () => {
    let openai: OpenAI
    let anthropic: Anthropic
    let model: string
    let provider: SdkSuiteTarget['provider']

    beforeAll(() => {
      const given = target()
      model = given.model
      provider = given.provider
      openai = new OpenAI({ baseURL: given.openaiBaseUrl, apiKey: CLIENT_KEY, maxRetries: 0 })
      anthropic = new Anthropic({ baseURL: given.anthropicBaseUrl, apiKey: CLIENT_KEY, maxRetries: 0 })
    })

    const question = [{ role: 'user' as const, content: 'What is the answer?' }]

    test('OpenAI: a chat completion comes whole, with its usage', async () => {
      const completion = await openai.chat.completions.create({ model, messages: question })
      expect(completion.choices[0]?.message.content).toBe(DEFAULT_TEXT)
      expect(completion.usage).toMatchObject({
        prompt_tokens: DEFAULT_USAGE.inputTokens,
        completion_tokens: DEFAULT_USAGE.outputTokens,
      })
    })

    test('OpenAI: a streamed chat completion arrives piece by piece and ends with its usage', async () => {
      const stream = openai.chat.completions.stream({
        model,
        messages: question,
        stream_options: { include_usage: true },
      })
      let pieces = 0
      stream.on('content.delta', () => (pieces += 1))
      const completion = await stream.finalChatCompletion()
      expect(completion.choices[0]?.message.content).toBe(DEFAULT_TEXT)
      expect(completion.choices[0]?.finish_reason).toBe('stop')
      expect(completion.usage?.completion_tokens).toBe(DEFAULT_USAGE.outputTokens)
      expect(pieces).toBeGreaterThan(1)
    })

    test('OpenAI: a tool is called from a stream, run, and its result answered', async () => {
      const places: string[] = []
      const runner = openai.chat.completions.runTools({
        model,
        messages: question,
        stream: true,
        tools: [
          {
            type: 'function',
            function: {
              name: 'weather',
              description: 'The weather at a place.',
              parameters: WEATHER_SCHEMA,
              parse: (text: string): { place: string } => JSON.parse(text) as { place: string },
              function: ({ place }: { place: string }) => {
                places.push(place)
                return 'sunny'
              },
            },
          },
        ],
      })
      expect(await runner.finalContent()).toBe(DEFAULT_TEXT)
      expect(places).toEqual(['sample'])
    })

    test('OpenAI: embeddings, asked for as base64 by the client itself, are read as numbers', async () => {
      if (!servesEmbeddings) {
        const refusal = openai.embeddings.create({ model, input: ['one', 'two'] })
        await expect(refusal).rejects.toMatchObject({ status: 501, code: 'endpoint_unsupported' })
        return
      }
      const { data, usage } = await openai.embeddings.create({ model, input: ['one', 'two'] })
      expect(data).toHaveLength(2)
      expect(data[0]?.embedding.every((value) => Number.isFinite(value))).toBe(true)
      expect(data[0]?.embedding.length).toBeGreaterThan(1)
      expect(usage.prompt_tokens).toBe(DEFAULT_USAGE.inputTokens)
      expect(provider.requests.at(-1)?.json).toMatchObject({ encoding_format: 'base64' })
    })

    test('OpenAI: a response comes whole', async () => {
      const response = await openai.responses.create({ model, input: 'What is the answer?' })
      expect(response.output_text).toBe(DEFAULT_TEXT)
      expect(response.usage?.output_tokens).toBe(DEFAULT_USAGE.outputTokens)
    })

    test('OpenAI: a streamed response has all its events in order', async () => {
      const stream = openai.responses.stream({ model, input: 'What is the answer?' })
      const numbers: number[] = []
      stream.on('event', (event) => numbers.push(event.sequence_number))
      const response = await stream.finalResponse()
      expect(response.output_text).toBe(DEFAULT_TEXT)
      expect(numbers).toEqual(numbers.map((_, index) => index))
    })

    test('OpenAI: a response calls a tool from a stream and goes on with its result', async () => {
      const tools = [{ type: 'function' as const, name: 'weather', strict: true, parameters: WEATHER_SCHEMA }]
      const first = await openai.responses.stream({ model, input: question, tools }).finalResponse()
      const call = first.output.find((item) => item.type === 'function_call')
      expect(call).toMatchObject({ name: 'weather', arguments: '{"place":"sample"}' })
      const second = await openai.responses.create({
        model,
        tools,
        input: [...question, call!, { type: 'function_call_output', call_id: call!.call_id, output: 'sunny' }],
      })
      expect(second.output_text).toBe(DEFAULT_TEXT)
    })

    test('Anthropic: a message comes whole, with its usage', async () => {
      const message = await anthropic.messages.create({ model, max_tokens: 100, messages: question })
      expect(message.content).toMatchObject([{ type: 'text', text: DEFAULT_TEXT }])
      expect(message.usage.output_tokens).toBe(DEFAULT_USAGE.outputTokens)
    })

    test('Anthropic: a streamed message arrives piece by piece', async () => {
      const stream = anthropic.messages.stream({ model, max_tokens: 100, messages: question })
      let pieces = 0
      stream.on('text', () => (pieces += 1))
      const message = await stream.finalMessage()
      expect(message.content).toMatchObject([{ type: 'text', text: DEFAULT_TEXT }])
      expect(message.stop_reason).toBe('end_turn')
      expect(pieces).toBeGreaterThan(1)
    })

    test('Anthropic: a tool is called from a stream and its result answered', async () => {
      const tools = [{ name: 'weather', description: 'The weather at a place.', input_schema: WEATHER_SCHEMA }]
      const first = await anthropic.messages
        .stream({ model, max_tokens: 100, messages: question, tools })
        .finalMessage()
      const call = first.content.find((block) => block.type === 'tool_use')
      expect(call).toMatchObject({ name: 'weather', input: { place: 'sample' } })
      const second = await anthropic.messages.create({
        model,
        max_tokens: 100,
        tools,
        messages: [
          ...question,
          { role: 'assistant', content: first.content },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: call!.id, content: 'sunny' }] },
        ],
      })
      expect(second.content).toMatchObject([{ type: 'text', text: DEFAULT_TEXT }])
    })

    test('Anthropic: tokens are counted', async () => {
      const { input_tokens } = await anthropic.messages.countTokens({ model, messages: question })
      expect(input_tokens).toBeGreaterThan(0)
    })

    test('no key of a client reaches what answers', () => {
      for (const { headers } of provider.requests) {
        expect(JSON.stringify(headers)).not.toContain(CLIENT_KEY)
      }
    })
  })
}
