/**
 * Writes the parts of a conversation as content blocks of a Messages request.
 */
import { TokError } from '../../base/errors.ts'
import type { RequestWriting } from '../conversation/contract.ts'
import type {
  CacheMark,
  FilePart,
  ImagePart,
  Part,
  ReasoningPart,
  ToolCallPart,
  ToolResultPart,
} from '../conversation/conversation.ts'
import type { FieldName } from '../conversation/losses.ts'
import { parseObject, type JsonObject } from '../json-value.ts'

const DIALECT = 'anthropic-messages'

/** Where input stands that a model generated and that is no JSON object. */
export const UNREADABLE_INPUT = 'unreadable_input'

/** Where a part stands in the client's dialect. */
const PART_PATH = {
  'openai-chat': 'messages[].content[]',
  'openai-responses': 'input[].content[]',
  'anthropic-messages': 'messages[].content[]',
} as const

const REASONING_FIELD: FieldName = {
  'openai-chat': 'messages[].reasoning_content',
  'openai-responses': 'input[].reasoning',
  'anthropic-messages': 'messages[].content[].thinking',
}

export const CACHE_MARK_FIELD: FieldName = {
  'openai-chat': 'cache_control',
  'openai-responses': 'prompt_cache_breakpoint',
  'anthropic-messages': 'cache_control',
}

/** A block on its way: its cache mark may still be taken off. */
export type Block = Record<string, unknown>

/** Names a field in the client's dialect and stops: to leave it out would change what was asked. */
export function refuse(field: string, reason: string, { losses, target }: RequestWriting): never {
  const path = `${PART_PATH[losses.dialect]}.${field}`
  throw new TokError('translation_refused', { field: path, target, dialect: DIALECT, reason })
}

/**
 * The block for a part of a user's, a system's or an assistant's turn; undefined for what is empty or cannot be said.
 * Results of tools are written by `resultBlock`.
 * @throws TokError `translation_refused`
 */
export function writeBlock(part: Exclude<Part, ToolResultPart>, writing: RequestWriting): Block | undefined {
  const { losses } = writing
  if (part.kind !== 'native') losses.dropExtras(part.extras, DIALECT, PART_PATH)
  const block = blockOf(part, writing)
  if (block !== undefined && part.kind !== 'reasoning') mark(block, part.cacheMark, writing)
  return block
}

/** Writes a cache mark where the target takes one. OpenAI's times become the nearest of Anthropic's two. */
export function mark(block: Block, cacheMark: CacheMark | undefined, { profile, losses }: RequestWriting): void {
  if (cacheMark === undefined) return
  if (!profile.takesCacheMarks) {
    losses.drop(CACHE_MARK_FIELD)
    return
  }
  const { ttl } = cacheMark
  const time = ttl === '1h' || ttl === '12h' ? '1h' : ttl === undefined ? undefined : '5m'
  block['cache_control'] = { type: 'ephemeral', ...(time === undefined ? {} : { ttl: time }) }
}

function blockOf(part: Exclude<Part, ToolResultPart>, writing: RequestWriting): Block | undefined {
  switch (part.kind) {
    case 'text':
      return part.text.trim() === '' ? undefined : { ...part.extras?.[DIALECT], type: 'text', text: part.text }
    case 'refusal':
      return part.text.trim() === '' ? undefined : { type: 'text', text: part.text }
    case 'image':
      return imageBlock(part, writing)
    case 'file':
      return fileBlock(part, writing)
    case 'audio':
      return refuse('input_audio', 'it takes no sound', writing)
    case 'reasoning':
      return thinkingBlock(part, writing)
    case 'tool-call':
      return callBlock(part, writing)
    case 'tool-reference':
      return { type: 'text', text: `The tool ${writing.bridge.wireNameOf(part)} is loaded.` }
    case 'native':
      if (part.native.dialect === DIALECT) return { ...part.native.value }
      if (part.text !== undefined && part.text.trim() !== '') return { type: 'text', text: part.text }
      writing.losses.drop({
        'openai-chat': `messages[].content[].${part.type}`,
        'openai-responses': `input[].${part.type}`,
      })
      return undefined
  }
}

/** Only what this very provider gave goes back to it; anybody else's thinking would be refused. */
function thinkingBlock({ text, native }: ReasoningPart, { target, losses }: RequestWriting): Block | undefined {
  const isItsOwn = native?.dialect === DIALECT && (native.source === undefined || native.source === target)
  if (isItsOwn) return { ...native.value }
  if (text !== '' || native !== undefined) losses.drop(REASONING_FIELD)
  return undefined
}

function callBlock(call: ToolCallPart, { bridge }: RequestWriting): Block {
  return {
    type: 'tool_use',
    id: bridge.wireCallIdOf(call.callId),
    name: bridge.wireNameOf(call),
    input: inputOf(bridge.wireInputOf(call)),
  }
}

/** A call's input as the object that Messages demands; text that is none is kept under a name of its own. */
export function inputOf(text: string): JsonObject {
  if (text.trim() === '') return {}
  return parseObject(text) ?? { [UNREADABLE_INPUT]: text }
}

function imageBlock(part: ImagePart, writing: RequestWriting): Block {
  const { profile, losses } = writing
  if (!profile.takesImages) return refuse('image', 'this model sees no pictures', writing)
  if (part.detail !== undefined && part.detail !== 'auto') {
    losses.drop({
      'openai-chat': 'messages[].content[].image_url.detail',
      'openai-responses': 'input[].content[].detail',
    })
  }
  return { ...part.extras?.[DIALECT], type: 'image', source: sourceOf(part, 'image', writing) }
}

function fileBlock(part: FilePart, writing: RequestWriting): Block {
  const { source, name } = part
  if (source.kind === 'base64' && source.mediaType.startsWith('image/')) {
    return imageBlock({ kind: 'image', source, extras: part.extras }, writing)
  }
  if (!writing.profile.takesFiles) return refuse('file', 'this model reads no files', writing)
  return {
    ...part.extras?.[DIALECT],
    type: 'document',
    source: sourceOf(part, 'file', writing),
    ...(name === undefined ? {} : { title: name }),
  }
}

function sourceOf({ source }: ImagePart | FilePart, field: 'image' | 'file', writing: RequestWriting): JsonObject {
  switch (source.kind) {
    case 'url':
      if (!/^https?:\/\//i.test(source.url)) return refuse(field, 'its address is neither http nor https', writing)
      return { type: 'url', url: source.url }
    case 'text':
      return { type: 'text', media_type: 'text/plain', data: source.text }
    case 'file-id':
      if (source.dialect !== DIALECT) return refuse(field, 'the file is kept at another vendor', writing)
      return { type: 'file', file_id: source.id }
    case 'base64': {
      const mediaType = source.mediaType.toLowerCase()
      if (field === 'image') {
        return { type: 'base64', media_type: mediaType === 'image/jpg' ? 'image/jpeg' : mediaType, data: source.data }
      }
      if (mediaType === 'application/pdf') return { type: 'base64', media_type: mediaType, data: source.data }
      if (mediaType.startsWith('text/') || mediaType === 'application/json') {
        return { type: 'text', media_type: 'text/plain', data: Buffer.from(source.data, 'base64').toString('utf8') }
      }
      return refuse(field, `files of type ${mediaType} are not read`, writing)
    }
  }
}

const FAILED_IN_SILENCE = 'The tool failed and said nothing.'

/** The block for a tool's result, under the id of its call. */
export function resultBlock(part: ToolResultPart, callId: string, writing: RequestWriting): Block {
  writing.losses.dropExtras(part.extras, DIALECT, PART_PATH)
  const blocks = contentBlocks(part, writing)
  const [first] = blocks
  const isPlain = blocks.length === 1 && first?.['type'] === 'text' && Object.keys(first).length === 2
  const content = isPlain ? first['text'] : blocks
  const block: Block = {
    type: 'tool_result',
    tool_use_id: callId,
    content: blocks.length > 0 ? content : part.isError ? FAILED_IN_SILENCE : '',
    ...(part.isError ? { is_error: true } : {}),
  }
  mark(block, part.cacheMark, writing)
  return block
}

/** The content of a result that belongs to no call of the conversation, as blocks of a user's turn. */
export function orphanBlocks(part: ToolResultPart, writing: RequestWriting): readonly Block[] {
  const about = `Result of the tool call ${part.callId}${part.isError ? ', which failed' : ''}:`
  return [{ type: 'text', text: about }, ...contentBlocks(part, writing)]
}

/** The result of a call that nobody answered: Messages takes no call without one. */
export function missingResult(callId: string): Block {
  return { type: 'tool_result', tool_use_id: callId, content: 'This call was not answered.', is_error: true }
}

function contentBlocks({ content }: ToolResultPart, writing: RequestWriting): readonly Block[] {
  return content.flatMap((part) => {
    const block = part.kind === 'tool-result' ? undefined : writeBlock(part, writing)
    return block === undefined ? [] : [block]
  })
}
