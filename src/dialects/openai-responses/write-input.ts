/**
 * The turns of a conversation as `instructions` and the items of `input`.
 * Source: the types of the `openai` SDK (`ResponseInputItem`).
 */
import { TokError } from '../../base/errors.ts'
import type { RequestWriting } from '../conversation/contract.ts'
import type {
  NativePart,
  AudioPart,
  Conversation,
  FilePart,
  ImagePart,
  Part,
  ReasoningPart,
  Source,
  ToolCallPart,
  ToolKind,
  ToolResultPart,
  Turn,
} from '../conversation/conversation.ts'
import type { FieldName } from '../conversation/losses.ts'
import { asText, parseObject, type JsonObject } from '../json-value.ts'
import { PARAGRAPH, writeCacheMark } from './read-items.ts'

const ID_CHARACTERS_MAX = 64

const REASONING: FieldName = {
  'openai-chat': 'messages[].reasoning_content',
  'openai-responses': 'input[].reasoning',
  'anthropic-messages': 'messages[].content[].thinking',
}
const TURN: FieldName = {
  'openai-chat': 'messages[]',
  'openai-responses': 'input[]',
  'anthropic-messages': 'messages[]',
}
const PART: FieldName = {
  'openai-chat': 'messages[].content[]',
  'openai-responses': 'input[].content[]',
  'anthropic-messages': 'messages[].content[]',
}
const CALL: FieldName = {
  'openai-chat': 'messages[].tool_calls[]',
  'openai-responses': 'input[]',
  'anthropic-messages': 'messages[].content[]',
}
const MARK: FieldName = {
  'openai-chat': 'prompt_cache_breakpoint',
  'openai-responses': 'prompt_cache_breakpoint',
  'anthropic-messages': 'cache_control',
}

/** Writes `instructions` (undefined without system texts outside the conversation) and `input`. */
export function writeInput(
  conversation: Conversation,
  writing: RequestWriting,
): { readonly instructions: string | undefined; readonly input: readonly JsonObject[] } {
  const writer = new InputWriter(conversation, writing)
  return { instructions: writer.instructions, input: writer.input }
}

class InputWriter {
  readonly #writing: RequestWriting
  /** How each call was called; results of other dialects do not tell. */
  readonly #kinds = new Map<string, ToolKind>()
  /** The result of each call: the last one, if there are several. */
  readonly #results: ReadonlyMap<string, ToolResultPart>
  readonly #texts: string[] = []
  readonly input: JsonObject[] = []

  constructor(conversation: Conversation, writing: RequestWriting) {
    this.#writing = writing
    this.#results = lastResults(conversation)
    for (const turn of conversation.turns) this.#addTurn(turn)
  }

  get instructions(): string | undefined {
    return this.#texts.length === 0 ? undefined : this.#texts.join(PARAGRAPH)
  }

  #addTurn(turn: Turn): void {
    const { profile, losses } = this.#writing
    losses.dropExtras(turn.extras, 'openai-responses', TURN)
    const texts = turn.parts.filter((part) => part.kind === 'text')
    const isMarked = profile.takesCacheMarks && texts.some((part) => part.cacheMark !== undefined)
    // `instructions` holds no marks: a text that has one goes as the first item.
    if (turn.isTopLevel === true && texts.length === turn.parts.length && !isMarked) {
      for (const part of texts) if (part.text !== '') this.#texts.push(this.#unmarked(part).text)
      return
    }
    const role = turn.role === 'system' || turn.role === 'developer' ? profile.systemRole : turn.role
    let content: JsonObject[] = []
    const flush = (): void => {
      if (content.length > 0) this.input.push({ type: 'message', ...this.#ownOf(turn), role, content })
      content = []
    }
    for (const part of turn.parts) {
      const written = role === 'assistant' ? this.#writeSaid(part) : this.#writeGiven(part)
      if (written !== undefined) {
        content.push(written)
        continue
      }
      const item = this.#writeItem(part)
      if (item === undefined) continue
      flush()
      this.input.push(item)
    }
    flush()
    for (const part of turn.parts) {
      // A call without a result is refused.
      const isUnanswered = part.kind === 'tool-call' && !this.#results.has(part.callId)
      if (isUnanswered) this.input.push(this.#writeResult(noResult(part)))
    }
  }

  /** A part of the assistant's message; undefined for what is no part of one. */
  #writeSaid(part: Part): JsonObject | undefined {
    switch (part.kind) {
      case 'text':
        return part.text === ''
          ? undefined
          : { type: 'output_text', text: this.#unmarked(part).text, annotations: [], ...this.#ownOf(part) }
      case 'refusal':
        return { type: 'refusal', refusal: part.text, ...this.#ownOf(part) }
      case 'native':
        return isReadable(part) ? { type: 'output_text', text: this.#unmarked(part).text, annotations: [] } : undefined
      default:
        return undefined
    }
  }

  /** A part of a message to the model; undefined for what is no part of one. */
  #writeGiven(part: Part): JsonObject | undefined {
    switch (part.kind) {
      case 'text':
      case 'refusal':
        return part.text === ''
          ? undefined
          : { type: 'input_text', text: part.text, ...this.#markOf(part), ...this.#ownOf(part) }
      case 'image':
        return { ...this.#writeImage(part), ...this.#markOf(part), ...this.#ownOf(part) }
      case 'file':
        return { ...this.#writeFile(part), ...this.#markOf(part), ...this.#ownOf(part) }
      case 'audio':
        return { ...this.#writeAudio(part), ...this.#ownOf(part) }
      case 'tool-reference':
        return { type: 'input_text', text: this.#loaded(part.name) }
      case 'native':
        return isReadable(part) ? { type: 'input_text', text: part.text, ...this.#markOf(part) } : undefined
      default:
        return undefined
    }
  }

  #writeItem(part: Part): JsonObject | undefined {
    switch (part.kind) {
      case 'reasoning':
        return this.#writeReasoning(part)
      case 'tool-call':
        return this.#writeCall(part)
      case 'tool-result':
        return this.#answerCall(part)
      case 'native':
        if (part.native.dialect === 'openai-responses') return part.native.value
        this.#drop(part.type)
        return undefined
      case 'image':
      case 'file':
      case 'audio':
        // The assistant shows none in this dialect.
        this.#drop(part.kind)
        return undefined
      default:
        return undefined
    }
  }

  /** What the provider gave, unchanged, if it is this one; thoughts of others are no use to it. */
  #writeReasoning({ native }: ReasoningPart): JsonObject | undefined {
    const { target, losses, bridge } = this.#writing
    const isOwn = native?.dialect === 'openai-responses' && (native.source === undefined || native.source === target)
    if (!isOwn) {
      losses.drop(REASONING)
      return undefined
    }
    const id = asText(native.value['id'])
    if (id === undefined || id.length <= ID_CHARACTERS_MAX) return native.value
    return { ...native.value, id: bridge.wireCallIdOf(id) }
  }

  #writeCall(call: ToolCallPart): JsonObject {
    const { bridge, profile } = this.#writing
    const isWrapped = bridge.isWrapped(call)
    const kind = isWrapped ? 'function' : call.toolKind
    this.#kinds.set(call.callId, kind)
    this.#noteExtras(call, CALL)
    if (call.cacheMark !== undefined) this.#writing.losses.drop(MARK)
    const base = { ...(isWrapped ? {} : this.#ownOf(call)), call_id: bridge.wireCallIdOf(call.callId) }
    const named = {
      ...base,
      name: bridge.wireNameOf(call),
      ...(call.namespace === undefined || !profile.takesNamespaces ? {} : { namespace: call.namespace }),
    }
    const input = bridge.wireInputOf(call)
    switch (kind) {
      case 'function':
        return { type: 'function_call', ...named, arguments: input === '' ? '{}' : input }
      case 'custom':
        return { type: 'custom_tool_call', ...named, input }
      case 'tool-search':
        return { type: 'tool_search_call', ...base, execution: 'client', arguments: parseObject(input) ?? {} }
      case 'local-shell':
        return {
          type: 'local_shell_call',
          id: base.call_id,
          status: 'completed',
          ...base,
          action: parseObject(input) ?? {},
        }
      case 'shell':
        return { type: 'shell_call', ...base, action: parseObject(input) ?? {} }
      case 'apply-patch':
        return { type: 'apply_patch_call', status: 'completed', ...base, operation: parseObject(input) ?? {} }
    }
  }

  /** The result of a call; undefined for one that a later one replaces. One whose call is not known is told by the user. */
  #answerCall(result: ToolResultPart): JsonObject | undefined {
    if (this.#results.get(result.callId) === result) return this.#writeResult(result)
    if (this.#kinds.has(result.callId)) return undefined
    this.#unmarked(result)
    const output = this.#writeOutput(result)
    const told = typeof output === 'string' ? [{ type: 'input_text', text: output }] : output
    const content = [{ type: 'input_text', text: `Result of the call ${result.callId}:` }, ...told]
    return { type: 'message', role: 'user', content }
  }

  #writeResult(result: ToolResultPart): JsonObject {
    const { bridge } = this.#writing
    this.#unmarked(result)
    const kind =
      this.#kinds.get(result.callId) ?? (bridge.isWrapped({ ...result, name: '' }) ? 'function' : result.toolKind)
    const own = kind === result.toolKind ? this.#ownOf(result) : {}
    const base = { ...own, call_id: bridge.wireCallIdOf(result.callId) }
    const parts = result.content
    const text = (): string => parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')
    switch (kind) {
      case 'function':
        return { type: 'function_call_output', ...base, output: this.#writeOutput(result) }
      case 'custom':
        return { type: 'custom_tool_call_output', ...base, output: this.#writeOutput(result) }
      case 'tool-search':
        return {
          type: 'tool_search_output',
          ...base,
          execution: 'client',
          status: 'completed',
          tools: this.#searched(result),
        }
      case 'local-shell':
        return { type: 'local_shell_call_output', id: base.call_id, ...base, output: text() }
      case 'shell':
        return { type: 'shell_call_output', ...base, output: shellOutput(text()) }
      case 'apply-patch':
        return {
          type: 'apply_patch_call_output',
          ...base,
          status: result.isError ? 'failed' : 'completed',
          output: text(),
        }
    }
  }

  /** A string where it is one text; a failure says so in front, since there is no other place to. */
  #writeOutput({ content, isError }: ToolResultPart): string | readonly JsonObject[] {
    const given: JsonObject[] = []
    for (const part of content) {
      const written = this.#writeGiven(part)
      if (written !== undefined) given.push(written)
      else if (part.kind === 'native') this.#drop(part.type)
    }
    const [only = { type: 'input_text', text: '' }, ...others] = given
    if (others.length === 0 && only['type'] === 'input_text') {
      return `${isError ? 'Error: ' : ''}${asText(only['text']) ?? ''}`
    }
    return isError ? [{ type: 'input_text', text: 'Error:' }, ...given] : given
  }

  #searched({ tools = [] }: ToolResultPart): readonly JsonObject[] {
    return tools.map((tool) => {
      if (tool.kind === 'hosted') return tool.native.value
      const own = {
        type: tool.kind === 'custom' ? 'custom' : 'function',
        name: tool.name,
        description: tool.description,
        ...(tool.kind === 'custom'
          ? { format: tool.format }
          : { parameters: tool.parameters, strict: tool.strict ?? false }),
        defer_loading: true,
        ...tool.extras['openai-responses'],
      }
      if (tool.namespace === undefined) return own
      return { type: 'namespace', name: tool.namespace, description: tool.namespaceDescription ?? '', tools: [own] }
    })
  }

  #writeImage({ source, detail = 'auto' }: ImagePart): JsonObject {
    if (!this.#writing.profile.takesImages) throw this.#refused('image', 'the model sees no images')
    return source.kind === 'file-id'
      ? { type: 'input_image', file_id: this.#fileId(source), detail }
      : { type: 'input_image', image_url: urlOf(source), detail }
  }

  #writeFile({ source, name }: FilePart): JsonObject {
    // Plain text needs no file, and is read by every model.
    if (source.kind === 'text') {
      return { type: 'input_text', text: name === undefined ? source.text : `${name}${PARAGRAPH}${source.text}` }
    }
    if (!this.#writing.profile.takesFiles) throw this.#refused('file', 'the model reads no files')
    const named = name === undefined ? {} : { filename: name }
    if (source.kind === 'url') return { type: 'input_file', file_url: source.url, ...named }
    if (source.kind === 'file-id') return { type: 'input_file', file_id: this.#fileId(source), ...named }
    // The name tells the vendor what it is.
    const filename = name ?? `file.${source.mediaType.split('/').at(-1) ?? 'pdf'}`
    return { type: 'input_file', filename, file_data: urlOf(source) }
  }

  #writeAudio({ data, format }: AudioPart): JsonObject {
    if (!this.#writing.profile.takesAudio) throw this.#refused('audio', 'the model hears nothing')
    return { type: 'input_audio', input_audio: { data, format } }
  }

  /** Chat Completions and Responses share their files. */
  #fileId({ dialect, id }: Source & { readonly kind: 'file-id' }): string {
    if (dialect === 'anthropic-messages') throw this.#refused('file_id', 'it is kept by another vendor')
    return id
  }

  #loaded(name: string): string {
    return `The tool ${this.#writing.bridge.wireNameOf({ name })} is loaded now.`
  }

  #ownOf({ extras }: { readonly extras?: Part['extras'] }): JsonObject {
    const own = extras?.['openai-responses']
    const id = asText(own?.['id'])
    if (own === undefined || id === undefined || id.length <= ID_CHARACTERS_MAX) return own ?? {}
    return { ...own, id: this.#writing.bridge.wireCallIdOf(id) }
  }

  #markOf({ cacheMark, extras }: Part): JsonObject {
    this.#noteExtras({ extras }, PART)
    if (cacheMark === undefined) return {}
    if (this.#writing.profile.takesCacheMarks) return { prompt_cache_breakpoint: writeCacheMark(cacheMark) }
    this.#writing.losses.drop(MARK)
    return {}
  }

  /** The part itself; its mark, which cannot be said here, is noted as lost. */
  #unmarked<P extends Part>(part: P): P {
    this.#noteExtras(part, PART)
    if (part.cacheMark !== undefined) this.#writing.losses.drop(MARK)
    return part
  }

  #noteExtras({ extras }: { readonly extras?: Part['extras'] }, path: FieldName): void {
    this.#writing.losses.dropExtras(extras, 'openai-responses', path)
  }

  #drop(type: string): void {
    const { losses } = this.#writing
    losses.drop(`${losses.dialect === 'openai-responses' ? 'input[]' : 'messages[].content[]'}.${type}`)
  }

  #refused(what: string, reason: string): TokError {
    const { losses, target } = this.#writing
    const field = `${losses.dialect === 'openai-responses' ? 'input[]' : 'messages[].content[]'}.${what}`
    return new TokError('translation_refused', { field, target, dialect: 'openai-responses', reason })
  }
}

function urlOf(source: Exclude<Source, { kind: 'file-id' }>): string {
  if (source.kind === 'url') return source.url
  const data = source.kind === 'text' ? Buffer.from(source.text).toString('base64') : source.data
  return `data:${source.mediaType};base64,${data}`
}

/** A shell's result was read as the JSON text of its output; of any other text it is the output. */
function shellOutput(text: string): unknown {
  try {
    const list: unknown = JSON.parse(text)
    if (Array.isArray(list)) return list
  } catch {
    // Not from a shell of this dialect.
  }
  return [{ stdout: text, stderr: '', outcome: { type: 'exit', exit_code: 0 } }]
}

/** A part that only another dialect knows, whose text can be read all the same. */
function isReadable(part: NativePart): part is NativePart & { readonly text: string } {
  return part.native.dialect !== 'openai-responses' && part.text !== undefined && part.text !== ''
}

/** Of each call the last result that stands after it. */
function lastResults({ turns }: Conversation): ReadonlyMap<string, ToolResultPart> {
  const called = new Set<string>()
  const results = new Map<string, ToolResultPart>()
  for (const part of turns.flatMap(({ parts }) => parts)) {
    if (part.kind === 'tool-call') called.add(part.callId)
    if (part.kind === 'tool-result' && called.has(part.callId)) results.set(part.callId, part)
  }
  return results
}

function noResult({ toolKind, callId }: ToolCallPart): ToolResultPart {
  return { kind: 'tool-result', toolKind, callId, content: [{ kind: 'text', text: 'No result.' }], isError: true }
}
