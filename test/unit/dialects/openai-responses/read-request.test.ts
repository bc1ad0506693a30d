import { describe, expect, test } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import type { Conversation, Part } from '../../../../src/dialects/conversation/conversation.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import { createOpaqueSeal, sealState } from '../../../../src/dialects/conversation/opaque-state.ts'
import { createToolBridge } from '../../../../src/dialects/conversation/tool-bridge.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { readRequest } from '../../../../src/dialects/openai-responses/read-request.ts'
import { profileOf } from '../../../../src/dialects/profiles.ts'

const seal = createOpaqueSeal(Buffer.alloc(32, 1))
const PIXEL = 'iVBORw0KGgo='

function read(body: JsonObject): Conversation {
  return readRequest({ model: 'm', ...body }, { seal, losses: createLosses('openai-responses') })
}

/** Role and parts of each turn, without what is undefined. */
function turnsOf(input: unknown): unknown {
  return JSON.parse(JSON.stringify(read({ input }).turns.map(({ role, parts }) => [role, parts])))
}

function partsOf(input: readonly unknown[]): readonly Part[] {
  return read({ input }).turns.flatMap(({ parts }) => parts)
}

function failureOf(body: JsonObject): TokError {
  try {
    read(body)
  } catch (thrown) {
    if (thrown instanceof TokError) return thrown
    throw thrown
  }
  throw new Error('the request was read')
}

/** The tools as a server that knows functions only would be offered them. */
function offered(body: JsonObject): readonly unknown[] {
  const conversation = read(body)
  const profile = profileOf({ dialect: 'openai-chat', provider: 'local', isVendor: false, model: 'm' })
  return createToolBridge(conversation, profile).tools.map(({ wireName, wireKind }) => `${wireKind} ${wireName}`)
}

describe('items of input', () => {
  const text = (value: string) => ({ kind: 'text', text: value })

  test.each<readonly [string, unknown, unknown]>([
    ['a string is what the user says', 'Hi', [['user', [text('Hi')]]]],
    ['an item without a type is a message', [{ role: 'user', content: 'Hi' }], [['user', [text('Hi')]]]],
    [
      'system and developer items stand where they were put',
      [
        { role: 'user', content: 'a' },
        { type: 'message', role: 'developer', content: 'b' },
        { role: 'system', content: 'c' },
      ],
      [
        ['user', [text('a')]],
        ['developer', [text('b')]],
        ['system', [text('c')]],
      ],
    ],
    [
      'what the assistant said and refused',
      [
        {
          type: 'message',
          role: 'assistant',
          content: [
            { type: 'output_text', text: 'a', annotations: [], logprobs: [] },
            { type: 'refusal', refusal: 'no' },
          ],
        },
      ],
      [['assistant', [text('a'), { kind: 'refusal', text: 'no' }]]],
    ],
    [
      'pictures and files in their place',
      [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'a' },
            { type: 'input_image', image_url: `data:image/png;base64,${PIXEL}`, detail: 'high' },
            { type: 'input_image', image_url: 'https://example.org/a.png' },
            { type: 'input_image', file_id: 'file-1' },
            { type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${PIXEL}` },
            { type: 'input_file', file_url: 'https://example.org/a.pdf' },
            { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
          ],
        },
      ],
      [
        [
          'user',
          [
            text('a'),
            { kind: 'image', source: { kind: 'base64', mediaType: 'image/png', data: PIXEL }, detail: 'high' },
            { kind: 'image', source: { kind: 'url', url: 'https://example.org/a.png' } },
            { kind: 'image', source: { kind: 'file-id', dialect: 'openai-responses', id: 'file-1' } },
            {
              kind: 'file',
              source: { kind: 'base64', mediaType: 'application/pdf', data: PIXEL },
              name: 'a.pdf',
            },
            { kind: 'file', source: { kind: 'url', url: 'https://example.org/a.pdf' } },
            { kind: 'audio', format: 'wav', data: 'AA==' },
          ],
        ],
      ],
    ],
    [
      'a function call of a namespace and its result',
      [
        {
          type: 'function_call',
          call_id: 'c',
          name: 'get_weather',
          namespace: 'mcp__desk',
          arguments: '{"city":"Lisbon"}',
        },
        { type: 'function_call_output', call_id: 'c', output: 'rainy' },
      ],
      [
        [
          'assistant',
          [
            {
              kind: 'tool-call',
              toolKind: 'function',
              callId: 'c',
              name: 'get_weather',
              namespace: 'mcp__desk',
              input: '{"city":"Lisbon"}',
            },
          ],
        ],
        [
          'user',
          [{ kind: 'tool-result', toolKind: 'function', callId: 'c', content: [text('rainy')], isError: false }],
        ],
      ],
    ],
    [
      'D15: a freeform call and its result, be it a text or a list',
      [
        { type: 'custom_tool_call', call_id: 'c', name: 'apply_patch', input: '*** Begin Patch' },
        { type: 'custom_tool_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'done' }] },
      ],
      [
        [
          'assistant',
          [{ kind: 'tool-call', toolKind: 'custom', callId: 'c', name: 'apply_patch', input: '*** Begin Patch' }],
        ],
        ['user', [{ kind: 'tool-result', toolKind: 'custom', callId: 'c', content: [text('done')], isError: false }]],
      ],
    ],
    [
      'a shell call and its output, as JSON',
      [
        { type: 'shell_call', call_id: 'c', action: { commands: ['ls'] } },
        {
          type: 'shell_call_output',
          call_id: 'c',
          output: [{ stdout: 'a\n', stderr: '', outcome: { type: 'exit', exit_code: 0 } }],
        },
      ],
      [
        [
          'assistant',
          [{ kind: 'tool-call', toolKind: 'shell', callId: 'c', name: 'shell', input: '{"commands":["ls"]}' }],
        ],
        [
          'user',
          [
            {
              kind: 'tool-result',
              toolKind: 'shell',
              callId: 'c',
              content: [text('[{"stdout":"a\\n","stderr":"","outcome":{"type":"exit","exit_code":0}}]')],
              isError: false,
            },
          ],
        ],
      ],
    ],
    [
      'a local shell call, whose output names the item',
      [
        { type: 'local_shell_call', id: 'lsh_1', call_id: 'c', action: { type: 'exec', command: ['ls'], env: {} } },
        { type: 'local_shell_call_output', id: 'lsh_1', output: 'a' },
      ],
      [
        [
          'assistant',
          [
            {
              kind: 'tool-call',
              toolKind: 'local-shell',
              callId: 'c',
              name: 'local_shell',
              input: '{"type":"exec","command":["ls"],"env":{}}',
              extras: { 'openai-responses': { id: 'lsh_1' } },
            },
          ],
        ],
        [
          'user',
          [
            {
              kind: 'tool-result',
              toolKind: 'local-shell',
              callId: 'c',
              content: [text('a')],
              isError: false,
              extras: { 'openai-responses': { id: 'lsh_1' } },
            },
          ],
        ],
      ],
    ],
    [
      'a patch that failed',
      [
        {
          type: 'apply_patch_call',
          call_id: 'c',
          status: 'completed',
          operation: { type: 'delete_file', path: 'a' },
        },
        { type: 'apply_patch_call_output', call_id: 'c', status: 'failed', output: 'no such file' },
      ],
      [
        [
          'assistant',
          [
            {
              kind: 'tool-call',
              toolKind: 'apply-patch',
              callId: 'c',
              name: 'apply_patch',
              input: '{"type":"delete_file","path":"a"}',
              extras: { 'openai-responses': { status: 'completed' } },
            },
          ],
        ],
        [
          'user',
          [
            {
              kind: 'tool-result',
              toolKind: 'apply-patch',
              callId: 'c',
              content: [text('no such file')],
              isError: true,
            },
          ],
        ],
      ],
    ],
  ])('%s', (_, input, expected) => {
    expect(turnsOf(input)).toEqual(expected)
  })

  test('instructions come first, and stand outside the conversation', () => {
    const { turns } = read({ instructions: 'Be brief.', input: 'Hi' })
    expect(turns[0]).toMatchObject({ role: 'system', isTopLevel: true, parts: [{ text: 'Be brief.' }] })
    expect(turns).toHaveLength(2)
    expect(read({ instructions: '', input: 'Hi' }).turns).toHaveLength(1)
  })

  test('D23: a stringified list with a picture is the picture, any other text stays as it is', () => {
    const parts = [
      { type: 'input_text', text: 'here' },
      { type: 'input_image', image_url: `data:image/png;base64,${PIXEL}` },
    ]
    const outputs = [JSON.stringify(parts), JSON.stringify(parts.slice(0, 1)), '[{"input_image":1}]', '["input_image"']
    const contents = partsOf(
      outputs.map((output, index) => ({ type: 'function_call_output', call_id: `${index}`, output })),
    )
    const kinds = contents.map((part) => part.kind === 'tool-result' && part.content.map(({ kind }) => kind))
    expect(kinds).toEqual([['text', 'image'], ['text'], ['text'], ['text']])
    expect(contents[1]).toMatchObject({ content: [{ text: outputs[1] }] })
  })

  test('D24: ids, states and members nobody knows are kept aside, not complained of', () => {
    const { turns } = read({
      input: [
        {
          type: 'message',
          id: 'msg_1',
          status: 'completed',
          phase: 'commentary',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'a', new_thing: 1 }],
          internal_chat_message_metadata_passthrough: { turn_id: 'x' },
        },
      ],
    })
    expect(turns[0]?.extras['openai-responses']).toMatchObject({ id: 'msg_1', phase: 'commentary' })
    expect(turns[0]?.parts[0]?.extras).toEqual({ 'openai-responses': { new_thing: 1 } })
  })

  test('items of hosted tools and of the vendor are native parts', () => {
    const types = ['web_search_call', 'mcp_call', 'compaction', 'computer_call_output', 'something_new']
    const { turns } = read({ input: types.map((type) => ({ type, id: 'x' })) })
    expect(turns.map(({ role, parts }) => [role, parts[0]?.kind === 'native' && parts[0].type])).toEqual([
      ['assistant', 'web_search_call'],
      ['assistant', 'mcp_call'],
      ['assistant', 'compaction'],
      ['user', 'computer_call_output'],
      ['assistant', 'something_new'],
    ])
  })

  test('D19: the last configuration_update decides effort and format', () => {
    const { reasoning, format, turns } = read({
      reasoning: { effort: 'low', summary: 'auto' },
      input: [
        { type: 'configuration_update', reasoning: { effort: 'high' } },
        { role: 'user', content: 'Hi' },
        { type: 'configuration_update', reasoning: { effort: 'xhigh' }, text: { format: { type: 'text' } } },
      ],
    })
    expect(reasoning).toEqual({ effort: 'xhigh', summary: 'auto' })
    expect(format).toEqual({ kind: 'text' })
    expect(turns).toHaveLength(1)
  })

  test('reasoning without a seal is its own vendor’s state', () => {
    const item = {
      type: 'reasoning',
      id: 'rs_1',
      summary: [
        { type: 'summary_text', text: 'a' },
        { type: 'summary_text', text: 'b' },
      ],
      encrypted_content: 'opaque',
    }
    expect(partsOf([item])).toEqual([
      { kind: 'reasoning', text: 'a\n\nb', native: { dialect: 'openai-responses', value: item } },
    ])
  })

  test('B23, D40: reasoning that this node sealed opens to the state it was given', () => {
    const native = {
      dialect: 'anthropic-messages',
      value: { type: 'thinking', thinking: 'hm', signature: 's' },
      source: 'anthropic',
      model: 'claude',
    } as const
    const item = { type: 'reasoning', summary: [], encrypted_content: sealState(seal, native) }
    expect(partsOf([item])).toEqual([{ kind: 'reasoning', text: '', native }])
  })

  test('B24: reasoning that another node sealed is nobody’s state', () => {
    const other = createOpaqueSeal(Buffer.alloc(32, 2))
    const sealed = sealState(other, { dialect: 'openai-chat', value: {} })
    const [part] = partsOf([{ type: 'reasoning', summary: [], encrypted_content: sealed }])
    expect(part).toEqual({ kind: 'reasoning', text: '', native: undefined })
  })

  test('reasoning that is only referred to is a loss, for nobody here keeps it', () => {
    const losses = createLosses('openai-responses')
    const input = [
      { role: 'user', content: 'Go on.' },
      { type: 'item_reference', id: 'rs_1' },
      { type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'call_1', output: 'ok' },
    ]
    const { turns } = readRequest({ input }, { seal, losses })
    expect(turns.flatMap(({ parts }) => parts.map(({ kind }) => kind))).toEqual(['text', 'tool-call', 'tool-result'])
    expect(losses.fields).toEqual(['input[].reasoning'])
  })
})

describe('tools', () => {
  test('D16, D17: members of namespaces stand beside tools of the same name', () => {
    const tools = [
      { type: 'namespace', name: 'a', description: 'A', tools: [{ type: 'function', name: 'run', parameters: null }] },
      { type: 'function', name: 'a__run', parameters: { type: 'object' } },
      { type: 'namespace', name: 'b', tools: [{ type: 'custom', name: 'run' }] },
    ]
    expect(offered({ input: 'x', tools })).toEqual(['function a__run', 'function a__run__2', 'function b__run'])
    expect(read({ input: 'x', tools }).tools[0]).toMatchObject({ namespace: 'a', namespaceDescription: 'A' })
  })

  test('tools in an additional_tools item are tools like any other', () => {
    const exec = { type: 'custom', name: 'exec', format: { type: 'text' } }
    const input = [
      {
        type: 'additional_tools',
        role: 'developer',
        tools: [{ type: 'namespace', name: 'functions', description: '', tools: [exec] }],
      },
    ]
    const { tools, turns } = read({ input })
    expect(turns).toEqual([])
    expect(tools).toMatchObject([{ kind: 'custom', name: 'exec', namespace: 'functions', format: { type: 'text' } }])
  })

  test('D21: tools that a search found can be called', () => {
    const tool = { type: 'function', name: 'get_weather', defer_loading: true, parameters: { type: 'object' } }
    const body = {
      tools: [{ type: 'tool_search', execution: 'client', description: 'Finds' }],
      input: [
        { type: 'tool_search_call', call_id: 'c', execution: 'client', arguments: { query: 'weather' } },
        {
          type: 'tool_search_output',
          call_id: 'c',
          execution: 'client',
          tools: [{ type: 'namespace', name: 'mcp__desk', tools: [tool] }],
        },
      ],
    }
    expect(offered(body)).toEqual(['function tool_search', 'function mcp__desk__get_weather'])
    expect(partsOf(body.input)).toMatchObject([
      { kind: 'tool-call', toolKind: 'tool-search', name: 'tool_search', input: '{"query":"weather"}' },
      {
        kind: 'tool-result',
        toolKind: 'tool-search',
        content: [{ text: 'These tools are loaded now: get_weather (of mcp__desk)' }],
      },
    ])
  })

  test('deferred tools wait for a search of the client, and are offered at once where there is none', () => {
    const deferred = { type: 'function', name: 'later', defer_loading: true }
    expect(offered({ input: 'x', tools: [deferred, { type: 'tool_search' }] })).toEqual(['function later'])
    const client = { type: 'tool_search', execution: 'client' }
    expect(offered({ input: 'x', tools: [deferred, client] })).toEqual(['function tool_search'])
  })

  test('shell, local_shell and apply_patch have the schema of what their calls hold', () => {
    const { tools } = read({ input: 'x', tools: [{ type: 'shell' }, { type: 'local_shell' }, { type: 'apply_patch' }] })
    expect(tools).toMatchObject([
      { kind: 'shell', name: 'shell', parameters: { required: ['commands'] } },
      { kind: 'local-shell', name: 'local_shell', parameters: { required: ['command'] } },
      { kind: 'apply-patch', name: 'apply_patch', parameters: { required: ['type', 'path'] } },
    ])
  })

  test('D20: what the provider runs is told apart by what it can do', () => {
    const tools = [
      {
        type: 'web_search',
        filters: { allowed_domains: ['a.org'] },
        user_location: { type: 'approximate', city: 'X' },
      },
      { type: 'mcp', server_label: 'desk', server_url: 'https://desk.example', allowed_tools: ['a'] },
      { type: 'shell', environment: { type: 'container_auto' } },
      { type: 'image_generation' },
      { type: 'something_new' },
    ]
    expect(read({ input: 'x', tools }).tools).toMatchObject([
      {
        kind: 'hosted',
        capability: 'web-search',
        name: 'web_search',
        webSearch: { allowedDomains: ['a.org'], location: { city: 'X' } },
      },
      { capability: 'mcp', mcp: { serverName: 'desk', url: 'https://desk.example', allowedTools: ['a'] } },
      { capability: 'other', name: 'shell' },
      { capability: 'other', name: 'image_generation' },
      { capability: 'other', name: 'something_new' },
    ])
  })

  test.each<readonly [unknown, unknown]>([
    ['auto', { kind: 'auto' }],
    ['none', { kind: 'none' }],
    ['required', { kind: 'required' }],
    [
      { type: 'function', name: 'f' },
      { kind: 'tool', name: 'f' },
    ],
    [
      { type: 'custom', name: 'f', namespace: 'n' },
      { kind: 'tool', name: 'f', namespace: 'n' },
    ],
    [{ type: 'apply_patch' }, { kind: 'tool', name: 'apply_patch' }],
    [{ type: 'web_search_preview' }, { kind: 'tool', name: 'web_search' }],
    [
      { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'f' }, { type: 'web_search' }] },
      { kind: 'allowed', mode: 'required', tools: [{ name: 'f' }, { name: 'web_search' }] },
    ],
    [
      { type: 'image_generation' },
      { kind: 'native', native: { dialect: 'openai-responses', value: { type: 'image_generation' } } },
    ],
    [null, undefined],
  ])('tool_choice %j', (value, expected) => {
    expect(read({ input: 'x', tool_choice: value }).toolChoice).toEqual(expected)
  })
})

describe('settings', () => {
  test('every one that the hub has a word for', () => {
    expect(
      read({
        input: 'x',
        stream: true,
        max_output_tokens: 100,
        parallel_tool_calls: false,
        temperature: 0.5,
        top_p: 0.9,
        top_logprobs: 2,
        reasoning: { effort: 'high', summary: 'detailed' },
        text: {
          verbosity: 'low',
          format: { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true },
        },
        prompt_cache_key: 'k',
        prompt_cache_retention: '24h',
        user: 'u',
        metadata: { a: 'b' },
        service_tier: 'flex',
        include: ['reasoning.encrypted_content'],
        store: false,
      }),
    ).toMatchObject({
      model: 'm',
      stream: true,
      outputTokensMax: 100,
      parallelToolCalls: false,
      sampling: { temperature: 0.5, topP: 0.9, topLogprobs: 2, logprobs: true },
      reasoning: { effort: 'high', summary: 'detailed' },
      verbosity: 'low',
      format: { kind: 'json-schema', name: 'n', schema: { type: 'object' }, strict: true },
      caching: { key: 'k', retention: '24h' },
      user: 'u',
      metadata: { a: 'b' },
      serviceTier: 'flex',
      wantsStreamUsage: true,
      extras: {},
    })
  })

  test('what asks for nothing is no loss, all else without a word is kept aside', () => {
    const idle = { truncation: 'disabled', background: false, previous_response_id: null, include: [], metadata: {} }
    expect(read({ input: 'x', ...idle }).extras).toEqual({})
    expect(read({ input: 'x', truncation: 'auto', max_tool_calls: 3, new_thing: 1 }).extras).toEqual({
      'openai-responses': { truncation: 'auto', max_tool_calls: 3, new_thing: 1 },
    })
  })

  test('what is said of reasoning and has no word is a loss', () => {
    const losses = createLosses('openai-responses')
    const reasoning = { effort: 'boundless', summary: 'auto', context: 'all_turns', mode: null }
    expect(readRequest({ input: 'x', reasoning }, { seal, losses }).reasoning).toEqual({
      effort: undefined,
      summary: 'auto',
    })
    expect(losses.fields).toEqual(['reasoning.context', 'reasoning.effort'])
  })

  test('names that every object has are types like any other', () => {
    const { turns, tools } = read({ input: [{ type: 'constructor' }], tools: [{ type: 'toString' }] })
    expect(turns[0]?.parts).toMatchObject([{ kind: 'native', type: 'constructor' }])
    expect(tools).toMatchObject([{ kind: 'hosted', capability: 'other', name: 'toString' }])
  })

  test('prompt cache breakpoints are marks of the nearest length', () => {
    const content = [
      { type: 'input_text', text: 'a', prompt_cache_breakpoint: { mode: 'explicit', ttl: '12h' } },
      { type: 'input_text', text: 'b', prompt_cache_breakpoint: { mode: 'explicit' } },
    ]
    expect(partsOf([{ role: 'user', content }]).map(({ cacheMark }) => cacheMark)).toEqual([
      { ttl: '1h' },
      { ttl: undefined },
    ])
  })
})

describe('refusals', () => {
  test.each<readonly [JsonObject, string]>([
    [{ input: 7 }, 'input is neither a string nor a list'],
    [{ input: ['x'] }, 'input[0] is not an object'],
    [{ input: [{ role: 'tool', content: 'x' }] }, 'input[0].role is "tool", and no role'],
    [{ input: [{ role: 'user', content: 7 }] }, 'input[0].content is neither a string nor a list'],
    [{ input: [{ role: 'user', content: ['x'] }] }, 'input[0].content[0] is no part of a message'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input[0].content[0] is no part of a message'],
    [{ input: [{ type: 'function_call', call_id: 'c', arguments: '{}' }] }, 'input[0].name is missing'],
    [{ input: [{ type: 'function_call', name: 'f', arguments: '{}' }] }, 'input[0].call_id is missing'],
    [{ input: [{ type: 'function_call_output', output: '' }] }, 'input[0].call_id is missing'],
    [{ input: [{ id: 'msg_1' }] }, 'input[0] refers to an item "msg_1" that is not kept here: send the item itself'],
    [{ tools: {} }, 'tools is not a list'],
    [{ tools: [{ type: 'function' }] }, 'tools[0].name is missing'],
    [{ tools: [{ name: 'f' }] }, 'tools[0].type is missing'],
    [{ tools: [{ type: 'namespace', name: 'n', tools: [{ type: 'custom' }] }] }, 'tools[0].tools[0].name is missing'],
    [{ tool_choice: 7 }, 'tool_choice is neither "none", "auto", "required" nor an object'],
    [{ text: { format: { type: 'json_schema' } } }, 'text.format.schema is not an object'],
    [{ stream: 'true' }, 'stream is neither true nor false'],
    [{ instructions: ['x'] }, 'instructions is not a string'],
  ])('%j is malformed', (body, reason) => {
    const failure = failureOf(body)
    expect(failure.code).toBe('body_malformed')
    expect(failure.details['reason']).toBe(reason)
  })

  test.each<JsonObject>([
    { background: true },
    { conversation: 'conv_1' },
    { previous_response_id: 'resp_1' },
    { prompt: { id: 'pmpt_1' } },
  ])('%j can be had at its vendor only', (body) => {
    const failure = failureOf({ input: 'x', ...body })
    expect(failure.code).toBe('translation_refused')
    expect(failure.details['field']).toBe(Object.keys(body)[0])
  })
})
