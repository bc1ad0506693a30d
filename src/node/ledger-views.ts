/**
 * The ledger as people and the admin API see it: JSON values over an open ledger.
 */
import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import type { Config } from '../config/config.ts'
import type { AccountView, JsonObject, PruneView, StatusView, VerifyView } from '../gateway/admin-api.ts'
import { evidenceLine } from '../ledger/evidence.ts'
import { exportLedger, readingOf } from '../ledger/export.ts'
import type { AccountView as LedgerAccount } from '../ledger/account-views.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { writeProof } from '../ledger/inclusion-proof.ts'
import { createSignatureChecker } from '../ledger/signature-check.ts'
import { ExportFault, splitLines } from '../ledger/export-lines.ts'
import { verifyExport } from '../ledger/verify-export.ts'
import { creditLineOf, type CreditLine, type CreditPolicy } from '../market/credit-policy.ts'
import { hashOfName, nameOfHash } from '../wire/hash-name.ts'
import type { JournalEntry } from '../wire/journal.ts'
import { storyOf } from './ledger-story.ts'

/** Statements of an account that are shown: the newest. */
const STATEMENTS_SHOWN_MAX = 50

/** Every account that was ever used. */
export function accountsOf(ledger: Ledger, policy: CreditPolicy): readonly AccountView[] {
  return ledger.accountViews().map((view) => ({
    ...accountOf(view, policy),
    naclVerifiedThrough: ledger.reverifiedThrough(view.id),
  }))
}

function accountOf(view: LedgerAccount, policy: CreditPolicy): Omit<AccountView, 'naclVerifiedThrough'> {
  const line = view.side === 'seller' ? creditLineOf(view, policy) : undefined
  const limit = line?.limit ?? view.creditLimit
  return {
    account: toHex(view.id),
    counterparty: view.peer,
    side: view.side,
    statements: view.sequence,
    owedMicros: view.owed.toString(),
    paidMicros: view.paid.toString(),
    unsettledMicros: view.unsettled.toString(),
    balanceMicros: (view.owed - view.paid).toString(),
    heldMicros: view.held.toString(),
    liveCalls: view.liveCalls,
    creditLimitMicros: limit.toString(),
    roomMicros: (limit - (view.owed - view.paid) - view.unsettled - view.held).toString(),
    ...(line === undefined ? {} : { line: lineView(line) }),
    windowExposureMicros: view.windowExposure.toString(),
    confirmedMicros: view.confirmed.toString(),
    settlementsOpen: view.settlementsOpen,
    disputed: view.disputed,
    ...(view.head === undefined ? {} : { headHash: toHex(view.head) }),
    ...(view.frozen === undefined ? {} : { frozen: view.frozen }),
  }
}

function lineView({ grant, earned, cap, halvings }: CreditLine): NonNullable<AccountView['line']> {
  return { grantMicros: grant.toString(), earnedMicros: earned.toString(), capMicros: cap.toString(), halvings }
}

/** What the operator's settings allow buyers. */
export function creditPolicyOf({ selling }: Pick<Config, 'selling'>): CreditPolicy {
  return {
    strangerCredit: selling.strangerCreditMicros,
    strangerBudget: selling.strangerBudgetMicros,
    strangerBudgetPerDay: selling.strangerBudgetPerDayMicros,
    creditLimit: selling.creditLimitMicros,
    growthPercent: selling.creditGrowthPercent,
  }
}

/**
 * What is recorded under an id: the accounts of a peer ID, one account, or one inference by its request id, order or receipt.
 * Hashes may be given in hexadecimal or as CIDs. Bodies are read as in an export: their amounts are decimal micros.
 * @throws TokError `record_not_found`
 */
export async function recordOf(ledger: Ledger, id: string, policy: CreditPolicy): Promise<JsonObject> {
  const hash = /^[0-9a-f]{64}$/.test(id) ? fromHex(id) : hashOfName(id)
  const hexadecimal = hash === undefined ? undefined : toHex(hash)
  const accounts = accountsOf(ledger, policy).filter(({ account, counterparty }) => {
    return counterparty === id || account === hexadecimal
  })
  if (accounts.length > 0) return { kind: 'accounts', accounts: await withStatements(ledger, accounts) }

  const entry = await findJournalEntry(ledger, id, hash)
  const order = entry?.order ?? hash
  const call = order === undefined ? undefined : await ledger.callRecord(order)
  if (entry === undefined && call === undefined) throw new TokError('record_not_found', { id })
  return storyOf(ledger, entry, call)
}

/** Proven equivocations, as lines of an evidence file. */
export async function evidenceOf(ledger: Ledger): Promise<readonly string[]> {
  return (await ledger.conflicts()).map(evidenceLine)
}

/** What is signed, and what of it is confirmed. */
export function ledgerStatusOf(ledger: Ledger): StatusView['ledger'] {
  const { statements, confirmed, mismatches } = ledger.reverification()
  const newest = ledger.newestCheckpoint()?.value
  return {
    ...(newest === undefined ? {} : { checkpoint: { sequence: newest.sequence, createdAtMs: newest.createdAtMs } }),
    statements,
    naclVerified: confirmed,
    mismatches,
  }
}

/**
 * The line of a proof file: of an account by its id, or of the journal entry of a sequence, request id, order or receipt.
 * @throws TokError `record_not_found`
 */
export async function proofOf(ledger: Ledger, id: string): Promise<string> {
  const hash = /^[0-9a-f]{64}$/.test(id) ? fromHex(id) : hashOfName(id)
  if (hash !== undefined && ledger.accountViews().some((view) => equalBytes(view.id, hash))) {
    return writeProof(await ledger.proveAccount(hash))
  }
  const sequence = /^\d{1,15}$/.test(id) ? Number(id) : (await findJournalEntry(ledger, id, hash))?.sequence
  if (sequence === undefined) throw new TokError('record_not_found', { id })
  return writeProof(await ledger.proveEntry(sequence))
}

/** Forgets journal entries from before `beforeMs`, as far as a checkpoint covers them. */
export async function pruneLedger(ledger: Ledger, beforeMs: number): Promise<PruneView> {
  const { entriesGone, start } = await ledger.pruneJournal(beforeMs)
  return { entriesGone, ...(start === undefined ? {} : { checkpoint: start.value.sequence }) }
}

/** Checks the whole ledger as its export is checked, with Node's own signatures. */
export async function verifyLedger(ledger: Ledger, nowMs: number): Promise<VerifyView> {
  const checker = createSignatureChecker('native')
  const heads = ledger.accountViews().flatMap(({ head }) => (head === undefined ? [] : [toHex(head)]))
  try {
    const { statements, journalEntries } = await verifyExport(splitLines(exportLedger(ledger, nowMs)), checker)
    const [headHash] = heads
    // With several accounts no single hash stands for the whole; `accountsOf` has each.
    const head = headHash === undefined || heads.length > 1 ? {} : { headHash }
    return { verified: true, statements, entries: journalEntries, ...head }
  } catch (error) {
    if (!(error instanceof ExportFault)) throw error
    const { position, reason } = error
    return { verified: false, statements: 0, entries: 0, problem: { position, reason } }
  } finally {
    await checker.close()
  }
}

async function withStatements(ledger: Ledger, accounts: readonly AccountView[]): Promise<readonly JsonObject[]> {
  return Promise.all(
    accounts.map(async (account) => {
      let newest: JsonObject[] = []
      for await (const statement of ledger.statementsOf(fromHex(account.account))) {
        newest = [...newest.slice(1 - STATEMENTS_SHOWN_MAX), signedReading(statement)]
      }
      return { ...account, newestStatements: newest }
    }),
  )
}

/** The newest entry of a request id, an order or a receipt. */
async function findJournalEntry(
  ledger: Ledger,
  id: string,
  hash: Uint8Array | undefined,
): Promise<JournalEntry | undefined> {
  const isMeant = (named: Uint8Array | undefined): boolean =>
    hash !== undefined && named !== undefined && equalBytes(named, hash)
  for await (const { entry } of ledger.journalEntries(true)) {
    if (entry.requestId === id || isMeant(entry.order) || isMeant(entry.receipt)) return entry
  }
  return undefined
}

function signedReading(signed: { readonly id: Uint8Array; readonly value: unknown }): JsonObject {
  return { id: nameOfHash(signed.id), ...reading(signed.value) }
}

/** Bodies hold texts, counts, amounts and bytes only, and their reading has none but JSON values. */
function reading(value: unknown): JsonObject {
  return readingOf(value) as JsonObject
}
