/**
 * The trade of an answer: client -> buyer's node -> seller's node -> provider, each a process, against asking the provider.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { request } from 'undici'
import type { AccountView, VerifyView } from '../../src/gateway/admin-api.ts'
import { benchCarrier } from './carrier.ts'
import { quantile, type Figure } from './figures.ts'
import { microsEach, type Generator } from './load.ts'
import { INPUT_TOKENS, STREAMS, type Listening, type LoadJob, type LoadResult } from './messages.ts'
import { requestBody } from './request-body.ts'
import { createCpuMeter, type BenchNode, type Workbench } from './workbench.ts'

/** Micros per Mtok; chosen so that calls cost fractions of a micro, and rounding shows. */
const PRICES = { input: 130_000n, output: 570_000n }
const MICROS_PER_USD = 1_000_000n
const TOKENS_PER_MTOK = 1_000_000n

const CREDIT = { MAX_SPEND: '10000', STRANGER_CREDIT: '1000', STRANGER_BUDGET: '10000', SLOTS: '200' }

const SMALL_BODY_BYTES = 1_000
const AGENT_BODY_BYTES = 60_000
const FIRST_TOKENS = 150
const CONCURRENT_STREAMS = 100
const MEETING_MS = 20_000
const SETTLING_MS = 20_000

type StreamName = keyof typeof STREAMS

/** A pair of nodes that trade, and what they have traded. */
interface Pair {
  readonly seller: BenchNode
  readonly buyer: BenchNode
  readonly url: string
  /** Streams that were bought so far. */
  readonly bought: Record<StreamName, number>
}

export async function benchMarket(bench: Workbench): Promise<Figure[]> {
  const provider = await bench.program<never, never, Listening>('fake-provider')
  const generator = await bench.program<LoadJob, LoadResult>('generator')
  const pair = await startPair(bench, provider.ready.url)
  const direct = `${provider.ready.url}/v1/chat/completions`
  // What runs all day is measured, not the first seconds, while code is compiled.
  await firstTokens(generator, direct, pair, AGENT_BODY_BYTES, 200)
  const figures = [
    ...firstTokenFigures('1 KB', await firstTokens(generator, direct, pair, SMALL_BODY_BYTES, FIRST_TOKENS)),
    ...firstTokenFigures('60 KB', await firstTokens(generator, direct, pair, AGENT_BODY_BYTES, FIRST_TOKENS)),
    ...(await benchStreams(generator, direct, provider.pid, pair)),
    ...(await compareAccounts(pair)),
  ]
  await Promise.all([pair.buyer.stop(), pair.seller.stop()])
  return [...figures, ...(await benchCarrier(bench))]
}

async function startPair(bench: Workbench, providerUrl: string): Promise<Pair> {
  const price = (micros: bigint): string => `${Number(micros) / Number(MICROS_PER_USD)}`
  const seller = await bench.node(
    ['--role', 'seller', '--sell', `bench-*=${price(PRICES.input)}/${price(PRICES.output)}`],
    { ...CREDIT, PROVIDERS: `fake=${providerUrl}#openai-chat` },
  )
  const bootstraps = seller.multiaddrs.flatMap((address) => ['--bootstrap', address])
  const buyer = await bench.node(['--role', 'buyer', ...bootstraps], { ...CREDIT, ROUTES: 'bench-*=>network' })
  const pair = {
    seller,
    buyer,
    url: `${buyer.facade}/v1/chat/completions`,
    bought: { brisk: 0, first: 0, short: 0, long: 0 },
  }
  await untilTraded(pair)
  return pair
}

/** The first purchase: until then the two look for each other, and reconcile their account. */
async function untilTraded({ url, bought }: Pair): Promise<void> {
  const body = requestBody(STREAMS.first.model, SMALL_BODY_BYTES, STREAMS.first.tokens)
  for (const endAtMs = performance.now() + MEETING_MS; ; await wait(100)) {
    const answer = await request(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    const text = await answer.body.text()
    if (answer.statusCode === 200) break
    if (performance.now() > endAtMs) throw new Error(`buyer and seller do not trade: ${text}`)
  }
  bought.first += 1
}

/** First tokens of both ways in ms, one stream after the other. */
async function firstTokens(
  generator: Generator,
  direct: string,
  pair: Pair,
  bodyBytes: number,
  count: number,
): Promise<LoadResult> {
  const result = await generator.ask({
    kind: 'first-token',
    urls: [direct, pair.url],
    model: STREAMS.first.model,
    bodyBytes,
    count,
  })
  pair.bought.first += count
  return result
}

function firstTokenFigures(size: string, { latenciesMs: [direct = [], market = []] }: LoadResult): Figure[] {
  const added = (share: number): number => quantile(market, share) - quantile(direct, share)
  return [
    figure(`first token, ${size} request, direct, p50`, quantile(direct, 0.5), 'ms'),
    figure(`first token, ${size} request, market, p50`, quantile(market, 0.5), 'ms'),
    figure(`market adds to the first token, ${size} request, p50`, added(0.5), 'ms', { atMost: 3 }),
    figure(`market adds to the first token, ${size} request, p99`, added(0.99), 'ms'),
  ]
}

/** Many streams at once: first from the provider alone, as far as the load itself makes parts late, then bought. */
async function benchStreams(generator: Generator, direct: string, providerPid: number, pair: Pair): Promise<Figure[]> {
  const streams = (url: string, { model }: { readonly model: string }): LoadJob => ({
    kind: 'streams',
    url,
    model,
    bodyBytes: AGENT_BODY_BYTES,
    connections: CONCURRENT_STREAMS,
    streamsPerConnection: 1,
    spreadMs: 1_000,
  })
  const alone = await generator.ask(streams(direct, STREAMS.short))
  const meters = {
    buyer: createCpuMeter(pair.buyer.pid),
    seller: createCpuMeter(pair.seller.pid),
    provider: createCpuMeter(providerPid),
  }
  const bought = await meters.buyer.during(() =>
    meters.seller.during(() => meters.provider.during(() => generator.ask(streams(pair.url, STREAMS.long)))),
  )
  pair.bought.long += bought.answers
  const what = `${CONCURRENT_STREAMS} streams of 50 tokens/s`
  const share = (cpuMs: number | undefined) => (cpuMs === undefined ? undefined : cpuMs / bought.elapsedMs)
  return [
    figure(`${what}, direct, 8 s: gap between parts, p99`, alone.gaps.p99Ms, 'ms'),
    figure(`${what}, market, 30 s: gap between parts, p50`, bought.gaps.p50Ms, 'ms'),
    figure(`${what}, market, 30 s: gap between parts, p99`, bought.gaps.p99Ms, 'ms', { atMost: 100 }),
    figure(`${what}, market, 30 s: longest gap`, bought.gaps.maxMs, 'ms'),
    figure(`${what}, market, 30 s: gaps of 100 ms or more, of ${bought.events}`, bought.gaps.late, ''),
    figure(`${what}, market: first token, p50`, quantile(bought.latenciesMs.flat(), 0.5), 'ms'),
    figure('CPU of the buyer per part', microsEach(meters.buyer.totalMs(), bought.events), 'µs'),
    figure('CPU of the seller per part', microsEach(meters.seller.totalMs(), bought.events), 'µs'),
    figure('buyer, share of a core', share(meters.buyer.totalMs()), ''),
    figure('seller, share of a core', share(meters.seller.totalMs()), ''),
    figure('provider, share of a core', share(meters.provider.totalMs()), ''),
    figure('generator, share of a core', bought.cpuMs / bought.elapsedMs, ''),
  ]
}

/** Both ledgers after the trade, against each other and against tokens x price, which this file works out by itself. */
async function compareAccounts(pair: Pair): Promise<Figure[]> {
  const { buyer, seller, bought } = pair
  const calls = (Object.keys(bought) as StreamName[]).map((name) => ({
    count: BigInt(bought[name]),
    micros: priceOf(STREAMS[name].tokens),
  }))
  const expected = calls.reduce((sum, { count, micros }) => sum + count * micros, 0n)
  const [owed, credited] = await settledAccounts(pair)
  const isSame = owed.headHash === credited.headHash && owed.owedMicros === credited.owedMicros
  for (const node of [buyer, seller]) {
    const { verified, problem } = await ask<VerifyView>(node, 'ledger/verify')
    if (!verified) throw new Error(`a ledger does not verify: ${JSON.stringify(problem)}`)
  }
  return [
    figure('calls bought', Number(calls.reduce((sum, { count }) => sum + count, 0n)), ''),
    figure('statements of the account', owed.statements, ''),
    figure('owed by the buyer’s ledger', Number(owed.owedMicros), 'micros'),
    figure('buyer’s ledger - tokens x price', Number(BigInt(owed.owedMicros) - expected), 'micros', { exactly: 0 }),
    figure('seller’s ledger - tokens x price', Number(BigInt(credited.owedMicros) - expected), 'micros', {
      exactly: 0,
    }),
    figure('ledgers with another head', isSame ? 0 : 1, '', { exactly: 0 }),
  ]
}

/** The account as both sides see it once nothing waits for a statement. */
async function settledAccounts({ buyer, seller }: Pair): Promise<[AccountView, AccountView]> {
  for (const endAtMs = performance.now() + SETTLING_MS; performance.now() < endAtMs; await wait(200)) {
    const [[owed], [credited]] = await Promise.all([
      ask<readonly AccountView[]>(buyer, 'ledger/accounts'),
      ask<readonly AccountView[]>(seller, 'ledger/accounts'),
    ])
    if (owed?.unsettledMicros === '0' && credited?.unsettledMicros === '0') return [owed, credited]
  }
  throw new Error('the account is not settled')
}

/** Asks a node's admin API. */
async function ask<T>({ home, facade }: BenchNode, path: string): Promise<T> {
  const runtime = JSON.parse(await readFile(join(home, 'data/node.json'), 'utf8')) as { readonly adminToken: string }
  const { statusCode, body } = await request(`${facade}/api/v1/${path}`, {
    headers: { authorization: `Bearer ${runtime.adminToken}` },
  })
  if (statusCode !== 200) throw new Error(`${path}: ${await body.text()}`)
  return (await body.json()) as T
}

/** A call's price in micros, rounded up. */
function priceOf(outputTokens: number): bigint {
  const cost = BigInt(INPUT_TOKENS) * PRICES.input + BigInt(outputTokens) * PRICES.output
  return (cost + TOKENS_PER_MTOK - 1n) / TOKENS_PER_MTOK
}

function figure(name: string, value: number | undefined, unit: string, target?: Figure['target']): Figure {
  return { group: 'market', name, value, unit, ...(target === undefined ? {} : { target }) }
}
