/**
 * `tok-node demo`: a real market on this machine. Four nodes in their own processes (a meeting point, two sellers, a buyer) trade
 * over libp2p on loopback; one seller is killed in the middle of an answer; at the end every ledger is exported, verified with
 * tweetnacl and compared with the other side's.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { formatAmount } from '../base/amount.ts'
import { toHex } from '../base/bytes.ts'
import { reasonOf, TokError } from '../base/errors.ts'
import type { Dialect } from '../dialects/dialect.ts'
import type { ExplainView, JsonObject, OfferView } from '../gateway/admin-api.ts'
import { verifyExportFile } from '../ledger/verify-export.ts'
import { connectAdmin } from './admin-client.ts'
import { askDemo, type DemoAnswer } from './demo-client.ts'
import { startDemoNode, type DemoNode } from './demo-node.ts'
import { reportFailure } from './failure.ts'
import { paint, print, printJson, usd } from './output.ts'

/** The built-in model, at a length and speed that can be watched. */
const MODEL = 'loopback?tokens=120&rate=80'
const QUESTION = 'Two machines that never met agree on a price, and one answers the other.'

/** USD per Mtok, input/output. */
const SELLERS = [
  { name: 'seller A', prices: '0.10/0.40' },
  { name: 'seller B', prices: '0.15/0.60' },
] as const

/** A window small enough that a short answer takes several vouchers. */
const SELLER_SETTINGS = { TOKLIGENCE_WINDOW_TOKENS: '64' }

const MARKET_READY_MS = 20_000
const SETTLED_MS = 20_000

/** One bought answer, as `--json` gives it. */
interface DemoCall {
  readonly dialect: Dialect
  readonly model: string
  /** Peer ID. */
  readonly seller: string
  readonly inputTokens: number
  readonly outputTokens: number
  /** A number here, for whoever reads the document with any tool: the sums of a demo are small. */
  readonly amountMicros: number
  /** CID of the receipt. */
  readonly receipt: string
}

/** One side's view of one account after its export was verified. */
interface DemoLedger {
  readonly peerId: string
  readonly counterparty: string
  readonly statements: number
  readonly owedMicros: string
  readonly verified: true
  readonly headHash: string
}

/** Runs the demo and gives the exit code. */
export async function runDemo({ keep, json }: { readonly keep: boolean; readonly json: boolean }): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'tok-node-demo-'))
  const nodes: DemoNode[] = []
  const interrupted = new AbortController()
  const interrupt = (): void => interrupted.abort(new Error('interrupted'))
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  const say = json ? () => undefined : print
  try {
    const show = new DemoMarket(directory, nodes, interrupted.signal, say)
    const result = await show.run()
    if (json) printJson(result)
    if (keep) await keepMarket(nodes, interrupted.signal, say)
    return result.agree ? 0 : 1
  } catch (thrown) {
    if (interrupted.signal.aborted) return 130
    return reportFailure(thrown, json)
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    await Promise.all(nodes.map((node) => node.stop()))
    await rm(directory, { recursive: true, force: true })
  }
}

type Say = (...lines: readonly string[]) => void

class DemoMarket {
  readonly #directory: string
  readonly #nodes: DemoNode[]
  readonly #signal: AbortSignal
  readonly #say: Say
  readonly #calls: DemoCall[] = []
  /** Names of peers, for people. */
  readonly #names = new Map<string, string>()

  constructor(directory: string, nodes: DemoNode[], signal: AbortSignal, say: Say) {
    this.#directory = directory
    this.#nodes = nodes
    this.#signal = signal
    this.#say = say
  }

  async run(): Promise<{ ok: boolean; calls: readonly DemoCall[]; ledgers: readonly DemoLedger[]; agree: boolean }> {
    this.#headline('A market on this machine')
    const meeting = await this.#start('meeting point', ['--role', 'seller'])
    const bootstrap = ['--bootstrap', meeting.multiaddr]
    const [first, second] = await Promise.all(
      SELLERS.map(({ name, prices }) =>
        this.#start(name, ['--role', 'seller', '--sell', `${MODEL}=${prices}`, ...bootstrap], SELLER_SETTINGS),
      ),
    )
    const buyer = await this.#start('buyer', ['--role', 'buyer', '--max-spend', '0.05', ...bootstrap], {
      TOKLIGENCE_ROUTES: 'loopback*=>network',
    })
    if (first === undefined || second === undefined) throw new TokError('internal_error', { reason: 'no sellers' })
    await this.#offersOf(buyer, [first, second])

    this.#headline('Two calls in two dialects, both streamed')
    await this.#buy(buyer, 'openai-chat')
    await this.#buy(buyer, 'anthropic-messages')

    this.#headline(`${this.#nameOf(first.peerId)} is killed in the middle of an answer`)
    await this.#buyFromDying(buyer, first)

    this.#headline(`${this.#nameOf(second.peerId)} takes over`)
    await this.#buy(buyer, 'openai-responses')
    await this.#buy(buyer, 'openai-chat')

    this.#headline(`${this.#nameOf(first.peerId)} comes back with its ledger`)
    await first.restart()
    this.#say(`  started again on the same data directory; the account is compared before anything is signed`)
    await this.#settled(buyer, [first, second])

    this.#headline('Every ledger, exported and verified with tweetnacl')
    const ledgers = (await Promise.all([buyer, first, second].map((node) => this.#verify(node)))).flat()
    const agree = this.#compare(ledgers)
    const total = this.#calls.reduce((sum, call) => sum + BigInt(call.amountMicros), 0n)
    this.#say(
      '',
      agree
        ? `${paint('green', '✓')} ${this.#calls.length} answers bought for ${formatAmount(total)} USD; both sides of every account hold the same signed statements.`
        : `${paint('red', '✗')} the two sides of an account differ.`,
    )
    return { ok: agree, calls: this.#calls, ledgers, agree }
  }

  #headline(text: string): void {
    this.#say('', paint('bold', text))
  }

  #nameOf(peerId: string): string {
    return this.#names.get(peerId) ?? peerId
  }

  async #start(name: string, flags: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<DemoNode> {
    this.#signal.throwIfAborted()
    const dataDirectory = join(this.#directory, name.replaceAll(' ', '-'))
    const node = await startDemoNode(name, dataDirectory, flags, env, this.#signal)
    this.#nodes.push(node)
    this.#names.set(node.peerId, name)
    this.#say(`  ${paint('cyan', name.padEnd(13))} process ${node.pid}, peer …${node.peerId.slice(-8)}`)
    return node
  }

  /** Waits until the buyer has heard of every seller. */
  async #offersOf(buyer: DemoNode, sellers: readonly DemoNode[]): Promise<void> {
    const admin = await connectAdmin(buyer.dataDirectory)
    const offers = await this.#until(MARKET_READY_MS, 'the offers did not reach the buyer', async () => {
      const known = await admin.ask<readonly OfferView[]>('offers')
      const isComplete = sellers.every(({ peerId }) => known.some(({ seller }) => seller === peerId))
      return isComplete ? known : undefined
    })
    for (const { seller, inputMicrosPerMtok, outputMicrosPerMtok } of offers) {
      const prices = `${usd(inputMicrosPerMtok)} in, ${usd(outputMicrosPerMtok)} out per Mtok`
      this.#say(`  ${paint('cyan', 'offer'.padEnd(13))} ${this.#nameOf(seller)}: ${MODEL} at ${prices}`)
    }
  }

  /** Buys one streamed answer and tells how it went. */
  async #buy(buyer: DemoNode, dialect: Dialect): Promise<void> {
    await this.#tellChoice(buyer, dialect)
    const answer = await this.#ask(buyer, dialect)
    if (answer.failure !== undefined)
      throw new TokError('stream_incomplete', { peer: 'the seller', reason: answer.failure })
    const { receipt, vouchers, ...paper } = await this.#paperOf(buyer, answer)
    if (receipt === undefined) throw new TokError('receipt_missing', { peer: paper.seller })
    this.#calls.push({ dialect, model: MODEL, ...paper, receipt })
    this.#say(
      `  ${paint('green', 'receipt'.padEnd(13))} ${paper.inputTokens} + ${paper.outputTokens} tokens = ${formatAmount(BigInt(paper.amountMicros))} USD` +
        ` to ${this.#nameOf(paper.seller)} after ${vouchers} voucher${vouchers === 1 ? '' : 's'}  ${paint('dim', `${receipt.slice(0, 20)}…`)}`,
    )
  }

  /** Buys from the cheapest seller and kills it while it answers. */
  async #buyFromDying(buyer: DemoNode, seller: DemoNode): Promise<void> {
    await this.#tellChoice(buyer, 'openai-chat')
    let killed: Promise<void> | undefined
    const answer = await this.#ask(buyer, 'openai-chat', (tokens) => {
      if (tokens >= 40) killed ??= seller.kill()
    })
    await killed
    if (killed === undefined || answer.failure === undefined) {
      throw new TokError('internal_error', { reason: 'the seller finished before it was killed' })
    }
    this.#say(
      `  ${paint('yellow', 'the client')}    was told in its own dialect: ${paint('dim', answer.failure.slice(0, 90))}`,
    )
    const paper = await this.#paperOf(buyer, answer)
    this.#say(
      `  ${paint('yellow', 'the account')}   stands at the last voucher: ${formatAmount(BigInt(paper.amountMicros))} USD; the rest of the hold is free`,
    )
  }

  async #tellChoice(buyer: DemoNode, dialect: Dialect): Promise<void> {
    const admin = await connectAdmin(buyer.dataDirectory)
    const endpoint = dialect === 'openai-chat' ? 'chat' : dialect === 'openai-responses' ? 'responses' : 'messages'
    const view = await admin.ask<ExplainView>(`explain?model=${encodeURIComponent(MODEL)}&endpoint=${endpoint}`)
    const [best, ...others] = view.targets
    if (best === undefined) return
    this.#say(
      `  ${paint('cyan', dialect.padEnd(18))} → ${paint('bold', this.#nameOf(best.name))}  ${paint('dim', best.reason)}`,
    )
    for (const other of others)
      this.#say(`  ${' '.repeat(18)}   ${this.#nameOf(other.name)}  ${paint('dim', other.reason)}`)
    for (const other of view.refused) {
      if (this.#names.has(other.name)) {
        this.#say(`  ${' '.repeat(18)}   ${this.#nameOf(other.name)}  ${paint('dim', `passed over: ${other.reason}`)}`)
      }
    }
  }

  async #ask(buyer: DemoNode, dialect: Dialect, onTokens?: (tokens: number) => void): Promise<DemoAnswer> {
    const isLive = this.#say === print && process.stdout.isTTY
    const answer = await askDemo(buyer.facade, dialect, MODEL, QUESTION, this.#signal, (tokens) => {
      if (isLive)
        process.stdout.write(
          `\r  ${paint('green', 'streaming'.padEnd(13))} ${'▪'.repeat(Math.floor(tokens / 5))} ${tokens} tokens`,
        )
      onTokens?.(tokens)
    })
    if (isLive) process.stdout.write('\r\u001b[2K')
    this.#say(
      `  ${paint('green', 'streamed'.padEnd(13))} ${answer.tokens} tokens counted, first after ${answer.firstByteMs} ms, whole in ${answer.totalMs} ms`,
    )
    return answer
  }

  /** What the buyer's ledger holds of a request. */
  async #paperOf(
    buyer: DemoNode,
    { requestId }: DemoAnswer,
  ): Promise<Omit<DemoCall, 'dialect' | 'model' | 'receipt'> & { receipt: string | undefined; vouchers: number }> {
    const admin = await connectAdmin(buyer.dataDirectory)
    const record = await this.#until(MARKET_READY_MS, 'the purchase is not in the ledger', () =>
      admin.ask<JsonObject>(`ledger/show/${encodeURIComponent(requestId)}`).catch(() => undefined),
    )
    const journal = record.journal as JsonObject
    const voucher = record.voucher as JsonObject | undefined
    const receipt = record.receipt as JsonObject | undefined
    return {
      seller: String(journal.target),
      inputTokens: Number(journal.inputTokens ?? 0),
      outputTokens: Number(journal.outputTokens ?? 0),
      amountMicros: Number(journal.amount ?? 0),
      receipt: receipt === undefined ? undefined : String(receipt.id),
      vouchers: Number(voucher?.index ?? 0),
    }
  }

  /** Waits until no call of the buyer is unsettled on either side. */
  async #settled(buyer: DemoNode, sellers: readonly DemoNode[]): Promise<void> {
    await this.#until(SETTLED_MS, 'the accounts did not settle', async () => {
      const [mine, ...theirs] = await Promise.all([buyer, ...sellers].map((node) => this.#accounts(node)))
      const heads = new Set(theirs.flat().map(({ headHash }) => headHash))
      const isSame =
        mine !== undefined && mine.length === sellers.length && mine.every(({ headHash }) => heads.has(headHash))
      const isOpen = [mine ?? [], ...theirs].flat().some(({ unsettledMicros }) => unsettledMicros !== '0')
      return isSame && !isOpen ? true : undefined
    })
  }

  async #accounts(node: DemoNode): Promise<readonly { headHash?: string; unsettledMicros: string }[]> {
    const admin = await connectAdmin(node.dataDirectory)
    return admin.ask('ledger/accounts')
  }

  /** Exports a node's ledger to a file and verifies the file alone. */
  async #verify(node: DemoNode): Promise<readonly DemoLedger[]> {
    const file = join(this.#directory, `${node.name.replaceAll(' ', '-')}.ndjson`)
    const admin = await connectAdmin(node.dataDirectory)
    await pipeline(await admin.read('ledger/export'), createWriteStream(file))
    const verified = await verifyExportFile(file, 'tweetnacl')
    this.#say(
      `  ${paint('green', '✓')} ${node.name.padEnd(9)} ${verified.lines} lines, ${verified.statements} statements, ${verified.signatures} signatures verified`,
    )
    return verified.accounts.map(({ buyer, seller, statements, owed, head }) => ({
      peerId: node.peerId,
      counterparty: buyer === node.peerId ? seller : buyer,
      statements,
      owedMicros: owed.toString(),
      verified: true,
      headHash: toHex(head),
    }))
  }

  /** Both sides of each account must end with the same statement. */
  #compare(ledgers: readonly DemoLedger[]): boolean {
    let agree = ledgers.length > 0
    for (const one of ledgers) {
      const other = ledgers.find(
        ({ peerId, counterparty }) => peerId === one.counterparty && counterparty === one.peerId,
      )
      const isSame = other?.headHash === one.headHash && other.owedMicros === one.owedMicros
      agree &&= isSame
      if (one.peerId < one.counterparty || other === undefined) {
        const mark = isSame ? paint('green', '=') : paint('red', '≠')
        this.#say(
          `    ${this.#nameOf(one.peerId)} ${mark} ${this.#nameOf(one.counterparty)}: ${formatAmount(BigInt(one.owedMicros))} USD in ${one.statements} statements  ${paint('dim', one.headHash.slice(0, 16))}`,
        )
      }
    }
    return agree
  }

  async #until<T>(timeoutMs: number, failure: string, probe: () => Promise<T | undefined>): Promise<T> {
    const deadlineMs = performance.now() + timeoutMs
    for (;;) {
      this.#signal.throwIfAborted()
      const found = await probe().catch((thrown: unknown) => {
        if (performance.now() > deadlineMs)
          throw new TokError('internal_error', { reason: `${failure}: ${reasonOf(thrown)}` })
        return undefined
      })
      if (found !== undefined) return found
      if (performance.now() > deadlineMs) throw new TokError('internal_error', { reason: failure })
      await sleep(50)
    }
  }
}

/** Leaves the nodes running until Ctrl-C, and says how to use them. */
async function keepMarket(nodes: readonly DemoNode[], signal: AbortSignal, say: Say): Promise<void> {
  const buyer = nodes.find(({ name }) => name === 'buyer')
  if (buyer === undefined) return
  say(
    '',
    paint('bold', 'The market goes on; Ctrl-C ends it'),
    `  base URL, OpenAI      ${buyer.facade}/v1`,
    `  base URL, Anthropic   ${buyer.facade}`,
    `  model                 ${MODEL}`,
    `  look at it            tok-node offers --data-dir ${buyer.dataDirectory}`,
  )
  await new Promise<void>((resolve) => {
    const tick = setInterval(() => undefined, 60_000)
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(tick)
        resolve()
      },
      { once: true },
    )
  })
}
