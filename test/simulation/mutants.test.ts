/**
 * Tests of the tests: each rule of protocols/account/v1.md is switched off in turn, from outside of the code that keeps it, and
 * the auditor has to notice within a few seeds. With every rule on, the same seeds pass.
 */
import { afterEach, expect, test, vi } from 'vitest'
import type * as SettleModule from '../../src/buyer/settle.ts'
import type * as AccountStateModule from '../../src/ledger/account-state.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import type { Store, Write } from '../../src/ledger/store.ts'
import { open } from '../../src/wire/envelope.ts'
import { VOUCHER } from '../../src/wire/inference.ts'
import { proposeDouble, proposeTwice } from './adversaries.ts'
import { QUIET, simulate, SimulationFailure, type SimulationOptions } from './simulation.ts'
import type { Tamper } from './simulated-node.ts'

/** Rules that are switched off where a pure function carries them. */
const off = vi.hoisted(() => new Set<string>())

vi.mock('../../src/ledger/account-state.ts', async (importOriginal) => {
  const real = await importOriginal<typeof AccountStateModule>()
  return {
    ...real,
    judgeProposal: (...given: Parameters<typeof real.judgeProposal>) =>
      off.has('R7') ? undefined : real.judgeProposal(...given),
    exposureOf: (state: Parameters<typeof real.exposureOf>[0]) =>
      off.has('R8') ? state.head.owed - state.head.paid : real.exposureOf(state),
    requireUsable: (state: Parameters<typeof real.requireUsable>[0]) => {
      if (!off.has('R9')) real.requireUsable(state)
    },
  }
})

vi.mock('../../src/buyer/settle.ts', async (importOriginal) => {
  const real = await importOriginal<typeof SettleModule>()
  return {
    ...real,
    createSettler: (given: Parameters<typeof real.createSettler>[0]) => {
      const settler = real.createSettler(given)
      const reconciled = (peer: string, signal: AbortSignal) =>
        off.has('R9') ? Promise.resolve() : settler.reconciled(peer, signal)
      return { ...settler, reconciled }
    },
  }
})

afterEach(() => off.clear())

const SEEDS = Array.from({ length: 16 }, (_, index) => index + 1)

/** A buyer and a seller in a bad minute. */
const BAD_MINUTE: Partial<SimulationOptions> = {
  ...QUIET,
  calls: 8,
  killEveryS: 4,
  lossPart: 0.05,
  partitions: 1,
  diskFailures: 1,
}

/** First bytes of the keys of what leaves a node. */
const RELEASED = {
  order: 0x02,
  voucher: 0x03,
  receipt: 0x04,
  acceptance: 0x05,
  proposal: 0x06,
  statement: 0x07,
} as const

/** The store with some of its ways replaced. */
function storeWith(ways: (store: Store) => Partial<Store>): Tamper {
  return {
    store: (store) => ({
      get: (key) => store.get(key),
      write: (writes) => store.write(writes),
      entries: (from, to, reverse) => store.entries(from, to, reverse),
      close: () => store.close(),
      ...ways(store),
    }),
  }
}

function ledgerWith(ways: (ledger: Ledger) => Partial<Ledger>): Tamper {
  return { ledger: (ledger) => ({ ...ledger, ...ways(ledger) }) }
}

interface Mutant {
  readonly rule: string
  readonly what: string
  readonly tamperOf?: ((index: number) => Tamper | undefined) | undefined
  /** Nodes that lie besides: the rule protects from them. */
  readonly lawless?: readonly number[] | undefined
  readonly options?: Partial<SimulationOptions>
  /** What the auditor may call it. */
  readonly caughtAs: RegExp
}

const MUTANTS: readonly Mutant[] = [
  ...Object.entries(RELEASED).map(([name, space]) => ({
    rule: 'R1',
    what: `a disk answers before it has written the ${name}`,
    tamperOf: () =>
      storeWith((store) => ({
        async write(writes) {
          const isEarly = writes.some(({ key }) => key[0] === space)
          const written = store.write(writes)
          if (isEarly) written.catch(() => undefined)
          else await written
        },
      })),
    caughtAs: /^I10/,
  })),
  {
    rule: 'R2',
    what: 'the window counts vouchers that are not on disk yet',
    tamperOf: () =>
      ledgerWith((ledger) => ({
        async recordVoucher(orderId, envelope) {
          ledger.recordVoucher(orderId, envelope).catch(() => undefined)
          return open(VOUCHER, envelope)
        },
      })),
    options: { windowTokens: 32 },
    caughtAs: /^I2/,
  },
  {
    rule: 'R3',
    what: 'a seller that starts again has forgotten its proposal',
    tamperOf: () =>
      storeWith((store) => ({ get: async (key) => (key[0] === RELEASED.proposal ? undefined : store.get(key)) })),
    options: { killEveryS: 1.5, lossPart: 0.2 },
    caughtAs: /^I1:/,
  },
  {
    rule: 'R4',
    what: 'a statement and what it changes are written one after the other',
    tamperOf: () =>
      storeWith((store) => ({
        async write(writes: readonly Write[]) {
          for (const each of writes) await store.write([each])
        },
      })),
    caughtAs: /^R4/,
  },
  {
    rule: 'R5',
    what: 'a buyer waits for the receipt of a call whose stream has died',
    tamperOf: () =>
      ledgerWith((ledger) => ({
        async closePurchase(orderId, receipt, inference, options) {
          if (receipt !== undefined) await ledger.closePurchase(orderId, receipt, inference, options)
        },
      })),
    caughtAs: /^I9/,
  },
  {
    rule: 'R6',
    what: 'a restored node does not believe its own signature',
    tamperOf: () => ledgerWith(() => ({ adoptEvidence: async () => undefined })),
    options: { restores: 3 },
    caughtAs: /^I8/,
  },
  {
    rule: 'R7',
    what: 'a buyer countersigns amounts that it never promised',
    tamperOf: (index) => (index === 1 ? proposeDouble : undefined),
    lawless: [1],
    caughtAs: /^I3/,
  },
  {
    rule: 'R7',
    what: 'a buyer countersigns what is settled already',
    tamperOf: (index) => (index === 1 ? proposeTwice : undefined),
    lawless: [1],
    caughtAs: /^I5/,
  },
  {
    rule: 'R8',
    what: 'credit is checked against the balance alone',
    options: { lineMicros: 3_000n, calls: 20 },
    caughtAs: /^I7/,
  },
  { rule: 'R9', what: 'orders go out before the account was compared', caughtAs: /^R9/ },
]

test.each(MUTANTS)('$rule switched off is noticed: $what', async ({ rule, tamperOf, lawless, options, caughtAs }) => {
  off.add(rule)
  const found: string[] = []
  for (const seed of SEEDS) {
    const failure = await failureOf({ ...QUIET, ...BAD_MINUTE, ...options, seed, ...tampered({ tamperOf, lawless }) })
    if (failure !== undefined) found.push(failure)
    if (caughtAs.test(failure ?? '')) return
  }
  expect.fail(
    `not noticed as ${caughtAs.source} within ${SEEDS.length} seeds, but as: ${found.join(', ') || 'nothing'}`,
  )
})

/** One of each rule. */
const RULES = MUTANTS.filter(({ rule }, index) => MUTANTS.findIndex((other) => other.rule === rule) === index)

test.each(RULES)('with $rule on, the same minutes pass', async ({ rule, lawless, tamperOf, options }) => {
  const adversary = lawless === undefined ? {} : tampered({ tamperOf, lawless })
  for (const seed of SEEDS.slice(0, 2)) {
    await expect(failureOf({ ...QUIET, ...BAD_MINUTE, ...options, seed, ...adversary }), rule).resolves.toBeUndefined()
  }
})

function tampered(options: Pick<Mutant, 'tamperOf' | 'lawless'>): Partial<SimulationOptions> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

async function failureOf(options: SimulationOptions): Promise<string | undefined> {
  try {
    await simulate(options)
    return undefined
  } catch (thrown) {
    if (thrown instanceof SimulationFailure) return thrown.message
    throw thrown
  }
}
