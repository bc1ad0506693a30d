import { describe, expect, it } from 'vitest'
import {
  answerHeadersForBuyer,
  answerHeadersForClient,
  queryForTarget,
  requestHeadersForProvider,
  requestHeadersForSeller,
} from '../../../src/dialects/headers.ts'

const CREDENTIALS = {
  authorization: 'Bearer secret',
  'x-api-key': 'secret',
  'api-key': 'secret',
  'anthropic-api-key': 'secret',
  cookie: 'a=b',
  'proxy-authorization': 'secret',
  'openai-organization': 'org',
  'openai-project': 'project',
  'x-openai-api-key': 'secret',
  'x-openai-actor-authorization': 'secret',
  'x-codex-access-token': 'secret',
  'x-claude-auth': 'secret',
}
const PLUMBING = {
  host: 'localhost',
  connection: 'keep-alive',
  'content-length': '3',
  'transfer-encoding': 'chunked',
  'accept-encoding': 'gzip',
  'x-stainless-os': 'Linux',
  'x-forwarded-for': '10.0.0.1',
}
const FEATURES = {
  accept: 'text/event-stream',
  'content-type': 'application/json',
  'anthropic-version': '2023-06-01',
  'anthropic-beta': 'a,b',
  'openai-beta': 'responses=v1',
}
const AGENT = {
  originator: 'codex_exec',
  'session-id': 's',
  session_id: 's',
  'user-agent': 'claude-cli/2',
  'x-claude-code-session-id': 's',
  'x-client-request-id': 'r',
  'x-codex-turn-metadata': '{}',
  'x-openai-internal-codex-responses-lite': '1',
}

describe('headers that travel', () => {
  it("give a provider the client's features and never a credential", () => {
    const headers = { ...CREDENTIALS, ...PLUMBING, ...FEATURES, ...AGENT }
    expect(requestHeadersForProvider(headers)).toEqual({ ...FEATURES, ...AGENT })
  })

  it('give a seller nothing that tells who asks', () => {
    const headers = { ...CREDENTIALS, ...PLUMBING, ...FEATURES, ...AGENT }
    expect(requestHeadersForSeller(headers)).toEqual(FEATURES)
  })

  it("give the client what its SDK reads, and not the provider's account", () => {
    const passing = {
      'content-type': 'application/json',
      'retry-after': '3',
      'retry-after-ms': '3000',
      'x-should-retry': 'false',
      'request-id': 'req_1',
      'x-ratelimit-remaining-tokens': '7',
      'anthropic-ratelimit-requests-limit': '8',
      'openai-processing-ms': '9',
    }
    const staying = {
      'set-cookie': ['a=b'],
      'transfer-encoding': 'chunked',
      connection: 'close',
      'content-length': '9',
      server: 'uvicorn',
      'openai-organization': 'org',
      'anthropic-organization-id': 'org',
    }
    expect(answerHeadersForClient({ ...passing, ...staying })).toEqual(passing)
    expect(answerHeadersForBuyer({ ...passing, ...staying })).toEqual({
      'content-type': 'application/json',
      'retry-after': '3',
      'retry-after-ms': '3000',
      'x-should-retry': 'false',
    })
  })

  it('join the values of a header sent twice', () => {
    expect(requestHeadersForProvider({ 'anthropic-beta': ['a', 'b'] })).toEqual({ 'anthropic-beta': 'a, b' })
  })
})

describe('a query that travels', () => {
  it.each([
    ['', ''],
    ['?', '?'],
    ['?beta=true', '?beta=true'],
    ['?beta=true&&x=%20+&limit', '?beta=true&&x=%20+&limit'],
    ['?max_tokens=5&monkey=1&author=me', '?max_tokens=5&monkey=1&author=me'],
    ['?key=secret', ''],
    ['?api-key=secret&beta=true', '?beta=true'],
    ['?beta=true&API_KEY=secret', '?beta=true'],
    ['?apikey=secret&accessToken=secret&access_token=secret', ''],
    ['?%61pi_key=secret&a=1', '?a=1'],
    ['?token=a&x-auth=b&password=c', ''],
  ])('%s leaves as %s', (query, travelling) => {
    expect(queryForTarget(query)).toBe(travelling)
  })
})
