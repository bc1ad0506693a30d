/**
 * A client of Messages, a target of another dialect: the request. Every written body must pass the rules of its dialect
 * (test/support/translation-request-rules.ts) beside what its case expects.
 *
 * Elsewhere: B16 (aliases by class are the router's, test/unit/routing), B28 (a `stream` that is no boolean is refused before
 * any dialect is known, test/unit/dialects/skim-request.test.ts). Not applicable: B37 (no Bedrock target). The numbers that are
 * missing were never given.
 */
import { describe, expect, test } from 'vitest'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import type { TranslationTarget } from '../../../../src/dialects/translate.ts'
import { responses, responsesSse } from '../../../support/translation-providers.ts'
import {
  genericTarget,
  hear,
  refusalOf,
  requestOf,
  SEAL,
  send,
  vendorTarget,
  type Sent,
} from '../../../support/translation.ts'

const CHAT = genericTarget('openai-chat')
const OPENAI_CHAT = vendorTarget('openai-chat')
const RESPONSES = genericTarget('openai-responses')
const OPENAI = vendorTarget('openai-responses')

/** Asks with these members beside a minimal request. */
const ask = (members: JsonObject, target: TranslationTarget = CHAT): Sent =>
  send({ from: 'anthropic-messages', request: requestOf('anthropic-messages', members), target })

const user = (...content: readonly JsonObject[]): JsonObject => ({ role: 'user', content })
const assistant = (...content: readonly JsonObject[]): JsonObject => ({ role: 'assistant', content })
const text = (value: string, members: JsonObject = {}): JsonObject => ({ type: 'text', text: value, ...members })
const toolUse = (id: string, name = 'read', input: JsonObject = {}): JsonObject => ({
  type: 'tool_use',
  id,
  name,
  input,
})
const toolResult = (id: string, content?: unknown, members: JsonObject = {}): JsonObject => ({
  type: 'tool_result',
  tool_use_id: id,
  ...(content === undefined ? {} : { content }),
  ...members,
})
const tool = (name: string, members: JsonObject = {}): JsonObject => ({
  name,
  description: `Does ${name}`,
  input_schema: { type: 'object', properties: { path: { type: 'string' } } },
  ...members,
})
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } }
const pdf = {
  type: 'document',
  title: 'paper.pdf',
  source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0xLjQ=' },
}
const namesOf = ({ sent }: Sent): unknown[] =>
  asList(sent['tools']).map((each) => asObject(asObject(each)['function'] ?? each)['name'])

interface Case {
  readonly name: string
  readonly members: JsonObject
  readonly target?: TranslationTarget
  /** What is sent, in part. */
  readonly sent: JsonObject
  readonly dropped?: readonly string[]
  readonly also?: (sent: Sent) => void
}

const CASES: readonly Case[] = [
  {
    name: 'B3: a system message between turns stays there where the target can have it',
    members: { messages: [user(text('One')), { role: 'system', content: 'Be brief.' }, user(text('Two'))] },
    target: OPENAI_CHAT,
    sent: { messages: [{ role: 'user' }, { role: 'developer', content: 'Be brief.' }, { role: 'user' }] },
  },
  {
    name: 'B3: a system message between turns stays an item of Responses',
    members: { messages: [user(text('One')), { role: 'system', content: [text('Be brief.')] }, user(text('Two'))] },
    target: OPENAI,
    sent: { input: [{ role: 'user' }, { role: 'developer' }, { role: 'user' }] },
  },
  {
    name: 'B4: the effort of a system message is the effort of its turn, and what else it says does not hurt',
    members: {
      thinking: { type: 'adaptive' },
      output_config: { effort: 'low' },
      messages: [
        user(text('One')),
        { role: 'system', content: 'Be brief.', output_config: { effort: 'high' }, clear_at: 'next_user_message' },
      ],
    },
    target: OPENAI,
    sent: { reasoning: { effort: 'high' } },
  },
  {
    name: 'B5: results come first and in order, the text after them',
    members: {
      messages: [
        user(text('Go')),
        assistant(toolUse('toolu_a'), toolUse('toolu_b')),
        user(toolResult('toolu_a', 'A'), toolResult('toolu_b', 'B'), text('And now?')),
      ],
      tools: [tool('read')],
    },
    sent: {
      messages: [
        { role: 'user' },
        { role: 'assistant', tool_calls: [{ id: 'toolu_a' }, { id: 'toolu_b' }] },
        { role: 'tool', tool_call_id: 'toolu_a', content: 'A' },
        { role: 'tool', tool_call_id: 'toolu_b', content: 'B' },
        { role: 'user', content: 'And now?' },
      ],
    },
  },
  {
    name: 'B7: text, image and text keep their order',
    members: { messages: [user(text('Before'), image, text('After'))] },
    sent: {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Before' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } },
            { type: 'text', text: 'After' },
          ],
        },
      ],
    },
  },
  {
    name: 'B9: a result without content is an empty text',
    members: { messages: [user(text('Go')), assistant(toolUse('a')), user(toolResult('a'))], tools: [tool('read')] },
    sent: { messages: [{}, {}, { role: 'tool', tool_call_id: 'a', content: '' }] },
  },
  {
    name: 'B9: a result whose content is an empty text stays one',
    members: {
      messages: [user(text('Go')), assistant(toolUse('a')), user(toolResult('a', ''))],
      tools: [tool('read')],
    },
    sent: { messages: [{}, {}, { role: 'tool', tool_call_id: 'a', content: '' }] },
  },
  {
    name: 'B9: a result whose content is an object is its JSON',
    members: {
      messages: [user(text('Go')), assistant(toolUse('a')), user(toolResult('a', { rows: 2 }))],
      tools: [tool('read')],
    },
    sent: { messages: [{}, {}, { role: 'tool', tool_call_id: 'a', content: '{"rows":2}' }] },
  },
  {
    name: 'B11: a deferred tool that was referenced is offered, its placeholder is not',
    members: {
      tools: [
        tool('ToolSearch'),
        tool('WebFetch', { defer_loading: true }),
        tool('Other', { defer_loading: true }),
        tool('DeferredToolPlaceholder', { defer_loading: true }),
      ],
      messages: [
        user(text('Go')),
        assistant(toolUse('a', 'ToolSearch')),
        user(toolResult('a', [{ type: 'tool_reference', tool_name: 'WebFetch' }])),
      ],
    },
    sent: { messages: [{}, {}, { role: 'tool', tool_call_id: 'a', content: expect.stringContaining('WebFetch') }] },
    also: (sent) => {
      expect(namesOf(sent)).toEqual(['ToolSearch', 'WebFetch'])
      expect(JSON.stringify(sent.sent)).not.toContain('defer_loading')
    },
  },
  {
    name: 'B12: deferred tools that nothing referenced are not offered',
    members: { tools: [tool('read'), tool('WebFetch', { defer_loading: true })] },
    sent: {},
    also: (sent) => {
      expect(namesOf(sent)).toEqual(['read'])
    },
  },
  {
    name: 'B15: the web search of the vendor becomes the web search of the other one',
    members: {
      tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 8, allowed_domains: ['example.org'] }],
    },
    target: OPENAI,
    sent: { tools: [{ type: 'web_search', filters: { allowed_domains: ['example.org'] } }] },
  },
  {
    name: 'B17: a schema for the output becomes response_format',
    members: { output_config: { format: { type: 'json_schema', schema: { type: 'object', properties: {} } } } },
    sent: {
      response_format: {
        type: 'json_schema',
        json_schema: { name: expect.any(String), schema: { type: 'object', properties: {} } },
      },
    },
  },
  {
    name: 'B17: a schema in the old place becomes text.format',
    members: { output_format: { type: 'json_schema', schema: { type: 'object', properties: {} } } },
    target: OPENAI,
    sent: {
      text: { format: { type: 'json_schema', name: expect.any(String), schema: { type: 'object', properties: {} } } },
    },
  },
  {
    name: 'B24: a signature of another vendor is not sent to OpenAI',
    members: {
      messages: [
        user(text('Go')),
        assistant({ type: 'thinking', thinking: 'secret thoughts', signature: 'c2ln' }, text('Hi')),
        user(text('On')),
      ],
    },
    target: OPENAI,
    sent: { input: [{ role: 'user' }, { role: 'assistant' }, { role: 'user' }] },
    dropped: ['messages[].content[].thinking'],
    also: ({ sent }) => {
      expect(JSON.stringify(sent)).not.toMatch(/c2ln|secret thoughts/)
    },
  },
  {
    name: 'B25: thoughts never become visible text',
    members: {
      messages: [
        user(text('Go')),
        assistant({ type: 'thinking', thinking: 'secret thoughts', signature: 'c2ln' }, text('Hi')),
        user(text('On')),
      ],
    },
    target: OPENAI_CHAT,
    sent: { messages: [{ role: 'user' }, { role: 'assistant', content: 'Hi' }, { role: 'user' }] },
    dropped: ['messages[].content[].thinking'],
    also: ({ sent }) => {
      expect(JSON.stringify(sent)).not.toContain('secret thoughts')
    },
  },
  {
    name: 'B25: thoughts go back as reasoning_content where a server takes them',
    members: {
      messages: [
        user(text('Go')),
        assistant({ type: 'thinking', thinking: 'secret thoughts', signature: 'c2ln' }, text('Hi')),
        user(text('On')),
      ],
    },
    sent: {
      messages: [
        { role: 'user' },
        { role: 'assistant', content: 'Hi', reasoning_content: 'secret thoughts' },
        { role: 'user' },
      ],
    },
  },
  {
    name: 'B27: the output limit of a generic server is max_tokens',
    members: { max_tokens: 77 },
    sent: { max_tokens: 77 },
  },
  {
    name: 'B27: the output limit of OpenAI is max_completion_tokens',
    members: { max_tokens: 77 },
    target: OPENAI_CHAT,
    sent: { max_completion_tokens: 77 },
  },
  {
    name: 'B27: the output limit of Responses is max_output_tokens',
    members: { max_tokens: 77 },
    target: OPENAI,
    sent: { max_output_tokens: 77 },
  },
  {
    name: 'B29: a forced tool becomes a single one where a model cannot be forced while it thinks',
    members: {
      thinking: { type: 'enabled', budget_tokens: 2_000 },
      max_tokens: 9_000,
      tools: [tool('read'), tool('list')],
      tool_choice: { type: 'tool', name: 'list' },
    },
    target: genericTarget('openai-chat', 'deepseek-reasoner'),
    sent: {},
    also: (sent) => {
      expect(namesOf(sent)).toEqual(['list'])
      expect(['auto', undefined]).toContain(sent.sent['tool_choice'])
    },
  },
  {
    name: 'B31: text, call and text keep their order in Responses',
    members: {
      messages: [user(text('Go')), assistant(text('One'), toolUse('a'), text('Two')), user(toolResult('a', 'A'))],
      tools: [tool('read')],
    },
    target: OPENAI,
    sent: {
      input: [
        { role: 'user' },
        { role: 'assistant' },
        { type: 'function_call' },
        { role: 'assistant' },
        { type: 'function_call_output' },
      ],
    },
  },
  {
    name: 'B31: texts around a call are both in the one message Chat has',
    members: {
      messages: [user(text('Go')), assistant(text('One'), toolUse('a'), text('Two')), user(toolResult('a', 'A'))],
      tools: [tool('read')],
    },
    sent: {
      messages: [
        {},
        { role: 'assistant', content: expect.stringMatching(/One[^]*Two/), tool_calls: [{ id: 'a' }] },
        { role: 'tool' },
      ],
    },
  },
  {
    name: 'B32: a PDF is a file of Responses',
    members: { messages: [user(pdf, text('Read it'))] },
    target: OPENAI,
    sent: {
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_file', filename: 'paper.pdf', file_data: 'data:application/pdf;base64,JVBERi0xLjQ=' },
            { type: 'input_text' },
          ],
        },
      ],
    },
  },
  {
    name: 'B32: a PDF is a file of Chat',
    members: { messages: [user(pdf, text('Read it'))] },
    target: OPENAI_CHAT,
    sent: {
      messages: [
        {
          content: [
            { type: 'file', file: { filename: 'paper.pdf', file_data: 'data:application/pdf;base64,JVBERi0xLjQ=' } },
            { type: 'text' },
          ],
        },
      ],
    },
  },
  {
    name: 'B33: a long call id is shortened alike for call and result',
    members: {
      messages: [user(text('Go')), assistant(toolUse('x'.repeat(94))), user(toolResult('x'.repeat(94), 'A'))],
      tools: [tool('read')],
    },
    sent: {},
    also: ({ sent }) => {
      const [, called, result] = asList(sent['messages']).map(asObject)
      expect(asObject(asList(called?.['tool_calls'])[0])['id']).toBe(result?.['tool_call_id'])
    },
  },
  {
    name: 'B35: $schema is taken out of schemas, and strict is not invented',
    members: {
      tools: [
        tool('read', {
          input_schema: {
            $schema: 'http://json-schema.org/draft-07/schema#',
            type: 'object',
            properties: { a: { type: 'string' } },
          },
        }),
      ],
    },
    target: OPENAI_CHAT,
    sent: {},
    also: ({ sent }) => {
      expect(JSON.stringify(sent['tools'])).not.toContain('$schema')
      expect(asObject(asObject(asList(sent['tools'])[0])['function'])['strict']).not.toBe(true)
    },
  },
  {
    name: 'B35: strict stays only where the schema is closed at every level',
    members: {
      tools: [
        tool('open', {
          strict: true,
          input_schema: {
            type: 'object',
            properties: { a: { type: 'object', properties: {} } },
            required: ['a'],
            additionalProperties: false,
          },
        }),
      ],
    },
    target: OPENAI,
    sent: {},
  },
  {
    name: 'B36: cache marks are breakpoints where OpenAI takes them',
    members: { messages: [user(text('Long', { cache_control: { type: 'ephemeral', ttl: '1h' } }))] },
    target: vendorTarget('openai-chat', 'gpt-5.6'),
    sent: {
      messages: [
        { content: [{ type: 'text', text: 'Long', prompt_cache_breakpoint: { mode: 'explicit', ttl: '12h' } }] },
      ],
    },
  },
  {
    name: 'B36: cache marks are named as dropped where a server knows none',
    members: { messages: [user(text('Long', { cache_control: { type: 'ephemeral' } }))] },
    sent: {},
    also: ({ dropped }) => {
      expect(dropped.join()).toContain('cache_control')
    },
  },
]

describe('a request of Messages to a target of another dialect', () => {
  test.each(CASES)('$name', ({ members, target, sent, dropped, also }) => {
    const written = ask(members, target)
    expect(written.sent).toMatchObject(sent)
    if (dropped !== undefined) expect(written.dropped).toEqual(dropped)
    also?.(written)
  })

  test.each([
    ['a generic server of Chat', CHAT],
    ['OpenAI', OPENAI],
  ])('B1: the billing text of Claude Code does not reach %s', (_, target) => {
    const { sent } = ask(
      { system: [text('x-anthropic-billing-header: cc_version=2.1.330; cch=abcde;'), text('You help.')] },
      target,
    )
    expect(JSON.stringify(sent)).not.toContain('billing')
    expect(JSON.stringify(sent)).toContain('You help.')
  })

  test('B3: a system message between turns becomes a reminder in a user turn where the system speaks first only', () => {
    const { sent } = ask({
      system: 'You help.',
      messages: [user(text('One')), { role: 'system', content: 'Be brief.' }, assistant(text('Hi')), user(text('Two'))],
    })
    expect(sent['messages']).toMatchObject([
      { role: 'system', content: 'You help.' },
      { role: 'user' },
      { role: 'assistant', content: 'Hi' },
      { role: 'user' },
    ])
    expect(JSON.stringify(asList(sent['messages'])[1])).toMatch(
      /<system-reminder>[^]*Be brief\.[^]*<\/system-reminder>/,
    )
  })

  test.each([
    ['the first message', [{ role: 'system', content: 'Be brief.' }, user(text('One'))]],
    ['the last message', [user(text('One')), assistant(text('Hi')), { role: 'system', content: 'Be brief.' }]],
    [
      'after results',
      [user(text('Go')), assistant(toolUse('a')), user(toolResult('a', 'A')), { role: 'system', content: 'Be brief.' }],
    ],
  ])('B3: a system message that is %s is never an assistant’s word, nor refused', (_, turns) => {
    for (const target of [CHAT, OPENAI_CHAT, RESPONSES, OPENAI]) {
      const { sent } = ask({ messages: turns, tools: [tool('read')] }, target)
      for (const each of asList(sent['messages'] ?? sent['input']).map(asObject))
        if (JSON.stringify(each).includes('Be brief.')) expect(each['role']).not.toBe('assistant')
      expect(JSON.stringify(sent)).toContain('Be brief.')
    }
  })

  test('B4: tools that a system message adds are offered', () => {
    const { sent, dropped } = ask({
      tools: [tool('read'), tool('later', { defer_loading: true })],
      messages: [
        user(text('One')),
        { role: 'system', content: [{ type: 'tool_addition', tool: { type: 'tool_reference', name: 'later' } }] },
      ],
    })
    // Either it is offered, or it is said that it is not.
    expect(JSON.stringify(sent['tools']).includes('later') || dropped.length > 0).toBe(true)
  })

  test.each([CHAT, OPENAI_CHAT, RESPONSES, OPENAI])(
    'B8: an image reaches $name in $dialect, for no profile lacks vision',
    (target) => {
      const { sent, dropped } = ask({ messages: [user(text('See'), image)] }, target)
      expect(JSON.stringify(sent)).toContain(PIXEL)
      expect(dropped).toEqual([])
    },
  )

  test('B13: a long tool name is shortened everywhere, and the answer has the long one again', async () => {
    const name = `mcp__${'server_'.repeat(15)}__tool`
    const request = requestOf('anthropic-messages', {
      tools: [tool(name), tool('read')],
      tool_choice: { type: 'tool', name },
      messages: [user(text('Go')), assistant(toolUse('a', name)), user(toolResult('a', 'A'), text('Again'))],
    })
    const asked = { from: 'anthropic-messages', request, target: OPENAI } as const
    const { sent } = send(asked)
    const wireName = String(asObject(asList(sent['tools'])[0])['name'])
    expect(wireName).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
    expect(send(asked).sent).toEqual(sent)
    expect(sent['tool_choice']).toMatchObject({ name: wireName })
    expect(
      asList(sent['input'])
        .map(asObject)
        .find(({ type }) => type === 'function_call')?.['name'],
    ).toBe(wireName)
    const item = {
      id: 'fc_1',
      type: 'function_call',
      call_id: 'call_1',
      name: wireName,
      arguments: '{}',
      status: 'completed',
    }
    const { message } = await hear(asked, {
      body: responsesSse(...responses.start(), ...responses.item(0, item), responses.end([item])),
    })
    expect(message['content']).toMatchObject([{ type: 'tool_use', name }])
  })

  test('B15: a hosted web search at a server that has none is named as dropped, never an empty function', () => {
    const { sent, dropped } = ask({
      tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 8 }, tool('read')],
    })
    expect(namesOf({ sent, dropped })).toEqual(['read'])
    expect(dropped.join()).toMatch(/tools|web_search/)
  })

  test.each([
    [CHAT, undefined],
    [genericTarget('openai-chat', 'qwen3:8b'), 'none'],
    [genericTarget('openai-chat', 'gpt-oss-20b'), 'low'],
    [OPENAI_CHAT, 'none'],
    [OPENAI, 'none'],
  ])('B19: without a word about thinking %o is asked for the least of it, or nothing is said', (target, effort) => {
    const { sent } = ask({}, target)
    const asked = sent['reasoning_effort'] ?? asObject(sent['reasoning'])['effort']
    expect([effort, undefined, 'none', 'minimal', 'low']).toContain(asked)
  })

  test('B20: thinking that is off wins over an effort', () => {
    const { sent } = ask({ thinking: { type: 'disabled' }, output_config: { effort: 'high' } })
    expect(['none', undefined]).toContain(sent['reasoning_effort'])
  })

  test.each([
    ['a budget of 1024', { thinking: { type: 'enabled', budget_tokens: 1_024 } }, 'low'],
    ['a budget of 2048', { thinking: { type: 'enabled', budget_tokens: 2_048 } }, 'medium'],
    ['a budget of 8192', { thinking: { type: 'enabled', budget_tokens: 8_192 } }, 'high'],
    ['a budget of 31999', { thinking: { type: 'enabled', budget_tokens: 31_999 } }, 'xhigh'],
    ['adaptive alone', { thinking: { type: 'adaptive' } }, 'high'],
    ['adaptive and an effort', { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } }, 'low'],
    ['an effort alone', { output_config: { effort: 'medium' } }, 'medium'],
    [
      'a budget and an effort',
      { thinking: { type: 'enabled', budget_tokens: 1_024 }, output_config: { effort: 'max' } },
      'max',
    ],
  ])('B21: %s asks OpenAI for the effort it amounts to', (_, members, effort) => {
    expect(ask({ max_tokens: 40_000, ...members }, OPENAI).sent['reasoning']).toMatchObject({ effort })
    expect(ask({ max_tokens: 40_000, ...members }, OPENAI_CHAT).sent['reasoning_effort']).toBe(effort)
  })

  test('B23: encrypted reasoning that came through here goes back byte for byte, before its call', async () => {
    const item = {
      id: 'rs_1',
      type: 'reasoning',
      summary: [{ type: 'summary_text', text: 'Hm.' }],
      encrypted_content: 'ZW5jcnlwdGVk/+==',
    }
    const call = {
      id: 'fc_1',
      type: 'function_call',
      call_id: 'call_1',
      name: 'read',
      arguments: '{}',
      status: 'completed',
    }
    const first = requestOf('anthropic-messages', { tools: [tool('read')] })
    const { message } = await hear(
      { from: 'anthropic-messages', request: first, target: OPENAI },
      {
        body: responsesSse(
          ...responses.start(),
          ...responses.item(0, item),
          ...responses.item(1, call),
          responses.end([item, call]),
        ),
      },
    )
    const turns = [
      user(text('Hello')),
      { role: 'assistant', content: message['content'] },
      user(toolResult('call_1', 'A')),
    ]
    const { sent, dropped } = ask({ tools: [tool('read')], messages: turns }, OPENAI)
    const items = asList(sent['input']).map(asObject)
    const at = items.findIndex(({ type }) => type === 'reasoning')
    expect(items[at]).toEqual(item)
    expect(items[at + 1]).toMatchObject({ type: 'function_call', call_id: 'call_1' })
    expect(dropped).toEqual([])

    // Another target could not verify it.
    const other = ask({ tools: [tool('read')], messages: turns }, { ...OPENAI, name: 'azure' })
    expect(JSON.stringify(other.sent)).not.toContain('ZW5jcnlwdGVk')
    expect(other.dropped).toEqual(['messages[].content[].thinking'])
  })

  test('B24: sealed state that was tampered with is not restored', () => {
    const sealed = SEAL.seal({
      dialect: 'openai-responses',
      value: { type: 'reasoning', id: 'rs_1' },
      source: 'openai',
    })
    const { sent, dropped } = ask(
      {
        messages: [
          user(text('Go')),
          assistant({ type: 'thinking', thinking: 'Hm.', signature: `${sealed.slice(0, -2)}AA` }, text('Hi')),
          user(text('On')),
        ],
      },
      OPENAI,
    )
    expect(JSON.stringify(sent)).not.toContain('rs_1')
    expect(dropped).toEqual(['messages[].content[].thinking'])
  })

  test('B39: empty and blank texts do not break a request to Messages', () => {
    const { sent } = send({
      from: 'openai-chat',
      request: {
        messages: [
          { role: 'user', content: '' },
          { role: 'user', content: 'One' },
          { role: 'assistant', content: '' },
          {
            role: 'user',
            content: [
              { type: 'text', text: '  ' },
              { type: 'text', text: 'Two' },
            ],
          },
          { role: 'assistant', content: ' \n ' },
        ],
      },
      target: vendorTarget('anthropic-messages'),
    })
    expect(JSON.stringify(sent['messages'])).toMatch(/One[^]*Two/)
  })

  test('a kind of part that cannot be said is refused by its name', () => {
    const audio = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }
    const asked = {
      from: 'openai-chat',
      request: { messages: [{ role: 'user', content: [audio] }] },
      target: vendorTarget('anthropic-messages'),
    } as const
    expect(refusalOf(asked)).toMatchObject({ code: 'translation_refused', status: 400 })
  })
})
