/**
 * Writes a whole Messages answer.
 */
import { annotationsOf, type Answer, type Block } from '../conversation/answer.ts'
import { createCallIds } from '../conversation/call-ids.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import type { ToolCallPart } from '../conversation/conversation.ts'
import type { JsonObject } from '../json-value.ts'
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
import { inputOf } from './write-blocks.ts'

const DIALECT = 'anthropic-messages'

/** Writes a whole answer. */
export function writeReply({ blocks, usage, stop }: Answer, writing: AnswerWriting): JsonObject {
  const content: JsonObject[] = []
  const ownCallId = createCallIds()
  let characters = 0
  for (const block of blocks) {
    characters += sizeOf(block)
    content.push(...writeContent(block, content.length, writing, ownCallId))
  }
  const held = {
    toolCalls: content.some(({ type }) => type === 'tool_use'),
    refusals: blocks.some(({ kind }) => kind === 'refusal'),
  }
  return {
    ...messageHead(writing),
    content,
    ...writeStop(stop, held),
    usage: writeUsage(measuredUsage(usage, characters, writing)),
  }
}

function writeContent(
  block: Block,
  index: number,
  writing: AnswerWriting,
  ownCallId: (callId: string) => string,
): readonly JsonObject[] {
  switch (block.kind) {
    case 'text':
    case 'refusal': {
      if (block.text === '') return []
      const citations = annotationsOf(block).map(citationOf)
      if (citations.includes(undefined)) writing.losses.drop('content[].citations')
      const known = citations.filter((citation) => citation !== undefined)
      return [{ type: 'text', text: block.text, ...(known.length > 0 ? { citations: known } : {}) }]
    }
    case 'reasoning': {
      const { text, native } = block
      if (text !== '') return [{ type: 'thinking', thinking: text, signature: signatureOf(native, writing) }]
      const hidden = hiddenThinking(native, writing)
      return hidden === undefined ? [] : [hidden]
    }
    case 'tool-call':
      return [{ ...callHead(block, index, writing, ownCallId), input: callInput(block) }]
    case 'native': {
      const { native, text, type } = block
      if (native.dialect === DIALECT) return [native.value]
      const search = webSearchOf(native, index, writing)
      if (search !== undefined) return [{ ...search.use, input: search.input }, search.result]
      if (text !== undefined && text !== '') return [{ type: 'text', text }]
      writing.losses.drop(`content[].${type}`)
      return []
    }
  }
}

/** What a call is called with; the text of a freeform one is its one member. */
function callInput({ toolKind, input }: ToolCallPart): JsonObject {
  return toolKind === 'custom' ? { input } : inputOf(input)
}

function sizeOf(block: Block): number {
  if (block.kind === 'native') return 0
  return block.kind === 'tool-call' ? block.input.length : block.text.length
}
