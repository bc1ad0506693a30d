import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { exchange, open, until } from '../support/http-exchange.ts'
import {
  chat,
  chatEvents,
  chatQuestion,
  EVENT_STREAM,
  journalOf,
  MODEL,
  settled,
  startMarket,
  textOf,
  type MarketOptions,
  type TestMarket,
  type TestSeller,
} from '../support/market.ts'

let market: TestMarket
afterEach(() => market.stop())

/** A market with one seller that lends enough for anything here. */
async function startPair(settings: NonNullable<MarketOptions['sellers'][0]['settings']> = {}): Promise<TestSeller> {
  market = await startMarket({
    sellers: [{ settings: { stranger_credit: '50', stranger_budget: '50', slots: '200', ...settings } }],
    buyer: { settings: { max_spend: '50' } },
  })
  return market.sellers[0]!
}

/** Asks for a streamed chat completion and hands over its answer unread. */
async function openStream(body: Readonly<Record<string, unknown>> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const question = chatQuestion({ stream: true, ...body })
    open(`${market.buyer.url}/v1/chat/completions`, question, resolve).on('error', reject)
  })
}

describe('a streamed answer', () => {
  test('whose client leaves is stopped at the provider within a second, and paid as far as it was delivered', async () => {
    const seller = await startPair()
    seller.provider.script({
      headers: EVENT_STREAM,
      body: chatEvents(['one two three four ', 'five six ']).flatMap((event) => [event, 60_000]),
    })
    const answer = await openStream()
    await once(answer, 'data')
    answer.destroy()
    await until(() => seller.provider.requests[0]?.wasAbandoned === true, 1_000)

    const { items, buyerLines, sellerLines } = await settled(market.buyer, seller)
    // "one two three four " has 19 bytes: 5 tokens.
    expect(items).toMatchObject([{ usage: { outputTokens: 5 } }])
    expect(items[0]?.receipt).toBeDefined()
    expect(journalOf(buyerLines)).toMatchObject([{ status: 'aborted', error: 'client_left', amount: items[0]?.amount }])
    expect(journalOf(sellerLines)).toMatchObject([
      { status: 'aborted', error: 'call_aborted', amount: items[0]?.amount },
    ])
  })

  test('to a client that does not read holds the provider back, and loses nothing', async () => {
    const seller = await startPair({ window_tokens: '65536' })
    const events = 10_000
    const event = `data: {"choices":[{"index":0,"delta":{"content":"x"}}],"padding":"${'p'.repeat(4_000)}"}\n\n`
    const body = [...Array.from({ length: events }, () => event), ...chatEvents([])]
    seller.provider.script({ headers: EVENT_STREAM, body })
    const answer = await openStream({ max_tokens: 50_000 })
    answer.pause()
    const sent = (): number => seller.provider.requests[0]?.bytesSent ?? 0
    const before = await standstill(sent)
    expect(before).toBeLessThan((events * event.length) / 2)

    const digest = createHash('sha256')
    for await (const piece of answer) digest.update(piece as Uint8Array)
    expect(digest.digest('hex')).toBe(createHash('sha256').update(body.join('')).digest('hex'))
    const { items } = await settled(market.buyer, seller)
    expect(items).toMatchObject([{ usage: { outputTokens: events / 4 } }])
  }, 30_000)

  test('runs beside 99 others of the pair, each whole and each paid exactly', async () => {
    const seller = await startPair()
    const streams = 100
    // Some end while others begin, so that statements are made while calls run.
    const tokensOf = (stream: number): readonly string[] =>
      Array.from({ length: 20 + ((stream * 37) % 61) }, (_, token) => `stream${stream}token${token} `)
    seller.provider.script(({ json }) => {
      const stream = Number((json as { user: string }).user)
      return { headers: EVENT_STREAM, body: chatEvents(tokensOf(stream)).flatMap((event) => [15, event]) }
    }, streams)
    const answers = await Promise.all(
      Array.from({ length: streams }, (_, stream) => chat(market.buyer.url, { stream: true, user: String(stream) })),
    )
    for (const [stream, answer] of answers.entries()) expect(textOf(answer.text())).toBe(tokensOf(stream).join(''))

    const { items, owedMicros, buyerLines } = await settled(market.buyer, seller)
    expect(items).toHaveLength(streams)
    const tokens = Array.from({ length: streams }, (_, stream) => Math.ceil(tokensOf(stream).join('').length / 4))
    const billed = items.map(({ usage }) => usage.outputTokens)
    expect(billed.toSorted((one, other) => one - other)).toEqual(tokens.toSorted((one, other) => one - other))
    const spent = journalOf(buyerLines).reduce((sum, { amount }) => sum + BigInt(String(amount)), 0n)
    expect(spent).toBe(owedMicros)
  })
})

describe('large bodies', () => {
  test('a request of 20 MB reaches the provider byte for byte', async () => {
    const seller = await startPair()
    const url = `data:image/png;base64,${'QUJD'.repeat(5_000_000)}`
    const { body } = chatQuestion({
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    })
    const answer = await exchange(`${market.buyer.url}/v1/chat/completions`, { body })
    expect(answer.status, answer.text()).toBe(200)
    expect(
      Buffer.compare(seller.provider.requests[0]?.body ?? Buffer.alloc(0), Buffer.from(JSON.stringify(body))),
    ).toBe(0)
    await settled(market.buyer, seller)
  })

  test('an answer of 8 MB that is not streamed arrives byte for byte and is paid by its own usage', async () => {
    const seller = await startPair()
    const data = Array.from({ length: 400 }, (_, index) => ({
      object: 'embedding',
      index,
      embedding: Array.from({ length: 1_536 }, (__, place) => Math.sin(index + place)),
    }))
    const usage = { prompt_tokens: 1_000, total_tokens: 1_000 }
    const body = JSON.stringify({ object: 'list', data, model: MODEL, usage })
    seller.provider.script({ body })
    const input = Array.from({ length: 400 }, (_, index) => `text number ${index}`)
    const answer = await exchange(`${market.buyer.url}/v1/embeddings`, { body: { model: MODEL, input } })
    expect(answer.status).toBe(200)
    expect(answer.body.length).toBeGreaterThan(8_000_000)
    expect(answer.body.equals(Buffer.from(body))).toBe(true)
    const { items } = await settled(market.buyer, seller)
    expect(items).toMatchObject([{ usage: { inputTokens: 1_000, outputTokens: 0 }, amount: '1000' }])
  })
})

/** Waits until `count` has stopped growing for half a second, and gives it. */
async function standstill(count: () => number): Promise<number> {
  let last = -1
  while (count() !== last || last <= 0) {
    last = count()
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  return last
}
