/**
 * What two real nodes owe each other is paid, set off, and bounded: over libp2p, with the ledgers on disk.
 */
import { afterEach, describe, expect, test } from 'vitest'
import type { AccountView, SettlementView } from '../../src/gateway/admin-api.ts'
import {
  accountsOf,
  askAdmin,
  chat,
  eventually,
  exportedLines,
  hears,
  providedBy,
  settled,
  startMarket,
  startNode,
  type LedgerLine,
  type NodeAddress,
  type TestMarket,
  type TestNode,
} from '../support/market.ts'
import { startScriptedProvider } from '../support/scripted-provider.ts'

let market: TestMarket
const started: TestNode[] = []
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map(({ node }) => node.stop()))
  await market.stop()
  for (const close of closing.splice(0)) await close()
})

describe('a payment made outside', () => {
  test('is announced, confirmed and signed by both; the line grows, and both exports verify', async () => {
    const growing = { stranger_credit: '0.01', credit_limit: '0.02', credit_growth_percent: '50' }
    market = await startMarket({ sellers: [{ settings: growing }], buyer: { settings: SPENDING } })
    const { buyer, sellers } = market
    const seller = sellers[0]!
    await chat(buyer.url)
    await settled(buyer, seller)
    const announced = await settle(buyer, pay(seller, '30', 'invoice 1'))
    expect(announced).toMatchObject({ kind: 'payment', state: 'proposed', side: 'buyer', amountMicros: '30' })
    const [waiting] = await eventually(async () => nonEmpty(await settlementsOf(seller)))
    expect(waiting).toMatchObject({ id: announced.id, state: 'proposed', side: 'seller', reference: 'invoice 1' })
    await settle(seller, { action: 'confirm', id: announced.id.slice(0, 8) })
    await eventually(async () => (await settlementsOf(seller)).length === 0)
    for (const [node, other] of [
      [buyer, seller],
      [seller, buyer],
    ] as const) {
      expect(await accountWith(node, other)).toMatchObject({
        owedMicros: '35',
        paidMicros: '30',
        balanceMicros: '5',
        settlementsOpen: 0,
        creditLimitMicros: '10015',
        roomMicros: '10010',
      })
      const items = (await exportedLines(node)).flatMap(({ kind, reading }) =>
        kind === 'statement' ? (reading['items'] as readonly object[]) : [],
      )
      expect(items).toContainEqual(expect.objectContaining({ kind: 'payment', reference: 'invoice 1', amount: '30' }))
    }
    expect((await accountWith(seller, buyer)).line).toEqual({
      grantMicros: '10000',
      earnedMicros: '15',
      capMicros: '20000',
      halvings: 0,
    })
    expect(await refusalOf(buyer, pay(seller, '5', 'invoice 1'))).toBe('reference_used')
    expect(await refusalOf(buyer, pay(seller, '6', 'invoice 2'))).toBe('settlement_invalid')
  })

  test('frees a line that was used up: the next call runs', async () => {
    market = await startMarket({
      sellers: [{ settings: { stranger_credit: '0.0012' } }],
      buyer: { settings: SPENDING },
    })
    const { buyer, sellers } = market
    const seller = sellers[0]!
    const ask = () => chat(buyer.url, { messages: [{ role: 'user', content: 'word '.repeat(40) }] })
    const spent = await eventually(async () => {
      const answer = await ask()
      await settled(buyer, seller)
      return answer.status === 200 ? false : answer
    }, 30_000)
    expect(spent).toMatchObject({ status: 402, headers: { 'x-tok-error': 'credit_exhausted' } })
    const { balanceMicros } = await accountWith(buyer, seller)
    const { id } = await settle(buyer, pay(seller, balanceMicros, 'all of it'))
    await eventually(async () => nonEmpty(await settlementsOf(seller)))
    await settle(seller, { action: 'confirm', id })
    // The seller counts it when the countersignature has come back.
    await eventually(async () => (await accountWith(seller, buyer)).balanceMicros === '0')
    expect((await ask()).status).toBe(200)
  })

  test('up to what the seller trusts unseen is confirmed at once; an adapter it has not is refused', async () => {
    market = await startMarket({
      sellers: [{ settings: { auto_confirm_max: '0.00001' } }],
      buyer: { settings: SPENDING },
    })
    const { buyer, sellers } = market
    const seller = sellers[0]!
    await chat(buyer.url)
    await settled(buyer, seller)
    await settle(buyer, pay(seller, '10', 'a'))
    await eventually(async () => (await accountWith(buyer, seller)).paidMicros === '10')
    await settle(buyer, pay(seller, '11', 'b'))
    await eventually(async () => nonEmpty(await settlementsOf(seller)))
    expect((await accountWith(seller, buyer)).paidMicros).toBe('10')
    expect(await refusalOf(buyer, { ...pay(seller, '1', 'c'), adapter: 'lightning' })).toBe('settlement_invalid')
  })

  test('refused by the seller, or cancelled by the buyer, pays nothing', async () => {
    market = await startMarket({ sellers: [{}], buyer: { settings: SPENDING } })
    const { buyer, sellers } = market
    const seller = sellers[0]!
    await chat(buyer.url)
    await settled(buyer, seller)
    const refused = await settle(buyer, pay(seller, '10', 'a'))
    const cancelled = await settle(buyer, pay(seller, '11', 'b'))
    await eventually(async () => (await settlementsOf(seller)).length === 2)
    await settle(seller, { action: 'refuse', id: refused.id, reason: 'no such transfer' })
    await settle(buyer, { action: 'cancel', id: cancelled.id })
    await eventually(async () => (await settlementsOf(buyer)).every(({ state }) => state !== 'proposed'))
    await eventually(async () => (await settlementsOf(seller)).every(({ state }) => state === 'refused'))
    expect(await settlementsOf(buyer)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: refused.id, state: 'refused', reason: 'no such transfer' }),
        expect.objectContaining({ id: cancelled.id, state: 'cancelled' }),
      ]),
    )
    expect((await accountWith(seller, buyer)).paidMicros).toBe('0')
  })

  test('waits for a seller that is down, and one confirmed before a restart counts after it', async () => {
    market = await startMarket({ sellers: [{}], buyer: { settings: SPENDING } })
    const { buyer, sellers } = market
    const seller = sellers[0]!
    await chat(buyer.url)
    await settled(buyer, seller)
    const listen = String(seller.node.multiaddrs()[0]).split('/p2p/')[0]!
    const { id } = await settle(buyer, pay(seller, '30', 'a'))
    await eventually(async () => nonEmpty(await settlementsOf(seller)))
    await settle(seller, { action: 'confirm', id })
    await seller.node.stop()
    const again = await startNode({
      role: 'seller',
      sell: '*=1/2',
      data_dir: seller.dataDirectory,
      listen,
      ...providedBy(seller.provider),
    })
    started.push(again)
    await buyer.node.stop()
    const buyerAgain = await startNode({
      role: 'buyer',
      data_dir: buyer.dataDirectory,
      bootstrap: String(again.node.multiaddrs()[0]),
      ...SPENDING,
    })
    started.push(buyerAgain)
    await eventually(async () => (await accountWith(buyerAgain, again)).paidMicros === '30', 20_000)
    expect((await accountWith(again, buyerAgain)).paidMicros).toBe('30')
  })
})

describe('two nodes that trade both ways', () => {
  test('set off what they owe each other, and both exports say so', async () => {
    const [one, other] = await startTwins()
    await buy(one, other, 'beta')
    await buy(other, one, 'alpha')
    await buy(other, one, 'alpha')
    expect([await balanceOf(one, other), await balanceOf(other, one)]).toEqual(['35', '70'])
    const proposed = await settle(one, { action: 'net', peer: other.peerId })
    expect(proposed).toMatchObject({ kind: 'netting', state: 'proposed', amountMicros: '35' })
    await bothQuiet(one, other)
    expect([await balanceOf(one, other), await balanceOf(other, one)]).toEqual(['0', '35'])
    for (const [node, twin] of [
      [one, other],
      [other, one],
    ] as const) {
      for (const side of ['buyer', 'seller'] as const) {
        expect(await accountWith(node, twin, side)).toMatchObject({ paidMicros: '35', settlementsOpen: 0 })
      }
      expect(nettingsIn(await exportedLines(node))).toEqual(['35', '35'])
    }
    expect(await refusalOf(one, { action: 'net', peer: other.peerId })).toBe('settlement_invalid')
  })

  test('settle a netting in both accounts when one of them restarts in between', async () => {
    const [one, other, restart] = await startTwins()
    await buy(one, other, 'beta')
    await buy(other, one, 'alpha')
    await settle(one, { action: 'net', peer: other.peerId })
    const again = await restart()
    await bothQuiet(one, again)
    for (const node of [one, again]) {
      const twin = node === one ? again : one
      for (const side of ['buyer', 'seller'] as const) {
        expect(await accountWith(node, twin, side)).toMatchObject({ owedMicros: '35', paidMicros: '35' })
      }
      await exportedLines(node)
    }
  })
})

test('three hundred calls at once at the edge of the line never pass it, and each is answered or refused by name', async () => {
  market = await startMarket({
    sellers: [{ settings: { stranger_credit: '0.01', slots: '400' } }],
    buyer: { settings: { ...SPENDING, order_output_tokens_default: '256' } },
  })
  const { buyer, sellers } = market
  const seller = sellers[0]!
  await chat(buyer.url)
  const over = new AbortController()
  let most = 0n
  const watching = (async () => {
    while (!over.signal.aborted) {
      const { balanceMicros, unsettledMicros, heldMicros } = await accountWith(seller, buyer)
      const exposure = BigInt(balanceMicros) + BigInt(unsettledMicros) + BigInt(heldMicros)
      if (exposure > most) most = exposure
    }
  })()
  const answers = await Promise.all(Array.from({ length: 300 }, () => chat(buyer.url)))
  over.abort()
  await watching
  const refused = answers.filter(({ status }) => status !== 200)
  expect(refused.map(({ headers }) => headers['x-tok-error'])).toEqual(refused.map(() => 'credit_exhausted'))
  expect(refused.length).toBeGreaterThan(0)
  expect(refused.length).toBeLessThan(300)
  expect(most).toBeLessThanOrEqual(10_000n)
  expect(most).toBeGreaterThan(5_000n)
  const { items } = await settled(buyer, seller)
  expect(items).toHaveLength(301 - refused.length)
}, 60_000)

describe('a spending limit', () => {
  test('of a model or a seller is refused by name, and a local model serves where a route says so', async () => {
    market = await startMarket({
      sellers: [{ provider: { models: ['small-a', 'big'] } }],
      buyer: {
        settings: {
          ...SPENDING,
          max_spend_per_model: 'small*=0',
          max_spend_per_seller: '0.0005',
          routes: 'small-a=>network|loopback',
        },
      },
    })
    const { buyer, sellers } = market
    const refused = await chat(buyer.url, { model: 'big' })
    expect(refused).toMatchObject({ status: 429, headers: { 'x-tok-error': 'spend_limit_reached' } })
    expect(refused.text()).toContain(`a day with ${sellers[0]!.peerId}`)
    expect(refused.text()).toContain('max_spend_per_seller')
    expect(await chat(buyer.url, { model: 'small-a' })).toMatchObject({
      status: 200,
      headers: { 'x-tok-target': 'loopback' },
    })
  })
})

/** Two nodes that sell each other "alpha" and "beta"; the function stops the second where it stands and starts it anew. */
async function startTwins(): Promise<[TestNode, TestNode, () => Promise<TestNode>]> {
  const both = { role: 'both', ...SPENDING } as const
  market = await startMarket({
    sellers: [{ provider: { models: ['alpha'] }, settings: both }],
    buyer: { settings: SPENDING },
  })
  const one = market.sellers[0]!
  const provider = await startScriptedProvider({ models: ['beta'] })
  closing.push(() => provider.close())
  const other = await market.add({ ...both, sell: '*=1/2', ...providedBy(provider) })
  await hears(one, [other])
  await hears(other, [one])
  const restart = async (): Promise<TestNode> => {
    const listen = String(other.node.multiaddrs()[0]).split('/p2p/')[0]!
    await other.node.stop()
    const again = await startNode({
      ...both,
      sell: '*=1/2',
      ...providedBy(provider),
      data_dir: other.dataDirectory,
      listen,
      bootstrap: String(one.node.multiaddrs()[0]),
    })
    started.push(again)
    return again
  }
  return [one, other, restart]
}

/** Buys one answer of 35 micros and waits for its statement. */
async function buy(node: NodeAddress, seller: NodeAddress, model: string): Promise<void> {
  const owed = async (): Promise<bigint> => {
    const account = (await accountsOf(node)).find(({ counterparty, side }) => {
      return counterparty === seller.peerId && side === 'buyer'
    })
    return BigInt(account?.owedMicros ?? 0)
  }
  const before = await owed()
  expect(await chat(node.url, { model })).toMatchObject({ status: 200 })
  await eventually(async () => (await owed()) === before + 35n)
}

/** What `node` owes `other`, in micros. */
async function balanceOf(node: NodeAddress, other: NodeAddress): Promise<string> {
  return (await accountWith(node, other, 'buyer')).balanceMicros
}

async function bothQuiet(one: NodeAddress, other: NodeAddress): Promise<void> {
  await eventually(async () => {
    const open = [...(await settlementsOf(one)), ...(await settlementsOf(other))]
    const [ours, theirs] = [await accountsOf(one), await accountsOf(other)]
    const heads = (views: readonly AccountView[], peer: string) =>
      views.filter(({ counterparty }) => counterparty === peer).map(({ account, headHash }) => `${account} ${headHash}`)
    const isSame = heads(ours, other.peerId).toSorted().join() === heads(theirs, one.peerId).toSorted().join()
    return open.length === 0 && isSame
  }, 20_000)
}

function nettingsIn(lines: readonly LedgerLine[]): unknown[] {
  return lines
    .filter(({ kind }) => kind === 'statement')
    .flatMap(({ reading }) => reading['items'] as readonly { kind: string; amount: string }[])
    .flatMap(({ kind, amount }) => (kind === 'netting' ? [amount] : []))
}

const SPENDING = { max_spend: '5' }

function pay(seller: NodeAddress, amountMicros: string, reference: string) {
  return { action: 'pay', peer: seller.peerId, amountMicros, adapter: 'manual', reference } as const
}

async function settle(node: NodeAddress, request: object): Promise<SettlementView> {
  const answer = await askAdmin(node, 'ledger/settle', request)
  if (answer.status !== 200) throw new Error(answer.text())
  return answer.json() as SettlementView
}

async function refusalOf(node: NodeAddress, request: object): Promise<string> {
  const { error } = (await askAdmin(node, 'ledger/settle', request)).json() as { error: { code: string } }
  return error.code
}

async function settlementsOf(node: NodeAddress): Promise<readonly SettlementView[]> {
  return (await askAdmin(node, 'ledger/settlements')).json() as readonly SettlementView[]
}

async function accountWith(node: NodeAddress, other: NodeAddress, side?: 'buyer' | 'seller'): Promise<AccountView> {
  const found = (await accountsOf(node)).find((each) => {
    return each.counterparty === other.peerId && (side === undefined || each.side === side)
  })
  if (found === undefined) throw new Error('no such account')
  return found
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}
