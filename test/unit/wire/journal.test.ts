import { expect, test } from 'vitest'
import { journalEntryShape, type JournalEntry } from '../../../src/wire/journal.ts'
import { decodeBody, encodeBody } from '../../../src/wire/shape.ts'

const entry: JournalEntry = {
  kind: 'inference',
  sequence: 1,
  recordedAtMs: 1_800_000_000_000,
  requestId: 'req-1',
  direction: 'local',
  endpoint: 'chat',
  dialect: 'openai-chat',
  stream: 'no',
  requestedModel: 'qwen3',
  resolvedModel: 'qwen3',
  status: 'completed',
  tokenSource: 'provider',
  inputTokens: 0,
  durationMs: 5,
  retries: 0,
}

test('a missing count stays missing, and none stays none', () => {
  const read = decodeBody(journalEntryShape, encodeBody(journalEntryShape, entry), 'journal entry')
  expect(read).toEqual(entry)
  expect(read.inputTokens).toBe(0)
  expect(read.outputTokens).toBeUndefined()
  expect('outputTokens' in read).toBe(false)
})

test('a field given as undefined is left out', () => {
  const withUndefined = encodeBody(journalEntryShape, { ...entry, outputTokens: undefined, error: undefined })
  expect(Buffer.compare(withUndefined, encodeBody(journalEntryShape, entry))).toBe(0)
})
