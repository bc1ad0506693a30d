import { OPENAI_AGENTS_SDKS } from '../support/sdk-clients-openai-agents.ts'
import { describeSdkClients } from '../support/sdk-clients-suite.ts'

describeSdkClients(OPENAI_AGENTS_SDKS)
