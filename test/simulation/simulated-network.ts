/**
 * A network in memory that behaves as libp2p over TCP looks from src/network/network.ts: frames of a stream come whole and in
 * order or the stream breaks; what is lost is sent again and comes late; a connection breaks at once, or is noticed as broken
 * after a while; gossip comes late, twice, in any order, or not at all.
 */
import { TokError } from '../../src/base/errors.ts'
import type { Clock } from '../../src/base/clock.ts'
import type {
  CallChannel,
  CallHandlers,
  Frame,
  FrameStream,
  Network,
  NetworkHandlers,
  PeerView,
} from '../../src/network/network.ts'
import type { Randomness } from './randomness.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What the network does to those who use it. */
export interface NetworkFaults {
  /** Of all frames, the part that is lost and sent again; of all streams, the part that breaks; of all gossip, the part that never comes. */
  readonly lossPart: number
}

/** One frame on a stream, as an observer sees it. */
export interface ObservedFrame {
  readonly stream: SimulatedStream
  readonly from: string
  readonly to: string
  readonly type: number
  readonly payload: Uint8Array
}

/** Who watches every frame: when it leaves, when it comes, and when a side's end of a stream is gone. */
export interface NetworkObserver {
  onSent(frame: ObservedFrame): void
  onDelivered(frame: ObservedFrame): void
  onEnded(stream: SimulatedStream, peer: string): void
}

/** A stream between two processes. */
export interface SimulatedStream {
  readonly id: number
  readonly kind: 'call' | 'account'
  /** Who opened it, and to whom. */
  readonly opener: string
  readonly target: string
}

const BODY = 0x02
const PART = 0x14
/** Bytes of BODY or PART that may be on their way or unread. */
const CREDIT_BYTES = 1_048_576

const RESEND_MS = 200
const DIAL_TIMEOUT_MS = 5_000
const ADVERT_TIMEOUT_MS = 3_000
/** Until a connection is noticed as gone that ended without a word. */
const SILENCE_MS = [3_000, 15_000] as const
/** Of all processes that die, the part whose machine says nothing more. */
const SILENT_DEATHS = 0.15
const LINKS_WANTED = 4
const JOIN_EVERY_MS = 2_000

export class SimulatedNetwork {
  readonly time: VirtualTime
  readonly random: Randomness
  readonly faults: NetworkFaults
  readonly observer: NetworkObserver
  readonly hosts = new Map<string, SimulatedHost>()
  /** Peers that announced a key. */
  readonly records = new Map<string, Set<string>>()
  /** The side of the present partition that a peer is on. */
  #sides: ReadonlyMap<string, number> = new Map()
  #streams = 0
  readonly #links = new Set<Link>()

  constructor(time: VirtualTime, random: Randomness, faults: NetworkFaults, observer: NetworkObserver) {
    this.time = time
    this.random = random
    this.faults = faults
    this.observer = observer
  }

  /** A process joins: from now on it is called back. */
  join(peer: string, clock: Clock, isAlive: () => boolean, handlers: NetworkHandlers): SimulatedHost {
    const host = new SimulatedHost(this, peer, clock, isAlive, handlers)
    this.hosts.set(peer, host)
    host.keepJoined()
    return host
  }

  /** The process of `peer` is gone. */
  kill(peer: string): void {
    const host = this.hosts.get(peer)
    if (host === undefined) return
    this.hosts.delete(peer)
    const isSilent = this.random.isWithin(SILENT_DEATHS)
    for (const link of host.links.values()) link.sever(isSilent ? SILENCE_MS : [link.latencyMs, 2 * link.latencyMs])
  }

  /** Peers of different sides cannot reach each other until the next call. Without sides everyone can. */
  partition(sides: ReadonlyMap<string, number>): void {
    this.#sides = sides
    for (const link of this.#links) link.onPartition()
  }

  isReachable(one: string, other: string): boolean {
    return (this.#sides.get(one) ?? 0) === (this.#sides.get(other) ?? 0)
  }

  nextStream(): number {
    this.#streams += 1
    return this.#streams
  }

  connect(one: SimulatedHost, other: SimulatedHost): Link {
    const link = new Link(this, one, other, () => this.#links.delete(link))
    this.#links.add(link)
    return link
  }
}

/** A connection between two processes. */
class Link {
  readonly latencyMs: number
  readonly #network: SimulatedNetwork
  readonly #ends: readonly [SimulatedHost, SimulatedHost]
  readonly #forget: () => void
  readonly #streams = new Set<Stream>()
  /** When what is under way stops coming. */
  #cutAtMs = Infinity
  /** What waits for the end of a partition. */
  #held: (() => void)[] = []
  #isHolding = false
  #cancelBreak: (() => void) | undefined

  constructor(network: SimulatedNetwork, one: SimulatedHost, other: SimulatedHost, forget: () => void) {
    this.#network = network
    this.latencyMs = network.random.between(3, 80)
    this.#ends = [one, other]
    this.#forget = forget
    one.links.set(other.peer, this)
    other.links.set(one.peer, this)
    network.time.trace(`connected ${one.name} ${other.name}`)
    one.handlers.onPeerConnected(other.peer)
    other.handlers.onPeerConnected(one.peer)
  }

  hosts(): readonly [SimulatedHost, SimulatedHost] {
    return this.#ends
  }

  get isSevered(): boolean {
    return this.#cutAtMs < Infinity
  }

  /** Brings `deliver` to the other side, after what `lane` carries already. */
  transmit(lane: { lastAtMs: number }, deliver: () => void): void {
    const { time, random, faults } = this.#network
    let delayMs = this.latencyMs * random.between(1, 1.2)
    for (let again = RESEND_MS; random.isWithin(faults.lossPart); again *= 2) delayMs += again
    lane.lastAtMs = Math.max(time.nowMs + delayMs, lane.lastAtMs)
    const arrive = (): void => {
      if (time.nowMs > this.#cutAtMs) return
      if (this.#isHolding) this.#held.push(arrive)
      else deliver()
    }
    time.after(lane.lastAtMs - time.nowMs, arrive)
  }

  carry(stream: Stream): void {
    this.#streams.add(stream)
  }

  drop(stream: Stream): void {
    this.#streams.delete(stream)
  }

  /** The connection ends: some of what is under way still comes, and each living side notices within `noticeMs`. */
  sever(noticeMs: readonly [number, number]): void {
    if (this.isSevered) return
    const { time, random } = this.#network
    this.#cutAtMs = time.nowMs + random.between(0, 2 * this.latencyMs)
    this.#cancelBreak?.()
    this.#forget()
    for (const host of this.#ends) {
      time.after(random.between(...noticeMs), () => this.#notice(host))
    }
  }

  #notice(host: SimulatedHost): void {
    const [one, other] = this.#ends
    const peer = (host === one ? other : one).peer
    if (host.links.get(peer) === this) host.links.delete(peer)
    if (!host.isAlive()) return
    this.#network.time.trace(`disconnected ${host.name} ${nameOf(peer)}`)
    for (const stream of this.#streams) stream.breakAt(host, 'the connection closed')
    if (!host.links.has(peer)) host.handlers.onPeerDisconnected(peer)
  }

  onPartition(): void {
    const { time, random } = this.#network
    const [one, other] = this.#ends
    const isCut = !this.#network.isReachable(one.peer, other.peer)
    if (isCut === this.#isHolding && (this.#cancelBreak !== undefined) === isCut) return
    if (isCut) {
      this.#isHolding = true
      this.#cancelBreak ??= time.after(random.between(...SILENCE_MS), () => this.sever([0, 5_000]))
      return
    }
    this.#cancelBreak?.()
    this.#cancelBreak = undefined
    // TCP tries again after a pause that has grown.
    time.after(random.between(RESEND_MS, 10 * RESEND_MS), () => {
      if (this.#cancelBreak !== undefined) return
      this.#isHolding = false
      for (const arrive of this.#held.splice(0)) arrive()
    })
  }
}

/** Either kind of stream: two ends and what is between them. */
class Stream implements SimulatedStream {
  readonly id: number
  readonly kind: 'call' | 'account'
  readonly opener: string
  readonly target: string
  readonly network: SimulatedNetwork
  readonly #link: Link
  readonly #lanes: readonly [{ lastAtMs: number }, { lastAtMs: number }] = [{ lastAtMs: 0 }, { lastAtMs: 0 }]
  readonly #ends = new Map<SimulatedHost, StreamEnd>()

  constructor(network: SimulatedNetwork, link: Link, kind: 'call' | 'account', opener: SimulatedHost) {
    const [one, other] = link.hosts()
    this.id = network.nextStream()
    this.kind = kind
    this.network = network
    this.opener = opener.peer
    this.target = (opener === one ? other : one).peer
    this.#link = link
    link.carry(this)
    const { random, faults, time } = network
    if (random.isWithin(faults.lossPart)) {
      time.after(random.between(0, 20_000), () => {
        for (const host of link.hosts()) {
          time.after(random.between(0, 2 * link.latencyMs), () => this.breakAt(host, 'the stream was reset'))
        }
      })
    }
  }

  /** `host`'s end, from now on told what comes. */
  attach(host: SimulatedHost, end: StreamEnd): void {
    this.#ends.set(host, end)
  }

  otherThan(host: SimulatedHost): SimulatedHost {
    const [one, other] = this.#link.hosts()
    return host === one ? other : one
  }

  /** Sends from `host` to the other side. Nothing leaves a process that is dead. */
  transmit(host: SimulatedHost, arrive: (to: SimulatedHost, end: StreamEnd | undefined) => void): void {
    if (!host.isAlive()) return
    const to = this.otherThan(host)
    this.#link.transmit(this.#lanes[host === this.#link.hosts()[0] ? 0 : 1], () => {
      if (to.isAlive()) arrive(to, this.#ends.get(to))
    })
  }

  sendFrame(host: SimulatedHost, type: number, payload: Uint8Array, onArrival: (to: SimulatedHost) => void): void {
    if (!host.isAlive()) return
    const frame = { stream: this, from: host.peer, to: this.otherThan(host).peer, type, payload }
    const { observer, time } = this.network
    time.trace(`sent ${this.id} ${host.name}>${nameOf(frame.to)} 0x${type.toString(16)} ${payload.length}`)
    observer.onSent(frame)
    this.transmit(host, (to, end) => {
      observer.onDelivered(frame)
      if (end === undefined) onArrival(to)
      else end.receive({ type, payload })
    })
  }

  /** `host` is told that the stream is gone. */
  breakAt(host: SimulatedHost, reason: string): void {
    const end = this.#ends.get(host)
    if (end === undefined || !host.isAlive()) return
    end.break(new TokError('stream_incomplete', { peer: this.otherThan(host).peer, reason }))
  }

  /** `host`'s end is over. */
  over(host: SimulatedHost): void {
    if (!host.isAlive()) return
    this.network.time.trace(`ended ${this.id} ${host.name}`)
    this.network.observer.onEnded(this, host.peer)
    if ([...this.#ends.values()].every((end) => end.isOver)) this.#link.drop(this)
  }
}

interface StreamEnd {
  readonly isOver: boolean
  receive(frame: Frame): void
  break(error: TokError): void
}

/** One side of a call. */
class CallEnd implements CallChannel, StreamEnd {
  readonly peer: string
  readonly #stream: Stream
  readonly #host: SimulatedHost
  #handlers: CallHandlers | undefined
  #early: Frame[] = []
  #ending: { readonly error: Error | undefined } | undefined
  isOver = false
  #bytesAhead = 0
  #isBlocked = false

  constructor(stream: Stream, host: SimulatedHost) {
    this.#stream = stream
    this.#host = host
    this.peer = stream.otherThan(host).peer
    stream.attach(host, this)
  }

  attach(handlers: CallHandlers): void {
    this.#handlers = handlers
    for (const { type, payload } of this.#early.splice(0)) handlers.onFrame(type, payload)
    if (this.#ending !== undefined) handlers.onClosed(this.#ending.error)
  }

  send(type: number, payload: Uint8Array): boolean {
    if (this.isOver) return false
    const isCounted = type === BODY || type === PART
    if (isCounted) this.#bytesAhead += payload.length
    this.#stream.sendFrame(this.#host, type, payload, (to) => {
      const end = new CallEnd(this.#stream, to)
      to.handlers.onCall(end)
      end.receive({ type, payload })
    })
    this.#isBlocked = this.#bytesAhead >= CREDIT_BYTES
    return !this.#isBlocked
  }

  consumed(bytes: number): void {
    if (this.isOver) return
    this.#stream.transmit(this.#host, (_, end) => {
      if (end instanceof CallEnd) end.#takeGrant(bytes)
    })
  }

  #takeGrant(bytes: number): void {
    this.#bytesAhead -= bytes
    if (this.isOver || !this.#isBlocked || this.#bytesAhead >= CREDIT_BYTES) return
    this.#isBlocked = false
    this.#handlers?.onWritable()
  }

  close(): void {
    if (this.isOver) return
    this.#stream.transmit(this.#host, (_, end) => {
      if (end instanceof CallEnd) end.#end(undefined)
    })
    this.#over()
  }

  receive(frame: Frame): void {
    if (this.isOver) return
    if (this.#handlers === undefined) this.#early.push(frame)
    else this.#handlers.onFrame(frame.type, frame.payload)
  }

  break(error: TokError): void {
    this.#end(error)
  }

  #end(error: Error | undefined): void {
    if (this.isOver) return
    this.#over()
    if (this.#handlers === undefined) this.#ending = { error }
    else this.#handlers.onClosed(error)
  }

  #over(): void {
    this.isOver = true
    this.#stream.over(this.#host)
  }
}

/** One side of an exchange. */
class ExchangeEnd implements FrameStream, StreamEnd {
  readonly peer: string
  readonly #stream: Stream
  readonly #host: SimulatedHost
  readonly #frames: Frame[] = []
  #hasPeerEnded = false
  #isClosed = false
  #failure: TokError | undefined
  #wake: () => void = () => undefined

  constructor(stream: Stream, host: SimulatedHost) {
    this.#stream = stream
    this.#host = host
    this.peer = stream.otherThan(host).peer
    stream.attach(host, this)
  }

  get isOver(): boolean {
    return this.#failure !== undefined || (this.#isClosed && this.#hasPeerEnded)
  }

  async write(type: number, payload: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    this.#stream.sendFrame(this.#host, type, payload, (to) => to.answerExchange(this.#stream, { type, payload }))
  }

  async read(signal: AbortSignal): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.#frames.shift()
      if (frame !== undefined) return frame
      if (this.#failure !== undefined) throw this.#failure
      if (this.#hasPeerEnded) return undefined
      signal.throwIfAborted()
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#wake = wake
        signal.addEventListener('abort', wake)
      })
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed || this.#failure !== undefined) return
    this.#isClosed = true
    this.#stream.transmit(this.#host, (_, end) => {
      if (end instanceof ExchangeEnd) end.#onPeerEnd()
    })
    if (this.isOver) this.#stream.over(this.#host)
  }

  abort(reason: Error): void {
    if (this.isOver) return
    const error =
      reason instanceof TokError
        ? reason
        : new TokError('stream_incomplete', { peer: this.peer, reason: reason.message })
    this.#stream.transmit(this.#host, (to) => this.#stream.breakAt(to, 'it was reset'))
    this.break(error)
  }

  receive(frame: Frame): void {
    if (this.isOver) return
    this.#frames.push(frame)
    this.#wake()
  }

  break(error: TokError): void {
    if (this.isOver) return
    this.#failure = error
    this.#stream.over(this.#host)
    this.#wake()
  }

  #onPeerEnd(): void {
    this.#hasPeerEnded = true
    if (this.isOver) this.#stream.over(this.#host)
    this.#wake()
  }
}

/** What one process has of the network. */
export class SimulatedHost implements Network {
  readonly peer: string
  readonly handlers: NetworkHandlers
  readonly links = new Map<string, Link>()
  /** Adverts that gossip brought: the same bytes again are passed on, but not brought again, unless gossip errs. */
  readonly #heard = new WeakSet<Uint8Array>()
  readonly #network: SimulatedNetwork
  readonly #clock: Clock
  readonly #isProcessAlive: () => boolean
  readonly #dials = new Map<string, Promise<Link>>()
  #isStopped = false

  constructor(
    network: SimulatedNetwork,
    peer: string,
    clock: Clock,
    isProcessAlive: () => boolean,
    handlers: NetworkHandlers,
  ) {
    this.#network = network
    this.peer = peer
    this.#clock = clock
    this.#isProcessAlive = isProcessAlive
    this.handlers = handlers
  }

  /** Short, for people. */
  get name(): string {
    return nameOf(this.peer)
  }

  isAlive(): boolean {
    return !this.#isStopped && this.#isProcessAlive() && this.#network.hosts.get(this.peer) === this
  }

  /** Connects to some others, as a node does that has few connections. */
  keepJoined(): void {
    const { hosts, random } = this.#network
    if (!this.isAlive()) return
    const others = [...hosts.keys()].filter((peer) => peer !== this.peer && !this.links.has(peer))
    const target = others[random.whole(0, others.length - 1)]
    if (this.links.size < LINKS_WANTED && target !== undefined) this.#link(target).catch(() => undefined)
    const isFull = this.links.size >= LINKS_WANTED || others.length === 0
    this.#clock.after(isFull ? JOIN_EVERY_MS : random.between(50, 300), () => this.keepJoined())
  }

  multiaddrs(): readonly string[] {
    return [`/memory/${this.peer}`]
  }

  peers(): readonly PeerView[] {
    return [...this.links].map(([peer, link]) => ({
      peer,
      multiaddrs: [`/memory/${peer}`],
      direction: 'outbound',
      roundTripMs: 2 * link.latencyMs,
      openedAtMs: 0,
    }))
  }

  isConnected(peer: string): boolean {
    return this.links.has(peer)
  }

  async connect(target: string, signal: AbortSignal): Promise<string> {
    const peer = target.split('/').at(-1) ?? target
    await within(signal, this.#link(peer))
    return peer
  }

  async openCall(peer: string, signal: AbortSignal): Promise<CallChannel> {
    const link = await within(signal, this.#link(peer))
    return new CallEnd(new Stream(this.#network, link, 'call', this), this)
  }

  async openAccountStream(peer: string, signal: AbortSignal): Promise<FrameStream> {
    const link = await within(signal, this.#link(peer))
    return new ExchangeEnd(new Stream(this.#network, link, 'account', this), this)
  }

  /** Serves an exchange that a peer opened, from its first frame on. */
  answerExchange(stream: Stream, first: Frame): void {
    const end = new ExchangeEnd(stream, this)
    end.receive(first)
    this.handlers.onAccountStream(end).then(
      () => end.close(),
      (thrown: unknown) => end.abort(thrown instanceof Error ? thrown : new Error(String(thrown))),
    )
  }

  async queryAdvert(peer: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const link = await within(signal, this.#link(peer))
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>()
    const late = (): void => reject(unreachable(peer, 'it did not answer'))
    const cancel = this.#clock.after(ADVERT_TIMEOUT_MS, late)
    link.transmit({ lastAtMs: 0 }, () => {
      const other = this.#network.hosts.get(peer)
      if (other === undefined || !other.isAlive()) return
      const advert = other.handlers.currentAdvert()
      link.transmit({ lastAtMs: 0 }, () => {
        cancel()
        resolve(advert)
      })
    })
    return within(signal, promise)
  }

  async publishAdvert(bytes: Uint8Array): Promise<void> {
    const { hosts, time, random, faults } = this.#network
    if (!this.isAlive() || this.links.size === 0) return
    for (const host of hosts.values()) {
      if (host === this || host.links.size === 0) continue
      const copies = random.isWithin(faults.lossPart) ? 0 : random.isWithin(faults.lossPart) ? 2 : 1
      for (let copy = 0; copy < copies; copy++) {
        time.after(random.between(30, 450), () => {
          const isNews = copies === 2 || !host.#heard.has(bytes)
          if (!isNews || !host.isAlive() || !this.#network.isReachable(this.peer, host.peer)) return
          host.#heard.add(bytes)
          host.handlers.judgeAdvert(bytes)
        })
      }
    }
  }

  async provide(key: Uint8Array): Promise<void> {
    const name = Buffer.from(key).toString('hex')
    const peers = this.#network.records.get(name) ?? new Set()
    this.#network.records.set(name, peers.add(this.peer))
  }

  async *findProviders(key: Uint8Array, limit: number, signal: AbortSignal): AsyncIterable<string> {
    let left = limit
    for (const peer of [...(this.#network.records.get(Buffer.from(key).toString('hex')) ?? [])]) {
      await new Promise<void>((resolve) => this.#clock.after(this.#network.random.between(20, 200), resolve))
      if (signal.aborted || left === 0) return
      left -= 1
      if (peer !== this.peer) yield peer
    }
  }

  async stop(): Promise<void> {
    for (const link of this.links.values()) link.sever([0, link.latencyMs])
    this.#isStopped = true
    this.#network.hosts.delete(this.peer)
  }

  /** The connection to a peer, dialled if there is none. */
  #link(peer: string): Promise<Link> {
    const known = this.links.get(peer)
    if (known !== undefined && !known.isSevered) return Promise.resolve(known)
    if (known !== undefined) return this.#afterSilence(peer)
    const dialling = this.#dials.get(peer) ?? this.#dial(peer).finally(() => this.#dials.delete(peer))
    this.#dials.set(peer, dialling)
    return dialling
  }

  async #dial(peer: string): Promise<Link> {
    const { random } = this.#network
    const other = this.#network.hosts.get(peer)
    if (!this.#network.isReachable(this.peer, peer)) return this.#afterSilence(peer)
    await this.#pause(random.between(10, 240))
    const now = this.#network.hosts.get(peer)
    if (now === undefined || now !== other || !this.isAlive()) throw unreachable(peer, 'connection refused')
    const meanwhile = this.links.get(peer)
    if (meanwhile !== undefined && !meanwhile.isSevered) return meanwhile
    // The other side may still believe in an older connection: this one takes its place.
    now.links.get(this.peer)?.sever([0, 0])
    return this.#network.connect(this, now)
  }

  /** Nothing comes back from a peer that cannot be reached, and says nothing. */
  async #afterSilence(peer: string): Promise<never> {
    await this.#pause(DIAL_TIMEOUT_MS)
    throw unreachable(peer, 'it does not answer')
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(delayMs, resolve))
  }
}

function nameOf(peer: string): string {
  return peer.slice(-6)
}

function unreachable(peer: string, reason: string): TokError {
  return new TokError('seller_unreachable', { peer, reason })
}

/** The work's result, unless the signal aborts before. */
function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => undefined) // if the signal was first
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
