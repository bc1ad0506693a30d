/**
 * The configuration's list of named model servers.
 */
import { TokError } from '../base/errors.ts'
import { DIALECTS, type Dialect } from '../dialects/dialect.ts'
import { readProviderUrl } from './provider-url.ts'

/** A model server named in the configuration. */
export interface NamedServer {
  readonly name: string
  readonly url: string
  readonly dialects: readonly Dialect[]
  readonly apiKey?: string | undefined
}

/** Names that mean something else in a route. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['network', 'local', 'loopback', 'openai', 'anthropic'])
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/

const DIALECT_WORDS: ReadonlyMap<string, readonly Dialect[]> = new Map<string, readonly Dialect[]>([
  ['openai', ['openai-chat', 'openai-responses']],
  ['anthropic', ['anthropic-messages']],
  ...DIALECTS.map((dialect) => [dialect, [dialect]] as const),
])

/**
 * Reads `name=URL[#dialects],...` (commas or newlines). Dialects are `openai-chat`, `openai-responses`,
 * `anthropic-messages`, `openai` (the first two) or `anthropic`, joined by `+`; without any it is `openai-chat`.
 * @throws TokError `config_invalid` naming the entry.
 */
export function parseProviders(text: string): readonly NamedServer[] {
  const servers: NamedServer[] = []
  for (const entry of splitEntries(text)) {
    const server = parseServer(entry)
    if (servers.some((other) => other.name === server.name)) throw invalid(entry, 'the name is used twice')
    servers.push(server)
  }
  return servers
}

function splitEntries(text: string): readonly string[] {
  return text
    .split(/[,\n]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

function parseServer(entry: string): NamedServer {
  const equals = entry.indexOf('=')
  if (equals === -1) throw invalid(entry, 'expected name=URL')
  const name = entry.slice(0, equals).trim().toLowerCase()
  if (!NAME.test(name)) throw invalid(entry, 'a name has letters, digits, ".", "_" and "-"')
  if (RESERVED_NAMES.has(name)) throw invalid(entry, `the name "${name}" is taken by the node itself`)
  const [url = '', words] = entry
    .slice(equals + 1)
    .trim()
    .split('#')
  readProviderUrl(`provider ${name}`, url)
  return { name, url, dialects: words === undefined ? ['openai-chat'] : parseDialects(entry, words) }
}

function parseDialects(entry: string, words: string): readonly Dialect[] {
  const dialects = words.split('+').flatMap((word) => {
    const named = DIALECT_WORDS.get(word.trim().toLowerCase())
    if (named === undefined) throw invalid(entry, `"${word}" is none of ${[...DIALECT_WORDS.keys()].join(', ')}`)
    return named
  })
  return [...new Set(dialects)]
}

function invalid(entry: string, reason: string): TokError {
  return new TokError('config_invalid', { reason: `provider "${entry}": ${reason}` })
}
