/**
 * Where a request goes: an ordered list of targets with the reason for each, and why each other one is not in
 * it. `tok-node explain` shows exactly what a request would get, because both ask the same function.
 */
import { TokError } from '../base/errors.ts'
import { ENDPOINTS, type Dialect, type Endpoint } from '../dialects/dialect.ts'
import type { AnswerSource } from '../dialects/exchange.ts'
import type { ModelCapabilities } from '../dialects/profiles.ts'
import { chooseDialect, type WorkMode } from '../dialects/work-mode.ts'
import type { Provider } from '../providers/provider.ts'
import { findRule, LOCAL, NETWORK, type Alias, type Route } from './routes.ts'

/** Whether the network can answer for a model just now, and why. */
export interface BuyingPossibility {
  readonly isPossible: boolean
  /** One clause: "3 sellers offer it, from 0.10 per Mtok", "no offer for it is known". */
  readonly reason: string
  /** What the offers of the model are served in; empty without offers. */
  readonly dialects: readonly Dialect[]
}

/** The network as a target. */
export interface NetworkTarget {
  readonly source: AnswerSource
  canBuy(model: string): BuyingPossibility
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
  readonly workMode: WorkMode
}

/** What of a request decides its way. */
export interface RouteQuestion {
  readonly endpoint: Endpoint
  readonly model: string
}

/** A place to send the request to. */
export interface RouteTarget {
  readonly source: AnswerSource
  readonly name: string
  readonly kind: 'local' | 'network'
  /** The name to ask for there: as the provider writes it. */
  readonly model: string
  /** What to ask in: the endpoint's own dialect, or the one to translate into. The network translates for each seller. */
  readonly dialect: Dialect
  /** True for a vendor at its own API. */
  readonly isVendor: boolean
  /** What the provider says the model can do; sellers say nothing. */
  readonly capabilities?: ModelCapabilities | undefined
  readonly reason: string
}

/** A place the request does not go to. */
export interface RefusedTarget {
  readonly name: string
  readonly reason: string
  /** Set if it has the model and cannot be asked: what to tell the client if nobody else can. */
  readonly error?: TokError | undefined
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
   * @throws TokError `work_mode_mismatch` or `endpoint_unsupported` if the model is there and cannot be asked in this way;
   *   `buying_disabled` if its route needs the network and this node does not buy; otherwise `model_not_found`.
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
export function createRouter({ providers, buy }: RouterDependencies, options: RouterOptions): Router {
  const { routes, aliases, workMode } = options
  const explain = (question: RouteQuestion): RouteDecision => {
    const model = findRule(aliases, question.model)?.result ?? question.model
    const route = findRule(routes, model)
    const search: Search = { question, model, buy, providers: providers.list(), workMode }
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
      if (decision.targets.length === 0) throw failureOf(decision)
      return decision
    },
  }
}

interface Search {
  readonly question: RouteQuestion
  readonly model: string
  readonly buy: NetworkTarget | undefined
  readonly providers: readonly Provider[]
  readonly workMode: WorkMode
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
  const isNative = (place: Place): boolean =>
    isTarget(place) && place.dialect === ENDPOINTS[search.question.endpoint].dialect
  const found = ready.map(seek)
  // Who is asked as the client wrote it can misunderstand nothing.
  const places = [...found.filter(isNative), ...found.filter((place) => !isNative(place)), considerNetwork(search)]
  // One that lacks its key can only say so, which helps where nobody else has the model.
  const isAnswerable = places.some((place) => isTarget(place) || place.error !== undefined)
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

function offer({ question, model, workMode }: Search, provider: Provider, reason: string): Place {
  const { name, dialects, kind } = provider
  const { endpoint } = question
  const isVendor = kind === 'hosted'
  const way = { endpoint, model: question.model, dialects, isVendor }
  // The built-in model speaks every dialect, and stands in for any provider.
  const dialect = chooseDialect(way, kind === 'loopback' ? 'auto' : workMode)
  if (dialect instanceof TokError) return { name, reason: dialect.message, error: dialect }
  const listed = provider.lists(model)
  const health = provider.health()
  const words = [reason]
  if (dialect !== ENDPOINTS[endpoint].dialect) words.push(`translated, it speaks ${dialects.join(' and ')}`)
  if (health.state === 'down') words.push(`last seen down: ${health.reason}`)
  return {
    source: provider,
    name,
    kind: 'local',
    model: listed?.id ?? model,
    dialect,
    isVendor,
    capabilities: listed?.capabilities,
    reason: words.join('; '),
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
function considerNetwork({ question, model, buy, workMode }: Search, route?: string): Place {
  const name = NETWORK
  const { endpoint } = question
  if (buy === undefined) return { name, reason: NOT_BUYING }
  const { isPossible, reason, dialects } = buy.canBuy(model)
  if (endpoint === 'count_tokens') {
    const error = isPossible ? new TokError('endpoint_unsupported', { target: NETWORK, endpoint }) : undefined
    return { name, reason: 'counting tokens is not worth an order', error }
  }
  if (!isPossible && route === undefined) return { name, reason }
  const error = dialects.length === 0 ? undefined : obstacleAt(dialects, question, workMode)
  if (error !== undefined) return { name, reason: error.message, error }
  const because = route === undefined ? reason : `${route}; ${reason}`
  const { dialect } = ENDPOINTS[endpoint]
  return { source: buy.source, name, kind: 'network', model, dialect, isVendor: false, reason: because }
}

/** Undefined if one of the dialects offered can be asked in. */
function obstacleAt(
  dialects: readonly Dialect[],
  { endpoint, model }: RouteQuestion,
  workMode: WorkMode,
): TokError | undefined {
  const ways = dialects.map((dialect) =>
    chooseDialect({ endpoint, model, dialects: [dialect], isVendor: false }, workMode),
  )
  const errors = ways.filter((way) => way instanceof TokError)
  return errors.length === ways.length ? errors[0] : undefined
}

function failureOf({ model, route, refused }: RouteDecision): TokError {
  const error = refused.find((place) => place.error !== undefined)?.error
  if (error !== undefined) return error
  const network = refused.find((place) => place.name === NETWORK)
  if (route !== undefined && network?.reason === NOT_BUYING) return new TokError('buying_disabled', { model })
  const detail =
    route === undefined ? network?.reason : refused.map((place) => `${place.name}: ${place.reason}`).join('; ')
  return new TokError('model_not_found', { model, detail: ` (${detail})` })
}
