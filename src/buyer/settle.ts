/**
 * The buyer's side of the account exchange: bring both views of an account together, then answer what the seller proposes.
 * The buyer opens every exchange; after each call, on each connection, and now and then. Source: protocols/account/v1.md.
 */
import type { Logger } from 'pino'
import { equalBytes } from '../base/bytes.ts'
import { timeoutSignal, type Clock } from '../base/clock.ts'
import { TokError, toTokError } from '../base/errors.ts'
import { catchUp, type ExchangeFrames } from '../ledger/catch-up.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Frame, FrameStream, Network } from '../network/network.ts'
import {
  countersignatureShape,
  evidenceShape,
  helloShape,
  nettingFrameShape,
  proposalShape,
  settlementRefusalShape,
  type Account,
  type Hello,
} from '../wire/account.ts'
import { decodeEnvelope, encodeEnvelope } from '../wire/envelope.ts'
import { keyOfPeer } from '../wire/identity.ts'
import { FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import { decodeBody, encodeBody } from '../wire/shape.ts'

/** Keeps the accounts with sellers reconciled and settled. */
export interface Settler {
  /**
   * Resolves once the account with `peer` was compared on the present connection, at once if it was (R9).
   * @throws TokError `seller_unreachable`, `seller_timeout`, `account_frozen` and others of the exchange
   */
  reconciled(peer: string, signal: AbortSignal): Promise<void>
  /**
   * Compares the account with `peer` now, also if it was, and settles what is open.
   * @throws TokError as `reconciled` does
   */
  reconcile(peer: string): Promise<void>
  /**
   * Asks for an exchange soon; several requests become one. One that breaks off is tried again, for about a minute, and one
   * that leaves something open again and again.
   */
  settleSoon(peer: string): void
  /** The connection is gone: nothing is signed for the account before the next exchange. */
  forgetConnection(peer: string): void
  /** Ends waiting exchanges; running ones end with the network. */
  stop(): void
}

/** Calls that end together are settled together. */
const COALESCE_MS = 50
const RETRY_FIRST_MS = 1_000
const RETRY_MAX_MS = 15_000
/** How often accounts with open calls are compared, however quiet they are. */
const RECONCILE_EVERY_MS = 600_000
/** Frames of one exchange that bring no statement: evidence and proposals of the fullest account, several times over. */
const FRAMES_PER_EXCHANGE = 4_096

interface Dependencies {
  readonly ledger: Ledger
  readonly network: Network
  readonly clock: Clock
  readonly logger: Logger
}

export function createSettler(dependencies: Dependencies): Settler {
  const { ledger, clock, logger } = dependencies
  /** One exchange at a time with a peer. */
  const running = new Map<string, Promise<void>>()
  const reconciledPeers = new Set<string>()
  const waiting = new Map<string, { readonly atMs: number; readonly cancel: () => void }>()
  const retryMs = new Map<string, number>()
  let isStopped = false

  const accountWith = (peer: string): Account => {
    const seller = keyOfPeer(peer)
    if (seller === undefined)
      throw new TokError('seller_unreachable', { peer, reason: 'its peer ID is no Ed25519 key' })
    return { network: ledger.network, asset: ledger.asset, buyer: ledger.key.publicKey, seller }
  }

  const exchange = (peer: string): Promise<void> => {
    const before = running.get(peer)
    if (before !== undefined) return before
    const after = runExchange(dependencies, peer, accountWith(peer), () => reconciledPeers.add(peer)).finally(() =>
      running.delete(peer),
    )
    running.set(peer, after)
    return after
  }

  const schedule = (peer: string, delayMs: number): void => {
    const atMs = clock.monotonicMs() + delayMs
    const before = waiting.get(peer)
    if (isStopped || (before !== undefined && before.atMs <= atMs)) return
    before?.cancel()
    const cancel = clock.after(delayMs, () => {
      waiting.delete(peer)
      void settle(peer)
    })
    waiting.set(peer, { atMs, cancel })
  }

  const settle = async (peer: string): Promise<void> => {
    try {
      await running.get(peer)?.catch(() => undefined) // what it began with is older than this request
      await exchange(peer)
      // What is open still waits at the seller: for the end of a call, or for people who confirm a payment.
      if (isOpen(peer)) settleLater(peer)
      else retryMs.delete(peer)
    } catch (thrown) {
      const error = toTokError(thrown)
      logger.debug({ peer, code: error.code, reason: error.message }, 'settling waits for the seller')
      // The seller may lack the last countersignature though nothing is open here. One that is gone is not asked for ever.
      if (isOpen(peer) || (retryMs.get(peer) ?? 0) < RETRY_MAX_MS) settleLater(peer)
    }
  }

  const isOpen = (peer: string): boolean => {
    const { unsettled, settlementsOpen } = ledger.accountView('buyer', accountWith(peer).seller)
    return unsettled > 0n || settlementsOpen > 0
  }

  /** Each time after a longer wait. */
  const settleLater = (peer: string): void => {
    if (ledger.accountView('buyer', accountWith(peer).seller).frozen !== undefined) return
    const delayMs = retryMs.get(peer) ?? RETRY_FIRST_MS
    retryMs.set(peer, Math.min(delayMs * 2, RETRY_MAX_MS))
    schedule(peer, delayMs)
  }

  /** Every event that settles a call can be lost; this looks again. */
  const reconcileOpen = (): void => {
    for (const { side, peer, liveCalls, unsettled } of ledger.accountViews()) {
      if (side === 'buyer' && (liveCalls > 0 || unsettled > 0n)) schedule(peer, 0)
    }
    cancelReconciling = clock.after(RECONCILE_EVERY_MS, reconcileOpen)
  }
  let cancelReconciling = clock.after(RECONCILE_EVERY_MS, reconcileOpen)

  return {
    async reconciled(peer, signal) {
      if (reconciledPeers.has(peer)) return
      await Promise.race([exchange(peer), rejectionOf(signal)])
    },
    async reconcile(peer) {
      await running.get(peer)?.catch(() => undefined) // what it began with is older than this request
      await exchange(peer)
    },
    settleSoon: (peer) => schedule(peer, COALESCE_MS),
    forgetConnection(peer) {
      reconciledPeers.delete(peer)
      const seller = keyOfPeer(peer)
      if (seller !== undefined) ledger.setReconciled(accountWith(peer), false)
    },
    stop() {
      isStopped = true
      cancelReconciling()
      for (const { cancel } of waiting.values()) cancel()
      waiting.clear()
    },
  }
}

async function runExchange(
  { ledger, network, clock, logger }: Dependencies,
  peer: string,
  account: Account,
  onReconciled: () => void,
): Promise<void> {
  const opened = timeoutSignal(clock, TIMEOUTS.openMs + TIMEOUTS.dialMs)
  const stream = await network.openAccountStream(peer, opened)
  let framesLeft = FRAMES_PER_EXCHANGE
  const next = async (): Promise<Frame> => {
    framesLeft -= 1
    if (framesLeft < 0) throw new TokError('seller_misbehaved', { peer, reason: 'an account exchange without end' })
    const frame = await readFrame(stream, peer, clock)
    if (frame === undefined) throw new TokError('seller_misbehaved', { peer, reason: 'it ended the exchange early' })
    return frame
  }
  const frames: ExchangeFrames = {
    write: (type, payload) => stream.write(type, payload),
    async read(type) {
      const frame = await next()
      expect(frame, type, peer)
      return frame.payload
    },
    onProgress() {
      framesLeft = FRAMES_PER_EXCHANGE
    },
  }
  try {
    const mine = ledger.hello(account)
    await stream.write(FRAMES.hello, encodeBody(helloShape, mine))
    const theirs = readHello(await next(), peer, ledger.network, account)
    await catchUp(ledger, account, { mine, theirs, isBuyer: true }, frames)
    for (const evidence of ledger.evidenceFor(account, theirs)) {
      await stream.write(FRAMES.evidence, encodeBody(evidenceShape, evidence))
    }
    for (const payment of ledger.paymentsToShow(account)) {
      await stream.write(FRAMES.payment, encodeEnvelope(payment))
    }
    const netting = ledger.nettingToShow(account)
    if (netting !== undefined) await stream.write(FRAMES.netting, encodeBody(nettingFrameShape, netting))
    await stream.write(FRAMES.done, new Uint8Array())
    for (let frame = await next(); frame.type !== FRAMES.done; frame = await next()) {
      if (frame.type === FRAMES.payment) {
        await ledger.adoptPayment(account, decodeEnvelope(frame.payload, 'payment'))
      } else if (!(await takeSettlement(frame))) {
        expect(frame, FRAMES.evidence, peer)
        await ledger.adoptEvidence(account, decodeBody(evidenceShape, frame.payload, 'evidence'))
      }
    }
    ledger.setReconciled(account, true)
    onReconciled()
    for (let frame = await next(); frame.type !== FRAMES.done; frame = await next()) {
      if (await takeSettlement(frame)) continue
      expect(frame, FRAMES.proposal, peer)
      const answer = await ledger.answerProposal(account, decodeBody(proposalShape, frame.payload, 'proposal'))
      if ('rejection' in answer) {
        logger.warn({ peer }, 'a statement of the seller was rejected')
        await stream.write(FRAMES.rejection, encodeEnvelope(answer.rejection))
      } else {
        const { statement, countersignature: signature } = answer
        await stream.write(FRAMES.countersignature, encodeBody(countersignatureShape, { statement, signature }))
      }
    }
    await stream.close()
  } catch (thrown) {
    const error = toTokError(thrown)
    stream.abort(error)
    throw error
  }

  /** Takes in a netting that both signed, or what the seller refuses; false for a frame that is neither. */
  async function takeSettlement({ type, payload }: Frame): Promise<boolean> {
    if (type === FRAMES.netting) {
      await ledger.takeNetting(account, decodeBody(nettingFrameShape, payload, 'netting'))
    } else if (type === FRAMES.settlementRefusal) {
      const refusal = decodeBody(settlementRefusalShape, payload, 'settlement refusal')
      logger.warn({ peer, reason: refusal.reason }, 'the seller refuses a settlement')
      await ledger.takeRefusal(account, refusal)
    } else {
      return false
    }
    return true
  }
}

async function readFrame(stream: FrameStream, peer: string, clock: Clock): Promise<Frame | undefined> {
  const timeout = timeoutSignal(clock, TIMEOUTS.accountMs)
  try {
    return await stream.read(timeout)
  } catch (thrown) {
    if (!timeout.aborted) throw thrown
    const details = { peer, awaited: 'nothing on the account', timeoutMs: TIMEOUTS.accountMs }
    throw new TokError('seller_timeout', details, { cause: thrown })
  }
}

function readHello(frame: Frame, peer: string, network: string, account: Account): Hello {
  expect(frame, FRAMES.hello, peer)
  const hello = decodeBody(helloShape, frame.payload, 'hello')
  const isSame =
    equalBytes(hello.account.buyer, account.buyer) &&
    equalBytes(hello.account.seller, account.seller) &&
    hello.account.network === network &&
    hello.account.asset === account.asset
  if (!isSame) throw new TokError('seller_misbehaved', { peer, reason: 'its HELLO is of another account' })
  if (hello.calls.length > LIMITS.helloCalls)
    throw new TokError('limit_exceeded', { limit: LIMITS.helloCalls, what: 'calls' })
  return hello
}

function expect(frame: Frame, type: number, peer: string): void {
  if (frame.type === type) return
  throw new TokError('seller_misbehaved', {
    peer,
    reason: `frame 0x${frame.type.toString(16)} where 0x${type.toString(16)} stands`,
  })
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
