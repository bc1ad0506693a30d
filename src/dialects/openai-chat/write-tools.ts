/**
 * Tools and the choice among them in a Chat Completions request.
 */
import type { RequestWriting } from '../conversation/contract.ts'
import type { Conversation, ToolChoice } from '../conversation/conversation.ts'
import { effortOf } from '../conversation/reasoning-wish.ts'
import type { BridgedTool } from '../conversation/tool-bridge.ts'
import { isClosed, portableSchema } from '../conversation/json-schema.ts'
import type { JsonObject } from '../json-value.ts'

const NO_PARAMETERS: JsonObject = { type: 'object', properties: {} }

/** Deeper schemas are taken to be open. */

/** `tools`, `tool_choice`, `parallel_tool_calls` and `web_search_options`, as far as there is something to say. */
export function writeTools(conversation: Conversation, writing: RequestWriting): JsonObject {
  const { profile, losses } = writing
  const { toolChoice, parallelToolCalls } = conversation
  const { offered, choice } = choose(toolChoice, conversation, writing)
  const hosted = writeHosted(conversation, writing)
  if (offered.length === 0) {
    // Without tools OpenAI refuses a choice among them, and none is what can be called anyway.
    if (choice !== undefined && choice !== 'auto' && choice !== 'none') losses.drop('tool_choice')
    return hosted
  }
  if (parallelToolCalls === false && !profile.takesParallelSwitch) {
    losses.drop({
      'openai-chat': 'parallel_tool_calls',
      'openai-responses': 'parallel_tool_calls',
      'anthropic-messages': 'tool_choice.disable_parallel_tool_use',
    })
  }
  return {
    ...hosted,
    tools: offered.map((tool) => writeTool(tool, writing)),
    tool_choice: choice,
    parallel_tool_calls: profile.takesParallelSwitch ? parallelToolCalls : undefined,
  }
}

/** The tools to offer, and what to say of the choice among them. */
function choose(
  toolChoice: ToolChoice | undefined,
  conversation: Conversation,
  writing: RequestWriting,
): { readonly offered: readonly BridgedTool[]; readonly choice?: JsonObject | string | undefined } {
  const { bridge, profile, losses } = writing
  const offered = bridge.tools
  const mayForce = profile.takesForcedToolWhileReasoning || effortOf(conversation.reasoning) === 'none'
  const force = <Forced>(forced: Forced): Forced | 'auto' => {
    if (mayForce) return forced
    losses.drop('tool_choice')
    return 'auto'
  }
  switch (toolChoice?.kind) {
    case undefined:
      return { offered }
    case 'none':
    case 'auto':
      return { offered, choice: toolChoice.kind }
    case 'required':
      return { offered, choice: force('required') }
    case 'tool': {
      const wireName = bridge.wireNameOf(toolChoice)
      const chosen = offered.find((tool) => tool.wireName === wireName)
      if (chosen === undefined) {
        losses.drop('tool_choice')
        return { offered }
      }
      const type = chosen.wireKind === 'custom' ? 'custom' : 'function'
      const choice = force({ type, [type]: { name: wireName } })
      return { offered: mayForce ? offered : [chosen], choice }
    }
    case 'allowed': {
      const allowed = new Set(toolChoice.tools.map((name) => bridge.wireNameOf(name)))
      const choice = toolChoice.mode === 'required' ? force('required') : 'auto'
      return { offered: offered.filter(({ wireName }) => allowed.has(wireName)), choice }
    }
    case 'native':
      if (toolChoice.native.dialect === 'openai-chat') return { offered, choice: toolChoice.native.value }
      losses.drop('tool_choice')
      return { offered }
  }
}

function writeTool(bridged: BridgedTool, { losses, profile }: RequestWriting): JsonObject {
  const { tool, wireName: name, wireKind, description } = bridged
  losses.dropExtras(tool.extras, 'openai-chat', 'tools[]')
  if (tool.cacheMark !== undefined) losses.drop('tools[].cache_control')
  const own = tool.extras['openai-chat']
  if (wireKind === 'custom') {
    return { type: 'custom', custom: { ...own, name, description, format: writeFormat(tool.format) } }
  }
  const parameters = portableSchema(bridged.parameters ?? NO_PARAMETERS)
  // A strict function with an open schema is refused; one that is not strict is the default.
  const isStrict = tool.strict === true && profile.takesStrict && isClosed(parameters)
  if (tool.strict === true && !isStrict) losses.drop('tools[].strict')
  return {
    type: 'function',
    function: { ...own, name, description, parameters, strict: isStrict ? true : undefined },
  }
}

/** Grammars stand one level deeper here than in the hub. */
function writeFormat(format: JsonObject | undefined): JsonObject | undefined {
  if (format?.['type'] !== 'grammar') return format
  const { syntax, definition } = format
  return { type: 'grammar', grammar: { syntax, definition } }
}

function writeHosted({ tools }: Conversation, { profile, losses }: RequestWriting): JsonObject {
  let written: JsonObject = {}
  for (const tool of tools) {
    if (tool.kind !== 'hosted') continue
    const { native, capability, name } = tool
    if (capability === 'web-search' && profile.hosted.has('web-search')) {
      written = { web_search_options: native.dialect === 'openai-chat' ? native.value : {} }
    } else {
      losses.drop(
        native.dialect === 'openai-chat' && capability === 'web-search' ? 'web_search_options' : `tools[].${name}`,
      )
    }
  }
  return written
}
