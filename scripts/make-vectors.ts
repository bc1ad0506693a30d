/**
 * Writes protocols/registry.json and the vectors of every protocol: `node scripts/make-vectors.ts`. The same source gives the
 * same bytes, and a test holds the written files equal to it. Vectors are frozen: a case may be added, but one that changes
 * means that the wire changed, and needs a new version of its protocol.
 */
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { accountVectors } from './vectors/account.ts'
import { advertVectors } from './vectors/advert.ts'
import { SEEDS, type VectorFile } from './vectors/case.ts'
import { envelopeVectors } from './vectors/envelope.ts'
import { inferenceVectors } from './vectors/inference.ts'
import { ledgerVectors } from './vectors/ledger.ts'
import { registry } from './vectors/registry.ts'

/** The vectors of every protocol by its folder. */
export function allVectors(): ReadonlyMap<string, VectorFile> {
  return new Map([
    ['envelope', envelopeVectors()],
    ['advert', advertVectors()],
    ['inference', inferenceVectors()],
    ['account', accountVectors()],
    ['ledger', ledgerVectors()],
  ])
}

/** The text of each generated file by its path in protocols/. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map([['registry.json', asText(registry())]])
  for (const [folder, { protocol, accept, reject }] of allVectors()) {
    files.set(`${folder}/v1.vectors.json`, asText({ protocol, seeds: SEEDS, accept, reject }))
  }
  return files
}

function asText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

if (import.meta.main) {
  const protocols = join(dirname(import.meta.dirname), 'protocols')
  for (const [path, text] of generatedFiles()) writeFileSync(join(protocols, path), text)
}
