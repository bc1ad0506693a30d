/**
 * Writes the documentation that is generated from code: `node scripts/generate-docs.ts`. A test holds the
 * written files equal to what this gives.
 */
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ERRORS } from '../src/base/errors.ts'
import { KEY_NAMES, specOf, variableOf } from '../src/config/schema.ts'
import { fidelityPage } from './fidelity/fidelity-page.ts'

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

/** docs/config.md: every key of the configuration, and how the layers work. */
export function configPage(): string {
  const rows = KEY_NAMES.map((key) => {
    const { kind, meaning, secret, flag, repeatable, default: preset } = specOf(key)
    const type = secret === true ? `${kind.name}, secret` : kind.name
    const flags = flag === undefined ? '' : `\`${flag}\`${repeatable === true ? ', repeatable' : ''}`
    return [`\`${key}\``, type, preset === '' ? '' : `\`${preset}\``, flags, meaning].map(cell).join(' | ')
  })
  const exceptions = KEY_NAMES.filter((key) => specOf(key).variable !== undefined).map(
    (key) => `\`${variableOf(key)}\` for \`${key}\``,
  )
  return `# Configuration

Generated from \`src/config/schema.ts\` by \`node scripts/generate-docs.ts\`; do not edit.

Every key may be set in several places; a later one replaces an earlier one:

1. its default
2. \`setting.ini\` in the configuration directory
3. \`<environment>/gateway.ini\` there
4. \`.env\` beside that directory
5. the environment: \`TOKLIGENCE_\` and the key in upper case (${exceptions.join(', ')})
6. a flag of \`tok-node start\`

The configuration directory is the one of \`--config-dir\`; otherwise \`config\` in the data directory, where
\`tok-node init\` writes it; otherwise \`config\` of the installation. A directory without \`setting.ini\` is passed
over, and without any everything runs on the defaults.

A line of a file is \`key = value\`. Lines that begin with \`#\` or \`;\` are comments, and so is what follows \` #\` or \` ;\`
after a value; \`[section]\` headings say nothing. Values may stand in quotes, lists are divided by commas, \`~\` is the
home directory, other paths start from the working directory, and an empty value is none. An unknown key or variable,
a key that is set twice in one file, or a value of the wrong type stops the start with its place.

\`tok-node config show\` prints the value in force of every key with its origin; secrets are hidden.

| Key | Type | Default | Flag | Meaning |
| --- | --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}
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
  const docs = join(dirname(import.meta.dirname), 'docs')
  writeFileSync(join(docs, 'errors.md'), errorsPage())
  writeFileSync(join(docs, 'config.md'), configPage())
  writeFileSync(join(docs, 'fidelity.md'), fidelityPage())
}
