/**
 * Messages, as one of the dialects that are translated.
 */
import type { DialectTranslation } from '../conversation/contract.ts'
import { readReply } from './read-reply.ts'
import { readRequest } from './read-request.ts'
import { createStreamReader } from './read-stream.ts'
import { writeReply } from './write-reply.ts'
import { writeRequest } from './write-request.ts'
import { createStreamWriter } from './write-stream.ts'

/** What Anthropic has to be told of before it connects to MCP servers. */
const MCP_BETA = 'mcp-client-2025-11-20'

/** Anthropic's Messages. */
export const anthropicMessages: DialectTranslation = {
  readRequest,
  writeRequest,
  requestHeaders: (request) => (request['mcp_servers'] === undefined ? {} : { 'anthropic-beta': MCP_BETA }),
  readReply,
  writeReply,
  createStreamReader,
  createStreamWriter,
}
