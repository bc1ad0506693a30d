/**
 * `tok-node status`: what the running node does.
 */
import type { Command } from 'commander'
import type { StatusView } from '../gateway/admin-api.ts'
import { connectAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { duration, harmless, paint, print, printJson, usd } from './output.ts'

export function defineStatus(command: Command): void {
  addConfigFlags(command).action(() => status(command))
}

async function status(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const admin = await connectAdmin(config.dataDirectory)
  const view = await admin.ask<StatusView>('status')
  if (wantsJson(command)) printJson(view)
  else print(...statusLines(view))
}

function statusLines(view: StatusView): string[] {
  const { buying, selling } = view
  const field = (name: string, text: string): string => `  ${paint('dim', name.padEnd(10))}${text}`
  return [
    `${paint('green', 'running')} tok-node ${view.version}, process ${view.pid}, for ${duration(Date.now() - view.startedAtMs)}`,
    field('facade', view.facade),
    field('peer', view.peerId),
    field('role', `${view.role}, network ${view.network}, ${view.peersConnected} peers connected`),
    ...view.multiaddrs.map((multiaddr, index) => field(index === 0 ? 'reached at' : '', multiaddr)),
    ...view.providers.map(({ name, origin, models, health }, index) =>
      field(
        index === 0 ? 'providers' : '',
        harmless(
          `${name}${origin === '' ? '' : ` ${origin}`}: ${health}${models === undefined ? '' : `, ${models} models`}`,
        ),
      ),
    ),
    field('ledger', ledgerText(view.ledger)),
    ...view.ledger.mismatches.map((reason) => field('', paint('red', harmless(reason)))),
    ...(buying === undefined
      ? []
      : [
          field(
            'buying',
            `${usd(buying.spentTodayMicros)} spent today, ${usd(buying.heldMicros)} held` +
              (buying.limitMicros === undefined ? '' : `, limit ${usd(buying.limitMicros)}`),
          ),
        ]),
    ...(selling === undefined
      ? []
      : [
          field(
            'selling',
            `${selling.offers} offers, ${selling.callsOpen} of ${selling.slots} slots busy${selling.paused ? ', paused' : ''}`,
          ),
        ]),
  ]
}

function ledgerText({ checkpoint, statements, naclVerified }: StatusView['ledger']): string {
  const signed =
    checkpoint === undefined
      ? 'no checkpoint yet'
      : `checkpoint ${checkpoint.sequence} of ${new Date(checkpoint.createdAtMs).toISOString()}`
  return `${naclVerified} of ${statements} statements confirmed by tweetnacl, ${signed}`
}
