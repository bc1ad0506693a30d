/**
 * Finds model servers on this machine by asking the ports where they usually listen, again and again, because
 * engines come and go.
 */
import { Pool } from 'undici'
import { reasonOf } from '../base/errors.ts'
import { DIALECTS, ENDPOINTS, type Dialect, type Endpoint } from '../dialects/dialect.ts'
import type { ProviderModel } from './provider.ts'
import { readModels } from './read-models.ts'

/** Where engines usually listen, and which one does there. */
export const USUAL_PORTS: ReadonlyMap<number, string> = new Map([
  [11434, 'ollama'],
  [1234, 'lmstudio'],
  [8000, 'vllm'],
  [8080, 'llamacpp'],
  [30000, 'sglang'],
])

/** `owned_by` of the models of engines that name themselves there. */
const ENGINES_BY_OWNER: ReadonlyMap<string | undefined, string> = new Map([
  ['library', 'ollama'],
  ['vllm', 'vllm'],
  ['llamacpp', 'llamacpp'],
  ['sglang', 'sglang'],
])

/** Of an engine whose program is not known. */
const SOME_ENGINE = 'engine'
const ENGINE_NAME = new RegExp(`^(?:${[...USUAL_PORTS.values(), SOME_ENGINE].join('|')})(?:-\\d{1,5})?$`)

/** True for the names that engines get: they may be named before they are found. */
export function isEngineName(name: string): boolean {
  return ENGINE_NAME.test(name)
}

/** An engine that answered. */
export interface FoundEngine {
  /** Its program's name, if it is known, or "engine". */
  readonly program: string
  readonly baseUrl: string
  readonly dialects: readonly Dialect[]
  readonly models: readonly ProviderModel[]
}

/** What a port answered: an engine; something else or nothing at all; or nothing in time, which proves nothing. */
export type ProbeResult =
  | { readonly state: 'found'; readonly engine: FoundEngine }
  | { readonly state: 'absent' | 'silent'; readonly reason: string }

/** `owned_by` of the built-in model, which every tok-node lists. */
const OWN_MARK = 'tok-node'
const PROBE_BYTES_MAX = 4_194_304
const DIALECT_ENDPOINTS: Readonly<Record<Dialect, Endpoint>> = {
  'openai-chat': 'chat',
  'openai-responses': 'responses',
  'anthropic-messages': 'messages',
}
const NOT_SERVED: ReadonlySet<number> = new Set([404, 405, 501])

/**
 * Asks one port of this machine what it is. `knownDialects`, if given, is believed, so that an engine is asked
 * what it speaks only once. Never throws; takes at most `timeoutMs`.
 */
export async function probeEngine(
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
  knownDialects?: readonly Dialect[],
): Promise<ProbeResult> {
  const baseUrl = `http://127.0.0.1:${port}`
  const timeout = AbortSignal.timeout(timeoutMs)
  const pool = new Pool(baseUrl, { connections: 3, allowH2: false })
  const ask = createAsk(pool, AbortSignal.any([signal, timeout]))
  try {
    const models = await askModels(ask)
    if (models === undefined) return { state: 'absent', reason: 'it is not a model server' }
    // Two nodes that take each other for engines would pass a request to and fro.
    if (models.some((model) => model.ownedBy === OWN_MARK)) return { state: 'absent', reason: 'it is a tok-node' }
    const program = ENGINES_BY_OWNER.get(models[0]?.ownedBy) ?? USUAL_PORTS.get(port) ?? SOME_ENGINE
    const dialects = knownDialects ?? (await askDialects(ask))
    return { state: 'found', engine: { program, baseUrl, dialects, models } }
  } catch (error) {
    return { state: timeout.aborted ? 'silent' : 'absent', reason: reasonOf(error) }
  } finally {
    await pool.destroy()
  }
}

interface Reply {
  readonly status: number
  readonly body: string
}

type Ask = (method: 'GET' | 'POST', path: string) => Promise<Reply>

function createAsk(pool: Pool, signal: AbortSignal): Ask {
  return async (method, path) => {
    const reply = await pool.request({
      method,
      path,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'content-type': 'application/json' },
      // An empty object is refused by its form wherever the endpoint exists; nothing is generated.
      ...(method === 'POST' ? { body: '{}' } : {}),
      signal,
    })
    let body = ''
    for await (const part of reply.body.setEncoding('utf8')) {
      body += String(part)
      if (body.length > PROBE_BYTES_MAX) throw new Error(`its reply has more than ${PROBE_BYTES_MAX} bytes`)
    }
    return { status: reply.statusCode, body }
  }
}

async function askModels(ask: Ask): Promise<readonly ProviderModel[] | undefined> {
  const list = await ask('GET', '/v1/models')
  if (list.status === 200) return readModels(list.body)
  // Ollama before it spoke OpenAI's language.
  const tags = await ask('GET', '/api/tags')
  return tags.status === 200 ? readModels(tags.body) : undefined
}

/** Chat is what every engine speaks; the others are tried. */
async function askDialects(ask: Ask): Promise<readonly Dialect[]> {
  const served = await Promise.all(
    DIALECTS.map(async (dialect) => {
      if (dialect === 'openai-chat') return true
      const reply = await ask('POST', ENDPOINTS[DIALECT_ENDPOINTS[dialect]].path)
      // LM Studio answers 200 to what it does not know, and says so in the body.
      return !NOT_SERVED.has(reply.status) && !reply.body.includes('Unexpected endpoint')
    }),
  )
  return DIALECTS.filter((_, index) => served[index])
}
