import fc from 'fast-check'
import { expect, it } from 'vitest'
import { TokError } from '../../../../src/base/errors.ts'
import { createLosses } from '../../../../src/dialects/conversation/losses.ts'
import type { JsonObject } from '../../../../src/dialects/json-value.ts'
import { openaiChat } from '../../../../src/dialects/openai-chat/translation.ts'
import { ask, eventsOf, fragment, delta, answerOf, readingOf, SEAL, streamOf, tool } from './chat.ts'

// oxfmt-ignore
const WORDS = [
  'model', 'messages', 'role', 'content', 'type', 'text', 'image_url', 'url', 'file', 'file_data', 'input_audio', 'data',
  'tool_calls', 'tool_call_id', 'id', 'index', 'function', 'custom', 'name', 'arguments', 'input', 'function_call', 'functions', 'tools',
  'tool_choice', 'allowed_tools', 'response_format', 'json_schema', 'schema', 'stop', 'reasoning', 'reasoning_content',
  'reasoning_details', 'thinking', 'refusal', 'annotations', 'choices', 'delta', 'message', 'finish_reason', 'usage', 'prompt_tokens',
  'error', 'cache_control', 'parameters', 'strict', 'properties',
]
// oxfmt-ignore
const TEXTS = ['', 'user', 'assistant', 'system', 'tool', 'function', 'custom', 'text', 'image_url', 'file', 'refusal', 'json_schema',
  'stop', 'tool_calls', '{}', '{"input":"a"}', 'https://example.org', 'data:image/png;base64,AA==', '\ud83d']

const { value: anything } = fc.letrec<{ readonly value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, 0, 1, -1, 2.5),
    fc.constantFrom(...TEXTS),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...WORDS), tie('value'), { maxKeys: 6 }),
  ),
}))

/** Runs it; TokErrors are what it may throw. */
function attempt(run: () => void): void {
  try {
    run()
  } catch (thrown) {
    if (!(thrown instanceof TokError)) throw thrown
  }
}

const PARAMETERS = { numRuns: 2_000 }

it('a request of any shape is read and written, or refused by name', () => {
  const message = fc.dictionary(fc.constantFrom(...WORDS), anything, { maxKeys: 6 })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), anything, anything, (messages, tools, more) => {
      attempt(() => {
        const body = { ...(more as object), model: 'm', stream: true, messages, tools } as JsonObject
        const conversation = openaiChat.readRequest(body, { seal: SEAL, losses: createLosses('openai-chat') })
        expect(ask(conversation).body['stream']).toBe(true)
      })
    }),
    PARAMETERS,
  )
})

it('an answer of any shape is read, or its provider is to blame', () => {
  fc.assert(
    fc.property(fc.array(fc.dictionary(fc.constantFrom(...WORDS), anything), { maxLength: 5 }), (chunks) => {
      attempt(() => {
        const events = eventsOf(streamOf(chunks))
        expect(['end', 'error']).toContain(events.at(-1)?.type)
        expect(events.filter(({ type }) => type === 'end' || type === 'error')).toHaveLength(1)
      })
      for (const chunk of chunks) attempt(() => openaiChat.readReply(chunk, readingOf()))
    }),
    PARAMETERS,
  )
})

it('A5: calls come out whole, however their fragments are mixed and cut', () => {
  const inputs = ['{"n":0,"text":"a\\"b"}', '{"input":"*** Begin"}', '{}']
  const schedule = fc.array(fc.tuple(fc.nat(inputs.length - 1), fc.integer({ min: 1, max: 9 })), { maxLength: 60 })
  fc.assert(
    fc.property(schedule, fc.boolean(), (steps, repeatsName) => {
      const at = inputs.map(() => 0)
      const send = (index: number, size: number): readonly JsonObject[] => {
        const start = at[index] ?? 0
        const text = inputs[index]?.slice(start, start + size) ?? ''
        if (text === '') return []
        at[index] = start + text.length
        const isNamed = start === 0 || repeatsName
        return [isNamed ? fragment(index, text, `c${index}`, index === 1 ? 'patch' : 'f') : fragment(index, text)]
      }
      const mixed = steps.flatMap(([index, size]) => send(index, size))
      const rest = inputs.flatMap((_, index) => send(index, 99))
      const stream = streamOf([...mixed, ...rest, delta({}, 'tool_calls')])
      const { blocks } = answerOf(eventsOf(stream, readingOf([tool('patch', { kind: 'custom' })])))
      const byId = new Map(blocks.map((block) => (block.kind === 'tool-call' ? [block.callId, block.input] : ['', ''])))
      expect(Object.fromEntries(byId)).toEqual({ c0: inputs[0], c1: '*** Begin', c2: '{}' })
    }),
    { numRuns: 300 },
  )
})
