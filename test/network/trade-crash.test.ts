import type { IncomingMessage } from 'node:http'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { open } from '../support/http-exchange.ts'
import {
  chat,
  chatEvents,
  chatQuestion,
  EVENT_STREAM,
  eventually,
  hears,
  journalOf,
  providedBy,
  settled,
} from '../support/market.ts'
import { findFreePort, startNodeProcess, type NodeProcess } from '../support/node-process.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

let place: string
let provider: ScriptedProvider
let sellerPort: number
let seller: NodeProcess
let buyer: NodeProcess

async function startSeller(): Promise<void> {
  seller = await startNodeProcess({
    home: join(place, 'seller'),
    words: ['--role', 'seller', '--sell', '*=1/2', '--listen', `/ip4/127.0.0.1/tcp/${sellerPort}`],
    env: { TOKLIGENCE_PROVIDERS: String(providedBy(provider).providers), TOKLIGENCE_STRANGER_CREDIT: '5' },
  })
}

async function startBuyer(): Promise<void> {
  buyer = await startNodeProcess({
    home: join(place, 'buyer'),
    words: [
      '--role',
      'buyer',
      '--listen',
      '/ip4/127.0.0.1/tcp/0',
      '--bootstrap',
      seller.multiaddrs[0]!,
      '--max-spend',
      '10',
    ],
  })
}

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'tok-crash-'))
  await Promise.all([mkdir(join(place, 'seller')), mkdir(join(place, 'buyer'))])
  provider = await startScriptedProvider()
  sellerPort = await findFreePort()
  await startSeller()
  await startBuyer()
  await hears(buyer, [seller])
})
afterEach(async () => {
  await Promise.all([seller.end('SIGKILL'), buyer.end('SIGKILL')])
  await provider.close()
  await rm(place, { recursive: true })
})

/** A long stream: 4 tokens every 3 ms, so that vouchers are on their way at any moment. */
function scriptLongStream(): void {
  const events = chatEvents(Array.from({ length: 2_000 }, (_, index) => `token ${String(index).padStart(9)} `))
  provider.script({ headers: EVENT_STREAM, body: events.flatMap((event) => [3, event]) })
}

/** Begins a stream, and gives its text once it is over and how it ended. */
function beginStream(): { text(): string; readonly ended: Promise<'end' | 'broken'> } {
  let text = ''
  const ended = new Promise<'end' | 'broken'>((resolve) => {
    const onAnswer = (answer: IncomingMessage): void => {
      answer.on('data', (piece: Buffer) => (text += piece.toString()))
      answer.on('end', () => resolve('end'))
      answer.on('error', () => resolve('broken'))
    }
    open(`${buyer.url}/v1/chat/completions`, chatQuestion({ stream: true }), onAnswer).on('error', () =>
      resolve('broken'),
    )
  })
  return { text: () => text, ended }
}

const ROUNDS = 3

test('a seller killed in mid-stream comes back to accounts that agree', async () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    scriptLongStream()
    const stream = beginStream()
    await eventually(() => stream.text().length > 20_000 * round)
    await seller.end('SIGKILL')
    expect(await stream.ended).toBe('end')
    expect(stream.text()).toContain('broke off')
    expect(stream.text()).not.toContain('[DONE]')
    await eventually(() => provider.requests.at(-1)?.wasAbandoned)

    await startSeller()
    const answer = await chat(buyer.url)
    expect(answer.status, answer.text()).toBe(200)
    const { items, buyerLines } = await settled(buyer, seller)
    expect(items).toHaveLength(2 * round)
    expect(journalOf(buyerLines).filter(({ error }) => error === 'stream_incomplete')).toHaveLength(round)
  }
}, 60_000)

test('a buyer killed in mid-stream comes back to accounts that agree, and the model server was stopped', async () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    scriptLongStream()
    const stream = beginStream()
    await eventually(() => stream.text().length > 20_000 * round)
    await buyer.end('SIGKILL')
    expect(await stream.ended).toBe('broken')
    await eventually(() => provider.requests.at(-1)?.wasAbandoned, 1_000)

    await startBuyer()
    await hears(buyer, [seller])
    const answer = await chat(buyer.url)
    expect(answer.status, answer.text()).toBe(200)
    const { items, buyerLines } = await settled(buyer, seller)
    expect(items).toHaveLength(2 * round)
    expect(journalOf(buyerLines).filter(({ error }) => error === 'node_stopping')).toHaveLength(round)
  }
}, 60_000)

/** A second, dearer seller; its data are under "other". */
async function startOther(): Promise<NodeProcess> {
  await mkdir(join(place, 'other'))
  return startNodeProcess({
    home: join(place, 'other'),
    words: [
      '--role',
      'seller',
      '--sell',
      '*=3/6',
      '--listen',
      '/ip4/127.0.0.1/tcp/0',
      '--bootstrap',
      buyer.multiaddrs[0]!,
    ],
    env: { TOKLIGENCE_PROVIDERS: String(providedBy(provider).providers) },
  })
}

test('a seller killed for good is passed by for the next one', async () => {
  const other = await startOther()
  try {
    await hears(buyer, [seller, other])
    expect((await chat(buyer.url)).headers['x-tok-target']).toBe(seller.peerId)
    await seller.end('SIGKILL')
    const startedAtMs = performance.now()
    expect((await chat(buyer.url)).headers['x-tok-target']).toBe(other.peerId)
    expect(performance.now() - startedAtMs).toBeLessThan(2_000)
    await settled(buyer, other)
  } finally {
    await other.end('SIGTERM')
  }
})

test('a seller that hangs is passed by, named by its silence, and owed nothing', async () => {
  const other = await startOther()
  try {
    await hears(buyer, [seller, other])
    process.kill(seller.pid, 'SIGSTOP')
    const startedAtMs = performance.now()
    const answer = await chat(buyer.url)
    expect(answer.headers['x-tok-target'], answer.text()).toBe(other.peerId)
    expect(performance.now() - startedAtMs).toBeLessThan(7_000)
    expect(buyer.log()).toMatch(
      new RegExp(`the seller ${seller.peerId} (?:sent nothing for 5000 ms|cannot be reached)`),
    )
    process.kill(seller.pid, 'SIGCONT')
    await settled(buyer, seller)
    await settled(buyer, other)
  } finally {
    process.kill(seller.pid, 'SIGCONT')
    await other.end('SIGTERM')
  }
})
