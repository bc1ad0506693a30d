/**
 * `tok-node sell`: what the running node sells. Changes hold until it stops; the configuration says what it starts with.
 */
import type { Command } from 'commander'
import { readPriceRule } from '../config/kinds.ts'
import { TokError } from '../base/errors.ts'
import type { SellingView, SellOffer } from '../gateway/admin-api.ts'
import { connectAdmin, type AdminClient } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { harmless, paint, print, printJson, table, usd } from './output.ts'

export function defineSell(command: Command): void {
  const list = command.command('list').description('list what is for sale')
  addConfigFlags(list).action(() => withSelling(list, (admin) => admin.ask('sell')))

  const price = command.command('price').description('offer models at new prices')
  addConfigFlags(price)
    .argument('<model=input/output...>', 'USD per Mtok; the model may be a pattern')
    .action((rules: readonly string[]) => withSelling(price, (admin) => setPrices(admin, rules)))

  const remove = command.command('remove').description('take models off the market')
  addConfigFlags(remove)
    .argument('<model...>', 'as `tok-node sell list` names them')
    .action((models: readonly string[]) => withSelling(remove, (admin) => removeModels(admin, models)))

  for (const action of ['pause', 'resume'] as const) {
    const said = { pause: 'take no new orders; those under way are served', resume: 'take orders again' }
    const change = command.command(action).description(said[action])
    addConfigFlags(change).action(() => withSelling(change, (admin) => admin.ask('sell', { body: { action } })))
  }
}

async function withSelling(command: Command, use: (admin: AdminClient) => Promise<SellingView>): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const view = await use(await connectAdmin(config.dataDirectory))
  if (wantsJson(command)) {
    printJson(view)
    return
  }
  if (view.paused) print(paint('yellow', 'paused: no new orders are taken'))
  if (view.offers.length === 0) print('nothing is for sale; use: tok-node sell price MODEL=INPUT/OUTPUT')
  else {
    print(
      ...table(
        ['model', '>input per Mtok', '>output per Mtok'],
        view.offers.map((each) => [harmless(each.model), usd(each.inputMicrosPerMtok), usd(each.outputMicrosPerMtok)]),
      ),
    )
  }
}

/** Offers with new prices replace those of the same model and come after the others otherwise. */
async function setPrices(admin: AdminClient, rules: readonly string[]): Promise<SellingView> {
  const priced = rules.map(readOffer)
  const { offers } = await admin.ask<SellingView>('sell')
  const replaced = offers.map((offer) => priced.find(({ model }) => model === offer.model) ?? offer)
  const added = priced.filter(({ model }) => !offers.some((offer) => offer.model === model))
  return admin.ask('sell', { body: { action: 'set', offers: [...replaced, ...added] } })
}

async function removeModels(admin: AdminClient, models: readonly string[]): Promise<SellingView> {
  const { offers } = await admin.ask<SellingView>('sell')
  const absent = models.find((model) => !offers.some((offer) => offer.model === model))
  if (absent !== undefined) throw new TokError('argument_invalid', { reason: `"${absent}" is not for sale` })
  const kept = offers.filter(({ model }) => !models.includes(model))
  return admin.ask('sell', { body: { action: 'set', offers: kept } })
}

function readOffer(rule: string): SellOffer {
  try {
    const { model, inputMicrosPerMtok, outputMicrosPerMtok } = readPriceRule(rule)
    return {
      model,
      inputMicrosPerMtok: inputMicrosPerMtok.toString(),
      outputMicrosPerMtok: outputMicrosPerMtok.toString(),
    }
  } catch (error) {
    const reason = error instanceof TokError ? error.details.reason : undefined
    throw new TokError('argument_invalid', { reason }, { cause: error })
  }
}
