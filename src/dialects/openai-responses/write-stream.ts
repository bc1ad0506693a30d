/**
 * An answer as the events of a Responses stream, in the vendor's order. What the last event holds is the whole answer
 * (write-reply.ts), so that both say the same.
 *
 *   created in_progress (item.added ... item.done)* completed | incomplete | failed
 *
 * An item is done when the next one begins or the answer ends: only then is it known to be complete, and a client never runs a
 * call that was cut off. Source: the types of the `openai` SDK (`ResponseStreamEvent`), and what Codex insists on.
 */
import { TokError } from '../../base/errors.ts'
import type { TokenUsage } from '../answer-tally.ts'
import type { AnswerEvent, Block, Stop } from '../conversation/answer.ts'
import { createCallIds } from '../conversation/call-ids.ts'
import type { AnswerWriting, StreamWriter } from '../conversation/contract.ts'
import type { Native, NativePart, ToolCallPart } from '../conversation/conversation.ts'
import { sealState } from '../conversation/opaque-state.ts'
import { responseError } from '../error-reply.ts'
import { asObject, asText, type JsonObject } from '../json-value.ts'
import type { ProviderError } from '../provider-error.ts'
import { createOpenItem, type ItemPlace, type ItemStatus, type OpenItem } from './open-items.ts'
import { createResponseObject, type ResponseObject } from './response-object.ts'
import { writeUsage } from './usage.ts'

/** No event, but a sign of life; passed-through streams get the same. */
const KEEP_ALIVE = ': keep-alive\n\n'

/** `response.completed` repeats all of an answer: more text than this is held of none, in UTF-16 units. */
const ANSWER_CHARACTERS_MAX = 33_554_432

type OpenBlock = Exclude<Block, { kind: 'native' }>

/** Writes the stream of one answer. */
export class ResponseStreamWriter implements StreamWriter {
  readonly #writing: AnswerWriting
  readonly #response: ResponseObject
  readonly #output: JsonObject[] = []
  #sequenceNumber = 0
  #itemsBegun = 0
  #item: OpenItem | undefined
  /** The open block, while it has shown nothing: one that never does leaves no trace. */
  #pending: OpenBlock | undefined
  readonly #ownCallId = createCallIds()
  #charactersHeld = 0
  #isStarted = false
  #hasRefusal = false
  /** The whole answer, after `end`. */
  whole: JsonObject | undefined

  constructor(writing: AnswerWriting, response = createResponseObject(writing)) {
    this.#writing = writing
    this.#response = response
  }

  write(event: AnswerEvent): string {
    switch (event.type) {
      case 'start':
        return this.#start()
      case 'block':
        return this.#start() + this.#endBlock() + this.#openBlock(event.block)
      case 'delta':
        return this.#append(event.text)
      case 'annotation':
        return this.#show() + (this.#item?.annotate(event.native) ?? '')
      case 'block-end':
        return this.#endBlock(event)
      case 'ping':
        return KEEP_ALIVE
      case 'end':
        return this.#start() + this.#endBlock() + this.#end(event.stop, event.usage)
      case 'error':
        return this.#start() + this.#fail(event.error)
    }
  }

  #event(type: string, members: string): string {
    const sequenceNumber = this.#sequenceNumber
    this.#sequenceNumber += 1
    return `event: ${type}\ndata: {"type":"${type}","sequence_number":${sequenceNumber},${members}}\n\n`
  }

  #start(): string {
    if (this.#isStarted) return ''
    this.#isStarted = true
    const response = `"response":${this.#response.json({ status: 'in_progress', output: [], usage: null })}`
    return this.#event('response.created', response) + this.#event('response.in_progress', response)
  }

  #openBlock(block: Block): string {
    if (block.kind === 'native') return this.#writeNative(block)
    this.#pending = block
    const shown = block.kind === 'tool-call' ? this.#show() : ''
    return shown + this.#append(block.kind === 'tool-call' ? block.input : block.text)
  }

  #append(text: string): string {
    if (text === '') return ''
    this.#charactersHeld += text.length
    if (this.#charactersHeld > ANSWER_CHARACTERS_MAX) {
      throw new TokError('provider_broken', { provider: this.#writing.model, reason: 'its answer is too long' })
    }
    const shown = this.#show()
    return shown + (this.#item?.append(text) ?? '')
  }

  /** Opens what the open block goes into, unless that is done. */
  #show(): string {
    const block = this.#pending
    if (block === undefined) return ''
    this.#pending = undefined
    if (block.kind === 'refusal') this.#hasRefusal = true
    if (this.#item?.takes(block) === true) return this.#item.open(block)
    const finished = this.#finishItem('completed')
    const place = this.#nextPlace()
    this.#item = createOpenItem(block.kind === 'tool-call' ? this.#withOwnId(block) : block, place)
    return finished + this.#item.open(block)
  }

  #withOwnId(call: ToolCallPart): ToolCallPart {
    return { ...call, callId: this.#ownCallId(call.callId) }
  }

  #nextPlace(): ItemPlace {
    const { answerId, seal, losses } = this.#writing
    const index = this.#itemsBegun
    this.#itemsBegun += 1
    return {
      answerId,
      index,
      event: (type, members) => this.#event(type, members),
      carry: (state) =>
        state.dialect === 'openai-responses'
          ? (asText(state.value['encrypted_content']) ?? null)
          : sealState(seal, state),
      dropAnnotation: () => losses.drop('output[].content[].annotations'),
    }
  }

  #endBlock({ native }: Pick<AnswerEvent & { type: 'block-end' }, 'native'> = {}): string {
    const pending = this.#pending
    // Hidden thoughts have nothing to show, but their state must come back.
    const hasState = pending?.kind === 'reasoning' && (native ?? pending.native) !== undefined
    const shown = hasState ? this.#show() : ''
    if (pending !== undefined && !hasState) {
      this.#pending = undefined
      return ''
    }
    return shown + (this.#item?.close(native) ?? '')
  }

  #finishItem(status: ItemStatus): string {
    const item = this.#item
    if (item === undefined) return ''
    this.#item = undefined
    const finished = item.finish(status)
    return finished.events + this.#itemDone(finished.item)
  }

  #itemDone(item: JsonObject): string {
    const index = this.#output.push(item) - 1
    return this.#event('response.output_item.done', `"output_index":${index},"item":${JSON.stringify(item)}`)
  }

  #writeNative({ native, type }: NativePart): string {
    const value = native.dialect === 'openai-responses' ? native.value : webSearchOf(native)
    if (value === undefined) {
      this.#writing.losses.drop(`output[].${type}`)
      return ''
    }
    const finished = this.#finishItem('completed')
    const { answerId, index } = this.#nextPlace()
    const item = asText(value['id']) === undefined ? { id: `ws_${answerId}_${index}`, ...value } : value
    const added = this.#event('response.output_item.added', `"output_index":${index},"item":${JSON.stringify(item)}`)
    return finished + added + this.#itemDone(item)
  }

  #end(stop: Stop, usage: TokenUsage): string {
    const explained = this.#explain(stop)
    const incompleteReason = this.#incompleteReasonOf(stop)
    const status: ItemStatus = incompleteReason === undefined ? 'completed' : 'incomplete'
    const finished = this.#finishItem(status) + this.#sayNothing(status)
    const state = { status, incompleteReason, output: this.#output, usage: writeUsage(usage) }
    this.whole = this.#response.object(state)
    return explained + finished + this.#event(`response.${status}`, `"response":${this.#response.json(state)}`)
  }

  /** What is not done stays so: a client runs no call of an answer that failed. */
  #fail(error: ProviderError): string {
    const state = { status: 'failed', error: responseError(error), output: this.#output, usage: null } as const
    return this.#event('response.failed', `"response":${this.#response.json(state)}`)
  }

  /** What a provider says of its refusal beside the text is the refusal here. */
  #explain({ reason, explanation = '' }: Stop): string {
    if (reason !== 'refusal' || explanation === '' || this.#hasRefusal) return ''
    return this.#openBlock({ kind: 'refusal', text: explanation }) + this.#endBlock()
  }

  #incompleteReasonOf({ reason }: Stop): 'max_output_tokens' | 'content_filter' | undefined {
    if (reason === 'length' || reason === 'context-full') return 'max_output_tokens'
    return reason === 'refusal' && !this.#hasRefusal ? 'content_filter' : undefined
  }

  /** An answer without any item passes for a fault: one that says nothing is a message that says nothing. */
  #sayNothing(status: ItemStatus): string {
    if (this.#output.length > 0) return ''
    this.#pending = { kind: 'text', text: '' }
    return this.#show() + this.#finishItem(status)
  }
}

/** A search of Anthropic's servers as one of OpenAI's. What it found is in the text and its citations. */
function webSearchOf({ dialect, value }: Native): JsonObject | undefined {
  const isSearch =
    dialect === 'anthropic-messages' && value['type'] === 'server_tool_use' && value['name'] === 'web_search'
  if (!isSearch) return undefined
  const query = asText(asObject(value['input'])['query']) ?? ''
  return { type: 'web_search_call', status: 'completed', action: { type: 'search', query, queries: [query] } }
}

/** Makes the writer of one answer's stream. */
export function createStreamWriter(writing: AnswerWriting): StreamWriter {
  return new ResponseStreamWriter(writing)
}
