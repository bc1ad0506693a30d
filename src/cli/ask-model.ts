/**
 * One question to a model through the facade of the running node, as any client asks it, with the answer streamed.
 */
import { request } from 'undici'
import { reasonOf, TokError } from '../base/errors.ts'
import { createSseReader } from '../dialects/sse.ts'
import { AnsweredError } from './failure.ts'

/** One turn of a conversation. */
export interface Turn {
  readonly role: 'user' | 'assistant'
  readonly content: string
}

/** A whole answer. A count that was not told is undefined. */
export interface Answer {
  readonly text: string
  readonly requestId: string | undefined
  /** Provider name or seller. */
  readonly target: string | undefined
  readonly inputTokens: number | undefined
  readonly outputTokens: number | undefined
}

/** What is asked. */
export interface Question {
  /** Base URL of the facade. */
  readonly facade: string
  readonly model: string
  readonly turns: readonly Turn[]
  /** The most tokens of the answer; undefined leaves it to the model. */
  readonly outputTokensMax: number | undefined
  /** Told of the text as it comes. */
  onText(text: string): void
  readonly signal: AbortSignal
}

/** What the Messages endpoint is asked for where nothing else is said; it must be told a number. */
const MESSAGES_TOKENS_MAX = 4_096

/** How a dialect asks, and what its events say. */
interface ChatDialect {
  readonly path: string
  bodyOf(question: Question): unknown
  read(event: EventData, progress: Progress): void
}

interface Progress {
  text: string
  inputTokens: number | undefined
  outputTokens: number | undefined
  isEnded: boolean
  error: string | undefined
}

/** The members that are read; every one may be missing. */
interface EventData {
  readonly type?: string
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[]
  readonly usage?: {
    readonly prompt_tokens?: number
    readonly completion_tokens?: number
    readonly output_tokens?: number
  } | null
  readonly delta?: { readonly text?: string }
  readonly message?: { readonly usage?: { readonly input_tokens?: number } }
  readonly error?: { readonly message?: string }
}

const OPENAI_CHAT: ChatDialect = {
  path: '/v1/chat/completions',
  bodyOf: ({ model, turns, outputTokensMax }) => ({
    model,
    messages: turns,
    stream: true,
    stream_options: { include_usage: true },
    ...(outputTokensMax === undefined ? {} : { max_tokens: outputTokensMax }),
  }),
  read({ choices, usage, error }, progress) {
    progress.text += choices?.[0]?.delta?.content ?? ''
    progress.inputTokens = usage?.prompt_tokens ?? progress.inputTokens
    progress.outputTokens = usage?.completion_tokens ?? progress.outputTokens
    progress.error = error?.message
  },
}

const ANTHROPIC_MESSAGES: ChatDialect = {
  path: '/v1/messages',
  bodyOf: ({ model, turns, outputTokensMax }) => ({
    model,
    messages: turns,
    stream: true,
    max_tokens: outputTokensMax ?? MESSAGES_TOKENS_MAX,
  }),
  read({ type, delta, message, usage, error }, progress) {
    progress.text += delta?.text ?? ''
    progress.inputTokens = message?.usage?.input_tokens ?? progress.inputTokens
    progress.outputTokens = usage?.output_tokens ?? progress.outputTokens
    progress.isEnded ||= type === 'message_stop'
    progress.error = error?.message
  },
}

/**
 * Asks in the OpenAI chat dialect, or in Anthropic's where the model is served in that alone and nothing is translated.
 * @throws AnsweredError for what the facade refuses; TokError `stream_incomplete`, `node_unreachable`
 */
export async function askModel(question: Question): Promise<Answer> {
  try {
    return await ask(question, OPENAI_CHAT)
  } catch (error) {
    if (!(error instanceof AnsweredError) || error.code !== 'work_mode_mismatch') throw error
    return ask(question, ANTHROPIC_MESSAGES)
  }
}

async function ask(question: Question, dialect: ChatDialect): Promise<Answer> {
  const { facade, model, signal, onText } = question
  // The node has the timeouts of every target; its facade answers in any case.
  const { statusCode, headers, body } = await request(`${facade}${dialect.path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify(dialect.bodyOf(question)),
    headersTimeout: 0,
    bodyTimeout: 0,
    signal,
  })
  if (statusCode >= 400) throw refusalOf(await body.text(), statusCode, headers['x-tok-error'])

  const progress: Progress = {
    text: '',
    inputTokens: undefined,
    outputTokens: undefined,
    isEnded: false,
    error: undefined,
  }
  const reader = createSseReader(({ data }) => {
    if (data === '[DONE]') {
      progress.isEnded = true
      return
    }
    const before = progress.text.length
    dialect.read(JSON.parse(data) as EventData, progress)
    if (progress.text.length > before) onText(progress.text.slice(before))
  })
  const target = headerOf(headers['x-tok-target'])
  try {
    for await (const bytes of body as AsyncIterable<Uint8Array>) {
      reader.push(bytes)
      if (progress.error !== undefined) throw new Error(progress.error)
    }
    reader.end()
    if (!progress.isEnded) throw new Error('it has no end')
  } catch (error) {
    if (signal.aborted) throw error
    throw new TokError('stream_incomplete', { peer: target ?? model, reason: reasonOf(error) }, { cause: error })
  }
  const { text, inputTokens, outputTokens } = progress
  return { text, requestId: headerOf(headers['x-request-id']), target, inputTokens, outputTokens }
}

function refusalOf(body: string, statusCode: number, code: string | string[] | undefined): AnsweredError {
  let message: unknown
  try {
    message = (JSON.parse(body) as { error?: { message?: unknown } }).error?.message
  } catch {
    message = body.slice(0, 200)
  }
  return new AnsweredError({
    code: headerOf(code) ?? 'provider_failed',
    message: typeof message === 'string' && message !== '' ? message : `the facade answered with status ${statusCode}`,
    next: '',
  })
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
