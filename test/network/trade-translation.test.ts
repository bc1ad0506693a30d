/**
 * A buyer's clients speak every dialect, its seller one: the buyer's node translates, the seller passes bytes and meters them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import { exchange } from '../support/http-exchange.ts'
import { explain, journalOf, MODEL, settled, startMarket, type TestMarket, type TestSeller } from '../support/market.ts'
import { describeSdkSuite } from '../support/sdk-suite.ts'

const PATHS = {
  'openai-chat': '/v1/chat/completions',
  'openai-responses': '/v1/responses',
  'anthropic-messages': '/v1/messages',
} as const

for (const dialect of DIALECTS) {
  describe(`a seller that speaks ${dialect} only`, () => {
    let market: TestMarket
    let seller: TestSeller

    beforeAll(async () => {
      market = await startMarket({ sellers: [{ dialects: [dialect] }] })
      seller = market.sellers[0]!
    })
    afterAll(() => market.stop())

    describeSdkSuite(
      'it',
      () => ({
        openaiBaseUrl: `${market.buyer.url}/v1`,
        anthropicBaseUrl: market.buyer.url,
        provider: seller.provider,
        model: MODEL,
      }),
      { servesEmbeddings: dialect === 'openai-chat' },
    )

    test('what it cannot be told is named, and the client is answered', async () => {
      const path = dialect === 'openai-responses' ? PATHS['openai-chat'] : PATHS['openai-responses']
      const question = [{ role: 'user', content: 'hi' }]
      const answer = await exchange(`${market.buyer.url}${path}`, {
        body: { model: MODEL, messages: question, input: question, truncation: 'auto', seed: 7 },
      })
      expect(answer.status, answer.text()).toBe(200)
      expect(answer.headers['x-tok-dropped']).toContain(dialect === 'openai-responses' ? 'seed' : 'truncation')
      expect(answer.headers['x-tok-target']).toBe(seller.peerId)
    })

    test('is explained as a target of every endpoint that generates', async () => {
      for (const endpoint of ['chat', 'responses', 'messages']) {
        expect((await explain(market.buyer, MODEL, endpoint)).targets).toMatchObject([{ name: seller.peerId }])
      }
    })

    test('it is asked in its own dialect, and both ledgers say the same', async () => {
      expect(new Set(seller.provider.requests.map(({ path }) => path))).toEqual(
        new Set(dialect === 'openai-chat' ? [PATHS[dialect], '/v1/embeddings'] : [PATHS[dialect]]),
      )
      const { items, buyerLines, sellerLines } = await settled(market.buyer, seller)
      expect(items).toHaveLength(seller.provider.requests.length)
      const bought = journalOf(buyerLines).filter(({ direction }) => direction === 'bought')
      for (const line of bought.filter(({ order }) => order !== undefined)) {
        expect(line.providerDialect).toBe(line.dialect === dialect ? undefined : dialect)
      }
      expect(journalOf(sellerLines).every((line) => line.dialect === dialect)).toBe(true)
    })
  })
}
