/**
 * How each client is pointed at a node: the settings a user would write, in the versions that scripts/test-clients.ts
 * installs. Everything else is off, so that what a client sends is what its user asked for.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Box, ClientCommand } from './agent-process.ts'
import { WORK_PROMPT } from './agent-script.ts'

/** What a client is pointed at. */
export interface ClientTarget {
  /** Base URL of the facade, without a path. */
  readonly url: string
  readonly model: string
}

/** Writes the settings of a client into `box` and gives the command that has the work done. */
export type Client = (box: Box, target: ClientTarget) => Promise<ClientCommand>

/** Codex: Responses, over HTTP or, where the provider is said to support it, over a WebSocket. */
export function codex({ overWebSocket = false }: { readonly overWebSocket?: boolean } = {}): Client {
  return async ({ home, workFolder }, { url, model }) => {
    const config = `
model = "${model}"
model_provider = "gateway"
check_for_update_on_startup = false

[analytics]
enabled = false

[features]
plugins = false
apps = false

[model_providers.gateway]
name = "tok-node"
base_url = "${url}/v1"
wire_api = "responses"
env_key = "GATEWAY_KEY"
supports_websockets = ${overWebSocket}
`
    await writeFile(join(home, 'config.toml'), config)
    const words = ['exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '--json']
    return {
      name: 'codex',
      words: [...words, '-C', workFolder, WORK_PROMPT],
      env: { CODEX_HOME: home, GATEWAY_KEY: 'local' },
    }
  }
}

/** Claude Code: Messages. */
export const claudeCode: Client = async (_box, { url, model }) => ({
  name: 'claude',
  words: [
    ...['-p', WORK_PROMPT, '--model', model, '--output-format', 'stream-json', '--verbose'],
    '--dangerously-skip-permissions',
  ],
  env: {
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_AUTH_TOKEN: 'local',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    // Root may not skip permissions unless it says that it is boxed in.
    IS_SANDBOX: '1',
  },
})

/** The AI SDK packages that opencode brings along, one for each dialect. */
export type OpencodePackage = '@ai-sdk/openai-compatible' | '@ai-sdk/openai' | '@ai-sdk/anthropic'

/** opencode: the dialect is that of the package its provider is declared with. */
export function opencode(npm: OpencodePackage): Client {
  return async ({ home }, { url, model }) => {
    const options = { baseURL: `${url}/v1`, apiKey: 'local' }
    const config = {
      autoupdate: false,
      share: 'disabled',
      provider: { gateway: { npm, name: 'tok-node', options, models: { [model]: { tool_call: true } } } },
    }
    const folder = join(home, '.config', 'opencode')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'opencode.json'), JSON.stringify(config))
    return {
      name: 'opencode',
      words: ['run', '--auto', '--format', 'json', '--model', `gateway/${model}`, WORK_PROMPT],
      env: { OPENCODE_DISABLE_MODELS_FETCH: '1' },
    }
  }
}
