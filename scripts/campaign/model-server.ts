/**
 * The model server behind the sellers of a campaign: streams as many tokens as the request's text says, some at a time.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { listenOnLoopback } from '../bench/listen-on-loopback.ts'

export const MODEL = 'campaign-model'
/** Four bytes: one token, as both sides count. */
export const TOKEN = 'word'

const TOKENS_PER_WRITE = 8
const WRITE_EVERY_MS = 4

/** Starts it on a free port. */
export async function startModelServer(): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy())
  })
  const url = await listenOnLoopback(server)
  return {
    url,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ object: 'list', data: [{ id: MODEL, object: 'model', created: 1, owned_by: 'x' }] }))
    return
  }
  const { messages } = (await json(request)) as { readonly messages: readonly { readonly content: string }[] }
  const tokens = Number(messages[0]?.content)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let sent = 0
  const next = (): void => {
    if (response.destroyed) return
    const count = Math.min(TOKENS_PER_WRITE, tokens - sent)
    sent += count
    const isOver = sent === tokens
    response.write(event({ choices: [{ index: 0, delta: { content: TOKEN } }] }).repeat(count), () => {
      if (!isOver) setTimeout(next, WRITE_EVERY_MS)
    })
    if (!isOver) return
    const usage = { prompt_tokens: 10, completion_tokens: tokens, total_tokens: 10 + tokens }
    response.end(`${event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage })}data: [DONE]\n\n`)
  }
  next()
}

function event(members: object): string {
  return `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: MODEL, ...members })}\n\n`
}
