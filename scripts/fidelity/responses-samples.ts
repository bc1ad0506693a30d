/**
 * Every field of Responses: the request's after `ResponseCreateParamsBase` of the openai package and the item, part and tool
 * types it names, the answer's after `Response`.
 */
import type { JsonObject } from '../../src/dialects/json-value.ts'
import { PDF, PNG, SCHEMA, SERVICE, SHOWN, UNASKED, type Sample } from './field-samples.ts'

const user = (content: unknown = 'Go'): JsonObject => ({ type: 'message', role: 'user', content })
const ON = user('On')
const tool = (members: JsonObject = {}): JsonObject => ({
  type: 'function',
  name: 'read',
  description: 'Reads',
  parameters: SCHEMA,
  strict: false,
  ...members,
})
const custom = {
  type: 'custom',
  name: 'patch',
  description: 'Patches',
  format: { type: 'grammar', syntax: 'lark', definition: 'start: /.+/' },
}
const group = { type: 'namespace', name: 'agents', description: 'Agents', tools: [tool({ name: 'spawn' })] }
const search = { type: 'tool_search', execution: 'client', description: 'Finds', parameters: SCHEMA }
const breakpoint = { mode: 'explicit', ttl: '12h' }
const call = (members: JsonObject = {}): JsonObject => ({
  type: 'function_call',
  id: 'fc_1',
  call_id: 'call_1',
  name: 'read',
  arguments: '{"path":"a"}',
  status: 'completed',
  ...members,
})
const output = (members: JsonObject = {}): JsonObject => ({
  type: 'function_call_output',
  id: 'fco_1',
  call_id: 'call_1',
  output: 'A',
  status: 'completed',
  ...members,
})
const said = (members: JsonObject = {}, part: JsonObject = {}): JsonObject => ({
  type: 'message',
  id: 'msg_1',
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text: 'Hi', annotations: [], ...part }],
  ...members,
})
const schemaFormat = { type: 'json_schema', name: 'answer', description: 'An answer', schema: SCHEMA, strict: true }
const CITATION = { type: 'url_citation', start_index: 0, end_index: 2, title: 'T', url: 'https://example.org' }
const NOTE = 'a state or id of an item that was an answer once'

/** An item of the history that only the vendor understands. */
const item = (value: JsonObject): Sample => ({
  body: { input: [user(), value, ON] },
  fields: [`input[${String(value['type'])}]`],
})
/** A tool that the provider runs. */
const hosted = (value: JsonObject): Sample => ({
  body: { tools: [tool({ name: 'other' }), value] },
  fields: [`tools[${String(value['type'])}]`],
})
/** A call of a tool of its own kind, and its result. */
const pair = (declared: JsonObject, called: JsonObject, result: JsonObject): Sample => ({
  body: { tools: [declared], input: [user(), called, result] },
  fields: [`input[${String(called['type'])}]`, `input[${String(result['type'])}]`],
  without: { tools: [declared], input: [user()] },
})

export const RESPONSES_REQUEST: readonly Sample[] = [
  {
    body: { model: 'the-model' },
    fields: ['model'],
    without: { model: 'another' },
    meansNothing: 'the target is asked for its own name of it',
  },
  { body: { access_programs: { cyber: 'daybreak_blue' } }, fields: ['access_programs'] },
  { body: { background: true }, fields: ['background'] },
  { body: { context_management: [{ type: 'compaction', compact_threshold: 9_000 }] }, fields: ['context_management'] },
  { body: { conversation: 'conv_1' }, fields: ['conversation'] },
  { body: { image: { context_compression: 'enabled' } }, fields: ['image'] },
  {
    body: { include: ['reasoning.encrypted_content'] },
    fields: ['include'],
    meansNothing: 'encrypted reasoning is always given; the other things that may be included only hosted tools have',
  },
  { body: { instructions: 'Help' }, fields: ['instructions'] },
  { body: { max_output_tokens: 77 }, fields: ['max_output_tokens'] },
  { body: { max_tool_calls: 3 }, fields: ['max_tool_calls'] },
  { body: { metadata: { team: 'red' } }, fields: ['metadata'] },
  { body: { moderation: { model: 'omni-moderation' } }, fields: ['moderation'] },
  { body: { parallel_tool_calls: false, tools: [tool()] }, fields: ['parallel_tool_calls'] },
  { body: { previous_response_id: 'resp_1' }, fields: ['previous_response_id'] },
  { body: { prompt: { id: 'pmpt_1' } }, fields: ['prompt'] },
  {
    body: {
      prompt_cache_key: 'key',
      prompt_cache_retention: '24h',
      prompt_cache_options: { mode: 'explicit', ttl: '30m' },
    },
    fields: ['prompt_cache_key', 'prompt_cache_retention', 'prompt_cache_options'],
  },
  { body: { reasoning: { effort: 'high' } }, fields: ['reasoning.effort'] },
  { body: { reasoning: { effort: 'high', summary: 'detailed' } }, fields: ['reasoning.summary'], meansNothing: SHOWN },
  {
    body: { reasoning: { effort: 'high', generate_summary: 'detailed' } },
    fields: ['reasoning.generate_summary'],
    meansNothing: SHOWN,
  },
  { body: { reasoning: { effort: 'high', context: 'all_turns' } }, fields: ['reasoning.context'] },
  { body: { reasoning: { effort: 'high', mode: 'pro' } }, fields: ['reasoning.mode'] },
  { body: { safety_identifier: 'alice' }, fields: ['safety_identifier'] },
  { body: { user: 'alice' }, fields: ['user'] },
  { body: { service_tier: 'flex' }, fields: ['service_tier'] },
  { body: { store: true }, fields: ['store'], meansNothing: 'this node keeps the answer itself' },
  { body: { stream: true }, fields: ['stream'] },
  {
    body: { stream: true, stream_options: { include_obfuscation: false } },
    fields: ['stream_options'],
    meansNothing: 'a translated stream has no padding',
  },
  { body: { temperature: 0.5 }, fields: ['temperature'] },
  { body: { top_p: 0.5 }, fields: ['top_p'] },
  { body: { top_logprobs: 2 }, fields: ['top_logprobs'] },
  { body: { truncation: 'auto' }, fields: ['truncation'] },
  { body: { text: { verbosity: 'low' } }, fields: ['text.verbosity'] },
  {
    body: { text: { format: { type: 'text' } } },
    fields: ['text.format.type'],
    without: { text: { format: schemaFormat } },
  },
  { body: { text: { format: { type: 'json_object' } } }, fields: ['text.format'] },
  { body: { text: { format: schemaFormat } }, fields: ['text.format.description'] },
  {
    body: { text: { format: { type: 'json_schema', name: 'report', schema: SCHEMA } } },
    fields: ['text.format.name'],
    meansNothing: 'the name of a format says nothing to Messages',
  },
  {
    body: { text: { format: { type: 'json_schema', name: 'answer', schema: SCHEMA, strict: false } } },
    fields: ['text.format.strict'],
    meansNothing: 'Messages always holds to the schema',
  },
  {
    body: { text: { format: schemaFormat } },
    fields: ['text.format.schema'],
    without: {
      text: {
        format: {
          ...schemaFormat,
          schema: { type: 'object', properties: {}, required: [], additionalProperties: false },
        },
      },
    },
  },

  {
    body: { tools: [tool({ strict: true })] },
    fields: ['tools[function]', 'tools[function].description', 'tools[function].strict'],
  },
  { body: { tools: [tool()] }, fields: ['tools[function].name'], without: { tools: [tool({ name: 'other' })] } },
  {
    body: { tools: [tool()] },
    fields: ['tools[function].parameters'],
    without: { tools: [tool({ parameters: { type: 'object', properties: {} } })] },
  },
  {
    body: { tools: [tool({ name: 'other' }), tool({ defer_loading: true })] },
    fields: ['tools[function].defer_loading'],
  },
  { body: { tools: [tool({ output_schema: SCHEMA })] }, fields: ['tools[function].output_schema'] },
  { body: { tools: [tool({ allowed_callers: ['programmatic'] })] }, fields: ['tools[function].allowed_callers'] },
  { body: { tools: [tool({ async: true })] }, fields: ['tools[function].async'] },
  { body: { tools: [custom] }, fields: ['tools[custom]', 'tools[custom].description', 'tools[custom].format'] },
  { body: { tools: [custom] }, fields: ['tools[custom].name'], without: { tools: [{ ...custom, name: 'other' }] } },
  { body: { tools: [tool(), { ...custom, defer_loading: true }] }, fields: ['tools[custom].defer_loading'] },
  { body: { tools: [{ ...custom, allowed_callers: ['programmatic'] }] }, fields: ['tools[custom].allowed_callers'] },
  { body: { tools: [{ ...custom, async: true }] }, fields: ['tools[custom].async'] },
  { body: { tools: [group] }, fields: ['tools[namespace]', 'tools[namespace].description'] },
  { body: { tools: [group] }, fields: ['tools[namespace].name'], without: { tools: [{ ...group, name: 'other' }] } },
  {
    body: { tools: [group, tool()] },
    fields: ['tools[namespace].tools[function]'],
    without: { tools: [{ ...group, tools: [tool({ name: 'wait' })] }, tool()] },
  },
  {
    body: { tools: [tool(), search] },
    fields: [
      'tools[tool_search]',
      'tools[tool_search].description',
      'tools[tool_search].parameters',
      'tools[tool_search].execution',
    ],
  },
  { body: { tools: [tool(), { type: 'local_shell' }] }, fields: ['tools[local_shell]'] },
  { body: { tools: [tool(), { type: 'shell', environment: { type: 'local' } }] }, fields: ['tools[shell]'] },
  {
    body: { tools: [tool(), { type: 'shell', environment: { type: 'container_auto' } }] },
    fields: ['tools[shell].environment'],
  },
  { body: { tools: [tool(), { type: 'apply_patch' }] }, fields: ['tools[apply_patch]'] },
  hosted({ type: 'web_search' }),
  {
    body: { tools: [{ type: 'web_search', filters: { allowed_domains: ['example.org'] } }] },
    fields: ['tools[web_search].filters'],
  },
  {
    body: { tools: [{ type: 'web_search', user_location: { type: 'approximate', city: 'Bern' } }] },
    fields: ['tools[web_search].user_location'],
  },
  {
    body: { tools: [{ type: 'web_search', search_context_size: 'low' }] },
    fields: ['tools[web_search].search_context_size'],
  },
  {
    body: { tools: [{ type: 'web_search', external_web_access: false }] },
    fields: ['tools[web_search].external_web_access'],
  },
  hosted({ type: 'web_search_preview', search_context_size: 'low' }),
  hosted({ type: 'mcp', server_label: 'files', server_url: 'https://example.org/mcp' }),
  {
    body: {
      tools: [{ type: 'mcp', server_label: 'files', server_url: 'https://example.org/mcp', authorization: 'token' }],
    },
    fields: ['tools[mcp].authorization'],
  },
  {
    body: {
      tools: [{ type: 'mcp', server_label: 'files', server_url: 'https://example.org/mcp', allowed_tools: ['read'] }],
    },
    fields: ['tools[mcp].allowed_tools'],
  },
  {
    body: {
      tools: [
        { type: 'mcp', server_label: 'files', server_url: 'https://example.org/mcp', require_approval: 'always' },
      ],
    },
    fields: ['tools[mcp].require_approval'],
  },
  {
    body: {
      tools: [
        { type: 'mcp', server_label: 'files', server_url: 'https://example.org/mcp', headers: { 'x-key': 'value' } },
      ],
    },
    fields: ['tools[mcp].headers'],
  },
  {
    body: {
      tools: [
        { type: 'mcp', server_label: 'files', server_url: 'https://example.org/mcp', server_description: 'Files' },
      ],
    },
    fields: ['tools[mcp].server_description'],
  },
  hosted({ type: 'file_search', vector_store_ids: ['vs_1'] }),
  hosted({ type: 'code_interpreter', container: { type: 'auto' } }),
  hosted({ type: 'image_generation' }),
  hosted({ type: 'computer' }),
  hosted({ type: 'computer_use_preview', display_width: 800, display_height: 600, environment: 'linux' }),
  hosted({ type: 'programmatic_tool_calling' }),
  { body: { tools: [tool()], tool_choice: 'none' }, fields: ['tool_choice'] },
  { body: { tools: [tool()], tool_choice: 'required' }, fields: ['tool_choice'] },
  { body: { tools: [tool()], tool_choice: { type: 'function', name: 'read' } }, fields: ['tool_choice'] },
  { body: { tools: [custom], tool_choice: { type: 'custom', name: 'patch' } }, fields: ['tool_choice'] },
  {
    body: {
      tools: [tool(), tool({ name: 'list' })],
      tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'list' }] },
    },
    fields: ['tool_choice'],
  },
  { body: { tools: [tool(), { type: 'web_search' }], tool_choice: { type: 'web_search' } }, fields: ['tool_choice'] },
  { body: { tools: [tool(), { type: 'shell' }], tool_choice: { type: 'shell' } }, fields: ['tool_choice'] },
  { body: { tools: [tool(), { type: 'apply_patch' }], tool_choice: { type: 'apply_patch' } }, fields: ['tool_choice'] },
  {
    body: {
      tools: [tool(), { type: 'mcp', server_label: 'files', server_url: 'https://example.org/mcp' }],
      tool_choice: { type: 'mcp', server_label: 'files' },
    },
    fields: ['tool_choice'],
  },

  { body: { input: 'Go' }, fields: ['input'], without: { input: 'Stop' } },
  { body: { input: [{ type: 'message', role: 'system', content: 'Help' }, user()] }, fields: ['input[system]'] },
  { body: { input: [{ type: 'message', role: 'developer', content: 'Help' }, user()] }, fields: ['input[developer]'] },
  {
    body: { input: [user(), said(), { type: 'message', role: 'developer', content: 'Be brief' }, ON] },
    fields: ['input[developer]'],
  },
  { body: { input: [user()] }, fields: ['input[user].content'], without: { input: [user('Stop')] } },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'See', prompt_cache_breakpoint: breakpoint },
          {
            type: 'input_image',
            image_url: `data:image/png;base64,${PNG}`,
            detail: 'high',
            prompt_cache_breakpoint: breakpoint,
          },
        ]),
      ],
    },
    fields: [
      'input[user].content[input_text]',
      'input[user].content[input_text].prompt_cache_breakpoint',
      'input[user].content[input_image]',
      'input[user].content[input_image].detail',
      'input[user].content[input_image].prompt_cache_breakpoint',
    ],
  },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'See' },
          { type: 'input_image', image_url: 'https://example.org/a.png' },
        ]),
      ],
    },
    fields: ['input[user].content[input_image].image_url'],
    without: { input: [user('See')] },
  },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'See' },
          { type: 'input_image', file_id: 'file-1' },
        ]),
      ],
    },
    fields: ['input[user].content[input_image].file_id'],
    without: { input: [user('See')] },
  },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'Read' },
          {
            type: 'input_file',
            filename: 'a.pdf',
            file_data: `data:application/pdf;base64,${PDF}`,
            detail: 'high',
            prompt_cache_breakpoint: breakpoint,
          },
        ]),
      ],
    },
    fields: [
      'input[user].content[input_file]',
      'input[user].content[input_file].filename',
      'input[user].content[input_file].detail',
      'input[user].content[input_file].prompt_cache_breakpoint',
    ],
  },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'Read' },
          { type: 'input_file', file_data: `data:application/pdf;base64,${PDF}` },
        ]),
      ],
    },
    fields: ['input[user].content[input_file].file_data'],
    without: { input: [user('Read')] },
  },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'Read' },
          { type: 'input_file', file_url: 'https://example.org/a.pdf' },
        ]),
      ],
    },
    fields: ['input[user].content[input_file].file_url'],
    without: { input: [user('Read')] },
  },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'Read' },
          { type: 'input_file', file_id: 'file-1' },
        ]),
      ],
    },
    fields: ['input[user].content[input_file].file_id'],
    without: { input: [user('Read')] },
  },
  {
    body: {
      input: [
        user([
          { type: 'input_text', text: 'Hear' },
          { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } },
        ]),
      ],
    },
    fields: ['input[user].content[input_audio]'],
  },
  {
    body: { input: [user(), said(), ON] },
    fields: ['input[assistant].content'],
    without: { input: [user(), said({}, { text: 'No' }), ON] },
  },
  {
    body: { input: [user(), said(), ON] },
    fields: ['input[assistant].id', 'input[assistant].status'],
    meansNothing: NOTE,
  },
  { body: { input: [user(), said({ phase: 'commentary' }), ON] }, fields: ['input[assistant].phase'] },
  {
    body: { input: [user(), said({}, { annotations: [CITATION] }), ON] },
    fields: ['input[assistant].content[output_text].annotations[url_citation]'],
  },
  {
    body: {
      input: [user(), said({}, { logprobs: [{ token: 'Hi', logprob: -0.1, bytes: [], top_logprobs: [] }] }), ON],
    },
    fields: ['input[assistant].content[output_text].logprobs'],
  },
  {
    body: {
      input: [
        user(),
        said({
          content: [
            { type: 'output_text', text: 'Well.', annotations: [] },
            { type: 'refusal', refusal: 'I must not.' },
          ],
        }),
        ON,
      ],
    },
    fields: ['input[assistant].content[refusal]'],
  },
  {
    body: {
      input: [
        user(),
        { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }], encrypted_content: 'ZW5j' },
        said(),
        ON,
      ],
    },
    fields: ['input[reasoning]'],
  },
  {
    body: { tools: [tool()], input: [user(), call(), output()] },
    fields: ['input[function_call]', 'input[function_call_output]'],
    without: { tools: [tool()], input: [user()] },
  },
  {
    body: { tools: [tool()], input: [user(), call(), output()] },
    fields: ['input[function_call].arguments'],
    without: { tools: [tool()], input: [user(), call({ arguments: '{"path":"b"}' }), output()] },
  },
  {
    body: { tools: [tool()], input: [user(), call(), output()] },
    fields: ['input[function_call].name'],
    without: { tools: [tool()], input: [user(), call({ name: 'list' }), output()] },
  },
  {
    body: { tools: [tool()], input: [user(), call(), output()] },
    fields: ['input[function_call].call_id', 'input[function_call_output].call_id'],
    without: { tools: [tool()], input: [user(), call({ call_id: 'call_2' }), output({ call_id: 'call_2' })] },
  },
  {
    body: { tools: [tool()], input: [user(), call(), output()] },
    fields: [
      'input[function_call].id',
      'input[function_call].status',
      'input[function_call_output].id',
      'input[function_call_output].status',
    ],
    meansNothing: NOTE,
  },
  {
    body: { tools: [group], input: [user(), call({ name: 'spawn', namespace: 'agents' }), output()] },
    fields: ['input[function_call].namespace'],
  },
  {
    body: { tools: [tool()], input: [user(), call({ async: true }), output()] },
    fields: ['input[function_call].async'],
  },
  {
    body: {
      tools: [tool()],
      input: [user(), call({ caller: { type: 'direct' } }), output({ caller: { type: 'direct' } })],
    },
    fields: ['input[function_call].caller', 'input[function_call_output].caller'],
    meansNothing: 'who called is known by the call',
  },
  {
    body: { tools: [tool()], input: [user(), call(), output()] },
    fields: ['input[function_call_output].output'],
    without: { tools: [tool()], input: [user(), call(), output({ output: 'B' })] },
  },
  {
    body: {
      tools: [tool()],
      input: [
        user(),
        call(),
        output({
          output: [
            { type: 'input_text', text: 'A' },
            { type: 'input_image', image_url: `data:image/png;base64,${PNG}` },
          ],
        }),
      ],
    },
    fields: ['input[function_call_output].output[input_image]'],
  },
  {
    body: {
      tools: [tool()],
      input: [
        user(),
        call(),
        output({
          output: [
            { type: 'input_text', text: 'A' },
            { type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF}` },
          ],
        }),
      ],
    },
    fields: ['input[function_call_output].output[input_file]'],
  },
  pair(
    custom,
    { type: 'custom_tool_call', call_id: 'call_1', name: 'patch', input: 'x' },
    { type: 'custom_tool_call_output', call_id: 'call_1', output: 'A' },
  ),
  pair(
    { type: 'local_shell' },
    {
      type: 'local_shell_call',
      id: 'lsh_1',
      call_id: 'call_1',
      status: 'completed',
      action: { type: 'exec', command: ['ls'], env: {} },
    },
    { type: 'local_shell_call_output', id: 'call_1', call_id: 'call_1', output: 'A' },
  ),
  pair(
    { type: 'shell' },
    { type: 'shell_call', call_id: 'call_1', action: { commands: ['ls'] } },
    {
      type: 'shell_call_output',
      call_id: 'call_1',
      output: [{ stdout: 'A', stderr: '', outcome: { type: 'exit', exit_code: 0 } }],
    },
  ),
  pair(
    { type: 'apply_patch' },
    { type: 'apply_patch_call', call_id: 'call_1', status: 'completed', operation: { type: 'delete_file', path: 'a' } },
    { type: 'apply_patch_call_output', call_id: 'call_1', status: 'completed', output: 'A' },
  ),
  pair(
    search,
    { type: 'tool_search_call', call_id: 'call_1', execution: 'client', arguments: { path: 'a' } },
    { type: 'tool_search_output', call_id: 'call_1', execution: 'client', tools: [tool({ name: 'found' })] },
  ),
  item({ type: 'additional_tools', role: 'developer', tools: [tool({ name: 'more' })] }),
  item({ type: 'configuration_update', reasoning: { effort: 'high' } }),
  item({ type: 'compaction', id: 'cmp_1', encrypted_content: 'ZW5j' }),
  item({ type: 'compaction_trigger' }),
  item({ type: 'item_reference', id: 'msg_1' }),
  item({ type: 'file_search_call', id: 'fs_1', queries: ['a'], status: 'completed', results: [] }),
  item({ type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search', query: 'a' } }),
  item({
    type: 'computer_call',
    id: 'cu_1',
    call_id: 'call_1',
    action: { type: 'screenshot' },
    pending_safety_checks: [],
    status: 'completed',
  }),
  item({
    type: 'computer_call_output',
    call_id: 'call_1',
    output: { type: 'computer_screenshot', image_url: `data:image/png;base64,${PNG}` },
  }),
  item({ type: 'image_generation_call', id: 'ig_1', result: PNG, status: 'completed' }),
  item({ type: 'code_interpreter_call', id: 'ci_1', code: '1', container_id: 'c', outputs: [], status: 'completed' }),
  item({ type: 'mcp_list_tools', id: 'mcpl_1', server_label: 'files', tools: [] }),
  item({ type: 'mcp_approval_request', id: 'mcpr_1', arguments: '{}', name: 'read', server_label: 'files' }),
  item({ type: 'mcp_approval_response', approval_request_id: 'mcpr_1', approve: true }),
  item({ type: 'mcp_call', id: 'mcp_1', arguments: '{}', name: 'read', server_label: 'files', output: 'A' }),
  item({ type: 'program', id: 'prog_1', call_id: 'call_1', code: '1', fingerprint: 'f' }),
  item({ type: 'program_output', id: 'progo_1', call_id: 'call_1', result: '1', status: 'completed' }),
]

const response = (items: readonly JsonObject[], members: JsonObject = {}): JsonObject => ({
  id: 'resp_1',
  object: 'response',
  created_at: 1_760_000_000,
  model: 'a-model',
  status: 'completed',
  error: null,
  incomplete_details: null,
  output: items,
  usage: {
    input_tokens: 10,
    input_tokens_details: { cached_tokens: 3, cache_write_tokens: 2 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 4 },
    total_tokens: 15,
  },
  ...members,
})
/** An answer's item that only the vendor has. */
const answerItem = (value: JsonObject): Sample => ({
  body: response([value, said()]),
  fields: [`output[${String(value['type'])}]`],
})
const REPEATED = 'repeats the request; a client hears its own again'

export const RESPONSES_ANSWER: readonly Sample[] = [
  {
    body: response([said()]),
    fields: ['id', 'created_at', 'model'],
    meansNothing: 'every answer has an id and a time of this node, and the name the client asked for',
  },
  ...[
    'access_programs',
    'background',
    'conversation',
    'image',
    'instructions',
    'max_output_tokens',
    'max_tool_calls',
    'metadata',
    'parallel_tool_calls',
    'previous_response_id',
    'prompt',
    'prompt_cache_key',
    'prompt_cache_options',
    'prompt_cache_retention',
    'reasoning',
    'safety_identifier',
    'store',
    'temperature',
    'text',
    'tool_choice',
    'tools',
    'top_logprobs',
    'top_p',
    'truncation',
    'user',
  ].map((name): Sample => ({ body: response([said()], { [name]: 'x' }), fields: [name], meansNothing: REPEATED })),
  {
    body: response([said()], { completed_at: 1_760_000_009 }),
    fields: ['completed_at'],
    meansNothing: 'this node keeps its own time',
  },
  { body: response([said()], { service_tier: 'flex' }), fields: ['service_tier'], meansNothing: SERVICE },
  {
    body: response([said()], { moderation: { input: {}, output: {} } }),
    fields: ['moderation'],
    meansNothing: UNASKED,
  },
  {
    body: response([said()], {
      input_transformations: [{ id: 'rs_1', action: 'removed', reason: 'model_mismatch', type: 'reasoning' }],
    }),
    fields: ['input_transformations'],
    meansNothing: SERVICE,
  },
  {
    body: response([said()], { prompt_cache_diagnostics: { type: 'cache_hit' } }),
    fields: ['prompt_cache_diagnostics'],
    meansNothing: SERVICE,
  },
  {
    body: response([said()], { tool_usage: { web_search: { num_requests: 1 } } }),
    fields: ['tool_usage'],
    meansNothing: SERVICE,
  },
  {
    body: response([said()], { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }),
    fields: ['status', 'incomplete_details'],
    without: response([said()]),
  },
  {
    body: response([said()], { status: 'incomplete', incomplete_details: { reason: 'content_filter' } }),
    fields: ['incomplete_details'],
    without: response([said()]),
  },
  { body: response([said()]), fields: ['output[message].content[output_text]'] },
  { body: response([said()]), fields: ['output[message].id', 'output[message].status'], meansNothing: NOTE },
  {
    body: response([said({ phase: 'commentary' })]),
    fields: ['output[message].phase'],
    meansNothing: 'where a text stands in the turn is seen by what follows it',
  },
  {
    body: response([said({}, { annotations: [CITATION] })]),
    fields: ['output[message].content[output_text].annotations'],
  },
  {
    body: response([said({}, { logprobs: [{ token: 'Hi', logprob: -0.1, bytes: [], top_logprobs: [] }] })]),
    fields: ['output[message].content[output_text].logprobs'],
    meansNothing: UNASKED,
  },
  {
    body: response([said({ content: [{ type: 'refusal', refusal: 'I must not.' }] })]),
    fields: ['output[message].content[refusal]'],
  },
  {
    body: response([
      { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }], encrypted_content: 'ZW5j' },
      said(),
    ]),
    fields: ['output[reasoning].summary', 'output[reasoning].encrypted_content'],
  },
  {
    body: response([
      { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: 'Hm.' }] },
      said(),
    ]),
    fields: ['output[reasoning].content'],
  },
  { body: response([call()]), fields: ['output[function_call]'] },
  {
    body: response([call({ namespace: 'agents' })]),
    fields: ['output[function_call].namespace'],
    meansNothing: UNASKED,
  },
  {
    body: response([
      { type: 'custom_tool_call', id: 'ctc_1', call_id: 'call_1', name: 'patch', input: 'x', status: 'completed' },
    ]),
    fields: ['output[custom_tool_call]'],
  },
  {
    body: response([
      {
        type: 'local_shell_call',
        id: 'lsh_1',
        call_id: 'call_1',
        status: 'completed',
        action: { type: 'exec', command: ['ls'], env: {} },
      },
    ]),
    fields: ['output[local_shell_call]'],
  },
  {
    body: response([
      { type: 'shell_call', id: 'sh_1', call_id: 'call_1', status: 'completed', action: { commands: ['ls'] } },
    ]),
    fields: ['output[shell_call]'],
  },
  {
    body: response([
      {
        type: 'apply_patch_call',
        id: 'ap_1',
        call_id: 'call_1',
        status: 'completed',
        operation: { type: 'delete_file', path: 'a' },
      },
    ]),
    fields: ['output[apply_patch_call]'],
  },
  {
    body: response([
      {
        type: 'tool_search_call',
        id: 'ts_1',
        call_id: 'call_1',
        execution: 'client',
        arguments: { path: 'a' },
        status: 'completed',
      },
    ]),
    fields: ['output[tool_search_call]'],
  },
  answerItem({ type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search', query: 'a' } }),
  answerItem({ type: 'file_search_call', id: 'fs_1', queries: ['a'], status: 'completed', results: [] }),
  answerItem({
    type: 'computer_call',
    id: 'cu_1',
    call_id: 'call_1',
    action: { type: 'screenshot' },
    pending_safety_checks: [],
    status: 'completed',
  }),
  answerItem({ type: 'image_generation_call', id: 'ig_1', result: PNG, status: 'completed' }),
  answerItem({
    type: 'code_interpreter_call',
    id: 'ci_1',
    code: '1',
    container_id: 'c',
    outputs: [],
    status: 'completed',
  }),
  answerItem({ type: 'mcp_call', id: 'mcp_1', arguments: '{}', name: 'read', server_label: 'files', output: 'A' }),
  answerItem({ type: 'mcp_list_tools', id: 'mcpl_1', server_label: 'files', tools: [] }),
  answerItem({ type: 'mcp_approval_request', id: 'mcpr_1', arguments: '{}', name: 'read', server_label: 'files' }),
  answerItem({ type: 'compaction', id: 'cmp_1', encrypted_content: 'ZW5j' }),
  answerItem({ type: 'program', id: 'prog_1', call_id: 'call_1', code: '1', fingerprint: 'f' }),
  {
    body: response([said()]),
    fields: [
      'usage.output_tokens',
      'usage.input_tokens_details.cached_tokens',
      'usage.input_tokens_details.cache_write_tokens',
      'usage.output_tokens_details.reasoning_tokens',
    ],
  },
  {
    body: response([said()], { usage: { input_tokens: 1_000, output_tokens: 5 } }),
    fields: ['usage.input_tokens'],
  },
]
