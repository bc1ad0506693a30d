import { afterAll, beforeAll } from 'vitest'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'
import { describeSdkSuite } from '../support/sdk-suite.ts'

let provider: ScriptedProvider
let facade: TestFacade

beforeAll(async () => {
  provider = await startScriptedProvider()
  facade = await startFacade({ servers: [{ name: 'engine', url: provider.url }] })
})

afterAll(async () => {
  await facade.close()
  await provider.close()
})

describeSdkSuite('a provider of this node', () => ({
  openaiBaseUrl: facade.openaiBaseUrl,
  anthropicBaseUrl: facade.anthropicBaseUrl,
  provider,
  model: 'test-model',
}))
