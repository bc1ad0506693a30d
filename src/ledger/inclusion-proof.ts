/**
 * A small file that shows one account's head, or one journal entry, under a checkpoint of a node: a stranger checks it without
 * the rest of the ledger. Source: protocols/ledger/v1.md, "Proof file", whose steps the faults name.
 */
import { createReadStream } from 'node:fs'
import { fromHex, sha256, toBase64Url, toHex } from '../base/bytes.ts'
import { accountHeadShape, CHECKPOINT, type AccountHeadLeaf, type Checkpoint } from '../wire/checkpoint.ts'
import { signingInput, type Signed } from '../wire/envelope.ts'
import { peerOfKey } from '../wire/identity.ts'
import { journalEntryShape, type JournalEntry } from '../wire/journal.ts'
import { isIncluded } from '../wire/merkle.ts'
import { decodeBody } from '../wire/shape.ts'
import type { InclusionProof } from './checkpoints.ts'
import { readingOf, signedMembers, type LineMembers } from './export.ts'
import { bytesOf, decodeOn, exportFault, ExportFault, parseLine, splitLines, type ExportLine } from './export-lines.ts'
import { createSignatureChecker, type SignatureChecker, type SignatureEngine } from './signature-check.ts'

export const PROOF_FORMAT = 'tok/proof/1'

/** What a proof shows. */
export interface VerifiedProof {
  /** Peer ID of the node that signed the checkpoint. */
  readonly node: string
  readonly checkpoint: { readonly id: Uint8Array; readonly sequence: number; readonly createdAtMs: number }
  /** Where an account stood, or what the journal held. */
  readonly shown: AccountHeadLeaf | JournalEntry
  readonly of: InclusionProof['of']
}

const SHAPES = { account: accountHeadShape, entry: journalEntryShape } as const

/** The one line of a proof file, with its newline. */
export function writeProof(
  proof: Omit<InclusionProof, 'checkpoint'> & { readonly checkpoint: Signed<Checkpoint> },
): string {
  const { checkpoint, of, leaf, index, path } = proof
  const { kind: _, ...signed } = signedMembers('checkpoint', checkpoint)
  const reading = readingOf(decodeBody<AccountHeadLeaf | JournalEntry>(SHAPES[of], leaf, of))
  const members = { checkpoint: signed, body: toBase64Url(leaf), index, path: path.map(toHex), reading }
  return `${JSON.stringify({ kind: 'proof', format: PROOF_FORMAT, of, ...members })}\n`
}

/**
 * Verifies the file at `path`, of one line.
 * @throws TokError `export_invalid`
 */
export async function verifyProofFile(path: string, engine: SignatureEngine): Promise<VerifiedProof> {
  const checker = createSignatureChecker(engine, 1)
  let proof: VerifiedProof | undefined
  try {
    for await (const line of splitLines(createReadStream(path))) {
      if (proof !== undefined) throw new ExportFault(line, 0, 1, 'a proof has one line')
      proof = await verifyProof(line, checker)
    }
    if (proof === undefined) throw new Error('it is empty')
    return proof
  } catch (thrown) {
    throw exportFault(path, thrown)
  } finally {
    await checker.close()
  }
}

/** @throws ExportFault for a proof that shows nothing */
export async function verifyProof(line: ExportLine, checker: SignatureChecker): Promise<VerifiedProof> {
  const members = parseLine(line)
  const { of, index, path, checkpoint } = members
  if (of !== 'account' && of !== 'entry') throw new ExportFault(line, 0, 2, 'it proves neither account nor entry')
  const signedLine = (typeof checkpoint === 'object' && checkpoint !== null ? checkpoint : {}) as LineMembers
  const body = bytesOf(line, signedLine, 'body', 2)
  const signature = bytesOf(line, signedLine, 'signature', 2)
  const value = decodeOn(line, CHECKPOINT.shape, body, 'checkpoint', 2)
  const leaf = bytesOf(line, members, 'body', 2)
  const shown = decodeOn<AccountHeadLeaf | JournalEntry>(line, SHAPES[of], leaf, of, 2)
  const id = sha256(body)
  const at = typeof index === 'number' ? index : -1
  const steps = (Array.isArray(path) ? (path as readonly unknown[]) : []).map((step) => fromHex(String(step)))
  const text = writeProof({ checkpoint: { value, id, body, signature }, of, leaf, index: at, path: steps })
  if (text !== `${line.bytes.toString()}\n`) throw new ExportFault(line, undefined, 3, 'it is not what its bytes make')
  const message = signingInput(CHECKPOINT.domain, body)
  const [holds] = await checker.check([{ publicKey: value.node, message, signature }])
  if (holds !== true) throw new ExportFault(line, undefined, 4, 'the signature of the checkpoint does not verify')
  const tree =
    of === 'account'
      ? { count: value.accounts, root: value.accountsRoot }
      : { count: value.entries, root: value.entriesRoot }
  const isAtPlace = Number.isSafeInteger(at) && at >= 0 && (of === 'account' || shown.sequence === at + 1)
  if (!isAtPlace || !isIncluded({ leaf, index: at, path: steps }, tree)) {
    throw new ExportFault(line, undefined, 5, 'the path does not lead to the checkpoint')
  }
  const { node, sequence, createdAtMs } = value
  return { node: peerOfKey(node), checkpoint: { id, sequence, createdAtMs }, shown, of }
}
