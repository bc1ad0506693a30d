/**
 * The Responses dialect, as translate.ts puts it together with the others.
 */
import type { DialectTranslation } from '../conversation/contract.ts'
import { readReply } from './read-reply.ts'
import { readRequest } from './read-request.ts'
import { createStreamReader } from './read-stream.ts'
import { writeReply } from './write-reply.ts'
import { writeRequest } from './write-request.ts'
import { createStreamWriter } from './write-stream.ts'

/** Reads and writes Responses. */
export const openaiResponses: DialectTranslation = {
  readRequest,
  writeRequest,
  readReply,
  writeReply,
  createStreamReader,
  createStreamWriter,
}
