/**
 * Requests as real clients send them, replayed against a facade. They come from a folder of recorded ones
 * (TOK_CAPTURES, or `../shared/captures` beside the repository); where there is none, from the project's own
 * small set in test/fixtures/requests.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { IncomingHeaders, TravellingHeaders } from '../../src/dialects/headers.ts'
import { exchange, type HttpAnswer } from './http-exchange.ts'
import type { ScriptedProvider } from './scripted-provider.ts'

/** One recorded request. */
export interface Capture {
  /** "codex/03-responses". */
  readonly name: string
  readonly method: string
  readonly path: string
  /** Without "?"; "" if there was none. */
  readonly query: string
  readonly headers: Readonly<Record<string, string>>
  /** What `JSON.stringify(body)` gives; undefined for a request without a body. */
  readonly bytes: Buffer | undefined
}

/** The requests at hand. */
export interface CaptureSet {
  readonly folder: string
  /** False if the recorded ones are absent and these are the project's own. */
  readonly isRecorded: boolean
  readonly captures: readonly Capture[]
}

const ROOT = resolve(import.meta.dirname, '../..')
const OWN_FOLDER = join(ROOT, 'test/fixtures/requests')

/** Reads the recorded requests, or says that they are absent and reads the project's own. */
export function loadCaptures(): CaptureSet {
  const wanted = process.env['TOK_CAPTURES'] ?? resolve(ROOT, '../shared/captures')
  const isRecorded = existsSync(wanted)
  if (!isRecorded) console.warn(`no recorded requests in ${wanted}; replaying those of ${OWN_FOLDER} instead`)
  const folder = isRecorded ? wanted : OWN_FOLDER
  const captures = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.json'))
    .toSorted()
    .map((file) => readCapture(folder, file))
  return { folder, isRecorded, captures }
}

function readCapture(folder: string, file: string): Capture {
  const { method, path, query, headers, body } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
    readonly method: string
    readonly path: string
    readonly query?: string
    readonly headers: Readonly<Record<string, string>>
    readonly body?: unknown
  }
  return {
    name: file.replaceAll('\\', '/').replace(/\.json$/, ''),
    method,
    path,
    query: query ?? '',
    headers,
    bytes: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
  }
}

/** Sends a recorded request as its client did; its length and host are those of today. */
export function replay(facadeUrl: string, { method, path, query, headers, bytes }: Capture): Promise<HttpAnswer> {
  const url = `${facadeUrl}${path}${query === '' ? '' : `?${query}`}`
  return exchange(url, {
    method,
    headers,
    ...(bytes === undefined ? {} : { body: bytes }),
  })
}

/**
 * What a server that is not Anthropic's own gets: all but Claude Code's first system text, which changes with every request
 * and would make every prompt cache useless.
 */
function withoutBillingLine(bytes: Buffer): Buffer {
  if (!bytes.includes('"x-anthropic-billing-header:')) return bytes
  const body = JSON.parse(bytes.toString('utf8')) as { system: { readonly text: string }[] }
  body.system = body.system.filter(({ text }) => !text.startsWith('x-anthropic-billing-header:'))
  return Buffer.from(JSON.stringify(body))
}

/** What the requests are replayed against. */
export interface ReplayTarget {
  readonly facadeUrl: string
  /** What answers in the end: whatever model is asked for must be routed to it. */
  readonly provider: Pick<ScriptedProvider, 'requests'>
  /** The client's headers that may reach it. */
  readonly headersThatTravel: (headers: IncomingHeaders) => TravellingHeaders
}

/** Adds a suite that replays every request. `target` is asked after the hooks of the surrounding file have run. */
export function describeCaptureReplay(name: string, target: () => ReplayTarget): void {
  const { captures, isRecorded } = loadCaptures()
  const origin = isRecorded ? 'recorded requests' : "the project's own requests (no recorded ones here)"

  describe(`${captures.length} ${origin} against ${name}`, () => {
    const isContinued = ({ bytes }: Capture): boolean => bytes?.includes('"previous_response_id":"') === true
    const inferences = captures.filter((capture) => capture.bytes !== undefined && !isContinued(capture))

    test.each(inferences)(
      '$name reaches the provider byte for byte, but for a billing line, and is answered',
      async (capture) => {
        const { facadeUrl, provider, headersThatTravel } = target()
        const before = provider.requests.length
        const answer = await replay(facadeUrl, capture)
        expect(answer.status, answer.text()).toBe(200)
        expect(answer.body.length).toBeGreaterThan(0)

        const isCount = capture.path.endsWith('/count_tokens')
        if (isCount) expect(answer.json()).toMatchObject({ input_tokens: expect.any(Number) })
        // A count may be answered by this node's own estimate, and is never bought.
        const received = provider.requests.slice(before)
        if (!isCount) expect(received).toHaveLength(1)
        for (const { path, headers, body } of received) {
          expect(path).toBe(capture.query === '' ? capture.path : `${capture.path}?${capture.query}`)
          expect(Buffer.compare(body, withoutBillingLine(capture.bytes ?? Buffer.alloc(0)))).toBe(0)
          expect(headers).toMatchObject(headersThatTravel(capture.headers))
          expect(JSON.stringify(headers)).not.toContain('<redacted>')
          expect(headers['cookie'] ?? headers['proxy-authorization']).toBeUndefined()
        }
      },
    )

    // The answer they go on from was given by another node.
    test.each(captures.filter(isContinued))('$name is told that the answer before it is not kept', async (capture) => {
      const { facadeUrl, provider } = target()
      const before = provider.requests.length
      const answer = await replay(facadeUrl, capture)
      expect(answer.status, answer.text()).toBe(400)
      expect(answer.json()).toMatchObject({ error: { code: 'previous_response_not_found' } })
      expect(provider.requests).toHaveLength(before)
    })

    // WebSocket is tried with real clients, in responses-websocket.test.ts.
    const others = captures.filter(({ bytes, headers }) => bytes === undefined && headers['upgrade'] === undefined)

    test.each(others)('$name is answered by the node itself', async (capture) => {
      const { facadeUrl, provider } = target()
      const before = provider.requests.length
      const answer = await replay(facadeUrl, capture)
      const body = answer.text()
      if (capture.path === '/v1/models') {
        expect(answer.status, body).toBe(200)
        expect(answer.json()).toMatchObject({ object: 'list', data: expect.any(Array), has_more: false })
      } else {
        // A stored response, of another node.
        expect(capture.path).toMatch(/^\/v1\/responses\/./)
        expect(answer.status, body).toBe(404)
      }
      expect(provider.requests).toHaveLength(before)
    })
  })
}
