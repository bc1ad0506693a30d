import { AI_SDKS } from '../support/sdk-clients-ai.ts'
import { describeSdkClients } from '../support/sdk-clients-suite.ts'

describeSdkClients(AI_SDKS)
