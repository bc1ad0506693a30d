import { LANGCHAIN_SDKS } from '../support/sdk-clients-langchain.ts'
import { describeSdkClients } from '../support/sdk-clients-suite.ts'

describeSdkClients(LANGCHAIN_SDKS)
