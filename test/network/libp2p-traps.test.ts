/**
 * What libp2p does that src/network is built around. A failure here means that an upgrade changed it: look at
 * the named code, and simplify it if the trap is gone.
 */
import type { Stream } from '@libp2p/interface'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../support/network.ts'
import { type RawPeer, startRawPeer } from '../support/raw-peer.ts'

const PROTOCOL = '/trap/1'

const peers: RawPeer[] = []
afterEach(async () => {
  await Promise.all(peers.splice(0).map((peer) => peer.stop()))
})

/** Both ends of one stream. */
async function openStream(): Promise<{ near: Stream; far: Stream; dialler: RawPeer }> {
  const listener = await startRawPeer({ listen: true })
  const dialler = await startRawPeer()
  peers.push(listener, dialler)
  const opened = Promise.withResolvers<Stream>()
  await listener.node.handle(PROTOCOL, (stream) => opened.resolve(stream))
  const connection = await dialler.dial(String(listener.node.getMultiaddrs()[0]))
  const near = await connection.newStream(PROTOCOL)
  return { near, far: await opened.promise, dialler }
}

/** Sends until the stream says that it is full. */
function choke(stream: Stream): void {
  for (let sent = 0; stream.send(new Uint8Array(65_536)); sent += 1) {
    if (sent > 1_000) throw new Error('the stream is never full')
  }
}

describe('a libp2p stream', () => {
  test('has an onDrain() that, after its first drain, resolves while the stream is full (stream-writer)', async () => {
    const { near, far } = await openStream()
    far.addEventListener('message', () => undefined)
    far.pause()
    choke(near)
    const drained = near.onDrain()
    far.resume()
    await drained
    far.pause()
    choke(near)
    await near.onDrain({ signal: AbortSignal.timeout(1_000) })
    expect(near.writableNeedsDrain).toBe(true)
  })

  test('tells of a drain before it has sent what it holds, and may then be full at once (stream-writer)', async () => {
    const { near, far } = await openStream()
    far.addEventListener('message', () => undefined)
    far.pause()
    choke(near)
    near.send(new Uint8Array(3 * 1_048_576))
    const held: number[] = []
    near.addEventListener('drain', () => held.push(near.writeBufferLength))
    far.resume()
    await until(() => near.writeBufferLength === 0)
    expect(held.some((bytes) => bytes > 0)).toBe(true)
  })

  test('closes without an error when its connection goes, as if the peer had ended it (frame-stream)', async () => {
    const { far, dialler } = await openStream()
    const events: string[] = []
    far.addEventListener('message', () => undefined)
    far.addEventListener('remoteCloseWrite', () => events.push('remoteCloseWrite'))
    far.addEventListener('close', ({ error }) => events.push(error === undefined ? 'close' : `close: ${error.name}`))
    await Promise.all(dialler.node.getConnections().map((connection) => connection.close()))
    await until(() => events.some((event) => event.startsWith('close')))
    expect(events.at(-1)).toBe('close')
  })

  test('gives no back-pressure to one who reads it with `for await` (call-stream, frame-stream)', async () => {
    const { near, far } = await openStream()
    let taken = 0
    const reader = (async () => {
      for await (const chunk of far) {
        taken += chunk.byteLength
        await new Promise((resolve) => setTimeout(resolve, 1_000))
      }
    })()
    let sent = 0
    for (const deadline = Date.now() + 10_000; sent < 32 * 1_048_576 && Date.now() < deadline;) {
      if (near.writableNeedsDrain) await new Promise((resolve) => setTimeout(resolve, 1))
      else {
        near.send(new Uint8Array(65_536))
        sent += 65_536
      }
    }
    expect(sent).toBe(32 * 1_048_576)
    expect(taken).toBeLessThan(sent / 2)
    near.abort(new Error('enough'))
    await reader.catch(() => undefined)
  })
})
