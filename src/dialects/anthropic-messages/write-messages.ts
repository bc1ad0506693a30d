/**
 * Writes the turns of a conversation as Messages takes them: `system` first, then user and assistant in turn, beginning with
 * the user; all results of an assistant's calls, and nothing before them, in the user message that follows; no empty text.
 */
import type { RequestWriting } from '../conversation/contract.ts'
import type { Part, ToolResultPart, Turn } from '../conversation/conversation.ts'
import { missingResult, orphanBlocks, resultBlock, writeBlock, type Block } from './write-blocks.ts'

const DIALECT = 'anthropic-messages'

/** What the user says where somebody has to and nobody did. */
const OPENING = 'Begin.'

export interface Message {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: Block[]
}

export interface WrittenMessages {
  readonly system: Block[]
  readonly messages: readonly Message[]
}

/** A call of the last assistant message. */
interface OpenCall {
  /** The id the client gave it, as the target is shown it. */
  readonly id: string
  /** The id it goes by: its own in the whole conversation. */
  readonly writtenId: string
  result?: Block
}

/** Writes all turns. @throws TokError `translation_refused` */
export function writeMessages(turns: readonly Turn[], writing: RequestWriting): WrittenMessages {
  const writer = new MessagesWriter(writing)
  for (const turn of turns) writer.add(turn)
  return writer.finish()
}

class MessagesWriter {
  readonly #writing: RequestWriting
  readonly #system: Block[] = []
  readonly #messages: Message[] = []
  /** System texts that are to stand behind the user's present turn. */
  #waiting: Block[] = []
  #calls: OpenCall[] = []
  /** The user message behind the last assistant message. */
  #answering: Message | undefined
  readonly #usedIds = new Set<string>()

  constructor(writing: RequestWriting) {
    this.#writing = writing
  }

  add({ role, parts, extras }: Turn): void {
    this.#writing.losses.dropExtras(extras, DIALECT, {
      'openai-chat': 'messages[]',
      'openai-responses': 'input[]',
      'anthropic-messages': 'messages[]',
    })
    if (role === 'assistant') this.#addAssistant(parts)
    else if (role === 'user') this.#addUser(parts)
    else this.#addSystem(parts)
  }

  finish(): WrittenMessages {
    this.#closeUserTurn()
    dropUnfinishedThinking(this.#messages)
    const messages = merged(this.#messages)
    const [first] = messages
    if (first?.role !== 'user') messages.unshift({ role: 'user', content: [{ type: 'text', text: OPENING }] })
    trimEnd(messages.at(-1))
    return { system: this.#system, messages }
  }

  #addSystem(parts: readonly Part[]): void {
    const isLeading = this.#messages.length === 0
    const takesSystem = this.#writing.profile.takesSystemAnywhere
    for (const block of this.#blocksOf(parts)) {
      if (block['type'] !== 'text') this.#user().content.push(block)
      else if (isLeading) this.#system.push(block)
      else if (takesSystem) this.#waiting.push(block)
      else this.#user().content.push(reminder(block))
    }
  }

  #addUser(parts: readonly Part[]): void {
    for (const part of parts) {
      if (part.kind === 'tool-result') this.#addResult(part)
      else for (const block of this.#blocksOf([part])) this.#user().content.push(block)
    }
  }

  #addAssistant(parts: readonly Part[]): void {
    const blocks = this.#blocksOf(parts)
    if (blocks.length === 0) return
    let message = this.#messages.at(-1)
    if (message?.role !== 'assistant' || this.#waiting.length > 0) {
      this.#closeUserTurn()
      message = { role: 'assistant', content: [] }
      this.#messages.push(message)
    }
    for (const block of blocks) {
      if (block['type'] === 'tool_use') this.#openCall(block)
      message.content.push(block)
    }
  }

  #openCall(block: Block): void {
    const id = String(block['id'])
    let writtenId = id
    for (let count = 2; this.#usedIds.has(writtenId); count += 1) {
      const ending = `_${count}`
      writtenId = id.slice(0, this.#writing.profile.callIdCharactersMax - ending.length) + ending
    }
    this.#usedIds.add(writtenId)
    block['id'] = writtenId
    this.#calls.push({ id, writtenId })
  }

  /** The last of several results counts, unless as many calls have that id. */
  #addResult(part: ToolResultPart): void {
    const id = this.#writing.bridge.wireCallIdOf(part.callId)
    const call =
      this.#calls.find((each) => each.id === id && each.result === undefined) ??
      this.#calls.findLast((each) => each.id === id)
    if (call === undefined) this.#user().content.push(...orphanBlocks(part, this.#writing))
    else {
      call.result = resultBlock(part, call.writtenId, this.#writing)
      this.#user()
    }
  }

  /** The user message to go on with; results of calls are put into it when the turn is over. */
  #user(): Message {
    const last = this.#messages.at(-1)
    if (last?.role === 'user') return last
    const message: Message = { role: 'user', content: [] }
    this.#messages.push(message)
    this.#answering ??= message
    return message
  }

  /** What has to stand between the user's turn and the assistant's next one: results first, system texts last. */
  #closeUserTurn(): void {
    if (this.#calls.length > 0) {
      const results = this.#calls.map(({ writtenId, result }) => result ?? missingResult(writtenId))
      const message = this.#answering ?? this.#user()
      message.content.unshift(...results)
    }
    this.#calls = []
    const texts = this.#waiting
    this.#waiting = []
    if (texts.length > 0) {
      if (this.#messages.at(-1)?.role === 'user') this.#messages.push({ role: 'system', content: texts })
      else this.#user().content.push(...texts.map(reminder))
    }
    this.#answering = undefined
  }

  #blocksOf(parts: readonly Part[]): readonly Block[] {
    return parts.flatMap((part) => {
      if (part.kind === 'tool-result') return []
      const block = writeBlock(part, this.#writing)
      return block === undefined ? [] : [block]
    })
  }
}

/** A system text as part of a user's turn, in the form by which Anthropic's own clients mark them. */
function reminder(block: Block): Block {
  const text = String(block['text'])
  return text.trimStart().startsWith('<system-reminder>')
    ? block
    : { ...block, text: `<system-reminder>\n${text}\n</system-reminder>` }
}

/** A message that ends with thinking is refused: what it led to is not there. */
function dropUnfinishedThinking(messages: readonly Message[]): void {
  for (const { role, content } of messages) {
    if (role !== 'assistant') continue
    while (isThinking(content.at(-1))) content.pop()
  }
}

export function isThinking(block: Block | undefined): boolean {
  return block?.['type'] === 'thinking' || block?.['type'] === 'redacted_thinking'
}

/** Without empty messages, and without two of one role in a row. */
function merged(messages: readonly Message[]): Message[] {
  const result: Message[] = []
  for (const message of messages) {
    if (message.content.length === 0) continue
    const last = result.at(-1)
    if (last?.role === message.role) last.content.push(...message.content)
    else result.push(message)
  }
  return result
}

/** Text that the model is to go on from must not end in white space. */
function trimEnd(last: Message | undefined): void {
  const block = last?.content.at(-1)
  if (last?.role === 'assistant' && block?.['type'] === 'text') block['text'] = String(block['text']).trimEnd()
}
