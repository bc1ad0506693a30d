/**
 * Keeps web pages away from a node that trusts whoever can reach its loopback port: a page's script may send requests
 * there from the user's own browser, directly (it then names its origin) or under a name it has rebound to 127.0.0.1
 * (the host it asks for is then not a loopback one).
 */
import { isIPv4 } from 'node:net'
import { TokError } from '../base/errors.ts'

const AUTHORITY = /^(\[[0-9a-fA-F:.]+\]|[^:]*)(?::\d*)?$/

/**
 * Checks who asks.
 * @param headers those of the request
 * @param boundToLoopback whether the node listens on loopback only; otherwise any host name may be its own
 * @throws TokError `origin_refused`
 */
export function checkCaller(
  headers: { readonly origin?: string | undefined; readonly host?: string | undefined },
  boundToLoopback: boolean,
): void {
  const { origin, host } = headers
  if (origin !== undefined && !isLoopbackOrigin(origin)) throw new TokError('origin_refused', { origin })
  if (boundToLoopback && !isLoopbackName(AUTHORITY.exec(host ?? '')?.[1] ?? '')) {
    throw new TokError('origin_refused', { origin: `the host name "${host ?? ''}"` })
  }
}

/** True for `localhost`, names under it, 127.0.0.0/8 and ::1 (with or without brackets). */
export function isLoopbackName(name: string): boolean {
  const lower = name.toLowerCase()
  if (lower === 'localhost' || lower === '[::1]' || lower === '::1') return true
  return lower.endsWith('.localhost') || (lower.startsWith('127.') && isIPv4(lower))
}

function isLoopbackOrigin(origin: string): boolean {
  return URL.canParse(origin) && isLoopbackName(new URL(origin).hostname)
}
