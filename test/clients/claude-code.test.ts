import { describe, test } from 'vitest'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import { claudeCode } from '../support/agent-clients.ts'
import { WORK_TURNS } from '../support/agent-script.ts'
import { doWorkAtFacade, expectDone, expectRecorded } from '../support/agent-work.ts'

describe.for(DIALECTS)('Claude Code on a server that speaks %s', (dialect) => {
  // It sends other fields and beta flags for a model it knows.
  test.for(['claude-sonnet-5', 'test-model'])('works as %s', async (model) => {
    const work = await doWorkAtFacade(claudeCode, model, dialect)
    expectDone(work)
    expectRecorded(work, 'anthropic-messages', WORK_TURNS)
  })
})
