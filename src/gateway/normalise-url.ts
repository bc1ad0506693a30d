/**
 * The one path of a route, however a client's base URL was written: with or without `/v1`, under `/openai` or
 * `/anthropic`, doubled, or with a trailing slash. Source: gateway.md section 1.
 */

const PREFIXES: ReadonlySet<string> = new Set(['v1', 'openai', 'anthropic'])
const ROOTS: ReadonlySet<string> = new Set(['chat', 'responses', 'embeddings', 'messages', 'models'])

/** Paths that are most often asked for as they stand, so that they cost one look-up. */
const CANONICAL: ReadonlySet<string> = new Set([
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/embeddings',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/v1/models',
])

/** The URL to route by; the query stays as it is. `/anthropic/v1/messages/?beta=true` reads `/v1/messages?beta=true`. */
export function normaliseUrl(url: string): string {
  const queryStart = url.indexOf('?')
  const path = queryStart === -1 ? url : url.slice(0, queryStart)
  if (CANONICAL.has(path)) return url
  const segments = path.split('/').filter((segment) => segment !== '')
  const prefixLength = segments.findIndex((segment) => !PREFIXES.has(segment))
  const rest = prefixLength === -1 ? [] : segments.slice(prefixLength)
  const root = ROOTS.has(rest[0] ?? '') ? '/v1/' : '/'
  return root + rest.join('/') + url.slice(path.length)
}
