/**
 * A whole answer and a streamed one of the same provider say the same to a client, to the last member: what the vendor's SDK
 * adds the stream up to is the whole answer.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Dialect } from '../../../../src/dialects/dialect.ts'
import { asList, asObject, isObject, type JsonObject } from '../../../../src/dialects/json-value.ts'
import { runs, someSaid, someText } from '../../../support/translation-arbitraries.ts'
import { streamOf, wholeAnswerOf, type Said } from '../../../support/translation-providers.ts'
import {
  DIRECTIONS,
  genericTarget,
  gistOf,
  hear,
  hearWhole,
  requestOf,
  SEED,
  type Heard,
} from '../../../support/translation.ts'

/** Members that the SDKs add by themselves. */
const OF_SDK = new Set(['parsed', 'parsed_arguments', 'parsed_output', 'output_parsed', 'output_text'])

function withoutSdk(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSdk)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, member]) => !OF_SDK.has(name) && member !== undefined)
      .map(([name, member]) => [name, withoutSdk(member)]),
  )
}

/** What the stream added up to. Of a member it does not know the SDK of OpenAI keeps the last piece only. */
function addedUp(dialect: Dialect, { message, frames }: Heard): unknown {
  if (dialect !== 'openai-chat') return withoutSdk(message)
  const pieces = frames.flatMap(({ data }) => {
    const choice = data === '[DONE]' ? {} : asObject(asList(data['choices'])[0])
    const text = asObject(choice['delta'])['reasoning_content']
    return typeof text === 'string' ? [text] : []
  })
  const [choice, ...others] = asList(message['choices']).map(asObject)
  const reasoning = pieces.length === 0 ? {} : { reasoning_content: pieces.join('') }
  const whole = { ...choice, message: { ...asObject(choice?.['message']), ...reasoning } }
  return withoutSdk({ ...message, choices: [whole, ...others] })
}

const tools: Readonly<Record<Dialect, readonly JsonObject[]>> = {
  'openai-chat': ['read', 'list'].map((name) => ({
    type: 'function',
    function: { name, parameters: { type: 'object' } },
  })),
  'openai-responses': ['read', 'list'].map((name) => ({
    type: 'function',
    name,
    parameters: { type: 'object' },
    strict: false,
  })),
  'anthropic-messages': ['read', 'list'].map((name) => ({ name, input_schema: { type: 'object' } })),
}

async function expectParity(from: Dialect, to: Dialect, said: Said): Promise<JsonObject> {
  const members = from === 'openai-chat' ? { stream_options: { include_usage: true } } : {}
  const asked = { from, request: requestOf(from, { tools: tools[from], ...members }), target: genericTarget(to) }
  const body = wholeAnswerOf(to, said)
  const { message } = hearWhole(asked, { body })
  const heard = await hear(asked, { body: streamOf(to, body) })
  expect(addedUp(from, heard)).toEqual(withoutSdk(message))
  expect(heard.droppedLater).toEqual(hearWhole(asked, { body }).droppedLater)
  return message
}

describe.each(DIRECTIONS)('%s from %s', (from, to) => {
  test('says the same streamed and whole, and what the provider said', async () => {
    for (const parameters of runs(12, SEED)) {
      await fc.assert(
        fc.asyncProperty(someSaid, async (said) => {
          const gist = gistOf(from, await expectParity(from, to, said))
          expect(gist.text).toBe(said.text ?? '')
          expect(gist.reasoning).toBe(said.reasoning ?? '')
          expect(gist.calls.map(({ name, input }) => ({ name, input: JSON.parse(input) as unknown }))).toEqual(
            said.calls,
          )
        }),
        parameters,
      )
    }
  })

  test('says the same of a refusal', async () => {
    await fc.assert(
      fc.asyncProperty(someText, someText, async (text, refusal) => {
        const counts = { inputTokens: 9, cachedTokens: 3, outputTokens: 5, reasoningTokens: 0 }
        const message = await expectParity(from, to, { text, refusal, ...counts })
        expect(JSON.stringify(message)).toContain(JSON.stringify(refusal).slice(1, -1))
      }),
      { numRuns: 5, seed: 42 },
    )
  })
})
