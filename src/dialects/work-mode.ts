/**
 * Whether a request may go to a target as it is, or translated, and into which dialect. Source: gateway.md section 3.
 */
import { TokError } from '../base/errors.ts'
import { ENDPOINTS, type Dialect, type Endpoint } from './dialect.ts'

/** auto: as it is where the target speaks the dialect, otherwise translated; the other two refuse one of these ways. */
export type WorkMode = 'auto' | 'passthrough' | 'translation'

/** What decides the way to one target. */
export interface WayQuestion {
  readonly endpoint: Endpoint
  /** The model as the client named it. */
  readonly model: string
  /** What the target speaks. */
  readonly dialects: readonly Dialect[]
  /** True for a vendor at its own API, whose newer dialect is its better one. */
  readonly isVendor: boolean
}

/** In which order a dialect is looked for where the client's own is not spoken: what most servers do best. */
const SUBSTITUTES: readonly Dialect[] = ['openai-chat', 'anthropic-messages', 'openai-responses']
/** OpenAI's own Responses keep reasoning between turns, which its Chat cannot. */
const SUBSTITUTES_AT_VENDOR: readonly Dialect[] = ['openai-responses', 'openai-chat', 'anthropic-messages']

/**
 * The dialect to ask a target in.
 * @returns the dialect, or the error that says why the target is out: `work_mode_mismatch`, or `endpoint_unsupported` where
 *   there is nothing to translate into
 */
export function chooseDialect(question: WayQuestion, workMode: WorkMode): Dialect | TokError {
  const { endpoint, dialects, isVendor } = question
  const { dialect } = ENDPOINTS[endpoint]
  if (dialects.includes(dialect)) return workMode === 'translation' ? mismatch(question, workMode, dialect) : dialect
  const substitute = (isVendor ? SUBSTITUTES_AT_VENDOR : SUBSTITUTES).find((other) => dialects.includes(other))
  if (substitute === undefined) return unsupported(endpoint)
  if (workMode === 'passthrough') return mismatch(question, workMode, substitute)
  return isTranslatable(endpoint) ? substitute : unsupported(endpoint)
}

function unsupported(endpoint: Endpoint): TokError {
  const target = 'whoever has this model'
  return new TokError('endpoint_unsupported', { target, endpoint: ENDPOINTS[endpoint].path })
}

/** True for endpoints that generate: embeddings and counts have no other form. */
function isTranslatable(endpoint: Endpoint): boolean {
  return endpoint !== 'embeddings' && endpoint !== 'count_tokens'
}

function mismatch({ endpoint, model }: WayQuestion, workMode: WorkMode, spoken: Dialect): TokError {
  const { vendor, dialect } = ENDPOINTS[endpoint]
  const spokenVendor = spoken === 'anthropic-messages' ? 'anthropic' : 'openai'
  if (workMode === 'translation') {
    return new TokError('work_mode_mismatch', {
      reason:
        'work_mode=translation does not support passthrough ' +
        `(endpoint=${endpoint} and model=${model} both use ${vendor} provider)`,
      other: 'passthrough',
    })
  }
  // Two dialects of one vendor are told apart by their own names.
  const [expected, actual] = vendor === spokenVendor ? [dialect, spoken] : [vendor, spokenVendor]
  return new TokError('work_mode_mismatch', {
    reason:
      'work_mode=passthrough does not support translation ' +
      `(endpoint=${endpoint} expects ${expected} provider, but model=${model} routes to ${actual} provider)`,
    other: 'translation',
  })
}
