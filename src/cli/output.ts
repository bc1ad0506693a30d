/**
 * What commands print: lines and tables for people, one JSON document for programs. Colours appear on a terminal only
 * and follow NO_COLOR (node:util styleText).
 */
import { stripVTControlCharacters, styleText } from 'node:util'
import { formatAmount } from '../base/amount.ts'

/** Prints lines on stdout. */
export function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`)
}

/** Prints one JSON document in one line. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/** The colours that commands use. */
export function paint(style: 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan', text: string): string {
  return styleText(style, text)
}

/**
 * Text that a peer, a provider or a model wrote, safe for a terminal: control characters could move the cursor, recolour
 * or retype what stands there. Line breaks and tabs stay.
 */
export function harmless(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '')
}

/** A table with its columns aligned; numbers, recognised by the header's leading ">", to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const rightAligned = header.map((title) => title.startsWith('>'))
  const titles = header.map((title) => title.replace('>', ''))
  const widths = titles.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map(widthOf)),
  )
  const lineOf = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - widthOf(cell))
        return rightAligned[column] === true ? padding + cell : cell + padding
      })
      .join('  ')
      .trimEnd()
  return [paint('dim', lineOf(titles)), ...rows.map(lineOf)]
}

function widthOf(cell: string): number {
  return stripVTControlCharacters(cell).length
}

/** Decimal micros, as the admin API writes them, as an amount: "250000" reads "0.25 USD". */
export function usd(micros: string): string {
  return `${formatAmount(BigInt(micros))} USD`
}

/** A span of time in its two largest units: "2 h 3 min". */
export function duration(spanMs: number): string {
  const seconds = Math.max(0, Math.round(spanMs / 1_000))
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3_600) % 24,
    Math.floor(seconds / 60) % 60,
  ]
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`
}
