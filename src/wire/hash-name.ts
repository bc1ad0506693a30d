/**
 * How a hash is shown to people and in exports: a CID (version 1, dag-cbor, SHA-256), as IPLD tools print it.
 */
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'

const DAG_CBOR = 0x71
const SHA2_256 = 0x12
const HASH_BYTES = 32

/** The CID text of a 32-byte SHA-256, "bafyrei…". */
export function nameOfHash(hash: Uint8Array): string {
  return CID.createV1(DAG_CBOR, create(SHA2_256, hash)).toString()
}

/** The 32 bytes that a CID text names, or undefined if it names no SHA-256 of a CBOR body. */
export function hashOfName(name: string): Uint8Array | undefined {
  try {
    const { code, multihash } = CID.parse(name)
    const isOurs = code === DAG_CBOR && multihash.code === SHA2_256 && multihash.digest.length === HASH_BYTES
    return isOurs ? multihash.digest : undefined
  } catch {
    return undefined
  }
}
