import { describe, expect, test } from 'vitest'
import { DIALECTS } from '../../src/dialects/dialect.ts'
import { refusalOf } from '../support/agent-strictness.ts'
import { readSituation } from '../support/agent-tools.ts'
import { startFacade } from '../support/facade.ts'
import { answerWith } from '../support/scripted-answers.ts'
import { startScriptedProvider, type RecordedRequest, type ScriptedReply } from '../support/scripted-provider.ts'
import { AI_SDKS, startAiConversation } from '../support/sdk-clients-ai.ts'
import { describeSdkClients } from '../support/sdk-clients-suite.ts'

describeSdkClients(AI_SDKS)

describe.for(DIALECTS)('createOpenAI as it is by default, which takes answers for stored, and %s', (dialect) => {
  test.for([false, true])(
    'goes on for three turns with a tool, and nothing is lost (streamed: %s)',
    async (isStreamed) => {
      const provider = await startScriptedProvider()
      const facade = await startFacade({ servers: [{ name: 'engine', url: provider.url, dialects: [dialect] }] })
      try {
        provider.script(askedModel, 6)
        const weather = { name: 'weather', description: 'The weather.', run: (place: string) => `rain in ${place}` }
        const conversation = startAiConversation(facade.url, weather)
        for (const turn of [1, 2, 3]) {
          expect(await conversation.say(`Question ${turn}?`, isStreamed)).toBe(`Answer ${turn}.`)
        }
        const bodies = provider.requests.map(({ json }) => JSON.stringify(json))
        expect(bodies).toHaveLength(6)
        expect(bodies.join()).not.toContain('item_reference')
        const before = [
          'Thought 1 of a call.',
          'Thought 1 of an answer.',
          'Answer 1.',
          'Answer 2.',
          'Thought 3 of a call.',
        ]
        for (const said of before) expect(bodies.at(-1)?.split(said)).toHaveLength(2)
      } finally {
        await facade.close()
        await provider.close()
      }
    },
  )
})

/** Calls its tool once for each question, then answers, and says what it thinks each time. */
function askedModel(request: RecordedRequest): ScriptedReply {
  const refusal = refusalOf(request)
  if (refusal !== undefined) return { status: 400, body: JSON.stringify({ error: { message: refusal } }) }
  const turn = JSON.stringify(request.json).match(/Question \d\?/g)?.length ?? 0
  if (readSituation(request.json).results.length >= turn) {
    return answerWith(request, { reasoning: `Thought ${turn} of an answer.`, text: `Answer ${turn}.` })
  }
  const call = { name: 'weather', arguments: { place: 'Oslo' } }
  return answerWith(request, { reasoning: `Thought ${turn} of a call.`, calls: [call] })
}
