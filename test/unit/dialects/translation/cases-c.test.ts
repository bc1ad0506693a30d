/**
 * A client of Chat Completions, a provider of Messages.
 *
 * Elsewhere: C12 (whether a paused turn is continued by the node is the gateway's matter; here it ends as `stop`), C32 (parity
 * of streamed and whole answers, parity.test.ts). The numbers that are missing were never given.
 */
import { describe, expect, test } from 'vitest'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import { messages, messagesSse } from '../../../support/translation-providers.ts'
import {
  genericTarget,
  hear,
  hearWhole,
  refusalOf,
  requestOf,
  send,
  vendorTarget,
  type Heard,
  type Sent,
} from '../../../support/translation.ts'

const ANTHROPIC = vendorTarget('anthropic-messages')
const BUDGETED = vendorTarget('anthropic-messages', 'claude-haiku-4-5')
const GENERIC = genericTarget('anthropic-messages')

const ask = (members: JsonObject, target = ANTHROPIC): Sent =>
  send({ from: 'openai-chat', request: requestOf('openai-chat', members), target })

const refused = (members: JsonObject, target = ANTHROPIC): unknown =>
  refusalOf({ from: 'openai-chat', request: requestOf('openai-chat', members), target })

const answered = (
  events: readonly (JsonObject | string)[],
  members: JsonObject = { stream_options: { include_usage: true } },
): Promise<Heard> =>
  hear(
    { from: 'openai-chat', request: requestOf('openai-chat', members), target: ANTHROPIC },
    { body: messagesSse(...events) },
  )

const functionTool = (name: string, members: JsonObject = {}): JsonObject => ({
  type: 'function',
  function: { name, description: `Does ${name}`, parameters: { type: 'object', properties: {} }, ...members },
})
const called = (id: string, name = 'read'): JsonObject => ({
  id,
  type: 'function',
  function: { name, arguments: '{}' },
})
const choiceOf = ({ message }: Heard): JsonObject => asObject(asList(message['choices'])[0])
const messagesOf = ({ sent }: Sent): readonly JsonObject[] => asList(sent['messages']).map(asObject)
const PIXEL = 'data:image/png;base64,iVBORw0KGgo='

describe('Chat Completions from a provider of Messages: the answer', () => {
  test('C1, C3: calls are numbered on their own, and say who they are once', async () => {
    const { outline, frames } = await answered([
      messages.start(),
      ...messages.text(0, 'I read.'),
      ...messages.tool(1, 'toolu_1', 'read', '{"a":', '1}'),
      ...messages.tool(2, 'toolu_2', 'list'),
      ...messages.end('tool_use'),
    ])
    expect(outline).toEqual([
      'role',
      'content "I read."',
      'call 0 read',
      'call 0 + "{\\"a\\":"',
      'call 0 + "1}"',
      'call 1 list',
      'call 1 + "{}"',
      'finish tool_calls',
      'usage',
      '[DONE]',
    ])
    const deltas = frames.flatMap(({ data }) =>
      data === '[DONE]' ? [] : asList(asObject(asObject(asList(data['choices'])[0])['delta'])['tool_calls']),
    )
    expect(deltas[0]).toEqual({ index: 0, id: 'toolu_1', type: 'function', function: { name: 'read', arguments: '' } })
    expect(deltas[1]).toEqual({ index: 0, function: { arguments: '{"a":' } })
  })

  test.each([
    [
      'C4: the prompt is the sum of fresh and cached tokens',
      { input_tokens: 10, cache_read_input_tokens: 90, cache_creation_input_tokens: 0 },
      { output_tokens: 5 },
    ],
    [
      'C5: counts of the start hold where the end tells output alone',
      { input_tokens: 10, cache_read_input_tokens: 90 },
      { output_tokens: 5, input_tokens: null },
    ],
  ])('%s', async (_, start, end) => {
    const { message } = await answered([
      messages.start(start),
      ...messages.text(0, 'Hi'),
      ...messages.end('end_turn', end),
    ])
    expect(message['usage']).toMatchObject({
      prompt_tokens: 100,
      completion_tokens: 5,
      total_tokens: 105,
      prompt_tokens_details: { cached_tokens: 90 },
    })
  })

  test('C7: a client that did not ask for usage sees no usage chunk, but the provider is asked for it', async () => {
    const { outline, message } = await answered(
      [messages.start(), ...messages.text(0, 'Hi'), ...messages.end('end_turn')],
      {},
    )
    expect(outline).toEqual(['role', 'content "Hi"', 'finish stop', '[DONE]'])
    expect(message['usage']).toBeUndefined()
    for (const from of ['openai-responses', 'anthropic-messages'] as const)
      expect(
        send({ from, request: requestOf(from, { stream: true }), target: genericTarget('openai-chat') }).sent[
          'stream_options'
        ],
      ).toEqual({ include_usage: true })
  })

  test('C8: thinking is reasoning_content, never content', async () => {
    const { outline } = await answered([
      messages.start(),
      ...messages.thinking(0, 'c2ln', 'Let me see.'),
      ...messages.text(1, 'Hi'),
      ...messages.end('end_turn'),
    ])
    expect(outline).toEqual([
      'role',
      'reasoning_content "Let me see."',
      'content "Hi"',
      'finish stop',
      'usage',
      '[DONE]',
    ])
  })

  test('C9: a refusal is content_filter, with its explanation', async () => {
    const details = { type: 'refusal', category: 'cyber', explanation: 'I must not.' }
    const heard = await answered([
      messages.start(),
      ...messages.text(0, 'Well'),
      ...messages.end('refusal', { output_tokens: 1 }, { stop_details: details }),
    ])
    expect(choiceOf(heard)).toMatchObject({
      finish_reason: 'content_filter',
      message: { content: 'Well', refusal: 'I must not.' },
    })
    const bare = await answered([messages.start(), ...messages.text(0, 'Well'), ...messages.end('refusal')])
    expect(choiceOf(bare)).toMatchObject({
      finish_reason: 'content_filter',
      message: { content: 'Well', refusal: null },
    })
  })

  test('C11: a refusal after a call keeps the call', async () => {
    const heard = await answered([
      messages.start(),
      ...messages.tool(0, 'toolu_1', 'read', '{}'),
      ...messages.end('refusal'),
    ])
    expect(choiceOf(heard)).toMatchObject({
      finish_reason: 'content_filter',
      message: { tool_calls: [{ id: 'toolu_1' }] },
    })
  })

  test('C12: a paused turn is over, and calls no tool of the client', async () => {
    const heard = await answered([messages.start(), ...messages.text(0, 'Searching'), ...messages.end('pause_turn')])
    expect(choiceOf(heard)).toMatchObject({ finish_reason: 'stop' })
  })
})

describe('Chat Completions to a provider of Messages: the request', () => {
  test('C13: three results and the next word are one turn, the results first', () => {
    const written = ask({
      messages: [
        { role: 'user', content: 'Go' },
        { role: 'assistant', content: null, tool_calls: [called('a'), called('b'), called('c')] },
        { role: 'tool', tool_call_id: 'b', content: 'B' },
        { role: 'tool', tool_call_id: 'a', content: 'A' },
        { role: 'tool', tool_call_id: 'c', content: 'C' },
        { role: 'user', content: 'And now?' },
      ],
      tools: [functionTool('read')],
    })
    expect(messagesOf(written)).toMatchObject([
      { role: 'user' },
      {
        role: 'assistant',
        content: [
          { type: 'tool_use', id: 'a' },
          { type: 'tool_use', id: 'b' },
          { type: 'tool_use', id: 'c' },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result' },
          { type: 'tool_result' },
          { type: 'tool_result' },
          { type: 'text', text: 'And now?' },
        ],
      },
    ])
  })

  test('C15: images of a result stay in it, and results stay together', () => {
    const written = ask({
      messages: [
        { role: 'user', content: 'Go' },
        { role: 'assistant', tool_calls: [called('a'), called('b')] },
        {
          role: 'tool',
          tool_call_id: 'a',
          content: [
            { type: 'text', text: 'A' },
            { type: 'image_url', image_url: { url: PIXEL } },
          ],
        },
        { role: 'tool', tool_call_id: 'b', content: 'B' },
      ],
      tools: [functionTool('read')],
    })
    expect(messagesOf(written)[2]).toMatchObject({
      role: 'user',
      content: [
        {
          type: 'tool_result',
          tool_use_id: 'a',
          content: [{ type: 'text' }, { type: 'image', source: { type: 'base64', media_type: 'image/png' } }],
        },
        { type: 'tool_result', tool_use_id: 'b' },
      ],
    })
  })

  test('C16: a call id is cleaned alike for call and result', () => {
    const [, assistant, result] = messagesOf(
      ask({
        messages: [
          { role: 'user', content: 'Go' },
          { role: 'assistant', tool_calls: [called('call:1/ä')] },
          { role: 'tool', tool_call_id: 'call:1/ä', content: 'A' },
        ],
        tools: [functionTool('read')],
      }),
    )
    const id = asObject(asList(assistant?.['content'])[0])['id']
    expect(id).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
    expect(asObject(asList(result?.['content'])[0])['tool_use_id']).toBe(id)
  })

  test('C17: of two results for one call one is kept, always the same', () => {
    const members = {
      messages: [
        { role: 'user', content: 'Go' },
        { role: 'assistant', tool_calls: [called('a')] },
        { role: 'tool', tool_call_id: 'a', content: 'first' },
        { role: 'tool', tool_call_id: 'a', content: 'second' },
      ],
      tools: [functionTool('read')],
    }
    const written = ask(members)
    expect(asList(messagesOf(written)[2]?.['content'])).toHaveLength(1)
    expect(ask(members)).toEqual(written)
  })

  test.each(
    (['anthropic-messages', 'openai-chat', 'openai-responses'] as const).flatMap((to) =>
      (['openai-chat', 'anthropic-messages'] as const).flatMap((from) =>
        from === to ? [] : [genericTarget(to), vendorTarget(to)].map((target) => ({ from, target })),
      ),
    ),
  )(
    'C17: results that are doubled, lost or nobody’s do not break $from to $target.name in $target.dialect',
    ({ from, target }) => {
      const chat = [
        { role: 'user', content: 'Go' },
        { role: 'assistant', content: 'Well.', tool_calls: [called('a'), called('b')] },
        { role: 'tool', tool_call_id: 'a', content: 'first' },
        { role: 'tool', tool_call_id: 'a', content: 'second' },
        { role: 'tool', tool_call_id: 'nobody', content: 'stray' },
        { role: 'user', content: 'On' },
      ]
      const results = ['a first', 'a second', 'nobody stray'].map((line) => {
        const [id, content] = line.split(' ')
        return { type: 'tool_result', tool_use_id: id, content }
      })
      const claude = [
        { role: 'user', content: 'Go' },
        { role: 'assistant', content: ['a', 'b'].map((id) => ({ type: 'tool_use', id, name: 'read', input: {} })) },
        { role: 'user', content: [...results, { type: 'text', text: 'On' }] },
      ]
      const { sent } = send({
        from,
        request: requestOf(from, { messages: from === 'openai-chat' ? chat : claude }),
        target,
      })
      const text = JSON.stringify(sent)
      expect(text).toContain('second')
      expect(text).toContain('stray')
      expect(text).not.toContain('first')
    },
  )

  test('C19: system messages alone get a user turn', () => {
    const written = ask({ messages: [{ role: 'system', content: 'You help.' }] })
    expect(JSON.stringify(written.sent['system'])).toContain('You help.')
    expect(messagesOf(written)).toMatchObject([{ role: 'user' }])
  })

  test('C20: an effort is adaptive thinking with that effort', () => {
    expect(ask({ reasoning_effort: 'high' }).sent).toMatchObject({
      thinking: { type: 'adaptive' },
      output_config: { effort: 'high' },
    })
  })

  test('C21: an effort is a budget within the limit on an older model', () => {
    const { sent } = ask({ reasoning_effort: 'high', max_completion_tokens: 4_096 }, BUDGETED)
    const budget = Number(asObject(sent['thinking'])['budget_tokens'])
    expect(sent['max_tokens']).toBe(4_096)
    expect(budget).toBeGreaterThanOrEqual(1_024)
    expect(budget).toBeLessThan(4_096)
    // Without a limit of the client's there is room for both.
    const free = ask({ reasoning_effort: 'high' }, BUDGETED).sent
    expect(Number(free['max_tokens'])).toBeGreaterThan(Number(asObject(free['thinking'])['budget_tokens']))
  })

  test('C23: a temperature is dropped by name where the model rejects it, or thinks', () => {
    expect(ask({ temperature: 0.2 })).toMatchObject({ dropped: ['temperature'] })
    const thinking = ask({ temperature: 0.2, reasoning_effort: 'high' }, BUDGETED)
    expect(thinking.sent['temperature'] ?? 1).toBe(1)
    expect(thinking.dropped).toEqual(['temperature'])
    expect(ask({ temperature: 0.2 }, BUDGETED)).toMatchObject({ sent: { temperature: 0.2 }, dropped: [] })
  })

  test('C24: a schema for the output is output_config.format', () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'string' } },
      required: ['a'],
      additionalProperties: false,
    }
    const { sent } = ask({
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } },
    })
    expect(sent['output_config']).toMatchObject({ format: { type: 'json_schema', schema } })
  })

  test('C25: allowed tools filter the list, and one call at a time is asked for', () => {
    const written = ask({
      tools: [functionTool('read'), functionTool('list')],
      tool_choice: {
        type: 'allowed_tools',
        allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'list' } }] },
      },
      parallel_tool_calls: false,
    })
    expect(written.sent).toMatchObject({
      tools: [{ name: 'list' }],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
    })
  })

  test.each([ANTHROPIC, GENERIC])(
    'C27: a strict schema that is open in its depth is closed or not strict at $name',
    (target) => {
      const parameters = {
        type: 'object',
        properties: { a: { type: 'object', properties: { b: { type: 'string' } } } },
        required: ['a'],
        additionalProperties: false,
      }
      const { sent } = ask({ tools: [functionTool('read', { strict: true, parameters })] }, target)
      const tool = asObject(asList(sent['tools'])[0])
      const inner = asObject(asObject(asObject(tool['input_schema'])['properties'])['a'])
      expect(tool['strict'] !== true || inner['additionalProperties'] === false).toBe(true)
    },
  )

  test.each([
    ['https://example.org/a.png', { type: 'url', url: 'https://example.org/a.png' }],
    ['http://example.org/a.png', { type: 'url', url: 'http://example.org/a.png' }],
    [PIXEL, { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' }],
  ])('C28: an image at %s has its source', (url, source) => {
    const written = ask({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] })
    expect(messagesOf(written)[0]).toMatchObject({ content: [{ type: 'image', source }] })
  })

  test.each([
    'ftp://example.org/a.png',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'data:image/png,plain',
    'nonsense',
  ])('C28: an image at %s is refused', (url) => {
    expect(
      refused({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] }),
    ).toMatchObject({ status: 400, owner: 'client' })
  })

  test('C29: the user is metadata.user_id, the same in every turn', () => {
    expect(ask({ user: 'alice' }).sent['metadata']).toEqual({ user_id: 'alice' })
    expect(ask({ user: 'alice', metadata: { team: 'red' } })).toMatchObject({
      sent: { metadata: { user_id: 'alice' } },
      dropped: ['metadata'],
    })
    expect(ask({ safety_identifier: 'alice' }).sent['metadata']).toEqual({ user_id: 'alice' })
  })

  test('C31: cache marks on parts stay on their blocks', () => {
    const mark = { type: 'ephemeral', ttl: '1h' }
    const written = ask({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Long', cache_control: mark },
            { type: 'text', text: 'Short' },
          ],
        },
      ],
    })
    expect(messagesOf(written)[0]).toMatchObject({
      content: [{ text: 'Long', cache_control: mark }, { text: 'Short' }],
    })
  })

  test('C33: more than one choice is refused by its name', () => {
    expect(refused({ n: 2 })).toMatchObject({ code: 'translation_refused', status: 400, details: { field: 'n' } })
    expect(ask({ n: 1 })).toMatchObject({ dropped: [] })
  })

  test('C9: a refusal without a stream is told alike', () => {
    const { message } = hearWhole(
      { from: 'openai-chat', request: requestOf('openai-chat'), target: ANTHROPIC },
      {
        body: {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          model: 'm',
          content: [],
          stop_reason: 'refusal',
          stop_details: { type: 'refusal', category: null, explanation: 'I must not.' },
          usage: { input_tokens: 1, output_tokens: 1 },
        },
      },
    )
    expect(message['choices']).toMatchObject([{ finish_reason: 'content_filter', message: { refusal: 'I must not.' } }])
  })
})
