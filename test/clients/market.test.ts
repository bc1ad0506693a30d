import { expect, test } from 'vitest'
import { claudeCode, codex, type Client } from '../support/agent-clients.ts'
import { WORK_TURNS } from '../support/agent-script.ts'
import { doWork, expectDone } from '../support/agent-work.ts'
import { journalOf, MODEL, settled, startMarket } from '../support/market.ts'

const CLIENTS: readonly (readonly [string, Client])[] = [
  ['Codex', codex()],
  ['Claude Code', claudeCode],
]

test.for(CLIENTS)('%s works on answers bought from another node, and every one is settled', async ([, client]) => {
  const market = await startMarket({ sellers: [{}] })
  try {
    const [seller] = market.sellers
    expectDone(await doWork(client, { url: market.buyer.url, model: MODEL }, seller!.provider))
    const { items, buyerLines } = await settled(market.buyer, seller!)
    expect(items).toHaveLength(WORK_TURNS)
    expect(journalOf(buyerLines)).toMatchObject(
      Array.from({ length: WORK_TURNS }, () => ({ direction: 'bought', status: 'completed', retries: 0 })),
    )
  } finally {
    await market.stop()
  }
})
