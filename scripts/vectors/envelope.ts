/** Vectors of protocols/envelope/v1.md: the rules of encoding, keys and signatures, shown on an acceptance. */
import { encode } from '@ipld/dag-cbor'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { encodeEnvelope, seal, signingInput } from '../../src/wire/envelope.ts'
import { ACCEPTANCE, VOUCHER, type Acceptance } from '../../src/wire/inference.ts'
import { peerOfKey } from '../../src/wire/identity.ts'
import {
  accepted,
  alteredBody,
  digestOf,
  KEYS,
  NETWORK,
  NOW_MS,
  raw,
  rawMap,
  refused,
  signRaw,
  type Case,
  type VectorFile,
} from './case.ts'

const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

const acceptance: Acceptance = {
  type: 'tok/acceptance/1',
  network: NETWORK,
  order: digestOf('an order'),
  seller: KEYS.seller.publicKey,
  acceptedAtMs: NOW_MS,
  creditLimit: 250_000n,
}

/** @returns the vectors of the envelope */
export function envelopeVectors(): VectorFile {
  return { protocol: 'envelope/1', accept: [...peers(), ...acceptedBodies()], reject: rejected() }
}

function peers(): Case[] {
  return Object.entries(KEYS).map(([name, key]) => ({
    name: `the peer ID of the ${name}`,
    check: 'peer',
    publicKey: toHex(key.publicKey),
    peer: peerOfKey(key.publicKey),
  }))
}

function acceptedBodies(): Case[] {
  const open = (name: string, changes: Partial<Acceptance>): Case =>
    accepted(name, ACCEPTANCE, { ...acceptance, ...changes }, KEYS.seller)
  return [
    open('a message', {}),
    open('the least numbers', { acceptedAtMs: 0, creditLimit: 0n }),
    open('numbers at the ends of one byte', { acceptedAtMs: 23, creditLimit: 24n }),
    open('numbers at the ends of two bytes', { acceptedAtMs: 255, creditLimit: 256n }),
    open('numbers at the ends of four bytes', { acceptedAtMs: 2 ** 32 - 1, creditLimit: 2n ** 32n }),
    open('the greatest numbers', { acceptedAtMs: Number.MAX_SAFE_INTEGER, creditLimit: 2n ** 63n - 1n }),
    open('a text of many scripts', { network: 'Zürich-東京-🌍' }),
    open('a text of 32 bytes', { network: 'n'.repeat(32) }),
  ]
}

function rejected(): Case[] {
  const { body, signature } = seal(ACCEPTANCE, acceptance, KEYS.seller)
  const whole = encodeEnvelope({ body, signature })
  const outer = (name: string, data: Uint8Array, step: string): Case =>
    refused(name, ACCEPTANCE, data, step, 'encoding_invalid')
  const inner = (name: string, malformed: Uint8Array): Case =>
    refused(name, ACCEPTANCE, signRaw(ACCEPTANCE.domain, malformed, KEYS.seller), 'envelope 3', 'encoding_invalid')
  const altered = (name: string, changes: Readonly<Record<string, Uint8Array | undefined>>): Case =>
    inner(name, alteredBody({ ...acceptance }, changes))
  const unsigned = (name: string, step: string, by: Uint8Array, of: Uint8Array = body): Case =>
    refused(name, ACCEPTANCE, { body: of, signature: by }, step, 'signature_invalid')

  return [
    outer('no bytes at all', new Uint8Array(), 'envelope 1'),
    outer('an envelope cut short', whole.subarray(0, whole.length - 1), 'envelope 1'),
    outer('a byte after the envelope', Buffer.concat([whole, raw('00')]), 'envelope 1'),
    outer('an envelope without its shortest head', Buffer.concat([raw('b802'), whole.subarray(1)]), 'envelope 1'),
    outer('an envelope of indefinite length', Buffer.concat([raw('bf'), whole.subarray(1), raw('ff')]), 'envelope 1'),
    outer(
      'an envelope with unsorted keys',
      rawMap([
        ['signature', encode(signature)],
        ['body', encode(body)],
      ]),
      'envelope 1',
    ),
    outer(
      'an envelope with a key twice',
      rawMap([
        ['body', encode(body)],
        ['body', encode(body)],
        ['signature', encode(signature)],
      ]),
      'envelope 1',
    ),
    outer('a tagged envelope', Buffer.concat([raw('d9d9f7'), whole]), 'envelope 1'),
    outer('ten thousand nested lists', new Uint8Array(10_000).fill(0x81), 'envelope 1'),
    outer('a list in place of an envelope', encode([body, signature]), 'envelope 2'),
    outer('an envelope with a third field', encode({ body, signature, domain: ACCEPTANCE.domain }), 'envelope 2'),
    outer('an envelope without a signature', encode({ body }), 'envelope 2'),
    outer('a signature of 63 bytes', encode({ body, signature: signature.subarray(1) }), 'envelope 2'),
    outer('a body that is a text', encode({ body: 'body', signature }), 'envelope 2'),
    outer('a body of 32769 bytes', encode({ body: new Uint8Array(32_769), signature }), 'envelope 2'),

    inner('a body without bytes', new Uint8Array()),
    inner('a body with a byte after it', Buffer.concat([body, raw('00')])),
    inner('a body that is a list', encode([1, 2])),
    inner('a body with unsorted keys', rawMap(Object.entries(acceptance).map(([name, of]) => [name, encode(of)]))),
    altered('a number that is not in its shortest form', { acceptedAtMs: raw('1817') }),
    altered('a number with a wider head than it needs', { creditLimit: raw('1b00000000000003e8') }),
    altered('a float where a count belongs', { acceptedAtMs: raw('fb3ff0000000000000') }),
    altered('a half-precision float where an amount belongs', { creditLimit: raw('f93c00') }),
    altered('not-a-number', { acceptedAtMs: raw('f97e00') }),
    altered('a negative amount', { creditLimit: raw('20') }),
    altered('an amount of 2^63', { creditLimit: raw('1b8000000000000000') }),
    altered('a count of 2^53', { acceptedAtMs: raw('1b0020000000000000') }),
    altered('an amount as a tagged big number', { creditLimit: raw('c24101') }),
    altered('an amount as a text', { creditLimit: encode('250000') }),
    altered('null where a field belongs', { creditLimit: raw('f6') }),
    altered('undefined where a field belongs', { creditLimit: raw('f7') }),
    altered('true where a count belongs', { acceptedAtMs: raw('f5') }),
    altered('a simple value without a meaning', { acceptedAtMs: raw('e0') }),
    altered('a text of indefinite length', { network: raw('7f67766563746f7273ff') }),
    altered('a text that is not UTF-8', { network: raw('61ff') }),
    altered('a text with half of a surrogate pair', { network: raw('63eda080') }),
    altered('a text with a byte order mark', { network: encode('\ufeffvectors') }),
    altered('an empty text', { network: encode('') }),
    altered('a text of 33 bytes', { network: encode('n'.repeat(33)) }),
    inner('a key that is not a text', raw('a10101')),
    altered('a digest of 31 bytes', { order: encode(acceptance.order.subarray(1)) }),
    altered('a field that the message does not have', { note: encode('hello') }),
    altered('a field that is missing', { creditLimit: undefined }),
    altered('a body of another domain', { type: encode(VOUCHER.domain) }),

    ...smallOrderKeys(),
    unsigned('a signature with S + L in place of S', 'envelope 5', addGroupOrder(signature)),
    unsigned(
      'a signature whose S is all ones',
      'envelope 5',
      Buffer.concat([signature.subarray(0, 32), raw('ff'.repeat(32))]),
    ),
    unsigned('a signature of someone else', 'envelope 6', signRaw(ACCEPTANCE.domain, body, KEYS.stranger).signature),
    unsigned('a signature under another domain', 'envelope 6', signRaw(VOUCHER.domain, body, KEYS.seller).signature),
    unsigned('a signature over the body alone', 'envelope 6', KEYS.seller.sign(body)),
    unsigned(
      'a signature over the body after its domain, not its digest',
      'envelope 6',
      KEYS.seller.sign(beforeDigest(body)),
    ),
    unsigned('a signature without the zero byte after its domain', 'envelope 6', KEYS.seller.sign(withoutZero(body))),
    unsigned(
      'a signature over another body',
      'envelope 6',
      signRaw(ACCEPTANCE.domain, utf8('another'), KEYS.seller).signature,
    ),
    unsigned('a signature of zeros', 'envelope 6', new Uint8Array(64)),
    unsigned(
      'a key that is no point of the curve',
      'envelope 6',
      signature,
      alteredBody({ ...acceptance }, { seller: encode(raw(`02${'00'.repeat(31)}`)) }),
    ),
  ]

  function beforeDigest(of: Uint8Array): Uint8Array {
    return Buffer.concat([utf8(ACCEPTANCE.domain), new Uint8Array(1), of])
  }

  function withoutZero(of: Uint8Array): Uint8Array {
    const input = signingInput(ACCEPTANCE.domain, of)
    const zeroAt = utf8(ACCEPTANCE.domain).length
    return Buffer.concat([input.subarray(0, zeroAt), input.subarray(zeroAt + 1)])
  }
}

/** Messages of "keys" of small order, with R the neutral element and S zero: arithmetic alone accepts this for many bodies. */
function smallOrderKeys(): Case[] {
  const neutral = `01${'00'.repeat(31)}`
  const keys = {
    'the neutral element as a key': neutral,
    'the neutral element with its sign bit as a key': `01${'00'.repeat(30)}80`,
    'a non-canonical neutral element as a key': `ee${'ff'.repeat(30)}7f`,
    'a key of order 2': `ec${'ff'.repeat(30)}7f`,
    'a key of order 4': '00'.repeat(32),
    'a key of order 8': 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'another key of order 8': '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  }
  const signature = raw(neutral + '00'.repeat(32))
  return Object.entries(keys).map(([name, key]) => {
    const body = alteredBody({ ...acceptance }, { seller: encode(raw(key)) })
    return refused(name, ACCEPTANCE, { body, signature }, 'envelope 4', 'signature_invalid')
  })
}

/** The same signature with S + L: the equation still holds, so a verifier that skips the range check accepts it. */
function addGroupOrder(signature: Uint8Array): Uint8Array {
  const scalar = BigInt(`0x${toHex(signature.slice(32).toReversed())}`) + GROUP_ORDER
  const bytes = raw(scalar.toString(16).padStart(64, '0')).toReversed()
  return Buffer.concat([signature.subarray(0, 32), bytes])
}
