/**
 * The built-in model's answers in the words of each vendor: whole bodies, and event sequences in the vendor's
 * order. Sources: the types of the `openai` and `@anthropic-ai/sdk` packages.
 */

/** What is to be said. */
export interface AnswerPlan {
  /** Hex digits, part of every id. */
  readonly id: string
  readonly model: string
  readonly createdS: number
  /** Joined they are the text. */
  readonly tokens: readonly string[]
  /** True if the request's output limit cut the text. */
  readonly isCut: boolean
  readonly inputTokens: number
  /** Chat streams only: whether the client asked for a last chunk with the counts. */
  readonly includeUsage: boolean
}

/** Text to send, and how many tokens it brings. */
export interface AnswerPiece {
  readonly text: string
  readonly tokens: number
}

type AnsweringEndpoint = 'chat' | 'responses' | 'messages'
type AnswerPieces = Generator<AnswerPiece, undefined>

/** The body of an answer that is not streamed. */
export function wholeAnswer(endpoint: AnsweringEndpoint, plan: AnswerPlan): string {
  switch (endpoint) {
    case 'chat':
      return JSON.stringify({
        ...chatFrame(plan, 'chat.completion'),
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: plan.tokens.join(''), refusal: null },
            logprobs: null,
            finish_reason: chatFinish(plan),
          },
        ],
        usage: chatUsage(plan),
      })
    case 'responses':
      return JSON.stringify(finishedResponse(plan))
    case 'messages':
      return JSON.stringify({
        ...messageFrame(plan),
        content: [{ type: 'text', text: plan.tokens.join('') }],
        stop_reason: messageStop(plan),
        usage: messageUsage(plan, plan.tokens.length),
      })
  }
}

/** The events of a streamed answer, in order. */
export function streamedAnswer(endpoint: AnsweringEndpoint, plan: AnswerPlan): AnswerPieces {
  switch (endpoint) {
    case 'chat':
      return streamChat(plan)
    case 'responses':
      return streamResponse(plan)
    case 'messages':
      return streamMessage(plan)
  }
}

function chatFrame(plan: AnswerPlan, object: string): object {
  return { id: `chatcmpl-${plan.id}`, object, created: plan.createdS, model: plan.model }
}

function chatFinish(plan: AnswerPlan): string {
  return plan.isCut ? 'length' : 'stop'
}

function chatUsage(plan: AnswerPlan): object {
  const output = plan.tokens.length
  return { prompt_tokens: plan.inputTokens, completion_tokens: output, total_tokens: plan.inputTokens + output }
}

function* streamChat(plan: AnswerPlan): AnswerPieces {
  const frame = chatFrame(plan, 'chat.completion.chunk')
  const chunk = (choices: readonly object[], usage: object | null): string => {
    const counts = plan.includeUsage ? { usage } : {}
    return `data: ${JSON.stringify({ ...frame, choices, ...counts })}\n\n`
  }
  const choice = (delta: object, finishReason: string | null): readonly object[] => [
    { index: 0, delta, logprobs: null, finish_reason: finishReason },
  ]
  yield { text: chunk(choice({ role: 'assistant', content: '' }, null), null), tokens: 0 }
  for (const token of plan.tokens) yield { text: chunk(choice({ content: token }, null), null), tokens: 1 }
  yield { text: chunk(choice({}, chatFinish(plan)), null), tokens: 0 }
  if (plan.includeUsage) yield { text: chunk([], chatUsage(plan)), tokens: 0 }
  yield { text: 'data: [DONE]\n\n', tokens: 0 }
}

function responseFrame(plan: AnswerPlan): object {
  return {
    id: `resp_${plan.id}`,
    object: 'response',
    created_at: plan.createdS,
    status: 'in_progress',
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: {},
    model: plan.model,
    output: [],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    usage: null,
  }
}

function finishedResponse(plan: AnswerPlan): object {
  const output = plan.tokens.length
  return {
    ...responseFrame(plan),
    status: plan.isCut ? 'incomplete' : 'completed',
    incomplete_details: plan.isCut ? { reason: 'max_output_tokens' } : null,
    output: [responseItem(plan)],
    usage: {
      input_tokens: plan.inputTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: plan.inputTokens + output,
    },
  }
}

function responseItem(plan: AnswerPlan): object {
  const status = plan.isCut ? 'incomplete' : 'completed'
  return { id: `msg_${plan.id}`, type: 'message', status, role: 'assistant', content: [responsePart(plan.tokens)] }
}

function responsePart(tokens: readonly string[]): object {
  return { type: 'output_text', text: tokens.join(''), annotations: [], logprobs: [] }
}

function* streamResponse(plan: AnswerPlan): AnswerPieces {
  let sequenceNumber = 0
  const event = (type: string, members: object, tokens = 0): AnswerPiece => {
    const value = { type, sequence_number: sequenceNumber, ...members }
    sequenceNumber += 1
    return { text: `event: ${type}\ndata: ${JSON.stringify(value)}\n\n`, tokens }
  }
  const item = responseItem(plan)
  const place = { item_id: `msg_${plan.id}`, output_index: 0, content_index: 0 }
  yield event('response.created', { response: responseFrame(plan) })
  yield event('response.in_progress', { response: responseFrame(plan) })
  yield event('response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', content: [] } })
  yield event('response.content_part.added', { ...place, part: responsePart([]) })
  for (const token of plan.tokens) {
    yield event('response.output_text.delta', { ...place, delta: token, logprobs: [] }, 1)
  }
  yield event('response.output_text.done', { ...place, text: plan.tokens.join(''), logprobs: [] })
  yield event('response.content_part.done', { ...place, part: responsePart(plan.tokens) })
  yield event('response.output_item.done', { output_index: 0, item })
  const last = plan.isCut ? 'response.incomplete' : 'response.completed'
  yield event(last, { response: finishedResponse(plan) })
}

function messageFrame(plan: AnswerPlan): object {
  return {
    id: `msg_${plan.id}`,
    type: 'message',
    role: 'assistant',
    model: plan.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  }
}

function messageStop(plan: AnswerPlan): string {
  return plan.isCut ? 'max_tokens' : 'end_turn'
}

function messageUsage(plan: AnswerPlan, outputTokens: number): object {
  return {
    input_tokens: plan.inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: outputTokens,
  }
}

function* streamMessage(plan: AnswerPlan): AnswerPieces {
  const event = (type: string, members: object, tokens = 0): AnswerPiece => ({
    text: `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`,
    tokens,
  })
  yield event('message_start', { message: { ...messageFrame(plan), usage: messageUsage(plan, 1) } })
  yield event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })
  yield event('ping', {})
  for (const token of plan.tokens) {
    yield event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: token } }, 1)
  }
  yield event('content_block_stop', { index: 0 })
  yield event('message_delta', {
    delta: { stop_reason: messageStop(plan), stop_sequence: null },
    usage: messageUsage(plan, plan.tokens.length),
  })
  yield event('message_stop', {})
}
