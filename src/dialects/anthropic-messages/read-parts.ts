/**
 * Reads the content blocks of a Messages request.
 */
import type { OpaqueState, Part, ReasoningPart, Source, ToolResultPart } from '../conversation/conversation.ts'
import { isSealed, openState, type OpaqueSeal } from '../conversation/opaque-state.ts'
import { malformed } from '../conversation/malformed.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { textMember } from './members.ts'
import { readCacheMark } from './read-tools.ts'

const DIALECT = 'anthropic-messages'

/** The first block of Claude Code's system prompt: a note to Anthropic that differs from build to build. */
const BILLING_NOTE = 'x-anthropic-billing-header:'

/** Blocks that change the list of tools: read with it. */
const TOOL_CHANGES: ReadonlySet<unknown> = new Set(['tool_addition', 'tool_removal'])

/**
 * The parts of a `content`, or of `system`: a text, a list of blocks, or nothing.
 * @param path names it in errors: "messages[3].content"
 * @throws TokError `body_malformed`
 */
export function readParts(content: unknown, path: string, seal: OpaqueSeal): readonly Part[] {
  if (content === undefined || content === null) return []
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (!Array.isArray(content)) throw malformed(path, 'is neither a text nor a list of blocks')
  return content.flatMap((block: unknown, index) => {
    if (typeof block === 'string') return [{ kind: 'text', text: block } as const]
    if (!isObject(block)) throw malformed(`${path}[${index}]`, 'is not an object')
    return readBlock(block, `${path}[${index}]`, seal)
  })
}

/** True for the block that is meant for Anthropic's own accounts: elsewhere it only spoils caches. */
export function isBillingNote(part: Part): boolean {
  return part.kind === 'text' && part.text.startsWith(BILLING_NOTE)
}

function readBlock(block: JsonObject, path: string, seal: OpaqueSeal): readonly Part[] {
  const type = asText(block['type'])
  if (type === undefined) throw malformed(`${path}.type`, 'is not a text')
  if (TOOL_CHANGES.has(type)) return []
  const cacheMark = readCacheMark(block)
  switch (type) {
    case 'text': {
      const text = block['text']
      if (typeof text !== 'string') throw malformed(`${path}.text`, 'is not a text')
      return [{ kind: 'text', text, cacheMark, extras: extrasOf(block, ['text']) }]
    }
    case 'image': {
      const source = readSource(block['source'], `${path}.source`)
      return [{ kind: 'image', source, cacheMark, extras: extrasOf(block, ['source']) }]
    }
    case 'document':
      return readDocument(block, path, seal)
    case 'thinking':
    case 'redacted_thinking':
      return [readThinking(block, type, seal)]
    case 'tool_use':
      return [
        {
          kind: 'tool-call',
          toolKind: 'function',
          callId: textMember(block, 'id', path),
          name: textMember(block, 'name', path),
          input: inputText(block['input']),
          cacheMark,
          extras: extrasOf(block, ['id', 'name', 'input']),
        },
      ]
    case 'tool_result':
      return [readToolResult(block, path, seal)]
    case 'tool_reference':
      return [{ kind: 'tool-reference', name: textMember(block, 'tool_name', path), cacheMark }]
    default: {
      const text = plainText(block)
      // Of what is told in plain words, the rest is lost; of what is not, all.
      const extras = text === undefined ? undefined : extrasOf(block, ['title', 'source', 'content', 'text'])
      return [{ kind: 'native', native: { dialect: DIALECT, value: block }, type, text, cacheMark, extras }]
    }
  }
}

function readToolResult(block: JsonObject, path: string, seal: OpaqueSeal): ToolResultPart {
  const content = block['content']
  // Some clients put their tool's answer there as it is.
  const text = isObject(content) || typeof content === 'number' ? JSON.stringify(content) : content
  return {
    kind: 'tool-result',
    toolKind: 'function',
    callId: textMember(block, 'tool_use_id', path),
    content: readParts(text, `${path}.content`, seal),
    isError: block['is_error'] === true,
    cacheMark: readCacheMark(block),
    extras: extrasOf(block, ['tool_use_id', 'content', 'is_error']),
  }
}

/** Thinking as this node sealed it for another provider, as Anthropic signed it, or what is left of another node's. */
function readThinking(block: JsonObject, type: 'thinking' | 'redacted_thinking', seal: OpaqueSeal): ReasoningPart {
  const text = typeof block['thinking'] === 'string' ? block['thinking'] : ''
  const opaque = asText(block[type === 'thinking' ? 'signature' : 'data'])
  return { kind: 'reasoning', text, native: opaque === undefined ? undefined : readOpaque(block, opaque, seal) }
}

function readOpaque(block: JsonObject, opaque: string, seal: OpaqueSeal): OpaqueState | undefined {
  return isSealed(opaque) ? openState(seal, opaque) : { dialect: DIALECT, value: block }
}

function readDocument(block: JsonObject, path: string, seal: OpaqueSeal): readonly Part[] {
  const source = asObject(block['source'])
  const name = asText(block['title'])
  const cacheMark = readCacheMark(block)
  const extras = extrasOf(block, ['source', 'title'])
  if (source['type'] !== 'content') {
    return [{ kind: 'file', source: readSource(source, `${path}.source`), name, cacheMark, extras }]
  }
  const parts = readParts(source['content'], `${path}.source.content`, seal)
  const texts = parts.flatMap((part) => (part.kind === 'text' ? [part.text] : []))
  if (texts.length < parts.length) return parts.map((part, index) => (index === 0 ? { ...part, cacheMark } : part))
  const text = texts.join('\n')
  return [{ kind: 'file', source: { kind: 'text', mediaType: 'text/plain', text }, name, cacheMark, extras }]
}

function readSource(value: unknown, path: string): Source {
  const source = asObject(value)
  const data = source['data']
  switch (source['type']) {
    case 'base64':
      return {
        kind: 'base64',
        mediaType: textMember(source, 'media_type', path),
        data: textMember(source, 'data', path),
      }
    case 'text':
      if (typeof data !== 'string') throw malformed(`${path}.data`, 'is not a text')
      return { kind: 'text', mediaType: asText(source['media_type']) ?? 'text/plain', text: data }
    case 'url':
      return { kind: 'url', url: textMember(source, 'url', path) }
    case 'file':
      return { kind: 'file-id', dialect: DIALECT, id: textMember(source, 'file_id', path) }
    default:
      throw malformed(path, 'is of no known type')
  }
}

/** A block in plain words: for search results, summaries, and whatever else holds its text where all blocks do. */
function plainText(block: JsonObject): string | undefined {
  switch (block['type']) {
    case 'search_result': {
      const texts = asList(block['content']).map((inner) => asObject(inner)['text'])
      return [block['title'], block['source'], ...texts].filter((text) => typeof text === 'string').join('\n')
    }
    case 'compaction':
      return asText(block['content'])
    default:
      return asText(block['text'])
  }
}

/** The input of a call as the text a model would have written. */
function inputText(input: unknown): string {
  if (input === undefined || input === null) return '{}'
  return typeof input === 'string' ? input : JSON.stringify(input)
}

function extrasOf(block: JsonObject, read: readonly string[]): { readonly [DIALECT]?: JsonObject } {
  const rest = Object.entries(block).filter(
    ([name, value]) => name !== 'type' && name !== 'cache_control' && value !== null && !read.includes(name),
  )
  return rest.length === 0 ? {} : { [DIALECT]: Object.fromEntries(rest) }
}
