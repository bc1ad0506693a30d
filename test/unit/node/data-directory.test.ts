import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { generateKeyPairSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nodeKeyFromSeed } from '../../../src/wire/identity.ts'
import { nodeKeyFile, openNodeKey, prepareDataDirectory, readNodeKey } from '../../../src/node/data-directory.ts'

let root = ''
let directory = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tok-data-'))
  directory = join(root, 'deep/data')
})
afterEach(() => rm(root, { recursive: true }))

describe('the node key', () => {
  it('is made once, for its owner only, and stays the same', async () => {
    expect(await readNodeKey(directory)).toBeUndefined()
    const made = await openNodeKey(directory)
    const again = await openNodeKey(directory)
    expect([made.created, again.created]).toEqual([true, false])
    expect(again.key.peer).toBe(made.key.peer)
    expect(nodeKeyFromSeed(made.seed).peer).toBe(made.key.peer)
    expect((await stat(nodeKeyFile(directory))).mode & 0o777).toBe(0o600)
    expect((await stat(directory)).mode & 0o777).toBe(0o700)
    expect(await readdir(directory)).toEqual(['node.key'])
    expect(await readFile(nodeKeyFile(directory), 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
  })

  it('is one, however many ask for it at once', async () => {
    const keys = await Promise.all([1, 2, 3, 4].map(() => openNodeKey(directory)))
    expect(new Set(keys.map(({ key }) => key.peer)).size).toBe(1)
    expect(keys.filter(({ created }) => created)).toHaveLength(1)
  })

  it('that others can read is refused', async () => {
    await openNodeKey(directory)
    await chmod(nodeKeyFile(directory), 0o640)
    await expect(openNodeKey(directory)).rejects.toMatchObject({
      code: 'identity_unreadable',
      message: expect.stringContaining(`chmod 600 ${nodeKeyFile(directory)}`) as string,
    })
  })

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  it.each([
    ['nothing', ''],
    ['no key', 'hello'],
    ['a key of another kind', rsa],
  ])('file with %s in it is refused and never replaced', async (_, content) => {
    await prepareDataDirectory(directory)
    await writeFile(nodeKeyFile(directory), content, { mode: 0o600 })
    await expect(openNodeKey(directory)).rejects.toMatchObject({ code: 'identity_unreadable' })
    expect(await readFile(nodeKeyFile(directory), 'utf8')).toBe(content)
  })
})

it('a data directory that cannot be made is named with the reason', async () => {
  await writeFile(join(root, 'file'), '')
  await expect(prepareDataDirectory(join(root, 'file/data'))).rejects.toMatchObject({
    code: 'data_directory_unusable',
    message: expect.stringContaining('ENOTDIR') as string,
  })
})
