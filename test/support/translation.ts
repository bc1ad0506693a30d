/**
 * Drives one translation as the node does: a client's body in, a scripted provider's bytes back, the client's bytes out. What
 * comes out is judged by the vendors' own SDKs and by translation-stream-rules.ts.
 */
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { expect } from 'vitest'
import { TokError } from '../../src/base/errors.ts'
import { createOpaqueSeal } from '../../src/dialects/conversation/opaque-state.ts'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import type { AnswerHead } from '../../src/dialects/exchange.ts'
import { asList, asObject, type JsonObject } from '../../src/dialects/json-value.ts'
import { adaptRequest, GENERATING, type TranslationTarget } from '../../src/dialects/translate.ts'
import { faultsOfRequest } from './translation-request-rules.ts'
import { judgeStream, type StreamVerdict } from './translation-stream-rules.ts'

/** The seal of every test: the same secret, so that what one answer sealed the next request brings back. */
export const SEAL = createOpaqueSeal(Buffer.alloc(32, 7))

/** Every pair of a client's dialect and another one a target speaks. */
export const DIRECTIONS: readonly (readonly [from: Dialect, to: Dialect])[] = DIALECTS.flatMap((from) =>
  DIALECTS.filter((to) => to !== from).map((to) => [from, to] as const),
)

/** The seed of random cuts: fresh for every run unless TOK_SEED repeats an earlier one. */
export const SEED = Number(process.env['TOK_SEED'] ?? Date.now() % 1_000_000)

const VENDOR_MODELS: Readonly<Record<Dialect, string>> = {
  'openai-chat': 'gpt-5.6',
  'openai-responses': 'gpt-5.6',
  'anthropic-messages': 'claude-opus-5-5',
}

/** Some server of a dialect, of which nothing is known. */
export function genericTarget(dialect: Dialect, model = 'local-model'): TranslationTarget {
  return { dialect, name: 'local', isVendor: false, model }
}

/** The vendor of a dialect, at its own API. */
export function vendorTarget(dialect: Dialect, model = VENDOR_MODELS[dialect]): TranslationTarget {
  return { dialect, name: dialect === 'anthropic-messages' ? 'anthropic' : 'openai', isVendor: true, model }
}

/** What a client asks, and of whom. */
export interface Asked {
  readonly from: Dialect
  /** The client's body; without a model "the-model" is asked for. */
  readonly request: JsonObject
  readonly target: TranslationTarget
}

/** What the provider answers: a text is a stream, a value a whole answer. */
export interface ScriptedAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | JsonObject
  /** In place of the body's own: what is no valid text. */
  readonly bytes?: Buffer
  /** The connection breaks after the body. */
  readonly failure?: TokError
}

/** One translation, whole. */
export interface Translated {
  /** What the target was sent. */
  readonly sent: JsonObject
  /** What the request lost. */
  readonly dropped: readonly string[]
  /** What the answer lost. */
  readonly droppedLater: readonly string[]
  readonly head: AnswerHead | undefined
  /** The client's bytes. */
  readonly text: string
  readonly failure: TokError | undefined
}

/** The body of a request with what every dialect demands. */
export function requestOf(dialect: Dialect, members: JsonObject = {}): JsonObject {
  const model = 'the-model'
  switch (dialect) {
    case 'openai-chat':
      return { model, messages: [{ role: 'user', content: 'Hello' }], ...members }
    case 'openai-responses':
      return { model, input: [{ role: 'user', content: 'Hello' }], ...members }
    case 'anthropic-messages':
      return { model, max_tokens: 1_000, messages: [{ role: 'user', content: 'Hello' }], ...members }
  }
}

/**
 * Translates a request, and an answer that comes in pieces.
 * @throws TokError what `adaptRequest` throws
 */
export function translate(
  { from, request, target }: Asked,
  answer?: ScriptedAnswer,
  cut: Cut = inOnePiece,
): Translated {
  const dropped: string[][] = []
  const pieces: Buffer[] = []
  const seen: { head: AnswerHead | undefined; failure: TokError | undefined; ends: number } = {
    head: undefined,
    failure: undefined,
    ends: 0,
  }
  const body: JsonObject = { model: 'the-model', ...request }
  const { request: adapted, sink } = adaptRequest(
    {
      requestId: 'req-0123456789abcdef',
      endpoint: GENERATING[from],
      dialect: from,
      model: target.model,
      requestedModel: String(body['model']),
      stream: body['stream'] === true,
      query: '',
      headers: {},
      body: Buffer.from(JSON.stringify(body)),
    },
    target,
    {
      onHead: (head) => {
        seen.head = head
      },
      onData: (bytes) => {
        pieces.push(Buffer.from(bytes))
        return true
      },
      onEnd: () => {
        seen.ends += 1
      },
      onFailure: (error) => {
        seen.ends += 1
        seen.failure = error
      },
    },
    { seal: SEAL, nowS: () => 1_760_000_000, onDropped: (fields) => dropped.push([...fields]) },
  )
  const named = dropped.splice(0).flat()
  if (answer !== undefined) {
    const isStream = typeof answer.body === 'string'
    const bytes =
      answer.bytes ?? Buffer.from(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body))
    const type = isStream ? 'text/event-stream' : 'application/json'
    sink.onHead({ status: answer.status ?? 200, headers: { 'content-type': type, ...answer.headers } })
    for (const piece of cut(bytes)) sink.onData(piece)
    if (answer.failure === undefined) sink.onEnd()
    else sink.onFailure(answer.failure)
    expect(seen.ends, 'an answer ends once').toBe(1)
  }
  return {
    sent: asObject(JSON.parse(Buffer.from(adapted.body).toString('utf8'))),
    dropped: named,
    droppedLater: dropped.flat(),
    head: seen.head,
    text: Buffer.concat(pieces).toString('utf8'),
    failure: seen.failure,
  }
}

/** What a client hears of a streamed answer. */
export interface Heard extends Translated, StreamVerdict {
  /** What the vendor's SDK made of the stream, or what it threw. */
  readonly message: JsonObject
  readonly sdkError: Error | undefined
}

/**
 * Translates a streamed answer in one piece, byte by byte, and cut at random, which must all give the same; checks it against
 * the rules of the client's dialect and has the vendor's SDK read it.
 */
export async function hear(asked: Asked, answer: ScriptedAnswer): Promise<Heard> {
  const streaming = { ...asked, request: { ...asked.request, stream: true } }
  const translated = translate(streaming, answer)
  expect(translate(streaming, answer, inBytes).text, 'cut into single bytes').toBe(translated.text)
  for (const seed of [1, SEED])
    expect(translate(streaming, answer, atRandom(seed)).text, `cut at random, TOK_SEED=${seed}`).toBe(translated.text)
  const wantsUsage = asObject(asked.request['stream_options'])['include_usage'] === true
  const verdict = judgeStream(asked.from, translated.text, { wantsUsage })
  expect(verdict.faults, translated.text).toEqual([])
  const read = await readBySdk(asked.from, translated.text)
  // An SDK fails where the stream says that the answer failed, and only there.
  if (verdict.end === 'complete' && read.error !== undefined) throw read.error
  return { ...translated, ...verdict, message: read.message, sdkError: read.error }
}

/** A whole answer, translated. */
export function hearWhole(asked: Asked, answer: ScriptedAnswer): Translated & { readonly message: JsonObject } {
  const translated = translate({ ...asked, request: { ...asked.request, stream: false } }, answer)
  if (translated.failure !== undefined) throw translated.failure
  return { ...translated, message: asObject(JSON.parse(translated.text)) }
}

/** How bytes arrive. */
export type Cut = (bytes: Buffer) => Iterable<Buffer>

/** All at once. */
const inOnePiece: Cut = (bytes) => [bytes]

/** One by one. */
const inBytes: Cut = function* (bytes) {
  for (let at = 0; at < bytes.length; at += 1) yield bytes.subarray(at, at + 1)
}

/** In pieces of 1 to 40 bytes: within characters, line ends and field names. */
export function atRandom(seed: number): Cut {
  return function* (bytes) {
    const random = createRandom(seed)
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(at + 1 + Math.floor(random() * 40), bytes.length)
      yield bytes.subarray(at, end)
      at = end
    }
  }
}

/** Numbers from 0 to 1, the same for the same seed (Mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What the official SDK of a dialect adds a stream up to. */
async function readBySdk(
  dialect: Dialect,
  text: string,
): Promise<{ readonly message: JsonObject; readonly error: Error | undefined }> {
  const options = {
    apiKey: 'none',
    baseURL: 'http://127.0.0.1:9',
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(bodyOf(text), { headers: { 'content-type': 'text/event-stream' } })),
  }
  try {
    return { message: asObject(await readers[dialect](options)), error: undefined }
  } catch (error) {
    return { message: {}, error: error instanceof Error ? error : new Error(String(error)) }
  }
}

interface SdkOptions {
  readonly apiKey: string
  readonly baseURL: string
  readonly maxRetries: number
  readonly fetch: () => Promise<Response>
}

const readers: Readonly<Record<Dialect, (options: SdkOptions) => Promise<unknown>>> = {
  'openai-chat': (options) =>
    new OpenAI(options).chat.completions
      .stream({ model: 'm', messages: [{ role: 'user', content: 'x' }] })
      .finalChatCompletion(),
  'openai-responses': (options) => new OpenAI(options).responses.stream({ model: 'm', input: 'x' }).finalResponse(),
  'anthropic-messages': (options) =>
    new Anthropic(options).messages
      .stream({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] })
      .finalMessage(),
}

const PIECE_BYTES = 1_000

function bodyOf(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text)
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.slice(at, at + PIECE_BYTES))
      at += PIECE_BYTES
    },
  })
}

/** What an answer says, in no dialect's words. */
export interface Gist {
  readonly text: string
  readonly refusal: string
  readonly reasoning: string
  readonly calls: readonly { readonly name: string; readonly input: string }[]
  readonly stop: string
  readonly usage: JsonObject
}

/** The gist of a client's answer, whole or added up by the SDK. */
export function gistOf(dialect: Dialect, message: JsonObject): Gist {
  switch (dialect) {
    case 'openai-chat':
      return gistOfChat(message)
    case 'openai-responses':
      return gistOfResponse(message)
    case 'anthropic-messages':
      return gistOfMessage(message)
  }
}

const joined = (values: readonly unknown[]): string => values.filter((value) => typeof value === 'string').join('')

function gistOfChat(completion: JsonObject): Gist {
  const choice = asObject(asList(completion['choices'])[0])
  const message = asObject(choice['message'])
  return {
    text: joined([message['content']]),
    refusal: joined([message['refusal']]),
    reasoning: joined([message['reasoning_content']]),
    calls: asList(message['tool_calls']).map((call) => {
      const { function: named, custom } = asObject(call)
      const { name, arguments: input, input: text } = asObject(named ?? custom)
      return { name: String(name), input: String(input ?? text) }
    }),
    stop: String(choice['finish_reason']),
    usage: asObject(completion['usage']),
  }
}

function gistOfResponse(response: JsonObject): Gist {
  const items = asList(response['output']).map(asObject)
  const contentOf = (type: string, member: string): unknown[] =>
    items
      .flatMap(({ content }) => asList(content).map(asObject))
      .flatMap((part) => (part['type'] === type ? [part[member]] : []))
  const reason = asObject(response['incomplete_details'])['reason']
  return {
    text: joined(contentOf('output_text', 'text')),
    refusal: joined(contentOf('refusal', 'refusal')),
    reasoning: joined([
      ...items.flatMap(({ summary }) => asList(summary).map((part) => asObject(part)['text'])),
      ...contentOf('reasoning_text', 'text'),
    ]),
    calls: items
      .filter(({ type }) => type === 'function_call' || type === 'custom_tool_call')
      .map(({ name, arguments: input, input: text }) => ({ name: String(name), input: String(input ?? text) })),
    stop: `${String(response['status'])}${typeof reason === 'string' ? ` ${reason}` : ''}`,
    usage: asObject(response['usage']),
  }
}

function gistOfMessage(message: JsonObject): Gist {
  const blocks = asList(message['content']).map(asObject)
  return {
    text: joined(blocks.map(({ text }) => text)),
    refusal: joined([asObject(message['stop_details'])['explanation']]),
    reasoning: joined(blocks.map(({ thinking }) => thinking)),
    calls: blocks
      .filter(({ type }) => type === 'tool_use')
      .map(({ name, input }) => ({ name: String(name), input: JSON.stringify(input) })),
    stop: String(message['stop_reason']),
    usage: asObject(message['usage']),
  }
}

/** A request as a target is sent it. */
export interface Sent {
  readonly sent: JsonObject
  readonly dropped: readonly string[]
}

/** Translates a request, and checks that the target can take it. */
export function send(asked: Asked): Sent {
  const { sent, dropped } = translate(asked)
  expect(faultsOfRequest(asked.target, sent), JSON.stringify(sent, null, 1)).toEqual([])
  return { sent, dropped }
}

/** The failure a request is refused with. */
export function refusalOf(asked: Asked): TokError {
  try {
    translate(asked)
  } catch (error) {
    if (error instanceof TokError) return error
    throw error
  }
  throw new Error('it was not refused')
}
