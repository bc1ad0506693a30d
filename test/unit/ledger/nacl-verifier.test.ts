import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { startNaclVerifier, type NaclVerifier } from '../../../src/ledger/nacl-verifier.ts'
import { createSignatureChecker, type SignatureChecker } from '../../../src/ledger/signature-check.ts'
import { LedgerPair, type LedgerSide } from '../../support/ledger-pair.ts'

const running: NaclVerifier[] = []
afterEach(async () => {
  for (const verifier of running.splice(0)) await verifier.stop()
})

describe('the verifier in the background', () => {
  test('confirms statements with their papers, and checkpoints, and goes on where it was', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 2)
    await pair.seller.ledger.takeCheckpoint()
    expect(pair.seller.ledger.reverification()).toMatchObject({ statements: 2, confirmed: 0, checkpointsThrough: 0 })
    const { told, verifier } = start(pair.seller)
    await until(() => pair.seller.ledger.reverification().checkpointsThrough === 1)
    await verifier.stop()
    expect(told).toEqual([])

    await pair.crash('seller')
    await pair.exchange()
    const { ledger } = pair.seller
    expect(ledger.reverification()).toMatchObject({ statements: 2, confirmed: 2, checkpointsThrough: 1 })
    expect(await ledger.nextToReverify()).toBeUndefined()
    await settledCalls(pair, 1)
    expect(await ledger.nextToReverify()).toMatchObject({ sequence: 3 })
  })

  test.each([
    ['statement', '07', /statement 1: the signature of its (seller|buyer) does not verify/],
    ['voucher', '03', /statement 1: the signature of its voucher of order [0-9a-f]{64} does not verify/],
    ['receipt', '04', /statement 1: the signature of its receipt of order [0-9a-f]{64} does not verify/],
  ])('freezes the account when the signature of a %s was planted, says so, and keeps it', async (_, space, reason) => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 1)
    await flipSignature(pair.buyer, space)
    const { told } = start(pair.buyer)
    await until(() => told.length > 0 && pair.views()[0].frozen !== undefined)
    expect(told).toEqual([expect.stringMatching(reason)])
    expect(pair.views()[0].frozen).toMatch(reason)
    await until(() => pair.buyer.ledger.reverification().mismatches.length > 0)
    await expect(pair.openPurchase(pair.order(1))).rejects.toMatchObject({ code: 'account_frozen' })

    await pair.crash('buyer')
    expect(pair.views()[0].frozen).toMatch(reason)
    expect(pair.buyer.ledger.reverification()).toMatchObject({
      confirmed: 0,
      mismatches: [expect.stringMatching(reason)],
    })
    expect(await pair.buyer.ledger.nextToReverify()).toBeUndefined()
  })

  test('finds a paper that is gone', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 1)
    await pair.buyer.store.write([{ key: keyIn(pair.buyer, '04'), value: undefined }])
    const { told } = start(pair.buyer)
    await until(() => told.length > 0)
    expect(told).toEqual([expect.stringMatching(/the receipt of order [0-9a-f]{64} is missing/)])
  })

  test('says so when it cannot go on', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 1)
    pair.seller.store.failWrites('ENOSPC')
    const { told } = start(pair.seller)
    await until(() => told.length > 0)
    expect(told).toEqual(['storage_failed'])
  })

  test('works a bounded part of the time, and rests when all is checked', async () => {
    const pair = await LedgerPair.reconciled()
    await settledCalls(pair, 3)
    let [worked, opened, closed] = [0, 0, 0]
    const slow: SignatureChecker = {
      engine: 'tweetnacl',
      width: 1,
      async check(claims) {
        const startedMs = performance.now()
        await delay(5)
        worked += performance.now() - startedMs
        return claims.map(() => true)
      },
      async close() {
        closed += 1
      },
    }
    const startedMs = performance.now()
    start(pair.seller, 250, () => {
      opened += 1
      return slow
    })
    await until(() => closed > 0)
    expect(pair.seller.ledger.reverification().confirmed).toBe(3)
    expect(worked / (performance.now() - startedMs)).toBeLessThan(0.3)
    expect([opened, closed]).toEqual([1, 1])
  })
})

function start(
  { ledger }: LedgerSide,
  budgetMsPerS = 1_000,
  openChecker: () => SignatureChecker = () => createSignatureChecker('tweetnacl', 1),
): { readonly told: string[]; readonly verifier: NaclVerifier } {
  const told: string[] = []
  const events = {
    onMismatch: (_: unknown, reason: string) => void told.push(reason),
    onFailure: ({ code }: { readonly code: string }) => void told.push(code),
  }
  const verifier = startNaclVerifier({ ledger, clock: systemClock, openChecker, events }, { budgetMsPerS, lookMs: 5 })
  running.push(verifier)
  return { told, verifier }
}

async function settledCalls(pair: LedgerPair, count: number): Promise<void> {
  for (let call = 0; call < count; call++) {
    await pair.trade({ vouched: 30, receipted: 20 })
    await pair.exchange()
  }
}

/** Changes a bit of the signature that a record ends with. */
async function flipSignature(side: LedgerSide, space: string): Promise<void> {
  const key = keyIn(side, space)
  const value = await side.store.get(key)
  if (value === undefined) throw new Error('no such record')
  const changed = value.with(value.length - 40, (value.at(-40) ?? 0) ^ 1)
  await side.store.write([{ key, value: changed }])
}

function keyIn({ store }: LedgerSide, space: string): Uint8Array {
  const found = store.keys().find((key) => key.startsWith(space))
  if (found === undefined) throw new Error(`nothing in ${space}`)
  return Buffer.from(found, 'hex')
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(2)
}
