/**
 * What a client can do with a kept answer. Source: the types of the `openai` SDK.
 */
import type { FastifyInstance } from 'fastify'
import { TokError } from '../base/errors.ts'
import { asObject, asText, type JsonObject } from '../dialects/json-value.ts'
import { isMessage } from './response-compaction.ts'
import { LOCAL_OWNER, type ResponseState } from './response-state.ts'
import type { ResponseStore, StoredResponse } from './response-store.ts'

interface ItemsQuery {
  readonly limit?: string
  readonly order?: string
  readonly after?: string
}

interface IdRoute {
  readonly Params: { readonly id: string }
}

const PATH = '/v1/responses/:id'
const LIMIT_DEFAULT = 20
const LIMIT_MAX = 100

/** Adds the routes under `/v1/responses/{id}`. */
export function addResponseRoutes(app: FastifyInstance, store: ResponseStore, state: ResponseState): void {
  const find = async (id: string): Promise<StoredResponse> => {
    const stored = await store.get(LOCAL_OWNER, id)
    if (stored === undefined) throw new TokError('response_not_found', { id })
    return stored
  }

  const retrieve = async (id: string, stream: string | undefined): Promise<JsonObject> => {
    const { response } = await find(id)
    if (stream !== 'true') return response
    throw new TokError('parameter_unsupported', { param: 'stream', reason: 'a kept answer is given whole' })
  }
  const remove = async (id: string): Promise<JsonObject> => {
    if (!(await state.delete(LOCAL_OWNER, id))) throw new TokError('response_not_found', { id })
    return { id, object: 'response', deleted: true }
  }
  const list = async (id: string, query: ItemsQuery): Promise<JsonObject> => {
    const { input } = await find(id)
    return pageOf(
      input.map((item, index) => describeItem(asObject(item), `item_${index}_${id}`)),
      query,
    )
  }
  const cancel = async (id: string): Promise<never> => {
    await find(id)
    throw new TokError('response_not_cancellable', { id })
  }

  app.get<IdRoute & { readonly Querystring: { readonly stream?: string } }>(PATH, ({ params, query }) =>
    retrieve(params.id, query.stream),
  )
  app.delete<IdRoute>(PATH, ({ params }) => remove(params.id))
  app.get<IdRoute & { readonly Querystring: ItemsQuery }>(`${PATH}/input_items`, ({ params, query }) =>
    list(params.id, query),
  )
  app.post<IdRoute>(`${PATH}/cancel`, ({ params }) => cancel(params.id))
}

/** An input item with what clients rely on, though the request may have left it out: type, id and parts. */
function describeItem(item: JsonObject, id: string): JsonObject {
  const own = { ...item, id: asText(item['id']) ?? id }
  if (!isMessage(item)) return own
  const content = item['content']
  const type = item['role'] === 'assistant' ? 'output_text' : 'input_text'
  const parts = typeof content === 'string' ? [{ type, text: content }] : content
  return { ...own, type: 'message', status: item['status'] ?? 'completed', content: parts }
}

function pageOf(items: readonly JsonObject[], { limit, order = 'desc', after }: ItemsQuery): JsonObject {
  const size = limit === undefined ? LIMIT_DEFAULT : Number(limit)
  if (!Number.isSafeInteger(size) || size < 1 || size > LIMIT_MAX) {
    throw new TokError('query_invalid', { reason: `"limit" is not a number from 1 to ${LIMIT_MAX}`, param: 'limit' })
  }
  if (order !== 'asc' && order !== 'desc') {
    throw new TokError('query_invalid', { reason: '"order" is neither asc nor desc', param: 'order' })
  }
  const ordered = order === 'asc' ? items : items.toReversed()
  const start = after === undefined ? 0 : ordered.findIndex((item) => item['id'] === after) + 1
  if (after !== undefined && start === 0) {
    throw new TokError('query_invalid', { reason: `"after" names no item: ${after}`, param: 'after' })
  }
  const data = ordered.slice(start, start + size)
  return {
    object: 'list',
    data,
    first_id: data[0]?.['id'] ?? null,
    last_id: data.at(-1)?.['id'] ?? null,
    has_more: start + size < ordered.length,
  }
}
