/**
 * A model that does one small piece of work with whatever tools a client offers, in whichever dialect it is asked:
 * it looks for a file, creates it, patches it, reads it back and says what it read. Each turn follows from the
 * conversation as it arrived, so a history that got lost on the way shows.
 */
import { refusalOf } from './agent-strictness.ts'
import { answerWith, type ToolCall, type Turn } from './scripted-answers.ts'
import type { RecordedRequest, ScriptedReply } from './scripted-provider.ts'

/** The file the model works on. */
export const WORK_FILE = 'notes.txt'
const DRAFT = 'status: draft'
const DONE = 'status: done'
/** Characters that shells, JSON and UTF-8 readers get wrong. */
const SECOND_LINE = `quotes "a" 'b', a back\\slash, $HOME, naïve 日本 🙂`

/** What the file holds in the end. */
export const WORK_RESULT = `${DONE}\n${SECOND_LINE}\n`
/** What the model says once it has read the file, and finds it as it should be. */
export const WORK_REPORT = 'The notes read as patched.'
/** Tool turns, and the report. */
export const WORK_TURNS = 5
/** Reasoning before every call. */
const REASONING = 'First the notes, then the report.'

/** What the client is asked to have done; the model needs no telling. */
export const WORK_PROMPT = `Keep notes in ${WORK_FILE} and tell me how they read.`

type Json = Readonly<Record<string, unknown>>

/** A tool of a client, and what to give it. */
interface Hand {
  readonly tool: string
  /** Arguments of a function, or the text of a freeform tool, which a translation offers as a function with one field. */
  readonly use: (path: string) => Readonly<Record<string, unknown>> | string
}

/** The tool turns in order; of each, the first hand whose tool is offered is taken. */
const WORK: readonly (readonly Hand[])[] = [
  // Not there yet: the tool's failure has to come back too.
  [
    { tool: 'exec', use: () => inCode('exec_command', { cmd: `cat ${WORK_FILE}` }) },
    { tool: 'Read', use: (path) => ({ file_path: path }) },
    { tool: 'read', use: (path) => ({ filePath: path }) },
    { tool: 'exec_command', use: () => ({ cmd: `cat ${WORK_FILE}` }) },
  ],
  [
    {
      tool: 'exec',
      use: () => inCode('apply_patch', patch(`*** Add File: ${WORK_FILE}`, `+${DRAFT}`, `+${SECOND_LINE}`)),
    },
    { tool: 'apply_patch', use: () => patch(`*** Add File: ${WORK_FILE}`, `+${DRAFT}`, `+${SECOND_LINE}`) },
    { tool: 'Write', use: (path) => ({ file_path: path, content: `${DRAFT}\n${SECOND_LINE}\n` }) },
    { tool: 'write', use: (path) => ({ filePath: path, content: `${DRAFT}\n${SECOND_LINE}\n` }) },
    { tool: 'exec_command', use: () => ({ cmd: `cat > ${WORK_FILE} <<'END'\n${DRAFT}\n${SECOND_LINE}\nEND` }) },
  ],
  [
    {
      tool: 'exec',
      use: () => inCode('apply_patch', patch(`*** Update File: ${WORK_FILE}`, '@@', `-${DRAFT}`, `+${DONE}`)),
    },
    { tool: 'apply_patch', use: () => patch(`*** Update File: ${WORK_FILE}`, '@@', `-${DRAFT}`, `+${DONE}`) },
    { tool: 'Edit', use: (path) => ({ file_path: path, old_string: DRAFT, new_string: DONE }) },
    { tool: 'edit', use: (path) => ({ filePath: path, oldString: DRAFT, newString: DONE }) },
    {
      tool: 'exec_command',
      use: () => ({ cmd: `sed 's/${DRAFT}/${DONE}/' ${WORK_FILE} > patched && mv patched ${WORK_FILE}` }),
    },
  ],
  [
    { tool: 'exec', use: () => inCode('exec_command', { cmd: `cat ${WORK_FILE}` }) },
    { tool: 'Read', use: (path) => ({ file_path: path }) },
    { tool: 'read', use: (path) => ({ filePath: path }) },
    { tool: 'exec_command', use: () => ({ cmd: `cat ${WORK_FILE}` }) },
  ],
]

/** The working model as a script of the scripted provider; `path` is the whole path of the file. */
export function createAgentScript(path: string): (request: RecordedRequest) => ScriptedReply {
  return (request) => {
    const refusal = refusalOf(request)
    if (refusal !== undefined) {
      const error = { type: 'invalid_request_error', message: refusal, param: null, code: null }
      return { status: 400, body: JSON.stringify({ type: 'error', error }) }
    }
    return answerWith(request, chooseTurn(asJson(request.json), path))
  }
}

function chooseTurn(body: Json, path: string): Turn {
  const tools = offeredTools(body)
  // opencode asks for a title of the conversation first.
  if (tools.length === 0) return { text: 'Notes' }
  const results = toolResults(body)
  const hands = WORK[results.length]
  if (hands === undefined) return { text: report(results.at(-1) ?? '') }
  for (const hand of hands) {
    const tool = tools.find(({ name }) => name === hand.tool)
    if (tool !== undefined) return { reasoning: REASONING, call: callOf(tool, hand.use(path)) }
  }
  return { text: `None of ${tools.map(({ name }) => name).join(', ')} helps with step ${results.length}.` }
}

function report(result: string): string {
  const isPatched = [DONE, SECOND_LINE].every((line) => result.includes(line))
  return isPatched ? WORK_REPORT : `The notes do not read as patched: ${result.slice(0, 2_000)}`
}

function patch(...lines: readonly string[]): string {
  return ['*** Begin Patch', ...lines, '*** End Patch', ''].join('\n')
}

/** The JavaScript with which Codex's code mode calls a tool. */
function inCode(tool: string, input: unknown): string {
  return `const result = await tools.${tool}(${JSON.stringify(input)})\ntext(result.output ?? result)\n`
}

/** A tool as the request offers it. */
interface OfferedTool {
  /** Without the namespace. */
  readonly name: string
  readonly namespace?: string
  readonly isFreeform: boolean
  readonly fields: readonly string[]
  /** As a function-only dialect has to call it. */
  readonly fullName: string
}

function offeredTools(body: Json): readonly OfferedTool[] {
  const added = asItems(body['input']).filter(({ type }) => type === 'additional_tools')
  return [body, ...added].flatMap(({ tools }) => asItems(tools)).flatMap((tool) => readTool(tool))
}

function readTool(tool: Json, namespace?: string): readonly OfferedTool[] {
  if (tool['type'] === 'namespace') {
    return asItems(tool['tools']).flatMap((member) => readTool(member, String(tool['name'])))
  }
  const { name, parameters, input_schema: inputSchema } = { ...tool, ...asJson(tool['function']) } as Json
  if (typeof name !== 'string') return []
  const fields = Object.keys(asJson(asJson(parameters ?? inputSchema)['properties']))
  const isFreeform = tool['type'] === 'custom' && inputSchema === undefined
  // A translation may flatten a namespace into the name.
  const ownName = fields.length === 1 && name.endsWith('_exec') ? 'exec' : name
  return [{ name: ownName, fullName: name, isFreeform, fields, ...(namespace === undefined ? {} : { namespace }) }]
}

function callOf(tool: OfferedTool, given: Readonly<Record<string, unknown>> | string): ToolCall {
  const { fullName: name, namespace, isFreeform, fields } = tool
  const isWrapped = typeof given === 'string' && !isFreeform
  const field = isWrapped ? fields[0] : undefined
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    arguments: field === undefined ? given : { [field]: given },
  }
}

/** The text of every tool result in the conversation, in order. */
function toolResults(body: Json): readonly string[] {
  const blocks = asItems(body['messages']).flatMap((message) =>
    message['role'] === 'tool' ? [message] : asItems(message['content']).filter(({ type }) => type === 'tool_result'),
  )
  const items = asItems(body['input']).filter(({ type }) => String(type).endsWith('_call_output'))
  return [...blocks, ...items].map(({ content, output }) => textOf(content ?? output))
}

function textOf(content: unknown): string {
  return typeof content === 'string'
    ? content
    : asItems(content)
        .map(({ text }) => String(text ?? ''))
        .join('\n')
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

function asItems(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(asJson) : []
}
