/**
 * The same agent's request in each dialect: instructions, tools with schemas, a history of calls with their results.
 */
import type { Dialect } from '../../src/dialects/dialect.ts'

const WORDS =
  'the file reads every line and returns what it finds; a missing value is "undefined", never zero, unless somebody says so'

const OUTPUT_TOKENS_MAX = 4_096

interface AgentRequest {
  readonly model: string
  readonly stream: boolean
  readonly instructions: string
  readonly tools: readonly { readonly name: string; readonly description: string; readonly schema: object }[]
  readonly calls: readonly {
    readonly id: string
    readonly name: string
    readonly json: string
    readonly result: string
  }[]
  readonly question: string
}

/** JSON of about `bodyBytes` bytes in `dialect`, the model first; the same arguments give the same text. */
export function agentRequest(dialect: Dialect, model: string, stream: boolean, bodyBytes: number): string {
  const isSmall = bodyBytes < 8_000
  const base: AgentRequest = {
    model,
    stream,
    instructions: lines('rule', Math.min(8_000, bodyBytes / 8)),
    tools: Array.from({ length: isSmall ? 1 : 12 }, (_, index) => tool(index, isSmall)),
    calls: [],
    question: 'Go on.',
  }
  const calls: AgentRequest['calls'][number][] = []
  const write = (): string => JSON.stringify(WRITERS[dialect]({ ...base, calls }))
  for (let left = bodyBytes - write().length, turn = 0; left > 400; left = bodyBytes - write().length, turn += 1) {
    const json = JSON.stringify({ path: `src/file-${turn}.ts` })
    calls.push({ id: `call_${turn}`, name: 'tool_0', json, result: lines(`file ${turn}`, Math.min(4_000, left - 300)) })
  }
  return write()
}

const WRITERS: Readonly<Record<Dialect, (request: AgentRequest) => object>> = {
  'openai-chat': ({ model, stream, instructions, tools, calls, question }) => ({
    model,
    stream,
    max_completion_tokens: OUTPUT_TOKENS_MAX,
    tools: tools.map(({ name, description, schema }) => ({
      type: 'function',
      function: { name, description, parameters: schema },
    })),
    messages: [
      { role: 'system', content: instructions },
      { role: 'user', content: question },
      ...calls.flatMap(({ id, name, json, result }) => [
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id, type: 'function', function: { name, arguments: json } }],
        },
        { role: 'tool', tool_call_id: id, content: result },
      ]),
    ],
  }),
  'openai-responses': ({ model, stream, instructions, tools, calls, question }) => ({
    model,
    stream,
    store: false,
    max_output_tokens: OUTPUT_TOKENS_MAX,
    instructions,
    tools: tools.map(({ name, description, schema }) => ({
      type: 'function',
      name,
      description,
      parameters: schema,
      strict: false,
    })),
    input: [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: question }] },
      ...calls.flatMap(({ id, name, json, result }) => [
        { type: 'function_call', call_id: id, name, arguments: json },
        { type: 'function_call_output', call_id: id, output: result },
      ]),
    ],
  }),
  'anthropic-messages': ({ model, stream, instructions, tools, calls, question }) => ({
    model,
    stream,
    max_tokens: OUTPUT_TOKENS_MAX,
    system: [{ type: 'text', text: instructions }],
    tools: tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema })),
    messages: [
      { role: 'user', content: [{ type: 'text', text: question }] },
      ...calls.flatMap(({ id, name, json, result }) => [
        { role: 'assistant', content: [{ type: 'tool_use', id, name, input: JSON.parse(json) as object }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: result }] },
      ]),
    ],
  }),
}

function tool(index: number, isSmall: boolean) {
  const names = isSmall ? ['path'] : ['path', 'pattern', 'limit', 'reason']
  const properties = Object.fromEntries(
    names.map((name) => [name, { type: 'string', description: WORDS.slice(0, 80) }]),
  )
  const schema = { type: 'object', properties, required: ['path'], additionalProperties: false }
  return { name: `tool_${index}`, description: lines(`tool ${index}`, isSmall ? 60 : 300), schema }
}

/** Numbered lines: no two texts of a request have one in common, as the results of a working agent have none. */
function lines(title: string, length: number): string {
  let text = ''
  for (let line = 1; text.length < length; line += 1) text += `${title} line ${line} ${WORDS}\n`
  return text.slice(0, length)
}
