/**
 * The flags that set configuration, from the schema, and the configuration they lead to.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Option, type Command } from 'commander'
import { loadConfig, type Flags, type LoadedConfig } from '../config/load.ts'
import { KEY_NAMES, specOf, type Key } from '../config/schema.ts'

/** The keys that every command takes: they say which node is meant. */
const NODE_KEYS: readonly Key[] = ['data_dir', 'environment']

/** Every other key that has a flag. */
export const FLAG_KEYS: readonly Key[] = KEY_NAMES.filter(
  (key) => specOf(key).flag !== undefined && !NODE_KEYS.includes(key),
)

/** Adds `--data-dir`, `--env`, the flags of `keys`, `--config-dir` and `--json` to a command. */
export function addConfigFlags(command: Command, keys: readonly Key[] = []): Command {
  for (const key of [...keys, ...NODE_KEYS]) {
    const { flag, meaning, repeatable } = specOf(key)
    if (flag === undefined) throw new Error(`the key ${key} has no flag`)
    const option = new Option(flag, meaning.replaceAll('`', ''))
    if (repeatable === true) {
      option.argParser((text: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), text])
    }
    command.addOption(option)
  }
  return command
    .option('--config-dir <path>', 'read setting.ini and <environment>/gateway.ini there')
    .option('--json', 'print JSON')
}

/** The package this program runs from. */
const INSTALL_DIRECTORY = fileURLToPath(new URL('../..', import.meta.url))

/**
 * The configuration that a command's flags, the environment and the files give.
 * @throws TokError `config_invalid`
 */
export function loadCommandConfig(command: Command, keys: readonly Key[] = []): Promise<LoadedConfig> {
  const { configDir } = command.opts<{ configDir?: string }>()
  return loadConfig({
    configDirectory: configDir === undefined ? undefined : resolve(configDir),
    env: process.env,
    flags: givenFlags(command, keys),
    installDirectory: INSTALL_DIRECTORY,
    cwd: process.cwd(),
  })
}

/** True if the command was given `--json`. */
export function wantsJson(command: Command): boolean {
  return command.opts<{ json?: boolean }>().json === true
}

/** What the flags of `keys` say, as texts; only those that were given. */
export function givenFlags(command: Command, keys: readonly Key[]): Flags {
  const given = [...keys, ...NODE_KEYS].flatMap((key): [Key, string | readonly string[]][] => {
    const name = new Option(specOf(key).flag ?? '').attributeName()
    // A negated flag reads true when it is absent.
    if (command.getOptionValueSource(name) !== 'cli') return []
    const value: unknown = command.getOptionValue(name)
    return [[key, Array.isArray(value) ? value.map(String) : String(value)]]
  })
  return Object.fromEntries(given)
}
