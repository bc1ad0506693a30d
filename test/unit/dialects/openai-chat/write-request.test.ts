import { describe, expect, it } from 'vitest'
import type {
  Conversation,
  Part,
  ReasoningPart,
  ToolChoice,
  ToolResultPart,
} from '../../../../src/dialects/conversation/conversation.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { ask, assistant, call, result, system, TARGET, tool, user, type Ask } from './chat.ts'

const VENDOR: Ask = { isVendor: true, model: 'gpt-5.6' }
const OLD_VENDOR: Ask = { isVendor: true, model: 'gpt-4.1' }
const REASONER: Ask = { model: 'qwen3:8b' }
const PIXEL: Part = { kind: 'image', source: { kind: 'base64', mediaType: 'image/png', data: 'iVBORw0KGgo=' } }
const PIXEL_PART = { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } }
const PDF: Part = {
  kind: 'file',
  name: 'a.pdf',
  source: { kind: 'base64', mediaType: 'application/pdf', data: 'JVBERg==' },
}
const CLOSED = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false }
const OPEN = {
  type: 'object',
  properties: { a: { type: 'object', properties: {} } },
  required: ['a'],
  additionalProperties: false,
}

function refusalOf(members: Partial<Conversation>, options?: Ask): string {
  try {
    ask(members, options)
  } catch (thrown) {
    return `${(thrown as { code?: string }).code}: ${(thrown as Error).message}`
  }
  return 'nothing was refused'
}

/** Messages as one line each. */
function outline(messages: readonly JsonObject[]): readonly string[] {
  return messages.map(({ role, content, tool_calls: calls, tool_call_id: id }) =>
    [
      role,
      id,
      typeof content === 'string' ? content : content === null ? undefined : JSON.stringify(content),
      Array.isArray(calls) ? `calls ${calls.map((each: JsonObject) => each['id']).join(' ')}` : undefined,
    ]
      .filter((word) => word !== undefined)
      .join(' | '),
  )
}

describe('the messages that a server of Chat Completions gets', () => {
  it('begin with one system message; a later system text reminds the user (B3)', () => {
    const turns = [system('a', 'b'), system('c'), user('hello'), system('later'), assistant('hi'), system('last')]
    expect(outline(ask({ turns }).messages)).toEqual([
      'system | a\n\nb\n\nc',
      'user | hello\n\n<system-reminder>\nlater\n</system-reminder>',
      'assistant | hi',
      'user | <system-reminder>\nlast\n</system-reminder>',
    ])
  })

  it('leave a text that is a reminder already as it is', () => {
    const reminder = '<system-reminder>\n9 tokens left\n</system-reminder>'
    expect(outline(ask({ turns: [user('hello'), system(reminder)] }).messages)).toEqual([`user | hello\n\n${reminder}`])
  })

  it('have system texts in their places where the vendor takes them there (B3)', () => {
    const turns = [system('a'), user('hello'), system('later'), assistant('hi')]
    expect(outline(ask({ turns }, VENDOR).messages)).toEqual([
      'developer | a',
      'user | hello',
      'developer | later',
      'assistant | hi',
    ])
    expect(outline(ask({ turns }, OLD_VENDOR).messages)[0]).toBe('system | a')
  })

  it('B5: answer the calls of a message directly after it, then let the user speak', () => {
    const turns = [user('q'), assistant('ok', call('a'), call('b')), user(result('a', '1'), result('b', '2'), 'and?')]
    expect(outline(ask({ turns }).messages)).toEqual([
      'user | q',
      'assistant | ok | calls a b',
      'tool | a | 1',
      'tool | b | 2',
      'user | and?',
    ])
  })

  it('answer calls in the order of the calls, whatever stood between or before', () => {
    const turns = [
      assistant(call('a'), call('b')),
      system('note'),
      user('wait'),
      user(result('b', '2')),
      user('well?', result('a', '1')),
    ]
    expect(outline(ask({ turns }).messages)).toEqual([
      'assistant | calls a b',
      'tool | a | 1',
      'tool | b | 2',
      'user | <system-reminder>\nnote\n</system-reminder>\n\nwait\n\nwell?',
    ])
  })

  it('C17: hold one result for a call, the last one given', () => {
    const turns = [assistant(call('a')), user(result('a', 'interrupted')), user(result('a', 'done'))]
    expect(outline(ask({ turns }).messages)).toEqual(['assistant | calls a', 'tool | a | done'])
  })

  it('answer a call that was never answered, so that the history is not refused', () => {
    const turns = [assistant(call('a'), call('b')), user(result('b', '2'), 'go on')]
    expect(outline(ask({ turns }).messages)).toEqual([
      'assistant | calls a b',
      'tool | a | No result.',
      'tool | b | 2',
      'user | go on',
    ])
  })

  it('tell the result of a call that is not in the history in the words of the user', () => {
    expect(outline(ask({ turns: [user(result('gone', '1'), 'and?')] }).messages)).toEqual([
      'user | Result of the call gone:\n1\n\nand?',
    ])
  })

  it('tell apart calls of several turns that have the same id', () => {
    const turns = [assistant(call('a')), user(result('a', '1')), assistant(call('a')), user(result('a', '2'))]
    expect(outline(ask({ turns }).messages)).toEqual([
      'assistant | calls a',
      'tool | a | 1',
      'assistant | calls a',
      'tool | a | 2',
    ])
  })

  it('D25: merge what the assistant said and called in several turns', () => {
    const turns = [
      user('q'),
      assistant('one'),
      assistant(call('a')),
      assistant(call('b')),
      user(result('a', '1')),
      user(result('b', '2')),
    ]
    expect(outline(ask({ turns }).messages)).toEqual([
      'user | q',
      'assistant | one | calls a b',
      'tool | a | 1',
      'tool | b | 2',
    ])
  })

  it('B31: keep all texts around a call, before it', () => {
    const turns = [assistant('The sky', ' is blue.', call('a'), 'After.'), user(result('a', '1'))]
    expect(outline(ask({ turns }).messages)[0]).toBe('assistant | The sky is blue.\n\nAfter. | calls a')
  })

  it('B7: keep texts and pictures in their order', () => {
    expect(ask({ turns: [user('before', PIXEL, 'after')] }).messages[0]?.['content']).toEqual([
      { type: 'text', text: 'before' },
      PIXEL_PART,
      { type: 'text', text: 'after' },
    ])
  })

  it('are plain texts where there is nothing but text', () => {
    expect(ask({ turns: [user('a', 'b'), user('c')] }).messages).toEqual([{ role: 'user', content: 'a\n\nb\n\nc' }])
  })

  it('B6: show the pictures of results after all results, with the name of their call', () => {
    const seen: Part = { kind: 'tool-result', toolKind: 'function', callId: 'a', content: [PIXEL], isError: false }
    const turns = [assistant(call('a'), call('b')), user(seen, result('b', '2')), user('well?')]
    expect(ask({ turns }).messages.slice(1)).toEqual([
      { role: 'tool', tool_call_id: 'a', content: 'See the next message of the user.' },
      { role: 'tool', tool_call_id: 'b', content: '2' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What the call a returned beside text:' },
          PIXEL_PART,
          { type: 'text', text: 'well?' },
        ],
      },
    ])
  })

  it('say that a result is an error', () => {
    const turns = [assistant(call('a')), user(result('a', 'no such file', true))]
    expect(outline(ask({ turns }).messages)[1]).toBe('tool | a | Error: no such file')
  })

  it('B9: have a result that says nothing', () => {
    const turns = [assistant(call('a')), user(result('a', ''))]
    expect(ask({ turns }).messages[1]).toEqual({ role: 'tool', tool_call_id: 'a', content: '' })
  })

  it('B11, B12: offer a deferred tool once it is loaded, and say so; others not', () => {
    const tools = [tool('WebFetch', { isDeferred: true }), tool('Other', { isDeferred: true }), tool('ToolSearch')]
    const loaded: Part = {
      kind: 'tool-result',
      toolKind: 'function',
      callId: 'a',
      content: [{ kind: 'tool-reference', name: 'WebFetch' }],
      isError: false,
    }
    const { body, messages } = ask({ tools, turns: [assistant(call('a', 'ToolSearch')), user(loaded)] })
    expect(outline(messages)[1]).toBe('tool | a | tool WebFetch loaded')
    expect(
      (body['tools'] as readonly { readonly function: JsonObject }[]).map((each) => each.function['name']),
    ).toEqual(['WebFetch', 'ToolSearch'])
  })

  it('B13, B33, D36: shorten long names and ids alike in call, result, tool and choice', () => {
    const name = `mcp__${'x'.repeat(90)}`
    const id = `call_${'y'.repeat(90)}`
    const { body, messages } = ask({
      tools: [tool(name)],
      toolChoice: { kind: 'tool', name },
      turns: [assistant(call(id, name)), user(result(id, '1'))],
    })
    const [{ function: declared }] = body['tools'] as readonly [{ readonly function: JsonObject }]
    const [made] = (messages[0]?.['tool_calls'] ?? []) as readonly {
      readonly id: string
      readonly function: JsonObject
    }[]
    expect(String(declared['name'])).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
    expect(made?.function['name']).toBe(declared['name'])
    expect(body['tool_choice']).toEqual({ type: 'function', function: { name: declared['name'] } })
    expect(made?.id).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
    expect(messages[1]?.['tool_call_id']).toBe(made?.id)
  })

  it('have arguments that can be parsed, also of a call that had none', () => {
    expect(ask({ turns: [assistant(call('a', 'now', ''))] }).messages[0]?.['tool_calls']).toEqual([
      { id: 'a', type: 'function', function: { name: 'now', arguments: '{}' } },
    ])
  })

  it('B32: hold a document with its name; a plain text is text', () => {
    const note: Part = { kind: 'file', name: 'a.txt', source: { kind: 'text', mediaType: 'text/plain', text: 'note' } }
    expect(ask({ turns: [user(PDF, note)] }).messages[0]?.['content']).toEqual([
      { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERg==' } },
      { type: 'text', text: 'a.txt:\nnote' },
    ])
  })

  it('hold what a part of another dialect says, and report one that says nothing', () => {
    const native = { dialect: 'anthropic-messages' as const, value: { type: 'x' } }
    const { messages, dropped } = ask({
      turns: [
        user(
          { kind: 'native', native, type: 'search_result', text: 'found' },
          { kind: 'native', native, type: 'container_upload' },
        ),
      ],
    })
    expect(outline(messages)).toEqual(['user | found'])
    expect(dropped).toEqual(['messages[].content[].container_upload'])
  })

  it('may hold more calls and results than fit on a stack', () => {
    const ids = Array.from({ length: 150_000 }, (_, index) => `c${index}`)
    const calls = { ...assistant(), parts: ids.map((id) => call(id)) }
    const results = { ...user(), parts: ids.map((id) => result(id, id)) }
    expect(ask({ turns: [calls, results] }).messages).toHaveLength(1 + ids.length)
  }, 30_000)

  it('leave out what says nothing, and merge what it stood between', () => {
    expect(outline(ask({ turns: [user('a'), assistant(''), user('b'), system('')] }).messages)).toEqual([
      'user | a\n\nb',
    ])
  })
})

describe('media that a server does not take', () => {
  it.each<readonly [string, Part, Ask, string]>([
    ['B8: a picture', PIXEL, { profile: { takesImages: false } }, 'messages[].content[].image'],
    ['a document', PDF, { profile: { takesFiles: false } }, 'messages[].content[].document'],
    [
      'a recording',
      { kind: 'audio', format: 'wav', data: 'UklGRg==' },
      { client: 'openai-responses', profile: { takesAudio: false } },
      'input[].content[].input_audio',
    ],
    [
      'a picture by an id of Anthropic',
      { kind: 'image', source: { kind: 'file-id', dialect: 'anthropic-messages', id: 'file_1' } },
      {},
      'messages[].content[].image',
    ],
    [
      'a document by its URL',
      { kind: 'file', source: { kind: 'url', url: 'https://example.org/a.pdf' } },
      {},
      'messages[].content[].document',
    ],
  ])('refuse the request, and name it: %s', (_, part, options, field) => {
    const said = refusalOf({ turns: [user(part)] }, options)
    expect(said).toContain('translation_refused')
    expect(said).toContain(field)
    expect(refusalOf({ turns: [assistant(call('a')), user({ ...RESULT, content: [part] })] }, options)).toBe(said)
  })

  const RESULT = { kind: 'tool-result', toolKind: 'function', callId: 'a', isError: false } as const
})

describe('reasoning of earlier answers', () => {
  const own = (value: JsonObject, source?: string): ReasoningPart => ({
    kind: 'reasoning',
    text: 'hm',
    native: { dialect: 'openai-chat', value, source },
  })
  const asked = (part: ReasoningPart, options?: Ask): readonly [JsonObject | undefined, readonly string[]] => {
    const { messages, dropped } = ask({ turns: [assistant(part, 'Hi')] }, options)
    return [messages[0], dropped]
  }

  it('D39: goes back to its server in the words it came in', () => {
    const details = [{ type: 'reasoning.encrypted', data: 'x' }]
    expect(asked(own({ reasoning: 'hm', reasoning_details: details }, TARGET))[0]).toEqual({
      role: 'assistant',
      content: 'Hi',
      reasoning: 'hm',
      reasoning_details: details,
    })
    expect(asked(own({ reasoning_content: 'hm' }))[0]).toMatchObject({ reasoning_content: 'hm' })
  })

  it('B24: goes to another server as text alone', () => {
    const details = [{ type: 'reasoning.encrypted', data: 'x' }]
    expect(asked(own({ reasoning: 'hm', reasoning_details: details }, 'another'))[0]).toEqual({
      role: 'assistant',
      content: 'Hi',
      reasoning_content: 'hm',
    })
    const signed: ReasoningPart = {
      kind: 'reasoning',
      text: 'hm',
      native: { dialect: 'anthropic-messages', value: { type: 'thinking', signature: 's' } },
    }
    expect(asked(signed)).toEqual([{ role: 'assistant', content: 'Hi', reasoning_content: 'hm' }, []])
  })

  it('is read from its state where the client was not shown it', () => {
    expect(asked({ ...own({ reasoning_content: 'hm' }, 'another'), text: '' })[0]).toMatchObject({
      reasoning_content: 'hm',
    })
  })

  it('B25: is left out and reported where it is not taken, and never becomes visible text', () => {
    const [message, dropped] = asked({ kind: 'reasoning', text: 'hm' }, VENDOR)
    expect(message).toEqual({ role: 'assistant', content: 'Hi' })
    expect(dropped).toEqual(['messages[].content[].thinking'])
    expect(ask({ turns: [assistant({ kind: 'reasoning', text: 'hm' })] }, VENDOR).messages).toEqual([])
  })

  it('is reported where only its provider can read it', () => {
    const hidden: ReasoningPart = {
      kind: 'reasoning',
      text: '',
      native: { dialect: 'openai-responses', value: { encrypted_content: 'x' }, source: 'openai' },
    }
    const [message, dropped] = asked(hidden, { client: 'openai-responses' })
    expect(message).toEqual({ role: 'assistant', content: 'Hi' })
    expect(dropped).toEqual(['input[].reasoning'])
  })
})

describe('the tools that a server gets', () => {
  const toolsOf = (tools: Conversation['tools'], options?: Ask): readonly [unknown, readonly string[]] => {
    const { body, dropped } = ask({ tools }, options)
    return [body['tools'], dropped]
  }

  it('are functions, whose schemas do not say in which language they are written (B35)', () => {
    const parameters = { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', properties: {} }
    expect(toolsOf([tool('f', { description: 'd', parameters })])[0]).toEqual([
      { type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object', properties: {} } } },
    ])
    expect(toolsOf([tool('f', { parameters: undefined })])[0]).toMatchObject([
      { function: { parameters: { type: 'object', properties: {} } } },
    ])
  })

  it.each<readonly [JsonObject, boolean | undefined, unknown, readonly string[]]>([
    [CLOSED, true, true, []],
    [OPEN, true, undefined, ['tools[].strict']],
    [CLOSED, false, undefined, []],
    [CLOSED, undefined, undefined, []],
  ])('C27, B35: are strict only if every object is closed: %j, asked %s', (parameters, strict, expected, dropped) => {
    const { body, dropped: reported } = ask({ tools: [tool('f', { parameters, strict })] })
    expect((body['tools'] as readonly { readonly function: JsonObject }[])[0]?.function['strict']).toBe(expected)
    expect(reported).toEqual(dropped)
  })

  it('D13: have a freeform tool as a function of one text, with its grammar in words; its history likewise (D15)', () => {
    const grammar = { type: 'grammar', syntax: 'lark', definition: 'start: "a"' }
    const tools = [tool('apply_patch', { kind: 'custom', parameters: undefined, format: grammar })]
    const turns = [
      assistant({ kind: 'tool-call', toolKind: 'custom', callId: 'a', name: 'apply_patch', input: '*** Begin' }),
      user({
        kind: 'tool-result',
        toolKind: 'custom',
        callId: 'a',
        content: [{ kind: 'text', text: 'ok' }],
        isError: false,
      }),
    ]
    const { body, messages } = ask({ tools, turns })
    expect(body['tools']).toMatchObject([
      { type: 'function', function: { name: 'apply_patch', parameters: { required: ['input'] } } },
    ])
    expect(JSON.stringify(body['tools'])).toContain('start: ')
    expect(messages).toMatchObject([
      { tool_calls: [{ type: 'function', function: { arguments: '{"input":"*** Begin"}' } }] },
      { role: 'tool', content: 'ok' },
    ])
    const vendor = ask({ tools, turns }, VENDOR)
    expect(vendor.body['tools']).toEqual([
      {
        type: 'custom',
        custom: {
          name: 'apply_patch',
          format: { type: 'grammar', grammar: { syntax: 'lark', definition: 'start: "a"' } },
        },
      },
    ])
    expect(vendor.messages[0]?.['tool_calls']).toEqual([
      { id: 'a', type: 'custom', custom: { name: 'apply_patch', input: '*** Begin' } },
    ])
  })

  it('D16, D17: have the members of a namespace under names of their own', () => {
    const tools = [tool('spawn', { namespace: 'agents' }), tool('agents__spawn')]
    const [written] = toolsOf(tools)
    expect((written as readonly { readonly function: JsonObject }[]).map((each) => each.function['name'])).toEqual([
      'agents__spawn',
      'agents__spawn__2',
    ])
  })

  it('B15, D20: have no tool that only another provider runs; it is reported', () => {
    const hosted = {
      kind: 'hosted' as const,
      capability: 'web-search' as const,
      name: 'web_search',
      native: { dialect: 'anthropic-messages' as const, value: { type: 'web_search_20250305', name: 'web_search' } },
    }
    expect(toolsOf([hosted])).toEqual([undefined, ['tools[].web_search']])
    const { body, dropped } = ask({ tools: [hosted] }, { profile: { hosted: new Set(['web-search']) } })
    expect(body).toMatchObject({ web_search_options: {} })
    expect(dropped).toEqual([])
  })

  const TWO = [tool('f'), tool('g')]

  it.each<readonly [ToolChoice | undefined, unknown, readonly string[]]>([
    [undefined, undefined, ['f', 'g']],
    [{ kind: 'auto' }, 'auto', ['f', 'g']],
    [{ kind: 'none' }, 'none', ['f', 'g']],
    [{ kind: 'required' }, 'required', ['f', 'g']],
    [{ kind: 'tool', name: 'g' }, { type: 'function', function: { name: 'g' } }, ['f', 'g']],
    [{ kind: 'allowed', mode: 'required', tools: [{ name: 'g' }] }, 'required', ['g']],
    [{ kind: 'allowed', mode: 'auto', tools: [{ name: 'f' }] }, 'auto', ['f']],
  ])('go with the choice %j', (toolChoice, expected, names) => {
    const { body, dropped } = ask({ tools: TWO, toolChoice })
    expect(body['tool_choice']).toEqual(expected)
    expect(
      (body['tools'] as readonly { readonly function: JsonObject }[]).map((each) => each.function['name']),
    ).toEqual(names)
    expect(dropped).toEqual([])
  })

  it('B29: are narrowed to the chosen one where a choice cannot be forced', () => {
    const { body, dropped } = ask(
      { tools: TWO, toolChoice: { kind: 'tool', name: 'g' } },
      { model: 'deepseek-reasoner' },
    )
    expect(body).toMatchObject({ tools: [{ function: { name: 'g' } }], tool_choice: 'auto' })
    expect(dropped).toEqual(['tool_choice'])
    expect(
      ask({ tools: TWO, toolChoice: { kind: 'required' }, reasoning: { mode: 'off' } }, { model: 'deepseek-chat' })
        .body,
    ).toMatchObject({ tool_choice: 'required' })
  })

  it('have no choice among none', () => {
    expect(ask({ toolChoice: { kind: 'auto' } }).body).not.toHaveProperty('tool_choice')
    const { body, dropped } = ask({ toolChoice: { kind: 'tool', name: 'gone' }, tools: TWO })
    expect(body).not.toHaveProperty('tool_choice')
    expect(dropped).toEqual(['tool_choice'])
  })
})

describe('the other members of a request', () => {
  it.each<readonly [Partial<Conversation>, Ask, JsonObject]>([
    [{ outputTokensMax: 100 }, {}, { max_tokens: 100 }],
    [{ outputTokensMax: 100 }, VENDOR, { max_completion_tokens: 100 }],
    [{ outputTokensMax: 100 }, { profile: { outputTokensMax: 50 } }, { max_tokens: 50 }],
    [{ stream: true }, {}, { stream: true, stream_options: { include_usage: true } }],
    [{ verbosity: 'low' }, VENDOR, { verbosity: 'low' }],
    [{ caching: { key: 'k', retention: '24h' } }, VENDOR, { prompt_cache_key: 'k', prompt_cache_retention: '24h' }],
    [{ serviceTier: 'priority' }, VENDOR, { service_tier: 'priority' }],
    [{ user: 'u' }, {}, { user: 'u' }],
    [{ parallelToolCalls: false, tools: [tool('f')] }, {}, { parallel_tool_calls: false }],
    [
      { sampling: { temperature: 0.5, topP: 0.9, seed: 1, presencePenalty: 1, frequencyPenalty: 2, stop: ['a'] } },
      {},
      { temperature: 0.5, top_p: 0.9, seed: 1, presence_penalty: 1, frequency_penalty: 2, stop: ['a'] },
    ],
    [{ format: { kind: 'json-object' } }, {}, { response_format: { type: 'json_object' } }],
    [
      { format: { kind: 'json-schema', schema: CLOSED } },
      {},
      { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: CLOSED, strict: true } } },
    ],
    [
      { format: { kind: 'json-schema', name: 'n', schema: OPEN, strict: false } },
      {},
      { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: OPEN, strict: false } } },
    ],
  ])('B17, B27, D27: %j for %j', (members, options, expected) => {
    const { body, dropped } = ask(members, options)
    expect(body).toMatchObject(expected)
    expect(dropped).toEqual([])
  })

  it('are no more than were asked for', () => {
    expect(ask({}).body).toEqual({ model: 'a-model', messages: [{ role: 'user', content: 'hello' }], stream: false })
  })

  it.each<readonly [Conversation['reasoning'], Ask, string | undefined]>([
    [{}, {}, undefined],
    [{ mode: 'off' }, REASONER, 'none'],
    [{ mode: 'adaptive' }, REASONER, 'high'],
    [{ mode: 'adaptive', effort: 'low' }, REASONER, 'low'],
    [{ mode: 'on', budgetTokens: 4_096 }, REASONER, 'medium'],
    [{ mode: 'on', budgetTokens: 31_999 }, VENDOR, 'xhigh'],
    [{ mode: 'on', budgetTokens: 31_999, effort: 'low' }, REASONER, 'low'],
    [{ effort: 'max' }, REASONER, 'high'],
    [{ effort: 'minimal' }, REASONER, 'low'],
    [{ mode: 'off' }, { model: 'gpt-oss:20b' }, 'low'],
    [{ mode: 'off' }, OLD_VENDOR, undefined],
    [{ mode: 'off' }, {}, undefined],
  ])('B19, B20, B21: thinking as in %j is asked for, of %j, as %s', (reasoning, options, effort) => {
    const { body, dropped } = ask({ reasoning }, options)
    expect(body['reasoning_effort']).toBe(effort)
    expect(dropped).toEqual([])
  })

  it.each<readonly [Partial<Conversation>, Ask, readonly string[]]>([
    [{ reasoning: { effort: 'high' } }, OLD_VENDOR, ['thinking']],
    [{ reasoning: { effort: 'high' } }, {}, ['thinking']],
    [{ sampling: { temperature: 0.5, topP: 1, stop: ['a'] } }, VENDOR, ['temperature', 'stop_sequences']],
    [{ sampling: { temperature: 1, presencePenalty: 0 } }, VENDOR, []],
    [{ sampling: { topK: 5 } }, {}, ['top_k']],
    [{ sampling: { logprobs: true, topLogprobs: 2 } }, {}, ['logprobs', 'top_logprobs']],
    [{ sampling: { stop: ['a', 'b', 'c', 'd', 'e'] } }, {}, ['stop_sequences']],
    [
      { caching: { key: 'k', retention: '24h' } },
      { client: 'openai-responses' },
      ['prompt_cache_key', 'prompt_cache_retention'],
    ],
    [{ caching: { key: 'made of a session', mark: {} } }, {}, ['cache_control']],
    [{ verbosity: 'low' }, { client: 'openai-responses' }, ['text.verbosity']],
    [{ serviceTier: 'priority' }, {}, ['service_tier']],
    [{ serviceTier: 'auto' }, {}, []],
    [{ metadata: { a: 'b' } }, {}, ['metadata']],
    [{ user: 'u' }, { profile: { takesIdentity: false } }, ['metadata.user_id']],
    [
      { tools: [tool('f')], parallelToolCalls: false },
      { profile: { takesParallelSwitch: false } },
      ['tool_choice.disable_parallel_tool_use'],
    ],
    [{ turns: [user({ kind: 'text', text: 'a', cacheMark: {} })] }, {}, ['cache_control']],
    [{ tools: [tool('f', { cacheMark: {} })] }, {}, ['tools[].cache_control']],
    [{ extras: { 'anthropic-messages': { container: 'c', context_management: null } } }, {}, ['container']],
    [
      {
        turns: [user({ kind: 'text', text: 'a', extras: { 'anthropic-messages': { citations: { enabled: true } } } })],
      },
      {},
      ['messages[].content[].citations'],
    ],
  ])('are reported in the words of the client where they are not taken: %j', (members, options, dropped) => {
    expect(ask(members, options).dropped).toEqual(dropped)
  })

  it.each<readonly [Partial<Conversation>, Ask, string]>([
    [{ sampling: { choices: 2 } }, {}, 'n cannot be asked of server in openai-chat'],
    [
      { format: { kind: 'json-schema', schema: CLOSED } },
      { profile: { format: 'json-object' } },
      'output_config.format',
    ],
    [{ format: { kind: 'json-object' } }, { profile: { format: 'none' } }, 'output_config.format'],
  ])('C33: are refused where leaving them out would change the answer: %j', (members, options, reason) => {
    const said = refusalOf(members, options)
    expect(said).toContain('translation_refused')
    expect(said).toContain(reason)
  })

  it('B36: mark the prompt for caching where the model takes marks', () => {
    const marked: Part = { kind: 'text', text: 'a', cacheMark: { ttl: '1h' } }
    expect(ask({ turns: [user(marked, 'b')] }, VENDOR).messages[0]?.['content']).toEqual([
      { type: 'text', text: 'a', prompt_cache_breakpoint: { mode: 'explicit', ttl: '12h' } },
      { type: 'text', text: 'b' },
    ])
    const answered: Part = { ...(result('a', '1') as ToolResultPart), cacheMark: {} }
    expect(ask({ turns: [assistant(call('a')), user(answered)] }, VENDOR).messages[1]?.['content']).toEqual([
      { type: 'text', text: '1', prompt_cache_breakpoint: { mode: 'explicit' } },
    ])
    expect(ask({ turns: [user(marked)] }, OLD_VENDOR).messages[0]).toEqual({ role: 'user', content: 'a' })
  })

  it('C29: name a user in 64 characters, always the same', () => {
    const members = { user: JSON.stringify({ device_id: 'd'.repeat(64), session_id: 's' }) }
    const { body } = ask(members)
    expect(body['user']).toMatch(/^[0-9a-f]{64}$/)
    expect(ask(members).body['user']).toBe(body['user'])
  })
})
