/**
 * What a running node tells and does for its own operator, as the admin routes serve it and the command line reads it.
 * Every value is ready for JSON: amounts are decimal strings of micros and end in `Micros`, prices are micros per Mtok
 * and end in `MicrosPerMtok`, keys and hashes are hexadecimal, peers are peer ID texts.
 */
import type { Endpoint } from '../dialects/dialect.ts'

/** A JSON value, as it is written. */
export type JsonValue = string | number | boolean | null | undefined | readonly JsonValue[] | JsonObject
/** A JSON object, as it is written. */
export interface JsonObject {
  readonly [name: string]: JsonValue
}

/** `GET /api/v1/status` */
export interface StatusView {
  readonly version: string
  readonly pid: number
  readonly peerId: string
  readonly role: 'buyer' | 'seller' | 'both' | 'local'
  readonly network: string
  readonly facade: string
  readonly multiaddrs: readonly string[]
  readonly startedAtMs: number
  readonly peersConnected: number
  /** What is signed, and what of it the second verifier has confirmed. */
  readonly ledger: {
    /** Absent before the first. */
    readonly checkpoint?: { readonly sequence: number; readonly createdAtMs: number }
    readonly statements: number
    readonly naclVerified: number
    /** What tweetnacl refuses. */
    readonly mismatches: readonly string[]
  }
  readonly providers: readonly ProviderView[]
  /** Absent if this node does not buy. */
  readonly buying?: { readonly spentTodayMicros: string; readonly heldMicros: string; readonly limitMicros?: string }
  /** Absent if this node does not sell. */
  readonly selling?: {
    readonly paused: boolean
    readonly offers: number
    readonly callsOpen: number
    readonly slots: number
  }
}

/** One model server this node calls. */
export interface ProviderView {
  readonly name: string
  readonly origin: string
  readonly dialects: readonly string[]
  readonly health: string
  /** Absent while its list is unknown. */
  readonly models?: number
}

/** One model a client can ask for, and where it would run. `GET /api/v1/models`, and the source of `GET /v1/models`. */
export interface ModelView {
  readonly id: string
  readonly ownedBy: string
  /** Absent if unknown. */
  readonly contextTokens?: number
  /** In the order they would be tried. */
  readonly targets: readonly ModelTargetView[]
}

/** One place where a model would run. */
export interface ModelTargetView {
  /** Provider name, or the peer ID of the seller. */
  readonly name: string
  readonly kind: 'local' | 'network'
  /** Absent for a provider of this node's own. */
  readonly inputMicrosPerMtok?: string
  readonly outputMicrosPerMtok?: string
}

/** One offer on the network. `GET /api/v1/offers` */
export interface OfferView {
  readonly seller: string
  readonly model: string
  readonly contextTokens?: number
  readonly inputMicrosPerMtok: string
  readonly outputMicrosPerMtok: string
  readonly expiresAtMs: number
  readonly connected: boolean
}

/** One connected peer. `GET /api/v1/peers` */
export interface PeerView {
  readonly peer: string
  readonly multiaddrs: readonly string[]
  readonly direction: 'inbound' | 'outbound'
  readonly openedAtMs: number
  /** Absent before the first ping. */
  readonly roundTripMs?: number
}

/** Where a request would go and why. `GET /api/v1/explain?model=M&endpoint=E` */
export interface ExplainView {
  readonly requestedModel: string
  readonly resolvedModel: string
  readonly endpoint: Endpoint
  readonly targets: readonly { readonly name: string; readonly kind: 'local' | 'network'; readonly reason: string }[]
  readonly refused: readonly { readonly name: string; readonly reason: string }[]
}

/** One account with a peer. `GET /api/v1/ledger/accounts` */
export interface AccountView {
  readonly account: string
  readonly counterparty: string
  /** What this node is in it. */
  readonly side: 'buyer' | 'seller'
  readonly statements: number
  readonly owedMicros: string
  readonly paidMicros: string
  /** Of calls that no statement holds yet. */
  readonly unsettledMicros: string
  readonly balanceMicros: string
  /** Maxima of the calls that run. */
  readonly heldMicros: string
  readonly liveCalls: number
  /** As the seller says it now. */
  readonly creditLimitMicros: string
  /** What is left of it. */
  readonly roomMicros: string
  /** What the limit is made of; absent where this node is the buyer. */
  readonly line?: {
    readonly grantMicros: string
    readonly earnedMicros: string
    readonly capMicros: string
    readonly halvings: number
  }
  /** The most that is delivered before the buyer has vouched for it, on all running calls. */
  readonly windowExposureMicros: string
  /** Of payments and a netting that no statement holds yet: received by the seller, or signed by both. */
  readonly confirmedMicros: string
  /** Payments and nettings under way. */
  readonly settlementsOpen: number
  /** Calls whose item the buyer rejects. */
  readonly disputed: number
  readonly headHash?: string
  /** Of the statements, those that the second verifier has confirmed. */
  readonly naclVerifiedThrough: number
  /** Why nothing more is traded on it, if so. */
  readonly frozen?: string
}

/** One payment or netting under way. `GET /api/v1/ledger/settlements` */
export interface SettlementView {
  readonly id: string
  readonly kind: 'payment' | 'netting'
  /** A payment is proposed, confirmed, refused, cancelled or expired; a netting proposed, sealed or expired. */
  readonly state: string
  /** What this node is in it; in a netting, in the account of who proposed it. */
  readonly side: 'buyer' | 'seller'
  readonly counterparty: string
  readonly amountMicros: string
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  /** Of a payment. */
  readonly adapter?: string
  readonly reference?: string
  readonly paidAtMs?: number
  /** Why it was refused. */
  readonly reason?: string
}

/** Body of `POST /api/v1/ledger/settle`. An id may be cut to its first eight characters or more. */
export type SettleRequest =
  | {
      readonly action: 'pay'
      readonly peer: string
      readonly amountMicros: string
      readonly adapter: string
      readonly reference: string
      /** Now unless given. */
      readonly paidAtMs?: number
    }
  /** As much as possible unless an amount is given. */
  | { readonly action: 'net'; readonly peer: string; readonly amountMicros?: string }
  | { readonly action: 'confirm' | 'cancel'; readonly id: string }
  | { readonly action: 'refuse'; readonly id: string; readonly reason: string }

/** A proof of an account or an entry. `GET /api/v1/ledger/prove/ID` */
export interface ProofView {
  /** The line of a proof file, with its newline. */
  readonly proof: string
}

/** What is left of the journal. `POST /api/v1/ledger/prune` */
export interface PruneView {
  readonly entriesGone: number
  /** Sequence of the checkpoint after which it begins; absent if nothing was ever pruned. */
  readonly checkpoint?: number
}

/** The outcome of checking this node's whole ledger. `GET /api/v1/ledger/verify` */
export interface VerifyView {
  readonly verified: boolean
  readonly statements: number
  readonly entries: number
  readonly headHash?: string
  /** The first damage found. */
  readonly problem?: { readonly position: string; readonly reason: string }
}

/** The outcome of comparing the account with one seller. `POST /api/v1/ledger/reconcile` */
export interface ReconcileView {
  readonly peer: string
  readonly reconciled: boolean
  /** An error code and what it says, where it failed. */
  readonly code?: string
  readonly reason?: string
}

/** What this node sells. `GET /api/v1/sell` */
export interface SellingView {
  readonly paused: boolean
  readonly offers: readonly SellOffer[]
}

/** One model at a price. The model may be a pattern, as in `--sell`. */
export interface SellOffer {
  readonly model: string
  readonly inputMicrosPerMtok: string
  readonly outputMicrosPerMtok: string
}

/** Implemented by the running node. Each may throw a TokError, which its route answers as JSON. */
export interface AdminApi {
  status(): Promise<StatusView>
  models(): Promise<readonly ModelView[]>
  offers(): Promise<readonly OfferView[]>
  peers(): Promise<readonly PeerView[]>
  /** @throws TokError `model_not_found`, `work_mode_mismatch` */
  explain(model: string, endpoint: Endpoint): Promise<ExplainView>
  accounts(): Promise<readonly AccountView[]>
  settlements(): Promise<readonly SettlementView[]>
  /** @throws TokError `settlement_invalid`, `reference_used`, `record_not_found`, and those of reaching a peer */
  settle(request: SettleRequest): Promise<SettlementView>
  /** An account, order, receipt or request by its id. @throws TokError `record_not_found` */
  show(id: string): Promise<JsonObject>
  /** The whole ledger, line by line, each with its line end. */
  exportLedger(): AsyncIterable<string>
  verifyLedger(): Promise<VerifyView>
  /** @throws TokError `record_not_found` */
  prove(id: string): Promise<ProofView>
  /** Forgets the journal entries from before, as far as a checkpoint covers them. */
  pruneLedger(beforeMs: number): Promise<PruneView>
  /**
   * Compares the account with one seller, or all of them, and settles what is open.
   * @throws TokError `network_unavailable` on a node that does not buy: buyers open these exchanges
   */
  reconcile(peer: string | undefined): Promise<readonly ReconcileView[]>
  /** Copies ledger and node key to a directory. @throws TokError `argument_invalid`, `data_directory_unusable`, `storage_failed` */
  backUpLedger(directory: string): Promise<void>
  /** Lines of an evidence file. */
  evidence(): Promise<readonly string[]>
  selling(): Promise<SellingView>
  /** Replaces what is sold. @throws TokError `selling_disabled`, `argument_invalid` */
  setOffers(offers: readonly SellOffer[]): Promise<SellingView>
  /** Takes no new orders until `resumeSelling`. @throws TokError `selling_disabled` */
  pauseSelling(): Promise<SellingView>
  /** @throws TokError `selling_disabled` */
  resumeSelling(): Promise<SellingView>
  /** Begins to drain and stop; returns at once. */
  stop(): void
}
