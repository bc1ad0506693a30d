/**
 * A bare libp2p peer that follows no rule of tok, for tests of how a host answers misbehaviour.
 */
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { createFrameDecoder, encodeFrame } from '../../src/wire/framing.ts'

export interface RawPeer {
  readonly node: Libp2p
  dial(address: string): Promise<Connection>
  open(address: string, protocol: string): Promise<RawStream>
  stop(): Promise<void>
}

/** A stream that sends what it is told and records what comes. */
export interface RawStream {
  readonly stream: Stream
  readonly frames: { readonly type: number; readonly call: number; readonly payload: Uint8Array }[]
  /** Set when the stream is gone; `error` is how. */
  closed: { readonly error: Error | undefined } | undefined
  send(type: number, call: number, payload?: Uint8Array): void
}

export async function startRawPeer(
  options: { readonly keyType?: 'Ed25519' | 'secp256k1'; readonly listen?: boolean } = {},
): Promise<RawPeer> {
  const node = await createLibp2p({
    privateKey: await generateKeyPair(options.keyType ?? 'Ed25519'),
    addresses: { listen: options.listen === true ? ['/ip4/127.0.0.1/tcp/0'] : [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
  })
  return {
    node,
    dial: (address) => node.dial(multiaddr(address)),
    async open(address, protocol) {
      return recordStream(await node.dialProtocol(multiaddr(address), protocol))
    },
    async stop() {
      await node.stop()
    },
  }
}

export function recordStream(stream: Stream): RawStream {
  const recorded: RawStream = {
    stream,
    frames: [],
    closed: undefined,
    send: (type, call, payload = new Uint8Array(0)) => void stream.send(encodeFrame(type, call, payload)),
  }
  const decoder = createFrameDecoder((type, call, payload) => recorded.frames.push({ type, call, payload }))
  stream.addEventListener('message', ({ data }) => decoder.push(data.subarray()))
  stream.addEventListener('close', ({ error }) => {
    recorded.closed = { error }
  })
  return recorded
}
