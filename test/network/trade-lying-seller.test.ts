import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/base/clock.ts'
import { decodeEnvelope, encodeEnvelope, open, seal } from '../../src/wire/envelope.ts'
import type { NodeKey } from '../../src/wire/identity.ts'
import { decodePart, encodePart, orderFrameShape, RECEIPT, type Receipt } from '../../src/wire/inference.ts'
import { priceUsage } from '../../src/wire/pricing.ts'
import { FRAMES } from '../../src/wire/registry.ts'
import { decodeBody } from '../../src/wire/shape.ts'
import { exchange, type HttpAnswer } from '../support/http-exchange.ts'
import {
  accountsOf,
  chat,
  chatQuestion,
  eventually,
  exportedLines,
  hastyClock,
  journalOf,
  MODEL,
  offersOf,
  statusOf,
  startNode,
  textOf,
  type TestNode,
} from '../support/market.ts'
import { startTamperingSeller, type Tampering, type TamperingSeller } from '../support/raw-trader.ts'
import { DEFAULT_TEXT } from '../support/scripted-answers.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

let provider: ScriptedProvider
let seller: TamperingSeller
let buyer: TestNode
let place: string

async function start(tamper: Tampering, clock?: Clock, sellerClock?: Clock): Promise<void> {
  place = await mkdtemp(join(tmpdir(), 'tok-lying-'))
  provider = await startScriptedProvider()
  seller = await startTamperingSeller(provider, tamper, sellerClock)
  buyer = await startNode({ data_dir: place, role: 'buyer', bootstrap: seller.address, max_spend: '10' }, clock)
  await eventually(async () => (await offersOf(buyer)).length > 0)
}
afterEach(async () => {
  await Promise.all([buyer.node.stop(), seller.stop()])
  await provider.close()
  await rm(place, { recursive: true })
})

/** Sends what it should. */
const honest: Tampering = (frame, send) => send(frame)

/** Lets everything through but frames of `type`, which `change` replaces; nothing where it gives undefined. */
function changing(type: number, change: (payload: Uint8Array, key: NodeKey) => Uint8Array | undefined): Tampering {
  return (frame, send, key) => {
    const payload = frame.type === type ? change(frame.payload, key) : frame.payload
    if (payload !== undefined) send({ type: frame.type, payload })
  }
}

/** A receipt with changes, signed all the same. */
function changingReceipt(change: (receipt: Receipt) => Partial<Receipt>): Tampering {
  return changing(FRAMES.receipt, (payload, key) => {
    const { value } = open(RECEIPT, decodeEnvelope(payload, 'receipt'))
    return encodeEnvelope(seal(RECEIPT, { ...value, ...change(value) }, key))
  })
}

const PRICES = { input: 1_000_000n, cachedInput: 1_000_000n, cacheWrite: 1_000_000n, output: 2_000_000n }
const billing = (usage: Receipt['usage']): Partial<Receipt> => ({ usage, amount: priceUsage(usage, PRICES) })

/** Waits until nothing is open, and gives what the buyer owes by both ledgers, in micros. */
async function owed(): Promise<number> {
  const account = await eventually(async () => {
    if ((await statusOf(buyer)).buying?.heldMicros !== '0') return undefined
    const [mine] = await accountsOf(buyer)
    const theirs = seller.ledger.accountViews()[0]
    const isClosed =
      (mine?.unsettledMicros ?? '0') === '0' && (theirs?.unsettled ?? 0n) === 0n && (theirs?.liveCalls ?? 0) === 0
    return isClosed && (mine?.owedMicros ?? '0') === String(theirs?.owed ?? 0n) ? { mine } : undefined
  }, 15_000)
  return Number(account.mine?.owedMicros ?? 0)
}

async function lastEntry(): Promise<Readonly<Record<string, unknown>> | undefined> {
  return journalOf(await exportedLines(buyer)).at(-1)
}

/** Input tokens of the usual question by the estimate, and output tokens of the usual answer by the running count. */
const COUNTED = { input: 18, output: Math.ceil(DEFAULT_TEXT.length / 4) }
/** What the buyer counted itself, in micros. */
const COUNTED_MICROS = COUNTED.input + 2 * COUNTED.output

function isNormalEnd(answer: HttpAnswer): boolean {
  return answer.text().includes('[DONE]')
}

describe('a seller that lies in its receipt', () => {
  const lies: [string, Tampering][] = [
    ['more output than was delivered', changingReceipt(({ usage }) => billing({ ...usage, outputTokens: 1_000 }))],
    ['more input than the provider counted', changingReceipt(({ usage }) => billing({ ...usage, inputTokens: 500 }))],
    ['an amount its counts do not cost', changingReceipt(({ amount }) => ({ amount: amount * 2n }))],
    ['more than the order allows', changingReceipt(({ usage }) => billing({ ...usage, outputTokens: 9_000 }))],
    ['another order', changingReceipt(() => ({ order: new Uint8Array(32) }))],
  ]

  test.each(lies)('billing %s is paid what the buyer counted, and the client has its answer', async (_, tamper) => {
    await start(tamper)
    const whole = await chat(buyer.url)
    expect(whole.status).toBe(200)
    expect(whole.text()).toContain(DEFAULT_TEXT)
    expect(whole.headers['x-tok-receipt']).toBeUndefined()
    const afterOne = await owed()
    // A whole answer counts by its bytes while it runs, and never more than that.
    expect(afterOne).toBeLessThanOrEqual(COUNTED.input + 2 * Math.ceil(whole.body.length / 4))
    expect(await lastEntry()).toMatchObject({ status: 'completed', error: 'receipt_disputed' })

    const stream = await chat(buyer.url, { stream: true, stream_options: { include_usage: true } })
    expect(textOf(stream.text())).toBe(DEFAULT_TEXT)
    expect(isNormalEnd(stream)).toBe(true)
    // The request is some bytes longer.
    expect((await owed()) - afterOne).toBeLessThanOrEqual(COUNTED_MICROS + 20)
    expect(await lastEntry()).toMatchObject({ status: 'completed', error: 'receipt_disputed' })
  })

  test('naming another digest than that of the bytes: the stream ends with an error', async () => {
    await start(changingReceipt(() => ({ answerDigest: new Uint8Array(32) })))
    const stream = await chat(buyer.url, { stream: true })
    expect(stream.text()).toContain('broke off')
    expect(await owed()).toBeLessThanOrEqual(COUNTED_MICROS + 20)
    const whole = await chat(buyer.url)
    expect(whole).toMatchObject({ status: 503, headers: { 'x-tok-error': 'no_offer' } })
  })

  test('a provider that reports more output than its text can have is not paid for it', async () => {
    await start(honest, undefined, hastyClock)
    const message = { role: 'assistant', content: 'Yes.' }
    provider.script({
      body: JSON.stringify({
        id: 'c',
        object: 'chat.completion',
        created: 1,
        model: MODEL,
        choices: [{ index: 0, message, finish_reason: 'stop' }],
        usage: { prompt_tokens: 20, completion_tokens: 4_000, total_tokens: 4_020 },
      }),
    })
    const { status, body } = await chat(buyer.url)
    expect(status).toBe(200)
    expect(await owed()).toBeLessThanOrEqual(COUNTED.input + 2 * Math.ceil(body.length / 4))
    expect(await lastEntry()).toMatchObject({ error: 'receipt_disputed' })
  })
})

describe('a seller that lies in its parts', () => {
  test('counting more than it delivers is stopped at that part', async () => {
    await start(
      changing(FRAMES.part, (payload) => {
        const { outputTokens, content } = decodePart(payload)
        return encodePart(outputTokens + 100, content)
      }),
    )
    const answer = await chat(buyer.url, { stream: true })
    expect(answer.text()).toContain('broke the protocol')
    expect(isNormalEnd(answer)).toBe(false)
    expect(await owed()).toBe(0)
    expect(await lastEntry()).toMatchObject({ status: 'failed', error: 'seller_misbehaved' })
  })

  test('sending other bytes than it receipts is found by their digest', async () => {
    await start(
      changing(FRAMES.part, (payload) => {
        const { outputTokens, content } = decodePart(payload)
        return encodePart(
          outputTokens,
          Buffer.from(Buffer.from(content).toString('latin1').replace('forty', 'fifty'), 'latin1'),
        )
      }),
    )
    const answer = await chat(buyer.url, { stream: true })
    expect(answer.text()).toContain('broke off')
    expect(await owed()).toBeLessThanOrEqual(COUNTED_MICROS + 20)
    expect(await lastEntry()).toMatchObject({ status: 'failed', error: 'stream_incomplete' })
  })

  test('losing a part is found by the count of the next', async () => {
    let parts = 0
    await start((frame, send) => {
      if (frame.type !== FRAMES.part || (parts += 1) !== 3) send(frame)
    })
    const answer = await chat(buyer.url, { stream: true })
    expect(answer.text()).toContain('broke the protocol: it counts')
    expect(isNormalEnd(answer)).toBe(false)
    expect(await owed()).toBeLessThanOrEqual(COUNTED_MICROS + 20)
  })
})

describe('a seller that does not finish', () => {
  test('and sends no receipt: the stream ends with an error, and is paid by the vouchers', async () => {
    await start((frame, send) => {
      const isEnding = frame.type === FRAMES.receipt || frame.type === FRAMES.end || frame.type === FRAMES.close
      if (!isEnding) send(frame)
    }, hastyClock)
    const answer = await chat(buyer.url, { stream: true })
    expect(answer.text()).toContain('20000 ms')
    expect(await lastEntry()).toMatchObject({ status: 'failed', error: 'seller_timeout' })
    expect(await owed()).toBeLessThanOrEqual(COUNTED_MICROS + 20)
  })

  test('and ends the call without a receipt: an error too', async () => {
    await start(
      changing(FRAMES.receipt, () => undefined),
      hastyClock,
    )
    const answer = await chat(buyer.url, { stream: true })
    expect(answer.text()).toContain('ended the call without a receipt')
    expect(await owed()).toBeLessThanOrEqual(COUNTED_MICROS + 20)
  })

  test('and accepts nothing: the client hears of it', async () => {
    await start(() => undefined, hastyClock)
    const answer = await chat(buyer.url)
    expect(answer).toMatchObject({ status: 503, headers: { 'x-tok-error': 'no_offer' } })
    expect(answer.text()).toContain('no acceptance for 5000 ms')
    expect(await owed()).toBe(0)
  })

  test('but proposes to settle a call that has not ended here: the proposal waits', async () => {
    let ends = 0
    // The end of the first call is late; that of the second brings a statement which holds both.
    await start((frame, send) => {
      if (frame.type === FRAMES.end && (ends += 1) === 1) setTimeout(() => send(frame), 1_000)
      else send(frame)
    })
    const answers = await Promise.all([chat(buyer.url), chat(buyer.url)])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(await owed()).toBe(2 * 35)
    expect((await accountsOf(buyer))[0]?.frozen).toBeUndefined()
  })
})

test('no key, cookie or other header of the client is in what a seller gets', async () => {
  await start(honest)
  const secrets = {
    authorization: 'Bearer sk-secret-one',
    'x-api-key': 'sk-secret-two',
    'api-key': 'sk-secret-three',
    cookie: 'session=secret-four',
    'openai-organization': 'org-secret-five',
    'user-agent': 'agent-secret-six',
    'x-forwarded-for': 'secret-seven',
    'anthropic-api-key': 'secret-eight',
  }
  const { body } = chatQuestion()
  const headers = { ...secrets, 'openai-beta': 'a-beta' }
  expect((await exchange(`${buyer.url}/v1/chat/completions`, { headers, body })).status).toBe(200)
  const order = seller.received.find(({ type }) => type === FRAMES.order)
  expect(decodeBody(orderFrameShape, order!.payload, 'order').headers).toEqual({
    'content-type': 'application/json',
    'openai-beta': 'a-beta',
  })
  for (const { payload } of seller.received) expect(Buffer.from(payload).toString('latin1')).not.toContain('secret')
  expect(JSON.stringify(provider.requests[0]?.headers)).not.toContain('secret')
})

test('a large request to a seller that reads slowly is not given up', async () => {
  await start(honest, hastyClock)
  const url = `data:image/png;base64,${'QUJD'.repeat(1_000_000)}`
  seller.slowDown(300)
  const { body } = chatQuestion({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] })
  const answer = await exchange(`${buyer.url}/v1/chat/completions`, { body })
  expect(answer.status, answer.text()).toBe(200)
})
