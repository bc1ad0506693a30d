import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TokError } from '../../../src/base/errors.ts'
import { loadConfig, type ConfigSources, type Flags, type LoadedConfig } from '../../../src/config/load.ts'

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tok-config-'))
})
afterEach(() => rm(root, { recursive: true }))

async function write(file: string, content: string): Promise<void> {
  await mkdir(dirname(join(root, file)), { recursive: true })
  await writeFile(join(root, file), content)
}

/** Loads with `root` as home and working directory. */
function load(sources: Partial<ConfigSources> = {}): Promise<LoadedConfig> {
  return loadConfig({ flags: {}, installDirectory: root, cwd: root, ...sources, env: { HOME: root, ...sources.env } })
}

async function refusal(sources: Partial<ConfigSources> = {}): Promise<string> {
  const error: unknown = await load(sources).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof TokError)) throw new Error('nothing was refused')
  expect(error.code).toBe('config_invalid')
  return error.message.replaceAll(`${root}/`, '')
}

function originOf(loaded: LoadedConfig, key: string): string | undefined {
  return loaded.entries.find((entry) => entry.key === key)?.origin.replace(`${root}/`, '')
}

describe('layers', () => {
  /** Each layer sets log_level to a value of its own. */
  const layers = {
    setting: (): Promise<void> => write('config/setting.ini', 'environment = test\nlog_level = error\n'),
    gateway: (): Promise<void> => write('config/test/gateway.ini', '\nlog_level = warn\n'),
    envFile: (): Promise<void> => write('.env', '# mine\n\nTOKLIGENCE_LOG_LEVEL=info\n'),
  }

  const table: [given: string, value: string, origin: string][] = [
    ['nothing', 'info', 'default'],
    ['setting', 'error', 'config/setting.ini:2'],
    ['setting gateway', 'warn', 'config/test/gateway.ini:2'],
    ['setting gateway envFile', 'info', '.env:3'],
    ['setting gateway envFile variable', 'debug', 'TOKLIGENCE_LOG_LEVEL'],
    ['setting gateway envFile variable flag', 'trace', '--log-level'],
    ['setting envFile', 'info', '.env:3'],
    ['setting variable', 'debug', 'TOKLIGENCE_LOG_LEVEL'],
    ['envFile', 'info', '.env:3'],
  ]
  it.each(table)('of %s, %s wins, from %s', async (given, value, origin) => {
    if (given.includes('setting')) await layers.setting()
    if (given.includes('gateway')) await layers.gateway()
    if (given.includes('envFile')) await layers.envFile()
    const env = given.includes('variable') ? { TOKLIGENCE_LOG_LEVEL: 'debug' } : {}
    // log_level has no flag of its own; the origin then names the key.
    const flags: Flags = given.includes('flag') ? { log_level: 'trace' } : {}
    const loaded = await load({ env, flags })
    expect(loaded.config.log.level).toBe(value)
    expect(originOf(loaded, 'log_level')).toBe(origin === '--log-level' ? 'log_level' : origin)
  })

  it('without any file everything runs on the defaults', async () => {
    const { config, entries, configDirectory } = await load()
    expect(configDirectory).toBeUndefined()
    expect(new Set(entries.map(({ origin }) => origin))).toEqual(new Set(['default']))
    expect(config.dataDirectory).toBe(join(root, '.tok-node'))
    expect(config.facade).toEqual({ host: '127.0.0.1', port: 8081, bodyLimitBytes: 33_554_432 })
    expect(config.role).toBe('local')
    expect(config.selling.strangerCreditMicros).toBe(100_000n)
    expect(config.buying.spendMaxMicros).toBe(1_000_000n)
  })

  const environments: [from: string, files: string, env: string, flag: string, chosen: string][] = [
    ['the default', '', '', '', 'dev'],
    ['setting.ini', 'environment = live', '', '', 'live'],
    ['TOKLIGENCE_ENV', 'environment = live', 'test', '', 'test'],
    ['--env', 'environment = live', 'test', 'dev', 'dev'],
  ]
  it.each(environments)('the environment comes from %s and chooses the file', async (_, setting, env, flag, chosen) => {
    await write('config/setting.ini', setting)
    for (const [index, each] of ['dev', 'test', 'live'].entries()) {
      await write(`config/${each}/gateway.ini`, `slots = ${index + 1}`)
    }
    const { config } = await load({
      env: env === '' ? {} : { TOKLIGENCE_ENV: env },
      flags: flag === '' ? {} : { environment: flag },
    })
    expect(config.environment).toBe(chosen)
    expect(config.selling.slots).toBe(['dev', 'test', 'live'].indexOf(chosen) + 1)
  })

  it('the files beside the data come before those in the working directory', async () => {
    await write('config/setting.ini', 'slots = 1')
    await write('data/config/setting.ini', 'slots = 2')
    expect((await load()).config.selling.slots).toBe(1)
    expect((await load({ flags: { data_dir: 'data' } })).config.selling.slots).toBe(2)
    const named = await load({ flags: { data_dir: 'data' }, configDirectory: join(root, 'config') })
    expect(named.config.selling.slots).toBe(1)
  })

  it('a repeated flag replaces the list of the file as a whole', async () => {
    await write('config/setting.ini', 'bootstrap = /ip4/10.0.0.1/tcp/1, /ip4/10.0.0.2/tcp/2')
    expect((await load()).config.network.bootstrap).toEqual(['/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.2/tcp/2'])
    const { config, entries } = await load({ flags: { bootstrap: ['/ip4/1.1.1.1/tcp/3', '/ip4/1.1.1.2/tcp/4'] } })
    expect(config.network.bootstrap).toEqual(['/ip4/1.1.1.1/tcp/3', '/ip4/1.1.1.2/tcp/4'])
    expect(entries.find(({ key }) => key === 'bootstrap')).toEqual({
      key: 'bootstrap',
      shown: '/ip4/1.1.1.1/tcp/3, /ip4/1.1.1.2/tcp/4',
      origin: '--bootstrap',
    })
  })
})

describe('values', () => {
  it('reads prices per Mtok exactly, with models that hold "=", ":" and "/"', async () => {
    const { config } = await load({ flags: { sell: ['llama3.1:8b=0.1/0.4', 'org/m=odel*=2/0.000001'] } })
    expect(config.selling.rules).toEqual([
      { model: 'llama3.1:8b', inputMicrosPerMtok: 100_000n, outputMicrosPerMtok: 400_000n },
      { model: 'org/m=odel*', inputMicrosPerMtok: 2_000_000n, outputMicrosPerMtok: 1n },
    ])
  })

  it('keeps the dialect behind "#" in a provider', async () => {
    await write('config/setting.ini', 'providers = vllm=http://127.0.0.1:8000#anthropic-messages # a comment')
    expect((await load()).config.providers.servers).toBe('vllm=http://127.0.0.1:8000#anthropic-messages')
  })

  it('expands ~ and takes other paths from the working directory', async () => {
    const { config } = await load({ env: { TOKLIGENCE_DATA_DIR: '~/d', TOKLIGENCE_LOG_FILE: 'logs/node.log' } })
    expect(config.dataDirectory).toBe(join(root, 'd'))
    expect(config.log.file).toBe(join(root, 'logs/node.log'))
  })

  it('leaves the lines of other programs in .env alone', async () => {
    await write('.env', 'KEY="first\nsecond"\nthis is no setting\nexport TOKLIGENCE_SLOTS="7" # mine\n')
    expect((await load()).config.selling.slots).toBe(7)
  })
})

describe('secrets', () => {
  it('are never shown', async () => {
    await write('openai.key', 'sk-in-a-file\n')
    const { config, entries } = await load({
      env: {
        TOKLIGENCE_OPENAI_API_KEY_FILE: 'openai.key',
        TOKLIGENCE_ANTHROPIC_API_KEY: 'sk-in-a-variable',
        TOKLIGENCE_PROVIDERS: 'mine=http://me:pass@127.0.0.1:9/v1',
      },
    })
    expect(config.providers.openai.apiKey).toBe('sk-in-a-file')
    expect(config.providers.anthropic.apiKey).toBe('sk-in-a-variable')
    expect(JSON.stringify(entries)).not.toMatch(/sk-|pass/)
    expect(entries.find(({ key }) => key === 'anthropic_api_key')?.shown).toBe('(hidden)')
    expect(entries.find(({ key }) => key === 'openai_api_key')?.shown).toBe('')
    expect(entries.find(({ key }) => key === 'providers')?.shown).toBe('mine=http://(hidden)@127.0.0.1:9/v1')
  })

  it('the later layer decides between a key and a file with one', async () => {
    await write('a.key', 'from-file')
    await write('config/setting.ini', 'openai_api_key = from-setting')
    const file = { TOKLIGENCE_OPENAI_API_KEY_FILE: 'a.key' }
    expect((await load({ env: file })).config.providers.openai.apiKey).toBe('from-file')
    await write('config/setting.ini', 'openai_api_key_file = a.key')
    const { config } = await load({ env: { TOKLIGENCE_OPENAI_API_KEY: 'from-variable' } })
    expect(config.providers.openai.apiKey).toBe('from-variable')
  })
})

describe('refusals name the place', () => {
  const lines: [line: string, reason: string][] = [
    ['facade_prot = 1', 'facade_prot is not known; did you mean facade_port?'],
    ['colour = red', 'colour is not known'],
    ['hooks_enabled = true', 'hooks_enabled is of Tokligence Gateway and not used by this version; take it out'],
    ['facade_port = 99999', 'facade_port: "99999" is not a whole number from 0 to 65535'],
    ['facade_port =', 'facade_port: "" is not a whole number from 0 to 65535'],
    ['slots = 2.5', 'slots: "2.5" is not a whole number from 1 to 1000'],
    ['mdns = perhaps', 'mdns: "perhaps" is not true or false'],
    ['role = sellr', 'role: "sellr" is not one of local, buyer, seller, both'],
    ['max_spend = 1e3', 'max_spend: "1e3" is not an amount such as 0.25 (digits, at most six decimals)'],
    ['max_spend = -1', 'max_spend: "-1" is not an amount such as 0.25 (digits, at most six decimals)'],
    [
      'sell = llama3=0.1',
      'sell: "llama3=0.1" is not MODEL=INPUT/OUTPUT with prices in USD per Mtok, such as llama3*=0.10/0.40',
    ],
    ['openai_base_url = api.openai.com', 'openai_base_url: "api.openai.com" is not an http:// or https:// URL'],
    ['network = My Net', 'network: "My Net" is not a word of at most 32 lower-case letters, digits and hyphens'],
    ['discovery_ports = 1, x', 'discovery_ports: "x" is not a whole number from 1 to 65535'],
    [
      'facade_host = 0.0.0.0',
      'facade_host: "0.0.0.0" is not a loopback address: the facade asks for no credentials yet, so it listens on this machine only (127.0.0.1)',
    ],
    ['facade_port', 'this is not "key = value"'],
    ['log_file = "open', 'the value is not closed by "'],
  ]
  it.each(lines)('%s', async (line, reason) => {
    await write('config/setting.ini', `# first\n[section]\n${line}\n`)
    expect(await refusal()).toBe(`the configuration is not valid: config/setting.ini:3: ${reason}`)
  })

  it('a mistake is found even where a later layer replaces the value', async () => {
    await write('config/setting.ini', 'slots = many')
    expect(await refusal({ env: { TOKLIGENCE_SLOTS: '3' } })).toContain('config/setting.ini:1: slots')
  })

  it('a key set twice in one file', async () => {
    await write('config/setting.ini', 'slots = 1\nslots = 2')
    expect(await refusal()).toContain('config/setting.ini:2: slots is set already at config/setting.ini:1')
  })

  it('the environment set in the file that it chooses', async () => {
    await write('config/setting.ini', '')
    await write('config/dev/gateway.ini', 'environment = live')
    expect(await refusal()).toContain('config/dev/gateway.ini:1: environment decides that this file is read')
  })

  const variables: [name: string, value: string, reason: string][] = [
    [
      'TOKLIGENCE_FACADE_PROT',
      '1',
      'environment variable TOKLIGENCE_FACADE_PROT is not known; did you mean TOKLIGENCE_FACADE_PORT?',
    ],
    [
      'TOKLIGENCE_AUTH_SECRET',
      'x',
      'environment variable TOKLIGENCE_AUTH_SECRET is of Tokligence Gateway and not used',
    ],
    ['TOKLIGENCE_ROLE', 'king', 'TOKLIGENCE_ROLE: role: "king" is not one of'],
    [
      'TOKLIGENCE_OPENAI_API_KEY_FILE',
      'none',
      'TOKLIGENCE_OPENAI_API_KEY_FILE: openai_api_key_file: none cannot be used: ENOENT',
    ],
  ]
  it.each(variables)('variable %s=%s', async (name, value, reason) => {
    expect(await refusal({ env: { [name]: value } })).toContain(reason)
  })

  it('a variable in .env', async () => {
    await write('.env', 'OTHER=1\nTOKLIGENCE_SLTS=1\n')
    expect(await refusal()).toContain('.env:2: TOKLIGENCE_SLTS is not known; did you mean TOKLIGENCE_SLOTS?')
  })

  it('a flag', async () => {
    expect(await refusal({ flags: { facade_port: '80a' } })).toContain('--facade-port: facade_port: "80a" is not')
  })

  it('a configuration directory that does not exist', async () => {
    expect(await refusal({ configDirectory: join(root, 'nowhere') })).toContain('the directory nowhere does not exist')
  })
})
