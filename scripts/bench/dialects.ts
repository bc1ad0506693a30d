/**
 * What translating between dialects costs: against the same node passing the same request through, against the least that a proxy
 * on Node can do, and beside other gateways that translate.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { request } from 'undici'
import { DIALECTS, ENDPOINTS, type Dialect } from '../../src/dialects/dialect.ts'
import { startGateway, type OtherGateway } from './dialects-gateways.ts'
import {
  AGENT_BODY_BYTES,
  modelNamed,
  type DialectLoad,
  type DialectLoadResult,
  type FirstWrites,
  type Pace,
  type Question,
} from './dialects-jobs.ts'
import { agentRequest } from './dialects-requests.ts'
import { median, type Figure } from './figures.ts'
import { microsEach } from './load.ts'
import type { Listening } from './messages.ts'
import { createCpuMeter, readyLine, type Program, type Workbench } from './workbench.ts'

const SMALL_BODY_BYTES = 1_000
const CONNECTIONS = 16
/** Each event comes alone, 200 a second on each connection. */
const PACED = { tokens: 200, intervalMs: 5 } as const
const FIRST = { tokens: 5, intervalMs: 2 } as const
/** All in one piece. */
const SHORT = { tokens: 20, intervalMs: 0 } as const

const RATE_ROUNDS = 5
const RATE_MS = 800
const STREAM_ROUNDS = 4
const FIRST_ROUNDS = 100

/** What the process holds settles after some 12,000 streams, when V8 has grown its space for young objects. */
const MEMORY_STEPS = 10
/** A multiple of the pairs. */
const MEMORY_CONNECTIONS = 24
const MEMORY_STREAMS = 84
const SETTLING_MS = 500
const MEMORY_LIMIT_MS = 10_000

const SHORT_NAMES: Readonly<Record<Dialect, string>> = {
  'openai-chat': 'chat',
  'openai-responses': 'responses',
  'anthropic-messages': 'messages',
}
const PATHS: Readonly<Record<Dialect, string>> = {
  'openai-chat': ENDPOINTS.chat.path,
  'openai-responses': ENDPOINTS.responses.path,
  'anthropic-messages': ENDPOINTS.messages.path,
}
const LAST_EVENTS: Readonly<Record<Dialect, string>> = {
  'openai-chat': 'data: [DONE]',
  'openai-responses': '"type":"response.completed"',
  'anthropic-messages': '"type":"message_stop"',
}

/** One way from a client to the provider and back, and the process that is watched. */
interface Way {
  readonly name: string
  readonly pid: number
  /** What the client speaks. */
  readonly client: Dialect
  /** What this way is compared with. */
  readonly baseline: string | undefined
  /** True for the ways that have targets. */
  readonly isOurs: boolean
  ask(pace: Pace, bodyBytes: number): Question
}

type Load = Program<DialectLoad, DialectLoadResult>
type Provider = Program<object, FirstWrites> & { readonly ready: Listening }

export async function benchDialects(bench: Workbench): Promise<Figure[]> {
  const provider: Provider = await bench.program('dialects-provider')
  const load: Load = await bench.program('dialects-load')
  const ways = await startWays(bench, provider.ready.url)
  for (const way of ways) await checkAnswers(way)
  // What runs all day is measured, not the first seconds: a process gets twice as fast while its code is compiled.
  await rates(load, ways, 2, 1_500)
  await streams(load, ways, 1)
  const figures = [
    ...rateFigures(await rates(load, ways, RATE_ROUNDS, RATE_MS)),
    ...eventFigures(await streams(load, ways, STREAM_ROUNDS)),
    ...(await benchFirstEvents(load, provider, ways)),
  ]
  return [...figures, ...(await benchMemory(bench, load, provider.ready.url))]
}

function nameOf(client: Dialect, spoken: Dialect): string {
  return client === spoken ? `${SHORT_NAMES[client]} as is` : `${SHORT_NAMES[client]} to ${SHORT_NAMES[spoken]}`
}

/** Where a node finds the models of each dialect. */
function nodeVariables(providerUrl: string): Readonly<Record<string, string>> {
  const entries = (write: (dialect: Dialect) => string): string => DIALECTS.map(write).join(',')
  return {
    PROVIDERS: entries((dialect) => `${SHORT_NAMES[dialect]}=${providerUrl}#${dialect}`),
    ROUTES: entries((dialect) => `bench-${dialect}-*=>${SHORT_NAMES[dialect]}`),
  }
}

async function startWays(bench: Workbench, providerUrl: string): Promise<readonly Way[]> {
  const floor: Program<never, never> & { readonly ready: Listening } = await bench.program('floor-proxy', [providerUrl])
  const node = await bench.node([], nodeVariables(providerUrl))
  const ccr = await startGateway(bench, 'ccr', providerUrl)
  const portkey = await startGateway(bench, 'portkey', providerUrl)
  return [
    {
      name: 'floor',
      pid: floor.pid,
      client: 'openai-chat',
      baseline: undefined,
      isOurs: false,
      ask: asking(floor.ready.url, 'openai-chat', 'openai-chat'),
    },
    ...nodeWays(node.pid, node.facade),
    ...(ccr === undefined ? [] : [ccrWay(ccr)]),
    ...(portkey === undefined ? [] : portkeyWays(portkey, providerUrl)),
  ]
}

function nodeWays(pid: number, url: string): readonly Way[] {
  return DIALECTS.flatMap((client) =>
    DIALECTS.toSorted((one, other) => Number(other === client) - Number(one === client)).map((spoken) => ({
      name: nameOf(client, spoken),
      pid,
      client,
      baseline: spoken === client ? 'floor' : nameOf(client, client),
      isOurs: true,
      ask: asking(url, client, spoken),
    })),
  )
}

function ccrWay({ title, url, pid }: OtherGateway): Way {
  const ask = asking(url, 'anthropic-messages', 'openai-chat', {}, 'bench,')
  return {
    name: `${title}: messages to chat`,
    pid,
    client: 'anthropic-messages',
    baseline: nameOf('anthropic-messages', 'anthropic-messages'),
    isOurs: false,
    ask,
  }
}

function portkeyWays({ title, url, pid }: OtherGateway, providerUrl: string): readonly Way[] {
  const spoken = { 'openai-chat': 'openai', 'anthropic-messages': 'anthropic' } as const
  return (['openai-chat', 'anthropic-messages'] as const).map((dialect) => ({
    name: `${title}: ${nameOf('openai-chat', dialect)}`,
    pid,
    client: 'openai-chat',
    baseline: nameOf('openai-chat', 'openai-chat'),
    isOurs: false,
    ask: asking(url, 'openai-chat', dialect, {
      authorization: 'Bearer bench',
      'x-portkey-provider': spoken[dialect],
      'x-portkey-custom-host': `${providerUrl}/v1`,
    }),
  }))
}

function asking(
  url: string,
  client: Dialect,
  spoken: Dialect,
  headers: Readonly<Record<string, string>> = {},
  modelPrefix = '',
): Way['ask'] {
  return (pace, bodyBytes) => {
    const model = modelPrefix + modelNamed(spoken, pace)
    return { url: url + PATHS[client], headers, body: agentRequest(client, model, pace !== 'whole', bodyBytes) }
  }
}

/** An answer that says less than it was given is no answer that is worth measuring. */
async function checkAnswers({ name, client, ask }: Way): Promise<void> {
  for (const pace of ['whole', FIRST] as const) {
    const { url, headers, body: asked } = ask(pace, SMALL_BODY_BYTES)
    const { statusCode, body } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: asked,
    })
    const text = await body.text()
    const isWhole = pace === 'whole' ? isObject(text) : text.includes(LAST_EVENTS[client])
    const words = text.split('word ').length - 1
    if (statusCode !== 200 || !isWhole || words < FIRST.tokens || !text.includes('tool_0'))
      throw new Error(`${name}: not the answer that was given, status ${statusCode}: ${text.slice(0, 500)}`)
  }
}

function isObject(json: string): boolean {
  return typeof JSON.parse(json) === 'object'
}

interface Measured {
  readonly way: Way
  readonly answers: number
  /** The median of the rounds. */
  readonly perSecond: number
  readonly cpuMs: number | undefined
}

/** Every round asks each way, so that whatever else the machine does hits all alike. */
async function inTurn(
  load: Load,
  ways: readonly Way[],
  rounds: number,
  job: (way: Way) => DialectLoad,
): Promise<readonly Measured[]> {
  const runs = ways.map((way) => ({
    way,
    job: job(way),
    meter: createCpuMeter(way.pid),
    results: [] as DialectLoadResult[],
  }))
  for (let round = 0; round < rounds; round += 1) {
    for (const run of runs) run.results.push(await run.meter.during(() => load.ask(run.job)))
  }
  return runs.map(({ way, meter, results }) => ({
    way,
    answers: results.reduce((sum, { answers }) => sum + answers, 0),
    perSecond: median(results.map(({ answers, elapsedMs }) => (answers * 1_000) / elapsedMs)),
    cpuMs: meter.totalMs(),
  }))
}

function rates(load: Load, ways: readonly Way[], rounds: number, durationMs: number): Promise<readonly Measured[]> {
  return inTurn(load, ways, rounds, ({ ask }) => ({
    kind: 'flat-out',
    question: ask('whole', AGENT_BODY_BYTES),
    connections: CONNECTIONS,
    durationMs,
  }))
}

function rateFigures(measured: readonly Measured[]): Figure[] {
  const rateOf = (name: string | undefined) => measured.find(({ way }) => way.name === name)?.perSecond
  return measured.flatMap(({ way, perSecond, answers, cpuMs }) => {
    const baseline = rateOf(way.baseline)
    const isTranslated = way.isOurs && way.baseline !== 'floor'
    return [
      figure(`${way.name}: requests of 60 KB, not streamed`, perSecond, '/s'),
      figure(`${way.name}: CPU per request`, microsEach(cpuMs, answers), 'µs'),
      ...(baseline === undefined
        ? []
        : [
            figure(
              `${way.name} / ${way.baseline}`,
              perSecond / baseline,
              'x',
              isTranslated ? { atLeast: 0.4 } : undefined,
            ),
          ]),
    ]
  })
}

function streams(load: Load, ways: readonly Way[], rounds: number): Promise<readonly Measured[]> {
  return inTurn(load, ways, rounds, ({ ask }) => ({
    kind: 'streams',
    questions: [ask(PACED, SMALL_BODY_BYTES)],
    connections: CONNECTIONS,
    streamsPerConnection: 1,
    eventsMin: PACED.tokens,
  }))
}

function eventFigures(measured: readonly Measured[]): Figure[] {
  return measured.map(({ way, answers, cpuMs }) => {
    const isTranslated = way.isOurs && way.baseline !== 'floor'
    return figure(
      `${way.name}: CPU per SSE event`,
      microsEach(cpuMs, answers * PACED.tokens),
      'µs',
      isTranslated ? { atMost: 60 } : undefined,
    )
  })
}

/** From the provider's first byte to the client's. */
async function benchFirstEvents(load: Load, provider: Provider, ways: readonly Way[]): Promise<Figure[]> {
  await provider.ask({})
  const job = {
    kind: 'one-by-one',
    questions: ways.map(({ ask }) => ask(FIRST, AGENT_BODY_BYTES)),
    eventsMin: FIRST.tokens,
  } as const
  const { firstBytesAtMs } = await load.ask({ ...job, rounds: FIRST_ROUNDS })
  const { firstWritesAtMs } = await provider.ask({})
  if (firstWritesAtMs.length !== firstBytesAtMs.length)
    throw new Error('the provider was asked more than the load asked')
  const delays = firstBytesAtMs.map((atMs, index) => atMs - (firstWritesAtMs[index] ?? Number.NaN))
  const delaysOf = (name: string | undefined): readonly number[] => {
    const place = ways.findIndex((way) => way.name === name)
    return delays.filter((_, index) => index % ways.length === place)
  }
  return ways.flatMap(({ name, baseline, isOurs }) => {
    const ownMs = median(delaysOf(name))
    const first = figure(`${name}: first byte to first byte, p50`, ownMs, 'ms')
    if (baseline === undefined || baseline === 'floor') return [first]
    const addedMs = ownMs - median(delaysOf(baseline))
    return [
      first,
      figure(
        `${name} delays the first event beyond ${baseline}, p50`,
        addedMs,
        'ms',
        isOurs ? { atMost: 1 } : undefined,
      ),
    ]
  })
}

interface Memory {
  readonly heapUsed: number
  readonly rss: number
}

/** A fresh node under short streams of every pair, looked at after each collection of its garbage. */
async function benchMemory(bench: Workbench, load: Load, providerUrl: string): Promise<Figure[]> {
  const home = await bench.directory()
  const file = join(home, 'memory.json')
  const preload = pathToFileURL(join(import.meta.dirname, 'dialects-heap.ts')).href
  const child = bench.launch(['--facade-port', '0'], nodeVariables(providerUrl), home, {
    NODE_OPTIONS: `--expose-gc --import=${preload}`,
    TOK_BENCH_MEMORY: file,
  })
  const { facade } = await readyLine(child)
  const { pid } = child
  if (pid === undefined) throw new Error('the node did not start')
  const pairs = nodeWays(pid, String(facade)).filter(({ baseline }) => baseline !== 'floor')
  const job: DialectLoad = {
    kind: 'streams',
    questions: pairs.map(({ ask }) => ask(SHORT, SMALL_BODY_BYTES)),
    connections: MEMORY_CONNECTIONS,
    streamsPerConnection: MEMORY_STREAMS,
    eventsMin: SHORT.tokens,
  }
  const memories: Memory[] = []
  let answers = 0
  for (let step = 0; step < MEMORY_STEPS; step += 1) {
    answers += (await load.ask(job)).answers
    await wait(SETTLING_MS)
    memories.push(await memoryOf(pid, file))
  }
  await bench.end(child)
  const perStep = answers / MEMORY_STEPS
  const shown = [1, MEMORY_STEPS / 2, MEMORY_STEPS]
  return [
    ...memories.flatMap(({ heapUsed, rss }, index) => {
      if (!shown.includes(index + 1)) return []
      const after = `after ${(index + 1) * perStep} translated streams`
      return [figure(`heap ${after}`, heapUsed / 1e6, 'MB'), figure(`resident ${after}`, rss / 1e6, 'MB')]
    }),
    figure('heap, over the last third of the streams', lastThird(memories, 'heapUsed') / perStep, 'bytes/stream', {
      atMost: 100,
    }),
    figure('resident, over the last third of the streams', lastThird(memories, 'rss') / perStep, 'bytes/stream', {
      atMost: 1_000,
    }),
  ]
}

/** By how much it grew from step to step, in bytes. */
function lastThird(memories: readonly Memory[], what: keyof Memory): number {
  const values = memories.slice(-Math.ceil(memories.length / 3)).map((memory) => memory[what])
  return ((values.at(-1) ?? 0) - (values[0] ?? 0)) / (values.length - 1)
}

async function memoryOf(pid: number, file: string): Promise<Memory> {
  await rm(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  for (const endAtMs = performance.now() + MEMORY_LIMIT_MS; performance.now() < endAtMs; await wait(20)) {
    const json = await readFile(file, 'utf8').catch(() => undefined)
    if (json !== undefined) return JSON.parse(json) as Memory
  }
  throw new Error('the node does not tell its memory')
}

function figure(name: string, value: number | undefined, unit: string, target?: Figure['target']): Figure {
  return { group: 'dialects', name, value, unit, ...(target === undefined ? {} : { target }) }
}
