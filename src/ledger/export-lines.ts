/**
 * The lines of an export as a verifier takes them in: cut, read, compared with what their signed bytes make, and a fault named by
 * line, place and step. Source: protocols/ledger/v1.md, "Validation".
 */
import { equalBytes, fromBase64Url } from '../base/bytes.ts'
import { reasonOf, toTokError, TokError } from '../base/errors.ts'
import { decodeBody, type Shape } from '../wire/shape.ts'
import { writeLine, type LineMembers } from './export.ts'

/** One line and where its first byte stands in the file. */
export interface ExportLine {
  readonly bytes: Buffer
  readonly offset: number
  /** 1 for the first line. */
  readonly number: number
}

/** A line of the largest statement with its reading has less. */
const LINE_BYTES_MAX = 1_048_576

/** A fault of an export, where it stands, and the step of the specification's list "export" that finds it. */
export class ExportFault extends Error {
  override readonly name = 'ExportFault'
  readonly position: string
  readonly reason: string
  readonly line: number
  readonly step: number

  /** `at` is the place in the line, where one byte can be named. */
  constructor(line: ExportLine, at: number | undefined, step: number, reason: string) {
    const place =
      at === undefined ? `bytes ${line.offset}-${line.offset + line.bytes.length}` : `byte ${line.offset + at}`
    super(`line ${line.number}, ${place}: ${reason}`)
    this.position = `line ${line.number}, ${place}`
    this.reason = reason
    this.line = line.number
    this.step = step
  }
}

/** What is wrong with the file `file`, as a TokError. */
export function exportFault(file: string, thrown: unknown): TokError {
  if (thrown instanceof TokError) return thrown
  const { position, reason } = thrown instanceof ExportFault ? thrown : { position: 'start', reason: reasonOf(thrown) }
  return new TokError('export_invalid', { file, position, reason }, { cause: thrown })
}

/** Cuts bytes into lines. @throws ExportFault for a line without end or an endless one */
export async function* splitLines(chunks: AsyncIterable<Uint8Array | string>): AsyncIterable<ExportLine> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  let number = 1
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, typeof chunk === 'string' ? Buffer.from(chunk) : chunk])
    let start = 0
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a, start)) {
      yield { bytes: rest.subarray(start, end), offset: offset + start, number: number++ }
      start = end + 1
    }
    rest = rest.subarray(start)
    offset += start
    if (rest.length > LINE_BYTES_MAX) throw new ExportFault({ bytes: rest, offset, number }, 0, 1, 'a line has no end')
  }
  if (rest.length > 0)
    throw new ExportFault({ bytes: rest, offset, number }, rest.length, 1, 'the last line is cut off')
}

/** @throws ExportFault unless the line is a JSON object of at most 1 MiB */
export function parseLine(line: ExportLine): LineMembers {
  if (line.bytes.length > LINE_BYTES_MAX) throw new ExportFault(line, 0, 1, 'the line is too long')
  try {
    const members: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line.bytes))
    if (typeof members === 'object' && members !== null && !Array.isArray(members)) return members as LineMembers
  } catch (thrown) {
    throw new ExportFault(line, jsonFaultOffset(thrown), 1, `the line is not JSON: ${reasonOf(thrown)}`)
  }
  throw new ExportFault(line, 0, 1, 'the line is no JSON object')
}

function jsonFaultOffset(thrown: unknown): number | undefined {
  const found = / at position (\d+)/.exec(reasonOf(thrown))
  return found === null ? undefined : Number(found[1])
}

/** The bytes of a member in base64url; what follows checks that they have no second form. */
export function bytesOf(line: ExportLine, members: LineMembers, name: string, step = 4): Uint8Array {
  const value = members[name]
  if (typeof value !== 'string') throw new ExportFault(line, undefined, step, `the line has no ${name}`)
  return fromBase64Url(value)
}

/** @throws ExportFault at `step` for a body that is not in the one form of `shape` */
export function decodeOn<T>(line: ExportLine, shape: Shape<T>, body: Uint8Array, what: string, step = 4): T {
  try {
    return decodeBody(shape, body, what)
  } catch (thrown) {
    throw new ExportFault(line, undefined, step, toTokError(thrown).message)
  }
}

/** A line must be, to the byte, what `members` and the link before it make. Gives the line's link. */
export function checkLine(line: ExportLine, members: LineMembers, before: Uint8Array): Uint8Array {
  const expected = writeLine(members, before)
  const expectedBytes = Buffer.from(expected.text)
  if (equalBytes(expectedBytes, line.bytes)) return expected.link
  let at = 0
  while (at < expectedBytes.length && expectedBytes[at] === line.bytes[at]) at += 1
  const linkStart = expectedBytes.length - (2 * expected.link.length + 2)
  // What the bytes say and what they are signed for agree up to the link: then a value that has no signature of its own changed.
  throw at >= linkStart
    ? new ExportFault(line, undefined, 5, 'the line’s link does not match its content')
    : new ExportFault(line, at, 5, 'the line is not what its signed bytes make')
}
