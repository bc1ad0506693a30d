/**
 * The libp2p host of this node: puts calls, exchanges, gossip and DHT together and presents them as a
 * `Network`. Keeps nothing on disk: libp2p with a store of its own opens streams at half the speed, and
 * peers are found again through the bootstraps.
 */
import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Logger } from 'pino'
import type { RandomBytes } from '../base/bytes.ts'
import { type Clock, sleep } from '../base/clock.ts'
import { reasonOf, TokError, toTokError } from '../base/errors.ts'
import { LIMITS, protocolIds, TIMEOUTS } from '../wire/registry.ts'
import { parseMultiaddr } from './addresses.ts'
import { joinAdvertGossip } from './advert-gossip.ts'
import { answerAdvert, askAdvert } from './advert-query.ts'
import { keepJoined } from './bootstrap.ts'
import { createCarrier } from './carrier.ts'
import { createFrameStream } from './frame-stream.ts'
import { createLibp2pNode } from './libp2p-node.ts'
import type { FrameStream, Network, NetworkHandlers, NetworkOptions, PeerView } from './network.ts'
import { findProviders, provide } from './provider-records.ts'

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

/**
 * Starts a host: it listens and looks for its network when this resolves.
 * @throws TokError `config_invalid` for an address that is none or not this machine's, `port_in_use`
 */
export async function createNetwork(
  { seed, clock, random, logger }: NetworkDependencies,
  options: NetworkOptions,
  handlers: NetworkHandlers,
): Promise<Network> {
  const ids = protocolIds(options.network)
  const bootstraps = options.bootstrap.map(parseMultiaddr)
  const stopping = new AbortController()
  const node = await createLibp2pNode(seed, logger, options, bootstraps)
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
    throw cannotListen(options.listen, thrown)
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

/** libp2p tells why in the middle of a long text, with a stack for each address. */
function cannotListen(listen: readonly string[], thrown: unknown): TokError {
  const text = reasonOf(thrown)
  if (text.includes('EADDRINUSE')) return new TokError('port_in_use', { address: listen.join(', ') }, { cause: thrown })
  const reason = /Error: (.*)/.exec(text)?.[1] ?? text
  return new TokError(
    'config_invalid',
    { reason: `cannot listen on ${listen.join(', ')}: ${reason}` },
    { cause: thrown },
  )
}
