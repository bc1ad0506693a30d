/**
 * The HTTP body formats, and the endpoints that speak them. Source: gateway.md section 1, the published SDKs.
 */

/** An HTTP body format. */
export type Dialect = 'openai-chat' | 'openai-responses' | 'anthropic-messages'

/** What a request asks for. */
export type Endpoint = 'chat' | 'responses' | 'embeddings' | 'messages' | 'count_tokens' | 'input_tokens' | 'compact'

/** Whose error shape and headers an endpoint uses. */
export type Vendor = 'openai' | 'anthropic'

interface EndpointEntry {
  readonly vendor: Vendor
  /** The body format; embeddings are served wherever OpenAI chat is, so they go by that dialect. */
  readonly dialect: Dialect
  /** The path at a provider whose base URL has no `/v1`. */
  readonly path: string
  /** What the journal, whose words are fixed, calls it: one that is a part of another goes by that one's name. */
  readonly recordedAs: 'chat' | 'embeddings' | 'responses' | 'messages' | 'count_tokens'
}

/** Every inference endpoint. */
export const ENDPOINTS = {
  chat: { vendor: 'openai', dialect: 'openai-chat', path: '/v1/chat/completions', recordedAs: 'chat' },
  embeddings: { vendor: 'openai', dialect: 'openai-chat', path: '/v1/embeddings', recordedAs: 'embeddings' },
  responses: { vendor: 'openai', dialect: 'openai-responses', path: '/v1/responses', recordedAs: 'responses' },
  input_tokens: {
    vendor: 'openai',
    dialect: 'openai-responses',
    path: '/v1/responses/input_tokens',
    recordedAs: 'count_tokens',
  },
  compact: { vendor: 'openai', dialect: 'openai-responses', path: '/v1/responses/compact', recordedAs: 'responses' },
  messages: { vendor: 'anthropic', dialect: 'anthropic-messages', path: '/v1/messages', recordedAs: 'messages' },
  count_tokens: {
    vendor: 'anthropic',
    dialect: 'anthropic-messages',
    path: '/v1/messages/count_tokens',
    recordedAs: 'count_tokens',
  },
} as const satisfies Record<Endpoint, EndpointEntry>

/** Every dialect, in the order they are listed to people. */
export const DIALECTS: readonly Dialect[] = ['openai-chat', 'openai-responses', 'anthropic-messages']
