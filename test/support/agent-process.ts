/**
 * The command-line agents of other people, run as their users run them, but kept in a box: an empty home, a clean
 * environment, nothing beyond loopback, and an end.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Where a client runs. */
export interface Box {
  /** The empty folder it works in, and its home. */
  readonly workFolder: string
  readonly home: string
  /** Hosts beyond loopback that it tried to reach. */
  readonly refusedHosts: readonly string[]
  /** Runs a client to its end. @throws Error with everything it said, if it takes longer than `timeoutMs` */
  run(command: ClientCommand): Promise<ClientRun>
  /** Removes its folders. */
  close(): Promise<void>
}

/** A client and its words. */
export interface ClientCommand {
  /** Its executable, by the name its package gives it. */
  readonly name: 'codex' | 'claude' | 'opencode'
  readonly words: readonly string[]
  /** Beside PATH, HOME and the proxy. */
  readonly env: Readonly<Record<string, string>>
  /** A minute unless given. */
  readonly timeoutMs?: number
}

/** How a client ended. */
export interface ClientRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const INSTALLED_IN = process.env['TOK_CLIENTS']

/** Makes the folders and the proxy that refuses. */
export async function openBox(): Promise<Box> {
  const place = await mkdtemp(join(tmpdir(), 'tok-client-'))
  const workFolder = join(place, 'work')
  const home = join(place, 'home')
  const temporary = join(place, 'tmp')
  await Promise.all([workFolder, home, temporary].map((folder) => mkdir(folder)))
  const proxy = await startRefusingProxy()
  return {
    workFolder,
    home,
    refusedHosts: proxy.hosts,
    run: (command) => run(command, { workFolder, home, temporary, proxyUrl: proxy.url }),
    async close() {
      await proxy.close()
      await rm(place, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

interface Place {
  readonly workFolder: string
  readonly home: string
  readonly temporary: string
  readonly proxyUrl: string
}

async function run({ name, words, env, timeoutMs = 60_000 }: ClientCommand, place: Place): Promise<ClientRun> {
  if (INSTALLED_IN === undefined) throw new Error('TOK_CLIENTS names no folder: run this by "npm run test:clients"')
  const child = spawn(join(INSTALLED_IN, 'node_modules', '.bin', name), words, {
    cwd: place.workFolder,
    env: {
      PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
      HOME: place.home,
      TMPDIR: place.temporary,
      HTTP_PROXY: place.proxyUrl,
      HTTPS_PROXY: place.proxyUrl,
      NO_PROXY: '127.0.0.1,localhost',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that whatever it starts can be ended with it.
    detached: true,
  })
  const endGroup = (): void => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nothing is left of the group.
    }
  }
  process.once('exit', endGroup)
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (stdout += piece))
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (stderr += piece))
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    endGroup()
  }, timeoutMs)
  try {
    const [code] = (await once(child, 'exit')) as [number | null]
    // What it left running would hold its pipes open.
    endGroup()
    if (!child.stdout.closed) await once(child, 'close')
    if (isLate) throw new Error(`${name} did not end within ${timeoutMs} ms\n${stdout}\n${stderr}`)
    return { code, stdout, stderr }
  } finally {
    clearTimeout(timer)
    process.off('exit', endGroup)
  }
}

/** A proxy on loopback that lets nothing through and remembers who was asked for. */
async function startRefusingProxy(): Promise<{ url: string; hosts: string[]; close(): Promise<void> }> {
  const hosts: string[] = []
  const server = createServer((request, response) => {
    hosts.push(request.url ?? '')
    response.writeHead(403).end()
  })
  server.on('connect', (request, socket) => {
    hosts.push(request.url ?? '')
    // The caller may be gone before it reads the refusal.
    socket.on('error', () => socket.destroy())
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    hosts,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
