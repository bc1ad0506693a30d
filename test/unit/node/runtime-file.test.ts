import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readRuntimeFile, removeRuntimeFile, writeRuntimeFile } from '../../../src/node/runtime-file.ts'

const RUNTIME = { pid: 42, facade: 'http://127.0.0.1:8081', adminToken: 'secret', peerId: '12D3KooW', startedAtMs: 1 }

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tok-runtime-'))
})
afterEach(() => rm(directory, { recursive: true }))

it('a written node is read back, from a file that only its owner can read', async () => {
  await writeRuntimeFile(directory, { ...RUNTIME, pid: 41 })
  await writeRuntimeFile(directory, RUNTIME)
  expect(await readRuntimeFile(directory)).toEqual(RUNTIME)
  expect((await stat(join(directory, 'node.json'))).mode & 0o777).toBe(0o600)
  expect(await readdir(directory)).toEqual(['node.json'])
})

it('without a file no node runs', async () => {
  expect(await readRuntimeFile(directory)).toBeUndefined()
  await removeRuntimeFile(directory, 42)
})

it('a node removes its own file and not that of its successor', async () => {
  await writeRuntimeFile(directory, RUNTIME)
  await removeRuntimeFile(directory, 41)
  expect(await readRuntimeFile(directory)).toEqual(RUNTIME)
  await removeRuntimeFile(directory, 42)
  expect(await readRuntimeFile(directory)).toBeUndefined()
})

it.each(['', '{', '[]', 'null', '{"pid":42}', JSON.stringify({ ...RUNTIME, pid: -1 })])(
  'a file that holds %j is refused, naming it',
  async (content) => {
    await writeFile(join(directory, 'node.json'), content)
    await expect(readRuntimeFile(directory)).rejects.toMatchObject({
      code: 'data_directory_unusable',
      message: expect.stringContaining(join(directory, 'node.json')) as string,
    })
  },
)
