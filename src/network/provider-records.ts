/**
 * Provider records in the DHT: who provides a key. Only a hint; the advert of the peer is what counts.
 */
import {
  kadDHT,
  type KadDHT,
  type KadDHTComponents,
  passthroughMapper,
  removePrivateAddressesMapper,
} from '@libp2p/kad-dht'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { reasonOf, TokError } from '../base/errors.ts'
import { createProviderRecordStore } from './provider-record-store.ts'

const RAW_CODEC = 0x55
const SHA256_CODE = 0x12

const MINUTE_MS = 60_000

/** What a host's DHT is told. */
export interface ProviderRecordOptions {
  readonly protocol: string
  /** A server keeps and serves records; it has to be reachable. */
  readonly role: 'client' | 'server'
  /** False on a network of private addresses: the DHT would drop them all and stay empty. */
  readonly publicAddressesOnly: boolean
}

/** The DHT service of a host. */
export function providerRecordService(options: ProviderRecordOptions): (components: KadDHTComponents) => KadDHT {
  const service = kadDHT({
    protocol: options.protocol,
    // Left open, the DHT would stay a client until it sees a public address of its own.
    clientMode: options.role === 'client',
    peerInfoMapper: options.publicAddressesOnly ? removePrivateAddressesMapper : passthroughMapper,
    // Values are of no use here: with no validator every PUT_VALUE is refused.
    validators: {},
    selectors: {},
    initialQuerySelfInterval: 100,
    querySelfInterval: MINUTE_MS,
    // A server forgets the addresses of a provider long before the record, and then cannot serve it.
    reprovide: { validity: 120 * MINUTE_MS, threshold: 75 * MINUTE_MS, interval: 10 * MINUTE_MS },
  })
  return (components) =>
    service(Object.create(components, { datastore: { value: createProviderRecordStore(components.datastore) } }))
}

/** @throws TokError `network_unavailable` if the signal ends it, as it does while no other DHT peer is known. */
export async function provide(dht: KadDHT, key: Uint8Array, signal: AbortSignal): Promise<void> {
  try {
    for await (const _ of dht.provide(cidOfKey(key), { signal })) signal.throwIfAborted()
    signal.throwIfAborted()
  } catch (thrown) {
    throw new TokError(
      'network_unavailable',
      { reason: `the DHT takes no record: ${reasonOf(thrown)}` },
      { cause: thrown },
    )
  }
}

/** Peers other than `self` that provide `key`, each once, as they are found; ends when the signal aborts. */
export async function* findProviders(
  dht: KadDHT,
  self: string,
  key: Uint8Array,
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const found = new Set<string>([self])
  const done = new AbortController()
  try {
    for await (const event of dht.findProviders(cidOfKey(key), { signal: AbortSignal.any([signal, done.signal]) })) {
      if (event.name !== 'PROVIDER') continue
      for (const { id } of event.providers) {
        const peer = id.toString()
        if (found.has(peer)) continue
        found.add(peer)
        yield peer
        if (found.size > limit) return
      }
    }
  } catch (thrown) {
    if (signal.aborted) return
    throw new TokError(
      'network_unavailable',
      { reason: `the DHT does not answer: ${reasonOf(thrown)}` },
      { cause: thrown },
    )
  } finally {
    done.abort()
  }
}

/** The DHT's own key is the SHA-256 of this CID's multihash; the digest inside is our 32-byte key. */
function cidOfKey(key: Uint8Array): CID {
  return CID.createV1(RAW_CODEC, createDigest(SHA256_CODE, key))
}
