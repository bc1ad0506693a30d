import { describe, expect, test } from 'vitest'
import { type Clock, sleep, systemClock, timeoutSignal } from '../../../src/base/clock.ts'

/** A clock whose one waiting callback fires when the test says so. */
function createHandClock(): Clock & { strike(): void; waiting(): boolean } {
  let callback: (() => void) | undefined
  return {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after(_delayMs, next) {
      callback = next
      return () => {
        callback = undefined
      }
    },
    strike: () => callback?.(),
    waiting: () => callback !== undefined,
  }
}

test('a time limit aborts when the clock strikes, and not before', () => {
  const clock = createHandClock()
  const signal = timeoutSignal(clock, 1_000)
  expect(signal.aborted).toBe(false)
  clock.strike()
  expect(signal.reason).toMatchObject({ name: 'TimeoutError', message: '1000 ms have passed' })
})

describe('sleep', () => {
  test('ends when the clock strikes, and leaves the signal alone from then on', async () => {
    const clock = createHandClock()
    const controller = new AbortController()
    const asleep = sleep(clock, 1_000, controller.signal)
    clock.strike()
    await expect(asleep).resolves.toBeUndefined()
    controller.abort(new Error('too late'))
    await expect(asleep).resolves.toBeUndefined()
  })

  test('rejects with the reason of an abort, and its timer is gone', async () => {
    const clock = createHandClock()
    const controller = new AbortController()
    const asleep = sleep(clock, 1_000, controller.signal)
    const reason = new Error('the node stops')
    controller.abort(reason)
    await expect(asleep).rejects.toBe(reason)
    expect(clock.waiting()).toBe(false)
  })

  test('does not begin on a signal that is already aborted', async () => {
    const clock = createHandClock()
    const reason = new Error('stopped before')
    await expect(sleep(clock, 1_000, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(clock.waiting()).toBe(false)
  })
})

describe("the machine's clock", () => {
  test('calls back once, not before its time', async () => {
    const startMs = systemClock.monotonicMs()
    await sleep(systemClock, 20)
    // A timer may fire up to one millisecond early: Node rounds to its loop's time.
    expect(systemClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(19)
  })

  test('does not call back when cancelled', async () => {
    let called = false
    const cancel = systemClock.after(5, () => {
      called = true
    })
    cancel()
    await sleep(systemClock, 20)
    expect(called).toBe(false)
  })
})
