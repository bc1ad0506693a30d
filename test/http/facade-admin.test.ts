import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TokError } from '../../src/base/errors.ts'
import type { SellOffer, SellingView } from '../../src/gateway/admin-api.ts'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { exchange, type HttpAnswer } from '../support/http-exchange.ts'

const ROUTES = [
  ['GET', '/status'],
  ['GET', '/models'],
  ['GET', '/offers'],
  ['GET', '/peers'],
  ['GET', '/explain?model=m'],
  ['GET', '/ledger/accounts'],
  ['GET', '/ledger/show/1'],
  ['GET', '/ledger/export'],
  ['GET', '/ledger/verify'],
  ['GET', '/sell'],
  ['POST', '/sell'],
  ['POST', '/stop'],
] as const

const LINES = 2_000

let facade: TestFacade
let stops = 0
let offers: readonly SellOffer[] = []
let paused = false

const selling = (): Promise<SellingView> => Promise.resolve({ paused, offers })

async function* exportLines(): AsyncIterable<string> {
  for (let line = 0; line < LINES; line += 1) yield `{"line":${line}}\n`
}

beforeAll(async () => {
  facade = await startFacade({
    admin: {
      peers: () => Promise.resolve([]),
      explain: (model, endpoint) =>
        Promise.resolve({ requestedModel: model, resolvedModel: model, endpoint, targets: [], refused: [] }),
      show: (id) => Promise.reject(new TokError('record_not_found', { id })),
      offers: () => Promise.reject(new Error('a broken drive')),
      exportLedger: exportLines,
      selling,
      setOffers(given) {
        offers = given
        return selling()
      },
      pauseSelling() {
        paused = true
        return selling()
      },
      resumeSelling() {
        paused = false
        return selling()
      },
      stop() {
        stops += 1
      },
    },
  })
})

afterAll(() => facade.close())

function ask(path: string, body?: string | object): Promise<HttpAnswer> {
  const headers = { authorization: `Bearer ${facade.adminToken}` }
  return exchange(`${facade.url}/api/v1${path}`, body === undefined ? { headers } : { headers, body })
}

describe('the admin routes', () => {
  test.each(ROUTES)('%s %s needs the token of the node', async (method, path) => {
    const wrong = [
      '',
      'Bearer ',
      'Bearer wrong',
      facade.adminToken,
      `Basic ${facade.adminToken}`,
      `Bearer ${facade.adminToken}x`,
    ]
    for (const authorization of wrong) {
      const answer = await exchange(`${facade.url}/api/v1${path}`, { method, headers: { authorization } })
      expect(answer.status).toBe(401)
      expect(answer.json()).toMatchObject({ error: { code: 'credential_missing', next: expect.any(String) } })
    }
    expect(stops).toBe(0)
  })

  test('answer what the node knows as JSON', async () => {
    const answer = await ask('/peers')
    expect([answer.status, answer.json()]).toEqual([200, []])
    expect(answer.headers['content-type']).toContain('application/json')
  })

  test('explain a model, of the chat endpoint unless told otherwise', async () => {
    expect((await ask('/explain?model=a%2Fb')).json()).toMatchObject({ requestedModel: 'a/b', endpoint: 'chat' })
    expect((await ask('/explain?model=m&endpoint=messages')).json()).toMatchObject({ endpoint: 'messages' })
    for (const path of [
      '/explain',
      '/explain?model=',
      '/explain?model=m&endpoint=toString',
      '/explain?model=a&model=b',
    ]) {
      const refused = await ask(path)
      expect([refused.status, refused.json()]).toMatchObject([400, { error: { code: 'argument_invalid' } }])
    }
  })

  test('give the error of the table, and nothing of an unexpected one but its reason', async () => {
    const missing = await ask('/ledger/show/none')
    expect(missing.status).toBe(404)
    expect(missing.json()).toEqual({
      error: {
        code: 'record_not_found',
        message: 'nothing is recorded under "none"',
        next: 'see `tok-node ledger list`',
      },
    })
    const broken = await ask('/offers')
    expect([broken.status, broken.json()]).toMatchObject([500, { error: { code: 'internal_error' } }])
    const unknown = await ask('/nothing')
    expect([unknown.status, unknown.json()]).toMatchObject([404, { error: { code: 'route_unknown' } }])
  })

  test('stream the ledger line by line', async () => {
    const answer = await ask('/ledger/export')
    expect(answer.headers['content-type']).toBe('application/x-ndjson')
    const lines = answer.text().trimEnd().split('\n')
    expect([lines.length, lines[0], lines.at(-1)]).toEqual([LINES, '{"line":0}', `{"line":${LINES - 1}}`])
  })

  test('set, pause and resume what is sold', async () => {
    const offer = { model: 'm*', inputMicrosPerMtok: '250000', outputMicrosPerMtok: '1000000' }
    expect((await ask('/sell', { action: 'set', offers: [offer] })).json()).toEqual({ paused: false, offers: [offer] })
    expect((await ask('/sell', { action: 'pause' })).json()).toEqual({ paused: true, offers: [offer] })
    expect((await ask('/sell', { action: 'resume' })).json()).toEqual({ paused: false, offers: [offer] })
    expect((await ask('/sell')).json()).toEqual({ paused: false, offers: [offer] })
  })

  test.each([
    ['{', 'body_malformed'],
    ['null', 'argument_invalid'],
    ['{"action":"give away"}', 'argument_invalid'],
    ['{"action":"set"}', 'argument_invalid'],
    ['{"action":"set","offers":[null]}', 'argument_invalid'],
    ['{"action":"set","offers":[{"model":"m","inputMicrosPerMtok":1,"outputMicrosPerMtok":"1"}]}', 'argument_invalid'],
    [
      '{"action":"set","offers":[{"model":"m","inputMicrosPerMtok":"-1","outputMicrosPerMtok":"1"}]}',
      'argument_invalid',
    ],
  ])('refuse to sell by %s', async (body, code) => {
    const answer = await ask('/sell', body)
    expect([answer.status, answer.json()]).toMatchObject([400, { error: { code } }])
  })

  test('stop the node', async () => {
    expect((await ask('/stop', '')).json()).toEqual({ stopping: true })
    expect(stops).toBe(1)
  })
})
