import { watch } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Flags } from '../../src/config/load.ts'
import { readRuntimeFile } from '../../src/node/runtime-file.ts'
import { FRAMES } from '../../src/wire/registry.ts'
import { exchange } from '../support/http-exchange.ts'
import {
  askAdmin,
  chat,
  chatEvents,
  EVENT_STREAM,
  eventually,
  explain,
  hears,
  journalOf,
  MODEL,
  offersOf,
  providedBy,
  settled,
  startNode,
  statusOf,
  textOf,
  type TestNode,
} from '../support/market.ts'
import { startNodeProcess } from '../support/node-process.ts'
import { framesOf, startRawBuyer } from '../support/raw-trader.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

let place: string
let provider: ScriptedProvider
const nodes: TestNode[] = []

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'tok-node-'))
  provider = await startScriptedProvider()
})
afterEach(async () => {
  await Promise.all(nodes.splice(0).map(({ node }) => node.stop()))
  await provider.close()
  await rm(place, { recursive: true })
})

/** A node whose data are kept under its name. */
async function start(name: string, settings: Flags): Promise<TestNode> {
  const node = await startNode({ data_dir: join(place, name), ...settings })
  nodes.push(node)
  return node
}

const startSeller = (settings: Flags = {}): Promise<TestNode> =>
  start('seller', { role: 'seller', sell: '*=1/2', ...providedBy(provider), ...settings })

const startBuyer = (through: TestNode, settings: Flags = {}): Promise<TestNode> =>
  start('buyer', { role: 'buyer', bootstrap: addressOf(through), ...settings })

function addressOf({ node }: TestNode): string {
  return node.multiaddrs()[0]!
}

const setPrice = (seller: TestNode, inputMicrosPerMtok: string, outputMicrosPerMtok: string) =>
  askAdmin(seller, 'sell', { action: 'set', offers: [{ model: '*', inputMicrosPerMtok, outputMicrosPerMtok }] })

const pricesOf = async (buyer: TestNode) =>
  (await offersOf(buyer)).map(({ outputMicrosPerMtok }) => outputMicrosPerMtok)

describe('starting', () => {
  test('a second node on the same data directory is refused, and the first goes on', async () => {
    const first = await start('one', providedBy(provider))
    await expect(start('one', providedBy(provider))).rejects.toMatchObject({ code: 'data_directory_in_use' })
    expect((await chat(first.url)).status).toBe(200)
    expect(await readRuntimeFile(first.dataDirectory)).toMatchObject({ facade: first.url })
  })

  test('the facade listens before the network is joined; where that fails, nothing is left behind', async () => {
    const other = await startSeller()
    const listen = addressOf(other).replace(/\/p2p\/.*/, '')
    const dataDirectory = join(place, 'failed')
    await mkdir(dataDirectory, { mode: 0o700 })
    const written: (string | null)[] = []
    const watcher = watch(dataDirectory, (_, file) => written.push(file))
    const failed = startNode({ data_dir: dataDirectory, role: 'seller', listen })
    await expect(failed).rejects.toMatchObject({ code: 'port_in_use' })
    watcher.close()
    // It names the facade, and is written once that listens.
    expect(written).toContain('node.json')
    expect(await readRuntimeFile(dataDirectory)).toBeUndefined()
    await expect(start('failed', { role: 'seller' })).resolves.toMatchObject({ peerId: expect.any(String) })
  })

  test('a node that does not trade loads no libp2p', async () => {
    const hook = `import { registerHooks } from 'node:module'
      registerHooks({ load: (url, context, next) => {
        if (/node_modules\\/(@?libp2p|@chainsafe|@multiformats\\/multiaddr)/.test(url)) process.stderr.write('LOADED ' + url + '\\n')
        return next(url, context)
      } })`
    const env = {
      TOKLIGENCE_PROVIDERS: String(providedBy(provider).providers),
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`,
    }
    await Promise.all([mkdir(join(place, 'local')), mkdir(join(place, 'trading'))])
    const local = await startNodeProcess({ home: join(place, 'local'), words: [], env })
    const trading = await startNodeProcess({ home: join(place, 'trading'), words: ['--role', 'buyer'], env })
    try {
      expect((await chat(local.url)).status).toBe(200)
      expect(local.log()).not.toContain('LOADED')
      expect(trading.log()).toContain('LOADED')
    } finally {
      await Promise.all([local.end('SIGKILL'), trading.end('SIGKILL')])
    }
  })
})

describe('with the network out of reach', () => {
  const nowhere = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWABHiqrka2uLKrKpKPRUM7Ctp9S5jDuqnA8Y94oyy1ezg'

  test('local models are served, and a model for the network fails within two seconds', async () => {
    const node = await start('alone', {
      role: 'both',
      bootstrap: nowhere,
      routes: 'far*=>network',
      ...providedBy(provider),
    })
    expect((await chat(node.url)).headers['x-tok-target']).toBe('engine')
    const startedAtMs = performance.now()
    const answer = await chat(node.url, { model: 'far-away' })
    expect(performance.now() - startedAtMs).toBeLessThan(2_500)
    expect(answer).toMatchObject({ status: 503, headers: { 'x-tok-error': 'no_offer' } })
  })
})

describe('stopping', () => {
  const words = Array.from({ length: 60 }, (_, index) => `word${index} `)

  test.each(['buyer', 'seller'])('a %s finishes the stream under way, and the accounts agree', async (side) => {
    const seller = await startSeller({ drain_grace_ms: '10000' })
    const buyer = await startBuyer(seller, { drain_grace_ms: '10000' })
    await hears(buyer, [seller])
    provider.script({ headers: EVENT_STREAM, body: chatEvents(words).flatMap((event) => [30, event]) })
    const asked = chat(buyer.url, { stream: true })
    await eventually(() => (provider.requests[0]?.bytesSent ?? 0) > 2_000)
    const stopping = (side === 'buyer' ? buyer : seller).node.stop()
    const answer = await asked
    expect(textOf(answer.text())).toBe(words.join(''))
    expect(answer.text()).toContain('[DONE]')
    await stopping
    const again =
      side === 'buyer'
        ? [await startBuyer(seller), seller]
        : [buyer, await startSeller({ bootstrap: addressOf(buyer) })]
    const { items, buyerLines } = await settled(again[0]!, again[1]!)
    expect(items).toMatchObject([{ usage: { outputTokens: Math.ceil(words.join('').length / 4) } }])
    expect(journalOf(buyerLines)).toMatchObject([{ status: 'completed' }])
  })

  test('a stream that is not over within the grace is ended with an error, and paid as far as it came', async () => {
    const seller = await startSeller()
    const buyer = await startBuyer(seller, { drain_grace_ms: '200' })
    await hears(buyer, [seller])
    provider.script({ headers: EVENT_STREAM, body: [...chatEvents(words).slice(0, 10), 60_000] })
    const asked = chat(buyer.url, { stream: true })
    await eventually(() => (provider.requests[0]?.bytesSent ?? 0) > 1_000)
    await buyer.node.stop()
    expect((await asked).text()).toContain('this node is stopping')
    await eventually(() => provider.requests[0]?.wasAbandoned, 1_000)
    const { items } = await settled(await startBuyer(seller), seller)
    expect(items).toMatchObject([{ usage: { outputTokens: Math.ceil(words.slice(0, 10).join('').length / 4) } }])
  })

  test('on SIGTERM a process finishes its stream and ends with 0', async () => {
    await mkdir(join(place, 'process'))
    const node = await startNodeProcess({
      home: join(place, 'process'),
      words: [],
      env: { TOKLIGENCE_PROVIDERS: String(providedBy(provider).providers) },
    })
    provider.script({ headers: EVENT_STREAM, body: chatEvents(words).flatMap((event) => [10, event]) })
    const asked = chat(node.url, { stream: true })
    await eventually(() => (provider.requests[0]?.bytesSent ?? 0) > 1_000)
    const ended = node.end('SIGTERM')
    expect((await asked).text()).toContain('[DONE]')
    expect(await ended).toEqual([0, null])
  })
})

describe('offers', () => {
  test('a changed price reaches the buyers, and orders at the old advert are honoured until it expires', async () => {
    const seller = await startSeller()
    const buyer = await startBuyer(seller)
    await hears(buyer, [seller])
    const early = await startRawBuyer({ peerId: seller.peerId, address: addressOf(seller) })
    try {
      // At once, as it comes where an operator corrects a price: the second advert must not be lost as one too many.
      await setPrice(seller, '3000000', '6000000')
      await eventually(async () => (await pricesOf(buyer)).includes('6000000'))
      const dear = await chat(buyer.url)
      expect(dear.headers['x-tok-cost-micros']).toBe('105')
      const call = await early.send(early.order())
      await eventually(() => framesOf(call, FRAMES.acceptance).length === 1)
    } finally {
      await early.stop()
    }
  })

  test('are explained: every seller with the reason for its place, and why nobody else is asked', async () => {
    const seller = await startSeller()
    const dear = await start('dear', {
      role: 'seller',
      sell: '*=3/6',
      bootstrap: addressOf(seller),
      ...providedBy(provider),
    })
    const chatOnly = await start('chat', {
      role: 'seller',
      sell: '*=9/9',
      bootstrap: addressOf(seller),
      providers: `engine=${provider.url}#openai-chat`,
    })
    const buyer = await startBuyer(seller)
    await hears(buyer, [seller, dear, chatOnly])
    const { targets, refused } = await explain(buyer, MODEL, 'messages')
    expect(targets).toMatchObject([
      { name: seller.peerId, kind: 'network', reason: '1.00/2.00 per Mtok, cheapest; no history' },
      { name: dear.peerId, kind: 'network', reason: '3.00/6.00 per Mtok; no history' },
      { name: chatOnly.peerId, kind: 'network', reason: '9.00/9.00 per Mtok; no history; translated to openai-chat' },
    ])
    expect(refused).toContainEqual(
      expect.objectContaining({ name: 'anthropic', reason: expect.stringContaining('needs a key') }),
    )
  })

  test('of a seller that stops selling a model are refused by it, and the buyer says so', async () => {
    const seller = await startSeller()
    const buyer = await startBuyer(seller)
    await hears(buyer, [seller])
    await askAdmin(seller, 'sell', { action: 'set', offers: [] })
    const answer = await chat(buyer.url)
    expect(answer.status).toBe(503)
    expect(answer.text()).toContain('model_not_offered')
  })

  /** Asks again while the address of the seller is being looked up: in its first moments a node knows too few others. */
  const untilServed = (buyer: TestNode) =>
    eventually(async () => {
      const tried = await chat(buyer.url)
      return tried.status === 200 && tried
    }, 30_000)

  /** A node that others meet through. */
  const startMeetingPoint = (): Promise<TestNode> => start('meeting', { role: 'seller' })

  test('are heard through a third node, and bought', async () => {
    const meeting = await startMeetingPoint()
    const seller = await startSeller({ bootstrap: addressOf(meeting) })
    const buyer = await startBuyer(meeting)
    await eventually(async () => (await statusOf(meeting)).peersConnected === 2)
    await setPrice(seller, '3000000', '6000000')
    await eventually(async () => (await pricesOf(buyer)).includes('6000000'), 20_000)
    const answer = await untilServed(buyer)
    expect(answer.headers['x-tok-target']).toBe(seller.peerId)
    await settled(buyer, seller)
  })

  test('are found in the DHT when a route asks for a model that nobody talked of', async () => {
    const meeting = await startMeetingPoint()
    const seller = await startSeller({ bootstrap: addressOf(meeting) })
    await eventually(async () => (await statusOf(meeting)).peersConnected === 1)
    // Its provider record is announced within seconds of the first connection.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const buyer = await startBuyer(meeting, { routes: '*=>network' })
    await eventually(async () => (await statusOf(buyer)).peersConnected > 0)
    const answer = await untilServed(buyer)
    expect(answer.headers['x-tok-target']).toBe(seller.peerId)
    await settled(buyer, seller)
  })

  test('are listed to clients of the buyer', async () => {
    const seller = await startSeller()
    const buyer = await startBuyer(seller)
    await hears(buyer, [seller])
    const { data } = (await exchange(`${buyer.url}/v1/models`)).json() as { data: { id: string }[] }
    expect(data.map(({ id }) => id)).toContain(MODEL)
  })
})
