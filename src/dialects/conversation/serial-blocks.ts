/**
 * Makes blocks serial. Some servers stream two tool calls at once, fragments in turn; the hub's events, and two of the three
 * dialects, know one open block only. Fragments of a later block wait until the earlier ones are closed.
 */
import { TokError } from '../../base/errors.ts'
import type { AnswerListener, Block } from './answer.ts'
import type { OpaqueState } from './conversation.ts'

/** What waits for earlier blocks, in UTF-16 units. */
const WAITING_MAX = 16_777_216

/** One block under construction. */
export interface SerialBlock {
  /** Opens it. What its opening needs (a tool's name) may come later than its first text: text waits for it. */
  open(block: Block): void
  readonly isOpened: boolean
  /** @throws TokError `provider_broken` if more waits than a node holds for one answer */
  append(text: string): void
  annotate(native: Parameters<AnswerListener>[0] & { readonly type: 'annotation' }): void
  /** Nothing more comes. A block that was never opened vanishes. */
  close(native?: OpaqueState): void
}

/** Hands out blocks in the order they began. */
export interface SerialBlocks {
  begin(): SerialBlock
  /** Closes every block that is left. */
  closeAll(): void
}

/** Makes the line for one answer, emitting `block`, `delta`, `annotation` and `block-end`. */
export function createSerialBlocks(emit: AnswerListener, provider: string): SerialBlocks {
  const line: Waiting[] = []
  let waiting = 0

  /** Lets out what the first block has, and goes on to the next where it is closed. */
  const advance = (): void => {
    for (let first = line[0]; first !== undefined; first = line[0]) {
      waiting -= first.flush(emit)
      if (!first.isClosed) return
      line.shift()
    }
  }

  return {
    begin() {
      const block = new Waiting((size) => {
        waiting += size
        advance()
        if (waiting > WAITING_MAX) {
          throw new TokError('provider_broken', {
            provider,
            reason: 'too much of its answer waits for an unfinished part',
          })
        }
      })
      line.push(block)
      return block
    },
    closeAll() {
      for (const block of [...line]) block.close()
    },
  }
}

class Waiting implements SerialBlock {
  readonly #onChange: (size: number) => void
  #block: Block | undefined
  #isEmitted = false
  #isEnded = false
  #pieces: string[] = []
  #annotations: Parameters<SerialBlock['annotate']>[0][] = []
  #native: OpaqueState | undefined
  isClosed = false

  constructor(onChange: (size: number) => void) {
    this.#onChange = onChange
  }

  get isOpened(): boolean {
    return this.#block !== undefined
  }

  open(block: Block): void {
    if (this.#block !== undefined || this.isClosed) return
    this.#block = block
    this.#onChange(0)
  }

  append(text: string): void {
    if (text === '' || this.isClosed) return
    this.#pieces.push(text)
    this.#onChange(text.length)
  }

  annotate(event: Parameters<SerialBlock['annotate']>[0]): void {
    if (this.isClosed) return
    this.#annotations.push(event)
    this.#onChange(0)
  }

  close(native?: OpaqueState): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#native = native
    this.#onChange(0)
  }

  /** Emits what may be emitted; gives the size of the text that no longer waits. */
  flush(emit: AnswerListener): number {
    if (this.#block === undefined) return this.isClosed ? this.#forget() : 0
    if (!this.#isEmitted) {
      this.#isEmitted = true
      emit({ type: 'block', block: this.#block })
    }
    const size = this.#emitText(emit)
    for (const event of this.#annotations.splice(0)) emit(event)
    if (this.isClosed && !this.#isEnded) {
      this.#isEnded = true
      emit({ type: 'block-end', native: this.#native })
    }
    return size
  }

  #emitText(emit: AnswerListener): number {
    const text = this.#pieces.length === 1 ? (this.#pieces[0] ?? '') : this.#pieces.join('')
    this.#pieces.length = 0
    if (text !== '') emit({ type: 'delta', text })
    return text.length
  }

  #forget(): number {
    const size = this.#pieces.reduce((sum, piece) => sum + piece.length, 0)
    this.#pieces.length = 0
    return size
  }
}
