import { describe, expect, it } from 'vitest'
import { repairCommand, wantsCommandList } from '../../../../src/dialects/conversation/shell-repair.ts'

const schemaOf = (properties: object) => ({ type: 'object', properties })
const LIST = schemaOf({ command: { type: 'array', items: { type: 'string' } }, workdir: { type: 'string' } })
const LINES = schemaOf({ commands: { type: 'array', items: { type: 'string' } } })
const TEXT = schemaOf({ command: { type: 'string' } })
const EITHER = schemaOf({ command: { type: ['array', 'string'] } })
const SHELL = process.platform === 'win32' ? ['powershell.exe', '-NoProfile', '-Command'] : ['bash', '-lc']

describe('a command line where the schema wants words', () => {
  it('is given to the shell, beside whatever else the arguments say', () => {
    const repaired = repairCommand(LIST, '{"command":"ls -la | wc","workdir":"/src"}')
    expect(JSON.parse(repaired)).toEqual({ command: [...SHELL, 'ls -la | wc'], workdir: '/src' })
  })

  it('is a list of one where the schema wants command lines', () => {
    expect(repairCommand(LINES, '{"commands":"make test"}')).toBe('{"commands":["make test"]}')
  })
})

describe('what is right stays as it is, byte for byte', () => {
  it.each([
    ['a list', LIST, '{"command": ["ls",  "-la"]}'],
    ['a text where a text is wanted', TEXT, '{"command":"ls -la"}'],
    ['a text where either is taken', EITHER, '{"command":"ls -la"}'],
    ['no command at all', LIST, '{"workdir": "/src"}'],
    ['text that is no JSON', LIST, '{"command":"ls'],
    ['JSON that is no object', LIST, '"ls"'],
    ['nothing', LIST, ''],
  ])('%s', (_, schema, argumentsText) => {
    expect(repairCommand(schema, argumentsText)).toBe(argumentsText)
  })

  it('only tools whose command is a list hold their arguments back', () => {
    expect([LIST, LINES, TEXT, EITHER, undefined].map(wantsCommandList)).toEqual([true, true, false, false, false])
  })
})
