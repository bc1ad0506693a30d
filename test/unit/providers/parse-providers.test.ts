import { describe, expect, it } from 'vitest'
import { parseProviders } from '../../../src/providers/parse-providers.ts'

describe('the list of named servers', () => {
  it('gives each its URL and dialects', () => {
    const text =
      'rack=http://10.0.0.5:8000/v1, Deep=https://api.deepseek.com/anthropic#anthropic\nall=http://x#openai+anthropic'
    expect(parseProviders(text)).toEqual([
      { name: 'rack', url: 'http://10.0.0.5:8000/v1', dialects: ['openai-chat'] },
      { name: 'deep', url: 'https://api.deepseek.com/anthropic', dialects: ['anthropic-messages'] },
      { name: 'all', url: 'http://x', dialects: ['openai-chat', 'openai-responses', 'anthropic-messages'] },
    ])
    expect(parseProviders(' ,\n')).toEqual([])
  })

  it.each([
    ['http://x', 'expected name=URL'],
    ['a b=http://x', 'a name has letters'],
    ['network=http://x', 'is taken by the node itself'],
    ['OpenAI=http://x', 'is taken by the node itself'],
    ['a=http://x,a=http://y', 'the name is used twice'],
    ['a=x', 'is not a URL'],
    ['a=http://x#grpc', '"grpc" is none of openai, anthropic'],
  ])('refuses %s, naming what is wrong', (text, reason) => {
    expect(() => parseProviders(text)).toThrow(reason)
  })
})
