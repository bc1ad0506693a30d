import { describe, expect, test } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import type {
  CallableTool,
  Conversation,
  HostedTool,
  Part,
  ReasoningWish,
  Turn,
} from '../../../../src/dialects/conversation/conversation.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import { createOpaqueSeal } from '../../../../src/dialects/conversation/opaque-state.ts'
import { createToolBridge } from '../../../../src/dialects/conversation/tool-bridge.ts'
import type { Dialect } from '../../../../src/dialects/dialect.ts'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import { readRequest } from '../../../../src/dialects/openai-responses/read-request.ts'
import { writeRequest } from '../../../../src/dialects/openai-responses/write-request.ts'
import { profileOf } from '../../../../src/dialects/profiles.ts'

interface Asked {
  readonly isVendor?: boolean
  readonly model?: string
  readonly client?: Dialect
}

const EMPTY: Conversation = {
  model: 'asked',
  stream: false,
  turns: [],
  tools: [],
  reasoning: {},
  sampling: {},
  caching: {},
  wantsStreamUsage: true,
  extras: {},
}

/** What a target is sent, and what was lost. */
function write(
  conversation: Partial<Conversation>,
  { isVendor = false, model = 'gpt-5.6', client = 'anthropic-messages' }: Asked = {},
): { readonly body: JsonObject; readonly input: readonly JsonObject[]; readonly dropped: readonly string[] } {
  const losses = createLosses(client)
  const whole = { ...EMPTY, ...conversation }
  const profile = profileOf({ dialect: 'openai-responses', provider: 'openai', isVendor, model })
  const bridge = createToolBridge(whole, profile)
  const body = writeRequest(whole, { model, target: 'openai', profile, bridge, losses })
  return { body, input: asList(body['input']).map(asObject), dropped: losses.fields }
}

function refusalOf(conversation: Partial<Conversation>, asked?: Asked): TokError {
  try {
    write(conversation, asked)
  } catch (thrown) {
    if (thrown instanceof TokError) return thrown
    throw thrown
  }
  throw new Error('the request was written')
}

const turn = (role: Turn['role'], ...parts: readonly Part[]): Turn => ({ role, parts, extras: {} })
const text = (value: string): Part => ({ kind: 'text', text: value })
const call = (callId: string, name: string, input = '{}'): Part => ({
  kind: 'tool-call',
  toolKind: 'function',
  callId,
  name,
  input,
})
const result = (callId: string, ...content: readonly Part[]): Part => ({
  kind: 'tool-result',
  toolKind: 'function',
  callId,
  content,
  isError: false,
})
const tool = (members: Partial<CallableTool> & { readonly name: string }): CallableTool => ({
  kind: 'function',
  extras: {},
  ...members,
})

describe('the conversation', () => {
  test('system texts at the top level are the instructions, later ones developer items in their place', () => {
    const { body, input } = write({
      turns: [
        { role: 'system', parts: [text('a'), text('b')], isTopLevel: true, extras: {} },
        turn('user', text('hi')),
        turn('system', text('c')),
      ],
    })
    expect(body['instructions']).toBe('a\n\nb')
    expect(input).toEqual([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hi' }] },
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'c' }] },
    ])
  })

  test('B31: the order of text and calls is kept', () => {
    const { input } = write({
      turns: [turn('assistant', text('a'), call('c', 'f'), text('b')), turn('user', result('c', text('1')))],
    })
    expect(input).toEqual([
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'a', annotations: [] }] },
      { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'b', annotations: [] }] },
      { type: 'function_call_output', call_id: 'c', output: '1' },
    ])
  })

  test('a call that nobody answered gets a result that says so', () => {
    const { input } = write({ turns: [turn('assistant', call('c', 'f')), turn('user', text('b'))] })
    expect(input[1]).toEqual({ type: 'function_call_output', call_id: 'c', output: 'Error: No result.' })
  })

  test('a result that belongs to no call is told by the user, and of two for one call the last counts', () => {
    const { input } = write({
      turns: [
        turn('assistant', call('c', 'f')),
        turn('user', result('c', text('1')), result('c', text('2')), result('x', text('3'))),
      ],
    })
    expect(input.slice(1)).toEqual([
      { type: 'function_call_output', call_id: 'c', output: '2' },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'Result of the call x:' },
          { type: 'input_text', text: '3' },
        ],
      },
    ])
  })

  test('B5: results stand before the text that follows them', () => {
    const { input } = write({
      turns: [
        turn('assistant', call('a', 'f'), call('b', 'f')),
        turn('user', result('a', text('1')), result('b', text('2')), text('go on')),
      ],
    })
    expect(input.slice(2).map((item) => item['call_id'] ?? item['content'])).toEqual([
      'a',
      'b',
      [{ type: 'input_text', text: 'go on' }],
    ])
  })

  test('results are a text where they are one, otherwise parts in order', () => {
    const image: Part = { kind: 'image', source: { kind: 'base64', mediaType: 'image/png', data: 'AA==' } }
    const { input } = write({
      turns: [
        turn('assistant', ...['a', 'b', 'c', 'd', 'e'].map((callId) => call(callId, 'f'))),
        turn(
          'user',
          result('a'),
          result('b', text('  x\n')),
          result('c', text('1'), text('2')),
          result('d', text('1'), image),
        ),
        turn('user', { kind: 'tool-result', toolKind: 'function', callId: 'e', content: [text('no')], isError: true }),
      ],
    })
    const shown = { type: 'input_image', image_url: 'data:image/png;base64,AA==', detail: 'auto' }
    expect(input.slice(5).map((item) => item['output'])).toEqual([
      '',
      '  x\n',
      [
        { type: 'input_text', text: '1' },
        { type: 'input_text', text: '2' },
      ],
      [{ type: 'input_text', text: '1' }, shown],
      'Error: no',
    ])
  })

  test('B7, B32: pictures and documents keep their place', () => {
    const { input } = write({
      turns: [
        turn(
          'user',
          text('a'),
          { kind: 'image', source: { kind: 'url', url: 'https://example.org/a.png' }, detail: 'low' },
          { kind: 'file', source: { kind: 'base64', mediaType: 'application/pdf', data: 'AA==' }, name: 'a.pdf' },
          { kind: 'file', source: { kind: 'base64', mediaType: 'application/pdf', data: 'AA==' } },
          { kind: 'file', source: { kind: 'url', url: 'https://example.org/a.pdf' } },
          { kind: 'file', source: { kind: 'text', mediaType: 'text/plain', text: 'words' }, name: 'a.txt' },
          text('b'),
        ),
      ],
    })
    expect(input[0]?.['content']).toEqual([
      { type: 'input_text', text: 'a' },
      { type: 'input_image', image_url: 'https://example.org/a.png', detail: 'low' },
      { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' },
      { type: 'input_file', filename: 'file.pdf', file_data: 'data:application/pdf;base64,AA==' },
      { type: 'input_file', file_url: 'https://example.org/a.pdf' },
      { type: 'input_text', text: 'a.txt\n\nwords' },
      { type: 'input_text', text: 'b' },
    ])
  })

  test('B33, D36: a long call id is shortened alike on call and result', () => {
    const id = `toolu_${'x'.repeat(90)}`
    const { input } = write({ turns: [turn('assistant', call(id, 'f')), turn('user', result(id, text('ok')))] })
    const [first, second] = input
    expect(String(first?.['call_id'])).toMatch(/^[\w-]{1,64}$/)
    expect(second?.['call_id']).toBe(first?.['call_id'])
  })

  test('empty texts vanish, and messages that hold nothing else', () => {
    const { input } = write({ turns: [turn('user', text('')), turn('assistant', text('')), turn('user', text(' '))] })
    expect(input).toEqual([{ type: 'message', role: 'user', content: [{ type: 'input_text', text: ' ' }] }])
  })

  test('a call without arguments has an empty object of them', () => {
    expect(write({ turns: [turn('assistant', call('c', 'f', ''))] }).input[0]?.['arguments']).toBe('{}')
  })

  test('B23: reasoning goes back to the provider that gave it, byte for byte and in its place', () => {
    const value = { id: 'rs_1', type: 'reasoning', summary: [], encrypted_content: 'opaque', status: null }
    const native = { dialect: 'openai-responses', value, source: 'openai', model: 'gpt' } as const
    const { input, dropped } = write({
      turns: [turn('assistant', { kind: 'reasoning', text: '', native }, call('c', 'f'))],
    })
    expect(JSON.stringify(input[0])).toBe(JSON.stringify(value))
    expect(input[1]).toMatchObject({ type: 'function_call' })
    expect(dropped).toEqual([])
  })

  test('B24, B25: reasoning of another provider, or of none, is left out and said so', () => {
    const value = { type: 'reasoning', summary: [], encrypted_content: 'opaque' }
    const others: readonly Part[] = [
      { kind: 'reasoning', text: 'hm', native: { dialect: 'openai-responses', value, source: 'azure' } },
      { kind: 'reasoning', text: 'hm', native: { dialect: 'anthropic-messages', value, source: 'openai' } },
      { kind: 'reasoning', text: 'hm' },
    ]
    for (const part of others) {
      const { body, dropped } = write({ turns: [turn('assistant', part, text('ok'))] })
      expect(JSON.stringify(body)).not.toContain('hm')
      expect(dropped).toEqual(['messages[].content[].thinking'])
    }
  })

  test('D37: a long id of a reasoning item is shortened, and nothing else of it', () => {
    const value = { id: `rs_${'x'.repeat(400)}`, type: 'reasoning', summary: [], encrypted_content: 'opaque' }
    const { input } = write({
      turns: [turn('assistant', { kind: 'reasoning', text: '', native: { dialect: 'openai-responses', value } })],
    })
    expect(input[0]).toMatchObject({ summary: [], encrypted_content: 'opaque' })
    expect(String(input[0]?.['id']).length).toBeLessThanOrEqual(64)
  })

  test('what cannot be shown to the target is refused', () => {
    const audio: Part = { kind: 'audio', format: 'wav', data: 'AA==' }
    const file: Part = { kind: 'file', source: { kind: 'file-id', dialect: 'anthropic-messages', id: 'file_1' } }
    expect(refusalOf({ turns: [turn('user', audio)] }).details['field']).toBe('messages[].content[].audio')
    expect(refusalOf({ turns: [turn('user', file)] }).details['field']).toBe('messages[].content[].file_id')
    expect(refusalOf({ sampling: { choices: 2 } }).details['field']).toBe('n')
  })

  test('B36: cache marks are breakpoints where they are taken, otherwise a loss', () => {
    const marked: Part = { kind: 'text', text: 'a', cacheMark: { ttl: '1h' } }
    const turns: readonly Turn[] = [
      { role: 'system', parts: [marked], isTopLevel: true, extras: {} },
      turn('user', { ...marked, cacheMark: {} }),
    ]
    const vendor = write({ turns }, { isVendor: true })
    expect(vendor.body['instructions']).toBeUndefined()
    expect(
      vendor.input.map(({ role, content }) => [role, asObject(asList(content)[0])['prompt_cache_breakpoint']]),
    ).toEqual([
      ['developer', { mode: 'explicit', ttl: '12h' }],
      ['user', { mode: 'explicit' }],
    ])
    expect(vendor.dropped).toEqual([])
    const other = write({ turns })
    expect(other.body['instructions']).toBe('a')
    expect(other.dropped).toEqual(['cache_control'])
  })
})

describe('tools', () => {
  const closed = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false }

  test('B35: strict is said of closed schemas only, and never left to the default', () => {
    const open = { ...closed, properties: { a: { type: 'object', properties: {} } } }
    const tools = [
      tool({ name: 'a', parameters: { $schema: 'x', ...closed }, strict: true }),
      tool({ name: 'b', parameters: open, strict: true }),
      tool({ name: 'c', parameters: closed }),
      tool({ name: 'd' }),
    ]
    const { body, dropped } = write({ tools })
    expect(body['tools']).toEqual([
      { type: 'function', name: 'a', parameters: closed, strict: true },
      { type: 'function', name: 'b', parameters: open, strict: false },
      { type: 'function', name: 'c', parameters: closed, strict: false },
      { type: 'function', name: 'd', parameters: { type: 'object', properties: {} }, strict: false },
    ])
    expect(dropped).toEqual(['tools[].strict'])
  })

  test('B13: long names fit in tools, history and tool_choice alike', () => {
    const name = `mcp__${'x'.repeat(100)}`
    const { body, input } = write({
      tools: [tool({ name })],
      turns: [turn('assistant', call('c', name))],
      toolChoice: { kind: 'tool', name },
    })
    const wireName = asObject(asList(body['tools'])[0])['name']
    expect(String(wireName)).toMatch(/^[\w-]{64}$/)
    expect(input[0]?.['name']).toBe(wireName)
    expect(body['tool_choice']).toEqual({ type: 'function', name: wireName })
  })

  test('B11, B12: deferred tools are offered once something refers to them', () => {
    const tools = [tool({ name: 'a', isDeferred: true }), tool({ name: 'b', isDeferred: true })]
    const { body, input } = write({
      tools,
      turns: [turn('assistant', call('c', 'f')), turn('user', result('c', { kind: 'tool-reference', name: 'a' }))],
    })
    expect(asList(body['tools']).map((each) => asObject(each)['name'])).toEqual(['a'])
    expect(input[1]?.['output']).toBe('The tool a is loaded now.')
  })

  const search: HostedTool = {
    kind: 'hosted',
    capability: 'web-search',
    name: 'web_search',
    native: { dialect: 'anthropic-messages', value: { type: 'web_search_20250305', name: 'web_search' } },
    webSearch: { allowedDomains: ['a.org'], location: { city: 'X' }, usesMax: 8 },
  }

  test('B15: a web search is the vendor’s where it has one, otherwise gone and named', () => {
    const chosen = { tools: [search], toolChoice: { kind: 'tool', name: 'web_search' } } as const
    const vendor = write(chosen, { isVendor: true })
    expect(vendor.body['tools']).toEqual([
      {
        type: 'web_search',
        filters: { allowed_domains: ['a.org'] },
        user_location: { type: 'approximate', city: 'X' },
      },
    ])
    expect(vendor.body['tool_choice']).toEqual({
      type: 'allowed_tools',
      mode: 'required',
      tools: [{ type: 'web_search' }],
    })
    expect(vendor.body['include']).toEqual(['reasoning.encrypted_content', 'web_search_call.action.sources'])
    expect(vendor.dropped).toEqual(['tools[].max_uses'])
    const other = write(chosen)
    expect(other.body).not.toHaveProperty('tools')
    expect(other.body).not.toHaveProperty('tool_choice')
    expect(other.dropped).toEqual(['tools[].web_search_20250305'])
  })

  test('an MCP server keeps its address and its allowed tools', () => {
    const mcp: HostedTool = {
      kind: 'hosted',
      capability: 'mcp',
      name: 'desk',
      native: { dialect: 'anthropic-messages', value: { type: 'mcp_toolset' } },
      mcp: { serverName: 'desk', url: 'https://desk.example', authorization: 't', allowedTools: ['a'] },
    }
    expect(write({ tools: [mcp] }, { isVendor: true }).body['tools']).toEqual([
      {
        type: 'mcp',
        server_label: 'desk',
        server_url: 'https://desk.example',
        authorization: 't',
        allowed_tools: ['a'],
        require_approval: 'never',
      },
    ])
  })

  test('C25: allowed tools and a ban on parallel calls are said', () => {
    const { body } = write({
      tools: [tool({ name: 'a' }), tool({ name: 'b' })],
      toolChoice: { kind: 'allowed', mode: 'auto', tools: [{ name: 'a' }] },
      parallelToolCalls: false,
    })
    expect(body).toMatchObject({
      tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'a' }] },
      parallel_tool_calls: false,
    })
  })

  test('D13, D15: a freeform tool is itself at its vendor, and a function elsewhere, in the history too', () => {
    const patch = tool({
      kind: 'custom',
      name: 'apply_patch',
      format: { type: 'grammar', syntax: 'lark', definition: 'start: X' },
    })
    const asked = {
      tools: [patch],
      turns: [
        turn('assistant', { kind: 'tool-call', toolKind: 'custom', callId: 'c', name: 'apply_patch', input: 'P' }),
        turn('user', { kind: 'tool-result', toolKind: 'custom', callId: 'c', content: [text('ok')], isError: false }),
      ],
    } as const
    const vendor = write(asked, { isVendor: true })
    expect(vendor.body['tools']).toMatchObject([{ type: 'custom', name: 'apply_patch', format: patch.format }])
    expect(vendor.input).toEqual([
      { type: 'custom_tool_call', call_id: 'c', name: 'apply_patch', input: 'P' },
      { type: 'custom_tool_call_output', call_id: 'c', output: 'ok' },
    ])
    const other = write(asked)
    expect(other.body['tools']).toMatchObject([{ type: 'function', parameters: { required: ['input'] } }])
    expect(JSON.stringify(other.body['tools'])).toContain('start: X')
    expect(other.input).toEqual([
      { type: 'function_call', call_id: 'c', name: 'apply_patch', arguments: '{"input":"P"}' },
      { type: 'function_call_output', call_id: 'c', output: 'ok' },
    ])
  })
})

describe('settings', () => {
  test('nothing is stored there, encrypted reasoning is asked for', () => {
    expect(write({ stream: true, outputTokensMax: 100 }).body).toEqual({
      model: 'gpt-5.6',
      input: [],
      max_output_tokens: 100,
      include: ['reasoning.encrypted_content'],
      stream: true,
      store: false,
    })
  })

  test.each<readonly [ReasoningWish, unknown]>([
    [{}, undefined],
    [{ effort: 'low' }, { effort: 'low' }],
    [{ effort: 'max' }, { effort: 'max' }],
    [{ mode: 'off' }, { effort: 'none' }],
    [{ mode: 'off', effort: 'high' }, { effort: 'none' }],
    [
      { mode: 'on', budgetTokens: 4_000 },
      { effort: 'medium', summary: 'auto' },
    ],
    [{ mode: 'adaptive' }, { effort: 'high', summary: 'auto' }],
    [{ mode: 'adaptive', effort: 'low', summary: 'omitted' }, { effort: 'low' }],
    [
      { mode: 'adaptive', effort: 'low', summary: 'summarized' },
      { effort: 'low', summary: 'auto' },
    ],
    [{ summary: 'detailed' }, { summary: 'detailed' }],
  ])('B19-B21: thinking %j', (reasoning, expected) => {
    expect(write({ reasoning }, { isVendor: true }).body['reasoning']).toEqual(expected)
  })

  test('thinking is not asked of models that do none', () => {
    const { body, dropped } = write({ reasoning: { mode: 'adaptive' } }, { isVendor: true, model: 'gpt-4.1' })
    expect(body).not.toHaveProperty('reasoning')
    expect(body).not.toHaveProperty('include')
    expect(dropped).toEqual(['thinking'])
  })

  test('B17: a schema keeps its strictness, and is strict if nothing was said and it can be', () => {
    const schema = { type: 'object', properties: {}, required: [], additionalProperties: false }
    const formatOf = (format: Conversation['format']): unknown => write({ format }).body['text']
    expect(formatOf({ kind: 'json-schema', schema: { $schema: 'x', ...schema } })).toEqual({
      format: { type: 'json_schema', name: 'answer', schema, strict: true },
    })
    expect(formatOf({ kind: 'json-schema', name: 'n', schema: { type: 'object' } })).toMatchObject({
      format: { name: 'n', strict: false },
    })
    expect(formatOf({ kind: 'json-schema', schema, strict: false })).toMatchObject({ format: { strict: false } })
    expect(formatOf({ kind: 'json-object' })).toEqual({ format: { type: 'json_object' } })
    expect(formatOf({ kind: 'text' })).toBeUndefined()
  })

  test('what this dialect has no word for is named in the client’s words', () => {
    const sampling = { topK: 5, stop: ['x'] }
    expect(write({ sampling }).dropped).toEqual(['top_k', 'stop_sequences'])
    const chat = { seed: 1, presencePenalty: 0, frequencyPenalty: 1, logitBias: {}, stop: ['x'] }
    expect(write({ sampling: chat }, { client: 'openai-chat' }).dropped).toEqual([
      'seed',
      'frequency_penalty',
      'logit_bias',
      'stop',
    ])
  })

  test('sampling, caching, tier and verbosity go to those who take them', () => {
    const asked: Partial<Conversation> = {
      sampling: { temperature: 0.5, topP: 0.9 },
      caching: { key: 'k', retention: '24h' },
      serviceTier: 'standard_only',
      verbosity: 'low',
      user: 'x'.repeat(65),
      metadata: { a: 'b' },
    }
    const vendor = write(asked, { isVendor: true, client: 'openai-chat' })
    expect(vendor.body).toMatchObject({
      prompt_cache_key: 'k',
      prompt_cache_retention: '24h',
      service_tier: 'default',
      text: { verbosity: 'low' },
      user: expect.stringMatching(/^[0-9a-f]{64}$/),
      metadata: { a: 'b' },
    })
    expect(vendor.dropped).toEqual(['temperature', 'top_p'])
    const other = write(asked, { client: 'openai-chat' })
    expect(other.body).toMatchObject({ temperature: 0.5, top_p: 0.9 })
    expect(other.dropped).toEqual(['verbosity', 'service_tier', 'prompt_cache_key', 'prompt_cache_retention'])
  })
})

test('what was read from this dialect is written as it was', () => {
  const shell = { type: 'shell', environment: { type: 'local' } }
  const body = {
    model: 'gpt-5.6',
    instructions: 'Be brief.',
    input: [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi' }] },
      {
        type: 'message',
        id: 'msg_1',
        phase: 'commentary',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'Yes', annotations: [] }],
      },
      { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'opaque' },
      { type: 'function_call', id: 'fc_1', call_id: 'a', name: 'f', namespace: 'n', arguments: '{}' },
      { type: 'function_call_output', call_id: 'a', output: 'ok' },
      { type: 'tool_search_call', call_id: 'b', execution: 'client', arguments: { query: 'x' } },
      {
        type: 'tool_search_output',
        call_id: 'b',
        execution: 'client',
        status: 'completed',
        tools: [{ type: 'function', name: 'g', parameters: { type: 'object' }, strict: false, defer_loading: true }],
      },
      { type: 'shell_call', call_id: 'c', action: { commands: ['ls'] } },
      { type: 'shell_call_output', call_id: 'c', output: [{ stdout: 'a', stderr: '', outcome: { type: 'timeout' } }] },
      { type: 'apply_patch_call', call_id: 'd', status: 'completed', operation: { type: 'delete_file', path: 'a' } },
      { type: 'apply_patch_call_output', call_id: 'd', status: 'failed', output: 'no' },
      {
        type: 'local_shell_call',
        id: 'l',
        call_id: 'e',
        status: 'completed',
        action: { type: 'exec', command: [], env: {} },
      },
      { type: 'local_shell_call_output', id: 'l', call_id: 'e', output: 'a' },
      { type: 'web_search_call', id: 'ws_1', status: 'completed' },
    ],
    tools: [
      {
        type: 'namespace',
        name: 'n',
        description: 'N',
        tools: [{ type: 'function', name: 'f', parameters: {}, strict: false }],
      },
      { type: 'tool_search', execution: 'client', description: 'Finds', parameters: { type: 'object' } },
      shell,
      { type: 'apply_patch' },
      { type: 'local_shell' },
      { type: 'web_search' },
    ],
    tool_choice: { type: 'function', name: 'f', namespace: 'n' },
    max_tool_calls: 3,
    include: ['web_search_call.action.sources', 'reasoning.encrypted_content'],
    store: false,
  }
  const reading = { seal: createOpaqueSeal(Buffer.alloc(32)), losses: createLosses('openai-responses') }
  const { body: written, dropped } = write(readRequest(body, reading), { isVendor: true, client: 'openai-responses' })
  expect({ ...written, tools: undefined }).toEqual({ ...body, tools: undefined })
  // Tools of a group come after those that stand alone.
  expect(asList(written['tools'])).toEqual(expect.arrayContaining(body.tools))
  expect(asList(written['tools'])).toHaveLength(body.tools.length)
  expect(dropped).toEqual([])
})
