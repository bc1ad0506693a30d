/**
 * Embeddings of the built-in model: unit vectors made of a digest, so that equal inputs give equal vectors and
 * different ones do not. They mean nothing.
 */
import { sha256, utf8 } from '../base/bytes.ts'
import { TokError } from '../base/errors.ts'
import { asCount, type JsonObject } from '../dialects/json-value.ts'

const DEFAULT_DIMENSIONS = 8
const DIMENSIONS_MAX = 4_096
/** As OpenAI's own limit. */
const INPUTS_MAX = 2_048
/** Of all vectors of an answer: they are made within one turn of the event loop. */
const VALUES_MAX = 262_144

/**
 * The body of an answer of `/v1/embeddings`, with floats or base64 as asked.
 * @throws TokError `body_malformed` without any input, or with more than one turn of the event loop has time for.
 */
export function embeddingsAnswer(request: JsonObject, inputTokens: number): Uint8Array {
  const inputs = readInputs(request['input'])
  if (inputs.length === 0) throw new TokError('body_malformed', { reason: '"input" is missing' })
  const dimensions = Math.min(asCount(request['dimensions']) ?? DEFAULT_DIMENSIONS, DIMENSIONS_MAX)
  if (inputs.length > INPUTS_MAX || inputs.length * dimensions > VALUES_MAX) {
    const reason = `loopback embeds ${INPUTS_MAX} inputs and ${VALUES_MAX} dimensions in all at most`
    throw new TokError('body_malformed', { reason })
  }
  const isBase64 = request['encoding_format'] === 'base64'
  const data = inputs.map((input, index) => {
    const vector = embed(JSON.stringify(input), dimensions)
    return { object: 'embedding', index, embedding: isBase64 ? toBase64(vector) : [...vector] }
  })
  const usage = { prompt_tokens: inputTokens, total_tokens: inputTokens }
  return utf8(JSON.stringify({ object: 'list', data, model: request['model'], usage }))
}

/** One text, one list of token numbers, or a list of either. */
function readInputs(input: unknown): readonly unknown[] {
  if (typeof input === 'string') return [input]
  if (!Array.isArray(input)) return []
  return typeof input[0] === 'number' ? [input] : input
}

function embed(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  let digest = sha256(utf8(text))
  for (let index = 0; index < dimensions; index += 1) {
    const byte = index % digest.length
    if (byte === 0 && index > 0) digest = sha256(digest)
    vector[index] = (digest[byte] ?? 0) - 127.5
  }
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer).toString('base64')
}
