/**
 * Repairs the one mistake models make with shell tools: a command line where the tool's schema wants the words of a command.
 * Nothing else is touched, and nothing where the schema is met. Source: gateway.md section 4.
 */
import { asObject, isObject, parseObject, type JsonObject } from '../json-value.ts'

/** The members that hold a command. */
const COMMAND = 'command'
const COMMANDS = 'commands'

/** What runs a command line here: the client's tools run on this machine. */
const SHELL: readonly string[] =
  process.platform === 'win32' ? ['powershell.exe', '-NoProfile', '-Command'] : ['bash', '-lc']

/** True for the schema of a tool whose command is a list: its calls must be whole before they can be judged. */
export function wantsCommandList(parameters: JsonObject | undefined): boolean {
  return isStringList(propertyOf(parameters, COMMAND)) || isStringList(propertyOf(parameters, COMMANDS))
}

/**
 * Arguments as the schema wants them: a text in "command" becomes the shell, its flag and the text; one in "commands", a list
 * of command lines, a list of one. Arguments that are no JSON object, or right already, stay as they are, byte for byte.
 */
export function repairCommand(parameters: JsonObject | undefined, argumentsText: string): string {
  const value = parseObject(argumentsText)
  if (value === undefined) return argumentsText
  const command = value[COMMAND]
  const commands = value[COMMANDS]
  const repaired = {
    ...(typeof command === 'string' &&
      isStringList(propertyOf(parameters, COMMAND)) && { [COMMAND]: [...SHELL, command] }),
    ...(typeof commands === 'string' && isStringList(propertyOf(parameters, COMMANDS)) && { [COMMANDS]: [commands] }),
  }
  return Object.keys(repaired).length === 0 ? argumentsText : JSON.stringify({ ...value, ...repaired })
}

function propertyOf(parameters: JsonObject | undefined, name: string): JsonObject {
  return asObject(asObject(parameters?.['properties'])[name])
}

/** A schema that takes a list of texts, and no text alone. */
function isStringList(schema: JsonObject): boolean {
  const items = schema['items']
  return schema['type'] === 'array' && (!isObject(items) || items['type'] === undefined || items['type'] === 'string')
}
