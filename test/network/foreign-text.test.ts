import { afterAll, beforeAll, expect, test } from 'vitest'
import { exchange } from '../support/http-exchange.ts'
import {
  chat,
  chatQuestion,
  journalOf,
  settled,
  startMarket,
  type TestMarket,
  type TestSeller,
} from '../support/market.ts'

let market: TestMarket
let seller: TestSeller

beforeAll(async () => {
  market = await startMarket({ sellers: [{}], buyer: {} })
  seller = market.sellers[0] as TestSeller
})
afterAll(() => market.stop())

test('a provider with odd headers and an odd name for its model is sold all the same', async () => {
  const names = ['\\ufeffqwen', 'half \\ud800', 'm'.repeat(201), '']
  for (const name of names) {
    seller.provider.script({
      headers: { 'content-type': 'application/json', 'retry-after': '', 'x-should-retry': 'v'.repeat(9_000) },
      body: `{"model":"${name}","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2}}`,
    })
  }
  for (const name of names) {
    const answer = await chat(market.buyer.url)
    expect(answer.status, name).toBe(200)
    expect(answer.headers, name).toMatchObject({ 'content-type': 'application/json' })
    expect(answer.headers, name).not.toHaveProperty('retry-after')
    expect(answer.text()).toContain(name)
  }
  const { items, buyerLines, sellerLines } = await settled(market.buyer, seller)
  expect(items).toHaveLength(names.length)
  for (const lines of [buyerLines, sellerLines]) {
    const entries = journalOf(lines)
    expect(entries.map(({ status }) => status)).toEqual(names.map(() => 'completed'))
    expect(entries.filter((entry) => entry['servedModel'] !== undefined)).toEqual([])
  }
})

test('a query that no order holds is refused before anything is ordered', async () => {
  const ordersBefore = await ordersOf()
  const path = `${market.buyer.url}/v1/chat/completions?${'q'.repeat(1_024)}`
  const answer = await exchange(path, chatQuestion())
  expect(answer.status).toBe(414)
  expect(answer.headers['x-tok-error']).toBe('query_too_long')
  expect(answer.text()).toContain('more than 1024 bytes')
  expect(await ordersOf()).toBe(ordersBefore)
})

test('a model whose name is half a character is refused', async () => {
  const answer = await exchange(`${market.buyer.url}/v1/chat/completions`, {
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m\\ud800","messages":[]}',
  })
  expect(answer.status).toBe(400)
  expect(answer.headers['x-tok-error']).toBe('body_malformed')
})

async function ordersOf(): Promise<number> {
  const { buyerLines } = await settled(market.buyer, seller)
  return buyerLines.filter(({ kind }) => kind === 'order').length
}
