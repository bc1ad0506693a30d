/**
 * An answer in the deltas of Chat Completions: what a stream sends one by one, and a whole answer adds up. Chat knows one text,
 * one refusal and a list of calls where the hub has blocks in order: texts that other blocks stood between become paragraphs.
 */
import type { AnswerEvent, Block } from '../conversation/answer.ts'
import { createCallIds } from '../conversation/call-ids.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import type { Native, OpaqueState, ToolCallPart } from '../conversation/conversation.ts'
import { asObject, asText, type JsonObject } from '../json-value.ts'
import { isLegacy } from './read-request.ts'

const PARAGRAPH = '\n\n'

/** The member of a delta that holds a block's text. */
const TEXT_MEMBERS = { text: 'content', refusal: 'refusal', reasoning: 'reasoning_content' } as const

/** The deltas of one answer. */
export class AnswerDeltas {
  readonly #writing: AnswerWriting
  readonly #isLegacy: boolean
  readonly #annotations: JsonObject[] = []
  readonly #said = new Set<Block['kind']>()
  readonly #ownCallId = createCallIds()
  #open: Block | undefined
  #lastKind: Block['kind'] | undefined
  /** Goes before the next text of the open block. */
  #separator = ''
  #calls = 0
  #hasInput = false
  #contentLength = 0
  /** Where the open text begins in the whole content. */
  #blockStart = 0
  #hasRole = false

  constructor(writing: AnswerWriting) {
    this.#writing = writing
    this.#isLegacy = isLegacy(writing.request)
  }

  get hasCalls(): boolean {
    return this.#calls > 0
  }

  /** True if the client knows `function_call` and no `tool_calls`. */
  get isLegacy(): boolean {
    return this.#isLegacy
  }

  /** What an event adds to the message. */
  next(event: AnswerEvent): readonly JsonObject[] {
    switch (event.type) {
      case 'block':
        return this.#begin(event.block)
      case 'delta':
        return this.#more(event.text)
      case 'annotation':
        this.#annotate(event.native)
        return []
      case 'block-end':
        return this.#close(event.native)
      case 'end':
        return this.#end(event.stop.reason === 'refusal' ? event.stop.explanation : undefined)
      case 'start':
      case 'ping':
      case 'error':
        return []
    }
  }

  #begin(block: Block): readonly JsonObject[] {
    if (block.kind === 'native') {
      this.#writing.losses.drop(`choices[].message.${block.type}`)
      return []
    }
    const continues = block.kind === 'text' && this.#lastKind === 'text'
    this.#open = block
    this.#lastKind = block.kind
    this.#separator = this.#said.has(block.kind) && !continues ? PARAGRAPH : ''
    this.#blockStart = this.#contentLength + this.#separator.length
    this.#hasInput = false
    const opening = [...this.#role(block.kind === 'text'), ...(block.kind === 'tool-call' ? this.#call(block) : [])]
    return [...opening, ...this.#more(block.kind === 'tool-call' ? block.input : block.text)]
  }

  #role(hasText: boolean): readonly JsonObject[] {
    if (this.#hasRole) return []
    this.#hasRole = true
    return [{ role: 'assistant', content: hasText ? '' : null }]
  }

  #call({ toolKind, callId, name }: ToolCallPart): readonly JsonObject[] {
    const index = this.#calls
    const id = this.#ownCallId(callId)
    if (this.#isLegacy && index > 0) {
      this.#writing.losses.drop('choices[].message.function_call')
      this.#open = undefined
      return []
    }
    this.#calls += 1
    if (this.#isLegacy) return [{ function_call: { name, arguments: '' } }]
    return toolKind === 'custom'
      ? [{ tool_calls: [{ index, id, type: 'custom', custom: { name, input: '' } }] }]
      : [{ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] }]
  }

  #more(text: string): readonly JsonObject[] {
    const open = this.#open
    if (open === undefined || open.kind === 'native' || text === '') return []
    if (open.kind === 'tool-call') {
      this.#hasInput = true
      return [this.#inputDelta(open, text)]
    }
    const whole = this.#separator + text
    this.#separator = ''
    this.#said.add(open.kind)
    if (open.kind === 'text') this.#contentLength += whole.length
    return [{ [TEXT_MEMBERS[open.kind]]: whole }]
  }

  #inputDelta({ toolKind }: ToolCallPart, text: string): JsonObject {
    if (this.#isLegacy) return { function_call: { arguments: text } }
    const index = this.#calls - 1
    const input = toolKind === 'custom' ? { custom: { input: text } } : { function: { arguments: text } }
    return { tool_calls: [{ index, ...input }] }
  }

  #close(native: OpaqueState | undefined): readonly JsonObject[] {
    const open = this.#open
    this.#open = undefined
    // Chat has no place for what another provider wants back with its thoughts.
    const state = open?.kind === 'reasoning' ? (native ?? open.native) : undefined
    if (state !== undefined && state.dialect !== 'openai-chat') {
      this.#writing.losses.drop('choices[].message.reasoning_content')
    }
    // Clients parse the arguments of a call, also of one that has none.
    const lacksInput = open?.kind === 'tool-call' && open.toolKind !== 'custom' && !this.#hasInput
    return lacksInput ? [this.#inputDelta(open, '{}')] : []
  }

  #annotate({ dialect, value }: Native): void {
    const annotation = dialect === 'openai-chat' ? value : this.#citation(value)
    if (annotation === undefined) this.#writing.losses.drop('choices[].message.annotations')
    else this.#annotations.push(annotation)
  }

  /** A citation of Responses, whose offsets count from its own part. */
  #citation({ type, url, title, start_index: start, end_index: end }: JsonObject): JsonObject | undefined {
    if (type !== 'url_citation' || asText(url) === undefined) return undefined
    const shift = (offset: unknown): number => (typeof offset === 'number' ? offset : 0) + this.#blockStart
    return {
      type: 'url_citation',
      url_citation: { url, title: asText(title) ?? '', start_index: shift(start), end_index: shift(end) },
    }
  }

  #end(explanation: string | undefined): readonly JsonObject[] {
    const isExplained = explanation === undefined || explanation === '' || this.#said.has('refusal')
    return [
      ...this.#role(true),
      ...(isExplained ? [] : [{ refusal: explanation }]),
      // Together, because accumulators keep the last list only.
      ...(this.#annotations.length === 0 ? [] : [{ annotations: this.#annotations }]),
    ]
  }
}

/** The message that deltas add up to. */
export function messageOf(deltas: readonly JsonObject[]): JsonObject {
  const message: Record<string, unknown> = { role: 'assistant', content: null, refusal: null }
  const calls: JsonObject[] = []
  for (const delta of deltas) {
    for (const [name, value] of Object.entries(delta)) {
      if (name === 'tool_calls') addCalls(calls, value)
      else if (name === 'function_call') message[name] = joined(asObject(message[name]), asObject(value))
      else message[name] = typeof value === 'string' && name !== 'role' ? (asText(message[name]) ?? '') + value : value
    }
  }
  return calls.length === 0 ? message : { ...message, tool_calls: calls }
}

function addCalls(calls: JsonObject[], deltas: unknown): void {
  for (const delta of Array.isArray(deltas) ? deltas : []) {
    const { index, ...call } = asObject(delta)
    const position = Number(index)
    const before = calls[position]
    if (before === undefined) {
      calls[position] = call
      continue
    }
    const kind = call['custom'] === undefined ? 'function' : 'custom'
    calls[position] = { ...before, [kind]: joined(asObject(before[kind]), asObject(call[kind])) }
  }
}

function joined(before: JsonObject, more: JsonObject): JsonObject {
  const whole: Record<string, unknown> = { ...before }
  for (const [name, value] of Object.entries(more)) whole[name] = `${asText(before[name]) ?? ''}${String(value)}`
  return whole
}
