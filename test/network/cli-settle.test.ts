/** `tok-node ledger settle` and `ledger accounts` against two running nodes that owe each other. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AccountView, SettlementView } from '../../src/gateway/admin-api.ts'
import { runCli, type CliResult } from '../support/cli.ts'
import {
  accountsOf,
  chat,
  eventually,
  settled,
  startMarket,
  type NodeAddress,
  type TestMarket,
} from '../support/market.ts'

let market: TestMarket
let seller: NodeAddress
beforeAll(async () => {
  market = await startMarket({
    sellers: [{ settings: { credit_limit: '1' } }],
    buyer: { settings: { max_spend: '5' } },
  })
  seller = market.sellers[0]!
  await chat(market.buyer.url)
  await settled(market.buyer, market.sellers[0]!)
})
afterAll(() => market.stop())

test('a payment is announced by the buyer, seen and confirmed by the seller, and both see the balance fall', async () => {
  expect((await cli(market.buyer, 'settle')).stdout).toContain('no payment and no netting is under way')
  const paid = await cli(market.buyer, 'settle', seller.peerId, '--amount', '0.00003', '--reference', ' June  7 ')
  expect(paid.stdout).toMatch(/manual +buyer +12D3\w+ +0\.00003 USD +proposed +June 7/)
  expect(paid.stdout).toContain('the seller confirms it when it has arrived')
  const { settlements } = await eventually(async () => {
    const listed = (await cli(seller, 'settle', '--json')).json() as { settlements: readonly SettlementView[] }
    return listed.settlements.length > 0 && listed
  })
  expect(settlements).toMatchObject([{ reference: 'June 7', amountMicros: '30', state: 'proposed', side: 'seller' }])
  const confirmed = await cli(seller, 'settle', '--confirm', settlements[0]!.id.slice(0, 12))
  expect(confirmed.stdout).toContain('it stands in the next statement')
  await eventually(async () => (await accountsOf(market.buyer))[0]?.paidMicros === '30')
  const { stdout } = await cli(seller, 'accounts')
  expect(stdout).toContain(`${market.buyer.peerId} owes us`)
  expect(stdout).toContain('0.000005 USD  (owed 0.000035 USD, paid 0.00003 USD)')
  expect(stdout).toContain('0.10 USD to strangers + 0.000003 USD earned; grows to 1.00 USD')
  expect(stdout).toContain('open, 2 statements')
  expect((await cli(market.buyer, 'accounts')).stdout).toContain(`we owe ${seller.peerId}`)
  const { accounts } = (await cli(seller, 'accounts', '--json')).json() as { accounts: readonly AccountView[] }
  expect(accounts).toMatchObject([{ balanceMicros: '5', heldMicros: '0', line: { halvings: 0 }, settlementsOpen: 0 }])
})

/** What is asked, and the words of the refusal. */
const REFUSED: readonly [string, readonly string[], string][] = [
  ['a payment without an amount', ['PEER', '--reference', 'a'], 'needs --amount and --reference'],
  ['a payment to nobody', ['nobody', '--amount', '1', '--reference', 'a'], '"nobody" is not a peer ID'],
  ['more than is owed', ['PEER', '--amount', '1', '--reference', 'a'], 'is more than the 0.0000'],
  ['a reference again', ['PEER', '--amount', '0.000001', '--reference', 'June 7'], 'was used for another payment'],
  [
    'an adapter that is not there',
    ['PEER', '--amount', '0.000001', '--reference', 'b', '--adapter', 'x'],
    'there is manual',
  ],
  ['a time that is none', ['PEER', '--amount', '1', '--reference', 'a', '--paid-at', 'soon'], '"soon" is not a time'],
  ['an amount that is none', ['PEER', '--amount', 'much', '--reference', 'a'], 'is not an amount'],
  ['two things at once', ['PEER', '--confirm', 'aaaaaaaa'], 'one of'],
  ['an id that is not there', ['--cancel', 'aaaaaaaa'], 'nothing is recorded'],
  ['an id too short to mean one', ['--cancel', 'a'], 'nothing is recorded'],
  ['setting off what nobody owes back', ['PEER', '--net'], 'nothing to set off'],
]

test.each(REFUSED)('%s is refused with the reason', async (_name, words, reason) => {
  const { code, stderr } = await cli(
    market.buyer,
    'settle',
    ...words.map((word) => (word === 'PEER' ? seller.peerId : word)),
  )
  expect(stderr).toContain(reason)
  expect(code).not.toBe(0)
})

test('a node that does not buy announces nothing', async () => {
  const { stderr } = await cli(seller, 'settle', market.buyer.peerId, '--amount', '0.000001', '--reference', 'a')
  expect(stderr).toContain('this node does not buy now')
})

function cli(node: NodeAddress, ...words: readonly string[]): Promise<CliResult> {
  return runCli(['ledger', ...words, '--data-dir', node.dataDirectory], { home: node.dataDirectory })
}
