/**
 * Writes one answer to one client, as its bytes come. The status line waits for the first bytes of the same turn, so
 * that a whole answer leaves in one write, with its length; nothing waits longer than that.
 */
import type { Clock } from '../base/clock.ts'
import type { AnswerHead } from '../dialects/exchange.ts'

/**
 * Where an answer goes: a ServerResponse is one as it stands, so that HTTP costs nothing more; a stream of another
 * transport needs two members beside those of a Writable. What it is given is HTTP: a head, then the body's bytes.
 */
export interface AnswerOutlet {
  /** True once it can take nothing more, whoever ended it. */
  readonly destroyed: boolean
  /** True once `end` was called. */
  readonly writableEnded: boolean
  /** True from a `write` that returned false until 'drain'. */
  readonly writableNeedDrain: boolean
  /** Once, before anything else. @throws if a header or the status is not HTTP */
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown
  /** Sends the head without waiting for a body. */
  flushHeaders(): void
  /** Returns false when the client is slower than the answer. */
  write(bytes: Uint8Array): boolean
  end(lastBytes?: Uint8Array | string): unknown
  /** Ends an answer that is not whole so that the client knows. */
  destroy(): unknown
  /** 'drain': the client has taken what was written. 'close': the answer is over, or the client has left. */
  on(event: 'drain' | 'close', listener: () => void): unknown
}

/** How one answer is written. */
export interface AnswerWriterOptions {
  /** After one to two times this long without a byte, an event stream gets `quietEvent`. */
  readonly quietMs: number
  /** An event that clients of the dialect ignore; it keeps proxies and idle timers on the way from giving up. */
  readonly quietEvent: Uint8Array
  /** The client has taken what was written since `data` returned false. */
  readonly onDrain: () => void
  /** The head cannot be written: the source gave a status or header that HTTP does not allow. */
  readonly onUnwritable: (cause: unknown) => void
}

/** The client's side of an answer. */
export interface AnswerWriter {
  /** True once the client may have seen something: from then on no other target can answer. */
  readonly begun: boolean
  head(head: AnswerHead, isEventStream: boolean): void
  /** Forgets an answer that has not begun: another one follows. */
  withdraw(): void
  /** Returns false when the client is slower than the answer; `onDrain` follows. */
  data(bytes: Uint8Array): boolean
  end(): void
  /** Ends a begun answer that broke: an event stream with this last event, anything else by closing the connection. */
  breakOff(lastEvent: Uint8Array): void
  /** Ends the timers of an answer whose client has left. */
  dispose(): void
}

/** Makes the writer of one answer. */
export function createAnswerWriter(
  outlet: AnswerOutlet,
  clock: Clock,
  { quietMs, quietEvent, onDrain, onUnwritable }: AnswerWriterOptions,
): AnswerWriter {
  let head: AnswerHead = { status: 200, headers: {} }
  let isEventStream = false
  let isFlushDue = false
  let held: Uint8Array[] = []
  /** The newest bytes, at least the last four of what was written if there were as many. */
  let tail: Uint8Array = new Uint8Array(0)
  let wasQuiet = false
  let cancelQuiet: (() => void) | undefined

  outlet.on('drain', onDrain)

  const writeHead = (extra: Readonly<Record<string, string | number>>): boolean => {
    try {
      outlet.writeHead(head.status, { ...head.headers, ...extra })
    } catch (cause) {
      held = []
      onUnwritable(cause)
      return false
    }
    writer.begun = true
    return true
  }

  const flush = (): void => {
    if (!isFlushDue) return
    isFlushDue = false
    if (writer.begun || outlet.destroyed || outlet.writableEnded || !writeHead({})) return
    if (held.length === 0) outlet.flushHeaders()
    for (const bytes of held) outlet.write(bytes)
    held = []
    if (isEventStream) cancelQuiet = clock.after(quietMs, breakSilence)
  }

  const flushSoon = (): void => {
    if (isFlushDue) return
    isFlushDue = true
    queueMicrotask(flush)
  }

  const breakSilence = (): void => {
    // Only between whole events: inside one the client would read it as a part of the provider's.
    if (wasQuiet && endsEvent(tail) && !outlet.writableNeedDrain) outlet.write(quietEvent)
    wasQuiet = true
    cancelQuiet = clock.after(quietMs, breakSilence)
  }

  // `begun` is a plain member: an accessor in an object literal costs a hidden class for every answer, and V8 keeps
  // all that the answer ever touched alive with it, until the next full collection.
  const writer: Omit<AnswerWriter, 'begun'> & { begun: boolean } = {
    begun: false,
    head(newHead, newIsEventStream) {
      head = newHead
      isEventStream = newIsEventStream
      if (isEventStream) flushSoon()
    },
    withdraw() {
      isFlushDue = false
      held = []
      tail = new Uint8Array(0)
    },
    data(bytes) {
      if (isEventStream) {
        wasQuiet = false
        tail = bytes.length >= 4 ? bytes : Buffer.concat([tail.subarray(-4), bytes])
      }
      // Nothing waits for a client that has left.
      if (writer.begun) return outlet.destroyed || outlet.write(bytes)
      held.push(bytes)
      flushSoon()
      return true
    },
    end() {
      cancelQuiet?.()
      if (writer.begun) {
        outlet.end()
        return
      }
      const body = held.length === 1 ? held[0] : Buffer.concat(held)
      if (writeHead({ 'content-length': body?.length ?? 0 })) outlet.end(body)
    },
    breakOff(lastEvent) {
      cancelQuiet?.()
      if (isEventStream) outlet.end(lastEvent)
      else outlet.destroy()
    },
    dispose() {
      cancelQuiet?.()
    },
  }
  return writer
}

/** True after a blank line, whichever line ends the stream uses, and before its first byte. */
function endsEvent(tail: Uint8Array): boolean {
  const text = Buffer.from(tail.subarray(-4)).toString('latin1')
  return text === '' || /(?:\n\n|\r\r|\r\n\r\n)$/.test(text)
}
