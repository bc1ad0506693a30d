/**
 * The order of a purchase, in one place: find offers, rank the sellers, reserve, order, take the answer, check the receipt,
 * record, settle. Everything it calls answers when asked. Source: journey A in docs/ARCHITECTURE.md.
 */
import type { Logger } from 'pino'
import type { RandomBytes } from '../base/bytes.ts'
import { sleep, timeoutSignal, type Clock } from '../base/clock.ts'
import { readErrorCode, TokError, toTokError } from '../base/errors.ts'
import { ENDPOINTS, type Dialect, type Endpoint } from '../dialects/dialect.ts'
import { estimateInputTokens } from '../dialects/estimate-input-tokens.ts'
import type { AnswerSink, AnswerSource, Exchange, ModelRequest } from '../dialects/exchange.ts'
import { skimRequest } from '../dialects/skim-request.ts'
import {
  adaptRequest,
  type AdaptedRequest,
  type TranslationDependencies,
  type TranslationTarget,
} from '../dialects/translate.ts'
import { chooseDialect, type WorkMode } from '../dialects/work-mode.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { spendLimitReached, type ModelSpendLimit, type PurchaseRoom, type PurchaseTerms } from '../ledger/purchases.ts'
import type { ListedOffer, OfferBook } from '../market/offer-book.ts'
import type { Reputation } from '../market/reputation.ts'
import { selectSellers, type Candidate, type Need, type PassedOver } from '../market/select-seller.ts'
import type { Network } from '../network/network.ts'
import type { Advert, Offer } from '../wire/advert.ts'
import { seal, type Signed } from '../wire/envelope.ts'
import { checkQuery, commitToRequest, fitHeaders, ORDER, ORDER_ENDPOINTS, type Order } from '../wire/inference.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { DOMAINS, LIMITS } from '../wire/registry.ts'
import { cutToWireText, isWireText } from '../wire/shape.ts'
import { Attempt, type AttemptOutcome } from './request-inference.ts'
import type { Settler } from './settle.ts'
import type { OfferTracker } from './track-offers.ts'

export interface BuyerDependencies {
  readonly ledger: Ledger
  readonly network: Network
  readonly offers: OfferBook
  readonly tracker: OfferTracker
  readonly settler: Settler
  readonly reputation: Reputation
  readonly clock: Clock
  readonly random: RandomBytes
  readonly logger: Logger
  readonly translation: Pick<TranslationDependencies, 'seal'> & {
    onDropped(endpoint: Endpoint, fields: readonly string[]): void
  }
}

export interface BuyerOptions {
  readonly workMode: WorkMode
  /** The most that is spent and held in a day (UTC), in micros: of everything, with one seller, and on some models. */
  readonly spendLimit: bigint
  readonly sellerSpendLimit?: bigint | undefined
  readonly modelSpendLimits?: readonly ModelSpendLimit[]
  /** Output tokens ordered where a request names no maximum. */
  readonly outputTokensDefault: number
}

/** A ranking, for `explain` and for people. */
export interface Ranking {
  readonly candidates: readonly Candidate[]
  readonly passedOver: readonly PassedOver[]
}

/** The network as a target of routing. */
export interface Buyer extends AnswerSource {
  /** Who would be asked for a request with about `inputTokensEstimate` tokens, and why. */
  rank(model: string, endpoint: ModelRequest['endpoint'], inputTokensEstimate: number): Ranking
  /** Resolves when no purchase is under way: each ends within seconds of its answer. */
  idle(): Promise<void>
}

/** Sellers tried for one request. */
const ATTEMPTS_MAX = 3
/** A request is not held up longer than this by looking for sellers, in ms. */
const DISCOVERY_MS = 1_800
/** How long a call that is ending is waited for where it holds the money this one needs, in ms. */
const ROOM_MS = 1_000
/** With more calls under way the money is truly out, and the next target is asked at once. */
const ROOM_CALLS_MAX = 4
/** Connecting to a seller and reconciling its account, in ms. */
const REACH_MS = 5_000
/** How long an order may wait to be started, in ms. */
const ORDER_LIFETIME_MS = 60_000
/** The input that may be billed: this many times the estimate and an allowance for templates. */
const INPUT_MAX_FACTOR = 2
const INPUT_MAX_ALLOWANCE = 512
/** With fewer tokens a rate says nothing. */
const RATE_TOKENS_MIN = 20

export function createBuyer(dependencies: BuyerDependencies, options: BuyerOptions): Buyer {
  const { ledger, offers, reputation } = dependencies

  const roomWith = ({ advert, offer }: ListedOffer): PurchaseRoom =>
    ledger.purchaseRoom(advert.value.seller, offer.model, termsOf(options, advert.value))

  const rankFor: RankFor = (model, needFor) =>
    selectSellers(offers.offersOf(model), needFor, roomWith, (peer) => reputation.of(peer))

  const running = new Map<Purchase, Promise<void>>()

  return {
    name: 'network',
    rank: (model, endpoint, inputTokensEstimate) =>
      rankFor(model, ({ dialects }) => {
        const dialect = chooseDialect({ endpoint, model, dialects, isVendor: false }, options.workMode)
        return dialect instanceof TokError
          ? dialect
          : needOf(endpoint, dialect, inputTokensEstimate, options.outputTokensDefault)
      }),
    send(request, sink) {
      const nextEnding = (): Promise<void> | undefined => {
        const others = [...running].flatMap(([each, run]) => (each === purchase ? [] : [run]))
        return others.length === 0 || others.length > ROOM_CALLS_MAX ? undefined : Promise.race(others)
      }
      const purchase = new Purchase(dependencies, options, rankFor, nextEnding, request, sink)
      running.set(
        purchase,
        purchase.run().finally(() => running.delete(purchase)),
      )
      return purchase
    },
    async idle() {
      await Promise.all(running.values())
    },
  }
}

type RankFor = (model: string, needFor: (offer: Offer) => Need | TokError) => Ranking

function termsOf(options: BuyerOptions, { strangerCredit }: Advert): PurchaseTerms {
  const { spendLimit, sellerSpendLimit, modelSpendLimits = [] } = options
  return { spendLimit, sellerSpendLimit, modelSpendLimits, strangerCredit }
}

/** @param endpoint the client's */
function needOf(endpoint: Endpoint, dialect: Dialect, inputTokensEstimate: number, outputTokensWanted: number): Need {
  const inputTokensMax = inputTokensEstimate * INPUT_MAX_FACTOR + INPUT_MAX_ALLOWANCE
  const isTranslated = dialect !== ENDPOINTS[endpoint].dialect
  return { dialect, isTranslated, inputTokensEstimate, inputTokensMax, outputTokensWanted }
}

class Purchase implements Exchange {
  readonly #dependencies: BuyerDependencies
  readonly #options: BuyerOptions
  readonly #rankFor: RankFor
  /** Resolves when another purchase is over; undefined if none, or too many, are under way. */
  readonly #nextEnding: () => Promise<void> | undefined
  /** What the request needs, by the dialect it is asked in, as far as that was asked for. */
  readonly #needs = new Map<Dialect, Need | TokError>()
  readonly #request: ModelRequest
  readonly #sink: AnswerSink
  readonly #startedAtMs: number
  readonly #stopped = new AbortController()
  #attempt: Attempt | undefined
  #attempts = 0

  constructor(
    dependencies: BuyerDependencies,
    options: BuyerOptions,
    rankFor: RankFor,
    nextEnding: () => Promise<void> | undefined,
    request: ModelRequest,
    sink: AnswerSink,
  ) {
    this.#dependencies = dependencies
    this.#options = options
    this.#rankFor = rankFor
    this.#nextEnding = nextEnding
    const { headers, leftOut } = fitHeaders(request.headers, 'order')
    this.#request = { ...request, headers }
    if (leftOut.length > 0) {
      dependencies.logger.debug({ requestId: request.requestId, leftOut }, 'headers that no order holds are left out')
    }
    this.#sink = sink
    this.#startedAtMs = dependencies.clock.monotonicMs()
  }

  resume(): void {
    this.#attempt?.resume()
  }

  abort(error: TokError): void {
    this.#stopped.abort(error)
    this.#attempt?.abort(error)
  }

  /** Buys the answer, from one seller after the other until one begins to answer. Never rejects. */
  async run(): Promise<void> {
    const failures: PassedOver[] = []
    try {
      checkQuery(this.#request.query)
      const ranking = await this.#findSellers()
      const candidates = ranking.candidates.slice(0, ATTEMPTS_MAX)
      const spent = ranking.passedOver.find(({ money }) => money === 'spend')
      if (candidates.length === 0 && spent !== undefined) throw this.#outOfMoney([spent])
      const unaskable = ranking.passedOver.find(({ error }) => error !== undefined)?.error
      if (candidates.length === 0 && unaskable !== undefined) throw unaskable
      for (const [index, candidate] of candidates.entries()) {
        this.#stopped.signal.throwIfAborted()
        const isLastSeller = index === candidates.length - 1
        let error = await this.#buyFrom(candidate, isLastSeller)
        const again = error === undefined ? undefined : await this.#catchUp(candidate, error)
        if (again !== undefined) error = await this.#buyFrom(again, isLastSeller)
        if (error === undefined) return
        failures.push({ peer: candidate.peer, reason: error.message, ...moneyOf(error) })
      }
      const passedOver = [...failures, ...ranking.passedOver]
      if (passedOver.length > 0 && passedOver.every(({ money }) => money !== undefined)) {
        throw this.#outOfMoney(passedOver)
      }
      throw new TokError('no_offer', { model: this.#request.model, detail: describe(passedOver) })
    } catch (thrown) {
      const error = toTokError(thrown)
      this.#sink.onFailure(error)
      await this.#recordFailure(error)
    }
  }

  /** Nobody else is left to ask, and every seller is out for money: of this node's own limit, or of the credit lines. */
  #outOfMoney(passedOver: readonly PassedOver[]): TokError {
    const { ledger, offers } = this.#dependencies
    const spent = passedOver.find(({ money }) => money === 'spend')
    const listed = offers.offersOf(this.#request.model).find(({ peer }) => peer === spent?.peer)
    if (listed !== undefined) {
      const { seller } = listed.advert.value
      const terms = termsOf(this.#options, listed.advert.value)
      const { spendLimit } = ledger.purchaseRoom(seller, listed.offer.model, terms)
      if (spendLimit !== undefined) return spendLimitReached(spendLimit, ledger.asset)
    }
    return new TokError('credit_exhausted', { detail: describe(passedOver) })
  }

  /**
   * The same seller again, where it refused only because this node was behind: its account was not compared since it started
   * anew, or its advert has changed. Undefined for every other refusal.
   */
  async #catchUp({ peer }: Candidate, error: TokError): Promise<Candidate | undefined> {
    const { settler, tracker } = this.#dependencies
    const refusal = error.code === 'seller_refused' ? String(error.details.code) : ''
    if (refusal === 'account_unreconciled') settler.forgetConnection(peer)
    else if (refusal === 'advert_unknown') await tracker.refresh(peer)
    else return undefined
    return this.#rank().candidates.find((candidate) => candidate.peer === peer)
  }

  #rank(): Ranking {
    return this.#rankFor(this.#request.model, (offer) => this.#needFor(offer))
  }

  /** What the request needs of this offer: translated where it is not served in the client's dialect. */
  #needFor({ dialects }: Offer): Need | TokError {
    const { endpoint, model } = this.#request
    const dialect = chooseDialect({ endpoint, model, dialects, isVendor: false }, this.#options.workMode)
    if (dialect instanceof TokError) return dialect
    const need = this.#needs.get(dialect) ?? this.#needIn(dialect)
    this.#needs.set(dialect, need)
    return need
  }

  #needIn(dialect: Dialect): Need | TokError {
    try {
      const adapted = this.#adapt({ dialect, name: '', isVendor: false, model: this.#request.model })
      return this.#needOfRequest(adapted.request)
    } catch (thrown) {
      return toTokError(thrown)
    }
  }

  #needOfRequest({ body, dialect, endpoint }: ModelRequest): Need {
    const wanted = skimRequest(body).maxOutputTokens ?? this.#options.outputTokensDefault
    return needOf(this.#request.endpoint, dialect, estimateInputTokens(body), endpoint === 'embeddings' ? 0 : wanted)
  }

  /** The request as a seller takes it, and the sink that takes the answer back. */
  #adapt(target: TranslationTarget, onDropped: (fields: readonly string[]) => void = () => undefined): AdaptedRequest {
    const { clock, translation } = this.#dependencies
    const nowS = (): number => Math.floor(clock.nowMs() / 1_000)
    return adaptRequest(this.#request, target, this.#sink, { seal: translation.seal, nowS, onDropped })
  }

  /**
   * An agent asks again the moment it has an answer, when the call before may still hold all of a credit line: its receipt is
   * on the way, and gives back what the answer did not need.
   */
  async #rankOnceThereIsRoom(): Promise<Ranking> {
    const { clock } = this.#dependencies
    const deadlineMs = clock.monotonicMs() + ROOM_MS
    for (;;) {
      const ranking = this.#rank()
      const isShort = ranking.candidates.length === 0 && ranking.passedOver.some(({ money }) => money !== undefined)
      const ending = isShort ? this.#nextEnding() : undefined
      const leftMs = deadlineMs - clock.monotonicMs()
      if (ending === undefined || leftMs <= 0) return ranking
      await Promise.race([ending, sleep(clock, leftMs, this.#stopped.signal)])
    }
  }

  /** Known offers if there are any; otherwise what a short search finds. */
  async #findSellers(): Promise<Ranking> {
    const { model } = this.#request
    const known = await this.#rankOnceThereIsRoom()
    if (known.candidates.length > 0) return known
    const { clock, tracker } = this.#dependencies
    const limit = AbortSignal.any([this.#stopped.signal, timeoutSignal(clock, DISCOVERY_MS)])
    await tracker.lookUp(model, limit)
    return this.#rank()
  }

  /** Undefined if the request is answered, well or not; the reason if another seller may be tried. */
  async #buyFrom(ranked: Candidate, isLastSeller: boolean): Promise<TokError | undefined> {
    const { ledger, network, settler, reputation, clock, logger, translation } = this.#dependencies
    const { peer } = ranked
    const startedAtMs = clock.monotonicMs()
    this.#attempts += 1
    let order: Signed<Order> | undefined
    let outcome: AttemptOutcome
    const reach = new AbortController()
    const cancelReach = clock.after(REACH_MS, () =>
      reach.abort(new TokError('seller_timeout', { peer, awaited: 'nothing', timeoutMs: REACH_MS })),
    )
    try {
      const limit = AbortSignal.any([this.#stopped.signal, reach.signal])
      await settler.reconciled(peer, limit)
      const salt = this.#dependencies.random(16)
      const { model } = ranked.offer
      const { dialect } = ranked.need
      const adapted = this.#adapt({ dialect, name: peer, isVendor: false, model }, (fields) =>
        translation.onDropped(this.#request.endpoint, fields),
      )
      const candidate = this.#rankedFor(ranked, adapted.request)
      order = this.#orderFor(candidate, adapted.request, salt)
      await ledger.openPurchase(order, termsOf(this.#options, candidate.advert.value))
      const channel = await network.openCall(peer, limit)
      cancelReach()
      logger.info({ requestId: this.#request.requestId, peer, model, reason: candidate.reason }, 'seller chosen')
      const asked = { order, model: { ...adapted.request, model }, salt, isLastSeller }
      this.#attempt = new Attempt({ ledger, clock }, channel, asked, adapted.sink)
      if (this.#stopped.signal.aborted) this.#attempt.abort(toTokError(this.#stopped.signal.reason))
      outcome = await this.#attempt.outcome
    } catch (thrown) {
      cancelReach()
      const error = toTokError(this.#stopped.signal.aborted ? this.#stopped.signal.reason : thrown)
      outcome = { ...NOTHING_CAME, error }
    }
    this.#attempt = undefined
    const { error } = outcome
    if (error === undefined || isSellersFault(error)) {
      const succeeded = error === undefined && !isProviderFailure(outcome.httpStatus)
      reputation.note(peer, { succeeded, ...speedOf(outcome, clock.monotonicMs() - startedAtMs) })
    }
    await this.#close(peer, order, outcome)
    if (error !== undefined) {
      logger.warn(
        { requestId: this.#request.requestId, peer, code: error.code, reason: error.message },
        'a purchase failed',
      )
    }
    if (this.#stopped.signal.aborted && !outcome.isAnswered) throw toTokError(this.#stopped.signal.reason)
    return outcome.isAnswered ? undefined : error
  }

  /**
   * The candidate for the request as this very seller gets it: state that only it gave is put back into it, which may change
   * what must be ordered.
   */
  #rankedFor(ranked: Candidate, request: ModelRequest): Candidate {
    const need = this.#needOfRequest(request)
    if (need.inputTokensEstimate === ranked.need.inputTokensEstimate) return ranked
    const { candidates, passedOver } = this.#rankFor(this.#request.model, () => need)
    const found = candidates.find(({ peer }) => peer === ranked.peer)
    if (found !== undefined) return found
    const detail = passedOver.find(({ peer }) => peer === ranked.peer)?.reason ?? 'its offer is gone'
    throw new TokError('no_offer', { model: this.#request.model, detail })
  }

  #orderFor(candidate: Candidate, request: ModelRequest, salt: Uint8Array): Signed<Order> {
    const { ledger, clock, random } = this.#dependencies
    const { advert, offer, need, outputTokensMax, amountMax } = candidate
    const { query, body, dialect } = request
    const endpoint = ORDER_ENDPOINTS.find((each) => each === request.endpoint)
    if (endpoint === undefined) {
      throw new TokError('endpoint_unsupported', { target: 'the network', endpoint: request.endpoint })
    }
    const nowMs = clock.nowMs()
    return seal(
      ORDER,
      {
        type: DOMAINS.order,
        network: ledger.network,
        asset: ledger.asset,
        buyer: ledger.key.publicKey,
        seller: advert.value.seller,
        nonce: random(16),
        issuedAtMs: nowMs,
        expiresAtMs: nowMs + ORDER_LIFETIME_MS,
        advert: advert.id,
        model: offer.model,
        endpoint,
        dialect,
        prices: offer.prices,
        windowTokens: offer.windowTokens,
        hiddenOutputTokensMax: offer.hiddenOutputTokensMax,
        inputTokensEstimate: need.inputTokensEstimate,
        inputTokensMax: need.inputTokensMax,
        outputTokensMax,
        amountMax,
        requestCommitment: commitToRequest(salt, query, body),
      },
      ledger.key,
    )
  }

  /** Seals the purchase in the ledger, with its line in the journal, and asks for the statement. */
  async #close(peer: string, order: Signed<Order> | undefined, outcome: AttemptOutcome): Promise<void> {
    const { ledger, settler, logger } = this.#dependencies
    if (order === undefined) return
    const line = this.#line(peer, order, outcome)
    try {
      await ledger.closePurchase(order.id, outcome.receipt, line, { isAnswered: outcome.isAnswered })
    } catch (thrown) {
      const error = toTokError(thrown)
      if (error.code !== 'record_not_found') {
        logger.error({ requestId: this.#request.requestId, code: error.code, reason: error.message }, 'not recorded')
      }
    }
    settler.settleSoon(peer)
  }

  #line(peer: string, order: Signed<Order>, outcome: AttemptOutcome): InferenceRecord {
    const { receipt, delivery, error } = outcome
    const reported = delivery?.meter.usage
    const isReported = reported?.inputTokens !== undefined || reported?.outputTokens !== undefined
    return {
      ...this.#lineHead(),
      providerDialect: order.value.dialect === this.#request.dialect ? undefined : order.value.dialect,
      servedModel: fitting(delivery?.meter.model),
      target: peer,
      counterparty: order.value.seller,
      order: order.id,
      receipt: receipt?.id,
      status: statusOf(error),
      httpStatus: outcome.httpStatus,
      error: error?.code,
      ...(isReported ? reported : { outputTokens: delivery?.outputTokens }),
      tokenSource: isReported ? 'provider' : delivery === undefined ? 'absent' : 'counted',
      firstByteMs: outcome.firstPartMs === undefined ? undefined : Math.round(outcome.firstPartMs),
    }
  }

  #lineHead(): Omit<InferenceRecord, 'status' | 'tokenSource'> {
    const { requestId, endpoint, dialect, stream, requestedModel, model, retryOf } = this.#request
    return {
      requestId,
      direction: 'bought',
      endpoint: ENDPOINTS[endpoint].recordedAs,
      dialect,
      stream: stream ? 'yes' : 'no',
      requestedModel,
      resolvedModel: cutToWireText(model, LIMITS.modelNameBytes),
      durationMs: Math.round(this.#dependencies.clock.monotonicMs() - this.#startedAtMs),
      retries: Math.max(0, this.#attempts - 1),
      retryOf,
    }
  }

  async #recordFailure(error: TokError): Promise<void> {
    const { ledger, logger } = this.#dependencies
    try {
      await ledger.recordInference({
        ...this.#lineHead(),
        status: statusOf(error),
        httpStatus: error.status,
        error: error.code,
        tokenSource: 'absent',
      })
    } catch (thrown) {
      logger.error({ requestId: this.#request.requestId, reason: toTokError(thrown).message }, 'not recorded')
    }
  }
}

const NOTHING_CAME: AttemptOutcome = {
  isAnswered: false,
  error: undefined,
  receipt: undefined,
  delivery: undefined,
  httpStatus: undefined,
  firstPartMs: undefined,
}

function statusOf(error: TokError | undefined): InferenceRecord['status'] {
  if (error === undefined || error.code === 'receipt_disputed') return 'completed'
  if (error.code === 'order_maximum_reached') return 'truncated'
  return error.code === 'client_left' || error.code === 'node_stopping' ? 'aborted' : 'failed'
}

/** True for an answer that says its provider cannot answer: given on to the client, and held against the seller. */
function isProviderFailure(httpStatus: number | undefined): boolean {
  return httpStatus !== undefined && (httpStatus === 429 || httpStatus >= 500)
}

/** True for what speaks against the seller; a limit of this node, or a client that left, does not. */
function isSellersFault(error: TokError): boolean {
  if (error.code === 'seller_refused') {
    const { owner } = new TokError(readErrorCode(String(error.details.code)))
    return owner === 'seller' || owner === 'provider'
  }
  return error.owner === 'seller' || error.owner === 'network' || error.owner === 'provider'
}

function speedOf(
  { firstPartMs, delivery }: AttemptOutcome,
  durationMs: number,
): { firstPartMs: number | undefined; tokensPerSecond: number | undefined } {
  const tokens = delivery?.outputTokens ?? 0
  const isTelling = firstPartMs !== undefined && tokens >= RATE_TOKENS_MIN && durationMs > firstPartMs
  return { firstPartMs, tokensPerSecond: isTelling ? (tokens * 1_000) / (durationMs - firstPartMs) : undefined }
}

/** What a refusal for money is about. */
function moneyOf(error: TokError): Pick<PassedOver, 'money'> {
  if (error.code === 'spend_limit_reached') return { money: 'spend' }
  const code = error.code === 'seller_refused' ? error.details.code : error.code
  return code === 'credit_exhausted' ? { money: 'credit' } : {}
}

function describe(failures: readonly PassedOver[]): string {
  if (failures.length === 0) return 'no seller of it is known'
  return failures
    .slice(0, 5)
    .map(({ peer, reason }) => `${peer.slice(-8)}: ${reason}`)
    .join('; ')
}

/** A provider's own word for the model, unless no record can hold it. */
function fitting(model: string | undefined): string | undefined {
  return model !== undefined && isWireText(model, LIMITS.modelNameBytes) ? model : undefined
}
