/**
 * Checking many signatures on every core: by tweetnacl, the verifier that shares no code with the signer, or by Node's own.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { reasonOf, TokError } from '../base/errors.ts'

/** Who checks: `tweetnacl` is independent of the code that signed and slow (about 100 a second and core), `native` is fast. */
export type SignatureEngine = 'tweetnacl' | 'native'

/** One signature to check. */
export interface SignatureClaim {
  readonly publicKey: Uint8Array
  /** The signed bytes (`signingInput`). */
  readonly message: Uint8Array
  readonly signature: Uint8Array
}

export interface SignatureChecker {
  readonly engine: SignatureEngine
  /** How many batches are worked on at once: more need not be given. */
  readonly width: number
  /** For each claim whether it holds. @throws TokError `worker_failed` */
  check(claims: readonly SignatureClaim[]): Promise<readonly boolean[]>
  close(): Promise<void>
}

interface Job {
  readonly resolve: (holds: readonly boolean[]) => void
  readonly reject: (error: TokError) => void
}

/** A checker with one worker a core. Close it, or its threads stay. */
export function createSignatureChecker(engine: SignatureEngine, width = availableParallelism()): SignatureChecker {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const workers = Array.from({ length: width }, () => {
    const worker = new Worker(new URL(`./signature-worker.${extension}`, import.meta.url), { workerData: engine })
    const jobs: Job[] = []
    worker.on('message', (holds: readonly boolean[]) => jobs.shift()?.resolve(holds))
    const fail = (reason: string): void => {
      for (const job of jobs.splice(0)) job.reject(new TokError('worker_failed', { reason }))
    }
    worker.on('error', (error) => fail(reasonOf(error)))
    worker.on('exit', (code) => fail(`exit code ${code}`))
    return { worker, jobs }
  })
  return {
    engine,
    width,
    check: (claims) =>
      new Promise((resolve, reject) => {
        const least = workers.reduce((one, other) => (other.jobs.length < one.jobs.length ? other : one))
        least.jobs.push({ resolve, reject })
        least.worker.postMessage(claims)
      }),
    async close() {
      await Promise.all(workers.map(({ worker }) => worker.terminate()))
    },
  }
}
