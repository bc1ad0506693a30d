/**
 * Every key of the configuration: its type, default and meaning. Files, variables, flags, `config show` and
 * docs/config.md all follow this table.
 */
import {
  amount,
  boolean,
  httpUrl,
  integer,
  list,
  listOf,
  loopbackHost,
  networkName,
  oneOf,
  optional,
  path,
  priceRules,
  spendRules,
  text,
  type Kind,
} from './kinds.ts'

/** One key. */
export interface KeySpec<T> {
  readonly kind: Kind<T>
  /** As it would be written in a file; "" is none. */
  readonly default: string
  readonly meaning: string
  /** The flag of `tok-node start`, as commander takes it. */
  readonly flag?: string
  /** True if the flag may be given more than once. */
  readonly repeatable?: boolean
  /** The environment variable, where it is not TOKLIGENCE_ and the key in upper case. */
  readonly variable?: string
  /** True if the value is never shown. */
  readonly secret?: boolean
}

type Extras = Omit<KeySpec<unknown>, 'kind' | 'default' | 'meaning'>

const key = <T>(kind: Kind<T>, preset: string, meaning: string, extras: Extras = {}): KeySpec<T> => ({
  kind,
  default: preset,
  meaning,
  ...extras,
})

const timeout = integer(1, 3_600_000)
const tokens = integer(0, 10_000_000)
const repetitions = integer(2, 1_000)

// One key per line, so that the table reads as a table.
// oxfmt-ignore
export const KEYS = {
  // The node.
  environment: key(oneOf('dev', 'test', 'live'), 'dev', 'which `config/<environment>/gateway.ini` is read', { flag: '--env <name>', variable: 'TOKLIGENCE_ENV' }),
  data_dir: key(path, '~/.tok-node', 'where the node key, the ledger and `node.json` live', { flag: '--data-dir <path>' }),
  role: key(oneOf('local', 'buyer', 'seller', 'both'), 'local', 'what the node does in the market; `local` neither buys nor sells', { flag: '--role <role>' }),
  drain_grace_ms: key(integer(0, 3_600_000), '30000', 'how long running answers may take to finish after SIGTERM, in ms'),
  log_level: key(oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'), 'info', 'the least severe log line that is written'),
  log_file: key(optional(path), '', 'file that log lines (JSON) are added to; without one they go to stderr'),

  // The facade.
  facade_host: key(loopbackHost, '127.0.0.1', 'address the facade listens on; loopback only, until it can ask for credentials'),
  facade_port: key(integer(0, 65_535), '8081', 'port the facade listens on; 0 takes any free one', { flag: '--facade-port <port>' }),
  body_limit_mb: key(integer(1, 1_024), '32', 'largest request body after decoding, in MiB; the network carries at most 32'),

  // Responses.
  responses_store_hours: key(integer(1, 8_760), '720', 'how long answers to `/v1/responses` with `store: true` are kept, in hours'),
  responses_store_mb: key(integer(1, 1_048_576), '256', 'most that is kept of them, in MiB; the oldest go first'),
  responses_websocket: key(boolean, 'true', 'serve `/v1/responses` over WebSocket as well; off answers 426'),

  // Model servers.
  openai_api_key: key(optional(text), '', 'key for the OpenAI API', { secret: true }),
  openai_api_key_file: key(optional(path), '', 'file that holds the key for the OpenAI API'),
  openai_base_url: key(httpUrl, 'https://api.openai.com', 'base URL of the OpenAI API, with or without /v1'),
  openai_org: key(optional(text), '', 'organization sent to the OpenAI API'),
  anthropic_api_key: key(optional(text), '', 'key for the Anthropic API', { secret: true }),
  anthropic_api_key_file: key(optional(path), '', 'file that holds the key for the Anthropic API'),
  anthropic_base_url: key(httpUrl, 'https://api.anthropic.com', 'base URL of the Anthropic API, with or without /v1'),
  anthropic_version: key(text, '2023-06-01', '`anthropic-version` sent where the client sends none'),
  anthropic_beta_header: key(optional(text), '', '`anthropic-beta` sent where the client sends none'),
  providers: key(text, '', 'further model servers: `name=URL[#dialect]`, divided by commas'),
  discover: key(boolean, 'true', 'look for model servers on the usual ports of this machine'),
  discovery_ports: key(listOf(integer(1, 65_535)), '', 'further ports of this machine to look at'),
  connect_timeout_ms: key(timeout, '5000', 'longest wait for a connection to a model server, in ms'),
  headers_timeout_ms: key(timeout, '600000', 'longest wait for the head of an answer, in ms; a whole answer is computed before it'),
  first_byte_timeout_ms: key(timeout, '600000', 'longest wait from the head to the first byte of an answer, in ms'),
  idle_timeout_ms: key(timeout, '120000', 'longest silence within an answer, in ms'),

  // Routing.
  routes: key(text, '', 'which target serves a model: `pattern=>target[|target]`, divided by commas; targets are provider names, `local`, `network`, `loopback`'),
  work_mode: key(oneOf('auto', 'passthrough', 'translation'), 'auto', 'whether requests may pass as they are, be translated between dialects, or either, as the provider needs'),
  model_aliases: key(text, '', 'other names for models: `from=>to`, divided by commas'),

  // Agents.
  duplicate_tool_detection: key(boolean, 'true', 'warn a model that repeats the same tool call with the same result, and refuse the request in the end'),
  duplicate_tool_warn_at: key(repetitions, '3', 'equal rounds of tool calls at which the model is warned'),
  duplicate_tool_urge_at: key(repetitions, '4', 'equal rounds at which it is warned urgently'),
  duplicate_tool_refuse_at: key(repetitions, '5', 'equal rounds at which the request is refused'),
  duplicate_tool_exempt: key(list, 'write_stdin, wait, wait_*, sleep, BashOutput, TaskOutput, AgentOutputTool, Monitor, poll*, *_poll', 'tools that are meant to be called again and again; `*` stands for any characters'),

  // The network.
  network: key(networkName, 'main', 'name of the network; nodes of different names do not see each other'),
  listen: key(list, '/ip4/0.0.0.0/tcp/0', 'multiaddrs that other nodes reach this one at', { flag: '--listen <multiaddr>', repeatable: true }),
  bootstrap: key(list, '', 'multiaddrs (with /p2p/) of nodes to join the network through', { flag: '--bootstrap <multiaddr>', repeatable: true }),
  mdns: key(boolean, 'true', 'find nodes in the local network', { flag: '--no-mdns' }),

  // Buying.
  max_spend: key(amount, '1.00', 'most that is spent or held per day (UTC), in USD', { flag: '--max-spend <usd>' }),
  max_spend_per_seller: key(optional(amount), '', 'most that is spent or held per day (UTC) with one seller, in USD; without it only max_spend holds'),
  max_spend_per_model: key(spendRules, '', 'most that is spent or held per day (UTC) on models: `MODEL=USD`, divided by commas; `*` stands for any characters'),
  order_output_tokens_default: key(integer(1, 10_000_000), '4096', 'output tokens ordered where the request names no maximum'),

  // Selling.
  sell: key(priceRules, '', 'models for sale: `MODEL=INPUT/OUTPUT` in USD per Mtok; `*` stands for any characters', { flag: '--sell <model=input/output>', repeatable: true }),
  slots: key(integer(1, 1_000), '4', 'calls served at once'),
  stranger_credit: key(amount, '0.10', 'most that a buyer without history may owe, in USD'),
  stranger_budget: key(amount, '5.00', 'most that all buyers without history may owe together, in USD; history is to have repaid the stranger credit once'),
  stranger_budget_per_day: key(optional(amount), '', 'most that buyers without history are newly lent per day (UTC), in USD; without it only stranger_budget holds'),
  credit_limit: key(amount, '0.00', 'most that the credit line of a buyer grows to, in USD; 0 leaves every buyer at the stranger credit'),
  credit_growth_percent: key(integer(0, 100), '10', 'what a credit line grows by with everything repaid, in percent of it'),
  auto_confirm_max: key(amount, '0.00', 'announced payments up to this amount count as received unseen, in USD; 0 is none'),
  window_tokens: key(integer(16, 65_536), '256', 'output tokens that may run ahead of the signed voucher of the buyer'),
  hidden_output_tokens_max: key(tokens, '0', 'most output tokens billed beyond those delivered as text (hidden reasoning), per call'),
} as const satisfies Record<string, KeySpec<unknown>>

/** The name of a key, as in a file. */
export type Key = keyof typeof KEYS

/** Every key with its value. */
export type Values = { readonly [Name in Key]: (typeof KEYS)[Name] extends KeySpec<infer T> ? T : never }

/** The prefix of every environment variable. */
export const VARIABLE_PREFIX = 'TOKLIGENCE_'

/** Every key, in the order of the table. */
export const KEY_NAMES = Object.keys(KEYS) as readonly Key[]

/** What the table says of a key, whatever the type of its value. */
export function specOf(name: Key): KeySpec<unknown> {
  return KEYS[name]
}

/** True if this version has the key. */
export function isKey(name: string): name is Key {
  return Object.hasOwn(KEYS, name)
}

/** The environment variable of a key. */
export function variableOf(name: Key): string {
  return specOf(name).variable ?? VARIABLE_PREFIX + name.toUpperCase()
}

/** Keys of Tokligence Gateway that this version does not use: ignoring one in silence would break its promise. */
export const KEYS_NOT_YET_USED: ReadonlySet<string> = new Set(
  (
    'account_email admin_email admin_endpoints admin_port allow_open_network anthropic_endpoints anthropic_max_tokens ' +
    'anthropic_port auth_disabled auth_secret base_url bridge_session_enabled bridge_session_max_count ' +
    'bridge_session_ttl display_name email enable_facade enable_provider facade_endpoints ' +
    'hooks_enabled hooks_script_path hooks_script_args hooks_script_env hooks_timeout identity_path ledger_path ' +
    'log_file_cli log_file_daemon marketplace_enabled model_aliases_dir model_aliases_file model_family ' +
    'model_provider_routes multiport_mode openai_completion_max_tokens openai_endpoints openai_port price_per_1k ' +
    'publish_name telemetry_enabled update_check_enabled'
  ).split(' '),
)
