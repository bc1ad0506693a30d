/**
 * A model server this node calls, and what routing wants to know of it.
 */
import type { Dialect } from '../dialects/dialect.ts'
import type { AnswerSource } from '../dialects/exchange.ts'
import type { ModelCapabilities } from '../dialects/profiles.ts'

/** The built-in model, an engine found on this machine, a server named in the configuration, a vendor's API. */
export type ProviderKind = 'loopback' | 'engine' | 'server' | 'hosted'

/** One model of a provider. Undefined is unknown. */
export interface ProviderModel {
  /** As the provider writes it. */
  readonly id: string
  /** What it runs with where the provider says so, otherwise the most the model takes. */
  readonly contextTokens: number | undefined
  readonly ownedBy: string | undefined
  readonly embeddings: boolean | undefined
  readonly capabilities?: ModelCapabilities | undefined
}

/** What the last exchange with a provider showed. */
export interface ProviderHealth {
  readonly state: 'unknown' | 'up' | 'down'
  /** Why it is down, or why nothing is known. */
  readonly reason: string | undefined
}

/** A model server. Only `send` and `refresh` talk to it; everything else answers from what is known. */
export interface Provider extends AnswerSource {
  readonly kind: ProviderKind
  /** Scheme, host and port; "" for the built-in model. */
  readonly origin: string
  /** The variable that must hold a key before any request can succeed; undefined if nothing is missing. */
  readonly missingKey: string | undefined
  /** The dialects it speaks by itself. */
  readonly dialects: readonly Dialect[]
  /** Its models, or undefined while its list is unknown. Asking starts a refresh when the list is old. */
  models(): readonly ProviderModel[] | undefined
  /**
   * The listed model that a client means by `model`: the same name, then the same in another case, then
   * Ollama's `:latest` of it. Undefined if it is not listed, or no list is known.
   */
  lists(model: string): ProviderModel | undefined
  health(): ProviderHealth
  /** Reads the list of models anew. Never throws: a failure keeps the old list and shows in `health`. */
  refresh(signal: AbortSignal): Promise<void>
  /** Ends its connections once running answers are through, or after `graceMs`. */
  close(graceMs?: number): Promise<void>
}

/** What `Provider.lists` promises, over a list: made once a list, asked for every request. */
export function indexModels(models: readonly ProviderModel[]): (name: string) => ProviderModel | undefined {
  const byId = new Map<string, ProviderModel>()
  const byLowerCaseId = new Map<string, ProviderModel>()
  for (const model of models.toReversed()) {
    byId.set(model.id, model)
    byLowerCaseId.set(model.id.toLowerCase(), model)
  }
  return (name) => {
    const lower = name.toLowerCase()
    return byId.get(name) ?? byLowerCaseId.get(lower) ?? byLowerCaseId.get(`${lower}:latest`)
  }
}
