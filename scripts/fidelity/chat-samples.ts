/**
 * Every field of Chat Completions: the request's after `ChatCompletionCreateParamsBase` of the openai package and the message,
 * part and tool types it names, the answer's after `ChatCompletion`.
 */
import type { JsonObject } from '../../src/dialects/json-value.ts'
import { PDF, PNG, SCHEMA, SERVICE, UNASKED, type Sample } from './field-samples.ts'

const user = (content: unknown, members: JsonObject = {}): JsonObject => ({ role: 'user', content, ...members })
const tool = (members: JsonObject = {}): JsonObject => ({
  type: 'function',
  function: { name: 'read', description: 'Reads', parameters: SCHEMA, ...members },
})
const custom = {
  type: 'custom',
  custom: {
    name: 'patch',
    description: 'Patches',
    format: { type: 'grammar', grammar: { syntax: 'lark', definition: 'start: /.+/' } },
  },
}
const breakpoint = { mode: 'explicit', ttl: '12h' }
const called = { id: 'call_1', type: 'function', function: { name: 'read', arguments: '{"path":"a"}' } }
const GO = user('Go')
const schemaFormat = {
  type: 'json_schema',
  json_schema: { name: 'answer', description: 'An answer', schema: SCHEMA, strict: true },
}

export const CHAT_REQUEST: readonly Sample[] = [
  {
    body: { model: 'the-model' },
    fields: ['model'],
    without: { model: 'another' },
    meansNothing: 'the target is asked for its own name of it',
  },
  { body: { frequency_penalty: 0.5 }, fields: ['frequency_penalty'] },
  { body: { presence_penalty: 0.5 }, fields: ['presence_penalty'] },
  { body: { temperature: 0.5 }, fields: ['temperature'] },
  { body: { top_p: 0.5 }, fields: ['top_p'] },
  { body: { seed: 7 }, fields: ['seed'] },
  { body: { stop: ['END'] }, fields: ['stop'] },
  { body: { logit_bias: { '50256': -100 } }, fields: ['logit_bias'] },
  { body: { logprobs: true, top_logprobs: 2 }, fields: ['logprobs', 'top_logprobs'] },
  { body: { n: 2 }, fields: ['n'] },
  { body: { max_tokens: 77 }, fields: ['max_tokens'] },
  { body: { max_completion_tokens: 77 }, fields: ['max_completion_tokens'] },
  { body: { modalities: ['text', 'audio'] }, fields: ['modalities'] },
  {
    body: { audio: { voice: 'ash', format: 'wav' } },
    fields: ['audio'],
    meansNothing: 'counts only with the modality "audio", which is refused',
  },
  { body: { moderation: { model: 'omni-moderation' } }, fields: ['moderation'] },
  { body: { prediction: { type: 'content', content: 'Hello' } }, fields: ['prediction'] },
  { body: { metadata: { team: 'red' } }, fields: ['metadata'] },
  { body: { user: 'alice' }, fields: ['user'] },
  { body: { safety_identifier: 'alice' }, fields: ['safety_identifier'] },
  {
    body: {
      prompt_cache_key: 'key',
      prompt_cache_retention: '24h',
      prompt_cache_options: { mode: 'explicit', ttl: '30m' },
    },
    fields: ['prompt_cache_key', 'prompt_cache_retention', 'prompt_cache_options'],
  },
  { body: { reasoning_effort: 'high' }, fields: ['reasoning_effort'] },
  { body: { verbosity: 'low' }, fields: ['verbosity'] },
  { body: { service_tier: 'flex' }, fields: ['service_tier'] },
  { body: { store: true }, fields: ['store'] },
  { body: { stream: true }, fields: ['stream'] },
  {
    body: { stream: true, stream_options: { include_usage: true } },
    fields: ['stream_options.include_usage'],
    meansNothing: 'usage is asked of every target, and shown to a client that wants it',
  },
  {
    body: { stream: true, stream_options: { include_obfuscation: false } },
    fields: ['stream_options.include_obfuscation'],
    meansNothing: 'a translated stream has no padding',
  },
  {
    body: {
      web_search_options: {
        search_context_size: 'low',
        user_location: { type: 'approximate', approximate: { city: 'Bern' } },
      },
    },
    fields: ['web_search_options', 'web_search_options.user_location', 'web_search_options.search_context_size'],
  },
  {
    body: { response_format: { type: 'text' } },
    fields: ['response_format.type'],
    without: { response_format: schemaFormat },
  },
  { body: { response_format: { type: 'json_object' } }, fields: ['response_format'] },
  { body: { response_format: schemaFormat }, fields: ['response_format.json_schema.description'] },
  {
    body: { response_format: { type: 'json_schema', json_schema: { name: 'report', schema: SCHEMA } } },
    fields: ['response_format.json_schema.name'],
    meansNothing: 'the name of a format says nothing to Messages',
  },
  {
    body: { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: SCHEMA, strict: false } } },
    fields: ['response_format.json_schema.strict'],
    meansNothing: 'Messages always holds to the schema',
  },
  {
    body: { response_format: schemaFormat },
    fields: ['response_format.json_schema.schema'],
    without: {
      response_format: {
        type: 'json_schema',
        json_schema: {
          ...schemaFormat.json_schema,
          schema: { type: 'object', properties: {}, required: [], additionalProperties: false },
        },
      },
    },
  },
  { body: { parallel_tool_calls: false, tools: [tool()] }, fields: ['parallel_tool_calls'] },
  {
    body: { tools: [tool({ strict: true })] },
    fields: ['tools[function]', 'tools[function].function.description', 'tools[function].function.strict'],
  },
  {
    body: { tools: [tool()] },
    fields: ['tools[function].function.name'],
    without: { tools: [tool({ name: 'other' })] },
  },
  {
    body: { tools: [tool()] },
    fields: ['tools[function].function.parameters'],
    without: { tools: [tool({ parameters: { type: 'object', properties: {} } })] },
  },
  {
    body: { tools: [custom] },
    fields: ['tools[custom]', 'tools[custom].custom.description', 'tools[custom].custom.format'],
  },
  {
    body: { tools: [custom] },
    fields: ['tools[custom].custom.name'],
    without: { tools: [{ type: 'custom', custom: { ...custom.custom, name: 'other' } }] },
  },
  {
    body: { functions: [{ name: 'read', description: 'Reads', parameters: SCHEMA }], function_call: { name: 'read' } },
    fields: ['function_call'],
  },
  { body: { functions: [{ name: 'read', description: 'Reads', parameters: SCHEMA }] }, fields: ['functions'] },
  { body: { tools: [tool()], tool_choice: 'none' }, fields: ['tool_choice'] },
  { body: { tools: [tool()], tool_choice: 'required' }, fields: ['tool_choice'] },
  {
    body: { tools: [tool()], tool_choice: { type: 'function', function: { name: 'read' } } },
    fields: ['tool_choice.function'],
  },
  {
    body: { tools: [custom], tool_choice: { type: 'custom', custom: { name: 'patch' } } },
    fields: ['tool_choice.custom'],
    without: { tools: [custom] },
  },
  {
    body: {
      tools: [tool(), tool({ name: 'list' })],
      tool_choice: {
        type: 'allowed_tools',
        allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'list' } }] },
      },
    },
    fields: ['tool_choice.allowed_tools'],
    without: { tools: [tool(), tool({ name: 'list' })] },
  },

  { body: { messages: [{ role: 'system', content: 'Help' }, GO] }, fields: ['messages[system]'] },
  { body: { messages: [{ role: 'system', content: 'Help', name: 'boss' }, GO] }, fields: ['messages[system].name'] },
  {
    body: { messages: [{ role: 'system', content: 'Help' }, GO] },
    fields: ['messages[system].content'],
    without: { messages: [{ role: 'system', content: 'Hinder' }, GO] },
  },
  { body: { messages: [{ role: 'developer', content: 'Help' }, GO] }, fields: ['messages[developer]'] },
  {
    body: { messages: [{ role: 'developer', content: 'Help', name: 'boss' }, GO] },
    fields: ['messages[developer].name'],
  },
  {
    body: { messages: [{ role: 'developer', content: 'Help' }, GO] },
    fields: ['messages[developer].content'],
    without: { messages: [{ role: 'developer', content: 'Hinder' }, GO] },
  },
  {
    body: {
      messages: [GO, { role: 'assistant', content: 'Yes?' }, { role: 'system', content: 'Be brief' }, user('On')],
    },
    fields: ['messages[system]'],
  },
  { body: { messages: [GO] }, fields: ['messages[user].content'], without: { messages: [user('Stop')] } },
  { body: { messages: [user('Go', { name: 'alice' })] }, fields: ['messages[user].name'] },
  {
    body: {
      messages: [
        user([
          { type: 'text', text: 'See', prompt_cache_breakpoint: breakpoint },
          {
            type: 'image_url',
            image_url: { url: `data:image/png;base64,${PNG}`, detail: 'high' },
            prompt_cache_breakpoint: breakpoint,
          },
        ]),
      ],
    },
    fields: [
      'messages[user].content[text]',
      'messages[user].content[text].prompt_cache_breakpoint',
      'messages[user].content[image_url]',
      'messages[user].content[image_url].image_url.detail',
      'messages[user].content[image_url].prompt_cache_breakpoint',
    ],
  },
  {
    body: {
      messages: [
        user([
          { type: 'text', text: 'See' },
          { type: 'image_url', image_url: { url: 'https://example.org/a.png' } },
        ]),
      ],
    },
    fields: ['messages[user].content[image_url].image_url.url'],
    without: { messages: [user('See')] },
  },
  {
    body: {
      messages: [
        user([
          { type: 'text', text: 'Read' },
          {
            type: 'file',
            file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF}` },
            prompt_cache_breakpoint: breakpoint,
          },
        ]),
      ],
    },
    fields: [
      'messages[user].content[file]',
      'messages[user].content[file].file.filename',
      'messages[user].content[file].prompt_cache_breakpoint',
    ],
  },
  {
    body: {
      messages: [
        user([
          { type: 'text', text: 'Read' },
          { type: 'file', file: { file_data: `data:application/pdf;base64,${PDF}` } },
        ]),
      ],
    },
    fields: ['messages[user].content[file].file.file_data'],
    without: { messages: [user('Read')] },
  },
  {
    body: {
      messages: [
        user([
          { type: 'text', text: 'Read' },
          { type: 'file', file: { file_id: 'file-1' } },
        ]),
      ],
    },
    fields: ['messages[user].content[file].file.file_id'],
    without: { messages: [user('Read')] },
  },
  {
    body: {
      messages: [
        user([
          { type: 'text', text: 'Hear' },
          { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } },
        ]),
      ],
    },
    fields: ['messages[user].content[input_audio]'],
  },
  {
    body: { messages: [GO, { role: 'assistant', content: 'Yes' }, user('On')] },
    fields: ['messages[assistant].content'],
    without: { messages: [GO, { role: 'assistant', content: 'No' }, user('On')] },
  },
  {
    body: { messages: [GO, { role: 'assistant', content: 'Yes', name: 'bob' }, user('On')] },
    fields: ['messages[assistant].name'],
  },
  {
    body: { messages: [GO, { role: 'assistant', content: 'Well.', refusal: 'I must not.' }, user('On')] },
    fields: ['messages[assistant].refusal'],
  },
  {
    body: {
      messages: [
        GO,
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'Well.' },
            { type: 'refusal', refusal: 'I must not.' },
          ],
        },
        user('On'),
      ],
    },
    fields: ['messages[assistant].content[refusal]'],
  },
  {
    body: { messages: [GO, { role: 'assistant', content: 'Yes', reasoning_content: 'Hm.' }, user('On')] },
    fields: ['messages[assistant].reasoning_content'],
  },
  {
    body: { messages: [GO, { role: 'assistant', content: 'Yes', audio: { id: 'audio_1' } }, user('On')] },
    fields: ['messages[assistant].audio'],
  },
  {
    body: {
      tools: [tool()],
      messages: [
        GO,
        { role: 'assistant', content: 'Yes', tool_calls: [called] },
        { role: 'tool', tool_call_id: 'call_1', content: 'A' },
      ],
    },
    fields: ['messages[assistant].tool_calls[function]'],
    without: { tools: [tool()], messages: [GO, { role: 'assistant', content: 'Yes' }, user('A')] },
  },
  {
    body: {
      tools: [custom],
      messages: [
        GO,
        { role: 'assistant', tool_calls: [{ id: 'call_1', type: 'custom', custom: { name: 'patch', input: 'x' } }] },
        { role: 'tool', tool_call_id: 'call_1', content: 'A' },
      ],
    },
    fields: ['messages[assistant].tool_calls[custom]'],
    without: { tools: [custom], messages: [GO, { role: 'assistant', content: 'Yes' }, user('A')] },
  },
  {
    body: {
      messages: [
        GO,
        { role: 'assistant', content: null, function_call: { name: 'read', arguments: '{}' } },
        { role: 'function', name: 'read', content: 'A' },
      ],
    },
    fields: ['messages[assistant].function_call'],
    without: { messages: [GO, { role: 'assistant', content: 'Yes' }, user('A')] },
  },
  {
    body: {
      messages: [
        GO,
        { role: 'assistant', content: null, function_call: { name: 'read', arguments: '{}' } },
        { role: 'function', name: 'read', content: 'A' },
      ],
    },
    fields: ['messages[function].content', 'messages[function].name'],
    without: {
      messages: [
        GO,
        { role: 'assistant', content: null, function_call: { name: 'list', arguments: '{}' } },
        { role: 'function', name: 'list', content: 'B' },
      ],
    },
  },
  {
    body: {
      tools: [tool()],
      messages: [
        GO,
        { role: 'assistant', tool_calls: [called] },
        { role: 'tool', tool_call_id: 'call_1', content: 'A' },
      ],
    },
    fields: ['messages[tool].content'],
    without: {
      tools: [tool()],
      messages: [
        GO,
        { role: 'assistant', tool_calls: [called] },
        { role: 'tool', tool_call_id: 'call_1', content: 'B' },
      ],
    },
  },
  {
    body: {
      tools: [tool()],
      messages: [
        GO,
        { role: 'assistant', tool_calls: [called] },
        { role: 'tool', tool_call_id: 'call_1', content: 'A' },
      ],
    },
    fields: ['messages[tool].tool_call_id'],
    without: {
      tools: [tool()],
      messages: [
        GO,
        { role: 'assistant', tool_calls: [{ ...called, id: 'call_2' }] },
        { role: 'tool', tool_call_id: 'call_2', content: 'A' },
      ],
    },
  },
]

const completion = (message: JsonObject, choice: JsonObject = {}, members: JsonObject = {}): JsonObject => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_760_000_000,
  model: 'a-model',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hi', refusal: null, ...message },
      finish_reason: 'stop',
      logprobs: null,
      ...choice,
    },
  ],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  ...members,
})
const OWN = 'every answer has an id and a time of this node, and the name the client asked for'

export const CHAT_ANSWER: readonly Sample[] = [
  { body: completion({}), fields: ['id', 'created', 'model'], meansNothing: OWN },
  {
    body: completion({}, {}, { system_fingerprint: 'fp_1' }),
    fields: ['system_fingerprint'],
    meansNothing: 'a mark of the server for its own support',
  },
  { body: completion({}, {}, { service_tier: 'flex' }), fields: ['service_tier'], meansNothing: SERVICE },
  { body: completion({}, {}, { metadata: { a: 'b' } }), fields: ['metadata'], meansNothing: 'repeats the request' },
  {
    body: completion({}, {}, { moderation: { input: {}, output: {} } }),
    fields: ['moderation'],
    meansNothing: UNASKED,
  },
  { body: completion({}), fields: ['choices[].message.content'] },
  { body: completion({ refusal: 'I must not.' }), fields: ['choices[].message.refusal'] },
  { body: completion({ reasoning_content: 'Hm.' }), fields: ['choices[].message.reasoning_content'] },
  {
    body: completion({
      annotations: [
        {
          type: 'url_citation',
          url_citation: { start_index: 0, end_index: 2, title: 'T', url: 'https://example.org' },
        },
      ],
    }),
    fields: ['choices[].message.annotations'],
  },
  {
    body: completion({ audio: { id: 'audio_1', data: 'AAAA', expires_at: 1, transcript: 'Hi' } }),
    fields: ['choices[].message.audio'],
  },
  {
    body: completion({ function_call: { name: 'read', arguments: '{}' } }, { finish_reason: 'function_call' }),
    fields: ['choices[].message.function_call'],
  },
  {
    body: completion({ tool_calls: [called] }, { finish_reason: 'tool_calls' }),
    fields: ['choices[].message.tool_calls[function]'],
  },
  {
    body: completion(
      { tool_calls: [{ id: 'call_1', type: 'custom', custom: { name: 'patch', input: 'x' } }] },
      { finish_reason: 'tool_calls' },
    ),
    fields: ['choices[].message.tool_calls[custom]'],
  },
  {
    body: completion(
      {},
      { logprobs: { content: [{ token: 'Hi', logprob: -0.1, bytes: null, top_logprobs: [] }], refusal: null } },
    ),
    fields: ['choices[].logprobs'],
    meansNothing: UNASKED,
  },
  { body: completion({}, { finish_reason: 'length' }), fields: ['choices[].finish_reason'] },
  { body: completion({}, { finish_reason: 'content_filter' }), fields: ['choices[].finish_reason'] },
  {
    body: completion(
      {},
      {},
      {
        usage: {
          prompt_tokens: 10,
          completion_tokens: 5,
          total_tokens: 15,
          prompt_tokens_details: { cached_tokens: 3, cache_write_tokens: 2, audio_tokens: 1 },
          completion_tokens_details: {
            reasoning_tokens: 4,
            audio_tokens: 1,
            accepted_prediction_tokens: 1,
            rejected_prediction_tokens: 1,
          },
        },
      },
    ),
    fields: [
      'usage.prompt_tokens_details.cached_tokens',
      'usage.prompt_tokens_details.cache_write_tokens',
      'usage.completion_tokens_details.reasoning_tokens',
    ],
  },
  {
    body: completion({}, {}, { usage: { prompt_tokens: 1_000, completion_tokens: 5 } }),
    fields: ['usage.prompt_tokens', 'usage.completion_tokens'],
  },
]
