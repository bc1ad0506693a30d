/**
 * What the provider of the dialects' bench says, in each dialect: some text, and a call of a tool.
 */
import type { Dialect } from '../../src/dialects/dialect.ts'
import { agentRequest } from './dialects-requests.ts'

const ID = 'bench'
const CALL_ID = 'call_bench'
const TOOL = 'tool_0'
/** Both the text and the path that the tool is called with consist of it. */
const TOKEN = 'word '
const JSON_START = '{"path":"'
const JSON_END = '"}'
const INPUT_TOKENS = 100
const WHOLE_TOKENS = 40

/** A whole answer of some 500 bytes; one of Responses repeats the instructions and tools of a request of `requestBytes` too. */
export function wholeAnswer(dialect: Dialect, requestBytes: number): Buffer {
  const { text, json } = said(WHOLE_TOKENS)
  const { instructions, tools } = JSON.parse(agentRequest(dialect, ID, false, requestBytes)) as Record<string, unknown>
  const settings = dialect === 'openai-responses' ? { instructions, tools } : {}
  return Buffer.from(JSON.stringify({ ...WHOLES[dialect](text, json, WHOLE_TOKENS), ...settings }))
}

/**
 * A stream, as the pieces that are written: one for each token, the first half of them text, the others pieces of a tool's
 * arguments; what opens a block comes with its first token, what closes the answer as a piece of its own.
 */
export function streamedAnswer(dialect: Dialect, tokens: number): readonly Buffer[] {
  const textTokens = Math.ceil(tokens / 2)
  const script = SCRIPTS[dialect](tokens)
  let sequence = 0
  const write = (events: readonly object[]): Buffer =>
    Buffer.from(
      events
        .map((event) => {
          if (dialect === 'openai-chat') return `data: ${JSON.stringify(event)}\n\n`
          const numbered = dialect === 'openai-responses' ? { ...event, sequence_number: sequence++ } : event
          return `event: ${String((event as { readonly type?: string }).type)}\ndata: ${JSON.stringify(numbered)}\n\n`
        })
        .join(''),
    )
  const pieces = Array.from({ length: tokens }, (_, index) => {
    if (index === 0) return write([...script.opening, script.text])
    if (index === textTokens) return write([...script.turn, script.json])
    return write([index < textTokens ? script.text : script.json])
  })
  const closing = write(script.closing)
  return [...pieces, dialect === 'openai-chat' ? Buffer.concat([closing, Buffer.from('data: [DONE]\n\n')]) : closing]
}

interface Script {
  /** Before the first token. */
  readonly opening: readonly object[]
  readonly text: object
  /** From the text to the tool's arguments. */
  readonly turn: readonly object[]
  readonly json: object
  readonly closing: readonly object[]
}

const WHOLES: Readonly<Record<Dialect, (text: string, json: string, tokens: number) => object>> = {
  'openai-chat': (text, json, tokens) => ({
    id: ID,
    object: 'chat.completion',
    created: 1_700_000_000,
    model: ID,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text,
          tool_calls: [{ id: CALL_ID, type: 'function', function: { name: TOOL, arguments: json } }],
        },
        finish_reason: 'tool_calls',
      },
    ],
    usage: chatUsage(tokens),
  }),
  'openai-responses': (text, json, tokens) => response('completed', [message(text), functionCall(json)], tokens),
  'anthropic-messages': (text, json, tokens) => ({
    ...startedMessage(tokens),
    content: [
      { type: 'text', text },
      { type: 'tool_use', id: CALL_ID, name: TOOL, input: JSON.parse(json) as object },
    ],
    stop_reason: 'tool_use',
  }),
}

const SCRIPTS: Readonly<Record<Dialect, (tokens: number) => Script>> = {
  'openai-chat': (tokens) => {
    const called = (call: object) => chunk({ tool_calls: [{ index: 0, ...call }] })
    return {
      opening: [chunk({ role: 'assistant', content: '' })],
      text: chunk({ content: TOKEN }),
      turn: [called({ id: CALL_ID, type: 'function', function: { name: TOOL, arguments: JSON_START } })],
      json: called({ function: { arguments: TOKEN } }),
      closing: [
        called({ function: { arguments: JSON_END } }),
        chunk({}, 'tool_calls'),
        { ...chunk({}), choices: [], usage: chatUsage(tokens) },
      ],
    }
  },
  'openai-responses': (tokens) => {
    const { text, json } = said(tokens)
    const inText = { item_id: 'msg_bench', output_index: 0, content_index: 0 }
    const inCall = { item_id: 'fc_bench', output_index: 1 }
    const jsonDelta = (delta: string) => ({ type: 'response.function_call_arguments.delta', ...inCall, delta })
    return {
      opening: [
        { type: 'response.created', response: response('in_progress', [], undefined) },
        { type: 'response.in_progress', response: response('in_progress', [], undefined) },
        { type: 'response.output_item.added', output_index: 0, item: { ...message(''), content: [] } },
        { type: 'response.content_part.added', ...inText, part: outputText('') },
      ],
      text: { type: 'response.output_text.delta', ...inText, delta: TOKEN, logprobs: [] },
      turn: [
        { type: 'response.output_text.done', ...inText, text, logprobs: [] },
        { type: 'response.content_part.done', ...inText, part: outputText(text) },
        { type: 'response.output_item.done', output_index: 0, item: message(text) },
        { type: 'response.output_item.added', output_index: 1, item: functionCall('') },
        jsonDelta(JSON_START),
      ],
      json: jsonDelta(TOKEN),
      closing: [
        jsonDelta(JSON_END),
        { type: 'response.function_call_arguments.done', ...inCall, name: TOOL, arguments: json },
        { type: 'response.output_item.done', output_index: 1, item: functionCall(json) },
        { type: 'response.completed', response: response('completed', [message(text), functionCall(json)], tokens) },
      ],
    }
  },
  'anthropic-messages': (tokens) => {
    const delta = (index: number, value: object) => ({ type: 'content_block_delta', index, delta: value })
    const jsonDelta = (json: string) => delta(1, { type: 'input_json_delta', partial_json: json })
    return {
      opening: [
        { type: 'message_start', message: startedMessage(1) },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      ],
      text: delta(0, { type: 'text_delta', text: TOKEN }),
      turn: [
        { type: 'content_block_stop', index: 0 },
        {
          type: 'content_block_start',
          index: 1,
          content_block: { type: 'tool_use', id: CALL_ID, name: TOOL, input: {} },
        },
        jsonDelta(JSON_START),
      ],
      json: jsonDelta(TOKEN),
      closing: [
        jsonDelta(JSON_END),
        { type: 'content_block_stop', index: 1 },
        {
          type: 'message_delta',
          delta: { stop_reason: 'tool_use', stop_sequence: null },
          usage: { output_tokens: tokens },
        },
        { type: 'message_stop' },
      ],
    }
  },
}

/** What an answer of so many tokens says altogether. */
function said(tokens: number): { readonly text: string; readonly json: string } {
  const textTokens = Math.ceil(tokens / 2)
  return { text: TOKEN.repeat(textTokens), json: JSON_START + TOKEN.repeat(tokens - textTokens) + JSON_END }
}

function chunk(delta: object, finish: string | null = null) {
  const choices = [{ index: 0, delta, finish_reason: finish }]
  return { id: ID, object: 'chat.completion.chunk', created: 1_700_000_000, model: ID, choices }
}

function chatUsage(tokens: number): object {
  return { prompt_tokens: INPUT_TOKENS, completion_tokens: tokens, total_tokens: INPUT_TOKENS + tokens }
}

function startedMessage(outputTokens: number): object {
  return {
    id: 'msg_bench',
    type: 'message',
    role: 'assistant',
    model: ID,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: INPUT_TOKENS, output_tokens: outputTokens },
  }
}

function response(status: string, output: readonly object[], tokens: number | undefined): object {
  const usage =
    tokens === undefined
      ? null
      : {
          input_tokens: INPUT_TOKENS,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: tokens,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: INPUT_TOKENS + tokens,
        }
  return { id: 'resp_bench', object: 'response', created_at: 1_700_000_000, status, model: ID, output, usage }
}

function message(text: string): object {
  return { id: 'msg_bench', type: 'message', status: 'completed', role: 'assistant', content: [outputText(text)] }
}

function outputText(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function functionCall(json: string): object {
  return { id: 'fc_bench', type: 'function_call', status: 'completed', call_id: CALL_ID, name: TOOL, arguments: json }
}
