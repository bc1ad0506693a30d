/**
 * Keys: the Ed25519 key of a node, its peer ID, signing and verifying.
 *
 * Signatures are made and checked by Node's own Ed25519, which refuses S >= L; public keys of small order are
 * refused here. tweetnacl makes the same bytes and is the independent verifier (ledger/verify).
 * Source: RFC 8032; libp2p peer-ids specification; protocols/envelope/v1.md.
 */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { base58btc } from 'multiformats/bases/base58'
import { equalBytes, fromHex, toHex } from '../base/bytes.ts'

/** Bytes of a public key, and of the seed a private key is made from. */
export const KEY_BYTES = 32
/** Bytes of a signature. */
export const SIGNATURE_BYTES = 64

/** DER of a private key: this prefix, then the seed. */
const PKCS8_PREFIX = fromHex('302e020100300506032b657004220420')
/** DER of a public key: this prefix, then the key. */
const SPKI_PREFIX = fromHex('302a300506032b6570032100')
/** A peer ID: identity multihash over the protobuf of an Ed25519 public key, then the key. */
const PEER_ID_PREFIX = fromHex('002408011220')
/** Public keys kept as key objects: importing one costs as much as a verification. */
const KNOWN_KEYS_MAX = 1_024

/** Ed25519 points of small order and their non-canonical forms (sign bit cleared): such a "key" verifies anything. */
const SMALL_ORDER_KEYS = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])

/** The key a node signs with. */
export interface NodeKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** The peer ID as text, "12D3KooW…". */
  readonly peer: string
  /** Ed25519 over `message`, 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}

/** The node key of a 32-byte seed. */
export function nodeKeyFromSeed(seed: Uint8Array): NodeKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length))
  return {
    publicKey,
    peer: peerOfKey(publicKey),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  }
}

/** The peer ID text of a public key. */
export function peerOfKey(publicKey: Uint8Array): string {
  return base58btc.baseEncode(Buffer.concat([PEER_ID_PREFIX, publicKey]))
}

/** The public key of a peer ID text, or undefined if it is not the peer ID of a usable Ed25519 key. */
export function keyOfPeer(peer: string): Uint8Array | undefined {
  try {
    const decoded = base58btc.baseDecode(peer)
    const prefix = decoded.subarray(0, PEER_ID_PREFIX.length)
    const publicKey = decoded.slice(PEER_ID_PREFIX.length)
    return equalBytes(prefix, PEER_ID_PREFIX) && isUsableKey(publicKey) ? publicKey : undefined
  } catch {
    return undefined
  }
}

/** True unless the key has the wrong size or small order. */
export function isUsableKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== KEY_BYTES) return false
  const unsigned = publicKey.slice()
  unsigned[KEY_BYTES - 1] = (unsigned[KEY_BYTES - 1] ?? 0) & 0x7f
  return !SMALL_ORDER_KEYS.has(toHex(unsigned))
}

/** True if `signature` over `message` was made by the key. False, never an error, for anything malformed. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || !isUsableKey(publicKey)) return false
  try {
    return verify(null, message, keyObjectOf(publicKey), signature)
  } catch {
    return false // the bytes are no point of the curve
  }
}

/** The order of the base point, L, as 32 bytes big-endian. */
const GROUP_ORDER = fromHex('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed')

/** True if the signature has its size and its S is below L: the one form of the two that verify mathematically. */
export function isCanonicalSignature(signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  return Buffer.compare(signature.slice(SIGNATURE_BYTES / 2).toReversed(), GROUP_ORDER) < 0
}

const knownKeys = new Map<string, KeyObject>()

function keyObjectOf(publicKey: Uint8Array): KeyObject {
  const name = toHex(publicKey)
  const known = knownKeys.get(name)
  if (known !== undefined) return known
  const keyObject = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
  if (knownKeys.size >= KNOWN_KEYS_MAX) knownKeys.delete(knownKeys.keys().next().value ?? '')
  knownKeys.set(name, keyObject)
  return keyObject
}
