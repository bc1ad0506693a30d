/**
 * Where the log of a running node goes: JSON lines to a file or a pipe, readable lines to a terminal.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { styleText } from 'node:util'
import { destination, pino, stdTimeFunctions, type Logger } from 'pino'
import { reasonOf, TokError } from '../base/errors.ts'
import type { LogConfig } from '../config/config.ts'
import { harmless } from './output.ts'

/** Field names under which a secret could stand. */
const SECRETS = [
  'authorization',
  'headers.authorization',
  'headers["x-api-key"]',
  'apiKey',
  '*.apiKey',
  'adminToken',
  'seed',
]

/**
 * The logger of a node.
 * @throws TokError `config_invalid` if the file cannot be written
 */
export function createLogger({ level, file }: LogConfig): Logger {
  const options = { level, base: null, timestamp: stdTimeFunctions.isoTime, redact: SECRETS }
  if (file !== undefined) {
    try {
      mkdirSync(dirname(file), { recursive: true })
      return pino(options, destination({ dest: file, sync: true }))
    } catch (error) {
      throw new TokError('config_invalid', { reason: `log_file: ${reasonOf(error)}` }, { cause: error })
    }
  }
  if (!process.stderr.isTTY) return pino(options, destination({ dest: 2, sync: true }))
  return pino(options, { write: (line) => void process.stderr.write(readableLine(line)) })
}

const LEVEL_STYLES: Readonly<Record<number, readonly [string, 'dim' | 'cyan' | 'yellow' | 'red']>> = {
  10: ['trace', 'dim'],
  20: ['debug', 'dim'],
  30: ['info', 'cyan'],
  40: ['warn', 'yellow'],
  50: ['error', 'red'],
  60: ['fatal', 'red'],
}

/** One line of JSON as "12:03:04 info  what happened  name=value", and the stack of an error below it. */
function readableLine(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
  const [word, style] = LEVEL_STYLES[Number(level)] ?? ['log', 'dim']
  const paint = (colour: typeof style, text: string): string => styleText(colour, text, { stream: process.stderr })
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const { stack } = Object(err) as { stack?: unknown }
  return [
    paint('dim', String(time).slice(11, 19)),
    ` ${paint(style, word.padEnd(5))} ${harmless(String(msg ?? ''))}`,
    rest.length === 0 ? '' : `  ${paint('dim', harmless(rest.join(' ')))}`,
    typeof stack === 'string' ? `\n${paint('dim', harmless(stack))}` : '',
    '\n',
  ].join('')
}
