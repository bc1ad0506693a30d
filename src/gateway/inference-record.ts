/**
 * One inference of a client of this node, as the journal keeps it. Pure: what was seen in, the record out.
 */
import type { AnswerMeter } from '../dialects/answer-meter.ts'
import type { TokenUsage } from '../dialects/answer-tally.ts'
import { ENDPOINTS, type Dialect, type Endpoint } from '../dialects/dialect.ts'
import type { InferenceRecord } from '../wire/journal.ts'
import { LIMITS } from '../wire/registry.ts'
import { cutToWireText, isWireText } from '../wire/shape.ts'

/** What the gateway saw of one inference. */
export interface InferenceFacts {
  readonly requestId: string
  readonly endpoint: Endpoint
  readonly stream: boolean
  readonly requestedModel: string
  readonly resolvedModel: string
  /** Who answered, or was last asked; undefined if nobody was. */
  readonly target: { readonly name: string; readonly kind: 'local' | 'network'; readonly dialect: Dialect } | undefined
  readonly status: InferenceRecord['status']
  /** The status the client was given. */
  readonly httpStatus: number | undefined
  readonly errorCode: string | undefined
  /** Undefined if nothing was answered, and for counting tokens, which uses none. */
  readonly meter: AnswerMeter | undefined
  /** What the provider said of its tokens, where the answer's bytes may say more; undefined to take it from them. */
  readonly usage: TokenUsage | undefined
  readonly firstByteMs: number | undefined
  readonly durationMs: number
  readonly retries: number
  readonly retryOf: string | undefined
}

/** The record of `facts`. A count that neither the provider gave nor the bytes show is left out. */
export function recordOf(facts: InferenceFacts): InferenceRecord {
  const { meter, target } = facts
  const { dialect } = ENDPOINTS[facts.endpoint]
  return {
    requestId: facts.requestId,
    direction: target?.kind === 'network' ? 'bought' : 'local',
    endpoint: ENDPOINTS[facts.endpoint].recordedAs,
    dialect,
    providerDialect: target?.dialect === dialect ? undefined : target?.dialect,
    stream: facts.stream ? 'yes' : 'no',
    requestedModel: facts.requestedModel,
    resolvedModel: cutToWireText(facts.resolvedModel, LIMITS.modelNameBytes),
    servedModel: fitting(meter?.model),
    target: target?.name,
    status: facts.status,
    httpStatus: facts.httpStatus,
    error: facts.errorCode,
    ...tokensOf(facts),
    firstByteMs: facts.firstByteMs === undefined ? undefined : Math.round(facts.firstByteMs),
    durationMs: Math.round(facts.durationMs),
    retries: facts.retries,
    retryOf: facts.retryOf,
  }
}

function tokensOf({
  meter,
  usage = meter?.usage,
}: InferenceFacts): Pick<InferenceRecord, 'tokenSource' | 'outputTokens'> {
  if (meter === undefined || usage === undefined) return { tokenSource: 'absent' }
  if (usage.inputTokens !== undefined || usage.outputTokens !== undefined) return { ...usage, tokenSource: 'provider' }
  if (meter.textBytes > 0) return { tokenSource: 'counted', outputTokens: meter.countedOutputTokens }
  return { tokenSource: 'absent' }
}

/** A provider's own word for the model, unless no record can hold it. */
function fitting(model: string | undefined): string | undefined {
  return model !== undefined && isWireText(model, LIMITS.modelNameBytes) ? model : undefined
}
