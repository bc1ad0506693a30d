import { describe, expect, it } from 'vitest'
import { indexModels } from '../../../src/providers/provider.ts'
import { readModels } from '../../../src/providers/read-models.ts'

const read = (value: unknown): ReturnType<typeof readModels> => readModels(JSON.stringify(value))
const NOTHING = { contextTokens: undefined, ownedBy: undefined, embeddings: undefined }

describe('a list of models', () => {
  // server | its entry | context
  it.each([
    ['vLLM and SGLang', { id: 'm', max_model_len: 32_768 }, 32_768],
    ['Anthropic', { id: 'm', max_input_tokens: 200_000 }, 200_000],
    ['LM Studio', { id: 'm', max_context_length: 8_192 }, 8_192],
    ['LM Studio with the model loaded', { id: 'm', max_context_length: 8_192, loaded_context_length: 4_096 }, 4_096],
    ['OpenRouter', { id: 'm', context_length: 4_096 }, 4_096],
    ['Groq', { id: 'm', context_window: 131_072 }, 131_072],
    ['llama.cpp', { id: 'm', meta: { n_ctx_train: 40_960 } }, 40_960],
    ['OpenAI', { id: 'm', owned_by: 'system' }, undefined],
  ])('of %s tells the context length if the server does', (_, entry, contextTokens) => {
    expect(read({ object: 'list', data: [entry] })).toMatchObject([{ id: 'm', contextTokens }])
  })

  // server | its entry | capabilities
  it.each([
    [
      'OpenRouter',
      { supported_parameters: ['tools', 'reasoning'], architecture: { input_modalities: ['text', 'image'] } },
      { thinking: true, tools: true, vision: true },
    ],
    ['OpenRouter', { supported_parameters: ['seed'] }, { thinking: false, tools: false }],
    ['llama.cpp', { owned_by: 'llamacpp', architecture: { input_modalities: ['text'] } }, { vision: false }],
    [
      'LM Studio',
      { type: 'vlm', compatibility_type: 'mlx', capabilities: ['tool_use'] },
      { vision: true, tools: true },
    ],
    ['LM Studio', { type: 'llm', compatibility_type: 'gguf' }, { vision: false }],
    ['another', { type: 'llm', capabilities: { vision: true } }, undefined],
  ])('of %s tells what a model can do if the server does', (_, entry, capabilities) => {
    expect(read({ data: [{ id: 'm', ...entry }] })?.[0]?.capabilities).toEqual(capabilities)
  })

  it("may be Ollama's own", () => {
    expect(read({ models: [{ name: 'llama3:latest', size: 1 }] })).toEqual([{ ...NOTHING, id: 'llama3:latest' }])
  })

  it('may be empty, and is unknown if it is no list of models', () => {
    expect(read({ object: 'list', data: [] })).toEqual([])
    expect(read({ data: [{ colour: 'red' }] })).toBeUndefined()
    expect(read({ data: {} })).toBeUndefined()
    expect(read([])).toBeUndefined()
    expect(readModels('<html>')).toBeUndefined()
  })

  it('finds a model by its name, in any case, and by the name without :latest', () => {
    const find = indexModels(read({ data: [{ id: 'Llama3:latest' }, { id: 'QWEN' }, { id: 'qwen' }] }) ?? [])
    expect(find('qwen')?.id).toBe('qwen')
    expect(find('Qwen')?.id).toBe('QWEN')
    expect(find('llama3')?.id).toBe('Llama3:latest')
    expect(find('llama')).toBeUndefined()
  })
})
