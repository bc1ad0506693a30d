/**
 * The end of a call on this side, sold or bought: from then on its liability is fixed, and only a statement settles it (R5).
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import type { Signed } from '../wire/envelope.ts'
import type { NodeKey } from '../wire/identity.ts'
import type { Receipt } from '../wire/inference.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { TIMEOUTS } from '../wire/registry.ts'
import type { AccountBook } from './account-book.ts'
import { claimOf, isToSettle, type Call } from './account-state.ts'
import type { Journal } from './journal.ts'
import { callPaperWrite, openCallWrite } from './records.ts'
import type { CommitQueue, Write } from './store.ts'

export interface CallSealing {
  /**
   * Seals a live call; the caller keeps the steps of the call one after the other. `receipt` is recorded with it where it came
   * and holds. `inference` is its line in the journal, left out if the request was not answered by this call and nothing is
   * owed for it.
   * @throws TokError `record_not_found` if the call is not live
   */
  sealCall(
    orderId: Uint8Array,
    receipt: Signed<Receipt> | undefined,
    inference: Omit<InferenceRecord, 'amount'>,
    isAnswered: boolean,
  ): Promise<void>
  /** Seals calls that were live when the process ended without closing them, with their line in the journal. */
  sealBroken(calls: readonly Call[]): Promise<void>
  /** Resolves when the call does not run here. @throws TokError `statement_invalid` if it still does after a while */
  awaitSealing(orderId: Uint8Array): Promise<void>
}

export function createCallSealing(dependencies: {
  readonly book: AccountBook
  readonly journal: Journal
  readonly queue: CommitQueue
  readonly key: NodeKey
  readonly clock: Clock
}): CallSealing {
  const { book, journal, queue, key, clock } = dependencies
  /** Who waits for a live call to be sealed, by order. */
  const waitersOf = new Map<string, Set<() => void>>()

  const sealCall: CallSealing['sealCall'] = async (orderId, receipt, inference, isAnswered) => {
    const found = book.findCall(orderId)
    if (found?.call.live !== true) throw new TokError('record_not_found', { id: toHex(orderId) })
    const { state, call } = found
    const sealed: Call = { ...call, live: false, receipt: receipt ?? call.receipt }
    const isOpen = isToSettle(sealed)
    const writes: Write[] = []
    if (isAnswered || isOpen) {
      const { amountMax: held, prices } = call.order.value
      writes.push(journal.append({ ...inference, amount: claimOf(sealed), held, prices }))
    }
    if (receipt !== undefined) writes.push(callPaperWrite('receipt', orderId, receipt))
    writes.push(openCallWrite(state.id, orderId, isOpen ? 'sealed' : undefined))
    await queue.commit(writes)
    call.receipt = sealed.receipt
    call.live = false
    if (!isOpen) book.dropCall(state, orderId)
    for (const resume of waitersOf.get(toHex(orderId)) ?? []) resume()
  }

  return {
    sealCall,
    async sealBroken(calls) {
      for (const { order, receipt } of calls) {
        const { value } = order
        const isPurchase = equalBytes(value.buyer, key.publicKey)
        const inference = {
          requestId: toHex(order.id),
          direction: isPurchase ? 'bought' : 'sold',
          endpoint: value.endpoint,
          dialect: value.dialect,
          stream: 'no',
          requestedModel: value.model,
          resolvedModel: value.model,
          counterparty: isPurchase ? value.seller : value.buyer,
          order: order.id,
          receipt: receipt?.id,
          status: 'failed',
          error: 'node_stopping',
          tokenSource: 'absent',
          durationMs: 0,
          retries: 0,
        } as const
        await sealCall(order.id, undefined, inference, true)
      }
    },
    async awaitSealing(orderId) {
      if (book.findCall(orderId)?.call.live !== true) return
      const name = toHex(orderId)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const waiters = waitersOf.get(name) ?? new Set()
      waitersOf.set(name, waiters.add(resolve))
      const cancel = clock.after(TIMEOUTS.receiptMs, () =>
        reject(new TokError('statement_invalid', { reason: 'it settles a call that still runs here' })),
      )
      try {
        await promise
      } finally {
        cancel()
        waiters.delete(resolve)
        if (waiters.size === 0) waitersOf.delete(name)
      }
    },
  }
}
