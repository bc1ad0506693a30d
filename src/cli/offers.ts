/**
 * `tok-node offers`: what sellers on the network ask.
 */
import type { Command } from 'commander'
import type { OfferView } from '../gateway/admin-api.ts'
import { connectAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig } from './config-flags.ts'
import { duration, harmless, print, printJson, table, usd } from './output.ts'

export function defineOffers(command: Command): void {
  addConfigFlags(command)
    .option('--model <model>', 'only offers of this model')
    .action(() => offers(command))
}

async function offers(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const { model, json } = command.opts<{ model?: string; json?: boolean }>()
  const admin = await connectAdmin(config.dataDirectory)
  const known = await admin.ask<readonly OfferView[]>('offers')
  const views = model === undefined ? known : known.filter((offer) => offer.model.toLowerCase() === model.toLowerCase())
  if (json === true) {
    printJson({ offers: views })
  } else if (views.length === 0) {
    print('no offer is known; see `tok-node peers`')
  } else {
    print(
      ...table(
        ['model', 'seller', '>input per Mtok', '>output per Mtok', '>context', '>expires in', ''],
        views.map((offer) => [
          harmless(offer.model),
          offer.seller,
          usd(offer.inputMicrosPerMtok),
          usd(offer.outputMicrosPerMtok),
          offer.contextTokens?.toString() ?? '',
          duration(offer.expiresAtMs - Date.now()),
          offer.connected ? 'connected' : '',
        ]),
      ),
    )
  }
}
