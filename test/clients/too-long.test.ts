import { describe, expect, test } from 'vitest'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { claudeCode, codex, type Client } from '../support/agent-clients.ts'
import { openBox } from '../support/agent-process.ts'
import { startFacade } from '../support/facade.ts'
import { startScriptedProvider } from '../support/scripted-provider.ts'

const OPENAI_REFUSAL = {
  error: {
    message: "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    type: 'invalid_request_error',
    param: 'messages',
    code: 'context_length_exceeded',
  },
}
const REFUSALS: Readonly<Record<Dialect, object>> = {
  'openai-chat': OPENAI_REFUSAL,
  'openai-responses': OPENAI_REFUSAL,
  'anthropic-messages': {
    type: 'error',
    error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' },
  },
}
/** What the clients say when they know that the conversation, and not the request, is at fault. */
const CLIENTS: readonly (readonly [string, Client, RegExp])[] = [
  ['Codex', codex(), /ran out of room in the model's context window/],
  ['Claude Code', claudeCode, /Prompt is too long/],
]

describe.for(DIALECTS)('a conversation too long for a server that speaks %s', (dialect) => {
  test.for(CLIENTS)('is known as such by %s, which does not ask again', async ([, client, words]) => {
    const provider = await startScriptedProvider()
    const facade = await startFacade({ servers: [{ name: 'engine', url: provider.url, dialects: [dialect] }] })
    const box = await openBox()
    try {
      provider.script({ status: 400, body: JSON.stringify(REFUSALS[dialect]) }, 50)
      const command = await client(box, { url: facade.url, model: 'test-model', prompt: 'A long story.' })
      const { code, stdout } = await box.run(command)
      expect(stdout).toMatch(words)
      expect(code).toBe(1)
      expect(provider.requests).toHaveLength(1)
    } finally {
      await box.close()
      await facade.close()
      await provider.close()
    }
  })
})
