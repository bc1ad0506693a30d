import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { sha256, systemRandomBytes, utf8 } from '../../src/base/bytes.ts'
import type { AdvertVerdict, Network } from '../../src/network/network.ts'
import { nodeKeyFromSeed } from '../../src/wire/identity.ts'
import { addressOf, createTestHosts, until, within } from '../support/network.ts'

const hosts = createTestHosts()
afterEach(() => hosts.stop())

/** Publishes until someone has heard it: the mesh forms within the first heartbeats. */
async function publishUntil(host: Network, text: string, heard: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000
  for (let copy = 0; !heard(); copy += 1) {
    if (Date.now() > deadline) throw new Error(`"${text}" was heard by nobody`)
    await host.publishAdvert(utf8(`${text}${'.'.repeat(copy)}`))
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

describe('adverts', () => {
  /** Two hosts that cannot reach each other, and one between them. */
  async function startLine(verdict: (text: string) => AdvertVerdict) {
    const heard: string[] = []
    const judged: string[] = []
    const middle = await hosts.start({
      judgeAdvert(bytes) {
        const text = Buffer.from(bytes).toString()
        judged.push(text)
        return verdict(text)
      },
    })
    const seller = await hosts.start({ listen: [], role: 'client', bootstrap: [addressOf(middle)] })
    const buyer = await hosts.start({
      listen: [],
      role: 'client',
      bootstrap: [addressOf(middle)],
      judgeAdvert(bytes) {
        heard.push(Buffer.from(bytes).toString())
        return 'accept'
      },
    })
    await until(() => middle.peers().length === 2)
    return { seller, buyer, middle, heard, judged }
  }

  test('reach a host through another, each judged once on its way', async () => {
    const { seller, buyer, heard, judged } = await startLine(() => 'accept')
    await publishUntil(seller, 'advert', () => heard.length > 0)
    expect(buyer.isConnected(seller.peer)).toBe(false)
    expect(new Set(judged).size).toBe(judged.length)
    expect(judged).toContain(heard[0])
  })

  test.each(['ignore', 'reject'] as const)('that a host judges "%s" go no further', async (verdict) => {
    const { seller, heard, judged } = await startLine((text) => (text.startsWith('bad') ? verdict : 'accept'))
    await publishUntil(seller, 'good', () => heard.length > 0)
    await seller.publishAdvert(utf8('bad'))
    await until(() => judged.includes('bad'))
    await publishUntil(seller, 'after', () => heard.some((text) => text.startsWith('after')))
    expect(heard).not.toContain('bad')
  })

  test('go nowhere, without an error, while nobody listens', async () => {
    const seller = await hosts.start()
    await expect(seller.publishAdvert(utf8('advert'))).resolves.toBeUndefined()
  })

  test('are heard among twenty hosts on one address', async () => {
    const bootstrap = await hosts.start()
    const heard = new Set<number>()
    const crowd = await Promise.all(
      Array.from({ length: 19 }, (_, index) =>
        hosts.start({
          bootstrap: [addressOf(bootstrap)],
          judgeAdvert() {
            heard.add(index)
            return 'accept'
          },
        }),
      ),
    )
    await until(() => crowd.every((host) => host.peers().length > 0), 20_000)
    await publishUntil(bootstrap, 'advert', () => heard.size === crowd.length)
    expect(heard.size).toBe(19)
  })
})

describe('provider records', () => {
  test('are found through a bootstrap by a host that did not know the provider', async () => {
    const bootstrap = await hosts.start()
    const options = { bootstrap: [addressOf(bootstrap)] }
    const seller = await hosts.start(options)
    const other = await hosts.start(options)
    const buyer = await hosts.start({ ...options, role: 'client' })
    const key = sha256(utf8('a model'))
    await seller.provide(key, within(10_000))
    const found: string[] = []
    for await (const peer of buyer.findProviders(key, 10, within(10_000))) found.push(peer)
    expect(found).toEqual([seller.peer])

    await other.provide(key, within(10_000))
    const one: string[] = []
    for await (const peer of buyer.findProviders(key, 1, within(10_000))) one.push(peer)
    expect(one).toHaveLength(1)
    expect(await buyer.connect(seller.peer, within(5_000))).toBe(seller.peer)
  })

  test('of one peer are bounded: a server keeps the newest', async () => {
    const server = await hosts.start()
    const seller = await hosts.start({ role: 'client', bootstrap: [addressOf(server)] })
    const buyer = await hosts.start({ listen: [], role: 'client', bootstrap: [addressOf(server)] })
    const keys = Array.from({ length: 66 }, (_, index) => sha256(utf8(`model ${index}`)))
    for (const key of keys) await seller.provide(key, within(10_000))
    const isFound = async (key: Uint8Array): Promise<boolean> => {
      for await (const _ of buyer.findProviders(key, 1, within(5_000))) return true
      return false
    }
    expect(await isFound(keys[0]!)).toBe(false)
    expect(await isFound(keys[1]!)).toBe(false)
    expect(await isFound(keys[2]!)).toBe(true)
    expect(await isFound(keys[65]!)).toBe(true)
  })

  test('of a lone host cannot be placed: that is said in time', async () => {
    const seller = await hosts.start()
    await expect(seller.provide(sha256(utf8('a model')), within(300))).rejects.toMatchObject({
      code: 'network_unavailable',
    })
  })

  test('looked up by a lone host give nothing, in time', async () => {
    const buyer = await hosts.start({ role: 'client' })
    const found: string[] = []
    for await (const peer of buyer.findProviders(sha256(utf8('a model')), 10, within(300))) found.push(peer)
    expect(found).toEqual([])
  })
})

describe('a bootstrap', () => {
  const seed = systemRandomBytes(32)

  test('that starts late is joined, and joined again after a restart on the same address', async () => {
    const first = await hosts.start({ seed })
    const address = addressOf(first)
    const listen = [address.replace(/\/p2p\/.*/, '')]
    await first.stop()

    const events: string[] = []
    const node = await hosts.start({
      bootstrap: [address],
      onPeerConnected: (peer) => events.push(`+${peer}`),
      onPeerDisconnected: (peer) => events.push(`-${peer}`),
    })
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(node.peers()).toEqual([])

    const late = await hosts.start({ seed, listen })
    await until(() => node.isConnected(late.peer), 15_000)
    await late.stop()
    await until(() => !node.isConnected(late.peer))
    const again = await hosts.start({ seed, listen })
    await until(() => node.isConnected(again.peer), 15_000)
    expect(events).toEqual([`+${late.peer}`, `-${late.peer}`, `+${late.peer}`])
  })

  test('may be given without its peer ID, and is then not dialled twice', async () => {
    const bootstrap = await hosts.start()
    const node = await hosts.start({ bootstrap: [addressOf(bootstrap).replace(/\/p2p\/.*/, '')] })
    await until(() => node.isConnected(bootstrap.peer))
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(node.peers()).toHaveLength(1)
    expect(node.peers()[0]).toMatchObject({ peer: bootstrap.peer, direction: 'outbound' })
    expect(node.peers()[0]!.multiaddrs).toHaveLength(1)
  })
})

describe('a host', () => {
  test('has the peer ID of its key', async () => {
    const seed = new Uint8Array(32).fill(7)
    const host = await hosts.start({ seed })
    expect(host.peer).toBe(nodeKeyFromSeed(seed).peer)
    expect(addressOf(host)).toContain(`/p2p/${host.peer}`)
  })

  test('says so if its address is taken', async () => {
    const first = await hosts.start()
    const listen = [addressOf(first).replace(/\/p2p\/.*/, '')]
    await expect(hosts.start({ listen })).rejects.toMatchObject({ code: 'port_in_use' })
  })

  test('says so if it cannot listen on an address', async () => {
    await expect(hosts.start({ listen: ['/ip4/203.0.113.7/tcp/0'] })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('EADDRNOTAVAIL'),
    })
  })

  test('leaves nothing running: its process ends by itself', async () => {
    const script = fileURLToPath(new URL('../support/start-and-stop-hosts.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 20_000 })
    expect(stdout).toBe('stopped\n')
  })

  test('says so if an address is none', async () => {
    await expect(hosts.start({ bootstrap: ['somewhere'] })).rejects.toMatchObject({ code: 'config_invalid' })
  })

  test('of another network is no seller here', async () => {
    const foreign = await hosts.start({ network: 'other', currentAdvert: () => utf8('advert') })
    const buyer = await hosts.start()
    await buyer.connect(addressOf(foreign), within(5_000))
    await expect(buyer.queryAdvert(foreign.peer, within(5_000))).rejects.toMatchObject({ code: 'seller_unreachable' })
    await expect(buyer.openCall(foreign.peer, within(5_000))).rejects.toMatchObject({ code: 'seller_unreachable' })
  })
})
