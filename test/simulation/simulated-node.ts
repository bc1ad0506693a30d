/**
 * A node of a simulation: its disk and identity, and the process that runs on them until it is killed. The process is the real
 * ledger and the real market; its clients and its model server are drawn from chance.
 */
import { pino } from 'pino'
import { timeoutSignal, type Clock } from '../../src/base/clock.ts'
import { TokError, toTokError } from '../../src/base/errors.ts'
import type { Config } from '../../src/config/config.ts'
import { createOpaqueSeal } from '../../src/dialects/conversation/opaque-state.ts'
import type { AnswerSink, Exchange, ModelRequest } from '../../src/dialects/exchange.ts'
import { openLedger, type Ledger } from '../../src/ledger/ledger.ts'
import type { CallChannel } from '../../src/network/network.ts'
import type { Store } from '../../src/ledger/store.ts'
import { startMarket, type Market } from '../../src/node/market.ts'
import type { Offer } from '../../src/wire/advert.ts'
import { nodeKeyFromSeed, type NodeKey } from '../../src/wire/identity.ts'
import type { Auditor } from './auditor.ts'
import { createModelServer } from './model-server.ts'
import type { Randomness } from './randomness.ts'
import type { SimulatedNetwork } from './simulated-network.ts'
import { SimulatedDisk, SimulatedStore } from './simulated-store.ts'
import { START_MS, type VirtualTime } from './virtual-time.ts'

const RECOVER_MS = 10_000

export const NETWORK = 'simulated'
const ASSET = 'USD'

/** What all nodes of a simulation share. */
export interface World {
  readonly time: VirtualTime
  readonly network: SimulatedNetwork
  readonly auditor: Auditor
  /** The longest answer, about. */
  readonly answerSecondsMax: number
  /** Every name of a model that anyone sells. */
  readonly models: readonly string[]
  /** False from the moment no client asks any more. */
  isBusy: boolean
}

/** How a node is made. */
export interface NodePlan {
  readonly config: Config
  readonly offers: readonly Offer[]
  /** Clients that ask one question after the other. */
  readonly clients: number
  /** What a test puts between the market and its ledger, or between the ledger and its disk. */
  readonly tamper?: Tamper | undefined
}

/** Changes a node for a test: to switch a rule off, or to make it an adversary. */
export interface Tamper {
  readonly ledger?: (ledger: Ledger, key: NodeKey) => Ledger
  readonly store?: (store: Store) => Store
  /** Puts other bytes in the place of a frame that the node sends on a call it sells. */
  readonly frame?: (type: number, payload: Uint8Array, key: NodeKey) => Uint8Array
  /** What the node does beside its trade, from its start on. */
  readonly act?: (market: Market, clock: Clock) => void
}

/** One run of a node, from its start to its death. */
export interface Process {
  readonly number: number
  readonly clock: Clock
  readonly store: SimulatedStore
  isAlive: boolean
  /** Clients that wait for the rest of an answer. */
  readonly clients: Set<Client>
  ledger: Ledger | undefined
  market: Market | undefined
}

export class SimulatedNode {
  readonly key: NodeKey
  readonly name: string
  disk = new SimulatedDisk()
  /** By how much its wall clock is wrong. */
  skewMs = 0
  process: Process | undefined
  /** Why its last start failed; undefined if it did not. */
  startFailure: TokError | undefined
  readonly #seed: Uint8Array
  readonly #world: World
  readonly #plan: NodePlan
  readonly #random: Randomness
  #processes = 0

  constructor(world: World, plan: NodePlan, random: Randomness) {
    this.#world = world
    this.#plan = plan
    this.#random = random
    this.#seed = random.bytes(32)
    this.key = nodeKeyFromSeed(this.#seed)
    this.name = this.key.peer.slice(-6)
  }

  /** Starts a process on the disk. Resolves when it trades; never if it is killed before. */
  async start(): Promise<void> {
    const { time, auditor } = this.#world
    this.#processes += 1
    const disk = this.disk
    const bootedAtMs = time.nowMs
    const process: Process = {
      number: this.#processes,
      isAlive: true,
      clients: new Set(),
      ledger: undefined,
      market: undefined,
      clock: {
        nowMs: () => Math.round(START_MS + time.nowMs + this.skewMs),
        monotonicMs: () => time.nowMs - bootedAtMs,
        after: (delayMs, callback) =>
          // As setTimeout has it: what waits for the rest of a moment must not wait in vain for ever.
          time.after(Math.max(1, delayMs), () => {
            if (process.isAlive) callback()
          }),
      },
      store: new SimulatedStore(disk, time, this.#random.fork(), {
        onDurable: (writes) => auditor.onDurable(this, writes),
      }),
    }
    this.process = process
    time.trace(`start ${this.name}`)
    auditor.onStart(this)
    try {
      await this.#run(process)
    } catch (thrown) {
      const error = toTokError(thrown)
      time.trace(`failed ${this.name} ${error.message}`)
      // A disk that fails is a fault of this run; its operator starts the node again.
      if (error.code !== 'storage_failed') this.startFailure = error
    }
  }

  async #run(process: Process): Promise<void> {
    const { network } = this.#world
    const { config, offers, clients, tamper } = this.#plan
    const { clock } = process
    const random = this.#random.fork()
    const store = tamper?.store?.(process.store) ?? process.store
    const ledger = await openLedger({ store, key: this.key, clock }, { network: NETWORK, asset: ASSET })
    process.ledger = ledger
    const server = createModelServer(clock, random.fork(), this.#world.answerSecondsMax)
    const bytes = random.fork()
    process.market = await startMarket(
      {
        ledger: tamper?.ledger?.(ledger, this.key) ?? ledger,
        seed: this.#seed,
        clock,
        random: (length) => bytes.bytes(length),
        logger: pino({ level: 'silent' }),
        translation: { seal: createOpaqueSeal(this.#seed), onDropped: () => undefined },
        offersNow: () => offers,
        supplyOf: (model) => (offers.some((offer) => offer.model === model) ? { source: server, model } : undefined),
        createNetwork: async (_, __, handlers) => {
          const onCall = (channel: CallChannel): void => handlers.onCall(this.#tampered(channel))
          return network.join(this.key.peer, clock, () => process.isAlive, { ...handlers, onCall })
        },
      },
      config,
      'tok-node/simulated',
    )
    tamper?.act?.(process.market, clock)
    for (let count = 0; count < clients; count++) this.#ask(process, random.fork())
  }

  #tampered(channel: CallChannel): CallChannel {
    const change = this.#plan.tamper?.frame
    if (change === undefined) return channel
    return {
      peer: channel.peer,
      attach: (handlers) => channel.attach(handlers),
      send: (type, payload) => channel.send(type, change(type, payload, this.key)),
      consumed: (bytes) => channel.consumed(bytes),
      close: () => channel.close(),
    }
  }

  /** What an operator does after a restore: has the accounts with all who may hold more compared. */
  recoverFrom(peers: readonly string[]): void {
    const { market, clock } = this.process ?? {}
    if (market === undefined || clock === undefined) return
    for (const peer of peers) {
      market.settler?.settleSoon(peer)
      market.network.connect(peer, timeoutSignal(clock, RECOVER_MS)).catch(() => undefined) // asked again later
    }
  }

  /** Every client that still waits hangs up. */
  sendClientsHome(): void {
    for (const client of this.process?.clients ?? []) client.leave()
  }

  /** The process dies as it is; the disk keeps what was on it. */
  kill(): void {
    const { process } = this
    if (process === undefined) return
    this.process = undefined
    process.isAlive = false
    process.store.crash()
    this.#world.time.trace(`kill ${this.name}`)
    this.#world.network.kill(this.key.peer)
    this.#world.auditor.onDeath(this)
  }

  /** A client that asks, takes the answer in its own time, and asks again. */
  #ask(process: Process, random: Randomness): void {
    const { time, models } = this.#world
    process.clock.after(random.between(10, 3_000), () => {
      const { market } = process
      if (!this.#world.isBusy || market?.buyer === undefined) return
      const model = random.pick(models as [string, ...string[]])
      const request = requestFor(`${this.name}-${time.steps}`, model, random)
      const client = new Client(process.clock, random, (failure) => {
        process.clients.delete(client)
        time.trace(`answered ${this.name} ${failure?.code ?? 'well'}`)
        this.#world.auditor.onAnswered(failure)
        this.#ask(process, random)
      })
      process.clients.add(client)
      client.exchange = market.buyer.send(request, client)
    })
  }
}

function requestFor(requestId: string, model: string, random: Randomness): ModelRequest {
  const content = 'why '.repeat(random.whole(5, 500))
  const max_tokens = random.isWithin(0.8) ? random.whole(20, 2_000) : undefined
  return {
    requestId,
    endpoint: 'chat',
    dialect: 'openai-chat',
    model,
    requestedModel: model,
    stream: true,
    query: '',
    headers: {},
    body: Buffer.from(JSON.stringify({ model, stream: true, max_tokens, messages: [{ role: 'user', content }] })),
  }
}

/** Of all clients the part that leaves before its answer is whole, and of all pieces the part a client takes time for. */
const LEAVING_PART = 0.05
const SLOW_PART = 0.02

class Client implements AnswerSink {
  exchange: Exchange | undefined
  readonly #clock: Clock
  readonly #random: Randomness
  readonly #onOver: (failure: TokError | undefined) => void

  constructor(clock: Clock, random: Randomness, onOver: (failure: TokError | undefined) => void) {
    this.#clock = clock
    this.#random = random
    this.#onOver = onOver
    if (random.isWithin(LEAVING_PART)) {
      clock.after(random.between(100, 15_000), () => this.leave())
    }
  }

  leave(): void {
    this.exchange?.abort(new TokError('client_left'))
  }

  onHead(): void {
    // Status and headers are nothing to this client.
  }

  onData(): boolean {
    if (!this.#random.isWithin(SLOW_PART)) return true
    this.#clock.after(this.#random.between(50, 4_000), () => this.exchange?.resume())
    return false
  }

  onEnd(): void {
    this.#onOver(undefined)
  }

  onFailure(error: TokError): void {
    this.#onOver(error)
  }
}
