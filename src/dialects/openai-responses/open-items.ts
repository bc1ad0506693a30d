/**
 * Items of a Responses stream under construction: each kind's events between `output_item.added` and `output_item.done`, and
 * the item they add up to. Events of deltas are glued from texts made once, because there are thousands of them.
 * Source: the types of the `openai` SDK (`ResponseOutputItem`, `ResponseStreamEvent`).
 */
import type { Block } from '../conversation/answer.ts'
import type { Native, OpaqueState, ReasoningPart, ToolCallPart } from '../conversation/conversation.ts'
import { asObject, parseObject, type JsonObject } from '../json-value.ts'

export type ItemStatus = 'completed' | 'incomplete'

/** An item that is not done yet. Its methods give the text of the events that they cause. */
export interface OpenItem {
  /** True if it can take this block after the one before. */
  takes(block: Block): boolean
  /** Opens a block: the first right away, others that it takes. */
  open(block: Block): string
  append(text: string): string
  annotate(native: Native): string
  close(native: OpaqueState | undefined): string
  /** All events but `output_item.done`, and the item for that. */
  finish(status: ItemStatus): { readonly events: string; readonly item: JsonObject }
}

/** What an item needs to know of its stream. */
export interface ItemPlace {
  readonly answerId: string
  readonly index: number
  /** The text of an event; `members` is JSON without its braces. */
  event(type: string, members: string): string
  /** What state looks like in this dialect. */
  carry(state: OpaqueState): string | null
  /** Told of a citation that this dialect has no form for. */
  dropAnnotation(): void
}

/** Makes the item of a block. Blocks of `native` are items already. */
export function createOpenItem(block: Exclude<Block, { kind: 'native' }>, place: ItemPlace): OpenItem {
  switch (block.kind) {
    case 'reasoning':
      return createReasoningItem(block, place)
    case 'tool-call':
      return block.toolKind === 'function' || block.toolKind === 'custom'
        ? createTextCallItem(block, place)
        : createObjectCallItem(block, place)
    default:
      return createMessageItem(place)
  }
}

const NOTHING = (): string => ''

/** A message: texts and refusals in a row are its parts. */
function createMessageItem({ answerId, index, event, dropAnnotation }: ItemPlace): OpenItem {
  const id = `msg_${answerId}_${index}`
  const content: JsonObject[] = []
  let isAdded = false
  let isRefusal = false
  let isOpen = false
  let pieces: string[] = []
  let annotations: JsonObject[] = []
  const partOf = (text: string): JsonObject =>
    isRefusal ? { type: 'refusal', refusal: text } : { type: 'output_text', text, annotations, logprobs: [] }
  const place = (): string => `"item_id":"${id}","output_index":${index},"content_index":${content.length}`
  let placed = ''

  const close = (): string => {
    if (!isOpen) return ''
    isOpen = false
    const text = pieces.join('')
    const part = partOf(text)
    content.push(part)
    pieces = []
    annotations = []
    const done = isRefusal
      ? event('response.refusal.done', `${placed},"refusal":${JSON.stringify(text)}`)
      : event('response.output_text.done', `${placed},"text":${JSON.stringify(text)},"logprobs":[]`)
    return done + event('response.content_part.done', `${placed},"part":${JSON.stringify(part)}`)
  }

  return {
    takes: ({ kind }) => kind === 'text' || kind === 'refusal',
    open({ kind }) {
      const closed = close()
      const item = { id, type: 'message', role: 'assistant', status: 'in_progress', content: [] }
      const added = isAdded ? '' : itemAdded(event, index, item)
      isAdded = true
      isOpen = true
      isRefusal = kind === 'refusal'
      placed = place()
      return closed + added + event('response.content_part.added', `${placed},"part":${JSON.stringify(partOf(''))}`)
    },
    append(text) {
      pieces.push(text)
      return isRefusal
        ? event('response.refusal.delta', `${placed},"delta":${JSON.stringify(text)}`)
        : event('response.output_text.delta', `${placed},"delta":${JSON.stringify(text)},"logprobs":[]`)
    },
    annotate(native) {
      const annotation = isRefusal ? undefined : annotationOf(native, () => lengthOf(pieces))
      if (annotation === undefined) {
        dropAnnotation()
        return ''
      }
      annotations.push(annotation)
      const members = `${placed},"annotation_index":${annotations.length - 1},"annotation":${JSON.stringify(annotation)}`
      return event('response.output_text.annotation.added', members)
    },
    close,
    finish(status) {
      const events = close()
      return { events, item: { id, type: 'message', role: 'assistant', status, content } }
    },
  }
}

/** A citation as an annotation; undefined for one that is no page of the web. Of Anthropic's, the whole text is the place. */
function annotationOf({ dialect, value }: Native, textLength: () => number): JsonObject | undefined {
  if (dialect === 'openai-responses') return value
  if (dialect === 'openai-chat') {
    return value['type'] === 'url_citation' ? { type: 'url_citation', ...asObject(value['url_citation']) } : undefined
  }
  const { url, title } = value
  if (typeof url !== 'string') return undefined
  return { type: 'url_citation', url, title: title ?? url, start_index: 0, end_index: textLength() }
}

function lengthOf(pieces: readonly string[]): number {
  return pieces.reduce((length, piece) => length + piece.length, 0)
}

/** Reasoning: what is readable as its one summary, the state as its encrypted content. */
function createReasoningItem({ native: given }: ReasoningPart, { answerId, index, event, carry }: ItemPlace): OpenItem {
  const id = `rs_${answerId}_${index}`
  const place = `"item_id":"${id}","output_index":${index},"summary_index":0`
  let state = given
  const pieces: string[] = []
  return {
    takes: () => false,
    open: () => itemAdded(event, index, { id, type: 'reasoning', summary: [] }),
    append(text) {
      const part =
        pieces.length === 0 ? event('response.reasoning_summary_part.added', `${place},"part":${summaryOf('')}`) : ''
      pieces.push(text)
      return part + event('response.reasoning_summary_text.delta', `${place},"delta":${JSON.stringify(text)}`)
    },
    annotate: NOTHING,
    close(native) {
      state = native ?? state
      return ''
    },
    finish() {
      const encrypted = state === undefined ? {} : { encrypted_content: carry(state) }
      if (pieces.length === 0) return { events: '', item: { id, type: 'reasoning', summary: [], ...encrypted } }
      const text = pieces.join('')
      const events =
        event('response.reasoning_summary_text.done', `${place},"text":${JSON.stringify(text)}`) +
        event('response.reasoning_summary_part.done', `${place},"part":${summaryOf(text)}`)
      return { events, item: { id, type: 'reasoning', summary: [{ type: 'summary_text', text }], ...encrypted } }
    },
  }
}

function summaryOf(text: string): string {
  return `{"type":"summary_text","text":${JSON.stringify(text)}}`
}

/** A call whose input is a text: JSON arguments of a function, or whatever a custom tool takes. */
function createTextCallItem(call: ToolCallPart, { answerId, index, event }: ItemPlace): OpenItem {
  const isCustom = call.toolKind === 'custom'
  const id = `${isCustom ? 'ctc' : 'fc'}_${answerId}_${index}`
  const member = isCustom ? 'input' : 'arguments'
  const type = isCustom ? 'response.custom_tool_call_input' : 'response.function_call_arguments'
  const place = `"item_id":"${id}","output_index":${index}`
  const pieces: string[] = []
  const itemOf = (status: string, text: string): JsonObject => ({
    id,
    type: isCustom ? 'custom_tool_call' : 'function_call',
    status,
    call_id: call.callId,
    name: call.name,
    ...(call.namespace === undefined ? {} : { namespace: call.namespace }),
    [member]: text,
  })
  const append = (text: string): string => {
    pieces.push(text)
    return event(`${type}.delta`, `${place},"delta":${JSON.stringify(text)}`)
  }
  return {
    takes: () => false,
    open: () => itemAdded(event, index, itemOf('in_progress', '')),
    append,
    annotate: NOTHING,
    close: NOTHING,
    finish(status) {
      // A function without parameters is called with none, which is an empty object to whoever parses it.
      const empty = pieces.length === 0 && !isCustom && status === 'completed' ? append('{}') : ''
      const text = pieces.join('')
      const named = isCustom ? '' : `,"name":${JSON.stringify(call.name)}`
      const done = event(`${type}.done`, `${place}${named},"${member}":${JSON.stringify(text)}`)
      return { events: empty + done, item: itemOf(status, text) }
    },
  }
}

/** A call whose input is an object: it is shown when it is whole. */
function createObjectCallItem(call: ToolCallPart, { answerId, index, event }: ItemPlace): OpenItem {
  const pieces: string[] = []
  return {
    takes: () => false,
    open: NOTHING,
    append(text) {
      pieces.push(text)
      return ''
    },
    annotate: NOTHING,
    close: NOTHING,
    finish(status) {
      const item = { ...objectCall(call, pieces.join(''), `${answerId}_${index}`), status }
      return { events: itemAdded(event, index, { ...item, status: 'in_progress' }), item }
    },
  }
}

/** Arguments that are no object go back as a function's, so that the client tells the model, not the user. */
function objectCall({ toolKind, callId, name }: ToolCallPart, input: string, suffix: string): JsonObject {
  const value = parseObject(input === '' ? '{}' : input)
  if (value === undefined) return { id: `fc_${suffix}`, type: 'function_call', call_id: callId, name, arguments: input }
  switch (toolKind) {
    case 'tool-search':
      return { id: `tsc_${suffix}`, type: 'tool_search_call', execution: 'client', call_id: callId, arguments: value }
    case 'local-shell':
      return {
        id: `lsh_${suffix}`,
        type: 'local_shell_call',
        call_id: callId,
        action: { type: 'exec', env: {}, ...value },
      }
    case 'shell':
      return {
        id: `sh_${suffix}`,
        type: 'shell_call',
        call_id: callId,
        action: { timeout_ms: null, max_output_length: null, ...value },
        environment: { type: 'local' },
      }
    default:
      return { id: `apc_${suffix}`, type: 'apply_patch_call', call_id: callId, operation: value }
  }
}

function itemAdded(event: ItemPlace['event'], index: number, item: JsonObject): string {
  return event('response.output_item.added', `"output_index":${index},"item":${JSON.stringify(item)}`)
}
