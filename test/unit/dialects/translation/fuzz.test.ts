/**
 * Whatever comes in, from a client or a provider: translation gives an answer or a failure with a name, in time, and never
 * anything else. Requests and streams that real clients and providers send are damaged at random and sent through.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import { DIALECTS, type Dialect } from '../../../../src/dialects/dialect.ts'
import { asObject, isObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import { judgeStream } from '../../../support/translation-stream-rules.ts'
import { loadCaptures } from '../../../support/captures.ts'
import { streamOf, wholeAnswerOf } from '../../../support/translation-providers.ts'
import {
  atRandom,
  createRandom,
  DIRECTIONS,
  genericTarget,
  requestOf,
  SEED,
  translate,
  vendorTarget,
  type Translated,
} from '../../../support/translation.ts'

const STREAMS = join(import.meta.dirname, '../../../fixtures/streams')

const PATHS: Readonly<Record<Dialect, string>> = {
  'openai-chat': '/chat/completions',
  'openai-responses': '/responses',
  'anthropic-messages': '/messages',
}

/** A few recorded requests of a dialect, not too long. */
function seedRequests(dialect: Dialect): readonly JsonObject[] {
  const bodies = loadCaptures().captures.flatMap(({ path, bytes }) =>
    path.endsWith(PATHS[dialect]) && bytes !== undefined ? [bytes.toString('utf8')] : [],
  )
  return bodies
    .toSorted((one, other) => one.length - other.length)
    .slice(0, 24)
    .map((text) => asObject(JSON.parse(text)))
}

function seedStreams(dialect: Dialect): readonly string[] {
  const files = readdirSync(join(STREAMS, dialect)).filter((file) => file.endsWith('.sse') && !file.includes('.to-'))
  return files.map((file) => readFileSync(join(STREAMS, dialect, file), 'utf8'))
}

/** What no reader expects. */
const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e300,
  '',
  ' ',
  '\ud83d',
  'text',
  'function',
  'tool_result',
  '__proto__',
  [],
  [[]],
  [null],
  {},
  { type: null },
  { type: 'text' },
  { type: 'text', text: 7 },
  { type: 'tool_use' },
  { role: 'tool' },
  { type: 'constructor', name: 'toString' },
  'x'.repeat(5_000),
]

/** A value with one thing in it replaced, removed or doubled. */
function damaged(value: unknown, random: () => number): unknown {
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  if (Array.isArray(value) && value.length > 0 && random() > 0.15) {
    const at = Math.floor(random() * value.length)
    const choice = random()
    if (choice < 0.1) return value.toSpliced(at, 1)
    if (choice < 0.2) return value.toSpliced(at, 0, value[at])
    return value.with(at, damaged(value[at], random))
  }
  if (isObject(value) && Object.keys(value).length > 0 && random() > 0.15) {
    const name = pick(Object.keys(value)) ?? ''
    const { [name]: member, ...others } = value
    const choice = random()
    if (choice < 0.1) return others
    if (choice < 0.15) return { ...others, [String(pick(Object.keys(PROTOTYPES)))]: member }
    return { ...value, [name]: damaged(member, random) }
  }
  return pick(ODD)
}

const PROTOTYPES = { constructor: 1, toString: 1, hasOwnProperty: 1, length: 1 }

/** Text with bytes cut, doubled or replaced, or an event of it damaged. */
function damagedStream(stream: string, random: () => number): Buffer {
  const frames = stream.split('\n\n')
  const at = Math.floor(random() * frames.length)
  const frame = frames[at] ?? ''
  const choice = random()
  if (choice < 0.15) return Buffer.from(frames.toSpliced(at, 1).join('\n\n'))
  if (choice < 0.3) return Buffer.from(frames.toSpliced(at, 0, frame).join('\n\n'))
  if (choice < 0.4) return Buffer.from(frames.toSpliced(0, at).join('\n\n'))
  if (choice < 0.5) return Buffer.from(frames.slice(0, at).join('\n\n'))
  if (choice < 0.6) {
    const bytes = Buffer.from(stream)
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    return bytes
  }
  const data = /data: (\{.*\})/.exec(frame)?.[1]
  if (data === undefined) return Buffer.from(stream)
  const changed = frame.replace(data, () => JSON.stringify(damaged(JSON.parse(data), random)) ?? 'null')
  return Buffer.from(frames.with(at, changed).join('\n\n'))
}

/** What it gave, or the failure it was refused with; anything else that is thrown fails the test. */
function attempt(run: () => Translated): Translated | TokError {
  try {
    return run()
  } catch (error) {
    if (error instanceof TokError) return error
    throw error
  }
}

/** Failures that are somebody else's fault. */
const OF_OTHERS = [
  'body_malformed',
  'translation_refused',
  'provider_broken',
  'provider_failed',
  'parameter_unsupported',
]

const TIMEOUT_MS = 1_000
const seeds = [
  ...Array.from({ length: 300 }, (_, seed) => seed),
  ...Array.from({ length: 100 }, (_, count) => SEED + count),
]

describe(`damaged at random (the fresh seeds begin at TOK_SEED=${SEED})`, () => {
  test.each(DIALECTS)('requests of %s are translated or refused by name', (dialect) => {
    const requests = seedRequests(dialect)
    for (const seed of seeds) {
      const random = createRandom(seed)
      let request: unknown = requests[seed % requests.length]
      for (let count = 0; count <= seed % 4; count += 1) request = damaged(request, random)
      const body = { ...asObject(request), model: 'm', stream: false }
      for (const other of DIALECTS.filter((each) => each !== dialect)) {
        const target = seed % 2 === 0 ? genericTarget(other) : vendorTarget(other)
        const startedAt = performance.now()
        const given = attempt(() => translate({ from: dialect, request: body, target }))
        const label = `seed ${seed} to ${other}: ${JSON.stringify(body).slice(0, 2_000)}`
        if (given instanceof TokError) expect(OF_OTHERS, `${label} ${given.message}`).toContain(given.code)
        else expect(typeof given.sent['model'], label).toBe('string')
        expect(performance.now() - startedAt, label).toBeLessThan(TIMEOUT_MS)
      }
    }
  })

  test.each(DIRECTIONS)('a stream for a client of %s from %s ends properly, or as a failure', (from, to) => {
    const streams = seedStreams(to)
    const request = requestOf(from, { stream: true })
    for (const seed of seeds) {
      const random = createRandom(seed)
      const bytes = damagedStream(streams[seed % streams.length] ?? '', random)
      const given = attempt(() =>
        translate({ from, request, target: vendorTarget(to) }, { body: '', bytes }, atRandom(seed)),
      )
      const label = `seed ${seed}: ${bytes.toString('utf8').slice(0, 3_000)}`
      if (given instanceof TokError) throw given
      if (given.failure !== undefined) {
        expect(OF_OTHERS, label).toContain(given.failure.code)
        continue
      }
      const { faults, end } = judgeStream(from, given.text)
      // What a damaged provider generates may be any JSON; that it is no JSON is its own fault.
      expect(
        faults.filter((fault) => fault !== 'a called tool with broken JSON'),
        `${label}\n${given.text}`,
      ).toEqual([])
      expect(['complete', 'error'], label).toContain(end)
    }
  })

  test.each(DIRECTIONS)('a whole answer for a client of %s from %s is an answer, or a failure', (from, to) => {
    const counts = { inputTokens: 9, cachedTokens: 3, outputTokens: 5, reasoningTokens: 2 }
    const whole = wholeAnswerOf(to, {
      reasoning: 'Hm.',
      opaque: 'b3BhcXVl',
      text: 'Hi',
      calls: [{ name: 'read', input: { a: 1 } }],
      ...counts,
    })
    for (const seed of seeds) {
      const body = damaged(whole, createRandom(seed))
      for (const stream of [true, false]) {
        const given = attempt(() =>
          translate({ from, request: requestOf(from, { stream }), target: vendorTarget(to) }, { body: asObject(body) }),
        )
        const label = `seed ${seed}: ${JSON.stringify(body)}`
        if (given instanceof TokError) throw given
        if (given.failure !== undefined) expect(OF_OTHERS, label).toContain(given.failure.code)
        else if (stream)
          expect(
            judgeStream(from, given.text).faults.filter((fault) => !fault.includes('JSON')),
            `${label}\n${given.text}`,
          ).toEqual([])
        else expect(() => JSON.parse(given.text) as unknown, label).not.toThrow()
      }
    }
  })

  test.each(DIRECTIONS)('an error for a client of %s from %s is an error, whatever it says', (from, to) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 400, max: 599 }),
        fc.oneof(fc.json(), fc.string(), fc.constant('<html><title>Bad</title>')),
        (status, text) => {
          const given = translate(
            { from, request: requestOf(from), target: vendorTarget(to) },
            { status, headers: { 'content-type': 'text/plain' }, body: text },
          )
          const error = asObject(asObject(JSON.parse(given.text))['error'])
          expect(typeof error['message']).toBe('string')
          expect(given.head?.status).toBeGreaterThanOrEqual(400)
        },
      ),
      { numRuns: 60, seed: SEED },
    )
  })
})

describe('without end', () => {
  const LONG = 'y'.repeat(1_000_000)

  test.each(DIRECTIONS)('an answer for %s from %s in one event that never ends is a broken provider', (from, to) => {
    const endless = `data: {"choices":[{"delta":{"content":"${LONG.repeat(18)}`
    const { failure } = translate(
      { from, request: requestOf(from, { stream: true }), target: genericTarget(to) },
      { body: endless },
      inPiecesOf(1_000_000),
    )
    expect(failure).toMatchObject({ code: 'provider_broken' })
  })

  test.each(DIRECTIONS)('a whole answer for %s from %s of more than 32 MiB is a broken provider', (from, to) => {
    const { failure } = translate(
      { from, request: requestOf(from), target: genericTarget(to) },
      { headers: { 'content-type': 'application/json' }, body: `{"a":"${LONG.repeat(34)}"}` },
      inPiecesOf(1_000_000),
    )
    expect(failure).toMatchObject({ code: 'provider_broken' })
  })

  test('calls that wait for an endless one are a broken provider', () => {
    const call = (index: number, text: string): string =>
      `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name: 'read', arguments: text } }] } }] })}\n\n`
    const body = call(0, '{"a') + call(1, LONG).repeat(18)
    const { failure } = translate(
      {
        from: 'anthropic-messages',
        request: requestOf('anthropic-messages', { stream: true }),
        target: genericTarget('openai-chat'),
      },
      { body },
      inPiecesOf(1_000_000),
    )
    expect(failure).toMatchObject({ code: 'provider_broken' })
  })

  test.each(DIALECTS)('a request of %s that is nested deeply is translated or refused', (dialect) => {
    const deep = JSON.parse(`${'{"a":'.repeat(900)}1${'}'.repeat(900)}`) as JsonObject
    const tools: Readonly<Record<Dialect, JsonObject>> = {
      'openai-chat': { type: 'function', function: { name: 'read', parameters: { type: 'object', properties: deep } } },
      'openai-responses': { type: 'function', name: 'read', parameters: { type: 'object', properties: deep } },
      'anthropic-messages': { name: 'read', input_schema: { type: 'object', properties: deep } },
    }
    for (const other of DIALECTS.filter((each) => each !== dialect)) {
      const given = attempt(() =>
        translate({
          from: dialect,
          request: requestOf(dialect, { tools: [tools[dialect]] }),
          target: vendorTarget(other),
        }),
      )
      expect(given instanceof TokError ? given.code : typeof given.sent['tools']).toMatch(/^(?:object|body_malformed)$/)
    }
  })

  test.each(DIRECTIONS)(
    'a stream of %s from %s of ten thousand pieces is translated in time that grows with it',
    (from, to) => {
      const counts = { inputTokens: 9, cachedTokens: 3, outputTokens: 5, reasoningTokens: 2 }
      const stream = streamOf(to, wholeAnswerOf(to, { text: 'seven '.repeat(11_600), ...counts }))
      const startedAt = performance.now()
      const { text } = translate(
        { from, request: requestOf(from, { stream: true }), target: genericTarget(to) },
        { body: stream },
      )
      expect(judgeStream(from, text).end).toBe('complete')
      // 60 us an event is the budget on a quiet machine; a quadratic one takes minutes.
      expect(performance.now() - startedAt).toBeLessThan(8_000)
    },
  )
})

function inPiecesOf(size: number): (bytes: Buffer) => Iterable<Buffer> {
  return function* (bytes) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
}
