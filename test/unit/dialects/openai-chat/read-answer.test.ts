import { describe, expect, it } from 'vitest'
import type { Answer } from '../../../../src/dialects/conversation/answer.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { openaiChat } from '../../../../src/dialects/openai-chat/translation.ts'
import { answerOf, delta, eventsOf, fragment, outline, readingOf, streamOf, tool, type Cut } from './chat.ts'

const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
const STOP = delta({}, 'stop')
const CALLED = delta({}, 'tool_calls')
const PATCH = tool('apply_patch', { kind: 'custom', parameters: undefined })

function reply(message: JsonObject, finishReason: string | null = 'stop', more: JsonObject = {}): JsonObject {
  return { id: 'chatcmpl-1', model: 'served', choices: [{ index: 0, message, finish_reason: finishReason }], ...more }
}

function read(value: JsonObject): Answer {
  return openaiChat.readReply(value, readingOf())
}

describe.each<Cut>(['whole', 'bytes'])('a stream of Chat Completions, its bytes coming %s', (cut) => {
  const lines = (chunks: readonly JsonObject[]): readonly string[] =>
    outline(eventsOf(streamOf(chunks), readingOf(), cut))

  it('is a start, a text and an end', () => {
    expect(
      lines([delta({ role: 'assistant', content: '' }), delta({ content: 'Hi' }), delta({ content: '!' }), STOP]),
    ).toEqual(['start', 'text', '+Hi', '+!', 'block-end', 'end end'])
  })

  it.each(['reasoning_content', 'reasoning'])('A1: closes the reasoning in %s before the text', (name) => {
    expect(lines([delta({ [name]: 'h' }), delta({ [name]: 'm' }), delta({ content: 'Hi' }), STOP])).toEqual([
      'start',
      'reasoning',
      '+h',
      '+m',
      'block-end',
      'text',
      '+Hi',
      'block-end',
      'end end',
    ])
  })

  it('A3: has reasoning, text and a call as three blocks in a row', () => {
    expect(
      lines([delta({ reasoning: 'hm' }), delta({ content: 'Hi' }), fragment(0, '{}', 'c1', 'weather'), CALLED]),
    ).toEqual([
      'start',
      'reasoning',
      '+hm',
      'block-end',
      'text',
      '+Hi',
      'block-end',
      'call weather c1',
      '+{}',
      'block-end',
      'end tool-calls',
    ])
  })

  it('A4: may bring two whole calls in its last chunk', () => {
    const calls = [0, 1].map((index) => ({
      index,
      id: `c${index}`,
      type: 'function',
      function: { name: 'weather', arguments: `{"n":${index}}` },
    }))
    expect(lines([delta({ tool_calls: calls }, 'tool_calls')])).toEqual([
      'start',
      'call weather c0',
      '+{"n":0}',
      'block-end',
      'call weather c1',
      '+{"n":1}',
      'block-end',
      'end tool-calls',
    ])
  })

  it('A5: may interleave the arguments of two calls, which come out one after the other', () => {
    const chunks = [
      fragment(0, '{"n', 'c0', 'weather'),
      fragment(1, '{"m', 'c1', 'time'),
      fragment(0, '":0}'),
      fragment(1, '":1}'),
      CALLED,
    ]
    expect(answerOf(eventsOf(streamOf(chunks), readingOf(), cut)).blocks).toMatchObject([
      { callId: 'c0', name: 'weather', input: '{"n":0}' },
      { callId: 'c1', name: 'time', input: '{"m":1}' },
    ])
    expect(lines(chunks).filter((line) => !line.startsWith('+'))).toEqual([
      'start',
      'call weather c0',
      'block-end',
      'call time c1',
      'block-end',
      'end tool-calls',
    ])
  })

  it('A7: may repeat id, type and name with every fragment', () => {
    const chunks = ['{"n', '":', '0}'].map((text) => fragment(0, text, 'c0', 'weather'))
    expect(lines([...chunks, CALLED]).filter((line) => line.startsWith('call'))).toEqual(['call weather c0'])
    expect(answerOf(eventsOf(streamOf([...chunks, CALLED]), readingOf(), cut)).blocks).toMatchObject([
      { input: '{"n":0}' },
    ])
  })

  it('A11: may call a tool without arguments', () => {
    expect(lines([fragment(0, '', 'c0', 'now'), CALLED])).toEqual([
      'start',
      'call now c0',
      'block-end',
      'end tool-calls',
    ])
  })

  it.each(['', null])('A12: opens a call only when its name is known, not for the name %j', (name) => {
    const early = delta({ tool_calls: [{ index: 0, id: 'c0', type: 'function', function: { name, arguments: '{' } }] })
    expect(lines([early, fragment(0, '}', undefined, 'weather'), CALLED])).toEqual([
      'start',
      'call weather c0',
      '+{}',
      'block-end',
      'end tool-calls',
    ])
  })

  it('A13: gives a call that never gets an id one that stays', () => {
    expect(lines([fragment(0, '{}', undefined, 'weather'), fragment(1, '{}', undefined, 'time'), CALLED])).toEqual([
      'start',
      'call weather call_a10',
      '+{}',
      'block-end',
      'call time call_a11',
      '+{}',
      'block-end',
      'end tool-calls',
    ])
  })

  it('A13: waits for an id that comes after the name', () => {
    const late = delta({ tool_calls: [{ index: 0, id: 'late' }] })
    expect(lines([fragment(0, undefined, undefined, 'weather'), late, fragment(0, '{}'), CALLED])).toContain(
      'call weather late',
    )
  })

  it('A15: says tool_calls but makes no call that has a name: it just ends', () => {
    expect(lines([fragment(0, '{}', 'c0', ''), CALLED])).toEqual(['start', 'end end'])
  })

  it('A16, E7: counts wherever they come: with the last chunk, after it, with a role', () => {
    const late = { id: 'chatcmpl-1', choices: [], usage: USAGE }
    const streams = [
      [delta({ content: 'a' }), delta({}, 'stop', { usage: USAGE })],
      [delta({ content: 'a' }), STOP, late],
      [delta({ role: 'assistant', content: 'a' }, null, { usage: USAGE }), STOP],
    ]
    for (const chunks of streams) {
      expect(answerOf(eventsOf(streamOf(chunks), readingOf(), cut)).usage).toMatchObject({
        inputTokens: 10,
        outputTokens: 5,
      })
      expect(
        outline(eventsOf(streamOf(chunks), readingOf(), cut)).filter((line) => line.startsWith('end')),
      ).toHaveLength(1)
    }
  })

  it('A17: may never tell its usage, which is then unknown and not 0', () => {
    const { usage } = answerOf(eventsOf(streamOf([delta({ content: 'a' }), STOP]), readingOf(), cut))
    expect(Object.values(usage)).toEqual(Object.values(usage).map(() => undefined))
  })

  it('A20: breaks off without a finish reason: an error, and no end', () => {
    const events = eventsOf(streamOf([delta({ content: 'Hal' })], { isBroken: true }), readingOf(), cut)
    expect(outline(events)).toEqual(['start', 'text', '+Hal', 'error'])
    expect(events.at(-1)).toMatchObject({ error: { kind: 'server', status: 502 } })
  })

  it('ends properly with its finish reason, [DONE] or not', () => {
    const events = eventsOf(streamOf([delta({ content: 'a' }), STOP], { isBroken: true }), readingOf(), cut)
    expect(outline(events).at(-1)).toBe('end end')
  })

  it('says nothing at all: an error', () => {
    expect(outline(eventsOf('data: [DONE]\n\n', readingOf(), cut))).toEqual(['error'])
    expect(outline(eventsOf('', readingOf(), cut))).toEqual(['error'])
  })

  it.each<readonly [JsonObject, JsonObject]>([
    [
      { error: { message: 'slow down', type: 'rate_limit_exceeded', code: 429 } },
      { kind: 'rate_limit', message: 'slow down' },
    ],
    [{ error: { message: 'boom', code: 500 } }, { kind: 'server', message: 'boom' }],
    [{ error: 'out of memory' }, { kind: 'server', message: 'out of memory' }],
    [{ object: 'error', message: 'boom', code: 500 }, { message: 'boom' }],
    [
      {
        id: 'x',
        choices: [{ index: 0, delta: {}, finish_reason: 'error', error: { code: 502, message: 'upstream' } }],
      },
      { message: 'upstream' },
    ],
  ])('A21: tells of an error within: %j', (chunk, error) => {
    const events = eventsOf(
      streamOf([delta({ content: 'Hal' }), chunk, delta({ content: 'lo' }), STOP]),
      readingOf(),
      cut,
    )
    expect(outline(events)).toEqual(['start', 'text', '+Hal', 'error'])
    expect(events.at(-1)).toMatchObject({ error })
  })

  it('holds an event that is no JSON: an error', () => {
    expect(outline(eventsOf(streamOf([delta({ content: 'a' }), '{"id":']), readingOf(), cut)).at(-1)).toBe('error')
  })

  it.each([
    ['stop', 'end'],
    ['length', 'length'],
    ['content_filter', 'refusal'],
    ['eos', 'end'],
    ['tool_calls', 'end'],
    ['function_call', 'end'],
  ])('A23: ends with %s', (finishReason, reason) => {
    expect(lines([delta({ content: 'a' }), delta({}, finishReason)]).at(-1)).toBe(`end ${reason}`)
  })

  it('A24: is cut off within the arguments of a call, which are not repaired', () => {
    const { blocks, stop } = answerOf(
      eventsOf(streamOf([fragment(0, '{"ci', 'c0', 'weather'), delta({}, 'length')]), readingOf(), cut),
    )
    expect(blocks).toMatchObject([{ kind: 'tool-call', input: '{"ci' }])
    expect(stop.reason).toBe('length')
  })

  it('says "stop" beside calls, as some servers do: it called', () => {
    expect(lines([fragment(0, '{}', 'c0', 'weather'), STOP]).at(-1)).toBe('end tool-calls')
  })

  it.each<readonly [JsonObject, JsonObject]>([
    [{ stop_reason: 'END' }, { reason: 'stop-sequence', sequence: 'END' }],
    [{ matched_stop: 'END' }, { reason: 'stop-sequence', sequence: 'END' }],
    [{ stop_reason: 128_009 }, { reason: 'end' }],
    [{ stop_reason: null }, { reason: 'end' }],
  ])('A31: names the stop sequence it hit only where its server does: %j', (members, stop) => {
    const last = { id: 'x', choices: [{ index: 0, delta: {}, finish_reason: 'stop', ...members }] }
    expect(answerOf(eventsOf(streamOf([delta({ content: 'a' }), last]), readingOf(), cut)).stop).toEqual(stop)
  })

  it('A33: has reasoning of which nothing can be read: its state is kept', () => {
    const details = [{ type: 'reasoning.encrypted', data: 'abc', index: 0 }]
    const chunks = [delta({ reasoning_details: details }), delta({ content: 'Hi' }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks), readingOf(), cut)).blocks).toMatchObject([
      { kind: 'reasoning', text: '', native: { dialect: 'openai-chat', value: { reasoning_details: details } } },
      { kind: 'text' },
    ])
  })

  it('A35: closes the text before a call exactly once', () => {
    expect(lines([delta({ content: 'Hi' }), fragment(0, '{}', 'c0', 'weather'), CALLED])).toEqual([
      'start',
      'text',
      '+Hi',
      'block-end',
      'call weather c0',
      '+{}',
      'block-end',
      'end tool-calls',
    ])
  })

  it('D13: unwraps the text of a freeform tool once it is whole', () => {
    const patch = '*** Begin Patch\n*** End Patch'
    const chunks = [
      ...JSON.stringify({ input: patch })
        .match(/.{1,7}/g)!
        .map((text, at) => (at === 0 ? fragment(0, text, 'c0', 'apply_patch') : fragment(0, text))),
      CALLED,
    ]
    expect(outline(eventsOf(streamOf(chunks), readingOf([PATCH]), cut))).toEqual([
      'start',
      'call apply_patch c0',
      `+${patch}`,
      'block-end',
      'end tool-calls',
    ])
  })

  it('D13: unwraps it also where arguments came before the name', () => {
    const early = delta({ tool_calls: [{ index: 0, function: { arguments: '{"input":' } }] })
    const chunks = [early, fragment(0, '"free"}', 'c0', 'apply_patch'), CALLED]
    expect(answerOf(eventsOf(streamOf(chunks), readingOf([PATCH]), cut)).blocks).toMatchObject([
      { toolKind: 'custom', input: 'free' },
    ])
  })

  it('D16: gives a namespaced tool its namespace back', () => {
    const reading = readingOf([tool('spawn', { namespace: 'agents' })])
    const chunks = [fragment(0, '{}', 'c0', 'agents__spawn'), CALLED]
    expect(answerOf(eventsOf(streamOf(chunks), reading, cut)).blocks).toMatchObject([
      { name: 'spawn', namespace: 'agents' },
    ])
  })

  it('F1, F3, F5: keeps to no one form of its lines', () => {
    const chunk = JSON.stringify(delta({ content: 'a' }))
    const half = chunk.indexOf('"model"')
    const sse = [
      ': keep-alive',
      `data:${chunk}`,
      '',
      `data: ${chunk.slice(0, half)}`,
      `data: ${chunk.slice(half)}`,
      '',
      'data:',
      '',
      `data: ${JSON.stringify(STOP)}`,
      '',
      'data:[DONE]',
      '',
      '',
    ].join('\r\n')
    expect(outline(eventsOf(sse, readingOf(), cut))).toEqual(['start', 'text', '+a', '+a', 'block-end', 'end end'])
  })

  it('F4: holds characters that only look like line breaks, and half a character', () => {
    const text = 'a\u2028b\u2029c\u0085d\ud83d'
    expect(answerOf(eventsOf(streamOf([delta({ content: text }), STOP]), readingOf(), cut)).blocks).toMatchObject([
      { text },
    ])
  })
})

it('an answer whose calls and reasoning are longer than a node holds is given up', () => {
  const text = 'x'.repeat(1_000_000)
  const chunks = Array.from({ length: 18 }, (_, count) =>
    count % 2 === 0 ? fragment(0, text, 'c0') : delta({ reasoning: text }),
  )
  expect(() => eventsOf(streamOf(chunks))).toThrow(expect.objectContaining({ code: 'provider_broken' }))
})

it('an answer with more calls than any server makes is given up', () => {
  const chunks = Array.from({ length: 1_025 }, (_, index) => fragment(index, '{}', `c${index}`, 'f'))
  expect(() => eventsOf(streamOf(chunks))).toThrow(expect.objectContaining({ code: 'provider_broken' }))
})

describe('calls that servers number in their own way', () => {
  it.each<readonly [string, readonly JsonObject[]]>([
    [
      'no index, ids of their own',
      [fragment(undefined, '{"n":0}', 'c0', 'f'), fragment(undefined, '{"n":1}', 'c1', 'f')],
    ],
    ['index 0 for all, ids of their own', [fragment(0, '{"n":0}', 'c0', 'f'), fragment(0, '{"n":1}', 'c1', 'f')]],
    ['index 0 for all, no ids', [fragment(0, '{"n":0}', '', 'f'), fragment(0, '{"n":1}', '', 'f')]],
    [
      'no index, no ids, in fragments',
      [fragment(undefined, '{"n', '', 'f'), fragment(undefined, '":0}'), fragment(undefined, '{"n":1}', '', 'f')],
    ],
    ['the same id for all', [fragment(0, '{"n":0}', 'c', 'f'), fragment(1, '{"n":1}', 'c', 'f')]],
    ['indexes that begin at 1', [fragment(1, '{"n":0}', 'c0', 'f'), fragment(2, '{"n":1}', 'c1', 'f')]],
    [
      'a new id with every fragment',
      [fragment(0, '{"n', 'c0', 'f'), fragment(0, '":0}', 'x'), fragment(1, '{"n":1}', 'c1', 'f')],
    ],
  ])('%s', (_, chunks) => {
    const { blocks } = answerOf(eventsOf(streamOf([...chunks, CALLED])))
    expect(blocks).toMatchObject([{ input: '{"n":0}' }, { input: '{"n":1}' }])
    expect(new Set(blocks.map((block) => 'callId' in block && block.callId)).size).toBe(2)
  })

  it('the deprecated function_call, whole or in pieces, also beside its successor', () => {
    const one = { name: 'f', arguments: '{"n":0}' }
    const both = { function_call: one, tool_calls: [{ index: 0, id: 'c', type: 'function', function: one }] }
    const pieces = [
      delta({ function_call: { name: 'f', arguments: '{"n' } }),
      delta({ function_call: { arguments: '":0}' } }),
    ]
    for (const chunks of [[delta({ function_call: one })], [delta(both)], pieces]) {
      const { blocks, stop } = answerOf(eventsOf(streamOf([...chunks, delta({}, 'function_call')])))
      expect(blocks).toMatchObject([{ kind: 'tool-call', name: 'f', input: '{"n":0}' }])
      expect(blocks).toHaveLength(1)
      expect(stop.reason).toBe('tool-calls')
    }
  })

  it('a second call does not wait for the end if the first is whole', () => {
    const chunks = [fragment(0, '{"n":0}', 'c0', 'f'), fragment(1, '{"n', 'c1', 'f'), fragment(1, '":1}')]
    expect(outline(eventsOf(streamOf(chunks, { isBroken: true })))).toEqual([
      'start',
      'call f c0',
      '+{"n":0}',
      'block-end',
      'call f c1',
      '+{"n',
      '+":1}',
      'error',
    ])
  })
})

describe('what a server gives beside text and calls', () => {
  it('its reasoning, under its own name, comes with what it wants back', () => {
    const { blocks } = answerOf(eventsOf(streamOf([delta({ reasoning: 'h' }), delta({ reasoning: 'm' }), STOP])))
    expect(blocks).toEqual([
      {
        kind: 'reasoning',
        text: 'hm',
        native: { dialect: 'openai-chat', value: { reasoning: 'hm' }, source: 'server', model: 'a-model' },
      },
    ])
  })

  it('the same reasoning under two names is read once', () => {
    const chunks = [delta({ reasoning: 'hm', reasoning_content: 'hm' }), delta({ content: 'Hi' }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks))).blocks).toMatchObject([{ text: 'hm' }, { text: 'Hi' }])
  })

  it('details of reasoning that come in fragments are joined', () => {
    const piece = (members: JsonObject): JsonObject => delta({ reasoning_details: [{ index: 0, ...members }] })
    const { blocks } = answerOf(
      eventsOf(
        streamOf([
          piece({ type: 'reasoning.text', text: 'h', signature: null }),
          piece({ type: 'reasoning.text', text: 'm', signature: 'sig' }),
          piece({ type: 'reasoning.encrypted', data: 'x' }),
          STOP,
        ]),
      ),
    )
    expect(blocks).toMatchObject([
      {
        native: {
          value: {
            reasoning_details: [
              { index: 0, type: 'reasoning.text', text: 'hm', signature: 'sig' },
              { index: 0, type: 'reasoning.encrypted', data: 'x' },
            ],
          },
        },
      },
    ])
  })

  it('reasoning after text is a block of its own', () => {
    const chunks = [delta({ content: 'a' }), delta({ reasoning: 'hm' }), delta({ content: 'b' }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks))).blocks).toMatchObject([
      { kind: 'text', text: 'a' },
      { kind: 'reasoning', text: 'hm' },
      { kind: 'text', text: 'b' },
    ])
  })

  it('tags of thinking within the text are the text of the model', () => {
    const chunks = [delta({ content: '<think>hm</think>Hi' }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks))).blocks).toMatchObject([{ kind: 'text', text: '<think>hm</think>Hi' }])
  })

  it('content in parts, thinking among them', () => {
    const content = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
      { type: 'text', text: 'Hi' },
    ]
    expect(answerOf(eventsOf(streamOf([delta({ content }), STOP]))).blocks).toMatchObject([
      { kind: 'reasoning', text: 'hm' },
      { kind: 'text', text: 'Hi' },
    ])
  })

  it('a refusal is a refusal', () => {
    const chunks = [delta({ refusal: 'I ' }), delta({ refusal: 'must not.' }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks))).blocks).toEqual([{ kind: 'refusal', text: 'I must not.' }])
  })

  it('a text may follow a refusal', () => {
    const chunks = [delta({ refusal: 'No.' }), delta({ content: 'But' }), STOP]
    expect(outline(eventsOf(streamOf(chunks)))).toEqual([
      'start',
      'refusal',
      '+No.',
      'block-end',
      'text',
      '+But',
      'block-end',
      'end end',
    ])
  })

  it('annotations belong to the text', () => {
    const citation = { type: 'url_citation', url_citation: { url: 'https://example.org', title: 'a' } }
    const chunks = [delta({ content: 'Hi' }), delta({ annotations: [citation] }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks))).blocks).toMatchObject([
      { text: 'Hi', extras: { 'openai-chat': { annotations: [citation] } } },
    ])
  })

  it('other choices, obfuscation and empty chunks are passed over', () => {
    const other = { id: 'x', choices: [{ index: 1, delta: { content: 'other' }, finish_reason: 'stop' }] }
    const chunks = [
      { id: 'x', choices: [], prompt_filter_results: [] },
      delta({ content: 'Hi' }, null, { obfuscation: 'zz' }),
      other,
      STOP,
    ]
    expect(answerOf(eventsOf(streamOf(chunks))).blocks).toEqual([{ kind: 'text', text: 'Hi' }])
  })

  it('pictures are kept as they are, for the report of what the client cannot be shown', () => {
    const images = [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }]
    const chunks = [delta({ content: 'See' }), delta({ images }), delta({ images: [], audio: null }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks))).blocks).toEqual([
      { kind: 'text', text: 'See' },
      { kind: 'native', native: { dialect: 'openai-chat', value: { images } }, type: 'images' },
    ])
  })

  it('its fingerprint and tier are kept for its own dialect', () => {
    const chunks = [delta({ content: 'Hi' }, null, { system_fingerprint: 'fp', service_tier: 'default' }), STOP]
    expect(answerOf(eventsOf(streamOf(chunks)))).toMatchObject({
      id: 'chatcmpl-1',
      model: 'served',
      extras: { 'openai-chat': { system_fingerprint: 'fp', service_tier: 'default' } },
    })
  })
})

describe('a whole answer of Chat Completions', () => {
  it.each<readonly [string, JsonObject, string, readonly JsonObject[]]>([
    ['a text', { content: 'Hi' }, 'stop', [{ content: 'Hi' }]],
    [
      'reasoning and a text',
      { content: 'Hi', reasoning_content: 'hm' },
      'stop',
      [{ reasoning_content: 'h' }, { reasoning_content: 'm' }, { content: 'Hi' }],
    ],
    ['a refusal', { content: null, refusal: 'no' }, 'stop', [{ refusal: 'n' }, { refusal: 'o' }]],
    ['a text that is cut off', { content: 'Hi' }, 'length', [{ content: 'H' }, { content: 'i' }]],
    [
      'two calls',
      {
        content: 'Hi',
        tool_calls: [
          { id: 'c0', type: 'function', function: { name: 'f', arguments: '{"n":0}' } },
          { id: 'c1', type: 'function', function: { name: 'g', arguments: '' } },
        ],
      },
      'tool_calls',
      [
        { content: 'Hi' },
        { tool_calls: [{ index: 0, id: 'c0', type: 'function', function: { name: 'f', arguments: '{"n"' } }] },
        { tool_calls: [{ index: 0, function: { arguments: ':0}' } }] },
        { tool_calls: [{ index: 1, id: 'c1', type: 'function', function: { name: 'g', arguments: '' } }] },
      ],
    ],
  ])('C32: says what its stream would add up to: %s', (_, message, finishReason, deltas) => {
    const streamed = eventsOf(
      streamOf([...deltas.map((each) => delta(each)), delta({}, finishReason), { id: 'x', choices: [], usage: USAGE }]),
    )
    expect(read(reply(message, finishReason, { usage: USAGE }))).toEqual(answerOf(streamed))
  })

  it('E8: counts cached input and reasoning within their totals', () => {
    const usage = {
      ...USAGE,
      prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 2 },
      completion_tokens_details: { reasoning_tokens: 3 },
    }
    expect(read(reply({ content: 'Hi' }, 'stop', { usage })).usage).toEqual({
      inputTokens: 10,
      cachedInputTokens: 4,
      cacheWriteTokens: 2,
      outputTokens: 5,
      reasoningTokens: 3,
    })
  })

  it('E5: leaves a count that is missing, or no count, unknown', () => {
    expect(
      read(reply({ content: 'Hi' }, 'stop', { usage: { prompt_tokens: null, completion_tokens: -1 } })).usage,
    ).toEqual({
      inputTokens: undefined,
      cachedInputTokens: undefined,
      cacheWriteTokens: undefined,
      outputTokens: undefined,
      reasoningTokens: undefined,
    })
  })

  it.each<JsonObject>([{}, { choices: [] }, { error: 'out of memory' }, { object: 'error', message: 'boom' }])(
    'is none, and the provider is to blame: %j',
    (value) => {
      expect(() => read(value)).toThrow(expect.objectContaining({ code: 'provider_broken' }))
    },
  )
})
