/**
 * Reads INI and .env files: one `key = value` a line. The `ini` package is not used because it ends a value at
 * any `#` or `;`, which cuts the dialect off `name=http://host:8000#openai-chat`, and because it knows no lines.
 */
import { TokError } from '../base/errors.ts'

/** One line of a file that sets something. */
export interface Setting {
  readonly key: string
  readonly text: string
  /** Where it stands: "/path/gateway.ini:7". */
  readonly origin: string
}

/**
 * The settings of a file in the order written. Blank lines, lines that begin with `#` or `;`, and [section]
 * headings say nothing; a value may stand in quotes; ` #` and ` ;` after a value begin a comment.
 * @throws TokError `config_invalid` with file and line, for a line that is none of these
 */
export function readSettings(file: string, content: string): Setting[] {
  const settings: Setting[] = []
  for (const [index, raw] of content
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim()
    if (line === '' || /^[#;]/.test(line) || /^\[.*\]$/.test(line)) continue
    const origin = `${file}:${index + 1}`
    const [, key, value] = /^(?:export\s+)?([\w.-]+)\s*=\s*(.*)$/.exec(line) ?? []
    if (key === undefined || value === undefined) {
      throw new TokError('config_invalid', { reason: `${origin}: this is not "key = value"` })
    }
    settings.push({ key, text: readValue(value, origin), origin })
  }
  return settings
}

function readValue(value: string, origin: string): string {
  const quote = value[0]
  if (quote !== '"' && quote !== "'") return value.replace(/(?:^|\s+)[#;].*$/, '')
  const end = value.indexOf(quote, 1)
  if (end === -1 || !/^\s*(?:[#;].*)?$/.test(value.slice(end + 1))) {
    throw new TokError('config_invalid', { reason: `${origin}: the value is not closed by ${quote}` })
  }
  return value.slice(1, end)
}
