/**
 * What a request must not take along to a target of its own dialect. Everything else stays as the client sent it, byte for
 * byte.
 */
import { OPAQUE_MARK, isSealed } from './conversation/opaque-state.ts'
import type { Dialect } from './dialect.ts'
import { closingQuote, enclosingObject } from './enclosing-object.ts'
import { asList, asObject, isObject, parseObject, type JsonObject } from './json-value.ts'
import type { ByteSpan } from './skim-request.ts'

/** A body as a target takes it. */
export interface TidiedRequest {
  /** The same bytes where nothing applied. */
  readonly body: Uint8Array
  /** What was taken out, each kind once. */
  readonly dropped: readonly string[]
}

/** How Claude Code's first system text begins. It differs with every session and build, so it spoils the caches of local servers. */
const BILLING_START = '"x-anthropic-billing-header:'

const NAME_CHARACTERS_MAX = 64
const COMMA = 0x2c

const ITEM_REFERENCE = '"item_reference"'

/** Blocks and items that may hold opaque state, and the member that holds it. */
const SEALED_MEMBERS: ReadonlyMap<string, string> = new Map([
  ['thinking', 'signature'],
  ['redacted_thinking', 'data'],
  ['reasoning', 'encrypted_content'],
  ['compaction', 'encrypted_content'],
])

/**
 * Takes out of a body what a target cannot use: Claude Code's billing text, unless the target is Anthropic's own API, and
 * opaque state that this node sealed for a client of another dialect, which no provider can open. Reasoning that is only
 * referred to goes to the vendor alone: who keeps nothing refuses the whole request for it.
 * @param body a request's body that skimRequest has passed
 */
export function tidyRequest(dialect: Dialect, body: Uint8Array, { isVendor }: { isVendor: boolean }): TidiedRequest {
  if (dialect === 'openai-chat') return { body, dropped: [] }
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const billing = dialect === 'anthropic-messages' && !isVendor ? billingSpan(bytes) : undefined
  const unbilled =
    billing === undefined ? bytes : Buffer.concat([bytes.subarray(0, billing.start), bytes.subarray(billing.end)])
  const { body: unsealed, dropped } = withoutUnreadable(dialect, unbilled, isVendor)
  if (unsealed === bytes) return { body, dropped }
  return { body: unsealed, dropped: billing === undefined ? dropped : ['system.billing_header', ...dropped] }
}

/** The bytes of the first system block, with its comma, or of the first line of a system text, if it is the billing text. */
function billingSpan(bytes: Buffer): ByteSpan | undefined {
  const quote = bytes.indexOf(BILLING_START)
  if (quote === -1) return undefined
  if (/"system"\s*:\s*$/.test(textBefore(bytes, quote))) return firstLine(bytes, quote)
  if (!/"text"\s*:\s*$/.test(textBefore(bytes, quote))) return undefined
  const block = enclosingObject(bytes, quote)
  if (block === undefined || !/"system"\s*:\s*\[\s*$/.test(textBefore(bytes, block.start))) return undefined
  let end = block.end
  while (isSpace(bytes[end])) end += 1
  return { start: block.start, end: bytes[end] === COMMA ? end + 1 : block.end }
}

/** Within a text's quotes: its first line, with the line breaks after it. */
function firstLine(bytes: Buffer, quote: number): ByteSpan {
  const close = closingQuote(bytes, quote)
  let end = bytes.indexOf('\\n', quote)
  if (end === -1 || end > close) return { start: quote + 1, end: close }
  while (bytes.toString('latin1', end, end + 2) === '\\n') end += 2
  return { start: quote + 1, end }
}

function withoutUnreadable(
  dialect: Dialect,
  bytes: Buffer,
  isVendor: boolean,
): { readonly body: Buffer; readonly dropped: readonly string[] } {
  const refers = dialect === 'openai-responses' && !isVendor && bytes.includes(ITEM_REFERENCE)
  if (!refers && !bytes.includes(`"${OPAQUE_MARK}`)) return { body: bytes, dropped: [] }
  const value = parseObject(bytes.toString('utf8'))
  if (value === undefined) return { body: bytes, dropped: [] }
  const dropped = new Set<string>()
  const tidied = dialect === 'openai-responses' ? tidyItems(value, dropped, isVendor) : tidyMessages(value, dropped)
  return dropped.size === 0
    ? { body: bytes, dropped: [] }
    : { body: Buffer.from(JSON.stringify(tidied)), dropped: [...dropped] }
}

function tidyItems(body: JsonObject, dropped: Set<string>, isVendor: boolean): JsonObject {
  if (!Array.isArray(body['input'])) return body
  const input = withoutSealedParts(body['input'], dropped)
  return { ...body, input: isVendor ? input : withoutReferredReasoning(input, dropped) }
}

function withoutReferredReasoning(items: readonly unknown[], dropped: Set<string>): readonly unknown[] {
  return items.filter((item) => {
    const { type, id } = asObject(item)
    const isReferredReasoning = type === 'item_reference' && typeof id === 'string' && id.startsWith('rs_')
    if (isReferredReasoning) dropped.add('reasoning')
    return !isReferredReasoning
  })
}

function tidyMessages(body: JsonObject, dropped: Set<string>): JsonObject {
  const messages = asList(body['messages']).flatMap((message) => {
    if (!isObject(message) || !Array.isArray(message['content'])) return [message]
    const content = withoutSealedParts(message['content'], dropped)
    // A message that said something else keeps it; one of thinking alone would be an empty turn.
    return content.length === 0 && message['content'].length > 0 ? [] : [{ ...message, content }]
  })
  return { ...body, messages }
}

function withoutSealedParts(parts: readonly unknown[], dropped: Set<string>): readonly unknown[] {
  return parts.filter((part) => {
    const { type, ...members } = asObject(part)
    const sealed = SEALED_MEMBERS.get(String(type))
    if (sealed === undefined) return true
    const opaque = members[sealed]
    if (typeof opaque !== 'string' || !isSealed(opaque)) return true
    dropped.add(String(type))
    return false
  })
}

/** Enough of what stands before an offset to tell the member it belongs to. */
function textBefore(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', Math.max(0, at - NAME_CHARACTERS_MAX), at)
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
