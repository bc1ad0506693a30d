import { describe, expect, test } from 'vitest'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import { parseObject } from '../../src/dialects/json-value.ts'
import { claudeCode } from '../support/agent-clients.ts'
import { NOTES_REQUESTS, notesErrand, stampErrand } from '../support/agent-script.ts'
import { expectDone, expectReasoningKept, expectRecorded, runErrandAtFacade } from '../support/agent-work.ts'
import { DEFAULT_USAGE } from '../support/scripted-answers.ts'

describe.for(DIALECTS)('Claude Code on a server that speaks %s', (dialect) => {
  // It sends other fields and beta flags for each kind of model it knows.
  test.for(['claude-sonnet-5', 'claude-haiku-4-5', 'test-model'])('keeps notes as %s', async (model) => {
    const work = await runErrandAtFacade(claudeCode, notesErrand, { model, dialect })
    expectDone(work)
    expectReasoningKept(work)
    expectRecorded(work, 'anthropic-messages', NOTES_REQUESTS)
    // What each answer began with is an estimate, where the provider tells at the end.
    const { inputTokens, cachedInputTokens, outputTokens } = DEFAULT_USAGE
    expect(parseObject(work.run.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'result',
      usage: {
        input_tokens: NOTES_REQUESTS * (inputTokens - cachedInputTokens),
        cache_read_input_tokens: NOTES_REQUESTS * cachedInputTokens,
        output_tokens: NOTES_REQUESTS * outputTokens,
      },
    })
  })

  test('gets a stamp by a deferred tool of a tool server', async () => {
    const work = await runErrandAtFacade(claudeCode, stampErrand, { model: 'claude-sonnet-5', dialect })
    expectDone(work)
    expectReasoningKept(work)
    expectRecorded(work, 'anthropic-messages', 3)
  })
})
