/**
 * Nodes that do not keep the rules: a market whose ledger lies, on real disks and a real network. What they do to themselves is
 * their own affair; what they do to others is audited.
 */
import { TokError } from '../../src/base/errors.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import { STATEMENT, type ProposalFrame, type Statement } from '../../src/wire/account.ts'
import { open, seal } from '../../src/wire/envelope.ts'
import type { NodeKey } from '../../src/wire/identity.ts'
import { VOUCHER } from '../../src/wire/inference.ts'
import type { Tamper } from './simulated-node.ts'

/** A way to cheat, and which side of a pair does it. */
export interface Adversary {
  readonly name: string
  readonly role: 'buyer' | 'seller'
  /** Its place in a pair: 0 buys, 1 sells. */
  readonly side: 0 | 1
  readonly tamper: Tamper
}

/** Proposes every amount twice over. */
export const proposeDouble: Tamper = proposing((statement) => {
  const items = statement.items.map((item) => ({ ...item, amount: item.amount * 2n }))
  const more = statement.items.reduce((sum, { amount }) => sum + amount, 0n)
  return { ...statement, items, owed: statement.owed + more }
})

/** Signs another statement at the same sequence each time it is asked. */
const proposeAnew: Tamper = (() => {
  let count = 0
  return proposing((statement) => {
    count += 1
    return { ...statement, issuedAtMs: statement.issuedAtMs + count }
  })
})()

/** Names the items of a proposal twice. */
export const proposeTwice: Tamper = proposing((statement) => {
  const more = statement.items.reduce((sum, { amount }) => sum + amount, 0n)
  return { ...statement, items: [...statement.items, ...statement.items].slice(0, 32), owed: statement.owed + more }
})

export const ADVERSARIES: readonly Adversary[] = [
  {
    name: 'never vouches',
    role: 'buyer',
    side: 0,
    tamper: { ledger: (ledger) => ({ ...ledger, signVoucher: async () => undefined }) },
  },
  {
    name: 'sends its first voucher again and again',
    role: 'buyer',
    side: 0,
    tamper: {
      ledger(ledger) {
        const first = new Map<string, Awaited<ReturnType<Ledger['signVoucher']>>>()
        return {
          ...ledger,
          async signVoucher(orderId, usage) {
            const name = Buffer.from(orderId).toString('hex')
            const voucher = first.get(name) ?? (await ledger.signVoucher(orderId, usage))
            if (voucher !== undefined) first.set(name, voucher)
            return voucher
          },
        }
      },
    },
  },
  {
    name: 'lets its vouchers fall',
    role: 'buyer',
    side: 0,
    tamper: {
      ledger: (ledger, key) => ({
        ...ledger,
        async signVoucher(orderId, usage) {
          const voucher = await ledger.signVoucher(orderId, usage)
          if (voucher === undefined || voucher.value.index < 2) return voucher
          const usageBefore = { ...voucher.value.usage, outputTokens: 0 }
          return seal(VOUCHER, { ...voucher.value, usage: usageBefore, amount: 0n }, key)
        },
      }),
    },
  },
  {
    name: 'never countersigns',
    role: 'buyer',
    side: 0,
    tamper: {
      ledger: (ledger) => ({
        ...ledger,
        answerProposal: () => Promise.reject(new TokError('node_stopping')),
      }),
    },
  },
  {
    name: 'hides what it signed',
    role: 'buyer',
    side: 0,
    tamper: { ledger: (ledger) => ({ ...ledger, evidenceFor: () => [] }) },
  },
  { name: 'proposes twice the amount', role: 'seller', side: 1, tamper: proposeDouble },
  { name: 'proposes each call twice', role: 'seller', side: 1, tamper: proposeTwice },
  { name: 'signs two statements at one sequence', role: 'seller', side: 1, tamper: proposeAnew },
  {
    name: 'never settles',
    role: 'seller',
    side: 1,
    tamper: { ledger: (ledger) => ({ ...ledger, propose: async () => undefined }) },
  },
  {
    name: 'forgets what it was promised',
    role: 'seller',
    side: 1,
    tamper: { ledger: (ledger) => ({ ...ledger, recordVoucher: async () => undefined }) },
  },
]

function proposing(change: (statement: Statement) => Statement): Tamper {
  return {
    ledger: (ledger, key) => ({
      ...ledger,
      async propose(account, creditLimit) {
        const frame = await ledger.propose(account, creditLimit)
        return frame && changed(frame, change, key)
      },
    }),
  }
}

function changed(frame: ProposalFrame, change: (statement: Statement) => Statement, key: NodeKey): ProposalFrame {
  const { body, signature } = seal(STATEMENT, change(open(STATEMENT, frame).value), key)
  return { ...frame, body, signature }
}
