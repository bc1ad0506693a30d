/**
 * The load of the dialects' bench, in a process of its own.
 */
import { sharedMs, type DialectLoad, type DialectLoadResult, type Question } from './dialects-jobs.ts'
import { HttpConnection } from './http-connection.ts'
import { serveJobs } from './serve-jobs.ts'

type Job<Kind extends DialectLoad['kind']> = Extract<DialectLoad, { readonly kind: Kind }>
type Outcome = Pick<DialectLoadResult, 'answers'> & Partial<DialectLoadResult>

async function run(job: DialectLoad): Promise<DialectLoadResult> {
  const opened: HttpConnection[] = []
  const open = async ({ url }: Question): Promise<HttpConnection> => {
    const connection = await HttpConnection.open(url)
    opened.push(connection)
    return connection
  }
  try {
    const startedAtMs = performance.now()
    const outcome = await (job.kind === 'flat-out'
      ? runFlatOut(job, open)
      : job.kind === 'streams'
        ? runStreams(job, open)
        : runOneByOne(job, open))
    return { firstBytesAtMs: [], elapsedMs: performance.now() - startedAtMs, ...outcome }
  } finally {
    for (const connection of opened) connection.close()
  }
}

type Open = (question: Question) => Promise<HttpConnection>

async function runFlatOut({ question, connections, durationMs }: Job<'flat-out'>, open: Open): Promise<Outcome> {
  const request = bytesOf(question)
  const opened = await Promise.all(Array.from({ length: connections }, () => open(question)))
  const startedAtMs = performance.now()
  let answers = 0
  await Promise.all(
    opened.map(async (connection) => {
      while (performance.now() < startedAtMs + durationMs) {
        await connection.exchange(request)
        answers += 1
      }
    }),
  )
  return { answers, elapsedMs: performance.now() - startedAtMs }
}

async function runStreams(job: Job<'streams'>, open: Open): Promise<Outcome> {
  const ways = job.questions.map((question) => ({ question, request: bytesOf(question) }))
  await Promise.all(
    Array.from({ length: job.connections }, async (_, index) => {
      const way = ways[index % ways.length]
      if (way === undefined) throw new Error('nothing to ask')
      const connection = await open(way.question)
      for (let stream = 0; stream < job.streamsPerConnection; stream += 1) {
        const { events } = await connection.exchange(way.request)
        expectEvents(way.question, events, job.eventsMin)
      }
    }),
  )
  return { answers: job.connections * job.streamsPerConnection }
}

/** One stream at a time, so that each meets an idle machine; questions in turn, so that all meet the same one. */
async function runOneByOne(job: Job<'one-by-one'>, open: Open): Promise<Outcome> {
  const ways = []
  for (const question of job.questions)
    ways.push({ question, connection: await open(question), request: bytesOf(question) })
  const offsetMs = sharedMs() - performance.now()
  const firstBytesAtMs: number[] = []
  for (let round = 0; round < job.rounds; round += 1) {
    for (const { question, connection, request } of ways) {
      const { firstByteAtMs, events } = await connection.exchange(request)
      expectEvents(question, events, job.eventsMin)
      firstBytesAtMs.push(firstByteAtMs + offsetMs)
    }
  }
  return { answers: firstBytesAtMs.length, firstBytesAtMs }
}

function bytesOf({ url, headers, body }: Question): Buffer {
  const { host, pathname } = new URL(url)
  const fields = { host, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`POST ${pathname} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
}

function expectEvents({ url }: Question, events: number, least: number): void {
  if (events < least) throw new Error(`${url}: ${events} events came where at least ${least} were due`)
}

serveJobs({}, run)
