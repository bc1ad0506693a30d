/**
 * The seller's side of the account exchange: bring both views of an account together, then propose statements until nothing is
 * left to settle. Source: protocols/account/v1.md.
 */
import type { Logger } from 'pino'
import { equalBytes } from '../base/bytes.ts'
import { timeoutSignal, type Clock } from '../base/clock.ts'
import { TokError, toTokError } from '../base/errors.ts'
import { catchUp, type ExchangeFrames } from '../ledger/catch-up.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Frame, FrameStream } from '../network/network.ts'
import {
  countersignatureShape,
  evidenceShape,
  helloShape,
  nettingFrameShape,
  proposalShape,
  settlementRefusalShape,
  type Account,
  type Netting,
  type NettingFrame,
  type SettlementRefusal,
} from '../wire/account.ts'
import { decodeEnvelope, encodeEnvelope, type Envelope, type Signed } from '../wire/envelope.ts'
import { keyOfPeer } from '../wire/identity.ts'
import { FRAMES, LIMITS, TIMEOUTS } from '../wire/registry.ts'
import { decodeBody, encodeBody } from '../wire/shape.ts'

/** Frames of one exchange, as the buyer counts them. */
const FRAMES_PER_EXCHANGE = 4_096

interface Dependencies {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly logger: Logger
  /** The credit limit the next statement states, in micros. */
  readonly creditLimitOf: (buyer: Uint8Array) => bigint
  /** Asks the adapters which payments of a buyer have arrived; without it only the operator confirms. */
  readonly checkPayments?: (buyer: string) => Promise<void>
  /** Has the account on which this node buys from a peer settled; absent on a node that does not buy. */
  readonly settleOwn?: ((peer: string) => void) | undefined
}

/**
 * Answers one exchange of a buyer. `createSettlementAnswerer` has those of one buyer go one after the other.
 * @throws TokError when the exchange breaks off; nothing half-done stands in the ledger then
 */
async function answerExchange(dependencies: Dependencies, stream: FrameStream): Promise<void> {
  const { ledger, clock, logger, creditLimitOf } = dependencies
  const buyer = keyOfPeer(stream.peer)
  if (buyer === undefined) throw new TokError('signature_invalid', { what: 'peer ID' })
  const account: Account = { network: ledger.network, asset: ledger.asset, buyer, seller: ledger.key.publicKey }
  let framesLeft = FRAMES_PER_EXCHANGE
  /** The buyer's next frame, of one of `types`. */
  const next = async (...types: readonly number[]): Promise<Frame> => {
    framesLeft -= 1
    if (framesLeft < 0) {
      throw new TokError('limit_exceeded', { limit: FRAMES_PER_EXCHANGE, what: 'frames in an exchange' })
    }
    const frame = await stream.read(timeoutSignal(clock, TIMEOUTS.accountMs))
    if (frame === undefined) throw new TokError('frame_malformed', { reason: 'the exchange ended early' })
    if (types.includes(frame.type)) return frame
    throw new TokError('frame_malformed', { reason: `frame 0x${frame.type.toString(16)} is out of turn` })
  }

  const theirs = decodeBody(helloShape, (await next(FRAMES.hello)).payload, 'hello')
  const { network, asset } = theirs.account
  const isOurs =
    network === account.network &&
    asset === account.asset &&
    equalBytes(theirs.account.buyer, buyer) &&
    equalBytes(theirs.account.seller, account.seller)
  if (!isOurs) throw new TokError('network_mismatch', { network })
  const mine = ledger.hello(account)
  await stream.write(FRAMES.hello, encodeBody(helloShape, mine))
  const frames: ExchangeFrames = {
    write: (type, payload) => stream.write(type, payload),
    read: async (type) => (await next(type)).payload,
    onProgress() {
      framesLeft = FRAMES_PER_EXCHANGE
    },
  }
  await catchUp(ledger, account, { mine, theirs, isBuyer: false }, frames)

  const payments: Envelope[] = []
  let proposal: Signed<Netting> | undefined
  const nextEvidence = (): Promise<Frame> => next(FRAMES.evidence, FRAMES.payment, FRAMES.netting, FRAMES.done)
  for (let frame = await nextEvidence(); frame.type !== FRAMES.done; frame = await nextEvidence()) {
    if (frame.type === FRAMES.evidence) {
      await ledger.adoptEvidence(account, decodeBody(evidenceShape, frame.payload, 'evidence'))
    } else if (frame.type === FRAMES.netting) {
      proposal = await ledger.takeNetting(account, decodeBody(nettingFrameShape, frame.payload, 'netting'))
    } else if (payments.length < LIMITS.openPayments) {
      payments.push(decodeEnvelope(frame.payload, 'payment'))
    } else {
      throw new TokError('limit_exceeded', { limit: LIMITS.openPayments, what: 'payments in an exchange' })
    }
  }
  for (const evidence of ledger.evidenceFor(account, theirs)) {
    await stream.write(FRAMES.evidence, encodeBody(evidenceShape, evidence))
  }
  for (const payment of ledger.paymentsToShow(account)) await stream.write(FRAMES.payment, encodeEnvelope(payment))
  await showNetting(ledger.nettingToShow(account))
  await stream.write(FRAMES.done, new Uint8Array())
  ledger.setReconciled(account, true)

  for (const refusal of await ledger.takePayments(account, payments)) await refuse(refusal)
  if (payments.length > 0) await dependencies.checkPayments?.(stream.peer)
  if (proposal !== undefined) await answerNetting(proposal)
  for (;;) {
    const statement = await ledger.propose(account, creditLimitOf(buyer))
    if (statement === undefined) break
    await stream.write(FRAMES.proposal, encodeBody(proposalShape, statement))
    const answer = await next(FRAMES.countersignature, FRAMES.rejection)
    if (answer.type === FRAMES.countersignature) {
      const countersignature = decodeBody(countersignatureShape, answer.payload, 'countersignature')
      await ledger.applyCountersignature(account, countersignature)
    } else {
      const rejection = await ledger.applyRejection(account, decodeEnvelope(answer.payload, 'rejection'))
      logger.warn({ peer: stream.peer, reason: rejection.value.reason }, 'the buyer rejected a statement')
    }
  }
  await stream.write(FRAMES.done, new Uint8Array())
  await stream.close()

  async function showNetting(netting: NettingFrame | undefined): Promise<void> {
    if (netting !== undefined) await stream.write(FRAMES.netting, encodeBody(nettingFrameShape, netting))
  }

  async function refuse(refusal: SettlementRefusal): Promise<void> {
    logger.info({ peer: stream.peer, reason: refusal.reason }, 'a settlement is refused')
    await stream.write(FRAMES.settlementRefusal, encodeBody(settlementRefusalShape, refusal))
  }

  /** The other account is settled by an exchange that this node opens. */
  async function answerNetting(proposed: Signed<Netting>): Promise<void> {
    const { settleOwn } = dependencies
    if (settleOwn === undefined) {
      const reason = 'this node does not buy now, so it cannot settle its own account'
      await refuse({ document: proposed.id, code: 'settlement_invalid', reason })
      return
    }
    const answer = await ledger.answerNetting(account, proposed)
    if ('document' in answer) return refuse(answer)
    await showNetting(answer)
    settleOwn(stream.peer)
  }
}

/** Answers account exchanges, those of one buyer one after the other. */
export function createSettlementAnswerer(dependencies: Dependencies): (stream: FrameStream) => Promise<void> {
  const lasts = new Map<string, Promise<unknown>>()
  return async (stream) => {
    const before = lasts.get(stream.peer) ?? Promise.resolve()
    const mine = before.then(
      () => answerExchange(dependencies, stream),
      () => answerExchange(dependencies, stream),
    )
    lasts.set(stream.peer, mine)
    try {
      await mine
    } catch (thrown) {
      const error = toTokError(thrown)
      stream.abort(error)
      dependencies.logger.debug(
        { peer: stream.peer, code: error.code, reason: error.message },
        'an account exchange broke off',
      )
    } finally {
      if (lasts.get(stream.peer) === mine) lasts.delete(stream.peer)
    }
  }
}
