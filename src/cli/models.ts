/**
 * `tok-node models`: what clients can ask for, and where each would run.
 */
import type { Command } from 'commander'
import type { ModelTargetView, ModelView } from '../gateway/admin-api.ts'
import { connectAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { harmless, print, printJson, table, usd } from './output.ts'

export function defineModels(command: Command): void {
  addConfigFlags(command).action(() => models(command))
}

async function models(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const admin = await connectAdmin(config.dataDirectory)
  const views = await admin.ask<readonly ModelView[]>('models')
  if (wantsJson(command)) {
    printJson({ models: views })
  } else if (views.length === 0) {
    print('no model is known; start a local engine, set a provider, or join a network with --role buyer')
  } else {
    print(
      ...table(
        ['model', '>context', 'runs at', '>input per Mtok', '>output per Mtok'],
        views.map(({ id, contextTokens, targets }) => [
          harmless(id),
          contextTokens?.toString() ?? '',
          harmless(targets.map(targetName).join(', ')),
          ...pricesOf(targets),
        ]),
      ),
    )
  }
}

function targetName({ name, kind }: ModelTargetView): string {
  return kind === 'network' ? `seller ${name.slice(-8)}` : name
}

/** What the first target costs; a provider of one's own has no price here. */
function pricesOf([first]: readonly ModelTargetView[]): string[] {
  return [first?.inputMicrosPerMtok, first?.outputMicrosPerMtok].map((micros) =>
    micros === undefined ? '' : usd(micros),
  )
}
