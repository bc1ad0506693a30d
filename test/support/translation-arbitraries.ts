/**
 * What fast-check makes up: texts with everything that breaks translators, answers, conversations.
 */
import fc from 'fast-check'
import type { JsonObject } from '../../src/dialects/json-value.ts'
import type { Said } from './translation-providers.ts'

/** Whitespace, quotes, escapes, separators of lines, surrogate pairs, and words. Never blank. */
export const someText: fc.Arbitrary<string> = fc
  .array(
    fc.constantFrom(
      ' ',
      '\n',
      '\r\n',
      '\t',
      '"',
      '\\',
      '\\n',
      '{',
      '}',
      '</',
      'data: ',
      '\u2028',
      '\u0000',
      'é',
      '日本',
      '👋',
      '👩‍👩‍👧',
      'word',
      '[DONE]',
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((pieces) => `x${pieces.join('')}y`)

/** Arguments of a call. */
export const someInput: fc.Arbitrary<JsonObject> = fc.dictionary(
  fc.constantFrom('path', 'query', 'a b', '日'),
  fc.oneof(someText, fc.integer(), fc.boolean(), fc.constant(null), fc.array(someText, { maxLength: 2 })),
  { maxKeys: 3 },
)

const someCount = fc.nat({ max: 100_000 })

/** What a provider says: anything but nothing. */
export const someSaid: fc.Arbitrary<Said> = fc
  .record({
    reasoning: fc.option(someText, { nil: undefined }),
    text: fc.option(someText, { nil: undefined }),
    calls: fc.array(fc.record({ name: fc.constantFrom('read', 'list'), input: someInput }), { maxLength: 3 }),
    isCut: fc.boolean(),
    cachedTokens: someCount,
    freshTokens: someCount,
    reasoningTokens: someCount,
    spokenTokens: someCount,
  })
  .filter(({ text, calls }) => text !== undefined || calls.length > 0)
  .map(({ freshTokens, spokenTokens, ...said }) => ({
    ...said,
    inputTokens: said.cachedTokens + freshTokens,
    outputTokens: said.reasoningTokens + spokenTokens,
  }))

/** What is checked on every run, and what is new in every run; the seed is printed if it fails. */
export function runs(numRuns: number, seed: number): fc.Parameters<unknown>[] {
  return [
    { numRuns, seed: 42 },
    { numRuns, seed },
  ]
}

/** A conversation, in no dialect's words. */
export interface Talk {
  readonly system: string | undefined
  readonly rounds: readonly Round[]
  readonly last: string
}

/** What the user says, and what the assistant does about it. */
export interface Round {
  readonly user: { readonly text: string; readonly hasImage: boolean; readonly after: string | undefined }
  readonly said: string | undefined
  readonly calls: readonly { readonly input: JsonObject; readonly result: string }[]
}

/** A conversation with texts, images, calls and results. */
export const someTalk: fc.Arbitrary<Talk> = fc.record({
  system: fc.option(someText, { nil: undefined }),
  rounds: fc.array(
    fc
      .record({
        user: fc.record({ text: someText, hasImage: fc.boolean(), after: fc.option(someText, { nil: undefined }) }),
        said: fc.option(someText, { nil: undefined }),
        calls: fc.array(fc.record({ input: someInput, result: someText }), { maxLength: 3 }),
      })
      .filter(({ said, calls }) => said !== undefined || calls.length > 0),
    { maxLength: 3 },
  ),
  last: someText,
})
