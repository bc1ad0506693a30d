import { describe, expect, it } from 'vitest'
import { readContextOverflow } from '../../../src/dialects/context-overflow.ts'

describe('a context overflow', () => {
  // server | what it says | input tokens | output tokens | most that fits
  it.each([
    ['Anthropic', 'prompt is too long: 213462 tokens > 200000 maximum', 213462, undefined, 200000],
    [
      'Anthropic',
      'input length and `max_tokens` exceed context limit: 188059 + 20000 > 200000, decrease input length or `max_tokens` and try again',
      188059,
      20000,
      200000,
    ],
    [
      'OpenAI',
      "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens. Please reduce the length of the messages.",
      8545,
      undefined,
      8192,
    ],
    [
      'OpenAI',
      "This model's maximum context length is 4097 tokens, however you requested 4116 tokens (3860 in your prompt; 256 for the completion). Please reduce your prompt; or completion length.",
      3860,
      256,
      4097,
    ],
    [
      'OpenAI',
      "This model's maximum context length is 8192 tokens. However, you requested 9500 tokens (5000 in the messages, 404 in the functions, and 4096 in the completion).",
      5000,
      4096,
      8192,
    ],
    [
      'OpenAI',
      'Your input exceeds the context window of this model. Please adjust your input and try again.',
      undefined,
      undefined,
      undefined,
    ],
    [
      'vLLM',
      "This model's maximum context length is 131072 tokens. However, you requested 156632 tokens (152536 in the messages, 4096 in the completion). Please reduce the length of the messages or completion.",
      152536,
      4096,
      131072,
    ],
    [
      'vLLM',
      "This model's maximum context length is 262144 tokens. However, you requested 0 output tokens and your prompt contains at least 262145 input tokens, for a total of at least 262145 tokens.",
      262145,
      0,
      262144,
    ],
    [
      'vLLM',
      "'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 4096 tokens and your request has 2104 input tokens (2000 > 4096 - 2104).",
      2104,
      2000,
      4096,
    ],
    [
      'vLLM',
      "You passed 40961 input tokens and requested 0 output tokens. However, the model's context length is only 40960 tokens",
      40961,
      0,
      40960,
    ],
    [
      'vLLM',
      'The decoder prompt (length 40000) is longer than the maximum model length of 32768.',
      40000,
      undefined,
      32768,
    ],
    [
      'vLLM',
      'The prompt (total length 25938) is too long to fit into the model (context length 4096).',
      25938,
      undefined,
      4096,
    ],
    [
      'SGLang',
      "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
      61709,
      undefined,
      40960,
    ],
    [
      'SGLang',
      "Requested token count exceeds the model's maximum context length of 262144 tokens. You requested a total of 270000 tokens: 250000 tokens from the input messages and 20000 tokens for the completion.",
      250000,
      20000,
      262144,
    ],
    [
      'SGLang',
      'Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).',
      160062,
      undefined,
      59862,
    ],
    [
      'llama.cpp',
      'the request exceeds the available context size. try increasing the context size or enable context shift',
      undefined,
      undefined,
      undefined,
    ],
    [
      'llama.cpp',
      'request (14429 tokens) exceeds the available context size (8192 tokens), try increasing it',
      14429,
      undefined,
      8192,
    ],
    ['llama-cpp-python', 'Requested tokens (2285) exceed context window of 2048', 2285, undefined, 2048],
    [
      'LM Studio',
      'Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded with context length of only 7866 tokens, which is not enough.',
      10136,
      undefined,
      7866,
    ],
    [
      'LM Studio',
      'The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 15857 >= n_ctx: 8192). Try to load the model with a larger context length',
      15857,
      undefined,
      8192,
    ],
    [
      'LM Studio',
      'Reached context length of 32000 tokens with model (arch: gpt-oss) that does not currently support mid-generation context overflow.',
      undefined,
      undefined,
      32000,
    ],
    ['LM Studio', 'Context size has been exceeded.', undefined, undefined, undefined],
    ['Ollama', 'the input length exceeds the context length', undefined, undefined, undefined],
    ['Ollama', 'prompt too long; exceeded max context length by 12 tokens', undefined, undefined, undefined],
    [
      'Bedrock',
      'The model returned the following errors: Input is too long for requested model.',
      undefined,
      undefined,
      undefined,
    ],
    [
      'Gemini',
      'The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).',
      1196265,
      undefined,
      1048575,
    ],
    [
      'Gemini',
      'Unable to submit request because the input token count is 32825 but model only supports up to 32768.',
      32825,
      undefined,
      32768,
    ],
    [
      'Mistral',
      'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length',
      40000,
      undefined,
      32768,
    ],
    [
      'xAI',
      "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
      537812,
      undefined,
      131072,
    ],
    [
      'Kimi',
      'Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)',
      291351,
      undefined,
      262144,
    ],
    ['Copilot', 'prompt token count of 130000 exceeds the limit of 128000', 130000, undefined, 128000],
    [
      'OpenRouter',
      "This endpoint's maximum context length is 163840 tokens. However, you requested about 170,000 tokens (164000 of text input, 6000 in the output).",
      170000,
      undefined,
      163840,
    ],
    [
      'Poolside',
      'Input length 131393 exceeds the maximum allowed input length of 131040 tokens.',
      131393,
      undefined,
      131040,
    ],
    ['Z.AI', 'Prompt too long', undefined, undefined, undefined],
    [
      'a gateway that quotes',
      '{"detail":"ContextWindowExceededError: {\\"message\\":\\"The input (1492905 tokens) is longer than the model\'s context length (1048576 tokens).\\"}"}',
      1492905,
      undefined,
      1048576,
    ],
  ])('is known by the words of %s: %s', (_, message, used, output, max) => {
    expect(readContextOverflow(message)).toEqual({ used, output, max })
  })

  it.each(['context_length_exceeded', 'exceed_context_size_error'])(
    'is known by the code %s, whatever is said',
    (code) => {
      expect(readContextOverflow('no', [code])).toBeDefined()
    },
  )

  it.each([
    'Too many tokens, please wait before trying again.',
    'Request too large for gpt-5 in organization org-1 on tokens per min (TPM): Limit 30000, Requested 45000. Please reduce the length of the messages.',
    'Rate limit reached for requests',
    'max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens',
    'image exceeds 5 MB maximum',
    "Invalid 'messages[3].name': string too long. Expected a string with maximum length 64",
    'Loading model',
  ])('is not: %s', (message) => {
    expect(readContextOverflow(message)).toBeUndefined()
  })
})
