/**
 * There and back: what is asked in one dialect and translated to another and back asks for the same; so does what is answered;
 * and state that only its provider understands returns to it byte for byte.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Dialect } from '../../../../src/dialects/dialect.ts'
import { asList, asObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import { runs, someSaid, someTalk, someText, type Round, type Talk } from '../../../support/translation-arbitraries.ts'
import { streamOf, wholeAnswerOf } from '../../../support/translation-providers.ts'
import {
  DIRECTIONS,
  genericTarget,
  gistOf,
  hear,
  requestOf,
  SEED,
  send,
  vendorTarget,
} from '../../../support/translation.ts'

const PNG = 'iVBORw0KGgo='
const SCHEMA = { type: 'object', properties: { path: { type: 'string' } } }
const tool = { name: 'read', description: 'Reads' }
const callIdOf = (round: number, call: number): string => `call_${round}_${call}`

/** A conversation as a client of a dialect writes it. */
function requestFor(dialect: Dialect, { system, rounds, last }: Talk): JsonObject {
  switch (dialect) {
    case 'openai-chat':
      return {
        tools: [{ type: 'function', function: { ...tool, parameters: SCHEMA } }],
        messages: [
          ...(system === undefined ? [] : [{ role: 'system', content: system }]),
          ...rounds.flatMap(chatMessages),
          { role: 'user', content: last },
        ],
      }
    case 'openai-responses':
      return {
        tools: [{ type: 'function', ...tool, parameters: SCHEMA, strict: false }],
        ...(system === undefined ? {} : { instructions: system }),
        input: [
          ...rounds.flatMap(responseItems),
          { type: 'message', role: 'user', content: [{ type: 'input_text', text: last }] },
        ],
      }
    case 'anthropic-messages': {
      const turns = rounds.flatMap(messageTurns)
      return {
        max_tokens: 1_000,
        tools: [{ ...tool, input_schema: SCHEMA }],
        ...(system === undefined ? {} : { system }),
        messages: [...turns, { role: 'user', content: [{ type: 'text', text: last }] }],
      }
    }
  }
}

function chatMessages({ user, said, calls }: Round, round: number): JsonObject[] {
  return [
    {
      role: 'user',
      content: [
        { type: 'text', text: user.text },
        ...(user.hasImage ? [{ type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}` } }] : []),
        ...(user.hasImage && user.after !== undefined ? [{ type: 'text', text: user.after }] : []),
      ],
    },
    {
      role: 'assistant',
      content: said ?? null,
      ...(calls.length === 0
        ? {}
        : {
            tool_calls: calls.map(({ input }, call) => ({
              id: callIdOf(round, call),
              type: 'function',
              function: { name: 'read', arguments: JSON.stringify(input) },
            })),
          }),
    },
    ...calls.map(({ result }, call) => ({ role: 'tool', tool_call_id: callIdOf(round, call), content: result })),
  ]
}

function responseItems({ user, said, calls }: Round, round: number): JsonObject[] {
  return [
    {
      type: 'message',
      role: 'user',
      content: [
        { type: 'input_text', text: user.text },
        ...(user.hasImage ? [{ type: 'input_image', image_url: `data:image/png;base64,${PNG}`, detail: 'auto' }] : []),
        ...(user.hasImage && user.after !== undefined ? [{ type: 'input_text', text: user.after }] : []),
      ],
    },
    ...(said === undefined
      ? []
      : [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: said, annotations: [] }] }]),
    ...calls.map(({ input }, call) => ({
      type: 'function_call',
      call_id: callIdOf(round, call),
      name: 'read',
      arguments: JSON.stringify(input),
    })),
    ...calls.map(({ result }, call) => ({
      type: 'function_call_output',
      call_id: callIdOf(round, call),
      output: result,
    })),
  ]
}

function messageTurns({ user, said, calls }: Round, round: number): JsonObject[] {
  return [
    {
      role: 'user',
      content: [
        { type: 'text', text: user.text },
        ...(user.hasImage ? [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }] : []),
        ...(user.hasImage && user.after !== undefined ? [{ type: 'text', text: user.after }] : []),
      ],
    },
    {
      role: 'assistant',
      content: [
        ...(said === undefined ? [] : [{ type: 'text', text: said }]),
        ...calls.map(({ input }, call) => ({ type: 'tool_use', id: callIdOf(round, call), name: 'read', input })),
      ],
    },
    ...(calls.length === 0
      ? []
      : [
          {
            role: 'user',
            content: calls.map(({ result }, call) => ({
              type: 'tool_result',
              tool_use_id: callIdOf(round, call),
              content: result,
            })),
          },
        ]),
  ]
}

/** Everything a request says, one line each, in no dialect's words. */
function linesOf(dialect: Dialect, body: JsonObject): string[] {
  const line = (...words: readonly unknown[]): string =>
    words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' | ')
  const tools = asList(body['tools']).map((each) => {
    const { name, description, parameters, input_schema: schema } = asObject(asObject(each)['function'] ?? each)
    return line('tool', name, description, parameters ?? schema)
  })
  const partLines = (role: unknown, content: unknown): string[] =>
    (typeof content === 'string' ? [{ type: 'text', text: content }] : asList(content)).flatMap((value) => {
      const part = asObject(value)
      switch (part['type']) {
        case 'text':
        case 'input_text':
        case 'output_text':
          return [line(role, part['text'])]
        case 'image':
          return [line(role, 'image', asObject(part['source'])['data'])]
        case 'image_url':
          return [line(role, 'image', String(asObject(part['image_url'])['url']).replace('data:image/png;base64,', ''))]
        case 'input_image':
          return [line(role, 'image', String(part['image_url']).replace('data:image/png;base64,', ''))]
        case 'tool_use':
          return [line('call', part['id'], part['name'], part['input'])]
        case 'tool_result':
          return partLines(`result ${String(part['tool_use_id'])}`, part['content'])
        default:
          return [line('unknown', part)]
      }
    })
  const turns = asList(body['messages'] ?? body['input']).flatMap((value) => {
    const turn = asObject(value)
    const role = turn['role'] === 'developer' ? 'system' : turn['role']
    switch (turn['type']) {
      case 'function_call':
        return [line('call', turn['call_id'], turn['name'], JSON.parse(String(turn['arguments'])))]
      case 'function_call_output':
        return partLines(`result ${String(turn['call_id'])}`, turn['output'])
      default: {
        const calls = asList(turn['tool_calls']).map((each) => {
          const { id, function: named } = asObject(each)
          return line('call', id, asObject(named)['name'], JSON.parse(String(asObject(named)['arguments'])))
        })
        const speaker = role === 'tool' ? `result ${String(turn['tool_call_id'])}` : role
        return [...(turn['content'] === null ? [] : partLines(speaker, turn['content'])), ...calls]
      }
    }
  })
  const top = dialect === 'anthropic-messages' ? body['system'] : body['instructions']
  return [...tools, ...(top === undefined ? [] : partLines('system', top)), ...turns]
}

describe.each(DIRECTIONS)('a request of %s to %s and back', (from, to) => {
  test.each([
    ['any server', genericTarget(to), genericTarget(from)],
    ['the vendor', vendorTarget(to), vendorTarget(from)],
  ])('says what it said, by way of %s', (_, there, back) => {
    for (const parameters of runs(25, SEED)) {
      fc.assert(
        fc.property(someTalk, (talk) => {
          const request = requestFor(from, talk)
          const { sent, dropped } = send({ from, request, target: there })
          expect(dropped).toEqual([])
          expect(linesOf(to, sent)).toEqual(linesOf(from, request))
          const returned = send({ from: to, request: sent, target: back })
          expect(linesOf(from, returned.sent)).toEqual(linesOf(from, request))
        }),
        parameters,
      )
    }
  })
})

describe.each(DIRECTIONS)('an answer for %s from %s', (from, to) => {
  test('translated back is the answer it was', async () => {
    for (const parameters of runs(8, SEED)) {
      await fc.assert(
        fc.asyncProperty(someSaid, async (said) => {
          const given = wholeAnswerOf(to, said)
          const members = (dialect: Dialect): JsonObject =>
            dialect === 'openai-chat' ? { stream_options: { include_usage: true } } : {}
          const there = await hear(
            { from, request: requestOf(from, members(from)), target: genericTarget(to) },
            { body: streamOf(to, given) },
          )
          const back = await hear(
            { from: to, request: requestOf(to, members(to)), target: genericTarget(from) },
            { body: there.text },
          )
          const [first, last] = [gistOf(to, given), gistOf(to, back.message)]
          expect({ ...last, usage: undefined, reasoning: undefined }).toEqual({
            ...first,
            usage: undefined,
            reasoning: undefined,
          })
          expect(last.usage).toMatchObject(first.usage)
        }),
        parameters,
      )
    }
  })
})

/** The history of a client that heard an answer, called its tool, and asks again. */
function historyOf(dialect: Dialect, message: JsonObject): JsonObject {
  const tools = requestFor(dialect, { system: undefined, rounds: [], last: 'x' })['tools']
  if (dialect === 'openai-responses') {
    const output = asList(message['output'])
    const callId = asObject(output.at(-1))['call_id']
    const result = { type: 'function_call_output', call_id: callId, output: 'A' }
    return { tools, input: [{ type: 'message', role: 'user', content: 'Go' }, ...output, result] }
  }
  const content = asList(message['content'])
  const result = { type: 'tool_result', tool_use_id: asObject(content.at(-1))['id'], content: 'A' }
  return {
    tools,
    max_tokens: 9_000,
    messages: [
      { role: 'user', content: 'Go' },
      { role: 'assistant', content },
      { role: 'user', content: [result] },
    ],
  }
}

/** Where a dialect keeps the state of its provider. */
function stateIn(dialect: Dialect, body: JsonObject): unknown[] {
  if (dialect === 'openai-responses')
    return asList(body['input'] ?? body['output']).filter((item) => asObject(item)['type'] === 'reasoning')
  const turns = body['messages'] === undefined ? [body] : asList(body['messages'])
  return turns
    .flatMap((turn) => asList(asObject(turn)['content']))
    .filter((block) => String(asObject(block)['type']).endsWith('thinking'))
}

const someOpaque = fc.base64String({ minLength: 4, maxLength: 400 })

describe('state that only its provider understands', () => {
  const directions = DIRECTIONS.filter(([from, to]) => from !== 'openai-chat' && to !== 'openai-chat')

  test.each(directions)('goes to a client of %s and back to %s byte for byte', async (from, to) => {
    const counts = { inputTokens: 9, cachedTokens: 3, outputTokens: 5, reasoningTokens: 2 }
    for (const parameters of runs(10, SEED)) {
      await fc.assert(
        fc.asyncProperty(
          fc.option(someText, { nil: undefined }),
          someOpaque,
          fc.option(someText, { nil: undefined }),
          async (reasoning, opaque, text) => {
            const target = vendorTarget(to)
            const given = wholeAnswerOf(to, {
              reasoning,
              opaque,
              text,
              calls: [{ name: 'read', input: {} }],
              ...counts,
            })
            const tools = requestFor(from, { system: undefined, rounds: [], last: 'x' })['tools']
            const { message } = await hear(
              { from, request: requestOf(from, { tools }), target },
              { body: streamOf(to, given) },
            )
            const { sent, dropped } = send({ from, request: historyOf(from, message), target })
            expect(stateIn(to, sent)).toEqual(stateIn(to, given))
            expect(stateIn(to, sent)).toHaveLength(1)
            expect(dropped).toEqual([])
            const elsewhere = send({ from, request: historyOf(from, message), target: { ...target, name: 'another' } })
            expect(stateIn(to, elsewhere.sent)).toEqual([])
          },
        ),
        parameters,
      )
    }
  })
})
