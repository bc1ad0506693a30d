/**
 * The load of the bench, in a process of its own.
 */
import { quantile } from './figures.ts'
import { HttpConnection, prepareRequest } from './http-connection.ts'
import { CLOSING_EVENTS, LATE_MS, type Gaps, type LoadJob, type LoadResult } from './messages.ts'
import { requestBody } from './request-body.ts'
import { serveJobs } from './serve-jobs.ts'

type Job<Kind extends LoadJob['kind']> = Extract<LoadJob, { readonly kind: Kind }>

const OUTPUT_TOKENS_MAX = 4_096
const NO_GAPS: Gaps = { p50Ms: 0, p99Ms: 0, maxMs: 0, late: 0 }

type Outcome = Pick<LoadResult, 'answers' | 'latenciesMs'> & Partial<Pick<LoadResult, 'events' | 'gaps'>>

async function run(job: LoadJob): Promise<LoadResult> {
  const urls = job.kind === 'first-token' ? job.urls : [job.url]
  const count = job.kind === 'first-token' ? 1 : job.connections
  const opened = await Promise.all(urls.map((url) => openAll(url, count)))
  const body = requestBody(job.model, job.bodyBytes, OUTPUT_TOKENS_MAX)
  const requests = urls.map((url) => prepareRequest(url, body))
  const [connections = []] = opened
  const [request = Buffer.alloc(0)] = requests
  const cpuBefore = process.cpuUsage()
  const startedAtMs = performance.now()
  const outcome = await {
    steady: () => runSteadily(job as Job<'steady'>, connections, request),
    'flat-out': () => runFlatOut(job as Job<'flat-out'>, connections, request),
    streams: () => runStreams(job as Job<'streams'>, connections, request),
    'first-token': () => awaitFirstTokens(job as Job<'first-token'>, opened.flat(), requests),
  }[job.kind]()
  const elapsedMs = performance.now() - startedAtMs
  const { user, system } = process.cpuUsage(cpuBefore)
  for (const connection of opened.flat()) connection.close()
  return { events: 0, gaps: NO_GAPS, ...outcome, elapsedMs, cpuMs: (user + system) / 1_000 }
}

function openAll(url: string, count: number): Promise<HttpConnection[]> {
  return Promise.all(Array.from({ length: count }, () => HttpConnection.open(url)))
}

/**
 * A request whenever one is due, on the connection that is free the longest; what finds none free waits, and its wait counts.
 * A timer of this process that fires late is nobody's latency: due is when it fired.
 */
function runSteadily(job: Job<'steady'>, connections: HttpConnection[], request: Buffer): Promise<Outcome> {
  const total = Math.round((job.perSecond * job.durationMs) / 1_000)
  const free = [...connections]
  const waiting: number[] = []
  const latencies: number[] = []
  const startedAtMs = performance.now()
  let sent = 0
  return new Promise((resolve, reject) => {
    const send = (connection: HttpConnection, dueAtMs: number): void => {
      connection.exchange(request).then(({ endedAtMs }) => {
        latencies.push(endedAtMs - dueAtMs)
        const next = waiting.shift()
        if (next === undefined) free.push(connection)
        else send(connection, next)
        if (latencies.length === total) resolve({ answers: total, latenciesMs: [latencies] })
      }, reject)
    }
    const tick = (): void => {
      const nowMs = performance.now()
      for (; sent < total && startedAtMs + (sent * 1_000) / job.perSecond <= nowMs; sent += 1) {
        const connection = free.shift()
        if (connection === undefined) waiting.push(nowMs)
        else send(connection, nowMs)
      }
      if (sent < total) setTimeout(tick, Math.max(1, startedAtMs + (sent * 1_000) / job.perSecond - nowMs))
    }
    tick()
  })
}

async function runFlatOut(job: Job<'flat-out'>, connections: HttpConnection[], request: Buffer): Promise<Outcome> {
  const endAtMs = performance.now() + job.durationMs
  const latencies: number[] = []
  await Promise.all(
    connections.map(async (connection) => {
      for (let sentAtMs = performance.now(); sentAtMs < endAtMs;) {
        const { endedAtMs } = await connection.exchange(request)
        latencies.push(endedAtMs - sentAtMs)
        sentAtMs = performance.now()
      }
    }),
  )
  return { answers: latencies.length, latenciesMs: [latencies] }
}

async function runStreams(job: Job<'streams'>, connections: HttpConnection[], request: Buffer): Promise<Outcome> {
  const expected = eventsOf(job.model)
  const latencies: number[] = []
  const gaps: number[] = []
  await Promise.all(
    connections.map(async (connection, index) => {
      await new Promise((resolve) => setTimeout(resolve, (job.spreadMs * index) / connections.length))
      for (let stream = 0; stream < job.streamsPerConnection; stream += 1) {
        const sentAtMs = performance.now()
        let lastAtMs: number | undefined
        const { events, firstByteAtMs } = await connection.exchange(request, (count, atMs) => {
          // Events that come together had no gap between them.
          for (let each = 0; each < count; each += 1) {
            if (lastAtMs !== undefined) gaps.push(atMs - lastAtMs)
            lastAtMs = atMs
          }
        })
        if (events !== expected) throw new Error(`${events} events came where ${expected} were sent`)
        latencies.push(firstByteAtMs - sentAtMs)
      }
    }),
  )
  return {
    answers: latencies.length,
    latenciesMs: [latencies],
    events: latencies.length + gaps.length,
    gaps: gapsOf(gaps),
  }
}

/** One stream at a time, so that each meets an idle machine; addresses in turn, so that all meet the same one. */
async function awaitFirstTokens(
  job: Job<'first-token'>,
  connections: HttpConnection[],
  requests: Buffer[],
): Promise<Outcome> {
  const latencies: number[][] = connections.map(() => [])
  for (let round = 0; round < job.count; round += 1) {
    for (const [index, connection] of connections.entries()) {
      const sentAtMs = performance.now()
      const { firstByteAtMs, events } = await connection.exchange(requests[index] ?? Buffer.alloc(0))
      if (events !== eventsOf(job.model)) throw new Error(`${events} events came`)
      latencies[index]?.push(firstByteAtMs - sentAtMs)
    }
  }
  return { answers: job.count * connections.length, latenciesMs: latencies }
}

function eventsOf(model: string): number {
  return Number(/^bench-sse-(\d+)-/.exec(model)?.[1]) + CLOSING_EVENTS
}

function gapsOf(gaps: readonly number[]): Gaps {
  return {
    p50Ms: quantile(gaps, 0.5),
    p99Ms: quantile(gaps, 0.99),
    maxMs: quantile(gaps, 1),
    late: gaps.filter((gap) => gap >= LATE_MS).length,
  }
}

serveJobs({}, run)
