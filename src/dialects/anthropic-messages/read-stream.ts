/**
 * Reads a stream of Messages. Blocks do not overlap there, but servers that imitate the dialect are less exact.
 * Source: the types of `@anthropic-ai/sdk`, platform.claude.com ("Streaming messages").
 */
import type { AnswerListener, Stop } from '../conversation/answer.ts'
import type { AnswerReading, StreamReader } from '../conversation/contract.ts'
import { createSerialBlocks, type SerialBlock } from '../conversation/serial-blocks.ts'
import { asList, asObject, asText, isObject, parseObject, type JsonObject } from '../json-value.ts'
import { providerErrorOf, type ProviderError } from '../provider-error.ts'
import { readStop } from './stop-reason.ts'
import { mergeCounts, startCounts, usageOf, type UsageCounts } from './usage.ts'

const DIALECT = 'anthropic-messages'

/** Takes the events of one answer as JSON. */
export interface MessageEvents {
  take(event: JsonObject): void
  /** Nothing more comes. */
  end(): void
}

/** Makes the reader of one stream. */
export function createStreamReader(reading: AnswerReading, emit: AnswerListener): StreamReader {
  const events = createMessageEvents(reading, emit)
  return {
    event({ data }) {
      // Some servers end with the mark of Chat Completions.
      if (data.trim() === '[DONE]') return
      events.take(
        parseObject(data) ?? { type: 'error', error: { message: `not a JSON object: ${data.slice(0, 200)}` } },
      )
    },
    end: () => events.end(),
  }
}

/** A block that is being read. */
interface OpenBlock {
  readonly serial: SerialBlock
  /** As it began. */
  readonly value: JsonObject
  /** Text or input so far, where the end needs all of it. */
  readonly pieces: string[]
  /** What later events set of the block: signature, input, content. */
  set: JsonObject
}

/** Makes the reader of one answer's events; a whole answer is read as the events it would have been (read-reply.ts). */
export function createMessageEvents(reading: AnswerReading, emit: AnswerListener): MessageEvents {
  const { bridge, target, answerId } = reading
  const serialBlocks = createSerialBlocks(emit, target)
  const blocks = new Map<unknown, OpenBlock>()
  let counts: UsageCounts = {}
  let stop: Stop | undefined
  let hasStarted = false
  let isOver = false
  let madeIds = 0

  const start = (message: JsonObject): void => {
    if (hasStarted) return
    hasStarted = true
    counts = startCounts(asObject(message['usage']))
    emit({ type: 'start', id: asText(message['id']), model: asText(message['model']), usage: usageOf(counts) })
  }

  const openBlock = (index: unknown, value: JsonObject): OpenBlock => {
    start({})
    const block: OpenBlock = { serial: serialBlocks.begin(), value, pieces: [], set: {} }
    blocks.set(index, block)
    switch (value['type']) {
      case 'text':
        block.serial.open({ kind: 'text', text: '' })
        break
      case 'thinking':
      case 'redacted_thinking':
        block.serial.open({ kind: 'reasoning', text: '' })
        break
      case 'tool_use': {
        const name = asText(value['name'])
        // A call of no name calls nothing, and would spoil the history it goes into.
        if (name === undefined) break
        const callId = asText(value['id']) ?? `toolu_${answerId}${(madeIds += 1)}`
        block.serial.open({ kind: 'tool-call', ...bridge.toolOf(name), callId, input: '' })
        break
      }
    }
    addText(block, typeof value['text'] === 'string' ? value['text'] : value['thinking'])
    for (const citation of asList(value['citations'])) addCitation(block, citation)
    return block
  }

  const addText = (block: OpenBlock, text: unknown): void => {
    if (typeof text !== 'string' || text === '') return
    if (block.value['type'] === 'thinking') block.pieces.push(text)
    block.serial.append(text)
  }

  const addCitation = ({ serial }: OpenBlock, citation: unknown): void => {
    if (isObject(citation)) serial.annotate({ type: 'annotation', native: { dialect: DIALECT, value: citation } })
  }

  const addInput = (block: OpenBlock, text: unknown): void => {
    if (typeof text !== 'string') return
    const { type, name } = block.value
    const isStreamed = type === 'tool_use' && typeof name === 'string' && !bridge.needsWholeInput(name)
    block.pieces.push(isStreamed ? '' : text)
    if (isStreamed) block.serial.append(text)
  }

  const addDelta = (index: unknown, delta: JsonObject): void => {
    switch (delta['type']) {
      case 'text_delta':
        addText(blocks.get(index) ?? openBlock(index, { type: 'text' }), delta['text'])
        break
      case 'thinking_delta':
        addText(blocks.get(index) ?? openBlock(index, { type: 'thinking' }), delta['thinking'])
        break
      case 'input_json_delta': {
        const block = blocks.get(index)
        if (block !== undefined) addInput(block, delta['partial_json'])
        break
      }
      case 'citations_delta': {
        const block = blocks.get(index)
        if (block !== undefined) addCitation(block, delta['citation'])
        break
      }
      default: {
        const block = blocks.get(index)
        const { type: _, ...members } = delta
        if (block !== undefined) block.set = { ...block.set, ...members }
      }
    }
  }

  const closeBlock = (index: unknown): void => {
    const block = blocks.get(index)
    if (block === undefined) return
    blocks.delete(index)
    const { serial, value, pieces, set } = block
    const text = pieces.join('')
    switch (value['type']) {
      case 'text':
        serial.close()
        break
      case 'thinking': {
        const signature = asText(set['signature']) ?? asText(value['signature']) ?? ''
        serial.close(stateOf({ type: 'thinking', thinking: text, signature }, reading))
        break
      }
      case 'redacted_thinking':
        serial.close(stateOf(value, reading))
        break
      case 'tool_use': {
        const name = asText(value['name']) ?? ''
        // Some servers give the whole input with the opening of its block.
        const whole = pieces.length > 0 ? text : wholeInput(value['input'])
        serial.append(bridge.needsWholeInput(name) ? bridge.inputOf(name, whole) : whole)
        serial.close()
        break
      }
      default: {
        const input = parseObject(text)
        const native = { ...value, ...set, ...(input === undefined ? {} : { input }) }
        const type = asText(value['type']) ?? 'block'
        serial.open({ kind: 'native', native: { dialect: DIALECT, value: native }, type, text: visibleText(native) })
        serial.close()
      }
    }
  }

  const finish = (): void => {
    for (const index of [...blocks.keys()]) closeBlock(index)
    isOver = true
    emit({ type: 'end', stop: stop ?? { reason: 'end' }, usage: usageOf(counts) })
  }

  const fail = (error: ProviderError): void => {
    isOver = true
    emit({ type: 'error', error })
  }

  return {
    take(event) {
      if (isOver) return
      switch (event['type']) {
        case 'message_start':
          start(asObject(event['message']))
          break
        case 'content_block_start':
          closeBlock(event['index'])
          openBlock(event['index'], asObject(event['content_block']))
          break
        case 'content_block_delta':
          addDelta(event['index'], asObject(event['delta']))
          break
        case 'content_block_stop':
          closeBlock(event['index'])
          break
        case 'message_delta': {
          const delta = asObject(event['delta'])
          if (asText(delta['stop_reason']) !== undefined) stop = readStop(delta)
          counts = mergeCounts(counts, asObject(event['usage']))
          break
        }
        case 'message_stop':
          start({})
          finish()
          break
        case 'ping':
          emit({ type: 'ping' })
          break
        case 'error':
          fail(providerErrorOf(event))
          break
      }
    },
    end() {
      if (isOver) return
      // A reason to end is as good as the end itself, which some servers leave out.
      if (stop !== undefined) finish()
      else fail({ status: 502, kind: 'server', message: `the stream of ${target} ended before its last event` })
    },
  }
}

function stateOf(value: JsonObject, { target, model }: AnswerReading): Parameters<SerialBlock['close']>[0] {
  return { dialect: DIALECT, value, source: target, model }
}

/** No input at all says nothing: it stays "", as a call without arguments is streamed. */
function wholeInput(input: unknown): string {
  if (typeof input === 'string') return input
  return isObject(input) && Object.keys(input).length > 0 ? JSON.stringify(input) : ''
}

/** What a block of Anthropic's servers says to a reader, where it says anything. */
function visibleText(value: JsonObject): string | undefined {
  return value['type'] === 'compaction' ? asText(value['content']) : undefined
}
