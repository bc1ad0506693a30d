/**
 * A node of a campaign: a process that is killed and started again, on the data it left or on a backup of them.
 */
import type { ChildProcess } from 'node:child_process'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { request } from 'undici'
import { readRuntimeFile } from '../../src/node/runtime-file.ts'
import { readyLine, type Workbench } from '../bench/workbench.ts'

const LAUNCHER = join(import.meta.dirname, '../../src/cli/tok-node.mjs')
const COMMAND_MS = 300_000

export interface TradingNode {
  readonly name: string
  readonly role: 'buyer' | 'seller'
  readonly peerId: string
  /** Base URL of the facade; undefined while the node is down. */
  facade(): string | undefined
  kill(): Promise<void>
  /** Starts on what is on the disk. */
  start(): Promise<void>
  /** Copies the running node; gives what makes it the data of the next start. */
  backUp(): Promise<() => void>
  /** What the admin API says; `path` follows `/api/v1/`. */
  ask<T>(path: string): Promise<T>
  /** Runs `tok-node` with `words` on its data directory, and gives what it prints. */
  command(...words: readonly string[]): Promise<string>
}

/** Starts a node that listens for peers on `port`. `words` and `variables` are those of `tok-node start`. */
export async function startTradingNode(
  bench: Workbench,
  { name, role, port }: { readonly name: string; readonly role: 'buyer' | 'seller'; readonly port: number },
  words: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<TradingNode> {
  let home = await bench.directory()
  let child: ChildProcess | undefined
  let facade: string | undefined
  let peerId = ''

  const dataDirectory = (of = home): string => join(of, 'data')

  const start = async (): Promise<void> => {
    const listen = { LISTEN: `/ip4/127.0.0.1/tcp/${port}` }
    child = bench.launch(['--role', role, '--facade-port', '0', ...words], { ...variables, ...listen }, home)
    const ready = await readyLine(child)
    if (typeof ready['facade'] !== 'string') throw new Error(`${name} does not start: ${JSON.stringify(ready)}`)
    facade = ready['facade']
    peerId = String(ready['peerId'])
  }
  const command = async (...given: readonly string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [LAUNCHER, ...given, '--data-dir', dataDirectory(), '--json'],
      { cwd: home, env: { PATH: process.env['PATH'], HOME: home }, timeout: COMMAND_MS, maxBuffer: 2 ** 26 },
    )
    return stdout
  }

  await start()
  return {
    name,
    role,
    peerId,
    facade: () => facade,
    start,
    command,
    async kill() {
      facade = undefined
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
    async backUp() {
      const other = await bench.directory()
      await command('ledger', 'backup', dataDirectory(other))
      return () => {
        home = other
      }
    },
    async ask<T>(path: string): Promise<T> {
      const runtime = await readRuntimeFile(dataDirectory())
      const { body } = await request(`${facade}/api/v1/${path}`, {
        headers: { authorization: `Bearer ${runtime?.adminToken}` },
      })
      return (await body.json()) as T
    },
  }
}
