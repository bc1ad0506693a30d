/**
 * From nothing to the first answer, and what an idle node holds.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { request } from 'undici'
import { median, quantile, type Figure } from './figures.ts'
import { readyLine, residentMb, type Workbench } from './workbench.ts'

const STARTS = 5
const ASK_EVERY_MS = 10
const IDLE_MS = 10_000
const FIRST_ANSWER_LIMIT_MS = 20_000
const ROLES = ['local', 'both'] as const

const HELLO = JSON.stringify({ model: 'loopback', messages: [{ role: 'user', content: 'Hello.' }] })

export async function benchStart(bench: Workbench): Promise<Figure[]> {
  // The compiled code is kept here, away from the user's: the first start finds nothing, as on a fresh clone.
  const cache = { NODE_COMPILE_CACHE: await bench.directory() }
  const cold = await startOnce(bench, 'both', cache)
  const emptyNodes: number[] = []
  const starts = { local: [] as Start[], both: [] as Start[] }
  for (let round = 0; round < STARTS; round += 1) {
    emptyNodes.push(await timeEmptyNode())
    for (const role of ROLES) starts[role].push(await startOnce(bench, role, cache))
  }
  const idle = await measureIdle(bench)
  return [
    figure('an empty Node process, start to end', median(emptyNodes), 'ms'),
    ...ROLES.flatMap((role) => [
      figure(`role ${role}: first answer`, median(starts[role].map((each) => each.firstAnswerMs)), 'ms', {
        atMost: 1_500,
      }),
      figure(
        `role ${role}: first answer, slowest of ${STARTS}`,
        quantile(
          starts[role].map((each) => each.firstAnswerMs),
          1,
        ),
        'ms',
      ),
      figure(`role ${role}: ready line`, median(starts[role].map((each) => each.readyMs)), 'ms'),
    ]),
    figure('role both: first answer, nothing compiled before', cold.firstAnswerMs, 'ms', { atMost: 1_500 }),
    ...ROLES.map((role) => figure(`role ${role}: resident after 10 s idle`, idle[role], 'MB', { atMost: 150 })),
  ]
}

interface Start {
  /** From the start of the process to the end of the first answer it gave. */
  readonly firstAnswerMs: number
  readonly readyMs: number
}

/** Starts a node on a fresh data directory and asks until it answers, as a client that is there already would. */
async function startOnce(
  bench: Workbench,
  role: string,
  environment: Readonly<Record<string, string>>,
): Promise<Start> {
  const port = await freePort()
  const home = await bench.directory()
  const startedAtMs = performance.now()
  const child = bench.launch(['--role', role, '--facade-port', String(port)], {}, home, environment)
  const ready = readyLine(child).then(() => performance.now() - startedAtMs)
  await firstAnswer(`http://127.0.0.1:${port}/v1/chat/completions`)
  const firstAnswerMs = performance.now() - startedAtMs
  const readyMs = await ready
  await bench.end(child)
  return { firstAnswerMs, readyMs }
}

async function firstAnswer(url: string): Promise<void> {
  for (
    const endAtMs = performance.now() + FIRST_ANSWER_LIMIT_MS;
    performance.now() < endAtMs;
    await wait(ASK_EVERY_MS)
  ) {
    try {
      const { statusCode, body } = await request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: HELLO,
      })
      await body.dump()
      if (statusCode === 200) return
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw thrown
    }
  }
  throw new Error('the node gave no answer')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function timeEmptyNode(): Promise<number> {
  const startedAtMs = performance.now()
  await once(spawn(process.execPath, ['--eval', ''], { stdio: 'ignore' }), 'exit')
  return performance.now() - startedAtMs
}

async function measureIdle(bench: Workbench): Promise<Readonly<Record<(typeof ROLES)[number], number | undefined>>> {
  const [local, both] = await Promise.all(ROLES.map((role) => bench.node(['--role', role], {})))
  await wait(IDLE_MS)
  return { local: local && residentMb(local.pid), both: both && residentMb(both.pid) }
}

function figure(name: string, value: number | undefined, unit: string, target?: Figure['target']): Figure {
  return { group: 'start', name, value, unit, ...(target === undefined ? {} : { target }) }
}
