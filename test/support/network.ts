/**
 * Real libp2p hosts on 127.0.0.1 with fresh keys, for tests. `stop()` in `afterEach` ends them all.
 */
import { pino } from 'pino'
import { systemRandomBytes } from '../../src/base/bytes.ts'
import { systemClock } from '../../src/base/clock.ts'
import { createNetwork } from '../../src/network/host.ts'
import type { CallChannel, Network, NetworkHandlers, NetworkOptions } from '../../src/network/network.ts'

/** What a test may set: anything else is quiet and local. */
export interface TestHostOptions extends Partial<NetworkOptions>, Partial<NetworkHandlers> {
  readonly seed?: Uint8Array
}

export interface TestHosts {
  start(options?: TestHostOptions): Promise<Network>
  stop(): Promise<void>
}

/** Hosts that share a network of their own, so that tests cannot meet each other. */
export function createTestHosts(): TestHosts {
  const hosts: Network[] = []
  return {
    async start(options = {}) {
      const host = await createTestNetwork(options)
      hosts.push(host)
      return host
    },
    async stop() {
      await Promise.all(hosts.splice(0).map((host) => host.stop()))
    },
  }
}

/** One host; the caller stops it. */
export function createTestNetwork(options: TestHostOptions = {}): Promise<Network> {
  return createNetwork(
    {
      seed: options.seed ?? systemRandomBytes(32),
      clock: systemClock,
      random: systemRandomBytes,
      logger: pino({ level: process.env['TEST_LOG'] ?? 'silent' }),
    },
    {
      network: 'test',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      mdns: false,
      role: 'server',
      maxConnections: 100,
      callsPerStream: 128,
      ...options,
    },
    {
      onCall: (call) => call.close(),
      onAccountStream: async () => undefined,
      judgeAdvert: () => 'accept',
      currentAdvert: () => undefined,
      onPeerConnected: () => undefined,
      onPeerDisconnected: () => undefined,
      ...options,
    },
  )
}

/** The first address of a host, with its `/p2p/` part. */
export function addressOf(host: Network): string {
  const address = host.multiaddrs()[0]
  if (address === undefined) throw new Error('the host listens nowhere')
  return address
}

/** A signal that ends a test's wait with an error instead of letting it hang. */
export function within(ms: number): AbortSignal {
  return AbortSignal.timeout(ms)
}

/** Waits until `condition` holds; fails after `ms`. */
export async function until(condition: () => boolean, ms = 5_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A call with what it was told, and a way to wait for it. */
export interface RecordedCall {
  readonly channel: CallChannel
  readonly frames: { readonly type: number; readonly payload: Uint8Array }[]
  /** Set when the call ended; `error` as it was told. */
  closed: { readonly error: Error | undefined } | undefined
  writable: number
}

/** Attaches a recorder. With `consume`, BODY and PART bytes are granted back as they come. */
export function recordCall(
  channel: CallChannel,
  { consume = true }: { readonly consume?: boolean } = {},
): RecordedCall {
  const recorded: RecordedCall = { channel, frames: [], closed: undefined, writable: 0 }
  channel.attach({
    onFrame(type, payload) {
      recorded.frames.push({ type, payload })
      if (consume && (type === 0x02 || type === 0x14)) channel.consumed(payload.byteLength)
    },
    onWritable() {
      recorded.writable += 1
    },
    onClosed(error) {
      if (recorded.closed !== undefined) throw new Error('a call was told twice that it closed')
      recorded.closed = { error }
    },
  })
  return recorded
}
