/**
 * A model server that computes nothing, in a process of its own: whole answers at once, streams at the pace their model names.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listenOnLoopback } from './listen-on-loopback.ts'
import { INPUT_TOKENS, STREAMS, WHOLE_MODEL } from './messages.ts'
import { serveJobs } from './serve-jobs.ts'

/** The generator writes the model first. A buyer's node changes no byte of a body, so it stands there still. */
const MODEL_IN_BODY = /^\{"model":"([^"]+)"/

/** Of 500 bytes, with the content's length chosen for that. */
const WHOLE_ANSWER = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: WHOLE_MODEL,
    choices: [{ index: 0, message: { role: 'assistant', content: 'word '.repeat(48) }, finish_reason: 'stop' }],
    usage: { prompt_tokens: INPUT_TOKENS, completion_tokens: 48, total_tokens: INPUT_TOKENS + 48 },
  }),
)

const MODEL_LIST = JSON.stringify({
  object: 'list',
  data: [WHOLE_MODEL, ...Object.values(STREAMS).map(({ model }) => model)].map((id) => ({
    id,
    object: 'model',
    created: 1,
    owned_by: 'bench',
  })),
})

function serve(request: IncomingMessage, response: ServerResponse): void {
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(MODEL_LIST)
    return
  }
  let model: string | undefined
  request.on('data', (piece: Buffer) => (model ??= MODEL_IN_BODY.exec(piece.toString('latin1', 0, 80))?.[1]))
  request.on('end', () => {
    const [, events, intervalMs] = /^bench-sse-(\d+)-(\d+)$/.exec(model ?? '') ?? []
    if (events !== undefined) stream(response, model ?? '', Number(events), Number(intervalMs))
    else if (model === WHOLE_MODEL) {
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': WHOLE_ANSWER.length })
        .end(WHOLE_ANSWER)
    } else response.writeHead(400).end()
  })
}

/** One write an event, each a token of four bytes; the moments are fixed at the start, so that lateness does not add up. */
function stream(response: ServerResponse, model: string, events: number, intervalMs: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const startedAtMs = performance.now()
  let sent = 0
  const next = (): void => {
    if (response.destroyed) return
    if (sent === events) {
      const usage = { prompt_tokens: INPUT_TOKENS, completion_tokens: events, total_tokens: INPUT_TOKENS + events }
      response.end(`${event(model, {}, { finish_reason: 'stop' }, { usage })}data: [DONE]\n\n`)
      return
    }
    sent += 1
    response.write(event(model, { content: 'word' }, { finish_reason: null }, {}))
    setTimeout(next, Math.max(1, startedAtMs + sent * intervalMs - performance.now()))
  }
  next()
}

/** About 150 bytes. */
function event(model: string, delta: object, choice: object, more: object): string {
  const choices = [{ index: 0, delta, ...choice }]
  return `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', model, choices, ...more })}\n\n`
}

const url = await listenOnLoopback(createServer(serve))
serveJobs({ url }, () => Promise.reject(new Error('it takes no jobs')))
