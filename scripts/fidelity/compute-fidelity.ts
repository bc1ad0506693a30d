/**
 * What becomes of each field when it is translated: found out by translating it, never by belief.
 *
 *   refused   the request is answered with 400, which names the field
 *   reported  it is left out, and named in x-tok-dropped (an answer's: counted in the metrics)
 *   kept      there and back gives the same value
 *   mapped    it changes what is written, but comes back otherwise, or not at all
 *   nothing   it changes nothing and is not named: right only for what means nothing
 */
import { isDeepStrictEqual } from 'node:util'
import { TokError } from '../../src/base/errors.ts'
import { createOpaqueSeal } from '../../src/dialects/conversation/opaque-state.ts'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { parseObject, type JsonObject } from '../../src/dialects/json-value.ts'
import { adaptRequest, GENERATING, translateBody, type TranslationTarget } from '../../src/dialects/translate.ts'
import { CHAT_ANSWER, CHAT_REQUEST } from './chat-samples.ts'
import { expandBody, valuesAt, withoutPath } from './field-path.ts'
import type { Sample } from './field-samples.ts'
import { MESSAGES_ANSWER, MESSAGES_REQUEST } from './messages-samples.ts'
import { RESPONSES_ANSWER, RESPONSES_REQUEST } from './responses-samples.ts'

export type Outcome = 'kept' | 'mapped' | 'reported' | 'refused' | 'nothing'

/** One field in one dialect. */
export interface FieldFate {
  readonly path: string
  /** The value that was tried, where a path is tried with several. */
  readonly value: string | undefined
  /** Why `nothing` may be. */
  readonly meansNothing: string | undefined
  /** In the order of `targetsFor`, of an answer in the order of `othersThan`. */
  readonly outcomes: readonly Outcome[]
}

export const REQUEST_SAMPLES: Readonly<Record<Dialect, readonly Sample[]>> = {
  'openai-chat': CHAT_REQUEST,
  'openai-responses': RESPONSES_REQUEST,
  'anthropic-messages': MESSAGES_REQUEST,
}
export const ANSWER_SAMPLES: Readonly<Record<Dialect, readonly Sample[]>> = {
  'openai-chat': CHAT_ANSWER,
  'openai-responses': RESPONSES_ANSWER,
  'anthropic-messages': MESSAGES_ANSWER,
}

const SEAL = createOpaqueSeal(Buffer.alloc(32, 1))
const VENDORS: Readonly<Record<Dialect, { readonly name: string; readonly model: string }>> = {
  'openai-chat': { name: 'openai', model: 'gpt-5.6' },
  'openai-responses': { name: 'openai', model: 'gpt-5.6' },
  'anthropic-messages': { name: 'anthropic', model: 'claude-opus-5-5' },
}
/** Models that take what the newest ones do not: temperature and its like, budgets for thinking. */
const OLD_MODELS: Readonly<Record<Dialect, string>> = {
  'openai-chat': 'gpt-4.1',
  'openai-responses': 'gpt-4.1',
  'anthropic-messages': 'claude-haiku-4-5',
}
const MINIMAL: Readonly<Record<Dialect, JsonObject>> = {
  'openai-chat': { model: 'the-model', messages: [{ role: 'user', content: 'Go' }] },
  'openai-responses': { model: 'the-model', input: [{ type: 'message', role: 'user', content: 'Go' }] },
  'anthropic-messages': { model: 'the-model', max_tokens: 8_000, messages: [{ role: 'user', content: 'Go' }] },
}

/** The dialects that an answer or request of `dialect` is translated to. */
export function othersThan(dialect: Dialect): readonly Dialect[] {
  return DIALECTS.filter((each) => each !== dialect)
}

/** Who is asked: of each other dialect any server, and the vendor with its newest model. */
export function targetsFor(dialect: Dialect): readonly TranslationTarget[] {
  return othersThan(dialect).flatMap((other) => [
    { dialect: other, name: 'local', isVendor: false, model: 'local-model' },
    vendor(other),
  ])
}

function vendor(dialect: Dialect): TranslationTarget {
  return { dialect, isVendor: true, ...VENDORS[dialect] }
}

/** What becomes of every field of a client's request. */
export function requestFates(dialect: Dialect): readonly FieldFate[] {
  const targets = targetsFor(dialect)
  return fatesOf(REQUEST_SAMPLES[dialect], (sample, path) =>
    targets.map((target) => fateOfRequestField(dialect, target, sample, path)),
  )
}

/** What becomes of every field of a provider's answer for clients of the other dialects. */
export function answerFates(dialect: Dialect): readonly FieldFate[] {
  return fatesOf(ANSWER_SAMPLES[dialect], (sample, path) =>
    othersThan(dialect).map((client) => fateOfAnswerField(dialect, client, sample, path)),
  )
}

function fatesOf(samples: readonly Sample[], outcomesOf: (sample: Sample, path: string) => Outcome[]): FieldFate[] {
  const counts = new Map<string, number>()
  for (const { fields } of samples) for (const path of fields) counts.set(path, (counts.get(path) ?? 0) + 1)
  return samples.flatMap((sample) =>
    sample.fields.map((path) => ({
      path,
      value: (counts.get(path) ?? 0) > 1 ? valueOf(sample.body, path) : undefined,
      meansNothing: sample.meansNothing,
      outcomes: outcomesOf(sample, path),
    })),
  )
}

const VALUE_CHARACTERS_MAX = 60

function valueOf(body: JsonObject, path: string): string {
  const [value] = valuesAt(body, path)
  const text = JSON.stringify(value) ?? ''
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}...` : text
}

interface Written {
  readonly body: JsonObject
  readonly dropped: readonly string[]
}

function fateOfRequestField(dialect: Dialect, target: TranslationTarget, sample: Sample, path: string): Outcome {
  const whole = expandBody(dialect, { ...MINIMAL[dialect], ...sample.body })
  const lacking = sample.without === undefined ? withoutPath(whole, path) : { ...MINIMAL[dialect], ...sample.without }
  const there = write(whole, dialect, target)
  if (there === 'refused') {
    if (write(lacking, dialect, target) === 'refused')
      throw new Error(`${dialect} ${path}: refused with and without it`)
    return 'refused'
  }
  const other = write(lacking, dialect, target)
  if (other === 'refused') throw new Error(`${dialect} ${path}: refused without it`)
  if (there.dropped.some((name) => !other.dropped.includes(name))) return 'reported'
  if (isDeepStrictEqual(there.body, other.body)) {
    return isReportedWith(there, whole, dialect, target, path) ? 'reported' : 'nothing'
  }
  return comesBack(there.body, target.dialect, dialect, whole, path) ? 'kept' : 'mapped'
}

/** True if some model of the client's own dialect would be asked for the same. */
function comesBack(body: JsonObject, from: Dialect, to: Dialect, whole: JsonObject, path: string): boolean {
  return [VENDORS[to].model, OLD_MODELS[to]].some((model) => {
    const back = write(body, from, { ...vendor(to), model })
    return back !== 'refused' && isWithin(whole, expandBody(to, back.body), path)
  })
}

/** True if something around the field was left out as a whole, and named. */
function isReportedWith(
  there: Written,
  whole: JsonObject,
  dialect: Dialect,
  target: TranslationTarget,
  path: string,
): boolean {
  const steps = path.split('.')
  return steps.slice(1).some((_, at) => {
    const around = write(withoutPath(whole, steps.slice(0, at + 1).join('.')), dialect, target)
    return around !== 'refused' && there.dropped.some((name) => !around.dropped.includes(name))
  })
}

function write(body: JsonObject, from: Dialect, target: TranslationTarget): Written | 'refused' {
  try {
    const { body: written, dropped } = translateBody(body, from, target, SEAL)
    return { body: asJson(written), dropped }
  } catch (error) {
    if (error instanceof TokError && error.status === 400) return 'refused'
    throw error
  }
}

/** As it stands on the wire: without members that are undefined. */
function asJson(body: JsonObject): JsonObject {
  return parseObject(JSON.stringify(body)) ?? {}
}

function fateOfAnswerField(dialect: Dialect, client: Dialect, sample: Sample, path: string): Outcome {
  const there = answer(client, dialect, sample.body)
  const other = answer(client, dialect, sample.without ?? withoutPath(sample.body, path))
  if (there.dropped.some((name) => !other.dropped.includes(name))) return 'reported'
  if (isDeepStrictEqual(there.body, other.body)) return 'nothing'
  const back = answer(dialect, client, there.body)
  return isWithin(sample.body, back.body, path) ? 'kept' : 'mapped'
}

/** An answer of a provider as its client gets it. */
function answer(client: Dialect, provider: Dialect, body: JsonObject): Written {
  const dropped: string[] = []
  let text = ''
  const { sink } = adaptRequest(
    {
      requestId: 'fidelity',
      endpoint: GENERATING[client],
      dialect: client,
      model: 'a-model',
      requestedModel: 'the-model',
      stream: false,
      query: '',
      headers: {},
      body: Buffer.from(JSON.stringify(MINIMAL[client])),
    },
    vendor(provider),
    {
      onHead: () => undefined,
      onData: (bytes) => {
        text += Buffer.from(bytes).toString('utf8')
        return true
      },
      onEnd: () => undefined,
      onFailure: (error) => {
        throw error
      },
    },
    { seal: SEAL, nowS: () => 1_760_000_000, onDropped: (fields) => dropped.push(...fields) },
  )
  sink.onHead({ status: 200, headers: { 'content-type': 'application/json' } })
  sink.onData(Buffer.from(JSON.stringify(body)))
  sink.onEnd()
  return { body: parseObject(text) ?? {}, dropped }
}

function isWithin(whole: JsonObject, back: JsonObject, path: string): boolean {
  const found = valuesAt(back, path)
  return valuesAt(whole, path).every((value) => found.some((each) => isDeepStrictEqual(each, value)))
}
