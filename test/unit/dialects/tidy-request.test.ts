import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OPAQUE_MARK } from '../../../src/dialects/conversation/opaque-state.ts'
import { DIALECTS, type Dialect } from '../../../src/dialects/dialect.ts'
import { tidyRequest } from '../../../src/dialects/tidy-request.ts'

const OURS = `${OPAQUE_MARK}eyJhIjoxfQ.c2VhbA`
const BILLING = 'x-anthropic-billing-header: cc_version=2.1.330; cch=ab12;'

const tidy = (dialect: Dialect, body: string, isVendor = false) => {
  const { body: tidied, dropped } = tidyRequest(dialect, Buffer.from(body), { isVendor })
  return { text: Buffer.from(tidied).toString(), dropped }
}

describe("Claude Code's billing text", () => {
  // body | as a local server gets it
  it.each([
    [
      `{"model":"m", "system":[{"type":"text","text":"${BILLING}"},{"type":"text","text":"You are","cache_control":{"type":"ephemeral"}}],"n":12345678901234567890}`,
      '{"model":"m", "system":[{"type":"text","text":"You are","cache_control":{"type":"ephemeral"}}],"n":12345678901234567890}',
    ],
    [
      `{"system" : [ {"text" : "${BILLING}", "type":"text"} , {"type":"text","text":"b"}]}`,
      '{"system" : [  {"type":"text","text":"b"}]}',
    ],
    [`{"system":[{"type":"text","text":"${BILLING}"}],"messages":[]}`, '{"system":[],"messages":[]}'],
    [`{"system":"${BILLING}\\n\\nYou are","messages":[]}`, '{"system":"You are","messages":[]}'],
    [`{"system":"${BILLING}","messages":[{"content":"a\\nb"}]}`, '{"system":"","messages":[{"content":"a\\nb"}]}'],
  ])('is cut out of %s', (body, expected) => {
    expect(tidy('anthropic-messages', body)).toEqual({ text: expected, dropped: ['system.billing_header'] })
    expect(() => JSON.parse(expected)).not.toThrow()
  })

  it.each([
    `{"system":[{"type":"text","text":"You are"},{"type":"text","text":"${BILLING}"}]}`,
    `{"messages":[{"role":"user","content":[{"type":"text","text":"${BILLING}"}]}]}`,
    `{"messages":[{"role":"user","content":"${BILLING}"}]}`,
    `{"messages":[{"role":"user","content":${JSON.stringify(`{"system":[{"text":"${BILLING}"}]}`)}}]}`,
    '{"system":"You are"}',
  ])('is not seen in %s', (body) => {
    expect(tidy('anthropic-messages', body)).toEqual({ text: body, dropped: [] })
  })

  it("stays for Anthropic's own API, and in other dialects, with the very bytes", () => {
    const bytes = Buffer.from(`{"system":[{"type":"text","text":"${BILLING}"}],"messages":[]}`)
    expect(tidyRequest('anthropic-messages', bytes, { isVendor: true }).body).toBe(bytes)
    expect(tidyRequest('openai-chat', bytes, { isVendor: false }).body).toBe(bytes)
    expect(tidyRequest('openai-responses', bytes, { isVendor: false }).body).toBe(bytes)
  })
})

describe('state that this node sealed', () => {
  const messages = (...list: readonly object[]): string => JSON.stringify({ model: 'm', messages: list })

  it('is taken out of Messages, and so are the turns that held nothing else', () => {
    const body = messages(
      { role: 'user', content: 'a' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'hm', signature: OURS },
          { type: 'thinking', thinking: 'hm', signature: 'EqQBCkgIAhABGAIi' },
          { type: 'text', text: OURS },
        ],
      },
      { role: 'assistant', content: [{ type: 'redacted_thinking', data: OURS }] },
      { role: 'assistant', content: [] },
      { role: 'user', content: [{ type: 'text', text: 'b' }] },
    )
    const { text, dropped } = tidy('anthropic-messages', body, true)
    expect(dropped).toEqual(['thinking', 'redacted_thinking'])
    expect(JSON.parse(text)).toEqual({
      model: 'm',
      messages: [
        { role: 'user', content: 'a' },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'hm', signature: 'EqQBCkgIAhABGAIi' },
            { type: 'text', text: OURS },
          ],
        },
        { role: 'assistant', content: [] },
        { role: 'user', content: [{ type: 'text', text: 'b' }] },
      ],
    })
  })

  it('is taken out of Responses', () => {
    const kept = [
      { role: 'user', content: 'a' },
      { type: 'reasoning', id: 'rs_2', summary: [], encrypted_content: 'gAAAAAB' },
      { type: 'function_call', call_id: 'c', name: 'a', arguments: '{}' },
    ]
    const input = [
      kept[0],
      { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: OURS },
      ...kept.slice(1),
      { type: 'compaction', encrypted_content: OURS },
    ]
    const { text, dropped } = tidy('openai-responses', JSON.stringify({ model: 'm', input }), true)
    expect(dropped).toEqual(['reasoning', 'compaction'])
    expect(JSON.parse(text)).toEqual({ model: 'm', input: kept })
  })

  it.each([
    ['anthropic-messages', messages({ role: 'user', content: [{ type: 'text', text: OURS }] })],
    ['anthropic-messages', messages({ role: 'user', content: OURS })],
    ['openai-responses', `{"input":"${OURS}", "n":12345678901234567890}`],
    ['openai-chat', messages({ role: 'assistant', content: [{ type: 'thinking', signature: OURS }] })],
  ] as const)('is not seen in %s %s', (dialect, body) => {
    expect(tidy(dialect, body)).toEqual({ text: body, dropped: [] })
  })
})

describe('reasoning that is only referred to', () => {
  const reference = (id: string) => ({ type: 'item_reference', id })
  const input = [reference('rs_1'), reference('msg_1'), { role: 'user', content: 'a' }]

  it('is left out for a server that stores nothing, and named', () => {
    const { text, dropped } = tidy('openai-responses', JSON.stringify({ model: 'm', input }))
    expect(JSON.parse(text)).toEqual({ model: 'm', input: input.slice(1) })
    expect(dropped).toEqual(['reasoning'])
  })

  it('goes to the vendor, and other references to anybody', () => {
    const whole = JSON.stringify({ model: 'm', input }, undefined, 1)
    expect(tidy('openai-responses', whole, true)).toEqual({ text: whole, dropped: [] })
    const rest = JSON.stringify({ model: 'm', input: input.slice(1) }, undefined, 1)
    expect(tidy('openai-responses', rest)).toEqual({ text: rest, dropped: [] })
  })
})

describe('any request', () => {
  it('stays JSON, loses nothing that is not named, and is tidy after', () => {
    const word = fc.constantFrom(OURS, BILLING, `${BILLING}\nx`, 'thinking', 'reasoning', 'text', 'a"\\b')
    const name = fc.constantFrom(
      'system',
      'text',
      'type',
      'messages',
      'input',
      'content',
      'signature',
      'encrypted_content',
    )
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        word,
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(name, tie('value'), { maxKeys: 5 }),
      ),
    }))
    fc.assert(
      fc.property(
        fc.dictionary(name, value),
        fc.constantFrom(...DIALECTS),
        fc.boolean(),
        fc.constantFrom(0, 2),
        (body, dialect, isVendor, spaces) => {
          const sent = Buffer.from(JSON.stringify(body, null, spaces))
          const once = tidyRequest(dialect, sent, { isVendor })
          JSON.parse(Buffer.from(once.body).toString())
          expect(once.body === sent).toBe(once.dropped.length === 0)
          const twice = tidyRequest(dialect, once.body, { isVendor })
          if (!once.dropped.includes('system.billing_header')) expect(twice.body).toBe(once.body)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('may be anything at all', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom(...DIALECTS), (bytes, dialect) => {
        expect(tidyRequest(dialect, bytes, { isVendor: false }).body).toBe(bytes)
      }),
    )
  })
})
