/**
 * `tok-node explain`: where a request would go, and why each other target not.
 */
import { Option, type Command } from 'commander'
import { ENDPOINTS } from '../dialects/dialect.ts'
import type { ExplainView } from '../gateway/admin-api.ts'
import { connectAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig } from './config-flags.ts'
import { harmless, paint, print, printJson } from './output.ts'

export function defineExplain(command: Command): void {
  addConfigFlags(command)
    .requiredOption('--model <model>', 'the model that a client would name')
    .addOption(new Option('--endpoint <name>', 'what it would ask').choices(Object.keys(ENDPOINTS)).default('chat'))
    .action(() => explain(command))
}

async function explain(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const { model, endpoint, json } = command.opts<{ model: string; endpoint: string; json?: boolean }>()
  const admin = await connectAdmin(config.dataDirectory)
  const view = await admin.ask<ExplainView>(`explain?${new URLSearchParams({ model, endpoint })}`)
  if (json === true) {
    printJson(view)
    return
  }
  if (view.resolvedModel !== view.requestedModel)
    print(harmless(`${view.requestedModel} stands for ${view.resolvedModel}`))
  print(
    ...view.targets.map(
      ({ name, reason }, index) => `${paint('green', `${index + 1}.`)} ${harmless(`${name}: ${reason}`)}`,
    ),
    ...view.refused.map(({ name, reason }) => `${paint('dim', 'not')} ${harmless(`${name}: ${reason}`)}`),
  )
}
