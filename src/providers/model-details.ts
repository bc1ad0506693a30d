/**
 * What engines say of their models elsewhere than in `GET /v1/models`: Ollama in `/api/tags`, `/api/ps` and, model by model, in
 * `/api/show`; LM Studio in `/api/v0/models`. It matters because Ollama refuses a request that wishes what its model cannot do.
 */
import { asCount, asList, asObject, asText, parseObject, type JsonObject } from '../dialects/json-value.ts'
import type { ModelCapabilities } from '../dialects/profiles.ts'
import type { ProviderModel } from './provider.ts'
import { readModels } from './read-models.ts'

/** Asks the server, by POST if there is a question; the body of an answer of 200, or undefined for any other. */
export type AskDetails = (path: string, question?: JsonObject) => Promise<string | undefined>

/** What has been learnt of the models of one server. */
export interface ModelDetails {
  /** The list with what is known by now. */
  complete(models: readonly ProviderModel[]): readonly ProviderModel[]
  /** Asks for what is not known yet or may have changed. Throws what `ask` throws, and keeps what it learnt until then. */
  learn(models: readonly ProviderModel[], ask: AskDetails): Promise<void>
}

interface Learnt {
  /** Names what the model is made of: while it is the same, nothing else changes but the context it is loaded with. */
  readonly digest: string | undefined
  readonly contextTokens: number | undefined
  readonly embeddings: boolean | undefined
  readonly capabilities: ModelCapabilities | undefined
}

/** False if the server is of another kind. */
type Reader = (models: readonly ProviderModel[], ask: AskDetails, learnt: Map<string, Learnt>) => Promise<boolean>

const READERS: readonly Reader[] = [readOllama, readLmStudio]
const SHOWN_AT_ONCE = 4

/** Makes the memory of one server's details. It finds out by asking which kind the server is, and again when the list changes. */
export function createModelDetails(): ModelDetails {
  const learnt = new Map<string, Learnt>()
  let readers = READERS
  let idsRead = ''

  return {
    complete: (models) =>
      models.map((model) => {
        const known = learnt.get(model.id)
        if (known === undefined) return model
        return {
          ...model,
          contextTokens: known.contextTokens ?? model.contextTokens,
          embeddings: known.embeddings ?? model.embeddings,
          capabilities: known.capabilities ?? model.capabilities,
        }
      }),
    async learn(models, ask) {
      const ids = new Set(models.map(({ id }) => id))
      const idsNow = [...ids].join('\n')
      if (idsNow !== idsRead) {
        readers = READERS
        for (const id of learnt.keys()) if (!ids.has(id)) learnt.delete(id)
      }
      const found = await firstOf(readers, (read) => read(models, ask, learnt))
      if (found !== undefined) readers = [found]
      else if (readers === READERS) readers = []
      idsRead = idsNow
    },
  }
}

async function firstOf<Item>(
  items: readonly Item[],
  test: (item: Item) => Promise<boolean>,
): Promise<Item | undefined> {
  for (const item of items) if (await test(item)) return item
  return undefined
}

async function readOllama(
  models: readonly ProviderModel[],
  ask: AskDetails,
  learnt: Map<string, Learnt>,
): Promise<boolean> {
  // llama.cpp has this list too, but no digests; what it shows of a model is not what Ollama would.
  const digests = await readMembers(ask, '/api/tags', (model) => asText(model['digest']))
  if (digests.size === 0) return false
  const loaded = await readMembers(ask, '/api/ps', (model) => asCount(model['context_length']))
  const waiting = models.filter(({ id }) => digests.has(id)).values()
  const show = async (): Promise<void> => {
    for (const { id } of waiting) {
      const digest = digests.get(id)
      const known = learnt.get(id)
      const shown = known?.digest === digest ? known : readShown(await ask('/api/show', { model: id }), digest)
      if (shown !== undefined) learnt.set(id, { ...shown, contextTokens: loaded.get(id) ?? shown.contextTokens })
    }
  }
  await Promise.all(Array.from({ length: SHOWN_AT_ONCE }, show))
  return true
}

async function readMembers<Member>(
  ask: AskDetails,
  path: string,
  read: (model: JsonObject) => Member | undefined,
): Promise<ReadonlyMap<string, Member>> {
  const members = new Map<string, Member>()
  for (const item of asList(parseObject((await ask(path)) ?? '')?.['models'])) {
    const model = asObject(item)
    const name = asText(model['name'])
    const member = read(model)
    if (name !== undefined && member !== undefined) members.set(name, member)
  }
  return members
}

function readShown(body: string | undefined, digest: string | undefined): Learnt | undefined {
  const shown = parseObject(body ?? '')
  if (shown === undefined) return undefined
  const info = asObject(shown['model_info'])
  const contextMax = asCount(info[`${asText(info['general.architecture'])}.context_length`])
  const contextSet = /^num_ctx\s+(\d{1,9})$/m.exec(asText(shown['parameters']) ?? '')?.[1]
  const words = Array.isArray(shown['capabilities']) ? asList(shown['capabilities']) : undefined
  return {
    digest,
    // Ollama cuts a higher setting to what the model was trained for.
    contextTokens: contextSet === undefined ? contextMax : Math.min(Number(contextSet), contextMax ?? Infinity),
    embeddings: words?.includes('embedding') === true ? true : undefined,
    capabilities: words && {
      thinking: words.includes('thinking'),
      vision: words.includes('vision'),
      tools: words.includes('tools'),
    },
  }
}

async function readLmStudio(
  _models: readonly ProviderModel[],
  ask: AskDetails,
  learnt: Map<string, Learnt>,
): Promise<boolean> {
  const listed = readModels((await ask('/api/v0/models')) ?? '')
  if (listed === undefined) return false
  for (const { id, contextTokens, embeddings, capabilities } of listed) {
    learnt.set(id, { digest: undefined, contextTokens, embeddings, capabilities })
  }
  return true
}
