/**
 * What two verified exports say of the accounts that both sides keep: whether they agree, what one of them lacks, and where they
 * part. Both files are read once, side by side: accounts stand in the order of their ids. Source: protocols/ledger/v1.md.
 */
import { createReadStream } from 'node:fs'
import { equalBytes, sha256 } from '../base/bytes.ts'
import { accountId, STATEMENT, type Statement } from '../wire/account.ts'
import { peerOfKey } from '../wire/identity.ts'
import { decodeBody } from '../wire/shape.ts'
import { bytesOf, parseLine, splitLines } from './export-lines.ts'

/** One account in two exports. */
export interface AccountComparison {
  readonly account: Uint8Array
  readonly buyer: string
  readonly seller: string
  /** Statements in the one file and in the other. */
  readonly statements: readonly [number, number]
  /** The newest statement that is the same in both. */
  readonly agreedThrough: number
  /** Where both hold a statement that both sides signed, and not the same one. */
  readonly fork: AccountFork | undefined
}

/** Two statements of one sequence: whoever signed both keeps two histories. */
export interface AccountFork {
  readonly sequence: number
  /** The statement's id in the one file and in the other. */
  readonly statements: readonly [Uint8Array, Uint8Array]
  /** Peer IDs of those who signed both. */
  readonly equivocators: readonly string[]
  /** True if one of the two stands on the buyer's signed rejection of a statement: then the buyer refused what it also signed. */
  readonly followsRejection: boolean
}

interface Placed {
  readonly account: Uint8Array
  readonly value: Statement
  readonly id: Uint8Array
}

/**
 * Compares two files that verified, of these nodes. Accounts that only one of the two nodes is a party to are passed over.
 * @throws ExportFault, or what reading throws, for a file that changed meanwhile
 */
export async function* compareExports(
  files: readonly [string, string],
  nodes: readonly [string, string],
): AsyncIterable<AccountComparison> {
  const [one, other] = [statementsIn(files[0]), statementsIn(files[1])]
  let [left, right] = [await nextOf(one), await nextOf(other)]
  while (left !== undefined || right !== undefined) {
    const first = isBefore(right, left) ? right : left
    if (first === undefined) return
    const { account, value } = first
    const statements: [number, number] = [0, 0]
    let agreedThrough = 0
    let fork: AccountFork | undefined
    while (isOf(left, account) || isOf(right, account)) {
      if (isOf(left, account) && isOf(right, account) && fork === undefined) {
        if (equalBytes(left.id, right.id)) agreedThrough = left.value.sequence
        else fork = forkOf(left, right)
      }
      if (isOf(left, account)) {
        statements[0] += 1
        left = await nextOf(one)
      }
      if (isOf(right, account)) {
        statements[1] += 1
        right = await nextOf(other)
      }
    }
    const [buyer, seller] = [peerOfKey(value.buyer), peerOfKey(value.seller)]
    if (nodes.every((node) => node === buyer || node === seller)) {
      yield { account, buyer, seller, statements, agreedThrough, fork }
    }
  }
}

function forkOf({ id, value }: Placed, other: Placed): AccountFork {
  return {
    sequence: value.sequence,
    statements: [id, other.id],
    // Each bears both signatures, and both files verified: so each side signed both.
    equivocators: [peerOfKey(value.seller), peerOfKey(value.buyer)],
    followsRejection: value.rejection !== undefined || other.value.rejection !== undefined,
  }
}

async function* statementsIn(path: string): AsyncGenerator<Placed, undefined> {
  for await (const line of splitLines(createReadStream(path, { highWaterMark: 262_144 }))) {
    if (!line.bytes.subarray(0, 19).equals(STATEMENT_START)) continue
    const body = bytesOf(line, parseLine(line), 'body')
    const value = decodeBody(STATEMENT.shape, body, 'statement')
    yield { account: accountId(value), value, id: sha256(body) }
  }
  return undefined
}

const STATEMENT_START = Buffer.from('{"kind":"statement"')

async function nextOf(statements: AsyncGenerator<Placed, undefined>): Promise<Placed | undefined> {
  return (await statements.next()).value
}

function isOf(placed: Placed | undefined, account: Uint8Array): placed is Placed {
  return placed !== undefined && equalBytes(placed.account, account)
}

/** True if `one` comes before `other` in the order of accounts. */
function isBefore(one: Placed | undefined, other: Placed | undefined): boolean {
  if (one === undefined || other === undefined) return one !== undefined
  return Buffer.compare(one.account, other.account) < 0
}
