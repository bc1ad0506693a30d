import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  answerFates,
  ANSWER_SAMPLES,
  requestFates,
  REQUEST_SAMPLES,
  type FieldFate,
} from '../../../../scripts/fidelity/compute-fidelity.ts'
import { fidelityPage } from '../../../../scripts/fidelity/fidelity-page.ts'
import { DIALECTS, type Dialect } from '../../../../src/dialects/dialect.ts'

const ROOT = join(import.meta.dirname, '../../../..')

/** Fields that vanish without a word, though nothing says that they mean nothing. */
const silent = (fates: readonly FieldFate[]): string[] =>
  fates
    .filter(({ outcomes, meansNothing }) => outcomes.includes('nothing') && meansNothing === undefined)
    .map(({ path, value, outcomes }) => `${path} ${value ?? ''}: ${outcomes.join(', ')}`)

/** Fields that are said to mean nothing, and do something everywhere. */
const excused = (fates: readonly FieldFate[]): string[] =>
  fates
    .filter(({ outcomes, meansNothing }) => meansNothing !== undefined && !outcomes.includes('nothing'))
    .map(({ path }) => path)

describe('the fidelity of translation', () => {
  test('is the one documented in docs/fidelity.md (`node scripts/generate-docs.ts` writes it)', () => {
    expect(readFileSync(join(ROOT, 'docs/fidelity.md'), 'utf8')).toBe(fidelityPage())
  })

  test.each(DIALECTS)('no field of a request of %s is dropped in silence', (dialect) => {
    const fates = requestFates(dialect)
    expect(silent(fates)).toEqual([])
    expect(excused(fates)).toEqual([])
  })

  test.each(DIALECTS)('no field of an answer of %s is dropped in silence', (dialect) => {
    const fates = answerFates(dialect)
    expect(silent(fates)).toEqual([])
    expect(excused(fates)).toEqual([])
  })
})

/** An interface of an SDK, and where its members stand in a body. */
type Described = readonly [name: string, prefix: string, ignored?: readonly string[]]

const SDK_TYPES: Readonly<
  Record<
    Dialect,
    { readonly files: readonly string[]; readonly request: readonly Described[]; readonly answer: readonly Described[] }
  >
> = {
  'openai-chat': {
    files: ['openai/resources/chat/completions/completions.d.ts'],
    request: [
      ['ChatCompletionCreateParamsBase', ''],
      ['ChatCompletionSystemMessageParam', 'messages[system].'],
      ['ChatCompletionDeveloperMessageParam', 'messages[developer].'],
      ['ChatCompletionUserMessageParam', 'messages[user].'],
      ['ChatCompletionAssistantMessageParam', 'messages[assistant].'],
      ['ChatCompletionToolMessageParam', 'messages[tool].'],
      ['ChatCompletionFunctionMessageParam', 'messages[function].'],
      ['ChatCompletionContentPartText', 'messages[user].content[text].', ['text']],
      ['ChatCompletionContentPartImage', 'messages[user].content[image_url].'],
      [
        'ChatCompletionContentPartInputAudio',
        'messages[user].content[input_audio].',
        ['input_audio', 'prompt_cache_breakpoint'],
      ],
      ['ChatCompletionStreamOptions', 'stream_options.'],
    ],
    answer: [
      ['ChatCompletion', '', ['object']],
      ['ChatCompletionMessage', 'choices[].message.'],
    ],
  },
  'openai-responses': {
    files: ['openai/resources/responses/responses.d.ts'],
    request: [
      ['ResponseCreateParamsBase', ''],
      ['FunctionTool', 'tools[function].'],
      ['CustomTool', 'tools[custom].'],
      ['NamespaceTool', 'tools[namespace].'],
      ['ToolSearchTool', 'tools[tool_search].'],
      ['WebSearchTool', 'tools[web_search].'],
      ['ResponseInputText', 'input[user].content[input_text].', ['text']],
      ['ResponseInputImage', 'input[user].content[input_image].'],
      ['ResponseInputFile', 'input[user].content[input_file].'],
      ['ResponseOutputText', 'input[assistant].content[output_text].', ['text']],
      ['ResponseOutputMessage', 'input[assistant].'],
      ['ResponseFunctionToolCall', 'input[function_call].'],
      ['ResponseTextConfig', 'text.'],
    ],
    answer: [
      ['Response', '', ['object', 'output_text', 'error']],
      ['ResponseOutputMessage', 'output[message].'],
      ['ResponseReasoningItem', 'output[reasoning].', ['id', 'status']],
      ['ResponseUsage', 'usage.', ['total_tokens']],
    ],
  },
  'anthropic-messages': {
    files: [
      '@anthropic-ai/sdk/resources/messages/messages.d.ts',
      '@anthropic-ai/sdk/resources/beta/messages/messages.d.ts',
    ],
    request: [
      ['MessageCreateParamsBase', ''],
      ['TextBlockParam', 'messages[user].content[text].', ['text', 'citations']],
      ['ImageBlockParam', 'messages[user].content[image].'],
      ['DocumentBlockParam', 'messages[user].content[document].'],
      ['SearchResultBlockParam', 'messages[user].content[search_result].'],
      ['ToolUseBlockParam', 'messages[assistant].content[tool_use].'],
      ['ToolResultBlockParam', 'messages[user].content[tool_result].'],
      ['BetaSystemMessageParam', 'messages[system].'],
      ['Tool', 'tools[].'],
      ['WebSearchTool20250305', 'tools[].'],
      ['BetaOutputConfig', 'output_config.'],
      ['BetaThinkingConfigEnabled', 'thinking.', ['budget_tokens']],
    ],
    answer: [
      ['Message', '', ['role']],
      ['Usage', 'usage.'],
      ['RefusalStopDetails', 'stop_details.'],
    ],
  },
}

/** Members of an exported interface of a package's type declarations. */
function membersOf(files: readonly string[], name: string): string[] {
  const found = files.flatMap((file) => {
    const source = readFileSync(join(ROOT, 'node_modules', file), 'utf8').replaceAll(/\/\*[^]*?\*\//g, '')
    const body =
      new RegExp(`^export interface ${name} (?:extends \\w+ )?\\{\\n([^]*?)^\\}`, 'm').exec(source)?.[1] ?? ''
    return [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, member]) => member ?? '')
  })
  if (found.length === 0) throw new Error(`no interface ${name}`)
  return [...new Set(found)]
}

/** List members (`content`) are covered by paths into them (`content[text]`). */
const isCovered = (fields: readonly string[], path: string): boolean =>
  fields.some((field) => field === path || field.startsWith(`${path}.`) || field.startsWith(`${path}[`))

describe('the table of fields', () => {
  const cases = DIALECTS.flatMap((dialect) => {
    const { files, request, answer } = SDK_TYPES[dialect]
    return [
      ...request.map((described) => ({
        described,
        files,
        samples: REQUEST_SAMPLES[dialect],
        what: `requests of ${dialect}`,
      })),
      ...answer.map((described) => ({
        described,
        files,
        samples: ANSWER_SAMPLES[dialect],
        what: `answers of ${dialect}`,
      })),
    ]
  })

  test.each(cases)('has every member of $described.0 in $what', ({ described, files, samples }) => {
    const [name, prefix, ignored = []] = described
    const fields = samples.flatMap((sample) => sample.fields)
    const missing = membersOf(files, name).filter(
      (member) => !['type', 'role', ...ignored].includes(member) && !isCovered(fields, `${prefix}${member}`),
    )
    expect(missing).toEqual([])
  })

  const pathsOf = (dialect: Dialect): string => REQUEST_SAMPLES[dialect].flatMap(({ fields }) => fields).join('\n')
  const sourceOf = (dialect: Dialect): string =>
    SDK_TYPES[dialect].files.map((file) => readFileSync(join(ROOT, 'node_modules', file), 'utf8')).join('\n')

  test('has every kind of item of Responses', () => {
    const types = [...sourceOf('openai-responses').matchAll(/^ {4,8}type\??: '(\w+)'/gm)].map(([, type]) => type ?? '')
    const isItem =
      /_call$|_call_output$|^(?:mcp_\w+|program|program_output|reasoning|compaction|compaction_trigger|item_reference|additional_tools|configuration_update|tool_search_output)$/
    const items = [...new Set(types)].filter((type) => isItem.test(type) && !type.endsWith('_error'))
    expect(items.length).toBeGreaterThan(25)
    expect(items.filter((type) => !pathsOf('openai-responses').includes(`input[${type}]`))).toEqual([])
  })

  test('has every kind of block of Messages', () => {
    const source = sourceOf('anthropic-messages')
    const union = /^export type BetaContentBlockParam = ([^;]+);/m.exec(source)?.[1] ?? ''
    const blocks = union.split(' | ').map((name) => {
      const body = new RegExp(`^export interface ${name} \\{\\n([^]*?)^\\}`, 'm').exec(source)?.[1] ?? ''
      return /^ {4}type: '(\w+)'/m.exec(body)?.[1] ?? name
    })
    expect(blocks.length).toBeGreaterThan(20)
    expect(blocks.filter((type) => !pathsOf('anthropic-messages').includes(`content[${type}]`))).toEqual([])
  })
})
