/**
 * One side of the carrier's bench: a network without a market on it. The seller answers an ORDER with an ACCEPTANCE and the
 * parts it asks for; the buyer has one network for each number of calls per stream.
 */
import { pino } from 'pino'
import { systemRandomBytes } from '../../src/base/bytes.ts'
import { systemClock } from '../../src/base/clock.ts'
import { createNetwork } from '../../src/network/host.ts'
import type { CallChannel, Network, NetworkHandlers } from '../../src/network/network.ts'
import { FRAMES, LIMITS } from '../../src/wire/registry.ts'
import { quantile } from './figures.ts'
import { serveJobs } from './serve-jobs.ts'

/** What the buyer is asked to do. */
export type BuyerJob =
  /** Calls that only begin, `atOnce` at a time. */
  | { readonly kind: 'starts'; readonly callsPerStream: number; readonly count: number; readonly atOnce: number }
  /** Calls of paced parts, all at once. */
  | {
      readonly kind: 'parts'
      readonly callsPerStream: number
      readonly calls: number
      readonly parts: number
      readonly intervalMs: number
    }

export interface BuyerResult {
  /** From opening each call to its acceptance. */
  readonly startsMs: readonly number[]
  readonly parts: number
  readonly gapP99Ms: number
}

/** About what a token's event takes in a frame. */
const PART = Buffer.alloc(150, 0x61)
const REACH_MS = 10_000

const [role, sellerAddress = '', ...carriers] = process.argv.slice(2)
if (role === 'seller') {
  const network = await startNetwork(LIMITS.callsPerStream, { onCall: serveCall })
  serveJobs({ address: network.multiaddrs()[0] }, () => Promise.reject(new Error('it takes no jobs')))
} else {
  const networks = new Map<number, { readonly network: Network; readonly seller: string }>()
  for (const callsPerStream of carriers.map(Number)) {
    const network = await startNetwork(callsPerStream, {})
    const seller = await network.connect(sellerAddress, AbortSignal.timeout(REACH_MS))
    networks.set(callsPerStream, { network, seller })
  }
  serveJobs<BuyerJob, BuyerResult>({}, (job) => {
    const there = networks.get(job.callsPerStream)
    if (there === undefined) throw new Error(`no network has ${job.callsPerStream} calls per stream`)
    const open = () => there.network.openCall(there.seller, AbortSignal.timeout(REACH_MS))
    return job.kind === 'starts' ? startCalls(job, open) : takeParts(job, open)
  })
}

function startNetwork(callsPerStream: number, handlers: Partial<NetworkHandlers>): Promise<Network> {
  return createNetwork(
    { seed: systemRandomBytes(32), clock: systemClock, random: systemRandomBytes, logger: pino({ level: 'warn' }) },
    {
      network: 'bench',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      mdns: false,
      role: 'server',
      maxConnections: 100,
      callsPerStream,
    },
    {
      onCall: (call) => call.close(),
      onAccountStream: () => Promise.resolve(),
      judgeAdvert: () => 'ignore',
      currentAdvert: () => undefined,
      onPeerConnected: () => undefined,
      onPeerDisconnected: () => undefined,
      ...handlers,
    },
  )
}

/** The payload of the bench's ORDER is two counts: the parts, and the ms between them. */
function serveCall(call: CallChannel): void {
  let isOver = false
  call.attach({
    onFrame(_type, payload) {
      const order = Buffer.from(payload)
      const [parts, intervalMs] = [order.readUInt32BE(0), order.readUInt32BE(4)]
      const startedAtMs = performance.now()
      let sent = 0
      const next = (): void => {
        if (isOver) return
        if (sent === parts) {
          call.close()
          return
        }
        sent += 1
        call.send(FRAMES.part, PART)
        setTimeout(next, Math.max(1, startedAtMs + sent * intervalMs - performance.now()))
      }
      call.send(FRAMES.acceptance, new Uint8Array())
      next()
    },
    onWritable: () => undefined,
    onClosed() {
      isOver = true
    },
  })
}

/** As many runners as calls at once, each with one call after the other. */
async function startCalls(
  job: Extract<BuyerJob, { kind: 'starts' }>,
  open: () => Promise<CallChannel>,
): Promise<BuyerResult> {
  const startsMs: number[] = []
  const run = async (): Promise<void> => {
    for (let started = 0; started < job.count / job.atOnce; started += 1) startsMs.push(await startCall(open))
  }
  await Promise.all(Array.from({ length: job.atOnce }, run))
  return { startsMs, parts: 0, gapP99Ms: 0 }
}

/** Opens a call and waits for its acceptance, in ms. */
async function startCall(open: () => Promise<CallChannel>): Promise<number> {
  const startedAtMs = performance.now()
  const call = await open()
  await new Promise<void>((resolve, reject) => {
    call.attach({
      onFrame: () => resolve(),
      onWritable: () => undefined,
      onClosed: (error) => reject(error ?? new Error('the call ended before it was accepted')),
    })
    call.send(FRAMES.order, orderOf(0, 0))
  })
  const startMs = performance.now() - startedAtMs
  call.close()
  return startMs
}

async function takeParts(
  job: Extract<BuyerJob, { kind: 'parts' }>,
  open: () => Promise<CallChannel>,
): Promise<BuyerResult> {
  const gaps: number[] = []
  await Promise.all(
    Array.from({ length: job.calls }, async (_, index) => {
      await new Promise((resolve) => setTimeout(resolve, (index * 1_000) / job.calls))
      await takeCall(await open(), job, gaps)
    }),
  )
  return { startsMs: [], parts: job.calls * job.parts, gapP99Ms: quantile(gaps, 0.99) }
}

/** Takes the parts of one call, and notes the ms between them. */
function takeCall(call: CallChannel, job: Extract<BuyerJob, { kind: 'parts' }>, gaps: number[]): Promise<void> {
  let parts = 0
  let lastAtMs: number | undefined
  return new Promise((resolve, reject) => {
    call.attach({
      onFrame(type, payload) {
        if (type !== FRAMES.part) return
        const nowMs = performance.now()
        if (lastAtMs !== undefined) gaps.push(nowMs - lastAtMs)
        lastAtMs = nowMs
        parts += 1
        call.consumed(payload.byteLength)
      },
      onWritable: () => undefined,
      onClosed(error) {
        if (error === undefined && parts === job.parts) resolve()
        else reject(error ?? new Error(`${parts} of ${job.parts} parts came`))
      },
    })
    call.send(FRAMES.order, orderOf(job.parts, job.intervalMs))
  })
}

function orderOf(parts: number, intervalMs: number): Uint8Array {
  const order = Buffer.alloc(8)
  order.writeUInt32BE(parts, 0)
  order.writeUInt32BE(intervalMs, 4)
  return order
}
