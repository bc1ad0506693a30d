/**
 * Loads the configuration in layers: default < config/setting.ini < config/<environment>/gateway.ini < .env <
 * environment < flags. Every value knows where it came from.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { reasonOf, TokError } from '../base/errors.ts'
import { closestWord } from './closest-word.ts'
import { arrangeConfig, type Config } from './config.ts'
import { placeOf, type ReadingPlace } from './kinds.ts'
import { readSettings, type Setting } from './read-settings.ts'
import {
  isKey,
  KEY_NAMES,
  KEYS,
  KEYS_NOT_YET_USED,
  specOf,
  VARIABLE_PREFIX,
  variableOf,
  type Key,
  type Values,
} from './schema.ts'

/** A line of a .env file that sets none of our variables. */
const FOREIGN_LINE = new RegExp(`^(?!\\s*(?:export\\s+)?${VARIABLE_PREFIX}).*$`, 'gm')

/** Flags as given, by the key that they set. */
export type Flags = { readonly [Name in Key]?: string | readonly string[] }

/** What is loaded from. */
export interface ConfigSources {
  /** Undefined looks for one: `config` in the data directory, then in the installation; without either there are no files. */
  readonly configDirectory?: string | undefined
  /**
   * Where tok-node is installed. The working directory is not asked: whoever starts a node inside somebody else's folder would
   * take that folder's settings, a base URL beside their own key among them.
   */
  readonly installDirectory?: string | undefined
  readonly env: NodeJS.ProcessEnv
  readonly flags: Flags
  readonly cwd: string
}

/** One key with the value in force. */
export interface ConfigEntry {
  readonly key: Key
  /** As people may see it: secrets hidden. */
  readonly shown: string
  /** "default", "/path/gateway.ini:7", "TOKLIGENCE_ROLE" or "--role". */
  readonly origin: string
}

/** The configuration in force. */
export interface LoadedConfig {
  readonly config: Config
  /** Every key, in the order of the schema. */
  readonly entries: readonly ConfigEntry[]
  /** The directory whose files were read, if any. */
  readonly configDirectory: string | undefined
}

/** A setting whose key exists; a later one replaces an earlier one. */
type KeySetting = Setting & { readonly key: Key }

/**
 * Reads and checks every layer.
 * @throws TokError `config_invalid` naming the file and line, the variable or the flag
 */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const place = placeOf(sources.env, sources.cwd)
  const flags = flagSettings(sources.flags)
  const variables = variableSettings(sources.env)
  const configDirectory =
    sources.configDirectory ?? findConfigDirectory([...variables, ...flags], place, sources.installDirectory)
  if (configDirectory !== undefined && !existsSync(configDirectory)) {
    throw new TokError('config_invalid', { reason: `the directory ${configDirectory} does not exist` })
  }

  const base = configDirectory === undefined ? [] : await readIniFile(join(configDirectory, 'setting.ini'))
  const outer = [...(await readEnvFiles(configDirectory, sources.installDirectory)), ...variables, ...flags]
  const environment = read('environment', newest('environment', [...base, ...outer]), place)
  const inner =
    configDirectory === undefined ? [] : await readIniFile(join(configDirectory, environment, 'gateway.ini'))
  const chosen = inner.find(({ key }) => key === 'environment')
  if (chosen !== undefined) {
    throw new TokError('config_invalid', {
      reason: `${chosen.origin}: environment decides that this file is read; set it in setting.ini`,
    })
  }

  const settings = [...base, ...inner, ...outer]
  const values = readValues(settings, place)
  const config = arrangeConfig(values, {
    openai: await readProviderKey('openai_api_key', 'openai_api_key_file', settings, values),
    anthropic: await readProviderKey('anthropic_api_key', 'anthropic_api_key_file', settings, values),
  })
  return { config, entries: KEY_NAMES.map((key) => entryOf(key, newest(key, settings))), configDirectory }
}

/** Where `tok-node init` writes configuration, and where it is looked for first: `config` in the data directory. */
export function ownConfigDirectory(dataDirectory: string): string {
  return join(dataDirectory, 'config')
}

function findConfigDirectory(
  settings: readonly KeySetting[],
  place: ReadingPlace,
  installDirectory: string | undefined,
): string | undefined {
  const dataDirectory = read('data_dir', newest('data_dir', settings), place)
  const installed = installDirectory === undefined ? [] : [join(installDirectory, 'config')]
  return [ownConfigDirectory(dataDirectory), ...installed].find((directory) =>
    existsSync(join(directory, 'setting.ini')),
  )
}

async function readIniFile(file: string): Promise<KeySetting[]> {
  const lines = new Map<string, string>()
  return readSettings(file, await contentOf(file)).map((setting) => {
    const { key, origin } = setting
    if (!isKey(key)) throw unknownKey(`${origin}: ${key}`, key, KEY_NAMES)
    const earlier = lines.get(key)
    if (earlier !== undefined) {
      throw new TokError('config_invalid', { reason: `${origin}: ${key} is set already at ${earlier}` })
    }
    lines.set(key, origin)
    return { ...setting, key }
  })
}

/** Beside the configuration, or in the installation. A .env file may serve other programs too: only our variables are read. */
async function readEnvFiles(
  configDirectory: string | undefined,
  installDirectory: string | undefined,
): Promise<KeySetting[]> {
  const directories = [configDirectory === undefined ? installDirectory : dirname(configDirectory)]
  const settings: KeySetting[] = []
  for (const directory of directories) {
    if (directory === undefined) continue
    const file = join(directory, '.env')
    const ours = (await contentOf(file)).replaceAll(FOREIGN_LINE, '')
    for (const setting of readSettings(file, ours)) {
      settings.push({ ...setting, key: keyOfVariable(setting.key, `${setting.origin}: ${setting.key}`) })
    }
  }
  return settings
}

/** The text of a file; "" where there is none. */
async function contentOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new TokError('config_invalid', { reason: `${file} cannot be read: ${reasonOf(error)}` }, { cause: error })
  }
}

function variableSettings(env: NodeJS.ProcessEnv): KeySetting[] {
  return Object.entries(env)
    .filter(([name]) => name.startsWith(VARIABLE_PREFIX))
    .map(([name, text = '']) => ({ key: keyOfVariable(name, `environment variable ${name}`), text, origin: name }))
}

function flagSettings(flags: Flags): KeySetting[] {
  return KEY_NAMES.flatMap((key) => {
    const given = flags[key]
    if (given === undefined) return []
    const text = typeof given === 'string' ? given : given.join('\n')
    return [{ key, text, origin: specOf(key).flag?.split(' ')[0] ?? key }]
  })
}

function keyOfVariable(variable: string, named: string): Key {
  const key = KEY_NAMES.find((each) => variableOf(each) === variable)
  if (key !== undefined) return key
  throw unknownKey(named, variable.slice(VARIABLE_PREFIX.length).toLowerCase(), KEY_NAMES.map(variableOf), variable)
}

function unknownKey(named: string, key: string, known: readonly string[], written = key): TokError {
  if (KEYS_NOT_YET_USED.has(key)) {
    return new TokError('config_invalid', {
      reason: `${named} is of Tokligence Gateway and not used by this version; take it out`,
    })
  }
  const meant = closestWord(written, known)
  return new TokError('config_invalid', {
    reason: `${named} is not known${meant === undefined ? '' : `; did you mean ${meant}?`}`,
  })
}

function newest(key: Key, settings: readonly KeySetting[]): KeySetting | undefined {
  return settings.findLast((setting) => setting.key === key)
}

/** The values in force; those that a later layer replaces are checked too, so that no file holds a mistake in waiting. */
function readValues(settings: readonly KeySetting[], place: ReadingPlace): Values {
  for (const setting of settings) read(setting.key, setting, place)
  return Object.fromEntries(KEY_NAMES.map((key) => [key, read(key, newest(key, settings), place)])) as Values
}

function read<Name extends Key>(key: Name, setting: Setting | undefined, place: ReadingPlace): Values[Name] {
  try {
    return KEYS[key].kind.read(setting?.text ?? KEYS[key].default, place) as Values[Name]
  } catch (error) {
    const reason = error instanceof TokError ? error.details.reason : reasonOf(error)
    throw new TokError('config_invalid', { reason: `${setting?.origin ?? 'default'}: ${key}: ${reason}` })
  }
}

/** A provider's key: given as such or in a file, whichever was set in the later layer. */
async function readProviderKey(
  key: 'openai_api_key' | 'anthropic_api_key',
  fileKey: 'openai_api_key_file' | 'anthropic_api_key_file',
  settings: readonly KeySetting[],
  values: Values,
): Promise<string | undefined> {
  const file = values[fileKey]
  const setting = newest(fileKey, settings)
  const last = settings.findLast((each) => each.key === key || each.key === fileKey)
  if (file === undefined || (last?.key === key && values[key] !== undefined)) return values[key]
  try {
    const content = (await readFile(file, 'utf8')).trim()
    if (content === '') throw new Error('it is empty')
    return content
  } catch (error) {
    throw new TokError('config_invalid', {
      reason: `${setting?.origin}: ${fileKey}: ${file} cannot be used: ${reasonOf(error)}`,
    })
  }
}

function entryOf(key: Key, setting: Setting | undefined): ConfigEntry {
  const text = setting?.text ?? KEYS[key].default
  const shown = specOf(key).secret === true && text !== '' ? '(hidden)' : text.replaceAll('\n', ', ')
  return { key, shown: hideCredentials(shown), origin: setting?.origin ?? 'default' }
}

/** A URL may carry a user and a password. */
function hideCredentials(text: string): string {
  return text.replaceAll(/\/\/[^/\s@,]+@/g, '//(hidden)@')
}
