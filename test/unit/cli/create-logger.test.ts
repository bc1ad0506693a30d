import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createLogger } from '../../../src/cli/create-logger.ts'

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tok-log-'))
})
afterEach(() => rm(directory, { recursive: true }))

it('lines are added to the file as JSON, from the level up, with secrets taken out', async () => {
  const file = join(directory, 'logs/node.log')
  const logger = createLogger({ level: 'info', file })
  logger.debug('too detailed')
  logger.info({ adminToken: 'secret', headers: { 'x-api-key': 'secret' }, model: 'm' }, 'asked')
  createLogger({ level: 'info', file }).info('a second run')
  const content = await readFile(file, 'utf8')
  expect(content).not.toContain('secret')
  expect(
    content
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toMatchObject([
    { level: 30, msg: 'asked', model: 'm', time: expect.stringMatching(/^\d{4}-.*Z$/) as string },
    { level: 30, msg: 'a second run' },
  ])
})

it('a file that cannot be written is named', async () => {
  await writeFile(join(directory, 'taken'), '')
  expect(() => createLogger({ level: 'info', file: join(directory, 'taken/node.log') })).toThrow(
    /not valid: log_file: .*(EEXIST|ENOTDIR)/,
  )
})
