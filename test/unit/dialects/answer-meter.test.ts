import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAnswerMeter, WHOLE_ANSWER_BYTES_MAX, type AnswerMeter } from '../../../src/dialects/answer-meter.ts'
import { ENDPOINTS, type Endpoint } from '../../../src/dialects/dialect.ts'
import { DEFAULT_TEXT, DEFAULT_USAGE, defaultReply, type DefaultAnswer } from '../../support/scripted-answers.ts'

const USAGE = {
  inputTokens: DEFAULT_USAGE.inputTokens,
  cachedInputTokens: DEFAULT_USAGE.cachedInputTokens,
  outputTokens: DEFAULT_USAGE.outputTokens,
}
const UNKNOWN = {
  inputTokens: undefined,
  cachedInputTokens: undefined,
  cacheWriteTokens: undefined,
  outputTokens: undefined,
  reasoningTokens: undefined,
}
const TOOLS = [{ name: 'weather', type: 'function', parameters: { type: 'object', required: ['city'] }, function: {} }]
const CALL_BYTES = 'weather'.length + '{"city":"sample"}'.length

/** The scripted provider's answer to a request, as bytes. */
function answerTo(endpoint: Endpoint, members: object, options: DefaultAnswer = {}): Uint8Array {
  const json = { model: 'test-model', stream_options: { include_usage: true }, ...members }
  const request = {
    method: 'POST',
    path: ENDPOINTS[endpoint].path,
    headers: {},
    body: new Uint8Array(),
    json,
    bytesSent: 0,
    wasAbandoned: false,
  }
  const { body } = defaultReply(request, options)
  if (typeof body === 'string') return Buffer.from(body)
  return Buffer.from((body as readonly unknown[]).filter((piece) => typeof piece === 'string').join(''))
}

function meterOf(endpoint: Endpoint, stream: boolean, pieces: readonly (Uint8Array | string)[]): AnswerMeter {
  const meter = createAnswerMeter(endpoint, stream)
  for (const piece of pieces) meter.push(Buffer.from(piece))
  meter.end()
  return meter
}

/** Everything a meter says. */
function readingOf(meter: AnswerMeter): Omit<AnswerMeter, 'push' | 'end'> {
  const { textBytes, countedOutputTokens, usage, model, finish, errorMessage, position, overflowed } = meter
  return { textBytes, countedOutputTokens, usage, model, finish, errorMessage, position, overflowed }
}

const events = (...values: readonly unknown[]): string =>
  values.map((value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`).join('')

const DIALECT_ENDPOINTS = ['chat', 'responses', 'messages'] as const

describe.each(DIALECT_ENDPOINTS)('the meter of a %s answer', (endpoint) => {
  it.each([true, false])('counts its text and reads its usage, streamed: %s', (stream) => {
    const meter = meterOf(endpoint, stream, [answerTo(endpoint, { stream })])
    expect(meter).toMatchObject({
      textBytes: DEFAULT_TEXT.length,
      countedOutputTokens: DEFAULT_TEXT.length / 4,
      model: 'test-model',
      finish: 'complete',
      usage: USAGE,
      errorMessage: undefined,
    })
  })

  it.each([true, false])('counts names and arguments of tool calls, streamed: %s', (stream) => {
    const meter = meterOf(endpoint, stream, [answerTo(endpoint, { stream, tools: TOOLS })])
    expect(meter).toMatchObject({ textBytes: CALL_BYTES, finish: 'tool_calls' })
  })

  it.each([true, false])('counts readable reasoning, and no signature or encrypted one, streamed: %s', (stream) => {
    const reasoning = 'Überlegung: sechs mal sieben.'
    const meter = meterOf(endpoint, stream, [answerTo(endpoint, { stream }, { reasoning })])
    expect(meter.textBytes).toBe(DEFAULT_TEXT.length + Buffer.byteLength(reasoning))
  })

  it('gives the same numbers however the bytes are cut', () => {
    const bytes = answerTo(endpoint, { stream: true }, { reasoning: 'Erst überlegen …', text: '日本語 👋 done' })
    const whole = meterOf(endpoint, true, [bytes])
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        const meter = meterOf(
          endpoint,
          true,
          places.slice(1).map((end, index) => bytes.subarray(places[index], end)),
        )
        expect(readingOf(meter)).toEqual(readingOf(whole))
      }),
      { numRuns: 100 },
    )
  })

  it('tells a stream that broke off from one that ended', () => {
    const text = Buffer.from(answerTo(endpoint, { stream: true })).toString()
    const frames = text.split(/(?<=\n\n)/)
    const isTerminal = /\[DONE\]|"finish_reason":"stop"|response\.completed|message_stop/
    const end = frames.findIndex((frame) => isTerminal.test(frame))
    expect(end).toBeGreaterThan(3)
    for (let count = 0; count < end; count += 1) {
      expect(meterOf(endpoint, true, frames.slice(0, count)).finish).toBeUndefined()
    }
    expect(meterOf(endpoint, true, frames.slice(0, end + 1)).finish).toBe('complete')
  })

  it('counts while the stream runs', () => {
    const meter = createAnswerMeter(endpoint, true)
    let last = 0
    let steps = 0
    for (const frame of Buffer.from(answerTo(endpoint, { stream: true }))
      .toString()
      .split(/(?<=\n\n)/)) {
      meter.push(Buffer.from(frame))
      expect(meter.textBytes).toBeGreaterThanOrEqual(last)
      if (meter.textBytes > last) steps += 1
      last = meter.textBytes
    }
    expect(steps).toBeGreaterThan(2)
  })

  it('reads an error reply, and survives what is no answer at all', () => {
    const error = meterOf(endpoint, false, ['{"error":{"message":"no such model","type":"x"}}'])
    expect(error).toMatchObject({ finish: 'error', errorMessage: 'no such model', textBytes: 0 })
    for (const bytes of [
      '',
      '<html>',
      'null',
      '[1]',
      '{"choices":7,"output":{},"content":"x","usage":[]}',
      'data: {\n\n',
    ]) {
      for (const stream of [true, false]) {
        expect(meterOf(endpoint, stream, [bytes])).toMatchObject({ textBytes: 0, usage: UNKNOWN })
      }
    }
  })

  it('knows nothing of a whole answer that was cut short', () => {
    const bytes = answerTo(endpoint, { stream: false })
    const meter = meterOf(endpoint, false, [bytes.subarray(0, bytes.length - 1)])
    expect(meter).toMatchObject({ textBytes: 0, finish: undefined, usage: UNKNOWN })
  })
})

describe('the meter of a chat answer', () => {
  const chunk = (delta: object, more: object = {}): object => ({ choices: [{ index: 0, delta, ...more }] })

  it.each([
    ['content', { content: 'äb' }, 3],
    ['a refusal', { refusal: 'no' }, 2],
    ['reasoning under one name', { reasoning_content: 'abc' }, 3],
    ['the same reasoning under two', { reasoning: 'abc', reasoning_content: 'abc' }, 3],
    ['content in parts', { content: [{ type: 'text', text: 'ab' }] }, 2],
    ['a function', { tool_calls: [{ function: { name: 'f', arguments: '{}' } }] }, 3],
    ['a freeform tool', { tool_calls: [{ custom: { name: 'p', input: 'patch' } }] }, 6],
    ['a function of the old kind', { function_call: { name: 'f', arguments: '{}' } }, 3],
  ])('counts %s', (_, delta, bytes) => {
    expect(meterOf('chat', true, [events(chunk(delta))]).textBytes).toBe(bytes)
  })

  it.each([
    ['stop', 'complete'],
    ['length', 'length'],
    ['tool_calls', 'tool_calls'],
    ['content_filter', 'refusal'],
    ['something new', 'complete'],
  ])('reads finish reason "%s" as %s', (reason, finish) => {
    expect(meterOf('chat', true, [events(chunk({}, { finish_reason: reason }))]).finish).toBe(finish)
  })

  it('has ended only when every choice has', () => {
    const other = { choices: [{ index: 1, delta: { content: 'x' } }] }
    const first = chunk({}, { finish_reason: 'stop' })
    expect(meterOf('chat', true, [events(other, first)]).finish).toBeUndefined()
    expect(meterOf('chat', true, [events(other, first, '[DONE]')]).finish).toBe('complete')
  })

  it('reads an error within the stream, whatever its shape', () => {
    const broken = meterOf('chat', true, [
      events(chunk({ content: 'ab' }), { error: { message: 'overloaded' } }, '[DONE]'),
    ])
    expect(broken).toMatchObject({ finish: 'error', errorMessage: 'overloaded', textBytes: 2 })
    expect(meterOf('chat', true, [events({ error: { code: 7 } })]).errorMessage).toBe('{"code":7}')
  })

  it('takes the last counts of a server that sends them with every chunk, and leaves missing ones unknown', () => {
    const counts = (output: number): object => ({ choices: [], usage: { prompt_tokens: 5, completion_tokens: output } })
    const { usage } = meterOf('chat', true, [events(counts(1), counts(2), '[DONE]')])
    expect(usage).toEqual({ ...UNKNOWN, inputTokens: 5, outputTokens: 2 })
    expect(meterOf('chat', true, [events(chunk({}), '[DONE]')]).usage).toEqual(UNKNOWN)
  })
})

describe('the meter of a Responses answer', () => {
  const done = (response: object): object => ({
    type: 'response.completed',
    response: { status: 'completed', ...response },
  })

  it('counts items that come without deltas, once', () => {
    const item = { type: 'custom_tool_call', name: 'apply_patch', input: '*** Begin' }
    const bytes = 'apply_patch*** Begin'.length
    const itemDone = { type: 'response.output_item.done', output_index: 0, item }
    const delta = { type: 'response.custom_tool_call_input.delta', output_index: 0, delta: '*** B' }
    for (const frames of [
      [itemDone],
      [delta, itemDone],
      [itemDone, done({ output: [item] })],
      [done({ output: [item] })],
    ]) {
      expect(meterOf('responses', true, [events(...frames)]).textBytes).toBe(bytes)
    }
  })

  it.each([
    ['response.completed', { status: 'completed' }, 'complete'],
    ['response.incomplete', { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }, 'length'],
    ['response.incomplete', { status: 'incomplete', incomplete_details: { reason: 'content_filter' } }, 'refusal'],
    ['response.failed', { status: 'failed', error: { code: 'server_error', message: 'broken' } }, 'error'],
  ])('reads %s with %o as %s', (type, response, finish) => {
    expect(meterOf('responses', true, [events({ type, response })]).finish).toBe(finish)
  })

  it('reads a bare error event', () => {
    const meter = meterOf('responses', true, [events({ type: 'error', code: 'x', message: 'broken' })])
    expect(meter).toMatchObject({ finish: 'error', errorMessage: 'broken' })
  })

  it('knows where an error event would have to go on', () => {
    const created = { type: 'response.created', sequence_number: 0, response: { id: 'resp_1' } }
    const next = { type: 'response.in_progress', sequence_number: 1 }
    expect(meterOf('responses', true, [events(created, next)]).position).toEqual({
      answerId: 'resp_1',
      nextSequenceNumber: 2,
    })
  })

  it('counts output that pays for reasoning nobody sees', () => {
    const usage = {
      input_tokens: 9,
      input_tokens_details: { cached_tokens: 4 },
      output_tokens: 100,
      output_tokens_details: { reasoning_tokens: 90 },
    }
    expect(meterOf('responses', true, [events(done({ usage }))]).usage).toEqual({
      inputTokens: 9,
      cachedInputTokens: 4,
      cacheWriteTokens: undefined,
      outputTokens: 100,
      reasoningTokens: 90,
    })
  })
})

describe('the meter of a Messages answer', () => {
  it('adds up the three kinds of input, and takes no provisional output count', () => {
    const start = {
      type: 'message_start',
      message: {
        model: 'm',
        usage: { input_tokens: 3, cache_read_input_tokens: 50, cache_creation_input_tokens: 7, output_tokens: 1 },
      },
    }
    expect(meterOf('messages', true, [events(start)]).usage).toEqual({
      inputTokens: 60,
      cachedInputTokens: 50,
      cacheWriteTokens: 7,
      outputTokens: undefined,
      reasoningTokens: undefined,
    })
    const delta = {
      type: 'message_delta',
      delta: { stop_reason: 'end_turn' },
      usage: { output_tokens: 12, input_tokens: null },
    }
    expect(meterOf('messages', true, [events(start, delta)]).usage).toMatchObject({ inputTokens: 60, outputTokens: 12 })
  })

  it.each([
    ['end_turn', 'complete'],
    ['stop_sequence', 'complete'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['tool_use', 'tool_calls'],
    ['refusal', 'refusal'],
  ])('reads stop reason "%s" as %s', (reason, finish) => {
    const stream = events({ type: 'message_delta', delta: { stop_reason: reason } }, { type: 'message_stop' })
    expect(meterOf('messages', true, [stream]).finish).toBe(finish)
  })

  it('counts arguments that come whole in the start of a block', () => {
    const block = { type: 'tool_use', name: 'f', input: { a: 1 } }
    const stream = events({ type: 'content_block_start', index: 0, content_block: block })
    expect(meterOf('messages', true, [stream]).textBytes).toBe('f{"a":1}'.length)
  })

  it('reads an error event', () => {
    const stream = events({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } })
    expect(meterOf('messages', true, [stream])).toMatchObject({ finish: 'error', errorMessage: 'Overloaded' })
  })
})

describe('the meter of a Messages answer', () => {
  it('takes counts whose sum no record could hold for unknown', () => {
    const usage = { input_tokens: Number.MAX_SAFE_INTEGER, cache_read_input_tokens: 1, output_tokens: 2 }
    const meter = meterOf('messages', false, [JSON.stringify({ usage, content: [], stop_reason: 'end_turn' })])
    expect(meter.usage).toMatchObject({ inputTokens: undefined, cachedInputTokens: 1, outputTokens: 2 })
  })
})

describe('the meter of an answer without text', () => {
  it('reads the input count of embeddings', () => {
    const meter = meterOf('embeddings', false, [answerTo('embeddings', { input: 'x' })])
    expect(meter).toMatchObject({ textBytes: 0, finish: 'complete', usage: { inputTokens: DEFAULT_USAGE.inputTokens } })
  })

  it('reads a token count', () => {
    const meter = meterOf('count_tokens', false, ['{"input_tokens":17}'])
    expect(meter).toMatchObject({ textBytes: 0, finish: 'complete', usage: { ...UNKNOWN, inputTokens: 17 } })
  })
})

it('nothing is known of a whole answer longer than is read', () => {
  const filler = Buffer.alloc(WHOLE_ANSWER_BYTES_MAX, ' ')
  const answer = Buffer.from(answerTo('chat', { stream: false }))
  expect(meterOf('chat', false, [filler, answer])).toMatchObject({ finish: undefined, usage: UNKNOWN })
})
