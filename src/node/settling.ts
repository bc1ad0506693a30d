/**
 * What the operator does about payments and nettings: announce, confirm, refuse, cancel, set off. Values as in the admin API.
 */
import { toHex, type RandomBytes } from '../base/bytes.ts'
import { timeoutSignal, type Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import type { Settler } from '../buyer/settle.ts'
import type { SettlementView, SettleRequest } from '../gateway/admin-api.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { SettlementView as LedgerSettlement } from '../ledger/settlements.ts'
import { adapterNamed } from '../market/settlement-adapter.ts'
import { keyOfPeer } from '../wire/identity.ts'
import type { Market } from './market.ts'

/** How long a peer may take to compare the account before it is set off, in ms. */
const RECONCILE_MS = 10_000
/** Fewer characters of an id would soon mean another settlement. */
const ID_PREFIX_MIN = 8

interface Dependencies {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly random: RandomBytes
  readonly market: () => Market | undefined
}

/** Every payment and netting under way, as the admin API shows it. */
export function settlementsOf(ledger: Ledger): readonly SettlementView[] {
  return ledger.settlements().map(viewOf)
}

/**
 * Does what the operator asks and gives the settlement as it then stands; the other side learns of it with the next exchange.
 * @throws TokError `settlement_invalid`, `reference_used`, `record_not_found`, `argument_invalid`, and those of reaching a peer
 */
export async function settle(dependencies: Dependencies, request: SettleRequest): Promise<SettlementView> {
  const { ledger } = dependencies
  switch (request.action) {
    case 'pay':
      return viewOf(await announce(dependencies, request))
    case 'net':
      return viewOf(await setOff(dependencies, request))
    case 'confirm':
      return viewOf(await ledger.confirmPayment(idOf(ledger, request.id)))
    case 'refuse':
      return viewOf(await ledger.refusePayment(idOf(ledger, request.id), request.reason))
    case 'cancel': {
      const cancelled = await ledger.cancelPayment(idOf(ledger, request.id))
      dependencies.market()?.settler?.settleSoon(cancelled.peer)
      return viewOf(cancelled)
    }
  }
}

async function announce(
  { ledger, clock, market }: Dependencies,
  { peer, amountMicros, adapter, reference, paidAtMs }: Extract<SettleRequest, { action: 'pay' }>,
): Promise<LedgerSettlement> {
  const settler = settlerOf(market())
  const announced = await ledger.announcePayment(keyOf(peer), {
    adapter,
    reference: adapterNamed(market()?.adapters ?? [], adapter).normalise(reference),
    amount: BigInt(amountMicros),
    paidAtMs: paidAtMs ?? clock.nowMs(),
  })
  settler.settleSoon(peer)
  return announced
}

async function setOff(
  { ledger, clock, random, market }: Dependencies,
  { peer, amountMicros }: Extract<SettleRequest, { action: 'net' }>,
): Promise<LedgerSettlement> {
  const settler = settlerOf(market())
  const key = keyOf(peer)
  await settler.reconciled(peer, timeoutSignal(clock, RECONCILE_MS))
  const amount = amountMicros === undefined ? undefined : BigInt(amountMicros)
  const proposed = await ledger.proposeNetting(key, amount, random(16))
  settler.settleSoon(peer)
  return proposed
}

function settlerOf(market: Market | undefined): Settler {
  if (market === undefined) throw new TokError('network_unavailable', { reason: 'the node has not joined it' })
  if (market.settler !== undefined) return market.settler
  throw new TokError('settlement_invalid', { reason: 'this node does not buy now; start it with --role both' })
}

function keyOf(peer: string): Uint8Array {
  const key = keyOfPeer(peer)
  if (key === undefined) throw new TokError('argument_invalid', { reason: `"${peer}" is not a peer ID` })
  return key
}

/** The settlement whose id begins so. */
function idOf(ledger: Ledger, text: string): Uint8Array {
  const found = ledger.settlements().filter(({ id }) => text.length >= ID_PREFIX_MIN && toHex(id).startsWith(text))
  const [only] = found
  if (only === undefined || found.length > 1) throw new TokError('record_not_found', { id: text })
  return only.id
}

function viewOf(settlement: LedgerSettlement): SettlementView {
  const { id, kind, state, side, peer, amount, issuedAtMs, expiresAtMs } = settlement
  const common = { id: toHex(id), kind, state, side, counterparty: peer, amountMicros: amount.toString() }
  const times = { issuedAtMs, expiresAtMs }
  if (settlement.kind === 'netting') return { ...common, ...times }
  const { adapter, reference, paidAtMs, reason } = settlement
  return { ...common, ...times, adapter, reference, paidAtMs, ...(reason === undefined ? {} : { reason }) }
}
