import { describe, expect, test } from 'vitest'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { claudeCode, codex, type Client } from '../support/agent-clients.ts'
import { NOTES_REQUESTS, notesErrand } from '../support/agent-script.ts'
import { expectDone, expectReasoningKept, runErrand } from '../support/agent-work.ts'
import { hears, journalOf, MODEL, settled, startMarket, type TestNode } from '../support/market.ts'
import { startScriptedProvider } from '../support/scripted-provider.ts'

const CLIENTS: readonly (readonly [string, Client, Dialect])[] = [
  ['Codex', codex(), 'openai-responses'],
  ['Claude Code', claudeCode, 'anthropic-messages'],
]

describe.for(DIALECTS)('on answers bought from a node whose server speaks %s', (dialect) => {
  test.for(CLIENTS)('%s keeps notes, and every answer is settled', async ([, client, ownDialect]) => {
    const provider = await startScriptedProvider({ models: [MODEL] })
    const market = await startMarket({ sellers: [] })
    try {
      const { buyer } = market
      const seller = await market.add(sellerSettings(`${provider.url}#${dialect}`, buyer))
      await hears(buyer, [seller])
      const work = await runErrand(client, notesErrand, { url: buyer.url, model: MODEL, provider })
      expectDone(work)
      expectReasoningKept({ ...work, requests: provider.requests })
      const { items, buyerLines } = await settled(buyer, seller)
      expect(items).toHaveLength(NOTES_REQUESTS)
      const bought = { direction: 'bought', dialect: ownDialect, status: 'completed', retries: 0 }
      expect(journalOf(buyerLines)).toMatchObject(items.map(() => bought))
    } finally {
      await market.stop()
      await provider.close()
    }
  })
})

function sellerSettings(server: string, buyer: TestNode): Record<string, string | string[]> {
  return {
    role: 'seller',
    sell: '*=1/2',
    providers: `engine=${server}`,
    bootstrap: buyer.node.multiaddrs().slice(0, 1),
    // A request of Claude Code may cost half of what a stranger may owe, and the next comes before it is settled.
    stranger_credit: '1.00',
  }
}
