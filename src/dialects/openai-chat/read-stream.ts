/**
 * A Chat Completions stream as events. Source: the types of the `openai` SDK; what vLLM, Ollama, llama.cpp, DeepSeek, OpenRouter,
 * Mistral and Gemini do otherwise.
 */
import { TokError } from '../../base/errors.ts'
import { UNKNOWN_USAGE, type TokenUsage } from '../answer-tally.ts'
import type { AnswerListener } from '../conversation/answer.ts'
import type { AnswerReading, StreamReader } from '../conversation/contract.ts'
import { createSerialBlocks, type SerialBlock, type SerialBlocks } from '../conversation/serial-blocks.ts'
import { asCount, asList, asObject, asText, isObject, parseObject, type JsonObject } from '../json-value.ts'
import { providerErrorOf, type ProviderError } from '../provider-error.ts'
import { readStop, stopSequenceOf } from './finish-reason.ts'
import { isEmpty } from './members.ts'
import { thinkingTextOf } from './read-content.ts'
import { readUsage } from './usage.ts'

const DONE = '[DONE]'

/** More calls in one answer than any server makes that has not gone wrong. */
const CALLS_MAX = 1_024

/** Arguments and reasoning are kept until the answer ends; of both together, in UTF-16 units. */
const KEPT_MAX = 16_777_216

/** Makes a reader of one stream. */
export function createStreamReader(reading: AnswerReading, emit: AnswerListener): StreamReader {
  const answer = new ChatAnswer(reading, emit)
  return {
    event({ data }) {
      const text = data.trim()
      if (text === '') return
      if (text === DONE) {
        answer.done()
        return
      }
      const value = parseObject(text)
      if (value === undefined) answer.fail(broken('sent an event that is no JSON object'))
      else answer.chunk(value, 'delta')
    },
    end() {
      answer.end()
    },
  }
}

/**
 * An answer as it comes. A whole one is one chunk, with `message` for `delta`: so what a stream adds up to and what a whole
 * answer says cannot differ. Throws TokError `provider_broken` if there is more of it than a node holds.
 */
export class ChatAnswer {
  readonly #reading: AnswerReading
  readonly #emit: AnswerListener
  readonly #blocks: SerialBlocks
  readonly #calls: OpenCall[] = []
  #speech: { readonly kind: 'text' | 'refusal'; readonly block: SerialBlock } | undefined
  #reasoning: OpenReasoning | undefined
  #usage: TokenUsage = UNKNOWN_USAGE
  #finishReason: string | undefined
  #stopSequence: string | undefined
  #extras: JsonObject = {}
  #kept = 0
  #hasStarted = false
  #isOver = false

  constructor(reading: AnswerReading, emit: AnswerListener) {
    this.#reading = reading
    this.#emit = emit
    this.#blocks = createSerialBlocks(emit, reading.target)
  }

  chunk(value: JsonObject, member: 'delta' | 'message'): void {
    if (this.#isOver) return
    if (isError(value)) {
      this.fail(providerErrorOf(value))
      return
    }
    this.#start(value)
    if (isObject(value['usage'])) this.#usage = readUsage(value['usage'])
    for (const name of EXTRAS) {
      if (asText(value[name]) !== undefined) this.#extras = { ...this.#extras, [name]: value[name] }
    }
    for (const item of asList(value['choices'])) {
      const choice = asObject(item)
      // Only one answer was asked for.
      if ((asCount(choice['index']) ?? 0) === 0) this.#choice(choice, member)
    }
  }

  /** The stream says that it is over. */
  done(): void {
    if (this.#isOver) return
    if (this.#hasStarted) this.#finish()
    else this.end()
  }

  /** The bytes are over. */
  end(): void {
    if (this.#isOver) return
    if (this.#finishReason !== undefined) this.#finish()
    else this.fail(broken('broke off its stream before the last event'))
  }

  fail(error: ProviderError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#emit({ type: 'error', error })
  }

  #start(value: JsonObject): void {
    if (this.#hasStarted) return
    this.#hasStarted = true
    this.#emit({ type: 'start', id: asText(value['id']), model: asText(value['model']) })
  }

  #choice(choice: JsonObject, member: 'delta' | 'message'): void {
    if (isObject(choice['error'])) {
      this.fail(providerErrorOf(choice))
      return
    }
    const delta = asObject(choice[member])
    this.#reason(delta)
    this.#say(delta['content'])
    this.#write('refusal', asText(delta['refusal']) ?? '')
    for (const annotation of asList(delta['annotations'])) this.#annotate(annotation)
    for (const name of MEDIA) if (!isEmpty(delta[name])) this.#show(name, delta[name])
    const calls = asList(delta['tool_calls'])
    calls.forEach((call, position) => this.#call(asObject(call), position, member))
    // The deprecated form; some servers send both.
    if (calls.length === 0 && isObject(delta['function_call'])) {
      this.#call({ index: 0, function: delta['function_call'] }, 0, member)
    }
    this.#finishReason = asText(choice['finish_reason']) ?? this.#finishReason
    this.#stopSequence = stopSequenceOf(choice) ?? this.#stopSequence
  }

  #reason(delta: JsonObject): void {
    // Some servers send the same text under both names.
    const name = asText(delta['reasoning_content']) === undefined ? 'reasoning' : 'reasoning_content'
    this.#think(asText(delta[name]) ?? '', name, asList(delta['reasoning_details']))
  }

  #think(text: string, name: string, details: readonly unknown[]): void {
    if (text === '' && details.length === 0) return
    this.#keep(details.length === 0 ? text : text + JSON.stringify(details))
    this.#closeSpeech()
    this.#reasoning ??= new OpenReasoning(this.#blocks.begin(), this.#reading)
    this.#reasoning.append(text, name, details)
  }

  #say(content: unknown): void {
    if (typeof content === 'string') {
      this.#write('text', content)
      return
    }
    for (const item of asList(content)) {
      const part = asObject(item)
      if (part['type'] === 'thinking') this.#think(thinkingTextOf(part), 'reasoning_content', [])
      else this.#write('text', asText(part['text']) ?? '')
    }
  }

  #write(kind: 'text' | 'refusal', text: string): void {
    if (text === '') return
    this.#closeReasoning()
    if (this.#speech?.kind !== kind) {
      this.#closeSpeech()
      this.#speech = { kind, block: this.#blocks.begin() }
      this.#speech.block.open({ kind, text: '' })
    }
    this.#speech.block.append(text)
  }

  #annotate(annotation: unknown): void {
    if (!isObject(annotation) || this.#speech?.kind !== 'text') return
    this.#speech.block.annotate({ type: 'annotation', native: { dialect: 'openai-chat', value: annotation } })
  }

  #show(type: string, value: unknown): void {
    this.#closeReasoning()
    this.#closeSpeech()
    const block = this.#blocks.begin()
    block.open({ kind: 'native', native: { dialect: 'openai-chat', value: { [type]: value } }, type })
    block.close()
  }

  #call(call: JsonObject, position: number, member: 'delta' | 'message'): void {
    this.#closeReasoning()
    this.#closeSpeech()
    const part = isObject(call['custom']) ? call['custom'] : asObject(call['function'])
    const id = asText(call['id'])
    const name = asText(part['name'])
    const text = inputTextOf(part['arguments'] ?? part['input'])
    this.#keep(text)
    const index = member === 'message' ? position : (asCount(call['index']) ?? this.#indexOf(id, position))
    let open = this.#calls.findLast((each) => each.index === index)
    // Gemini gives every call the index 0.
    if (open === undefined || open.isOtherThan(id, name, text)) {
      if (this.#calls.length === CALLS_MAX) throw this.#tooMuch(`more than ${CALLS_MAX} calls`)
      // Nothing more comes for a call whose arguments are whole; the one that follows need not wait for the end of all.
      for (const earlier of this.#calls) if (earlier.isWhole) earlier.close()
      const idIfNone = `call_${this.#reading.answerId}${this.#calls.length}`
      open = new OpenCall(index, this.#blocks.begin(), this.#reading, idIfNone)
      this.#calls.push(open)
    }
    open.append(this.#isTaken(id, open) ? undefined : id, name, text)
  }

  #keep(text: string): void {
    this.#kept += text.length
    if (this.#kept > KEPT_MAX) throw this.#tooMuch(`more than ${KEPT_MAX} characters of calls and reasoning`)
  }

  #tooMuch(what: string): TokError {
    return new TokError('provider_broken', { provider: this.#reading.target, reason: `${what} in one answer` })
  }

  /** Where a server tells no index, a new id begins a new call. */
  #indexOf(id: string | undefined, position: number): number {
    const last = this.#calls.at(-1)
    if (last === undefined) return position
    if (id === undefined) return last.index
    return this.#calls.find((call) => call.id === id)?.index ?? this.#calls.length
  }

  #isTaken(id: string | undefined, by: OpenCall): boolean {
    return id !== undefined && this.#calls.some((call) => call !== by && call.id === id)
  }

  #closeReasoning(): void {
    this.#reasoning?.close()
    this.#reasoning = undefined
  }

  #closeSpeech(): void {
    this.#speech?.block.close()
    this.#speech = undefined
  }

  #finish(): void {
    this.#closeReasoning()
    this.#closeSpeech()
    for (const call of this.#calls) call.close()
    this.#blocks.closeAll()
    this.#isOver = true
    const hasCalls = this.#calls.some(({ isOpened }) => isOpened)
    this.#emit({
      type: 'end',
      stop: readStop(this.#finishReason, hasCalls, this.#stopSequence),
      usage: this.#usage,
      extras: Object.keys(this.#extras).length === 0 ? {} : { 'openai-chat': this.#extras },
    })
  }
}

/** Members of an answer that are kept for its own dialect. */
const EXTRAS = ['system_fingerprint', 'service_tier'] as const

/** Members of a message that no other dialect has a word for: what image models of OpenRouter, and audio models, answer. */
const MEDIA = ['images', 'audio'] as const

/** A call under construction. */
class OpenCall {
  readonly index: number
  readonly #block: SerialBlock
  readonly #reading: AnswerReading
  readonly #idIfNone: string
  #id: string | undefined
  #name: string | undefined
  #input = ''
  #isHeld = false

  constructor(index: number, block: SerialBlock, reading: AnswerReading, idIfNone: string) {
    this.index = index
    this.#block = block
    this.#reading = reading
    this.#idIfNone = idIfNone
  }

  get id(): string | undefined {
    return this.#id
  }

  get isOpened(): boolean {
    return this.#block.isOpened
  }

  /** True if its arguments are complete. */
  get isWhole(): boolean {
    return this.isOpened && this.#input.trimEnd().endsWith('}') && parseObject(this.#input) !== undefined
  }

  /** True if what names an index again cannot be more of this call. */
  isOtherThan(id: string | undefined, name: string | undefined, text: string): boolean {
    if (name === undefined) return false
    if (id !== undefined && this.#id !== undefined) return id !== this.#id
    return text !== '' && this.isWhole
  }

  /** Servers repeat id and name, or tell them late; the first ones count. */
  append(id: string | undefined, name: string | undefined, text: string): void {
    this.#input += text
    if (this.isOpened) {
      if (!this.#isHeld) this.#block.append(text)
      return
    }
    this.#id ??= id
    this.#name ??= name
    // An id may still come as long as no arguments do.
    if (this.#id !== undefined || this.#input !== '') this.#open()
  }

  close(): void {
    this.#open()
    if (this.#isHeld) this.#block.append(this.#reading.bridge.inputOf(this.#name ?? '', this.#input))
    this.#block.close()
  }

  /** Opens the block as soon as it has a name; a call that never gets one is none. */
  #open(): void {
    if (this.isOpened || this.#name === undefined) return
    const { bridge } = this.#reading
    this.#id ??= this.#idIfNone
    this.#isHeld = bridge.needsWholeInput(this.#name)
    this.#block.open({ kind: 'tool-call', callId: this.#id, ...bridge.toolOf(this.#name), input: '' })
    if (!this.#isHeld) this.#block.append(this.#input)
  }
}

/** Reasoning under construction, with what its provider wants back. */
class OpenReasoning {
  readonly #block: SerialBlock
  readonly #reading: AnswerReading
  readonly #pieces: string[] = []
  readonly #details: JsonObject[] = []
  #name: string | undefined

  constructor(block: SerialBlock, reading: AnswerReading) {
    this.#block = block
    this.#reading = reading
    block.open({ kind: 'reasoning', text: '' })
  }

  append(text: string, name: string, details: readonly unknown[]): void {
    if (text !== '') {
      this.#name ??= name
      this.#pieces.push(text)
      this.#block.append(text)
    }
    for (const detail of details) if (isObject(detail)) addDetail(this.#details, detail)
  }

  close(): void {
    this.#block.close({
      dialect: 'openai-chat',
      value: {
        ...(this.#name === undefined ? {} : { [this.#name]: this.#pieces.join('') }),
        ...(this.#details.length === 0 ? {} : { reasoning_details: this.#details }),
      },
      source: this.#reading.target,
      model: this.#reading.model,
    })
  }
}

/** OpenRouter streams its details in fragments; it wants them back whole. */
function addDetail(details: JsonObject[], detail: JsonObject): void {
  const last = details.at(-1)
  const isMore = last !== undefined && last['type'] === detail['type'] && last['index'] === detail['index']
  if (!isMore || detail['index'] === undefined) {
    details.push(detail)
    return
  }
  const joined: Record<string, unknown> = { ...last }
  for (const [name, value] of Object.entries(detail)) {
    const before = joined[name]
    const isText = DETAIL_TEXTS.has(name) && typeof before === 'string' && typeof value === 'string'
    if (isText) joined[name] = before + value
    else if (value !== null) joined[name] = value
  }
  details[details.length - 1] = joined
}

const DETAIL_TEXTS: ReadonlySet<string> = new Set(['text', 'summary', 'data'])

function isError(value: JsonObject): boolean {
  const { error } = value
  return isObject(error) || (typeof error === 'string' && error !== '') || value['object'] === 'error'
}

/** Some servers send arguments as the object they are. */
function inputTextOf(value: unknown): string {
  if (typeof value === 'string') return value
  return value === undefined || value === null ? '' : JSON.stringify(value)
}

function broken(what: string): ProviderError {
  return { status: 502, kind: 'server', message: `the provider ${what}` }
}
