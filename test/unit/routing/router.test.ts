import { describe, expect, it } from 'vitest'
import { TokError } from '../../../src/base/errors.ts'
import type { Dialect, Endpoint } from '../../../src/dialects/dialect.ts'
import { indexModels, type Provider } from '../../../src/providers/provider.ts'
import { createRouter, type NetworkTarget, type RouteDecision, type Router } from '../../../src/routing/router.ts'
import { parseAliases, parseRoutes } from '../../../src/routing/routes.ts'
import type { WorkMode } from '../../../src/dialects/work-mode.ts'

interface Sketch {
  readonly kind?: Provider['kind']
  readonly dialects?: readonly Dialect[]
  readonly models?: readonly string[] | undefined
  readonly missingKey?: string
  readonly down?: string
}

/** A provider that only lists; routing never sends. */
function sketch(name: string, sketched: Sketch = {}): Provider {
  const ids = sketched.models
  const models = ids?.map((id) => ({ id, contextTokens: undefined, ownedBy: undefined, embeddings: undefined }))
  return {
    name,
    kind: sketched.kind ?? 'engine',
    origin: 'http://127.0.0.1:1',
    dialects: sketched.dialects ?? ['openai-chat'],
    missingKey: sketched.missingKey,
    models: () => models,
    lists: indexModels(models ?? []),
    health: () => ({ state: sketched.down === undefined ? 'up' : 'down', reason: sketched.down ?? 'not asked yet' }),
    refresh: () => Promise.resolve(),
    close: () => Promise.resolve(),
    send: () => {
      throw new Error('routing sends nothing')
    },
  }
}

const OLLAMA = sketch('ollama', { models: ['Llama3:latest', 'qwen3:4b'] })
const NAMED = sketch('rack', { kind: 'server', models: ['qwen3:4b'] })
const UNLISTED = sketch('dark', { kind: 'server', models: undefined })
const OPENAI = sketch('openai', { kind: 'hosted', dialects: ['openai-chat', 'openai-responses'], models: undefined })
const ANTHROPIC = sketch('anthropic', {
  kind: 'hosted',
  dialects: ['anthropic-messages'],
  models: undefined,
  missingKey: 'TOKLIGENCE_ANTHROPIC_API_KEY',
})
const LOOPBACK = sketch('loopback', {
  kind: 'loopback',
  dialects: ['openai-chat', 'openai-responses', 'anthropic-messages'],
  models: ['loopback'],
})
const ALL = [OLLAMA, NAMED, UNLISTED, OPENAI, ANTHROPIC, LOOPBACK]

const NETWORK: NetworkTarget = {
  source: { name: 'network', send: () => ({ resume: () => undefined, abort: () => undefined }) },
  canBuy(model) {
    if (model !== 'sold' && !model.startsWith('claude')) {
      return { isPossible: false, reason: 'no offer for it is known', dialects: [] }
    }
    return { isPossible: true, reason: '2 sellers offer it', dialects: ['openai-chat', 'anthropic-messages'] }
  },
}

function routerOf({
  routes = '',
  aliases = '',
  buys = true,
  providers = ALL,
  workMode = 'auto' as WorkMode,
} = {}): Router {
  const names = ALL.map((provider) => provider.name)
  return createRouter(
    { providers: { list: () => providers }, buy: buys ? NETWORK : undefined },
    { routes: parseRoutes(routes, names), aliases: parseAliases(aliases), workMode },
  )
}

function ask(router: Router, model: string, endpoint: Endpoint = 'chat'): RouteDecision {
  return router.route({ endpoint, model })
}

function failure(action: () => unknown): TokError {
  try {
    action()
  } catch (error) {
    if (error instanceof TokError) return error
    throw error
  }
  throw new Error('no failure')
}

const names = (decision: RouteDecision): readonly string[] => decision.targets.map((target) => target.name)
const reasonFor = (decision: RouteDecision, name: string): string | undefined =>
  [...decision.targets, ...decision.refused].find((place) => place.name === name)?.reason

describe('without a route', () => {
  it('whoever lists the model is asked: engines, then named servers', () => {
    const decision = ask(routerOf(), 'qwen3:4b')
    expect(names(decision)).toEqual(['ollama', 'rack'])
    expect(reasonFor(decision, 'ollama')).toBe('it lists the model')
  })

  it('the name is sent as the provider writes it', () => {
    expect(ask(routerOf(), 'llama3').targets[0]).toMatchObject({ name: 'ollama', model: 'Llama3:latest' })
    expect(ask(routerOf(), 'QWEN3:4b').targets[0]).toMatchObject({ name: 'ollama', model: 'qwen3:4b' })
  })

  it.each(['gpt-5', 'o3-mini', 'text-embedding-3-small'])('%s goes to OpenAI by its name', (model) => {
    expect(names(ask(routerOf(), model))).toEqual(['openai'])
  })

  it('the network is asked last, if it has an offer', () => {
    const decision = ask(routerOf(), 'sold')
    expect(decision.targets).toMatchObject([
      { name: 'network', kind: 'network', model: 'sold', reason: '2 sellers offer it' },
    ])
  })

  it('a vendor without its key is asked only where nothing else can answer', () => {
    expect(names(ask(routerOf(), 'claude-x', 'messages'))).toEqual(['network'])
    const decision = ask(routerOf({ buys: false }), 'claude-x', 'messages')
    expect(names(decision)).toEqual(['anthropic'])
  })

  it('every place that is not asked is named with its reason', () => {
    const decision = ask(routerOf(), 'qwen3:4b')
    expect(reasonFor(decision, 'dark')).toContain('not known (not asked yet)')
    expect(reasonFor(decision, 'anthropic')).toContain('TOKLIGENCE_ANTHROPIC_API_KEY')
    expect(reasonFor(decision, 'loopback')).toBe('it does not list the model')
    expect(reasonFor(decision, 'network')).toBe('no offer for it is known')
  })

  it('a model nobody has is not found, and nothing else answers in its place', () => {
    const error = failure(() => ask(routerOf(), 'nonsense'))
    expect(error.code).toBe('model_not_found')
    expect(error.message).toContain('"nonsense"')
    expect(error.message).toContain('no offer for it is known')
    expect(failure(() => ask(routerOf({ buys: false }), 'nonsense')).message).toContain('does not buy')
  })

  it('a model that is there in another dialect only is asked in that one', () => {
    const decision = ask(routerOf(), 'llama3', 'messages')
    expect(decision.targets).toMatchObject([{ name: 'ollama', dialect: 'openai-chat' }])
    expect(reasonFor(decision, 'ollama')).toContain('translated, it speaks openai-chat')
    expect(ask(routerOf(), 'gpt-5', 'messages').targets).toMatchObject([
      { name: 'openai', dialect: 'openai-responses' },
    ])
    expect(names(ask(routerOf(), 'sold', 'responses'))).toEqual(['network'])
  })

  it('one that speaks the dialect is asked before one that does not', () => {
    const providers = [OLLAMA, sketch('rack', { kind: 'server', dialects: ['anthropic-messages'], models: ['llama3'] })]
    const decision = ask(routerOf({ providers }), 'llama3', 'messages')
    expect(names(decision)).toEqual(['rack', 'ollama'])
  })

  it('one that was down is still asked, and the reason says so', () => {
    const decision = ask(routerOf({ providers: [sketch('ollama', { models: ['m'], down: 'refused' })] }), 'm')
    expect(reasonFor(decision, 'ollama')).toBe('it lists the model; last seen down: refused')
  })

  it('no order is placed for counting tokens', () => {
    expect(routerOf().explain({ endpoint: 'count_tokens', model: 'sold' }).targets).toEqual([])
    expect(failure(() => ask(routerOf(), 'sold', 'count_tokens')).code).toBe('endpoint_unsupported')
    expect(failure(() => ask(routerOf(), 'nonsense', 'count_tokens')).code).toBe('model_not_found')
  })
})

describe('with a route', () => {
  it('its targets are asked in their order, listed or not, and no others', () => {
    const decision = ask(routerOf({ routes: 'q*=>dark|network|rack' }), 'qwen3:4b')
    expect(names(decision)).toEqual(['dark', 'network', 'rack'])
    expect(decision.route).toBe('q*')
    expect(reasonFor(decision, 'ollama')).toBe('route "q*" does not name it')
    expect(reasonFor(decision, 'network')).toBe('route "q*"; no offer for it is known')
  })

  it('"local" is every engine and named server that lists the model', () => {
    const decision = ask(routerOf({ routes: '*=>local|loopback|ollama' }), 'qwen3:4b')
    expect(names(decision)).toEqual(['ollama', 'rack', 'loopback'])
    expect(reasonFor(decision, 'dark')).toContain('not known')
  })

  it('a vendor without its key is asked, so that the client reads what is missing', () => {
    expect(names(ask(routerOf({ routes: 'claude*=>anthropic' }), 'claude-x', 'messages'))).toEqual(['anthropic'])
  })

  it('the network is refused on a node that does not buy', () => {
    expect(failure(() => ask(routerOf({ routes: 'x=>network', buys: false }), 'x')).code).toBe('buying_disabled')
  })

  it('an engine that is gone is passed over', () => {
    const router = routerOf({ routes: 'x=>ollama|rack', providers: [NAMED] })
    const decision = ask(router, 'x')
    expect(names(decision)).toEqual(['rack'])
    expect(reasonFor(decision, 'ollama')).toBe('it is not running')
    expect(failure(() => ask(routerOf({ routes: 'x=>ollama', providers: [NAMED] }), 'x')).message).toContain(
      'ollama: it is not running',
    )
  })

  it('an alias is applied before it', () => {
    const decision = ask(routerOf({ aliases: 'fast=>qwen3:4b', routes: 'qwen*=>rack' }), 'FAST')
    expect(decision).toMatchObject({ model: 'qwen3:4b', targets: [{ name: 'rack', model: 'qwen3:4b' }] })
  })
})

describe('work modes', () => {
  const passthrough = (endpoint: string, expected: string, model: string, actual: string): string =>
    `work_mode=passthrough does not support translation (endpoint=${endpoint} expects ${expected} provider, ` +
    `but model=${model} routes to ${actual} provider)`
  const translation = (endpoint: string, model: string, vendor: string): string =>
    `work_mode=translation does not support passthrough (endpoint=${endpoint} and model=${model} both use ${vendor} provider)`
  const CLAUDE = sketch('anthropic', { kind: 'hosted', dialects: ['anthropic-messages'], models: ['claude-y'] })
  const providers = [OLLAMA, OPENAI, CLAUDE, LOOPBACK]

  // mode, endpoint, model: the dialect asked in, or the refusal
  it.each([
    ['auto', 'messages', 'claude-y', 'anthropic-messages'],
    ['auto', 'chat', 'claude-y', 'anthropic-messages'],
    ['auto', 'messages', 'llama3', 'openai-chat'],
    ['auto', 'embeddings', 'claude-y', 'whoever has this model does not serve /v1/embeddings'],
    ['auto', 'count_tokens', 'llama3', 'whoever has this model does not serve /v1/messages/count_tokens'],
    ['passthrough', 'messages', 'claude-y', 'anthropic-messages'],
    ['passthrough', 'chat', 'claude-y', passthrough('chat', 'openai', 'claude-y', 'anthropic')],
    ['passthrough', 'embeddings', 'claude-y', passthrough('embeddings', 'openai', 'claude-y', 'anthropic')],
    ['passthrough', 'messages', 'gpt-5', passthrough('messages', 'anthropic', 'gpt-5', 'openai')],
    ['passthrough', 'count_tokens', 'gpt-5', passthrough('count_tokens', 'anthropic', 'gpt-5', 'openai')],
    ['passthrough', 'responses', 'llama3', passthrough('responses', 'openai-responses', 'llama3', 'openai-chat')],
    ['translation', 'messages', 'gpt-5', 'openai-responses'],
    ['translation', 'responses', 'llama3', 'openai-chat'],
    ['translation', 'chat', 'gpt-5', translation('chat', 'gpt-5', 'openai')],
    ['translation', 'embeddings', 'gpt-5', translation('embeddings', 'gpt-5', 'openai')],
    ['translation', 'messages', 'claude-y', translation('messages', 'claude-y', 'anthropic')],
    ['translation', 'messages', 'loopback', 'anthropic-messages'],
  ] as const)('%s: %s of %s', (workMode, endpoint, model, expected) => {
    const router = routerOf({ workMode, providers, buys: false })
    const { targets, refused } = router.explain({ endpoint, model })
    expect(targets[0]?.dialect ?? refused.find(({ error }) => error !== undefined)?.reason).toBe(expected)
  })

  it('the refusal says how to allow it', () => {
    const error = failure(() => ask(routerOf({ workMode: 'passthrough', providers, buys: false }), 'claude-y', 'chat'))
    expect(`${error.message}; ${error.next}`).toMatch(
      /; set work_mode=auto or work_mode=translation to enable translation$/,
    )
    expect(error.status).toBe(400)
  })

  it('the mode judges what aliases and routes resolved to', () => {
    const router = routerOf({
      workMode: 'passthrough',
      providers,
      aliases: 'mine=>claude-y',
      routes: 'claude*=>anthropic',
    })
    expect(ask(router, 'mine', 'messages').targets).toMatchObject([{ name: 'anthropic', model: 'claude-y' }])
    expect(failure(() => ask(router, 'mine')).message).toContain('model=mine routes to anthropic provider')
  })
})
