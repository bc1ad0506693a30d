/**
 * What each dialect demands of a stream, checked event by event: the order, the indexes, the ids, what may follow what. Written
 * after the vendors' documentation and types, apart from the product's writers, and stricter than any client: a stream that
 * passes here is one that no client has to forgive.
 */
import type { Dialect } from '../../src/dialects/dialect.ts'
import { asList, asObject, type JsonObject } from '../../src/dialects/json-value.ts'

/** One frame of a stream as it stood there. */
export interface Frame {
  /** Its `event:` line. */
  readonly name: string | undefined
  /** Parsed; "[DONE]" as it is. */
  readonly data: JsonObject | '[DONE]'
}

/** What the rules found. */
export interface StreamVerdict {
  readonly frames: readonly Frame[]
  /** One line for each rule that was broken. */
  readonly faults: readonly string[]
  /** How it ended. */
  readonly end: 'complete' | 'error' | 'nothing'
  /** One short line for each event, in order. */
  readonly outline: readonly string[]
}

/** What the rules depend on beside the stream. */
export interface StreamTerms {
  /** Chat: the client asked for a usage chunk. */
  readonly wantsUsage?: boolean
}

/** Checks a client's stream. */
export function judgeStream(dialect: Dialect, text: string, terms: StreamTerms = {}): StreamVerdict {
  const faults: string[] = []
  const fault = (line: string): void => {
    faults.push(line)
  }
  const frames = readFrames(text, fault)
  switch (dialect) {
    case 'openai-chat':
      return { frames, faults, ...judgeChat(frames, fault, terms.wantsUsage ?? false) }
    case 'openai-responses':
      return { frames, faults, ...judgeResponses(frames, fault) }
    case 'anthropic-messages':
      return { frames, faults, ...judgeMessages(frames, fault) }
  }
}

type Fault = (line: string) => void
type Judged = Pick<StreamVerdict, 'end' | 'outline'>

/** Our own frames are written one way: an optional event line, one data line, one blank line. */
function readFrames(text: string, fault: Fault): Frame[] {
  const frames: Frame[] = []
  const pieces = text.split('\n\n')
  if (pieces.pop() !== '') fault('the stream does not end with a blank line')
  for (const piece of pieces) {
    // Comments keep alive; an error frame ends whatever frame may be unfinished before it.
    if (piece === '' || piece.startsWith(':')) continue
    const lines = piece.split('\n')
    const [first = ''] = lines
    const name = first.startsWith('event: ') ? first.slice(7) : undefined
    const rest = name === undefined ? lines : lines.slice(1)
    const [data = ''] = rest
    if (rest.length !== 1 || !data.startsWith('data: ')) {
      fault(`not a frame: ${JSON.stringify(piece.slice(0, 80))}`)
      continue
    }
    frames.push({ name, data: data === 'data: [DONE]' ? '[DONE]' : asObject(JSON.parse(data.slice(6))) })
  }
  return frames
}

const shown = (value: unknown): string => JSON.stringify(value) ?? ''

// Chat Completions

const CHAT_FINISHES = new Set(['stop', 'length', 'tool_calls', 'content_filter'])

function judgeChat(frames: readonly Frame[], fault: Fault, wantsUsage: boolean): Judged {
  const outline: string[] = []
  const calls: string[] = []
  let identity: string | undefined
  let finish: unknown
  let usages = 0
  let end = 'nothing' as Judged['end']
  frames.forEach(({ name, data }, at) => {
    if (name !== undefined) fault(`chat frames have no event line: ${name}`)
    if (end !== 'nothing') fault(`frame ${at} after the end`)
    if (data === '[DONE]') {
      if (finish === undefined) fault('[DONE] without a finish_reason')
      outline.push('[DONE]')
      end = 'complete'
      return
    }
    if (data['error'] !== undefined) {
      const { message, type } = asObject(data['error'])
      if (typeof message !== 'string' || typeof type !== 'string') fault('an error without message and type')
      outline.push(`error ${String(type)}`)
      end = 'error'
      return
    }
    if (data['object'] !== 'chat.completion.chunk') fault(`object is ${shown(data['object'])}`)
    const own = shown([data['id'], data['created'], data['model']])
    identity ??= own
    if (own !== identity) fault(`id, created or model changed: ${identity} to ${own}`)
    if (typeof data['id'] !== 'string' || typeof data['created'] !== 'number' || typeof data['model'] !== 'string')
      fault('a chunk without id, created or model')
    const choices = asList(data['choices'])
    if (choices.length === 0) {
      usages += 1
      if (finish === undefined) fault('usage before finish_reason')
      if (typeof asObject(data['usage'])['total_tokens'] !== 'number') fault('a usage chunk without counts')
      outline.push('usage')
      return
    }
    if (choices.length !== 1) fault('more than one choice')
    if (data['usage'] !== undefined && data['usage'] !== null) fault('usage in a chunk with choices')
    const choice = asObject(choices[0])
    if (choice['index'] !== 0) fault(`choice index ${shown(choice['index'])}`)
    const {
      role,
      content,
      refusal,
      reasoning_content: reasoning,
      tool_calls: toolCalls,
      ...others
    } = asObject(choice['delta'])
    if (choice['finish_reason'] !== null) {
      if (!CHAT_FINISHES.has(String(choice['finish_reason']))) fault(`finish_reason ${shown(choice['finish_reason'])}`)
      if (finish !== undefined) fault('two finish_reasons')
      if (Object.keys(asObject(choice['delta'])).length > 0) fault('finish_reason beside a delta')
      finish = choice['finish_reason']
      outline.push(`finish ${String(finish)}`)
      return
    }
    if (finish !== undefined) fault('a delta after finish_reason')
    if ((role !== undefined) !== (outline.length === 0)) fault('role stands in the first chunk, and there only')
    if (role !== undefined) {
      if (role !== 'assistant') fault(`role ${shown(role)}`)
      outline.push('role')
    }
    for (const [member, value] of Object.entries({ content, refusal, reasoning_content: reasoning })) {
      if (value === undefined || value === null) continue
      if (typeof value !== 'string') fault(`${member} is no text`)
      else if (value === '' && role === undefined) fault(`an empty ${member}`)
      else if (value !== '') outline.push(`${member} ${shown(value)}`)
    }
    if (others['annotations'] !== undefined) outline.push('annotations')
    for (const member of Object.keys(others)) if (member !== 'annotations') fault(`unknown delta member ${member}`)
    for (const each of asList(toolCalls)) outline.push(judgeChatCall(asObject(each), calls, fault))
  })
  if (end === 'complete') {
    if ((usages === 1) !== wantsUsage || usages > 1) fault(`${usages} usage chunks, asked for: ${wantsUsage}`)
    if (finish === 'tool_calls' && calls.length === 0) fault('finish_reason tool_calls without a call')
    if (finish === 'stop' && calls.length > 0) fault('finish_reason stop with calls')
  }
  if (end === 'nothing') fault('the stream ends without [DONE] and without an error')
  return { end, outline }
}

function judgeChatCall(call: JsonObject, calls: string[], fault: Fault): string {
  const { index, id, type, ...bodies } = call
  const [kind = ''] = Object.keys(bodies)
  const body = asObject(bodies[kind])
  const text = kind === 'custom' ? body['input'] : body['arguments']
  if (Object.keys(bodies).length !== 1 || !['function', 'custom'].includes(kind))
    fault(`a tool call of ${shown(bodies)}`)
  if (typeof text !== 'string') fault('a tool call delta without arguments or input')
  if (index === calls.length) {
    if (typeof id !== 'string' || id === '') fault('a first tool call delta without id')
    if (type !== kind) fault(`a first tool call delta of type ${shown(type)}`)
    if (typeof body['name'] !== 'string' || body['name'] === '') fault('a first tool call delta without name')
    if (calls.includes(String(id))) fault(`tool call id ${shown(id)} twice`)
    calls.push(String(id))
    return `call ${String(index)} ${String(body['name'])}${text === '' ? '' : ` ${shown(text)}`}`
  }
  if (typeof index !== 'number' || index < 0 || index >= calls.length) fault(`tool call index ${shown(index)}`)
  if (id !== undefined || type !== undefined || body['name'] !== undefined)
    fault('a later tool call delta repeats who it is')
  return `call ${String(index)} + ${shown(text)}`
}

// Messages

const MESSAGE_STOPS = new Set([
  'end_turn',
  'max_tokens',
  'stop_sequence',
  'tool_use',
  'pause_turn',
  'refusal',
  'model_context_window_exceeded',
  'compaction',
])
const DELTA_OF: Readonly<Record<string, readonly string[]>> = {
  text: ['text_delta', 'citations_delta'],
  thinking: ['thinking_delta', 'signature_delta'],
  tool_use: ['input_json_delta'],
  server_tool_use: ['input_json_delta'],
  mcp_tool_use: ['input_json_delta'],
}
const DELTA_MEMBER: Readonly<Record<string, string>> = {
  text_delta: 'text',
  thinking_delta: 'thinking',
  input_json_delta: 'partial_json',
  signature_delta: 'signature',
}

function judgeMessages(frames: readonly Frame[], fault: Fault): Judged {
  const outline: string[] = []
  const types: string[] = []
  const toolIds = new Set<unknown>()
  let open: string | undefined
  let json = ''
  let isSigned = false
  let stop: unknown
  let state = 'new' as 'new' | 'started' | 'delta' | 'over'
  let end = 'nothing' as Judged['end']

  frames.forEach(({ name, data }, at) => {
    if (data === '[DONE]') return fault('Messages has no [DONE]')
    const type = String(data['type'])
    if (name !== type) fault(`event line ${shown(name)} over type ${type}`)
    if (state === 'over') fault(`frame ${at} (${type}) after the end`)
    const index = data['index']
    switch (type) {
      case 'ping':
        outline.push('ping')
        return
      case 'error': {
        const error = asObject(data['error'])
        if (typeof error['type'] !== 'string' || typeof error['message'] !== 'string')
          fault('an error without type and message')
        outline.push(`error ${String(error['type'])}`)
        state = 'over'
        end = 'error'
        return
      }
      case 'message_start': {
        if (state !== 'new') fault('a second message_start')
        state = 'started'
        judgeMessageStart(asObject(data['message']), fault)
        outline.push('message_start')
        return
      }
      case 'content_block_start': {
        if (state !== 'started') fault(`${type} out of place`)
        if (open !== undefined) fault(`block ${shown(index)} starts inside another`)
        if (index !== types.length) fault(`block index ${shown(index)} after ${types.length - 1}`)
        const block = asObject(data['content_block'])
        open = String(block['type'])
        types.push(open)
        json = ''
        isSigned = false
        judgeBlockStart(block, toolIds, fault)
        const named = typeof block['name'] === 'string' ? ` ${block['name']}` : ''
        outline.push(`${String(index)} ${open}${named}`)
        return
      }
      case 'content_block_delta': {
        const delta = asObject(data['delta'])
        const kind = String(delta['type'])
        if (open === undefined || index !== types.length - 1)
          fault(`a delta for block ${shown(index)}, which is not open`)
        else if (!(DELTA_OF[open] ?? []).includes(kind)) fault(`a ${kind} inside a ${open} block`)
        if (isSigned) fault(`a ${kind} after the signature`)
        if (kind === 'signature_delta') isSigned = true
        const text = delta[DELTA_MEMBER[kind] ?? '']
        if (kind !== 'citations_delta' && (typeof text !== 'string' || text === '')) fault(`an empty ${kind}`)
        if (kind === 'input_json_delta') json += String(text)
        outline.push(
          kind === 'signature_delta' || kind === 'citations_delta'
            ? `${String(index)} ${kind}`
            : `${String(index)} + ${shown(text)}`,
        )
        return
      }
      case 'content_block_stop':
        if (open === undefined || index !== types.length - 1)
          fault(`a stop of block ${shown(index)}, which is not open`)
        outline.push(`${String(index)} stop`)
        if (open === 'tool_use' && json !== '' && !isObjectJson(json)) outline.push(`${String(index)} broken json`)
        open = undefined
        return
      case 'message_delta': {
        if (state !== 'started' || open !== undefined) fault('message_delta out of place')
        state = 'delta'
        stop = asObject(data['delta'])['stop_reason']
        if (!MESSAGE_STOPS.has(String(stop))) fault(`stop_reason ${shown(stop)}`)
        if (asObject(data['delta'])['stop_sequence'] === undefined) fault('message_delta without stop_sequence')
        if (typeof asObject(data['usage'])['output_tokens'] !== 'number') fault('message_delta without output_tokens')
        outline.push(`message_delta ${String(stop)}`)
        return
      }
      case 'message_stop':
        if (state !== 'delta') fault('message_stop without message_delta')
        outline.push('message_stop')
        state = 'over'
        end = 'complete'
        return
      default:
        fault(`unknown event ${type}`)
    }
  })
  if (stop === 'tool_use' && !types.includes('tool_use')) fault('stop_reason tool_use without a tool_use block')
  if (stop === 'end_turn' && types.includes('tool_use')) fault('stop_reason end_turn with a tool_use block')
  if (stop === 'tool_use' && outline.some((line) => line.endsWith('broken json')))
    fault('a called tool with broken JSON')
  if (end === 'nothing') fault('the stream ends without message_stop and without an error')
  return { end, outline }
}

function judgeMessageStart(message: JsonObject, fault: Fault): void {
  const { id, type, role, model, content, stop_reason: stopReason, stop_sequence: stopSequence, usage } = message
  if (typeof id !== 'string' || id === '' || type !== 'message' || role !== 'assistant' || typeof model !== 'string')
    fault(`message_start of ${shown({ id, type, role, model })}`)
  if (!Array.isArray(content) || content.length > 0) fault('message_start with content')
  if (stopReason !== null || stopSequence !== null) fault('message_start with a stop reason')
  for (const member of ['input_tokens', 'output_tokens', 'cache_creation_input_tokens', 'cache_read_input_tokens'])
    if (typeof asObject(usage)[member] !== 'number') fault(`message_start.usage.${member} is no number`)
}

function judgeBlockStart(block: JsonObject, toolIds: Set<unknown>, fault: Fault): void {
  switch (block['type']) {
    case 'text':
      if (block['text'] !== '') fault('a text block starts with text')
      return
    case 'thinking':
      if (block['thinking'] !== '' || typeof block['signature'] !== 'string')
        fault(`a thinking block starts as ${shown(block)}`)
      return
    case 'redacted_thinking':
      if (typeof block['data'] !== 'string' || block['data'] === '') fault('redacted_thinking without data')
      return
    case 'tool_use':
      if (typeof block['name'] !== 'string' || block['name'] === '') fault('tool_use without name')
      if (typeof block['id'] !== 'string' || !/^[A-Za-z0-9_-]+$/.test(block['id']))
        fault(`tool_use id ${shown(block['id'])}`)
      if (toolIds.has(block['id'])) fault(`tool_use id ${shown(block['id'])} twice`)
      toolIds.add(block['id'])
      if (shown(block['input']) !== '{}') fault('tool_use starts with input')
      return
    default:
      fault(`unknown block ${shown(block['type'])}`)
  }
}

function isObjectJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

// Responses

const RESPONSE_ENDS: Readonly<Record<string, string>> = {
  'response.completed': 'completed',
  'response.incomplete': 'incomplete',
  'response.failed': 'failed',
}
/** Events that add to an item, and the member of its last event and of the item that must be the sum. */
const TEXT_EVENTS: Readonly<Record<string, string>> = {
  'response.output_text': 'text',
  'response.refusal': 'refusal',
  'response.reasoning_text': 'text',
  'response.reasoning_summary_text': 'text',
  'response.function_call_arguments': 'arguments',
  'response.custom_tool_call_input': 'input',
}
const ITEM_OF_TEXT: Readonly<Record<string, string>> = {
  'response.output_text': 'message',
  'response.refusal': 'message',
  'response.reasoning_text': 'reasoning',
  'response.reasoning_summary_text': 'reasoning',
  'response.function_call_arguments': 'function_call',
  'response.custom_tool_call_input': 'custom_tool_call',
}

interface OpenItem {
  readonly index: number
  readonly id: string
  readonly type: string
  /** Finished parts: content, or summary. */
  readonly parts: JsonObject[]
  part: string | undefined
  text: string
  isTextDone: boolean
  hasText: boolean
}

function judgeResponses(frames: readonly Frame[], fault: Fault): Judged {
  const outline: string[] = []
  const done: JsonObject[] = []
  const ids = new Set<string>()
  let responseId: unknown
  let open: OpenItem | undefined
  let end = 'nothing' as Judged['end']

  frames.forEach(({ name, data }, at) => {
    if (data === '[DONE]') return fault('Responses has no [DONE]')
    const type = String(data['type'])
    if (name !== type) fault(`event line ${shown(name)} over type ${type}`)
    if (data['sequence_number'] !== at) fault(`sequence_number ${shown(data['sequence_number'])} of event ${at}`)
    if (end !== 'nothing') fault(`${type} after the end`)
    if (at === 0 && type !== 'response.created') fault(`begins with ${type}`)
    if (at === 1 && type !== 'response.in_progress' && type !== 'response.failed') fault(`goes on with ${type}`)
    const short = type.replace(/^response\./, '')
    if (['response.created', 'response.in_progress', ...Object.keys(RESPONSE_ENDS)].includes(type)) {
      const response = asObject(data['response'])
      responseId ??= response['id']
      if (response['id'] !== responseId || typeof response['id'] !== 'string' || response['id'] === '')
        fault(`response id ${shown(response['id'])}`)
      judgeResponse(response, RESPONSE_ENDS[type] ?? 'in_progress', done, fault)
      outline.push(short)
      if (RESPONSE_ENDS[type] === undefined) return
      if (open !== undefined && type !== 'response.failed') fault(`${type} with an open item`)
      end = type === 'response.failed' ? 'error' : 'complete'
      return
    }
    if (type === 'error') return fault('an error event: Codex takes it for a lost connection')
    if (at < 2) fault(`${type} before response.in_progress`)
    const index = data['output_index']
    if (type === 'response.output_item.added') {
      const item = asObject(data['item'])
      if (open !== undefined) fault('an item starts inside another')
      if (index !== done.length) fault(`output_index ${shown(index)} of item ${done.length}`)
      const id = String(item['id'])
      if (typeof item['id'] !== 'string' || id === '' || id.length > 64 || ids.has(id))
        fault(`item id ${shown(item['id'])}`)
      ids.add(id)
      open = {
        index: done.length,
        id,
        type: String(item['type']),
        parts: [],
        part: undefined,
        text: '',
        isTextDone: false,
        hasText: false,
      }
      judgeNewItem(item, fault)
      const named = typeof item['name'] === 'string' ? ` ${item['name']}` : ''
      outline.push(`${String(index)} ${open.type}${named}`)
      return
    }
    if (open === undefined || index !== open.index) return fault(`${type} for item ${shown(index)}, which is not open`)
    if (type === 'response.output_item.done') {
      const item = asObject(data['item'])
      judgeDoneItem(item, open, fault)
      done.push(item)
      open = undefined
      outline.push(`${String(index)} done`)
      return
    }
    if (data['item_id'] !== open.id) fault(`${type} with item_id ${shown(data['item_id'])} for ${open.id}`)
    const line = judgeItemEvent(type, data, open, fault)
    if (line !== undefined) outline.push(`${open.index} ${line}`)
  })
  if (end === 'nothing') fault('the stream ends without completed, incomplete or failed')
  return { end, outline }
}

function judgeResponse(response: JsonObject, status: string, done: readonly JsonObject[], fault: Fault): void {
  if (response['object'] !== 'response') fault(`object ${shown(response['object'])}`)
  if (response['status'] !== status) fault(`status ${shown(response['status'])} for ${status}`)
  if (typeof response['created_at'] !== 'number' || typeof response['model'] !== 'string')
    fault('a response without created_at or model')
  if (!Array.isArray(response['output'])) fault('a response without output')
  for (const member of ['tools', 'tool_choice', 'parallel_tool_calls', 'error', 'incomplete_details'])
    if (response[member] === undefined && status !== 'failed') fault(`a response without ${member}`)
  if ((response['incomplete_details'] ?? null) === null ? status === 'incomplete' : status !== 'incomplete')
    fault(`incomplete_details ${shown(response['incomplete_details'])} with status ${status}`)
  if ((response['error'] ?? null) === null ? status === 'failed' : status !== 'failed')
    fault(`error ${shown(response['error'])} with status ${status}`)
  if (status === 'in_progress' && asList(response['output']).length > 0) fault('a response in progress with output')
  if (status === 'completed' || status === 'incomplete') {
    if (shown(response['output']) !== shown(done))
      fault(`output is not what was streamed: ${shown(response['output'])} for ${shown(done)}`)
    judgeResponseUsage(response['usage'], fault)
  }
}

function judgeResponseUsage(value: unknown, fault: Fault): void {
  if (value === null) return
  const usage = asObject(value)
  for (const member of ['input_tokens', 'output_tokens', 'total_tokens'])
    if (typeof usage[member] !== 'number') fault(`usage.${member} ${shown(usage[member])}`)
  if (typeof asObject(usage['input_tokens_details'])['cached_tokens'] !== 'number') fault('usage without cached_tokens')
  if (typeof asObject(usage['output_tokens_details'])['reasoning_tokens'] !== 'number')
    fault('usage without reasoning_tokens')
}

function judgeNewItem(item: JsonObject, fault: Fault): void {
  const emptyMembers: Readonly<Record<string, readonly string[]>> = {
    message: ['content'],
    reasoning: ['summary'],
    function_call: ['arguments'],
    custom_tool_call: ['input'],
  }
  for (const member of emptyMembers[String(item['type'])] ?? [])
    if (!['[]', '""'].includes(shown(item[member])))
      fault(`a new ${String(item['type'])} with ${member} ${shown(item[member])}`)
  // What the provider runs itself is answered by nobody.
  const isClients = String(item['type']).endsWith('_call') && item['type'] !== 'web_search_call'
  if (isClients && (typeof item['call_id'] !== 'string' || item['call_id'] === '')) fault('a call without call_id')
  if (item['type'] === 'message' && (item['role'] !== 'assistant' || item['status'] !== 'in_progress'))
    fault(`a new message as ${shown(item)}`)
}

function judgeDoneItem(item: JsonObject, open: OpenItem, fault: Fault): void {
  if (item['id'] !== open.id || item['type'] !== open.type)
    fault(`item ${open.id} ends as ${shown(item['id'])} ${shown(item['type'])}`)
  if (open.part !== undefined) fault(`item ${open.id} ends with an open part`)
  if (item['type'] === 'message') {
    if (!['completed', 'incomplete'].includes(String(item['status'])))
      fault(`a done message is ${shown(item['status'])}`)
    if (shown(item['content']) !== shown(open.parts))
      fault(`message content ${shown(item['content'])} after parts ${shown(open.parts)}`)
  }
  if (item['type'] === 'reasoning') {
    const streamed = open.parts.map(({ type, text }) => `${String(type)} ${String(text)}`)
    const held = [...asList(item['summary']), ...asList(item['content'])].map(
      (part) => `${String(asObject(part)['type'])} ${String(asObject(part)['text'])}`,
    )
    if (shown(streamed) !== shown(held)) fault(`reasoning ${shown(held)} after parts ${shown(streamed)}`)
  }
  const member =
    item['type'] === 'function_call' ? 'arguments' : item['type'] === 'custom_tool_call' ? 'input' : undefined
  if (member === undefined) return
  if (item[member] !== open.text) fault(`${member} ${shown(item[member])} after deltas ${shown(open.text)}`)
  if (!open.isTextDone) fault(`a call without its ${member}.done`)
}

/** A delta, a done, or the start and end of a part. */
function judgeItemEvent(type: string, data: JsonObject, open: OpenItem, fault: Fault): string | undefined {
  const short = type.replace(/^response\./, '')
  if (type === 'response.content_part.added' || type === 'response.reasoning_summary_part.added') {
    const position = type === 'response.content_part.added' ? data['content_index'] : data['summary_index']
    if (open.part !== undefined) fault('a part starts inside another')
    if (position !== open.parts.length) fault(`part ${shown(position)} after ${open.parts.length - 1}`)
    const part = asObject(data['part'])
    open.part = String(part['type'])
    open.text = ''
    open.isTextDone = false
    if ((part['text'] ?? part['refusal']) !== '') fault(`a part starts as ${shown(part)}`)
    return `part ${open.part}`
  }
  if (type === 'response.content_part.done' || type === 'response.reasoning_summary_part.done') {
    const part = asObject(data['part'])
    if (part['type'] !== open.part) fault(`a ${shown(part['type'])} part ends in a ${open.part ?? 'closed'} one`)
    if ((part['text'] ?? part['refusal']) !== open.text) fault(`part ${shown(part)} after deltas ${shown(open.text)}`)
    if (!open.isTextDone) fault('a part ends before its text')
    open.parts.push(part)
    open.part = undefined
    return 'part done'
  }
  if (type === 'response.output_text.annotation.added') {
    if (open.part !== 'output_text') fault('an annotation outside an output_text part')
    return 'annotation'
  }
  const stem = type.replace(/\.(?:delta|done)$/, '')
  const member = TEXT_EVENTS[stem]
  if (member === undefined) {
    fault(`unknown event ${type}`)
    return short
  }
  if (ITEM_OF_TEXT[stem] !== open.type) fault(`${type} in a ${open.type}`)
  // Reasoning text has no part events of its own in the vendor's streams; everything else in a message does.
  if (stem === 'response.reasoning_text' && open.part === undefined && type.endsWith('.delta') && !open.hasText) {
    open.text = ''
    open.isTextDone = false
  } else if ((open.type === 'message' || stem === 'response.reasoning_summary_text') && open.part === undefined) {
    fault(`${type} outside a part`)
  }
  open.hasText = true
  if (type.endsWith('.delta')) {
    if (typeof data['delta'] !== 'string' || data['delta'] === '') fault(`an empty ${type}`)
    if (open.isTextDone) fault(`${type} after its done`)
    open.text += String(data['delta'])
    return `+ ${shown(data['delta'])}`
  }
  if (data[member] !== open.text) fault(`${type} ${shown(data[member])} after deltas ${shown(open.text)}`)
  if (open.isTextDone) fault(`a second ${type}`)
  open.isTextDone = true
  if (stem === 'response.reasoning_text' && open.part === undefined)
    open.parts.push({ type: 'reasoning_text', text: open.text })
  return undefined
}
