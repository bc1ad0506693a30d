/**
 * The AI SDK of Vercel, with each of its providers that speaks one of the dialects.
 */
import type { Dialect } from '../../src/dialects/dialect.ts'
import {
  CLIENT_KEY,
  loadSdk,
  otherError,
  PERSON_SCHEMA,
  PLACE_SCHEMA,
  type Answer,
  type Question,
  type SdkClient,
  type SdkSetup,
  type SdkTool,
  type SdkUsage,
} from './sdk-clients.ts'

type Model = object

interface Ai {
  generateText(options: object): Promise<Result>
  streamText(options: object): { readonly stream: AsyncIterable<Part> } & Awaitable<Result>
  embedMany(options: object): Promise<{ readonly embeddings: readonly (readonly number[])[] }>
  tool(definition: object): object
  isStepCount(count: number): object
  readonly Output: { object(options: { schema: object }): object }
  readonly APICallError: { isInstance(error: unknown): error is CallError }
}

type Awaitable<Members> = { readonly [Name in keyof Members]: PromiseLike<Members[Name]> }

interface Result {
  readonly text: string
  readonly usage: Usage
  readonly steps: readonly { readonly reasoningText: string | undefined }[]
  readonly output: unknown
  readonly responseMessages: readonly object[]
}

interface Usage {
  readonly inputTokens: number | undefined
  readonly inputTokenDetails: { readonly cacheReadTokens: number | undefined }
  readonly outputTokens: number | undefined
}

type Part =
  | { readonly type: 'text-delta'; readonly text: string }
  | { readonly type: 'error'; readonly error: unknown }
  | { readonly type: 'abort' }

interface CallError extends Error {
  readonly statusCode?: number
  readonly responseHeaders?: Readonly<Record<string, string>>
  readonly isRetryable: boolean
}

interface Provider {
  (model: string): Model
  chat(model: string): Model
  embeddingModel(model: string): Model
}

type CreateProvider = (options: object) => Provider

const ai = loadSdk<Ai>('ai')
const { createOpenAI } = loadSdk<{ createOpenAI: CreateProvider }>('@ai-sdk/openai')
const { createAnthropic } = loadSdk<{ createAnthropic: CreateProvider }>('@ai-sdk/anthropic')
const { createOpenAICompatible } = loadSdk<{ createOpenAICompatible: CreateProvider }>('@ai-sdk/openai-compatible')

const STEPS_MAX = 5

/** Every provider of the AI SDK that this node can stand in for. */
export const AI_SDKS: readonly SdkSetup[] = [
  // Unless it is told not to store, it only refers to what it takes for stored.
  setUp('openai', 'openai-responses', { reasoning: 'returned', hasEmbeddings: true }, (settings) => {
    const openai = createOpenAI(settings)
    return { model: openai('gpt-5.5'), embedder: openai.embeddingModel('embedder') }
  }),
  setUp('openai without storing', 'openai-responses', { reasoning: 'returned' }, (settings) => ({
    model: createOpenAI(settings)('gpt-5.5'),
    providerOptions: { openai: { store: false } },
  })),
  setUp('openai.chat', 'openai-chat', { reasoning: 'ignored' }, (settings) => ({
    model: createOpenAI(settings).chat('gpt-5.5'),
  })),
  setUp('openai-compatible', 'openai-chat', { reasoning: 'returned', hasEmbeddings: true }, (settings) => {
    const provider = createOpenAICompatible({
      ...settings,
      name: 'tok-node',
      includeUsage: true,
      supportsStructuredOutputs: true,
    })
    return { model: provider('local-model'), embedder: provider.embeddingModel('embedder') }
  }),
  setUp('anthropic', 'anthropic-messages', { reasoning: 'returned' }, (settings) => ({
    model: createAnthropic(settings)('claude-sonnet-5'),
  })),
]

/** A conversation of several turns over `createOpenAI` as it is by default. */
export interface AiConversation {
  /** Says something, runs the tool until there is an answer, and gives its text. */
  say(prompt: string, isStreamed: boolean): Promise<string>
}

/** Begins a conversation with a model that may call `tool`. */
export function startAiConversation(facadeUrl: string, tool: SdkTool): AiConversation {
  const model = createOpenAI({ baseURL: `${facadeUrl}/v1`, apiKey: CLIENT_KEY })('gpt-5.5')
  const messages: object[] = []
  return {
    async say(prompt, isStreamed) {
      messages.push({ role: 'user', content: prompt })
      const options = { ...optionsOf({ prompt, tool, isStreamed }), model, messages }
      const result = isStreamed ? ai.streamText(options) : await ai.generateText(options)
      messages.push(...(await result.responseMessages))
      return result.text
    },
  }
}

interface Models {
  readonly model: Model
  readonly embedder?: Model
  readonly providerOptions?: object
}

function setUp(
  provider: string,
  dialect: Dialect,
  habits: Pick<SdkSetup, 'reasoning' | 'hasEmbeddings'>,
  create: (settings: object) => Models,
): SdkSetup {
  return {
    name: `the AI SDK's ${provider}`,
    dialect,
    connect: (facadeUrl) => connect(create({ baseURL: `${facadeUrl}/v1`, apiKey: CLIENT_KEY })),
    readError(error) {
      if (!ai.APICallError.isInstance(error)) return otherError(error)
      return {
        kind: error.isRetryable ? 'APICallError, retryable' : 'APICallError',
        message: error.message,
        status: error.statusCode,
        retryAfter: error.responseHeaders?.['retry-after'],
      }
    },
    busy: 'APICallError, retryable',
    tooLong: 'APICallError',
    ...habits,
  }
}

function connect({ model, embedder, providerOptions = {} }: Models): SdkClient {
  return {
    async ask(question) {
      const options = { model, providerOptions, ...optionsOf(question) }
      if (!question.isStreamed) return answerOf(await ai.generateText(options), question)
      // Without onError it writes every error to the console.
      const result = ai.streamText({ ...options, onError: () => undefined })
      for await (const part of result.stream) {
        if (part.type === 'error') throw part.error
        if (part.type === 'abort') throw new Error('aborted')
        if (part.type === 'text-delta') question.onPiece?.(part.text)
      }
      const [text, usage, steps] = await Promise.all([result.text, result.usage, result.steps])
      return answerOf({ text, usage, steps, output: await result.output }, question)
    },
    ...(embedder === undefined
      ? {}
      : {
          async embed(values: readonly string[]) {
            const { embeddings } = await ai.embedMany({ model: embedder, values, maxRetries: 0 })
            return embeddings
          },
        }),
  }
}

function optionsOf({ prompt, picture, tool, wantsPerson, signal }: Question): object {
  const text = { type: 'text', text: prompt }
  const image = { type: 'file', mediaType: 'image/png', data: picture }
  return {
    messages: [{ role: 'user', content: picture === undefined ? [text] : [text, image] }],
    maxRetries: 0,
    stopWhen: ai.isStepCount(STEPS_MAX),
    ...(signal === undefined ? {} : { abortSignal: signal }),
    ...(wantsPerson === true ? { output: ai.Output.object({ schema: PERSON_SCHEMA }) } : {}),
    ...(tool === undefined
      ? {}
      : {
          tools: {
            [tool.name]: ai.tool({
              description: tool.description,
              inputSchema: PLACE_SCHEMA,
              execute: ({ place }: { place: string }) => tool.run(place),
            }),
          },
        }),
  }
}

function answerOf({ text, usage, steps, output }: Omit<Result, 'responseMessages'>, { wantsPerson }: Question): Answer {
  return {
    text,
    reasoning: steps.flatMap(({ reasoningText }) => reasoningText ?? []),
    usage: usageOf(usage),
    ...(wantsPerson === true ? { person: output } : {}),
  }
}

function usageOf({ inputTokens, inputTokenDetails, outputTokens }: Usage): SdkUsage {
  return { inputTokens, cachedInputTokens: inputTokenDetails.cacheReadTokens, outputTokens }
}
