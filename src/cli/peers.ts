/**
 * `tok-node peers`: who this node is connected to.
 */
import type { Command } from 'commander'
import type { PeerView } from '../gateway/admin-api.ts'
import { connectAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { duration, harmless, print, printJson, table } from './output.ts'

export function definePeers(command: Command): void {
  addConfigFlags(command).action(() => peers(command))
}

async function peers(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const admin = await connectAdmin(config.dataDirectory)
  const views = await admin.ask<readonly PeerView[]>('peers')
  if (wantsJson(command)) {
    printJson({ peers: views })
  } else if (views.length === 0) {
    print('no peer is connected; give --bootstrap an address of another node, or wait for mDNS')
  } else {
    print(
      ...table(
        ['peer', 'direction', '>round trip', '>connected for', 'address'],
        views.map((peer) => [
          peer.peer,
          peer.direction,
          peer.roundTripMs === undefined ? '' : `${peer.roundTripMs.toFixed(1)} ms`,
          duration(Date.now() - peer.openedAtMs),
          harmless(peer.multiaddrs[0] ?? ''),
        ]),
      ),
    )
  }
}
