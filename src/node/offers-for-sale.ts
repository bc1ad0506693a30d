/**
 * What this node sells at this moment: the models of its providers that a price rule names. Pure.
 */
import type { PriceRule } from '../config/kinds.ts'
import type { Provider, ProviderModel } from '../providers/provider.ts'
import type { Supply } from '../seller/serve-inference.ts'
import type { Offer } from '../wire/advert.ts'
import { LIMITS } from '../wire/registry.ts'
import { isWireText } from '../wire/shape.ts'

/** Terms that all offers of this node share. */
export interface OfferTerms {
  readonly windowTokens: number
  readonly hiddenOutputTokensMax: number
}

/** One model for sale and where it runs. */
export interface ForSale extends Supply {
  readonly offer: Offer
}

/**
 * The models for sale, in the order of the providers; of two providers with one model the first sells it. Each model takes the
 * price of its most exact rule: a full name before a pattern, a longer pattern before a shorter. The built-in model is sold only
 * where a rule names it.
 */
export function modelsForSale(
  providers: readonly Provider[],
  rules: readonly PriceRule[],
  terms: OfferTerms,
): readonly ForSale[] {
  const found = new Map<string, ForSale>()
  for (const provider of providers) {
    if (provider.missingKey !== undefined || provider.health().state === 'down') continue
    for (const model of modelsOf(provider, rules)) {
      const rule = ruleFor(rules, model, provider.kind === 'loopback')
      const isNameable = isWireText(model.id, LIMITS.modelNameBytes)
      if (rule === undefined || !isNameable || found.has(model.id)) continue
      found.set(model.id, { source: provider, model: model.id, offer: offerOf(provider, model, rule, terms) })
    }
  }
  return [...found.values()]
}

/** The built-in model has as many names as it has parameters: those for sale are the ones that a rule spells out. */
function modelsOf(provider: Provider, rules: readonly PriceRule[]): readonly ProviderModel[] {
  if (provider.kind !== 'loopback') return provider.models() ?? []
  return rules.flatMap((rule) => provider.lists(rule.model) ?? [])
}

function ruleFor(rules: readonly PriceRule[], { id }: ProviderModel, isBuiltIn: boolean): PriceRule | undefined {
  const name = id.toLowerCase()
  const exact = rules.find((rule) => rule.model.toLowerCase() === name)
  if (exact !== undefined || isBuiltIn) return exact
  return rules
    .filter((rule) => rule.model.includes('*') && patternOf(rule.model).test(name))
    .reduce<PriceRule | undefined>(
      (best, rule) => (best === undefined || rule.model.length > best.model.length ? rule : best),
      undefined,
    )
}

function patternOf(pattern: string): RegExp {
  const parts = pattern
    .toLowerCase()
    .split('*')
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}

function offerOf(provider: Provider, model: ProviderModel, rule: PriceRule, terms: OfferTerms): Offer {
  return {
    model: model.id,
    dialects: [...provider.dialects],
    prices: {
      input: rule.inputMicrosPerMtok,
      cachedInput: rule.inputMicrosPerMtok,
      cacheWrite: rule.inputMicrosPerMtok,
      output: rule.outputMicrosPerMtok,
    },
    contextTokens: model.contextTokens,
    windowTokens: terms.windowTokens,
    hiddenOutputTokensMax: terms.hiddenOutputTokensMax,
  }
}
