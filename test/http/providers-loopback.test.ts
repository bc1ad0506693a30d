import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { TokError } from '../../src/base/errors.ts'
import { createAnswerMeter } from '../../src/dialects/answer-meter.ts'
import { createLoopback, isLoopbackModel } from '../../src/providers/loopback.ts'
import { collectAnswer, fetchFrom, modelRequest } from '../support/collect-answer.ts'

const loopback = createLoopback({ clock: systemClock })
const openai = new OpenAI({ apiKey: 'x', baseURL: 'http://loopback/v1', fetch: fetchFrom(loopback), maxRetries: 0 })
const anthropic = new Anthropic({
  apiKey: 'x',
  baseURL: 'http://loopback',
  fetch: fetchFrom(loopback),
  maxRetries: 0,
})
const SAID = 'Say  this\nback, please: grüße 👋'
const messages = [{ role: 'user' as const, content: SAID }]
const TOKENS = 6

describe('the built-in model, asked by the official SDKs', () => {
  it('answers chat, whole and streamed, with the counts of both', async () => {
    const whole = await openai.chat.completions.create({ model: 'loopback', messages })
    expect(whole.choices[0]).toMatchObject({ message: { content: SAID }, finish_reason: 'stop' })
    expect(whole.usage).toMatchObject({ completion_tokens: TOKENS })
    const stream = openai.chat.completions.stream({
      model: 'loopback',
      messages,
      stream_options: { include_usage: true },
    })
    const final = await stream.finalChatCompletion()
    expect(final.choices[0]?.message.content).toBe(SAID)
    expect(final.usage?.completion_tokens).toBe(TOKENS)
  })

  it('sends chat counts in a stream only to who asks for them', async () => {
    const stream = await openai.chat.completions.create({ model: 'loopback', messages, stream: true })
    for await (const chunk of stream) expect(chunk).not.toHaveProperty('usage')
  })

  it('answers Responses, whole and streamed, with numbered events', async () => {
    const whole = await openai.responses.create({ model: 'loopback', input: SAID })
    expect(whole).toMatchObject({ status: 'completed', output_text: SAID, usage: { output_tokens: TOKENS } })
    const stream = openai.responses.stream({ model: 'loopback', input: [{ role: 'user', content: SAID }] })
    const types: string[] = []
    for await (const event of stream) {
      expect(event.sequence_number).toBe(types.length)
      types.push(event.type)
    }
    expect([...new Set(types)]).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect((await stream.finalResponse()).output_text).toBe(SAID)
  })

  it('answers Messages, whole and streamed', async () => {
    const request = { model: 'loopback', max_tokens: 100, messages }
    const whole = await anthropic.messages.create(request)
    expect(whole).toMatchObject({
      content: [{ type: 'text', text: SAID }],
      stop_reason: 'end_turn',
      usage: { output_tokens: TOKENS },
    })
    const final = await anthropic.messages.stream(request).finalMessage()
    expect(final.content).toEqual(whole.content)
    expect(final.usage.output_tokens).toBe(TOKENS)
    expect(final.id).not.toBe(whole.id)
  })

  it('counts tokens', async () => {
    const counted = await anthropic.messages.countTokens({ model: 'loopback', messages })
    expect(counted.input_tokens).toBeGreaterThan(SAID.length / 4)
  })

  it('embeds, equal texts alike and others not, as floats and as base64', async () => {
    const embed = (input: string[], encoding: 'float' | 'base64'): Promise<OpenAI.CreateEmbeddingResponse> =>
      openai.embeddings.create({ model: 'loopback', input, encoding_format: encoding, dimensions: 40 })
    const { data, usage } = await embed(['a', 'b', 'a'], 'float')
    expect(data[0]?.embedding).toHaveLength(40)
    expect(data[0]?.embedding).toEqual(data[2]?.embedding)
    expect(data[0]?.embedding).not.toEqual(data[1]?.embedding)
    expect(Math.hypot(...(data[1]?.embedding ?? []))).toBeCloseTo(1, 5)
    expect(usage.prompt_tokens).toBeGreaterThan(0)
    const packed = await embed(['a'], 'base64')
    const floats = new Float32Array(new Uint8Array(Buffer.from(String(packed.data[0]?.embedding), 'base64')).buffer)
    expect([...floats]).toEqual(data[0]?.embedding)
  })

  it.each([
    [2_049, 1],
    [65, 4_096],
  ])('embeds only what takes a moment: not %d texts in %d dimensions', async (texts, dimensions) => {
    const input = Array.from({ length: texts }, () => 'a')
    await expect(openai.embeddings.create({ model: 'loopback', input, dimensions })).rejects.toMatchObject({
      status: 400,
      code: 'body_malformed',
    })
  })

  it('refuses in the shape of the dialect', async () => {
    await expect(openai.chat.completions.create({ model: 'loopback?speed=3', messages })).rejects.toThrow(
      'loopback knows no parameter "speed"',
    )
    await expect(anthropic.messages.create({ model: 'loopback?tokens=0', max_tokens: 1, messages })).rejects.toThrow(
      "loopback's tokens is a whole number from 1 to 100000",
    )
  })
})

describe('the parameters of the built-in model', () => {
  it.each(['chat', 'responses', 'messages'] as const)('set the length of a %s answer', async (endpoint) => {
    for (const stream of [true, false]) {
      const body = {
        model: 'loopback?tokens=50',
        stream,
        messages,
        input: SAID,
        stream_options: { include_usage: true },
      }
      const answer = collectAnswer(loopback, modelRequest(endpoint, body))
      expect(await answer.ended).toBeUndefined()
      const meter = createAnswerMeter(endpoint, stream)
      meter.push(Buffer.from(answer.text()))
      meter.end()
      expect(meter).toMatchObject({ finish: 'complete', usage: { outputTokens: 50 } })
    }
  })

  it.each([
    ['chat', 'max_tokens'],
    ['responses', 'max_output_tokens'],
    ['messages', 'max_tokens'],
  ] as const)('yield to the output limit of a %s request', async (endpoint, limit) => {
    const body = { model: 'loopback?tokens=50', [limit]: 7, stream: true, messages, input: SAID }
    const answer = collectAnswer(loopback, modelRequest(endpoint, body))
    expect(await answer.ended).toBeUndefined()
    const meter = createAnswerMeter(endpoint, true)
    meter.push(Buffer.from(answer.text()))
    expect(meter.finish).toBe('length')
  })

  it('set its speed, streamed or whole', async () => {
    for (const stream of [true, false]) {
      const startMs = performance.now()
      const answer = collectAnswer(
        loopback,
        modelRequest('chat', { model: 'loopback?tokens=50&rate=100', stream, messages }),
      )
      expect(await answer.ended).toBeUndefined()
      const tookMs = performance.now() - startMs
      expect(tookMs).toBeGreaterThan(450)
      expect(tookMs).toBeLessThan(1_000)
    }
  })

  it('belong to every name of the model, and to no other', () => {
    expect(['loopback', 'LOOPBACK', 'loopback?tokens=1'].every(isLoopbackModel)).toBe(true)
    expect(['loopback2', 'my-loopback', ''].some(isLoopbackModel)).toBe(false)
    expect(loopback.lists('loopback?tokens=1')?.id).toBe('loopback?tokens=1')
  })
})

describe('an answer of the built-in model', () => {
  it('is the same for the same request', async () => {
    const request = modelRequest('messages', { model: 'loopback', max_tokens: 9, stream: true, messages })
    const answers = [collectAnswer(loopback, request), collectAnswer(loopback, request)]
    await Promise.all(answers.map((answer) => answer.ended))
    expect(answers[0]?.text()).toBe(answers[1]?.text())
  })

  it('waits for a slow reader', async () => {
    let isReading = false
    const request = modelRequest('chat', { model: 'loopback?tokens=1000', stream: true, messages })
    const answer = collectAnswer(loopback, request, () => isReading)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(answer.pieces).toHaveLength(1)
    isReading = true
    answer.exchange.resume()
    expect(await answer.ended).toBeUndefined()
    expect(answer.pieces.length).toBe(1_000 + 3)
  })

  it('stops when the client leaves', async () => {
    const left = new TokError('client_left')
    const answer = collectAnswer(
      loopback,
      modelRequest('chat', { model: 'loopback?tokens=9&rate=1', stream: true, messages }),
    )
    answer.exchange.abort(left)
    expect(await answer.ended).toBe(left)
    expect(answer.head).toBeUndefined()
  })
})
