/**
 * How each client is pointed at a node: the settings a user would write, in the versions that scripts/test-clients.ts
 * installs. Everything else is off, so that what a client sends is what its user asked for.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Box, ClientCommand } from './agent-process.ts'

/** What a client is pointed at. */
export interface ClientTarget {
  /** Base URL of the facade, without a path. */
  readonly url: string
  readonly model: string
  readonly prompt: string
  /** The words that start a tool server over stdio, if it is to have one. */
  readonly toolServer?: readonly [command: string, ...words: string[]]
}

/** Writes the settings of a client into `box` and gives the command that runs the prompt. */
export type Client = (box: Box, target: ClientTarget) => Promise<ClientCommand>

/** Codex: Responses, over HTTP or, where the provider is said to support it, over a WebSocket. */
export function codex({ overWebSocket = false }: { readonly overWebSocket?: boolean } = {}): Client {
  return async ({ home, workFolder }, { url, model, prompt, toolServer }) => {
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
${toolServer === undefined ? '' : tomlOf(toolServer)}`
    await writeFile(join(home, 'config.toml'), config)
    const words = ['exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '--json']
    return {
      name: 'codex',
      words: [...words, '-C', workFolder, prompt],
      env: { CODEX_HOME: home, GATEWAY_KEY: 'local' },
    }
  }
}

function tomlOf([command, ...args]: readonly [string, ...string[]]): string {
  return `
[mcp_servers.desk]
command = ${JSON.stringify(command)}
args = ${JSON.stringify(args)}
`
}

/** Claude Code: Messages. */
export const claudeCode: Client = async (_box, { url, model, prompt, toolServer }) => ({
  name: 'claude',
  words: [
    ...['-p', prompt, '--model', model, '--output-format', 'stream-json', '--verbose'],
    '--dangerously-skip-permissions',
    ...(toolServer === undefined ? [] : ['--mcp-config', mcpConfig(toolServer)]),
  ],
  env: {
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_AUTH_TOKEN: 'local',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    // Root may not skip permissions unless it says that it is boxed in.
    IS_SANDBOX: '1',
  },
})

function mcpConfig([command, ...args]: readonly [string, ...string[]]): string {
  return JSON.stringify({ mcpServers: { desk: { command, args } } })
}

/** The AI SDK packages that opencode brings along, one for each dialect. */
export type OpencodePackage = '@ai-sdk/openai-compatible' | '@ai-sdk/openai' | '@ai-sdk/anthropic'

/** opencode: the dialect is that of the package its provider is declared with. */
export function opencode(npm: OpencodePackage): Client {
  return async ({ home }, { url, model, prompt, toolServer }) => {
    const options = { baseURL: `${url}/v1`, apiKey: 'local' }
    const config = {
      autoupdate: false,
      share: 'disabled',
      ...(toolServer === undefined ? {} : { mcp: { desk: { type: 'local', command: toolServer } } }),
      provider: { gateway: { npm, name: 'tok-node', options, models: { [model]: { tool_call: true } } } },
    }
    const folder = join(home, '.config', 'opencode')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'opencode.json'), JSON.stringify(config))
    return {
      name: 'opencode',
      words: ['run', '--auto', '--format', 'json', '--model', `gateway/${model}`, prompt],
      env: { OPENCODE_DISABLE_MODELS_FETCH: '1' },
    }
  }
}
