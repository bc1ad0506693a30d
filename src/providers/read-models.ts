/**
 * Reads a list of models as the many servers write it: OpenAI's and Anthropic's `GET /v1/models` with what
 * vLLM, SGLang, llama.cpp, LM Studio, OpenRouter and Groq add to it, and Ollama's `GET /api/tags`.
 */
import { asCount, asList, asObject, asText, parseObject, type JsonObject } from '../dialects/json-value.ts'
import type { ModelCapabilities } from '../dialects/profiles.ts'
import type { ProviderModel } from './provider.ts'

/** More models than this are not kept. */
const MODELS_MAX = 5_000

/** The models in a reply's body, or undefined if it is not a list of models at all. */
export function readModels(body: string): readonly ProviderModel[] | undefined {
  const reply = parseObject(body)
  const list = reply?.['data'] ?? reply?.['models']
  if (!Array.isArray(list)) return undefined
  const models = list.slice(0, MODELS_MAX).map((item) => readModel(asObject(item)))
  const named = models.filter((model) => model !== undefined)
  // A list of other things is no list of models; an engine with nothing loaded sends an empty one.
  return named.length === 0 && list.length > 0 ? undefined : named
}

function readModel(model: JsonObject): ProviderModel | undefined {
  const id = asText(model['id']) ?? asText(model['name'])
  if (id === undefined) return undefined
  return {
    id,
    contextTokens: readContext(model),
    ownedBy: asText(model['owned_by']),
    embeddings: model['type'] === 'embeddings' ? true : undefined,
    capabilities: readCapabilities(model),
  }
}

function readCapabilities(model: JsonObject): ModelCapabilities | undefined {
  // LM Studio, in its own list. It tells of tools where a model was trained for them, and serves them with any.
  if (model['compatibility_type'] !== undefined) {
    const tools = asList(model['capabilities']).includes('tool_use') ? true : undefined
    return { vision: model['type'] === 'vlm', tools }
  }
  // OpenRouter; llama.cpp says as much of its inputs.
  const parameters = model['supported_parameters']
  const inputs = asObject(model['architecture'])['input_modalities']
  if (!Array.isArray(parameters) && !Array.isArray(inputs)) return undefined
  const takes = (...names: readonly string[]): boolean | undefined =>
    Array.isArray(parameters) ? names.some((name) => parameters.includes(name)) : undefined
  return {
    thinking: takes('reasoning', 'reasoning_effort'),
    tools: takes('tools'),
    vision: Array.isArray(inputs) ? inputs.includes('image') : undefined,
  }
}

function readContext(model: JsonObject): number | undefined {
  const meta = asObject(model['meta'])
  return (
    asCount(model['max_model_len']) ??
    asCount(model['max_input_tokens']) ??
    asCount(model['loaded_context_length']) ??
    asCount(model['max_context_length']) ??
    asCount(model['context_length']) ??
    asCount(model['context_window']) ??
    asCount(meta['n_ctx']) ??
    asCount(meta['n_ctx_train'])
  )
}
