/** protocols/registry.json: every name and number of the wire, as src has them. */
import { ERRORS } from '../../src/base/errors.ts'
import {
  ACCOUNT_ID_DOMAIN,
  ADVERT_LIFETIME_MS,
  CLOCK_TOLERANCE_MS,
  DEFAULT_ASSET,
  DEFAULT_NETWORK,
  DOMAINS,
  FRAMES,
  LIMITS,
  MODEL_KEY_DOMAIN,
  protocolIds,
  TIMEOUTS,
} from '../../src/wire/registry.ts'

/** @returns the registry; frame types as hexadecimal text, error codes are those a peer may see */
export function registry() {
  return {
    defaults: { network: DEFAULT_NETWORK, asset: DEFAULT_ASSET },
    protocols: protocolIds('{network}'),
    domains: DOMAINS,
    hashPrefixes: { accountId: ACCOUNT_ID_DOMAIN, modelKey: MODEL_KEY_DOMAIN },
    frames: Object.fromEntries(
      Object.entries(FRAMES).map(([name, type]) => [name, `0x${type.toString(16).padStart(2, '0')}`]),
    ),
    limits: LIMITS,
    timeouts: TIMEOUTS,
    clockToleranceMs: CLOCK_TOLERANCE_MS,
    advertLifetimeMs: ADVERT_LIFETIME_MS,
    errors: Object.fromEntries(
      Object.entries(ERRORS)
        .filter(([, { peerVisible }]) => peerVisible)
        .map(([code, { owner, retryable }]) => [code, { owner, retryable }]),
    ),
  }
}
