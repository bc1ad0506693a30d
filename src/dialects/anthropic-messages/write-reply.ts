/**
 * Writes a whole Messages answer.
 */
import type { Answer, Block } from '../conversation/answer.ts'
import type { AnswerWriting } from '../conversation/contract.ts'
import { asList, type JsonObject } from '../json-value.ts'
import { callHead, hiddenThinking, measuredUsage, messageHead, signatureOf } from './answer-content.ts'
import { writeStop } from './stop-reason.ts'
import { writeUsage } from './usage.ts'
import { inputOf } from './write-blocks.ts'

const DIALECT = 'anthropic-messages'

/** Writes a whole answer. */
export function writeReply({ blocks, usage, stop }: Answer, writing: AnswerWriting): JsonObject {
  const content: JsonObject[] = []
  let characters = 0
  for (const block of blocks) {
    characters += sizeOf(block)
    const written = writeContent(block, content.length, writing)
    if (written !== undefined) content.push(written)
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

function writeContent(block: Block, index: number, writing: AnswerWriting): JsonObject | undefined {
  switch (block.kind) {
    case 'text':
    case 'refusal': {
      const citations = asList(block.extras?.[DIALECT]?.['annotations'])
      if (block.text === '') return undefined
      return { type: 'text', text: block.text, ...(citations.length > 0 ? { citations } : {}) }
    }
    case 'reasoning':
      if (block.text === '') return hiddenThinking(block.native, writing)
      return { type: 'thinking', thinking: block.text, signature: signatureOf(block.native, writing) }
    case 'tool-call':
      return { ...callHead(block, index, writing), input: inputOf(block.input) }
    case 'native':
      if (block.native.dialect === DIALECT) return block.native.value
      if (block.text !== undefined && block.text !== '') return { type: 'text', text: block.text }
      writing.losses.drop(`content[].${block.type}`)
      return undefined
  }
}

function sizeOf(block: Block): number {
  if (block.kind === 'native') return 0
  return block.kind === 'tool-call' ? block.input.length : block.text.length
}
