import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AccountView, ReconcileView } from '../../src/gateway/admin-api.ts'
import { runCli, type CliResult } from '../support/cli.ts'
import { accountsOf, chat, eventually, hears, providedBy, settled } from '../support/market.ts'
import { findFreePort, startNodeProcess, type NodeProcess } from '../support/node-process.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

let place: string
let provider: ScriptedProvider
let sellerPort: number
let seller: NodeProcess
let buyer: NodeProcess

async function startSeller(home = 'seller'): Promise<void> {
  seller = await startNodeProcess({
    home: join(place, home),
    words: ['--role', 'seller', '--sell', '*=1/2', '--listen', `/ip4/127.0.0.1/tcp/${sellerPort}`],
    env: { TOKLIGENCE_PROVIDERS: String(providedBy(provider).providers), TOKLIGENCE_STRANGER_CREDIT: '5' },
  })
}

async function startBuyer(home = 'buyer'): Promise<void> {
  const address = `/ip4/127.0.0.1/tcp/${sellerPort}/p2p/${seller.peerId}`
  buyer = await startNodeProcess({
    home: join(place, home),
    words: ['--role', 'buyer', '--listen', '/ip4/127.0.0.1/tcp/0', '--bootstrap', address, '--max-spend', '10'],
  })
}

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'tok-recovery-'))
  await Promise.all([mkdir(join(place, 'seller')), mkdir(join(place, 'buyer'))])
  provider = await startScriptedProvider()
  sellerPort = await findFreePort()
  await startSeller()
  await startBuyer()
  await hears(buyer, [seller])
})
afterEach(async () => {
  await Promise.all([seller.end('SIGKILL'), buyer.end('SIGKILL')])
  await provider.close()
  await rm(place, { recursive: true })
})

const dataOf = (side: 'buyer' | 'seller') => join(place, side, '.tok-node')
const cli = (side: 'buyer' | 'seller', ...words: string[]): Promise<CliResult> =>
  runCli(['ledger', ...words, '--json'], { home: join(place, side) })

async function trade(count: number): Promise<void> {
  for (let left = count; left > 0; left--) {
    const answer = await chat(buyer.url, { stream: true })
    expect(answer.status, answer.text()).toBe(200)
  }
}

async function lose(side: 'buyer' | 'seller'): Promise<void> {
  await rename(join(dataOf(side), 'ledger'), join(place, `${side}-lost`))
}

/** The only account of a node. */
async function accountOf(node: NodeProcess): Promise<AccountView | undefined> {
  return (await accountsOf(node))[0]
}

describe('a backup of a running node', () => {
  test('brings it back to what was signed since, as the buyer', async () => {
    await trade(2)
    await settled(buyer, seller)
    const backup = join(place, 'restored', '.tok-node')
    await mkdir(join(place, 'restored'))
    expect((await cli('buyer', 'backup', backup)).json()).toEqual({ directory: backup })
    await trade(3)
    const before = await settled(buyer, seller)
    await buyer.end('SIGKILL')
    await startBuyer('restored')
    await eventually(async () => (await accountOf(buyer))?.headHash === before.headHash)
    const restored = await settled(buyer, seller)
    expect(restored.owedMicros).toBe(before.owedMicros)
    await trade(1)
    expect((await settled(buyer, seller)).items).toHaveLength(6)
  }, 30_000)

  test('brings it back as the seller, and its offers are heard again', async () => {
    await trade(1)
    await mkdir(join(place, 'restored'))
    expect((await cli('seller', 'backup', join(place, 'restored', '.tok-node'))).code).toBe(0)
    await trade(3)
    const before = await settled(buyer, seller)
    await seller.end('SIGKILL')
    await startSeller('restored')
    await eventually(async () => (await chat(buyer.url)).status === 200, 20_000)
    const after = await settled(buyer, seller)
    expect(after.items).toHaveLength(before.items.length + 1)
  }, 40_000)

  test('is refused where anything is, and leaves nothing half-done', async () => {
    await mkdir(join(place, 'full', 'something'), { recursive: true })
    const refused = await cli('buyer', 'backup', join(place, 'full'))
    expect(refused.json()).toMatchObject({ error: { code: 'argument_invalid' } })
    expect(await readdir(join(place, 'full'))).toEqual(['something'])
  })

  test('is made of a node that does not run, too', async () => {
    await trade(1)
    await settled(buyer, seller)
    await buyer.end('SIGTERM')
    const backup = join(place, 'copy', '.tok-node')
    await mkdir(join(place, 'copy'))
    expect((await cli('buyer', 'backup', backup)).code).toBe(0)
    const verified = await runCli(['ledger', 'verify', '--json'], { home: join(place, 'copy') })
    expect(verified.json()).toMatchObject({ verified: true, statements: 1 })
  })
})

describe('a node that lost its ledger', () => {
  test.each(['buyer', 'seller'] as const)(
    'does not start from nothing, and gets its accounts back: the %s',
    async (side) => {
      await trade(3)
      const before = await settled(buyer, seller)
      const node = side === 'buyer' ? buyer : seller
      await node.end('SIGKILL')
      await lose(side)
      const start = () => (side === 'buyer' ? startBuyer() : startSeller())
      await expect(start()).rejects.toThrow(/ledger_corrupt/)
      expect(await readdir(dataOf(side))).not.toContain('ledger')

      const recovered = await cli(side, 'recover', '--from-peers')
      expect(recovered.json()).toMatchObject({
        notRecovered: expect.arrayContaining([expect.stringMatching(/journal/)]),
      })
      await start()
      await eventually(async () => {
        const [mine, theirs] = [await accountOf(buyer), await accountOf(seller)]
        return mine?.headHash === before.headHash && theirs?.headHash === before.headHash
      }, 20_000)
      await eventually(async () => (await chat(buyer.url)).status === 200, 20_000)
      const after = await settled(buyer, seller)
      expect(after.items).toHaveLength(4)
      const verified = await cli(side, 'verify')
      expect(verified.json()).toMatchObject({ verified: true })
    },
    60_000,
  )

  test('is told so by the command where one is there, runs, or has no key', async () => {
    expect((await cli('buyer', 'recover', '--from-peers')).json()).toMatchObject({
      error: { code: 'data_directory_in_use' },
    })
    await buyer.end('SIGTERM')
    expect((await cli('buyer', 'recover', '--from-peers')).json()).toMatchObject({
      error: { code: 'argument_invalid' },
    })
    await mkdir(join(place, 'nobody'))
    const nobody = await runCli(['ledger', 'recover', '--from-peers', '--json'], { home: join(place, 'nobody') })
    expect(nobody.json()).toMatchObject({ error: { code: 'data_directory_unusable' } })
  })
})

describe('a damaged ledger', () => {
  const DAMAGES: readonly [name: string, isLost: (file: string) => boolean][] = [
    ['without its manifest', (file) => file.startsWith('MANIFEST')],
    ['without its CURRENT file', (file) => file === 'CURRENT'],
    ['without its log', (file) => file.endsWith('.log')],
    ['without any of its files', () => true],
  ]

  test.each(DAMAGES)(
    '%s does not start, and nothing in it is changed',
    async (_name, isLost) => {
      await trade(1)
      await settled(buyer, seller)
      await buyer.end('SIGKILL')
      const directory = join(dataOf('buyer'), 'ledger')
      for (const file of await readdir(directory)) if (isLost(file)) await unlink(join(directory, file))
      await expect(startBuyer()).rejects.toThrow(/ledger_corrupt/)
      await expect(startBuyer()).rejects.toThrow(/ledger_corrupt/)
    },
    30_000,
  )

  test('whose last record was torn starts, and the other side brings back what it lacks', async () => {
    await trade(2)
    const before = await settled(buyer, seller)
    await buyer.end('SIGKILL')
    const directory = join(dataOf('buyer'), 'ledger')
    const log = (await readdir(directory)).find((file) => file.endsWith('.log')) ?? ''
    const whole = await readFile(join(directory, log))
    await truncate(join(directory, log), whole.length - 700)
    await startBuyer()
    await eventually(async () => (await accountOf(buyer))?.headHash === before.headHash)
    expect((await settled(buyer, seller)).owedMicros).toBe(before.owedMicros)
  }, 30_000)
})

test('a second node on one data directory is refused', async () => {
  await expect(startBuyer()).rejects.toThrow(/data_directory_in_use/)
  await trade(1)
  expect((await settled(buyer, seller)).items).toHaveLength(1)
})

test('`ledger reconcile` compares now, and says what failed', async () => {
  await trade(1)
  await settled(buyer, seller)
  const all = (await cli('buyer', 'reconcile')).json()
  expect(all).toEqual({ accounts: [{ peer: seller.peerId, reconciled: true }] })
  expect((await cli('seller', 'reconcile')).json()).toMatchObject({ error: { code: 'network_unavailable' } })
  await seller.end('SIGKILL')
  const failed = await cli('buyer', 'reconcile', seller.peerId)
  expect(failed.code).toBe(1)
  const { accounts } = failed.json() as { accounts: readonly ReconcileView[] }
  expect(accounts).toMatchObject([{ peer: seller.peerId, reconciled: false, code: 'seller_unreachable' }])
  expect((await cli('buyer', 'evidence', 'export')).stdout).toBe('')
})

test('a disk that takes no more ends trading at once, and nothing was bought unrecorded', async () => {
  await trade(1)
  await settled(buyer, seller)
  // No file of the buyer may grow beyond this: what a full disk is to LevelDB's log.
  await promisify(execFile)('prlimit', ['--pid', String(buyer.pid), '--fsize=40960'])
  let answered = 1
  const refused = await eventually(async () => {
    const answer = await chat(buyer.url, { stream: true })
    if (answer.status !== 200) return answer
    answered += 1
    return undefined
  })
  expect([refused.status, refused.text()]).toEqual([503, expect.stringContaining('the ledger cannot be written')])
  expect((await chat(buyer.url)).text()).toContain('the ledger cannot be written')
  await buyer.end('SIGKILL')
  await startBuyer()
  await hears(buyer, [seller])
  await trade(1)
  // The call in which the disk filled up may have come to its end before its first voucher: it is within the window.
  expect([answered, answered + 1]).toContain((await settled(buyer, seller)).items.length)
}, 30_000)
