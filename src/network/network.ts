/**
 * What the rest of the node sees of libp2p: authenticated peers, frames in, frames out, everything
 * bounded. Knows frames, not money. A peer is named by its peer ID text ("12D3KooW…").
 */

/** One frame: a type of wire/registry's FRAMES and its payload. */
export interface Frame {
  readonly type: number
  readonly payload: Uint8Array
}

/** What the user of a call is told. */
export interface CallHandlers {
  /** Each frame in order. BODY and PART bytes stay on this side's account until `consumed()` is called for them. */
  onFrame(type: number, payload: Uint8Array): void
  /** Credit is back after `send` returned false. */
  onWritable(): void
  /**
   * The peer closed the call (no error), or it broke (with one: `stream_incomplete` or `call_aborted` if the
   * stream is gone, else what was broken). Called once, and not after this side's own `close()`.
   */
  onClosed(error?: Error): void
}

/**
 * One call on the stream shared by a pair of peers. BODY and PART frames spend credit (the peer grants it back as
 * it consumes); every other frame spends none. Frames keep their order; only ABORT overtakes, and drops, what
 * waits. Frames of one event-loop turn leave in one write. The buyer's first frame is its ORDER.
 */
export interface CallChannel {
  readonly peer: string
  /** Sets who is told. Frames that came earlier are delivered then, in order. */
  attach(handlers: CallHandlers): void
  /**
   * Queues a frame. False: wait for `onWritable` before the next BODY or PART, since credit is used up or the
   * peer does not read. After the call's end it drops the frame and returns false.
   * @throws TokError `frame_too_large`
   */
  send(type: number, payload: Uint8Array): boolean
  /** Tells the peer that `bytes` of BODY or PART payload were taken, so that it may send as many more. */
  consumed(bytes: number): void
  /**
   * Ends the call on both sides, after what is queued here (20 s at most). Frames for it that still come are
   * dropped.
   */
  close(): void
}

/** A stream of its own that carries whole frames in turn: the account protocol and the advert query. */
export interface FrameStream {
  readonly peer: string
  /** Resolves when the stream has room again; a peer that reads nothing for TIMEOUTS.accountMs loses the stream. */
  write(type: number, payload: Uint8Array): Promise<void>
  /**
   * The next frame, or undefined when the peer has ended its side. Rejects with a TokError on abort, reset or an
   * oversized frame, and with the signal's reason when that aborts; the stream stays usable then. One reader at a time.
   */
  read(signal: AbortSignal): Promise<Frame | undefined>
  /** Ends this side after what was written. */
  close(): Promise<void>
  /** Drops the stream at once. */
  abort(reason: Error): void
}

/** What gossip does with an advert: relay it, drop it quietly, or drop it and lower the sender's score. */
export type AdvertVerdict = 'accept' | 'ignore' | 'reject'

/** The other folders' side of the network, passed in by the composition root. */
export interface NetworkHandlers {
  /** A buyer opened a call. Attach soon: few frames may wait, and more end the stream. */
  onCall(channel: CallChannel): void
  /** A peer opened an account exchange. When it resolves the stream is closed; a rejection aborts it. */
  onAccountStream(stream: FrameStream): Promise<void>
  /** Judges an advert from gossip, synchronously; on `accept` the judge has kept it. */
  judgeAdvert(bytes: Uint8Array): AdvertVerdict
  /** This node's current advert (envelope bytes), for direct queries; undefined when it sells nothing. */
  currentAdvert(): Uint8Array | undefined
  /** A connection to a peer stands (first one) or is gone (last one). */
  onPeerConnected(peer: string): void
  onPeerDisconnected(peer: string): void
}

/** How this node takes part. */
export interface NetworkOptions {
  /** The network's name; nodes of different networks do not understand each other. */
  readonly network: string
  /** Multiaddrs to listen on; none for a node that only dials. */
  readonly listen: readonly string[]
  /** Multiaddrs to join by, with or without `/p2p/`. */
  readonly bootstrap: readonly string[]
  /** True to find and be found by nodes of the same network on the local network. */
  readonly mdns: boolean
  /** `server` keeps DHT records for others: sellers and bootstraps that are reachable. */
  readonly role: 'client' | 'server'
  /** The most connections: high for a bootstrap, 100 is plenty for others. A full host refuses newcomers. */
  readonly maxConnections: number
  /** Calls that this side puts on one stream: 1 is a stream per call, LIMITS.callsPerStream the most. */
  readonly callsPerStream: number
}

/** One connected peer. */
export interface PeerView {
  readonly peer: string
  readonly multiaddrs: readonly string[]
  readonly direction: 'inbound' | 'outbound'
  /** Round trip of the last ping in ms; undefined before the first. */
  readonly roundTripMs: number | undefined
  readonly openedAtMs: number
}

/** The libp2p host of this node. */
export interface Network {
  readonly peer: string
  /** Where others reach this node, each with its `/p2p/` part. */
  multiaddrs(): readonly string[]
  peers(): readonly PeerView[]
  isConnected(peer: string): boolean
  /**
   * Connects to a peer by its ID (addresses known or looked up) or multiaddr, and gives its peer ID.
   * @throws TokError `seller_unreachable`
   */
  connect(target: string, signal: AbortSignal): Promise<string>
  /**
   * Opens a call to a peer, connecting first if need be.
   * @throws TokError `seller_unreachable`
   */
  openCall(peer: string, signal: AbortSignal): Promise<CallChannel>
  /** @throws TokError `seller_unreachable` */
  openAccountStream(peer: string, signal: AbortSignal): Promise<FrameStream>
  /** Asks a peer for its current advert; undefined if it sells nothing. @throws TokError `seller_unreachable` */
  queryAdvert(peer: string, signal: AbortSignal): Promise<Uint8Array | undefined>
  /** Sends an advert to every peer that listens. With nobody there it goes nowhere, without an error. */
  publishAdvert(bytes: Uint8Array): Promise<void>
  /**
   * Announces in the DHT that this node provides `key` (32 bytes), and keeps announcing it.
   * @throws TokError `network_unavailable` when the signal aborts first, as it does while no DHT server is known
   */
  provide(key: Uint8Array, signal: AbortSignal): Promise<void>
  /** Other peers that the DHT names as providers of `key`, as they are found, at most `limit`; ends when the signal aborts. */
  findProviders(key: Uint8Array, limit: number, signal: AbortSignal): AsyncIterable<string>
  /** Ends every stream and connection. */
  stop(): Promise<void>
}
