/**
 * What the facade adds to a call of a local provider: against the call itself, and against the least that a proxy on Node can do.
 */
import { quantile, type Figure } from './figures.ts'
import { inTurn, microsEach, type Generator, type Way } from './load.ts'
import { STREAMS, WHOLE_MODEL, type Listening, type LoadJob, type LoadResult } from './messages.ts'
import type { Workbench } from './workbench.ts'

const BODY_BYTES = 60_000
const CONNECTIONS = 16
const REQUEST = { bodyBytes: BODY_BYTES, connections: CONNECTIONS } as const
/** A rate that every way carries with room to spare, also on two busy cores. */
const STEADY_PER_SECOND = 250

type Ways = Readonly<Record<'direct' | 'floor' | 'facade', Way>>

export async function benchPassthrough(bench: Workbench): Promise<Figure[]> {
  const provider = await bench.program<never, never, Listening>('fake-provider')
  const floor = await bench.program<never, never, Listening>('floor-proxy', [provider.ready.url])
  const node = await bench.node([], { PROVIDERS: `fake=${provider.ready.url}#openai-chat` })
  const generator = await bench.program<LoadJob, LoadResult>('generator')
  const at = (url: string): string => `${url}/v1/chat/completions`
  const ways = {
    direct: { url: at(provider.ready.url), pid: provider.pid },
    floor: { url: at(floor.ready.url), pid: floor.pid },
    facade: { url: at(node.facade), pid: node.pid },
  }
  // What runs all day is measured, not the first seconds: a process gets twice as fast while its code is compiled.
  await inTurn(generator, ways, 4, (url) => flatOut(url, 2_000))
  await inTurn(generator, ways, 1, (url) => briskStreams(url, 2))
  return [
    ...(await benchLatency(generator, ways)),
    ...(await benchRequestRate(generator, ways)),
    ...(await benchEvents(generator, ways)),
  ]
}

async function benchLatency(generator: Generator, ways: Ways): Promise<Figure[]> {
  const { direct, floor, facade } = await inTurn(generator, ways, 6, (url) => {
    return { kind: 'steady', url, model: WHOLE_MODEL, ...REQUEST, perSecond: STEADY_PER_SECOND, durationMs: 2_000 }
  })
  const at = (share: number) => ({
    direct: quantile(direct.latenciesMs, share),
    floor: quantile(floor.latenciesMs, share),
    facade: quantile(facade.latenciesMs, share),
  })
  const p50 = at(0.5)
  const p99 = at(0.99)
  const what = `at ${STEADY_PER_SECOND} requests/s`
  return [
    figure(`direct ${what}, p50`, p50.direct, 'ms'),
    figure(`floor ${what}, p50`, p50.floor, 'ms'),
    figure(`facade ${what}, p50`, p50.facade, 'ms'),
    figure('facade adds to direct, p50', p50.facade - p50.direct, 'ms', { atMost: 0.4 }),
    figure('facade adds to direct, p99', p99.facade - p99.direct, 'ms', { atMost: 2 }),
    figure('floor adds to direct, p50', p50.floor - p50.direct, 'ms'),
    figure('floor adds to direct, p99', p99.floor - p99.direct, 'ms'),
  ]
}

async function benchRequestRate(generator: Generator, ways: Ways): Promise<Figure[]> {
  const { direct, floor, facade } = await inTurn(generator, ways, 5, (url) => flatOut(url, 1_500))
  return [
    figure('direct, flat out', direct.perSecond, '/s'),
    figure('floor, flat out', floor.perSecond, '/s'),
    figure('facade, flat out', facade.perSecond, '/s'),
    figure('facade / floor, flat out', facade.perSecond / floor.perSecond, 'x', { atLeast: 0.6 }),
    figure('CPU of the floor per request', microsEach(floor.cpuMs, floor.answers), 'µs'),
    figure('CPU of the facade per request', microsEach(facade.cpuMs, facade.answers), 'µs'),
    figure('generator, share of a core (direct)', direct.generatorShare, ''),
    figure('generator, share of a core (facade)', facade.generatorShare, ''),
  ]
}

async function benchEvents(generator: Generator, { floor, facade }: Ways): Promise<Figure[]> {
  const streamed = await inTurn(generator, { floor, facade }, 4, (url) => briskStreams(url, 4))
  const cpuOf = (name: 'floor' | 'facade') => microsEach(streamed[name].cpuMs, streamed[name].events)
  return [
    figure('CPU of the floor per SSE event', cpuOf('floor'), 'µs'),
    figure('CPU of the facade per SSE event', cpuOf('facade'), 'µs', { atMost: 40 }),
  ]
}

function flatOut(url: string, durationMs: number): LoadJob {
  return { kind: 'flat-out', url, model: WHOLE_MODEL, ...REQUEST, durationMs }
}

/** 200 events a second on each connection, each event alone; what the requests cost is shared among their events. */
function briskStreams(url: string, streamsPerConnection: number): LoadJob {
  return { kind: 'streams', url, model: STREAMS.brisk.model, ...REQUEST, streamsPerConnection, spreadMs: 100 }
}

function figure(name: string, value: number | undefined, unit: string, target?: Figure['target']): Figure {
  return { group: 'passthrough', name, value, unit, ...(target === undefined ? {} : { target }) }
}
