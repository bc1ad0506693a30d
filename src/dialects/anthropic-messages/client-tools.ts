/**
 * Tools that Anthropic defines and the client runs. Their models know them by type alone; every other model is given them as
 * functions, with the inputs that the vendor's documentation lists. Source: platform.claude.com, "Bash tool", "Text editor
 * tool", "Memory tool", "Computer use tool".
 */
import { asCount, type JsonObject } from '../json-value.ts'

/** What a function needs to stand for such a tool. */
export interface ClientTool {
  readonly description: string
  readonly parameters: JsonObject
}

const text = (description: string): JsonObject => ({ type: 'string', description })
const whole = (description: string): JsonObject => ({ type: 'integer', description })
const pair = (description: string): JsonObject => ({
  type: 'array',
  items: { type: 'integer' },
  minItems: 2,
  maxItems: 2,
  description,
})
const oneOf = (words: readonly string[], description: string): JsonObject => ({
  type: 'string',
  enum: words,
  description,
})

function parametersOf(properties: JsonObject, required: readonly string[]): JsonObject {
  return { type: 'object', properties, required }
}

const BASH: ClientTool = {
  description: 'Runs a command in a bash session that stays open between calls, and gives back its output.',
  parameters: parametersOf(
    { command: text('The command to run'), restart: { type: 'boolean', description: 'True to restart the session' } },
    [],
  ),
}

const EDIT_COMMANDS = ['view', 'create', 'str_replace', 'insert']

function textEditor(commands: readonly string[], insertedField: 'new_str' | 'insert_text'): ClientTool {
  return {
    description: 'Views, creates and edits text files.',
    parameters: parametersOf(
      {
        command: oneOf(commands, 'What to do'),
        path: text('The file or folder'),
        view_range: pair('For view: first and last line, from 1; -1 as the last is the end'),
        file_text: text('For create: what the file is to hold'),
        old_str: text('For str_replace: the text to replace, which must occur exactly once'),
        new_str: text('For str_replace: the new text'),
        insert_line: whole('For insert: the line after which to insert, 0 for the start'),
        [insertedField]: text(
          insertedField === 'new_str' ? 'For str_replace and insert: the new text' : 'For insert: the text to insert',
        ),
      },
      ['command', 'path'],
    ),
  }
}

const MEMORY: ClientTool = {
  description:
    'Keeps notes in files under /memories that outlast this conversation. Look there before starting a task.',
  parameters: parametersOf(
    {
      command: oneOf([...EDIT_COMMANDS, 'delete', 'rename'], 'What to do'),
      path: text('The file or folder under /memories'),
      view_range: pair('For view: first and last line'),
      file_text: text('For create: what the file is to hold'),
      old_str: text('For str_replace: the text to replace'),
      new_str: text('For str_replace: the new text'),
      insert_line: whole('For insert: the line after which to insert'),
      insert_text: text('For insert: the text to insert'),
      old_path: text('For rename: the present path'),
      new_path: text('For rename: the new path'),
    },
    ['command'],
  ),
}

const FIRST_ACTIONS = [
  'key',
  'type',
  'mouse_move',
  'left_click',
  'left_click_drag',
  'right_click',
  'middle_click',
  'double_click',
  'screenshot',
  'cursor_position',
]
const LATER_ACTIONS = ['left_mouse_down', 'left_mouse_up', 'scroll', 'hold_key', 'wait', 'triple_click']

function computer(tool: JsonObject, isFirst: boolean): ClientTool {
  const width = asCount(tool['display_width_px'])
  const height = asCount(tool['display_height_px'])
  const size = width === undefined || height === undefined ? '' : ` The screen has ${width}x${height} pixels.`
  const zooms = tool['enable_zoom'] === true
  const actions = [...FIRST_ACTIONS, ...(isFirst ? [] : LATER_ACTIONS), ...(zooms ? ['zoom'] : [])]
  return {
    description: `Uses the mouse, keyboard and screen of a computer.${size}`,
    parameters: parametersOf(
      {
        action: oneOf(actions, 'What to do'),
        coordinate: pair('Where: x and y in pixels from the top left; for drags the end'),
        start_coordinate: pair('For left_click_drag: where the drag starts'),
        text: text('For type the text, for key and hold_key the keys, for clicks keys held meanwhile'),
        scroll_direction: oneOf(['up', 'down', 'left', 'right'], 'For scroll'),
        scroll_amount: whole('For scroll: how many clicks of the wheel'),
        duration: { type: 'number', description: 'For hold_key and wait: seconds' },
        ...(zooms
          ? { region: { type: 'array', items: { type: 'integer' }, description: 'For zoom: x0, y0, x1, y1' } }
          : {}),
      },
      ['action'],
    ),
  }
}

/** The function that stands for a tool of this `type`; undefined if it is none that the client runs. */
export function clientToolOf(type: string, tool: JsonObject): ClientTool | undefined {
  if (/^bash_\d/.test(type)) return BASH
  if (/^memory_\d/.test(type)) return MEMORY
  if (/^computer_\d/.test(type)) return computer(tool, type === 'computer_20241022')
  const edition = /^text_editor_(\d{8})$/.exec(type)?.[1]
  if (edition === undefined) return undefined
  if (edition < '20250429') return textEditor([...EDIT_COMMANDS, 'undo_edit'], 'new_str')
  return textEditor(EDIT_COMMANDS, 'insert_text')
}
