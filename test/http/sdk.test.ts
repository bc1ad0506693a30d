import { afterAll, beforeAll } from 'vitest'
import { DIALECTS, type Dialect } from '../../src/dialects/dialect.ts'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'
import { describeSdkSuite, type SdkSuiteTarget } from '../support/sdk-suite.ts'

let provider: ScriptedProvider
let facade: TestFacade
const single = new Map<Dialect, { readonly provider: ScriptedProvider; readonly facade: TestFacade }>()

beforeAll(async () => {
  provider = await startScriptedProvider()
  facade = await startFacade({ servers: [{ name: 'engine', url: provider.url }] })
  for (const dialect of DIALECTS) {
    const speaker = await startScriptedProvider()
    const servers = [{ name: 'engine', url: speaker.url, dialects: [dialect] }]
    single.set(dialect, { provider: speaker, facade: await startFacade({ servers }) })
  }
})

afterAll(async () => {
  for (const each of [...single.values(), { provider, facade }]) {
    await each.facade.close()
    await each.provider.close()
  }
})

const targetOf = (of: { readonly provider: ScriptedProvider; readonly facade: TestFacade }): SdkSuiteTarget => ({
  openaiBaseUrl: of.facade.openaiBaseUrl,
  anthropicBaseUrl: of.facade.anthropicBaseUrl,
  provider: of.provider,
  model: 'test-model',
})

describeSdkSuite('a provider that speaks every dialect', () => targetOf({ provider, facade }))

for (const dialect of DIALECTS) {
  describeSdkSuite(
    `a provider that speaks ${dialect} only`,
    () => {
      const of = single.get(dialect)
      if (of === undefined) throw new Error('not started')
      return targetOf(of)
    },
    { servesEmbeddings: dialect === 'openai-chat' },
  )
}
