/**
 * Every field of Messages: the request's after both `MessageCreateParamsBase` (stable and beta) of the @anthropic-ai/sdk package
 * and the message, block and tool types they name, the answer's after `Message`.
 */
import type { JsonObject } from '../../src/dialects/json-value.ts'
import { PDF, PNG, SCHEMA, SERVICE, SHOWN, UNASKED, type Sample } from './field-samples.ts'

const user = (content: unknown = 'Go'): JsonObject => ({ role: 'user', content })
const assistant = (content: unknown): JsonObject => ({ role: 'assistant', content })
const text = (value: string, members: JsonObject = {}): JsonObject => ({ type: 'text', text: value, ...members })
const ON = user('On')
const mark = { type: 'ephemeral', ttl: '1h' }
const tool = (members: JsonObject = {}): JsonObject => ({
  name: 'read',
  description: 'Reads',
  input_schema: SCHEMA,
  ...members,
})
const OTHER = tool({ name: 'other' })
const toolUse = (members: JsonObject = {}): JsonObject => ({
  type: 'tool_use',
  id: 'toolu_1',
  name: 'read',
  input: { path: 'a' },
  ...members,
})
const toolResult = (members: JsonObject = {}): JsonObject => ({
  type: 'tool_result',
  tool_use_id: 'toolu_1',
  content: 'A',
  ...members,
})
const turn = (result: JsonObject = toolResult(), use: JsonObject = toolUse()): JsonObject => ({
  tools: [tool()],
  messages: [user(), assistant([use]), user([result])],
})
const pdf = { type: 'base64', media_type: 'application/pdf', data: PDF }
const CITATION = {
  type: 'char_location',
  cited_text: 'Hi',
  document_index: 0,
  document_title: 'T',
  start_char_index: 0,
  end_char_index: 2,
}
const format = { type: 'json_schema', schema: SCHEMA }

/** A block of the history that only the vendor understands. */
const block = (value: JsonObject): Sample => ({
  body: { messages: [user(), assistant([text('Hm.'), value]), ON] },
  fields: [`messages[assistant].content[${String(value['type'])}]`],
})
/** A tool of the vendor's own. */
const vendorTool = (value: JsonObject): Sample => ({
  body: { tools: [OTHER, value] },
  fields: [`tools[${String(value['type'])}]`],
})

export const MESSAGES_REQUEST: readonly Sample[] = [
  {
    body: { model: 'the-model' },
    fields: ['model'],
    without: { model: 'another' },
    meansNothing: 'the target is asked for its own name of it',
  },
  { body: { max_tokens: 77 }, fields: ['max_tokens'], without: { max_tokens: 99 } },
  { body: { billing_policy: { type: 'billing_policy', bill_to: { type: 'user' } } }, fields: ['billing_policy'] },
  { body: { betas: ['context-1m-2025-08-07'] }, fields: ['betas'] },
  { body: { cache_control: mark }, fields: ['cache_control'] },
  { body: { compaction: { type: 'summarize' } }, fields: ['compaction'] },
  { body: { container: 'container_1' }, fields: ['container'] },
  {
    body: { context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] } },
    fields: ['context_management'],
  },
  { body: { diagnostics: { previous_message_id: 'msg_1' } }, fields: ['diagnostics'] },
  { body: { fallback_credit_token: 'token' }, fields: ['fallback_credit_token'] },
  { body: { fallbacks: [{ model: 'claude-haiku-5-5' }] }, fields: ['fallbacks'] },
  { body: { inference_geo: 'us' }, fields: ['inference_geo'] },
  {
    body: {
      mcp_servers: [{ type: 'url', name: 'files', url: 'https://example.org/mcp' }],
      tools: [OTHER, { type: 'mcp_toolset', mcp_server_name: 'files' }],
    },
    fields: ['mcp_servers'],
    without: { tools: [OTHER] },
  },
  {
    body: {
      mcp_servers: [{ type: 'url', name: 'files', url: 'https://example.org/mcp', authorization_token: 'token' }],
    },
    fields: ['mcp_servers[].authorization_token'],
  },
  { body: { metadata: { user_id: 'alice' } }, fields: ['metadata.user_id'] },
  { body: { output_config: { effort: 'high' } }, fields: ['output_config.effort'] },
  { body: { output_config: { format } }, fields: ['output_config.format'] },
  { body: { output_format: format }, fields: ['output_format'] },
  {
    body: { output_config: { task_budget: { type: 'tokens', total: 90_000 } } },
    fields: ['output_config.task_budget'],
  },
  { body: { service_tier: 'standard_only' }, fields: ['service_tier'] },
  { body: { speed: 'fast' }, fields: ['speed'] },
  { body: { stop_sequences: ['END'] }, fields: ['stop_sequences'] },
  { body: { stream: true }, fields: ['stream'] },
  { body: { system: 'Help' }, fields: ['system'] },
  { body: { system: [text('Help', { cache_control: mark })] }, fields: ['system[text]', 'system[text].cache_control'] },
  { body: { thinking: { type: 'adaptive' } }, fields: ['thinking'] },
  { body: { max_tokens: 9_000, thinking: { type: 'enabled', budget_tokens: 4_000 } }, fields: ['thinking'] },
  {
    body: { thinking: { type: 'disabled' } },
    fields: ['thinking'],
    meansNothing: 'nothing said means none to Messages, and is asked of every target',
  },
  { body: { thinking: { type: 'between_tools' } }, fields: ['thinking'] },
  { body: { thinking: { type: 'adaptive', display: 'omitted' } }, fields: ['thinking.display'], meansNothing: SHOWN },
  {
    body: { thinking: { type: 'adaptive', block_binding: { prefix_mismatch: 'allow' } } },
    fields: ['thinking.block_binding'],
  },
  { body: { thread: { type: 'create' } }, fields: ['thread'] },
  { body: { user_profile_id: 'profile_1' }, fields: ['user_profile_id'] },
  { body: { workspace_id: 'workspace_1' }, fields: ['workspace_id'] },
  { body: { temperature: 0.5 }, fields: ['temperature'] },
  { body: { top_p: 0.5 }, fields: ['top_p'] },
  { body: { top_k: 5 }, fields: ['top_k'] },

  {
    body: {
      tools: [
        OTHER,
        tool({
          cache_control: mark,
          strict: true,
          input_examples: [{ path: 'a' }],
          eager_input_streaming: true,
          allowed_callers: ['code_execution_20260120'],
        }),
      ],
    },
    fields: ['tools[].cache_control', 'tools[].strict', 'tools[].input_examples', 'tools[].allowed_callers'],
  },
  {
    body: { tools: [tool({ eager_input_streaming: true })] },
    fields: ['tools[].eager_input_streaming'],
    meansNothing: 'how a stream is to be cut',
  },
  {
    body: { tools: [tool({ type: 'custom' })] },
    fields: ['tools[].type'],
    meansNothing: 'what a tool without a type is',
  },
  { body: { tools: [tool()] }, fields: ['tools[]', 'tools[].description'] },
  { body: { tools: [tool()] }, fields: ['tools[].name'], without: { tools: [OTHER] } },
  {
    body: { tools: [tool()] },
    fields: ['tools[].input_schema'],
    without: { tools: [tool({ input_schema: { type: 'object', properties: {} } })] },
  },
  { body: { tools: [OTHER, tool({ defer_loading: true })] }, fields: ['tools[].defer_loading'] },
  vendorTool({ type: 'bash_20250124', name: 'bash' }),
  vendorTool({ type: 'text_editor_20250728', name: 'str_replace_based_edit_tool' }),
  vendorTool({ type: 'memory_20250818', name: 'memory' }),
  vendorTool({ type: 'computer_20251124', name: 'computer', display_width_px: 800, display_height_px: 600 }),
  vendorTool({ type: 'computer_20260801', name: 'computer' }),
  vendorTool({ type: 'browser_20260801', name: 'browser' }),
  vendorTool({ type: 'web_search_20250305', name: 'web_search' }),
  { body: { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 8 }] }, fields: ['tools[].max_uses'] },
  {
    body: { tools: [{ type: 'web_search_20250305', name: 'web_search', allowed_domains: ['example.org'] }] },
    fields: ['tools[].allowed_domains'],
  },
  {
    body: { tools: [{ type: 'web_search_20250305', name: 'web_search', blocked_domains: ['example.org'] }] },
    fields: ['tools[].blocked_domains'],
  },
  {
    body: {
      tools: [
        { type: 'web_search_20250305', name: 'web_search', user_location: { type: 'approximate', city: 'Bern' } },
      ],
    },
    fields: ['tools[].user_location'],
  },
  vendorTool({ type: 'web_fetch_20250910', name: 'web_fetch' }),
  vendorTool({ type: 'code_execution_20250825', name: 'code_execution' }),
  vendorTool({ type: 'tool_search_tool_regex_20251119', name: 'tool_search_tool_regex' }),
  vendorTool({ type: 'advisor_20260301', name: 'advisor', model: 'claude-opus-5-5' }),
  {
    body: { tools: [tool()], tool_choice: { type: 'auto' } },
    fields: ['tool_choice.type'],
    without: { tools: [tool()], tool_choice: { type: 'none' } },
  },
  { body: { tools: [tool()], tool_choice: { type: 'none' } }, fields: ['tool_choice'] },
  { body: { tools: [tool()], tool_choice: { type: 'any' } }, fields: ['tool_choice'] },
  { body: { tools: [tool()], tool_choice: { type: 'tool', name: 'read' } }, fields: ['tool_choice'] },
  {
    body: { tools: [tool()], tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
    fields: ['tool_choice.disable_parallel_tool_use'],
  },

  { body: { messages: [user()] }, fields: ['messages[user].content'], without: { messages: [user('Stop')] } },
  {
    body: { messages: [user(), assistant('Yes'), { role: 'system', content: 'Be brief' }, ON] },
    fields: ['messages[system]'],
  },
  {
    body: {
      messages: [user(), { role: 'system', content: 'Be brief', output_config: { effort: 'high' } }],
    },
    fields: ['messages[system].output_config'],
  },
  {
    body: {
      messages: [user(), assistant('Yes'), { role: 'system', content: 'Be brief', clear_at: 'next_user_message' }, ON],
    },
    fields: ['messages[system].clear_at'],
  },
  {
    body: {
      tools: [OTHER, tool({ defer_loading: true })],
      messages: [
        user(),
        assistant('Yes'),
        {
          role: 'system',
          content: [text('Now'), { type: 'tool_addition', tool: { type: 'tool_reference', name: 'read' } }],
        },
        ON,
      ],
    },
    fields: ['messages[system].content[tool_addition]'],
  },
  {
    body: {
      tools: [OTHER, tool()],
      messages: [
        user(),
        assistant('Yes'),
        {
          role: 'system',
          content: [text('Now'), { type: 'tool_removal', tool: { type: 'tool_reference', name: 'read' } }],
        },
        ON,
      ],
    },
    fields: ['messages[system].content[tool_removal]'],
  },
  {
    body: {
      messages: [
        user([
          text('See', { cache_control: mark }),
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG }, cache_control: mark },
        ]),
      ],
    },
    fields: [
      'messages[user].content[text]',
      'messages[user].content[text].cache_control',
      'messages[user].content[image]',
      'messages[user].content[image].cache_control',
    ],
  },
  {
    body: {
      messages: [
        user([
          text('See'),
          {
            type: 'image',
            source: { type: 'url', url: 'https://example.org/a.png' },
            transformations: { oversized_image: 'error' },
          },
        ]),
      ],
    },
    fields: ['messages[user].content[image].source', 'messages[user].content[image].transformations'],
    without: {
      messages: [user([text('See'), { type: 'image', source: { type: 'url', url: 'https://example.org/b.png' } }])],
    },
  },
  {
    body: { messages: [user([text('See'), { type: 'image', source: { type: 'file', file_id: 'file_1' } }])] },
    fields: ['messages[user].content[image]'],
  },
  {
    body: {
      messages: [
        user([
          text('Read'),
          {
            type: 'document',
            source: pdf,
            title: 'a.pdf',
            context: 'Old',
            citations: { enabled: true },
            cache_control: mark,
          },
        ]),
      ],
    },
    fields: [
      'messages[user].content[document].title',
      'messages[user].content[document].context',
      'messages[user].content[document].citations',
      'messages[user].content[document].cache_control',
    ],
  },
  {
    body: { messages: [user([text('Read'), { type: 'document', source: pdf }])] },
    fields: ['messages[user].content[document].source'],
    without: { messages: [user('Read')] },
  },
  {
    body: {
      messages: [user([text('Read'), { type: 'document', source: { type: 'url', url: 'https://example.org/a.pdf' } }])],
    },
    fields: ['messages[user].content[document].source'],
    without: { messages: [user('Read')] },
  },
  {
    body: {
      messages: [
        user([text('Read'), { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'Plain' } }]),
      ],
    },
    fields: ['messages[user].content[document].source'],
    without: { messages: [user('Read')] },
  },
  {
    body: {
      messages: [user([text('Read'), { type: 'document', source: { type: 'content', content: [text('Inner')] } }])],
    },
    fields: ['messages[user].content[document].source'],
    without: { messages: [user('Read')] },
  },
  {
    body: { messages: [user([text('Read'), { type: 'document', source: { type: 'file', file_id: 'file_1' } }])] },
    fields: ['messages[user].content[document].source'],
    without: { messages: [user('Read')] },
  },
  {
    body: {
      messages: [
        user([
          text('Read'),
          {
            type: 'search_result',
            source: 'https://example.org',
            title: 'T',
            content: [text('Found')],
            citations: { enabled: true },
            cache_control: mark,
          },
        ]),
      ],
    },
    fields: [
      'messages[user].content[search_result]',
      'messages[user].content[search_result].citations',
      'messages[user].content[search_result].cache_control',
    ],
  },
  {
    body: {
      messages: [
        user([
          text('Read'),
          { type: 'search_result', source: 'https://example.org', title: 'T', content: [text('Found')] },
        ]),
      ],
    },
    fields: [
      'messages[user].content[search_result].source',
      'messages[user].content[search_result].title',
      'messages[user].content[search_result].content',
    ],
    without: {
      messages: [
        user([
          text('Read'),
          { type: 'search_result', source: 'https://example.com', title: 'U', content: [text('Lost')] },
        ]),
      ],
    },
  },
  {
    body: { messages: [user([text('Run'), { type: 'container_upload', file_id: 'file_1' }])] },
    fields: ['messages[user].content[container_upload]'],
  },
  {
    body: { messages: [user(), assistant('Yes'), ON] },
    fields: ['messages[assistant].content'],
    without: { messages: [user(), assistant('No'), ON] },
  },
  {
    body: { messages: [user(), assistant([text('Yes', { citations: [CITATION] })]), ON] },
    fields: ['messages[assistant].content[text].citations'],
  },
  {
    body: {
      messages: [user(), assistant([{ type: 'thinking', thinking: 'Hm.', signature: 'c2ln' }, text('Yes')]), ON],
    },
    fields: ['messages[assistant].content[thinking]'],
  },
  {
    body: { messages: [user(), assistant([{ type: 'redacted_thinking', data: 'ZGF0YQ==' }, text('Yes')]), ON] },
    fields: ['messages[assistant].content[redacted_thinking]'],
  },
  {
    body: turn(),
    fields: ['messages[assistant].content[tool_use]', 'messages[user].content[tool_result]'],
    without: { tools: [tool()], messages: [user()] },
  },
  {
    body: turn(),
    fields: ['messages[assistant].content[tool_use].input'],
    without: turn(toolResult(), toolUse({ input: { path: 'b' } })),
  },
  {
    body: turn(),
    fields: ['messages[assistant].content[tool_use].name'],
    without: turn(toolResult(), toolUse({ name: 'list' })),
  },
  {
    body: turn(),
    fields: ['messages[assistant].content[tool_use].id', 'messages[user].content[tool_result].tool_use_id'],
    without: turn(toolResult({ tool_use_id: 'toolu_2' }), toolUse({ id: 'toolu_2' })),
  },
  {
    body: turn(toolResult(), toolUse({ cache_control: mark })),
    fields: ['messages[assistant].content[tool_use].cache_control'],
  },
  {
    body: turn(toolResult(), toolUse({ caller: { type: 'direct' } })),
    fields: ['messages[assistant].content[tool_use].caller'],
    meansNothing: 'who called is known by the call',
  },
  {
    body: turn(toolResult(), toolUse({ toolset_name: 'browser' })),
    fields: ['messages[assistant].content[tool_use].toolset_name'],
  },
  {
    body: turn(),
    fields: ['messages[user].content[tool_result].content'],
    without: turn(toolResult({ content: 'B' })),
  },
  { body: turn(toolResult({ is_error: true })), fields: ['messages[user].content[tool_result].is_error'] },
  { body: turn(toolResult({ cache_control: mark })), fields: ['messages[user].content[tool_result].cache_control'] },
  { body: turn(toolResult({ toolset_name: 'browser' })), fields: ['messages[user].content[tool_result].toolset_name'] },
  {
    body: turn(
      toolResult({
        content: [text('A'), { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }],
      }),
    ),
    fields: ['messages[user].content[tool_result].content[image]'],
  },
  {
    body: turn(toolResult({ content: [text('A'), { type: 'document', source: pdf }] })),
    fields: ['messages[user].content[tool_result].content[document]'],
  },
  {
    body: turn(
      toolResult({
        content: [
          text('A'),
          { type: 'search_result', source: 'https://example.org', title: 'T', content: [text('Found')] },
        ],
      }),
    ),
    fields: ['messages[user].content[tool_result].content[search_result]'],
  },
  {
    body: {
      ...turn(toolResult({ content: [text('A'), { type: 'tool_reference', tool_name: 'later' }] })),
      tools: [tool(), tool({ name: 'later', defer_loading: true })],
    },
    fields: ['messages[user].content[tool_result].content[tool_reference]'],
  },
  {
    body: turn(toolResult({ content: [text('A'), { type: 'browser_state', tabs: [] }] })),
    fields: ['messages[user].content[tool_result].content[browser_state]'],
  },
  block({ type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: { query: 'a' } }),
  block({
    type: 'web_search_tool_result',
    tool_use_id: 'srvtoolu_1',
    content: [{ type: 'web_search_result', title: 'T', url: 'https://example.org', encrypted_content: 'ZW5j' }],
  }),
  block({
    type: 'web_fetch_tool_result',
    tool_use_id: 'srvtoolu_1',
    content: { type: 'web_fetch_result', url: 'https://example.org', content: { type: 'document', source: pdf } },
  }),
  block({ type: 'advisor_tool_result', tool_use_id: 'srvtoolu_1', content: { type: 'advisor_result', text: 'Do' } }),
  block({
    type: 'code_execution_tool_result',
    tool_use_id: 'srvtoolu_1',
    content: { type: 'code_execution_result', stdout: '1', stderr: '', return_code: 0, content: [] },
  }),
  block({
    type: 'bash_code_execution_tool_result',
    tool_use_id: 'srvtoolu_1',
    content: { type: 'bash_code_execution_result', stdout: '1', stderr: '', return_code: 0, content: [] },
  }),
  block({
    type: 'text_editor_code_execution_tool_result',
    tool_use_id: 'srvtoolu_1',
    content: { type: 'text_editor_code_execution_create_result', is_file_update: false },
  }),
  block({
    type: 'tool_search_tool_result',
    tool_use_id: 'srvtoolu_1',
    content: { type: 'tool_search_tool_search_result', tool_references: [] },
  }),
  block({ type: 'mcp_tool_use', id: 'mcptoolu_1', name: 'read', server_name: 'files', input: {} }),
  block({ type: 'mcp_tool_result', tool_use_id: 'mcptoolu_1', content: 'A' }),
  block({ type: 'mcp_tool_listing', mcp_server_name: 'files', tools: [] }),
  block({ type: 'compaction', content: 'A summary', encrypted_content: 'ZW5j' }),
  block({ type: 'fallback', from: { model: 'a' }, to: { model: 'b' } }),
]

const message = (content: readonly JsonObject[], members: JsonObject = {}): JsonObject => ({
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'a-model',
  content,
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: {
    input_tokens: 5,
    cache_read_input_tokens: 3,
    cache_creation_input_tokens: 2,
    output_tokens: 5,
    output_tokens_details: { thinking_tokens: 4 },
  },
  ...members,
})
const HI = text('Hi')
const usage = (members: JsonObject): JsonObject => ({ usage: { input_tokens: 5, output_tokens: 5, ...members } })
/** An answer's block that only the vendor has. */
const answerBlock = (value: JsonObject): Sample => ({
  body: message([value, HI]),
  fields: [`content[${String(value['type'])}]`],
})

export const MESSAGES_ANSWER: readonly Sample[] = [
  {
    body: message([HI]),
    fields: ['id', 'model'],
    meansNothing: 'every answer has an id of this node, and the name the client asked for',
  },
  {
    body: message([HI], { container: { id: 'container_1', expires_at: 'x' } }),
    fields: ['container'],
    meansNothing: UNASKED,
  },
  { body: message([HI], { diagnostics: { cache_miss_reason: null } }), fields: ['diagnostics'], meansNothing: UNASKED },
  { body: message([HI]), fields: ['content[text]'] },
  { body: message([text('Hi', { citations: [CITATION] })]), fields: ['content[text].citations'] },
  {
    body: message([{ type: 'thinking', thinking: 'Hm.', signature: 'c2ln' }, HI]),
    fields: ['content[thinking].thinking', 'content[thinking].signature'],
    without: message([HI]),
  },
  { body: message([{ type: 'redacted_thinking', data: 'ZGF0YQ==' }, HI]), fields: ['content[redacted_thinking]'] },
  { body: message([toolUse()], { stop_reason: 'tool_use' }), fields: ['content[tool_use]'] },
  {
    body: message([toolUse({ caller: { type: 'direct' } })], { stop_reason: 'tool_use' }),
    fields: ['content[tool_use].caller'],
    meansNothing: 'who called is known by the call',
  },
  answerBlock({ type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: { query: 'a' } }),
  answerBlock({ type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [] }),
  answerBlock({ type: 'web_fetch_tool_result', tool_use_id: 'srvtoolu_1', content: {} }),
  answerBlock({ type: 'code_execution_tool_result', tool_use_id: 'srvtoolu_1', content: {} }),
  answerBlock({ type: 'bash_code_execution_tool_result', tool_use_id: 'srvtoolu_1', content: {} }),
  answerBlock({ type: 'text_editor_code_execution_tool_result', tool_use_id: 'srvtoolu_1', content: {} }),
  answerBlock({ type: 'tool_search_tool_result', tool_use_id: 'srvtoolu_1', content: {} }),
  answerBlock({ type: 'mcp_tool_use', id: 'mcptoolu_1', name: 'read', server_name: 'files', input: {} }),
  answerBlock({ type: 'mcp_tool_result', tool_use_id: 'mcptoolu_1', content: [], is_error: false }),
  answerBlock({ type: 'container_upload', file_id: 'file_1' }),
  answerBlock({ type: 'compaction', content: 'A summary' }),
  { body: message([HI], { stop_reason: 'max_tokens' }), fields: ['stop_reason'], without: message([HI]) },
  { body: message([HI], { stop_reason: 'refusal' }), fields: ['stop_reason'], without: message([HI]) },
  {
    body: message([HI], { stop_reason: 'pause_turn' }),
    fields: ['stop_reason'],
    without: message([HI]),
    meansNothing: 'the turn is over for a client that cannot go on with it',
  },
  {
    body: message([HI], { stop_reason: 'model_context_window_exceeded' }),
    fields: ['stop_reason'],
    without: message([HI]),
  },
  {
    body: message([HI], { stop_reason: 'stop_sequence', stop_sequence: 'END' }),
    fields: ['stop_sequence'],
    without: message([HI]),
    meansNothing: 'the other dialects only know that the text is over',
  },
  {
    body: message([HI], {
      stop_reason: 'refusal',
      stop_details: { type: 'refusal', category: 'cyber', explanation: 'I must not.' },
    }),
    fields: ['stop_details.explanation'],
  },
  {
    body: message([HI], {
      stop_reason: 'refusal',
      stop_details: { type: 'refusal', category: 'cyber', explanation: 'I must not.' },
    }),
    fields: ['stop_details.category'],
    meansNothing: 'the refusal is told, and its explanation',
  },
  {
    body: message([HI]),
    fields: [
      'usage.input_tokens',
      'usage.output_tokens',
      'usage.cache_read_input_tokens',
      'usage.cache_creation_input_tokens',
      'usage.output_tokens_details.thinking_tokens',
    ],
  },
  {
    body: message([HI], usage({ server_tool_use: { web_search_requests: 1, web_fetch_requests: 0 } })),
    fields: ['usage.server_tool_use'],
    meansNothing: SERVICE,
  },
  {
    body: message([HI], usage({ cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 0 } })),
    fields: ['usage.cache_creation'],
    meansNothing: SERVICE,
  },
  { body: message([HI], usage({ service_tier: 'priority' })), fields: ['usage.service_tier'], meansNothing: SERVICE },
  { body: message([HI], usage({ speed: 'fast' })), fields: ['usage.speed'], meansNothing: SERVICE },
  { body: message([HI], usage({ inference_geo: 'us' })), fields: ['usage.inference_geo'], meansNothing: SERVICE },
]
