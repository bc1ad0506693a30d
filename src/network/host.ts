/**
 * The libp2p host of this node: puts transports, DHT, gossip and the tok protocols together and presents them
 * as a `Network`. Keeps nothing on disk: libp2p with a store of its own opens streams at half the speed, and
 * peers are found again through the bootstraps.
 */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify, type Identify } from '@libp2p/identify'
import type { ComponentLogger, Connection, Libp2p, Logger as Libp2pLogger, PeerId, Stream } from '@libp2p/interface'
import type { GossipSub } from '@libp2p/gossipsub'
import type { KadDHT } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping, type Ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Logger } from 'pino'
import { type RandomBytes, sha256, toHex, utf8 } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { reasonOf, TokError, toTokError } from '../base/errors.ts'
import { LIMITS, protocolIds, TIMEOUTS } from '../wire/registry.ts'
import { isPrivateAddress, parseMultiaddr } from './addresses.ts'
import { advertGossipService, joinAdvertGossip } from './advert-gossip.ts'
import { answerAdvert, askAdvert } from './advert-query.ts'
import { keepJoined } from './bootstrap.ts'
import { createCarrier } from './carrier.ts'
import { createFrameStream } from './frame-stream.ts'
import type { FrameStream, Network, NetworkHandlers, PeerView } from './network.ts'
import { createPeerGuard } from './peer-guard.ts'
import { findProviders, provide, providerRecordService } from './provider-records.ts'

/** How long libp2p gets to stop in good order. */
const STOP_MS = 5_000

/** Streams of one exchange that a connection may have open at once, per protocol and direction. */
const EXCHANGE_STREAMS = 8

/** What a network is made of. */
export interface NetworkDependencies {
  /** The Ed25519 seed of the node's key, 32 bytes. */
  readonly seed: Uint8Array
  readonly clock: Clock
  readonly random: RandomBytes
  readonly logger: Logger
}

/** How this node takes part. */
export interface NetworkOptions {
  /** The network's name; nodes of different networks do not understand each other. */
  readonly network: string
  /** Multiaddrs to listen on; none for a node that only dials. */
  readonly listen: readonly string[]
  /** Multiaddrs to join by, with or without `/p2p/`. */
  readonly bootstrap: readonly string[]
  /** True to find and be found by nodes of the same network on the local network. */
  readonly mdns: boolean
  /** `server` keeps DHT records for others: sellers and bootstraps that are reachable. */
  readonly role: 'client' | 'server'
  /** The most connections: high for a bootstrap, 100 is plenty for others. A full host refuses newcomers. */
  readonly maxConnections: number
  /** Calls that this side puts on one stream: 1 is a stream per call, LIMITS.callsPerStream the most. */
  readonly callsPerStream: number
}

type Services = {
  readonly identify: Identify
  readonly ping: Ping
  readonly dht: KadDHT
  readonly gossip: GossipSub
}

/**
 * Starts a host: it listens and looks for its network when this resolves.
 * @throws TokError `config_invalid` for an address that is none, `port_in_use` if it cannot listen
 */
export async function createNetwork(
  { seed, clock, random, logger }: NetworkDependencies,
  options: NetworkOptions,
  handlers: NetworkHandlers,
): Promise<Network> {
  const ids = protocolIds(options.network)
  const bootstraps = options.bootstrap.map(parseMultiaddr)
  const stopping = new AbortController()
  const privateKey = await generateKeyPairFromSeed('Ed25519', seed)

  const node: Libp2p<Services> = await createLibp2p<Services>({
    start: false,
    privateKey,
    addresses: { listen: options.listen.map((text) => parseMultiaddr(text).toString()) },
    transports: [
      tcp({
        backlog: 128,
        maxConnections: options.maxConnections + 16,
        inboundSocketInactivityTimeout: 300_000,
        outboundSocketInactivityTimeout: 300_000,
      }),
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: 256,
        maxOutboundStreams: 256,
        // A write buffer above its limit aborts the stream, so writers must heed `send()`; see stream-writer.
        streamOptions: {
          maxStreamWindowSize: 1_048_576,
          maxReadBufferLength: 4_194_304,
          maxWriteBufferLength: 8_388_608,
        },
      }),
    ],
    connectionGater: createPeerGuard(() => node.getConnections()),
    connectionManager: {
      maxConnections: options.maxConnections,
      // The default of 5 a second from one address shuts out nodes that start together behind it.
      inboundConnectionThreshold: 100,
      maxIncomingPendingConnections: 64,
      maxParallelDials: 40,
      maxPeerAddrsToDial: 12,
      addressDialTimeout: TIMEOUTS.dialMs,
      dialTimeout: 2 * TIMEOUTS.dialMs,
    },
    // A failed ping aborts the connection and every call on it: a busy peer gets 15 s.
    connectionMonitor: {
      protocolPrefix: `tok/${options.network}`,
      pingInterval: 10_000,
      pingTimeout: { minTimeout: 15_000 },
    },
    peerStore: { maxAddressAge: 3 * 3_600_000, maxPeerAge: 7 * 86_400_000 },
    peerDiscovery: options.mdns ? [mdns({ serviceTag: mdnsTag(options.network), interval: 20_000 })] : [],
    services: {
      identify: identify({ protocolPrefix: `tok/${options.network}` }),
      ping: ping({ protocolPrefix: `tok/${options.network}` }),
      dht: providerRecordService({
        protocol: ids.kad,
        role: options.role,
        publicAddressesOnly: bootstraps.length > 0 && !bootstraps.some(isPrivateAddress),
      }),
      gossip: advertGossipService(ids.advertTopic),
    },
    logger: libp2pLogger(logger),
  })
  const self = node.peerId.toString()

  const isConnected = (peer: string): boolean =>
    node.getConnections().some(({ remotePeer }) => remotePeer.toString() === peer)

  /** Ends with the node, after `ms`, or with the caller's own signal. */
  const bounded = (ms: number, signal: AbortSignal = stopping.signal): AbortSignal =>
    AbortSignal.any([stopping.signal, signal, AbortSignal.timeout(ms)])

  const dial = (target: string, signal?: AbortSignal): Promise<Connection> =>
    node.dial(target.startsWith('/') ? multiaddr(target) : peerIdFromString(target), {
      signal: bounded(TIMEOUTS.dialMs, signal),
    })

  const openStream = async (peer: string, protocol: string, signal?: AbortSignal): Promise<Stream> => {
    try {
      const connection = await dial(peer, signal)
      return await connection.newStream(protocol, {
        signal: bounded(TIMEOUTS.openMs, signal),
        runOnLimitedConnection: true,
      })
    } catch (thrown) {
      throw unreachable(peer, thrown, signal)
    }
  }

  const carrier = createCarrier(
    { clock, logger, openStream: (peer) => openStream(peer, ids.inference), onCall: (call) => handlers.onCall(call) },
    { callsPerStream: options.callsPerStream },
  )

  const openExchange = async (peer: string, protocol: string, signal: AbortSignal): Promise<FrameStream> =>
    createFrameStream(await openStream(peer, protocol, signal), peer, clock)

  /** Serves one exchange that a peer opened, to its end. */
  const serveExchange =
    (serve: (stream: FrameStream) => Promise<void>) =>
    async (stream: Stream, connection: Connection): Promise<void> => {
      const peer = connection.remotePeer.toString()
      const frames = createFrameStream(stream, peer, clock)
      try {
        await serve(frames)
        await frames.close()
      } catch (thrown) {
        logger.debug({ err: thrown, peer, protocol: stream.protocol }, 'an exchange failed')
        frames.abort(toTokError(thrown))
      }
    }

  const exchangeLimits = {
    maxInboundStreams: EXCHANGE_STREAMS,
    maxOutboundStreams: EXCHANGE_STREAMS,
    runOnLimitedConnection: true,
  }
  await node.handle(ids.inference, (stream, connection) => carrier.accept(stream, connection.remotePeer.toString()), {
    maxInboundStreams: LIMITS.callsPerStream,
    maxOutboundStreams: LIMITS.callsPerStream,
    runOnLimitedConnection: true,
  })
  await node.handle(
    ids.account,
    serveExchange((stream) => handlers.onAccountStream(stream)),
    exchangeLimits,
  )
  await node.handle(
    ids.advert,
    serveExchange((stream) => answerAdvert(stream, () => handlers.currentAdvert())),
    exchangeLimits,
  )
  node.addEventListener('peer:connect', ({ detail }) => handlers.onPeerConnected(detail.toString()))
  node.addEventListener('peer:disconnect', ({ detail }) => handlers.onPeerDisconnected(detail.toString()))

  try {
    await node.start()
  } catch (thrown) {
    throw new TokError('port_in_use', { address: options.listen.join(', ') }, { cause: thrown })
  }
  joinAdvertGossip(node.services.gossip, ids.advertTopic, (bytes) => handlers.judgeAdvert(bytes), logger)

  /** The peer behind each bootstrap address that was dialled: the address need not say. */
  const bootstrapPeers = new Map<string, string>()
  const joined = keepJoined(
    {
      clock,
      random,
      logger,
      connectedPeers: () => node.getPeers().length,
      bootstrapTargets: () =>
        bootstraps.map(String).filter((address) => {
          const peer = peerOfAddress(address) ?? bootstrapPeers.get(address)
          return peer === undefined || (peer !== self && !isConnected(peer))
        }),
      async knownTargets() {
        const known = await node.peerStore.all({ filters: [({ addresses }) => addresses.length > 0] })
        return known.map(({ id }) => id.toString()).filter((peer) => peer !== self && !isConnected(peer))
      },
      async dial(target) {
        const { remotePeer } = await dial(target)
        if (target.startsWith('/')) bootstrapPeers.set(target, remotePeer.toString())
      },
    },
    stopping.signal,
  )

  return {
    peer: self,
    multiaddrs: () => node.getMultiaddrs().map(String),
    peers: () => node.getPeers().map((peer) => viewOfPeer(peer, node.getConnections(peer))),
    isConnected,

    async connect(target, signal) {
      try {
        const { remotePeer } = await dial(target, signal)
        return remotePeer.toString()
      } catch (thrown) {
        throw unreachable(target, thrown, signal)
      }
    },

    async openCall(peer, signal) {
      try {
        return await carrier.openCall(peer, signal)
      } catch (thrown) {
        throw unreachable(peer, thrown, signal)
      }
    },

    openAccountStream: (peer, signal) => openExchange(peer, ids.account, signal),

    async queryAdvert(peer, signal) {
      const deadline = bounded(TIMEOUTS.advertMs, signal)
      try {
        return await askAdvert(await openExchange(peer, ids.advert, deadline), deadline)
      } catch (thrown) {
        throw unreachable(peer, thrown, signal)
      }
    },

    async publishAdvert(bytes) {
      await node.services.gossip.publish(ids.advertTopic, bytes)
    },

    provide: (key, signal) => provide(node.services.dht, key, signal),
    findProviders: (key, limit, signal) => findProviders(node.services.dht, self, key, limit, signal),

    async stop() {
      const error = new TokError('node_stopping')
      stopping.abort(error)
      carrier.stop(error)
      await joined
      await Promise.race([node.stop(), sleep(clock, STOP_MS)])
      if (node.status !== 'stopped') logger.warn({ status: node.status }, 'the libp2p host did not stop in time')
    },
  }
}

/** One peer as its oldest connection shows it. */
function viewOfPeer(peer: PeerId, connections: readonly Connection[]): PeerView {
  const oldest = connections.toSorted((left, right) => left.timeline.open - right.timeline.open)[0]
  return {
    peer: peer.toString(),
    multiaddrs: connections.map(({ remoteAddr }) => remoteAddr.toString()),
    direction: oldest?.direction ?? 'outbound',
    roundTripMs: oldest?.rtt,
    openedAtMs: oldest?.timeline.open ?? 0,
  }
}

function peerOfAddress(address: string): string | undefined {
  return multiaddr(address)
    .getComponents()
    .findLast(({ name }) => name === 'p2p')?.value
}

/** What became of an attempt to reach `peer`. The caller's own reason to give up is told unchanged. */
function unreachable(peer: string, thrown: unknown, signal?: AbortSignal): TokError {
  if (signal?.aborted === true && signal.reason instanceof TokError) return signal.reason
  if (thrown instanceof TokError && (thrown.code === 'seller_unreachable' || thrown.code === 'node_stopping'))
    return thrown
  const causes = thrown instanceof AggregateError && thrown.errors.length > 0 ? thrown.errors : [thrown]
  return new TokError('seller_unreachable', { peer, reason: causes.map(reasonOf).join('; ') }, { cause: thrown })
}

/** A label of the DNS has 63 characters at most, a network's name may have more. */
function mdnsTag(network: string): string {
  return `_tok-${toHex(sha256(utf8(network))).slice(0, 16)}._udp.local`
}

/** libp2p tells of every failed dial and stream as an error: worth a trace, no more. The rest is not formatted at all. */
function libp2pLogger(logger: Logger): ComponentLogger {
  const forComponent = (component: string): Libp2pLogger =>
    Object.assign(() => undefined, {
      error: (format: string, ...args: unknown[]) => logger.trace({ component, args: args.map(String) }, format),
      trace: () => undefined,
      enabled: false,
      newScope: (name: string) => forComponent(`${component}:${name}`),
    })
  return { forComponent }
}
