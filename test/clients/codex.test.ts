import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import { codex } from '../support/agent-clients.ts'
import { NOTES_REQUESTS, notesErrand, stampErrand } from '../support/agent-script.ts'
import { expectDone, expectReasoningKept, expectRecorded, runErrandAtFacade } from '../support/agent-work.ts'

/** Codex chooses its tools by the model's name; a model that writes code makes one call at a time. */
const NOTES = [
  { model: 'test-model', tools: 'a shell', requests: NOTES_REQUESTS },
  { model: 'gpt-5.5', tools: 'a shell and freeform patches', requests: NOTES_REQUESTS },
  { model: 'gpt-5.6-sol', tools: 'code that calls its tools', requests: NOTES_REQUESTS + 1 },
]

const STAMPS = [
  { model: 'test-model', tools: 'a namespace of a tool server', requests: 2 },
  { model: 'gpt-5.5', tools: 'a tool it searches for', requests: 3 },
]

describe.for(DIALECTS)('Codex on a server that speaks %s', (dialect) => {
  test.for(NOTES)('keeps notes by $tools as $model', async ({ model, requests }) => {
    const work = await runErrandAtFacade(codex(), notesErrand, { model, dialect })
    expectDone(work)
    expectReasoningKept(work)
    expectRecorded(work, 'openai-responses', requests)
  })

  test.for(STAMPS)('gets a stamp by $tools as $model', async ({ model, requests }) => {
    const work = await runErrandAtFacade(codex(), stampErrand, { model, dialect })
    expectDone(work)
    expectReasoningKept(work)
    expectRecorded(work, 'openai-responses', requests)
  })

  test('keeps notes over a WebSocket', async () => {
    const asked: string[] = []
    const count = (message: unknown): void => {
      const { method, url } = (message as { readonly request: IncomingMessage }).request
      asked.push(`${method} ${url}`)
    }
    subscribe('http.server.request.start', count)
    const work = await runErrandAtFacade(codex({ overWebSocket: true }), notesErrand, { model: 'gpt-5.5', dialect })
    unsubscribe('http.server.request.start', count)
    expectDone(work)
    expectReasoningKept(work)
    expectRecorded(work, 'openai-responses', NOTES_REQUESTS)
    // Only the node asks by HTTP, its provider: where Codex gets no WebSocket it asks by HTTP too, and says nothing.
    expect(asked.filter((line) => line.startsWith('POST '))).toHaveLength(work.requests.length)
  })
})
