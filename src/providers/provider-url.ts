/**
 * Where a provider's endpoints are, from a base URL written in any of the usual ways.
 */
import { TokError } from '../base/errors.ts'

/** A base URL, taken apart. */
export interface ProviderUrl {
  /** Scheme, host and port. */
  readonly origin: string
  /** The path of an endpoint ("/v1/chat/completions") at this server. */
  pathOf(endpointPath: string): string
}

/** A path segment that names an API version: /v1, /v4, /v1beta. */
const VERSION_SEGMENT = /\/v\d+\w*(?=\/|$)/
const OWN_VERSION = /^\/v1(?=\/)/

/**
 * Reads a base URL. With and without `/v1`, a trailing slash or a doubled `/v1/v1` it means the same. A path
 * with a version of its own (`/v1beta/openai`, `/paas/v4`) stands in the place of `/v1`.
 * @throws TokError `config_invalid` naming `key` for anything but a plain http or https URL.
 */
export function readProviderUrl(key: string, text: string): ProviderUrl {
  const url = URL.parse(text)
  const problem = findProblem(url)
  if (url === null || problem !== undefined) {
    throw new TokError('config_invalid', { reason: `${key}: "${text}" ${problem}` })
  }
  const prefix = url.pathname
    .replace(/\/{2,}/g, '/')
    .replace(/\/$/, '')
    .replace(/(?:\/v1)+$/, '')
  const hasVersion = VERSION_SEGMENT.test(prefix)
  return {
    origin: url.origin,
    pathOf: (endpointPath) => prefix + (hasVersion ? endpointPath.replace(OWN_VERSION, '') : endpointPath),
  }
}

function findProblem(url: URL | null): string | undefined {
  if (url === null) return 'is not a URL such as http://127.0.0.1:11434/v1'
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'is neither http nor https'
  if (url.username !== '' || url.password !== '') return 'holds a user name or password; set the API key instead'
  if (url.search !== '' || url.hash !== '') return 'has a query or fragment; a base URL ends with its path'
  return undefined
}
