import { describe, expect, it } from 'vitest'
import { DIALECTS, type Dialect } from '../../../src/dialects/dialect.ts'
import { profileOf, type ModelCapabilities, type Profile } from '../../../src/dialects/profiles.ts'

function profile(model: string, capabilities?: ModelCapabilities, dialect: Dialect = 'openai-chat'): Profile {
  return profileOf({ dialect, provider: 'rack', isVendor: false, model, capabilities })
}

describe('a server of which nothing is known', () => {
  it.each([
    'gpt-oss-20b',
    'openai/gpt-oss:120b',
    'openai/gpt-5.2',
    'o4-mini',
    'deepseek-r1:8b',
    'deepseek-ai/DeepSeek-V3.2',
    'qwen3:8b',
    'Qwen/Qwen3-30B-A3B-Thinking-2507',
    'qwen3.5:35b',
    'qwen3-vl:8b',
    'glm-4.6',
    'zai-org/GLM-5',
    'kimi-k2-thinking',
    'moonshotai/Kimi-K2.5',
    'minimax-m2',
    'nemotron-3-nano:30b',
    'gemma4:e4b',
    'google/gemini-2.5-flash',
    'grok-4.3',
  ])('is asked for an effort of %s', (model) => {
    expect(profile(model).reasoning).toBe('effort')
    expect(profile(model, {}, 'openai-responses').reasoning).toBe('effort')
  })

  it.each([
    'llama3.1:8b',
    'local-model',
    'gpt-4.1',
    'gpt-5-chat-latest',
    'deepseek-v3',
    'deepseek-coder:6.7b',
    'qwen2.5-coder:7b',
    'qwen3-coder:30b',
    'Qwen/Qwen3-30B-A3B-Instruct-2507',
    'qwen3-vl-8b-instruct',
    'qwen3-embedding:4b',
    'glm-4-9b',
    'kimi-k2-instruct',
    'gemma3:4b',
    'gemini-2.0-flash',
    'magistral-medium-latest',
    'qwq',
    'grok-4-fast-reasoning',
    'mistral-small3.2',
  ])('is not asked for an effort of %s', (model) => {
    expect(profile(model).reasoning).toBe('none')
    expect(profile(model, {}, 'openai-responses').reasoning).toBe('none')
  })

  it.each(['gpt-oss:20b', 'o3', 'openai/gpt-5-mini', 'gemini-3-pro'])(
    'is never asked to stop %s from thinking',
    (model) => {
      expect(profile(model).efforts).toEqual(['low', 'medium', 'high'])
    },
  )

  it('is asked for thinking in Messages: engines pass over what their model cannot do there', () => {
    expect(profile('llama3.1:8b', {}, 'anthropic-messages').reasoning).toBe('budget')
  })
})

describe('a model of which its server says what it can do', () => {
  it.each(DIALECTS)('is not asked to think in %s if it cannot, whatever its name', (dialect) => {
    expect(profile('qwen3:8b', { thinking: false }, dialect).reasoning).toBe('none')
  })

  it('is asked to think if it can, whatever its name', () => {
    expect(profile('my-own-model', { thinking: true }).reasoning).toBe('effort')
    expect(profile('my-own-model', { thinking: true }, 'anthropic-messages').reasoning).toBe('budget')
  })

  it.each(DIALECTS)('gets pictures in %s unless it sees none', (dialect) => {
    const takesImages = (vision?: boolean): boolean => profile('m', { vision }, dialect).takesImages
    expect([takesImages(), takesImages(true), takesImages(false)]).toEqual([true, true, false])
  })
})

describe('a vendor at its own API', () => {
  it.each([
    ['openai-chat', 'gpt-5.6', 'effort'],
    ['openai-responses', 'o4-mini', 'effort'],
    ['openai-chat', 'gpt-4.1', 'none'],
    ['openai-responses', 'gpt-4o', 'none'],
    ['anthropic-messages', 'claude-opus-5-5', 'adaptive'],
  ] as const)('of %s is asked for thinking of %s by %s', (dialect, model, reasoning) => {
    expect(profileOf({ dialect, provider: 'vendor', isVendor: true, model }).reasoning).toBe(reasoning)
  })
})
