import { describe, test } from 'vitest'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { opencode, type OpencodePackage } from '../support/agent-clients.ts'
import { NOTES_REQUESTS, notesErrand } from '../support/agent-script.ts'
import { expectDone, expectRecorded, runErrandAtFacade } from '../support/agent-work.ts'

const PACKAGES: readonly (readonly [OpencodePackage, Dialect])[] = [
  ['@ai-sdk/openai-compatible', 'openai-chat'],
  ['@ai-sdk/openai', 'openai-responses'],
  ['@ai-sdk/anthropic', 'anthropic-messages'],
]
/** It tries to install the types of its plugins beside its settings, and goes on without. */
const HOSTS_TOLERATED = ['registry.npmjs.org:443']

describe.for(DIALECTS)('opencode on a server that speaks %s', (dialect) => {
  test.for(PACKAGES)('keeps notes by %s', async ([npm, ownDialect]) => {
    const work = await runErrandAtFacade(opencode(npm), notesErrand, { model: 'test-model', dialect })
    expectDone(work, HOSTS_TOLERATED)
    // One more, for the title of the conversation.
    expectRecorded(work, ownDialect, NOTES_REQUESTS + 1)
  })
})
