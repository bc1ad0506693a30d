import { describe, expect, it } from 'vitest'
import { anthropicMessages } from '../../../../src/dialects/anthropic-messages/translation.ts'
import type { Conversation, Part, Tool } from '../../../../src/dialects/conversation/conversation.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { call, conversation, read, request, result, turn, write, writeTurns } from './pieces.ts'

const HELLO = turn('user', 'Hello')
const ask = (more: Partial<Conversation>): Conversation => conversation([HELLO], more)
const tool = (name: string, parameters: JsonObject = { type: 'object', properties: {} }): Tool => ({
  kind: 'function',
  name,
  parameters,
  extras: {},
})

describe('the turns of a conversation', () => {
  it('C13: three results follow three calls in one user message, before its text', () => {
    const turns = [
      HELLO,
      turn('assistant', call('a'), call('b'), call('c')),
      turn('user', result('a', '1')),
      turn('user', result('b', '2')),
      turn('user', result('c', '3')),
      turn('user', 'Go on'),
    ]
    expect(writeTurns(...turns)).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
      { role: 'assistant', content: ['a', 'b', 'c'].map((id) => ({ type: 'tool_use', id, name: 'look', input: {} })) },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a', content: '1' },
          { type: 'tool_result', tool_use_id: 'b', content: '2' },
          { type: 'tool_result', tool_use_id: 'c', content: '3' },
          { type: 'text', text: 'Go on' },
        ],
      },
    ])
  })

  it('D25: calls and results in turns of their own are one assistant and one user message', () => {
    const turns = [
      HELLO,
      turn('assistant', call('a')),
      turn('assistant', call('b')),
      turn('user', 'meanwhile'),
      turn('user', result('b', '2')),
      turn('user', result('a', '1')),
    ]
    expect(writeTurns(...turns)).toMatchObject([
      { role: 'user' },
      { role: 'assistant', content: [{ id: 'a' }, { id: 'b' }] },
      { role: 'user', content: [{ tool_use_id: 'a' }, { tool_use_id: 'b' }, { text: 'meanwhile' }] },
    ])
  })

  it('a call that nobody answered gets an error, also at the end', () => {
    expect(
      writeTurns(HELLO, turn('assistant', call('a')), turn('user', 'Stop'), turn('assistant', call('b'))),
    ).toMatchObject([
      { role: 'user' },
      { role: 'assistant' },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', is_error: true }, { text: 'Stop' }] },
      { role: 'assistant' },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'b', is_error: true }] },
    ])
  })

  it('a result of no call becomes text of the user', () => {
    expect(writeTurns(HELLO, turn('user', result('lost', 'found')))).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hello' },
          { type: 'text', text: 'Result of the tool call lost:' },
          { type: 'text', text: 'found' },
        ],
      },
    ])
  })

  it('C17: the last of two results of one call counts; calls that share an id keep their own', () => {
    expect(
      writeTurns(HELLO, turn('assistant', call('a')), turn('user', result('a', '1'), result('a', '2'))),
    ).toMatchObject([{}, {}, { content: [{ tool_use_id: 'a', content: '2' }] }])
    const again = writeTurns(
      HELLO,
      turn('assistant', call('call_0')),
      turn('user', result('call_0', '1')),
      turn('assistant', call('call_0')),
      turn('user', result('call_0', '2')),
    )
    expect(again).toMatchObject([
      {},
      { content: [{ id: 'call_0' }] },
      { content: [{ tool_use_id: 'call_0', content: '1' }] },
      { content: [{ id: 'call_0_2' }] },
      { content: [{ tool_use_id: 'call_0_2', content: '2' }] },
    ])
  })

  it('C16: an id in foreign characters is changed alike in call and result', () => {
    const [, asked, answered] = writeTurns(
      HELLO,
      turn('assistant', call('functions.look:0')),
      turn('user', result('functions.look:0', 'x')),
    ) as { content: JsonObject[] }[]
    const id = asked?.content[0]?.['id']
    expect(id).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
    expect(answered?.content[0]?.['tool_use_id']).toBe(id)
  })

  it('C15: pictures stay within their result', () => {
    const picture: Part = { kind: 'image', source: { kind: 'base64', mediaType: 'image/png', data: 'AAAA' } }
    const messages = writeTurns(
      HELLO,
      turn('assistant', call('a'), call('b')),
      turn('user', result('a', 'seen', picture), result('b', 'ok')),
    )
    expect(messages).toMatchObject([
      {},
      {},
      { content: [{ content: [{ type: 'text' }, { type: 'image' }] }, { tool_use_id: 'b', content: 'ok' }] },
    ])
  })

  it('a failed result says so, and something', () => {
    const failed: Part = { kind: 'tool-result', toolKind: 'function', callId: 'a', content: [], isError: true }
    expect(writeTurns(HELLO, turn('assistant', call('a')), turn('user', failed))).toMatchObject([
      {},
      {},
      { content: [{ is_error: true, content: 'The tool failed and said nothing.' }] },
    ])
  })

  it('B31: the order of texts and calls stays; input that is no object is kept under a name of its own', () => {
    expect(
      writeTurns(HELLO, turn('assistant', 'a', call('t', 'look', '{"cut'), 'b'), turn('user', result('t', 'x'))),
    ).toMatchObject([
      {},
      { content: [{ text: 'a' }, { type: 'tool_use', input: { unreadable_input: '{"cut' } }, { text: 'b' }] },
      {},
    ])
  })

  it('B39: blank texts are left out, and messages that hold nothing else', () => {
    expect(writeTurns(HELLO, turn('assistant', '  \n'), turn('user', '', 'more'))).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hello' },
          { type: 'text', text: 'more' },
        ],
      },
    ])
  })

  it('C19: where nobody spoke as the user, somebody does', () => {
    const { body } = write(conversation([turn('system', 'Be brief.')]))
    expect(body).toMatchObject({
      system: [{ text: 'Be brief.' }],
      messages: [{ role: 'user', content: [{ type: 'text' }] }],
    })
    expect(writeTurns(turn('assistant', 'Welcome'), HELLO)).toMatchObject([
      { role: 'user' },
      { role: 'assistant' },
      { role: 'user' },
    ])
  })

  it('text for the model to go on from does not end in white space', () => {
    expect(writeTurns(HELLO, turn('assistant', 'Once \n'))).toMatchObject([{}, { content: [{ text: 'Once' }] }])
  })

  it('leading system and developer texts are the system prompt, later ones a reminder in the user turn', () => {
    const turns = [
      turn('system', 'a'),
      turn('developer', 'b'),
      HELLO,
      turn('developer', 'c'),
      turn('assistant', call('t')),
      turn('system', '<system-reminder>d</system-reminder>'),
      turn('user', result('t', 'x')),
    ]
    expect(write(conversation(turns)).body).toMatchObject({
      system: [{ text: 'a' }, { text: 'b' }],
      messages: [
        { role: 'user', content: [{ text: 'Hello' }, { text: '<system-reminder>\nc\n</system-reminder>' }] },
        { role: 'assistant' },
        { role: 'user', content: [{ type: 'tool_result' }, { text: '<system-reminder>d</system-reminder>' }] },
      ],
    })
  })

  it('later system texts keep their role where the model takes them, after the results and the words of the user', () => {
    const turns = [
      HELLO,
      turn('assistant', call('t')),
      turn('system', 'c'),
      turn('user', result('t', 'x'), 'and'),
      turn('assistant', 'b'),
      turn('system', 'd'),
    ]
    expect(write(conversation(turns), { model: 'claude-opus-5' }).body['messages']).toMatchObject([
      { role: 'user' },
      { role: 'assistant' },
      { role: 'user', content: [{ type: 'tool_result' }, { text: 'and' }] },
      { role: 'system', content: [{ text: 'c' }] },
      { role: 'assistant' },
      { role: 'user', content: [{ text: '<system-reminder>\nd\n</system-reminder>' }] },
    ])
  })
})

describe('thinking in the history', () => {
  const block = { type: 'thinking', thinking: 'hm', signature: 'sig' }
  const thought = (source?: string): Part => ({
    kind: 'reasoning',
    text: 'hm',
    native: { dialect: 'anthropic-messages', value: block, source },
  })

  it('goes back byte for byte to the provider that gave it', () => {
    const turns = [HELLO, turn('assistant', thought('anthropic'), 'Hi'), HELLO]
    expect(writeTurns(...turns)).toMatchObject([{}, { content: [block, { text: 'Hi' }] }, {}])
  })

  it("B24, B25: anybody else's is left out and named, never shown as text", () => {
    const foreign: Part = {
      kind: 'reasoning',
      text: 'secret',
      native: { dialect: 'openai-chat', value: { reasoning_content: 'secret' } },
    }
    const { body, dropped } = write(conversation([HELLO, turn('assistant', thought('other'), foreign, 'Hi'), HELLO]))
    expect(JSON.stringify(body)).not.toMatch(/secret|hm/)
    expect(dropped).toEqual(['messages[].reasoning_content'])
  })

  it('is left out where nothing came of it', () => {
    expect(writeTurns(HELLO, turn('assistant', thought()), turn('user', 'Well?'))).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hello' },
          { type: 'text', text: 'Well?' },
        ],
      },
    ])
  })
})

describe('thinking', () => {
  it.each<[string, Partial<Conversation>, string, JsonObject, string[]]>([
    ['nothing said', {}, 'claude-opus-5', {}, []],
    ['off', { reasoning: { mode: 'off' } }, 'claude-opus-5', { thinking: { type: 'disabled' } }, []],
    ['effort none', { reasoning: { effort: 'none' } }, 'claude-opus-5', { thinking: { type: 'disabled' } }, []],
    [
      'C20: high',
      { reasoning: { effort: 'high' } },
      'claude-opus-5',
      { thinking: { type: 'adaptive' }, output_config: { effort: 'high' } },
      [],
    ],
    [
      'minimal',
      { reasoning: { effort: 'minimal' } },
      'claude-opus-4-6',
      { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } },
      [],
    ],
    [
      'with summaries',
      { reasoning: { effort: 'max', summary: 'auto' } },
      'claude-opus-5',
      { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'max' } },
      [],
    ],
    [
      'C21: an older model',
      { reasoning: { effort: 'high' }, outputTokensMax: 4096 },
      'claude-sonnet-4-5',
      { max_tokens: 4096, thinking: { type: 'enabled', budget_tokens: 2048 } },
      [],
    ],
    [
      'C21: an older model without a limit',
      { reasoning: { effort: 'low' } },
      'claude-sonnet-4-5',
      { max_tokens: 8192, thinking: { type: 'enabled', budget_tokens: 1024 } },
      [],
    ],
    [
      'a budget above the limit',
      { reasoning: { mode: 'on', budgetTokens: 31999 }, outputTokensMax: 2000 },
      'claude-sonnet-4-5',
      { thinking: { type: 'enabled', budget_tokens: 1999 } },
      [],
    ],
    [
      'no room',
      { reasoning: { effort: 'high' }, outputTokensMax: 1000 },
      'claude-sonnet-4-5',
      { max_tokens: 1000 },
      ['reasoning_effort'],
    ],
    ['no thinker', { reasoning: { effort: 'high' } }, 'claude-3-5-haiku', {}, ['reasoning_effort']],
    ['no thinker, off', { reasoning: { mode: 'off' } }, 'claude-3-5-haiku', {}, []],
    [
      'with a forced tool',
      { reasoning: { effort: 'high' }, tools: [tool('look')], toolChoice: { kind: 'required' } },
      'claude-opus-5',
      { tool_choice: { type: 'any' } },
      ['reasoning_effort'],
    ],
    [
      'C23: with a temperature',
      { reasoning: { effort: 'high' }, sampling: { temperature: 0.2, topK: 5, topP: 0.5 } },
      'claude-sonnet-4-5',
      {},
      ['temperature', 'top_p', 'top_k'],
    ],
  ])('%s', (_, more, model, expected, lost) => {
    const { body, dropped } = write(ask(more), { model })
    expect(body).toMatchObject(expected)
    for (const name of ['thinking', 'output_config'])
      if (!(name in expected) && lost[0] !== 'temperature') expect(body).not.toHaveProperty(name)
    for (const name of lost) expect(body).not.toHaveProperty(name)
    expect(dropped).toEqual(lost)
  })

  it('is off with a budget where the turn began without it', () => {
    const turns = [HELLO, turn('assistant', call('a')), turn('user', result('a', 'x'))]
    const asked = conversation(turns, { reasoning: { effort: 'high' }, tools: [tool('look')] })
    expect(write(asked)).toMatchObject({
      body: expect.not.objectContaining({ thinking: expect.anything() }),
      dropped: ['reasoning_effort'],
    })
    expect(write(asked, { model: 'claude-opus-5' }).body).toMatchObject({ thinking: { type: 'adaptive' } })
  })
})

describe('tools', () => {
  it('have an object at the top of their schema, without its $schema', () => {
    const { body } = write(
      ask({ tools: [tool('a', { $schema: 'x', properties: { b: {} } }), { kind: 'function', name: 'c', extras: {} }] }),
    )
    expect(body['tools']).toEqual([
      { name: 'a', input_schema: { type: 'object', properties: { b: {} } } },
      { name: 'c', input_schema: { type: 'object' } },
    ])
  })

  it('have no alternatives at the top of their schema', () => {
    const anyOf = [
      {
        type: 'object',
        properties: { a: { type: 'string' }, b: { type: 'string' } },
        required: ['a', 'b'],
        additionalProperties: false,
      },
      { $ref: '#/$defs/other' },
    ]
    const $defs = { other: { type: 'object', properties: { a: { type: 'number' } }, required: ['a'] } }
    const { body } = write(ask({ tools: [tool('a', { anyOf, $defs }), tool('b', { allOf: anyOf, $defs })] }))
    const properties = { a: { anyOf: [{ type: 'string' }, { type: 'number' }] }, b: { type: 'string' } }
    expect(body['tools']).toEqual([
      { name: 'a', input_schema: { type: 'object', $defs, properties, required: ['a'] } },
      { name: 'b', input_schema: { type: 'object', $defs, properties, required: ['a', 'b'] } },
    ])
  })

  it('C27: are strict only if closed at every level, and where the server takes it', () => {
    const closed = {
      type: 'object',
      properties: { a: { type: 'object', properties: {}, additionalProperties: false } },
      additionalProperties: false,
    }
    const open = { type: 'object', properties: { a: { type: 'object', properties: {} } }, additionalProperties: false }
    const strict = (name: string, parameters: JsonObject): Tool => ({
      kind: 'function',
      name,
      parameters,
      strict: true,
      extras: {},
    })
    const { body, dropped } = write(ask({ tools: [strict('a', closed), strict('b', open)] }))
    expect(body['tools']).toEqual([
      { name: 'a', input_schema: closed, strict: true },
      { name: 'b', input_schema: open },
    ])
    expect(dropped).toEqual(['tools[].function.strict'])
  })

  it.each<[string, Partial<Conversation>, unknown, string[]]>([
    ['auto', { toolChoice: { kind: 'auto' } }, { type: 'auto' }, ['a', 'b']],
    ['none', { toolChoice: { kind: 'none' }, parallelToolCalls: false }, { type: 'none' }, ['a', 'b']],
    ['required', { toolChoice: { kind: 'required' } }, { type: 'any' }, ['a', 'b']],
    ['one', { toolChoice: { kind: 'tool', name: 'b' } }, { type: 'tool', name: 'b' }, ['a', 'b']],
    [
      'C25: some',
      { toolChoice: { kind: 'allowed', mode: 'required', tools: [{ name: 'b' }] } },
      { type: 'any' },
      ['b'],
    ],
    ['C25: serial', { parallelToolCalls: false }, { type: 'auto', disable_parallel_tool_use: true }, ['a', 'b']],
    [
      'serial, required',
      { toolChoice: { kind: 'required' }, parallelToolCalls: false },
      { type: 'any', disable_parallel_tool_use: true },
      ['a', 'b'],
    ],
    ['unsaid', {}, undefined, ['a', 'b']],
  ])('are chosen: %s', (_, more, choice, names) => {
    const { body } = write(ask({ tools: [tool('a'), tool('b')], ...more }))
    expect(body['tool_choice']).toEqual(choice)
    expect(body['tools']).toMatchObject(names.map((name) => ({ name })))
  })

  it('a choice of a tool that is not there is named as lost', () => {
    const { body, dropped } = write(ask({ tools: [tool('a')], toolChoice: { kind: 'tool', name: 'b' } }))
    expect(body).not.toHaveProperty('tool_choice')
    expect(dropped).toEqual(['tool_choice'])
  })

  it('that only the history knows are declared, and not to be called', () => {
    const turns = [HELLO, turn('assistant', call('t')), turn('user', result('t', 'x'))]
    expect(write(conversation(turns)).body).toMatchObject({ tools: [{ name: 'look' }], tool_choice: { type: 'none' } })
  })

  it('that a provider runs: web search and MCP as Anthropic has them, others named as lost', () => {
    const tools: Tool[] = [
      {
        kind: 'hosted',
        capability: 'web-search',
        name: 'web_search',
        native: { dialect: 'openai-responses', value: { type: 'web_search' } },
        webSearch: { allowedDomains: ['a.org'], location: { city: 'Bern' } },
      },
      {
        kind: 'hosted',
        capability: 'mcp',
        name: 'desk',
        native: { dialect: 'openai-responses', value: { type: 'mcp' } },
        mcp: { serverName: 'desk', url: 'https://desk', allowedTools: ['ask'] },
      },
      {
        kind: 'hosted',
        capability: 'other',
        name: 'image_generation',
        native: { dialect: 'openai-responses', value: { type: 'image_generation' } },
      },
    ]
    const chosen = { kind: 'native', native: { dialect: 'openai-responses', value: { type: 'web_search' } } } as const
    const { body, dropped } = write(ask({ tools, toolChoice: chosen }), { dialect: 'openai-responses' })
    expect(body).toMatchObject({
      tools: [
        {
          type: 'web_search_20250305',
          name: 'web_search',
          allowed_domains: ['a.org'],
          user_location: { type: 'approximate', city: 'Bern' },
        },
        {
          type: 'mcp_toolset',
          mcp_server_name: 'desk',
          default_config: { enabled: false },
          configs: { ask: { enabled: true } },
        },
      ],
      mcp_servers: [{ type: 'url', name: 'desk', url: 'https://desk' }],
      tool_choice: { type: 'tool', name: 'web_search' },
    })
    expect(dropped).toEqual(['tools[].image_generation'])
    expect(anthropicMessages.requestHeaders?.(body)).toEqual({ 'anthropic-beta': 'mcp-client-2025-11-20' })
    expect(anthropicMessages.requestHeaders?.({})).toEqual({})
    expect(write(ask({ tools }), { profile: { hosted: new Set() }, dialect: 'openai-responses' }).dropped).toHaveLength(
      3,
    )
  })
})

describe('pictures, files and sound', () => {
  const of = (part: Part): unknown => (writeTurns(turn('user', part)) as { content: unknown[] }[])[0]?.content[0]

  it.each<[string, Part, JsonObject]>([
    [
      'C28: a picture by address',
      { kind: 'image', source: { kind: 'url', url: 'https://a/b.png' } },
      { type: 'image', source: { type: 'url', url: 'https://a/b.png' } },
    ],
    [
      'C28: a picture by content',
      { kind: 'image', source: { kind: 'base64', mediaType: 'image/jpg', data: 'AA' } },
      { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: 'AA' } },
    ],
    [
      'a PDF',
      { kind: 'file', name: 'a.pdf', source: { kind: 'base64', mediaType: 'application/pdf', data: 'AA' } },
      { type: 'document', title: 'a.pdf', source: { type: 'base64', media_type: 'application/pdf', data: 'AA' } },
    ],
    [
      'a text file',
      { kind: 'file', source: { kind: 'base64', mediaType: 'text/csv', data: Buffer.from('ä,b').toString('base64') } },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'ä,b' } },
    ],
    [
      'a picture as a file',
      { kind: 'file', source: { kind: 'base64', mediaType: 'image/png', data: 'AA' } },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } },
    ],
    [
      'a PDF by address',
      { kind: 'file', source: { kind: 'url', url: 'http://a/b.pdf' } },
      { type: 'document', source: { type: 'url', url: 'http://a/b.pdf' } },
    ],
  ])('%s', (_, part, block) => {
    expect(of(part)).toEqual(block)
  })

  it.each<[Part, string]>([
    [{ kind: 'image', source: { kind: 'url', url: 'ftp://a/b.png' } }, 'messages[].content[].image'],
    [
      { kind: 'image', source: { kind: 'file-id', dialect: 'openai-responses', id: 'file-1' } },
      'kept at another vendor',
    ],
    [{ kind: 'file', source: { kind: 'base64', mediaType: 'application/zip', data: 'AA' } }, 'application/zip'],
    [{ kind: 'audio', format: 'wav', data: 'AA' }, 'messages[].content[].input_audio'],
  ])('what cannot be given to the model is refused: %j', (part, reason) => {
    expect(() => writeTurns(turn('user', part))).toThrow(reason)
  })

  it('B8: a picture for a model that sees none is refused', () => {
    const asked = conversation([turn('user', { kind: 'image', source: { kind: 'url', url: 'https://a' } })])
    expect(() => write(asked, { profile: { takesImages: false } })).toThrow('sees no pictures')
  })
})

describe('the rest of a request', () => {
  it.each<[string, Partial<Conversation>, JsonObject, string[]]>([
    ['a limit', { outputTokensMax: 7 }, { max_tokens: 7 }, []],
    ['no limit', {}, { max_tokens: 8192 }, []],
    ['temperature of OpenAI', { sampling: { temperature: 1.5 } }, {}, ['temperature']],
    ['temperature', { sampling: { temperature: 0.5, topP: 0.9, topK: 3 } }, { temperature: 0.5, top_k: 3 }, ['top_p']],
    [
      'what Anthropic lacks',
      { sampling: { seed: 1, presencePenalty: 0.1, frequencyPenalty: 0, logprobs: true, logitBias: {} } },
      {},
      ['seed', 'presence_penalty', 'logprobs', 'logit_bias'],
    ],
    ['stops', { sampling: { stop: ['END', '\n'] } }, { stop_sequences: ['END'] }, ['stop']],
    [
      'C29: user',
      { user: 'me', metadata: { user_id: 'other', x: '1' } },
      { metadata: { user_id: 'me' } },
      ['metadata'],
    ],
    ['C29: metadata', { metadata: { user_id: 'other' } }, { metadata: { user_id: 'other' } }, []],
    ['D45: priority', { serviceTier: 'priority' }, { service_tier: 'auto' }, []],
    ['D45: flex', { serviceTier: 'flex' }, {}, ['service_tier']],
    ['a cache mark of the request', { caching: { mark: {} } }, { cache_control: { type: 'ephemeral' } }, []],
    ['stream', { stream: true }, { stream: true }, []],
    ['extras of others', { extras: { 'openai-chat': { store: true } } }, {}, ['store']],
  ])('%s', (_, more, expected, lost) => {
    const { body, dropped } = write(ask(more))
    expect(body).toMatchObject(expected)
    expect(dropped).toEqual(lost)
  })

  it('C33: several answers are refused', () => {
    expect(() => write(ask({ sampling: { choices: 2 } }))).toThrow('n cannot be asked of anthropic')
  })

  it('C24: a schema is the format, closed as Anthropic demands', () => {
    const schema = {
      type: 'object',
      properties: { list: { type: 'array', items: { type: 'object', properties: {} } } },
    }
    const { body } = write(ask({ format: { kind: 'json-schema', name: 'a', schema } }))
    expect(body['output_config']).toEqual({
      format: {
        type: 'json_schema',
        schema: {
          type: 'object',
          properties: {
            list: { type: 'array', items: { type: 'object', properties: {}, additionalProperties: false } },
          },
          additionalProperties: false,
        },
      },
    })
  })

  it('D27: a format without a schema, or for an older model, is told to the model and named as lost', () => {
    const { body, dropped } = write(ask({ format: { kind: 'json-object' } }))
    expect(body['system']).toEqual([{ type: 'text', text: 'Answer with nothing but one JSON object.' }])
    expect(dropped).toEqual(['response_format'])
    const old = write(ask({ format: { kind: 'json-schema', schema: { type: 'object' } } }), {
      model: 'claude-3-5-haiku',
    })
    expect(JSON.stringify(old.body['system'])).toContain('JSON schema')
  })

  it('C31: cache marks stay on their blocks, the last four of them', () => {
    const marked = (words: string): Part => ({ kind: 'text', text: words, cacheMark: { ttl: '1h' } })
    const turns = [turn('system', marked('a')), turn('user', marked('b'), marked('c'), marked('d'))]
    const asked = conversation(turns, { tools: [{ ...tool('t'), cacheMark: {} } as Tool] })
    const { body, dropped } = write(asked)
    expect(body['tools']).not.toMatchObject([{ cache_control: expect.anything() }])
    expect(JSON.stringify(body).match(/cache_control/g)).toHaveLength(4)
    expect(body['system']).toMatchObject([{ cache_control: { type: 'ephemeral', ttl: '1h' } }])
    expect(dropped).toEqual(['cache_control'])
  })

  it('B36: a prompt with the key of a cache is marked where it grows, unless the client marked it', () => {
    const turns = [turn('system', 'a'), HELLO]
    const mark = { cache_control: { type: 'ephemeral', ttl: '1h' } }
    const asked = conversation(turns, { caching: { key: 'k', retention: '24h' } })
    expect(write(asked)).toMatchObject({ body: { system: [mark], messages: [{ content: [mark] }] }, dropped: [] })
    const marked = conversation([turn('system', { kind: 'text', text: 'a', cacheMark: {} }), HELLO], {
      caching: { key: 'k' },
    })
    expect(JSON.stringify(write(marked).body).match(/cache_control/g)).toHaveLength(1)
    const { body, dropped } = write(asked, { profile: { takesCacheMarks: false } })
    expect(JSON.stringify(body)).not.toContain('cache_control')
    expect(dropped).toEqual(['prompt_cache_key'])
  })

  it('a request of Anthropic keeps what only Anthropic has', () => {
    const asked = read(
      request({
        container: 'c1',
        messages: [
          {
            role: 'user',
            content: [{ type: 'search_result', source: 's', title: 't', content: [{ type: 'text', text: 'x' }] }],
          },
        ],
      }),
    )
    expect(write(asked, { dialect: 'anthropic-messages' })).toMatchObject({
      body: { container: 'c1', messages: [{ content: [{ type: 'search_result', title: 't' }] }] },
      dropped: [],
    })
  })
})
