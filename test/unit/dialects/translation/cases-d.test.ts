/**
 * A client of Responses (Codex), a provider of Messages or Chat Completions.
 *
 * Elsewhere: D8 (retries are the facade's, test/http/facade-failures.test.ts), D28 and D29
 * (test/http/responses-compaction.test.ts), D31 to D33 (test/http/responses-websocket.test.ts), D35 (encodings, test/http/facade-failures.test.ts), D43 (two sessions: the
 * translation keeps no state; asserted below for two interleaved answers). D5 is a rule of every stream
 * (translation-stream-rules.ts). The numbers that are missing were never given.
 */
import { describe, expect, test } from 'vitest'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import type { TranslationTarget } from '../../../../src/dialects/translate.ts'
import { chatSse, DONE, messages, messagesSse } from '../../../support/translation-providers.ts'
import { judgeStream } from '../../../support/translation-stream-rules.ts'
import {
  genericTarget,
  hear,
  requestOf,
  send,
  translate,
  vendorTarget,
  type Heard,
  type Sent,
} from '../../../support/translation.ts'

const CHAT = genericTarget('openai-chat')
const ANTHROPIC = vendorTarget('anthropic-messages')
const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
const AFTER = { choices: [], usage: USAGE }

const ask = (members: JsonObject, target: TranslationTarget = CHAT): Sent =>
  send({ from: 'openai-responses', request: requestOf('openai-responses', members), target })
const chat = (chunks: readonly (JsonObject | string)[], members: JsonObject = {}): Promise<Heard> =>
  hear(
    { from: 'openai-responses', request: requestOf('openai-responses', members), target: CHAT },
    { body: chatSse(...chunks) },
  )
const claude = (events: readonly (JsonObject | string)[], members: JsonObject = {}): Promise<Heard> =>
  hear(
    { from: 'openai-responses', request: requestOf('openai-responses', members), target: ANTHROPIC },
    { body: messagesSse(...events) },
  )

const says = (content: string): JsonObject => ({ delta: { content } })
const ends = (reason: string): JsonObject => ({ finish_reason: reason })
const calls = (...list: readonly JsonObject[]): JsonObject => ({ delta: { tool_calls: list } })
const call = (index: number, id: string, name: string, text = ''): JsonObject => ({
  index,
  id,
  type: 'function',
  function: { name, arguments: text },
})
const userItem = (content: unknown = 'Go'): JsonObject => ({ type: 'message', role: 'user', content })
const functionTool = (name: string, members: JsonObject = {}): JsonObject => ({
  type: 'function',
  name,
  description: `Does ${name}`,
  strict: false,
  parameters: { type: 'object', properties: {} },
  ...members,
})
const functionCall = (callId: string, name = 'read', members: JsonObject = {}): JsonObject => ({
  type: 'function_call',
  call_id: callId,
  name,
  arguments: '{}',
  ...members,
})
const output = (callId: string, value: unknown): JsonObject => ({
  type: 'function_call_output',
  call_id: callId,
  output: value,
})
const outputOf = ({ message }: Heard): readonly JsonObject[] => asList(message['output']).map(asObject)
const turnsOf = ({ sent }: Sent): readonly JsonObject[] => asList(sent['messages']).map(asObject)
const toolsOf = ({ sent }: Sent): readonly JsonObject[] =>
  asList(sent['tools']).map((tool) => asObject(asObject(tool)['function'] ?? tool))

const APPLY_PATCH = {
  type: 'custom',
  name: 'apply_patch',
  description: 'Edits files',
  format: { type: 'grammar', syntax: 'lark', definition: 'start: "*** Begin Patch" /.+/' },
}
const AGENTS = {
  type: 'namespace',
  name: 'multi_agent_v1',
  description: 'Agents',
  tools: [functionTool('spawn'), functionTool('wait')],
}
const PATCH = '*** Begin Patch\n*** Add File: a.txt\n+"quoted" \\ 日本\n*** End Patch'

describe('Responses from a provider of another dialect: the answer', () => {
  test('D1: a text answer has every event of its life, in order', async () => {
    const { outline } = await chat([says('Hel'), says('lo'), ends('stop'), AFTER, DONE])
    expect(outline).toEqual([
      'created',
      'in_progress',
      '0 message',
      '0 part output_text',
      '0 + "Hel"',
      '0 + "lo"',
      '0 part done',
      '0 done',
      'completed',
    ])
  })

  test('D3: the completed response is whole', async () => {
    const { message } = await chat([says('Hi'), ends('stop'), AFTER, DONE])
    expect(message).toMatchObject({
      id: expect.stringMatching(/^resp_./),
      object: 'response',
      model: 'the-model',
      created_at: expect.any(Number),
      status: 'completed',
      output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi' }] }],
      usage: {
        input_tokens: 10,
        output_tokens: 5,
        total_tokens: 15,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens_details: { reasoning_tokens: 0 },
      },
    })
  })

  test.each([
    ['breaks off', [says('Half a')]],
    ['tells of an error', [says('Half a'), { error: { message: 'it broke', code: 500 } }]],
  ])('D4: a provider that %s in the middle is a failed response', async (_, chunks) => {
    const { outline, frames } = await chat(chunks)
    expect(outline.at(-1)).toBe('failed')
    const last = frames.at(-1)?.data
    expect(last === '[DONE]' || last === undefined ? undefined : asObject(last['response'])['error']).toMatchObject({
      code: expect.any(String),
      message: expect.any(String),
    })
  })

  test.each([
    [
      'a stream',
      {
        error: {
          message:
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
          code: 400,
        },
      },
    ],
    [
      'a local stream',
      {
        error: {
          message: 'the request exceeds the available context size',
          type: 'exceed_context_size_error',
          code: 400,
          n_prompt_tokens: 9000,
          n_ctx: 8192,
        },
      },
    ],
  ])('D7: a prompt that is too long for %s is context_length_exceeded', async (_, error) => {
    const { text } = await chat([error])
    expect(text).toContain('"code":"context_length_exceeded"')
  })

  test('D9: an answer cut off by the limit is incomplete, and so is its item', async () => {
    const { message, outline } = await chat([says('Half a'), ends('length'), AFTER, DONE])
    expect(outline.at(-1)).toBe('incomplete')
    expect(message).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ type: 'message', status: 'incomplete' }],
    })
  })

  test('D11: a whole answer to a client that streams is a stream', () => {
    const { text, head } = translate(
      { from: 'openai-responses', request: requestOf('openai-responses', { stream: true }), target: CHAT },
      {
        body: {
          id: 'c1',
          object: 'chat.completion',
          created: 1,
          model: 'm',
          choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
          usage: USAGE,
        },
      },
    )
    expect(head?.headers['content-type']).toMatch(/^text\/event-stream/)
    const verdict = judgeStream('openai-responses', text)
    expect(verdict.faults).toEqual([])
    expect(verdict.outline).toContain('0 + "Hi"')
    expect(verdict.end).toBe('complete')
  })

  test('D12: two calls are two items with lives of their own', async () => {
    const { outline, message } = await chat(
      [
        calls(call(0, 'call_1', 'read'), call(1, 'call_2', 'list')),
        calls({ index: 1, function: { arguments: '{"b":2}' } }, { index: 0, function: { arguments: '{"a":1}' } }),
        ends('tool_calls'),
        AFTER,
        DONE,
      ],
      { tools: [functionTool('read'), functionTool('list')] },
    )
    expect(outline).toEqual([
      'created',
      'in_progress',
      '0 function_call read',
      '0 + "{\\"a\\":1}"',
      '0 done',
      '1 function_call list',
      '1 + "{\\"b\\":2}"',
      '1 done',
      'completed',
    ])
    expect(message['output']).toMatchObject([
      { type: 'function_call', call_id: 'call_1', name: 'read', arguments: '{"a":1}' },
      { type: 'function_call', call_id: 'call_2', name: 'list', arguments: '{"b":2}' },
    ])
  })

  test.each([
    ['wrapped as asked', JSON.stringify({ input: PATCH })],
    ['in another field', JSON.stringify({ patch: PATCH })],
    ['not wrapped at all', PATCH],
  ])('D13: the text of a freeform tool comes back unwrapped, though the model gave it %s', async (_, given) => {
    const heard = await chat(
      [
        calls(call(0, 'call_1', 'apply_patch')),
        ...(given.match(/[^]{1,9}/g) ?? []).map((piece) => calls({ index: 0, function: { arguments: piece } })),
        ends('tool_calls'),
        AFTER,
        DONE,
      ],
      { tools: [APPLY_PATCH] },
    )
    expect(heard.sent['tools']).toMatchObject([
      {
        type: 'function',
        function: {
          name: 'apply_patch',
          description: expect.stringContaining('*** Begin Patch'),
          parameters: { properties: { input: { type: 'string' } } },
        },
      },
    ])
    expect(heard.message['output']).toMatchObject([
      { type: 'custom_tool_call', name: 'apply_patch', call_id: 'call_1', input: PATCH },
    ])
    expect(heard.outline.filter((line) => line.startsWith('0 custom_tool_call'))).toHaveLength(1)
  })

  test('D16: a call of a namespace’s member has both names again', async () => {
    const { sent } = ask({ tools: [AGENTS] })
    const [spawn] = toolsOf({ sent, dropped: [] })
    const heard = await chat(
      [calls(call(0, 'call_1', String(spawn?.['name']), '{}')), ends('tool_calls'), AFTER, DONE],
      { tools: [AGENTS] },
    )
    expect(outputOf(heard)).toMatchObject([{ type: 'function_call', namespace: 'multi_agent_v1', name: 'spawn' }])
  })

  test('D21: a search for tools comes back as the client knows it', async () => {
    const search = {
      type: 'tool_search',
      execution: 'client',
      description: 'Finds tools',
      parameters: { type: 'object', properties: { query: { type: 'string' } } },
    }
    const heard = await chat(
      [calls(call(0, 'call_1', 'tool_search', '{"query":"mail"}')), ends('tool_calls'), AFTER, DONE],
      { tools: [search] },
    )
    expect(outputOf(heard)).toMatchObject([
      { type: 'tool_search_call', call_id: 'call_1', execution: 'client', arguments: { query: 'mail' } },
    ])
    const found = {
      type: 'tool_search_output',
      call_id: 'call_1',
      execution: 'client',
      status: 'completed',
      tools: [functionTool('send_mail', { defer_loading: true })],
    }
    const next = ask({ tools: [search], input: [userItem(), ...outputOf(heard), found] })
    expect(toolsOf(next).map(({ name }) => name)).toEqual(['tool_search', 'send_mail'])
    expect(turnsOf(next).at(-1)).toMatchObject({ role: 'tool', tool_call_id: 'call_1' })
  })

  test('D36: a long call id is short at the target and long again for the client', () => {
    const long = `mcp_${'x'.repeat(90)}`
    const written = ask({ input: [userItem(), functionCall(long), output(long, 'A')], tools: [functionTool('read')] })
    const [, assistant, result] = turnsOf(written)
    const id = asObject(asList(assistant?.['tool_calls'])[0])['id']
    expect(String(id).length).toBeLessThanOrEqual(64)
    expect(result?.['tool_call_id']).toBe(id)
  })

  test('D39: plain reasoning goes through the client sealed, and back to the server that thought it', async () => {
    const heard = await chat(
      [
        { delta: { reasoning_content: 'Let me ' } },
        { delta: { reasoning_content: 'see.' } },
        calls(call(0, 'call_1', 'read', '{}')),
        ends('tool_calls'),
        AFTER,
        DONE,
      ],
      {
        tools: [functionTool('read')],
        include: ['reasoning.encrypted_content'],
      },
    )
    const [reasoning] = outputOf(heard)
    expect(reasoning).toMatchObject({
      type: 'reasoning',
      summary: [{ type: 'summary_text', text: 'Let me see.' }],
      encrypted_content: expect.stringMatching(/^tok1\./),
    })
    // Codex gives back the encrypted content only.
    const next = ask({
      tools: [functionTool('read')],
      input: [userItem(), { ...reasoning, summary: [] }, functionCall('call_1'), output('call_1', 'A')],
    })
    expect(turnsOf(next)[1]).toMatchObject({
      role: 'assistant',
      reasoning_content: 'Let me see.',
      tool_calls: [{ id: 'call_1' }],
    })
  })

  test('D40: signed and redacted thinking come back to Anthropic byte for byte', async () => {
    const heard = await claude(
      [
        messages.start(),
        ...messages.thinking(0, 'c2lnbmF0dXJl/+==', 'Let me', ' see.'),
        ...messages.block(1, { type: 'redacted_thinking', data: 'aGlkZGVu' }),
        ...messages.tool(2, 'toolu_1', 'read', '{}'),
        ...messages.end('tool_use'),
      ],
      { tools: [functionTool('read')] },
    )
    const [open, hidden, called] = outputOf(heard)
    expect(open).toMatchObject({ type: 'reasoning', summary: [{ type: 'summary_text', text: 'Let me see.' }] })
    expect(hidden).toMatchObject({
      type: 'reasoning',
      summary: [],
      encrypted_content: expect.stringMatching(/^tok1\./),
    })
    const next = ask(
      {
        tools: [functionTool('read')],
        input: [userItem(), ...outputOf(heard), output(String(called?.['call_id']), 'A')],
      },
      ANTHROPIC,
    )
    expect(turnsOf(next)[1]?.['content']).toEqual([
      { type: 'thinking', thinking: 'Let me see.', signature: 'c2lnbmF0dXJl/+==' },
      { type: 'redacted_thinking', data: 'aGlkZGVu' },
      { type: 'tool_use', id: 'toolu_1', name: 'read', input: {} },
    ])
    expect(next.dropped).toEqual([])
  })

  test('D41: what the provider did by itself leaves no gap in the indexes', async () => {
    const { outline } = await claude([
      messages.start(),
      ...messages.text(0, 'One'),
      ...messages.block(
        1,
        { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} },
        { type: 'input_json_delta', partial_json: '{"query":"x"}' },
      ),
      ...messages.block(2, { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [] }),
      ...messages.text(3, 'Two'),
      ...messages.end('end_turn'),
    ])
    expect(outline).toContain('0 message')
    expect(outline.at(-1)).toBe('completed')
  })

  test('D43: two answers at once do not mix', async () => {
    const [one, two] = await Promise.all([
      chat([says('One'), ends('stop'), AFTER, DONE]),
      chat([says('Two'), ends('stop'), AFTER, DONE]),
    ])
    expect(JSON.stringify(one.message)).not.toContain('Two')
    expect(JSON.stringify(two.message)).not.toContain('One')
  })

  test('D44: reasoning that stops without an answer is not completed with nothing', async () => {
    const { message, outline } = await chat([{ delta: { reasoning_content: 'Hm.' } }, ends('length'), AFTER, DONE])
    expect(outline.at(-1)).toBe('incomplete')
    expect(message['output']).toMatchObject([{ type: 'reasoning' }])
    const stopped = await chat([{ delta: { reasoning_content: 'Hm.' } }, ends('stop'), AFTER, DONE])
    expect(asList(stopped.message['output']).length).toBeGreaterThan(0)
  })
})

describe('Responses to a target of another dialect: the request', () => {
  test.each([
    ['a text', 'Done'],
    ['a list of parts', [{ type: 'input_text', text: 'Done' }]],
  ])('D15: a freeform call of the history and its result, %s, are a call of a function and its result', (_, result) => {
    const written = ask({
      tools: [APPLY_PATCH],
      input: [
        userItem(),
        { type: 'custom_tool_call', call_id: 'call_1', name: 'apply_patch', input: PATCH, status: 'completed' },
        { type: 'custom_tool_call_output', call_id: 'call_1', output: result },
      ],
    })
    expect(turnsOf(written)).toMatchObject([
      { role: 'user' },
      {
        role: 'assistant',
        tool_calls: [
          {
            id: 'call_1',
            type: 'function',
            function: { name: 'apply_patch', arguments: JSON.stringify({ input: PATCH }) },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'Done' },
    ])
  })

  test('D16: members of a namespace have names of their own, in tools, choice and history', () => {
    const written = ask({
      tools: [AGENTS, functionTool('read')],
      tool_choice: { type: 'function', name: 'read' },
      input: [userItem(), functionCall('call_1', 'wait', { namespace: 'multi_agent_v1' }), output('call_1', 'A')],
    })
    const names = toolsOf(written).map(({ name }) => String(name))
    expect(new Set(names).size).toBe(3)
    const [called] = asList(turnsOf(written)[1]?.['tool_calls']).map(asObject)
    expect(names).toContain(asObject(called?.['function'])['name'])
    expect(String(asObject(called?.['function'])['name'])).toContain('wait')
  })

  test('D17: a tool of its own keeps its name against a namespace’s member', () => {
    const written = ask({ tools: [AGENTS, functionTool('multi_agent_v1__spawn', { description: 'the direct one' })] })
    const named = toolsOf(written)
    expect(new Set(named.map(({ name }) => name)).size).toBe(3)
    expect(named.find(({ name }) => name === 'multi_agent_v1__spawn')?.['description']).toBe('the direct one')
  })

  test('D19: a configuration update sets the effort from there on, and is no message', () => {
    const input = [userItem('One'), { type: 'configuration_update', reasoning: { effort: 'high' } }, userItem('Two')]
    const written = ask({ reasoning: { effort: 'low' }, input }, genericTarget('openai-chat', 'gpt-oss-20b'))
    expect(written.sent['reasoning_effort']).toBe('high')
    expect(JSON.stringify(turnsOf(written))).not.toContain('configuration_update')
  })

  test.each([CHAT, ANTHROPIC])(
    'D20: hosted tools that $name does not run are named, never refused and never a function',
    (target) => {
      const hosted = [
        { type: 'image_generation' },
        { type: 'code_interpreter', container: { type: 'auto' } },
        { type: 'file_search', vector_store_ids: ['vs_1'] },
        { type: 'computer_use_preview', display_width: 1, display_height: 1, environment: 'linux' },
      ]
      const written = ask({ tools: [functionTool('read'), ...hosted] }, target)
      expect(toolsOf(written).map(({ name }) => name)).toEqual(['read'])
      expect(written.dropped.join()).toMatch(/tools/)
    },
  )

  test('D20: tools that the client runs are functions', () => {
    const written = ask({
      tools: [{ type: 'local_shell' }, { type: 'shell' }, { type: 'apply_patch' }, functionTool('read')],
    })
    expect(toolsOf(written)).toHaveLength(4)
  })

  test('D20: a web search that the target has is its web search', () => {
    const written = ask({ tools: [{ type: 'web_search', filters: { allowed_domains: ['example.org'] } }] }, ANTHROPIC)
    expect(written.sent['tools']).toMatchObject([
      { type: expect.stringMatching(/^web_search_/), name: 'web_search', allowed_domains: ['example.org'] },
    ])
    expect(ask({ tools: [{ type: 'web_search' }] }).dropped.join()).toMatch(/tools|web_search/)
  })

  test('D23: a result that is a list of parts written as text shows its images, other texts stay', () => {
    const image = { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=' }
    const parts = JSON.stringify([{ type: 'input_text', text: 'See' }, image])
    const written = ask(
      {
        tools: [functionTool('read')],
        input: [userItem(), functionCall('a'), functionCall('b'), output('a', parts), output('b', '[1,2]')],
      },
      ANTHROPIC,
    )
    expect(turnsOf(written)[2]?.['content']).toMatchObject([
      { tool_use_id: 'a', content: [{ type: 'text', text: 'See' }, { type: 'image' }] },
      { tool_use_id: 'b', content: expect.anything() },
    ])
    expect(JSON.stringify(turnsOf(written)[2])).toContain('[1,2]')
  })

  test('D24: items as they came back, with ids, states and notes, are taken as they are', () => {
    const note = { internal_chat_message_metadata_passthrough: { turn_id: 't' } }
    const written = ask({
      tools: [functionTool('read')],
      input: [
        { ...userItem([{ type: 'input_text', text: 'Go' }]), id: 'msg_0', status: 'completed', ...note },
        { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'foreign', status: null, ...note },
        {
          type: 'message',
          id: 'msg_1',
          role: 'assistant',
          status: 'completed',
          phase: 'commentary',
          content: [{ type: 'output_text', text: 'I read.', annotations: [], logprobs: [] }],
          ...note,
        },
        { ...functionCall('a'), id: 'fc_1', status: 'completed', ...note },
        { ...output('a', 'A'), id: 'fco_1', status: 'completed', ...note },
      ],
    })
    expect(turnsOf(written)).toMatchObject([
      { role: 'user', content: 'Go' },
      { role: 'assistant', content: 'I read.', tool_calls: [{ id: 'a' }] },
      { role: 'tool', tool_call_id: 'a', content: 'A' },
    ])
    expect(JSON.stringify(written)).not.toContain('internal_chat')
  })

  test('D25: two calls and then two results are one turn each', () => {
    const input = [userItem(), functionCall('a'), functionCall('b'), output('a', 'A'), output('b', 'B')]
    expect(turnsOf(ask({ input, tools: [functionTool('read')] }))).toMatchObject([
      { role: 'user' },
      { role: 'assistant', tool_calls: [{ id: 'a' }, { id: 'b' }] },
      { role: 'tool', tool_call_id: 'a' },
      { role: 'tool', tool_call_id: 'b' },
    ])
    expect(turnsOf(ask({ input, tools: [functionTool('read')] }, ANTHROPIC))).toMatchObject([
      { role: 'user' },
      { role: 'assistant', content: [{ id: 'a' }, { id: 'b' }] },
      { role: 'user', content: [{ tool_use_id: 'a' }, { tool_use_id: 'b' }] },
    ])
  })

  test('D27: the format of the output is not lost', () => {
    const schema = { type: 'object', properties: {}, additionalProperties: false, required: [] }
    const text = { format: { type: 'json_schema', name: 'answer', schema, strict: true } }
    expect(ask({ text }).sent['response_format']).toMatchObject({
      type: 'json_schema',
      json_schema: { name: 'answer', schema },
    })
    expect(ask({ text }, ANTHROPIC).sent['output_config']).toMatchObject({ format: { type: 'json_schema', schema } })
    expect(ask({ text: { format: { type: 'json_object' } } }).sent['response_format']).toEqual({ type: 'json_object' })
    const plain = ask({ text: { format: { type: 'json_object' } } }, ANTHROPIC)
    expect(
      plain.sent['output_config'] !== undefined ||
        plain.dropped.length > 0 ||
        JSON.stringify(plain.sent).includes('JSON'),
    ).toBe(true)
  })

  test('D37: a reasoning item with an endless id does not keep it at OpenAI', () => {
    // Within one dialect the bytes pass through; from Messages the item is ours to write.
    const seal = ask({
      input: [
        userItem(),
        { type: 'reasoning', id: 'r'.repeat(408), summary: [], encrypted_content: 'x' },
        functionCall('a'),
        output('a', 'A'),
      ],
      tools: [functionTool('read')],
    })
    expect(JSON.stringify(seal.sent)).not.toContain('rrrr')
  })

  test('D45: a service tier is the target’s own, or named as dropped', () => {
    const written = ask({ service_tier: 'priority' }, ANTHROPIC)
    expect(
      written.sent['service_tier'] !== undefined ||
        written.sent['speed'] !== undefined ||
        written.dropped.includes('service_tier'),
    ).toBe(true)
    expect(ask({ service_tier: 'priority' }).dropped).toEqual(['service_tier'])
  })
})
