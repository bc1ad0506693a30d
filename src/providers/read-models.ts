/**
 * Reads a list of models as the many servers write it: OpenAI's and Anthropic's `GET /v1/models` with what
 * vLLM, SGLang, llama.cpp, LM Studio, OpenRouter and Groq add to it, and Ollama's `GET /api/tags`.
 */
import { asCount, asObject, asText, parseObject, type JsonObject } from '../dialects/json-value.ts'
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
  }
}

function readContext(model: JsonObject): number | undefined {
  const meta = asObject(model['meta'])
  return (
    asCount(model['max_model_len']) ??
    asCount(model['max_input_tokens']) ??
    asCount(model['max_context_length']) ??
    asCount(model['context_length']) ??
    asCount(model['context_window']) ??
    asCount(meta['n_ctx']) ??
    asCount(meta['n_ctx_train'])
  )
}
