/**
 * `tok-node start` in a process of its own, for tests that kill it. End each with `kill` or `stop`.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { spawnCli } from './cli.ts'
import type { NodeAddress } from './market.ts'

/** A running node. */
export interface NodeProcess extends NodeAddress {
  readonly pid: number
  readonly multiaddrs: readonly string[]
  /** Everything it logged so far. */
  log(): string
  /** Sends the signal and waits for the end; gives the exit code and the signal that ended it. */
  end(signal: NodeJS.Signals): Promise<readonly [code: number | null, signal: NodeJS.Signals | null]>
}

/** What a process is started with. */
export interface NodeProcessOptions {
  /** Home and working directory; the data directory is `.tok-node` in it. */
  readonly home: string
  /** Words after `start`. */
  readonly words: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a quiet node on loopback and waits until it is ready. @throws Error with its log if it ends before that */
export async function startNodeProcess({ home, words, env }: NodeProcessOptions): Promise<NodeProcess> {
  const child = spawnCli(['start', '--json', '--facade-port', '0', '--no-mdns', ...words], {
    home,
    env: { TOKLIGENCE_DISCOVER: 'false', TOKLIGENCE_DRAIN_GRACE_MS: '3000', ...env },
  })
  let log = ''
  child.stderr?.on('data', (piece: Buffer) => (log += piece.toString()))
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  // A test that runs out of time leaves no node behind.
  const kill = (): boolean => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  const first = once(createInterface(child.stdout!), 'line') as Promise<[string]>
  const line = await Promise.race([first.then(([text]) => text), ended.then(() => undefined)])
  if (line === undefined) throw new Error(`the node ended before it was ready: ${log}`)
  const ready = JSON.parse(line) as { facade?: string; peerId: string; multiaddrs: readonly string[]; pid: number }
  if (ready.facade === undefined) throw new Error(`the node did not start: ${line}`)
  return {
    url: ready.facade,
    peerId: ready.peerId,
    dataDirectory: join(home, '.tok-node'),
    pid: ready.pid,
    multiaddrs: ready.multiaddrs,
    log: () => log,
    end(signal) {
      if (isRunning(child)) child.kill(signal)
      return ended
    },
  }
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

/** A TCP port that was free a moment ago: for a node that has to come back where it was. */
export async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
