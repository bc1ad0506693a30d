/**
 * A whole market in one process and in virtual time: real ledgers, buyers and sellers on a simulated network and simulated disks,
 * with faults drawn from a seed, and an auditor that checks after every step. The same seed gives the same run, event by event.
 */
import { tmpdir } from 'node:os'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { exportLedger } from '../../src/ledger/export.ts'
import { splitLines } from '../../src/ledger/export-lines.ts'
import { verifyExport } from '../../src/ledger/verify-export.ts'
import type { Offer } from '../../src/wire/advert.ts'
import { collect, signatureChecker } from '../support/ledger-pair.ts'
import { Auditor, type AuditFigures, type Violation } from './auditor.ts'
import { Randomness } from './randomness.ts'
import { NETWORK, SimulatedNode, type Tamper, type World } from './simulated-node.ts'
import { SimulatedNetwork } from './simulated-network.ts'
import type { WriteStage } from './simulated-store.ts'
import { START_MS, VirtualTime } from './virtual-time.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly nodes: number
  /** Virtual minutes with faults; what follows is the time to converge. */
  readonly minutes: number
  /** Questions that clients have open at once, over all nodes. */
  readonly calls: number
  /** The longest answer, about. */
  readonly answerSecondsMax: number
  /** Virtual seconds between two deaths of a process; 0: none dies. */
  readonly killEveryS: number
  readonly lossPart: number
  /** Times the network splits in two. */
  readonly partitions: number
  /** Wall clocks that are set wrong for a while, disks that fail, disks that are replaced by an older copy. */
  readonly clockJumps: number
  readonly diskFailures: number
  readonly restores: number
  /** Of a market of two: the first only buys, the second only sells. */
  readonly isPair: boolean
  /** What a seller lends a stranger, in micros; drawn for each if it is not given. */
  readonly lineMicros?: bigint
  /** Likewise the window of its offers. */
  readonly windowTokens?: number
  /** How the node of an index differs, for tests. */
  readonly tamperOf?: (index: number) => Tamper | undefined
  /** Nodes that do not keep the rules: only what they do to others is audited. */
  readonly lawless?: readonly number[]
  /** Called each virtual minute. */
  readonly onMinute?: (figures: AuditFigures, minute: number) => void
}

export const QUIET: SimulationOptions = {
  seed: 1,
  nodes: 2,
  minutes: 1,
  calls: 4,
  answerSecondsMax: 10,
  killEveryS: 0,
  lossPart: 0,
  partitions: 0,
  clockJumps: 0,
  diskFailures: 0,
  restores: 0,
  isPair: true,
}

/** What a run came to. */
export interface SimulationReport {
  readonly seed: number
  /** Equal for equal runs. */
  readonly digest: string
  readonly steps: number
  readonly figures: AuditFigures
  readonly faults: FaultCounts
  readonly pairs: number
  /** From the last fault until every pair agreed with nothing open. */
  readonly convergedAfterMs: number
  readonly exportsVerified: number
}

interface FaultCounts {
  deaths: number
  partitions: number
  clockJumps: number
  diskFailures: number
  restores: number
}

/** A run in which something was wrong; says what, and how to see it again. */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure'
  readonly seed: number
  readonly violation: Violation
  readonly lastLines: readonly string[]

  constructor(seed: number, violation: Violation, lastLines: readonly string[]) {
    super(
      `${violation.rule}: ${violation.what} (seed ${seed}, step ${violation.step}, ${(violation.atMs / 1_000).toFixed(3)} s)`,
    )
    this.seed = seed
    this.violation = violation
    this.lastLines = lastLines
  }
}

const MINUTE_MS = 60_000
/** Clients stop asking so long before the last fault, and hang up at it if they still wait then. */
const LAST_QUESTIONS_MS = 30_000
/** In which all pairs have to agree after the last fault. */
export const CONVERGE_MS = 30_000
/** After the last fault the operators of restored nodes take so long. */
const RECOVERED_AFTER_MS = 5_000
const MODELS_PER_SELLER = 3
const WRITE_STAGES: readonly [WriteStage, WriteStage, WriteStage] = ['issued', 'durable', 'answered']

/**
 * Runs one simulation.
 * @throws SimulationFailure at the first breach of an invariant
 */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const run = new Run(options, await configOf())
  return run.run()
}

class Run {
  readonly #options: SimulationOptions
  readonly #time = new VirtualTime()
  readonly #random: Randomness
  readonly #faultRandom: Randomness
  readonly #auditor: Auditor
  readonly #world: World
  readonly #nodes: readonly SimulatedNode[]
  readonly #counts: FaultCounts = { deaths: 0, partitions: 0, clockJumps: 0, diskFailures: 0, restores: 0 }
  readonly #backups = new Map<SimulatedNode, SimulatedNode['disk']>()
  readonly #restored = new Set<SimulatedNode>()
  /** Nodes whose disk fails now. */
  readonly #failing = new Set<SimulatedNode>()
  #hasFaults = true

  constructor(options: SimulationOptions, config: Config) {
    this.#options = options
    this.#random = new Randomness(options.seed)
    this.#faultRandom = this.#random.fork()
    const lawless = new Set<string>()
    this.#auditor = new Auditor(this.#time, lawless)
    const network = new SimulatedNetwork(this.#time, this.#random.fork(), options, this.#auditor)
    const models = Array.from({ length: Math.max(1, Math.round(options.nodes / 5)) }, (_, index) => `model-${index}`)
    this.#world = {
      time: this.#time,
      network,
      auditor: this.#auditor,
      models,
      answerSecondsMax: options.answerSecondsMax,
      isBusy: true,
    }
    this.#nodes = Array.from({ length: options.nodes }, (_, index) => this.#createNode(index, config))
    for (const [index, node] of this.#nodes.entries()) {
      this.#auditor.watch(node)
      if (this.#isLawless(index)) lawless.add(node.key.peer)
    }
  }

  async run(): Promise<SimulationReport> {
    const { minutes } = this.#options
    const endMs = minutes * MINUTE_MS
    for (const node of this.#nodes) this.#time.after(this.#random.between(0, 2_000), () => void node.start())
    this.#planFaults(endMs)
    this.#everySecond()
    this.#time.after(Math.max(0, endMs - LAST_QUESTIONS_MS), () => {
      this.#world.isBusy = false
    })
    for (let minute = 1; minute <= minutes; minute++) {
      await this.#advanceTo(minute * MINUTE_MS)
      this.#options.onMinute?.(this.#auditor.figures, minute)
    }
    await this.#advanceTo(endMs)
    this.#endFaults()
    const convergedAfterMs = await this.#converge(endMs)
    this.#auditor.finish()
    this.#check()
    const exportsVerified = await this.#verifyExports()
    return {
      seed: this.#options.seed,
      digest: this.#time.digest(),
      steps: this.#time.steps,
      figures: this.#auditor.figures,
      faults: this.#counts,
      pairs: this.#auditor.truth().length,
      convergedAfterMs,
      exportsVerified,
    }
  }

  #createNode(index: number, config: Config): SimulatedNode {
    const { nodes, calls, isPair, tamperOf, lineMicros, windowTokens } = this.#options
    const random = this.#random.fork()
    const { models } = this.#world
    const buyers = isPair ? 1 : nodes
    const isBuyer = !isPair || index === 0
    const isSeller = !isPair || index === 1
    const drawnMicros = random.pick([3_000n, 100_000n, 10_000_000n])
    const drawnTokens = random.pick([64, 256])
    const selling = {
      ...config.selling,
      slots: random.whole(8, 24),
      strangerCreditMicros: lineMicros ?? drawnMicros,
      strangerBudgetMicros: 1_000_000_000n,
      windowTokens: windowTokens ?? drawnTokens,
    }
    const offers = new Map<string, Offer>()
    for (let count = isSeller ? 0 : MODELS_PER_SELLER; count < MODELS_PER_SELLER; count++) {
      const model = models[(index + count * 7) % models.length] as string
      offers.set(model, offerOf(model, random, selling.windowTokens))
    }
    return new SimulatedNode(
      this.#world,
      {
        config: { ...config, role: isPair ? (isBuyer ? 'buyer' : 'seller') : 'both', selling },
        offers: [...offers.values()],
        clients: isBuyer ? Math.floor(calls / buyers) + (index < calls % buyers ? 1 : 0) : 0,
        tamper: tamperOf?.(index),
      },
      random.fork(),
    )
  }

  #isLawless(index: number): boolean {
    return this.#options.lawless?.includes(index) === true
  }

  #everySecond(): void {
    this.#auditor.tick()
    this.#time.after(1_000, () => this.#everySecond())
  }

  async #advanceTo(untilMs: number): Promise<void> {
    await this.#time.advanceTo(untilMs, () => this.#check())
  }

  #check(): void {
    for (const { startFailure, name } of this.#nodes) {
      if (startFailure !== undefined) this.#fail('R1', `${name} does not start: ${startFailure.message}`)
    }
    const { violation } = this.#auditor
    if (violation !== undefined) throw new SimulationFailure(this.#options.seed, violation, this.#time.lastLines())
  }

  #fail(rule: string, what: string): never {
    const violation = { rule, what, atMs: this.#time.nowMs, step: this.#time.steps }
    throw new SimulationFailure(this.#options.seed, violation, this.#time.lastLines())
  }

  // Faults.

  #planFaults(endMs: number): void {
    const { killEveryS, partitions, clockJumps, diskFailures, restores } = this.#options
    const random = this.#faultRandom
    const sometime = (count: number, fault: () => void): void => {
      for (let left = count; left > 0; left--) this.#time.after(random.between(5_000, endMs - 1_000), fault)
    }
    const killInTurn = (): void => {
      if (this.#time.nowMs > endMs - 500) return
      this.#killSoon(random.pick(this.#nodes as [SimulatedNode, ...SimulatedNode[]]), random)
      this.#time.after(killEveryS * 1_000, killInTurn)
    }
    if (killEveryS > 0) this.#time.after(5_000, killInTurn)
    sometime(partitions, () => this.#partition(random, endMs))
    sometime(clockJumps, () => this.#jump(random))
    sometime(diskFailures, () => this.#breakDisk(random))
    sometime(restores, () => this.#restore(random))
    if (restores > 0) this.#time.after(3_000, () => this.#backUp(random))
  }

  /** Kills now, or at a stage of the node's next write. */
  #killSoon(node: SimulatedNode, random: Randomness): void {
    const { process } = node
    if (process === undefined) return
    const die = (): void => {
      if (node.process === process && this.#hasFaults) this.#kill(node, random)
    }
    if (random.isWithin(0.4)) die()
    else process.store.onNextWrite(random.pick(WRITE_STAGES), die)
  }

  #kill(node: SimulatedNode, random: Randomness): void {
    node.kill()
    this.#failing.delete(node)
    this.#counts.deaths += 1
    this.#time.after(random.between(100, 8_000), () => {
      if (node.process === undefined) void node.start()
    })
  }

  #partition(random: Randomness, endMs: number): void {
    if (!this.#hasFaults) return
    this.#counts.partitions += 1
    this.#time.trace('partition')
    this.#world.network.partition(new Map(this.#nodes.map(({ key }) => [key.peer, random.whole(0, 1)])))
    const healAtMs = Math.min(this.#time.nowMs + random.between(1_000, 40_000), endMs)
    this.#time.after(healAtMs - this.#time.nowMs, () => {
      this.#time.trace('healed')
      this.#world.network.partition(new Map())
    })
  }

  #jump(random: Randomness): void {
    const node = random.pick(this.#nodes as [SimulatedNode, ...SimulatedNode[]])
    this.#counts.clockJumps += 1
    node.skewMs = random.pick([-86_400_000, -600_000, -1_000, 1_000, 600_000, 86_400_000])
    this.#time.trace(`clock ${node.name} ${node.skewMs}`)
    this.#time.after(random.between(1_000, 60_000), () => {
      node.skewMs = 0
    })
  }

  /** Writes fail; the node sells and buys nothing any more, and its operator starts it again on a good disk. */
  #breakDisk(random: Randomness): void {
    const node = random.pick(this.#nodes as [SimulatedNode, ...SimulatedNode[]])
    const { process } = node
    if (process === undefined) return
    this.#counts.diskFailures += 1
    process.store.failWrites(random.pick(['ENOSPC', 'EIO']))
    this.#failing.add(node)
    this.#time.trace(`disk fails ${node.name}`)
    this.#time.after(random.between(500, 5_000), () => {
      if (node.process === process && this.#hasFaults) this.#kill(node, random)
    })
  }

  #backUp(random: Randomness): void {
    if (!this.#hasFaults) return
    const node = random.pick(this.#nodes as [SimulatedNode, ...SimulatedNode[]])
    if (node.process !== undefined) this.#backups.set(node, node.disk.copy())
    this.#time.after(random.between(1_000, 5_000), () => this.#backUp(random))
  }

  #restore(random: Randomness): void {
    const [node, backup] = [...this.#backups][random.whole(0, this.#backups.size - 1)] ?? []
    if (node === undefined || backup === undefined || !this.#hasFaults) return
    this.#counts.restores += 1
    if (node.process !== undefined) this.#kill(node, random)
    node.disk = backup.copy()
    this.#time.trace(`restored ${node.name}`)
    this.#auditor.onRestore(node)
    this.#restored.add(node)
    this.#time.after(random.between(10_000, 20_000), () => this.#recover(node))
  }

  /** The operator of a node that was restored has its accounts compared with everyone it ever traded with. */
  #recover(node: SimulatedNode): void {
    const { peer } = node.key
    const pairs = this.#auditor.truth().filter(({ buyer, seller }) => buyer === peer || seller === peer)
    node.recoverFrom(pairs.map(({ buyer, seller }) => (buyer === peer ? seller : buyer)))
  }

  #endFaults(): void {
    this.#hasFaults = false
    this.#world.network.partition(new Map())
    for (const node of this.#nodes) {
      node.skewMs = 0
      if (this.#failing.has(node)) node.kill()
      node.sendClientsHome()
      if (node.process === undefined) void node.start()
    }
    this.#time.after(RECOVERED_AFTER_MS, () => {
      for (const node of this.#restored) this.#recover(node)
    })
  }

  // The end.

  /** I8: all pairs agree, and nothing is open, within CONVERGE_MS of the last fault. */
  async #converge(endMs: number): Promise<number> {
    for (let atMs = endMs; atMs < endMs + CONVERGE_MS; atMs += 500) {
      const isQuiet = this.#nodes.every(({ process }) => process?.market !== undefined && process.clients.size === 0)
      if (isQuiet && this.#auditor.disagreement() === undefined) return atMs - endMs
      await this.#advanceTo(atMs + 500)
    }
    const reason = this.#auditor.disagreement() ?? 'a question has no answer'
    return this.#fail('I8', `${CONVERGE_MS / 1_000} s after the last fault ${reason}`)
  }

  /** I12, and that every node says what is true. */
  async #verifyExports(): Promise<number> {
    const truth = this.#auditor.truth()
    let count = 0
    for (const [index, node] of this.#nodes.entries()) {
      const ledger = node.process?.ledger
      if (ledger === undefined) this.#fail('I12', `${node.name} does not run in the end`)
      if (this.#isLawless(index)) continue
      const exported = collect(exportLedger(ledger, START_MS + this.#time.nowMs))
      await this.#advanceTo(this.#time.nowMs + 2_000)
      const verified = await verifyExport(splitLines(chunksOf(await exported)), signatureChecker).catch(
        (thrown: unknown) => this.#fail('I12', `the export of ${node.name}: ${String(thrown)}`),
      )
      if (verified.unsettled > 0 && this.#options.lawless === undefined)
        this.#fail('I8', `${node.name} exports ${verified.unsettled} unsettled calls`)
      for (const { buyer, seller, statements, owed } of truth) {
        if (statements === 0 || (buyer !== node.key.peer && seller !== node.key.peer)) continue
        const account = verified.accounts.find((each) => each.buyer === buyer && each.seller === seller)
        if (account?.owed !== owed || account.statements !== statements) {
          this.#fail(
            'I6',
            `${node.name} exports ${account?.owed} micros owed by ${buyer} to ${seller}, true is ${owed}`,
          )
        }
      }
      for (const { held, unsettled, peer } of ledger.accountViews()) {
        const isAgainstLaw = this.#nodes.some(({ key }, at) => key.peer === peer && this.#isLawless(at))
        if (held > 0n || (unsettled > 0n && !isAgainstLaw))
          this.#fail('I9', `${node.name} still holds ${held + unsettled} micros with ${peer}`)
      }
      count += 1
    }
    return count
  }
}

async function* chunksOf(lines: readonly string[]): AsyncIterable<string> {
  yield* lines
}

function offerOf(model: string, random: Randomness, windowTokens: number): Offer {
  const input = BigInt(random.whole(1, 9)) * 100_000n
  return {
    model,
    dialects: ['openai-chat'],
    prices: {
      input,
      cachedInput: input,
      cacheWrite: input,
      output: BigInt(random.whole(2, 9)) * 333_333n,
    },
    contextTokens: undefined,
    windowTokens,
    hiddenOutputTokensMax: 0,
  }
}

async function configOf(): Promise<Config> {
  const { config } = await loadConfig({
    env: { HOME: tmpdir() },
    flags: { role: 'both', network: NETWORK, log_level: 'silent', max_spend: '1000000' },
    cwd: tmpdir(),
  })
  return config
}
