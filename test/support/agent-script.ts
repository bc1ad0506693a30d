/**
 * A model that runs a small errand with whatever tools a client offers, in whichever dialect it is asked. Each turn
 * follows from the conversation as it arrived, so a history that got lost on the way shows.
 */
import { refusalOf } from './agent-strictness.ts'
import { callOf, findTool, readSituation, type Situation } from './agent-tools.ts'
import { answerWith, type ToolCall, type Turn } from './scripted-answers.ts'
import type { RecordedRequest, ScriptedReply } from './scripted-provider.ts'

/** Something to be done that leaves a file. */
export interface Errand {
  /** What the client is asked; the model needs no telling. */
  readonly prompt: string
  readonly fileName: string
  /** What the file holds in the end. */
  readonly content: string
  /** What the model says in the end, if all went as it should. */
  readonly report: string
  /** What the model does next; `path` is the whole path of the file. */
  readonly nextTurn: (situation: Situation, path: string) => Turn
}

/** The model as a script of the scripted provider. What the dialect's vendor would refuse, it refuses. */
export function createAgentScript({ nextTurn }: Errand, path: string): (request: RecordedRequest) => ScriptedReply {
  return (request) => {
    const refusal = refusalOf(request)
    if (refusal !== undefined) {
      const error = { type: 'invalid_request_error', message: refusal, param: null, code: null }
      return { status: 400, body: JSON.stringify({ type: 'error', error }) }
    }
    const situation = readSituation(request.json)
    // opencode asks for a title of the conversation first.
    return answerWith(request, situation.tools.length === 0 ? { text: 'An errand' } : nextTurn(situation, path))
  }
}

/** What the model thinks before every call. */
export const REASONING = 'First the file, then the report.'

function noHelp({ tools, results }: Situation): Turn {
  return { text: `None of ${tools.map(({ name }) => name).join(', ')} helps after ${results.length} results.` }
}

// Notes: looks for a file and one more, creates it, patches it, reads it back.

const NOTES = 'notes.txt'
const DRAFT = 'status: draft'
const DONE = 'status: done'
/** Characters that shells, JSON and readers of UTF-8 get wrong. */
const SECOND_LINE = `quotes "a" 'b', a back\\slash, $HOME, naïve 日本 🙂`

/** One way to do a step: a tool, and what to give it. */
interface Way {
  readonly tool: string
  /** Arguments of a function, or the text of a freeform tool. */
  readonly give: (path: string) => Readonly<Record<string, unknown>> | string
}

/** There is none at first: the tool's failure has to come back too. */
const READ: readonly Way[] = [
  { tool: 'exec', give: () => inCode('exec_command', { cmd: `cat ${NOTES}` }) },
  { tool: 'Read', give: (path) => ({ file_path: path }) },
  { tool: 'read', give: (path) => ({ filePath: path }) },
  { tool: 'exec_command', give: () => ({ cmd: `cat ${NOTES}` }) },
]

const CREATION = patch(`*** Add File: ${NOTES}`, `+${DRAFT}`, `+${SECOND_LINE}`)
const CREATE: readonly Way[] = [
  { tool: 'exec', give: () => inCode('apply_patch', CREATION) },
  { tool: 'apply_patch', give: () => CREATION },
  { tool: 'Write', give: (path) => ({ file_path: path, content: `${DRAFT}\n${SECOND_LINE}\n` }) },
  { tool: 'write', give: (path) => ({ filePath: path, content: `${DRAFT}\n${SECOND_LINE}\n` }) },
  { tool: 'exec_command', give: () => ({ cmd: `cat > ${NOTES} <<'END'\n${DRAFT}\n${SECOND_LINE}\nEND` }) },
]

const CHANGE = patch(`*** Update File: ${NOTES}`, '@@', `-${DRAFT}`, `+${DONE}`)
const PATCH: readonly Way[] = [
  { tool: 'exec', give: () => inCode('apply_patch', CHANGE) },
  { tool: 'apply_patch', give: () => CHANGE },
  { tool: 'Edit', give: (path) => ({ file_path: path, old_string: DRAFT, new_string: DONE }) },
  { tool: 'edit', give: (path) => ({ filePath: path, oldString: DRAFT, newString: DONE }) },
  { tool: 'exec_command', give: () => ({ cmd: `sed 's/${DRAFT}/${DONE}/' ${NOTES} > new && mv new ${NOTES}` }) },
]

/** The calls in order. The first two are made at once where the client takes that. */
const STEPS = [READ, READ, CREATE, PATCH, READ]

/** Requests it takes, one of them for the report, and one more where a client takes one call at a time. */
export const NOTES_REQUESTS = STEPS.length

/** The errand every client can run. */
export const notesErrand: Errand = {
  prompt: `Keep notes in ${NOTES} and tell me how they read.`,
  fileName: NOTES,
  content: `${DONE}\n${SECOND_LINE}\n`,
  report: 'The notes read as patched.',
  nextTurn(situation, path) {
    const { results, mayCallTwice } = situation
    const done = results.length
    if (done >= STEPS.length) return { text: reportOnNotes(results.at(-1) ?? '') }
    const calls = STEPS.slice(done, done === 0 && mayCallTwice ? 2 : done + 1).flatMap((ways) =>
      firstPossible(ways, situation, path),
    )
    return calls.length === 0 ? noHelp(situation) : { reasoning: REASONING, text: `Step ${done + 1}.`, calls }
  },
}

function firstPossible(ways: readonly Way[], situation: Situation, path: string): readonly ToolCall[] {
  for (const { tool, give } of ways) {
    const offered = findTool(situation, tool)
    if (offered !== undefined) return [callOf(offered, give(path))]
  }
  return []
}

function reportOnNotes(result: string): string {
  const isPatched = [DONE, SECOND_LINE].every((line) => result.includes(line))
  return isPatched ? notesErrand.report : `The notes do not read as patched: ${result.slice(0, 2_000)}`
}

function patch(...lines: readonly string[]): string {
  return ['*** Begin Patch', ...lines, '*** End Patch', ''].join('\n')
}

/** The JavaScript by which Codex's code mode calls a tool. */
function inCode(tool: string, input: unknown): string {
  return `const result = await tools.${tool}(${JSON.stringify(input)})\ntext(result.output ?? result)\n`
}

// The stamp: a tool of a tool server, which a client may hide until it is searched for.

const STAMPED = 'A stamp "✓".'

/** The errand of a client with the tool server of stamp-server.ts. */
export const stampErrand: Errand = {
  prompt: 'Have the desk put its stamp on this.',
  fileName: 'stamp.txt',
  content: STAMPED,
  report: 'It is stamped.',
  nextTurn(situation) {
    const { results } = situation
    if (results.some((result) => result.includes(`stamped: ${STAMPED}`))) return { text: stampErrand.report }
    const stamp = findTool(situation, 'stamp')
    const search = findTool(situation, 'tool_search') ?? findTool(situation, 'ToolSearch')
    if (results.length > 2 || (stamp ?? search) === undefined) return noHelp(situation)
    const calls = [
      ...(stamp === undefined ? [] : [callOf(stamp, { text: STAMPED })]),
      ...(stamp !== undefined || search === undefined ? [] : [callOf(search, { query: 'stamp', max_results: 5 })]),
    ]
    return { reasoning: REASONING, calls }
  },
}
