import { describe, test } from 'vitest'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import { codex } from '../support/agent-clients.ts'
import { WORK_TURNS } from '../support/agent-script.ts'
import { doWorkAtFacade, expectDone, expectRecorded } from '../support/agent-work.ts'

/** Codex chooses its tools by the model's name. */
const MODELS = [
  { model: 'test-model', tools: 'a shell' },
  { model: 'gpt-5.5', tools: 'a shell and freeform patches' },
  { model: 'gpt-5.6-sol', tools: 'code that calls its tools' },
]

describe.for(DIALECTS)('Codex on a server that speaks %s', (dialect) => {
  test.for(MODELS)('works by $tools as $model', async ({ model }) => {
    const work = await doWorkAtFacade(codex(), model, dialect)
    expectDone(work)
    expectRecorded(work, 'openai-responses', WORK_TURNS)
  })
})
