/**
 * Parts of turns as the content of Chat Completions messages. A content of nothing but text is written as a text, not as a
 * list: every server takes that, and some take nothing else.
 */
import type { RequestWriting } from '../conversation/contract.ts'
import type { AudioPart, CacheMark, FilePart, ImagePart, NativePart, Source } from '../conversation/conversation.ts'
import { asText, type JsonObject } from '../json-value.ts'
import { refusal } from './refuse.ts'

const PARAGRAPH = '\n\n'

/** What a message holds, as it is put together. */
export class Content {
  readonly #parts: JsonObject[] = []
  #mayGrow = false

  get isEmpty(): boolean {
    return this.#parts.length === 0
  }

  /** Adds a text; one that `continues` the text before it is not set apart from it. */
  addText(
    text: string,
    { continues = false, mark }: { continues?: boolean; mark?: JsonObject | undefined } = {},
  ): void {
    const last = this.#parts.at(-1)
    if (text === '') return
    if (continues && this.#mayGrow && last !== undefined) {
      this.#parts[this.#parts.length - 1] = { ...last, ...mark, text: `${String(last['text'])}${text}` }
    } else {
      this.#parts.push({ type: 'text', text, ...mark })
    }
    this.#mayGrow = mark === undefined
  }

  addPart(part: JsonObject): void {
    this.#parts.push(part)
    this.#mayGrow = false
  }

  append(other: Content): void {
    for (const part of other.#parts) this.#parts.push(part)
    this.#mayGrow = false
  }

  /** Its texts alone. */
  toText(): string {
    return this.#parts.flatMap((part) => asText(part['text']) ?? []).join(PARAGRAPH)
  }

  toJson(): string | readonly JsonObject[] {
    const isPlain = this.#parts.every((part) => part['type'] === 'text' && Object.keys(part).length === 2)
    return isPlain ? this.toText() : this.#parts
  }
}

/** A mark that a part may be cached up to; it may stand on any. */
export const CACHE_MARK_FIELD = {
  'openai-chat': 'messages[].content[].cache_control',
  'openai-responses': 'input[].content[].prompt_cache_breakpoint',
  'anthropic-messages': 'cache_control',
}

/** The members that mark a part for caching, where the target takes marks. */
export function writeCacheMark(
  mark: CacheMark | undefined,
  { profile, losses }: RequestWriting,
): JsonObject | undefined {
  if (mark === undefined) return undefined
  if (!profile.takesCacheMarks) {
    losses.drop(CACHE_MARK_FIELD)
    return undefined
  }
  const ttl = mark.ttl === undefined ? {} : { ttl: mark.ttl === '1h' ? '12h' : '30m' }
  return { prompt_cache_breakpoint: { mode: 'explicit', ...ttl } }
}

/** A picture, document or recording as a part. @throws TokError `translation_refused` if the target takes none such */
export function writeMedia(part: ImagePart | FilePart | AudioPart, writing: RequestWriting): JsonObject {
  const mark = writeCacheMark(part.cacheMark, writing)
  switch (part.kind) {
    case 'image':
      return { type: 'image_url', image_url: writeImage(part, writing), ...mark }
    case 'file':
      return { ...writeFile(part, writing), ...mark }
    case 'audio':
      if (!writing.profile.takesAudio) throw refusal(AUDIO_FIELD, writing, 'the model takes no audio')
      return { type: 'input_audio', input_audio: { data: part.data, format: part.format }, ...mark }
  }
}

/**
 * A part that the hub does not know: itself, if it is this dialect's own, otherwise what it says in plain text. Undefined,
 * and reported, if it says nothing.
 */
export function writeNative({ native, type, text }: NativePart, { losses }: RequestWriting): JsonObject | undefined {
  if (native.dialect === 'openai-chat') return native.value
  if (text !== undefined && text !== '') return { type: 'text', text }
  losses.drop({
    'openai-chat': `messages[].content[].${type}`,
    'openai-responses': `input[].${type}`,
    'anthropic-messages': `messages[].content[].${type}`,
  })
  return undefined
}

function writeImage({ source, detail }: ImagePart, writing: RequestWriting): JsonObject {
  if (!writing.profile.takesImages) throw refusal(IMAGE_FIELD, writing, 'the model takes no images')
  const url = urlOf(source)
  if (url === undefined) throw refusal(IMAGE_FIELD, writing, 'it takes images as data or by URL only')
  return detail === undefined ? { url } : { url, detail }
}

function writeFile({ source, name }: FilePart, writing: RequestWriting): JsonObject {
  if (source.kind === 'text')
    return { type: 'text', text: name === undefined ? source.text : `${name}:\n${source.text}` }
  if (!writing.profile.takesFiles) throw refusal(FILE_FIELD, writing, 'the model takes no files')
  if (source.kind === 'file-id' && source.dialect === 'openai-chat')
    return { type: 'file', file: { file_id: source.id } }
  if (source.kind !== 'base64') throw refusal(FILE_FIELD, writing, 'it takes files as data only')
  // OpenAI refuses data without a name.
  const filename = name ?? (source.mediaType === 'application/pdf' ? 'document.pdf' : 'document')
  return { type: 'file', file: { filename, file_data: `data:${source.mediaType};base64,${source.data}` } }
}

function urlOf(source: Source): string | undefined {
  if (source.kind === 'url') return source.url
  return source.kind === 'base64' ? `data:${source.mediaType};base64,${source.data}` : undefined
}

const IMAGE_FIELD = {
  'openai-chat': 'messages[].content[].image_url',
  'openai-responses': 'input[].content[].input_image',
  'anthropic-messages': 'messages[].content[].image',
}

const FILE_FIELD = {
  'openai-chat': 'messages[].content[].file',
  'openai-responses': 'input[].content[].input_file',
  'anthropic-messages': 'messages[].content[].document',
}

const AUDIO_FIELD = {
  'openai-chat': 'messages[].content[].input_audio',
  'openai-responses': 'input[].content[].input_audio',
}
