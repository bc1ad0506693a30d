import { describe, expect, test } from 'vitest'
import { modelsForSale } from '../../../src/node/offers-for-sale.ts'
import { indexModels, type Provider, type ProviderModel } from '../../../src/providers/provider.ts'

const TERMS = { windowTokens: 128, hiddenOutputTokensMax: 64 }

/** A provider that lists `models`; what it would answer is never asked here. */
function provider(
  name: string,
  models: readonly (string | ProviderModel)[] | undefined,
  more: Partial<Provider> = {},
): Provider {
  const list = models?.map((model) => (typeof model === 'string' ? { id: model } : model)) as
    | ProviderModel[]
    | undefined
  return {
    name,
    kind: 'server',
    origin: 'http://127.0.0.1:1',
    missingKey: undefined,
    dialects: ['openai-chat'],
    models: () => list,
    lists: indexModels(list ?? []),
    health: () => ({ state: 'up', reason: undefined }),
    refresh: async () => undefined,
    send: () => {
      throw new Error('nothing is asked here')
    },
    close: async () => undefined,
    ...more,
  }
}

/** "MODEL=IN/OUT" in micros per Mtok. */
const rules = (text: string) =>
  text
    .split(' ')
    .filter(Boolean)
    .map((rule) => {
      const [, model = '', input = '', output = ''] = /^(.*)=(\d+)\/(\d+)$/.exec(rule) ?? []
      return { model, inputMicrosPerMtok: BigInt(input), outputMicrosPerMtok: BigInt(output) }
    })

const sold = (providers: readonly Provider[], prices: string): string =>
  modelsForSale(providers, rules(prices), TERMS)
    .map(({ offer, source }) => `${offer.model}@${source.name}=${offer.prices.input}/${offer.prices.output}`)
    .join(' ')

describe('for sale is', () => {
  const engine = provider('engine', ['llama-8b', 'llama-70b', 'qwen'])
  const cases: [string, readonly Provider[], string, string][] = [
    ['nothing without a price', [engine], '', ''],
    ['what a rule names', [engine], 'qwen=1/2', 'qwen@engine=1/2'],
    ['what a rule names in other letters', [engine], 'QWEN=1/2', 'qwen@engine=1/2'],
    ['everything', [engine], '*=1/2', 'llama-8b@engine=1/2 llama-70b@engine=1/2 qwen@engine=1/2'],
    ['what a pattern fits', [engine], 'llama*=1/2', 'llama-8b@engine=1/2 llama-70b@engine=1/2'],
    ['nothing that a pattern only fits in part', [engine], 'lama*=1/2 qw=1/2', ''],
    [
      'a full name at its own price',
      [engine],
      '*=1/2 qwen=5/6',
      'llama-8b@engine=1/2 llama-70b@engine=1/2 qwen@engine=5/6',
    ],
    [
      'a model at its most exact pattern',
      [engine],
      '*=1/2 llama-7*=5/6 llama*=3/4',
      'llama-8b@engine=3/4 llama-70b@engine=5/6 qwen@engine=1/2',
    ],
    ['a dot that is a dot', [provider('engine', ['a.b', 'axb'])], 'a.b*=1/2', 'a.b@engine=1/2'],
    [
      'a model of two providers once, by the first',
      [provider('one', ['m']), provider('two', ['m', 'n'])],
      '*=1/2',
      'm@one=1/2 n@two=1/2',
    ],
    [
      'nothing of a provider that is down',
      [provider('one', ['m'], { health: () => ({ state: 'down', reason: 'gone' }) })],
      '*=1/2',
      '',
    ],
    ['nothing of a provider without its key', [provider('openai', ['gpt'], { missingKey: 'KEY' })], '*=1/2', ''],
    ['nothing of a provider whose list is unknown', [provider('one', undefined)], '*=1/2', ''],
    ['no name that no advert can hold', [provider('one', ['m'.repeat(201), '', 'ok'])], '*=1/2', 'ok@one=1/2'],
    ['the built-in model only by its name', [provider('loopback', ['loopback'], { kind: 'loopback' })], '*=1/2', ''],
    [
      'the built-in model where it is named',
      [provider('loopback', ['loopback'], { kind: 'loopback' })],
      'loopback=1/2',
      'loopback@loopback=1/2',
    ],
  ]

  test.each(cases)('%s', (_, providers, prices, expected) => {
    expect(sold(providers, prices)).toBe(expected)
  })
})

test('an offer states the dialects and the context of its provider, and the terms of the node', () => {
  const model: ProviderModel = { id: 'llama', contextTokens: 8_192 } as ProviderModel
  const engine = provider('engine', [model], { dialects: ['openai-chat', 'anthropic-messages'] })
  expect(modelsForSale([engine], rules('*=1/2'), TERMS)).toMatchObject([
    {
      model: 'llama',
      offer: {
        model: 'llama',
        dialects: ['openai-chat', 'anthropic-messages'],
        contextTokens: 8_192,
        windowTokens: 128,
        hiddenOutputTokensMax: 64,
        prices: { input: 1n, cachedInput: 1n, cacheWrite: 1n, output: 2n },
      },
    },
  ])
})
