/**
 * `GET /v1/models` for clients of either vendor: one answer that holds the fields of both. Source: translation.md 3.6,
 * the published SDKs.
 */
import type { JsonObject, ModelView } from './admin-api.ts'

/** The list as OpenAI and Anthropic clients read it. Never more than one page. */
export function modelList(models: readonly ModelView[]): JsonObject {
  return {
    object: 'list',
    data: models.map(modelEntry),
    has_more: false,
    first_id: models[0]?.id ?? null,
    last_id: models.at(-1)?.id ?? null,
  }
}

/**
 * One model. What no vendor has a field for stands under `x_tok`: where it would run, in the order of trying, and at what
 * price in micros per Mtok.
 */
export function modelEntry({ id, ownedBy, contextTokens, targets }: ModelView): JsonObject {
  return {
    id,
    object: 'model',
    // When a model was made is not known here; Anthropic writes an unknown date as the epoch.
    created: 0,
    created_at: '1970-01-01T00:00:00Z',
    owned_by: ownedBy,
    type: 'model',
    display_name: id,
    lifecycle: 'active',
    max_input_tokens: contextTokens ?? null,
    max_tokens: null,
    x_tok: { targets: targets.map((target) => ({ ...target })), contextTokens: contextTokens ?? null },
  }
}
