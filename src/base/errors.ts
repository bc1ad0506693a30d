/**
 * Every failure that tok-node names, in one table. A code fixes the HTTP status, whether trying again can
 * help, whose fault it is, what is said, and whether a peer may see it. docs/errors.md is held equal to it.
 */

/** Where the fault lies: the first thing a reader of an error wants to know. */
export type FaultOwner = 'client' | 'node' | 'network' | 'seller' | 'buyer' | 'provider'

interface ErrorEntry {
  /** HTTP status at the facade. */
  readonly status: number
  /** True if the same request may succeed later or elsewhere, unchanged. */
  readonly retryable: boolean
  readonly owner: FaultOwner
  /** True if the code may be told to a peer; otherwise a peer sees `internal_error`. */
  readonly peerVisible: boolean
  /** True if another target of the same node may serve the request, unchanged. What is retryable always may. */
  readonly elsewhere: boolean
  /** What happened; `{name}` is replaced by the detail of that name. */
  readonly text: string
  /** What to do next. */
  readonly next: string
}

const entry = (
  status: number,
  owner: FaultOwner,
  text: string,
  next: string,
  flags: { retryable?: boolean; peerVisible?: boolean; elsewhere?: boolean } = {},
): ErrorEntry => ({
  status,
  owner,
  text,
  next,
  retryable: flags.retryable ?? false,
  peerVisible: flags.peerVisible ?? false,
  elsewhere: flags.elsewhere ?? flags.retryable ?? false,
})

const RETRYABLE = { retryable: true }
const PEER = { peerVisible: true }
/** The same request may be served by another target of this node, although no later try at this one can help by itself. */
const ELSEWHERE = { elsewhere: true }
const RETRYABLE_PEER = { retryable: true, peerVisible: true }

// One code per line, so that the table reads as a table and a new code is a one-line change.
// oxfmt-ignore
export const ERRORS = {
  // The client's request.
  body_malformed: entry(400, 'client', 'the request body is not valid: {reason}', 'send one JSON object in the format of this endpoint', PEER),
  body_too_large: entry(413, 'client', 'the request body has more than {limitBytes} bytes', 'send less, or raise body_limit_mb', PEER),
  query_too_long: entry(414, 'client', 'the query of the request has more than {limitBytes} bytes, and no order holds it', 'send a shorter query, or ask a provider of this node'),
  query_invalid: entry(400, 'client', 'the query is not valid: {reason}', 'correct it, or leave it out'),
  content_type_unsupported: entry(415, 'client', 'content type "{contentType}" is not accepted here', 'send application/json'),
  content_encoding_unsupported: entry(415, 'client', 'content encoding "{encoding}" is not accepted here', 'send identity, gzip, deflate, br or zstd'),
  origin_refused: entry(403, 'client', 'a web page at {origin} may not use this node', 'call the node from a program on this machine'),
  credential_missing: entry(401, 'client', 'this route needs the token of the running node', 'use the tok-node commands, which read it from the data directory'),
  route_unknown: entry(404, 'client', '{method} {path} is not served here', 'see docs/gateway.md for the routes'),
  websocket_unsupported: entry(426, 'client', 'this route does not speak WebSocket', 'send the same request as POST'),
  model_missing: entry(400, 'client', 'the request names no model', 'set "model" to one of GET /v1/models'),
  model_not_found: entry(404, 'client', 'the model "{model}" is served by no local provider and by no offer known here{detail}', 'run `tok-node models`, or add a route for it'),
  translation_refused: entry(400, 'client', '{field} cannot be asked of {target} in {dialect}: {reason}', 'leave it out, or ask a provider that speaks your dialect'),
  work_mode_mismatch: entry(400, 'node', '{reason}', 'set work_mode=auto or work_mode={other} to enable {other}'),
  endpoint_unsupported: entry(501, 'provider', '{target} does not serve {endpoint}', 'ask another model, or another endpoint'),
  parameter_unsupported: entry(400, 'client', '"{param}" is not supported for this model here: {reason}', 'leave it out, or ask a model that the vendor itself serves'),
  previous_response_not_found: entry(400, 'client', 'no response "{id}" is kept here to go on from', 'send the whole conversation as "input", without "previous_response_id"'),
  response_not_found: entry(404, 'client', 'no response "{id}" is kept here', 'ask with "store": true; what is kept expires after responses_store_hours'),
  response_not_cancellable: entry(400, 'client', 'the response "{id}" does not run in the background', 'end a running answer by closing its connection'),
  connection_busy: entry(409, 'client', 'another response is running on this connection', 'wait for its end, or open a second connection'),
  tool_loop: entry(400, 'client', '{tool} was called {count} times in a row with the same arguments and gave the same result every time', 'say what to do instead; a tool that is meant to be called again and again belongs in duplicate_tool_exempt'),
  client_left: entry(499, 'client', 'the client closed the connection', 'nothing: the inference was stopped'),

  // This node.
  config_invalid: entry(500, 'node', 'the configuration is not valid: {reason}', 'correct it and start again; `tok-node config show` lists every key with its origin'),
  argument_invalid: entry(400, 'client', '{reason}', 'see --help'),
  data_directory_in_use: entry(500, 'node', 'another tok-node uses {directory}{detail}', 'stop it with `tok-node stop`, or choose another --data-dir'),
  data_directory_unusable: entry(500, 'node', 'the data directory {directory} cannot be used: {reason}', 'give this user write access to it, or choose another --data-dir'),
  identity_unreadable: entry(500, 'node', 'the node key {file} cannot be used: {reason}', 'restore it from a backup; without it the accounts of this node cannot be continued'),
  port_in_use: entry(500, 'node', 'the address {address} is taken by another program', 'stop it, or choose another port'),
  node_not_running: entry(503, 'node', 'no tok-node runs on {directory}', 'start it with `tok-node start`'),
  node_unreachable: entry(503, 'node', 'the tok-node of {directory} does not answer: {reason}', 'look at its log, or stop it and start it again', RETRYABLE),
  node_stopping: entry(503, 'node', 'this node is stopping', 'try again when it is back', RETRYABLE_PEER),
  internal_error: entry(500, 'node', 'an unexpected failure: {reason}', 'report it with the log line of this request', PEER),
  storage_failed: entry(503, 'node', 'the ledger cannot be written: {reason}', 'free space or repair the disk, then restart; nothing was sold or bought unrecorded'),
  ledger_corrupt: entry(500, 'node', 'the ledger is damaged at {position}: {reason}', 'restore a backup, or move the ledger away and run `tok-node ledger recover --from-peers`; keep the damaged files'),
  response_store_failed: entry(503, 'node', 'answers cannot be kept: {reason}', 'free space or repair the disk, or ask without "store"', RETRYABLE),
  spend_limit_reached: entry(429, 'node', 'buying this would pass the spending limit of {limit} ({spent} spent or held today)', 'raise {key}, or wait for tomorrow (UTC)', ELSEWHERE),
  worker_failed: entry(500, 'node', 'a verifying worker ended: {reason}', 'run the command again'),

  // Providers.
  provider_key_missing: entry(401, 'provider', '{provider} needs an API key and none is set', 'set {variable}'),
  provider_unreachable: entry(502, 'provider', '{provider} at {origin} cannot be reached: {reason}', 'start it, or correct its URL', RETRYABLE_PEER),
  provider_timeout: entry(504, 'provider', '{provider} sent {awaited} for {timeoutMs} ms', 'try again, or raise the timeout', RETRYABLE_PEER),
  provider_broken: entry(502, 'provider', '{provider} broke off its answer: {reason}', 'try again', RETRYABLE_PEER),
  provider_failed: entry(502, 'provider', '{provider} answered with status {status}', 'see the provider', RETRYABLE_PEER),

  // The market, from the buyer's side.
  no_offer: entry(503, 'network', 'no seller can take this order for "{model}": {detail}', 'see `tok-node offers`; wait, or relax the limits', RETRYABLE),
  network_unavailable: entry(503, 'network', 'the network is not joined: {reason}', 'start with --role buyer and a --bootstrap address', RETRYABLE),
  buying_disabled: entry(403, 'node', 'a route sends "{model}" to the network, and this node does not buy', 'start with --role buyer or --role both'),
  seller_unreachable: entry(503, 'seller', 'the seller {peer} cannot be reached: {reason}', 'another offer is tried by itself', RETRYABLE),
  seller_timeout: entry(504, 'seller', 'the seller {peer} sent {awaited} for {timeoutMs} ms', 'another offer is tried by itself', RETRYABLE),
  seller_refused: entry(503, 'seller', 'the seller {peer} refused: {code}: {reason}', 'another offer is tried by itself', RETRYABLE),
  seller_misbehaved: entry(502, 'seller', 'the seller {peer} broke the protocol: {reason}', 'another offer is tried by itself', RETRYABLE),
  stream_incomplete: entry(502, 'seller', 'the answer of {peer} broke off: {reason}', 'ask again', RETRYABLE),
  receipt_missing: entry(502, 'seller', 'the seller {peer} sent no receipt', 'the account settles at the last voucher; nothing to do', RETRYABLE),
  receipt_disputed: entry(502, 'seller', 'the receipt of {peer} is wrong: {reason}', 'the account settles at the last voucher; nothing to do'),
  account_frozen: entry(403, 'node', 'the account with {peer} is frozen: {reason}', 'see `tok-node ledger show {account}` and its evidence', PEER),

  // What a peer is told.
  frame_malformed: entry(400, 'network', 'a frame is malformed: {reason}', 'the peer runs another version or is faulty', PEER),
  frame_too_large: entry(413, 'network', 'a frame has {bytes} bytes, {limitBytes} are allowed', 'the peer is faulty', PEER),
  limit_exceeded: entry(429, 'network', 'more than {limit} {what}', 'wait, then try again', RETRYABLE_PEER),
  encoding_invalid: entry(400, 'network', 'not a valid {what}: {reason}', 'the peer runs another version or is faulty', PEER),
  signature_invalid: entry(400, 'network', 'the signature of a {what} does not verify', 'the peer is faulty or lies', PEER),
  network_mismatch: entry(400, 'network', 'the message is for network "{network}"', 'check the network key on both sides', PEER),
  advert_expired: entry(409, 'network', 'the advert is expired', 'ask the seller for its current advert', RETRYABLE_PEER),
  advert_stale: entry(409, 'network', 'a newer advert of this seller is known', 'nothing: the newer one counts', PEER),
  advert_unknown: entry(409, 'buyer', 'the order names an advert that is not in force', 'fetch the seller\'s current advert', RETRYABLE_PEER),
  order_invalid: entry(400, 'buyer', 'the order is not acceptable: {reason}', 'correct the order', PEER),
  order_expired: entry(409, 'buyer', 'the order is expired', 'check the clock of the buyer', PEER),
  order_known: entry(409, 'buyer', 'this order was already run', 'its outcome stands in the account', PEER),
  credit_exhausted: entry(402, 'buyer', 'the credit line is used up: {detail}', 'settle the balance, or buy elsewhere', { ...PEER, ...ELSEWHERE }),
  capacity_exhausted: entry(503, 'seller', 'all {slots} slots are busy', 'try again, or buy elsewhere', RETRYABLE_PEER),
  selling_disabled: entry(403, 'seller', 'this node does not sell', 'buy elsewhere', PEER),
  model_not_offered: entry(404, 'seller', 'this seller does not offer "{model}"', 'fetch its current advert', PEER),
  account_unreconciled: entry(409, 'network', 'the account was not reconciled since this node started', 'exchange HELLO on the account protocol, then order again', RETRYABLE_PEER),
  voucher_invalid: entry(400, 'buyer', 'the voucher is not acceptable: {reason}', 'sign the next one higher and within the order', PEER),
  voucher_timeout: entry(402, 'buyer', 'no voucher came for {timeoutMs} ms while the window was used up', 'sign vouchers in time', PEER),
  order_maximum_reached: entry(402, 'buyer', 'the answer reached the maximum of its order', 'order with a higher maximum', PEER),
  statement_invalid: entry(400, 'seller', 'the statement is not acceptable: {reason}', 'correct it, or take out the refused item', PEER),
  settlement_invalid: entry(400, 'client', 'the settlement is not acceptable: {reason}', 'see `tok-node ledger accounts` for what is owed', PEER),
  reference_used: entry(409, 'client', 'the reference "{reference}" was used for another payment: {detail}', 'one payment, one reference: use that of this payment', PEER),
  statement_outdated: entry(409, 'buyer', 'the statement rests on what one side has forgotten, or the other', 'propose it anew, on the ground of this rejection', PEER),
  account_rolled_back: entry(409, 'network', 'the ledger of {peer} and this one part at sequence {sequence}, where both were brought up from copies', 'keep the side that was used last; on the other, start over with `tok-node ledger recover`', PEER),
  account_forked: entry(409, 'network', 'two signed statements stand at sequence {sequence}', 'both are kept as evidence, see `tok-node ledger evidence`; the account is frozen', PEER),
  call_aborted: entry(499, 'buyer', 'the buyer stopped the call', 'nothing: it settles at what was delivered', PEER),

  // Files and verification.
  export_invalid: entry(422, 'client', '{file}: {position}: {reason}', 'get an unchanged copy of the export'),
  record_not_found: entry(404, 'client', 'nothing is recorded under "{id}"', 'see `tok-node ledger list`'),
} as const satisfies Record<string, ErrorEntry>

/** One snake_case word for one failure. */
export type ErrorCode = keyof typeof ERRORS

/** What the text of an error may name. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | undefined>>

/** A named failure. Its message says what happened, its `next` what to do; both come from the table. */
export class TokError extends Error {
  override readonly name = 'TokError'
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, details: ErrorDetails = {}, options: { cause?: unknown } = {}) {
    super(fillIn(ERRORS[code].text, details), options)
    this.code = code
    this.details = details
  }

  get status(): number {
    return ERRORS[this.code].status
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }

  /** True if another target of this node may serve the same request. */
  get elsewhere(): boolean {
    return ERRORS[this.code].elsewhere
  }

  get owner(): FaultOwner {
    return ERRORS[this.code].owner
  }

  /** What the reader can do about it. */
  get next(): string {
    return fillIn(ERRORS[this.code].next, this.details)
  }
}

/** Anything thrown, as a TokError: unknown failures become `internal_error` with the cause kept. */
export function toTokError(thrown: unknown): TokError {
  if (thrown instanceof TokError) return thrown
  return new TokError('internal_error', { reason: reasonOf(thrown) }, { cause: thrown })
}

/** The one-line reason of anything thrown, with the operating system's code where there is one. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const systemCode = (thrown as NodeJS.ErrnoException).code
  const message = thrown.message === '' ? thrown.name : thrown.message
  return systemCode === undefined || message.includes(systemCode) ? message : `${systemCode}: ${message}`
}

/** The code a peer may see for `error`. */
export function peerVisibleCode(error: TokError): ErrorCode {
  return ERRORS[error.code].peerVisible ? error.code : 'internal_error'
}

/** Reads a code a peer sent; a word this version does not know reads as `internal_error`. */
export function readErrorCode(word: string): ErrorCode {
  return Object.hasOwn(ERRORS, word) ? (word as ErrorCode) : 'internal_error'
}

function fillIn(text: string, details: ErrorDetails): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? ''))
}
