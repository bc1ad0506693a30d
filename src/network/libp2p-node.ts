/**
 * The libp2p node under a host: its transports, limits and services, every setting that is not the
 * default with its reason.
 */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { GossipSub } from '@libp2p/gossipsub'
import { identify, type Identify } from '@libp2p/identify'
import type { ComponentLogger, Libp2p, Logger as Libp2pLogger } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { ping, type Ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Logger } from 'pino'
import { sha256, toHex, utf8 } from '../base/bytes.ts'
import { protocolIds, TIMEOUTS } from '../wire/registry.ts'
import { isPrivateAddress, parseMultiaddr } from './addresses.ts'
import { advertGossipService } from './advert-gossip.ts'
import type { NetworkOptions } from './network.ts'
import { createPeerGuard } from './peer-guard.ts'
import { providerRecordService } from './provider-records.ts'

/** The services of a node. */
export interface NodeServices extends Record<string, unknown> {
  readonly identify: Identify
  readonly ping: Ping
  readonly dht: KadDHT
  readonly gossip: GossipSub
}

/** Puts a node together; it is not started. `seed` is the 32-byte Ed25519 seed of its key. @throws TokError `config_invalid` */
export async function createLibp2pNode(
  seed: Uint8Array,
  logger: Logger,
  options: NetworkOptions,
  bootstraps: readonly Multiaddr[],
): Promise<Libp2p<NodeServices>> {
  const ids = protocolIds(options.network)
  const protocolPrefix = `tok/${options.network}`
  const node: Libp2p<NodeServices> = await createLibp2p<NodeServices>({
    start: false,
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
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
        // The default of 10 resets a connection whose dialler opens more before this side has set it up.
        maxEarlyStreams: 256,
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
      protocolPrefix,
      pingInterval: 10_000,
      pingTimeout: { minTimeout: 15_000 },
    },
    peerStore: { maxAddressAge: 3 * 3_600_000, maxPeerAge: 7 * 86_400_000 },
    peerDiscovery: options.mdns ? [mdns({ serviceTag: mdnsTag(options.network), interval: 20_000 })] : [],
    services: {
      identify: identify({ protocolPrefix }),
      ping: ping({ protocolPrefix }),
      dht: providerRecordService({
        protocol: ids.kad,
        role: options.role,
        publicAddressesOnly: bootstraps.length > 0 && !bootstraps.some(isPrivateAddress),
      }),
      gossip: advertGossipService(ids.advertTopic),
    },
    logger: libp2pLogger(logger),
  })
  return node
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
