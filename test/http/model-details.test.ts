import Anthropic from '@anthropic-ai/sdk'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { asObject, type JsonObject } from '../../src/dialects/json-value.ts'
import { createProviders, type Providers, type ProvidersOptions } from '../../src/providers/create-providers.ts'
import type { ProviderModel } from '../../src/providers/provider.ts'
import { startFacade } from '../support/facade.ts'
import {
  startScriptedProvider,
  type RecordedRequest,
  type ScriptedProvider,
  type ScriptedProviderOptions,
  type ScriptedReply,
} from '../support/scripted-provider.ts'

const signal = new AbortController().signal
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function start(options: ScriptedProviderOptions): Promise<ScriptedProvider> {
  const server = await startScriptedProvider(options)
  closers.push(() => server.close())
  return server
}

function providersOf(options: ProvidersOptions): Providers {
  const providers = createProviders({ clock: systemClock }, options)
  closers.push(() => providers.close())
  return providers
}

/** A named server, its list read. */
async function read(server: ScriptedProvider): Promise<{ refresh(): Promise<void>; model(id: string): ProviderModel }> {
  const providers = providersOf({ servers: [{ name: 'rack', url: server.url, dialects: ['openai-chat'] }] })
  await providers.refresh(signal)
  return {
    refresh: () => providers.refresh(signal),
    model: (id) => {
      const found = providers.get('rack')?.lists(id)
      if (found === undefined) throw new Error(`${id} is not listed`)
      return found
    },
  }
}

interface OllamaModel {
  digest: string
  shown: JsonObject | undefined
  /** The context it is loaded with. */
  loaded?: number
}

const showing = (capabilities: readonly string[], contextLength: number, more: JsonObject = {}): JsonObject => ({
  capabilities,
  model_info: { 'general.architecture': 'arch', 'arch.context_length': contextLength },
  ...more,
})

/** Ollama as far as it tells of its models; `asked` are the models it was asked to show. */
async function startOllama(
  models: Readonly<Record<string, OllamaModel>>,
): Promise<{ readonly server: ScriptedProvider; readonly asked: string[] }> {
  const asked: string[] = []
  const details = (path: string, question: unknown): unknown => {
    const entries = Object.entries(models)
    switch (path) {
      case '/api/tags':
        return { models: entries.map(([name, { digest }]) => ({ name, digest })) }
      case '/api/ps':
        return {
          models: entries.flatMap(([name, { loaded }]) =>
            loaded === undefined ? [] : [{ name, context_length: loaded }],
          ),
        }
      case '/api/show': {
        const { model } = question as { model: string }
        asked.push(model)
        return models[model]?.shown
      }
      default:
        return undefined
    }
  }
  const listed = Object.keys(models).map((id) => ({ id, owned_by: 'library' }))
  return { server: await start({ models: listed, details }), asked }
}

describe('the models of Ollama', () => {
  test('are known with what they can do and the context they run with', async () => {
    const { server } = await startOllama({
      'llama3.1:8b': { digest: 'a', shown: showing(['completion', 'tools'], 131_072) },
      'qwen3-vl:8b': { digest: 'b', shown: showing(['completion', 'thinking', 'vision'], 262_144), loaded: 8_192 },
      small: { digest: 'c', shown: showing(['completion'], 8_192, { parameters: 'stop    "x"\nnum_ctx        4096' }) },
      big: { digest: 'd', shown: showing(['completion'], 8_192, { parameters: 'num_ctx 65536' }) },
      embedder: { digest: 'e', shown: showing(['embedding'], 2_048) },
      old: { digest: 'f', shown: { model_info: {} } },
    })
    const { model } = await read(server)
    expect(model('llama3.1:8b')).toMatchObject({
      contextTokens: 131_072,
      capabilities: { thinking: false, vision: false, tools: true },
    })
    expect(model('qwen3-vl:8b')).toMatchObject({
      contextTokens: 8_192,
      capabilities: { thinking: true, vision: true, tools: false },
    })
    expect(model('small').contextTokens).toBe(4_096)
    expect(model('big').contextTokens).toBe(8_192)
    expect(model('embedder').embeddings).toBe(true)
    expect(model('old')).toMatchObject({ contextTokens: undefined, capabilities: undefined })
  })

  test('are shown once, and again when they are other ones', async () => {
    const models = { m: { digest: 'a', shown: showing(['completion'], 8_192), loaded: 2_048 } as OllamaModel }
    const { server, asked } = await startOllama(models)
    const { model, refresh } = await read(server)
    expect(model('m').contextTokens).toBe(2_048)
    delete models.m.loaded
    await refresh()
    expect(asked).toEqual(['m'])
    // What it was loaded with it will be loaded with again.
    expect(model('m').contextTokens).toBe(2_048)
    models.m = { digest: 'b', shown: showing(['completion', 'thinking'], 8_192) }
    await refresh()
    expect(asked).toEqual(['m', 'm'])
    expect(model('m')).toMatchObject({ contextTokens: 8_192, capabilities: { thinking: true } })
  })

  test('that it does not show are unknown, until it does', async () => {
    const models = { m: { digest: 'a', shown: undefined } as OllamaModel, n: { digest: 'b', shown: showing([], 1) } }
    const { server } = await startOllama(models)
    const { model, refresh } = await read(server)
    expect(model('m').capabilities).toBeUndefined()
    expect(model('n').contextTokens).toBe(1)
    models.m.shown = showing(['thinking'], 8_192)
    await refresh()
    expect(model('m').capabilities?.thinking).toBe(true)
  })

  test('are known of an engine that was found, too', async () => {
    const { server } = await startOllama({ m: { digest: 'a', shown: showing(['thinking'], 8_192) } })
    const providers = providersOf({ discovery: { isOn: true, ports: [server.port] } })
    await providers.refresh(signal)
    expect(providers.get('ollama')?.lists('m')).toMatchObject({
      contextTokens: 8_192,
      capabilities: { thinking: true },
    })
  })

  test('can be asked while an engine takes its time to show them, and its stop waits for nothing', async () => {
    const server = await start({ models: ['m'], details: () => new Promise(() => undefined) })
    const providers = providersOf({ servers: [{ name: 'rack', url: server.url, dialects: ['openai-chat'] }] })
    const refreshed = providers.refresh(signal)
    await vi.waitFor(() => expect(providers.get('rack')?.lists('m')).toBeDefined())
    expect(providers.get('rack')?.health()).toMatchObject({ state: 'up' })
    await providers.close()
    await refreshed
    expect(providers.get('rack')?.lists('m')?.capabilities).toBeUndefined()
  })
})

describe('the models of other servers', () => {
  test('of LM Studio are known from its own list', async () => {
    const listed = [
      { id: 'seer', type: 'vlm', compatibility_type: 'mlx', max_context_length: 32_768, loaded_context_length: 4_096 },
      { id: 'embedder', type: 'embeddings', compatibility_type: 'gguf', max_context_length: 2_048 },
    ]
    const details = (path: string): unknown =>
      path === '/api/v0/models'
        ? { object: 'list', data: listed }
        : { error: `Unexpected endpoint or method. (${path})` }
    const { model } = await read(await start({ models: ['seer', 'embedder'], details }))
    expect(model('seer')).toMatchObject({ contextTokens: 4_096, capabilities: { vision: true } })
    expect(model('embedder')).toMatchObject({ contextTokens: 2_048, embeddings: true })
  })

  test('of llama.cpp are not taken for those of Ollama, whose paths it serves', async () => {
    const details = (path: string): unknown => {
      if (path === '/api/show') return showing(['completion'], 1)
      return path === '/api/tags' ? { models: [{ name: 'm', digest: '' }] } : undefined
    }
    const { model } = await read(await start({ models: ['m'], details }))
    expect(model('m')).toMatchObject({ contextTokens: undefined, capabilities: undefined })
  })

  test('are asked for once while their list is the same', async () => {
    const paths: string[] = []
    const details = (path: string): unknown => void paths.push(path)
    const { refresh } = await read(await start({ models: ['m'], details }))
    await refresh()
    expect(paths).toEqual(['/api/tags', '/api/v0/models'])
  })
})

describe('a Messages request for a model of Ollama', () => {
  const models = {
    'llama3.1:8b': { digest: 'a', shown: showing(['completion', 'tools'], 131_072) },
    // Whatever its name promises: somebody gave it another template.
    'qwen3:8b': { digest: 'c', shown: showing(['completion', 'tools'], 40_960) },
    'thinker:8b': { digest: 'b', shown: showing(['completion', 'tools', 'thinking'], 40_960) },
  }

  const pixel = { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } as const

  /** As Ollama, refuses whoever wishes thinking of a model that has none. */
  const answer = ({ json }: RecordedRequest): ScriptedReply => {
    const { model, reasoning_effort: effort } = json as { model: string; reasoning_effort?: string }
    if (effort !== undefined && effort !== 'none' && model !== 'thinker:8b') {
      const error = { message: `"${model}" does not support thinking`, type: 'invalid_request_error' }
      return { status: 400, body: JSON.stringify({ error }) }
    }
    const choices = [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }]
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
    return { body: JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model, choices, usage }) }
  }

  async function ask(
    model: string,
    content: Anthropic.MessageParam['content'],
  ): Promise<{ readonly text: string; readonly dropped: string | null; readonly effort: unknown }> {
    const { server } = await startOllama(models)
    server.script(answer)
    const facade = await startFacade({ servers: [{ name: 'rack', url: server.url, dialects: ['openai-chat'] }] })
    closers.push(() => facade.close())
    const client = new Anthropic({ baseURL: facade.url, apiKey: 'any', maxRetries: 0 })
    const { data, response } = await client.messages
      .create({
        model,
        max_tokens: 4_096,
        thinking: { type: 'enabled', budget_tokens: 2_048 },
        messages: [{ role: 'user', content }],
      })
      .withResponse()
    const [block] = data.content
    return {
      text: block?.type === 'text' ? block.text : '',
      dropped: response.headers.get('x-tok-dropped'),
      effort: asObject(server.requests[0]?.json)['reasoning_effort'],
    }
  }

  test.each(['llama3.1:8b', 'qwen3:8b'])(
    'that cannot think (%s) is answered, and told what was lost',
    async (model) => {
      expect(await ask(model, 'Hi')).toEqual({ text: 'Hello.', dropped: 'thinking', effort: undefined })
    },
  )

  test('that can think asks it to', async () => {
    expect(await ask('thinker:8b', 'Hi')).toEqual({ text: 'Hello.', dropped: null, effort: 'medium' })
  })

  test('that sees no pictures is refused with one, naming it', async () => {
    await expect(ask('llama3.1:8b', [{ type: 'image', source: pixel }])).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('image'),
    })
  })
})
