/**
 * A tool server with one tool, over stdio: `node stamp-server.ts FILE`. It puts what it is given into the file.
 * Source: the Model Context Protocol, revision 2025-06-18, as far as a client needs it to call a tool.
 */
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

interface Question {
  readonly id?: number | string
  readonly method: string
  readonly params?: { readonly protocolVersion?: string; readonly arguments?: { readonly text?: string } }
}

const STAMP = {
  name: 'stamp',
  description: 'Puts the stamp of the desk on a text.',
  inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
}

function answerTo({ method, params }: Question, file: string): object {
  switch (method) {
    case 'initialize':
      return {
        protocolVersion: params?.protocolVersion ?? '2025-06-18',
        capabilities: { tools: {} },
        serverInfo: { name: 'desk', version: '1.0.0' },
      }
    case 'tools/list':
      return { tools: [STAMP] }
    case 'tools/call': {
      const text = params?.arguments?.text ?? ''
      writeFileSync(file, text)
      return { content: [{ type: 'text', text: `stamped: ${text}` }] }
    }
    default:
      return {}
  }
}

const file = process.argv[2] ?? ''
for await (const line of createInterface(process.stdin)) {
  const question = JSON.parse(line) as Question
  if (question.id === undefined) continue
  console.log(JSON.stringify({ jsonrpc: '2.0', id: question.id, result: answerTo(question, file) }))
}
