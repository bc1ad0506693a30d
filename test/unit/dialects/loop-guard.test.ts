import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokError } from '../../../src/base/errors.ts'
import { specOf, type Key } from '../../../src/config/schema.ts'
import { DIALECTS, type Dialect } from '../../../src/dialects/dialect.ts'
import { asList, asObject, type JsonObject } from '../../../src/dialects/json-value.ts'
import { DEFAULT_LOOP_GUARD, guardLoops, mayLoop } from '../../../src/dialects/loop-guard.ts'

/** One turn of an agent: the calls of the model, each with its result, or what somebody said. */
type Turn = readonly (readonly [tool: string, input: JsonObject, result: unknown])[] | string

let ids = 0

/** A conversation as clients of a dialect send it; a text is a user's turn. */
function conversation(dialect: Dialect, turns: readonly Turn[]): JsonObject {
  const list = turns.flatMap((turn): JsonObject[] => {
    if (typeof turn === 'string') return [{ role: 'user', content: turn }]
    const calls = turn.map(([name, input, result]) => ({ id: `call_${(ids += 1)}`, name, input, result }))
    switch (dialect) {
      case 'openai-chat':
        return [
          {
            role: 'assistant',
            content: null,
            tool_calls: calls.map(({ id, name, input }) => ({
              id,
              type: 'function',
              function: { name, arguments: JSON.stringify(input) },
            })),
          },
          ...calls.map(({ id, result }) => ({ role: 'tool', tool_call_id: id, content: result })),
        ]
      case 'openai-responses':
        return [
          { type: 'reasoning', id: `rs_${ids}`, summary: [] },
          ...calls.map(({ id, name, input }) => ({
            type: 'function_call',
            call_id: id,
            name,
            arguments: JSON.stringify(input),
          })),
          ...calls.map(({ id, result }) => ({ type: 'function_call_output', call_id: id, output: result })),
        ]
      case 'anthropic-messages':
        return [
          {
            role: 'assistant',
            content: [
              { type: 'text', text: `Try ${ids}.` },
              ...calls.map(({ id, name, input }) => ({ type: 'tool_use', id, name, input })),
            ],
          },
          {
            role: 'user',
            content: calls.map(({ id, result }) => ({ type: 'tool_result', tool_use_id: id, content: result })),
          },
        ]
    }
  })
  return { model: 'm', [dialect === 'openai-responses' ? 'input' : 'messages']: list }
}

const bytesOf = (body: JsonObject): Buffer => Buffer.from(JSON.stringify(body))
const countOf = (dialect: Dialect, turns: readonly Turn[]): number =>
  guardLoops(dialect, conversation(dialect, turns), { ...DEFAULT_LOOP_GUARD, refuseAt: 99 }).count

const ls: Turn = [['shell', { cmd: 'ls', dir: '/' }, 'a.txt']]
const again = (turn: Turn, times: number): Turn[] => Array.from({ length: times }, () => turn)

describe.each(DIALECTS)('the loop guard over %s', (dialect) => {
  // what the conversation ends with | rounds
  it.each<[string, readonly Turn[], number]>([
    ['nothing but a question', ['list'], 0],
    ['one round', ['list', ls], 1],
    ['three equal rounds', ['list', ...again(ls, 3)], 3],
    ['three equal rounds after another', [[['shell', { cmd: 'pwd' }, '/']], ...again(ls, 3)], 3],
    ['equal calls with another result', [...again(ls, 3), [['shell', { cmd: 'ls', dir: '/' }, 'b.txt']]], 1],
    ['the same result of other arguments', [1, 2, 3, 4, 5].map((n): Turn => [['write', { n }, 'ok']]), 1],
    ['another tool', [...again(ls, 3), [['list', { cmd: 'ls', dir: '/' }, 'a.txt']]], 1],
    ["a user's turn in between", [...again(ls, 3), 'go on', ls], 1],
    ["a user's turn", [...again(ls, 5), 'go on'], 0],
    ["a client's reminder in between", [ls, ls, '<system-reminder>todo</system-reminder>', ls], 3],
    ['the same arguments in another order', [ls, ls, [['shell', { dir: '/', cmd: 'ls' }, 'a.txt']]], 3],
    ['a text and a list of it', [ls, ls, [['shell', { cmd: 'ls', dir: '/' }, [{ type: 'text', text: 'a.txt' }]]]], 3],
    [
      'calls side by side',
      again(
        [
          ['a', {}, '1'],
          ['b', {}, '2'],
        ],
        3,
      ),
      3,
    ],
    [
      'the same calls side by side in another order',
      [
        [
          ['a', {}, '1'],
          ['b', {}, '2'],
        ],
        [
          ['b', {}, '2'],
          ['a', {}, '1'],
        ],
      ],
      2,
    ],
    [
      'many equal calls in one round',
      [
        [
          ['a', {}, '1'],
          ['a', {}, '1'],
          ['a', {}, '1'],
          ['a', {}, '1'],
          ['a', {}, '1'],
        ],
      ],
      1,
    ],
    [
      'one of two calls repeated',
      [
        [
          ['a', {}, '1'],
          ['b', {}, '2'],
        ],
        [
          ['a', {}, '1'],
          ['b', {}, '3'],
        ],
      ],
      1,
    ],
    ['polling', again([['BashOutput', { id: 1 }, 'running']], 6), 0],
    ['polling between', [ls, [['wait_agent', {}, '']], ls], 1],
    [
      'stamps of the client',
      ['395ec0', '8fcbf5', 'd108c0'].map((id): Turn => [
        ['exec', {}, `Chunk ID: ${id}\nWall time: 0.${id} seconds\nOutput:\nno`],
      ]),
      3,
    ],
    [
      'reminders within results',
      [9, 8, 7].map((n): Turn => [
        ['Bash', {}, `no output\n\n<system-reminder>\n${n} tokens left\n</system-reminder>`],
      ]),
      3,
    ],
    [
      'pictures',
      again([['look', {}, [{ type: 'image', source: 'AAAA', cache_control: { type: 'ephemeral' } }]]], 2),
      2,
    ],
    [
      'other pictures',
      [[['look', {}, [{ type: 'image', source: 'AAAA' }]]], [['look', {}, [{ type: 'image', source: 'BBBB' }]]]],
      1,
    ],
    ['empty results', again([['touch', {}, '']], 4), 4],
  ])('that ends with %s counts it', (_, turns, count) => {
    expect(countOf(dialect, turns)).toBe(count)
    if (count > 1) expect(mayLoop(dialect, bytesOf(conversation(dialect, turns)))).toBe(true)
  })

  const newestResult = (body: JsonObject): unknown => {
    const last = asObject(asList(body[dialect === 'openai-responses' ? 'input' : 'messages']).at(-1))
    if (dialect === 'openai-responses') return last['output']
    return dialect === 'openai-chat' ? last['content'] : asObject(asList(last['content']).at(-1))['content']
  }

  it('says nothing to a model that called twice', () => {
    const body = conversation(dialect, ['list', ...again(ls, 2)])
    expect(guardLoops(dialect, body, DEFAULT_LOOP_GUARD)).toEqual({ count: 2, body })
    expect(guardLoops(dialect, body, DEFAULT_LOOP_GUARD).body).toBe(body)
  })

  it.each([
    [3, /^a\.txt\n\n\[Loop guard\] shell was called 3 times/],
    [4, /^a\.txt\n\n\[Loop guard, urgent\] shell was called 4 times.* at 5 times the request is refused/],
  ])('adds to the newest result alone what it has to say of %s rounds', (count, note) => {
    const sent = conversation(dialect, ['list', ...again(ls, count)])
    const { body } = guardLoops(dialect, sent, DEFAULT_LOOP_GUARD)
    expect(newestResult(body)).toMatch(note)
    const [before, after] = [JSON.stringify(sent), JSON.stringify(body)]
    const same = before.lastIndexOf('a.txt')
    expect(after.slice(0, same)).toBe(before.slice(0, same))
    expect(guardLoops(dialect, sent, DEFAULT_LOOP_GUARD).body).toEqual(body)
  })

  it('adds it as a part where the result is a list', () => {
    const turn: Turn = [['shell', {}, [{ type: 'text', text: 'a.txt' }]]]
    const { body } = guardLoops(dialect, conversation(dialect, again(turn, 3)), DEFAULT_LOOP_GUARD)
    expect(newestResult(body)).toEqual([
      { type: 'text', text: 'a.txt' },
      { type: dialect === 'openai-responses' ? 'input_text' : 'text', text: expect.stringContaining('[Loop guard]') },
    ])
  })

  it('refuses the fifth round, and names tools and count', () => {
    const calls: Turn = [
      ['a', {}, '1'],
      ['b', {}, '2'],
    ]
    const refused = (): unknown => guardLoops(dialect, conversation(dialect, again(calls, 5)), DEFAULT_LOOP_GUARD)
    expect(refused).toThrow(TokError)
    expect(refused).toThrow(/^a, b was called 5 times/)
  })

  it('keeps to its options', () => {
    const body = conversation(dialect, again(ls, 9))
    expect(guardLoops(dialect, body, { ...DEFAULT_LOOP_GUARD, isOn: false })).toEqual({ count: 0, body })
    expect(guardLoops(dialect, body, { ...DEFAULT_LOOP_GUARD, exempt: ['SH*L'] })).toEqual({ count: 0, body })
    const late = { ...DEFAULT_LOOP_GUARD, warnAt: 10, urgeAt: 11, refuseAt: 12 }
    expect(guardLoops(dialect, body, late)).toEqual({ count: 9, body })
  })

  it('need not be asked where the newest result stands nowhere else', () => {
    const turns: Turn[] = ['list', ...[1, 2, 3, 4].map((n): Turn => [['read', { n }, `file ${n} says "hello ${n}"`]])]
    expect(mayLoop(dialect, bytesOf(conversation(dialect, turns)))).toBe(false)
    expect(mayLoop(dialect, bytesOf(conversation(dialect, ['list', ls])))).toBe(false)
    expect(mayLoop(dialect, bytesOf({ model: 'm' }))).toBe(false)
  })

  it('is always asked where rounds repeat, however the body is spaced and ordered', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('ok', '', '"tool_result"', '\\', 'Wall time: 1\nx'),
    )
    const result = fc.oneof(
      text,
      fc.array(fc.record({ type: fc.constant('text'), text }), { maxLength: 3 }),
      fc.jsonValue({ maxDepth: 2 }),
    )
    const call = fc.tuple(
      fc.constantFrom('a', 'b'),
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 }),
      result,
    )
    const round = fc.array(call, { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(
        fc.array(round, { maxLength: 4 }),
        round,
        fc.integer({ min: 2, max: 4 }),
        fc.boolean(),
        fc.constantFrom(0, 2),
        (before, repeated, times, reversed, spaces) => {
          const body = conversation(dialect, [...before, ...again(repeated, times)] as Turn[])
          const { count } = guardLoops(dialect, body, { ...DEFAULT_LOOP_GUARD, refuseAt: 99, exempt: [] })
          expect(count).toBeGreaterThanOrEqual(times)
          const order = (_: string, value: unknown): unknown =>
            reversed && typeof value === 'object' && value !== null && !Array.isArray(value)
              ? Object.fromEntries(Object.entries(value).toReversed())
              : value
          expect(mayLoop(dialect, Buffer.from(JSON.stringify(body, order, spaces)))).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('throws nothing but its refusal, whatever the body holds', () => {
    const name = fc.constantFrom('messages', 'input', 'role', 'content', 'type', 'tool_calls', 'call_id', 'output', 'x')
    const word = fc.constantFrom(
      'user',
      'assistant',
      'tool',
      'tool_use',
      'tool_result',
      'function_call',
      'function_call_output',
      'text',
    )
    const value = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        { maxDepth: 6 },
        word,
        fc.jsonValue(),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(name, tie('any'), { maxKeys: 5 }),
      ),
    }))
    fc.assert(
      fc.property(fc.dictionary(name, value.any), fc.uint8Array(), (body, bytes) => {
        guardLoops(dialect, body, { ...DEFAULT_LOOP_GUARD, refuseAt: 1_000 })
        mayLoop(dialect, bytesOf(body))
        mayLoop(dialect, bytes)
      }),
      { numRuns: 300 },
    )
  })
})

describe('the loop guard', () => {
  it('reads freeform tools by their text', () => {
    const input = [1, 2, 3].flatMap((n) => [
      { type: 'custom_tool_call', call_id: `c${n}`, name: 'apply_patch', input: '*** Begin Patch' },
      {
        type: 'custom_tool_call_output',
        call_id: `c${n}`,
        output: 'Exit code: 1\nWall time: 0.1 seconds\nOutput:\nno such file',
      },
    ])
    const { count, body } = guardLoops('openai-responses', { input }, DEFAULT_LOOP_GUARD)
    expect(count).toBe(3)
    expect(JSON.stringify(asList(body['input']).at(-1))).toContain('no such file\\n\\n[Loop guard] apply_patch was')
  })

  it('takes a tool that a server ran in between for progress', () => {
    const call = (n: number): JsonObject[] => [
      { type: 'function_call', call_id: `c${n}`, name: 'a', arguments: 'not JSON' },
      { type: 'function_call_output', call_id: `c${n}`, output: 'x' },
    ]
    const input = [...call(1), ...call(2), { type: 'web_search_call', id: 'ws_1' }, ...call(3)]
    expect(guardLoops('openai-responses', { input }, DEFAULT_LOOP_GUARD).count).toBe(1)
  })

  it('starts anew where the user speaks beside a result', () => {
    const round = (n: number, ...beside: readonly JsonObject[]): JsonObject[] => [
      { role: 'assistant', content: [{ type: 'tool_use', id: `t${n}`, name: 'a', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: `t${n}`, content: 'x' }, ...beside] },
      { role: 'system', content: 'carry on' },
    ]
    const say = (text: string): JsonObject => ({ type: 'text', text })
    const count = (messages: readonly JsonObject[]): number =>
      guardLoops('anthropic-messages', { messages }, DEFAULT_LOOP_GUARD).count
    expect(count([...round(1), ...round(2, say('<system-reminder>x</system-reminder>')), ...round(3)])).toBe(3)
    expect(count([...round(1), ...round(2, say('stop that')), ...round(3)])).toBe(1)
  })

  it('is by default what the configuration says', () => {
    const preset = (name: Key): unknown => specOf(name).kind.read(specOf(name).default, { cwd: '/', home: '/' })
    expect({
      isOn: preset('duplicate_tool_detection'),
      warnAt: preset('duplicate_tool_warn_at'),
      urgeAt: preset('duplicate_tool_urge_at'),
      refuseAt: preset('duplicate_tool_refuse_at'),
      exempt: preset('duplicate_tool_exempt'),
    }).toEqual(DEFAULT_LOOP_GUARD)
  })

  it('looks through a long conversation in little time', () => {
    const page = readFileSync(import.meta.filename, 'utf8')
    const turns = Array.from({ length: 40 }, (_, n): Turn => [['read', { n }, page.replaceAll(' ', ` ${n} `)]])
    for (const dialect of DIALECTS) {
      const bytes = bytesOf(conversation(dialect, turns))
      const startedAt = performance.now()
      expect(mayLoop(dialect, bytes)).toBe(false)
      expect(performance.now() - startedAt).toBeLessThan(50)
    }
  })

  it('gives up on what is made to be slow', () => {
    const quotes = '\\"'.repeat(500_000)
    const body = `{"messages":[{"content":"${quotes}","role":"tool","tool_call_id":"1"},{"content":"${quotes}","role":"tool","tool_call_id":"2"}]}`
    const startedAt = performance.now()
    expect(mayLoop('openai-chat', Buffer.from(body))).toBe(true)
    expect(performance.now() - startedAt).toBeLessThan(500)
  })
})
