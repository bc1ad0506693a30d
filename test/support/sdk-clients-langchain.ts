/**
 * LangChain's chat models, which answer one turn each: the loop that runs a tool is the one its documentation shows.
 */
import {
  CLIENT_KEY,
  loadSdk,
  PERSON_SCHEMA,
  PLACE_SCHEMA,
  type Question,
  type SdkClient,
  type SdkError,
  type SdkSetup,
  type SdkTool,
  type SdkUsage,
} from './sdk-clients.ts'

interface ChatModel extends Runnable {
  bindTools(tools: readonly Tool[]): Runnable
  withStructuredOutput(schema: object): StructuredRunnable
}

interface Runnable {
  invoke(messages: readonly object[], options: object): Promise<Message>
  stream(messages: readonly object[], options: object): Promise<AsyncIterable<Message>>
}

interface StructuredRunnable {
  invoke(messages: readonly object[], options: object): Promise<object>
}

interface Message {
  readonly text: string
  readonly contentBlocks: readonly { readonly type: string; readonly reasoning?: string }[]
  readonly additional_kwargs: { readonly reasoning_content?: unknown }
  readonly tool_calls?: readonly object[]
  readonly usage_metadata?: {
    readonly input_tokens: number
    readonly output_tokens: number
    readonly input_token_details?: { readonly cache_read?: number }
  }
  concat(next: Message): Message
}

interface Tool {
  invoke(call: object): Promise<object>
}

type ChatModelClass = new (options: object) => ChatModel

interface Embeddings {
  embedDocuments(texts: readonly string[]): Promise<readonly (readonly number[])[]>
}

const { HumanMessage } = loadSdk<{ HumanMessage: new (fields: object) => object }>('@langchain/core/messages')
const { tool: makeTool } = loadSdk<{
  tool(run: (given: { readonly place: string }) => string, definition: object): Tool
}>('@langchain/core/tools')
const { ChatOpenAI, OpenAIEmbeddings } = loadSdk<{
  ChatOpenAI: ChatModelClass
  OpenAIEmbeddings: new (options: object) => Embeddings
}>('@langchain/openai')
const { ChatAnthropic } = loadSdk<{ ChatAnthropic: ChatModelClass }>('@langchain/anthropic')

const TURNS_MAX = 5
const OPTIONS = { apiKey: CLIENT_KEY, maxRetries: 0 }

const settingsOf = (facadeUrl: string): object => ({ configuration: { baseURL: `${facadeUrl}/v1` }, ...OPTIONS })

/** Its models for each dialect. */
export const LANGCHAIN_SDKS: readonly SdkSetup[] = [
  {
    name: "LangChain's ChatOpenAI",
    dialect: 'openai-chat',
    connect: (facadeUrl) => ({
      ...connect(new ChatOpenAI({ model: 'gpt-5.5', streamUsage: true, ...settingsOf(facadeUrl) })),
      embed: (texts) => new OpenAIEmbeddings({ model: 'embedder', ...settingsOf(facadeUrl) }).embedDocuments(texts),
    }),
    readError,
    busy: 'MODEL_RATE_LIMIT',
    tooLong: 'ContextOverflowError',
    limits: ['streamed schema'],
    reasoning: 'shown',
    hasEmbeddings: true,
  },
  {
    name: "LangChain's ChatOpenAI over Responses",
    dialect: 'openai-responses',
    connect: (facadeUrl) =>
      connect(new ChatOpenAI({ model: 'gpt-5.5', useResponsesApi: true, ...settingsOf(facadeUrl) })),
    readError,
    busy: 'MODEL_RATE_LIMIT',
    tooLong: 'ContextOverflowError',
    limits: ['streamed schema', 'failed stream'],
    reasoning: 'returned',
  },
  {
    name: "LangChain's ChatAnthropic",
    dialect: 'anthropic-messages',
    connect: (facadeUrl) =>
      connect(new ChatAnthropic({ model: 'claude-sonnet-5', anthropicApiUrl: facadeUrl, ...OPTIONS })),
    readError,
    busy: 'MODEL_RATE_LIMIT',
    tooLong: 'ContextOverflowError',
    // Of the counts at the end of a stream it reads only the output, and adds it to that at the beginning.
    limits: ['streamed schema', 'streamed usage'],
    reasoning: 'returned',
  },
]

interface LangChainError extends Error {
  readonly lc_error_code?: string
  readonly status?: number
  readonly headers?: Headers
  /** What a ContextOverflowError was made of. */
  readonly cause?: LangChainError
}

function readError(error: unknown): SdkError {
  const { name, message, lc_error_code: code, cause, status = cause?.status, headers } = error as LangChainError
  const kind = name === 'ContextOverflowError' ? name : (code ?? name)
  return { kind, message, status, retryAfter: headers?.get('retry-after') ?? undefined }
}

function connect(model: ChatModel): SdkClient {
  return {
    async ask(question) {
      const { isStreamed, tool, wantsPerson, signal, onPiece } = question
      const options = signal === undefined ? {} : { signal }
      const messages: object[] = [new HumanMessage({ contentBlocks: contentOf(question) })]
      if (wantsPerson === true) {
        const structured = model.withStructuredOutput(PERSON_SCHEMA)
        return { text: '', reasoning: [], usage: NO_USAGE, person: await structured.invoke(messages, options) }
      }
      const runnable = tool === undefined ? model : model.bindTools([toolOf(tool)])
      const reasoning: string[] = []
      for (let turn = 0; turn < TURNS_MAX; turn += 1) {
        const message = isStreamed
          ? await joined(await runnable.stream(messages, options), onPiece)
          : await runnable.invoke(messages, options)
        const thought = reasoningIn(message)
        if (thought !== '') reasoning.push(thought)
        const { text, tool_calls: calls = [] } = message
        if (tool === undefined || calls.length === 0) return { text, reasoning, usage: usageOf(message) }
        messages.push(message)
        for (const call of calls) messages.push(await toolOf(tool).invoke(call))
      }
      throw new Error(`no answer in ${TURNS_MAX} turns`)
    },
  }
}

const NO_USAGE: SdkUsage = { inputTokens: undefined, cachedInputTokens: undefined, outputTokens: undefined }

function contentOf({ prompt, picture }: Question): readonly object[] {
  const text = { type: 'text', text: prompt }
  return picture === undefined ? [text] : [text, { type: 'image', mimeType: 'image/png', data: picture }]
}

function toolOf({ name, description, run }: SdkTool): Tool {
  return makeTool(({ place }) => run(place), { name, description, schema: PLACE_SCHEMA })
}

async function joined(stream: AsyncIterable<Message>, onPiece: Question['onPiece']): Promise<Message> {
  let whole: Message | undefined
  for await (const piece of stream) {
    if (piece.text !== '') onPiece?.(piece.text)
    whole = whole?.concat(piece) ?? piece
  }
  if (whole === undefined) throw new Error('a stream without a message')
  return whole
}

function reasoningIn({ contentBlocks, additional_kwargs: { reasoning_content: content } }: Message): string {
  if (typeof content === 'string') return content
  return contentBlocks.map(({ type, reasoning = '' }) => (type === 'reasoning' ? reasoning : '')).join('')
}

function usageOf({ usage_metadata: usage }: Message): SdkUsage {
  return {
    inputTokens: usage?.input_tokens,
    cachedInputTokens: usage?.input_token_details?.cache_read,
    outputTokens: usage?.output_tokens,
  }
}
