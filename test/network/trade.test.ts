import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { requestHeadersForSeller } from '../../src/dialects/headers.ts'
import { skimRequest } from '../../src/dialects/skim-request.ts'
import { describeCaptureReplay, loadCaptures } from '../support/captures.ts'
import { askAdmin, chat, journalOf, MODEL, settled, startMarket, type TestMarket } from '../support/market.ts'
import type { TestSeller } from '../support/market.ts'
import { DEFAULT_USAGE } from '../support/scripted-answers.ts'
import { describeSdkSuite } from '../support/sdk-suite.ts'

const CHAT = '/v1/chat/completions'

let market: TestMarket
let seller: TestSeller

beforeAll(async () => {
  const recorded = loadCaptures().captures.flatMap(({ bytes }) =>
    bytes === undefined ? [] : [skimRequest(bytes).model],
  )
  const models = [...new Set([MODEL, ...recorded])]
  market = await startMarket({
    sellers: [{ provider: { models }, settings: { stranger_credit: '5', stranger_budget: '50' } }],
    buyer: { settings: { max_spend: '10' } },
  })
  seller = market.sellers[0]!
})
afterAll(() => market.stop())

describeSdkSuite('a seller on the network', () => ({
  openaiBaseUrl: `${market.buyer.url}/v1`,
  anthropicBaseUrl: market.buyer.url,
  provider: seller.provider,
  model: MODEL,
}))

describeCaptureReplay('a seller on the network', () => ({
  facadeUrl: market.buyer.url,
  provider: seller.provider,
  headersThatTravel: requestHeadersForSeller,
}))

describe('all of it', () => {
  test('stands in both ledgers alike, each call at tokens times price', async () => {
    const { items, owedMicros, buyerLines, sellerLines } = await settled(market.buyer, seller)
    expect(items).toHaveLength(seller.provider.requests.length)
    // The provider's own counts, within what was ordered. A chat stream that was not asked for its usage has none: both sides
    // counted it alike, or they would not agree.
    const orders = new Map(buyerLines.filter(({ kind }) => kind === 'order').map(({ id, reading }) => [id, reading]))
    const receipts = buyerLines.filter(({ kind }) => kind === 'receipt').map(({ reading }) => reading)
    const reported = receipts.filter(({ usageSource }) => usageSource === 'provider')
    const uncounted = seller.provider.requests.filter(({ path, json }) => path === CHAT && isStreamWithoutUsage(json))
    expect(reported).toHaveLength(items.length - uncounted.length)
    for (const { usage, order } of reported) {
      const { endpoint, outputTokensMax } = orders.get(String(order)) ?? {}
      const outputTokens = Math.min(endpoint === 'embeddings' ? 0 : DEFAULT_USAGE.outputTokens, Number(outputTokensMax))
      expect(usage).toMatchObject({ inputTokens: DEFAULT_USAGE.inputTokens, outputTokens })
    }
    expect(owedMicros).toBe(receipts.reduce((sum, { amount }) => sum + BigInt(String(amount)), 0n))

    const statements = (lines: typeof buyerLines): readonly string[] =>
      lines.filter(({ kind }) => kind === 'statement').map(({ id }) => id)
    expect(statements(sellerLines)).toEqual(statements(buyerLines))
    const bought = journalOf(buyerLines).filter(({ direction }) => direction === 'bought')
    const sold = journalOf(sellerLines)
    expect(bought.map(({ order, receipt }) => [order, receipt])).toEqual(
      sold.map(({ order, receipt }) => [order, receipt]),
    )
  })

  test('sends a provider nothing that tells who asked', () => {
    const travelling = ['accept', 'anthropic-beta', 'anthropic-version', 'content-type', 'openai-beta']
    const connection = ['host', 'connection', 'content-length', 'user-agent', 'accept-encoding']
    for (const { headers } of seller.provider.requests) {
      expect([...travelling, ...connection]).toEqual(expect.arrayContaining(Object.keys(headers)))
    }
  })
})

test('a whole answer names its seller, price and receipt, and the ledger shows it by its request id', async () => {
  const { headers } = await chat(market.buyer.url)
  expect(headers).toMatchObject({ 'x-tok-target': seller.peerId, 'x-tok-model': MODEL, 'x-tok-cost-micros': '35' })
  const receipt = headers['x-tok-receipt']
  await settled(market.buyer, seller)
  const shown = (await askAdmin(market.buyer, `ledger/show/${String(headers['x-request-id'])}`)).json()
  expect(shown).toMatchObject({
    kind: 'inference',
    journal: { direction: 'bought', status: 'completed', target: seller.peerId, amount: '35', receipt, retries: 0 },
    order: { model: MODEL, seller: seller.peerId, buyer: market.buyer.peerId },
    voucher: { amount: '35' },
    receipt: { id: receipt, status: 'completed', amount: '35', usageSource: 'provider' },
    settledAt: expect.any(Number),
  })
  const sold = (await askAdmin(seller, `ledger/show/${String(receipt)}`)).json()
  expect(sold).toMatchObject({ journal: { direction: 'sold', amount: '35' }, receipt: { id: receipt } })
})

function isStreamWithoutUsage(body: unknown): boolean {
  const { stream, stream_options: options } = body as { stream?: boolean; stream_options?: { include_usage?: boolean } }
  return stream === true && options?.include_usage !== true
}
