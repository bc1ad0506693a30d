/**
 * Items that requests and answers have in common. Nothing here throws: what cannot be read is told by its absence.
 */
import type { CacheMark, Extras, ImagePart, FilePart, Part, Source, ToolKind } from '../conversation/conversation.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'

/** Parts of one readable text that the vendor keeps apart. */
export const PARAGRAPH = '\n\n'

/** A call as it stands in an item. `name` and `callId` are "" where the item has none. */
export interface ItemCall {
  readonly toolKind: ToolKind
  readonly callId: string
  readonly name: string
  readonly namespace: string | undefined
  readonly input: string
}

/** Names of the tools that Responses knows by their type alone. */
export const NAME_OF_KIND = {
  'tool-search': 'tool_search',
  'local-shell': 'local_shell',
  shell: 'shell',
  'apply-patch': 'apply_patch',
} as const satisfies Partial<Record<ToolKind, string>>

/** The call in an item; undefined for an item that is none, or one that the provider runs itself. */
export function readCall(item: JsonObject): ItemCall | undefined {
  const named = (toolKind: ToolKind, input: unknown): ItemCall => ({
    toolKind,
    callId: callIdOf(item),
    name: asText(item['name']) ?? '',
    namespace: asText(item['namespace']),
    input: textOf(input),
  })
  const typed = (toolKind: keyof typeof NAME_OF_KIND, input: unknown): ItemCall => ({
    ...named(toolKind, asObject(input)),
    name: NAME_OF_KIND[toolKind],
    namespace: undefined,
  })
  switch (item['type']) {
    case 'function_call':
      return named('function', item['arguments'])
    case 'custom_tool_call':
      return named('custom', item['input'])
    case 'tool_search_call':
      return item['execution'] === 'server' ? undefined : typed('tool-search', item['arguments'])
    case 'local_shell_call':
      return typed('local-shell', item['action'])
    case 'shell_call':
      return isContainer(item['environment']) ? undefined : typed('shell', item['action'])
    case 'apply_patch_call':
      return typed('apply-patch', item['operation'])
    default:
      return undefined
  }
}

/** The id that ties a call to its output. */
export function callIdOf(item: JsonObject): string {
  return asText(item['call_id']) ?? asText(item['id']) ?? ''
}

/** True for the environments that the provider runs; without one, or with a local one, the client does. */
export function isContainer(environment: unknown): boolean {
  const type = asObject(environment)['type']
  return type === 'container_auto' || type === 'container_reference'
}

/** A text as it is, anything else as its JSON, nothing as "". */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** What a reasoning item says in words: its summary, or, where a server gives none, the reasoning itself. */
export function readReasoningText(item: JsonObject): string {
  const summary = joinTexts(item['summary'])
  return summary === '' ? joinTexts(item['content']) : summary
}

/** The texts of a list of parts, as paragraphs. */
export function joinTexts(parts: unknown): string {
  return asList(parts)
    .map((part) => asText(asObject(part)['text']) ?? '')
    .filter((text) => text !== '')
    .join(PARAGRAPH)
}

/** Members that the hub has no word for; undefined if nothing is left. Null and empty lists say nothing. */
export function extrasOf(value: JsonObject, known: ReadonlySet<string>): Extras | undefined {
  const rest = Object.entries(value).filter(
    ([name, member]) =>
      !known.has(name) && member !== null && member !== undefined && !(Array.isArray(member) && member.length === 0),
  )
  return rest.length === 0 ? undefined : { 'openai-responses': Object.fromEntries(rest) }
}

const TEXT_MEMBERS: ReadonlySet<string> = new Set(['type', 'text', 'prompt_cache_breakpoint'])
const REFUSAL_MEMBERS: ReadonlySet<string> = new Set(['type', 'refusal'])
const IMAGE_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'image_url',
  'file_id',
  'detail',
  'prompt_cache_breakpoint',
])
const FILE_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'file_data',
  'file_url',
  'file_id',
  'filename',
  'prompt_cache_breakpoint',
])
const AUDIO_MEMBERS: ReadonlySet<string> = new Set(['type', 'input_audio'])

/** A part of a message's or a result's content; undefined if a member it cannot do without is missing. */
export function readPart(value: JsonObject): Part | undefined {
  const cacheMark = readCacheMark(value['prompt_cache_breakpoint'])
  switch (value['type']) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return typeof value['text'] === 'string'
        ? { kind: 'text', text: value['text'], cacheMark, extras: extrasOf(value, TEXT_MEMBERS) }
        : undefined
    case 'refusal':
      return typeof value['refusal'] === 'string'
        ? { kind: 'refusal', text: value['refusal'], extras: extrasOf(value, REFUSAL_MEMBERS) }
        : undefined
    case 'input_image':
      return readImage(value, cacheMark)
    case 'input_file':
      return readFile(value, cacheMark)
    case 'input_audio': {
      const { data, format } = asObject(value['input_audio'])
      if (typeof data !== 'string' || typeof format !== 'string') return undefined
      return { kind: 'audio', data, format, cacheMark, extras: extrasOf(value, AUDIO_MEMBERS) }
    }
    default: {
      const type = asText(value['type'])
      return type === undefined
        ? undefined
        : { kind: 'native', type, native: { dialect: 'openai-responses', value }, cacheMark }
    }
  }
}

function readImage(value: JsonObject, cacheMark: CacheMark | undefined): ImagePart | undefined {
  const url = asText(value['image_url'])
  const source = url === undefined ? fileIdSource(value) : (parseDataUrl(url) ?? { kind: 'url' as const, url })
  const detail = asText(value['detail'])
  return source && { kind: 'image', source, detail, cacheMark, extras: extrasOf(value, IMAGE_MEMBERS) }
}

function readFile(value: JsonObject, cacheMark: CacheMark | undefined): FilePart | undefined {
  const data = asText(value['file_data'])
  const url = asText(value['file_url'])
  const source =
    data !== undefined
      ? (parseDataUrl(data) ?? { kind: 'base64' as const, mediaType: 'application/pdf', data })
      : url !== undefined
        ? { kind: 'url' as const, url }
        : fileIdSource(value)
  const name = asText(value['filename'])
  return source && { kind: 'file', source, name, cacheMark, extras: extrasOf(value, FILE_MEMBERS) }
}

function fileIdSource(value: JsonObject): Source | undefined {
  const id = asText(value['file_id'])
  return id === undefined ? undefined : { kind: 'file-id', dialect: 'openai-responses', id }
}

const DATA_URL = /^data:([^;,]*)((?:;[^;,]*)*?);base64,/i

function parseDataUrl(url: string): Source | undefined {
  const head = DATA_URL.exec(url)
  if (head === null) return undefined
  return { kind: 'base64', mediaType: head[1] || 'application/octet-stream', data: url.slice(head[0].length) }
}

/** Breakpoints of OpenAI last 30 minutes or 12 hours, marks of Anthropic 5 minutes or 1 hour. */
const MARK_TTL: ReadonlyMap<unknown, string> = new Map([
  ['30m', '5m'],
  ['12h', '1h'],
])

function readCacheMark(breakpoint: unknown): CacheMark | undefined {
  return isObject(breakpoint) ? { ttl: MARK_TTL.get(breakpoint['ttl']) } : undefined
}

/** The mark as a breakpoint. */
export function writeCacheMark({ ttl }: CacheMark): JsonObject {
  const [own] = [...MARK_TTL].find(([, mark]) => mark === ttl) ?? []
  return { mode: 'explicit', ...(own === undefined ? {} : { ttl: own }) }
}
