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

/** Anthropic's Messages. */
export const anthropicMessages: DialectTranslation = {
  readRequest,
  writeRequest,
  readReply,
  writeReply,
  createStreamReader,
  createStreamWriter,
}
