/**
 * Output items of answers that no server keeps, by their ids, for clients that send an id where the item was: OpenAI keeps an
 * answer unless it is told `store: false`, so the AI SDK, which says nothing of it, takes every answer for kept.
 * In memory, bounded, and no record: a client whose items are gone is told so.
 */
import { asObject, asText, parseObject, type JsonObject } from '../dialects/json-value.ts'

/** Holds items. Whoever asks is named in each call, and nobody finds what is another's. */
export interface ResponseRecall {
  /** Holds those of an answer's items that have an id. */
  note(owner: string, items: readonly unknown[]): void
  /** The item as it was noted; undefined for an id that is not held, or that two unlike items had. */
  find(owner: string, id: string): JsonObject | undefined
  forget(owner: string, items: readonly unknown[]): void
}

/** Bounds of a recall. */
export interface ResponseRecallOptions {
  readonly countMax: number
  /** Of the items' JSON, two for each character, which is the most that a string takes. */
  readonly bytesMax: number
  /** Since an item was last noted or found, in seconds. */
  readonly lifetimeS: number
}

/**
 * As many bytes as one request may have by default, and so what it can refer to at all; items of a thousand bytes need as many
 * entries. A day, so that a conversation goes on in the morning; one that goes on is not forgotten.
 */
export const DEFAULT_RECALL: ResponseRecallOptions = { countMax: 32_768, bytesMax: 33_554_432, lifetimeS: 86_400 }

const ID_CHARACTERS_MAX = 256

interface Entry {
  /** The item's JSON, whose size is known, unlike the object's. "" for one that cannot be given. */
  readonly text: string
  readonly usedAtS: number
}

/** Makes an empty recall. `nowS` tells seconds since 1970. */
export function createResponseRecall(
  { nowS }: { nowS(): number },
  { countMax, bytesMax, lifetimeS }: ResponseRecallOptions = DEFAULT_RECALL,
): ResponseRecall {
  /** By key, the one used longest ago first. */
  const entries = new Map<string, Entry>()
  let bytesHeld = 0

  const remove = (key: string): Entry | undefined => {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    entries.delete(key)
    bytesHeld -= sizeOf(key, entry.text)
    return entry
  }

  const hold = (key: string, text: string): void => {
    entries.set(key, { text, usedAtS: nowS() })
    bytesHeld += sizeOf(key, text)
  }

  const removeOld = (): void => {
    for (const [key, { usedAtS }] of entries) {
      const isFull = bytesHeld > bytesMax || entries.size > countMax
      if (!isFull && usedAtS + lifetimeS > nowS()) break
      remove(key)
    }
  }

  return {
    note(owner, items) {
      for (const item of items) {
        const key = keyOf(owner, item)
        if (key === undefined) continue
        const text = JSON.stringify(item)
        const before = remove(key)
        // Some servers count their items anew in every answer: nobody can tell which of two is meant.
        const isClear = before === undefined || before.text === text
        hold(key, isClear && sizeOf(key, text) <= bytesMax ? text : '')
      }
      removeOld()
    },
    find(owner, id) {
      removeOld()
      const key = keyOf(owner, { id })
      const entry = key === undefined ? undefined : remove(key)
      if (key === undefined || entry === undefined) return undefined
      hold(key, entry.text)
      return parseObject(entry.text)
    },
    forget(owner, items) {
      for (const item of items) remove(keyOf(owner, item) ?? '')
    },
  }
}

function keyOf(owner: string, item: unknown): string | undefined {
  const id = asText(asObject(item)['id'])
  return id === undefined || id.length > ID_CHARACTERS_MAX ? undefined : JSON.stringify([owner, id])
}

function sizeOf(key: string, text: string): number {
  return 2 * (key.length + text.length)
}
