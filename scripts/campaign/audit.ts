/**
 * What a campaign's ledgers must say in the end: read from the exports alone, and compared with what the clients saw.
 */
import type { ClientCall } from './load.ts'

/** A line of an export, as people read it. */
interface ExportLine {
  readonly kind: string
  readonly id: string
  readonly reading: Readonly<Record<string, unknown>>
}

/** What one node's verified export holds. */
export interface NodeExport {
  readonly name: string
  readonly peerId: string
  readonly lines: readonly ExportLine[]
}

interface Item {
  readonly kind: string
  readonly order: string
  readonly amount: string
  readonly usage: { readonly outputTokens: number }
}

/** The outcome of an audit: figures, and every breach in words. */
export interface Audit {
  readonly statements: number
  readonly settledCalls: number
  readonly settledMicros: bigint
  /** The most tokens of one call that were delivered and not billed, and billed and not delivered. */
  readonly lossMaxTokens: number
  readonly overbilledMaxTokens: number
  /** Tokens of all calls that were delivered and not billed. */
  readonly lostTokens: number
  /** Calls whose client got everything before a kill took the last voucher. */
  readonly unpaidWholeCalls: number
  readonly breaches: readonly string[]
}

/** Reads the lines of a verified export. */
export function readExport(name: string, peerId: string, text: string): NodeExport {
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ExportLine)
  return { name, peerId, lines }
}

/**
 * Compares the two sides of every account, and every call with what its client saw.
 * @param windowTokens what a seller may deliver ahead of the buyer's signature: the most that one call may lose
 */
export function audit(exports: readonly NodeExport[], calls: readonly ClientCall[], windowTokens: number): Audit {
  const breaches: string[] = []
  const chains = new Map<string, { readonly name: string; readonly heads: string }[]>()
  const billed = new Map<number, number>()
  const maxima = new Map<string, number>()
  const seen = new Set<string>()
  let [statements, settledCalls, settledMicros] = [0, 0, 0n]

  for (const { name, peerId, lines } of exports) {
    for (const { kind, id, reading } of lines) {
      if (kind === 'order') maxima.set(id, Number(reading['outputTokensMax']))
    }
    const byAccount = Map.groupBy(
      lines.filter(({ kind }) => kind === 'statement'),
      ({ reading }) => `${String(reading['buyer'])} owes ${String(reading['seller'])}`,
    )
    for (const [account, chain] of byAccount) {
      const heads = chain.map(({ id }) => id).join(' ')
      chains.set(account, [...(chains.get(account) ?? []), { name, heads }])
      const isBuyers = account.startsWith(peerId)
      for (const { reading } of isBuyers ? chain : []) {
        statements += 1
        for (const { order, amount, usage } of reading['items'] as readonly Item[]) {
          if (seen.has(order)) breaches.push(`order ${order} is settled twice`)
          seen.add(order)
          settledCalls += 1
          settledMicros += BigInt(amount)
          const maximum = maxima.get(order)
          if (maximum === undefined) breaches.push(`order ${order} is settled, and not in the export of ${name}`)
          else billed.set(maximum, (billed.get(maximum) ?? 0) + usage.outputTokens)
        }
      }
    }
  }
  for (const [account, sides] of chains) {
    const names = sides.map(({ name }) => name).join(' and ')
    if (sides.length !== 2) breaches.push(`${account}: only ${names} holds it`)
    else if (sides[0]?.heads !== sides[1]?.heads) breaches.push(`${account}: ${names} hold other statements`)
  }

  let [lossMaxTokens, overbilledMaxTokens, unpaidWholeCalls, lostTokens] = [0, 0, 0, 0]
  for (const { outputTokensMax, delivered, outcome } of calls) {
    const tokens = billed.get(outputTokensMax) ?? 0
    lostTokens += Math.max(0, delivered - tokens)
    lossMaxTokens = Math.max(lossMaxTokens, delivered - tokens)
    overbilledMaxTokens = Math.max(overbilledMaxTokens, tokens - delivered)
    const place = `the call of maximum ${outputTokensMax}`
    // The last tokens are vouched for after the client has them: a kill between is a loss, and never more than the window.
    if (outcome === 'whole' && tokens > delivered) breaches.push(`${place}: ${delivered} came, ${tokens} are billed`)
    if (outcome === 'whole' && tokens < delivered) unpaidWholeCalls += 1
    if (delivered - tokens > windowTokens) breaches.push(`${place}: ${delivered - tokens} tokens are lost`)
  }
  return {
    statements,
    settledCalls,
    settledMicros,
    lossMaxTokens,
    lostTokens,
    overbilledMaxTokens,
    unpaidWholeCalls,
    breaches,
  }
}
