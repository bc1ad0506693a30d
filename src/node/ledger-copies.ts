/**
 * Copies of a node on disk: a backup of one that runs, and a new ledger for a node whose own was lost. Both know that they are no
 * original, so that what was signed since is asked of the other sides before anything else is signed.
 */
import { copyFile, readdir, rm } from 'node:fs/promises'
import { reasonOf, TokError } from '../base/errors.ts'
import { markAsCopy } from '../ledger/copies.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { openNewStore } from '../ledger/schema.ts'
import { openLevelStore } from '../ledger/store.ts'
import { ledgerDirectory, nodeKeyFile, prepareDataDirectory, readNodeKey } from './data-directory.ts'

/**
 * Makes `directory` a data directory that a node can be started on: the ledger as it is on disk at one moment, and the node key.
 * @throws TokError `argument_invalid` if it holds anything, `data_directory_unusable`, `storage_failed`; nothing is left then
 */
export async function backUpNode(ledger: Ledger, dataDirectory: string, directory: string): Promise<void> {
  await requireEmpty(directory)
  await prepareDataDirectory(directory)
  try {
    const copy = await openLevelStore(ledgerDirectory(directory), true)
    try {
      await ledger.backUp(copy)
    } finally {
      await copy.close()
    }
    // Last, so that a backup that was broken off starts no node. It takes the permissions of the original.
    await copyFile(nodeKeyFile(dataDirectory), nodeKeyFile(directory))
  } catch (thrown) {
    await rm(directory, { recursive: true, force: true })
    if (thrown instanceof TokError) throw thrown
    throw new TokError('storage_failed', { reason: `${directory}: ${reasonOf(thrown)}` }, { cause: thrown })
  }
}

/**
 * Gives a node that has its key and no ledger an empty one, which its next start fills from the other sides of its accounts.
 * @throws TokError `argument_invalid` if there is a ledger, `data_directory_unusable` if there is no key
 */
export async function beginRecovery(dataDirectory: string): Promise<void> {
  if ((await readNodeKey(dataDirectory)) === undefined) {
    const reason = `there is no node key ${nodeKeyFile(dataDirectory)}; the accounts belong to the key, so put it back first`
    throw new TokError('data_directory_unusable', { directory: dataDirectory, reason })
  }
  const directory = ledgerDirectory(dataDirectory)
  await requireEmpty(directory)
  const store = await openNewStore(directory)
  try {
    await markAsCopy(store)
  } finally {
    await store.close()
  }
}

async function requireEmpty(directory: string): Promise<void> {
  try {
    if ((await readdir(directory)).length === 0) return
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return
    throw new TokError('data_directory_unusable', { directory, reason: reasonOf(thrown) }, { cause: thrown })
  }
  throw new TokError('argument_invalid', { reason: `${directory} is not empty: move what is there away, and keep it` })
}
