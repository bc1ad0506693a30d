/**
 * The command line as a user has it: a process of its own, started through the launcher.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const LAUNCHER = join(import.meta.dirname, '../../src/cli/tok-node.mjs')

/** How a command ended. */
export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** stdout as JSON. */
  json(): unknown
}

/** Where a command runs. */
export interface CliPlace {
  /** Home and working directory: nothing of the machine's own configuration is read. */
  readonly home: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

/** Starts `tok-node` with `words`; end it yourself. */
export function spawnCli(words: readonly string[], { home, env }: CliPlace): ChildProcess {
  return spawn(process.execPath, [LAUNCHER, ...words], {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...env },
    stdio: 'pipe',
  })
}

/** Runs `tok-node` with `words` to its end. */
export async function runCli(words: readonly string[], place: CliPlace): Promise<CliResult> {
  const child = spawnCli(words, place)
  child.stdin?.end(place.input ?? '')
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'exit')])
  return { code: code as number, stdout, stderr, json: () => JSON.parse(stdout) }
}
