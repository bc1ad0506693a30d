/**
 * The configuration as the rest of the node takes it: one section per subsystem, units in the names.
 */
import type { PriceRule, SpendRule } from './kinds.ts'
import type { Values } from './schema.ts'

const MIB = 1_048_576
const HOUR_MS = 3_600_000

/** Everything that can be set, read and checked. */
export interface Config {
  readonly environment: Values['environment']
  /** Absolute. */
  readonly dataDirectory: string
  readonly role: Values['role']
  readonly drainGraceMs: number
  readonly log: LogConfig
  readonly facade: {
    readonly host: string
    /** 0 takes any free port. */
    readonly port: number
    readonly bodyLimitBytes: number
  }
  readonly responses: {
    readonly lifetimeMs: number
    readonly storedBytesMax: number
    readonly websocket: boolean
  }
  readonly providers: ProvidersConfig
  readonly routing: {
    /** `pattern=>target[|target]`, divided by commas or line breaks; "" is none. */
    readonly routes: string
    /** `from=>to`, divided by commas or line breaks; "" is none. */
    readonly modelAliases: string
    readonly workMode: Values['work_mode']
  }
  /** When agents that repeat themselves are warned and refused; counts are of equal rounds of tool calls. */
  readonly loopGuard: {
    readonly isOn: boolean
    readonly warnAt: number
    readonly urgeAt: number
    readonly refuseAt: number
    /** Names of tools, with `*`. */
    readonly exempt: readonly string[]
  }
  readonly network: {
    readonly name: string
    /** Multiaddrs. */
    readonly listen: readonly string[]
    /** Multiaddrs with /p2p/. */
    readonly bootstrap: readonly string[]
    readonly mdns: boolean
  }
  readonly buying: {
    /** Per day (UTC), spent and held together. */
    readonly spendMaxMicros: bigint
    /** The same with one seller; undefined: no limit of its own. */
    readonly spendMaxPerSellerMicros: bigint | undefined
    /** The same on models. */
    readonly spendMaxPerModel: readonly SpendRule[]
    /** Ordered where a request names no maximum. */
    readonly orderOutputTokensDefault: number
  }
  readonly selling: SellingConfig
}

/** Where log lines go. */
export interface LogConfig {
  readonly level: Values['log_level']
  /** Absolute; undefined is stderr. */
  readonly file: string | undefined
}

/** The model servers this node calls. */
export interface ProvidersConfig {
  readonly openai: {
    readonly apiKey: string | undefined
    readonly baseUrl: string
    readonly organization: string | undefined
  }
  readonly anthropic: {
    readonly apiKey: string | undefined
    readonly baseUrl: string
    readonly version: string
    readonly betaHeader: string | undefined
  }
  /** `name=URL[#dialect]`, divided by commas; "" is none. */
  readonly servers: string
  readonly discover: boolean
  /** Beyond the usual ones. */
  readonly discoveryPorts: readonly number[]
  readonly timeouts: {
    readonly connectMs: number
    readonly headersMs: number
    readonly firstByteMs: number
    readonly idleMs: number
  }
}

/** What is sold, and on what terms. */
export interface SellingConfig {
  readonly rules: readonly PriceRule[]
  readonly slots: number
  readonly strangerCreditMicros: bigint
  readonly strangerBudgetMicros: bigint
  readonly strangerBudgetPerDayMicros: bigint | undefined
  readonly creditLimitMicros: bigint
  readonly creditGrowthPercent: number
  readonly autoConfirmMaxMicros: bigint
  readonly windowTokens: number
  readonly hiddenOutputTokensMax: number
}

/** Arranges values as a Config; `keys` holds the provider keys, read from their files where they stand in files. */
export function arrangeConfig(
  values: Values,
  keys: { readonly openai: string | undefined; readonly anthropic: string | undefined },
): Config {
  return {
    environment: values.environment,
    dataDirectory: values.data_dir,
    role: values.role,
    drainGraceMs: values.drain_grace_ms,
    log: { level: values.log_level, file: values.log_file },
    facade: { host: values.facade_host, port: values.facade_port, bodyLimitBytes: values.body_limit_mb * MIB },
    responses: {
      lifetimeMs: values.responses_store_hours * HOUR_MS,
      storedBytesMax: values.responses_store_mb * MIB,
      websocket: values.responses_websocket,
    },
    providers: {
      openai: { apiKey: keys.openai, baseUrl: values.openai_base_url, organization: values.openai_org },
      anthropic: {
        apiKey: keys.anthropic,
        baseUrl: values.anthropic_base_url,
        version: values.anthropic_version,
        betaHeader: values.anthropic_beta_header,
      },
      servers: values.providers,
      discover: values.discover,
      discoveryPorts: values.discovery_ports,
      timeouts: {
        connectMs: values.connect_timeout_ms,
        headersMs: values.headers_timeout_ms,
        firstByteMs: values.first_byte_timeout_ms,
        idleMs: values.idle_timeout_ms,
      },
    },
    routing: { routes: values.routes, modelAliases: values.model_aliases, workMode: values.work_mode },
    loopGuard: {
      isOn: values.duplicate_tool_detection,
      warnAt: values.duplicate_tool_warn_at,
      urgeAt: values.duplicate_tool_urge_at,
      refuseAt: values.duplicate_tool_refuse_at,
      exempt: values.duplicate_tool_exempt,
    },
    network: { name: values.network, listen: values.listen, bootstrap: values.bootstrap, mdns: values.mdns },
    buying: {
      spendMaxMicros: values.max_spend,
      spendMaxPerSellerMicros: values.max_spend_per_seller,
      spendMaxPerModel: values.max_spend_per_model,
      orderOutputTokensDefault: values.order_output_tokens_default,
    },
    selling: {
      rules: values.sell,
      slots: values.slots,
      strangerCreditMicros: values.stranger_credit,
      strangerBudgetMicros: values.stranger_budget,
      strangerBudgetPerDayMicros: values.stranger_budget_per_day,
      creditLimitMicros: values.credit_limit,
      creditGrowthPercent: values.credit_growth_percent,
      autoConfirmMaxMicros: values.auto_confirm_max,
      windowTokens: values.window_tokens,
      hiddenOutputTokensMax: values.hidden_output_tokens_max,
    },
  }
}
