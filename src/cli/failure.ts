/**
 * How a command ends: what is said of a failure, and the exit code.
 */
import { styleText } from 'node:util'
import { toTokError } from '../base/errors.ts'

/** Exit codes of every command; `tok-node --help` lists them. */
export const EXIT = {
  /** Done. */
  ok: 0,
  /** What was asked for failed, or a check found a fault. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No node runs on the data directory, or it does not answer. */
  notRunning: 3,
  /** The configuration is not valid. */
  config: 4,
} as const

/** A failure as people and programs are told of it. */
export interface Failure {
  readonly code: string
  readonly message: string
  /** What to do; "" where the message says it. */
  readonly next: string
}

/** An error that a running node answered: its words are kept, whatever its version. */
export class AnsweredError extends Error {
  override readonly name = 'AnsweredError'
  readonly code: string
  readonly next: string

  constructor(failure: Failure) {
    super(failure.message)
    this.code = failure.code
    this.next = failure.next
  }
}

/** Says what went wrong, on stderr, or with `json` as one line of JSON on stdout, and gives the exit code. */
export function reportFailure(thrown: unknown, json: boolean): number {
  const failure = failureOf(thrown)
  if (json) process.stdout.write(`${JSON.stringify({ error: failure })}\n`)
  else process.stderr.write(failureText(failure))
  return exitCodeOf(failure.code)
}

/** A failure in the words of the error table. */
export function failureOf(thrown: unknown): Failure {
  const { code, message, next } = thrown instanceof AnsweredError ? thrown : toTokError(thrown)
  return { code, message, next }
}

function failureText({ code, message, next }: Failure): string {
  const paint = (style: 'red' | 'dim', text: string): string => styleText(style, text, { stream: process.stderr })
  return [
    `${paint('red', 'error:')} ${message} ${paint('dim', `[${code}]`)}`,
    ...(next === '' ? [] : [`${paint('dim', ' next:')} ${next}`]),
    '',
  ].join('\n')
}

function exitCodeOf(code: string): number {
  if (code === 'argument_invalid') return EXIT.usage
  if (code === 'node_not_running' || code === 'node_unreachable') return EXIT.notRunning
  return code === 'config_invalid' ? EXIT.config : EXIT.failed
}
