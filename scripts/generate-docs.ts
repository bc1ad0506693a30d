/**
 * Writes the documentation that is generated from code: `node scripts/generate-docs.ts`. A test holds the
 * written files equal to what this gives.
 */
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ERRORS } from '../src/base/errors.ts'

/** docs/errors.md: the error table for readers, one row per code, in the order of the code. */
export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, retryable, owner, peerVisible, text, next }]) =>
    ['', `\`${code}\``, status, owner, yesOrNo(retryable), yesOrNo(peerVisible), cell(text), cell(next), ''].join(
      ' | ',
    ),
  )
  return `# Errors

Generated from \`src/base/errors.ts\` by \`node scripts/generate-docs.ts\`; do not edit.

Every failure has one code, the same in HTTP answers, logs and, where a peer may see it, on the wire. A code that a peer
may not see reaches it as \`internal_error\`. *Again* says whether the same request may succeed later or elsewhere.
\`{name}\` is filled in with the detail of that name.

| Code | HTTP | Fault of | Again | Peer sees it | What happened | What to do |
| --- | --- | --- | --- | --- | --- | --- |
${rows.map((row) => row.trim()).join('\n')}
`
}

function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

/** Text as a table cell: a bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

if (import.meta.main) {
  writeFileSync(join(dirname(import.meta.dirname), 'docs', 'errors.md'), errorsPage())
}
