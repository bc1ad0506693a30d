import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { exchange, open } from '../support/http-exchange.ts'
import {
  askAdmin,
  chat,
  chatEvents,
  chatQuestion,
  EVENT_STREAM,
  explain,
  eventually,
  journalOf,
  MODEL,
  settled,
  startMarket,
  statusOf,
  type SellerOptions,
  type TestMarket,
  type TestSeller,
} from '../support/market.ts'
import { defaultReply } from '../support/scripted-answers.ts'
import type { ScriptedReply } from '../support/scripted-provider.ts'

let market: TestMarket
let cheap: TestSeller
let dear: TestSeller
afterEach(() => market.stop())

const LENDING = { stranger_credit: '5', stranger_budget: '50' }
const SPENDING = { max_spend: '10' }

/** Two sellers of one model: the first one is asked first. */
async function startRivals(settings: SellerOptions['settings'] = {}): Promise<void> {
  market = await startMarket({
    sellers: [
      { sell: '*=1/2', settings: { ...LENDING, ...settings } },
      { sell: '*=3/6', settings: LENDING },
    ],
    buyer: { settings: SPENDING },
  })
  cheap = market.sellers[0]!
  dear = market.sellers[1]!
}

describe('before the first byte the next seller is asked, and the client sees only its answer', () => {
  const obstacles: [string, (() => Promise<unknown>) | ScriptedReply][] = [
    ['a seller that has gone', () => cheap.node.stop()],
    ['a seller whose model server is down', () => cheap.provider.close()],
    ['a seller whose model server fails', { status: 500, body: '{"error":{"message":"out of memory"}}' }],
    ['a seller whose model server is overloaded', { status: 429, headers: { 'retry-after': '7' }, body: '{}' }],
    ['a seller whose model server breaks off before it answers', { ending: 'reset', headers: EVENT_STREAM, body: '' }],
    ['a seller that takes no orders for now', () => askAdmin(cheap, 'sell', { action: 'pause' })],
  ]

  test.each(obstacles)('after %s', async (_, obstacle) => {
    await startRivals()
    if (typeof obstacle === 'function') await obstacle()
    else cheap.provider.script(obstacle)
    const answer = await chat(market.buyer.url)
    expect(answer.status, answer.text()).toBe(200)
    expect(answer.headers).toMatchObject({ 'x-tok-target': dear.peerId, 'x-tok-cost-micros': '105' })
    const { items, buyerLines } = await settled(market.buyer, dear)
    expect(items).toMatchObject([{ amount: '105' }])
    // One entry for the request; what was held for the seller that failed is free.
    expect(journalOf(buyerLines)).toMatchObject([{ status: 'completed', target: dear.peerId, retries: 1 }])
    expect((await statusOf(market.buyer)).buying).toMatchObject({ heldMicros: '0', spentTodayMicros: '105' })
  })

  test('while the slots of the first are taken', async () => {
    await startRivals({ slots: '1' })
    cheap.provider.script({ headers: EVENT_STREAM, body: chatEvents(['one ', 'two ']), ending: 'hang' })
    const held = open(`${market.buyer.url}/v1/chat/completions`, chatQuestion({ stream: true }), (answer) =>
      answer.resume(),
    )
    held.on('error', () => undefined)
    await eventually(() => cheap.provider.requests.length === 1)
    const answer = await chat(market.buyer.url)
    expect(answer.headers['x-tok-target']).toBe(dear.peerId)
    held.destroy()
    await settled(market.buyer, cheap)
  })

  test('and the answer of the last one is given on as it is', async () => {
    await startRivals()
    const body = '{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limited"}}'
    for (const { provider } of [cheap, dear]) {
      provider.script({ status: 429, headers: { 'retry-after': '7', 'content-type': 'application/json' }, body })
    }
    const answer = await chat(market.buyer.url)
    expect(answer).toMatchObject({ status: 429, headers: { 'retry-after': '7', 'x-tok-target': dear.peerId } })
    expect(answer.text()).toBe(body)
    const { items } = await settled(market.buyer, dear)
    expect(items).toEqual([])
    expect((await statusOf(market.buyer)).buying).toMatchObject({ heldMicros: '0', spentTodayMicros: '0' })
  })

  test('until none is left: the error names each and its reason', async () => {
    await startRivals()
    await cheap.node.stop()
    await askAdmin(dear, 'sell', { action: 'pause' })
    const answer = await chat(market.buyer.url)
    expect(answer.status).toBe(503)
    expect(answer.headers).toMatchObject({ 'x-tok-error': 'no_offer' })
    expect(answer.text()).toContain(cheap.peerId.slice(-8))
    expect(answer.text()).toContain('selling_disabled')
    expect((await statusOf(market.buyer)).buying).toMatchObject({ heldMicros: '0' })
  })
})

describe('after the first byte the client gets an error in its dialect, never a normal end', () => {
  /** What the provider would say, cut before its last events. */
  const cut =
    (ending: ScriptedReply['ending'], keep: number) =>
    (request: Parameters<typeof defaultReply>[0]): ScriptedReply => {
      const whole = defaultReply(request, {})
      return { ...whole, body: (whole.body as readonly string[]).slice(0, keep), ending: ending ?? 'end' }
    }
  const breaks: [string, ScriptedReply['ending']][] = [
    ['is reset', 'reset'],
    ['ends within its body', 'truncate'],
    ['ends well, but without its last event', 'end'],
  ]
  const question = [{ role: 'user' as const, content: 'What is the answer?' }]

  test.each(breaks)('chat: the stream of the model server %s', async (_, ending) => {
    await startRivals()
    cheap.provider.script(cut(ending, 4))
    const openai = new OpenAI({ baseURL: `${market.buyer.url}/v1`, apiKey: 'none', maxRetries: 0 })
    const stream = await openai.chat.completions.create({ model: MODEL, messages: question, stream: true })
    let text = ''
    const read = async (): Promise<void> => {
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
    }
    await expect(read()).rejects.toThrow(/broke off/)
    expect(text).toBe('The answer is')
    const { items, buyerLines } = await settled(market.buyer, cheap)
    expect(items).toMatchObject([{ usage: { outputTokens: 4 } }])
    expect(journalOf(buyerLines)).toMatchObject([{ status: 'failed', error: 'stream_incomplete', outputTokens: 4 }])
    expect(dear.provider.requests).toHaveLength(0)
  })

  test.each(breaks)('messages: the stream of the model server %s', async (_, ending) => {
    await startRivals()
    cheap.provider.script(cut(ending, 5))
    const anthropic = new Anthropic({ baseURL: market.buyer.url, apiKey: 'none', maxRetries: 0 })
    const stream = anthropic.messages.stream({ model: MODEL, max_tokens: 100, messages: question })
    await expect(stream.finalMessage()).rejects.toThrow(/broke off/)
    await settled(market.buyer, cheap)
  })

  test.each(breaks)('responses: the stream of the model server %s', async (_, ending) => {
    await startRivals()
    cheap.provider.script(cut(ending, 6))
    const openai = new OpenAI({ baseURL: `${market.buyer.url}/v1`, apiKey: 'none', maxRetries: 0 })
    const stream = await openai.responses.create({ model: MODEL, input: 'What is the answer?', stream: true })
    const events: { type: string; sequence_number: number }[] = []
    for await (const event of stream) events.push(event)
    expect(events.at(-1)).toMatchObject({ type: 'response.failed', response: { error: { code: 'server_error' } } })
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((__, index) => index))
    await settled(market.buyer, cheap)
  })

  test('a whole answer that breaks off after its first part went on closes the connection', async () => {
    await startRivals()
    cheap.provider.script({
      headers: { 'content-length': '900000' },
      body: ['x'.repeat(600_000), 500],
      ending: 'reset',
    })
    await expect(chat(market.buyer.url)).rejects.toThrow(/aborted|ECONNRESET|hang up/)
    await settled(market.buyer, cheap)
  })

  test('a whole answer that breaks off before its receipt is bought from the next seller', async () => {
    await startRivals()
    cheap.provider.script({ headers: { 'content-length': '9000' }, body: ['{"choices"'], ending: 'reset' })
    const answer = await chat(market.buyer.url)
    expect(answer).toMatchObject({ status: 200, headers: { 'x-tok-target': dear.peerId } })
    await settled(market.buyer, cheap)
    await settled(market.buyer, dear)
  })
})

describe('limits', () => {
  test('the spending limit of the day refuses with a 429 that tells clients not to ask again', async () => {
    market = await startMarket({ sellers: [{ settings: LENDING }], buyer: { settings: { max_spend: '0.001' } } })
    const answer = await chat(market.buyer.url, { max_tokens: 10 })
    expect(answer.status, answer.text()).toBe(200)
    const startedAtMs = performance.now()
    const refused = await chat(market.buyer.url, { max_tokens: 5_000 })
    expect(performance.now() - startedAtMs).toBeLessThan(2_000)
    expect(refused).toMatchObject({
      status: 429,
      headers: { 'x-tok-error': 'spend_limit_reached', 'x-should-retry': 'false' },
    })
    expect(refused.text()).toContain('0.001 USD')
    await settled(market.buyer, market.sellers[0]!)
  })

  test('a credit line that is used up refuses at once and names the seller and the reason', async () => {
    market = await startMarket({ sellers: [{ settings: { stranger_credit: '0.001' } }], buyer: { settings: SPENDING } })
    const startedAtMs = performance.now()
    const refused = await chat(market.buyer.url, { messages: [{ role: 'user', content: 'word '.repeat(1_000) }] })
    expect(performance.now() - startedAtMs).toBeLessThan(2_500)
    expect(refused).toMatchObject({ status: 402, headers: { 'x-tok-error': 'credit_exhausted' } })
    expect(refused.text()).toContain('credit line')
    expect(refused.text()).toContain(market.sellers[0]!.peerId.slice(-8))
    const { refused: named } = await explain(market.buyer, MODEL)
    expect(named.find(({ name }) => name === market.sellers[0]!.peerId)?.reason).toContain('credit line')
  })

  test('a budget for strangers that is used up is the refusal of the seller, and the next one sells', async () => {
    await startRivals({ stranger_budget: '0' })
    const answer = await chat(market.buyer.url)
    expect(answer).toMatchObject({ status: 200, headers: { 'x-tok-target': dear.peerId } })
  })

  test('a model that nobody offers is refused at once, natively', async () => {
    market = await startMarket({ sellers: [{}] })
    const startedAtMs = performance.now()
    const answer = await chat(market.buyer.url, { model: 'no-such-model' })
    expect(performance.now() - startedAtMs).toBeLessThan(500)
    expect(answer).toMatchObject({ status: 404, headers: { 'x-tok-error': 'model_not_found' } })
  })

  test('a model that nobody offers and a route sends to the network is looked for, not longer than two seconds', async () => {
    market = await startMarket({ sellers: [{}], buyer: { settings: { routes: '*=>network' } } })
    const startedAtMs = performance.now()
    const answer = await chat(market.buyer.url, { model: 'no-such-model' })
    expect(performance.now() - startedAtMs).toBeLessThan(2_500)
    expect(answer).toMatchObject({ status: 503, headers: { 'x-tok-error': 'no_offer' } })
    expect(answer.text()).toContain('no seller of it is known')
  })

  test('a dialect that no seller speaks is named, where nothing may be translated', async () => {
    market = await startMarket({
      sellers: [{ dialects: ['openai-chat'] }],
      buyer: { settings: { work_mode: 'passthrough' } },
    })
    const answer = await exchange(`${market.buyer.url}/v1/messages`, {
      body: { model: MODEL, max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] },
    })
    expect(answer).toMatchObject({ status: 400, headers: { 'x-tok-error': 'work_mode_mismatch' } })
    expect(answer.text()).toContain('work_mode=passthrough does not support translation')
    expect(market.sellers[0]!.provider.requests).toEqual([])
  })

  test('a question right after an answer waits for the money that the call before still holds', async () => {
    market = await startMarket({ sellers: [{ settings: { stranger_credit: '0.01' } }] })
    const provider = market.sellers[0]!.provider
    const body = { max_tokens: 1_000_000, stream: true }
    for (let turn = 0; turn < 5; turn += 1) {
      // The answer is there before its receipt is.
      const answer = await chat(market.buyer.url, body)
      expect(answer.status, answer.text()).toBe(200)
    }
    expect(provider.requests).toHaveLength(5)
  })

  test('and one beside a call that goes on is told that the line is used up', async () => {
    market = await startMarket({ sellers: [{ settings: { stranger_credit: '0.01' } }] })
    const provider = market.sellers[0]!.provider
    provider.script({ headers: EVENT_STREAM, body: [chatEvents(['a '])[0] ?? '', 4_000], ending: 'hang' })
    const long = open(
      `${market.buyer.url}/v1/chat/completions`,
      chatQuestion({ max_tokens: 1_000_000, stream: true }),
      () => undefined,
    )
    long.on('error', () => undefined)
    await eventually(async () => provider.requests.length === 1)
    const startedAtMs = performance.now()
    const answer = await chat(market.buyer.url, { max_tokens: 1_000_000 })
    expect(answer).toMatchObject({ status: 402, headers: { 'x-tok-error': 'credit_exhausted' } })
    expect(performance.now() - startedAtMs).toBeLessThan(5_000)
    long.destroy()
  })
})
