import { describe, expect, it } from 'vitest'
import { TokError } from '../../../src/base/errors.ts'
import { readProviderUrl } from '../../../src/providers/provider-url.ts'

describe('the base URL of a provider', () => {
  // base | where chat is
  it.each([
    ['http://127.0.0.1:11434', 'http://127.0.0.1:11434/v1/chat/completions'],
    ['http://127.0.0.1:11434/', 'http://127.0.0.1:11434/v1/chat/completions'],
    ['http://127.0.0.1:11434/v1', 'http://127.0.0.1:11434/v1/chat/completions'],
    ['http://127.0.0.1:11434/v1/', 'http://127.0.0.1:11434/v1/chat/completions'],
    ['http://127.0.0.1:11434/v1/v1', 'http://127.0.0.1:11434/v1/chat/completions'],
    ['https://openrouter.ai/api/v1', 'https://openrouter.ai/api/v1/chat/completions'],
    ['https://api.deepseek.com/anthropic', 'https://api.deepseek.com/anthropic/v1/chat/completions'],
    ['https://example.org//team//v1', 'https://example.org/team/v1/chat/completions'],
    ['https://example.org/v1beta/openai/', 'https://example.org/v1beta/openai/chat/completions'],
    ['https://example.org/api/paas/v4', 'https://example.org/api/paas/v4/chat/completions'],
    ['https://example.org/vault', 'https://example.org/vault/v1/chat/completions'],
  ])('%s leads to %s', (base, chat) => {
    const url = readProviderUrl('providers', base)
    expect(url.origin + url.pathOf('/v1/chat/completions')).toBe(chat)
  })

  it.each(['', 'localhost:1234', 'ftp://x', 'http://user:secret@x', 'http://x/v1?key=secret', 'http://x/#a'])(
    'is not %s',
    (base) => {
      expect(() => readProviderUrl('providers', base)).toThrow(TokError)
    },
  )
})
