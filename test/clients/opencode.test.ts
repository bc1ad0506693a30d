import { describe, test } from 'vitest'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { opencode, type OpencodePackage } from '../support/agent-clients.ts'
import { WORK_TURNS } from '../support/agent-script.ts'
import { doWorkAtFacade, expectDone, expectRecorded } from '../support/agent-work.ts'

const PACKAGES: readonly (readonly [OpencodePackage, Dialect])[] = [
  ['@ai-sdk/openai-compatible', 'openai-chat'],
  ['@ai-sdk/openai', 'openai-responses'],
  ['@ai-sdk/anthropic', 'anthropic-messages'],
]
/** One request for the title of the conversation. */
const REQUESTS = WORK_TURNS + 1
/** It tries to install the types of its plugins beside its settings, and goes on without. */
const HOSTS_TOLERATED = ['registry.npmjs.org:443']

describe.for(DIALECTS)('opencode on a server that speaks %s', (dialect) => {
  test.for(PACKAGES)('works by %s', async ([npm, ownDialect]) => {
    const work = await doWorkAtFacade(opencode(npm), 'test-model', dialect)
    expectDone(work, HOSTS_TOLERATED)
    expectRecorded(work, ownDialect, REQUESTS)
  })
})
