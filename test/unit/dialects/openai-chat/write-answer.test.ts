import { APIError } from 'openai'
import { describe, expect, it } from 'vitest'
import type { Answer, AnswerEvent } from '../../../../src/dialects/conversation/answer.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { openaiChat } from '../../../../src/dialects/openai-chat/translation.ts'
import { answerOf, judged, writingOf, written } from './chat.ts'

const USAGE = {
  inputTokens: 100,
  cachedInputTokens: 90,
  cacheWriteTokens: undefined,
  outputTokens: 5,
  reasoningTokens: undefined,
}
const NO_USAGE = { ...USAGE, inputTokens: undefined, cachedInputTokens: undefined, outputTokens: undefined }
const START: AnswerEvent = { type: 'start', id: 'msg_1', model: 'served' }

function text(...pieces: readonly string[]): readonly AnswerEvent[] {
  return block({ kind: 'text', text: '' }, ...pieces)
}

function reasoning(...pieces: readonly string[]): readonly AnswerEvent[] {
  return block({ kind: 'reasoning', text: '' }, ...pieces)
}

function called(callId: string, ...pieces: readonly string[]): readonly AnswerEvent[] {
  return block({ kind: 'tool-call', toolKind: 'function', callId, name: 'weather', input: '' }, ...pieces)
}

function block(
  opened: Extract<AnswerEvent, { type: 'block' }>['block'],
  ...pieces: readonly string[]
): readonly AnswerEvent[] {
  return [
    { type: 'block', block: opened },
    ...pieces.map((piece): AnswerEvent => ({ type: 'delta', text: piece })),
    { type: 'block-end' },
  ]
}

function end(reason: Answer['stop']['reason'] = 'end', usage: Answer['usage'] = USAGE, more: object = {}): AnswerEvent {
  return { type: 'end', stop: { reason, ...more }, usage }
}

/** The data of every event; the last one is "[DONE]", unless the stream ended in an error. */
function dataOf(sse: string): readonly (JsonObject | string)[] {
  return sse
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => (event === 'data: [DONE]' ? '[DONE]' : (JSON.parse(event.slice('data: '.length)) as JsonObject)))
}

function deltasOf(sse: string): readonly JsonObject[] {
  return dataOf(sse).flatMap((data) =>
    typeof data === 'string'
      ? []
      : (data['choices'] as readonly { readonly delta: JsonObject }[]).map((choice) => choice.delta),
  )
}

describe('a stream of Chat Completions for a client', () => {
  it('is a role, deltas, a finish reason and [DONE], all of one id and of the model that was asked for', () => {
    const sse = written([START, ...text('Hi', '!'), end()])
    const head = { id: 'chatcmpl-a1', object: 'chat.completion.chunk', created: 1_760_000_000, model: 'asked' }
    const chunk = (delta: JsonObject, finishReason: string | null = null): JsonObject => ({
      ...head,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    })
    expect(dataOf(sse)).toEqual([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Hi' }),
      chunk({ content: '!' }),
      chunk({}, 'stop'),
      '[DONE]',
    ])
    expect(sse).not.toContain('event:')
  })

  it('C4: ends with the usage, if the client asked for it: cached input within the total', () => {
    const sse = written([START, ...text('Hi'), end()], writingOf({}, { wantsStreamUsage: true }))
    const data = dataOf(sse)
    expect(data.at(-2)).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 100,
        prompt_tokens_details: { cached_tokens: 90 },
        completion_tokens: 5,
        total_tokens: 105,
      },
    })
    expect(data.slice(0, -2)).toEqual(data.slice(0, -2).map(() => expect.objectContaining({ usage: null })))
  })

  it('C7: shows no usage to a client that did not ask', () => {
    expect(written([START, ...text('Hi'), end()])).not.toContain('usage')
  })

  it('E5: has no usage where nothing is known', () => {
    const sse = written([START, ...text('Hi'), end('end', NO_USAGE)], writingOf({}, { wantsStreamUsage: true }))
    expect(sse).not.toContain('prompt_tokens')
    expect(dataOf(sse).at(-1)).toBe('[DONE]')
  })

  it('C1, C3: numbers calls from 0, names each once, then sends its arguments only', () => {
    const sse = written([START, ...text('Hi'), ...called('c0', '{"n', '":0}'), ...called('c1'), end('tool-calls')])
    const deltas = deltasOf(sse).filter((delta) => 'tool_calls' in delta)
    expect(deltas).toEqual([
      { tool_calls: [{ index: 0, id: 'c0', type: 'function', function: { name: 'weather', arguments: '' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"n' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '":0}' } }] },
      { tool_calls: [{ index: 1, id: 'c1', type: 'function', function: { name: 'weather', arguments: '' } }] },
      { tool_calls: [{ index: 1, function: { arguments: '{}' } }] },
    ])
  })

  it('C8: says reasoning as reasoning_content, never as content', () => {
    const deltas = deltasOf(written([START, ...reasoning('hm'), ...text('Hi'), end()]))
    expect(deltas).toEqual([{ role: 'assistant', content: null }, { reasoning_content: 'hm' }, { content: 'Hi' }, {}])
  })

  it('A27: a sign of life is a comment', () => {
    expect(written([{ type: 'ping' }])).toBe(': keep-alive\n\n')
  })

  it('an error is the last event, without [DONE], and the SDK raises it', async () => {
    const sse = written([
      START,
      ...text('Hal').slice(0, -1),
      { type: 'error', error: { status: 502, kind: 'server', message: 'the provider broke off' } },
      { type: 'delta', text: 'late' },
      end(),
    ])
    expect(dataOf(sse).at(-1)).toMatchObject({ error: { message: expect.stringContaining('broke off') } })
    expect(sse).not.toContain('[DONE]')
    expect(sse).not.toContain('late')
    await expect(judged(sse)).rejects.toThrow(APIError)
  })

  it('nothing follows the end', () => {
    expect(written([START, ...text('Hi'), end(), ...text('more'), end()]).split('[DONE]')).toHaveLength(2)
  })

  it.each<readonly [Answer['stop']['reason'], string]>([
    ['end', 'stop'],
    ['stop-sequence', 'stop'],
    ['tool-calls', 'stop'],
    ['length', 'length'],
    ['context-full', 'length'],
    ['refusal', 'content_filter'],
    ['pause', 'stop'],
    ['compaction', 'stop'],
  ])('ends a text that stopped by %s with %s', (reason, finishReason) => {
    expect(written([START, ...text('Hi'), end(reason)])).toContain(`"finish_reason":"${finishReason}"`)
  })

  it.each<readonly [Answer['stop']['reason'], string]>([
    ['end', 'tool_calls'],
    ['tool-calls', 'tool_calls'],
    ['length', 'length'],
    ['refusal', 'content_filter'],
    ['pause', 'stop'],
  ])('C11, C12: ends a call that stopped by %s with %s; the call stays', (reason, finishReason) => {
    const sse = written([START, ...called('c0', '{}'), end(reason)])
    expect(sse).toContain(`"finish_reason":"${finishReason}"`)
    expect(sse).toContain('"id":"c0"')
  })

  it('keeps white space, and half a character, as they are', async () => {
    const pieces = [' \n', '\u2028', '\ud83d', '\ude00', '\ud83d']
    const { choices } = await judged(written([START, ...text(...pieces), end()]))
    expect(choices[0]?.message.content).toBe(pieces.join(''))
  })
})

describe('an answer of Chat Completions, streamed and whole', () => {
  const citation = { type: 'url_citation', url: 'https://example.org', title: 'a', start_index: 0, end_index: 2 }

  it.each<readonly [string, readonly AnswerEvent[], JsonObject]>([
    ['a text', [...text('Hi', '!'), end()], { content: 'Hi!' }],
    ['nothing', [end()], { content: '' }],
    ['a call', [...called('c0', '{"n":0}'), end('tool-calls')], { content: null }],
    [
      'a text and two calls',
      [...text('Hi'), ...called('c0', '{}'), ...called('c1'), end('tool-calls')],
      { content: 'Hi' },
    ],
    ['texts that go on', [...text('The sky'), ...text(' is blue'), end()], { content: 'The sky is blue' }],
    [
      'texts around a call, as paragraphs',
      [...text('I look.'), ...called('c0', '{}'), ...text('Done.'), end('tool-calls')],
      { content: 'I look.\n\nDone.' },
    ],
    ['a refusal', [...block({ kind: 'refusal', text: '' }, 'no'), end()], { content: null, refusal: 'no' }],
    [
      'C9: a refusal that is explained beside the text',
      [...text('Hi'), end('refusal', USAGE, { explanation: 'not this' })],
      { content: 'Hi', refusal: 'not this' },
    ],
    [
      'a freeform call',
      [
        ...block({ kind: 'tool-call', toolKind: 'custom', callId: 'c0', name: 'patch', input: '' }, 'a', 'b'),
        end('tool-calls'),
      ],
      { tool_calls: [{ id: 'c0', type: 'custom', custom: { name: 'patch', input: 'ab' } }] },
    ],
    [
      'a citation, counted from the start of the whole text',
      [
        ...text('One. '),
        { type: 'block', block: { kind: 'text', text: '' } },
        { type: 'delta', text: 'Hi' },
        { type: 'annotation', native: { dialect: 'openai-responses', value: citation } },
        { type: 'block-end' },
        end(),
      ],
      {
        content: 'One. Hi',
        annotations: [
          {
            type: 'url_citation',
            url_citation: { url: 'https://example.org', title: 'a', start_index: 5, end_index: 7 },
          },
        ],
      },
    ],
  ])('C32: says the same: %s', async (_, events, message) => {
    const all = [START, ...events]
    const writing = writingOf({}, { wantsStreamUsage: true })
    const whole = JSON.parse(JSON.stringify(openaiChat.writeReply(answerOf(all), writingOf()))) as JsonObject
    const streamed = await judged(written(all, writing))
    expect(streamed).toEqual(whole)
    expect(whole).toMatchObject({ model: 'asked', choices: [{ message: { role: 'assistant', ...message } }] })
  })

  it('has its reasoning whole', () => {
    const { choices } = openaiChat.writeReply(
      answerOf([START, ...reasoning('h', 'm'), ...text('Hi'), ...reasoning('oh'), end()]),
      writingOf(),
    ) as { readonly choices: readonly [{ readonly message: JsonObject }] }
    expect(choices[0].message).toEqual({
      role: 'assistant',
      content: 'Hi',
      refusal: null,
      reasoning_content: 'hm\n\noh',
    })
  })

  it('D41: reports what it has no word for, and goes on', () => {
    const writing = writingOf()
    const native = { dialect: 'anthropic-messages' as const, value: { type: 'server_tool_use' } }
    const sse = written(
      [START, ...block({ kind: 'native', native, type: 'server_tool_use' }), ...text('Hi'), end()],
      writing,
    )
    expect(deltasOf(sse)).toEqual([{ role: 'assistant', content: '' }, { content: 'Hi' }, {}])
    expect(writing.losses.fields).toEqual(['choices[].message.server_tool_use'])
  })
})

describe('a client that knows `functions` only', () => {
  const request = { functions: [{ name: 'weather' }] }
  const events = [START, ...called('c0', '{"n', '":0}'), ...called('c1', '{}'), end('tool-calls')]

  it('is told the first call as function_call, and no other', async () => {
    const writing = writingOf(request)
    const whole = openaiChat.writeReply(answerOf(events), writing)
    expect(whole['choices']).toMatchObject([
      {
        message: { content: null, function_call: { name: 'weather', arguments: '{"n":0}' } },
        finish_reason: 'function_call',
      },
    ])
    expect(JSON.stringify(whole)).not.toContain('tool_calls')
    expect(writing.losses.fields).toEqual(['choices[].message.function_call'])
    const { choices } = await judged(written(events, writingOf(request)))
    expect(choices).toMatchObject(whole['choices'] as object)
  })
})
