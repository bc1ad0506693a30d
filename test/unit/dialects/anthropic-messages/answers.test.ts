import type Anthropic from '@anthropic-ai/sdk'
import { describe, expect, it } from 'vitest'
import { UNKNOWN_USAGE, type TokenUsage } from '../../../../src/dialects/answer-tally.ts'
import { anthropicMessages } from '../../../../src/dialects/anthropic-messages/translation.ts'
import {
  replayAnswer,
  type Answer,
  type AnswerEvent,
  type Block,
  type Stop,
} from '../../../../src/dialects/conversation/answer.ts'
import type { OpaqueState, Tool } from '../../../../src/dialects/conversation/conversation.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import {
  accumulate,
  conversation,
  eventsOf,
  fold,
  read,
  reading,
  readStream,
  request,
  seal,
  sse,
  turn,
  writeStream,
  writing,
} from './pieces.ts'

const USAGE: TokenUsage = {
  inputTokens: 2006,
  cachedInputTokens: 1920,
  cacheWriteTokens: 0,
  outputTokens: 30,
  reasoningTokens: 10,
}

const start = (usage?: JsonObject): JsonObject => ({
  type: 'message_start',
  message: {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-x',
    content: [],
    stop_reason: null,
    usage: usage ?? { input_tokens: 10, cache_read_input_tokens: 90, cache_creation_input_tokens: 0, output_tokens: 1 },
  },
})
const blockStart = (index: number, block: JsonObject): JsonObject => ({
  type: 'content_block_start',
  index,
  content_block: block,
})
const delta = (index: number, value: JsonObject): JsonObject => ({ type: 'content_block_delta', index, delta: value })
const blockStop = (index: number): JsonObject => ({ type: 'content_block_stop', index })
const ending = (reason: string, usage: JsonObject = { output_tokens: 5 }, more: JsonObject = {}): JsonObject[] => [
  { type: 'message_delta', delta: { stop_reason: reason, ...more }, usage },
  { type: 'message_stop' },
]

/** What Anthropic sends for thinking, a text and a call. */
const STREAM = sse(
  start(),
  { type: 'ping' },
  blockStart(0, { type: 'thinking', thinking: '', signature: '' }),
  delta(0, { type: 'thinking_delta', thinking: 'Let me ' }),
  delta(0, { type: 'thinking_delta', thinking: 'see.' }),
  delta(0, { type: 'signature_delta', signature: 'sig' }),
  blockStop(0),
  blockStart(1, { type: 'redacted_thinking', data: 'hidden' }),
  blockStop(1),
  blockStart(2, { type: 'text', text: '' }),
  delta(2, { type: 'text_delta', text: 'Grüße 日本 👋\u2028' }),
  blockStop(2),
  blockStart(3, { type: 'tool_use', id: 'toolu_1', name: 'look', input: {} }),
  delta(3, { type: 'input_json_delta', partial_json: '' }),
  delta(3, { type: 'input_json_delta', partial_json: '{"at":' }),
  delta(3, { type: 'input_json_delta', partial_json: '1}' }),
  blockStop(3),
  ...ending('tool_use'),
)

const EXPECTED_BLOCKS: readonly Block[] = [
  {
    kind: 'reasoning',
    text: 'Let me see.',
    native: {
      dialect: 'anthropic-messages',
      value: { type: 'thinking', thinking: 'Let me see.', signature: 'sig' },
      source: 'anthropic',
      model: 'm',
    },
  },
  {
    kind: 'reasoning',
    text: '',
    native: {
      dialect: 'anthropic-messages',
      value: { type: 'redacted_thinking', data: 'hidden' },
      source: 'anthropic',
      model: 'm',
    },
  },
  { kind: 'text', text: 'Grüße 日本 👋\u2028' },
  { kind: 'tool-call', toolKind: 'function', callId: 'toolu_1', name: 'look', namespace: undefined, input: '{"at":1}' },
]

describe('a stream that is read', () => {
  it('C4, C5, E3, F4: gives blocks in order, and counts of both its ends', () => {
    const events = readStream([STREAM])
    expect(events.filter(({ type }) => type === 'ping')).toHaveLength(1)
    expect(events[0]).toMatchObject({
      type: 'start',
      id: 'msg_1',
      model: 'claude-x',
      usage: { inputTokens: 100, outputTokens: undefined },
    })
    const answer = fold(events)
    expect(answer.blocks).toEqual(EXPECTED_BLOCKS)
    expect(answer.stop).toEqual({ reason: 'tool-calls', sequence: undefined, explanation: undefined })
    expect(answer.usage).toEqual({
      ...UNKNOWN_USAGE,
      inputTokens: 100,
      cachedInputTokens: 90,
      cacheWriteTokens: 0,
      outputTokens: 5,
    })
  })

  it.each([
    [
      'F1: with CRLF, byte by byte',
      [...Buffer.from(STREAM.replaceAll('\n', '\r\n'))].map((byte) => Uint8Array.of(byte)),
    ],
    [
      'F3, F5: without spaces, with comments and a mark of its end',
      [`: keep-alive\n\n${STREAM.replaceAll('data: ', 'data:')}data:[DONE]\n\n`],
    ],
    ['without its last event, but with a reason to end', [STREAM.slice(0, STREAM.indexOf('event: message_stop'))]],
  ])('%s: says the same', (_, pieces) => {
    expect(fold(readStream(pieces)).blocks).toEqual(EXPECTED_BLOCKS)
  })

  it('C32: says what the whole answer says', () => {
    const reply = {
      id: 'msg_1',
      model: 'claude-x',
      content: [
        { type: 'thinking', thinking: 'Let me see.', signature: 'sig' },
        { type: 'redacted_thinking', data: 'hidden' },
        { type: 'text', text: 'Grüße 日本 👋\u2028', citations: null },
        { type: 'tool_use', id: 'toolu_1', name: 'look', input: { at: 1 } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 10, cache_read_input_tokens: 90, cache_creation_input_tokens: 0, output_tokens: 5 },
    }
    expect(anthropicMessages.readReply(reply, reading())).toEqual(fold(readStream([STREAM])))
  })

  it.each([
    ['end_turn', 'end'],
    ['stop_sequence', 'stop-sequence'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'context-full'],
    ['pause_turn', 'pause'],
    ['compaction', 'compaction'],
    ['something_new', 'end'],
  ])('ends with %s as %s', (word, reason) => {
    expect(fold(readStream([sse(start(), ...ending(word))])).stop.reason).toBe(reason)
  })

  it('C9, A31: says which stop sequence it was, and why it refused', () => {
    const stopped = ending('stop_sequence', {}, { stop_sequence: 'END' })
    expect(fold(readStream([sse(start(), ...stopped)])).stop).toMatchObject({ sequence: 'END' })
    const refused = ending('refusal', {}, { stop_details: { type: 'refusal', explanation: 'no' } })
    expect(fold(readStream([sse(start(), ...refused)])).stop).toMatchObject({ reason: 'refusal', explanation: 'no' })
  })

  it('gives a call the name and the form of input that the client knows', () => {
    const freeform: Tool = { kind: 'custom', name: 'apply_patch', format: {}, extras: {} }
    const name = 'a'.repeat(70)
    const long: Tool = { kind: 'function', name, namespace: 'desk', parameters: {}, extras: {} }
    const how = reading(conversation([turn('user', 'x')], { tools: [freeform, long] }))
    const events = readStream(
      [
        sse(
          start(),
          blockStart(0, { type: 'tool_use', id: 't', name: 'apply_patch', input: {} }),
          delta(0, { type: 'input_json_delta', partial_json: '{"input":"*** Beg' }),
          delta(0, { type: 'input_json_delta', partial_json: 'in"}' }),
          blockStop(0),
          blockStart(1, {
            type: 'tool_use',
            id: 'u',
            name: how.bridge.wireNameOf({ name, namespace: 'desk' }),
            input: { whole: true },
          }),
          blockStop(1),
          ...ending('tool_use'),
        ),
      ],
      how,
    )
    expect(fold(events).blocks).toMatchObject([
      { kind: 'tool-call', toolKind: 'custom', name: 'apply_patch', input: '*** Begin' },
      { kind: 'tool-call', toolKind: 'function', name, namespace: 'desk', input: '{"whole":true}' },
    ])
  })

  it('keeps blocks apart that a server mixes up, and takes deltas of a block it never opened', () => {
    const events = readStream([
      sse(
        blockStart(0, { type: 'tool_use', id: 'a', name: 'look', input: {} }),
        blockStart(1, { type: 'tool_use', name: 'look', input: {} }),
        delta(1, { type: 'input_json_delta', partial_json: '{"b":1}' }),
        delta(0, { type: 'input_json_delta', partial_json: '{"a":1}' }),
        blockStop(1),
        blockStop(0),
        blockStart(2, { type: 'tool_use', id: 'c', name: '', input: {} }),
        delta(3, { type: 'text_delta', text: 'Hi' }),
        ...ending('tool_use'),
      ),
    ])
    expect(fold(events).blocks).toMatchObject([
      { callId: 'a', input: '{"a":1}' },
      { callId: 'toolu_a11', input: '{"b":1}' },
      { kind: 'text', text: 'Hi' },
    ])
  })

  it('D41: gives what Anthropic ran itself as it is, with the citations of texts', () => {
    const citation = {
      type: 'web_search_result_location',
      url: 'https://a',
      title: 'A',
      cited_text: 'x',
      encrypted_index: 'e',
    }
    const found = { type: 'web_search_tool_result', tool_use_id: 's', content: [] }
    const events = readStream([
      sse(
        start(),
        blockStart(0, { type: 'server_tool_use', id: 's', name: 'web_search', input: {} }),
        delta(0, { type: 'input_json_delta', partial_json: '{"query":"q"}' }),
        blockStop(0),
        blockStart(1, found),
        blockStop(1),
        blockStart(2, { type: 'text', text: '', citations: [] }),
        delta(2, { type: 'text_delta', text: 'x' }),
        delta(2, { type: 'citations_delta', citation }),
        blockStop(2),
        blockStart(3, { type: 'compaction', content: null }),
        delta(3, { type: 'compaction_delta', content: 'so far', encrypted_content: 'z' }),
        blockStop(3),
        ...ending('end_turn'),
      ),
    ])
    expect(fold(events).blocks).toMatchObject([
      { kind: 'native', type: 'server_tool_use', native: { value: { input: { query: 'q' } } } },
      { kind: 'native', native: { value: found } },
      { kind: 'text', text: 'x', extras: { 'anthropic-messages': { annotations: [citation] } } },
      {
        kind: 'native',
        type: 'compaction',
        text: 'so far',
        native: { value: { content: 'so far', encrypted_content: 'z' } },
      },
    ])
  })

  it.each([
    ['A20: breaks off', sse(start(), blockStart(0, { type: 'text', text: 'Hi' })), 502, /ended before its last event/],
    [
      'A21: says that it failed',
      sse(start(), { type: 'error', error: { type: 'overloaded_error', message: 'busy' } }),
      503,
      /busy/,
    ],
    ['holds what is no JSON', `${sse(start())}data: {"cut\n\n`, 502, /not a JSON object/],
    ['is empty', '', 502, /ended before its last event/],
  ])('%s: ends with one error', (_, stream, status, message) => {
    const events = readStream([stream])
    const errors = events.filter(({ type }) => type === 'error')
    expect(errors).toMatchObject([{ error: { status, message: expect.stringMatching(message) } }])
    expect(events.at(-1)?.type).toBe('error')
  })

  it('a whole answer without content is a broken one', () => {
    expect(() => anthropicMessages.readReply({ id: 'x' }, reading())).toThrow('without content')
  })
})

const end = (stop: Stop = { reason: 'end' }, usage = USAGE): AnswerEvent => ({ type: 'end', stop, usage })
const open = (block: Block): AnswerEvent => ({ type: 'block', block })
const more = (words: string): AnswerEvent => ({ type: 'delta', text: words })
const close = (native?: OpaqueState): AnswerEvent => ({ type: 'block-end', native })
const textBlock: Block = { kind: 'text', text: '' }
const thought: Block = { kind: 'reasoning', text: '' }
const toolCall = (callId: string, name = 'look'): Block => ({
  kind: 'tool-call',
  toolKind: 'function',
  callId,
  name,
  input: '',
})
const STATE: OpaqueState = {
  dialect: 'openai-responses',
  value: { id: 'rs_1', encrypted_content: 'e' },
  source: 'openai',
  model: 'm',
}

describe('a stream that is written', () => {
  const events: AnswerEvent[] = [
    { type: 'start', id: 'chatcmpl-1', model: 'gpt' },
    open(thought),
    more('Let me '),
    more('see.'),
    close(STATE),
    open(textBlock),
    more('Grüße \ud83d'),
    close(),
    open(toolCall('call_1')),
    more('{"at":'),
    more('1}'),
    close(),
    end({ reason: 'tool-calls' }),
  ]

  it('A1, A3, A25, A35: has each block whole before the next, the signature last in its own', () => {
    const written = eventsOf(writeStream(events))
    expect(
      written.map(({ type, index, delta: change }) => [type, index, (change as JsonObject | undefined)?.['type']]),
    ).toEqual([
      ['message_start', undefined, undefined],
      ['content_block_start', 0, undefined],
      ['content_block_delta', 0, 'thinking_delta'],
      ['content_block_delta', 0, 'thinking_delta'],
      ['content_block_delta', 0, 'signature_delta'],
      ['content_block_stop', 0, undefined],
      ['content_block_start', 1, undefined],
      ['content_block_delta', 1, 'text_delta'],
      ['content_block_stop', 1, undefined],
      ['content_block_start', 2, undefined],
      ['content_block_delta', 2, 'input_json_delta'],
      ['content_block_delta', 2, 'input_json_delta'],
      ['content_block_stop', 2, undefined],
      ['message_delta', undefined, undefined],
      ['message_stop', undefined, undefined],
    ])
    expect(written[9]).toMatchObject({ content_block: { type: 'tool_use', id: 'call_1', name: 'look', input: {} } })
  })

  it('E1, E8, F19: is to the SDK what the whole answer is, with the model the client asked for', async () => {
    const message = await accumulate(writeStream(events))
    expect(message).toMatchObject({
      id: 'msg_a1',
      model: 'claude-sonnet-5',
      content: [
        { type: 'thinking', thinking: 'Let me see.' },
        { type: 'text' },
        { type: 'tool_use', id: 'call_1', name: 'look', input: { at: 1 } },
      ],
      stop_reason: 'tool_use',
      usage: {
        input_tokens: 86,
        cache_read_input_tokens: 1920,
        cache_creation_input_tokens: 0,
        output_tokens: 30,
        output_tokens_details: { thinking_tokens: 10 },
      },
    })
    expect(JSON.parse(JSON.stringify(message))).toMatchObject(anthropicMessages.writeReply(fold(events), writing()))
  })

  it('A32, A33, D40: carries the state of any provider, whether its thinking can be read or not, and it comes back', async () => {
    const hidden: AnswerEvent[] = [
      open(thought),
      close(STATE),
      open(thought),
      more('hm'),
      close(STATE),
      open(textBlock),
      more('Hi'),
      close(),
      end(),
    ]
    const message = await accumulate(writeStream(hidden))
    expect(message.content.map(({ type }) => type)).toEqual(['redacted_thinking', 'thinking', 'text'])
    const [, next] = read(
      request({
        messages: [
          { role: 'user', content: 'x' },
          { role: 'assistant', content: message.content },
        ],
      }),
    ).turns
    expect(next?.parts).toMatchObject([{ native: STATE }, { text: 'hm', native: STATE }, { text: 'Hi' }])
  })

  it('signs thinking without state as its own, and shows none of thinking without text or state', async () => {
    const message = await accumulate(writeStream([open(thought), close(), open(thought), more('hm'), close(), end()]))
    expect(message.content).toEqual([{ type: 'thinking', thinking: 'hm', signature: seal.seal({}) }])
    const [, next] = read(
      request({
        messages: [
          { role: 'user', content: 'x' },
          { role: 'assistant', content: message.content },
        ],
      }),
    ).turns
    expect(next?.parts).toEqual([{ kind: 'reasoning', text: 'hm', native: undefined }])
  })

  it.each<[string, AnswerEvent[], Stop, JsonObject]>([
    [
      'A11: a call without arguments',
      [open(toolCall('a')), close()],
      { reason: 'tool-calls' },
      { stop_reason: 'tool_use' },
    ],
    [
      'A15: calls announced and none there',
      [open(textBlock), more('x'), close()],
      { reason: 'tool-calls' },
      { stop_reason: 'end_turn' },
    ],
    ['a call, and a plain end', [open(toolCall('a')), close()], { reason: 'end' }, { stop_reason: 'tool_use' }],
    [
      'A24: the limit within a call',
      [open(toolCall('a')), more('{"cut'), close()],
      { reason: 'length' },
      { stop_reason: 'max_tokens' },
    ],
    [
      'A31: an unknown stop sequence',
      [],
      { reason: 'stop-sequence' },
      { stop_reason: 'end_turn', stop_sequence: null },
    ],
    [
      'A31: a known stop sequence',
      [],
      { reason: 'stop-sequence', sequence: 'END' },
      { stop_reason: 'stop_sequence', stop_sequence: 'END' },
    ],
    [
      'a refusal',
      [],
      { reason: 'refusal', explanation: 'no' },
      { stop_reason: 'refusal', stop_details: { type: 'refusal', explanation: 'no' } },
    ],
    [
      'a refusal in words',
      [open({ kind: 'refusal', text: 'No.' }), close()],
      { reason: 'end' },
      { stop_reason: 'refusal' },
    ],
    ['a full context', [], { reason: 'context-full' }, { stop_reason: 'model_context_window_exceeded' }],
    ['nothing', [], { reason: 'end' }, { stop_reason: 'end_turn', content: [] }],
  ])('ends rightly with %s', async (_, blocks, stop, expected) => {
    const all = [...blocks, end(stop)]
    expect(await accumulate(writeStream(all))).toMatchObject(expected)
    expect(anthropicMessages.writeReply(fold(all), writing())).toMatchObject(expected)
  })

  it('A17, A19: has every count as a number, estimated where the provider said nothing', async () => {
    const all = [open(textBlock), more('x'.repeat(40)), close(), end({ reason: 'end' }, UNKNOWN_USAGE)]
    const stream = writeStream(all)
    expect(eventsOf(stream)[0]).toMatchObject({
      message: {
        usage: { input_tokens: 42, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
      },
    })
    const { usage } = await accumulate(stream)
    expect(usage.output_tokens).toBe(10)
    expect(usage.input_tokens).toBe(42)
    expect(anthropicMessages.writeReply(fold(all), writing())['usage']).toEqual(usage)
  })

  it('begins with an estimate of the input where the provider tells it at the end, and ends with what that said', async () => {
    const told = { ...UNKNOWN_USAGE, inputTokens: 90, cachedInputTokens: 60, outputTokens: 7 }
    const answer = [open(textBlock), more('Yes.'), close(), end({ reason: 'end' }, told)]
    const stream = writeStream([{ type: 'start' }, ...answer])
    expect(eventsOf(stream)[0]).toMatchObject({ message: { usage: { input_tokens: 42, cache_read_input_tokens: 0 } } })
    expect((await accumulate(stream)).usage).toMatchObject({
      input_tokens: 30,
      cache_read_input_tokens: 60,
      cache_creation_input_tokens: 0,
      output_tokens: 7,
    })
    const [begun] = eventsOf(writeStream([{ type: 'start', usage: { ...told, outputTokens: undefined } }, ...answer]))
    expect(begun).toMatchObject({ message: { usage: { input_tokens: 30, cache_read_input_tokens: 60 } } })
  })

  it('A27: has a ping wherever one comes, and nothing after its end', () => {
    const ping: AnswerEvent = { type: 'ping' }
    const stream = writeStream([
      ping,
      open(textBlock),
      more('a'),
      ping,
      more('b'),
      close(),
      end(),
      ping,
      more('c'),
      end(),
    ])
    expect(eventsOf(stream).map(({ type }) => type)).toEqual([
      'ping',
      'message_start',
      'content_block_start',
      'content_block_delta',
      'ping',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
  })

  it('A20, A21: breaks with an error event and no message_stop', async () => {
    const stream = writeStream([
      open(textBlock),
      more('a'),
      { type: 'error', error: { status: 429, kind: 'rate_limit', message: 'slow down' } },
      end(),
    ])
    const written = eventsOf(stream)
    expect(written.at(-1)).toMatchObject({ type: 'error', error: { type: 'rate_limit_error', message: 'slow down' } })
    await expect(accumulate(stream)).rejects.toThrow('slow down')
  })

  it('copes with blocks that nobody closes, deltas of none, and texts that come with their opening', async () => {
    const message = await accumulate(
      writeStream([
        more('lost'),
        open({ kind: 'text', text: 'a' }),
        open({ ...toolCall('t'), input: '{}' } as Block),
        open(textBlock),
        end(),
      ]),
    )
    expect(message.content).toEqual([
      { type: 'text', text: 'a' },
      { type: 'tool_use', id: 't', name: 'look', input: {} },
    ])
  })

  it('makes the id of a call that has none', async () => {
    const { content } = await accumulate(writeStream([open(toolCall('')), close(), open(toolCall('')), close(), end()]))
    const ids = content.map((block) => (block as Anthropic.ToolUseBlock).id)
    expect(ids).toEqual(['toolu_a10', 'toolu_a11'])
  })

  it('says in text what other vendors ran, where it says anything, and names what is lost', async () => {
    const losses = createLosses('anthropic-messages')
    const native = (text?: string): Block => ({
      kind: 'native',
      native: { dialect: 'openai-responses', value: {} },
      type: 'image_generation_call',
      text,
    })
    const all = [open(native('a drawing')), close(), open(native()), close(), end()]
    const message = await accumulate(writeStream(all, writing({ losses })))
    expect(message.content).toEqual([{ type: 'text', text: 'a drawing' }])
    expect(losses.fields).toEqual(['content[].image_generation_call'])
    expect(anthropicMessages.writeReply(fold(all), writing({ losses }))['content']).toEqual(message.content)
  })

  it.each([
    ['openai-responses', { type: 'url_citation', url: 'https://a', title: 'A', start_index: 0, end_index: 1 }],
    ['openai-chat', { type: 'url_citation', url_citation: { url: 'https://a', title: 'A' } }],
  ] as const)('B15: shows web searches and citations of %s as Anthropic shows its own', async (dialect, value) => {
    const action = { type: 'search', query: 'q', sources: [{ type: 'url', url: 'https://a' }] }
    const searched: Block = {
      kind: 'native',
      native: { dialect: 'openai-responses', value: { type: 'web_search_call', id: 'ws_1', action } },
      type: 'web_search_call',
    }
    const cited: AnswerEvent = { type: 'annotation', native: { dialect, value } }
    const all = [open(searched), close(), open(textBlock), more('x'), cited, close(), end()]
    const message = await accumulate(writeStream(all))
    expect(message.content).toMatchObject([
      { type: 'server_tool_use', id: 'srvtoolu_a10', name: 'web_search', input: { query: 'q' } },
      { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_a10', content: [{ url: 'https://a' }] },
      { type: 'text', text: 'x', citations: [{ type: 'web_search_result_location', url: 'https://a', title: 'A' }] },
    ])
    expect(anthropicMessages.writeReply(fold(all), writing())['content']).toEqual(
      JSON.parse(JSON.stringify(message.content)),
    )
  })

  it("gives Anthropic's own answers back as they were", async () => {
    const message = await accumulate(STREAM)
    const again = await accumulate(writeStream(readStream([STREAM])))
    expect(again.content).toEqual(message.content)
    expect(again.usage).toMatchObject({ input_tokens: 10, cache_read_input_tokens: 90, output_tokens: 5 })
  })

  it('is the same from a whole answer as from a stream', () => {
    const answer: Answer = fold(events)
    const replayed: AnswerEvent[] = []
    replayAnswer(answer, (event) => replayed.push(event))
    expect(fold(replayed).blocks).toEqual(answer.blocks)
    expect(anthropicMessages.writeReply(fold(replayed), writing())).toEqual(
      anthropicMessages.writeReply(answer, writing()),
    )
  })
})
