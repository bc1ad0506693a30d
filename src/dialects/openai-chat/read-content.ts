/**
 * The content of a Chat Completions message: a text, or a list of parts. Source: the types of the `openai` SDK; `cache_control`
 * on parts as OpenRouter and LiteLLM take it, `thinking` parts as Mistral sends them.
 */
import type { CacheMark, Part, Source } from '../conversation/conversation.ts'
import { malformed } from '../conversation/malformed.ts'
import { asList, asObject, asText, isObject, type JsonObject } from '../json-value.ts'
import { asGivenObject, membersOf, type Members } from './members.ts'

/**
 * The parts of a message's content, none if it has no content or says nothing.
 * @param path of the content, for what cannot be read
 * @throws TokError `body_malformed`
 */
export function readContent(content: unknown, path: string): readonly Part[] {
  if (content === undefined || content === null || content === '') return []
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (!Array.isArray(content)) throw malformed(path, 'is neither a text nor a list of parts')
  return content.map((part, index) => readPart(part, `${path}[${index}]`))
}

function readPart(value: unknown, path: string): Part {
  if (typeof value === 'string') return { kind: 'text', text: value }
  if (!isObject(value)) throw malformed(path, 'is not a part of content')
  const members = membersOf(value)
  members.ignore('type', 'role')
  const part = readPartOfType(value, members, path)
  const cacheMark = takeCacheMark(members)
  const extras = part.kind === 'native' ? undefined : members.rest()
  return {
    ...part,
    ...(cacheMark === undefined ? {} : { cacheMark }),
    ...(extras === undefined ? {} : { extras: { 'openai-chat': extras } }),
  }
}

function readPartOfType(value: JsonObject, members: Members, path: string): Part {
  const type = asText(value['type']) ?? ''
  switch (type) {
    case 'text':
      return { kind: 'text', text: takeText(members, 'text', path) }
    case 'refusal':
      return { kind: 'refusal', text: takeText(members, 'refusal', path) }
    case 'image_url': {
      const image = members.take('image_url', (url) => (typeof url === 'string' ? { url } : asGivenObject(url)))
      return {
        kind: 'image',
        source: readUrl(asText(image?.['url']), `${path}.image_url.url`),
        detail: asText(image?.['detail']),
      }
    }
    case 'input_audio': {
      const audio = asObject(members.take('input_audio', asGivenObject))
      const data = asText(audio['data'])
      if (data === undefined) throw malformed(`${path}.input_audio.data`, 'is not a text')
      return { kind: 'audio', format: asText(audio['format']) ?? 'wav', data }
    }
    case 'file': {
      const file = asObject(members.take('file', asGivenObject))
      return { kind: 'file', source: readFileSource(file, path), name: asText(file['filename']) }
    }
    case 'thinking':
      members.ignore('thinking', 'closed')
      return { kind: 'reasoning', text: thinkingTextOf(value) }
    default:
      return { kind: 'native', native: { dialect: 'openai-chat', value }, type, text: asText(value['text']) }
  }
}

/** The text of a part of type `thinking`. */
export function thinkingTextOf(part: JsonObject): string {
  const { thinking } = part
  if (typeof thinking === 'string') return thinking
  return asList(thinking)
    .map((piece) => asText(asObject(piece)['text']) ?? '')
    .join('')
}

/** The mark of a part or tool that the prompt up to here may be cached. */
export function takeCacheMark(members: Members): CacheMark | undefined {
  const control = members.take('cache_control', asGivenObject)
  if (control !== undefined) return { ttl: asText(control['ttl']) }
  const breakpoint = members.take('prompt_cache_breakpoint', asGivenObject)
  if (breakpoint === undefined) return undefined
  const { ttl } = breakpoint
  return { ttl: ttl === '12h' ? '1h' : ttl === '30m' ? '5m' : undefined }
}

function takeText(members: Members, name: string, path: string): string {
  const text = members.take(name, (value) => (typeof value === 'string' ? value : undefined))
  if (text === undefined) throw malformed(`${path}.${name}`, 'is not a text')
  return text
}

function readUrl(url: string | undefined, path: string): Source {
  if (url === undefined) throw malformed(path, 'is not a text')
  if (/^https?:/i.test(url)) return { kind: 'url', url }
  const source = readDataUrl(url)
  if (source === undefined) throw malformed(path, 'is neither an http(s) URL nor a base64 data URL')
  return source
}

function readFileSource(file: JsonObject, path: string): Source {
  const id = asText(file['file_id'])
  if (id !== undefined) return { kind: 'file-id', dialect: 'openai-chat', id }
  const data = asText(file['file_data'])
  if (data === undefined) throw malformed(`${path}.file`, 'has neither "file_data" nor "file_id"')
  return readDataUrl(data) ?? { kind: 'base64', mediaType: 'application/pdf', data }
}

function readDataUrl(url: string): Source | undefined {
  const comma = url.indexOf(',')
  const head = url.slice(0, Math.max(comma, 0)).toLowerCase()
  if (!head.startsWith('data:') || !head.endsWith(';base64')) return undefined
  const mediaType = head.slice('data:'.length).split(';')[0] ?? ''
  return { kind: 'base64', mediaType: mediaType === '' ? 'text/plain' : mediaType, data: url.slice(comma + 1) }
}
