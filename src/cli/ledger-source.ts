/**
 * Where the ledger commands read from: LevelDB admits one process, so a running node is asked, and otherwise the store is opened.
 */
import { systemClock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import type { Config } from '../config/config.ts'
import type { AccountView, JsonObject, ProofView, PruneView, VerifyView } from '../gateway/admin-api.ts'
import { findAdmin, type AdminClient } from './admin-client.ts'

/** A whole ledger may be checked signature by signature before the answer begins. */
const VERIFY_TIMEOUT_MS = 3_600_000

/** A whole ledger is copied before the answer. */
const BACKUP_TIMEOUT_MS = 3_600_000

/** The ledger of a data directory. */
export interface LedgerSource {
  accounts(): Promise<readonly AccountView[]>
  /** @throws TokError or AnsweredError `record_not_found` */
  show(id: string): Promise<JsonObject>
  verify(): Promise<VerifyView>
  /** NDJSON, in pieces of any size. */
  export(): Promise<AsyncIterable<Uint8Array | string>>
  /** The line of a proof file. @throws TokError or AnsweredError `record_not_found` */
  prove(id: string): Promise<string>
  /** Forgets journal entries from before. */
  prune(beforeMs: number): Promise<PruneView>
  /** Lines of an evidence file: proven equivocations. */
  evidence(): Promise<readonly string[]>
  /** Copies ledger and node key to a directory of this machine, named by its whole path. */
  backUp(directory: string): Promise<void>
  close(): Promise<void>
}

/** The ledger of the running node, or the stored one. */
export async function openLedgerSource(config: Config): Promise<LedgerSource> {
  const admin = await findAdmin(config.dataDirectory)
  return admin === undefined ? openStoredLedger(config) : askLedger(admin)
}

function askLedger(admin: AdminClient): LedgerSource {
  return {
    accounts: () => admin.ask('ledger/accounts'),
    show: (id) => admin.ask(`ledger/show/${encodeURIComponent(id)}`),
    verify: () => admin.ask('ledger/verify', { timeoutMs: VERIFY_TIMEOUT_MS }),
    export: () => admin.read('ledger/export'),
    prove: async (id) =>
      (await admin.ask<ProofView>(`ledger/prove/${encodeURIComponent(id)}`, { timeoutMs: VERIFY_TIMEOUT_MS })).proof,
    prune: (beforeMs) => admin.ask('ledger/prune', { body: { beforeMs }, timeoutMs: VERIFY_TIMEOUT_MS }),
    evidence: () => admin.ask('ledger/evidence'),
    async backUp(directory) {
      await admin.ask('ledger/backup', { body: { directory }, timeoutMs: BACKUP_TIMEOUT_MS })
    },
    close: () => Promise.resolve(),
  }
}

async function openStoredLedger(config: Config): Promise<LedgerSource> {
  const { ledgerDirectory, nodeKeyFile, readNodeKey } = await import('../node/data-directory.ts')
  const own = await readNodeKey(config.dataDirectory)
  if (own === undefined) {
    const reason = `there is no node key ${nodeKeyFile(config.dataDirectory)}; no node ever ran here`
    throw new TokError('data_directory_unusable', { directory: config.dataDirectory, reason })
  }
  const [
    { openLevelStore },
    { openLedger },
    { accountsOf, creditPolicyOf, evidenceOf, proofOf, pruneLedger, recordOf, verifyLedger },
    { exportLedger },
    { DEFAULT_ASSET },
    { backUpNode },
  ] = await Promise.all([
    import('../ledger/store.ts'),
    import('../ledger/ledger.ts'),
    import('../node/ledger-views.ts'),
    import('../ledger/export.ts'),
    import('../wire/registry.ts'),
    import('../node/ledger-copies.ts'),
  ])
  const store = await openLevelStore(ledgerDirectory(config.dataDirectory), false)
  const ledger = await openLedger(
    { store, key: own.key, clock: systemClock },
    { network: config.network.name, asset: DEFAULT_ASSET },
  )
  return {
    accounts: () => Promise.resolve(accountsOf(ledger, creditPolicyOf(config))),
    show: (id) => recordOf(ledger, id, creditPolicyOf(config)),
    verify: () => verifyLedger(ledger, systemClock.nowMs()),
    export: () => Promise.resolve(exportLedger(ledger, systemClock.nowMs())),
    prove: (id) => proofOf(ledger, id),
    prune: (beforeMs) => pruneLedger(ledger, beforeMs),
    evidence: () => evidenceOf(ledger),
    backUp: (directory) => backUpNode(ledger, config.dataDirectory, directory),
    close: () => ledger.close(),
  }
}
