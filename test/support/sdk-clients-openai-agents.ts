/**
 * OpenAI's Agents SDK, over Responses and over Chat Completions. It asks by the official client.
 */
import OpenAI from 'openai'
import {
  CLIENT_KEY,
  loadSdk,
  otherError,
  PERSON_SCHEMA,
  PLACE_SCHEMA,
  type Answer,
  type Question,
  type SdkClient,
  type SdkError,
  type SdkSetup,
  type SdkTool,
} from './sdk-clients.ts'

interface Agents {
  readonly Agent: new (options: object) => object
  readonly Runner: new (options: object) => {
    run(agent: object, input: readonly object[], options: object): Promise<Run>
  }
  readonly OpenAIProvider: new (options: object) => object
  tool(definition: object): object
  setTracingDisabled(isDisabled: boolean): void
}

interface Run {
  readonly finalOutput: unknown
  readonly newItems: readonly { readonly type: string; readonly rawItem: ReasoningItem }[]
  readonly rawResponses: readonly { readonly usage: Usage }[]
  /** Of a streamed run only. */
  toTextStream(): AsyncIterable<string>
  readonly completed: Promise<void>
}

interface ReasoningItem {
  /** Over Responses a summary; over Chat Completions only the other. */
  readonly content?: readonly { readonly text: string }[]
  readonly rawContent?: readonly { readonly text: string }[]
}

interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly inputTokensDetails: readonly Readonly<Record<string, number>>[]
}

const agents = loadSdk<Agents>('@openai/agents')
// It would report every run to OpenAI.
agents.setTracingDisabled(true)

const TURNS_MAX = 5

/** The SDK over each of its two APIs. */
export const OPENAI_AGENTS_SDKS: readonly SdkSetup[] = [
  {
    name: "OpenAI's Agents SDK",
    dialect: 'openai-responses',
    limits: ['failed stream, reason'],
    reasoning: 'returned',
    connect: (facadeUrl) => connect(facadeUrl, true),
    readError,
    busy: 'RateLimitError',
    tooLong: 'BadRequestError',
  },
  {
    name: "OpenAI's Agents SDK over Chat Completions",
    dialect: 'openai-chat',
    reasoning: 'ignored',
    connect: (facadeUrl) => connect(facadeUrl, false),
    readError,
    busy: 'RateLimitError',
    tooLong: 'BadRequestError',
  },
]

function readError(error: unknown): SdkError {
  if (!(error instanceof OpenAI.APIError)) return otherError(error)
  const headers: Headers | undefined = error.headers
  return {
    kind: error.constructor.name,
    message: error.message,
    status: error.status,
    retryAfter: headers?.get('retry-after') ?? undefined,
  }
}

function connect(facadeUrl: string, useResponses: boolean): SdkClient {
  const openAIClient = new OpenAI({ baseURL: `${facadeUrl}/v1`, apiKey: CLIENT_KEY, maxRetries: 0 })
  const runner = new agents.Runner({ modelProvider: new agents.OpenAIProvider({ openAIClient, useResponses }) })
  return {
    async ask(question) {
      const { isStreamed, tool, wantsPerson, signal, onPiece } = question
      const agent = new agents.Agent({
        name: 'Agent',
        model: 'gpt-5.5',
        ...(tool === undefined ? {} : { tools: [toolOf(tool)] }),
        ...(wantsPerson === true ? { outputType: PERSON_SCHEMA } : {}),
      })
      const run = await runner.run(agent, [messageOf(question)], {
        stream: isStreamed,
        maxTurns: TURNS_MAX,
        ...(signal === undefined ? {} : { signal }),
      })
      if (isStreamed) {
        for await (const piece of run.toTextStream()) onPiece?.(piece)
        await run.completed
        // A run that was cancelled ends as if it were complete.
        signal?.throwIfAborted()
      }
      return answerOf(run, question)
    },
  }
}

function messageOf({ prompt, picture }: Question): object {
  const text = { type: 'input_text', text: prompt }
  const image = { type: 'input_image', image: `data:image/png;base64,${picture}` }
  return { role: 'user', content: picture === undefined ? [text] : [text, image] }
}

function toolOf({ name, description, run }: SdkTool): object {
  const execute = ({ place }: { readonly place: string }): string => run(place)
  return agents.tool({ name, description, parameters: PLACE_SCHEMA, execute })
}

function answerOf({ finalOutput, newItems, rawResponses }: Run, { wantsPerson }: Question): Answer {
  const usage = rawResponses.at(-1)?.usage
  return {
    text: String(finalOutput),
    reasoning: newItems.flatMap(({ type, rawItem: { content = [], rawContent = [] } }) =>
      type === 'reasoning_item' ? [(content.length > 0 ? content : rawContent).map(({ text }) => text).join('')] : [],
    ),
    usage: {
      inputTokens: usage?.inputTokens,
      cachedInputTokens: usage?.inputTokensDetails[0]?.['cached_tokens'],
      outputTokens: usage?.outputTokens,
    },
    ...(wantsPerson === true ? { person: finalOutput } : {}),
  }
}
