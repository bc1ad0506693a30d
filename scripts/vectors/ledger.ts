/** Vectors of protocols/ledger/v1.md: entries of a node's journal, and export files. */
import { encode } from '@ipld/dag-cbor'
import { sha256, toHex } from '../../src/base/bytes.ts'
import { journalEntryShape, type JournalEntry } from '../../src/wire/journal.ts'
import { encodeBody } from '../../src/wire/shape.ts'
import { accountHeadShape, CHECKPOINT } from '../../src/wire/checkpoint.ts'
import {
  acceptedExports,
  acceptedProofs,
  accountHead,
  checkpointOf,
  rejectedExports,
  rejectedProofs,
} from './export.ts'
import { merkleTrees } from './merkle.ts'
import {
  accepted,
  alteredBody,
  digestOf,
  KEYS,
  NOW_MS,
  raw,
  readable,
  reading,
  unreadable,
  type Case,
  type VectorFile,
} from './case.ts'

const local: JournalEntry = {
  kind: 'inference',
  sequence: 1,
  recordedAtMs: NOW_MS,
  requestId: 'req-1',
  direction: 'local',
  endpoint: 'chat',
  dialect: 'openai-chat',
  stream: 'yes',
  requestedModel: 'fast',
  resolvedModel: 'qwen3:8b',
  servedModel: 'qwen3:8b',
  target: 'ollama',
  status: 'completed',
  httpStatus: 200,
  inputTokens: 1_000,
  outputTokens: 250,
  tokenSource: 'provider',
  firstByteMs: 120,
  durationMs: 3_000,
  retries: 0,
}

const bought: JournalEntry = {
  ...local,
  sequence: 2,
  previous: sha256(encodeBody(journalEntryShape, local)),
  requestId: 'req-2',
  direction: 'bought',
  endpoint: 'messages',
  dialect: 'anthropic-messages',
  target: KEYS.seller.peer,
  counterparty: KEYS.seller.publicKey,
  order: digestOf('an order'),
  receipt: digestOf('a receipt'),
  cachedInputTokens: 600,
  cacheWriteTokens: 100,
  reasoningTokens: 0,
  amount: 171n,
  held: 900n,
  prices: { input: 100_000n, cachedInput: 25_000n, cacheWrite: 100_000n, output: 400_000n },
  retries: 1,
}

const failed: JournalEntry = {
  kind: 'inference',
  sequence: 3,
  previous: sha256(encodeBody(journalEntryShape, bought)),
  recordedAtMs: NOW_MS + 1,
  requestId: 'req-3',
  direction: 'local',
  endpoint: 'count_tokens',
  dialect: 'anthropic-messages',
  stream: 'no',
  requestedModel: 'nobody-has-it',
  resolvedModel: 'nobody-has-it',
  status: 'failed',
  httpStatus: 404,
  error: 'model_not_found',
  tokenSource: 'absent',
  durationMs: 1,
  retries: 0,
}

const repeated: JournalEntry = {
  ...local,
  sequence: 4,
  previous: sha256(encodeBody(journalEntryShape, failed)),
  requestId: 'req-4',
  endpoint: 'messages',
  dialect: 'anthropic-messages',
  providerDialect: 'openai-chat',
  retryOf: 'req-3',
}

/** @returns the vectors of the ledger */
export function ledgerVectors(): VectorFile {
  const entry = (name: string, value: JournalEntry): Case => {
    const bytes = encodeBody(journalEntryShape, value)
    return {
      name,
      check: 'read',
      rule: 'journal-entry',
      value: reading(value),
      bytes: toHex(bytes),
      digest: toHex(sha256(bytes)),
    }
  }
  const wrong = (name: string, changes: Readonly<Record<string, Uint8Array | undefined>>): Case =>
    unreadable(name, 'journal-entry', alteredBody({ ...local }, changes))
  return {
    protocol: 'ledger/1',
    accept: [
      entry('the first entry, of a local inference', local),
      entry('the entry of a purchase', bought),
      entry('a turn that was asked again, and translated', repeated),
      entry('the entry of a failure', failed),
      readable('where an account stands', 'account-head', accountHeadShape, accountHead),
      accepted('the first checkpoint', CHECKPOINT, checkpointOf([], 0), KEYS.seller),
      accepted(
        'a later checkpoint',
        CHECKPOINT,
        checkpointOf([accountHead], 3, { sequence: 2, previous: digestOf('the first') }),
        KEYS.seller,
      ),
      ...merkleTrees(),
      ...acceptedProofs(),
      ...acceptedExports(),
    ],
    reject: [
      wrong('an entry of another kind', { kind: encode('payment') }),
      wrong('a count that is null', { inputTokens: encode(null) }),
      wrong('a count that is a float', { durationMs: raw('fb3ff8000000000000') }),
      wrong('an amount below zero', { amount: raw('20') }),
      wrong('an entry that holds a prompt', { prompt: encode('hello') }),
      wrong('an entry without its time', { recordedAtMs: undefined }),
      wrong('prices without one', { prices: encode({ input: 1, cachedInput: 1, output: 1 }) }),
      wrong('a request id of 129 bytes', { requestId: encode('r'.repeat(129)) }),
      ...rejectedProofs(),
      ...rejectedExports(),
    ],
  }
}
