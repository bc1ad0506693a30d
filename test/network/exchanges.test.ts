import { afterEach, describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import type { FrameStream } from '../../src/network/network.ts'
import { FRAMES, LIMITS, protocolIds } from '../../src/wire/registry.ts'
import { addressOf, createTestHosts, until, within } from '../support/network.ts'
import { type RawPeer, startRawPeer } from '../support/raw-peer.ts'

const hosts = createTestHosts()
const rawPeers: RawPeer[] = []
afterEach(async () => {
  await Promise.all(rawPeers.splice(0).map((peer) => peer.stop()))
  await hosts.stop()
})

async function openAccount(onAccountStream: (stream: FrameStream) => Promise<void>): Promise<FrameStream> {
  const seller = await hosts.start({ onAccountStream })
  const buyer = await hosts.start()
  await buyer.connect(addressOf(seller), within(5_000))
  return buyer.openAccountStream(seller.peer, within(5_000))
}

describe('an account stream', () => {
  test('carries frames both ways and ends when each side has ended its own', async () => {
    const heard: string[] = []
    const stream = await openAccount(async (served) => {
      for (
        let frame = await served.read(within(5_000));
        frame !== undefined;
        frame = await served.read(within(5_000))
      ) {
        heard.push(toHex(frame.payload))
        await served.write(FRAMES.proposal, frame.payload)
      }
      await served.write(FRAMES.done, utf8('end'))
    })
    await stream.write(FRAMES.hello, utf8('a'))
    expect(await stream.read(within(5_000))).toEqual({ type: FRAMES.proposal, payload: utf8('a') })
    await stream.write(FRAMES.hello, utf8('b'))
    await stream.close()
    expect(await stream.read(within(5_000))).toEqual({ type: FRAMES.proposal, payload: utf8('b') })
    expect(await stream.read(within(5_000))).toEqual({ type: FRAMES.done, payload: utf8('end') })
    expect(await stream.read(within(5_000))).toBeUndefined()
    expect(heard).toEqual(['61', '62'])
  })

  test('holds back a writer until the reader reads, and loses nothing', async () => {
    const count = 256 // 16 MiB, far beyond what may be unread
    let written = 0
    const stream = await openAccount(async (served) => {
      const payload = new Uint8Array(LIMITS.framePayloadBytes)
      for (; written < count; written += 1) {
        new DataView(payload.buffer).setUint32(0, written)
        await served.write(FRAMES.statements, payload)
      }
    })
    await new Promise((resolve) => setTimeout(resolve, 300))
    const unread = written
    expect(unread).toBeGreaterThan(0)
    expect(unread).toBeLessThan(96)
    for (let read = 0; read < count; read += 1) {
      const frame = await stream.read(within(5_000))
      expect(new DataView(frame!.payload.buffer).getUint32(0)).toBe(read)
    }
    expect(await stream.read(within(5_000))).toBeUndefined()
  })

  test('is aborted when its handler fails', async () => {
    const stream = await openAccount(() => Promise.reject(new Error('a fault')))
    await expect(stream.read(within(5_000))).rejects.toMatchObject({ code: 'stream_incomplete' })
    await expect(stream.write(FRAMES.hello, utf8('a'))).rejects.toMatchObject({ code: 'stream_incomplete' })
  })

  test('of a host that stops fails; it does not look like a clean end', async () => {
    const hold = Promise.withResolvers<void>()
    const seller = await hosts.start({ onAccountStream: () => hold.promise })
    const buyer = await hosts.start()
    await buyer.connect(addressOf(seller), within(5_000))
    const stream = await buyer.openAccountStream(seller.peer, within(5_000))
    const [read] = await Promise.allSettled([stream.read(within(5_000)), seller.stop()])
    expect(read).toMatchObject({ status: 'rejected', reason: { code: 'stream_incomplete' } })
    hold.resolve()
  })

  test('whose read is given up stays usable', async () => {
    const go = Promise.withResolvers<void>()
    const stream = await openAccount(async (served) => {
      await go.promise
      await served.write(FRAMES.done, utf8('late'))
    })
    await expect(stream.read(within(20))).rejects.toMatchObject({ name: 'TimeoutError' })
    go.resolve()
    expect(await stream.read(within(5_000))).toEqual({ type: FRAMES.done, payload: utf8('late') })
  })

  test('takes what a peer sent and ended before anyone listened', async () => {
    const heard: (string | undefined)[] = []
    const seller = await hosts.start({
      async onAccountStream(served) {
        heard.push(toHex((await served.read(within(5_000)))!.payload))
        heard.push((await served.read(within(5_000)))?.payload.toString())
      },
    })
    const peer = await startRawPeer()
    rawPeers.push(peer)
    const stream = await peer.open(addressOf(seller), protocolIds('test').account)
    stream.send(FRAMES.hello, 0, utf8('a'))
    await stream.stream.close()
    await until(() => heard.length === 2)
    expect(heard).toEqual(['61', undefined])
  })
})

describe('an advert query', () => {
  test('gives the current advert of a seller', async () => {
    const seller = await hosts.start({ currentAdvert: () => utf8('advert') })
    const buyer = await hosts.start()
    await buyer.connect(addressOf(seller), within(5_000))
    expect(await buyer.queryAdvert(seller.peer, within(5_000))).toEqual(utf8('advert'))
  })

  test('gives nothing if the peer sells nothing', async () => {
    const peer = await hosts.start()
    const buyer = await hosts.start()
    await buyer.connect(addressOf(peer), within(5_000))
    expect(await buyer.queryAdvert(peer.peer, within(5_000))).toBeUndefined()
  })

  test('may be asked many times over: no stream is left behind', async () => {
    const seller = await hosts.start({ currentAdvert: () => utf8('advert') })
    const buyer = await hosts.start()
    await buyer.connect(addressOf(seller), within(5_000))
    for (let asked = 0; asked < 50; asked += 1) {
      expect(await buyer.queryAdvert(seller.peer, within(5_000))).toEqual(utf8('advert'))
    }
  })

  test('refuses an answer that is no advert', async () => {
    const peer = await startRawPeer({ listen: true })
    rawPeers.push(peer)
    await peer.node.handle(
      protocolIds('test').advert,
      (stream) => void stream.send(Buffer.from('000000051700000000', 'hex')),
    )
    const buyer = await hosts.start()
    const seller = await buyer.connect(String(peer.node.getMultiaddrs()[0]), within(5_000))
    await expect(buyer.queryAdvert(seller, within(5_000))).rejects.toMatchObject({ code: 'seller_unreachable' })
  })

  test('to a silent peer ends in time', async () => {
    const peer = await startRawPeer({ listen: true })
    rawPeers.push(peer)
    await peer.node.handle(protocolIds('test').advert, () => undefined)
    const buyer = await hosts.start()
    const seller = await buyer.connect(String(peer.node.getMultiaddrs()[0]), within(5_000))
    await expect(buyer.queryAdvert(seller, within(10_000))).rejects.toMatchObject({ code: 'seller_unreachable' })
  })
})
