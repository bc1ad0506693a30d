/**
 * Real nodes on real disks, killed at random moments while they trade: `node scripts/campaign.ts --minutes 3 --seed 1`.
 *
 * Two buyers and two sellers, each a process with its LevelDB and its libp2p host. Clients stream; every few seconds a node is
 * killed with SIGKILL, sometimes two at once, and started again, sometimes on a backup of a while ago. Then the faults end, and
 * both sides of every account must hold the same statements, every export must verify, nothing may stay open, and no call may
 * have lost more than the window. The seed chooses what happens; when it happens is the machine's doing, so a run is a sample,
 * not a replay. Ends with 1 if anything is wrong, and says what.
 */
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { formatAmount } from '../src/base/amount.ts'
import type { AccountView, StatusView } from '../src/gateway/admin-api.ts'
import { createWorkbench, type Workbench } from './bench/workbench.ts'
import { audit, readExport, type NodeExport } from './campaign/audit.ts'
import { runLoad } from './campaign/load.ts'
import { MODEL, startModelServer } from './campaign/model-server.ts'
import { startTradingNode, type TradingNode } from './campaign/trading-node.ts'

const WINDOW_TOKENS = 256
/** At each buyer. */
const CLIENTS = 4
const FAULT_EVERY_MS = [300, 2_500] as const
const DOWN_MS = 1_500
const CONVERGE_MS = 90_000
const CREDIT = {
  MAX_SPEND: '100000',
  STRANGER_CREDIT: '10000',
  STRANGER_BUDGET: '100000',
  SLOTS: '64',
  WINDOW_TOKENS: String(WINDOW_TOKENS),
  LOG_LEVEL: 'error',
}

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '3' }, seed: { type: 'string', default: '1' } },
})
const bench = createWorkbench()
const modelServer = await startModelServer()
try {
  process.exitCode = (await campaign(bench, Number(values.minutes), Number(values.seed))) ? 0 : 1
} finally {
  await bench.close()
  modelServer.close()
}

async function campaign(place: Workbench, minutes: number, seed: number): Promise<boolean> {
  const random = seededRandom(seed)
  const nodes = await startNodes(place)
  const buyers = nodes.filter(({ role }) => role === 'buyer')
  console.log(
    `seed ${seed}: ${nodes.map(({ name }) => name).join(', ')}, ${CLIENTS} clients at each buyer, ${minutes} minutes`,
  )

  const over = AbortSignal.timeout(minutes * 60_000)
  const load = runLoad(buyers, { random, clients: CLIENTS, signal: over })
  const faults = await breakThings(nodes, random, over)
  const calls = await load
  const convergedAfterMs = await converge(nodes)
  const exports = await exportAll(place, nodes)
  const result = audit(exports, calls, WINDOW_TOKENS)

  const count = (outcome: string): number => calls.filter((call) => call.outcome === outcome).length
  const delivered = calls.reduce((sum, call) => sum + call.delivered, 0)
  console.log(`faults: ${[...faults].map(([kind, times]) => `${times} × ${kind}`).join(', ')}`)
  console.log(
    `calls: ${calls.length}, of which ${count('whole')} whole, ${count('broken')} broken, ${count('refused')} refused; ${delivered} tokens`,
  )
  console.log(
    `settled: ${result.settledCalls} calls in ${result.statements} statements, ${formatAmount(result.settledMicros)} USD; all agree ${convergedAfterMs === undefined ? 'NOT' : `${(convergedAfterMs / 1_000).toFixed(1)} s`} after the end`,
  )
  console.log(
    `of one call, at the most: ${result.lossMaxTokens} tokens delivered and not billed (window ${WINDOW_TOKENS}), ${result.overbilledMaxTokens} billed and not seen by its client`,
  )
  console.log(
    `lost in all: ${result.lostTokens} of ${delivered} tokens; ${result.unpaidWholeCalls} clients had everything before the last voucher was signed`,
  )
  const breaches = [
    ...result.breaches,
    ...(convergedAfterMs === undefined ? [`not equal within ${CONVERGE_MS} ms`] : []),
  ]
  for (const breach of breaches.slice(0, 20)) console.log(`WRONG: ${breach}`)
  console.log(breaches.length === 0 ? 'every export verifies, and nothing is wrong' : `${breaches.length} faults found`)
  return breaches.length === 0
}

async function startNodes(place: Workbench): Promise<readonly TradingNode[]> {
  const sellers: TradingNode[] = []
  const bootstraps: string[] = []
  for (const [index, price] of ['1/2', '1.1/2.2'].entries()) {
    const port = await freePort()
    const variables = { ...CREDIT, PROVIDERS: `model=${modelServer.url}#openai-chat` }
    const words = ['--sell', `${MODEL}=${price}`]
    const seller = await startTradingNode(
      place,
      { name: `seller ${index + 1}`, role: 'seller', port },
      words,
      variables,
    )
    sellers.push(seller)
    bootstraps.push('--bootstrap', `/ip4/127.0.0.1/tcp/${port}/p2p/${seller.peerId}`)
  }
  const buyers: TradingNode[] = []
  for (const index of [1, 2]) {
    const port = await freePort()
    buyers.push(await startTradingNode(place, { name: `buyer ${index}`, role: 'buyer', port }, bootstraps, CREDIT))
  }
  return [...sellers, ...buyers]
}

/** Until `over`, one fault after the other; every node runs in the end. Gives how many there were of each kind. */
async function breakThings(
  nodes: readonly TradingNode[],
  random: () => number,
  over: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  const pick = <T>(items: readonly T[]): T => {
    const item = items[Math.floor(random() * items.length)]
    if (item === undefined) throw new Error('nothing to choose from')
    return item
  }
  const [least, most] = FAULT_EVERY_MS
  while (!over.aborted) {
    await wait(least + random() * (most - least))
    const node = pick(nodes)
    const draw = random()
    const kind = draw < 0.7 ? 'kill -9' : draw < 0.85 ? 'kill -9 of two at once' : 'kill -9 and start on a backup'
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
    const down = kind.includes('two') ? [node, pick(nodes.filter((each) => each !== node))] : [node]
    const restore = kind.includes('backup') ? await node.backUp() : undefined
    if (restore !== undefined) await wait(random() * most)
    await Promise.all(down.map((each) => each.kill()))
    restore?.()
    await wait(random() * DOWN_MS)
    await Promise.all(down.map((each) => each.start()))
  }
  return counts
}

/** Waits until both sides of every account agree and nothing is open; gives how long that took, or undefined if too long. */
async function converge(nodes: readonly TradingNode[]): Promise<number | undefined> {
  const startedAtMs = performance.now()
  while (performance.now() - startedAtMs < CONVERGE_MS) {
    if (await isQuiet(nodes)) return performance.now() - startedAtMs
    await wait(200)
  }
  return undefined
}

async function isQuiet(nodes: readonly TradingNode[]): Promise<boolean> {
  const heads = new Map<string, Set<string>>()
  for (const node of nodes) {
    const { buying, selling } = await node.ask<StatusView>('status')
    if ((buying?.heldMicros ?? '0') !== '0' || (selling?.callsOpen ?? 0) > 0) return false
    for (const account of await node.ask<readonly AccountView[]>('ledger/accounts')) {
      if (account.unsettledMicros !== '0' || account.frozen !== undefined) return false
      const found = heads.get(account.account) ?? new Set()
      heads.set(account.account, found.add(account.headHash ?? ''))
    }
  }
  return [...heads.values()].every(({ size }) => size === 1)
}

/** Every node's ledger, written and verified by the command line. @throws Error with what does not verify */
async function exportAll(place: Workbench, nodes: readonly TradingNode[]): Promise<readonly NodeExport[]> {
  const exports: NodeExport[] = []
  for (const node of nodes) {
    const file = join(await place.directory(), 'export.ndjson')
    await node.command('ledger', 'export', '-o', file)
    await node.command('ledger', 'verify', file, '--native')
    exports.push(readExport(node.name, node.peerId, await readFile(file, 'utf8')))
  }
  return exports
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Numbers from 0 to 1, the same for the same seed (xorshift). */
function seededRandom(seed: number): () => number {
  let state = (seed >>> 0) + 0x9e3779b9
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
