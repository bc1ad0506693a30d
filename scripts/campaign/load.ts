/**
 * Clients of a campaign's buyers: streamed calls, one after the other, each known in the ledgers by its output maximum.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { request } from 'undici'
import { MODEL, TOKEN } from './model-server.ts'
import type { TradingNode } from './trading-node.ts'

/** What a client saw of its call. */
export interface ClientCall {
  /** The output maximum of its request: no other call has it. */
  readonly outputTokensMax: number
  readonly buyer: string
  /** Tokens that came. */
  readonly delivered: number
  /** whole: all came; broken: it ended before; refused: nothing began. */
  readonly outcome: 'whole' | 'broken' | 'refused'
}

/** Above every answer, so that it stops none. */
const FIRST_MAXIMUM = 10_000
const REFUSED_WAIT_MS = 100
const CALL_LIMIT_MS = 60_000

/** Streams until `signal` aborts, on `clients` at once at each buyer; gives what each call came to. */
export async function runLoad(
  buyers: readonly TradingNode[],
  {
    random,
    clients,
    signal,
  }: { readonly random: () => number; readonly clients: number; readonly signal: AbortSignal },
): Promise<readonly ClientCall[]> {
  const calls: ClientCall[] = []
  let nextMaximum = FIRST_MAXIMUM
  const client = async (buyer: TradingNode): Promise<void> => {
    while (!signal.aborted) {
      const outputTokensMax = nextMaximum
      nextMaximum += 1
      const call = await stream(buyer, outputTokensMax, lengthOf(random))
      calls.push(call)
      if (call.outcome === 'refused') await wait(REFUSED_WAIT_MS)
    }
  }
  await Promise.all(buyers.flatMap((buyer) => Array.from({ length: clients }, () => client(buyer))))
  return calls
}

/** Most answers are short; some go far over the window. */
function lengthOf(random: () => number): number {
  return random() < 0.1 ? 600 + Math.floor(random() * 1_400) : 5 + Math.floor(random() * 90)
}

async function stream(buyer: TradingNode, outputTokensMax: number, tokens: number): Promise<ClientCall> {
  let delivered = 0
  let hasBegun = false
  let isWhole = false
  try {
    const { statusCode, body } = await request(`${buyer.facade()}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: MODEL,
        stream: true,
        max_tokens: outputTokensMax,
        messages: [{ role: 'user', content: String(tokens) }],
      }),
      signal: AbortSignal.timeout(CALL_LIMIT_MS),
    })
    hasBegun = statusCode === 200
    let rest = ''
    for await (const piece of body) {
      const lines = (rest + String(piece)).split('\n')
      rest = lines.pop() ?? ''
      delivered += lines.filter((line) => line.includes(`"content":"${TOKEN}"`)).length
      isWhole ||= lines.includes('data: [DONE]')
    }
  } catch {
    // The node was killed, or is down: that is what the campaign is for.
  }
  const outcome = isWhole && hasBegun ? 'whole' : hasBegun ? 'broken' : 'refused'
  return { outputTokensMax, buyer: buyer.name, delivered, outcome }
}
