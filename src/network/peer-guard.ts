/**
 * Who may connect: peers with an Ed25519 key, each a few times, each public host a limited number of times.
 * libp2p itself limits the number of all connections and the rate of new ones.
 */
import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import { hostOf, isPrivateAddress } from './addresses.ts'

/** Two peers that dial each other at once have two; more is no honest need. */
const CONNECTIONS_PER_PEER = 4

/** Peers behind one public address: a home or a small data centre, but not the whole table of connections. */
const CONNECTIONS_PER_HOST = 16

/** The gate of a host, given a look at its present connections. */
export function createPeerGuard(connections: () => readonly Connection[]): ConnectionGater {
  // Accounts and adverts are signed with the key that the peer ID holds, so a peer with another kind of key
  // could take no part in anything.
  const isForeign = (peer: PeerId): boolean => peer.type !== 'Ed25519'
  return {
    denyDialPeer: isForeign,
    denyOutboundEncryptedConnection: isForeign,
    denyInboundConnection({ remoteAddr }) {
      if (isPrivateAddress(remoteAddr)) return false
      const host = hostOf(remoteAddr)
      return connections().filter((connection) => hostOf(connection.remoteAddr) === host).length >= CONNECTIONS_PER_HOST
    },
    denyInboundEncryptedConnection(peer) {
      if (isForeign(peer)) return true
      return connections().filter(({ remotePeer }) => remotePeer.equals(peer)).length >= CONNECTIONS_PER_PEER
    },
  }
}
