import { describe, expect, test } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import { createAnswerFold, type Answer, type AnswerEvent } from '../../../../src/dialects/conversation/answer.ts'
import type { AnswerReading } from '../../../../src/dialects/conversation/contract.ts'
import type { CallableTool } from '../../../../src/dialects/conversation/conversation.ts'
import { createToolBridge } from '../../../../src/dialects/conversation/tool-bridge.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { readReply } from '../../../../src/dialects/openai-responses/read-reply.ts'
import { createStreamReader } from '../../../../src/dialects/openai-responses/read-stream.ts'
import { profileOf } from '../../../../src/dialects/profiles.ts'
import { createSseReader } from '../../../../src/dialects/sse.ts'

const PATCH: CallableTool = { kind: 'custom', name: 'apply_patch', namespace: 'functions', extras: {} }

/** How the answer of a server that knows functions only is read. */
function readingOf(tools: readonly CallableTool[] = []): AnswerReading {
  const profile = profileOf({ dialect: 'openai-responses', provider: 'local', isVendor: false, model: 'm' })
  return { answerId: 'a1', target: 'local', model: 'm', bridge: createToolBridge({ tools, turns: [] }, profile) }
}

/** The text of a stream; each event has its type as its name. */
function sse(events: readonly JsonObject[]): string {
  return events.map((event) => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`).join('')
}

/** What the reader emits, from bytes in pieces of `size`. */
function readText(text: string, reading = readingOf(), size = 7): readonly AnswerEvent[] {
  const emitted: AnswerEvent[] = []
  const reader = createStreamReader(reading, (event) => emitted.push(event))
  const lines = createSseReader((event) => reader.event(event))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) lines.push(bytes.subarray(at, at + size))
  lines.end()
  reader.end()
  return emitted
}

function readEvents(events: readonly JsonObject[], reading?: AnswerReading): readonly AnswerEvent[] {
  return readText(sse(events), reading)
}

function foldOf(events: readonly AnswerEvent[]): Answer | undefined {
  const fold = createAnswerFold()
  for (const event of events) fold.add(event)
  return fold.answer
}

/** Events in one word each, texts with theirs. */
function outline(events: readonly AnswerEvent[]): readonly string[] {
  return events.map((event) => {
    switch (event.type) {
      case 'block':
        return `block ${event.block.kind}`
      case 'delta':
        return `+${event.text}`
      case 'end':
        return `end ${event.stop.reason}`
      default:
        return event.type
    }
  })
}

const created = { type: 'response.created', response: { id: 'resp_1', model: 'm-1' } }
const usage = {
  input_tokens: 20,
  input_tokens_details: { cached_tokens: 5 },
  output_tokens: 7,
  output_tokens_details: { reasoning_tokens: 3 },
  total_tokens: 27,
}

function ended(
  status: 'completed' | 'incomplete',
  output: readonly JsonObject[],
  members: JsonObject = {},
): JsonObject {
  return { type: `response.${status}`, response: { id: 'resp_1', model: 'm-1', status, output, usage, ...members } }
}

const added = (index: number, item: JsonObject): JsonObject => ({
  type: 'response.output_item.added',
  output_index: index,
  item,
})
const done = (index: number, item: JsonObject): JsonObject => ({
  type: 'response.output_item.done',
  output_index: index,
  item,
})
const piece = (type: string, index: number, members: JsonObject): JsonObject => ({
  type: `response.${type}`,
  output_index: index,
  ...members,
})

const message = (text: string, members: JsonObject = {}): JsonObject => ({
  type: 'message',
  id: 'msg_1',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [], ...members }],
})
const functionCall = (input: string, members: JsonObject = {}): JsonObject => ({
  type: 'function_call',
  id: 'fc_1',
  call_id: 'call_1',
  name: 'f',
  arguments: input,
  ...members,
})

describe('a stream', () => {
  test('as the vendor sends it', () => {
    const reasoning = { type: 'reasoning', id: 'rs_1', summary: [{ text: 'hm' }], encrypted_content: 'opaque' }
    const events = readEvents([
      created,
      { type: 'response.in_progress', response: { id: 'resp_1' } },
      added(0, { type: 'reasoning', id: 'rs_1', summary: [] }),
      piece('reasoning_summary_text.delta', 0, { summary_index: 0, delta: 'h' }),
      piece('reasoning_summary_text.delta', 0, { summary_index: 0, delta: 'm' }),
      piece('reasoning_summary_text.done', 0, { summary_index: 0, text: 'hm' }),
      done(0, reasoning),
      added(1, { type: 'message', id: 'msg_1', content: [] }),
      piece('content_part.added', 1, { content_index: 0, part: { type: 'output_text', text: '' } }),
      piece('output_text.delta', 1, { content_index: 0, delta: 'Yes ' }),
      { type: 'keepalive', sequence_number: 9 },
      piece('output_text.delta', 1, { content_index: 0, delta: '✓' }),
      piece('output_text.done', 1, { content_index: 0, text: 'Yes ✓' }),
      done(1, message('Yes ✓')),
      added(2, functionCall('')),
      piece('function_call_arguments.delta', 2, { delta: '{"a"' }),
      piece('function_call_arguments.delta', 2, { delta: ':1}' }),
      piece('function_call_arguments.done', 2, { arguments: '{"a":1}' }),
      done(2, functionCall('{"a":1}')),
      ended('completed', []),
    ])
    expect(outline(events)).toEqual([
      'start',
      'block reasoning',
      '+h',
      '+m',
      'block-end',
      'block text',
      '+Yes ',
      'ping',
      '+✓',
      'block-end',
      'block tool-call',
      '+{"a"',
      '+:1}',
      'block-end',
      'end tool-calls',
    ])
    expect(foldOf(events)).toMatchObject({
      id: 'resp_1',
      model: 'm-1',
      blocks: [
        { kind: 'reasoning', text: 'hm', native: { dialect: 'openai-responses', value: reasoning, source: 'local' } },
        { kind: 'text', text: 'Yes ✓' },
        { kind: 'tool-call', callId: 'call_1', name: 'f', input: '{"a":1}' },
      ],
      usage: { inputTokens: 20, cachedInputTokens: 5, outputTokens: 7, reasoningTokens: 3 },
    })
  })

  const A8 = '{"city":"Lisbon"}'

  test.each<readonly [string, readonly JsonObject[], readonly string[]]>([
    [
      'A8: arguments come with their done event only',
      [
        added(0, functionCall('')),
        piece('function_call_arguments.done', 0, { arguments: A8 }),
        done(0, functionCall(A8)),
      ],
      ['start', 'block tool-call', `+${A8}`, 'block-end', 'end tool-calls'],
    ],
    [
      'A9: the done event adds what the deltas lacked, once',
      [
        added(0, functionCall('')),
        piece('function_call_arguments.delta', 0, { delta: A8.slice(0, 5) }),
        piece('function_call_arguments.done', 0, { arguments: A8 }),
        done(0, functionCall(A8)),
      ],
      ['start', 'block tool-call', `+${A8.slice(0, 5)}`, `+${A8.slice(5)}`, 'block-end', 'end tool-calls'],
    ],
    [
      'items come whole, and unannounced',
      [done(0, message('Yes')), done(1, functionCall(A8))],
      ['start', 'block text', '+Yes', 'block-end', 'block tool-call', `+${A8}`, 'block-end', 'end tool-calls'],
    ],
    [
      'A12: the name comes with the whole item',
      [
        added(0, functionCall('', { name: '' })),
        piece('function_call_arguments.delta', 0, { delta: A8 }),
        done(0, functionCall(A8)),
      ],
      ['start', 'block tool-call', `+${A8}`, 'block-end', 'end tool-calls'],
    ],
    [
      'A15: a call that never gets a name is no call',
      [added(0, functionCall('', { name: '' })), done(0, functionCall(A8, { name: '' })), done(1, message('Yes'))],
      ['start', 'block text', '+Yes', 'block-end', 'end end'],
    ],
    [
      'A5: two calls whose fragments interleave come one after the other',
      [
        added(0, functionCall('')),
        added(1, functionCall('', { id: 'fc_2', call_id: 'call_2', name: 'g' })),
        piece('function_call_arguments.delta', 1, { delta: '{"b"' }),
        piece('function_call_arguments.delta', 0, { delta: '{"a"' }),
        piece('function_call_arguments.delta', 1, { delta: ':2}' }),
        piece('function_call_arguments.delta', 0, { delta: ':1}' }),
        done(1, functionCall('{"b":2}', { id: 'fc_2', call_id: 'call_2', name: 'g' })),
        done(0, functionCall('{"a":1}')),
      ],
      [
        'start',
        'block tool-call',
        '+{"a"',
        '+:1}',
        'block-end',
        'block tool-call',
        '+{"b":2}',
        'block-end',
        'end tool-calls',
      ],
    ],
    [
      'A32: parts of a summary are paragraphs of one block',
      [
        added(0, { type: 'reasoning', id: 'rs_1' }),
        piece('reasoning_summary_text.delta', 0, { summary_index: 0, delta: 'a' }),
        piece('reasoning_summary_text.done', 0, { summary_index: 0, text: 'a' }),
        piece('reasoning_summary_text.delta', 0, { summary_index: 1, delta: 'b' }),
        done(0, { type: 'reasoning', id: 'rs_1', summary: [{ text: 'a' }, { text: 'b' }], encrypted_content: 'x' }),
        done(1, message('Yes')),
      ],
      ['start', 'block reasoning', '+a', '+\n\n', '+b', 'block-end', 'block text', '+Yes', 'block-end', 'end end'],
    ],
    [
      'A33: hidden reasoning is a block for its state',
      [done(0, { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' }), done(1, message('Yes'))],
      ['start', 'block reasoning', 'block-end', 'block text', '+Yes', 'block-end', 'end end'],
    ],
    [
      'reasoning without words and state is none',
      [
        added(0, { type: 'reasoning', id: 'rs_1', summary: [] }),
        done(0, { type: 'reasoning', id: 'rs_1', summary: [] }),
        done(1, message('Yes')),
      ],
      ['start', 'block text', '+Yes', 'block-end', 'end end'],
    ],
    [
      'raw reasoning is shown where there is no summary',
      [
        added(0, { type: 'reasoning', id: 'rs_1' }),
        piece('reasoning_text.delta', 0, { content_index: 0, delta: 'raw' }),
        done(0, { type: 'reasoning', id: 'rs_1', content: [{ type: 'reasoning_text', text: 'raw' }] }),
        done(1, message('Yes')),
      ],
      ['start', 'block reasoning', '+raw', 'block-end', 'block text', '+Yes', 'block-end', 'end end'],
    ],
    [
      'a refusal',
      [
        added(0, { type: 'message', id: 'msg_1', content: [] }),
        piece('refusal.delta', 0, { content_index: 0, delta: 'I ' }),
        piece('refusal.done', 0, { content_index: 0, refusal: 'I cannot' }),
        done(0, { type: 'message', id: 'msg_1', content: [{ type: 'refusal', refusal: 'I cannot' }] }),
      ],
      ['start', 'block refusal', '+I ', '+cannot', 'block-end', 'end refusal'],
    ],
    [
      'annotations come with the text, once',
      [
        added(0, { type: 'message', id: 'msg_1', content: [] }),
        piece('output_text.delta', 0, { content_index: 0, delta: 'Yes' }),
        piece('output_text.annotation.added', 0, {
          content_index: 0,
          annotation: { type: 'url_citation', url: 'https://a.org' },
        }),
        done(0, message('Yes', { annotations: [{ type: 'url_citation', url: 'https://a.org' }] })),
      ],
      ['start', 'block text', '+Yes', 'annotation', 'block-end', 'end end'],
    ],
    [
      'an item nobody knows is a native block',
      [
        added(0, { type: 'web_search_call', id: 'ws_1' }),
        piece('web_search_call.searching', 0, { item_id: 'ws_1' }),
        done(0, { type: 'web_search_call', id: 'ws_1', status: 'completed' }),
        done(1, message('Yes')),
      ],
      ['start', 'block native', 'block-end', 'block text', '+Yes', 'block-end', 'end end'],
    ],
  ])('%s', (_, events, expected) => {
    const output = events.flatMap((event) => (event['type'] === 'response.output_item.done' ? [event['item']] : []))
    const streamed = readEvents([created, ...events, ended('completed', output as JsonObject[])])
    expect(outline(streamed)).toEqual(expected)
  })

  test('the last event alone is an answer, and completes items that were left open', () => {
    const alone = readEvents([ended('completed', [message('Yes'), functionCall('{}')])])
    expect(foldOf(alone)).toMatchObject({ id: 'resp_1', blocks: [{ text: 'Yes' }, { input: '{}' }] })
    const open = readEvents([
      added(0, functionCall('')),
      piece('function_call_arguments.delta', 0, { delta: '{"a"' }),
      ended('completed', [functionCall('{"a":1}')]),
    ])
    expect(foldOf(open)).toMatchObject({ blocks: [{ input: '{"a":1}' }], stop: { reason: 'tool-calls' } })
  })

  test('A24: a call that was cut off stays as it is, and the reason is the length', () => {
    const events = readEvents([
      created,
      added(0, functionCall('')),
      piece('function_call_arguments.delta', 0, { delta: '{"a"' }),
      ended('incomplete', [], { incomplete_details: { reason: 'max_output_tokens' } }),
    ])
    expect(foldOf(events)).toMatchObject({ blocks: [{ input: '{"a"' }], stop: { reason: 'length' } })
  })

  test('D13: a freeform tool that went as a function comes back whole, with its group', () => {
    const input = '{"input":"*** Begin Patch"}'
    const name = 'functions__apply_patch'
    const events = readEvents(
      [
        created,
        added(0, functionCall('', { name })),
        piece('function_call_arguments.delta', 0, { delta: input.slice(0, 9) }),
        piece('function_call_arguments.delta', 0, { delta: input.slice(9) }),
        done(0, functionCall(input, { name })),
        ended('completed', []),
      ],
      readingOf([PATCH]),
    )
    expect(outline(events)).toEqual(['start', 'block tool-call', '+*** Begin Patch', 'block-end', 'end tool-calls'])
    expect(foldOf(events)?.blocks).toMatchObject([
      { toolKind: 'custom', name: 'apply_patch', namespace: 'functions', callId: 'call_1' },
    ])
  })

  test('A13: a call without an id gets one of the answer', () => {
    const events = readEvents([
      done(0, functionCall('{}', { id: undefined, call_id: undefined })),
      ended('completed', []),
    ])
    expect(foldOf(events)?.blocks).toMatchObject([{ callId: 'call_a1_0' }])
  })

  test('E5: counts that were not told stay unknown', () => {
    const events = readEvents([done(0, message('Yes')), ended('completed', [], { usage: null })])
    expect(foldOf(events)?.usage).toEqual({
      inputTokens: undefined,
      cachedInputTokens: undefined,
      cacheWriteTokens: undefined,
      outputTokens: undefined,
      reasoningTokens: undefined,
    })
  })

  test.each<readonly [string, JsonObject, JsonObject]>([
    [
      'response.failed',
      { type: 'response.failed', response: { error: { code: 'context_length_exceeded', message: 'too long' } } },
      { kind: 'context_length', message: 'too long' },
    ],
    [
      'an error event',
      { type: 'error', code: 'rate_limit_exceeded', message: 'slower', param: null },
      { kind: 'rate_limit', message: 'slower' },
    ],
    ['an error without a type', { error: { message: 'broken' } }, { kind: 'server', message: 'broken' }],
  ])('A21: %s ends the answer as failed, and nothing follows', (_, event, error) => {
    const text = sse([created, piece('output_text.delta', 0, { content_index: 0, delta: 'Y' })])
    const failed = `data: ${JSON.stringify(event)}\n\n`
    const events = readText(text + failed + sse([ended('completed', [message('Yes')])]))
    expect(outline(events)).toEqual(['start', 'block text', '+Y', 'error'])
    expect(events.at(-1)).toMatchObject({ error })
  })

  test('A20: a stream that breaks off is an error', () => {
    const events = readEvents([created, piece('output_text.delta', 0, { content_index: 0, delta: 'Y' })])
    expect(events.at(-1)).toEqual({
      type: 'error',
      error: { status: 502, kind: 'server', message: 'the stream of local ended before its last event' },
    })
    expect(outline(readText(''))).toEqual(['error'])
  })

  test('F1, F3, F4, F5: line ends, missing spaces, comments and odd characters make no difference', () => {
    const data = (value: JsonObject): string => JSON.stringify(value)
    const text = [
      ': hello',
      `data:${data(created)}`,
      '',
      `event: response.output_item.done`,
      `data: ${data(done(0, message('a\u2028b\u0085c')))}`,
      '',
      `data:${data(ended('completed', [])).replace(',', ',\r\ndata: ')}`,
      '',
      'data:[DONE]',
      '',
      '',
    ].join('\r\n')
    for (const size of [1, 3, 1_000]) {
      expect(foldOf(readText(text, readingOf(), size))?.blocks).toMatchObject([{ text: 'a\u2028b\u0085c' }])
    }
  })

  test('a stream of endless items, or of one endless input, is broken', () => {
    const items = Array.from({ length: 1_100 }, (_, index) => added(index, { type: 'web_search_call', id: `${index}` }))
    expect(() => readText(sse(items), readingOf(), 65_536)).toThrow('it has too many items')
    const delta = piece('function_call_arguments.delta', 0, { delta: 'x'.repeat(1_048_576) })
    const call = added(0, functionCall('', { name: 'functions__apply_patch' }))
    const endless = [call, ...Array.from({ length: 20 }, () => delta)]
    expect(() => readText(sse(endless), readingOf([PATCH]), 1_048_576)).toThrow('the input of a call is too long')
  })

  test('an item announced in the place of another one takes it', () => {
    const events = readEvents([
      added(0, functionCall('')),
      piece('function_call_arguments.delta', 0, { delta: '{}' }),
      added(0, functionCall('', { id: 'fc_2', call_id: 'call_2', name: 'g' })),
      done(0, functionCall('{}', { id: 'fc_2', call_id: 'call_2', name: 'g' })),
      ended('completed', []),
    ])
    expect(foldOf(events)?.blocks).toMatchObject([
      { name: 'f', input: '{}' },
      { name: 'g', input: '{}' },
    ])
  })

  test('events of no known form are passed over', () => {
    const text =
      'data: [1]\n\ndata: 7\n\ndata: {"type":7}\n\ndata: {"type":"response.new.thing"}\n\ndata: {"type":"constructor"}\n\n'
    expect(outline(readText(text + sse([ended('completed', [message('Yes')])])))).toEqual([
      'start',
      'block text',
      '+Yes',
      'block-end',
      'end end',
    ])
  })
})

describe('a whole answer', () => {
  const items: readonly JsonObject[] = [
    { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 'x' },
    message('Yes', { annotations: [{ type: 'url_citation', url: 'https://a.org' }] }),
    functionCall('{"input":"P"}', { name: 'functions__apply_patch' }),
    { type: 'web_search_call', id: 'ws_1', status: 'completed' },
    { type: 'message', id: 'msg_2', role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] },
  ]

  test('says the same as its stream', () => {
    const reply = { id: 'resp_1', object: 'response', model: 'm-1', status: 'completed', output: items, usage }
    const whole = readReply(reply, readingOf([PATCH]))
    const streamed = readEvents(
      [
        created,
        ...items.flatMap((item, index) => [
          added(index, { ...item, content: [], summary: [], arguments: '' }),
          done(index, item),
        ]),
        ended('completed', items),
      ],
      readingOf([PATCH]),
    )
    expect(JSON.parse(JSON.stringify(foldOf(streamed)))).toEqual(JSON.parse(JSON.stringify(whole)))
    expect(whole.stop).toEqual({ reason: 'tool-calls' })
  })

  test.each<readonly [JsonObject, string]>([
    [{ status: 'completed', output: [message('a')] }, 'end'],
    [{ output: [functionCall('{}')] }, 'tool-calls'],
    [
      { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, output: [functionCall('{')] },
      'length',
    ],
    [{ status: 'incomplete', incomplete_details: { reason: 'content_filter' }, output: [] }, 'refusal'],
    [{ status: 'completed', output: [{ type: 'message', content: [{ type: 'refusal', refusal: 'no' }] }] }, 'refusal'],
  ])('%j ends for its reason', (reply, reason) => {
    expect(readReply(reply, readingOf()).stop).toEqual({ reason })
  })

  test.each<readonly [JsonObject, string]>([
    [{ status: 'failed', error: { code: 'server_error', message: 'out of order' } }, 'out of order'],
    [{ status: 'queued' }, 'its answer has the status "queued"'],
  ])('%j is a broken answer', (reply, reason) => {
    const thrown = (): unknown => readReply(reply, readingOf())
    expect(thrown).toThrow(TokError)
    expect(thrown).toThrow(reason)
  })
})
