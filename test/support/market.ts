/**
 * A market on this machine, in this process: real nodes with real ledgers and libp2p hosts, each as `tok-node start` would
 * make it. Only the model servers behind the sellers are scripted.
 *
 *   const market = await startMarket({ sellers: [{ sell: '*=1/2' }], buyer: {} })
 *   const answer = await chat(market.buyer.url, { stream: true })
 *   await settled(market.buyer, market.sellers[0])
 *   await market.stop()
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pino } from 'pino'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { loadConfig, type Flags } from '../../src/config/load.ts'
import type { AccountView, ExplainView, OfferView, StatusView } from '../../src/gateway/admin-api.ts'
import { createSignatureChecker } from '../../src/ledger/signature-check.ts'
import type { Dialect } from '../../src/dialects/dialect.ts'
import { splitLines } from '../../src/ledger/export-lines.ts'
import { verifyExport } from '../../src/ledger/verify-export.ts'
import { createNode, type RunningNode } from '../../src/node/node.ts'
import { readRuntimeFile } from '../../src/node/runtime-file.ts'
import { exchange, type HttpAnswer, type HttpQuestion } from './http-exchange.ts'
import { startScriptedProvider, type ScriptedProvider, type ScriptedProviderOptions } from './scripted-provider.ts'

/** All a test needs to know of a node, whether it runs in this process or in one of its own. */
export interface NodeAddress {
  /** Base URL of the facade. */
  readonly url: string
  readonly peerId: string
  readonly dataDirectory: string
}

/** A node in this process. */
export interface TestNode extends NodeAddress {
  readonly node: RunningNode
}

/** A seller with the model server behind it. */
export interface TestSeller extends TestNode {
  readonly provider: ScriptedProvider
}

/** One seller of a market. */
export interface SellerOptions {
  /** As `--sell`; every model at 1 USD in and 2 USD out per Mtok unless given. */
  readonly sell?: string
  readonly provider?: ScriptedProviderOptions
  /** What its provider speaks; everything unless given. */
  readonly dialects?: readonly Dialect[]
  /** Keys of the configuration that differ. */
  readonly settings?: Flags
  readonly clock?: Clock
}

/** How a market is set up. */
export interface MarketOptions {
  readonly sellers: readonly SellerOptions[]
  readonly buyer?: { readonly settings?: Flags; readonly clock?: Clock }
}

/** A market with one buyer that knows every seller's offers. */
export interface TestMarket {
  readonly buyer: TestNode
  readonly sellers: readonly TestSeller[]
  /** Starts one more node, joined through the first seller unless its settings say otherwise. */
  add(settings: Flags, clock?: Clock): Promise<TestNode>
  /** Stops every node that still runs, then the model servers, and removes their data. */
  stop(): Promise<void>
}

/** What every provider lists unless a test says otherwise. */
export const MODEL = 'test-model'
const EVERY_DIALECT = 'openai-chat+openai-responses+anthropic-messages'

/** Settings of a quiet node on loopback that finds nothing by itself. */
const QUIET: Flags = {
  facade_port: '0',
  listen: '/ip4/127.0.0.1/tcp/0',
  mdns: 'false',
  discover: 'false',
  log_level: 'silent',
  drain_grace_ms: '2000',
}

/** The setting that puts `provider` behind a node; it speaks every dialect unless only some are named. */
export function providedBy(provider: { readonly url: string }, dialects?: readonly Dialect[]): Flags {
  return { providers: `engine=${provider.url}#${dialects?.join('+') ?? EVERY_DIALECT}` }
}

/** Starts the sellers, then the buyer, and waits until the buyer knows an offer of every seller. */
export async function startMarket({ sellers: wanted, buyer: buying }: MarketOptions): Promise<TestMarket> {
  const place = await mkdtemp(join(tmpdir(), 'tok-market-'))
  const providers: ScriptedProvider[] = []
  const nodes: TestNode[] = []
  const start = async (settings: Flags, clock?: Clock): Promise<TestNode> => {
    const node = await startNode({ data_dir: join(place, String(nodes.length)), ...settings }, clock)
    nodes.push(node)
    return node
  }
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map(({ node }) => node.stop()))
    await Promise.all(providers.map((provider) => provider.close()))
    await rm(place, { recursive: true })
  }
  try {
    const sellers: TestSeller[] = []
    for (const { sell = '*=1/2', provider: options, dialects, settings, clock } of wanted) {
      const provider = await startScriptedProvider(options)
      providers.push(provider)
      const node = await start({ role: 'seller', sell, ...providedBy(provider, dialects), ...settings }, clock)
      sellers.push({ ...node, provider })
    }
    const bootstrap = sellers.flatMap(({ node }) => node.multiaddrs().slice(0, 1))
    const buyer = await start({ role: 'buyer', bootstrap, ...buying?.settings }, buying?.clock)
    await hears(buyer, sellers)
    const add = (settings: Flags, clock?: Clock): Promise<TestNode> =>
      start({ bootstrap: bootstrap.slice(0, 1), ...settings }, clock)
    return { buyer, sellers, add, stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

/** Starts one node with `settings` over the quiet ones; `data_dir` has to be among them. The caller stops it. */
export async function startNode(settings: Flags, clock: Clock = systemClock): Promise<TestNode> {
  const dataDirectory = String(settings.data_dir)
  const { config } = await loadConfig({
    env: { HOME: dataDirectory },
    flags: { ...QUIET, ...settings },
    cwd: tmpdir(),
  })
  const node = await createNode({ config, logger: pino({ level: process.env['TEST_LOG'] ?? 'silent' }), clock })
  return { node, url: node.facadeUrl, peerId: node.peerId, dataDirectory }
}

/** A clock on which every wait takes a tenth of its time, for tests of what follows long silences. */
export const hastyClock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => systemClock.after(delayMs / 10, callback),
}

/** Waits until `condition` gives anything but false or undefined, and gives that. @throws Error after `timeoutMs` */
export async function eventually<T>(
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  timeoutMs = 10_000,
): Promise<T> {
  const startedAtMs = performance.now()
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== false) return value
    if (performance.now() - startedAtMs > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Waits until `buyer` knows an offer of every one of `sellers`. */
export async function hears(buyer: NodeAddress, sellers: readonly NodeAddress[]): Promise<void> {
  await eventually(async () => {
    const heard = new Set((await offersOf(buyer)).map(({ seller }) => seller))
    return sellers.every(({ peerId }) => heard.has(peerId))
  })
}

// What a node tells its operator.

/** Asks the admin API: `path` follows `/api/v1/`. */
export async function askAdmin(node: NodeAddress, path: string, body?: object): Promise<HttpAnswer> {
  const runtime = await readRuntimeFile(node.dataDirectory)
  const headers = { authorization: `Bearer ${runtime?.adminToken}` }
  return exchange(`${node.url}/api/v1/${path}`, { headers, ...(body === undefined ? {} : { body }) })
}

export async function offersOf(node: NodeAddress): Promise<readonly OfferView[]> {
  return (await askAdmin(node, 'offers')).json() as readonly OfferView[]
}

export async function statusOf(node: NodeAddress): Promise<StatusView> {
  return (await askAdmin(node, 'status')).json() as StatusView
}

export async function accountsOf(node: NodeAddress): Promise<readonly AccountView[]> {
  return (await askAdmin(node, 'ledger/accounts')).json() as readonly AccountView[]
}

export async function explain(node: NodeAddress, model: string, endpoint = 'chat'): Promise<ExplainView> {
  return (await askAdmin(node, `explain?model=${model}&endpoint=${endpoint}`)).json() as ExplainView
}

// Requests.

/** A chat request to the facade of `url`; members of `body` replace the usual ones. */
export function chatQuestion(body: Readonly<Record<string, unknown>> = {}): HttpQuestion & { readonly body: object } {
  return { body: { model: MODEL, messages: [{ role: 'user', content: 'What is the answer?' }], ...body } }
}

/** Asks for a chat completion and reads the whole answer. */
export function chat(url: string, body: Readonly<Record<string, unknown>> = {}): Promise<HttpAnswer> {
  return exchange(`${url}/v1/chat/completions`, chatQuestion(body))
}

/** The events of a chat stream as a provider writes them: one token of text each, and the proper end. */
export function chatEvents(tokens: readonly string[]): readonly string[] {
  const event = (delta: object, finishReason: string | null): string =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: MODEL, choices: [{ index: 0, delta, finish_reason: finishReason }] })}\n\n`
  return [...tokens.map((content) => event({ content }, null)), event({}, 'stop'), 'data: [DONE]\n\n']
}

export const EVENT_STREAM = { 'content-type': 'text/event-stream' }

/** The text of a streamed chat answer, as a client puts it together. */
export function textOf(stream: string): string {
  return [...stream.matchAll(/^data: (\{.*\})$/gm)]
    .flatMap(([, data]) => (JSON.parse(data ?? '') as { choices?: { delta?: { content?: string } }[] }).choices ?? [])
    .map(({ delta }) => delta?.content ?? '')
    .join('')
}

// The two ledgers.

/** A line of an export, as people read it. */
export interface LedgerLine {
  readonly kind: string
  readonly id: string
  readonly reading: Readonly<Record<string, unknown>>
}

/** What a ledger says once both sides say the same. */
export interface SettledTrade {
  /** The readings of every settled item, in the order of the statements. */
  readonly items: readonly TradedItem[]
  readonly owedMicros: bigint
  readonly headHash: string | undefined
  /** Of the buyer and of the seller. */
  readonly buyerLines: readonly LedgerLine[]
  readonly sellerLines: readonly LedgerLine[]
}

/** One call in a statement. */
export interface TradedItem {
  readonly order: string
  readonly voucher: string
  readonly receipt?: string
  readonly usage: TokenCounts
  readonly amount: string
}

/** Billed counts, as they read in an export. */
export interface TokenCounts {
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly cacheWriteTokens: number
  readonly outputTokens: number
}

/**
 * Waits until nothing is open between the two, and proves what a trade promises: both exports verify, both accounts have the
 * same head and sums, and every amount follows from its counts and the prices its order names.
 */
export async function settled(buyer: NodeAddress, seller: NodeAddress, timeoutMs = 10_000): Promise<SettledTrade> {
  const [account, other] = await eventually(async () => {
    const isQuiet = await isIdle(buyer, seller)
    const mine = await accountBetween(buyer, seller)
    const theirs = await accountBetween(seller, buyer)
    const isOpen = [mine, theirs].some((view) => (view?.unsettledMicros ?? '0') !== '0')
    return isQuiet && !isOpen && mine?.headHash === theirs?.headHash ? ([mine, theirs] as const) : undefined
  }, timeoutMs)
  if (account?.owedMicros !== other?.owedMicros || account?.frozen !== undefined || other?.frozen !== undefined) {
    throw new Error(`the two sides differ: ${JSON.stringify([account, other])}`)
  }
  const buyerLines = await exportedLines(buyer)
  const sellerLines = await exportedLines(seller)
  const statements = buyerLines.filter(
    ({ kind, reading }) => kind === 'statement' && reading['seller'] === seller.peerId,
  )
  const items = statements.flatMap(({ reading }) => reading['items'] as readonly TradedItem[])
  const orders = new Map(buyerLines.filter(({ kind }) => kind === 'order').map(({ id, reading }) => [id, reading]))
  for (const { order, usage, amount } of items) {
    const due = priceOf(usage, orders.get(order)?.['prices'] as Readonly<Record<string, string>>)
    if (BigInt(amount) !== due) throw new Error(`${amount} micros for ${JSON.stringify(usage)}, which cost ${due}`)
  }
  const owedMicros = items.reduce((sum, { amount }) => sum + BigInt(amount), 0n)
  if (owedMicros !== BigInt(account?.owedMicros ?? 0)) throw new Error(`owed is not what the items make, ${owedMicros}`)
  return { items, owedMicros, headHash: account?.headHash, buyerLines, sellerLines }
}

/** The journal of an export: one entry for each inference. */
export function journalOf(lines: readonly LedgerLine[]): readonly LedgerLine['reading'][] {
  return lines.filter(({ kind }) => kind === 'journal').map(({ reading }) => reading)
}

/** A node's whole ledger, verified. */
export async function exportedLines(node: NodeAddress): Promise<readonly LedgerLine[]> {
  const { body } = await askAdmin(node, 'ledger/export')
  const checker = createSignatureChecker('native', 1)
  try {
    await verifyExport(splitLines(Readable.from([body])), checker)
  } finally {
    await checker.close()
  }
  return body
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LedgerLine)
}

async function accountBetween(node: NodeAddress, other: NodeAddress): Promise<AccountView | undefined> {
  return (await accountsOf(node)).find(({ counterparty }) => counterparty === other.peerId)
}

async function isIdle(buyer: NodeAddress, seller: NodeAddress): Promise<boolean> {
  const { buying } = await statusOf(buyer)
  const { selling } = await statusOf(seller)
  return buying?.heldMicros === '0' && selling?.callsOpen === 0
}

/** In micros: each count at its price per Mtok, rounded up once. */
function priceOf(usage: TokenCounts, prices: Readonly<Record<string, string>>): bigint {
  const price = (name: string): bigint => BigInt(prices[name] ?? '0')
  const { inputTokens, cachedInputTokens: cached, cacheWriteTokens: written, outputTokens } = usage
  const cost =
    BigInt(inputTokens - cached - written) * price('input') +
    BigInt(cached) * price('cachedInput') +
    BigInt(written) * price('cacheWrite') +
    BigInt(outputTokens) * price('output')
  return (cost + 999_999n) / 1_000_000n
}
