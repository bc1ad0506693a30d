/**
 * Where a request goes: an ordered list of targets with the reason for each, and why each other one is not in
 * it. `tok-node explain` shows exactly what a request would get, because both ask the same function.
 */
import { TokError } from '../base/errors.ts'
import type { Dialect, Endpoint } from '../dialects/dialect.ts'
import type { AnswerSource } from '../dialects/exchange.ts'
import type { Provider } from '../providers/provider.ts'
import { findRule, LOCAL, NETWORK, type Alias, type Route } from './routes.ts'

/** Whether the network can answer for a model just now, and why. */
export interface BuyingPossibility {
  readonly isPossible: boolean
  /** One clause: "3 sellers offer it, from 0.10 per Mtok", "no offer for it is known". */
  readonly reason: string
  /** Where it is not possible only because the offers are for other dialects: those. */
  readonly otherDialects?: readonly Dialect[] | undefined
}

/** The network as a target. */
export interface NetworkTarget {
  readonly source: AnswerSource
  canBuy(model: string, dialect: Dialect): BuyingPossibility
}

/** What the router looks at. `buy` is absent on a node that does not buy. */
export interface RouterDependencies {
  readonly providers: { list(): readonly Provider[] }
  readonly buy?: NetworkTarget | undefined
}

/** What the configuration says. */
export interface RouterOptions {
  readonly routes: readonly Route[]
  readonly aliases: readonly Alias[]
}

/** What of a request decides its way. */
export interface RouteQuestion {
  readonly endpoint: Endpoint
  readonly dialect: Dialect
  readonly model: string
}

/** A place to send the request to. */
export interface RouteTarget {
  readonly source: AnswerSource
  readonly name: string
  readonly kind: 'local' | 'network'
  /** The name to ask for there: as the provider writes it. */
  readonly model: string
  readonly reason: string
}

/** A place the request does not go to. */
export interface RefusedTarget {
  readonly name: string
  readonly reason: string
  /** Set if it has the model, and only speaks these dialects. */
  readonly otherDialects?: readonly Dialect[] | undefined
}

/** The way of a request. */
export interface RouteDecision {
  /** The model after aliases. */
  readonly model: string
  /** The pattern of the route that decided, if one did. */
  readonly route: string | undefined
  /** In the order to try; empty if nothing can take it. */
  readonly targets: readonly RouteTarget[]
  readonly refused: readonly RefusedTarget[]
}

/** Decides ways; holds no state of its own. */
export interface Router {
  /** The decision, with or without a target, for people to read. Never throws. */
  explain(question: RouteQuestion): RouteDecision
  /**
   * The decision, with one target at least.
   * @throws TokError `translation_unavailable` if the model is there in other dialects only; `buying_disabled`
   *   if its route needs the network and this node does not buy; otherwise `model_not_found`.
   */
  route(question: RouteQuestion): RouteDecision
}

/** Models of a vendor's API, listed or not. */
const HOSTED_FAMILIES: ReadonlyMap<string, RegExp> = new Map([
  ['openai', /^(?:gpt-|o\d|chatgpt-|text-embedding-3|text-embedding-ada)/i],
  ['anthropic', /^claude-/i],
])

const NOT_BUYING = 'this node does not buy'

/** Makes a router over the providers as they are when it is asked. */
export function createRouter({ providers, buy }: RouterDependencies, { routes, aliases }: RouterOptions): Router {
  const explain = (question: RouteQuestion): RouteDecision => {
    const model = findRule(aliases, question.model)?.result ?? question.model
    const route = findRule(routes, model)
    const search: Search = { question, model, buy, providers: providers.list() }
    const found = route === undefined ? searchEverywhere(search) : searchRoute(search, route)
    return {
      model,
      route: route?.pattern,
      targets: found.filter(isTarget),
      refused: found.filter((place) => !isTarget(place)),
    }
  }
  return {
    explain,
    route(question) {
      const decision = explain(question)
      if (decision.targets.length === 0) throw failureOf(decision, question)
      return decision
    },
  }
}

interface Search {
  readonly question: RouteQuestion
  readonly model: string
  readonly buy: NetworkTarget | undefined
  readonly providers: readonly Provider[]
}

type Place = RouteTarget | RefusedTarget

function isTarget(place: Place): place is RouteTarget {
  return 'source' in place
}

/** Without a route: whoever has the model, in the order of the providers, then the network. */
function searchEverywhere(search: Search): readonly Place[] {
  const { providers, model } = search
  const seek = (provider: Provider): Place => {
    const reason = reasonToHave(provider, model)
    return reason === undefined ? refuse(provider, reasonToLack(provider)) : offer(search, provider, reason)
  }
  const ready = providers.filter((provider) => provider.missingKey === undefined)
  const places = [...ready.map(seek), considerNetwork(search)]
  // One that lacks its key can only say so, which helps where nothing else can answer.
  const isAnswerable = places.some(isTarget)
  const keyless = providers.filter((provider) => provider.missingKey !== undefined)
  return [
    ...places,
    ...keyless.map((provider) => (isAnswerable ? refuse(provider, reasonToLack(provider)) : seek(provider))),
  ]
}

/** With a route: its targets in their order, whether they list the model or not. */
function searchRoute(search: Search, route: Route): readonly Place[] {
  const { providers, model } = search
  const reason = `route "${route.pattern}"`
  const places: Place[] = []
  const add = (place: Place): void => {
    if (!places.some((other) => other.name === place.name)) places.push(place)
  }
  for (const word of route.result) {
    if (word === NETWORK) {
      add(considerNetwork(search, reason))
    } else if (word === LOCAL) {
      for (const provider of providers.filter(isLocal)) {
        if (provider.lists(model) === undefined) add(refuse(provider, reasonToLack(provider)))
        else add(offer(search, provider, `${reason}, and it lists the model`))
      }
    } else {
      const provider = providers.find((candidate) => candidate.name === word)
      add(provider === undefined ? { name: word, reason: 'it is not running' } : offer(search, provider, reason))
    }
  }
  for (const provider of providers) add(refuse(provider, `${reason} does not name it`))
  add({ name: NETWORK, reason: `${reason} does not name it` })
  return places
}

function isLocal(provider: Provider): boolean {
  return provider.kind === 'engine' || provider.kind === 'server'
}

function offer({ question, model }: Search, provider: Provider, reason: string): Place {
  const { name, dialects } = provider
  if (!dialects.includes(question.dialect)) {
    return { name, reason: `it speaks ${dialects.join(' and ')} only`, otherDialects: dialects }
  }
  const health = provider.health()
  return {
    source: provider,
    name,
    kind: 'local',
    model: provider.lists(model)?.id ?? model,
    reason: health.state === 'down' ? `${reason}; last seen down: ${health.reason}` : reason,
  }
}

function refuse(provider: Provider, reason: string): RefusedTarget {
  return { name: provider.name, reason }
}

function reasonToHave(provider: Provider, model: string): string | undefined {
  if (provider.lists(model) !== undefined) return 'it lists the model'
  if (HOSTED_FAMILIES.get(provider.name)?.test(model) === true) return "the name is of its family's"
  return undefined
}

function reasonToLack(provider: Provider): string {
  if (provider.missingKey !== undefined) return `it needs a key in ${provider.missingKey}`
  if (provider.models() !== undefined) return 'it does not list the model'
  return `what it has is not known (${provider.health().reason}); a route can send requests there`
}

/** A route that names the network gets it without an offer in sight: one may be found while buying. */
function considerNetwork({ question, model, buy }: Search, route?: string): Place {
  const name = NETWORK
  if (buy === undefined) return { name, reason: NOT_BUYING }
  if (question.endpoint === 'count_tokens') return { name, reason: 'counting tokens is not worth an order' }
  const { isPossible, reason, otherDialects } = buy.canBuy(model, question.dialect)
  if (!isPossible && (route === undefined || otherDialects !== undefined)) return { name, reason, otherDialects }
  const because = route === undefined ? reason : `${route}; ${reason}`
  return { source: buy.source, name, kind: 'network', model, reason: because }
}

function failureOf({ model, route, refused }: RouteDecision, { dialect }: RouteQuestion): TokError {
  const others = refused.flatMap((place) => place.otherDialects ?? [])
  if (others.length > 0) {
    const providerDialect = [...new Set(others)].join(' and ')
    return new TokError('translation_unavailable', { model, providerDialect, dialect })
  }
  const network = refused.find((place) => place.name === NETWORK)
  if (route !== undefined && network?.reason === NOT_BUYING) return new TokError('buying_disabled', { model })
  const detail =
    route === undefined ? network?.reason : refused.map((place) => `${place.name}: ${place.reason}`).join('; ')
  return new TokError('model_not_found', { model, detail: ` (${detail})` })
}
