/**
 * The signatures of an export on their way through the checker: many at once, and the fault of the earliest line wins.
 */
import type { ExportFault } from './export-lines.ts'
import type { SignatureChecker, SignatureClaim } from './signature-check.ts'

/** Signatures sent to a thread at once. */
const CLAIMS_PER_BATCH = 64

export interface ClaimQueue {
  add(claim: SignatureClaim, fault: () => ExportFault): void
  /** Resolves when more may be added; rejects with the first fault found. */
  room(): Promise<void>
  /** Resolves when everything was checked; rejects with the fault of the earliest line. */
  drained(): Promise<void>
  count(): number
}

export function createClaimQueue(checker: SignatureChecker): ClaimQueue {
  let batch: { readonly claim: SignatureClaim; readonly fault: () => ExportFault }[] = []
  const running = new Set<Promise<void>>()
  let firstFault: ExportFault | undefined
  let failure: unknown
  let count = 0

  const send = (): void => {
    const sent = batch
    batch = []
    const checked = checker
      .check(sent.map((each) => each.claim))
      .then((holds) => {
        holds.forEach((isValid, index) => {
          const fault = isValid ? undefined : sent[index]?.fault()
          if (fault !== undefined && (firstFault === undefined || fault.line < firstFault.line)) firstFault = fault
        })
      })
      .catch((thrown: unknown) => {
        failure ??= thrown
      })
      .finally(() => running.delete(checked))
    running.add(checked)
  }
  const raise = (): void => {
    if (failure !== undefined) throw failure
    if (firstFault !== undefined) throw firstFault
  }
  return {
    add(claim, fault) {
      count += 1
      batch.push({ claim, fault })
      if (batch.length >= CLAIMS_PER_BATCH) send()
    },
    async room() {
      while (running.size > 2 * checker.width) await Promise.race(running)
      raise()
    },
    async drained() {
      if (batch.length > 0) send()
      while (running.size > 0) await Promise.all(running)
      raise()
    },
    count: () => count,
  }
}
