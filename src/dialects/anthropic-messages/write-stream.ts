/**
 * Writes a stream of Messages: message_start, for each block content_block_start, its deltas and content_block_stop, then
 * message_delta and message_stop. Clients insist on it: no block inside another, deltas of the block's own kind, indexes
 * without a gap, the signature last, an `event:` line for each.
 */
import { UNKNOWN_USAGE, type TokenUsage } from '../answer-tally.ts'
import type { AnswerEvent, Block, Stop } from '../conversation/answer.ts'
import { createCallIds } from '../conversation/call-ids.ts'
import type { AnswerWriting, StreamWriter } from '../conversation/contract.ts'
import type { Native, OpaqueState } from '../conversation/conversation.ts'
import type { JsonObject } from '../json-value.ts'
import { errorEvent } from '../error-reply.ts'
import {
  callHead,
  citationOf,
  hiddenThinking,
  measuredUsage,
  messageHead,
  signatureOf,
  webSearchOf,
} from './answer-content.ts'
import { writeStop } from './stop-reason.ts'
import { writeUsage } from './usage.ts'

const DIALECT = 'anthropic-messages'

const PING = eventText('ping', { type: 'ping' })

/** Type of the deltas of a block, and the member that holds their text. */
const DELTAS = {
  text: ['text_delta', 'text'],
  refusal: ['text_delta', 'text'],
  reasoning: ['thinking_delta', 'thinking'],
  'tool-call': ['input_json_delta', 'partial_json'],
  native: ['text_delta', 'text'],
} as const satisfies Record<Block['kind'], readonly [string, string]>

/** Makes the writer of one answer. */
export function createStreamWriter(writing: AnswerWriting): StreamWriter {
  return new MessageStreamWriter(writing)
}

/** A class: one hidden class for all answers. */
class MessageStreamWriter implements StreamWriter {
  readonly #writing: AnswerWriting
  readonly #ownCallId = createCallIds()
  #hasStarted = false
  #isOver = false
  /** Blocks shown so far. */
  #count = 0
  /** The open block of the hub; texts and thinking are shown from their first character on. */
  #block: Block | undefined
  #isShown = false
  /** All of a delta before its text. */
  #deltaHead = ''
  #characters = 0
  #held = { toolCalls: false, refusals: false }

  constructor(writing: AnswerWriting) {
    this.#writing = writing
  }

  write(event: AnswerEvent): string {
    if (this.#isOver) return ''
    switch (event.type) {
      case 'delta':
        return this.#delta(event.text)
      case 'start':
        return this.#start(event.usage)
      case 'block':
        return this.#start() + this.#close() + this.#open(event.block)
      case 'annotation':
        return this.#annotation(event.native)
      case 'block-end':
        return this.#close(event.native)
      case 'ping':
        return PING
      case 'end':
        return this.#start() + this.#close() + this.#end(event.stop, event.usage)
      case 'error':
        this.#isOver = true
        return Buffer.from(errorEvent(DIALECT, event.error, this.#writing.answerId)).toString()
    }
  }

  /** Some clients read no other input count than this one, and most providers tell theirs at the end only: see message_delta. */
  #start(usage: TokenUsage = UNKNOWN_USAGE): string {
    if (this.#hasStarted) return ''
    this.#hasStarted = true
    const inputTokens = usage.inputTokens ?? this.#writing.estimateInput()
    const message = {
      ...messageHead(this.#writing),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      stop_details: null,
      usage: writeUsage({ ...usage, inputTokens }),
    }
    return eventText('message_start', { type: 'message_start', message })
  }

  #open(block: Block): string {
    this.#block = block
    this.#isShown = false
    switch (block.kind) {
      case 'native':
        return this.#native(block.native, block.type, block.text)
      case 'tool-call':
        this.#held.toolCalls = true
        return (
          this.#show(callHead(block, this.#count, this.#writing, this.#ownCallId)) +
          this.#inputStart(block) +
          this.#delta(block.input)
        )
      case 'refusal':
        this.#held.refusals = true
        return this.#delta(block.text)
      default:
        return this.#delta(block.text)
    }
  }

  #delta(text: string): string {
    const block = this.#block
    if (block === undefined || text === '') return ''
    this.#characters += text.length
    const opening = this.#isShown
      ? ''
      : this.#show(
          block.kind === 'reasoning' ? { type: 'thinking', thinking: '', signature: '' } : { type: 'text', text: '' },
        )
    return opening + this.#deltaText(isFreeform(block) ? JSON.stringify(text).slice(1, -1) : text)
  }

  #deltaText(text: string): string {
    return `${this.#deltaHead}${JSON.stringify(text)}}}\n\n`
  }

  /** The text of a freeform call is the one member of its input. */
  #inputStart(block: Block): string {
    return isFreeform(block) ? this.#deltaText('{"input":"') : ''
  }

  #show(block: JsonObject): string {
    const [type, member] = DELTAS[this.#block?.kind ?? 'text']
    this.#isShown = true
    this.#deltaHead = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${this.#count},"delta":{"type":"${type}","${member}":`
    return eventText('content_block_start', { type: 'content_block_start', index: this.#count, content_block: block })
  }

  /** A block of Anthropic's servers as it is, a web search of another's as one of Anthropic's, any other's text. */
  #native(native: Native, type: string, text: string | undefined): string {
    if (native.dialect === DIALECT) return this.#show(native.value)
    const search = webSearchOf(native, this.#count, this.#writing)
    if (search !== undefined) {
      const input = { type: 'input_json_delta', partial_json: JSON.stringify(search.input) }
      return this.#show(search.use) + this.#blockDelta(input) + this.#stop() + this.#show(search.result)
    }
    if (text !== undefined && text !== '') return this.#delta(text)
    this.#writing.losses.drop(`content[].${type}`)
    return ''
  }

  #annotation(native: Native): string {
    const citation = this.#block?.kind === 'text' && this.#isShown ? citationOf(native) : undefined
    if (citation === undefined) {
      this.#writing.losses.drop('content[].citations')
      return ''
    }
    return this.#blockDelta({ type: 'citations_delta', citation })
  }

  #blockDelta(delta: JsonObject): string {
    return eventText('content_block_delta', { type: 'content_block_delta', index: this.#count, delta })
  }

  #close(native?: OpaqueState): string {
    const block = this.#block
    if (block === undefined) return ''
    this.#block = undefined
    let ending = ''
    if (block.kind === 'reasoning') ending = this.#thinkingEnd(native ?? block.native)
    if (isFreeform(block)) ending = this.#deltaText('"}')
    if (!this.#isShown) return ''
    return ending + this.#stop()
  }

  #stop(): string {
    const text = `event: content_block_stop\ndata: {"type":"content_block_stop","index":${this.#count}}\n\n`
    this.#count += 1
    return text
  }

  #thinkingEnd(native: OpaqueState | undefined): string {
    if (this.#isShown) {
      return this.#blockDelta({ type: 'signature_delta', signature: signatureOf(native, this.#writing) })
    }
    const hidden = hiddenThinking(native, this.#writing)
    return hidden === undefined ? '' : this.#show(hidden)
  }

  #end(stop: Stop, usage: TokenUsage): string {
    this.#isOver = true
    const delta = {
      type: 'message_delta',
      delta: writeStop(stop, this.#held),
      usage: writeUsage(measuredUsage(usage, this.#characters, this.#writing)),
    }
    return eventText('message_delta', delta) + eventText('message_stop', { type: 'message_stop' })
  }
}

function isFreeform(block: Block): boolean {
  return block.kind === 'tool-call' && block.toolKind === 'custom'
}

function eventText(name: string, value: JsonObject): string {
  return `event: ${name}\ndata: ${JSON.stringify(value)}\n\n`
}
