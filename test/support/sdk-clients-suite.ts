/**
 * What every SDK must be able to do through a facade whose only provider speaks one dialect, the SDK's own or another.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { asList, asObject } from '../../src/dialects/json-value.ts'
import { refusalOf } from './agent-strictness.ts'
import { objectsIn, readSituation } from './agent-tools.ts'
import { startFacade, type TestFacade } from './facade.ts'
import { answerWith, DEFAULT_TEXT, DEFAULT_USAGE, type Turn } from './scripted-answers.ts'
import {
  startScriptedProvider,
  type RecordedRequest,
  type ScriptedPiece,
  type ScriptedProvider,
  type ScriptedReply,
} from './scripted-provider.ts'
import { CLIENT_KEY, type Question, type SdkClient, type SdkLimit, type SdkSetup } from './sdk-clients.ts'

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const PERSON = { name: 'Ada "the first"', age: 36 }
const REASONING = 'Two places at once, then the third.'
const PLACES = ['Zürich "HB"', 'Oslo', '東京 🙂']
const ABANDONED_WITHIN_MS = 1_000

const REFUSALS: Readonly<Record<Dialect, { readonly busy: object; readonly tooLong: object }>> = {
  'openai-chat': refusalsOfOpenai('messages'),
  'openai-responses': refusalsOfOpenai('input'),
  'anthropic-messages': {
    busy: { type: 'error', error: { type: 'rate_limit_error', message: 'Slow down.' } },
    tooLong: {
      type: 'error',
      error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' },
    },
  },
}

/** The last event of a provider that gives up in the middle of an answer. */
const LAST_EVENTS: Readonly<Record<Dialect, string>> = {
  'openai-chat': eventOf({ error: { message: 'Broken.', type: 'server_error', param: null, code: null } }),
  'openai-responses': eventOf({
    type: 'response.failed',
    sequence_number: 50,
    response: {
      id: 'resp_1',
      object: 'response',
      status: 'failed',
      error: { code: 'server_error', message: 'Broken.' },
    },
  }),
  'anthropic-messages': eventOf({ type: 'error', error: { type: 'overloaded_error', message: 'Broken.' } }),
}

function eventOf(event: Readonly<Record<string, unknown>>): string {
  const name = event['type'] === undefined ? '' : `event: ${String(event['type'])}\n`
  return `${name}data: ${JSON.stringify(event)}\n\n`
}

function refusalsOfOpenai(param: string): { readonly busy: object; readonly tooLong: object } {
  const message = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
  return {
    busy: { error: { message: 'Slow down.', type: 'requests', param: null, code: 'rate_limit_exceeded' } },
    tooLong: { error: { message, type: 'invalid_request_error', param, code: 'context_length_exceeded' } },
  }
}

/** Adds the suite for each of `setups` and each dialect that a provider may speak. */
export function describeSdkClients(setups: readonly SdkSetup[]): void {
  for (const setup of setups) {
    for (const dialect of DIALECTS) {
      describe(`${setup.name} and a provider that speaks ${dialect}`, () => {
        describeSdkClient(setup, dialect)
      })
    }
  }
}

function describeSdkClient(setup: SdkSetup, dialect: Dialect): void {
  let provider: ScriptedProvider
  let facade: TestFacade
  let client: SdkClient

  beforeEach(async () => {
    provider = await startScriptedProvider()
    facade = await startFacade({ servers: [{ name: 'engine', url: provider.url, dialects: [dialect] }] })
    client = setup.connect(facade.url)
  })

  afterEach(async () => {
    await facade.close()
    await provider.close()
  })

  const lastEvent = LAST_EVENTS[dialect]
  const can = (limit: SdkLimit): boolean => setup.limits?.includes(limit) !== true
  const lastSent = (): Readonly<Record<string, unknown>> => asObject(provider.requests.at(-1)?.json)
  const failureOf = async (question: Question) => {
    const thrown: unknown = await client.ask(question).then(
      (answer) => expect.unreachable(`an answer: ${JSON.stringify(answer)}`),
      (error: unknown) => error,
    )
    return setup.readError(thrown)
  }

  test('an answer comes whole, with its usage and without a key of the client for the provider', async () => {
    const { text, usage } = await client.ask({ prompt: 'What is the answer?', isStreamed: false })
    expect(text).toBe(DEFAULT_TEXT)
    expect(usage).toEqual(DEFAULT_USAGE)
    expect(facade.records).toMatchObject([{ dialect: setup.dialect, status: 'completed', ...DEFAULT_USAGE }])
    expect(JSON.stringify(provider.requests.map(({ headers }) => headers))).not.toContain(CLIENT_KEY)
  })

  test('a streamed answer comes piece by piece, and its usage at the end', async () => {
    const pieces: string[] = []
    const question = { prompt: 'What is the answer?', isStreamed: true, onPiece: (piece: string) => pieces.push(piece) }
    const { text, usage } = await client.ask(question)
    expect(text).toBe(DEFAULT_TEXT)
    expect(pieces.join('')).toBe(DEFAULT_TEXT)
    expect(pieces.length).toBeGreaterThan(1)
    if (can('streamed usage')) expect(usage).toEqual(DEFAULT_USAGE)
  })

  test.for([false, true])('a tool runs, twice at once and once more (streamed: %s)', async (isStreamed) => {
    provider.script(travellingModel, 10)
    const places: string[] = []
    const tool = {
      name: 'weather',
      description: 'The weather at a place.',
      run(place: string) {
        places.push(place)
        return `rain in ${place}`
      },
    }
    const { text, reasoning } = await client.ask({ prompt: 'How is the weather?', isStreamed, tool })
    expect(places).toEqual(PLACES)
    expect(text).toBe(PLACES.map((place) => `rain in ${place}`).join('; '))
    expect(provider.requests).toHaveLength(3)
    expect(reasoning).toEqual(setup.reasoning === 'ignored' ? [] : [REASONING, REASONING])
    // Chat Completions has no place for what other dialects' servers want back with their reasoning.
    const isReturned = setup.reasoning === 'returned' && (setup.dialect !== 'openai-chat' || dialect === 'openai-chat')
    expect(JSON.stringify(lastSent()).split(REASONING)).toHaveLength(isReturned ? 3 : 1)
  })

  test.for(can('streamed schema') ? [false, true] : [false])(
    'a person is asked for by a schema and read by it (streamed: %s)',
    async (isStreamed) => {
      provider.script(modelOfPerson)
      const { person } = await client.ask({ prompt: 'Who was the first?', isStreamed, wantsPerson: true })
      expect(person).toEqual(PERSON)
      expect(schemaIn(lastSent())).toMatchObject({
        properties: { name: { type: 'string' }, age: { type: 'integer' } },
        required: ['name', 'age'],
      })
    },
  )

  test('a picture arrives as the provider takes it', async () => {
    await client.ask({ prompt: 'What is this?', isStreamed: false, picture: PIXEL })
    const { messages, input } = lastSent()
    expect(asObject(asList(messages ?? input).at(-1))['content']).toMatchObject(picturedIn(dialect))
  })

  test.for([false, true])(
    'a busy provider is told as such, and when to ask again (streamed: %s)',
    async (isStreamed) => {
      provider.script({ status: 429, headers: { 'retry-after': '7' }, body: JSON.stringify(REFUSALS[dialect].busy) })
      const error = await failureOf({ prompt: 'What is the answer?', isStreamed })
      const message = expect.stringContaining('Slow down.')
      expect(error).toEqual({ kind: setup.busy, status: 429, retryAfter: '7', message })
      expect(provider.requests).toHaveLength(1)
    },
  )

  test.for([false, true])(
    'a conversation too long for the model is told as such (streamed: %s)',
    async (isStreamed) => {
      provider.script({ status: 400, body: JSON.stringify(REFUSALS[dialect].tooLong) })
      const error = await failureOf({ prompt: 'A long story.', isStreamed })
      expect(error).toMatchObject({ kind: setup.tooLong, status: 400 })
      expect(provider.requests).toHaveLength(1)
    },
  )

  test.for<Break>(can('failed stream') ? [{ how: 'breaks off' }, { how: 'ends with an error', lastEvent }] : [])(
    'an answer that $how in its middle is no shorter answer',
    async ({ lastEvent: end }) => {
      provider.script((request) => {
        const half = halfOf(answerWith(request, {}))
        return end === undefined ? { ...half, ending: 'reset' } : { ...half, body: [...half.body, end] }
      })
      const pieces: string[] = []
      const error = await failureOf({ prompt: 'What?', isStreamed: true, onPiece: (piece) => pieces.push(piece) })
      const reason = end === undefined ? 'engine' : 'Broken.'
      expect(error.message).toContain(can('failed stream, reason') ? reason : 'response.failed')
      expect(pieces.length).toBeGreaterThan(0)
    },
  )

  test('whoever leaves in the middle of an answer stops the provider', async () => {
    provider.script((request) => ({ ...halfOf(answerWith(request, {})), ending: 'hang' }))
    const leaving = new AbortController()
    const question = { prompt: 'What is the answer?', isStreamed: true, signal: leaving.signal }
    let leftAtMs = 0
    const onPiece = (): void => {
      leftAtMs ||= performance.now()
      leaving.abort()
    }
    await expect(client.ask({ ...question, onPiece })).rejects.toThrow(/abort/i)
    expect(leftAtMs).toBeGreaterThan(0)
    while (provider.requests[0]?.wasAbandoned !== true) {
      expect(performance.now() - leftAtMs).toBeLessThan(ABANDONED_WITHIN_MS)
      await delay(5)
    }
  })

  test.for(setup.hasEmbeddings === true ? [['one', 'two']] : [])(
    'texts are embedded, where the provider has embeddings at all',
    async (texts) => {
      const embedding = client.embed?.(texts) ?? expect.unreachable('no embeddings')
      if (dialect === 'openai-chat') {
        const vectors = await embedding
        expect(vectors).toHaveLength(2)
        for (const vector of vectors) expect(vector.map((value) => value.toFixed(1))).toEqual(['0.6', '0.8'])
      } else {
        const error: unknown = await embedding.catch((thrown: unknown) => thrown)
        expect(setup.readError(error)).toMatchObject({ status: 501 })
      }
    },
  )
}

/** Asks for two places at once, for the third with both at hand, and tells what it heard. */
function travellingModel(request: RecordedRequest): ScriptedReply {
  const refusal = refusalOf(request)
  if (refusal !== undefined) {
    const error = { type: 'invalid_request_error', message: refusal, param: null, code: null }
    return { status: 400, body: JSON.stringify({ type: 'error', error }) }
  }
  const { results } = readSituation(request.json)
  const next = results.length === 0 ? PLACES.slice(0, 2) : PLACES.slice(results.length, results.length + 1)
  const calls = next.map((place) => ({ name: 'weather', arguments: { place } }))
  const turn: Turn = calls.length === 0 ? { text: results.join('; ') } : { reasoning: REASONING, calls }
  return answerWith(request, turn)
}

/** Says the person as text, or to the tool that it must call. */
function modelOfPerson(request: RecordedRequest): ScriptedReply {
  const [tool] = readSituation(request.json).tools
  const turn =
    tool === undefined ? { text: JSON.stringify(PERSON) } : { calls: [{ name: tool.name, arguments: PERSON }] }
  return answerWith(request, turn)
}

/** The schema that an answer must follow, wherever a dialect has it; of a tool, if that must be called. */
function schemaIn(body: Readonly<Record<string, unknown>>): unknown {
  const formats = [
    asObject(body['response_format'])['json_schema'],
    asObject(body['text'])['format'],
    asObject(body['output_config'])['format'],
  ]
  const [tool] = objectsIn(body['tools'])
  const isForced = typeof body['tool_choice'] === 'object'
  const forced = isForced
    ? { schema: tool?.['input_schema'] ?? tool?.['parameters'] ?? asObject(tool?.['function'])['parameters'] }
    : {}
  return formats.map((format) => asObject(format)['schema']).find((schema) => schema !== undefined) ?? forced.schema
}

function picturedIn(dialect: Dialect): readonly object[] {
  const url = `data:image/png;base64,${PIXEL}`
  switch (dialect) {
    case 'openai-chat':
      return [
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url } },
      ]
    case 'openai-responses':
      return [
        { type: 'input_text', text: 'What is this?' },
        { type: 'input_image', image_url: url },
      ]
    case 'anthropic-messages':
      return [
        { type: 'text', text: 'What is this?' },
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } },
      ]
  }
}

/** How an answer ends in its middle: with an event that says so, or without. */
interface Break {
  readonly how: string
  readonly lastEvent?: string
}

interface Half {
  readonly headers: Readonly<Record<string, string>>
  readonly body: readonly ScriptedPiece[]
}

/** The head of a streamed answer and its first half, which has text in it. */
function halfOf({ headers = {}, body = [] }: ScriptedReply): Half {
  const pieces = typeof body === 'string' || body instanceof Uint8Array ? [body] : body
  return { headers, body: pieces.slice(0, Math.ceil(pieces.length / 2)) }
}
