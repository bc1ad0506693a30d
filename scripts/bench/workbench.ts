/**
 * The processes of a bench: its own programs, real nodes, and what the kernel says about them. All of them end with `close`.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const LAUNCHER = join(import.meta.dirname, '../../src/cli/tok-node.mjs')
const START_MS = 20_000
const JOB_MS = 90_000
const STOP_MS = 10_000
/** The kernel's unit of CPU time in /proc, in ms: fixed for user space on Linux. */
const TICK_MS = 10

/** A program of the bench, asked one thing after the other. */
export interface Program<Job, Result> {
  readonly pid: number
  ask(job: Job): Promise<Result>
}

/** A running tok-node. */
export interface BenchNode {
  readonly pid: number
  readonly facade: string
  readonly peerId: string
  readonly multiaddrs: readonly string[]
  /** Data directory and home. */
  readonly home: string
  stop(): Promise<void>
}

export interface Workbench {
  /** A fresh directory that is gone after the bench. */
  directory(): Promise<string>
  /** Starts `scripts/bench/<name>.ts`; resolves with its first message. */
  program<Job, Result, Ready = unknown>(
    name: string,
    words?: readonly string[],
  ): Promise<Program<Job, Result> & { readonly ready: Ready }>
  /** Starts a node with this configuration (variables without their prefix) in a home of its own; resolves when it is ready. */
  node(words: readonly string[], variables: Readonly<Record<string, string>>): Promise<BenchNode>
  /** Starts a node without waiting for it. `environment` is passed on as it is. */
  launch(
    words: readonly string[],
    variables: Readonly<Record<string, string>>,
    home: string,
    environment?: Readonly<Record<string, string>>,
  ): ChildProcess
  /** Ends one process: asks, waits, and then insists. */
  end(child: ChildProcess): Promise<void>
  /** Ends every process that is left, and removes every directory. */
  close(): Promise<void>
}

export function createWorkbench(): Workbench {
  const children = new Set<ChildProcess>()
  const directories: string[] = []

  const track = (child: ChildProcess): ChildProcess => {
    children.add(child)
    child.once('exit', () => children.delete(child))
    return child
  }
  // A bench that fails must not leave a load behind.
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL')
  })

  const end = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    const insist = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exited
    clearTimeout(insist)
  }

  const directory = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'tok-bench-'))
    directories.push(path)
    return path
  }

  const launch: Workbench['launch'] = (words, variables, home, environment = {}) => {
    const named = Object.entries(variables).map(([name, value]) => [`TOKLIGENCE_${name}`, value])
    const env = {
      PATH: process.env['PATH'],
      HOME: home,
      TOKLIGENCE_DATA_DIR: join(home, 'data'),
      TOKLIGENCE_LOG_LEVEL: 'warn',
      TOKLIGENCE_DISCOVER: 'false',
      TOKLIGENCE_MDNS: 'false',
      TOKLIGENCE_LISTEN: '/ip4/127.0.0.1/tcp/0',
      ...Object.fromEntries(named),
      ...environment,
    }
    const child = spawn(process.execPath, [LAUNCHER, 'start', '--json', ...words], {
      cwd: home,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    return track(child)
  }

  return {
    directory,
    launch,
    end,

    async program<Job, Result, Ready>(name: string, words: readonly string[] = []) {
      const child = track(
        fork(join(import.meta.dirname, `${name}.ts`), words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
      )
      const ready = (await answerOf(child, name, START_MS)) as Ready
      return {
        ready,
        pid: pidOf(child),
        async ask(job: Job): Promise<Result> {
          const answer = answerOf(child, name, JOB_MS)
          child.send(job as object)
          return (await answer) as Result
        },
      }
    },

    async node(words, variables) {
      const home = await directory()
      const child = launch(['--facade-port', '0', ...words], variables, home)
      const ready = await readyLine(child)
      return {
        pid: pidOf(child),
        facade: String(ready['facade']),
        peerId: String(ready['peerId']),
        multiaddrs: ready['multiaddrs'] as readonly string[],
        home,
        stop: () => end(child),
      }
    },

    async close() {
      await Promise.all([...children].map(end))
      await Promise.all(directories.map((path) => rm(path, { recursive: true, force: true })))
    },
  }
}

/** The line of `start --json` that says the node is ready. */
export async function readyLine(child: ChildProcess): Promise<Readonly<Record<string, unknown>>> {
  if (child.stdout === null) throw new Error('its output is not piped')
  const exited = new AbortController()
  child.once('exit', () => exited.abort(new Error('the node ended before it was ready')))
  const signal = AbortSignal.any([exited.signal, AbortSignal.timeout(START_MS)])
  const [line] = (await once(createInterface(child.stdout), 'line', { signal })) as [string]
  return JSON.parse(line) as Record<string, unknown>
}

/** The next message of a program, which is `{ error }` if it failed. */
async function answerOf(child: ChildProcess, name: string, limitMs: number): Promise<unknown> {
  const exited = new AbortController()
  const onExit = (code: number | null): void => exited.abort(new Error(`${name} ended with code ${code}`))
  child.once('exit', onExit)
  try {
    const signal = AbortSignal.any([exited.signal, AbortSignal.timeout(limitMs)])
    const [answer] = (await once(child, 'message', { signal })) as [{ readonly error?: string }]
    if (answer.error !== undefined) throw new Error(`${name}: ${answer.error}`)
    return answer
  } finally {
    child.off('exit', onExit)
  }
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the process did not start')
  return pid
}

/** CPU that a process has used, all its threads together, in ms; undefined where there is no /proc. Steps of 10 ms. */
export function cpuMs(pid: number): number | undefined {
  // The name in parentheses may hold blanks; utime and stime are fields 14 and 15.
  const fields = readProc(pid, 'stat')?.split(') ').at(-1)?.split(' ')
  const ticks = Number(fields?.[11]) + Number(fields?.[12])
  return Number.isNaN(ticks) ? undefined : ticks * TICK_MS
}

/** Memory that a process holds, in MB (10^6 bytes); undefined where there is no /proc. */
export function residentMb(pid: number): number | undefined {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readProc(pid, 'status') ?? '')?.[1]
  return kib === undefined ? undefined : (Number(kib) * 1024) / 1e6
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return undefined // another system, or the process is gone
  }
}

/** Adds up the CPU of processes over many stretches. */
export function createCpuMeter(pid: number): {
  during<T>(run: () => Promise<T>): Promise<T>
  totalMs(): number | undefined
} {
  let total: number | undefined = 0
  return {
    async during(run) {
      const before = cpuMs(pid)
      const result = await run()
      const after = cpuMs(pid)
      total = total === undefined || before === undefined || after === undefined ? undefined : total + after - before
      return result
    },
    totalMs: () => total,
  }
}
