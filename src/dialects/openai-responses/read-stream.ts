/**
 * A Responses stream as events of the hub. Servers differ in what they send: some no deltas, some no `added`, some only whole
 * items, a few nothing but the last event. So every text is taken from where it first comes, and whatever comes later
 * (`.done`, the whole item, the whole answer) only adds what is missing.
 * Source: the types of the `openai` SDK (`ResponseStreamEvent`).
 */
import { TokError } from '../../base/errors.ts'
import type { AnswerListener, Block } from '../conversation/answer.ts'
import type { AnswerReading, StreamReader } from '../conversation/contract.ts'
import { createSerialBlocks, type SerialBlock, type SerialBlocks } from '../conversation/serial-blocks.ts'
import { asCount, asList, asObject, asText, isObject, parseObject, type JsonObject } from '../json-value.ts'
import { providerErrorOf } from '../provider-error.ts'
import type { SseEvent } from '../sse.ts'
import { joinTexts, PARAGRAPH, readCall } from './read-items.ts'
import { readAnswerPart, readCallItem, readNativeItem, readReasoningItem, stopOf } from './read-reply.ts'
import { readUsage } from './usage.ts'

/** More items than any answer has, and more parts than any message. */
const ITEMS_MAX = 1_024

/** The most that is held of calls whose input must be whole, in UTF-16 units. */
const HELD_MAX = 16_777_216

/** An item on its way. */
interface StreamedItem {
  /** The item as it was announced: a call is named, its input is still to come. */
  announce(item: JsonObject): void
  /** A piece of its text, or an annotation. */
  delta(event: JsonObject): void
  /** One of its texts, whole. */
  text(event: JsonObject): void
  /** The item is done; `item` is undefined where the server ended without showing it. */
  finish(item: JsonObject | undefined): void
  isFinished: boolean
}

interface ItemContext {
  readonly reading: AnswerReading
  readonly blocks: SerialBlocks
  /** Its place in the answer. */
  readonly index: number
}

type ItemKind = 'message' | 'reasoning' | 'call' | 'native'

/** Which items the events of pieces belong to, where no item was announced, and whether they bring a piece or the whole. */
const TEXT_EVENTS: ReadonlyMap<string | undefined, readonly [ItemKind, 'delta' | 'text']> = new Map([
  ['response.output_text.delta', ['message', 'delta']],
  ['response.output_text.done', ['message', 'text']],
  ['response.output_text.annotation.added', ['message', 'delta']],
  ['response.refusal.delta', ['message', 'delta']],
  ['response.refusal.done', ['message', 'text']],
  ['response.reasoning_summary_text.delta', ['reasoning', 'delta']],
  ['response.reasoning_summary_text.done', ['reasoning', 'text']],
  ['response.reasoning_text.delta', ['reasoning', 'delta']],
  ['response.reasoning_text.done', ['reasoning', 'text']],
  ['response.function_call_arguments.delta', ['call', 'delta']],
  ['response.function_call_arguments.done', ['call', 'text']],
  ['response.custom_tool_call_input.delta', ['call', 'delta']],
  ['response.custom_tool_call_input.done', ['call', 'text']],
])

/** Makes the reader of one stream. */
export function createStreamReader(reading: AnswerReading, emit: AnswerListener): StreamReader {
  const shown: Block[] = []
  const items = new Map<number | string, StreamedItem>()
  let begun = 0
  let isStarted = false
  let isOver = false

  const start = (response: JsonObject): void => {
    if (isStarted) return
    isStarted = true
    emit({ type: 'start', id: asText(response['id']), model: asText(response['model']) })
  }
  const blocks = createSerialBlocks((event) => {
    if (event.type === 'block') {
      start({})
      shown.push(event.block)
    }
    emit(event)
  }, reading.target)

  const create = (key: number | string, kind: ItemKind): StreamedItem => {
    if (begun === ITEMS_MAX) throw broken(reading, 'it has too many items')
    // An item that is followed by another in its place will not be heard of again.
    const before = items.get(key)
    if (before?.isFinished === false) before.finish(undefined)
    const item = CREATE[kind]({ reading, blocks, index: begun })
    begun += 1
    items.set(key, item)
    return item
  }
  const keyOf = (event: JsonObject): number | string =>
    asCount(event['output_index']) ?? asText(event['item_id']) ?? asText(asObject(event['item'])['id']) ?? 0

  const finishAll = (response: JsonObject): void => {
    const isUnseen = begun === 0
    for (const [index, value] of asList(response['output']).entries()) {
      const item = asObject(value)
      const seen = items.get(index) ?? items.get(asText(item['id']) ?? '')
      if (seen?.isFinished === false) seen.finish(item)
      else if (isUnseen) create(index, kindOf(item)).finish(item)
    }
    for (const item of items.values()) if (!item.isFinished) item.finish(undefined)
    blocks.closeAll()
  }

  const fail = (value: JsonObject): void => {
    isOver = true
    emit({ type: 'error', error: providerErrorOf(value) })
  }

  const take = (type: string | undefined, value: JsonObject): void => {
    switch (type) {
      case 'response.created':
      case 'response.in_progress':
        return start(asObject(value['response']))
      case 'response.output_item.added': {
        const item = asObject(value['item'])
        return create(keyOf(value), kindOf(item)).announce(item)
      }
      case 'response.output_item.done': {
        const item = asObject(value['item'])
        const key = keyOf(value)
        const seen = items.get(key)
        return (seen === undefined || seen.isFinished ? create(key, kindOf(item)) : seen).finish(item)
      }
      case 'response.completed':
      case 'response.incomplete': {
        const response = asObject(value['response'])
        start(response)
        finishAll(response)
        isOver = true
        const status = type.slice('response.'.length)
        return emit({ type: 'end', stop: stopOf({ ...response, status }, shown), usage: readUsage(response['usage']) })
      }
      case 'response.failed':
      case 'response.cancelled':
      case 'error':
        return fail(value)
      case 'keepalive':
        return emit({ type: 'ping' })
      default: {
        if (type === undefined && isObject(value['error'])) return fail(value)
        const [kind, action] = TEXT_EVENTS.get(type) ?? []
        if (kind === undefined || action === undefined) return undefined
        const key = keyOf(value)
        return (items.get(key) ?? create(key, kind))[action](value)
      }
    }
  }

  return {
    event({ name, data }: SseEvent) {
      const value = isOver ? undefined : parseObject(data)
      if (value !== undefined) take(asText(value['type']) ?? name, value)
    },
    end() {
      if (isOver) return
      isOver = true
      const message = `the stream of ${reading.target} ended before its last event`
      emit({ type: 'error', error: { status: 502, kind: 'server', message } })
    },
  }
}

function kindOf(item: JsonObject): ItemKind {
  const { type } = item
  if (type === 'message' || type === 'reasoning') return type
  return readCall(item) === undefined ? 'native' : 'call'
}

const CREATE: Readonly<Record<ItemKind, (context: ItemContext) => StreamedItem>> = {
  message: createMessage,
  reasoning: createReasoning,
  call: createCall,
  native: createNative,
}

function ignore(): void {
  // Nothing to take from it.
}

/** A part of a message. */
interface Part {
  readonly block: SerialBlock
  sentCharacters: number
  annotations: number
}

function createMessage({ reading, blocks }: ItemContext): StreamedItem {
  // Announced, a message holds its place before what comes after it.
  const parts = new Map<number, Part>([[0, createPart(blocks)]])
  const partAt = (index: number): Part => {
    const known = parts.get(index)
    if (known !== undefined) return known
    if (parts.size === ITEMS_MAX) throw broken(reading, 'a message has too many parts')
    const part = createPart(blocks)
    parts.set(index, part)
    return part
  }
  const append = (part: Part, kind: 'text' | 'refusal', text: string): void => {
    if (text === '') return
    part.block.open({ kind, text: '' })
    part.block.append(text)
    part.sentCharacters += text.length
  }
  const annotate = (part: Part, value: JsonObject): void => {
    part.annotations += 1
    part.block.open({ kind: 'text', text: '' })
    part.block.annotate({ type: 'annotation', native: { dialect: 'openai-responses', value } })
  }
  const message: StreamedItem = {
    isFinished: false,
    announce: ignore,
    delta(event) {
      const part = partAt(asCount(event['content_index']) ?? 0)
      if (isObject(event['annotation'])) annotate(part, event['annotation'])
      else append(part, isRefusal(event) ? 'refusal' : 'text', asText(event['delta']) ?? '')
    },
    text(event) {
      const part = partAt(asCount(event['content_index']) ?? 0)
      const text = asText(event['text']) ?? asText(event['refusal']) ?? ''
      append(part, isRefusal(event) ? 'refusal' : 'text', text.slice(part.sentCharacters))
    },
    finish(item) {
      message.isFinished = true
      for (const [index, value] of asList(item?.['content']).entries()) {
        const read = readAnswerPart(asObject(value))
        if (read === undefined) continue
        const part = partAt(index)
        append(part, read.kind, read.text.slice(part.sentCharacters))
        const annotations = asList(asObject(value)['annotations']).slice(part.annotations)
        for (const annotation of annotations) annotate(part, asObject(annotation))
      }
      for (const { block } of parts.values()) block.close()
    },
  }
  return message
}

function createPart(blocks: SerialBlocks): Part {
  return { block: blocks.begin(), sentCharacters: 0, annotations: 0 }
}

function isRefusal({ type }: JsonObject): boolean {
  return typeof type === 'string' && type.startsWith('response.refusal')
}

/** Of the summary and the reasoning itself, what comes first is shown. */
function createReasoning({ reading, blocks }: ItemContext): StreamedItem {
  const block = blocks.begin()
  let source: 'summary' | 'content' | undefined
  let partIndex = 0
  let sentCharacters = 0
  let partCharacters = 0
  const append = (text: string): void => {
    if (text === '') return
    block.open({ kind: 'reasoning', text: '' })
    block.append(text)
    sentCharacters += text.length
    partCharacters += text.length
  }
  /** Goes on to the part of an event; false if it is of the source that is not shown. */
  const enter = (event: JsonObject): boolean => {
    const from = event['summary_index'] === undefined ? 'content' : 'summary'
    source ??= from
    if (source !== from) return false
    const index = asCount(event['summary_index'] ?? event['content_index']) ?? 0
    if (index !== partIndex) {
      partIndex = index
      if (sentCharacters > 0) append(PARAGRAPH)
      partCharacters = 0
    }
    return true
  }
  const reasoning: StreamedItem = {
    isFinished: false,
    announce: ignore,
    delta(event) {
      if (enter(event)) append(asText(event['delta']) ?? '')
    },
    text(event) {
      if (enter(event)) append((asText(event['text']) ?? '').slice(partCharacters))
    },
    finish(item = {}) {
      reasoning.isFinished = true
      const read = readReasoningItem(item, reading)
      append((sentCharacters === 0 ? read.text : joinTexts(item[source ?? 'summary'])).slice(sentCharacters))
      if (read.native !== undefined) block.open({ kind: 'reasoning', text: '' })
      block.close(read.native)
    },
  }
  return reasoning
}

function createCall({ reading, blocks, index }: ItemContext): StreamedItem {
  const { bridge } = reading
  const block = blocks.begin()
  const pieces: string[] = []
  let held = 0
  let sentCharacters = 0
  let wireName: string | undefined

  const name = (item: JsonObject): void => {
    const call = readCallItem(item, index, reading)
    if (call === undefined) return
    wireName = readCall(item)?.name
    block.open({ ...call, input: '' })
  }
  /** While nothing is known of the tool, or its input must be whole, nothing is shown. */
  const isHeld = (): boolean => wireName === undefined || bridge.needsWholeInput(wireName)
  const append = (text: string): void => {
    pieces.push(text)
    held += text.length
    if (held > HELD_MAX) throw broken(reading, 'the input of a call is too long')
    if (isHeld()) return
    block.append(pieces.splice(0).join(''))
    sentCharacters += held
    held = 0
  }
  const charactersSeen = (): number => sentCharacters + held
  const call: StreamedItem = {
    isFinished: false,
    announce: name,
    delta: (event) => append(asText(event['delta']) ?? ''),
    text: (event) => append((asText(event['arguments']) ?? asText(event['input']) ?? '').slice(charactersSeen())),
    finish(item = {}) {
      call.isFinished = true
      name(item)
      append((readCall(item)?.input ?? '').slice(charactersSeen()))
      if (wireName !== undefined && isHeld()) block.append(bridge.inputOf(wireName, pieces.join('')))
      block.close()
    },
  }
  return call
}

function broken({ target }: AnswerReading, reason: string): TokError {
  return new TokError('provider_broken', { provider: target, reason })
}

function createNative({ blocks }: ItemContext): StreamedItem {
  const block = blocks.begin()
  const native: StreamedItem = {
    isFinished: false,
    announce: ignore,
    delta: ignore,
    text: ignore,
    finish(item) {
      native.isFinished = true
      if (item !== undefined) block.open(readNativeItem(item))
      block.close()
    },
  }
  return native
}
