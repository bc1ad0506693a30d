import { afterAll, beforeAll } from 'vitest'
import { requestHeadersForProvider } from '../../src/dialects/headers.ts'
import { describeCaptureReplay } from '../support/captures.ts'
import { startFacade, type TestFacade } from '../support/facade.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

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

describeCaptureReplay('a provider of this node', () => ({
  facadeUrl: facade.url,
  provider,
  headersThatTravel: requestHeadersForProvider,
}))
