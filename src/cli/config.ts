/**
 * `tok-node config show`: the configuration in force, with the origin of every value.
 */
import type { Command } from 'commander'
import { addConfigFlags, FLAG_KEYS, loadCommandConfig } from './config-flags.ts'
import { paint, print, printJson, table } from './output.ts'

export function defineConfig(command: Command): void {
  const show = command.command('show').description('print every key with its value and origin; secrets are hidden')
  addConfigFlags(show, FLAG_KEYS)
    .option('--changed', 'only what is not on its default')
    .action(() => showConfig(show))
}

async function showConfig(command: Command): Promise<void> {
  const { entries, configDirectory } = await loadCommandConfig(command, FLAG_KEYS)
  const { changed, json } = command.opts<{ changed?: boolean; json?: boolean }>()
  const shown = entries.filter(({ origin }) => changed !== true || origin !== 'default')
  if (json === true) {
    printJson({
      configDirectory,
      entries: shown.map(({ key, shown: value, origin }) => ({ key, value, origin })),
    })
    return
  }
  print(paint('dim', configDirectory === undefined ? 'no configuration files' : `files in ${configDirectory}`))
  print(
    ...table(
      ['key', 'value', 'from'],
      shown.map(({ key, shown: value, origin }) => [key, value, origin]),
    ),
  )
}
