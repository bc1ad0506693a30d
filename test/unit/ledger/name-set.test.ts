import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { createNameSet } from '../../../src/ledger/name-set.ts'

test('a set of names finds each again, in memory and on the disk, and leaves nothing behind', async () => {
  const before = await temporaryDirectories()
  const names = createNameSet(10)
  for (let number = 0; number < 100; number++) expect(await names.add(`name ${number}`)).toBe(true)
  expect((await temporaryDirectories()).length).toBe(before.length + 1)
  for (let number = 0; number < 100; number++) expect(await names.add(`name ${number}`)).toBe(false)
  expect(await names.add('name 100')).toBe(true)
  await names.close()
  expect(await temporaryDirectories()).toEqual(before)
})

test('a small set of names never touches the disk', async () => {
  const before = await temporaryDirectories()
  const names = createNameSet()
  expect([await names.add('one'), await names.add('two'), await names.add('one')]).toEqual([true, true, false])
  expect(await temporaryDirectories()).toEqual(before)
  await names.close()
})

async function temporaryDirectories(): Promise<readonly string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('tok-names-'))
}
