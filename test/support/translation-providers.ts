/**
 * What providers of each dialect send: streams from their events, and the stream a provider would have sent for a whole answer.
 * Written after the vendors' documentation and recorded streams, apart from the product's own writers.
 */
import type { Dialect } from '../../src/dialects/dialect.ts'
import { asList, asObject, type JsonObject } from '../../src/dialects/json-value.ts'

/** The end of a Chat stream. */
export const DONE = 'data: [DONE]\n\n'

const CHUNK = { id: 'chatcmpl-p1', object: 'chat.completion.chunk', created: 1_750_000_000, model: 'provider-model' }

/**
 * A stream of Chat Completions. A text stands there as it is; a value with `choices` or `error` is a whole chunk; any other one
 * is the first choice's members, such as `{delta: {content: "x"}}` or `{finish_reason: "stop"}`.
 */
export function chatSse(...chunks: readonly (JsonObject | string)[]): string {
  return chunks
    .map((chunk) => {
      if (typeof chunk === 'string') return chunk
      const isWhole = chunk['choices'] !== undefined || chunk['error'] !== undefined
      const value = isWhole
        ? { ...(chunk['error'] === undefined ? CHUNK : {}), ...chunk }
        : { ...CHUNK, choices: [{ index: 0, delta: {}, finish_reason: null, ...chunk }] }
      return `data: ${JSON.stringify(value)}\n\n`
    })
    .join('')
}

/** A stream of Messages: events as they are. */
export function messagesSse(...events: readonly (JsonObject | string)[]): string {
  return events
    .map((event) =>
      typeof event === 'string' ? event : `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`,
    )
    .join('')
}

/** A stream of Responses: events without their `response.` and sequence numbers, which are added. */
export function responsesSse(...events: readonly (JsonObject | string)[]): string {
  let sequenceNumber = -1
  return events
    .map((event) => {
      if (typeof event === 'string') return event
      sequenceNumber += 1
      const name = String(event['type'])
      const type = name === 'error' ? name : `response.${name}`
      return `event: ${type}\ndata: ${JSON.stringify({ ...event, type, sequence_number: sequenceNumber })}\n\n`
    })
    .join('')
}

/** Events of Messages around blocks. */
export const messages = {
  start: (usage: JsonObject = {}): JsonObject => ({
    type: 'message_start',
    message: {
      id: 'msg_p1',
      type: 'message',
      role: 'assistant',
      model: 'provider-model',
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: {
        input_tokens: 10,
        output_tokens: 1,
        cache_read_input_tokens: 0,
        cache_creation_input_tokens: 0,
        ...usage,
      },
    },
  }),
  /** A whole block, its text in the given pieces. */
  block: (index: number, block: JsonObject, ...deltas: readonly JsonObject[]): JsonObject[] => [
    { type: 'content_block_start', index, content_block: block },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ],
  text: (index: number, ...pieces: readonly string[]): JsonObject[] =>
    messages.block(index, { type: 'text', text: '' }, ...pieces.map((text) => ({ type: 'text_delta', text }))),
  tool: (index: number, id: string, name: string, ...pieces: readonly string[]): JsonObject[] =>
    messages.block(
      index,
      { type: 'tool_use', id, name, input: {} },
      ...pieces.map((json) => ({ type: 'input_json_delta', partial_json: json })),
    ),
  thinking: (index: number, signature: string, ...pieces: readonly string[]): JsonObject[] =>
    messages.block(
      index,
      { type: 'thinking', thinking: '', signature: '' },
      ...pieces.map((thinking) => ({ type: 'thinking_delta', thinking })),
      { type: 'signature_delta', signature },
    ),
  end: (stopReason: string, usage: JsonObject = { output_tokens: 5 }, delta: JsonObject = {}): JsonObject[] => [
    { type: 'message_delta', delta: { stop_reason: stopReason, stop_sequence: null, ...delta }, usage },
    { type: 'message_stop' },
  ],
}

const RESPONSE = {
  id: 'resp_p1',
  object: 'response',
  created_at: 1_750_000_000,
  model: 'provider-model',
  error: null,
  incomplete_details: null,
  parallel_tool_calls: true,
  tool_choice: 'auto',
  tools: [],
}

/** Events of Responses around items. */
export const responses = {
  start: (): JsonObject[] => {
    const response = { ...RESPONSE, status: 'in_progress', output: [], usage: null }
    return [
      { type: 'created', response },
      { type: 'in_progress', response },
    ]
  },
  end: (output: readonly JsonObject[], members: JsonObject = {}): JsonObject => {
    const response = { ...RESPONSE, status: 'completed', output, usage: responses.usage(10, 5), ...members }
    return { type: String(response.status), response }
  },
  usage: (input: number, output: number, cached = 0, reasoning = 0): JsonObject => ({
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
  }),
  /** The whole life of an item, its texts in pieces. */
  item: (index: number, item: JsonObject): JsonObject[] => responseItemEvents(index, item),
}

const cutText = (text: string): string[] => text.match(/[^]{1,7}/gu) ?? []

/** The stream a provider would have sent for a whole answer. */
export function streamOf(dialect: Dialect, answer: JsonObject): string {
  switch (dialect) {
    case 'openai-chat':
      return chatStreamOf(answer)
    case 'openai-responses':
      return responsesStreamOf(answer)
    case 'anthropic-messages':
      return messagesStreamOf(answer)
  }
}

function chatStreamOf(completion: JsonObject): string {
  const choice = asObject(asList(completion['choices'])[0])
  const { content, refusal, reasoning_content: reasoning, tool_calls: toolCalls } = asObject(choice['message'])
  const pieces: JsonObject[] = [{ delta: { role: 'assistant', content: '' } }]
  const add = (member: string, text: unknown): void => {
    if (typeof text === 'string') for (const piece of cutText(text)) pieces.push({ delta: { [member]: piece } })
  }
  add('reasoning_content', reasoning)
  add('content', content)
  add('refusal', refusal)
  asList(toolCalls).forEach((value, index) => {
    const { id, type, ...bodies } = asObject(value)
    const kind = String(type)
    const { name, ...texts } = asObject(bodies[kind])
    const [[member, text] = ['arguments', '']] = Object.entries(texts)
    pieces.push({ delta: { tool_calls: [{ index, id, type, [kind]: { name, [member]: '' } }] } })
    for (const piece of cutText(String(text)))
      pieces.push({ delta: { tool_calls: [{ index, [kind]: { [member]: piece } }] } })
  })
  return chatSse(
    ...pieces,
    { finish_reason: choice['finish_reason'] },
    ...(completion['usage'] === undefined ? [] : [{ choices: [], usage: completion['usage'] }]),
    DONE,
  )
}

function messagesStreamOf(message: JsonObject): string {
  const {
    content,
    stop_reason: stopReason,
    stop_sequence: stopSequence = null,
    stop_details: stopDetails,
    usage,
  } = message
  const counts = asObject(usage)
  const events = asList(content).flatMap((value, index): JsonObject[] => {
    const block = asObject(value)
    switch (block['type']) {
      case 'text':
        return messages.text(index, ...cutText(String(block['text'])))
      case 'thinking':
        return messages.thinking(index, String(block['signature']), ...cutText(String(block['thinking'])))
      case 'tool_use':
        return messages.tool(
          index,
          String(block['id']),
          String(block['name']),
          ...cutText(JSON.stringify(block['input'])),
        )
      default:
        return messages.block(index, block)
    }
  })
  return messagesSse(
    messages.start({ ...counts, output_tokens: 1 }),
    { type: 'ping' },
    ...events,
    ...messages.end(
      String(stopReason),
      { output_tokens: counts['output_tokens'], output_tokens_details: counts['output_tokens_details'] },
      {
        stop_sequence: stopSequence,
        ...(stopDetails === undefined ? {} : { stop_details: stopDetails }),
      },
    ),
  )
}

function responsesStreamOf(response: JsonObject): string {
  const output = asList(response['output']).map(asObject)
  return responsesSse(...responses.start(), ...output.flatMap((item, index) => responseItemEvents(index, item)), {
    type: String(response['status']),
    response: { ...RESPONSE, ...response },
  })
}

function responseItemEvents(index: number, item: JsonObject): JsonObject[] {
  const place = { item_id: item['id'], output_index: index }
  const texts = (kind: string, member: string, text: unknown, at: JsonObject): JsonObject[] => [
    ...cutText(String(text)).map((delta) => ({ type: `${kind}.delta`, ...at, delta })),
    { type: `${kind}.done`, ...at, [member]: text },
  ]
  const events = ((): JsonObject[] => {
    switch (item['type']) {
      case 'message':
        return asList(item['content']).flatMap((value, contentIndex) => {
          const part = asObject(value)
          const at = { ...place, content_index: contentIndex }
          const member = part['type'] === 'refusal' ? 'refusal' : 'text'
          return [
            { type: 'content_part.added', ...at, part: { ...part, [member]: '' } },
            ...texts(member === 'text' ? 'output_text' : 'refusal', member, part[member], at),
            { type: 'content_part.done', ...at, part },
          ]
        })
      case 'reasoning':
        return asList(item['summary']).flatMap((value, summaryIndex) => {
          const part = asObject(value)
          const at = { ...place, summary_index: summaryIndex }
          return [
            { type: 'reasoning_summary_part.added', ...at, part: { ...part, text: '' } },
            ...texts('reasoning_summary_text', 'text', part['text'], at),
            { type: 'reasoning_summary_part.done', ...at, part },
          ]
        })
      case 'function_call':
        return texts('function_call_arguments', 'arguments', item['arguments'], place)
      case 'custom_tool_call':
        return texts('custom_tool_call_input', 'input', item['input'], place)
      default:
        return []
    }
  })()
  const { encrypted_content: _hidden, ...shown } = item
  const started = {
    ...shown,
    ...(item['type'] === 'message' ? { status: 'in_progress', content: [] } : {}),
    ...(item['type'] === 'reasoning' ? { summary: [] } : {}),
    ...(item['type'] === 'function_call' ? { status: 'in_progress', arguments: '' } : {}),
    ...(item['type'] === 'custom_tool_call' ? { status: 'in_progress', input: '' } : {}),
  }
  return [
    { type: 'output_item.added', output_index: index, item: started },
    ...events,
    { type: 'output_item.done', output_index: index, item },
  ]
}

/** What a provider says, in no dialect's words. */
export interface Said {
  readonly reasoning?: string | undefined
  /** Anthropic's signature, or OpenAI's encrypted content. */
  readonly opaque?: string | undefined
  readonly text?: string | undefined
  readonly refusal?: string | undefined
  readonly calls?: readonly { readonly name: string; readonly input: JsonObject }[]
  /** Cut off by the limit. */
  readonly isCut?: boolean
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
}

/** The whole answer in which a provider of a dialect says it. */
export function wholeAnswerOf(dialect: Dialect, said: Said): JsonObject {
  switch (dialect) {
    case 'openai-chat':
      return wholeChat(said)
    case 'openai-responses':
      return wholeResponse(said)
    case 'anthropic-messages':
      return wholeMessage(said)
  }
}

function wholeChat({ reasoning, text, refusal, calls = [], isCut, ...counts }: Said): JsonObject {
  const toolCalls = calls.map(({ name, input }, index) => ({
    id: `call_${index}`,
    type: 'function',
    function: { name, arguments: JSON.stringify(input) },
  }))
  const finish = refusal === undefined ? (calls.length > 0 ? 'tool_calls' : 'stop') : 'content_filter'
  return {
    ...CHUNK,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text ?? null,
          refusal: refusal ?? null,
          ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
          ...(calls.length === 0 ? {} : { tool_calls: toolCalls }),
        },
        logprobs: null,
        finish_reason: isCut === true ? 'length' : finish,
      },
    ],
    usage: {
      prompt_tokens: counts.inputTokens,
      completion_tokens: counts.outputTokens,
      total_tokens: counts.inputTokens + counts.outputTokens,
      prompt_tokens_details: { cached_tokens: counts.cachedTokens },
      completion_tokens_details: { reasoning_tokens: counts.reasoningTokens },
    },
  }
}

function wholeResponse({ reasoning, opaque, text, refusal, calls = [], isCut, ...counts }: Said): JsonObject {
  const parts = [
    ...(text === undefined ? [] : [{ type: 'output_text', text, annotations: [] }]),
    ...(refusal === undefined ? [] : [{ type: 'refusal', refusal }]),
  ]
  const status = isCut === true ? 'incomplete' : 'completed'
  const hasReasoning = reasoning !== undefined || opaque !== undefined
  const summary = reasoning === undefined ? [] : [{ type: 'summary_text', text: reasoning }]
  return {
    ...RESPONSE,
    status,
    incomplete_details: isCut === true ? { reason: 'max_output_tokens' } : null,
    output: [
      ...(hasReasoning ? [{ id: 'rs_p1', type: 'reasoning', summary, encrypted_content: opaque ?? null }] : []),
      ...(parts.length === 0 ? [] : [{ id: 'msg_p1', type: 'message', role: 'assistant', status, content: parts }]),
      ...calls.map(({ name, input }, index) => ({
        id: `fc_${index}`,
        type: 'function_call',
        call_id: `call_${index}`,
        name,
        arguments: JSON.stringify(input),
        status: 'completed',
      })),
    ],
    usage: responses.usage(counts.inputTokens, counts.outputTokens, counts.cachedTokens, counts.reasoningTokens),
  }
}

function wholeMessage({ reasoning, opaque, text, refusal, calls = [], isCut, ...counts }: Said): JsonObject {
  const stop = refusal === undefined ? (calls.length > 0 ? 'tool_use' : 'end_turn') : 'refusal'
  const thinking =
    reasoning === undefined
      ? opaque === undefined
        ? []
        : [{ type: 'redacted_thinking', data: opaque }]
      : [{ type: 'thinking', thinking: reasoning, signature: opaque ?? 'c2lnbmF0dXJl' }]
  return {
    id: 'msg_p1',
    type: 'message',
    role: 'assistant',
    model: 'provider-model',
    content: [
      ...thinking,
      ...(text === undefined ? [] : [{ type: 'text', text }]),
      ...calls.map(({ name, input }, index) => ({ type: 'tool_use', id: `toolu_${index}`, name, input })),
    ],
    stop_reason: isCut === true ? 'max_tokens' : stop,
    stop_sequence: null,
    ...(refusal === undefined ? {} : { stop_details: { type: 'refusal', category: null, explanation: refusal } }),
    usage: {
      input_tokens: counts.inputTokens - counts.cachedTokens,
      cache_read_input_tokens: counts.cachedTokens,
      cache_creation_input_tokens: 0,
      output_tokens: counts.outputTokens,
      output_tokens_details: { thinking_tokens: counts.reasoningTokens },
    },
  }
}
