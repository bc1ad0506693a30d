/**
 * The client of the demo: one streamed request in any dialect, as a program of somebody else's would send it.
 */
import { request } from 'undici'
import { reasonOf } from '../base/errors.ts'
import { createAnswerMeter } from '../dialects/answer-meter.ts'
import { ENDPOINTS, type Dialect, type Endpoint } from '../dialects/dialect.ts'

/** How a streamed answer came. */
export interface DemoAnswer {
  readonly requestId: string
  /** Tokens by the running count. */
  readonly tokens: number
  readonly firstByteMs: number
  readonly totalMs: number
  /** What the client was told went wrong; undefined for a whole answer. */
  readonly failure: string | undefined
}

const ENDPOINT_OF: Readonly<Record<Dialect, Endpoint>> = {
  'openai-chat': 'chat',
  'openai-responses': 'responses',
  'anthropic-messages': 'messages',
}
const OUTPUT_TOKENS_MAX = 1_000

/** Asks `question` and reads the stream to its end. */
export async function askDemo(
  facade: string,
  dialect: Dialect,
  model: string,
  question: string,
  signal: AbortSignal,
  onTokens: (tokens: number) => void,
): Promise<DemoAnswer> {
  const endpoint = ENDPOINT_OF[dialect]
  const startedAtMs = performance.now()
  const { statusCode, headers, body } = await request(`${facade}${ENDPOINTS[endpoint].path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify(bodyOf(dialect, model, question)),
    signal,
    bodyTimeout: 0,
  })
  const requestId = String(headers['x-request-id'] ?? '')
  if (statusCode >= 400) {
    const failure = await body.text()
    const totalMs = Math.round(performance.now() - startedAtMs)
    return { requestId, tokens: 0, firstByteMs: totalMs, totalMs, failure }
  }
  const meter = createAnswerMeter(endpoint, true)
  let firstByteMs: number | undefined
  let broken: string | undefined
  try {
    for await (const bytes of body as AsyncIterable<Uint8Array>) {
      firstByteMs ??= performance.now() - startedAtMs
      meter.push(bytes)
      onTokens(meter.countedOutputTokens)
    }
  } catch (thrown) {
    signal.throwIfAborted()
    broken = reasonOf(thrown)
  }
  meter.end()
  const isWhole = meter.finish !== undefined && meter.finish !== 'error'
  return {
    requestId,
    tokens: meter.countedOutputTokens,
    firstByteMs: Math.round(firstByteMs ?? 0),
    totalMs: Math.round(performance.now() - startedAtMs),
    failure: isWhole ? undefined : (meter.errorMessage ?? broken ?? 'the stream has no end'),
  }
}

function bodyOf(dialect: Dialect, model: string, question: string): unknown {
  switch (dialect) {
    case 'openai-chat':
      return {
        model,
        stream: true,
        stream_options: { include_usage: true },
        max_tokens: OUTPUT_TOKENS_MAX,
        messages: [{ role: 'user', content: question }],
      }
    case 'openai-responses':
      return { model, stream: true, max_output_tokens: OUTPUT_TOKENS_MAX, input: question }
    case 'anthropic-messages':
      return { model, stream: true, max_tokens: OUTPUT_TOKENS_MAX, messages: [{ role: 'user', content: question }] }
  }
}
