import { describe, expect, it } from 'vitest'
import { findRule, parseAliases, parseRoutes } from '../../../src/routing/routes.ts'

const KNOWN = ['anthropic', 'openai', 'loopback', 'a', 'b']

describe('routes', () => {
  it('are written with => or =, divided by commas or newlines, with targets in order', () => {
    expect(parseRoutes(' claude*=>anthropic, gpt-*=OpenAI\n x => a | b|network|a ,\n', KNOWN)).toEqual([
      { pattern: 'claude*', result: ['anthropic'] },
      { pattern: 'gpt-*', result: ['openai'] },
      { pattern: 'x', result: ['a', 'b', 'network'] },
    ])
    expect(parseRoutes('', KNOWN)).toEqual([])
  })

  it('may name engines that are not found yet, whatever port they are on', () => {
    const [route] = parseRoutes('llama*=>ollama|vllm-8001|engine|engine-9000', KNOWN)
    expect(route?.result).toEqual(['ollama', 'vllm-8001', 'engine', 'engine-9000'])
    expect(() => parseRoutes('llama*=>ollama-', KNOWN)).toThrow('"ollama-" is no target')
  })

  it.each([
    ['gpt-*=>opanai', '"opanai" is no target'],
    ['gpt-*=>openai|', '"" is no target'],
    ['gpt-*', 'expected "pattern => target"'],
    ['=>openai', 'expected "pattern => target"'],
    ['gpt-*=>', 'expected "pattern => target"'],
  ])('refuse %s, naming what is wrong', (text, reason) => {
    expect(() => parseRoutes(text, KNOWN)).toThrow(reason)
  })

  // model | rules in the order written | the one that decides
  it.each<[string, readonly string[], string | undefined, string]>([
    ['gpt-5', ['gpt-*', 'GPT-5'], 'GPT-5', 'exact beats a pattern'],
    ['gpt-5-mini', ['gpt-*', 'gpt-5*'], 'gpt-5*', 'longer beats shorter'],
    ['gpt-5-mini', ['gpt-5*', '*-mini'], 'gpt-5*', 'written first, where equal in length'],
    ['GPT-5', ['gpt-*'], 'gpt-*', 'case does not matter'],
    ['my-qwen-7b', ['*qwen*'], '*qwen*', 'contains'],
    ['x-coder', ['*coder'], '*coder', 'suffix'],
    ['claude-sonnet-5', ['claude-*-5'], 'claude-*-5', 'within'],
    ['claude-5', ['claude-*-5'], undefined, 'both ends do not overlap'],
    ['abcbd', ['a*b*bd'], 'a*b*bd', 'pieces in order'],
    ['abd', ['a*b*bd'], undefined, 'pieces do not overlap'],
    ['anything', ['*'], '*', 'everything'],
    ['gpt-5', ['gpt-*', '****'], 'gpt-*', 'stars do not make a pattern longer'],
    ['gpt-5', ['gpt', 'pt-5', '*gpt'], undefined, 'no part of a name is the name'],
    ['a+b', ['a.b', 'a+b'], 'a+b', 'other signs mean themselves'],
  ])('%s under %j is decided by %s: %s', (model, patterns, decides) => {
    const rules = patterns.map((pattern) => ({ pattern, result: 'x' }))
    expect(findRule(rules, model)?.pattern).toBe(decides)
  })

  it('are found at once for patterns made to be slow', () => {
    const rule = { pattern: `${'*a'.repeat(2_000)}b`, result: 'x' }
    const startMs = performance.now()
    expect(findRule([rule], 'a'.repeat(10_000))).toBeUndefined()
    expect(performance.now() - startMs).toBeLessThan(500)
  })
})

describe('aliases', () => {
  it('are written like routes and keep the case of the name they give', () => {
    const aliases = parseAliases('fast => Qwen3:4B\nclaude-haiku-* = gpt-5-mini')
    expect(findRule(aliases, 'FAST')?.result).toBe('Qwen3:4B')
    expect(findRule(aliases, 'claude-haiku-4-5')?.result).toBe('gpt-5-mini')
    expect(() => parseAliases('fast')).toThrow('expected "pattern => target"')
  })
})
