import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../../src/base/bytes.ts'
import { ADVERT, canonicalModel, modelKey, openAdvert, type Advert } from '../../../src/wire/advert.ts'
import { encodeEnvelope, seal } from '../../../src/wire/envelope.ts'
import { nodeKeyFromSeed } from '../../../src/wire/identity.ts'

const key = nodeKeyFromSeed(new Uint8Array(32).fill(5))
const NOW_MS = 1_800_000_000_000

/** An advert that lives `[from, to)` seconds around now. */
function advertBytes(fromSeconds: number, toSeconds: number, changes: Partial<Advert> = {}): Uint8Array {
  const advert: Advert = {
    type: 'tok/advert/1',
    network: 'test',
    asset: 'USD',
    seller: key.publicKey,
    sequence: 1,
    issuedAtMs: NOW_MS + fromSeconds * 1_000,
    expiresAtMs: NOW_MS + toSeconds * 1_000,
    agent: 'tok-node/0.1.0',
    slots: 1,
    strangerCredit: 0n,
    offers: [],
    ...changes,
  }
  return encodeEnvelope(seal(ADVERT, advert, key))
}

describe('the life of an advert, in seconds around now', () => {
  const table = `
    0     900    -> accepted
    -899  1      -> accepted
    -900  0      -> advert_expired
    -7200 -1     -> advert_expired
    0     120    -> accepted
    0     119    -> encoding_invalid
    0     7200   -> accepted
    0     7201   -> encoding_invalid
    100   50     -> encoding_invalid
    300   900    -> accepted
    301   900    -> encoding_invalid
  `
  const rows = table
    .trim()
    .split('\n')
    .map((row) => row.trim().split(/\s+/))

  test.each(rows)('from %s to %s %s %s', (from, to, _, outcome) => {
    const read = () => openAdvert(advertBytes(Number(from), Number(to)), 'test', NOW_MS).value.sequence
    if (outcome === 'accepted') expect(read()).toBe(1)
    else expect(read).toThrow(expect.objectContaining({ code: outcome }))
  })
})

test('an advert of another network is refused by name', () => {
  const data = advertBytes(0, 900, { network: 'other' })
  expect(() => openAdvert(data, 'test', NOW_MS)).toThrow('the message is for network "other"')
})

describe('the name of a model', () => {
  test.each([
    ['Qwen3:8B', 'qwen3:8b'],
    ['llama3.3:latest', 'llama3.3'],
    ['  My Model_Name ', 'my-model-name'],
    ['ＧＰＴ', 'gpt'],
    ['a__b', 'a-b'],
    ['latest', 'latest'],
  ])('"%s" is looked up as "%s"', (name, canonical) => {
    expect(canonicalModel(name)).toBe(canonical)
  })

  test('is looked up the same once it is canonical', () => {
    const letters = fc.string({ unit: fc.constantFrom(...'aZ_ -:.é9'), minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(letters, (name) => {
        const canonical = canonicalModel(name)
        fc.pre(!canonical.endsWith(':latest'))
        expect(canonicalModel(canonical)).toBe(canonical)
      }),
    )
  })

  test('has another key on another network', () => {
    expect(toHex(modelKey('main', 'QWEN3'))).toBe(toHex(modelKey('main', 'qwen3')))
    expect(toHex(modelKey('main', 'qwen3'))).not.toBe(toHex(modelKey('test', 'qwen3')))
  })
})
