/**
 * A model server that computes nothing and speaks every dialect, in a process of its own. The path says the dialect, the
 * model's name how it answers.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { DIALECTS, ENDPOINTS, type Dialect } from '../../src/dialects/dialect.ts'
import { AGENT_BODY_BYTES, paceIn, sharedMs, type FirstWrites } from './dialects-jobs.ts'
import { streamedAnswer, wholeAnswer } from './dialects-script.ts'
import { listenOnLoopback } from './listen-on-loopback.ts'
import { serveJobs } from './serve-jobs.ts'

const { chat, responses, messages } = ENDPOINTS
const DIALECT_AT = new Map<string, Dialect>([chat, responses, messages].map(({ path, dialect }) => [path, dialect]))
const WHOLES = new Map(DIALECTS.map((dialect) => [dialect, wholeAnswer(dialect, AGENT_BODY_BYTES)]))
const streams = new Map<string, readonly Buffer[]>()
let firstWritesAtMs: number[] = []

function serve(request: IncomingMessage, response: ServerResponse): void {
  const pieces: Buffer[] = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  request.on('end', () => {
    const dialect = DIALECT_AT.get(new URL(request.url ?? '/', 'http://localhost').pathname)
    const pace = paceIn(Buffer.concat(pieces))
    if (dialect === undefined || pace === undefined) response.writeHead(404).end()
    else if (pace === 'whole') {
      const answer = WHOLES.get(dialect)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer?.length }).end(answer)
    } else stream(response, streamOf(dialect, pace.tokens), pace.intervalMs)
  })
}

function streamOf(dialect: Dialect, tokens: number): readonly Buffer[] {
  const key = `${dialect} ${tokens}`
  const pieces = streams.get(key) ?? streamedAnswer(dialect, tokens)
  streams.set(key, pieces)
  return pieces
}

/** The moments are fixed at the start, so that lateness does not add up; without an interval all comes in one piece. */
function stream(response: ServerResponse, pieces: readonly Buffer[], intervalMs: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  if (intervalMs === 0) {
    response.end(Buffer.concat(pieces))
    return
  }
  const startedAtMs = performance.now()
  firstWritesAtMs.push(sharedMs())
  let sent = 0
  const next = (): void => {
    if (response.destroyed) return
    response.write(pieces[sent] ?? '')
    sent += 1
    if (sent === pieces.length) response.end()
    else setTimeout(next, Math.max(1, startedAtMs + sent * intervalMs - performance.now()))
  }
  next()
}

serveJobs<object, FirstWrites>({ url: await listenOnLoopback(createServer(serve)) }, () => {
  const taken = firstWritesAtMs
  firstWritesAtMs = []
  return Promise.resolve({ firstWritesAtMs: taken })
})
