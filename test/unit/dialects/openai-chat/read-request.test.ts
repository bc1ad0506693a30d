import { describe, expect, it } from 'vitest'
import type { Conversation, Part } from '../../../../src/dialects/conversation/conversation.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { openaiChat } from '../../../../src/dialects/openai-chat/translation.ts'
import { loadCaptures } from '../../../support/captures.ts'
import { SEAL } from './chat.ts'

const PIXEL = 'data:image/png;base64,iVBORw0KGgo='

function read(body: JsonObject): Conversation {
  return openaiChat.readRequest(
    { model: 'm', messages: [], ...body },
    { seal: SEAL, losses: createLosses('openai-chat') },
  )
}

function partsOf(message: JsonObject): readonly Part[] {
  return read({ messages: [message] }).turns[0]?.parts ?? []
}

function refusalOf(body: JsonObject): string {
  try {
    read(body)
  } catch (thrown) {
    return `${(thrown as { code?: string }).code}: ${(thrown as Error).message}`
  }
  return 'nothing was refused'
}

describe('the members of a Chat Completions request', () => {
  it.each<readonly [JsonObject, Partial<Conversation>]>([
    [{ model: 'gpt' }, { model: 'gpt', stream: false, wantsStreamUsage: false, extras: {} }],
    [
      { stream: true, stream_options: { include_usage: true } },
      { stream: true, wantsStreamUsage: true },
    ],
    [
      { stream: true, stream_options: { include_obfuscation: true } },
      { wantsStreamUsage: false, extras: {} },
    ],
    [{ max_tokens: 5 }, { outputTokensMax: 5 }],
    [{ max_tokens: 5, max_completion_tokens: 7 }, { outputTokensMax: 7 }],
    [{ reasoning_effort: 'high' }, { reasoning: { effort: 'high' } }],
    [{ reasoning_effort: 'none' }, { reasoning: { effort: 'none' } }],
    [{ user: 'u' }, { user: 'u' }],
    [{ safety_identifier: 's' }, { user: 's' }],
    [
      { verbosity: 'low', service_tier: 'flex' },
      { verbosity: 'low', serviceTier: 'flex' },
    ],
    [{ prompt_cache_key: 'k', prompt_cache_retention: '24h' }, { caching: { key: 'k', retention: '24h' } }],
    [{ parallel_tool_calls: false }, { parallelToolCalls: false }],
    [{ response_format: { type: 'text' } }, { format: { kind: 'text' } }],
    [{ response_format: { type: 'json_object' } }, { format: { kind: 'json-object' } }],
    [
      {
        response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' }, strict: true } },
      },
      { format: { kind: 'json-schema', name: 'n', description: undefined, schema: { type: 'object' }, strict: true } },
    ],
    [{ tool_choice: 'required' }, { toolChoice: { kind: 'required' } }],
    [{ tool_choice: { type: 'function', function: { name: 'f' } } }, { toolChoice: { kind: 'tool', name: 'f' } }],
    [{ tool_choice: { type: 'custom', custom: { name: 'c' } } }, { toolChoice: { kind: 'tool', name: 'c' } }],
    [{ function_call: { name: 'f' } }, { toolChoice: { kind: 'tool', name: 'f' } }],
    [
      {
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'f' } }] },
        },
      },
      { toolChoice: { kind: 'allowed', mode: 'required', tools: [{ name: 'f' }] } },
    ],
    [
      { store: false, temperature: null, tools: null },
      { extras: {}, tools: [] },
    ],
  ])('%j', (body, expected) => {
    expect(read(body)).toMatchObject(expected)
  })

  it('puts sampling into the words of the hub', () => {
    const body = { temperature: 0, top_p: 0.5, top_k: 3, seed: 1, presence_penalty: 1, frequency_penalty: 2, n: 2 }
    expect(read({ ...body, stop: 'a', logit_bias: { 5: 1 }, logprobs: true, top_logprobs: 2 }).sampling).toEqual({
      temperature: 0,
      topP: 0.5,
      topK: 3,
      seed: 1,
      presencePenalty: 1,
      frequencyPenalty: 2,
      choices: 2,
      stop: ['a'],
      logitBias: { 5: 1 },
      logprobs: true,
      topLogprobs: 2,
    })
    expect(read({ stop: ['a', 'b'] }).sampling.stop).toEqual(['a', 'b'])
  })

  it('keeps what it has no word for, and what is not of its kind, so that it is reported', () => {
    const { extras } = read({ prediction: { type: 'content' }, temperature: 'warm', reasoning_effort: 'vast' })
    expect(extras).toEqual({
      'openai-chat': { prediction: { type: 'content' }, temperature: 'warm', reasoning_effort: 'vast' },
    })
  })

  it('reads functions, freeform tools, and tools that the provider runs', () => {
    const lark = { syntax: 'lark', definition: 'start: "a"' }
    const { tools } = read({
      tools: [
        { type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: true } },
        { type: 'custom', custom: { name: 'c', format: { type: 'grammar', grammar: lark } } },
        { type: 'function', function: { name: 'marked' }, cache_control: { type: 'ephemeral', ttl: '1h' } },
        { type: 'computer' },
      ],
      web_search_options: { search_context_size: 'low' },
    })
    expect(tools).toMatchObject([
      { kind: 'function', name: 'f', description: 'd', parameters: { type: 'object' }, strict: true },
      { kind: 'custom', name: 'c', format: { type: 'grammar', ...lark } },
      { kind: 'function', name: 'marked', cacheMark: { ttl: '1h' } },
      { kind: 'hosted', capability: 'other', name: 'computer' },
      { kind: 'hosted', capability: 'web-search', native: { value: { search_context_size: 'low' } } },
    ])
  })

  it('reads the deprecated functions, whose answers hold one call', () => {
    const body = { functions: [{ name: 'f', parameters: { type: 'object' } }] }
    expect(read(body)).toMatchObject({ tools: [{ kind: 'function', name: 'f' }], parallelToolCalls: false })
  })
})

describe('the messages of a Chat Completions request', () => {
  it('are turns in their order, system texts where they stand', () => {
    const { turns } = read({
      messages: [
        { role: 'system', content: 'a' },
        { role: 'user', content: 'b', name: 'Ann' },
        { role: 'developer', content: [{ type: 'text', text: 'c' }] },
      ],
    })
    expect(turns).toEqual([
      { role: 'system', parts: [{ kind: 'text', text: 'a' }], extras: {} },
      { role: 'user', parts: [{ kind: 'text', text: 'b' }], extras: { 'openai-chat': { name: 'Ann' } } },
      { role: 'developer', parts: [{ kind: 'text', text: 'c' }], extras: {} },
    ])
  })

  it('may repeat members of their message in a part, as OpenAI Agents does', () => {
    const part = { type: 'text', text: 'said', role: 'assistant', refusal: null, annotations: [] }
    expect(partsOf({ role: 'assistant', content: [part] })).toEqual([{ kind: 'text', text: 'said' }])
  })

  it('hold calls and their results', () => {
    const { turns } = read({
      messages: [
        {
          role: 'assistant',
          content: null,
          refusal: null,
          tool_calls: [
            { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
            { id: 'c2', type: 'custom', custom: { name: 'g', input: 'free' } },
            { id: 'c3', type: 'function', function: { name: 'f', arguments: { a: 1 } } },
          ],
        },
        { role: 'tool', tool_call_id: 'c1', name: 'f', content: 'one' },
        { role: 'tool', tool_call_id: 'c2', content: [{ type: 'text', text: 'two' }] },
      ],
    })
    expect(turns).toMatchObject([
      {
        role: 'assistant',
        parts: [
          { toolKind: 'function', callId: 'c1', name: 'f', input: '{"a":1}' },
          { toolKind: 'custom', callId: 'c2', name: 'g', input: 'free' },
          { toolKind: 'function', callId: 'c3', name: 'f', input: '{"a":1}' },
        ],
      },
      { role: 'user', parts: [{ kind: 'tool-result', toolKind: 'function', callId: 'c1' }], extras: {} },
      { role: 'user', parts: [{ kind: 'tool-result', toolKind: 'custom', callId: 'c2' }] },
    ])
  })

  it('give the deprecated function_call an id, by which its result finds it', () => {
    const { turns } = read({
      messages: [
        { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
        { role: 'function', name: 'f', content: 'one' },
        { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
        { role: 'function', name: 'f', content: 'two' },
      ],
    })
    const ids = turns.map(({ parts: [part] }) => (part !== undefined && 'callId' in part ? part.callId : undefined))
    expect(ids[0]).toBe(ids[1])
    expect(ids[2]).toBe(ids[3])
    expect(ids[0]).not.toBe(ids[2])
  })

  it.each<readonly [string, JsonObject, JsonObject]>([
    [
      'C28: a picture as a data URL',
      { type: 'image_url', image_url: { url: PIXEL, detail: 'low' } },
      { kind: 'image', source: { kind: 'base64', mediaType: 'image/png', data: 'iVBORw0KGgo=' }, detail: 'low' },
    ],
    [
      'C28: a picture by its URL',
      { type: 'image_url', image_url: { url: 'https://example.org/a.png' } },
      { kind: 'image', source: { kind: 'url', url: 'https://example.org/a.png' } },
    ],
    [
      'a document',
      { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERg==' } },
      { kind: 'file', name: 'a.pdf', source: { kind: 'base64', mediaType: 'application/pdf', data: 'JVBERg==' } },
    ],
    [
      'a document by its id',
      { type: 'file', file: { file_id: 'file-1' } },
      { kind: 'file', source: { kind: 'file-id', dialect: 'openai-chat', id: 'file-1' } },
    ],
    [
      'a recording',
      { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
      { kind: 'audio', data: 'UklGRg==', format: 'wav' },
    ],
    ['a refusal', { type: 'refusal', refusal: 'no' }, { kind: 'refusal', text: 'no' }],
    [
      'C31: a mark for caching, in the words of OpenRouter',
      { type: 'text', text: 'a', cache_control: { type: 'ephemeral' } },
      { kind: 'text', text: 'a', cacheMark: {} },
    ],
    [
      'a mark for caching, in the words of OpenAI',
      { type: 'text', text: 'a', prompt_cache_breakpoint: { mode: 'explicit', ttl: '12h' } },
      { kind: 'text', text: 'a', cacheMark: { ttl: '1h' } },
    ],
    [
      'a part of a kind of its own',
      { type: 'video_url', video_url: { url: 'https://example.org/a.mp4' } },
      { kind: 'native', type: 'video_url' },
    ],
    ['an unknown member', { type: 'text', text: 'a', weight: 2 }, { extras: { 'openai-chat': { weight: 2 } } }],
  ])('hold %s', (_, part, expected) => {
    expect(partsOf({ role: 'user', content: [part] })).toMatchObject([expected])
  })

  it('C15: hold pictures in the result of a call', () => {
    const content = [
      { type: 'text', text: 'see' },
      { type: 'image_url', image_url: { url: PIXEL } },
    ]
    expect(partsOf({ role: 'tool', tool_call_id: 'c', content })).toMatchObject([
      { kind: 'tool-result', content: [{ kind: 'text' }, { kind: 'image' }] },
    ])
  })

  it.each<readonly [JsonObject, JsonObject]>([
    [{ reasoning_content: 'hm' }, { reasoning_content: 'hm' }],
    [{ reasoning: 'hm' }, { reasoning: 'hm' }],
    [
      { reasoning: 'hm', reasoning_details: [{ type: 'reasoning.encrypted', data: 'x' }] },
      { reasoning: 'hm', reasoning_details: [{ type: 'reasoning.encrypted', data: 'x' }] },
    ],
  ])('hold reasoning as its server gave it: %j', (members, value) => {
    expect(partsOf({ role: 'assistant', content: 'said', ...members })).toEqual([
      { kind: 'reasoning', text: 'hm', native: { dialect: 'openai-chat', value } },
      { kind: 'text', text: 'said' },
    ])
  })

  it('may think aloud in a part, which is no text', () => {
    const content = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
      { type: 'text', text: 'said' },
    ]
    expect(partsOf({ role: 'assistant', content })).toEqual([
      { kind: 'reasoning', text: 'hm' },
      { kind: 'text', text: 'said' },
    ])
  })
})

describe('a Chat Completions request that cannot be read', () => {
  const message = (members: JsonObject): JsonObject => ({ messages: [{ role: 'user', content: 'a' }, members] })

  it.each<readonly [JsonObject, string]>([
    [{ model: 7 }, 'model is not the name of a model'],
    [{ messages: 'hello' }, 'messages is not a list'],
    [{ messages: ['hello'] }, 'messages[0] is not an object'],
    [message({ role: 'narrator', content: 'a' }), 'messages[1].role is none of'],
    [message({ content: 'a' }), 'messages[1].role is none of'],
    [message({ role: 'user', content: 7 }), 'messages[1].content is neither a text nor a list of parts'],
    [message({ role: 'user', content: [7] }), 'messages[1].content[0] is not a part of content'],
    [message({ role: 'user', content: [{ type: 'text' }] }), 'messages[1].content[0].text is not a text'],
    [
      message({ role: 'user', content: [{ type: 'image_url', image_url: { url: 'ftp://example.org/a.png' } }] }),
      'messages[1].content[0].image_url.url is neither an http(s) URL nor a base64 data URL',
    ],
    [message({ role: 'user', content: [{ type: 'file', file: {} }] }), 'messages[1].content[0].file has neither'],
    [message({ role: 'assistant', tool_calls: {} }), 'messages[1].tool_calls is not a list'],
    [
      message({ role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { arguments: '' } }] }),
      'messages[1].tool_calls[0].function.name is not the name of a tool',
    ],
    [message({ role: 'tool', content: 'a' }), 'messages[1].tool_call_id is not the id of a call'],
    [{ tools: {} }, 'tools is not a list'],
    [{ tools: ['f'] }, 'tools[0] is not a tool'],
    [{ tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name is not the name of a tool'],
    [{ tools: [{ type: 'function' }] }, 'tools[0].function is not a function'],
    [{ stream: 'true' }, 'stream is neither true nor false'],
    [
      { response_format: { type: 'json_schema', json_schema: {} } },
      'response_format.json_schema.schema is not a JSON schema',
    ],
  ])('names what is wrong in %j', (body, reason) => {
    const said = refusalOf(body)
    expect(said).toContain('body_malformed')
    expect(said).toContain(reason)
  })

  it('is refused an answer in audio, which only this dialect has', () => {
    expect(refusalOf({ modalities: ['text', 'audio'], audio: { voice: 'a' } })).toContain(
      'translation_refused: modalities',
    )
  })
})

describe('the requests of real clients', () => {
  const { captures } = loadCaptures()
  const chats = captures.filter(({ path, bytes }) => path.endsWith('/chat/completions') && bytes !== undefined)

  it.each(chats.map(({ name, bytes }) => [name, bytes] as const))('%s is read whole', (_, bytes) => {
    const body = JSON.parse(String(bytes)) as JsonObject & { readonly messages: readonly unknown[] }
    const { turns, extras } = read(body)
    expect(turns).toHaveLength(body.messages.length)
    expect(extras).toEqual({})
    expect(turns.map((turn) => turn.extras)).toEqual(turns.map(() => ({})))
  })
})
