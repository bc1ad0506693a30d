/** Vectors of what both sides of a call count alike: the input estimate, the running count, and the usage that is billed. */
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { createDelivery } from '../../src/dialects/delivery.ts'
import type { Endpoint } from '../../src/dialects/dialect.ts'
import { estimateInputTokens } from '../../src/dialects/estimate-input-tokens.ts'
import { billedUsage, type ReportedUsage } from '../../src/market/check-receipt.ts'
import { reading, type Case } from './case.ts'
import type { Order } from '../../src/wire/inference.ts'

/** @returns the vectors of counting; bills are made under `order` */
export function countingVectors(order: Order): Case[] {
  return [...estimates(), ...runningCounts(), ...bills(order)]
}

function estimates(): Case[] {
  const image = { type: 'image', source: { type: 'base64', data: 'QUJD'.repeat(200) } }
  const dataUrl = `data:image/png;base64,${'QUJD'.repeat(200)}`
  const table: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['an empty object', '{}'],
    ['a short chat', '{"model":"m","messages":[{"role":"user","content":"Hello"}]}'],
    ['numbers, truth values and null', '{"temperature":0.7,"n":-12,"stream":true,"stop":null,"big":1e400}'],
    ['escapes', String.raw`{"content":"a\nb\"c\\d\u4e2d\u0041"}`],
    ['many scripts', '{"content":"Grüße aus 東京 🌍"}'],
    ['a string without its end', '{"content":"Hello'],
    ['an escape without its end', '{"content":"Hello\\'],
    ['an image as base64', JSON.stringify({ messages: [{ role: 'user', content: [image] }] })],
    ['an image as a data URL', JSON.stringify({ content: [{ type: 'image_url', image_url: { url: dataUrl } }] })],
    ['511 characters of base64', JSON.stringify({ data: 'A'.repeat(511) })],
    ['512 characters of base64', JSON.stringify({ data: 'A'.repeat(512) })],
    ['512 characters with a blank', JSON.stringify({ data: `${'A'.repeat(511)} ` })],
    ['a type after blanks', '{"type" \t\n : "input_audio"}'],
    ['a type that is a value', '{"kind":"type","file":"image"}'],
    ['no JSON at all', 'hello "world" 42'],
  ]
  return table.map(([name, body]) => ({
    name: `estimate: ${name}`,
    check: 'estimate',
    body: toHex(utf8(body)),
    inputTokens: estimateInputTokens(utf8(body)),
  }))
}

interface Answer {
  readonly endpoint: Endpoint
  readonly status?: number
  readonly contentType?: string
  readonly outputTokensMax?: number
  readonly parts: readonly string[]
}

function events(...values: readonly unknown[]): string {
  return values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('')
}

function chatDelta(delta: unknown): unknown {
  return { choices: [{ index: 0, delta }] }
}

function runningCounts(): Case[] {
  const chat = events(
    chatDelta({ role: 'assistant', content: '' }),
    chatDelta({ content: 'Grüße' }),
    chatDelta({ reasoning_content: 'hm, ', content: ' aus 東京' }),
    chatDelta({ tool_calls: [{ index: 0, function: { name: 'look_up', arguments: '{"city":' } }] }),
    chatDelta({ tool_calls: [{ index: 0, function: { arguments: '"Tokyo"}' } }] }),
    { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
  )
  const messages = [
    { type: 'message_start', message: { model: 'm', usage: { input_tokens: 9 } } },
    { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Let me think.' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'A'.repeat(400) } },
    { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Hello 🌍' } },
    { type: 'content_block_start', index: 2, content_block: { type: 'tool_use', name: 'run', input: {} } },
    { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '{"a":1}' } },
    { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 50 } },
    { type: 'message_stop' },
  ]
    .map((value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`)
    .join('')
  const item = { type: 'message', content: [{ type: 'output_text', text: 'Hello there' }] }
  const call = { type: 'function_call', name: 'run', arguments: '{"a":1}' }
  const responses = events(
    { type: 'response.created', response: { id: 'r', model: 'm' } },
    { type: 'response.output_item.added', output_index: 0, item: { type: 'message' } },
    { type: 'response.output_text.delta', output_index: 0, delta: 'Hello' },
    { type: 'response.output_text.delta', output_index: 0, delta: ' there' },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.output_item.done', output_index: 1, item: call },
    { type: 'response.completed', response: { status: 'completed', output: [item, call] } },
  )
  const stream = { contentType: 'text/event-stream; charset=utf-8' }
  const table: readonly (readonly [string, Answer])[] = [
    ['a chat stream', { ...stream, endpoint: 'chat', parts: [chat] }],
    ['the same chat stream, cut anywhere', { ...stream, endpoint: 'chat', parts: chat.match(/[^]{1,37}/g) ?? [] }],
    ['a messages stream', { ...stream, endpoint: 'messages', parts: [messages] }],
    ['a responses stream', { ...stream, endpoint: 'responses', parts: [responses] }],
    ['a stream at its maximum', { ...stream, endpoint: 'chat', outputTokensMax: 3, parts: [chat] }],
    [
      'a stream of comments and other fields',
      { ...stream, endpoint: 'chat', parts: [': wait\n\nid: 7\nretry: 5\n\n', chat] },
    ],
    ['a stream with a broken event', { ...stream, endpoint: 'chat', parts: ['data: {"choices"\n\n', chat] }],
    ['an answer in one piece', { endpoint: 'chat', parts: ['{"choices":[{"message":{"content":"Hello"}}]}'] }],
    ['an error answer', { endpoint: 'chat', status: 429, parts: ['{"error":{"message":"slow down"}}'] }],
    ['an answer without a byte', { endpoint: 'embeddings', parts: [] }],
  ]
  return table.map(
    ([name, { endpoint, status = 200, contentType = 'application/json', outputTokensMax = 1_000, parts }]) => {
      const delivery = createDelivery(endpoint, { status, headers: { 'content-type': contentType } }, outputTokensMax)
      const counts = parts.map((part) => {
        delivery.push(utf8(part))
        return delivery.outputTokens
      })
      return {
        name: `running count: ${name}`,
        check: 'running-count',
        endpoint,
        status,
        contentType,
        outputTokensMax,
        parts: parts.map((part) => toHex(utf8(part))),
        outputTokens: counts,
      }
    },
  )
}

function bills(order: Order): Case[] {
  const { endpoint, inputTokensEstimate, inputTokensMax, outputTokensMax } = order
  const terms = { endpoint, inputTokensEstimate, inputTokensMax, outputTokensMax }
  type Seen = { readonly httpStatus?: number; readonly countedOutputTokens: number; readonly reported: ReportedUsage }
  const table: readonly (readonly [string, Seen, Partial<Order>?])[] = [
    [
      'the counts that the provider reports',
      { httpStatus: 200, countedOutputTokens: 9, reported: { inputTokens: 40, outputTokens: 12 } },
    ],
    [
      'with cached input',
      {
        httpStatus: 200,
        countedOutputTokens: 9,
        reported: { inputTokens: 40, cachedInputTokens: 30, cacheWriteTokens: 5, outputTokens: 12 },
      },
    ],
    ['no counts: the estimate and the running count', { httpStatus: 200, countedOutputTokens: 9, reported: {} }],
    ['half of the counts', { httpStatus: 200, countedOutputTokens: 9, reported: { inputTokens: 40 } }],
    [
      'counts above the order',
      { httpStatus: 200, countedOutputTokens: 9, reported: { inputTokens: 4_000, outputTokens: 4_000 } },
    ],
    ['an error answer', { httpStatus: 500, countedOutputTokens: 0, reported: { inputTokens: 40, outputTokens: 12 } }],
    ['no answer', { countedOutputTokens: 0, reported: {} }],
    [
      'embeddings',
      { httpStatus: 200, countedOutputTokens: 9, reported: { inputTokens: 40 } },
      { endpoint: 'embeddings' },
    ],
  ]
  return table.map(([name, seen, changes]) => {
    const { usage, source } = billedUsage(
      { ...order, ...changes },
      { answerBytes: 0, answerDigest: new Uint8Array(32), textBytes: 0, httpStatus: undefined, ...seen },
    )
    return {
      name: `billed: ${name}`,
      check: 'billed',
      order: { ...terms, ...(changes as Partial<typeof terms>) },
      seen: reading(seen),
      usage: reading(usage),
      source,
    }
  })
}
