/**
 * The data directory and the node key in it: the Ed25519 key whose peer ID signs everything this node owes or is owed.
 */
import { createPrivateKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import { access, constants, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { reasonOf, TokError } from '../base/errors.ts'
import { nodeKeyFromSeed, type NodeKey } from '../wire/identity.ts'

/** Permissions of anybody but the owner. */
const OTHERS = 0o077

/** The key of this node, and what libp2p makes its own of. */
export interface OwnKey {
  readonly key: NodeKey
  /** 32 bytes. Never leaves the process. */
  readonly seed: Uint8Array
  /** True if there was none before. */
  readonly created: boolean
}

/** The file of the node key: a PKCS #8 PEM, as openssl reads it. */
export function nodeKeyFile(dataDirectory: string): string {
  return join(dataDirectory, 'node.key')
}

/** The directory of the ledger's LevelDB. */
export function ledgerDirectory(dataDirectory: string): string {
  return join(dataDirectory, 'ledger')
}

/** The directory of the LevelDB that keeps answers of `/v1/responses`. */
export function responsesDirectory(dataDirectory: string): string {
  return join(dataDirectory, 'responses')
}

/**
 * Makes the data directory, for its owner only, unless it is there.
 * @throws TokError `data_directory_unusable`
 */
export async function prepareDataDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new TokError('data_directory_unusable', { directory, reason: reasonOf(error) }, { cause: error })
  }
}

/**
 * The node key, created at the first call. A key that others can read is refused, as ssh does: who has it can sign debts.
 * @throws TokError `identity_unreadable`, `data_directory_unusable`
 */
export async function openNodeKey(dataDirectory: string): Promise<OwnKey> {
  await prepareDataDirectory(dataDirectory)
  const found = await readNodeKey(dataDirectory)
  if (found !== undefined) return { ...found, created: false }
  const created = await createKeyFile(dataDirectory)
  const own = await readNodeKey(dataDirectory)
  if (own === undefined) {
    throw new TokError('identity_unreadable', { file: nodeKeyFile(dataDirectory), reason: 'it vanished' })
  }
  return { ...own, created }
}

/**
 * The node key, or undefined if there is none yet.
 * @throws TokError `identity_unreadable`
 */
export async function readNodeKey(dataDirectory: string): Promise<Omit<OwnKey, 'created'> | undefined> {
  const file = nodeKeyFile(dataDirectory)
  try {
    const pem = await readFile(file, 'utf8')
    if (process.platform !== 'win32' && ((await stat(file)).mode & OTHERS) !== 0) {
      throw new Error(`others may read it; run: chmod 600 ${file}`)
    }
    const { crv, d } = createPrivateKey(pem).export({ format: 'jwk' })
    if (crv !== 'Ed25519' || d === undefined) throw new Error('it is not an Ed25519 key')
    const seed = new Uint8Array(Buffer.from(d, 'base64url'))
    return { key: nodeKeyFromSeed(seed), seed }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new TokError('identity_unreadable', { file, reason: reasonOf(error) }, { cause: error })
  }
}

/** Writes a new key, whole and on disk before it has its name. False if another process was first. */
async function createKeyFile(dataDirectory: string): Promise<boolean> {
  const file = nodeKeyFile(dataDirectory)
  const draft = `${file}.${randomUUID()}`
  const { privateKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(privateKey)
      await handle.sync()
    } finally {
      await handle.close()
    }
    // A link, not a rename: it never replaces a key that is there.
    await link(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new TokError(
      'data_directory_unusable',
      { directory: dataDirectory, reason: reasonOf(error) },
      { cause: error },
    )
  } finally {
    await rm(draft, { force: true })
  }
}
