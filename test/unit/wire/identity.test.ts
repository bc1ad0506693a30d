import { keys } from '@libp2p/crypto'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../../../src/base/bytes.ts'
import { isUsableKey, keyOfPeer, nodeKeyFromSeed, peerOfKey, verifySignature } from '../../../src/wire/identity.ts'

const key = nodeKeyFromSeed(new Uint8Array(32).fill(9))
const message = utf8('a message')

describe('a peer ID', () => {
  test('is the one libp2p gives the same seed', async () => {
    const privateKey = await keys.generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(9))
    expect(key.peer).toBe(peerIdFromPrivateKey(privateKey).toString())
    expect(toHex(peerIdFromString(key.peer).publicKey!.raw)).toBe(toHex(key.publicKey))
  })

  test('gives its key back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
        const { publicKey, peer } = nodeKeyFromSeed(seed)
        expect(toHex(keyOfPeer(peer)!)).toBe(toHex(publicKey))
      }),
      { numRuns: 50 },
    )
  })

  test.each([
    ['nothing', ''],
    ['no base58', '12D3Koo0OIl'],
    ['a peer ID of an RSA key', 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'],
    ['a peer ID cut short', key.peer.slice(0, -1)],
    ['a peer ID with a leading one', `1${key.peer}`],
    ['a key of small order', peerOfKey(new Uint8Array(32))],
  ])('%s has no key', (_, peer) => {
    expect(keyOfPeer(peer)).toBeUndefined()
  })
})

describe('a signature', () => {
  const signature = key.sign(message)

  test('verifies for its key and message', () => {
    expect(verifySignature(key.publicKey, message, signature)).toBe(true)
  })

  test('verifies for nothing else: any changed bit of key, message or signature breaks it', () => {
    const parts = [key.publicKey, message, signature] as const
    fc.assert(
      fc.property(fc.nat({ max: 2 }), fc.nat(), fc.nat({ max: 7 }), (which, at, bit) => {
        const [publicKey, changedMessage, changedSignature] = parts.map((part, index) => {
          const changed = part.slice()
          if (index === which) changed[at % part.length]! ^= 1 << bit
          return changed
        })
        expect(verifySignature(publicKey!, changedMessage!, changedSignature!)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  test.each([
    ['a short key', new Uint8Array(31), signature],
    ['a short signature', key.publicKey, signature.subarray(1)],
    ['no signature', key.publicKey, new Uint8Array()],
  ])('with %s is false, not an error', (_, publicKey, of) => {
    expect(verifySignature(publicKey, message, of)).toBe(false)
  })

  test('still verifies after more keys than are kept', () => {
    for (let index = 0; index < 1_100; index++) {
      const other = new Uint8Array(32)
      new DataView(other.buffer).setUint32(0, index)
      verifySignature(other, message, signature)
    }
    expect(verifySignature(key.publicKey, message, signature)).toBe(true)
  })
})

test('a key is usable unless it has small order or the wrong size', () => {
  expect(isUsableKey(key.publicKey)).toBe(true)
  expect(isUsableKey(new Uint8Array(32))).toBe(false)
  expect(isUsableKey(new Uint8Array(33).fill(7))).toBe(false)
})
