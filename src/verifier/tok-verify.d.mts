/** What an export holds; amounts in micros, ids and hashes as bytes. */
export interface FoundExport {
  readonly node: string
  readonly network: string
  readonly asset: string
  readonly exportedAtMs: number
  readonly lines: number
  readonly statements: number
  readonly signatures: number
  readonly unsettled: number
  readonly halfNettings: number
  readonly journalEntries: number
  readonly journalPruned: number
  readonly checkpoints: number
  readonly checkpoint:
    | {
        readonly id: Uint8Array
        readonly sequence: number
        readonly createdAtMs: number
        readonly coversAll: boolean
      }
    | undefined
  readonly accounts: readonly {
    readonly id: Uint8Array
    readonly buyer: string
    readonly seller: string
    readonly statements: number
    readonly calls: number
    readonly owed: bigint
    readonly paid: bigint
    readonly head: Uint8Array
  }[]
}

/**
 * Says what an export holds, by tweetnacl unless another `verify` is given.
 * @throws Error with `line` and `step` of the first fault
 */
export function verifyFile(
  chunks: AsyncIterable<Uint8Array>,
  verify?: (message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array) => boolean,
): Promise<FoundExport>
