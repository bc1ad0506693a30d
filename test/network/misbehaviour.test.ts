import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, test } from 'vitest'
import { fromHex } from '../../src/base/bytes.ts'
import type { CallChannel, Network } from '../../src/network/network.ts'
import { encodeFrame } from '../../src/wire/framing.ts'
import { FRAMES, LIMITS, protocolIds } from '../../src/wire/registry.ts'
import { addressOf, createTestHosts, recordCall, type RecordedCall, until, within } from '../support/network.ts'
import { type RawPeer, type RawStream, recordStream, startRawPeer } from '../support/raw-peer.ts'

const { inference, account } = protocolIds('test')
const hosts = createTestHosts()
const rawPeers: RawPeer[] = []
afterEach(async () => {
  await Promise.all(rawPeers.splice(0).map((peer) => peer.stop()))
  await hosts.stop()
})

async function rawPeer(options?: Parameters<typeof startRawPeer>[0]): Promise<RawPeer> {
  const peer = await startRawPeer(options)
  rawPeers.push(peer)
  return peer
}

async function startSeller(consume = true): Promise<{ seller: Network; served: RecordedCall[] }> {
  const served: RecordedCall[] = []
  const seller = await hosts.start({ onCall: (call) => served.push(recordCall(call, { consume })) })
  return { seller, served }
}

/** A raw peer's stream to a seller, with one call open on it. */
async function openRawCall(): Promise<{ stream: RawStream; peer: RawPeer; seller: Network; sale: RecordedCall }> {
  const { seller, served } = await startSeller(false)
  const peer = await rawPeer()
  const stream = await peer.open(addressOf(seller), inference)
  stream.send(FRAMES.order, 1)
  await until(() => served.length === 1)
  return { stream, peer, seller, sale: served[0]! }
}

function grant(bytes: number): Uint8Array {
  const payload = new Uint8Array(4)
  new DataView(payload.buffer).setUint32(0, bytes)
  return payload
}

describe('a buyer loses its stream, and every call on it, when it', () => {
  test.each<[string, (stream: RawStream) => void, string]>([
    [
      'announces a frame beyond the limit',
      ({ stream }) => stream.send(fromHex('000100060200000001')),
      'frame_too_large',
    ],
    [
      'announces a frame without a header',
      ({ stream }) => stream.send(fromHex('000000000200000001')),
      'frame_malformed',
    ],
    [
      'sends more than its credit',
      (stream) => {
        for (let sent = 0; sent <= LIMITS.callCreditBytes / LIMITS.framePayloadBytes; sent += 1) {
          stream.send(FRAMES.body, 1, new Uint8Array(LIMITS.framePayloadBytes))
        }
      },
      'limit_exceeded',
    ],
    ['names a call it never opened', (stream) => stream.send(FRAMES.voucher, 2), 'frame_malformed'],
    ['skips a call number', (stream) => stream.send(FRAMES.order, 3), 'frame_malformed'],
    ['opens call 0', (stream) => stream.send(FRAMES.order, 0), 'frame_malformed'],
    ['grants credit nobody spent', (stream) => stream.send(FRAMES.credit, 1, grant(1)), 'frame_malformed'],
    ['sends a credit of another size', (stream) => stream.send(FRAMES.credit, 1, new Uint8Array(8)), 'frame_malformed'],
    [
      'opens more calls than a stream takes',
      (stream) => {
        for (let call = 2; call <= LIMITS.callsPerStream + 1; call += 1) stream.send(FRAMES.order, call)
      },
      'limit_exceeded',
    ],
  ])('%s', async (_, misbehave, code) => {
    const { stream, sale } = await openRawCall()
    misbehave(stream)
    await until(() => sale.closed !== undefined && stream.closed !== undefined)
    expect(sale.closed!.error).toMatchObject({ code })
    expect(stream.closed!.error?.name).toBe('StreamResetError')
  })
})

test('a seller that opens calls on a stream of the buyer loses it', async () => {
  const peer = await rawPeer({ listen: true })
  const accepted: RawStream[] = []
  await peer.node.handle(inference, (stream) => void accepted.push(recordStream(stream)))
  const buyer = await hosts.start()
  await buyer.connect(String(peer.node.getMultiaddrs()[0]), within(5_000))
  const call = recordCall(await buyer.openCall(peer.node.peerId.toString(), within(5_000)))
  call.channel.send(FRAMES.order, new Uint8Array(0))
  await until(() => accepted[0]?.frames.length === 1)
  accepted[0]!.send(FRAMES.order, 2)
  await until(() => call.closed !== undefined)
  expect(call.closed!.error).toMatchObject({ code: 'frame_malformed' })
})

test('a buyer keeps four idle streams to a seller and ends the others', async () => {
  const peer = await rawPeer({ listen: true })
  const accepted: RawStream[] = []
  await peer.node.handle(inference, (stream) => {
    accepted.push(recordStream(stream))
    stream.addEventListener('remoteCloseWrite', () => void stream.close())
  })
  const buyer = await hosts.start({ callsPerStream: 1 })
  const seller = await buyer.connect(String(peer.node.getMultiaddrs()[0]), within(5_000))
  const calls = await Promise.all(Array.from({ length: 10 }, () => buyer.openCall(seller, within(5_000))))
  await until(() => accepted.length === 10)
  for (const call of calls) call.close()
  await until(() => accepted.filter(({ closed }) => closed !== undefined).length === 6)
  const next = recordCall(await buyer.openCall(seller, within(5_000)))
  next.channel.send(FRAMES.order, new Uint8Array(0))
  await until(() => accepted.some(({ frames }) => frames.length === 1))
  expect(accepted).toHaveLength(10)
})

test('frames for a call that has ended are dropped without a word', async () => {
  const { stream, sale } = await openRawCall()
  sale.channel.close()
  await until(() => stream.frames.some(({ type }) => type === FRAMES.close))
  stream.send(FRAMES.body, 1, new Uint8Array(LIMITS.framePayloadBytes))
  stream.send(FRAMES.voucher, 1)
  stream.send(FRAMES.order, 2)
  stream.send(FRAMES.order, 3)
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(stream.closed).toBeUndefined()
  expect(sale.frames.map(({ type }) => type)).toEqual([FRAMES.order])
})

test('a connection that is cut ends its calls on both sides within a second', async () => {
  const { stream, sale, peer } = await openRawCall()
  for (const connection of peer.node.getConnections()) connection.abort(new Error('cut'))
  await until(() => sale.closed !== undefined && stream.closed !== undefined, 1_000)
  expect(sale.closed!.error).toMatchObject({ code: 'call_aborted' })
})

test('a peer that ends its side under open calls ends them with an error, not cleanly', async () => {
  const { stream, sale } = await openRawCall()
  await stream.stream.close()
  await until(() => sale.closed !== undefined)
  expect(sale.closed!.error).toMatchObject({ code: 'call_aborted' })
})

test('a peer that never reads costs a bounded queue and then its stream', async () => {
  const { stream, sale } = await openRawCall()
  stream.stream.pause()
  const frame = new Uint8Array(LIMITS.framePayloadBytes)
  let sent = 0
  while (sale.closed === undefined && sent < 1_000) {
    sale.channel.send(FRAMES.receipt, frame)
    sent += 1
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(sale.closed?.error).toMatchObject({ code: 'limit_exceeded' })
  expect(sent * LIMITS.framePayloadBytes).toBeLessThan(16 * 1_048_576)
})

test('one peer may hold only so many calls, over all its streams', async () => {
  const { seller, served } = await startSeller()
  const peer = await rawPeer()
  const streams: RawStream[] = []
  for (let opened = 0; opened < 3; opened += 1) {
    const stream = await peer.open(addressOf(seller), inference)
    streams.push(stream)
    for (let call = 1; call <= LIMITS.callsPerStream; call += 1) stream.send(FRAMES.order, call)
  }
  await until(() => streams[2]!.closed !== undefined)
  expect(streams[0]!.closed).toBeUndefined()
  expect(streams[1]!.closed).toBeUndefined()
  expect(served).toHaveLength(2 * LIMITS.callsPerStream)
  served[0]!.channel.close()
  const again = await peer.open(addressOf(seller), inference)
  again.send(FRAMES.order, 1)
  await until(() => served.length === 2 * LIMITS.callsPerStream + 1)
  expect(again.closed).toBeUndefined()
})

describe('a peer whose key is not Ed25519', () => {
  test('is not let in', async () => {
    const { seller } = await startSeller()
    const foreign = await rawPeer({ keyType: 'secp256k1' })
    await expect(
      foreign.open(addressOf(seller), inference).then(({ stream }) => stream.close()),
    ).rejects.toBeInstanceOf(Error)
    await until(() => seller.peers().length === 0)
  })

  test('is not dialled', async () => {
    const foreign = await rawPeer({ keyType: 'secp256k1', listen: true })
    const buyer = await hosts.start()
    await expect(buyer.connect(String(foreign.node.getMultiaddrs()[0]), within(5_000))).rejects.toMatchObject({
      code: 'seller_unreachable',
    })
  })
})

test('a peer may hold only a few connections', async () => {
  const { seller } = await startSeller()
  const peer = await rawPeer()
  const opened = await Promise.allSettled(
    Array.from({ length: 10 }, () => peer.node.dial(multiaddr(addressOf(seller)), { force: true })),
  )
  await until(() => (seller.peers()[0]?.multiaddrs.length ?? 0) <= 4)
  expect(opened.some(({ status }) => status === 'fulfilled')).toBe(true)
})

test('an exchange whose frames belong to a call is refused', async () => {
  const failures: unknown[] = []
  const seller = await hosts.start({
    async onAccountStream(stream) {
      await stream.read(within(5_000)).catch((thrown: unknown) => {
        failures.push(thrown)
        throw thrown
      })
    },
  })
  const peer = await rawPeer()
  const stream = await peer.open(addressOf(seller), account)
  stream.send(FRAMES.hello, 1)
  await until(() => stream.closed !== undefined && failures.length === 1)
  expect(failures[0]).toMatchObject({ code: 'frame_malformed' })
})

test('empty frames fill an unread exchange as others do', async () => {
  const hold = Promise.withResolvers<void>()
  const seller = await hosts.start({ onAccountStream: () => hold.promise })
  const peer = await rawPeer()
  const { stream } = await peer.open(addressOf(seller), account)
  const batch = Buffer.concat(Array.from({ length: 4_096 }, () => encodeFrame(FRAMES.hello, 0, new Uint8Array(0))))
  let sent = 0
  while (stream.send(batch) && sent < 16 * 1_048_576) {
    sent += batch.byteLength
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(sent).toBeLessThan(4 * 1_048_576)
  hold.resolve()
})

test('empty BODY frames do not pile up before a handler is attached', async () => {
  const channels: CallChannel[] = []
  const seller = await hosts.start({ onCall: (call) => channels.push(call) })
  const peer = await rawPeer()
  const stream = await peer.open(addressOf(seller), inference)
  stream.send(FRAMES.order, 1)
  for (let sent = 0; sent < 2_000 && stream.closed === undefined; sent += 1) stream.send(FRAMES.body, 1)
  await until(() => stream.closed !== undefined)
  expect(recordCall(channels[0]!).closed!.error).toMatchObject({ code: 'limit_exceeded' })
})
