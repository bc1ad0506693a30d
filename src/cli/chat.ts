/**
 * `tok-node chat`: one prompt, or a conversation on the terminal, through the running node.
 */
import { createInterface } from 'node:readline/promises'
import { text as readWhole } from 'node:stream/consumers'
import { InvalidArgumentError, type Command } from 'commander'
import { TokError } from '../base/errors.ts'
import type { JsonObject, ModelView } from '../gateway/admin-api.ts'
import { connectAdmin, type AdminClient } from './admin-client.ts'
import { askModel, type Answer, type Turn } from './ask-model.ts'
import { addConfigFlags, loadCommandConfig } from './config-flags.ts'
import { reportFailure } from './failure.ts'
import { harmless, paint, print, printJson, usd } from './output.ts'

/** The record of a request is written after its last byte. */
const RECORD_WAITS_MS = [20, 100, 400, 1_000] as const

interface ChatOptions {
  readonly model?: string
  readonly maxTokens?: number
  readonly json?: boolean
}

export function defineChat(command: Command): void {
  addConfigFlags(command)
    .argument('[prompt...]', 'what to ask; without one it is read from a pipe, or a conversation begins')
    .option('--model <model>', 'one of `tok-node models`; may be left out where there is only one')
    .option('--max-tokens <count>', 'the most tokens of an answer', readCount)
    .action((prompt: readonly string[]) => chat(command, prompt.join(' ')))
}

async function chat(command: Command, argument: string): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const options = command.opts<ChatOptions>()
  const admin = await connectAdmin(config.dataDirectory)
  const model = options.model ?? (await onlyModel(admin))
  const prompt = argument === '' && !process.stdin.isTTY ? (await readWhole(process.stdin)).trim() : argument
  if (prompt !== '') {
    await answerOnce(admin, model, prompt, options)
  } else if (process.stdin.isTTY && options.json !== true) {
    await converse(admin, model, options)
  } else {
    throw new TokError('argument_invalid', { reason: 'there is no prompt' })
  }
}

async function answerOnce(admin: AdminClient, model: string, prompt: string, options: ChatOptions): Promise<void> {
  const interrupted = new AbortController()
  const onInterrupt = (): void => interrupted.abort(new TokError('client_left'))
  process.once('SIGINT', onInterrupt)
  try {
    const answer = await ask(admin, model, [{ role: 'user', content: prompt }], options, interrupted.signal)
    const amountMicros = await amountOf(admin, answer)
    if (options.json === true) printJson({ model, ...answer, amountMicros })
    else print(summary(answer, amountMicros))
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

/** Ctrl-C stops an answer, and at the prompt the conversation; Ctrl-D and "/bye" end it too. */
async function converse(admin: AdminClient, model: string, options: ChatOptions): Promise<void> {
  print(paint('dim', `talking to ${model}; Ctrl-C stops an answer, Ctrl-D ends the conversation`))
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  let turns: readonly Turn[] = []
  let answering: AbortController | undefined
  const ended = new AbortController()
  terminal.on('SIGINT', () => (answering === undefined ? ended.abort() : answering.abort(new TokError('client_left'))))
  terminal.on('close', () => ended.abort())
  try {
    while (!ended.signal.aborted) {
      const line = await terminal.question(paint('bold', '> '), { signal: ended.signal }).catch(() => '/bye')
      if (line.trim() === '/bye') break
      if (line.trim() === '') continue
      const asked: readonly Turn[] = [...turns, { role: 'user', content: line }]
      answering = new AbortController()
      try {
        const answer = await ask(admin, model, asked, options, answering.signal)
        turns = [...asked, { role: 'assistant', content: answer.text }]
        print(summary(answer, await amountOf(admin, answer)))
      } catch (error) {
        // The conversation goes on where it was before the question.
        print('')
        reportFailure(error, false)
      } finally {
        answering = undefined
      }
    }
  } finally {
    terminal.close()
    print('')
  }
}

async function ask(
  admin: AdminClient,
  model: string,
  turns: readonly Turn[],
  { maxTokens, json }: ChatOptions,
  signal: AbortSignal,
): Promise<Answer> {
  const answer = await askModel({
    facade: admin.runtime.facade,
    model,
    turns,
    outputTokensMax: maxTokens,
    signal,
    onText(text) {
      if (json !== true) process.stdout.write(harmless(text))
    },
  })
  if (json !== true) print('')
  return answer
}

/** What the request cost, from the journal; undefined for a local answer, or where the record is not there in time. */
async function amountOf(admin: AdminClient, { requestId }: Answer): Promise<string | undefined> {
  if (requestId === undefined) return undefined
  for (const waitMs of RECORD_WAITS_MS) {
    const record = await admin.ask<JsonObject>(`ledger/show/${encodeURIComponent(requestId)}`).catch(() => undefined)
    if (record !== undefined) {
      const { amount } = Object(record['journal']) as { amount?: unknown }
      return typeof amount === 'string' ? amount : undefined
    }
    await new Promise((resolve) => {
      setTimeout(resolve, waitMs)
    })
  }
  return undefined
}

function summary({ target, inputTokens, outputTokens }: Answer, amountMicros: string | undefined): string {
  const parts = [
    target,
    `${inputTokens ?? '?'} tokens in, ${outputTokens ?? '?'} out`,
    ...(amountMicros === undefined ? [] : [usd(amountMicros)]),
  ]
  return paint('dim', parts.filter((part) => part !== undefined).join(' · '))
}

/** The one model that somebody serves; the built-in echo where there is nothing else. */
async function onlyModel(admin: AdminClient): Promise<string> {
  const all = await admin.ask<readonly ModelView[]>('models')
  const served = all.filter(({ targets }) => targets.some(({ name }) => name !== 'loopback'))
  const [first, second] = served.length > 0 ? served : all
  if (first !== undefined && second === undefined) return first.id
  const known = served.slice(0, 8).map(({ id }) => harmless(id))
  throw new TokError('argument_invalid', {
    reason: first === undefined ? 'no model is known; see `tok-node models`' : `choose a --model: ${known.join(', ')}`,
  })
}

function readCount(text: string): number {
  const count = Number(text)
  if (!/^\d{1,9}$/.test(text) || count === 0) throw new InvalidArgumentError('It is not a count.')
  return count
}
