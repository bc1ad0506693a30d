/**
 * Routes and aliases as the configuration writes them, and which of them a model's name matches.
 */
import { TokError } from '../base/errors.ts'
import { isEngineName } from '../providers/discover-engines.ts'

/** A pattern of model names, and where it leads. */
export interface Rule<Result> {
  /** As written. */
  readonly pattern: string
  readonly result: Result
}

/** Where requests for matching models go: targets in the order they are tried. */
export type Route = Rule<readonly string[]>

/** The name a matching model is asked for under. */
export type Alias = Rule<string>

/** The target that buys. */
export const NETWORK = 'network'

/** The target that is every engine and named server that lists the model. */
export const LOCAL = 'local'

/**
 * Reads routes: `pattern=>target` or `pattern=target`, separated by commas or newlines; a target is a
 * provider's name, `local` (any engine or named server that lists the model), `network` (buy it), or several
 * of them, `a|b|network`. `knownTargets` are the names of the providers; engines may be named before they are found.
 * @throws TokError `config_invalid` naming the entry.
 */
export function parseRoutes(text: string, knownTargets: Iterable<string>): readonly Route[] {
  const known = new Set<string>([NETWORK, LOCAL, ...knownTargets])
  return splitEntries('route', text).map(({ entry, pattern, value }) => {
    const targets = value.split('|').map((target) => target.trim().toLowerCase())
    const unknown = targets.find((target) => !known.has(target) && !isEngineName(target))
    if (unknown !== undefined) {
      throw invalid('route', entry, `"${unknown}" is no target; known are ${[...known].join(', ')}`)
    }
    return { pattern, result: [...new Set(targets)] }
  })
}

/**
 * Reads aliases: `from => to` or `from = to`, separated by commas or newlines; `from` may be a pattern.
 * @throws TokError `config_invalid` naming the entry.
 */
export function parseAliases(text: string): readonly Alias[] {
  return splitEntries('alias', text).map(({ pattern, value }) => ({ pattern, result: value }))
}

/**
 * The rule for a model. Patterns ignore case; `*` stands for any characters, none included. A pattern without
 * `*` beats one with it, more characters (beside `*`) beat fewer, then the order written decides.
 */
export function findRule<Result>(rules: readonly Rule<Result>[], model: string): Rule<Result> | undefined {
  let best: Rule<Result> | undefined
  for (const rule of rules) {
    if (matchesPattern(rule.pattern, model) && (best === undefined || weight(rule) > weight(best))) best = rule
  }
  return best
}

function weight({ pattern }: Rule<unknown>): number {
  return pattern.includes('*') ? pattern.replaceAll('*', '').length : Number.POSITIVE_INFINITY
}

/**
 * True if the pattern, in which `*` stands for any characters, covers the model's name; letter case is no matter.
 * Compares piece by piece: a regular expression made of someone's pattern could take for ever.
 */
export function matchesPattern(pattern: string, model: string): boolean {
  const name = model.toLowerCase()
  const pieces = pattern.toLowerCase().split('*')
  const first = pieces[0] ?? ''
  const last = pieces.at(-1) ?? ''
  if (pieces.length === 1) return name === first
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false
  const end = name.length - last.length
  let at = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at)
    if (found === -1 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}

interface Entry {
  readonly entry: string
  readonly pattern: string
  readonly value: string
}

function splitEntries(kind: string, text: string): readonly Entry[] {
  const entries = text.split(/[,\n]/).map((entry) => entry.trim())
  return entries
    .filter((entry) => entry !== '')
    .map((entry) => {
      const match = /^(.*?)\s*=>?\s*(.*)$/.exec(entry)
      const [pattern = '', value = ''] = match?.slice(1) ?? []
      if (pattern === '' || value === '') throw invalid(kind, entry, 'expected "pattern => target"')
      return { entry, pattern, value }
    })
}

function invalid(kind: string, entry: string, reason: string): TokError {
  return new TokError('config_invalid', { reason: `${kind} "${entry}": ${reason}` })
}
