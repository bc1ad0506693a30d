/**
 * All model servers of this node: the built-in model, vendors' APIs, named servers, and the engines found on
 * this machine.
 */
import type { Clock } from '../base/clock.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { probeEngine, USUAL_PORTS, type FoundEngine, type ProbeResult } from './discover-engines.ts'
import { createHttpProvider, DEFAULT_TIMEOUTS, type ProviderTimeouts } from './http-provider.ts'
import { createLoopback } from './loopback.ts'
import type { NamedServer } from './parse-providers.ts'
import type { Provider } from './provider.ts'

/** What the configuration says about providers. */
export interface ProvidersOptions {
  readonly openai?: { readonly apiKey?: string; readonly baseUrl?: string; readonly organization?: string }
  readonly anthropic?: {
    readonly apiKey?: string
    readonly baseUrl?: string
    readonly version?: string
    readonly betaHeader?: string
  }
  readonly servers?: readonly NamedServer[]
  readonly discovery?: {
    readonly isOn: boolean
    /** Ports to ask; `USUAL_PORTS` unless given. */
    readonly ports?: readonly number[]
    /** Ports not to ask: this node's own. */
    readonly ownPorts?: readonly number[]
    readonly probeTimeoutMs?: number
    readonly intervalMs?: number
  }
  readonly timeouts?: Partial<ProviderTimeouts>
}

/** The providers of a node, as they are at the moment. */
export interface Providers {
  /** In the order routing prefers them: engines, named servers, vendors, the built-in model. */
  list(): readonly Provider[]
  /** By name, in any case. */
  get(name: string): Provider | undefined
  /** Looks for engines and reads the lists of named servers, once. Never throws. */
  refresh(signal: AbortSignal): Promise<void>
  /** Refreshes now and then from here on. */
  start(): void
  /** Ends the refreshing, and every provider. */
  close(): Promise<void>
}

const OPENAI_URL = 'https://api.openai.com/v1'
const ANTHROPIC_URL = 'https://api.anthropic.com'
const PROBE_TIMEOUT_MS = 1_000
const PROBE_INTERVAL_MS = 30_000
/** An engine busy with a prompt may be slow to list its models; one that refuses connections is gone. */
const SILENT_PROBES_MAX = 3

/**
 * Makes the providers. Nothing is asked before `refresh` or `start`.
 * @throws TokError `config_invalid` for a base URL that is none.
 */
export function createProviders({ clock }: { readonly clock: Clock }, options: ProvidersOptions): Providers {
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts }
  const loopback = createLoopback({ clock })
  const servers = (options.servers ?? []).map((server) =>
    createHttpProvider(
      { clock },
      {
        name: server.name,
        kind: 'server',
        baseUrl: server.url,
        dialects: server.dialects,
        apiKey: server.apiKey,
        timeouts,
      },
    ),
  )
  const hosted = createHosted(clock, options, timeouts)
  const engines = createEngines(clock, options, timeouts, () => [...servers, ...hosted, loopback])
  const stopping = new AbortController()
  let cancelNext = (): void => undefined

  const list = (): readonly Provider[] => [...engines.list(), ...servers, ...hosted, loopback]
  const refresh = async (signal: AbortSignal): Promise<void> => {
    const untilStopped = AbortSignal.any([signal, stopping.signal])
    await Promise.all([engines.probe(untilStopped), ...servers.map((server) => server.refresh(untilStopped))])
  }
  const tick = async (): Promise<void> => {
    await refresh(stopping.signal)
    if (!stopping.signal.aborted) {
      cancelNext = clock.after(options.discovery?.intervalMs ?? PROBE_INTERVAL_MS, () => void tick())
    }
  }

  return {
    list,
    get: (name) => list().find((provider) => provider.name === name.toLowerCase()),
    refresh,
    start: () => void tick(),
    async close() {
      stopping.abort()
      cancelNext()
      await Promise.all(list().map((provider) => provider.close()))
    },
  }
}

/** The vendors' APIs are always there, so that a request without a key fails with its reason. */
function createHosted(clock: Clock, options: ProvidersOptions, timeouts: ProviderTimeouts): readonly Provider[] {
  const { openai, anthropic } = options
  return [
    createHttpProvider(
      { clock },
      {
        name: 'openai',
        kind: 'hosted',
        baseUrl: openai?.baseUrl ?? OPENAI_URL,
        dialects: ['openai-chat', 'openai-responses'],
        apiKey: openai?.apiKey,
        keyVariable: 'TOKLIGENCE_OPENAI_API_KEY',
        organization: openai?.organization,
        timeouts,
      },
    ),
    createHttpProvider(
      { clock },
      {
        name: 'anthropic',
        kind: 'hosted',
        baseUrl: anthropic?.baseUrl ?? ANTHROPIC_URL,
        dialects: ['anthropic-messages'],
        apiKey: anthropic?.apiKey,
        keyVariable: 'TOKLIGENCE_ANTHROPIC_API_KEY',
        anthropicVersion: anthropic?.version,
        anthropicBeta: anthropic?.betaHeader,
        timeouts,
      },
    ),
  ]
}

interface KnownEngine {
  readonly provider: Provider
  readonly dialects: readonly Dialect[]
  silentProbes: number
}

interface Engines {
  list(): readonly Provider[]
  probe(signal: AbortSignal): Promise<void>
}

function createEngines(
  clock: Clock,
  options: ProvidersOptions,
  timeouts: ProviderTimeouts,
  others: () => readonly Provider[],
): Engines {
  const { discovery } = options
  const known = new Map<number, KnownEngine>()
  const ports = choosePorts(options)

  const nameOf = (engine: FoundEngine, port: number): string => {
    const taken = [...others(), ...[...known.values()].map((entry) => entry.provider)]
    return taken.some((provider) => provider.name === engine.program) ? `${engine.program}-${port}` : engine.program
  }

  const note = async (port: number, result: ProbeResult, signal: AbortSignal): Promise<void> => {
    const entry = known.get(port)
    if (result.state === 'found' && entry === undefined) {
      const { engine } = result
      // An engine with nothing loaded is none yet, and its dialects may be refused for that reason alone.
      if (engine.models.length === 0) return
      const provider = createHttpProvider(
        { clock },
        {
          name: nameOf(engine, port),
          kind: 'engine',
          baseUrl: engine.baseUrl,
          dialects: engine.dialects,
          models: engine.models,
          timeouts,
        },
      )
      known.set(port, { provider, dialects: engine.dialects, silentProbes: 0 })
      // It can be asked from here on; what it says of each model follows.
      await provider.refresh(signal)
    } else if (result.state === 'found' && entry !== undefined) {
      entry.silentProbes = 0
      await entry.provider.refresh(signal)
    } else if (entry !== undefined) {
      entry.silentProbes += 1
      if (result.state === 'silent' && entry.silentProbes < SILENT_PROBES_MAX) return
      known.delete(port)
      void entry.provider.close()
    }
  }

  return {
    list: () => ports.flatMap((port) => known.get(port)?.provider ?? []),
    async probe(signal) {
      const timeoutMs = discovery?.probeTimeoutMs ?? PROBE_TIMEOUT_MS
      await Promise.all(
        ports.map(async (port) => {
          const result = await probeEngine(port, timeoutMs, signal, known.get(port)?.dialects)
          if (!signal.aborted) await note(port, result, signal)
        }),
      )
    },
  }
}

function choosePorts(options: ProvidersOptions): readonly number[] {
  const { discovery, servers = [] } = options
  if (discovery?.isOn !== true) return []
  const excluded = new Set(discovery.ownPorts)
  // A server named in the configuration is not found a second time under another name.
  for (const { url } of servers) {
    const { hostname, port } = new URL(url)
    if (hostname === '127.0.0.1' || hostname === 'localhost' || hostname === '[::1]') excluded.add(Number(port))
  }
  return [...new Set(discovery.ports ?? USUAL_PORTS.keys())].filter((port) => !excluded.has(port))
}
