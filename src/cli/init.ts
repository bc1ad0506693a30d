/**
 * `tok-node init`: writes configuration files and the node key. What is there stays as it is.
 */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { createInterface, type Interface } from 'node:readline/promises'
import type { Command } from 'commander'
import { reasonOf, TokError } from '../base/errors.ts'
import { loadConfig, ownConfigDirectory, type Flags } from '../config/load.ts'
import { KEY_NAMES, KEYS, specOf, type Key } from '../config/schema.ts'
import { addConfigFlags, FLAG_KEYS, givenFlags } from './config-flags.ts'
import { paint, print, printJson } from './output.ts'

/** What a person is asked, where no flag answers it. */
const QUESTIONS: readonly { readonly key: Key; readonly text: string; readonly isAsked: (role: string) => boolean }[] =
  [
    {
      key: 'role',
      text: 'Shall this node buy, sell, both, or neither (buyer, seller, both, local)?',
      isAsked: () => true,
    },
    {
      key: 'max_spend',
      text: 'Most it may spend per day, in USD?',
      isAsked: (role) => role === 'buyer' || role === 'both',
    },
    {
      key: 'sell',
      text: 'What is for sale, as MODEL=INPUT/OUTPUT in USD per Mtok, divided by commas?',
      isAsked: (role) => role === 'seller' || role === 'both',
    },
  ]

export function defineInit(command: Command): void {
  addConfigFlags(command, FLAG_KEYS)
    .addHelpText('after', '\nAsks on a terminal, unless --role or --json is given. Flags become lines of the files.')
    .action(() => init(command))
}

async function init(command: Command): Promise<void> {
  const { configDir, json = false } = command.opts<{ configDir?: string; json?: boolean }>()
  const given = givenFlags(command, FLAG_KEYS)
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY
  const flags = isTerminal && !json && given.role === undefined ? { ...(await askPerson(given)), ...given } : given

  // Read as they will be read from the files, so that nothing is written that would not start.
  const { config } = await loadConfig({ env: process.env, flags, cwd: process.cwd(), configDirectory: undefined })
  const configDirectory = configDir === undefined ? ownConfigDirectory(config.dataDirectory) : resolve(configDir)
  const written = await writeFiles(configDirectory, config.environment, config.dataDirectory, flags)
  const { peerId, created } = await createIdentity(config.dataDirectory)

  if (json) {
    printJson({ configDirectory, written, dataDirectory: config.dataDirectory, peerId, keyCreated: created })
    return
  }
  for (const file of written) print(`${paint('green', 'wrote')} ${file}`)
  if (written.length === 0)
    print(`${paint('dim', 'kept')} the files in ${configDirectory}; edit them to change something`)
  print(
    `${created ? paint('green', 'made') : paint('dim', 'kept')} the node key in ${config.dataDirectory}; its peer ID is ${peerId}`,
  )
  print('back the key up: without it the accounts of this node cannot be continued')
  print(`next: tok-node start${startFlags(command)}`)
}

async function askPerson(given: Flags): Promise<Flags> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  terminal.on('SIGINT', () => process.exit(130))
  try {
    let answers: Flags = {}
    for (const { key, text, isAsked } of QUESTIONS) {
      const role = String(answers.role ?? KEYS.role.default)
      if (given[key] === undefined && isAsked(role)) answers = { ...answers, [key]: await askKey(terminal, key, text) }
    }
    return answers
  } finally {
    terminal.close()
  }
}

async function askKey(terminal: Interface, key: Key, text: string): Promise<string> {
  const preset = specOf(key).default
  for (;;) {
    const line = (await terminal.question(`${text}${preset === '' ? '' : ` [${preset}]`} `)).trim()
    const answer = line === '' ? preset : line
    try {
      KEYS[key].kind.read(answer, { cwd: process.cwd(), home: process.cwd() })
      return answer
    } catch (error) {
      print(paint('yellow', error instanceof TokError ? String(error.details.reason) : reasonOf(error)))
    }
  }
}

/** Writes the files that are not there and gives their paths. */
async function writeFiles(
  configDirectory: string,
  environment: string,
  dataDirectory: string,
  flags: Flags,
): Promise<readonly string[]> {
  const isBesideData = configDirectory === ownConfigDirectory(dataDirectory)
  const lines = KEY_NAMES.flatMap((key) => {
    const value = flags[key]
    if (value === undefined || key === 'environment' || (key === 'data_dir' && isBesideData)) return []
    return [`# ${specOf(key).meaning.replaceAll('`', '')}`, `${key} = ${[value].flat().join(', ')}`, '']
  })
  const files: readonly [string, readonly string[]][] = [
    [
      join(configDirectory, 'setting.ini'),
      [
        '# What every environment shares; <environment>/gateway.ini replaces it.',
        '',
        `environment = ${environment}`,
        '',
      ],
    ],
    [
      join(configDirectory, environment, 'gateway.ini'),
      ['# `tok-node config show` prints every key, its value and where it comes from.', '', ...lines],
    ],
  ]
  const missing = files.filter(([file]) => !existsSync(file))
  // Keys of model servers may be added by hand later: only the owner reads these files.
  try {
    for (const [file, content] of missing) {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      await writeFile(file, content.join('\n'), { flag: 'wx', mode: 0o600 })
    }
  } catch (error) {
    const reason = `${configDirectory} cannot be written: ${reasonOf(error)}`
    throw new TokError('config_invalid', { reason }, { cause: error })
  }
  return missing.map(([file]) => file)
}

/** Makes the node key, and before it the ledger: a node with a key and no ledger has lost one and does not start. */
async function createIdentity(dataDirectory: string): Promise<{ peerId: string; created: boolean }> {
  const { ledgerDirectory, openNodeKey, prepareDataDirectory, readNodeKey } = await import('../node/data-directory.ts')
  await prepareDataDirectory(dataDirectory)
  if ((await readNodeKey(dataDirectory)) === undefined) {
    const { openNewStore } = await import('../ledger/schema.ts')
    await (await openNewStore(ledgerDirectory(dataDirectory))).close()
  }
  const { key, created } = await openNodeKey(dataDirectory)
  return { peerId: key.peer, created }
}

/** The flags that `start` needs to find what was written. */
function startFlags(command: Command): string {
  const { dataDir, configDir } = command.opts<{ dataDir?: string; configDir?: string }>()
  return [
    dataDir === undefined ? '' : ` --data-dir ${dataDir}`,
    configDir === undefined ? '' : ` --config-dir ${configDir}`,
  ].join('')
}
