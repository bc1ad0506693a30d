/**
 * Time, as everything that waits or stamps takes it: an argument, so that a simulation can own it.
 */
export interface Clock {
  /** Wall time in ms since the epoch. Advisory: it may jump; never order records by it. */
  nowMs(): number
  /** Monotonic time in ms from an arbitrary start. What every timeout and duration is measured with. */
  monotonicMs(): number
  /** Calls `callback` once after `delayMs`; the returned function cancels it. Never keeps a process alive. */
  after(delayMs: number, callback: () => void): () => void
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Aborts after `delayMs` by `clock`, with the `TimeoutError` that `AbortSignal.timeout` gives by the machine's. */
export function timeoutSignal(clock: Clock, delayMs: number): AbortSignal {
  const controller = new AbortController()
  clock.after(delayMs, () => controller.abort(new DOMException(`${delayMs} ms have passed`, 'TimeoutError')))
  return controller.signal
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason)
      return
    }
    const onAbort = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
