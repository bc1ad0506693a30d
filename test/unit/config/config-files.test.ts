import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { configPage } from '../../../scripts/generate-docs.ts'
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts'

const ROOT = join(import.meta.dirname, '../../..')

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tok-config-'))
  await cp(join(ROOT, 'config'), join(directory, 'config'), { recursive: true })
})
afterEach(() => rm(directory, { recursive: true }))

function load(environment: string): Promise<LoadedConfig> {
  return loadConfig({ env: { HOME: directory }, flags: { environment }, installDirectory: directory, cwd: directory })
}

it.each(['dev', 'test', 'live'])('the %s files of the repository are valid', async (environment) => {
  const { config, configDirectory } = await load(environment)
  expect(configDirectory).toBe(join(directory, 'config'))
  expect(config.environment).toBe(environment)
})

it.each(['buyer', 'seller'])('the example of a %s is a valid gateway.ini', async (role) => {
  await cp(join(directory, `config/examples/${role}.ini`), join(directory, 'config/dev/gateway.ini'))
  expect((await load('dev')).config.role).toBe(role)
})

it('docs/config.md is the page made from the schema (`node scripts/generate-docs.ts` writes it)', async () => {
  expect(await readFile(join(ROOT, 'docs/config.md'), 'utf8')).toBe(configPage())
})
