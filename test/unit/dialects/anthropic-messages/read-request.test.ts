import { readFileSync } from 'node:fs'
import Anthropic from '@anthropic-ai/sdk'
import { describe, expect, it } from 'vitest'
import { TokError, toTokError } from '../../../../src/base/errors.ts'
import { errorReply } from '../../../../src/dialects/error-reply.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { sealState } from '../../../../src/dialects/conversation/opaque-state.ts'
import { read, readMessages, request, seal } from './pieces.ts'

const user = (content: unknown): JsonObject => ({ role: 'user', content })
const assistant = (...content: JsonObject[]): JsonObject => ({ role: 'assistant', content })
const system = (content: unknown, more: JsonObject = {}): JsonObject => ({ role: 'system', content, ...more })
const partsOf = (content: unknown): unknown => readMessages(user(content))[0]?.parts

describe('system texts', () => {
  it('come first where they stand outside the messages, as a text or as blocks', () => {
    expect(read(request({ system: 'Be brief.' })).turns[0]).toMatchObject({
      role: 'system',
      isTopLevel: true,
      parts: [{ kind: 'text', text: 'Be brief.' }],
    })
    const blocks = [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral', ttl: '1h' } }]
    expect(read(request({ system: blocks })).turns[0]?.parts).toMatchObject([
      { text: 'Be brief.', cacheMark: { ttl: '1h' } },
    ])
  })

  it('B1: leave out the note to Anthropic that changes from build to build', () => {
    const note = { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1.330.4f7; cc_entrypoint=sdk-cli;' }
    const [first] = read(request({ system: [note, { type: 'text', text: 'Be brief.' }] })).turns
    expect(first?.parts).toMatchObject([{ text: 'Be brief.' }])
    expect(read(request({ system: [note] })).turns.map(({ role }) => role)).toEqual(['user'])
  })

  it('B3: stand where they are put between messages, as a text or as blocks', () => {
    const turns = readMessages(
      user('a'),
      system('b'),
      assistant({ type: 'text', text: 'c' }),
      user('d'),
      system([{ type: 'text', text: 'e' }]),
    )
    expect(turns.map(({ role, parts }) => [role, parts[0]])).toMatchObject([
      ['user', { text: 'a' }],
      ['system', { text: 'b' }],
      ['assistant', { text: 'c' }],
      ['user', { text: 'd' }],
      ['system', { text: 'e' }],
    ])
  })

  it('B4: are gone once the user spoke again, where they are to be cleared then', () => {
    const passing = { clear_at: 'next_user_message' }
    const turns = readMessages(user('a'), system('old', passing), user('b'), system('new', passing), system('kept'))
    expect(turns.flatMap(({ role, parts }) => (role === 'system' ? parts : []))).toMatchObject([
      { text: 'new' },
      { text: 'kept' },
    ])
  })

  it.each([
    ['right after the user', [user('a'), system([], { output_config: { effort: 'low' } })], 'low'],
    [
      'before the next input',
      [user('a'), assistant({ type: 'text', text: 'b' }), system([], { output_config: { effort: 'max' } }), user('c')],
      'max',
    ],
    [
      'in an earlier turn',
      [user('a'), system('s', { output_config: { effort: 'low' } }), assistant({ type: 'text', text: 'b' }), user('c')],
      'low',
    ],
    [
      'after results of tools, which are no new input',
      [
        user('a'),
        assistant({ type: 'tool_use', id: 't', name: 'look', input: {} }),
        user([{ type: 'tool_result', tool_use_id: 't', content: 'x' }]),
        system([], { output_config: { effort: 'low' } }),
      ],
      'high',
    ],
  ])('B4: set the effort from there on: %s', (_, messages, effort) => {
    expect(read(request({ messages, output_config: { effort: 'high' } })).reasoning.effort).toBe(effort)
  })

  it('B4: add and remove tools', () => {
    const tool = (name: string, more: JsonObject = {}): JsonObject => ({
      name,
      input_schema: { type: 'object' },
      ...more,
    })
    const { tools, turns } = read(
      request({
        tools: [tool('early'), tool('late', { defer_loading: true })],
        messages: [
          user('a'),
          system([
            { type: 'tool_removal', tool: { type: 'tool_reference', name: 'early' } },
            { type: 'tool_addition', tool: { type: 'tool_reference', name: 'late' } },
            { type: 'tool_addition', tool: { type: 'tool_definition', definition: tool('new') } },
          ]),
        ],
      }),
    )
    expect(tools).toMatchObject([
      { name: 'late', isDeferred: false },
      { name: 'new', isDeferred: false },
    ])
    expect(turns).toHaveLength(1)
  })
})

describe('content', () => {
  it('B7: keeps texts and pictures in order', () => {
    const picture = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }
    expect(partsOf([{ type: 'text', text: 'a' }, picture, { type: 'text', text: 'b' }])).toMatchObject([
      { kind: 'text', text: 'a' },
      { kind: 'image', source: { kind: 'base64', mediaType: 'image/png', data: 'AAAA' } },
      { kind: 'text', text: 'b' },
    ])
  })

  it.each([
    [
      { type: 'image', source: { type: 'url', url: 'https://a/b.png' } },
      { kind: 'image', source: { kind: 'url', url: 'https://a/b.png' } },
    ],
    [
      { type: 'image', source: { type: 'file', file_id: 'f1' } },
      { kind: 'image', source: { kind: 'file-id', dialect: 'anthropic-messages', id: 'f1' } },
    ],
    [
      { type: 'document', title: 'T', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' } },
      { kind: 'file', name: 'T', source: { kind: 'base64', mediaType: 'application/pdf', data: 'JVBE' } },
    ],
    [
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'words' } },
      { kind: 'file', source: { kind: 'text', mediaType: 'text/plain', text: 'words' } },
    ],
    [
      {
        type: 'document',
        context: 'c',
        source: {
          type: 'content',
          content: [
            { type: 'text', text: 'x' },
            { type: 'text', text: 'y' },
          ],
        },
      },
      { kind: 'file', source: { kind: 'text', text: 'x\ny' }, extras: { 'anthropic-messages': { context: 'c' } } },
    ],
    [
      { type: 'search_result', source: 'https://a', title: 'T', content: [{ type: 'text', text: 'found' }] },
      { kind: 'native', type: 'search_result', text: 'T\nhttps://a\nfound' },
    ],
    [
      { type: 'container_upload', file_id: 'f' },
      { kind: 'native', type: 'container_upload', text: undefined },
    ],
    [
      { type: 'compaction', content: 'what was', encrypted_content: 'x' },
      { kind: 'native', type: 'compaction', text: 'what was' },
    ],
  ])('B32: reads %j', (block, part) => {
    expect(partsOf([block])).toMatchObject([part])
  })

  it('gives the parts of a document of texts and pictures one by one', () => {
    const picture = { type: 'image', source: { type: 'url', url: 'https://a/b.png' } }
    const document = { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'x' }, picture] } }
    expect(partsOf([document])).toMatchObject([{ kind: 'text' }, { kind: 'image' }])
  })

  it.each([
    ['a text', 'done', [{ kind: 'text', text: 'done' }]],
    ['nothing', undefined, []],
    ['an empty text', '', [{ kind: 'text', text: '' }]],
    ['an object', { ok: true }, [{ kind: 'text', text: '{"ok":true}' }]],
    [
      'blocks',
      [
        { type: 'text', text: 'a' },
        { type: 'image', source: { type: 'url', url: 'https://a' } },
      ],
      [{ kind: 'text' }, { kind: 'image' }],
    ],
    [
      'a reference',
      [{ type: 'tool_reference', tool_name: 'WebFetch' }],
      [{ kind: 'tool-reference', name: 'WebFetch' }],
    ],
  ])('B9: reads a tool result that is %s', (_, content, parts) => {
    const block = {
      type: 'tool_result',
      tool_use_id: 't',
      is_error: true,
      ...(content === undefined ? {} : { content }),
    }
    expect(partsOf([block])).toMatchObject([{ kind: 'tool-result', callId: 't', isError: true, content: parts }])
  })

  it('reads a call with its input as the text a model would have written', () => {
    const [turn] = readMessages(
      assistant({ type: 'tool_use', id: 't', name: 'look', input: { at: 'grüße' }, caller: { type: 'direct' } }),
    )
    expect(turn?.parts).toMatchObject([{ kind: 'tool-call', callId: 't', name: 'look', input: '{"at":"grüße"}' }])
  })

  it('B23: opens the state of another provider that this node sealed into a signature, or into redacted thinking', () => {
    const state = {
      dialect: 'openai-responses',
      value: { id: 'rs_1', encrypted_content: 'x' },
      source: 'openai',
      model: 'm',
    } as const
    const sealed = sealState(seal, state)
    const [turn] = readMessages(
      assistant({ type: 'thinking', thinking: 'hm', signature: sealed }, { type: 'redacted_thinking', data: sealed }),
    )
    expect(turn?.parts).toEqual([
      { kind: 'reasoning', text: 'hm', native: state },
      { kind: 'reasoning', text: '', native: state },
    ])
  })

  it("B24: keeps Anthropic's own thinking as it is, and nothing of what another node sealed", () => {
    const block = { type: 'thinking', thinking: 'hm', signature: 'ZmFr' }
    const [turn] = readMessages(assistant(block, { type: 'thinking', thinking: 'ha', signature: 'tok1.AAAA.BBBB' }))
    expect(turn?.parts).toEqual([
      { kind: 'reasoning', text: 'hm', native: { dialect: 'anthropic-messages', value: block } },
      { kind: 'reasoning', text: 'ha', native: undefined },
    ])
  })
})

describe('tools', () => {
  it('keep their schema, description, strictness, cache mark, and what only Anthropic has', () => {
    const parameters = { type: 'object', properties: {} }
    const tool = {
      name: 'look',
      description: 'Looks',
      input_schema: parameters,
      strict: true,
      cache_control: { type: 'ephemeral' },
      input_examples: [{}],
    }
    expect(read(request({ tools: [tool] })).tools).toMatchObject([
      {
        kind: 'function',
        name: 'look',
        description: 'Looks',
        parameters,
        strict: true,
        cacheMark: {},
        extras: { 'anthropic-messages': { input_examples: [{}] } },
      },
    ])
  })

  it('B11, B12: are deferred until referenced; the placeholder of Claude Code is none', () => {
    const tools = [
      { name: 'DeferredToolPlaceholder', input_schema: { type: 'object', properties: {} }, defer_loading: true },
      { name: 'WebFetch', input_schema: { type: 'object' }, defer_loading: true },
    ]
    expect(read(request({ tools })).tools).toMatchObject([{ name: 'WebFetch', isDeferred: true }])
  })

  it('are offered at once where Anthropic itself would search for them', () => {
    const tools = [
      { type: 'tool_search_tool_regex_20251119', name: 'tool_search_tool_regex' },
      { name: 'WebFetch', input_schema: { type: 'object' }, defer_loading: true },
    ]
    expect(read(request({ tools })).tools).toMatchObject([
      { kind: 'hosted', capability: 'other' },
      { isDeferred: false },
    ])
  })

  it('B15: that Anthropic runs are no functions', () => {
    const tools = [
      {
        type: 'web_search_20250305',
        name: 'web_search',
        max_uses: 8,
        allowed_domains: ['a.org'],
        user_location: { type: 'approximate', city: 'Bern' },
      },
      { type: 'web_fetch_20250910', name: 'web_fetch' },
      {
        type: 'mcp_toolset',
        mcp_server_name: 'desk',
        default_config: { enabled: false },
        configs: { ask: { enabled: true } },
      },
    ]
    const servers = [
      { type: 'url', name: 'desk', url: 'https://desk', authorization_token: 'secret' },
      { type: 'url', name: 'shelf', url: 'https://shelf', tool_configuration: { allowed_tools: ['get'] } },
    ]
    expect(read(request({ tools, mcp_servers: servers })).tools).toMatchObject([
      {
        kind: 'hosted',
        capability: 'web-search',
        webSearch: { usesMax: 8, allowedDomains: ['a.org'], location: { city: 'Bern' } },
      },
      { kind: 'hosted', capability: 'other', name: 'web_fetch' },
      {
        kind: 'hosted',
        capability: 'mcp',
        mcp: { serverName: 'desk', url: 'https://desk', authorization: 'secret', allowedTools: ['ask'] },
      },
      { kind: 'hosted', capability: 'mcp', mcp: { serverName: 'shelf', url: 'https://shelf', allowedTools: ['get'] } },
    ])
  })

  it.each([
    [{ type: 'bash_20250124', name: 'bash' }, ['command', 'restart']],
    [{ type: 'text_editor_20250728', name: 'str_replace_based_edit_tool' }, ['command', 'path', 'insert_text']],
    [{ type: 'text_editor_20250124', name: 'str_replace_editor' }, ['command', 'path', 'new_str']],
    [{ type: 'memory_20250818', name: 'memory' }, ['command', 'path', 'old_path']],
    [
      { type: 'computer_20250124', name: 'computer', display_width_px: 1024, display_height_px: 768 },
      ['action', 'coordinate', 'scroll_amount'],
    ],
  ])('that Anthropic defines and the client runs are functions: %j', (tool, names) => {
    const [first] = read(request({ tools: [tool] })).tools
    expect(first).toMatchObject({ kind: 'function', name: tool.name })
    expect(Object.keys(Object(first?.kind === 'function' ? first.parameters?.['properties'] : {}))).toEqual(
      expect.arrayContaining(names),
    )
  })

  it.each([
    [{ type: 'auto' }, { kind: 'auto' }, undefined],
    [{ type: 'any', disable_parallel_tool_use: true }, { kind: 'required' }, false],
    [{ type: 'none' }, { kind: 'none' }, undefined],
    [{ type: 'tool', name: 'look' }, { kind: 'tool', name: 'look' }, undefined],
    [{ type: 'tool', name: 'web_search' }, { kind: 'native' }, undefined],
  ])('are chosen by %j', (choice, expected, parallel) => {
    const tools = [
      { name: 'look', input_schema: {} },
      { type: 'web_search_20250305', name: 'web_search' },
    ]
    const asked = read(request({ tools, tool_choice: choice }))
    expect(asked.toolChoice).toMatchObject(expected)
    expect(asked.parallelToolCalls).toBe(parallel)
  })
})

describe('settings', () => {
  it.each<[string, JsonObject, JsonObject]>([
    ['B19: nothing said is off', {}, { mode: 'off' }],
    [
      'B20: off, whatever the effort',
      { thinking: { type: 'disabled' }, output_config: { effort: 'high' } },
      { mode: 'off' },
    ],
    ['B21: a budget', { thinking: { type: 'enabled', budget_tokens: 4096 } }, { mode: 'on', budgetTokens: 4096 }],
    ['B21: adaptive', { thinking: { type: 'adaptive', display: 'omitted' } }, { mode: 'adaptive', summary: 'omitted' }],
    [
      'B21: adaptive with effort',
      { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } },
      { mode: 'adaptive', effort: 'low' },
    ],
    ['B21: effort alone', { output_config: { effort: 'max' } }, { effort: 'max' }],
    [
      'B21: a budget with effort',
      { thinking: { type: 'enabled', budget_tokens: 4096 }, output_config: { effort: 'low' } },
      { mode: 'on', budgetTokens: 4096, effort: 'low' },
    ],
  ])('of thinking: %s', (_, more, wish) => {
    expect(read(request(more)).reasoning).toEqual(wish)
  })

  it('B17: a format is read from output_config and from output_format', () => {
    const format = { type: 'json_schema', schema: { type: 'object' } }
    const expected = { kind: 'json-schema', schema: { type: 'object' } }
    expect(read(request({ output_config: { format } })).format).toEqual(expected)
    expect(read(request({ output_format: format })).format).toEqual(expected)
  })

  it('B36: the session of Claude Code is the key of a cache', () => {
    const userId = JSON.stringify({ device_id: 'd', account_uuid: '', session_id: 's1' })
    const asked = read(request({ metadata: { user_id: userId }, cache_control: { type: 'ephemeral' } }))
    expect(asked.caching).toEqual({ key: 's1', mark: { ttl: undefined } })
    expect(asked.user).toBe(userId)
    expect(read(request({ metadata: { user_id: 'me' } })).caching.key).toBeUndefined()
  })

  it('of sampling, stops, limit, tier and the rest', () => {
    const asked = read(
      request({
        temperature: 0,
        top_p: 0.5,
        top_k: 4,
        stop_sequences: ['END'],
        speed: 'fast',
        stream: true,
        container: 'c1',
        context_management: {},
      }),
    )
    expect(asked).toMatchObject({
      stream: true,
      outputTokensMax: 1024,
      sampling: { temperature: 0, topP: 0.5, topK: 4, stop: ['END'] },
      serviceTier: 'fast',
      extras: { 'anthropic-messages': { container: 'c1', context_management: {} } },
    })
    expect(read(request({ service_tier: 'standard_only' })).serviceTier).toBe('default')
  })
})

describe('a request that cannot be read is refused by the name of its member', () => {
  const unreadable: readonly (readonly [JsonObject, string])[] = [
    [{ messages: 'Hello' }, 'messages is'],
    [{ messages: [7] }, 'messages[0] '],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role '],
    [{ messages: [user(7)] }, 'messages[0].content '],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content '],
    [{ messages: [user([7])] }, 'messages[0].content[0] '],
    [{ messages: [user([{ text: 'x' }])] }, 'messages[0].content[0].type '],
    [{ messages: [user([{ type: 'text' }])] }, 'messages[0].content[0].text '],
    [{ messages: [user([{ type: 'image' }])] }, 'messages[0].content[0].source '],
    [{ messages: [assistant({ type: 'tool_use', id: 't', name: '', input: {} })] }, 'messages[0].content[0].name '],
    [{ messages: [user([{ type: 'tool_result', content: 'x' }])] }, 'messages[0].content[0].tool_use_id '],
    [{ model: 7 }, 'model '],
    [{ stream: 'true' }, 'stream '],
    [{ system: 7 }, 'system '],
    [{ tools: {} }, 'tools '],
    [{ tools: [{ input_schema: {} }] }, 'tools[0].name '],
    [{ tools: [{ name: 'a', input_schema: 7 }] }, 'tools[0].input_schema '],
    [{ tool_choice: { type: 'some' } }, 'tool_choice.type '],
    [{ tool_choice: { type: 'tool' } }, 'tool_choice.name '],
    [{ thinking: { type: 'deep' } }, 'thinking.type '],
    [{ output_config: { format: { type: 'xml' } } }, 'output_config.format '],
  ]
  it.each(unreadable)('B28: %j', (more, reason) => {
    const failure = (): unknown => read(request(more))
    expect(failure).toThrow(TokError)
    expect(failure).toThrow(reason)
  })

  it('and so is one that Anthropic is to keep, in words on which its SDK sends all of it', async () => {
    let requests = 0
    const answer = (_: unknown, init?: { body?: unknown }): Promise<Response> => {
      requests += 1
      try {
        const { stream } = read(JSON.parse(String(init?.body)) as JsonObject)
        const message = {
          id: `msg_${requests}`,
          type: 'message',
          role: 'assistant',
          stop_reason: 'end_turn',
          usage: {},
        }
        return Promise.resolve(Response.json({ ...message, content: [{ type: 'text', text: String(stream) }] }))
      } catch (thrown) {
        const { status, body } = errorReply('anthropic', toTokError(thrown), 'r1')
        return Promise.resolve(new Response(body, { status, headers: { 'content-type': 'application/json' } }))
      }
    }
    const client = new Anthropic({ apiKey: 'none', fetch: answer, maxRetries: 0 })
    const messages = [{ role: 'user', content: 'Hello' } as const]
    const message = await client.beta.messages.toolRunner({ model: 'm', max_tokens: 9, messages, tools: [] })
    expect(message.content).toEqual([{ type: 'text', text: 'false' }])
    expect(requests).toBe(2)
    expect(() => read(request({ thread: { type: 'create' } }))).toThrow('thread cannot be asked of a provider')
  })
})

it('requests as Claude Code sends them are read', () => {
  const folder = new URL('../../../fixtures/requests/claude-code-like/', import.meta.url)
  for (const name of ['01-messages.json', '02-messages.json']) {
    const { body } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as { body: JsonObject }
    const asked = read(body)
    expect(asked.turns.length).toBeGreaterThan(1)
    expect(JSON.stringify(asked)).not.toContain('x-anthropic-billing-header')
  }
})
