/**
 * What the scripted provider says by itself, in the words of each vendor. Written after the SDKs' types and
 * recorded streams, apart from the product's own answers, so that a common mistake would show.
 */
import type { RecordedRequest, ScriptedReply } from './scripted-provider.ts'

/** The default answer: a text, and the tool that is called first where a request brings tools. */
export interface DefaultAnswer {
  /** "The answer is forty-two." unless given. */
  readonly text?: string
  /** Readable reasoning before the text; none unless given. */
  readonly reasoning?: string
  /** The tool to call; the first function the request offers unless given, `false` for none. */
  readonly toolCall?: ToolCall | false
  /** Wait before each token of a streamed text, in ms. */
  readonly tokenDelayMs?: number
}

/** A call of a tool. */
export interface ToolCall {
  readonly name: string
  /** Of a function, its arguments; of a freeform tool, which only Responses has, its text. */
  readonly arguments: Readonly<Record<string, unknown>> | string
  /** The group the tool was offered in, which only Responses has. */
  readonly namespace?: string
  /** For the search that the client itself does, which only Responses has. */
  readonly type?: 'tool_search'
}

/** What a model says in one turn: why, what, and what it calls. */
export interface Turn {
  readonly reasoning?: string
  /** "The answer is forty-two." unless given, or nothing beside calls. */
  readonly text?: string
  readonly calls?: readonly ToolCall[]
}

/** Counts every default answer reports. */
export const DEFAULT_USAGE = { inputTokens: 21, cachedInputTokens: 5, outputTokens: 7 } as const

/** What the model signs its thinking with in Messages, and asks back. */
export const THINKING_SIGNATURE = 'c2lnbmF0dXJl'

/** The text every default answer says. */
export const DEFAULT_TEXT = 'The answer is forty-two.'

type Json = Readonly<Record<string, unknown>>
type Pieces = readonly (string | number)[]

interface Answer {
  readonly model: string
  readonly text: string | undefined
  readonly reasoning: string | undefined
  /** With what each call's id ends in. */
  readonly calls: readonly (ToolCall & { readonly id: string })[]
  readonly delayMs: number
  /** Distinct for every request: Claude Code merges answers with the same id. */
  readonly id: string
}

/** The body of `GET /v1/models`. */
export function modelList(models: readonly (string | { readonly id: string })[]): string {
  const data = models.map((model) => ({
    object: 'model',
    created: 1_760_000_000,
    owned_by: 'test',
    ...(typeof model === 'string' ? { id: model } : model),
  }))
  return JSON.stringify({ object: 'list', data })
}

/** The answer to a request nothing was scripted for. */
export function defaultReply(request: RecordedRequest, options: DefaultAnswer): ScriptedReply {
  const body = asJson(request.json)
  const call = options.toolCall === false || hasToolResult(body) ? undefined : chooseCall(body, options.toolCall)
  const { text = DEFAULT_TEXT, reasoning, tokenDelayMs } = options
  const said = call === undefined ? { text } : { calls: [call] }
  return answerWith(request, { ...said, ...(reasoning === undefined ? {} : { reasoning }) }, tokenDelayMs)
}

/** The answer to a request whose turn is decided. */
export function answerWith(request: RecordedRequest, turn: Turn, tokenDelayMs = 0): ScriptedReply {
  const body = asJson(request.json)
  const endpoint = request.path.split('?')[0]?.replace(/^.*\/v1/, '') ?? ''
  answersGiven += 1
  const id = `scripted${answersGiven}`
  const { reasoning, calls = [], text = calls.length > 0 ? undefined : DEFAULT_TEXT } = turn
  const answer: Answer = {
    model: String(body['model']),
    text,
    reasoning,
    calls: calls.map((call, index) => ({ ...call, id: index === 0 ? id : `${id}_${index}` })),
    delayMs: tokenDelayMs,
    id,
  }
  switch (endpoint) {
    case '/chat/completions':
      return reply(body, chatBody(answer), () =>
        chatStream(answer, asJson(body['stream_options'])['include_usage'] === true),
      )
    case '/responses':
      return reply(body, responseBody(answer), () => responseStream(answer))
    case '/messages':
      return reply(body, messageBody(answer), () => messageStream(answer))
    case '/messages/count_tokens':
      return { body: JSON.stringify({ input_tokens: DEFAULT_USAGE.inputTokens }) }
    case '/embeddings':
      return { body: embeddingsBody(body) }
    default:
      return {
        status: 404,
        body: JSON.stringify({ error: { message: `no route ${request.path}`, type: 'not_found_error' } }),
      }
  }
}

function reply(body: Json, whole: Json, stream: () => Pieces): ScriptedReply {
  if (body['stream'] !== true) return { body: JSON.stringify(whole) }
  return { headers: { 'content-type': 'text/event-stream' }, body: stream() }
}

let answersGiven = 0

function hasToolResult(body: Json): boolean {
  const turns = [...asItems(body['messages']), ...asItems(body['input'])]
  return turns.some(
    (turn) =>
      turn['role'] === 'tool' ||
      String(turn['type']).endsWith('_call_output') ||
      asItems(turn['content']).some((block) => block['type'] === 'tool_result'),
  )
}

/** The first function among the tools of any dialect, with a value for each argument it requires. */
function chooseCall(body: Json, wanted: ToolCall | undefined): ToolCall | undefined {
  const tools = asItems(body['tools']).map((tool) => ({ ...tool, ...asJson(tool['function']) }) as Json)
  if (tools.length === 0 || wanted !== undefined) return tools.length === 0 ? undefined : wanted
  const first = tools.find((tool) => asJson(tool['parameters'] ?? tool['input_schema'])['type'] === 'object')
  if (first === undefined) return undefined
  const schema = asJson(first['parameters'] ?? first['input_schema'])
  const properties = asJson(schema['properties'])
  const required = Array.isArray(schema['required']) ? schema['required'].map(String) : []
  return {
    name: String(first['name']),
    arguments: Object.fromEntries(required.map((name) => [name, sampleOf(asJson(properties[name]))])),
  }
}

function sampleOf(schema: Json): unknown {
  const { type, enum: choices } = schema
  if (Array.isArray(choices)) return choices[0]
  if (type === 'number' || type === 'integer') return 1
  if (type === 'boolean') return true
  if (type === 'array') return []
  if (type === 'object') return {}
  return 'sample'
}

function tokensOf(answer: Answer, text: string, toFrame: (token: string) => string): Pieces {
  const tokens = text.match(/\s*\S+/g) ?? []
  return tokens.flatMap((token) => (answer.delayMs > 0 ? [answer.delayMs, toFrame(token)] : [toFrame(token)]))
}

/** A call's arguments as text. */
function writtenArguments({ arguments: given }: ToolCall): string {
  return typeof given === 'string' ? given : JSON.stringify(given)
}

/** Arguments arrive in pieces, as models send them. */
function halves(text: string): readonly [string, string] {
  const middle = Math.ceil(text.length / 2)
  return [text.slice(0, middle), text.slice(middle)]
}

// Chat Completions

const CHAT_USAGE = {
  prompt_tokens: DEFAULT_USAGE.inputTokens,
  prompt_tokens_details: { cached_tokens: DEFAULT_USAGE.cachedInputTokens },
  completion_tokens: DEFAULT_USAGE.outputTokens,
  total_tokens: DEFAULT_USAGE.inputTokens + DEFAULT_USAGE.outputTokens,
}

function chatBody(answer: Answer): Json {
  const toolCalls = answer.calls.map((call) => ({
    id: `call_${call.id}`,
    type: 'function',
    function: { name: call.name, arguments: writtenArguments(call) },
  }))
  const message = {
    role: 'assistant',
    content: answer.text ?? null,
    refusal: null,
    ...(answer.reasoning === undefined ? {} : { reasoning_content: answer.reasoning }),
    ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
  }
  return {
    id: `chatcmpl-${answer.id}`,
    object: 'chat.completion',
    created: 1_760_000_000,
    model: answer.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: chatFinishOf(answer) }],
    usage: CHAT_USAGE,
  }
}

function chatFinishOf({ calls }: Answer): string {
  return calls.length === 0 ? 'stop' : 'tool_calls'
}

function chatStream(answer: Answer, includeUsage: boolean): Pieces {
  const frame = (members: Json): string =>
    `data: ${JSON.stringify({ id: `chatcmpl-${answer.id}`, object: 'chat.completion.chunk', created: 1_760_000_000, model: answer.model, ...members })}\n\n`
  const delta = (value: Json, finishReason: string | null = null): string =>
    frame({ choices: [{ index: 0, delta: value, logprobs: null, finish_reason: finishReason }] })
  const toolCall = (index: number, members: Json): string => delta({ tool_calls: [{ index, ...members }] })
  return [
    delta({ role: 'assistant', content: answer.text === undefined ? null : '' }),
    ...tokensOf(answer, answer.reasoning ?? '', (token) => delta({ reasoning_content: token })),
    ...tokensOf(answer, answer.text ?? '', (token) => delta({ content: token })),
    ...answer.calls.flatMap((call, index) => [
      toolCall(index, { id: `call_${call.id}`, type: 'function', function: { name: call.name, arguments: '' } }),
      ...halves(writtenArguments(call)).map((part) => toolCall(index, { function: { arguments: part } })),
    ]),
    delta({}, chatFinishOf(answer)),
    ...(includeUsage ? [frame({ choices: [], usage: CHAT_USAGE })] : []),
    'data: [DONE]\n\n',
  ]
}

// Responses

function responseItems(answer: Answer): readonly Json[] {
  const items: Json[] = []
  if (answer.reasoning !== undefined) {
    items.push({
      id: `rs_${answer.id}`,
      type: 'reasoning',
      summary: [{ type: 'summary_text', text: answer.reasoning }],
      encrypted_content: 'b3BhcXVl',
    })
  }
  if (answer.text !== undefined) {
    items.push({
      id: `msg_${answer.id}`,
      type: 'message',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: answer.text, annotations: [] }],
    })
  }
  return [...items, ...answer.calls.map((call) => responseCall(call))]
}

function responseCall(call: Answer['calls'][number]): Json {
  const { id, type, name, namespace, arguments: given } = call
  const base = { status: 'completed', call_id: `call_${id}` }
  if (type === 'tool_search') {
    return { id: `tsc_${id}`, type: 'tool_search_call', ...base, execution: 'client', arguments: given }
  }
  const named = { ...base, name, ...(namespace === undefined ? {} : { namespace }) }
  return typeof given === 'string'
    ? { id: `ctc_${id}`, type: 'custom_tool_call', ...named, input: given }
    : { id: `fc_${id}`, type: 'function_call', ...named, arguments: JSON.stringify(given) }
}

function responseBody(answer: Answer): Json {
  return {
    id: `resp_${answer.id}`,
    object: 'response',
    created_at: 1_760_000_000,
    status: 'completed',
    error: null,
    incomplete_details: null,
    model: answer.model,
    output: responseItems(answer),
    parallel_tool_calls: true,
    tool_choice: 'auto',
    tools: [],
    usage: {
      input_tokens: DEFAULT_USAGE.inputTokens,
      input_tokens_details: { cached_tokens: DEFAULT_USAGE.cachedInputTokens },
      output_tokens: DEFAULT_USAGE.outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: DEFAULT_USAGE.inputTokens + DEFAULT_USAGE.outputTokens,
    },
  }
}

function responseStream(answer: Answer): Pieces {
  let sequenceNumber = 0
  const event = (type: string, members: Json): string => {
    const data = JSON.stringify({ type, sequence_number: sequenceNumber, ...members })
    sequenceNumber += 1
    return `event: ${type}\ndata: ${data}\n\n`
  }
  const whole = responseBody(answer)
  const started = { ...whole, status: 'in_progress', output: [], usage: null }
  const pieces: (string | number)[] = [
    event('response.created', { response: started }),
    event('response.in_progress', { response: started }),
  ]
  responseItems(answer).forEach((item, index) => {
    const place = { item_id: item['id'], output_index: index }
    switch (item['type']) {
      case 'reasoning': {
        const part = { type: 'summary_text', text: answer.reasoning }
        pieces.push(
          event('response.output_item.added', { output_index: index, item: { ...item, summary: [] } }),
          event('response.reasoning_summary_part.added', { ...place, summary_index: 0, part: { ...part, text: '' } }),
          ...tokensOf(answer, answer.reasoning ?? '', (delta) =>
            event('response.reasoning_summary_text.delta', { ...place, summary_index: 0, delta }),
          ),
          event('response.reasoning_summary_text.done', { ...place, summary_index: 0, text: answer.reasoning }),
          event('response.reasoning_summary_part.done', { ...place, summary_index: 0, part }),
        )
        break
      }
      case 'message': {
        const part = { type: 'output_text', text: answer.text, annotations: [] }
        pieces.push(
          event('response.output_item.added', {
            output_index: index,
            item: { ...item, status: 'in_progress', content: [] },
          }),
          event('response.content_part.added', { ...place, content_index: 0, part: { ...part, text: '' } }),
          ...tokensOf(answer, answer.text ?? '', (delta) =>
            event('response.output_text.delta', { ...place, content_index: 0, delta }),
          ),
          event('response.output_text.done', { ...place, content_index: 0, text: answer.text }),
          event('response.content_part.done', { ...place, content_index: 0, part }),
        )
        break
      }
      case 'tool_search_call':
        pieces.push(event('response.output_item.added', { output_index: index, item: { ...item, arguments: {} } }))
        break
      default: {
        const isFreeform = item['type'] === 'custom_tool_call'
        const member = isFreeform ? 'input' : 'arguments'
        const kind = isFreeform ? 'response.custom_tool_call_input' : 'response.function_call_arguments'
        pieces.push(
          event('response.output_item.added', {
            output_index: index,
            item: { ...item, status: 'in_progress', [member]: '' },
          }),
          ...halves(String(item[member])).map((delta) => event(`${kind}.delta`, { ...place, delta })),
          event(`${kind}.done`, { ...place, [member]: item[member] }),
        )
      }
    }
    pieces.push(event('response.output_item.done', { output_index: index, item }))
  })
  return [...pieces, event('response.completed', { response: whole })]
}

// Messages

const FRESH_INPUT_TOKENS = DEFAULT_USAGE.inputTokens - DEFAULT_USAGE.cachedInputTokens

function messageUsage(outputTokens: number): Json {
  return {
    input_tokens: FRESH_INPUT_TOKENS,
    cache_read_input_tokens: DEFAULT_USAGE.cachedInputTokens,
    cache_creation_input_tokens: 0,
    output_tokens: outputTokens,
  }
}

function messageBlocks(answer: Answer): readonly Json[] {
  const { text, reasoning, calls } = answer
  return [
    ...(reasoning === undefined ? [] : [{ type: 'thinking', thinking: reasoning, signature: THINKING_SIGNATURE }]),
    ...(text === undefined ? [] : [{ type: 'text', text }]),
    ...calls.map(({ id, name, arguments: input }) => ({ type: 'tool_use', id: `toolu_${id}`, name, input })),
  ]
}

function messageBody(answer: Answer): Json {
  return {
    id: `msg_${answer.id}`,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content: messageBlocks(answer),
    stop_reason: answer.calls.length === 0 ? 'end_turn' : 'tool_use',
    stop_sequence: null,
    usage: messageUsage(DEFAULT_USAGE.outputTokens),
  }
}

function messageStream(answer: Answer): Pieces {
  const event = (type: string, members: Json): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  const whole = messageBody(answer)
  const pieces: (string | number)[] = [
    event('message_start', { message: { ...whole, content: [], stop_reason: null, usage: messageUsage(1) } }),
    event('ping', {}),
  ]
  messageBlocks(answer).forEach((block, index) => {
    const delta = (value: Json): string => event('content_block_delta', { index, delta: value })
    switch (block['type']) {
      case 'thinking':
        pieces.push(
          event('content_block_start', { index, content_block: { type: 'thinking', thinking: '', signature: '' } }),
          ...tokensOf(answer, answer.reasoning ?? '', (thinking) => delta({ type: 'thinking_delta', thinking })),
          delta({ type: 'signature_delta', signature: block['signature'] }),
        )
        break
      case 'text':
        pieces.push(
          event('content_block_start', { index, content_block: { type: 'text', text: '' } }),
          ...tokensOf(answer, answer.text ?? '', (text) => delta({ type: 'text_delta', text })),
        )
        break
      default:
        pieces.push(
          event('content_block_start', { index, content_block: { ...block, input: {} } }),
          ...halves(JSON.stringify(block['input'])).map((part) =>
            delta({ type: 'input_json_delta', partial_json: part }),
          ),
        )
    }
    pieces.push(event('content_block_stop', { index }))
  })
  return [
    ...pieces,
    event('message_delta', {
      delta: { stop_reason: whole['stop_reason'], stop_sequence: null },
      usage: { output_tokens: DEFAULT_USAGE.outputTokens },
    }),
    event('message_stop', {}),
  ]
}

// Embeddings

function embeddingsBody(body: Json): string {
  const inputs = Array.isArray(body['input']) ? body['input'] : [body['input']]
  const vector = new Float32Array([0.6, 0.8])
  const embedding = body['encoding_format'] === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector]
  const data = inputs.map((_, index) => ({ object: 'embedding', index, embedding }))
  const usage = { prompt_tokens: DEFAULT_USAGE.inputTokens, total_tokens: DEFAULT_USAGE.inputTokens }
  return JSON.stringify({ object: 'list', data, model: body['model'], usage })
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

function asItems(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(asJson) : []
}
