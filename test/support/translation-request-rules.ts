/**
 * What the servers of each dialect refuse in a request, as far as it is documented or known: members they do not know, roles
 * out of order, calls without results, names they cannot take. Strict on purpose: a translated request is our own work, so it
 * has no excuse.
 */
import type { TranslationTarget } from '../../src/dialects/translate.ts'
import { asList, asObject, isObject, parseObject, type JsonObject } from '../../src/dialects/json-value.ts'

/** One line for each thing the target would refuse. */
export function faultsOfRequest(target: Pick<TranslationTarget, 'dialect' | 'isVendor'>, body: JsonObject): string[] {
  const faults: string[] = []
  const check = (isRight: boolean, line: string): void => {
    if (!isRight) faults.push(line)
  }
  switch (target.dialect) {
    case 'openai-chat':
      checkChat(body, target.isVendor, check)
      break
    case 'openai-responses':
      checkResponses(body, target.isVendor, check)
      break
    case 'anthropic-messages':
      checkMessages(body, target.isVendor, check)
      break
  }
  return faults
}

type Check = (isRight: boolean, line: string) => void

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/))
const shown = (value: unknown): string => (JSON.stringify(value) ?? 'undefined').slice(0, 200)
const isText = (value: unknown): value is string => typeof value === 'string'
const isFilled = (value: unknown): value is string => typeof value === 'string' && value !== ''
const objects = (value: unknown): readonly JsonObject[] => asList(value).map(asObject)

function checkMembers(value: JsonObject, known: ReadonlySet<string>, where: string, check: Check): void {
  for (const name of Object.keys(value)) check(known.has(name), `${where} has an unknown member "${name}"`)
}

const NAME = /^[A-Za-z0-9_-]+$/

function checkName(name: unknown, charactersMax: number, where: string, check: Check): void {
  check(isText(name) && NAME.test(name) && name.length <= charactersMax, `${where}: the name ${shown(name)}`)
}

function checkPositive(value: unknown, where: string, check: Check): void {
  if (value !== undefined) check(Number.isInteger(value) && Number(value) > 0, `${where} is ${shown(value)}`)
}

function checkSchema(schema: unknown, where: string, check: Check): void {
  check(isObject(schema) && schema['type'] === 'object', `${where} is no schema of an object: ${shown(schema)}`)
}

/** Strict functions must be closed at every level, with every property required. */
function checkStrict(schema: unknown, where: string, check: Check): void {
  if (Array.isArray(schema)) return schema.forEach((each) => checkStrict(each, where, check))
  if (!isObject(schema)) return
  if (isObject(schema['properties'])) {
    const names = Object.keys(schema['properties']).toSorted()
    check(schema['additionalProperties'] === false, `${where} is strict and open`)
    check(
      shown(asList(schema['required']).map(String).toSorted()) === shown(names),
      `${where} is strict and has optional properties`,
    )
  }
  for (const each of Object.values(schema)) checkStrict(each, where, check)
}

function checkUrl(url: unknown, where: string, check: Check): void {
  check(
    isText(url) && /^(?:https?:\/\/.|data:[\w.+-]+\/[\w.+-]+;base64,[A-Za-z0-9+/=_-]+$)/.test(url),
    `${where}: the URL ${shown(url)}`,
  )
}

function checkUnique(names: readonly unknown[], where: string, check: Check): void {
  check(new Set(names).size === names.length, `${where} are not unique: ${shown(names)}`)
}

// Chat Completions

const CHAT_MEMBERS = words(
  `model messages audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata modalities moderation n
   parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort
   response_format safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools
   top_logprobs top_p user verbosity web_search_options`,
)
const CHAT_MESSAGE_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  system: words('role content name'),
  developer: words('role content name'),
  user: words('role content name'),
  assistant: words('role content name refusal tool_calls audio'),
  tool: words('role content tool_call_id'),
}
const CHAT_PARTS: Readonly<Record<string, ReadonlySet<string>>> = {
  system: words('text'),
  developer: words('text'),
  user: words('text image_url file input_audio'),
  assistant: words('text refusal'),
  tool: words('text'),
}

function checkChat(body: JsonObject, isVendor: boolean, check: Check): void {
  checkMembers(body, CHAT_MEMBERS, 'the request', check)
  check(isFilled(body['model']), 'no model')
  checkPositive(body['max_tokens'], 'max_tokens', check)
  checkPositive(body['max_completion_tokens'], 'max_completion_tokens', check)
  check(body['max_tokens'] === undefined || body['max_completion_tokens'] === undefined, 'two output limits')
  check(body['stream'] === undefined || typeof body['stream'] === 'boolean', `stream is ${shown(body['stream'])}`)
  if (body['stream_options'] !== undefined) check(body['stream'] === true, 'stream_options without stream')
  if (body['stop'] !== undefined) {
    const stops = isText(body['stop']) ? [body['stop']] : asList(body['stop'])
    check(stops.length > 0 && stops.length <= 4 && stops.every(isFilled), `stop is ${shown(body['stop'])}`)
  }

  const tools = objects(body['tools'])
  check(body['tools'] === undefined || tools.length > 0, 'tools is empty')
  const toolNames = tools.map((tool) => {
    const own = asObject(tool[String(tool['type'])])
    check(
      tool['type'] === 'function' || (tool['type'] === 'custom' && isVendor),
      `a tool of type ${shown(tool['type'])}`,
    )
    checkMembers(tool, words('type function custom'), 'a tool', check)
    checkMembers(
      own,
      tool['type'] === 'custom' ? words('name description format') : words('name description parameters strict'),
      'a tool',
      check,
    )
    checkName(own['name'], 64, 'a tool', check)
    if (own['parameters'] !== undefined) checkSchema(own['parameters'], `parameters of ${String(own['name'])}`, check)
    if (own['strict'] === true) checkStrict(own['parameters'], `parameters of ${String(own['name'])}`, check)
    return own['name']
  })
  checkUnique(toolNames, 'tools', check)
  checkToolChoice(body, toolNames, check)
  const format = asObject(body['response_format'])
  if (format['type'] === 'json_schema') {
    const { name, schema, strict } = asObject(format['json_schema'])
    checkName(name, 64, 'response_format', check)
    check(isObject(schema), 'response_format without schema')
    if (strict === true) checkStrict(schema, 'response_format', check)
  }

  const turns = objects(body['messages'])
  check(turns.length > 0, 'no messages')
  let awaited: unknown[] = []
  turns.forEach((message, at) => {
    const where = `messages[${at}]`
    const role = String(message['role'])
    const members = CHAT_MESSAGE_MEMBERS[role]
    check(members !== undefined, `${where} has role ${shown(message['role'])}`)
    if (!isVendor) check(role !== 'developer', `${where} is of a developer, which few servers know`)
    if (!isVendor) check(role !== 'system' || at === 0, `${where} is of the system, not at the start`)
    const isExtended = role === 'assistant' && !isVendor
    checkMembers(
      message,
      isExtended ? new Set([...(members ?? []), 'reasoning_content']) : (members ?? new Set()),
      where,
      check,
    )
    const { content, tool_calls: toolCalls } = message
    if (role === 'tool') {
      check(awaited.includes(message['tool_call_id']), `${where} answers no call: ${shown(message['tool_call_id'])}`)
      awaited = awaited.filter((id) => id !== message['tool_call_id'])
    } else {
      check(awaited.length === 0, `${where} before the results of ${shown(awaited)}`)
      awaited = []
    }
    const hasCalls = role === 'assistant' && toolCalls !== undefined
    if (hasCalls) awaited = checkChatCalls(objects(toolCalls), isVendor, where, check)
    check(
      isText(content) ||
        Array.isArray(content) ||
        (role === 'assistant' && (hasCalls || isText(message['refusal']) || isExtended)),
      `${where} has content ${shown(content)}`,
    )
    for (const part of objects(isText(content) ? [] : content)) checkChatPart(part, role, where, check)
    if (Array.isArray(content)) check(content.length > 0, `${where} has an empty list for content`)
  })
}

function checkToolChoice(body: JsonObject, toolNames: readonly unknown[], check: Check): void {
  const choice = body['tool_choice']
  if (body['parallel_tool_calls'] !== undefined) check(toolNames.length > 0, 'parallel_tool_calls without tools')
  if (choice === undefined) return
  check(toolNames.length > 0, 'tool_choice without tools')
  if (isText(choice)) return check(['none', 'auto', 'required'].includes(choice), `tool_choice ${choice}`)
  const { type, function: named, custom, allowed_tools: allowed } = asObject(choice)
  if (type === 'allowed_tools')
    return check(objects(asObject(allowed)['tools']).length > 0, 'allowed_tools without tools')
  const { name } = asObject(type === 'custom' ? custom : named)
  check(toolNames.includes(name), `tool_choice names ${shown(name)}, which is no tool`)
}

function checkChatCalls(calls: readonly JsonObject[], isVendor: boolean, where: string, check: Check): unknown[] {
  check(calls.length > 0, `${where} has an empty list of calls`)
  const ids = calls.map((call) => {
    const { id, type, ...bodies } = call
    check(isFilled(id) && id.length <= 64, `${where}: the call id ${shown(id)}`)
    check(type === 'function' || (type === 'custom' && isVendor), `${where}: a call of type ${shown(type)}`)
    checkMembers(bodies, new Set([String(type)]), `${where}: a call`, check)
    const body = asObject(bodies[String(type)])
    checkName(body['name'], 64, `${where}: a call`, check)
    check(isText(type === 'custom' ? body['input'] : body['arguments']), `${where}: a call without arguments`)
    return id
  })
  checkUnique(ids, `${where}: call ids`, check)
  return ids
}

function checkChatPart(part: JsonObject, role: string, where: string, check: Check): void {
  const type = String(part['type'])
  check(CHAT_PARTS[role]?.has(type) ?? false, `${where}: a ${type} part in a message of ${role}`)
  checkMembers(part, new Set(['type', type, 'prompt_cache_breakpoint']), `${where}: a part`, check)
  if (type === 'text' || type === 'refusal') check(isText(part[type]), `${where}: a text part without text`)
  if (type === 'image_url') {
    checkMembers(asObject(part['image_url']), words('url detail'), `${where}: image_url`, check)
    checkUrl(asObject(part['image_url'])['url'], where, check)
  }
  if (type === 'file')
    checkMembers(asObject(part['file']), words('file_data file_id filename'), `${where}: file`, check)
  if (type === 'input_audio')
    checkMembers(asObject(part['input_audio']), words('data format'), `${where}: input_audio`, check)
}

// Messages

const MESSAGES_MEMBERS = words(
  `model max_tokens messages cache_control container context_management mcp_servers metadata output_config service_tier speed
   stop_sequences stream system temperature thinking tool_choice tools top_k top_p`,
)
const BLOCK_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  text: words('type text cache_control citations'),
  image: words('type source cache_control'),
  document: words('type source title context citations cache_control'),
  search_result: words('type content source title citations cache_control'),
  thinking: words('type thinking signature'),
  redacted_thinking: words('type data'),
  tool_use: words('type id name input cache_control caller'),
  tool_result: words('type tool_use_id content is_error cache_control'),
  tool_reference: words('type tool_name cache_control'),
}
const BLOCKS_OF: Readonly<Record<string, ReadonlySet<string>>> = {
  system: words('text'),
  user: words('text image document search_result tool_result'),
  assistant: words('text thinking redacted_thinking tool_use'),
  tool_result: words('text image document search_result tool_reference'),
}
const CACHE_MARKS_MAX = 4

function checkMessages(body: JsonObject, isVendor: boolean, check: Check): void {
  checkMembers(body, MESSAGES_MEMBERS, 'the request', check)
  check(isFilled(body['model']), 'no model')
  check(body['max_tokens'] !== undefined, 'no max_tokens')
  checkPositive(body['max_tokens'], 'max_tokens', check)
  checkMembers(asObject(body['metadata']), words('user_id'), 'metadata', check)
  check(countMarks(body) <= CACHE_MARKS_MAX, 'more than four cache_control')
  const temperature = body['temperature']
  if (temperature !== undefined)
    check(Number(temperature) >= 0 && Number(temperature) <= 1, `temperature ${shown(temperature)}`)
  for (const stop of asList(body['stop_sequences']))
    check(isText(stop) && stop.trim() !== '', `a stop sequence ${shown(stop)}`)
  if (Array.isArray(body['system']))
    for (const block of objects(body['system'])) checkBlock(block, 'system', 'system', check)
  else check(body['system'] === undefined || isFilled(body['system']), `system is ${shown(body['system'])}`)

  const thinking = asObject(body['thinking'])
  const isThinking = thinking['type'] === 'enabled' || thinking['type'] === 'adaptive'
  if (thinking['type'] === 'enabled') {
    const budget = Number(thinking['budget_tokens'])
    check(
      budget >= 1_024 && budget < Number(body['max_tokens']),
      `budget_tokens ${budget} of ${shown(body['max_tokens'])}`,
    )
  }
  if (isThinking) check(temperature === undefined || temperature === 1, 'thinking with a temperature')

  const tools = objects(body['tools'])
  const toolNames = tools.map((tool) => {
    const isHosted = isText(tool['type']) && tool['type'] !== 'custom'
    if (isHosted) {
      check(isVendor, `a tool of type ${shown(tool['type'])} at a server that runs none`)
      return tool['name'] ?? tool['mcp_server_name']
    }
    checkMembers(
      tool,
      words(
        'name description input_schema type cache_control strict defer_loading input_examples eager_input_streaming allowed_callers',
      ),
      `the tool ${String(tool['name'])}`,
      check,
    )
    checkName(tool['name'], isVendor ? 128 : 64, 'a tool', check)
    checkSchema(tool['input_schema'], `input_schema of ${String(tool['name'])}`, check)
    for (const word of ['anyOf', 'oneOf', 'allOf'])
      check(
        asObject(tool['input_schema'])[word] === undefined,
        `input_schema of ${String(tool['name'])} has ${word} at its top`,
      )
    return tool['name']
  })
  checkUnique(toolNames, 'tools', check)
  const choice = asObject(body['tool_choice'])
  if (body['tool_choice'] !== undefined) {
    check(tools.length > 0, 'tool_choice without tools')
    check(['auto', 'any', 'tool', 'none'].includes(String(choice['type'])), `tool_choice ${shown(choice)}`)
    checkMembers(choice, words('type name disable_parallel_tool_use'), 'tool_choice', check)
    if (choice['type'] === 'tool')
      check(toolNames.includes(choice['name']), `tool_choice names ${shown(choice['name'])}, which is no tool`)
    if (isThinking) check(choice['type'] !== 'any' && choice['type'] !== 'tool', 'a forced tool while thinking')
  }
  checkTurns(objects(body['messages']), isVendor, check)
}

function checkTurns(turns: readonly JsonObject[], isVendor: boolean, check: Check): void {
  check(turns.length > 0, 'no messages')
  check(turns.find(({ role }) => role !== 'system')?.['role'] === 'user', 'the first message is not of the user')
  const ids = new Set<unknown>()
  let awaited: readonly unknown[] = []
  let before: unknown
  turns.forEach((message, at) => {
    const where = `messages[${at}]`
    const { role, content } = message
    checkMembers(message, words('role content'), where, check)
    check(
      role === 'user' || role === 'assistant' || (role === 'system' && isVendor),
      `${where} has role ${shown(role)}`,
    )
    check(role !== before || role === 'system', `${where} follows another of ${shown(role)}`)
    before = role
    const blocks = isText(content) ? [{ type: 'text', text: content }] : objects(content)
    check(blocks.length > 0, `${where} is empty`)
    for (const block of blocks) checkBlock(block, String(role), where, check)

    const results = blocks.filter(({ type }) => type === 'tool_result').map((block) => block['tool_use_id'])
    check(
      blocks.slice(0, results.length).every(({ type }) => type === 'tool_result'),
      `${where}: tool results do not come first`,
    )
    if (role !== 'system') {
      for (const id of awaited) check(results.includes(id), `${where} lacks the result of ${shown(id)}`)
      for (const id of results) check(awaited.includes(id), `${where} answers no call of the turn before: ${shown(id)}`)
      checkUnique(results, `${where}: results`, check)
      awaited = blocks.filter(({ type }) => type === 'tool_use').map(({ id }) => id)
      for (const id of awaited) check(!ids.has(id), `${where}: the call id ${shown(id)} was used before`)
      for (const id of awaited) ids.add(id)
    }
  })
}

function checkBlock(block: JsonObject, holder: string, where: string, check: Check): void {
  const type = String(block['type'])
  check(BLOCKS_OF[holder]?.has(type) ?? false, `${where}: a ${type} block in ${holder}`)
  checkMembers(block, BLOCK_MEMBERS[type] ?? new Set(['type']), `${where}: a ${type} block`, check)
  switch (type) {
    case 'text':
      check(isText(block['text']) && block['text'].trim() !== '', `${where}: an empty text`)
      return
    case 'image':
    case 'document':
      return checkSource(asObject(block['source']), type, where, check)
    case 'thinking':
      return check(isText(block['thinking']) && isFilled(block['signature']), `${where}: thinking without signature`)
    case 'redacted_thinking':
      return check(isFilled(block['data']), `${where}: redacted_thinking without data`)
    case 'tool_use':
      checkName(block['id'], 64, `${where}: a call id`, check)
      checkName(block['name'], 128, `${where}: a call`, check)
      return check(isObject(block['input']), `${where}: a call with input ${shown(block['input'])}`)
    case 'tool_result':
      checkName(block['tool_use_id'], 64, `${where}: a result`, check)
      check(
        block['content'] === undefined || isText(block['content']) || Array.isArray(block['content']),
        `${where}: a result with content ${shown(block['content'])}`,
      )
      if (Array.isArray(block['content']))
        for (const each of objects(block['content'])) checkBlock(each, 'tool_result', where, check)
  }
}

function checkSource(source: JsonObject, type: string, where: string, check: Check): void {
  switch (source['type']) {
    case 'base64':
      check(
        isFilled(source['data']) && /^[\w.+-]+\/[\w.+-]+$/.test(String(source['media_type'])),
        `${where}: a ${type} of ${shown(source)}`,
      )
      return
    case 'url':
      return check(/^https?:\/\/./.test(String(source['url'])), `${where}: a ${type} at ${shown(source['url'])}`)
    case 'text':
      return check(
        type === 'document' && source['media_type'] === 'text/plain' && isText(source['data']),
        `${where}: a ${type} of ${shown(source)}`,
      )
    case 'file':
      return check(isFilled(source['file_id']), `${where}: a ${type} of no file`)
    case 'content':
      return
    default:
      check(false, `${where}: a ${type} from ${shown(source['type'])}`)
  }
}

function countMarks(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((sum: number, each) => sum + countMarks(each), 0)
  if (!isObject(value)) return 0
  return Object.entries(value).reduce((sum, [name, each]) => {
    // What a tool is called with, or described by, may have any members.
    if (name === 'input' || name === 'input_schema') return sum
    return sum + (name === 'cache_control' && each !== null ? 1 : countMarks(each))
  }, 0)
}

// Responses

const RESPONSES_MEMBERS = words(
  `model input instructions background context_management conversation include max_output_tokens max_tool_calls metadata
   moderation parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention
   reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p
   truncation user`,
)
const ITEM_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  message: words('type id role content status phase'),
  reasoning: words('type id summary content encrypted_content status'),
  function_call: words('type id call_id name namespace arguments status'),
  function_call_output: words('type id call_id output status'),
  custom_tool_call: words('type id call_id name namespace input status'),
  custom_tool_call_output: words('type id call_id output status'),
  local_shell_call: words('type id call_id action status'),
  local_shell_call_output: words('type id call_id output status'),
  shell_call: words('type id call_id action status'),
  shell_call_output: words('type id call_id output max_output_length status'),
  apply_patch_call: words('type id call_id operation status'),
  apply_patch_call_output: words('type id call_id output status'),
  tool_search_call: words('type id call_id arguments execution status'),
  tool_search_output: words('type id call_id tools execution status'),
}
const INPUT_PARTS = words('input_text input_image input_file')
const OUTPUT_PARTS = words('output_text refusal')
const PART_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  input_text: words('type text prompt_cache_breakpoint'),
  input_image: words('type image_url file_id detail prompt_cache_breakpoint'),
  input_file: words('type file_data file_url file_id filename detail prompt_cache_breakpoint'),
  output_text: words('type text annotations logprobs'),
  refusal: words('type refusal'),
}

function checkResponses(body: JsonObject, isVendor: boolean, check: Check): void {
  checkMembers(body, RESPONSES_MEMBERS, 'the request', check)
  check(isFilled(body['model']), 'no model')
  checkPositive(body['max_output_tokens'], 'max_output_tokens', check)
  checkMembers(asObject(body['text']), words('format verbosity'), 'text', check)
  const format = asObject(asObject(body['text'])['format'])
  if (format['type'] === 'json_schema') {
    checkMembers(format, words('type name schema description strict'), 'text.format', check)
    checkName(format['name'], 64, 'text.format', check)
    check(isObject(format['schema']), 'text.format without schema')
    if (format['strict'] === true) checkStrict(format['schema'], 'text.format', check)
  }
  const tools = objects(body['tools'])
  const names = tools.flatMap((tool) => checkResponsesTool(tool, isVendor, check))
  checkUnique(names, 'tools', check)
  const choice = body['tool_choice']
  if (choice !== undefined && !isText(choice)) {
    const { type, name } = asObject(choice)
    if (type === 'function' || type === 'custom')
      check(names.includes(name), `tool_choice names ${shown(name)}, which is no tool`)
  }
  if (isText(choice)) check(['none', 'auto', 'required'].includes(choice), `tool_choice ${choice}`)
  if (choice !== undefined) check(tools.length > 0, 'tool_choice without tools')

  if (isText(body['input'])) return check(body['input'] !== '', 'an empty input')
  const items = objects(body['input'])
  check(items.length > 0, 'no input')
  checkItems(items, isVendor, check)
}

function checkResponsesTool(tool: JsonObject, isVendor: boolean, check: Check): unknown[] {
  const where = `the tool ${shown(tool['name'] ?? tool['type'])}`
  if (tool['type'] === 'namespace') {
    check(isVendor, `${where}: a namespace`)
    return objects(tool['tools']).flatMap((member) =>
      checkResponsesTool(member, isVendor, check).map((name) => `${String(tool['name'])}.${String(name)}`),
    )
  }
  if (!isVendor) check(tool['type'] === 'function', `${where} of type ${shown(tool['type'])}`)
  if (tool['type'] === 'function') {
    checkMembers(
      tool,
      words('type name description parameters strict defer_loading output_schema allowed_callers async'),
      where,
      check,
    )
    checkName(tool['name'], 64, where, check)
    checkSchema(tool['parameters'], where, check)
    if (tool['strict'] === true) checkStrict(tool['parameters'], where, check)
    return [tool['name']]
  }
  if (tool['type'] === 'custom') {
    checkName(tool['name'], 64, where, check)
    return [tool['name']]
  }
  return []
}

function checkItems(items: readonly JsonObject[], isVendor: boolean, check: Check): void {
  const calls = new Set<unknown>()
  const answered = new Set<unknown>()
  items.forEach((item, at) => {
    const where = `input[${at}]`
    const type = String(item['type'] ?? 'message')
    const members = ITEM_MEMBERS[type]
    check(members !== undefined, `${where} is a ${type}`)
    checkMembers(item, members ?? new Set(), where, check)
    if (item['id'] !== undefined)
      check(isFilled(item['id']) && item['id'].length <= 64, `${where}: the id ${shown(item['id'])}`)
    if (!isVendor)
      check(
        /^(?:message|reasoning|function_call|function_call_output)$/.test(type),
        `${where}: a ${type} at a server that knows functions only`,
      )
    if (type === 'message') return checkItemMessage(item, where, check)
    if (type === 'reasoning') return check(Array.isArray(item['summary']), `${where} has no summary`)
    check(isFilled(item['call_id']) && item['call_id'].length <= 64, `${where}: the call id ${shown(item['call_id'])}`)
    if (type.endsWith('_call')) {
      check(!calls.has(item['call_id']), `${where}: the call id ${shown(item['call_id'])} was used before`)
      calls.add(item['call_id'])
      if (type === 'function_call') {
        checkName(item['name'], 64, where, check)
        check(isText(item['arguments']), `${where} has arguments ${shown(item['arguments'])}`)
      }
      if (type === 'custom_tool_call') check(isText(item['input']), `${where} has input ${shown(item['input'])}`)
      return
    }
    check(calls.has(item['call_id']), `${where} answers no call: ${shown(item['call_id'])}`)
    check(!answered.has(item['call_id']), `${where} answers ${shown(item['call_id'])} again`)
    answered.add(item['call_id'])
    if (type === 'function_call_output') {
      check(isText(item['output']) || Array.isArray(item['output']), `${where} has output ${shown(item['output'])}`)
      for (const part of objects(isText(item['output']) ? [] : item['output']))
        checkPart(part, INPUT_PARTS, where, check)
    }
  })
  for (const id of calls)
    check(answered.has(id) || items.at(-1)?.['call_id'] === id, `no output for the call ${shown(id)}`)
}

function checkItemMessage(item: JsonObject, where: string, check: Check): void {
  const { role, content } = item
  check(['user', 'assistant', 'system', 'developer'].includes(String(role)), `${where} has role ${shown(role)}`)
  check(isText(content) || (Array.isArray(content) && content.length > 0), `${where} has content ${shown(content)}`)
  for (const part of objects(isText(content) ? [] : content))
    checkPart(part, role === 'assistant' ? OUTPUT_PARTS : INPUT_PARTS, where, check)
}

function checkPart(part: JsonObject, allowed: ReadonlySet<string>, where: string, check: Check): void {
  const type = String(part['type'])
  check(allowed.has(type), `${where}: a ${type} part`)
  checkMembers(part, PART_MEMBERS[type] ?? new Set(['type']), `${where}: a ${type} part`, check)
  if (type === 'input_text' || type === 'output_text') check(isText(part['text']), `${where}: a text part without text`)
  if (type === 'input_image' && part['file_id'] === undefined) checkUrl(part['image_url'], where, check)
  if (type === 'input_file')
    check(
      part['file_data'] === undefined || parseObject(String(part['file_data'])) === undefined,
      `${where}: a file of JSON`,
    )
}
