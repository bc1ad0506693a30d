/**
 * What this node saw of each seller itself. Second-hand opinions do not count, and one failure never removes a seller: after
 * three in a minute it rests, and comes back for one try.
 */
import type { Clock } from '../base/clock.ts'

/** How a call with a seller went. */
export interface CallOutcome {
  readonly succeeded: boolean
  /** From the order to the first part, in ms; undefined if none came. */
  readonly firstPartMs: number | undefined
  /** Output tokens a second after the first part; undefined if too few came to tell. */
  readonly tokensPerSecond: number | undefined
}

/** A seller as seen from here. */
export interface SellerRecord {
  readonly succeeded: number
  readonly failed: number
  /** Recent averages; undefined before the first. */
  readonly firstPartMs: number | undefined
  readonly tokensPerSecond: number | undefined
  /** For how long it still rests, in ms; 0 if it may be asked. */
  readonly restsForMs: number
}

export interface Reputation {
  note(peer: string, outcome: CallOutcome): void
  of(peer: string): SellerRecord
}

/** Weight of the newest observation in an average. */
const NEWEST_WEIGHT = 0.3
const FAILURES_TO_REST = 3
const FAILURES_WITHIN_MS = 60_000
const REST_FIRST_MS = 15_000
const REST_MAX_MS = 600_000
/** Sellers remembered; the one not seen for longest goes first. */
const SELLERS_MAX = 5_000

interface Notes {
  succeeded: number
  failed: number
  firstPartMs: number | undefined
  tokensPerSecond: number | undefined
  recentFailuresAtMs: number[]
  restMs: number
  restsUntilMs: number
}

const NOTHING_SEEN: SellerRecord = {
  succeeded: 0,
  failed: 0,
  firstPartMs: undefined,
  tokensPerSecond: undefined,
  restsForMs: 0,
}

export function createReputation({ clock }: { readonly clock: Clock }): Reputation {
  const sellers = new Map<string, Notes>()
  return {
    note(peer, outcome) {
      const notes = sellers.get(peer) ?? newNotes()
      sellers.delete(peer)
      sellers.set(peer, notes)
      if (sellers.size > SELLERS_MAX) sellers.delete(sellers.keys().next().value ?? '')
      if (outcome.succeeded) noteSuccess(notes, outcome)
      else noteFailure(notes, clock.monotonicMs())
    },
    of(peer) {
      const notes = sellers.get(peer)
      if (notes === undefined) return NOTHING_SEEN
      const { succeeded, failed, firstPartMs, tokensPerSecond, restsUntilMs } = notes
      const restsForMs = Math.max(0, restsUntilMs - clock.monotonicMs())
      return { succeeded, failed, firstPartMs, tokensPerSecond, restsForMs }
    },
  }
}

function newNotes(): Notes {
  return {
    succeeded: 0,
    failed: 0,
    firstPartMs: undefined,
    tokensPerSecond: undefined,
    recentFailuresAtMs: [],
    restMs: REST_FIRST_MS,
    restsUntilMs: 0,
  }
}

function noteSuccess(notes: Notes, outcome: CallOutcome): void {
  notes.succeeded += 1
  notes.firstPartMs = average(notes.firstPartMs, outcome.firstPartMs)
  notes.tokensPerSecond = average(notes.tokensPerSecond, outcome.tokensPerSecond)
  notes.recentFailuresAtMs = []
  notes.restMs = REST_FIRST_MS
  notes.restsUntilMs = 0
}

function noteFailure(notes: Notes, nowMs: number): void {
  notes.failed += 1
  if (nowMs < notes.restsUntilMs) return // a call from before the rest: many at once are one reason to rest
  const isTrialAfterRest = notes.restsUntilMs > 0
  notes.recentFailuresAtMs = [...notes.recentFailuresAtMs.filter((at) => nowMs - at < FAILURES_WITHIN_MS), nowMs]
  if (notes.recentFailuresAtMs.length < FAILURES_TO_REST && !isTrialAfterRest) return
  notes.restsUntilMs = nowMs + notes.restMs
  notes.restMs = Math.min(notes.restMs * 2, REST_MAX_MS)
  notes.recentFailuresAtMs = []
}

function average(before: number | undefined, newest: number | undefined): number | undefined {
  if (newest === undefined) return before
  return before === undefined ? newest : before + NEWEST_WEIGHT * (newest - before)
}
