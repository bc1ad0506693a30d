/**
 * Bounds what the DHT stores for others. libp2p takes any number of ADD_PROVIDER from anyone; thousands a
 * second were measured, each kept for hours.
 */
import type { KadDHTComponents } from '@libp2p/kad-dht'

type Store = KadDHTComponents['datastore']
type Key = Parameters<Store['put']>[0]

/** Records of one peer: the newest stay. An advert names 16 models at most, under a few keys each. */
const RECORDS_PER_PEER = 64

/** Records of all peers: the newest stay. Some 20 MB. */
const RECORDS = 65_536

/** kad-dht's keys: prefix, the key that is provided, the provider's peer ID. */
const PROVIDER_KEY = /^\/dht\/provider\/[^/]+\/([^/]+)$/

/** The view of `store` that a DHT service is given. */
export function createProviderRecordStore(store: Store): Store {
  /** Keys of records by name, oldest first: all, and those of each peer. */
  const all = new Map<string, Key>()
  const byPeer = new Map<string, Map<string, Key>>()

  const forget = (key: Key): void => {
    const name = key.toString()
    const peer = PROVIDER_KEY.exec(name)?.[1]
    if (peer === undefined) return
    all.delete(name)
    byPeer.get(peer)?.delete(name)
    if (byPeer.get(peer)?.size === 0) byPeer.delete(peer)
  }

  const bounded: Pick<Store, 'put' | 'delete'> = {
    async put(key, value, options) {
      const name = key.toString()
      const peer = PROVIDER_KEY.exec(name)?.[1]
      if (peer !== undefined) {
        forget(key)
        const own = byPeer.get(peer) ?? new Map<string, Key>()
        byPeer.set(peer, own.set(name, key))
        all.set(name, key)
        const [oldest] = own.size > RECORDS_PER_PEER ? own.values() : all.size > RECORDS ? all.values() : []
        if (oldest !== undefined) await bounded.delete(oldest, options)
      }
      return store.put(key, value, options)
    },
    delete(key, options) {
      forget(key)
      return store.delete(key, options)
    },
  }
  return Object.assign(Object.create(store), bounded)
}
