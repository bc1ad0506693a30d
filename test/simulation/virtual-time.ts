/**
 * Time as a queue of what is to happen: it stands still while anything can still run, and then jumps to the next event. Minutes
 * pass in seconds, and the same events always come in the same order.
 */
import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'

/** The day every simulation begins, 2026-01-05 00:00 UTC. */
export const START_MS = Date.UTC(2026, 0, 5)

/** Lines of the trace that are kept for whoever has to understand a failure. */
const LINES_KEPT = 200

interface Event {
  readonly atMs: number
  /** Of two events of one moment the one that was asked for first comes first. */
  readonly order: number
  /** Undefined once it is cancelled. */
  run: (() => void) | undefined
}

export class VirtualTime {
  nowMs = 0
  /** Events that have happened. */
  steps = 0
  #order = 0
  readonly #queue: Event[] = []
  readonly #digest = createHash('sha256')
  #lines: string[] = []

  /** Runs `run` after `delayMs`; the returned function cancels it. */
  after(delayMs: number, run: () => void): () => void {
    this.#order += 1
    const event: Event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order, run }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  /**
   * Lets everything up to `untilMs` happen, and all that follows from each event before the next. `afterStep` is called after
   * each; what it throws ends the run there.
   */
  async advanceTo(untilMs: number, afterStep: () => void): Promise<void> {
    await setImmediate() // what is under way already
    for (let next = this.#queue[0]; next !== undefined && next.atMs <= untilMs; next = this.#queue[0]) {
      this.#pop()
      if (next.run === undefined) continue
      this.nowMs = next.atMs
      this.steps += 1
      next.run()
      // Everything here waits by promises alone, so a turn of the event loop ends when none can go on.
      await setImmediate()
      afterStep()
    }
    this.nowMs = untilMs
  }

  /** Notes what happened, for the digest of the run and for people. */
  trace(line: string): void {
    const stamped = `${this.nowMs.toFixed(3)} ${line}`
    this.#digest.update(stamped)
    this.#lines.push(stamped)
    if (this.#lines.length > 2 * LINES_KEPT) this.#lines = this.#lines.slice(-LINES_KEPT)
  }

  /** The last lines of the trace. */
  lastLines(): readonly string[] {
    return this.#lines.slice(-LINES_KEPT)
  }

  /** SHA-256 of everything that was noted: equal for equal runs. */
  digest(): string {
    return this.#digest.copy().digest('hex')
  }

  // A binary heap.

  #push(event: Event): void {
    const queue = this.#queue
    let index = queue.push(event) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(event, queue[parent])) break
      queue[index] = queue[parent] as Event
      index = parent
    }
    queue[index] = event
  }

  #pop(): void {
    const queue = this.#queue
    const last = queue.pop()
    if (last === undefined || queue.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= queue.length) break
      if (child + 1 < queue.length && isBefore(queue[child + 1], queue[child])) child += 1
      if (!isBefore(queue[child], last)) break
      queue[index] = queue[child] as Event
      index = child
    }
    queue[index] = last
  }
}

function isBefore(one: Event | undefined, other: Event | undefined): boolean {
  if (one === undefined || other === undefined) return false
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)
}
