import { expect, test } from 'vitest'
import { startFacade } from '../support/facade.ts'
import { open } from '../support/http-exchange.ts'
import { DEFAULT_USAGE, defaultReply } from '../support/scripted-answers.ts'
import { startScriptedProvider, type ScriptedReply } from '../support/scripted-provider.ts'

const QUESTION = { model: 'test-model', input: 'What is the answer?', stream: true }

test.for([
  ['while the end of the answer is on its way', 'end', 300],
  ['while the provider keeps the connection', 'hang', 0],
] as const)('a client that hangs up at the last event, %s, had its answer whole', async ([, ending, endAfterMs]) => {
  const provider = await startScriptedProvider()
  const facade = await startFacade({ servers: [{ name: 'engine', url: provider.url }] })
  try {
    provider.script((request): ScriptedReply => {
      const reply = defaultReply(request, {})
      return { ...reply, body: [...(reply.body as readonly string[]), endAfterMs], ending }
    })
    const request = open(`${facade.url}/v1/responses`, { body: QUESTION }, (answer) => {
      let text = ''
      answer.on('error', () => undefined)
      answer.on('data', (piece: Buffer) => {
        text += piece.toString()
        if (text.includes('event: response.completed')) request.destroy()
      })
    })
    request.on('error', () => undefined)
    await expect.poll(() => facade.records, { timeout: 3_000 }).toHaveLength(1)
    expect(facade.records).toMatchObject([{ status: 'completed', httpStatus: 200, ...DEFAULT_USAGE }])
    await expect.poll(() => provider.requests[0]?.wasAbandoned, { timeout: 3_000 }).toBe(ending === 'hang')
  } finally {
    await facade.close()
    await provider.close()
  }
})
