import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import type { AdminApi, SellOffer, StatusView } from '../../src/gateway/admin-api.ts'
import { exportLedger } from '../../src/ledger/export.ts'
import { openLedger, type Ledger } from '../../src/ledger/ledger.ts'
import { openLevelStore } from '../../src/ledger/store.ts'
import { ledgerDirectory, openNodeKey } from '../../src/node/data-directory.ts'
import { accountsOf, proofOf, pruneLedger, recordOf, verifyLedger } from '../../src/node/ledger-views.ts'
import { writeRuntimeFile } from '../../src/node/runtime-file.ts'
import { runCli, type CliResult } from '../support/cli.ts'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

const POLICY = { strangerCredit: 100_000n, strangerBudget: 0n, creditLimit: 0n }

/** A real facade and a real ledger, held by this process in place of a node. */
let home = ''
let directory = ''
let provider: ScriptedProvider
let facade: TestFacade
let ledger: Ledger
let peerId = ''
let selling: { paused: boolean; offers: readonly SellOffer[] }

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tok-cli-'))
  directory = join(home, '.tok-node')
  const { key } = await openNodeKey(directory)
  peerId = key.peer
  const store = await openLevelStore(ledgerDirectory(directory), true)
  ledger = await openLedger({ store, key, clock: systemClock }, { network: 'main', asset: 'USD' })
  provider = await startScriptedProvider({ models: ['test-model'] })
  selling = {
    paused: false,
    offers: [{ model: 'llama3*', inputMicrosPerMtok: '100000', outputMicrosPerMtok: '400000' }],
  }
  facade = await startFacade({ servers: [{ name: 'mine', url: provider.url }], admin: adminOf() })
  await writeRuntimeFile(directory, {
    pid: process.pid,
    facade: facade.url,
    adminToken: facade.adminToken,
    peerId,
    startedAtMs: Date.now() - 61_000,
  })
})
afterEach(async () => {
  await facade.close()
  await provider.close()
  await ledger.close()
  await rm(home, { recursive: true })
})

function adminOf(): Partial<AdminApi> {
  return {
    status: () => Promise.resolve(statusView()),
    accounts: () => Promise.resolve(accountsOf(ledger, POLICY)),
    show: (id) => recordOf(ledger, id, POLICY),
    exportLedger: () => exportLedger(ledger, Date.now()),
    verifyLedger: () => verifyLedger(ledger, Date.now()),
    prove: async (id) => ({ proof: await proofOf(ledger, id) }),
    pruneLedger: (beforeMs) => pruneLedger(ledger, beforeMs),
    peers: () => Promise.resolve([]),
    offers: () =>
      Promise.resolve([
        {
          seller: peerId,
          model: 'llama3\u001b[2J',
          inputMicrosPerMtok: '100000',
          outputMicrosPerMtok: '400000',
          expiresAtMs: Date.now() + 90_500,
          connected: true,
        },
      ]),
    selling: () => Promise.resolve(selling),
    setOffers: (offers) => change({ offers }),
    pauseSelling: () => change({ paused: true }),
    resumeSelling: () => change({ paused: false }),
  }
}

function change(changed: Partial<typeof selling>): Promise<typeof selling> {
  selling = { ...selling, ...changed }
  return Promise.resolve(selling)
}

function statusView(): StatusView {
  return {
    version: '0.1.0',
    pid: process.pid,
    peerId,
    role: 'both',
    network: 'main',
    facade: facade.url,
    multiaddrs: ['/ip4/127.0.0.1/tcp/4001'],
    startedAtMs: Date.now() - 61_000,
    peersConnected: 2,
    ledger: { checkpoint: { sequence: 3, createdAtMs: 0 }, statements: 7, naclVerified: 5, mismatches: ['not so'] },
    providers: [{ name: 'mine', origin: provider.url, dialects: ['openai-chat'], health: 'up', models: 1 }],
    buying: { spentTodayMicros: '250000', heldMicros: '0', limitMicros: '1000000' },
    selling: { paused: false, offers: 1, callsOpen: 1, slots: 4 },
  }
}

function cli(words: string, input?: string): Promise<CliResult> {
  const place = { home, env: { TOKLIGENCE_DISCOVER: 'false' } }
  return runCli(words.split(' '), input === undefined ? place : { ...place, input })
}

describe('a running node', () => {
  it('tells its status to people and to programs', async () => {
    const { stdout, code } = await cli('status')
    expect(stdout).toContain(`running tok-node 0.1.0, process ${process.pid}, for 1 min`)
    expect(stdout).toContain('5 of 7 statements confirmed by tweetnacl, checkpoint 3 of 1970-01-01T00:00:00.000Z')
    expect(stdout).toContain('not so')
    expect(stdout).toContain('0.25 USD spent today, 0.00 USD held, limit 1.00 USD')
    expect(stdout).toContain('1 offers, 1 of 4 slots busy')
    expect(code).toBe(0)
    expect((await cli('status --json')).json()).toMatchObject({ peerId, peersConnected: 2 })
  })

  it('cannot be told to redraw the terminal by the name of an offer', async () => {
    const { stdout } = await cli('offers')
    expect(stdout).toContain('llama3[2J')
    expect(stdout).toMatch(/0\.10 USD +0\.40 USD +1 min (29|30) s/)
    expect(stdout).not.toContain('\u001b')
  })

  it('lists models, and peers where there are none', async () => {
    expect((await cli('models')).stdout).toMatch(/test-model +mine/)
    expect((await cli('peers')).stdout).toContain('no peer is connected')
    expect((await cli('peers --json')).json()).toEqual({ peers: [] })
  })

  it('keeps a second one off its data directory', async () => {
    const { code, stderr } = await cli('start')
    expect(stderr).toContain(`another tok-node uses ${directory} (process ${process.pid}, ${facade.url})`)
    expect(code).toBe(1)
  })

  it('is healthy to the doctor', async () => {
    const { json } = await cli('doctor --json')
    expect(json()).toMatchObject({
      findings: expect.arrayContaining([
        { check: 'running node', outcome: 'ok', says: `tok-node 0.1.0 at ${facade.url}, role both` },
        { check: 'peers', outcome: 'ok', says: '2 connected, network main' },
      ]) as unknown,
    })
  })

  it('that is another one by now is not stopped', async () => {
    await writeRuntimeFile(directory, {
      pid: process.ppid,
      facade: facade.url,
      adminToken: facade.adminToken,
      peerId,
      startedAtMs: 1,
    })
    const { code, stderr } = await cli('stop')
    expect(stderr).toContain('another node answers at its address')
    expect(code).toBe(3)
  })

  it('refuses a wrong token, and its words are passed on', async () => {
    await writeRuntimeFile(directory, {
      pid: process.pid,
      facade: facade.url,
      adminToken: 'wrong',
      peerId,
      startedAtMs: 1,
    })
    const { code, json } = await cli('status --json')
    expect(json()).toMatchObject({ error: { code: 'credential_missing' } })
    expect(code).toBe(1)
  })
})

describe('sell', () => {
  it('prices one model, adds another, removes the first', async () => {
    const priced = await cli('sell price llama3*=0.20/0.80 qwen=1/2 --json')
    expect(priced.json()).toEqual({
      paused: false,
      offers: [
        { model: 'llama3*', inputMicrosPerMtok: '200000', outputMicrosPerMtok: '800000' },
        { model: 'qwen', inputMicrosPerMtok: '1000000', outputMicrosPerMtok: '2000000' },
      ],
    })
    await cli('sell remove llama3*')
    expect((await cli('sell list')).stdout).toMatch(/^model .*\nqwen +1\.00 USD +2\.00 USD\n$/)
  })

  it('pauses and resumes', async () => {
    expect((await cli('sell pause')).stdout).toContain('paused: no new orders are taken')
    expect((await cli('sell resume --json')).json()).toMatchObject({ paused: false })
  })

  it.each([
    ['price llama3=1', '"llama3=1" is not MODEL=INPUT/OUTPUT'],
    ['remove gpt', '"gpt" is not for sale'],
  ])('%s is refused, and nothing changes', async (words, said) => {
    const before = selling
    const { code, stderr } = await cli(`sell ${words}`)
    expect(stderr).toContain(said)
    expect(code).toBe(2)
    expect(selling).toBe(before)
  })
})

describe('the ledger of a running node', () => {
  it('is read through the node, which holds its lock', async () => {
    expect((await cli('ledger list --json')).json()).toEqual({ accounts: [] })
    expect((await cli('ledger verify --json')).json()).toMatchObject({ verified: true })
  })

  it('an entry is proven under a checkpoint, in a file that verifies anywhere', async () => {
    await ledger.recordInference({
      requestId: 'proven',
      direction: 'local',
      endpoint: 'chat',
      dialect: 'openai-chat',
      stream: 'no',
      requestedModel: 'qwen',
      resolvedModel: 'qwen',
      status: 'completed',
      tokenSource: 'absent',
      durationMs: 1,
      retries: 0,
    })
    const { stdout: proof } = await cli('ledger prove proven')
    expect(await cli('ledger prove 1')).toMatchObject({ stdout: proof, code: 0 })
    await writeFile(join(home, 'proof.json'), proof)
    const verified = await cli('ledger verify proof.json')
    expect(verified.stdout).toContain(`verified proof.json: journal entry 1 under checkpoint 1 of ${peerId}`)
    expect(verified.code).toBe(0)
    const shown = (await cli('ledger verify proof.json --native --json')).json()
    expect(shown).toMatchObject({ verified: true, of: 'entry', shown: { requestId: 'proven' } })
    await writeFile(join(home, 'proof.json'), proof.replace('"index":0', '"index":1'))
    expect(await cli('ledger verify proof.json')).toMatchObject({ code: 1 })
    expect((await cli('ledger prove nothing --json')).json()).toMatchObject({ error: { code: 'record_not_found' } })
    expect((await cli('ledger show proven')).stdout).toMatch(/checkpoint\n.*sequence +1\n/s)
  })

  it('nothing of today is pruned, and a wrong number of days is refused', async () => {
    expect((await cli('ledger prune --keep-days 0 --json')).json()).toEqual({ entriesGone: 0 })
    expect((await cli('ledger prune --keep-days 30')).stdout).toContain('nothing was pruned')
    expect((await cli('ledger prune --keep-days few')).code).toBe(2)
  })

  it('its export goes to stdout byte by byte and verifies', async () => {
    const { stdout } = await cli('ledger export')
    expect(stdout.trim().split('\n')).toHaveLength(2)
    await cli('ledger export -o mine.ndjson')
    const { stdout: verified, code } = await cli('ledger verify mine.ndjson')
    expect(verified).toContain('verified mine.ndjson: 2 lines, 0 statements, 1 signatures by tweetnacl')
    expect(verified).toContain('0 journal entries; no checkpoint')
    expect(verified).toContain(`of node ${peerId}, network main`)
    expect(verified).toContain('it cannot show that nothing newer exists')
    expect(code).toBe(0)
  })
})

describe('chat', () => {
  it('streams one answer, then names target and tokens', async () => {
    const { stdout, code } = await cli('chat --model test-model hello there')
    expect(code).toBe(0)
    const [question] = provider.requests.filter(({ method }) => method === 'POST')
    expect(question?.json).toMatchObject({
      model: 'test-model',
      stream: true,
      messages: [{ role: 'user', content: 'hello there' }],
    })
    expect(stdout).toMatch(/^.+\nmine · \d+ tokens in, \d+ out\n$/s)
  })

  it('takes the only model there is, and the prompt from a pipe', async () => {
    const { json } = await cli('chat --json --max-tokens 9', 'from a pipe\n')
    expect(json()).toMatchObject({ model: 'test-model', target: 'mine', text: expect.stringMatching(/./) as string })
    expect(provider.requests.at(-1)?.json).toMatchObject({
      max_tokens: 9,
      messages: [{ role: 'user', content: 'from a pipe' }],
    })
  })

  it('asks in the other dialect where the model is served in that alone', async () => {
    await facade.close()
    const servers = [{ name: 'mine', url: provider.url, dialects: ['anthropic-messages' as const] }]
    facade = await startFacade({ servers, admin: adminOf() })
    await writeRuntimeFile(directory, {
      pid: process.pid,
      facade: facade.url,
      adminToken: facade.adminToken,
      peerId,
      startedAtMs: 1,
    })
    const { json, code } = await cli('chat --model test-model --json hello')
    expect(code).toBe(0)
    expect(json()).toMatchObject({ target: 'mine', text: expect.stringMatching(/./) as string })
    expect(provider.requests.at(-1)?.path).toContain('/v1/messages')
  })

  it('tells a refusal of the provider in its own words', async () => {
    provider.script({ status: 400, body: '{"error":{"message":"context too long"}}' })
    const { code, stderr } = await cli('chat --model test-model hello')
    expect(stderr).toContain('context too long')
    expect(code).toBe(1)
  })

  it('an answer that breaks off is a failure, after what came of it', async () => {
    provider.script({
      headers: { 'content-type': 'text/event-stream' },
      body: ['data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'],
      ending: 'reset',
    })
    const { code, stdout, stderr } = await cli('chat --model test-model hello')
    expect(stdout).toContain('half')
    expect(stderr).toContain('broke off')
    expect(code).toBe(1)
  })

  it('without a prompt there is nothing to ask', async () => {
    const { code, stderr } = await cli('chat --model test-model', '')
    expect(stderr).toContain('there is no prompt')
    expect(code).toBe(2)
  })
})
