import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli, type CliResult } from '../support/cli.ts'

let home = ''
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tok-cli-'))
})
afterAll(() => rm(home, { recursive: true }))

function cli(words: string, env: Record<string, string> = {}): Promise<CliResult> {
  return runCli(words.split(' ').filter(Boolean), { home, env })
}

const LEAVES = [
  'init',
  'start',
  'stop',
  'status',
  'demo',
  'doctor',
  'models',
  'offers',
  'peers',
  'explain',
  'chat',
  'sell list',
  'sell price',
  'sell remove',
  'sell pause',
  'sell resume',
  'ledger list',
  'ledger show',
  'ledger verify',
  'ledger prove',
  'ledger prune',
  'ledger export',
  'config show',
]

describe('help', () => {
  it('lists every command and the exit codes', async () => {
    const { code, stdout } = await cli('--help')
    expect(code).toBe(0)
    for (const leaf of LEAVES) expect(stdout).toContain(`\n  ${leaf.split(' ')[0]} `)
    expect(stdout).toContain('Exit codes: 0 done; 1 failed; 2 wrong command line; 3 no node')
  })

  it.each(LEAVES)('%s explains itself and takes --json', async (leaf) => {
    const { code, stdout, stderr } = await cli(`${leaf} --help`)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toContain(`Usage: tok-node ${leaf}`)
    expect(stdout).toContain('--json')
  })

  it('start names every flag', async () => {
    const { stdout } = await cli('start --help')
    const flags =
      '--data-dir --config-dir --env --role --facade-port --listen --bootstrap --no-mdns --sell --max-spend --json'
    for (const flag of flags.split(' ')) expect(stdout).toContain(flag)
  })
})

describe('a wrong command line', () => {
  const table: [words: string, said: string][] = [
    ['strat', "unknown command 'strat'; did you mean start?"],
    ['ledger lst', "unknown command 'lst'; did you mean list?"],
    ['start --facade-prot 1', "unknown option '--facade-prot'; did you mean --facade-port?"],
    ['status now', "too many arguments for 'status'. Expected 0 arguments but got 1: now."],
    ['explain', "required option '--model <model>' not specified"],
    ['explain --model m --endpoint chatt', "option '--endpoint <name>' argument 'chatt' is invalid."],
    ['chat --max-tokens many hi', "option '--max-tokens <count>' argument 'many' is invalid. It is not a count."],
    ['ledger show', "missing required argument 'id'"],
  ]
  it.each(table)('%s', async (words, said) => {
    const { code, stdout, stderr } = await cli(words)
    expect(stderr).toContain(said)
    expect(stderr).toContain('next: see --help')
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })

  it('is told as JSON to a program', async () => {
    const { code, stderr, json } = await cli('statsu --json')
    expect(json()).toEqual({
      error: {
        code: 'argument_invalid',
        message: "unknown command 'statsu'; did you mean status?",
        next: 'see --help',
      },
    })
    expect(stderr).toBe('')
    expect(code).toBe(2)
  })

  it('of a group alone prints its help', async () => {
    const { code, stderr } = await cli('ledger')
    expect(stderr).toContain('Usage: tok-node ledger')
    expect(code).toBe(2)
  })
})

describe('without a node', () => {
  it.each(['status', 'stop', 'models', 'offers', 'peers', 'explain --model m', 'chat hi', 'sell list'])(
    '%s says that none runs, and how to start one',
    async (words) => {
      const { code, json } = await cli(`${words} --json`)
      expect(json()).toEqual({
        error: {
          code: 'node_not_running',
          message: `no tok-node runs on ${home}/.tok-node`,
          next: 'start it with `tok-node start`',
        },
      })
      expect(code).toBe(3)
    },
  )

  it('a file left by a killed node counts as none', async () => {
    const directory = join(home, 'killed')
    await mkdir(directory)
    const runtime = { pid: 999_999_999, facade: 'http://127.0.0.1:9', adminToken: 't', peerId: 'p', startedAtMs: 1 }
    await writeFile(join(directory, 'node.json'), JSON.stringify(runtime))
    const { code, stderr } = await cli('status --data-dir killed')
    expect(stderr).toContain('no tok-node runs on')
    expect(code).toBe(3)
  })

  it('an address where nothing answers is told apart while the process is there', async () => {
    const directory = join(home, 'silent')
    await mkdir(directory)
    const runtime = { pid: process.pid, facade: 'http://127.0.0.1:9', adminToken: 't', peerId: 'p', startedAtMs: 1 }
    await writeFile(join(directory, 'node.json'), JSON.stringify(runtime))
    const { code, stderr } = await cli('stop --data-dir silent')
    expect(stderr).toContain('does not answer')
    expect(code).toBe(3)
  })
})

describe('config show', () => {
  it('tells every value with its origin, and no secret', async () => {
    await mkdir(join(home, 'conf/test'), { recursive: true })
    await writeFile(join(home, 'conf/setting.ini'), 'environment = test\nopenai_api_key = sk-secret\n')
    await writeFile(join(home, 'conf/test/gateway.ini'), 'slots = 3\n')
    const { code, stdout, json } = await cli('config show --config-dir conf --changed --json --no-mdns', {
      TOKLIGENCE_ROLE: 'buyer',
    })
    expect(stdout).not.toContain('sk-secret')
    expect(json()).toEqual({
      configDirectory: `${home}/conf`,
      entries: [
        { key: 'environment', value: 'test', origin: `${home}/conf/setting.ini:1` },
        { key: 'role', value: 'buyer', origin: 'TOKLIGENCE_ROLE' },
        { key: 'openai_api_key', value: '(hidden)', origin: `${home}/conf/setting.ini:2` },
        { key: 'mdns', value: 'false', origin: '--no-mdns' },
        { key: 'slots', value: '3', origin: `${home}/conf/test/gateway.ini:1` },
      ],
    })
    expect(code).toBe(0)
  })

  it('uses no colours away from a terminal', async () => {
    const { stdout } = await cli('config show')
    expect(stdout).toContain('facade_port                  8081')
    expect(stdout).not.toContain('\u001b')
  })

  it('a mistake has its place and an exit code of its own', async () => {
    const { code, json } = await cli('config show --json', { TOKLIGENCE_FACADE_PROT: '1' })
    expect(json()).toMatchObject({
      error: { code: 'config_invalid', message: expect.stringContaining('did you mean TOKLIGENCE_FACADE_PORT?') },
    })
    expect(code).toBe(4)
  })
})

describe('init', () => {
  it('writes files, key and an empty ledger, once', async () => {
    const words = 'init --data-dir made --role seller --sell llama3*=0.10/0.40 --sell qwen=1/2 --json'
    const first = await cli(words)
    const { peerId } = first.json() as { peerId: string }
    expect(peerId).toMatch(/^12D3KooW/)
    expect(first.json()).toMatchObject({ keyCreated: true, written: [expect.any(String), expect.any(String)] })
    expect((await stat(join(home, 'made/node.key'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(home, 'made'))).mode & 0o777).toBe(0o700)
    expect(await readFile(join(home, 'made/config/dev/gateway.ini'), 'utf8')).toContain(
      'sell = llama3*=0.10/0.40, qwen=1/2\n',
    )

    const second = await cli(words)
    expect(second.json()).toMatchObject({ keyCreated: false, written: [], peerId })

    const { json } = await cli('config show --data-dir made --changed --json')
    expect(json()).toMatchObject({
      entries: expect.arrayContaining([
        { key: 'role', value: 'seller', origin: `${home}/made/config/dev/gateway.ini:4` },
      ]),
    })
  })

  it('writes nothing that would not start', async () => {
    const { code, stderr } = await cli('init --data-dir unmade --role seller --sell llama3=0.1')
    expect(stderr).toContain('--sell: sell: "llama3=0.1" is not MODEL=INPUT/OUTPUT')
    expect(code).toBe(4)
    await expect(stat(join(home, 'unmade'))).rejects.toThrow('ENOENT')
  })
})

describe('the stored ledger', () => {
  beforeAll(async () => {
    await cli('init --data-dir stored --role local')
  })

  it('is listed and verified without a node', async () => {
    expect((await cli('ledger list --data-dir stored --json')).json()).toEqual({ accounts: [] })
    const verified = await cli('ledger verify --data-dir stored --json')
    expect(verified.json()).toEqual({ verified: true, statements: 0, entries: 0 })
    expect(verified.code).toBe(0)
  })

  it('its export verifies as a file of its own, by both verifiers, and a flipped byte is named', async () => {
    const exported = await cli('ledger export --data-dir stored -o stored.ndjson --json')
    expect(exported.json()).toEqual({ file: 'stored.ndjson' })
    for (const engine of ['tweetnacl', 'native']) {
      const { code, json } = await cli(`ledger verify stored.ndjson --json ${engine === 'native' ? '--native' : ''}`)
      expect(json()).toMatchObject({ verified: true, lines: 2, statements: 0, signatures: 1, engine, accounts: [] })
      expect(code).toBe(0)
    }
    const bytes = await readFile(join(home, 'stored.ndjson'))
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await writeFile(join(home, 'flipped.ndjson'), bytes)
    const { code, json } = await cli('ledger verify flipped.ndjson --json')
    expect(json()).toMatchObject({
      error: { code: 'export_invalid', message: expect.stringMatching(/^flipped\.ndjson: line 1, byte/) },
    })
    expect(code).toBe(1)
  })

  it('an export is not written over a file', async () => {
    await writeFile(join(home, 'there.ndjson'), 'mine')
    const { code, stderr } = await cli('ledger export --data-dir stored -o there.ndjson')
    expect(stderr).toContain('there.ndjson cannot be written: EEXIST')
    expect(code).toBe(2)
    expect(await readFile(join(home, 'there.ndjson'), 'utf8')).toBe('mine')
  })

  it('what is not recorded is named', async () => {
    const { code, json } = await cli('ledger show nothing --data-dir stored --json')
    expect(json()).toMatchObject({ error: { code: 'record_not_found' } })
    expect(code).toBe(1)
  })

  it('where no node ever ran there is none', async () => {
    const { code, stderr } = await cli('ledger list --data-dir never')
    expect(stderr).toContain('no node ever ran here')
    expect(code).toBe(1)
    await expect(stat(join(home, 'never'))).rejects.toThrow('ENOENT')
  })
})

describe('doctor', () => {
  type Report = { ok: boolean; findings: { check: string; outcome: string; says: string; next?: string }[] }

  async function examine(words: string, env: Record<string, string> = {}): Promise<CliResult & { report: Report }> {
    const result = await cli(`doctor --json ${words}`, { TOKLIGENCE_DISCOVER: 'false', ...env })
    return { ...result, report: result.json() as Report }
  }

  it('passes on a machine where nothing is wrong yet', async () => {
    await cli('init --data-dir fresh --role local')
    const { code, report } = await examine('--data-dir fresh', { TOKLIGENCE_FACADE_PORT: '0' })
    expect(report.findings.map(({ check, outcome }) => `${outcome} ${check}`)).toEqual([
      'ok node',
      'ok clock',
      'ok configuration',
      'ok data directory',
      'ok node key',
      'ok port',
      'warn local engines',
      'ok hosted keys',
      'warn running node',
    ])
    expect(report.ok).toBe(true)
    expect(code).toBe(0)
  })

  it('fails on a taken port and says what to do', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      const { code, report } = await examine('', { TOKLIGENCE_FACADE_PORT: String(port) })
      expect(report.findings.find(({ check }) => check === 'port')).toEqual({
        check: 'port',
        outcome: 'fail',
        says: expect.stringContaining('EADDRINUSE') as string,
        next: 'stop the other program, or choose another --facade-port',
      })
      expect(report.ok).toBe(false)
      expect(code).toBe(1)
    } finally {
      server.close()
    }
  })

  it('fails on a key that others can read', async () => {
    await cli('init --data-dir open --role local')
    await chmod(join(home, 'open/node.key'), 0o644)
    const { code, report } = await examine('--data-dir open', { TOKLIGENCE_FACADE_PORT: '0' })
    expect(report.findings.find(({ check }) => check === 'node key')).toMatchObject({
      outcome: 'fail',
      says: expect.stringContaining('others may read it') as string,
    })
    expect(code).toBe(1)
  })

  it('fails on a configuration that is not valid', async () => {
    const { code, report } = await examine('', { TOKLIGENCE_SLOTS: '0' })
    expect(report.findings.at(-1)).toMatchObject({
      check: 'configuration',
      outcome: 'fail',
      says: expect.stringContaining('TOKLIGENCE_SLOTS: slots: "0"') as string,
    })
    expect(code).toBe(1)
  })
})
