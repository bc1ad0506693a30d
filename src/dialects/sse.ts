/**
 * Reads server-sent events from bytes as they come, however they are cut.
 * Source: the WHATWG HTML standard, "Server-sent events"; eventsource-parser does the lines.
 */
import { createParser } from 'eventsource-parser'

/** One event: its `event:` line, if it had one, and its joined `data:` lines. */
export interface SseEvent {
  readonly name: string | undefined
  readonly data: string
}

/** A reader of one stream. */
export interface SseReader {
  /** Takes the next bytes; every event they complete is handed out before this returns. */
  push(bytes: Uint8Array): void
  /** The stream is over: an event that lacks only its closing blank line is handed out. */
  end(): void
  /** True once an event was longer than allowed; nothing is handed out any more. */
  readonly overflowed: boolean
}

/** The longest event that is read, in characters: `response.completed` repeats the whole answer, pictures included. */
export const SSE_EVENT_CHARACTERS_MAX = 16_777_216

/** Room for field names and line ends, so that the limit holds alike however the bytes were cut. */
const LINE_OVERHEAD_CHARACTERS = 64

/** Makes a reader that hands each event to `onEvent`. Holds at most one event in memory. */
export function createSseReader(
  onEvent: (event: SseEvent) => void,
  eventCharactersMax: number = SSE_EVENT_CHARACTERS_MAX,
): SseReader {
  const decoder = new TextDecoder()
  const parser = createParser({
    maxBufferSize: eventCharactersMax + LINE_OVERHEAD_CHARACTERS,
    onEvent(event) {
      if (event.data.length > eventCharactersMax) reader.overflowed = true
      if (!reader.overflowed) onEvent({ name: event.event, data: event.data })
    },
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded') reader.overflowed = true
    },
  })
  const reader = {
    overflowed: false,
    push(bytes: Uint8Array) {
      if (!reader.overflowed) parser.feed(decoder.decode(bytes, { stream: true }))
    },
    end() {
      if (!reader.overflowed) parser.feed(`${decoder.decode()}\n\n`)
    },
  }
  return reader
}
