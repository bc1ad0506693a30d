/**
 * A request's input tokens, estimated from the bytes of its body alone. Orders are priced by it, so buyer and
 * seller must reach the same number: the rule is exact, and needs neither a tokenizer nor a JSON parser.
 */
const BYTES_PER_TOKEN = 4
const BYTES_PER_NUMBER = 4
const ATTACHMENT_TOKENS = 1_600
const BASE_TOKENS = 3
const OPAQUE_BYTES_MIN = 512

/** Values of a member "type" that stand for a picture, a sound or a file, in any dialect. */
const ATTACHMENT_TYPES: ReadonlySet<string> = new Set([
  'image',
  'image_url',
  'input_image',
  'document',
  'file',
  'input_file',
  'input_audio',
])
const ATTACHMENT_TYPE_BYTES_MAX = 11

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const LETTER_U = 0x75

/** Bytes of base64 and base64url. */
const BASE64 = byteSet('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_')
/** Bytes a JSON number goes on with. */
const NUMBER = byteSet('0123456789+-.eE')
const DATA_URL_HEAD = /^data:[^,]{0,200};base64,/

/**
 * Estimates the input tokens of a request body (any endpoint; any bytes, valid JSON or not):
 *
 *   tokens = 3 + 1600 x attachments + ceil(text bytes / 4)
 *
 * - *Strings* are the bytes between a quote and the next unescaped one. Members' names are strings too, which
 *   stands for what chat templates add to each message. A string adds its bytes to the text bytes, but an
 *   escape of two bytes (such as \n) counts 1 and one of six (\u4e2d) counts 3.
 * - A string of 512 bytes or more that holds base64 or base64url characters only, after an optional
 *   "data:...;base64," of at most 213 bytes, is opaque and adds nothing.
 * - The next string after a member name "type" (a string "type" before a colon) is an attachment if it is "image",
 *   "image_url", "input_image", "document", "file", "input_file" or "input_audio"; its own bytes count as well.
 * - Outside strings a number (from a digit or minus on: digits, + - . e E) adds 4 to the text bytes, whatever
 *   its length; nothing else adds anything.
 */
export function estimateInputTokens(body: Uint8Array): number {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  let textBytes = 0
  let attachments = 0
  let afterType = false
  let at = 0
  while (at < bytes.length) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      const string = readString(bytes, at + 1)
      textBytes += string.textBytes
      if (afterType && isAttachmentType(bytes, at + 1, string.end)) attachments += 1
      afterType = isTypeName(bytes, at + 1, string.end)
      at = string.end + 1
    } else if (startsNumber(byte)) {
      textBytes += BYTES_PER_NUMBER
      do at += 1
      while (NUMBER[bytes[at] ?? 0] === 1)
    } else {
      at += 1
    }
  }
  return BASE_TOKENS + ATTACHMENT_TOKENS * attachments + Math.ceil(textBytes / BYTES_PER_TOKEN)
}

/** The answer of `/v1/messages/count_tokens`. */
export function tokenCountAnswer(inputTokens: number): Uint8Array {
  return Buffer.from(JSON.stringify({ input_tokens: inputTokens }))
}

interface StringRead {
  /** Offset of the closing quote, or of the end of the body. */
  readonly end: number
  readonly textBytes: number
}

function readString(bytes: Buffer, start: number): StringRead {
  let at = start
  let saved = 0
  let base64Bytes = 0
  for (; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    if (byte === QUOTE) break
    if (byte === BACKSLASH) {
      const isLong = bytes[at + 1] === LETTER_U
      saved += isLong ? 3 : 1
      at += isLong ? 5 : 1
    } else {
      base64Bytes += BASE64[byte] ?? 0
    }
  }
  const end = Math.min(at, bytes.length)
  if (isOpaque(bytes, start, end, base64Bytes)) return { end, textBytes: 0 }
  return { end, textBytes: Math.max(0, end - start - saved) }
}

function isOpaque(bytes: Buffer, start: number, end: number, base64Bytes: number): boolean {
  const length = end - start
  if (length < OPAQUE_BYTES_MIN) return false
  if (base64Bytes === length) return true
  const head = DATA_URL_HEAD.exec(bytes.toString('latin1', start, Math.min(end, start + 213)))?.[0]
  if (head === undefined) return false
  for (let at = start + head.length; at < end; at += 1) {
    if (BASE64[bytes[at] ?? 0] !== 1) return false
  }
  return true
}

function isTypeName(bytes: Buffer, start: number, end: number): boolean {
  if (end - start !== 4 || bytes.toString('latin1', start, end) !== 'type') return false
  let at = end + 1
  while (bytes[at] === 0x20 || bytes[at] === 0x09 || bytes[at] === 0x0a || bytes[at] === 0x0d) at += 1
  return bytes[at] === COLON
}

function isAttachmentType(bytes: Buffer, start: number, end: number): boolean {
  return end - start <= ATTACHMENT_TYPE_BYTES_MAX && ATTACHMENT_TYPES.has(bytes.toString('latin1', start, end))
}

function startsNumber(byte: number | undefined): boolean {
  return byte === 0x2d || (byte !== undefined && byte >= 0x30 && byte <= 0x39)
}

function byteSet(characters: string): Uint8Array {
  const set = new Uint8Array(256)
  for (const byte of Buffer.from(characters)) set[byte] = 1
  return set
}
