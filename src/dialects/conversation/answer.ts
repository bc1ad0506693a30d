/**
 * The hub's answers: a stream of events, and the whole answer they add up to. A reader of a stream emits events; a reader of
 * a whole answer gives an Answer, which `replayAnswer` turns into the same events. A writer of a stream takes events; a
 * whole answer is written from what `createAnswerFold` added up. So streamed and unstreamed answers cannot differ.
 *
 * Events are serial: a block is closed before the next one opens, whatever the provider did (serial-blocks.ts).
 *
 *   start (block delta* block-end)* end      or, at any point, error, which is the last
 */
import type { TokenUsage } from '../answer-tally.ts'
import { UNKNOWN_USAGE } from '../answer-tally.ts'
import { DIALECTS } from '../dialect.ts'
import { asList, asObject } from '../json-value.ts'
import type { ProviderError } from '../provider-error.ts'
import type {
  Extras,
  Native,
  NativePart,
  OpaqueState,
  ReasoningPart,
  RefusalPart,
  TextPart,
  ToolCallPart,
} from './conversation.ts'

/** A citation or annotation, as its dialect writes it. */
type Annotation = Native

/** What an answer is made of: parts of an assistant turn. */
export type Block = TextPart | RefusalPart | ReasoningPart | ToolCallPart | NativePart

/** Why an answer ended. */
export interface Stop {
  readonly reason:
    | 'end'
    | 'stop-sequence'
    | 'tool-calls'
    | 'length'
    | 'context-full'
    | 'refusal'
    | 'pause'
    | 'compaction'
  /** The stop sequence that was hit, where it is known. */
  readonly sequence?: string | undefined
  /** What a refusal says, where it says something outside the text. */
  readonly explanation?: string | undefined
}

/** A whole answer. */
export interface Answer {
  /** The provider's id. */
  readonly id: string | undefined
  /** The model that answered, as the provider names it. */
  readonly model: string | undefined
  readonly blocks: readonly Block[]
  readonly usage: TokenUsage
  readonly stop: Stop
  readonly extras: Extras
}

/** An event of an answer. */
export type AnswerEvent =
  | {
      readonly type: 'start'
      readonly id?: string | undefined
      readonly model?: string | undefined
      /** What is known of the input side at the start. */
      readonly usage?: TokenUsage | undefined
    }
  /** Opens a block; its text or input is what came with the opening, usually "". */
  | { readonly type: 'block'; readonly block: Block }
  /** More of the open block: text, refusal, reasoning text, or a tool call's input. Never "". */
  | { readonly type: 'delta'; readonly text: string }
  /** Something beside the text of the open block that its own dialect knows: a citation, an annotation. */
  | { readonly type: 'annotation'; readonly native: Annotation }
  /** Closes the open block; reasoning gets its opaque state here at the latest. */
  | { readonly type: 'block-end'; readonly native?: OpaqueState | undefined }
  /** The provider is alive. */
  | { readonly type: 'ping' }
  | { readonly type: 'end'; readonly stop: Stop; readonly usage: TokenUsage; readonly extras?: Extras | undefined }
  | { readonly type: 'error'; readonly error: ProviderError }

/** Takes events as they come. */
export type AnswerListener = (event: AnswerEvent) => void

/** Adds events up. */
export interface AnswerFold {
  add(event: AnswerEvent): void
  /** The whole answer after `end`; undefined before, and for ever after `error`. */
  readonly answer: Answer | undefined
  readonly error: ProviderError | undefined
}

/** Makes an adder of one answer's events. */
export function createAnswerFold(): AnswerFold {
  let id: string | undefined
  let model: string | undefined
  const blocks: Block[] = []
  let open: Block | undefined
  let pieces: string[] = []

  const close = (native: OpaqueState | undefined): void => {
    if (open === undefined) return
    blocks.push(closeBlock(open, pieces.join(''), native))
    open = undefined
    pieces = []
  }

  const fold = {
    answer: undefined as Answer | undefined,
    error: undefined as ProviderError | undefined,
    add(event: AnswerEvent) {
      switch (event.type) {
        case 'start':
          id = event.id ?? id
          model = event.model ?? model
          break
        case 'block':
          close(undefined)
          open = event.block
          break
        case 'delta':
          pieces.push(event.text)
          break
        case 'annotation':
          // Whole answers carry annotations in the extras of their block.
          if (open !== undefined) open = annotate(open, event.native)
          break
        case 'block-end':
          close(event.native)
          break
        case 'ping':
          break
        case 'end':
          close(undefined)
          fold.answer = { id, model, blocks, usage: event.usage, stop: event.stop, extras: event.extras ?? {} }
          break
        case 'error':
          fold.error = event.error
          break
      }
    },
  }
  return fold
}

/** Gives the events of a whole answer: one delta for each block that says something. */
export function replayAnswer(answer: Answer, emit: AnswerListener): void {
  emit({ type: 'start', id: answer.id, model: answer.model, usage: { ...answer.usage, outputTokens: undefined } })
  for (const block of answer.blocks) {
    const text = textOf(block)
    emit({ type: 'block', block: emptied(block) })
    if (text !== '') emit({ type: 'delta', text })
    for (const native of annotationsOf(block)) emit({ type: 'annotation', native })
    emit({ type: 'block-end', native: block.kind === 'reasoning' ? block.native : undefined })
  }
  emit({ type: 'end', stop: answer.stop, usage: answer.usage, extras: answer.extras })
}

/** The member of a block's extras that holds its citations or annotations. */
const ANNOTATIONS = 'annotations'

/** A block with what came after its opening; a refusal, text or reasoning grows by its text, a call by its input. */
function closeBlock(block: Block, more: string, native: OpaqueState | undefined): Block {
  switch (block.kind) {
    case 'text':
    case 'refusal':
      return { ...block, text: block.text + more }
    case 'reasoning':
      return { ...block, text: block.text + more, native: native ?? block.native }
    case 'tool-call':
      return { ...block, input: block.input + more }
    case 'native':
      return block
  }
}

function textOf(block: Block): string {
  if (block.kind === 'native') return ''
  return block.kind === 'tool-call' ? block.input : block.text
}

function emptied(block: Block): Block {
  if (block.kind === 'native') return block
  return block.kind === 'tool-call' ? { ...block, input: '' } : { ...block, text: '' }
}

function annotate(block: Block, { dialect, value }: Annotation): Block {
  const own = block.extras?.[dialect] ?? {}
  const annotations = [...asList(own[ANNOTATIONS]), value]
  return { ...block, extras: { ...block.extras, [dialect]: { ...own, [ANNOTATIONS]: annotations } } }
}

/** The citations and annotations of a whole block, each as its dialect writes it. */
export function annotationsOf(block: Block): readonly Annotation[] {
  return DIALECTS.flatMap((dialect) =>
    asList(block.extras?.[dialect]?.[ANNOTATIONS]).map((value) => ({ dialect, value: asObject(value) })),
  )
}

/** An answer of which nothing is known yet but that it ended. */
export const EMPTY_ANSWER: Answer = {
  id: undefined,
  model: undefined,
  blocks: [],
  usage: UNKNOWN_USAGE,
  stop: { reason: 'end' },
  extras: {},
}
