import OpenAI from 'openai'
import type { ResponseStreamEvent } from 'openai/resources/responses/responses'
import { describe, expect, test } from 'vitest'
import {
  createAnswerFold,
  replayAnswer,
  type Answer,
  type AnswerEvent,
  type Block,
} from '../../../../src/dialects/conversation/answer.ts'
import type { AnswerWriting } from '../../../../src/dialects/conversation/contract.ts'
import type { ToolCallPart } from '../../../../src/dialects/conversation/conversation.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import { createOpaqueSeal, openState } from '../../../../src/dialects/conversation/opaque-state.ts'
import { UNKNOWN_USAGE } from '../../../../src/dialects/answer-tally.ts'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import { readRequest } from '../../../../src/dialects/openai-responses/read-request.ts'
import { writeReply } from '../../../../src/dialects/openai-responses/write-reply.ts'
import { createStreamWriter } from '../../../../src/dialects/openai-responses/write-stream.ts'

const seal = createOpaqueSeal(Buffer.alloc(32, 1))
const USAGE = { ...UNKNOWN_USAGE, inputTokens: 20, cachedInputTokens: 5, outputTokens: 7 }

function writingOf(request: JsonObject = {}): AnswerWriting {
  const losses = createLosses('openai-responses')
  return {
    answerId: 'a1',
    model: 'asked',
    createdAtS: 1_760_000_000,
    seal,
    request,
    estimateInput: () => 42,
    conversation: readRequest(request, { seal, losses }),
    losses: createLosses('openai-responses'),
  }
}

function answerOf(blocks: readonly Block[], members: Partial<Answer> = {}): Answer {
  return { id: 'x', model: 'served', blocks, usage: USAGE, stop: { reason: 'end' }, extras: {}, ...members }
}

function writeAll(events: readonly AnswerEvent[], writing = writingOf()): string {
  const writer = createStreamWriter(writing)
  return events.map((event) => writer.write(event)).join('')
}

function streamOf(answer: Answer, writing = writingOf()): string {
  const events: AnswerEvent[] = []
  replayAnswer(answer, (event) => events.push(event))
  return writeAll(events, writing)
}

/** The data of each event; fails where a line `event:` does not say its type, or a number is missing. */
function eventsIn(text: string): readonly JsonObject[] {
  const frames = text.split('\n\n').filter((frame) => frame !== '' && !frame.startsWith(':'))
  return frames.map((frame, number) => {
    const [name = '', data = '', ...more] = frame.split('\n')
    expect(more).toEqual([])
    const event = asObject(JSON.parse(data.replace(/^data: /, '')))
    expect(name).toBe(`event: ${String(event['type'])}`)
    expect(event['sequence_number']).toBe(number)
    return event
  })
}

function typesIn(text: string): readonly string[] {
  return eventsIn(text).map((event) => String(event['type']).replace('response.', ''))
}

/** What the official SDK makes of a stream. */
async function judge(
  text: string,
): Promise<{ readonly events: readonly ResponseStreamEvent[]; readonly final: JsonObject }> {
  const client = new OpenAI({
    apiKey: 'none',
    baseURL: 'http://127.0.0.1:9/v1',
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(text, { headers: { 'content-type': 'text/event-stream' } })),
  })
  const stream = client.responses.stream({ model: 'asked', input: 'x' })
  const events: ResponseStreamEvent[] = []
  for await (const event of stream) events.push(event)
  return { events, final: asObject(JSON.parse(JSON.stringify(await stream.finalResponse()))) }
}

const call = (members: Partial<ToolCallPart> = {}): ToolCallPart => ({
  kind: 'tool-call',
  toolKind: 'function',
  callId: 'call_1',
  name: 'f',
  input: '{"a":1}',
  ...members,
})

describe('a stream', () => {
  test('D1, D3: a text goes through its whole life, with numbers without a gap', async () => {
    const text = streamOf(answerOf([{ kind: 'text', text: 'Yes' }]))
    expect(typesIn(text)).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ])
    const { final } = await judge(text)
    expect(final).toMatchObject({
      id: 'resp_a1',
      object: 'response',
      model: 'asked',
      created_at: 1_760_000_000,
      status: 'completed',
      output_text: 'Yes',
      usage: {
        input_tokens: 20,
        input_tokens_details: { cached_tokens: 5 },
        output_tokens: 7,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 27,
      },
    })
  })

  test('D12: several calls keep their places and ids', async () => {
    const text = streamOf(
      answerOf(
        [{ kind: 'text', text: 'a' }, call(), call({ callId: 'call_2', name: 'g', namespace: 'n', input: '{}' })],
        {
          stop: { reason: 'tool-calls' },
        },
      ),
    )
    expect(typesIn(text).slice(7)).toEqual([
      'output_item.done',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'completed',
    ])
    const { final } = await judge(text)
    expect(final['output']).toMatchObject([
      { id: 'msg_a1_0', type: 'message', status: 'completed' },
      { id: 'fc_a1_1', type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{"a":1}', status: 'completed' },
      { id: 'fc_a1_2', call_id: 'call_2', name: 'g', namespace: 'n', arguments: '{}' },
    ])
  })

  test('D13: a freeform tool is called with its text', async () => {
    const text = streamOf(answerOf([call({ toolKind: 'custom', name: 'apply_patch', input: '*** Begin' })]))
    expect(typesIn(text).slice(2, -1)).toEqual([
      'output_item.added',
      'custom_tool_call_input.delta',
      'custom_tool_call_input.done',
      'output_item.done',
    ])
    const { final } = await judge(text)
    expect(final['output']).toMatchObject([{ type: 'custom_tool_call', name: 'apply_patch', input: '*** Begin' }])
  })

  test.each<readonly [Partial<ToolCallPart>, JsonObject]>([
    [
      { toolKind: 'tool-search', name: 'tool_search', input: '{"query":"x"}' },
      { type: 'tool_search_call', execution: 'client', arguments: { query: 'x' } },
    ],
    [
      { toolKind: 'shell', name: 'shell', input: '{"commands":["ls"]}' },
      { type: 'shell_call', action: { commands: ['ls'], timeout_ms: null, max_output_length: null } },
    ],
    [
      { toolKind: 'local-shell', name: 'local_shell', input: '{"command":["ls"]}' },
      { type: 'local_shell_call', action: { type: 'exec', command: ['ls'], env: {} } },
    ],
    [
      { toolKind: 'apply-patch', name: 'apply_patch', input: '{"type":"delete_file","path":"a"}' },
      { type: 'apply_patch_call', operation: { type: 'delete_file', path: 'a' } },
    ],
    [
      { toolKind: 'shell', name: 'shell', input: '{"commands":' },
      { type: 'function_call', name: 'shell', arguments: '{"commands":' },
    ],
  ])('D21: a call of %j is an item of its kind', async (members, expected) => {
    const { final } = await judge(streamOf(answerOf([call(members)])))
    expect(final['output']).toMatchObject([{ ...expected, call_id: 'call_1', status: 'completed' }])
  })

  test('a function called with nothing has an empty object of arguments', async () => {
    const { final } = await judge(streamOf(answerOf([call({ input: '' })])))
    expect(final['output']).toMatchObject([{ arguments: '{}' }])
  })

  test('D39, D40: another provider’s reasoning is a summary, its state sealed', async () => {
    const native = {
      dialect: 'anthropic-messages',
      value: { type: 'thinking', thinking: 'hm', signature: 's' },
      source: 'anthropic',
      model: 'claude',
    } as const
    const text = streamOf(
      answerOf([
        { kind: 'reasoning', text: 'hm', native },
        { kind: 'text', text: 'Yes' },
      ]),
    )
    expect(typesIn(text).slice(2, 8)).toEqual([
      'output_item.added',
      'reasoning_summary_part.added',
      'reasoning_summary_text.delta',
      'reasoning_summary_text.done',
      'reasoning_summary_part.done',
      'output_item.done',
    ])
    const { final } = await judge(text)
    const [reasoning] = asList(final['output']).map(asObject)
    expect(reasoning).toMatchObject({ type: 'reasoning', summary: [{ type: 'summary_text', text: 'hm' }] })
    expect(openState(seal, String(reasoning?.['encrypted_content']))).toEqual(native)
  })

  test('D40: hidden reasoning has an empty summary; reasoning of nothing is none', async () => {
    const native = { dialect: 'anthropic-messages', value: { type: 'redacted_thinking', data: 'd' } } as const
    const hidden = await judge(streamOf(answerOf([{ kind: 'reasoning', text: '', native }, call()])))
    expect(hidden.final['output']).toMatchObject([{ type: 'reasoning', summary: [] }, { type: 'function_call' }])
    const nothing = await judge(streamOf(answerOf([{ kind: 'reasoning', text: '' }, call()])))
    expect(nothing.final['output']).toMatchObject([{ id: 'fc_a1_0', type: 'function_call' }])
  })

  test('the vendor’s own encrypted reasoning goes as it is', async () => {
    const native = { dialect: 'openai-responses', value: { type: 'reasoning', encrypted_content: 'opaque' } } as const
    const { final } = await judge(streamOf(answerOf([{ kind: 'reasoning', text: '', native }])))
    expect(final['output']).toMatchObject([{ encrypted_content: 'opaque' }])
  })

  test('texts and refusals in a row are parts of one message; empty ones leave no trace', async () => {
    const { final } = await judge(
      streamOf(
        answerOf([
          { kind: 'text', text: 'a' },
          { kind: 'text', text: '' },
          { kind: 'text', text: 'b' },
          { kind: 'refusal', text: 'no' },
        ]),
      ),
    )
    expect(final['output']).toMatchObject([
      {
        type: 'message',
        content: [
          { type: 'output_text', text: 'a' },
          { type: 'output_text', text: 'b' },
          { type: 'refusal', refusal: 'no' },
        ],
      },
    ])
  })

  test('citations of every dialect are annotations', async () => {
    const page = { url: 'https://a.org', title: 'A' }
    const writing = writingOf()
    const native = (
      dialect: 'openai-responses' | 'openai-chat' | 'anthropic-messages',
      value: JsonObject,
    ): AnswerEvent => ({
      type: 'annotation',
      native: { dialect, value },
    })
    const text = writeAll(
      [
        { type: 'start' },
        { type: 'block', block: { kind: 'text', text: '' } },
        { type: 'delta', text: 'Yes' },
        native('openai-responses', { type: 'url_citation', ...page, start_index: 0, end_index: 3 }),
        native('openai-chat', { type: 'url_citation', url_citation: { ...page, start_index: 0, end_index: 3 } }),
        native('anthropic-messages', { type: 'web_search_result_location', ...page, cited_text: 'x' }),
        native('anthropic-messages', { type: 'char_location', document_index: 0 }),
        { type: 'block-end' },
        { type: 'end', stop: { reason: 'end' }, usage: USAGE },
      ],
      writing,
    )
    const annotation = { type: 'url_citation', ...page, start_index: 0, end_index: 3 }
    const { final } = await judge(text)
    expect(asObject(asList(asObject(asList(final['output'])[0])['content'])[0])['annotations']).toEqual([
      annotation,
      annotation,
      annotation,
    ])
    expect(writing.losses.fields).toEqual(['output[].content[].annotations'])
  })

  test('D41: what another provider ran itself leaves no gap, and is named', async () => {
    const writing = writingOf()
    const hidden: Block = {
      kind: 'native',
      type: 'server_tool_use',
      native: { dialect: 'anthropic-messages', value: { type: 'server_tool_use' } },
    }
    const own: Block = {
      kind: 'native',
      type: 'web_search_call',
      native: { dialect: 'openai-responses', value: { type: 'web_search_call', id: 'ws_1', status: 'completed' } },
    }
    const { final } = await judge(streamOf(answerOf([hidden, { kind: 'text', text: 'a' }, own, call()]), writing))
    expect(asList(final['output']).map((item) => asObject(item)['id'])).toEqual(['msg_a1_0', 'ws_1', 'fc_a1_2'])
    expect(writing.losses.fields).toEqual(['output[].server_tool_use'])
  })

  test('a web search of Anthropic’s servers is one of OpenAI’s', async () => {
    const value = { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: { query: 'x' } }
    const native: Block = { kind: 'native', type: 'server_tool_use', native: { dialect: 'anthropic-messages', value } }
    const { final } = await judge(streamOf(answerOf([native, { kind: 'text', text: 'a' }])))
    expect(final['output']).toMatchObject([
      { id: 'ws_a1_0', type: 'web_search_call', status: 'completed', action: { type: 'search', query: 'x' } },
      { type: 'message' },
    ])
  })

  test('calls that came with the same id get ids of their own', async () => {
    const { final } = await judge(streamOf(answerOf([call(), call({ name: 'g' })])))
    expect(final['output']).toMatchObject([{ call_id: 'call_1' }, { call_id: 'call_1_1', name: 'g' }])
  })

  test('an answer without an end is not held', () => {
    const piece: AnswerEvent = { type: 'delta', text: 'x'.repeat(1_048_576) }
    const endless = Array.from({ length: 40 }, () => piece)
    const open: AnswerEvent = { type: 'block', block: { kind: 'text', text: '' } }
    expect(() => writeAll([open, ...endless])).toThrow('its answer is too long')
  })

  test('D9: what was cut off is incomplete, and so is its item', async () => {
    for (const reason of ['length', 'context-full'] as const) {
      const cut = call({ callId: 'call_2', input: '{"a"' })
      const { final, events } = await judge(streamOf(answerOf([call(), cut], { stop: { reason } })))
      expect(events.at(-1)?.type).toBe('response.incomplete')
      expect(final).toMatchObject({
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
        output: [{ status: 'completed' }, { status: 'incomplete', arguments: '{"a"' }],
      })
    }
  })

  test.each<readonly [Answer, JsonObject]>([
    [
      answerOf([{ kind: 'text', text: 'a' }], { stop: { reason: 'refusal' } }),
      { status: 'incomplete', incomplete_details: { reason: 'content_filter' } },
    ],
    [
      answerOf([{ kind: 'refusal', text: 'no' }], { stop: { reason: 'refusal' } }),
      { status: 'completed', output: [{ content: [{ type: 'refusal', refusal: 'no' }] }] },
    ],
    [
      answerOf([{ kind: 'text', text: 'a' }], { stop: { reason: 'refusal', explanation: 'no' } }),
      { status: 'completed', output: [{ content: [{ type: 'output_text' }, { type: 'refusal', refusal: 'no' }] }] },
    ],
    [
      answerOf([{ kind: 'text', text: 'a' }], { stop: { reason: 'stop-sequence', sequence: 'x' } }),
      { status: 'completed' },
    ],
    [answerOf([{ kind: 'text', text: 'a' }], { stop: { reason: 'pause' } }), { status: 'completed' }],
  ])('it ends as its provider did (%#)', async (answer, expected) => {
    expect((await judge(streamOf(answer))).final).toMatchObject(expected)
  })

  test('D44: an answer of reasoning alone has that item; one of nothing at all, a message that says nothing', async () => {
    const thought = await judge(streamOf(answerOf([{ kind: 'reasoning', text: 'hm' }])))
    expect(thought.final['output']).toMatchObject([{ type: 'reasoning' }])
    const nothing = await judge(streamOf(answerOf([])))
    expect(nothing.final['output']).toMatchObject([{ type: 'message', content: [{ type: 'output_text', text: '' }] }])
  })

  test('D4, D5, D7: a failure ends it with response.failed, and no call is done that was not', async () => {
    const text = writeAll([
      { type: 'start' },
      { type: 'block', block: call({ input: '' }) },
      { type: 'delta', text: '{"a"' },
      { type: 'error', error: { status: 400, kind: 'context_length', message: 'too long' } },
    ])
    expect(typesIn(text)).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'function_call_arguments.delta',
      'failed',
    ])
    const response = asObject(eventsIn(text).at(-1)?.['response'])
    expect(response).toMatchObject({
      id: 'resp_a1',
      status: 'failed',
      error: { code: 'context_length_exceeded' },
      model: 'asked',
    })
    const early = writeAll([{ type: 'error', error: { status: 500, kind: 'server', message: 'broken' } }])
    expect(typesIn(early)).toEqual(['created', 'in_progress', 'failed'])
    const { final } = await judge(early)
    expect(final).toMatchObject({ status: 'failed', error: { message: 'broken' } })
  })

  test('a sign of life is a comment', () => {
    expect(writeAll([{ type: 'ping' }])).toBe(': keep-alive\n\n')
  })

  test('E5: unknown totals are null, and not 0', async () => {
    const { final } = await judge(streamOf(answerOf([{ kind: 'text', text: 'a' }], { usage: UNKNOWN_USAGE })))
    expect(final['usage']).toBeNull()
  })

  test('texts arrive as they were, whatever is in them', async () => {
    const odd = ' \n\r\n\t"\\ \u2028\u0085 \u{1F600} \0'
    const { final } = await judge(streamOf(answerOf([{ kind: 'text', text: odd }])))
    expect(final['output_text']).toBe(odd)
    // Half a character cannot cross as UTF-8; it must not break the stream.
    const half = await judge(streamOf(answerOf([{ kind: 'text', text: 'a\ud83d' }])))
    expect(half.final['output_text']).toBe('a\ud83d')
  })

  test('blocks that are not closed, or begin with their text, add up all the same', async () => {
    const text = writeAll([
      { type: 'block', block: { kind: 'text', text: 'a' } },
      { type: 'delta', text: 'b' },
      { type: 'block', block: call({ input: '{}' }) },
      { type: 'end', stop: { reason: 'tool-calls' }, usage: USAGE },
    ])
    const { final } = await judge(text)
    expect(final['output']).toMatchObject([{ content: [{ text: 'ab' }] }, { arguments: '{}' }])
  })
})

describe('the response object', () => {
  const request = {
    model: 'asked',
    instructions: 'Be brief.',
    input: 'x',
    tools: [{ type: 'function', name: 'f', parameters: {}, strict: false }],
    tool_choice: 'required',
    parallel_tool_calls: false,
    reasoning: { effort: 'high' },
    text: { verbosity: 'low' },
    metadata: { a: 'b' },
    temperature: 0.5,
    max_output_tokens: 9,
    user: 'u',
  }

  test('repeats the request, with the vendor’s defaults for the rest', () => {
    const { model: _, input: __, ...repeated } = request
    expect(writeReply(answerOf([]), writingOf(request))).toMatchObject({
      ...repeated,
      reasoning: { effort: 'high', summary: null },
      text: { verbosity: 'low', format: { type: 'text' } },
      error: null,
      incomplete_details: null,
      top_p: 1,
      truncation: 'disabled',
      service_tier: 'default',
      background: false,
    })
  })

  test('is the same whole, and at the end of its stream', () => {
    const answer = answerOf([
      { kind: 'reasoning', text: 'hm', native: { dialect: 'openai-chat', value: { reasoning_content: 'hm' } } },
      { kind: 'text', text: 'a' },
      call(),
    ])
    const last = eventsIn(streamOf(answer, writingOf(request))).at(-1)
    expect(last?.['response']).toEqual(JSON.parse(JSON.stringify(writeReply(answer, writingOf(request)))))
  })

  test('shows the model that was asked for, whoever answered (F19)', () => {
    expect(writeReply(answerOf([], { model: 'served' }), writingOf())['model']).toBe('asked')
  })
})

test('what is written reads back as what it was', () => {
  const blocks: readonly Block[] = [{ kind: 'text', text: 'a' }, call({ namespace: 'n' })]
  const events: AnswerEvent[] = []
  replayAnswer(answerOf(blocks), (event) => events.push(event))
  const fold = createAnswerFold()
  for (const event of events) fold.add(event)
  const { turns } = readRequest(
    { input: writeReply(fold.answer ?? answerOf([]), writingOf())['output'] },
    { seal, losses: createLosses('openai-responses') },
  )
  expect(turns.flatMap(({ parts }) => parts)).toMatchObject(blocks)
})
