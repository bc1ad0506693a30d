/**
 * A request as an agent sends it: instructions, tools with schemas, and a history of calls and file contents.
 */

const WORDS = (
  'the file reads every line and returns what it finds; a missing value is undefined, never zero. ' +
  'const result = await store.get(key); if (result === undefined) throw new Error("not found")\n'
).split(' ')

/** Chat Completions JSON of about `bodyBytes` bytes; the same arguments give the same bytes. */
export function requestBody(model: string, bodyBytes: number, maxTokens: number): Uint8Array {
  const stream = model.startsWith('bench-sse')
  const tools = bodyBytes < 8_000 ? [] : Array.from({ length: 12 }, (_, index) => tool(index))
  const messages: object[] = [{ role: 'system', content: prose(Math.min(8_000, bodyBytes / 8), 1) }]
  const write = (): Uint8Array => Buffer.from(JSON.stringify({ model, stream, max_tokens: maxTokens, tools, messages }))
  for (let left = bodyBytes - write().length, turn = 0; left > 200; left = bodyBytes - write().length, turn += 1) {
    const id = `call_${turn}`
    // No two results of an agent that gets on are alike.
    const length = Math.min(4_000, left - 200)
    const content = prose(length, turn).replaceAll('the ', `the ${turn}th `).slice(0, length)
    messages.push(
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id, type: 'function', function: { name: 'tool_0', arguments: '{"path":"src"}' } }],
      },
      { role: 'tool', tool_call_id: id, content },
    )
  }
  messages.push({ role: 'user', content: 'Go on.' })
  return write()
}

function tool(index: number): object {
  const properties = Object.fromEntries(
    ['path', 'pattern', 'limit', 'reason'].map((name) => [name, { type: 'string', description: prose(80, index) }]),
  )
  const parameters = { type: 'object', properties, required: ['path'], additionalProperties: false }
  return { type: 'function', function: { name: `tool_${index}`, description: prose(300, index), parameters } }
}

function prose(length: number, start: number): string {
  let text = ''
  for (let at = start; text.length < length; at += 1) text += `${WORDS[at % WORDS.length]} `
  return text.slice(0, length)
}
