/**
 * Nodes that do not keep the rules: a market whose ledger lies, on real disks and a real network. What they do to themselves is
 * their own affair; what they do to others is audited.
 */
import { timeoutSignal, type Clock } from '../../src/base/clock.ts'
import { TokError } from '../../src/base/errors.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'
import type { Market } from '../../src/node/market.ts'
import { STATEMENT, type ProposalFrame, type Statement } from '../../src/wire/account.ts'
import { decodeEnvelope, encodeEnvelope, open, seal } from '../../src/wire/envelope.ts'
import type { NodeKey } from '../../src/wire/identity.ts'
import { decodePart, encodePart, RECEIPT, VOUCHER } from '../../src/wire/inference.ts'
import { FRAMES } from '../../src/wire/registry.ts'
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

const FLOOD_EVERY_MS = 33

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
  { name: 'floods its seller with exchanges and orders', role: 'buyer', side: 0, tamper: { act: flood } },
  { name: 'proposes twice the amount', role: 'seller', side: 1, tamper: proposeDouble },
  { name: 'proposes each call twice', role: 'seller', side: 1, tamper: proposeTwice },
  { name: 'signs two statements at one sequence', role: 'seller', side: 1, tamper: proposeAnew },
  { name: 'counts more than it sends', role: 'seller', side: 1, tamper: { frame: countMore } },
  { name: 'bills more than it sends', role: 'seller', side: 1, tamper: { frame: billMore } },
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

/** Every part claims fifty tokens more than there are. */
function countMore(type: number, payload: Uint8Array): Uint8Array {
  if (type !== FRAMES.part) return payload
  const { outputTokens, content } = decodePart(payload)
  return encodePart(outputTokens + 50, content)
}

/** Every receipt bills fifty tokens and a hundred micros more than there are. */
function billMore(type: number, payload: Uint8Array, key: NodeKey): Uint8Array {
  if (type !== FRAMES.receipt) return payload
  const { value } = open(RECEIPT, decodeEnvelope(payload, 'receipt'))
  const usage = { ...value.usage, outputTokens: value.usage.outputTokens + 50 }
  return encodeEnvelope(seal(RECEIPT, { ...value, usage, amount: value.amount + 100n }, key))
}

/** Begins an exchange and sends an order of nonsense with everyone, thirty times a second, for as long as the node lives. */
function flood(market: Market, clock: Clock): void {
  clock.after(FLOOD_EVERY_MS, () => {
    for (const { peer } of market.network.peers()) void annoy(market, clock, peer)
    flood(market, clock)
  })
}

async function annoy({ network }: Market, clock: Clock, peer: string): Promise<void> {
  try {
    const stream = await network.openAccountStream(peer, timeoutSignal(clock, 1_000))
    await stream.write(FRAMES.hello, new Uint8Array(200))
    const call = await network.openCall(peer, timeoutSignal(clock, 1_000))
    call.attach({ onFrame: () => undefined, onWritable: () => undefined, onClosed: () => undefined })
    call.send(FRAMES.order, new Uint8Array(600))
  } catch {
    // The seller is gone, or has had enough.
  }
}

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
