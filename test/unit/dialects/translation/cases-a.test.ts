/**
 * A client of Messages, a provider of Chat Completions or Responses: the stream. Every case is one that broke a real client.
 *
 * Elsewhere, since they are about time, connections or bytes that are not translated: A27 (keep-alive,
 * test/http/facade-translation.test.ts), A29 (silence, test/http/facade-failures.test.ts), A28 (pings within one dialect pass through, test/http/facade-passthrough.test.ts). The numbers that are missing
 * were never given.
 */
import { describe, expect, test } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import { chatSse, DONE, responses, responsesSse } from '../../../support/translation-providers.ts'
import {
  genericTarget,
  gistOf,
  hear,
  requestOf,
  translate,
  vendorTarget,
  type Heard,
} from '../../../support/translation.ts'

const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
const AFTER = { choices: [], usage: USAGE }
const TOOLS = [
  {
    name: 'read',
    description: 'Reads a file',
    input_schema: { type: 'object', properties: { path: { type: 'string' } } },
  },
  { name: 'list', description: 'Lists files', input_schema: { type: 'object', properties: {} } },
]
const REQUEST = requestOf('anthropic-messages', { tools: TOOLS })

const says = (content: string): JsonObject => ({ delta: { content } })
const thinks = (text: string): JsonObject => ({ delta: { reasoning_content: text } })
const calls = (...list: readonly JsonObject[]): JsonObject => ({ delta: { tool_calls: list } })
const call = (index: number, id: string, name: string, text = ''): JsonObject => ({
  index,
  id,
  type: 'function',
  function: { name, arguments: text },
})
const more = (index: number, text: string): JsonObject => ({ index, function: { arguments: text } })
const ends = (reason: string | null, members: JsonObject = {}): JsonObject => ({ finish_reason: reason, ...members })

/** Asks a server of Chat Completions, which answers with these chunks. */
const chat = (...chunks: readonly (JsonObject | string)[]): Promise<Heard> =>
  hear(
    { from: 'anthropic-messages', request: REQUEST, target: genericTarget('openai-chat') },
    { body: chatSse(...chunks) },
  )

/** Asks the vendor of Responses, who answers with these events. */
const respond = (...events: readonly (JsonObject | string)[]): Promise<Heard> =>
  hear(
    { from: 'anthropic-messages', request: REQUEST, target: vendorTarget('openai-responses') },
    { body: responsesSse(...events) },
  )

interface Case {
  readonly name: string
  readonly heard: () => Promise<Heard>
  readonly outline: readonly string[]
  readonly also?: (heard: Heard) => void
}

const blocksOf = ({ message }: Heard): readonly JsonObject[] => asList(message['content']).map(asObject)
const FUNCTION_CALL = { id: 'fc_1', type: 'function_call', call_id: 'call_1', name: 'read', status: 'completed' }

const CASES: readonly Case[] = [
  {
    name: 'A1: thinking is closed before text begins',
    heard: () => chat(thinks('Let me '), thinks('see.'), says('It is '), says('so.'), ends('stop'), AFTER, DONE),
    outline: [
      'message_start',
      '0 thinking',
      '0 + "Let me "',
      '0 + "see."',
      '0 signature_delta',
      '0 stop',
      '1 text',
      '1 + "It is "',
      '1 + "so."',
      '1 stop',
      'message_delta end_turn',
      'message_stop',
    ],
  },
  {
    name: 'A3: thinking, text and a call are blocks 0, 1 and 2',
    heard: () =>
      chat(thinks('Hm.'), says('I read.'), calls(call(0, 'call_1', 'read', '{}')), ends('tool_calls'), AFTER, DONE),
    outline: [
      'message_start',
      '0 thinking',
      '0 + "Hm."',
      '0 signature_delta',
      '0 stop',
      '1 text',
      '1 + "I read."',
      '1 stop',
      '2 tool_use read',
      '2 + "{}"',
      '2 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
  {
    name: 'A4: two whole calls in the last chunk are two blocks',
    heard: () =>
      chat(
        {
          delta: { tool_calls: [call(0, 'call_1', 'read', '{"path":"a"}'), call(1, 'call_2', 'list', '{}')] },
          finish_reason: 'tool_calls',
        },
        AFTER,
        DONE,
      ),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"path\\":\\"a\\"}"',
      '0 stop',
      '1 tool_use list',
      '1 + "{}"',
      '1 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
  {
    name: 'A5: interleaved fragments of two calls become two blocks, one after the other',
    heard: () =>
      chat(
        calls(call(0, 'call_1', 'read'), call(1, 'call_2', 'read')),
        calls(more(0, '{"path":')),
        calls(more(1, '{"path":')),
        calls(more(0, '"a"}')),
        calls(more(1, '"b"}')),
        ends('tool_calls'),
        AFTER,
        DONE,
      ),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"path\\":"',
      '0 + "\\"a\\"}"',
      '0 stop',
      '1 tool_use read',
      '1 + "{\\"path\\":\\"b\\"}"',
      '1 stop',
      'message_delta tool_use',
      'message_stop',
    ],
    also: (heard) => {
      expect(blocksOf(heard)).toEqual([
        { type: 'tool_use', id: 'call_1', name: 'read', input: { path: 'a' } },
        { type: 'tool_use', id: 'call_2', name: 'read', input: { path: 'b' } },
      ])
    },
  },
  {
    name: 'A7: id, type and name that are repeated on every fragment open one block',
    heard: () =>
      chat(
        calls(call(0, 'call_1', 'read', '{"pa')),
        calls(call(0, 'call_1', 'read', 'th":"a"}')),
        ends('tool_calls'),
        AFTER,
        DONE,
      ),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"pa"',
      '0 + "th\\":\\"a\\"}"',
      '0 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
  {
    name: 'A8: arguments that come only with their done event are not lost',
    heard: () =>
      respond(
        ...responses.start(),
        {
          type: 'output_item.added',
          output_index: 0,
          item: { ...FUNCTION_CALL, arguments: '', status: 'in_progress' },
        },
        { type: 'function_call_arguments.done', item_id: 'fc_1', output_index: 0, arguments: '{"path":"a"}' },
        { type: 'output_item.done', output_index: 0, item: { ...FUNCTION_CALL, arguments: '{"path":"a"}' } },
        responses.end([{ ...FUNCTION_CALL, arguments: '{"path":"a"}' }]),
      ),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"path\\":\\"a\\"}"',
      '0 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
  {
    name: 'A8: arguments that come only with the finished item are not lost',
    heard: () =>
      respond(
        ...responses.start(),
        {
          type: 'output_item.added',
          output_index: 0,
          item: { ...FUNCTION_CALL, arguments: '', status: 'in_progress' },
        },
        { type: 'output_item.done', output_index: 0, item: { ...FUNCTION_CALL, arguments: '{"path":"a"}' } },
        responses.end([{ ...FUNCTION_CALL, arguments: '{"path":"a"}' }]),
      ),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"path\\":\\"a\\"}"',
      '0 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
  {
    name: 'A9: arguments that come in deltas and again when done are given once',
    heard: () =>
      respond(
        ...responses.start(),
        {
          type: 'output_item.added',
          output_index: 0,
          item: { ...FUNCTION_CALL, arguments: '', status: 'in_progress' },
        },
        { type: 'function_call_arguments.delta', item_id: 'fc_1', output_index: 0, delta: '{"path":' },
        { type: 'function_call_arguments.done', item_id: 'fc_1', output_index: 0, arguments: '{"path":"a"}' },
        { type: 'output_item.done', output_index: 0, item: { ...FUNCTION_CALL, arguments: '{"path":"a"}' } },
        responses.end([{ ...FUNCTION_CALL, arguments: '{"path":"a"}' }]),
      ),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"path\\":"',
      '0 + "\\"a\\"}"',
      '0 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
  {
    name: 'A12: a call whose name comes late is opened once the name is known',
    heard: () =>
      chat(
        calls({ index: 0, id: 'call_1', type: 'function', function: { name: '', arguments: '' } }),
        calls({ index: 0, function: { name: null, arguments: '{"path"' } }),
        calls({ index: 0, function: { name: 'read', arguments: ':"a"}' } }),
        ends('tool_calls'),
        AFTER,
        DONE,
      ),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"path\\":\\"a\\"}"',
      '0 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
  {
    name: 'A15: a call that never got a name is none, and the turn is over',
    heard: () =>
      chat(
        says('Hm.'),
        calls({ index: 0, id: 'call_1', function: { arguments: '{}' } }),
        ends('tool_calls'),
        AFTER,
        DONE,
      ),
    outline: ['message_start', '0 text', '0 + "Hm."', '0 stop', 'message_delta end_turn', 'message_stop'],
  },
  {
    name: 'A16: usage after the finish reason is in message_delta, and nothing follows message_stop',
    heard: () => chat(says('Hi'), ends('stop'), { choices: [], usage: { ...USAGE, prompt_tokens: 7 } }, DONE),
    outline: ['message_start', '0 text', '0 + "Hi"', '0 stop', 'message_delta end_turn', 'message_stop'],
    also: ({ message }) => {
      expect(message['usage']).toMatchObject({ input_tokens: 7, output_tokens: 5 })
    },
  },
  {
    name: 'A16: usage after [DONE] changes nothing',
    heard: () =>
      chat(says('Hi'), ends('stop'), AFTER, DONE, { choices: [], usage: { ...USAGE, completion_tokens: 99 } }),
    outline: ['message_start', '0 text', '0 + "Hi"', '0 stop', 'message_delta end_turn', 'message_stop'],
    also: ({ message }) => {
      expect(message['usage']).toMatchObject({ output_tokens: 5 })
    },
  },
  {
    name: 'A17: a provider that never tells usage still gets its answer ended',
    heard: () => chat(says('Hi'), ends('stop'), DONE),
    outline: ['message_start', '0 text', '0 + "Hi"', '0 stop', 'message_delta end_turn', 'message_stop'],
    also: ({ message }) => {
      expect(asObject(message['usage'])['output_tokens']).toBeTypeOf('number')
    },
  },
  {
    name: 'A20: a provider that breaks off in the middle of a text is an error, never an end',
    heard: () => chat(says('Half a')),
    outline: ['message_start', '0 text', '0 + "Half a"', 'error api_error'],
    also: ({ sdkError }) => {
      expect(sdkError).toBeDefined()
    },
  },
  {
    name: 'A21: a rate limit within a stream keeps its kind',
    heard: () => chat(says('Half a'), { error: { message: 'slow down', type: 'rate_limit_error', code: 429 } }),
    outline: ['message_start', '0 text', '0 + "Half a"', 'error rate_limit_error'],
    also: ({ text }) => {
      expect(text).toContain('slow down')
    },
  },
  {
    name: 'A21: a failure of the server within a stream keeps its kind',
    heard: () => chat({ error: { message: 'it broke', code: 500 } }),
    outline: ['error api_error'],
  },
  {
    name: 'A21: an overloaded server within a stream keeps its kind',
    heard: () => chat({ error: { message: 'busy', code: 503 } }),
    outline: ['error overloaded_error'],
  },
  {
    name: 'A21: a failed response keeps its kind',
    heard: () =>
      respond(...responses.start(), {
        type: 'failed',
        response: { id: 'resp_p1', status: 'failed', error: { code: 'rate_limit_exceeded', message: 'slow down' } },
      }),
    outline: ['message_start', 'error rate_limit_error'],
  },
  {
    name: 'A23: a finish reason that nobody knows is the end of the turn',
    heard: () => chat(says('Hi'), ends('eos_token'), AFTER, DONE),
    outline: ['message_start', '0 text', '0 + "Hi"', '0 stop', 'message_delta end_turn', 'message_stop'],
  },
  {
    name: 'A24: arguments cut off by the output limit stay cut off',
    heard: () => chat(calls(call(0, 'call_1', 'read', '{"path":"a')), ends('length'), AFTER, DONE),
    outline: [
      'message_start',
      '0 tool_use read',
      '0 + "{\\"path\\":\\"a"',
      '0 stop',
      '0 broken json',
      'message_delta max_tokens',
      'message_stop',
    ],
  },
  {
    name: 'A32: two parts of a reasoning summary are one thinking block with one signature',
    heard: () => {
      const item = {
        id: 'rs_1',
        type: 'reasoning',
        summary: [
          { type: 'summary_text', text: 'One.' },
          { type: 'summary_text', text: 'Two.' },
        ],
        encrypted_content: 'ZW5jcnlwdGVk',
      }
      const message = {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: 'Hi', annotations: [] }],
      }
      return respond(
        ...responses.start(),
        ...responses.item(0, item),
        ...responses.item(1, message),
        responses.end([item, message]),
      )
    },
    outline: [
      'message_start',
      '0 thinking',
      '0 + "One."',
      '0 + "\\n\\n"',
      '0 + "Two."',
      '0 signature_delta',
      '0 stop',
      '1 text',
      '1 + "Hi"',
      '1 stop',
      'message_delta end_turn',
      'message_stop',
    ],
    also: (heard) => {
      expect(blocksOf(heard)[0]).toMatchObject({
        type: 'thinking',
        thinking: 'One.\n\nTwo.',
        signature: expect.stringMatching(/^tok1\./),
      })
    },
  },
  {
    name: 'A35: text before a call is stopped once',
    heard: () => chat(says('Wait.'), calls(call(0, 'call_1', 'list', '{}')), says(''), ends('tool_calls'), AFTER, DONE),
    outline: [
      'message_start',
      '0 text',
      '0 + "Wait."',
      '0 stop',
      '1 tool_use list',
      '1 + "{}"',
      '1 stop',
      'message_delta tool_use',
      'message_stop',
    ],
  },
]

describe('Messages from a provider of another dialect', () => {
  test.each(CASES)('$name', async ({ heard, outline, also }) => {
    const answer = await heard()
    expect(answer.outline).toEqual(outline)
    also?.(answer)
  })

  test.each([
    ['empty arguments', calls(call(0, 'call_1', 'list', ''))],
    ['no arguments', calls({ index: 0, id: 'call_1', type: 'function', function: { name: 'list' } })],
  ])('A11: a call with %s has the input {}', async (_, chunk) => {
    const { message } = await chat(chunk, ends('tool_calls'), AFTER, DONE)
    expect(message).toMatchObject({ content: [{ type: 'tool_use', name: 'list', input: {} }], stop_reason: 'tool_use' })
  })

  test('A13: calls without ids get ids of their own, which find their way back', async () => {
    const first = await chat(
      calls({ index: 0, function: { name: 'list', arguments: '{}' } }),
      calls({ index: 1, function: { name: 'read', arguments: '{}' } }),
      ends('tool_calls'),
      AFTER,
      DONE,
    )
    const ids = blocksOf(first).map(({ id }) => id)
    expect(new Set(ids).size).toBe(2)
    const next = await hear(
      {
        from: 'anthropic-messages',
        request: {
          ...REQUEST,
          messages: [
            { role: 'user', content: 'Hello' },
            { role: 'assistant', content: first.message['content'] },
            { role: 'user', content: ids.map((id) => ({ type: 'tool_result', tool_use_id: id, content: 'done' })) },
          ],
        },
        target: genericTarget('openai-chat'),
      },
      { body: chatSse(says('Hi'), ends('stop'), DONE) },
    )
    expect(next.sent['messages']).toMatchObject([
      { role: 'user' },
      { role: 'assistant', tool_calls: ids.map((id) => ({ id })) },
      ...ids.map((id) => ({ role: 'tool', tool_call_id: id })),
    ])
  })

  test('A13: an id of characters that Anthropic refuses is changed for good', async () => {
    const { message } = await chat(calls(call(0, 'functions.read:0', 'read', '{}')), ends('tool_calls'), AFTER, DONE)
    expect(message['content']).toMatchObject([
      { type: 'tool_use', id: expect.stringMatching(/^functions_read_0_\w{8}$/) },
    ])
  })

  test('A19: the usage at the start is four numbers, zeros included', async () => {
    const { frames } = await chat(says('Hi'), ends('stop'), AFTER, DONE)
    const start = frames.map(({ data }) => data).find((data) => data !== '[DONE]' && data['type'] === 'message_start')
    expect(asObject(asObject(asObject(start)['message'])['usage'])).toMatchObject({
      input_tokens: expect.any(Number),
      output_tokens: expect.any(Number),
      cache_creation_input_tokens: expect.any(Number),
      cache_read_input_tokens: expect.any(Number),
    })
  })

  test('A20: a connection that breaks ends the stream as a failure, not as an answer', () => {
    const request = { ...REQUEST, stream: true }
    const failure = new TokError('provider_broken', { provider: 'local', reason: 'the connection was reset' })
    const { text, failure: seen } = translate(
      { from: 'anthropic-messages', request, target: genericTarget('openai-chat') },
      { body: chatSse(says('Half a')), failure },
    )
    expect(seen).toBe(failure)
    expect(text).not.toContain('message_stop')
  })

  test('A25: every frame has an event line that equals its type', async () => {
    const { text } = await chat(
      thinks('Hm.'),
      says('Hi'),
      calls(call(0, 'call_1', 'list', '{}')),
      ends('tool_calls'),
      AFTER,
      DONE,
    )
    for (const frame of text.split('\n\n').filter((each) => each !== ''))
      expect(frame).toMatch(/^event: (\w+)\ndata: \{"type":"\1"/)
  })

  test('A31: the stop sequence that was hit is named only where the provider names it', async () => {
    const named = await chat(says('Hi'), ends('stop', { stop_reason: 'END' }), AFTER, DONE)
    expect(named.message).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'END' })
    const unnamed = await chat(says('Hi'), ends('stop', { stop_reason: null }), AFTER, DONE)
    expect(unnamed.message).toMatchObject({ stop_reason: 'end_turn', stop_sequence: null })
    // vLLM gives the number of a stop token in the same member.
    const token = await chat(says('Hi'), ends('stop', { stop_reason: 151_645 }), AFTER, DONE)
    expect(token.message).toMatchObject({ stop_reason: 'end_turn', stop_sequence: null })
  })

  test('A33: encrypted reasoning without a summary is kept', async () => {
    const item = { id: 'rs_1', type: 'reasoning', summary: [], encrypted_content: 'ZW5jcnlwdGVk' }
    const heard = await respond(
      ...responses.start(),
      ...responses.item(0, item),
      ...responses.item(1, { ...FUNCTION_CALL, arguments: '{}' }),
      responses.end([item, { ...FUNCTION_CALL, arguments: '{}' }]),
    )
    const [first] = blocksOf(heard)
    expect([first?.['signature'], first?.['data']].filter((text) => text !== undefined)).toEqual([
      expect.stringMatching(/^tok1\./),
    ])
    expect(gistOf('anthropic-messages', heard.message).calls).toEqual([{ name: 'read', input: '{}' }])
  })
})
