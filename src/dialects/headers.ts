/**
 * Which headers travel, and what of a query. Allowlists for headers: one nobody thought of stays here. No list lets a
 * credential, a cookie or a hop-by-hop header through; lengths and encodings are the writers' own.
 */

import type { Vendor } from './dialect.ts'

/** Headers as Node and undici give them, lower-case names. */
export type IncomingHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** Headers that travel: lower-case names, one value each. */
export type TravellingHeaders = Readonly<Record<string, string>>

interface Allowlist {
  readonly names: ReadonlySet<string>
  readonly prefixes: readonly string[]
  /** Names that a prefix would let through and that must not, beside those of `SECRET`. */
  readonly except: ReadonlySet<string>
}

/** Names of what proves who somebody is, as a header or in a query: `api-key`, `x-openai-actor-authorization`, `access_token`. */
const SECRET =
  /(?:^|[-_.])(?:(?:api|access)?[-_]?(?:key|token)|auth|authorization|secret|password|credentials?|cookie)(?:[-_.]|$)/i

const TO_PROVIDER: Allowlist = {
  names: new Set([
    'accept',
    'content-type',
    'openai-beta',
    'originator',
    'session-id',
    'session_id',
    'thread-id',
    'user-agent',
    'version',
    'x-app',
    'x-client-request-id',
    'x-initiator',
    'x-session-affinity',
    'x-session-id',
  ]),
  // What the vendors' own agents ask features with; new ones must not wait for a release of this program.
  prefixes: ['anthropic-', 'x-claude-', 'x-codex-', 'x-openai-'],
  except: new Set(),
}

const TO_SELLER: Allowlist = {
  names: new Set(['accept', 'anthropic-beta', 'anthropic-version', 'content-type', 'openai-beta']),
  prefixes: [],
  except: new Set(),
}

const TO_CLIENT: Allowlist = {
  names: new Set([
    'content-encoding',
    'content-type',
    'request-id',
    'retry-after',
    'retry-after-ms',
    'x-models-etag',
    'x-reasoning-included',
    'x-request-id',
    'x-should-retry',
  ]),
  prefixes: ['anthropic-', 'openai-', 'ratelimit-', 'x-codex-', 'x-ratelimit-'],
  // Whose account the provider's key belongs to is not the client's business.
  except: new Set(['anthropic-organization-id', 'openai-organization', 'openai-project']),
}

const TO_BUYER: Allowlist = {
  names: new Set(['content-encoding', 'content-type', 'retry-after', 'retry-after-ms', 'x-should-retry']),
  prefixes: [],
  except: new Set(),
}

const TO_ANY_DIALECT: Allowlist = {
  names: new Set([
    'session-id',
    'thread-id',
    'user-agent',
    'x-client-request-id',
    'x-session-affinity',
    'x-session-id',
  ]),
  prefixes: [],
  except: new Set(),
}

const TO_ANY_DIALECT_BACK: Allowlist = {
  names: new Set(['request-id', 'retry-after', 'retry-after-ms', 'x-request-id', 'x-should-retry']),
  prefixes: [],
  except: new Set(),
}

/** A client's request headers that a provider of this node may see. */
export function requestHeadersForProvider(headers: IncomingHeaders): TravellingHeaders {
  return choose(headers, TO_PROVIDER)
}

/** A client's request headers that a seller on the network may see: nothing that tells who asks. */
export function requestHeadersForSeller(headers: IncomingHeaders): TravellingHeaders {
  return choose(headers, TO_SELLER)
}

/** A provider's answer headers that a client of this node may see. */
export function answerHeadersForClient(headers: IncomingHeaders): TravellingHeaders {
  return choose(headers, TO_CLIENT)
}

/** A provider's answer headers that a buyer on the network may see: nothing of the seller's own account. */
export function answerHeadersForBuyer(headers: IncomingHeaders): TravellingHeaders {
  return choose(headers, TO_BUYER)
}

/** What of the headers for a target is left where the request is translated: features are asked for in one dialect's words. */
export function requestHeadersForTranslation(headers: TravellingHeaders): TravellingHeaders {
  return choose(headers, TO_ANY_DIALECT)
}

/**
 * What of an answer's headers is left where the answer is translated: retry-after and ids as they are, rate limits under the
 * names of the client's vendor (but not when they reset, which the two write differently), nothing else of the other's.
 */
export function answerHeadersForTranslation(headers: TravellingHeaders, to: Vendor): TravellingHeaders {
  const chosen: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    const limit = RATE_LIMITS.find(({ openai, anthropic }) => name === openai || name === anthropic)
    if (limit !== undefined) chosen[limit[to]] = value
    else if (name.startsWith('x-tok-') || isAllowed(name, TO_ANY_DIALECT_BACK)) chosen[name] = value
  }
  return chosen
}

/** The rate limits that both vendors tell, under the names of each. */
const RATE_LIMITS: readonly Readonly<Record<Vendor, string>>[] = ['requests', 'tokens'].flatMap((what) =>
  ['limit', 'remaining'].map((kind) => ({
    openai: `x-ratelimit-${kind}-${what}`,
    anthropic: `anthropic-ratelimit-${what}-${kind}`,
  })),
)

/** A request's query ("?beta=true", or "") that a target may see: as it was sent, without parameters that hold a credential. */
export function queryForTarget(query: string): string {
  if (query === '') return query
  const pairs = query.slice(1).split('&')
  const kept = pairs.filter((pair) => ![...new URLSearchParams(pair).keys()].some((name) => SECRET.test(name)))
  if (kept.length === pairs.length) return query
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}

function choose(headers: IncomingHeaders, list: Allowlist): TravellingHeaders {
  const chosen: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && isAllowed(name, list)) {
      chosen[name] = typeof value === 'string' ? value : value.join(', ')
    }
  }
  return chosen
}

function isAllowed(name: string, list: Allowlist): boolean {
  if (list.names.has(name)) return true
  return list.prefixes.some((prefix) => name.startsWith(prefix)) && !list.except.has(name) && !SECRET.test(name)
}
