/**
 * This node's own adverts: the sequence that never repeats, and those whose price still binds.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { ADVERT, type Advert } from '../wire/advert.ts'
import { seal, type Signed } from '../wire/envelope.ts'
import type { NodeKey } from '../wire/identity.ts'
import { advertWrite, type Records } from './records.ts'
import type { CommitQueue } from './store.ts'

export interface OwnAdverts {
  /** Records this node's next advert before it is published: its price binds, and its sequence never repeats. */
  recordAdvert(build: (sequence: number) => Advert): Promise<Signed<Advert>>
  /** This node's advert of that id, if it has not expired. */
  advertInForce(id: Uint8Array): Signed<Advert> | undefined
}

export async function loadOwnAdverts(
  dependencies: {
    readonly records: Records
    readonly queue: CommitQueue
    readonly key: NodeKey
    readonly clock: Clock
  },
  { restoredAtMs = 0 }: { readonly restoredAtMs: number | undefined },
): Promise<OwnAdverts> {
  const { records, queue, key, clock } = dependencies
  let adverts: Signed<Advert>[] = []
  // A copy does not know how far the sequence went since it was made; no node publishes one advert each ms.
  let sequence = restoredAtMs

  for await (const advert of records.adverts()) {
    sequence = Math.max(sequence, advert.value.sequence)
    adverts.push(advert)
  }

  return {
    async recordAdvert(build) {
      const advert = seal(ADVERT, build(sequence + 1), key)
      sequence = advert.value.sequence
      const nowMs = clock.nowMs()
      const expired = adverts.filter((each) => each.value.expiresAtMs <= nowMs)
      adverts = [...adverts.filter((each) => each.value.expiresAtMs > nowMs), advert]
      await queue.commit([
        advertWrite(advert.value.sequence, advert),
        ...expired.map((each) => advertWrite(each.value.sequence, undefined)),
      ])
      return advert
    },
    advertInForce(id) {
      const nowMs = clock.nowMs()
      return adverts.find((each) => equalBytes(each.id, id) && each.value.expiresAtMs > nowMs)
    },
  }
}
