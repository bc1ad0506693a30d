/**
 * A node of the demo, in its own process, as an operator would start it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { reasonOf, TokError } from '../base/errors.ts'
import type { Failure } from './failure.ts'

/** A running node. */
export interface DemoNode {
  readonly name: string
  readonly pid: number
  readonly dataDirectory: string
  readonly facade: string
  readonly peerId: string
  /** Where others dial it. */
  readonly multiaddr: string
  /** kill -9, in the middle of whatever it does. */
  kill(): Promise<void>
  /** Starts it again on the same data directory and addresses. */
  restart(): Promise<void>
  /** Ends it as an operator would. */
  stop(): Promise<void>
}

const READY_MS = 30_000
const STOP_MS = 10_000

interface Ready {
  readonly facade: string
  readonly peerId: string
  readonly multiaddrs: readonly string[]
}

/**
 * Starts a node on loopback and waits until it is ready.
 * @throws TokError `internal_error` with the end of its log if it does not start
 */
export async function startDemoNode(
  name: string,
  dataDirectory: string,
  flags: readonly string[],
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<DemoNode> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 })
  const launch = (listen: string) =>
    launchNode(name, dataDirectory, ['--listen', listen, '--facade-port', '0', ...flags], env, signal)
  let { child, ready } = await launch('/ip4/127.0.0.1/tcp/0')
  const [multiaddr = ''] = ready.multiaddrs
  return {
    name,
    dataDirectory,
    get pid() {
      return child.pid ?? 0
    },
    get facade() {
      return ready.facade
    },
    peerId: ready.peerId,
    multiaddr,
    kill: () => end(child, 'SIGKILL'),
    async restart() {
      const [listen = ''] = multiaddr.split('/p2p/')
      ;({ child, ready } = await launch(listen))
    },
    stop: () => end(child, 'SIGTERM'),
  }
}

async function launchNode(
  name: string,
  dataDirectory: string,
  flags: readonly string[],
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ child: ChildProcess; ready: Ready }> {
  const program = process.argv[1] ?? ''
  const logFile = join(dataDirectory, 'node.log')
  const log = openSync(logFile, 'a')
  const child = spawn(
    process.execPath,
    [program, 'start', '--data-dir', dataDirectory, '--config-dir', dataDirectory, '--no-mdns', '--json', ...flags],
    { stdio: ['ignore', 'pipe', log], env: { ...withoutOwnKeys(process.env), TOKLIGENCE_DISCOVER: 'false', ...env } },
  )
  closeSync(log)
  try {
    return { child, ready: await readReady(child, signal) }
  } catch (thrown) {
    await end(child, 'SIGKILL')
    if (signal.aborted) throw signal.reason
    throw new TokError(
      'internal_error',
      { reason: `the ${name} did not start: ${reasonOf(thrown)}` },
      { cause: thrown },
    )
  }
}

/** The demo is the same on every machine: no setting and no key of the operator takes part. */
function withoutOwnKeys(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TOKLIGENCE_')))
}

async function readReady(child: ChildProcess, signal: AbortSignal): Promise<Ready> {
  if (child.stdout === null) throw new Error('no output')
  const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_MS)])
  const lines = createInterface({ input: child.stdout })
  const gone = once(child, 'exit').then(() => Promise.reject(new Error('it ended')))
  const [line] = (await Promise.race([once(lines, 'line', { signal: limit }), gone])) as [string]
  child.stdout.resume()
  const told = JSON.parse(line) as Ready | { readonly error: Failure }
  if ('error' in told) throw new Error(told.error.message)
  return told
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(timer)
}
