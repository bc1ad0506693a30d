/**
 * Usage, and what the transport does to an answer, in all directions.
 *
 * Elsewhere: E3 and E5 (what the ledger makes of usage, test/unit/dialects/answer-meter.test.ts and test/unit/ledger), E9 (passes
 * through within one dialect); F7 (headers, test/unit/dialects/headers.test.ts), F11 and F12 (the facade's failures, test/http),
 * F13 (counting, test/http/captures.test.ts and test/unit/dialects/estimate-input-tokens.test.ts), F15 to F17 (routes,
 * test/http/sdk.test.ts and facade-passthrough.test.ts), F20 (encodings, test/http/facade-passthrough.test.ts). The numbers that
 * are missing were never given.
 */
import { describe, expect, test } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import type { Dialect } from '../../../../src/dialects/dialect.ts'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import {
  chatSse,
  DONE,
  messages,
  messagesSse,
  responses,
  responsesSse,
} from '../../../support/translation-providers.ts'
import {
  DIRECTIONS,
  genericTarget,
  gistOf,
  hear,
  hearWhole,
  requestOf,
  translate,
} from '../../../support/translation.ts'

const TEXT = 'Grüße, 日本 👋 \u2028 and \u0085'

/** One answer of a text in each dialect, with its own usage. */
function textAnswer(dialect: Dialect, usage: JsonObject, text = TEXT): string {
  switch (dialect) {
    case 'openai-chat':
      return chatSse(
        { delta: { role: 'assistant', content: '' } },
        { delta: { content: text } },
        { finish_reason: 'stop' },
        { choices: [], usage },
        DONE,
      )
    case 'openai-responses': {
      const item = {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text, annotations: [] }],
      }
      return responsesSse(...responses.start(), ...responses.item(0, item), responses.end([item], { usage }))
    }
    case 'anthropic-messages':
      return messagesSse(
        messages.start({ ...usage, output_tokens: 1 }),
        ...messages.text(0, text),
        ...messages.end('end_turn', {
          output_tokens: usage['output_tokens'],
          output_tokens_details: usage['output_tokens_details'],
        }),
      )
  }
}

/** The same counts in each dialect's words: 2006 in, of them 1920 read from a cache and 20 written to one, 50 out, 30 thought. */
const COUNTS: Readonly<Record<Dialect, JsonObject>> = {
  'openai-chat': {
    prompt_tokens: 2_006,
    completion_tokens: 50,
    total_tokens: 2_056,
    prompt_tokens_details: { cached_tokens: 1_920, cache_write_tokens: 20 },
    completion_tokens_details: { reasoning_tokens: 30 },
  },
  'openai-responses': {
    input_tokens: 2_006,
    output_tokens: 50,
    total_tokens: 2_056,
    input_tokens_details: { cached_tokens: 1_920, cache_write_tokens: 20 },
    output_tokens_details: { reasoning_tokens: 30 },
  },
  'anthropic-messages': {
    input_tokens: 66,
    cache_read_input_tokens: 1_920,
    cache_creation_input_tokens: 20,
    output_tokens: 50,
    output_tokens_details: { thinking_tokens: 30 },
  },
}

const members = (from: Dialect): JsonObject =>
  from === 'openai-chat' ? { stream_options: { include_usage: true } } : {}

describe('usage', () => {
  test.each(DIRECTIONS)(
    'E1, E8: counts for %s from %s mean the same, caches apart and thoughts within',
    async (from, to) => {
      const { message } = await hear(
        { from, request: requestOf(from, members(from)), target: genericTarget(to) },
        { body: textAnswer(to, COUNTS[to]) },
      )
      expect(message['usage']).toMatchObject(COUNTS[from])
    },
  )

  test('E1: cached tokens of OpenAI are apart from the fresh ones for a client of Messages', async () => {
    const usage = {
      prompt_tokens: 2_006,
      completion_tokens: 1,
      total_tokens: 2_007,
      prompt_tokens_details: { cached_tokens: 1_920 },
    }
    const { message } = await hear(
      { from: 'anthropic-messages', request: requestOf('anthropic-messages'), target: genericTarget('openai-chat') },
      { body: textAnswer('openai-chat', usage) },
    )
    expect(message['usage']).toMatchObject({ input_tokens: 86, cache_read_input_tokens: 1_920 })
  })

  test('E4: counts of zero are counts', async () => {
    const usage = { input_tokens: 0, cache_read_input_tokens: 90, cache_creation_input_tokens: 0, output_tokens: 5 }
    const { message } = await hear(
      { from: 'openai-responses', request: requestOf('openai-responses'), target: genericTarget('anthropic-messages') },
      { body: textAnswer('anthropic-messages', usage) },
    )
    expect(message['usage']).toMatchObject({
      input_tokens: 90,
      input_tokens_details: { cached_tokens: 90 },
      output_tokens: 5,
      total_tokens: 95,
    })
  })

  test.each([
    [
      'with the role',
      [
        {
          choices: [{ index: 0, delta: { role: 'assistant', content: 'Hi' }, finish_reason: null }],
          usage: COUNTS['openai-chat'],
        },
        { finish_reason: 'stop' },
      ],
    ],
    [
      'with the finish reason',
      [
        { delta: { content: 'Hi' } },
        { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: COUNTS['openai-chat'] },
      ],
    ],
    [
      'in every chunk, growing',
      [
        {
          choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }],
          usage: { ...COUNTS['openai-chat'], completion_tokens: 1 },
        },
        { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: COUNTS['openai-chat'] },
      ],
    ],
  ])('E7: usage %s is seen', async (_, chunks) => {
    const { message } = await hear(
      { from: 'anthropic-messages', request: requestOf('anthropic-messages'), target: genericTarget('openai-chat') },
      { body: chatSse(...chunks, DONE) },
    )
    expect(message['usage']).toMatchObject(COUNTS['anthropic-messages'])
  })
})

describe('the transport', () => {
  const ways: readonly (readonly [name: string, change: (stream: string) => string])[] = [
    ['F1: lines that end with CRLF', (stream) => stream.replaceAll('\n', '\r\n')],
    ['F1: lines that end with CR', (stream) => stream.replaceAll('\n', '\r')],
    ['F3: no space after the colon', (stream) => stream.replaceAll('data: ', 'data:').replaceAll('event: ', 'event:')],
    [
      'F5: comments and pings between events',
      (stream) => `: open\n\n${stream.replaceAll('\n\n', '\n\n: keep-alive\n\n')}`,
    ],
    ['F5: data of several lines', (stream) => stream.replaceAll('data: {', 'data: {\ndata: ')],
    ['a byte order mark', (stream) => `\u{feff}${stream}`],
    ['ids and retry times', (stream) => stream.replaceAll(/^data: \{/gm, 'id: 7\nretry: 10\ndata: {')],
  ]
  const cases = DIRECTIONS.flatMap(([from, to]) => ways.map(([name, change]) => ({ name, from, to, change })))

  test.each(cases)('$name: $from hears the same of $to', async ({ from, to, change }) => {
    const asked = { from, request: requestOf(from), target: genericTarget(to) }
    const stream = textAnswer(to, COUNTS[to])
    const { text } = await hear(asked, { body: change(stream) })
    expect(text).toBe(translate({ ...asked, request: { ...asked.request, stream: true } }, { body: stream }).text)
  })

  test.each(DIRECTIONS)('F4: separators of lines within a text stay text for %s from %s', async (from, to) => {
    const { message } = await hear(
      { from, request: requestOf(from), target: genericTarget(to) },
      { body: textAnswer(to, COUNTS[to]) },
    )
    expect(gistOf(from, message).text).toBe(TEXT)
  })

  test.each(DIRECTIONS)('a text of half a surrogate pair does not break %s from %s', async (from, to) => {
    const body = textAnswer(to, COUNTS[to], 'a\ud83d')
    const { message } = await hear({ from, request: requestOf(from), target: genericTarget(to) }, { body })
    expect(gistOf(from, message).text).toMatch(/^a/)
  })

  test.each(DIRECTIONS)('F19: %s sees the model it asked for, not the one of %s', async (from, to) => {
    const { message } = await hear(
      { from, request: requestOf(from), target: genericTarget(to) },
      { body: textAnswer(to, COUNTS[to]) },
    )
    expect(message['model']).toBe('the-model')
  })
})

describe('errors', () => {
  const ENVELOPES: Readonly<Record<Dialect, JsonObject>> = {
    'openai-chat': {
      error: { message: 'You are too fast', type: 'rate_limit_exceeded', code: 'rate_limit_exceeded', param: null },
    },
    'openai-responses': {
      error: { message: 'You are too fast', type: 'rate_limit_exceeded', code: 'rate_limit_exceeded', param: null },
    },
    'anthropic-messages': {
      type: 'error',
      error: { type: 'rate_limit_error', message: 'You are too fast' },
      request_id: 'req_1',
    },
  }

  test.each(DIRECTIONS)(
    'F8: an error for %s from %s is in the client’s envelope, with its status and retry-after',
    (from, to) => {
      const { head, text } = translate(
        { from, request: requestOf(from, { stream: true }), target: genericTarget(to) },
        { status: 429, headers: { 'retry-after': '7' }, body: ENVELOPES[to] },
      )
      expect(head).toMatchObject({ status: 429, headers: { 'retry-after': '7', 'content-type': 'application/json' } })
      const error = asObject(JSON.parse(text))
      expect(asObject(error['error'])['message']).toContain('You are too fast')
      if (from === 'anthropic-messages')
        expect(error).toMatchObject({
          type: 'error',
          error: { type: 'rate_limit_error' },
          request_id: expect.any(String),
        })
      else expect(Object.keys(asObject(error['error'])).toSorted()).toEqual(['code', 'message', 'param', 'type'])
    },
  )

  test.each(['openai-chat', 'openai-responses'] as const)(
    'F9: an overflow of %s reads as a prompt that is too long',
    (to) => {
      const message =
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages."
      const { text } = translate(
        { from: 'anthropic-messages', request: requestOf('anthropic-messages'), target: genericTarget(to) },
        {
          status: 400,
          body: {
            error: { message, type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' },
          },
        },
      )
      expect(JSON.parse(text)).toMatchObject({
        type: 'error',
        error: { type: 'invalid_request_error', message: 'prompt is too long: 9000 tokens > 8192 maximum' },
      })
    },
  )

  test.each(DIRECTIONS)('an answer for %s from %s that is no JSON is a broken provider', (from, to) => {
    const { failure } = translate(
      { from, request: requestOf(from), target: genericTarget(to) },
      { headers: { 'content-type': 'text/html' }, body: '<html>Bad gateway</html>' },
    )
    expect(failure).toBeInstanceOf(TokError)
    expect(failure).toMatchObject({ code: 'provider_broken' })
  })

  test.each(DIRECTIONS)('a stream for %s, which asked %s for none, is a whole answer', (from, to) => {
    const { message } = hearWhole(
      { from, request: requestOf(from), target: genericTarget(to) },
      { body: textAnswer(to, COUNTS[to]) },
    )
    expect(gistOf(from, message)).toMatchObject({ text: TEXT, usage: COUNTS[from] })
    expect(asList(message['choices'] ?? message['output'] ?? message['content'])).toHaveLength(1)
  })
})
