import { expect, test } from 'vitest'
import { claudeCode, codex, type Client } from '../support/agent-clients.ts'
import { NOTES_REQUESTS, notesErrand } from '../support/agent-script.ts'
import { expectDone, runErrand } from '../support/agent-work.ts'
import { journalOf, MODEL, settled, startMarket } from '../support/market.ts'

const CLIENTS: readonly (readonly [string, Client])[] = [
  ['Codex', codex()],
  ['Claude Code', claudeCode],
]

test.for(CLIENTS)('%s works on answers bought from another node, and every one is settled', async ([, client]) => {
  // One request of Claude Code may cost half of what a stranger may owe, and the next follows before it is settled.
  const market = await startMarket({ sellers: [{ settings: { stranger_credit: '1.00' } }] })
  try {
    const [seller] = market.sellers
    const { provider } = seller!
    expectDone(await runErrand(client, notesErrand, { url: market.buyer.url, model: MODEL, provider }))
    const { items, buyerLines } = await settled(market.buyer, seller!)
    expect(items).toHaveLength(NOTES_REQUESTS)
    const bought = { direction: 'bought', status: 'completed', retries: 0 }
    expect(journalOf(buyerLines)).toMatchObject(items.map(() => bought))
  } finally {
    await market.stop()
  }
})
