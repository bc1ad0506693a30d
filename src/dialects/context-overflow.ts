/**
 * Recognises a provider's word that a conversation does not fit its model, however it is worded. Agents shorten their
 * conversation only when they are told so in their own dialect; told otherwise, they ask again until they give up.
 * Sources: the errors that users of each server report (its own issue tracker, and those of pi, openclaw, hermes-agent).
 */

/** How far a request overflows, as far as the provider says. */
export interface OverflowTokens {
  /** Tokens of the input, or of input and output together where they are not told apart. */
  readonly used?: number | undefined
  /** Output tokens that were asked for beside `used`. */
  readonly output?: number | undefined
  /** The most that fits. */
  readonly max?: number | undefined
}

/** More of a message is not looked at. */
const MESSAGE_CHARACTERS_MAX = 4_000

/** Limits of speed are told in tokens too, and waiting helps there. */
const ABOUT_SPEED = /per (?:min|sec|hour|day)|rate.?limit|throttl|please wait|\bTPM\b/i

/** `{used}`, `{output}` and `{max}` stand for numbers, `~` for a short stretch of other words. Telling wordings go first. */
const WORDINGS = [
  // Anthropic, and Bedrock in its name
  'prompt is too long: {used} tokens > {max}',
  'input length and .?max_tokens.? exceed context limit: {used} \\+ {output} > {max}',
  // OpenAI and vLLM
  'maximum context length is {max} tokens~\\({used} in (?:the messages|your prompt)~{output} (?:in|for) the completion',
  'maximum context length is {max} tokens~requested {output} output tokens and your prompt contains (?:at least )?{used}',
  '(?:is too large: {output}~)?maximum context length is {max} tokens and your request has {used} input',
  'maximum context length is {max} tokens~(?:resulted in|you requested|requested about) {used} tokens',
  'passed {used} input tokens and requested {output} output tokens~context length is only {max}',
  'prompt \\((?:total )?length {used}\\) is (?:too long|longer)~{max}',
  // SGLang, Together
  'input \\({used} tokens\\) is longer than the model.s context length \\({max}',
  'maximum context length of {max} tokens~ a total of \\d+ tokens: {used} tokens from the input messages and {output}',
  'input length \\(?{used}(?: tokens)?\\)? exceeds (?:the |model.s )*maximum (?:allowed length|allowed input length of|context length) \\(?{max}',
  // llama.cpp and llama-cpp-python
  'request \\({used} tokens\\) exceeds the available context size \\({max}',
  'requested tokens \\({used}\\) exceed context window of {max}',
  // LM Studio
  'keep the first {used} tokens when~context length of only {max}',
  'greater than the context length(?: \\(n_keep: {used} >= n_ctx: {max})?',
  'reached context length of {max} tokens',
  // Gemini and what speaks like it
  'input token count (?:is )?\\(?{used}\\)?~(?:maximum number of tokens allowed|supports up to) \\(?{max}',
  // Mistral, xAI, Kimi, Copilot
  'contains {used} tokens~too large for model with {max} maximum context length',
  'maximum prompt length is {max} but the request contains {used}',
  'exceeded model token limit: {max}(?: \\(requested: {used})?',
  'prompt token count of {used} exceeds the limit of {max}',
  // Any server, without numbers or with one
  'maximum context length (?:is|of) \\(?{max}',
  'prompt (?:is )?too long(?:: {used} tokens~{max})?',
  '(?:input|prompt) is too long for (?:the )?(?:requested )?model',
  'exceeds? (?:the |this |model.s |available |maximum |max )*context[ _](?:length|size|window|limit)',
  'context[ _](?:length|size|window)(?: has been| is| was|_)? ?exceed',
  'exceeds the maximum (?:number of )?(?:allowed )?input (?:length|tokens)',
  'reduce the length of (?:the|your) (?:messages|prompt|input)',
].map(patternOf)

/** Error codes and types that say it without a sentence. */
const CODES: ReadonlySet<string> = new Set([
  'context_length_exceeded',
  'context_window_exceeded',
  'exceed_context_size_error',
  'model_context_window_exceeded',
])

/**
 * The overflow that a provider's message tells of, or undefined if it tells of something else.
 * @param codes its error code and type, as far as it gives them
 */
export function readContextOverflow(message: string, codes: readonly string[] = []): OverflowTokens | undefined {
  const text = message.slice(0, MESSAGE_CHARACTERS_MAX)
  const isNamed = codes.some((code) => CODES.has(code))
  if (!isNamed && ABOUT_SPEED.test(text)) return undefined
  for (const wording of WORDINGS) {
    const { groups, index } = wording.exec(text) ?? {}
    if (index !== undefined) {
      return { used: count(groups?.['used']), output: count(groups?.['output']), max: count(groups?.['max']) }
    }
  }
  return isNamed ? {} : undefined
}

function patternOf(wording: string): RegExp {
  const source = wording.replaceAll('~', '.{0,90}?').replace(/\{(\w+)\}/g, '(?<$1>\\d[\\d,]{0,11})')
  return new RegExp(source, 'is')
}

function count(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits.replaceAll(',', ''))
}
