import { expect, test } from 'vitest'
import { createOpaqueSeal } from '../../../src/dialects/conversation/opaque-state.ts'
import type { AnswerHead, ModelRequest } from '../../../src/dialects/exchange.ts'
import { adaptRequest } from '../../../src/dialects/translate.ts'

const WHOLE = '{"id":"c","model":"m","choices":[{"index":0,"message":{"content":"Yes."},"finish_reason":"stop"}]}'

test('the head of an answer names what was lost by the names of the client, in characters that a header can have', () => {
  const tools = [
    { type: 'web_search', search_context_size: 'low' },
    { type: 'mcp', server_label: 'größe 100%', server_url: 'https://example.com' },
  ]
  const { head } = answerTo({ model: 'm', input: 'Yes?', tools, seed: 1 })
  expect(head?.headers['x-tok-dropped']).toBe('seed, tools[].web_search, tools[].gr%C3%B6%C3%9Fe 100%25')
})

test('a whole answer of Responses repeats the settings of its request, and nothing of what was said', () => {
  const tools = [{ type: 'function', name: 'look', parameters: { type: 'object' }, strict: false }]
  const { body } = answerTo({ model: 'm', instructions: 'Be brief.', input: 'A question?', tools })
  expect(JSON.parse(body)).toMatchObject({ object: 'response', status: 'completed', instructions: 'Be brief.', tools })
  expect(body).not.toContain('A question?')
})

/** What a client of Responses gets when a server of Chat says yes. */
function answerTo(asked: object): { readonly head: AnswerHead | undefined; readonly body: string } {
  const request: ModelRequest = {
    requestId: 'r-1',
    endpoint: 'responses',
    dialect: 'openai-responses',
    model: 'm',
    requestedModel: 'm',
    stream: false,
    query: '',
    headers: {},
    body: Buffer.from(JSON.stringify(asked)),
  }
  let head: AnswerHead | undefined
  let body = ''
  const { sink } = adaptRequest(
    request,
    { dialect: 'openai-chat', name: 'server', isVendor: false, model: 'm' },
    {
      onHead: (given) => (head = given),
      onData: (bytes) => {
        body += Buffer.from(bytes).toString('utf8')
        return true
      },
      onEnd: () => undefined,
      onFailure: (error) => {
        throw error
      },
    },
    { seal: createOpaqueSeal(new Uint8Array(32)), nowS: () => 1_700_000_000, onDropped: () => undefined },
  )
  sink.onHead({ status: 200, headers: { 'content-type': 'application/json' } })
  sink.onData(Buffer.from(WHOLE))
  sink.onEnd()
  return { head, body }
}
