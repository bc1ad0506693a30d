/**
 * The one source of chance of a simulation: everything random is drawn from streams that its seed begins.
 */
import { seededRandom } from '../support/crashing-store.ts'

export class Randomness {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = seededRandom(seed)
  }

  /** A stream of its own, so that what one part draws does not change what another gets. */
  fork(): Randomness {
    return new Randomness(Math.floor(this.#next() * 2 ** 32))
  }

  /** From 0 up to, and without, 1. */
  fraction(): number {
    return this.#next()
  }

  between(least: number, most: number): number {
    return least + this.#next() * (most - least)
  }

  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1))
  }

  isWithin(part: number): boolean {
    return this.#next() < part
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.whole(0, choices.length - 1)] as T
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.whole(0, 255))
  }
}
