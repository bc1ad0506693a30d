/**
 * Durable vouchers as a seller takes them in: alone, and while it sells 100 streams whose vouchers come at their own pace.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { systemRandomBytes } from '../../src/base/bytes.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { keyOf, openLevelStore, SPACES } from '../../src/ledger/store.ts'
import { decodeEnvelope, encodeEnvelope, open, seal, type Signed } from '../../src/wire/envelope.ts'
import { nodeKeyFromSeed } from '../../src/wire/identity.ts'
import { ACCEPTANCE, ORDER, VOUCHER, type Order } from '../../src/wire/inference.ts'
import { NO_USAGE, priceUsage } from '../../src/wire/pricing.ts'
import { DOMAINS } from '../../src/wire/registry.ts'
import { median, type Figure } from './figures.ts'
import { acceptanceOf, accountOf, CREDIT, figure, INPUT_TOKENS, openFresh, orderOf, PRICES } from './ledger-calls.ts'
import type { Workbench } from './workbench.ts'

const ROUNDS = 5
const BUYERS = 8
/** Sales that run at once; each has one voucher on its way, as the window has it. */
const SALES = 64
const VOUCHERS_PER_SALE = 60
const SINGLE_VOUCHERS = 300

/** A buyer vouches anew for every half of the window of 256 tokens. */
export const TOKENS_PER_VOUCHER = 128
const STREAMS = 100
const STREAM_TOKENS_PER_S = 50
const WATCH_MS = 3_000
/** More than a stream of a round sends: the flat-out part lasts some seconds on a slow machine. */
const STREAM_VOUCHERS = 10
const NS_PER_MS = 1_000_000
/** The finest the monitor has. What it counts is the time between two looks, so this is in every value. */
const LOOK_EVERY_MS = 1

/** A sale under way and the vouchers that its buyer will send, signed beforehand: signing is the buyer's time. */
interface OpenSale {
  readonly order: Signed<Order>
  readonly vouchers: Uint8Array[]
}

export async function benchVouchers(bench: Workbench): Promise<Figure[]> {
  const ledger = await openFresh(bench)
  const bare = await openLevelStore(await bench.directory(), true)
  const sales = await openSales(ledger, SALES, ROUNDS * VOUCHERS_PER_SALE)
  const [first] = await openSales(ledger, 1, ROUNDS * SINGLE_VOUCHERS)
  if (first === undefined) throw new Error('no sale is open')
  const rates = { checked: [] as number[], written: [] as number[], alone: [] as number[], together: [] as number[] }
  for (let round = 0; round < ROUNDS; round += 1) {
    const sample = first.vouchers.slice(0, SINGLE_VOUCHERS)
    rates.checked.push(await rateOf(sample, (voucher) => void open(VOUCHER, decodeEnvelope(voucher, 'voucher'))))
    rates.written.push(
      await rateOf(sample, (value) => bare.write([{ key: keyOf(SPACES.voucher, first.order.id), value }])),
    )
    rates.alone.push(
      await rateOf(first.vouchers.splice(0, SINGLE_VOUCHERS), (voucher) => record(ledger, first, voucher)),
    )
    rates.together.push(await rateOfSales(ledger, sales))
  }
  await Promise.all([ledger.close(), bare.close()])
  const together = median(rates.together)
  return [
    figure('reading and checking a voucher, one thread', median(rates.checked), '/s'),
    figure('one durable LevelDB write after the other', median(rates.written), '/s'),
    figure('durable vouchers, one after the other', median(rates.alone), '/s'),
    figure(`durable vouchers, ${SALES} sales at once`, together, '/s', { atLeast: 3_000 }),
    figure('durable vouchers / checked vouchers', together / median(rates.checked), 'x'),
  ]
}

/** The same beside 100 streams on the same ledger, and how late the event loop is through both. */
export async function benchBesideStreams(bench: Workbench): Promise<Figure[]> {
  const ledger = await openFresh(bench)
  const streams = await openSales(ledger, STREAMS, ROUNDS * STREAM_VOUCHERS)
  const sales = await openSales(ledger, SALES, ROUNDS * VOUCHERS_PER_SALE)
  const rates: number[] = []
  const late = { idle: [] as number[], streams: [] as number[], flatOut: [] as number[] }
  for (let round = 0; round < ROUNDS; round += 1) {
    late.idle.push(await delayDuring(() => wait(WATCH_MS)))
    const stopped = new AbortController()
    const running = Promise.all(streams.map((stream) => sellStream(ledger, stream, stopped.signal)))
    late.streams.push(await delayDuring(() => wait(WATCH_MS)))
    late.flatOut.push(await delayDuring(async () => rates.push(await rateOfSales(ledger, sales))))
    stopped.abort()
    await running
  }
  await ledger.close()
  const what = `${STREAMS} streams of ${STREAM_TOKENS_PER_S} tokens/s`
  const [idleMs, streamsMs] = [median(late.idle), median(late.streams)]
  return [
    figure(`durable vouchers, ${SALES} sales at once, beside ${what}`, median(rates), '/s', { atLeast: 3_000 }),
    figure('event loop late by, p99, nothing done', idleMs, 'ms'),
    figure(`event loop late by, p99, vouchers of ${what}`, streamsMs, 'ms'),
    figure('event loop late by, p99, what the ledger adds to nothing done', streamsMs - idleMs, 'ms', { atMost: 5 }),
    figure(`event loop late by, p99, those and ${SALES} sales flat out`, median(late.flatOut), 'ms', { atMost: 5 }),
  ]
}

/** How late the event loop looks up while `work` runs, p99, in ms. */
async function delayDuring(work: () => Promise<unknown>): Promise<number> {
  const monitor = monitorEventLoopDelay({ resolution: LOOK_EVERY_MS })
  monitor.enable()
  await work()
  monitor.disable()
  return monitor.percentile(99) / NS_PER_MS - LOOK_EVERY_MS
}

/** Takes in a stream's vouchers as its tokens pass, until it is stopped; streams begin at different moments. */
async function sellStream(ledger: Ledger, stream: OpenSale, signal: AbortSignal): Promise<void> {
  const everyMs = (TOKENS_PER_VOUCHER * 1_000) / STREAM_TOKENS_PER_S
  const pause = (ms: number) => wait(ms, undefined, { signal }).catch(() => undefined)
  await pause(Math.random() * everyMs)
  while (!signal.aborted) {
    const voucher = stream.vouchers.shift()
    if (voucher === undefined) throw new Error('a stream has no voucher left')
    await record(ledger, stream, voucher)
    await pause(everyMs)
  }
}

/** Calls of `step` per second, one after the other. */
async function rateOf(
  vouchers: readonly Uint8Array[],
  step: (voucher: Uint8Array) => Promise<unknown> | void,
): Promise<number> {
  const startedAtMs = performance.now()
  for (const voucher of vouchers) await step(voucher)
  return (vouchers.length * 1_000) / (performance.now() - startedAtMs)
}

/** Durable vouchers per second of all sales at once. */
async function rateOfSales(ledger: Ledger, sales: readonly OpenSale[]): Promise<number> {
  const startedAtMs = performance.now()
  await Promise.all(
    sales.map(async (sale) => {
      for (const voucher of sale.vouchers.splice(0, VOUCHERS_PER_SALE)) await record(ledger, sale, voucher)
    }),
  )
  return (sales.length * VOUCHERS_PER_SALE * 1_000) / (performance.now() - startedAtMs)
}

/** What a seller does with the payload of a VOUCHER frame. */
async function record(ledger: Ledger, { order }: OpenSale, payload: Uint8Array): Promise<void> {
  const recorded = await ledger.recordVoucher(order.id, decodeEnvelope(payload, 'voucher'))
  if (recorded === undefined) throw new Error('a voucher was not recorded')
}

async function openSales(ledger: Ledger, count: number, vouchersEach: number): Promise<OpenSale[]> {
  const buyers = Array.from({ length: BUYERS }, () => nodeKeyFromSeed(systemRandomBytes(32)))
  for (const buyer of buyers) ledger.setReconciled(accountOf(buyer.publicKey, ledger.key.publicKey), true)
  const sales: OpenSale[] = []
  for (let index = 0; index < count; index += 1) {
    const buyer = buyers[index % BUYERS]
    if (buyer === undefined) continue
    const order = seal(ORDER, orderOf(buyer.publicKey, ledger.key.publicKey), buyer)
    await ledger.openSale(order, seal(ACCEPTANCE, acceptanceOf(order), ledger.key), {
      creditLimit: CREDIT,
      strangerRoom: undefined,
    })
    const vouchers = Array.from({ length: vouchersEach }, (_, before) => {
      const usage = { ...NO_USAGE, inputTokens: INPUT_TOKENS, outputTokens: TOKENS_PER_VOUCHER * (before + 1) }
      const { network, seller } = order.value
      const value = {
        type: DOMAINS.voucher,
        network,
        order: order.id,
        buyer: buyer.publicKey,
        seller,
        index: before + 1,
        usage,
        amount: priceUsage(usage, PRICES),
      }
      return encodeEnvelope(seal(VOUCHER, value, buyer))
    })
    sales.push({ order, vouchers })
  }
  return sales
}
