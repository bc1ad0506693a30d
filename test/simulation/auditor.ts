/**
 * The auditor: keeps the true totals of a simulation from what it sees on the wire and on the disks, and checks the invariants of
 * protocols/account/v1.md after every step. It shares no code with the ledger it watches: it decodes signed bytes by itself and
 * knows the store by its numbers.
 */
import { decode } from '@ipld/dag-cbor'
import type { TokError } from '../../src/base/errors.ts'
import type { Write } from '../../src/ledger/store.ts'
import { EVENT_TOKENS_MAX, TOKEN_TEXT } from './model-server.ts'
import type { NetworkObserver, ObservedFrame, SimulatedStream } from './simulated-network.ts'
import {
  accountIdOf,
  countIn,
  envelope,
  fieldsOf,
  fromHex,
  hex,
  isSigned,
  micros,
  priceOf,
  promiseIn,
  sha256,
  type Bytes,
  type Fields,
  type Promised,
} from './signed-bytes.ts'
import type { SimulatedDisk } from './simulated-store.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What went wrong, by the invariant's or rule's number. */
export interface Violation {
  readonly rule: string
  readonly what: string
  readonly atMs: number
  readonly step: number
}

/** A node as the auditor sees it. */
export interface AuditedNode {
  readonly name: string
  readonly key: { readonly peer: string; readonly publicKey: Uint8Array }
  readonly disk: SimulatedDisk
  readonly process: { readonly number: number } | undefined
}

/** What an audited run came to. Amounts in micros. */
export interface AuditFigures {
  orders: number
  accepted: number
  vouchers: number
  receipts: number
  statements: number
  rejections: number
  settledCalls: number
  settledMicros: bigint
  /** Calls that settled below the buyer's newest voucher, because the seller never saw it in time. */
  settledBelowNewestVoucher: number
  /** The most output tokens that a seller delivered and was never promised, over all calls, and the window of that call. */
  lostTokensMax: number
  /** By how much that passes the window at the most: less than one event of the provider. */
  lostBeyondWindowMax: number
  /** Calls that run, from the order on disk to the end on both: the most, and a sum over the seconds with clients. */
  callsAtOnceMax: number
  callSeconds: number
  answeredWell: number
  failures: Record<string, number>
}

type Side = 'buyer' | 'seller'

interface Call {
  readonly id: string
  readonly account: Account
  readonly amountMax: bigint
  readonly windowTokens: number
  readonly prices: Readonly<Record<string, bigint>>
  /** Every voucher the buyer signed, by id. */
  readonly vouchers: Map<string, Promised>
  newest: Promised | undefined
  /** The newest voucher on the seller's disk. */
  recorded: Promised | undefined
  readonly receipts: Map<string, bigint>
  /** Amount of the receipt on the seller's disk. */
  receipted: bigint | undefined
  /** Tokens that the seller has sent by its own running count, and that came to the buyer as text. */
  sentTokens: number
  gotTokens: number
  /** The last bytes that came: a token may be cut. */
  textEnd: string
  settledTokens: number | undefined
  settledAmount: bigint | undefined
  /** True for a call from before one of its sides was restored: what that side knew of it is gone. */
  isForgotten: boolean
  readonly marks: Record<Side, 'live' | 'sealed' | 'disputed' | undefined>
  /** From when on a side has nothing more to wait for. */
  readonly overAtMs: Record<Side, number>
}

interface Head {
  readonly sequence: number
  readonly id: string
}

interface KnownStatement {
  readonly id: string
  readonly owed: bigint
  readonly paid: bigint
  readonly billed: bigint
  /** Orders of the calls it settles. */
  readonly orders: readonly string[]
}

interface Account {
  readonly id: string
  readonly buyer: AuditedNode
  readonly seller: AuditedNode
  readonly statements: Map<number, KnownStatement>
  readonly heads: Record<Side, Head>
  /** Bodies the seller signed, by sequence; the last is the one that counts. */
  readonly proposals: Map<number, string>
  readonly countersigned: Set<string>
  readonly rejected: Map<string, string>
  readonly open: Record<Side, Set<Call>>
  readonly pending: Record<Side, boolean>
}

/** First bytes of the store's keys. */
const SPACE = {
  order: 0x02,
  voucher: 0x03,
  receipt: 0x04,
  acceptance: 0x05,
  proposal: 0x06,
  statement: 0x07,
  head: 0x08,
  settled: 0x09,
  openCall: 0x0a,
  rejection: 0x0c,
} as const

const FRAME = {
  order: 0x01,
  voucher: 0x03,
  acceptance: 0x11,
  part: 0x14,
  receipt: 0x16,
  proposal: 0x23,
  countersignature: 0x24,
  rejection: 0x25,
  done: 0x27,
} as const

const MARKS = ['live', 'disputed', 'sealed'] as const
const NO_HEAD: Head = { sequence: 0, id: '' }
/** How long a side may take to record the end of a call that it knows to be over, and one whose order never left. */
const HOLD_LEAK_MS = 20_000
const UNSENT_ORDER_MS = 30_000

export class Auditor implements NetworkObserver {
  readonly figures: AuditFigures = {
    orders: 0,
    accepted: 0,
    vouchers: 0,
    receipts: 0,
    statements: 0,
    rejections: 0,
    settledCalls: 0,
    settledMicros: 0n,
    settledBelowNewestVoucher: 0,
    lostTokensMax: 0,
    lostBeyondWindowMax: 0,
    callsAtOnceMax: 0,
    callSeconds: 0,
    answeredWell: 0,
    failures: {},
  }
  /** The first thing that was wrong. */
  violation: Violation | undefined
  readonly #time: VirtualTime
  readonly #nodes = new Map<string, AuditedNode>()
  readonly #calls = new Map<string, Call>()
  readonly #accounts = new Map<string, Account>()
  readonly #accountOfPair = new Map<string, Account>()
  readonly #callOfStream = new Map<number, Call>()
  /** Pairs that were reconciled since the first of them started: `process|other`. */
  readonly #reconciled = new Set<string>()
  readonly #live = new Set<Call>()
  /** Accounts of which a side was restored and has not caught up yet. */
  readonly #rolledBack = new Set<Account>()
  /** Adversaries: what they do to themselves is their own affair. */
  readonly #lawless: ReadonlySet<string>

  constructor(time: VirtualTime, lawless: ReadonlySet<string> = new Set()) {
    this.#time = time
    this.#lawless = lawless
  }

  watch(node: AuditedNode): void {
    this.#nodes.set(node.key.peer, node)
    this.#nodes.set(hex(node.key.publicKey), node)
  }

  onStart(node: AuditedNode): void {
    for (const account of this.#accounts.values()) {
      for (const side of sidesOf(account, node)) {
        for (const call of account.open[side]) call.overAtMs[side] = this.#time.nowMs
      }
    }
  }

  onDeath(node: AuditedNode): void {
    for (const call of this.#live) {
      for (const side of sidesOf(call.account, node)) call.overAtMs[side] = Infinity
    }
  }

  /** A client was told an ending. */
  onAnswered(failure: TokError | undefined): void {
    if (failure === undefined) this.figures.answeredWell += 1
    else this.figures.failures[failure.code] = (this.figures.failures[failure.code] ?? 0) + 1
    if (failure?.code === 'internal_error') this.#fail('R1', `a client is told of ${failure.message}`)
  }

  /** The disk of `node` is an older copy from now on: what it held since then is forgotten there. */
  onRestore(node: AuditedNode): void {
    for (const account of this.#accounts.values()) {
      for (const side of sidesOf(account, node)) this.#readAnew(account, side)
    }
  }

  // What comes to a disk.

  onDurable(node: AuditedNode, writes: readonly Write[]): void {
    this.#judge(node, () => this.#onDurable(node, writes))
  }

  #onDurable(node: AuditedNode, writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      switch (key[0]) {
        case SPACE.order:
          if (value !== undefined) this.#noteOrder(envelope(value).body)
          break
        case SPACE.voucher:
          if (value !== undefined) this.#noteVoucher(node, envelope(value).body)
          break
        case SPACE.receipt:
          if (value !== undefined) this.#noteReceipt(node, envelope(value).body)
          break
        case SPACE.openCall:
          this.#noteMark(node, key, value)
          break
        case SPACE.proposal: {
          const account = this.#accounts.get(hex(key.subarray(1, 33)))
          if (account === undefined) break
          account.pending[sideOf(account, node)] = value !== undefined
          if (value !== undefined) this.#checkProposal(node, fieldsOf((decode<Fields>(value) as { body: Bytes }).body))
          break
        }
        case SPACE.statement:
          if (value !== undefined) this.#noteStatement(node, key, value, writes)
          break
      }
    }
    for (const { key, value } of writes)
      if (key[0] === SPACE.head && value !== undefined) this.#noteHead(node, key, value)
  }

  #noteOrder(body: Bytes): Call {
    const id = hex(sha256(body))
    const known = this.#calls.get(id)
    if (known !== undefined) return known
    const order = fieldsOf(body)
    const account = this.#accountOf(order)
    const prices = Object.fromEntries(
      Object.entries(order['prices'] as Fields).map(([name, price]) => [name, micros(price)]),
    )
    const call: Call = {
      id,
      account,
      amountMax: micros(order['amountMax']),
      windowTokens: Number(order['windowTokens']),
      prices,
      vouchers: new Map(),
      newest: undefined,
      recorded: undefined,
      receipts: new Map(),
      receipted: undefined,
      sentTokens: 0,
      gotTokens: 0,
      textEnd: '',
      settledTokens: undefined,
      settledAmount: undefined,
      isForgotten: false,
      marks: { buyer: undefined, seller: undefined },
      overAtMs: { buyer: this.#time.nowMs + UNSENT_ORDER_MS, seller: Infinity },
    }
    this.#calls.set(id, call)
    this.figures.orders += 1
    return call
  }

  #noteVoucher(node: AuditedNode, body: Bytes): void {
    const voucher = fieldsOf(body)
    const call = this.#calls.get(hex(voucher['order'] as Bytes))
    if (call === undefined) return this.#fail('R7', `${node.name} keeps a voucher of no order`)
    const promised = promiseIn(voucher)
    if (promised.amount !== priceOf(voucher['usage'] as Fields, call.prices))
      this.#fail('I3', 'a voucher is priced wrong')
    if (promised.amount > call.amountMax) this.#fail('I3', 'a voucher is above its order')
    if (!call.vouchers.has(hex(sha256(body)))) this.figures.vouchers += 1
    call.vouchers.set(hex(sha256(body)), promised)
    if (call.newest === undefined || promised.index > call.newest.index) {
      if (call.newest !== undefined && promised.amount < call.newest.amount) this.#fail('I4', 'a voucher falls')
      call.newest = promised
    }
    if (node === call.account.seller && (call.recorded?.index ?? 0) < promised.index) call.recorded = promised
  }

  #noteReceipt(node: AuditedNode, body: Bytes): void {
    const receipt = fieldsOf(body)
    const call = this.#calls.get(hex(receipt['order'] as Bytes))
    if (call === undefined) return this.#fail('R7', 'a receipt of no order')
    const amount = micros(receipt['amount'])
    const id = hex(sha256(body))
    if (!call.receipts.has(id)) this.figures.receipts += 1
    call.receipts.set(id, amount)
    if (node === call.account.seller) call.receipted = amount
  }

  #noteMark(node: AuditedNode, key: Bytes, value: Bytes | undefined): void {
    const call = this.#calls.get(hex(key.subarray(33)))
    if (call === undefined) return
    const side = sideOf(call.account, node)
    const before = call.marks[side]
    const mark = value === undefined ? undefined : MARKS[value[0] ?? 0]
    if (mark === 'live' && before !== undefined) this.#fail('R5', `a call lives again at its ${side}`)
    call.marks[side] = mark
    if (mark === undefined) call.account.open[side].delete(call)
    else call.account.open[side].add(call)
    if (call.marks.buyer === 'live' || call.marks.seller === 'live') this.#live.add(call)
    else this.#live.delete(call)
    if (mark === 'live' && side === 'seller') {
      this.figures.accepted += 1
      this.figures.callsAtOnceMax = Math.max(this.figures.callsAtOnceMax, this.#live.size)
    }
  }

  /** The seller asks for all that it can prove at that moment. */
  #checkProposal(node: AuditedNode, statement: Fields): void {
    if (this.#lawless.has(node.key.peer)) return
    for (const { kind, order, amount } of statement['items'] as readonly Fields[]) {
      const call = kind === 'call' ? this.#calls.get(hex(order as Bytes)) : undefined
      if (call === undefined || claimIn(call) === micros(amount)) continue
      this.#fail('I8', `${node.name} proposes ${String(amount)} micros for a call, it can prove ${claimIn(call)}`)
    }
  }

  #noteStatement(node: AuditedNode, key: Bytes, value: Bytes, batch: readonly Write[]): void {
    const { body, sellerSignature, buyerSignature } = decode<Record<string, Bytes>>(value) as Readonly<
      Record<'body' | 'sellerSignature' | 'buyerSignature', Bytes>
    >
    const statement = fieldsOf(body)
    const account = this.#accountOf(statement)
    const id = hex(sha256(body))
    const sequence = Number(statement['sequence'])
    const items = statement['items'] as readonly Fields[]
    this.#checkBatch(node, hex(key.subarray(1, 33)), sequence, items, batch)
    const known = account.statements.get(sequence)
    if (known !== undefined) {
      if (known.id !== id) this.#fail('I6', `two statements stand at ${sequence}`)
      return
    }
    for (const [signature, signer] of [
      [sellerSignature, account.seller],
      [buyerSignature, account.buyer],
    ] as const) {
      if (!isSigned(signer.key.publicKey, 'tok/statement/1', body, signature)) this.#fail('R7', 'a signature fails')
    }
    const before = account.statements.get(sequence - 1) ?? { id: '', owed: 0n, paid: 0n }
    const orders = items.flatMap(({ kind, order }) => (kind === 'call' ? [hex(order as Bytes)] : []))
    if (sequence > 1 && before.id === '') this.#fail('I6', `statement ${sequence} follows none`)
    const previous = statement['previous'] as Bytes | undefined
    if ((previous === undefined ? '' : hex(previous)) !== before.id) this.#fail('I6', 'a chain is broken')
    const billed = items.reduce((sum, item) => sum + this.#settle(account, item), 0n)
    const owed = micros(statement['owed'])
    const paid = micros(statement['paid'])
    if (owed !== before.owed + billed) this.#fail('I4', `owed is ${owed}, the items make ${before.owed + billed}`)
    if (paid < before.paid) this.#fail('I4', 'paid falls')
    account.statements.set(sequence, { id, owed, paid, billed, orders })
    this.figures.statements += 1
    this.figures.settledMicros += billed
  }

  /** I3 and I5: what an item bills, if it is a call that was ordered, promised, and not settled before. */
  #settle(account: Account, item: Fields): bigint {
    if (item['kind'] !== 'call') return 0n
    const call = this.#calls.get(hex(item['order'] as Bytes))
    const amount = micros(item['amount'])
    if (call === undefined || call.account !== account) {
      this.#fail('R7', 'a statement settles what nobody ordered')
      return amount
    }
    if (call.settledAmount !== undefined) this.#fail('I5', 'a call is settled twice')
    const voucher = call.vouchers.get(hex(item['voucher'] as Bytes))
    const receiptId = item['receipt'] as Bytes | undefined
    const receipt = receiptId === undefined ? undefined : call.receipts.get(hex(receiptId))
    if (voucher === undefined) this.#fail('R7', 'a statement rests on a voucher that the buyer never signed')
    if (receiptId !== undefined && receipt === undefined) this.#fail('R7', 'a statement rests on no receipt')
    const promised = voucher?.amount ?? 0n
    const due = receipt !== undefined && receipt < promised ? receipt : promised
    if (amount !== due) this.#fail('I3', `an item bills ${amount}, voucher and receipt make ${due}`)
    const usage = item['usage'] as Fields
    if (priceOf(usage, call.prices) !== amount) this.#fail('I3', 'an item is priced wrong')
    const tokens = Number(usage['outputTokens'])
    // Where the receipt is the cheaper one, its own counts stand for it.
    if (amount !== receipt && tokens > call.gotTokens)
      this.#fail('I3', `an item bills ${tokens} tokens, ${call.gotTokens} came`)
    const newest = call.newest?.amount ?? 0n
    if (amount < (receipt !== undefined && receipt < newest ? receipt : newest)) {
      this.figures.settledBelowNewestVoucher += 1
    }
    call.settledAmount = amount
    call.settledTokens = tokens
    this.figures.settledCalls += 1
    return amount
  }

  /** R4: a statement, the head, and what its items were change in one write. */
  #checkBatch(
    node: AuditedNode,
    accountId: string,
    sequence: number,
    items: readonly Fields[],
    batch: readonly Write[],
  ): void {
    const isThere = (space: number, end: string, isKept: boolean): boolean =>
      batch.some(({ key, value }) => key[0] === space && hex(key).endsWith(end) && (value !== undefined) === isKept)
    const isWhole =
      isThere(SPACE.head, accountId, true) &&
      items.every(({ kind, order }) => {
        if (kind !== 'call') return true
        return isThere(SPACE.settled, hex(order as Bytes), true) && isThere(SPACE.openCall, hex(order as Bytes), false)
      })
    if (!isWhole) this.#fail('R4', `${node.name} keeps statement ${sequence} apart from what it changes`)
  }

  #noteHead(node: AuditedNode, key: Bytes, value: Bytes): void {
    const account = this.#accounts.get(hex(key.subarray(1, 33)))
    if (account === undefined) return
    const side = sideOf(account, node)
    const { sequence, head } = decode<Fields>(value) as { sequence: number; head: Bytes }
    if (sequence < account.heads[side].sequence) this.#fail('I4', `${node.name} falls back to statement ${sequence}`)
    account.heads[side] = { sequence, id: hex(head) }
    const ahead = account.heads.buyer.sequence - account.heads.seller.sequence
    if (!this.#rolledBack.has(account) && ahead !== 0 && ahead !== 1) this.#fail('I6', `the buyer is ahead by ${ahead}`)
    if (ahead === 0) this.#rolledBack.delete(account)
  }

  #readAnew(account: Account, side: Side): void {
    const { disk } = account[side]
    const id = Buffer.from(account.id, 'hex').toString('latin1')
    const stored = disk.get(String.fromCharCode(SPACE.head) + id)
    const head = stored === undefined ? undefined : (decode<Fields>(stored) as { sequence: number; head: Bytes })
    account.heads[side] = head === undefined ? NO_HEAD : { sequence: head.sequence, id: hex(head.head) }
    account.pending[side] = disk.get(String.fromCharCode(SPACE.proposal) + id) !== undefined
    this.#rolledBack.add(account)
    this.#forgetLost(account)
    // A proposal that was forgotten and never countersigned binds nobody.
    if (side === 'seller') account.proposals.clear()
    account.open[side].clear()
    for (const call of this.#calls.values()) {
      if (call.account !== account) continue
      call.isForgotten = true
      const mark = disk.get(
        `${String.fromCharCode(SPACE.openCall)}${id}${Buffer.from(call.id, 'hex').toString('latin1')}`,
      )
      call.marks[side] = mark === undefined ? undefined : MARKS[mark[0] ?? 0]
      if (mark !== undefined) account.open[side].add(call)
      if (side === 'seller') {
        const voucher = this.#kept(account.seller, SPACE.voucher, fromHex(call.id))
        call.recorded = voucher === undefined ? undefined : promiseIn(fieldsOf(voucher))
        const receipt = this.#kept(account.seller, SPACE.receipt, fromHex(call.id))
        call.receipted = receipt === undefined ? undefined : micros(fieldsOf(receipt)['amount'])
      }
    }
  }

  /** Statements that neither side holds any more, because both were restored, have never been. */
  #forgetLost(account: Account): void {
    const newest = Math.max(account.heads.buyer.sequence, account.heads.seller.sequence)
    for (const [sequence, { orders, billed }] of account.statements) {
      if (sequence <= newest) continue
      account.statements.delete(sequence)
      this.figures.statements -= 1
      this.figures.settledMicros -= billed
      for (const order of orders) {
        const call = this.#calls.get(order)
        if (call === undefined) continue
        call.settledAmount = undefined
        call.settledTokens = undefined
        this.figures.settledCalls -= 1
      }
    }
  }

  // What goes over the wire.

  onSent({ stream, from, to, type, payload }: ObservedFrame): void {
    const node = this.#nodes.get(from)
    const other = this.#nodes.get(to)
    if (node === undefined || other === undefined) return
    this.#judge(node, () => {
      if (stream.kind === 'call') this.#onCallFrame(stream, node, other, type, payload)
      else this.#onAccountFrame(stream, node, type, payload)
    })
  }

  onDelivered({ stream, from, to, type, payload }: ObservedFrame): void {
    if (stream.kind === 'call' && type === FRAME.part) {
      const call = this.#callOfStream.get(stream.id)
      if (call === undefined) return
      const pieces = (call.textEnd + Buffer.from(payload.subarray(4)).toString('latin1')).split(TOKEN_TEXT)
      call.gotTokens += pieces.length - 1
      call.textEnd = (pieces.at(-1) ?? '').slice(1 - TOKEN_TEXT.length)
    } else if (stream.kind === 'account' && type === FRAME.done) {
      const receiver = this.#nodes.get(to)
      if (receiver?.process !== undefined) this.#reconciled.add(`${to}#${receiver.process.number}|${from}`)
    }
  }

  onEnded(stream: SimulatedStream, peer: string): void {
    const call = this.#callOfStream.get(stream.id)
    const node = this.#nodes.get(peer)
    if (call === undefined || node === undefined) return
    call.overAtMs[stream.opener === peer ? 'buyer' : 'seller'] = this.#time.nowMs
  }

  #onCallFrame(stream: SimulatedStream, node: AuditedNode, other: AuditedNode, type: number, payload: Bytes): void {
    if (type === FRAME.order) {
      const { order } = decode<Fields>(payload) as { order: { body: Bytes } }
      const id = sha256(order.body)
      this.#requireDurable(node, SPACE.order, id, order.body)
      this.#requireReconciled(node, other)
      const call = this.#noteOrder(order.body)
      call.overAtMs.buyer = Infinity
      this.#callOfStream.set(stream.id, call)
      return
    }
    const call = this.#callOfStream.get(stream.id)
    if (call === undefined) return
    switch (type) {
      case FRAME.acceptance: {
        const { body } = envelope(payload)
        this.#requireDurable(node, SPACE.acceptance, fromHex(call.id), body)
        this.#requireReconciled(node, other)
        this.#checkExposure(call, micros(fieldsOf(body)['creditLimit']))
        break
      }
      case FRAME.voucher: {
        const { body } = envelope(payload)
        const { index, tokens } = promiseIn(fieldsOf(body))
        const kept = this.#kept(node, SPACE.voucher, fromHex(call.id))
        if (kept === undefined || promiseIn(fieldsOf(kept)).index < index)
          this.#fail('I10', 'a voucher left before it was kept')
        if (tokens > call.gotTokens) this.#fail('I3', `a voucher counts ${tokens} tokens, ${call.gotTokens} came`)
        if (call.marks.buyer !== 'live') this.#fail('R5', 'a voucher for a call that is sealed')
        break
      }
      case FRAME.part: {
        // I2: a part leaves only while what went before it is within the window of what is on this disk.
        const kept = this.#kept(node, SPACE.voucher, fromHex(call.id))
        const vouched = kept === undefined ? 0 : promiseIn(fieldsOf(kept)).tokens
        if (call.sentTokens >= vouched + call.windowTokens) {
          this.#fail(
            'I2',
            `${call.sentTokens} tokens are out and ${vouched} vouched for, the window is ${call.windowTokens}`,
          )
        }
        call.sentTokens = countIn(payload)
        break
      }
      case FRAME.receipt:
        this.#requireDurable(node, SPACE.receipt, fromHex(call.id), envelope(payload).body)
        break
    }
  }

  #onAccountFrame(stream: SimulatedStream, node: AuditedNode, type: number, payload: Bytes): void {
    if (type === FRAME.proposal) {
      const { body } = decode<Fields>(payload) as { body: Bytes }
      const statement = fieldsOf(body)
      const account = this.#accountOf(statement)
      const id = hex(sha256(body))
      const sequence = Number(statement['sequence'])
      const stored = node.disk.get(keyText(SPACE.proposal, fromHex(account.id)))
      const kept = stored === undefined ? undefined : (decode<Fields>(stored) as { body: Bytes }).body
      if (kept === undefined || hex(sha256(kept)) !== id) this.#fail('I10', 'a proposal left before it was kept')
      const before = account.proposals.get(sequence)
      const ground = statement['rejection'] as Bytes | undefined
      const isGrounded = ground !== undefined && account.rejected.get(before ?? '') === hex(ground)
      if (before !== undefined && before !== id && !isGrounded) this.#fail('I1', `two proposals at ${sequence}`)
      account.proposals.set(sequence, id)
      this.#requireReconciled(node, account.buyer)
    } else if (type === FRAME.countersignature) {
      const { statement } = decode<Fields>(payload) as { statement: Bytes }
      const account = this.#accountBetween(stream.opener, stream.target)
      const id = hex(statement)
      const isKept = [...(account?.statements.values() ?? [])].some((each) => each.id === id)
      if (account === undefined || !isKept) return this.#fail('I10', 'a countersignature left before it was kept')
      const atHead = account.statements.get(account.heads.buyer.sequence)
      if (atHead === undefined) this.#fail('I10', 'a countersignature without a head')
      if (account.rejected.has(id)) this.#fail('I1', 'a rejected statement is countersigned')
      account.countersigned.add(id)
      this.#requireReconciled(node, account.seller)
    } else if (type === FRAME.rejection) {
      const { body } = envelope(payload)
      const rejection = fieldsOf(body)
      const account = this.#accountBetween(stream.opener, stream.target)
      const refused = hex(rejection['statement'] as Bytes)
      if (account?.countersigned.has(refused) === true) this.#fail('I1', 'a countersigned statement is rejected')
      account?.rejected.set(refused, hex(sha256(body)))
      this.figures.rejections += 1
      if (account !== undefined && !this.#lawless.has(account.seller.key.peer)) {
        this.#fail('I8', `an honest statement is rejected: ${String(rejection['reason'])}`)
      }
    }
  }

  /** I10 and R1: what leaves is on the disk, byte for byte. */
  #requireDurable(node: AuditedNode, space: number, id: Bytes, body: Bytes): void {
    const kept = this.#kept(node, space, id)
    if (kept === undefined || hex(kept) !== hex(body))
      this.#fail('I10', `0x${space.toString(16)} left before it was kept`)
  }

  #kept(node: AuditedNode, space: number, id: Bytes): Bytes | undefined {
    const stored = node.disk.get(keyText(space, id))
    return stored === undefined ? undefined : envelope(stored).body
  }

  #requireReconciled(node: AuditedNode, other: AuditedNode): void {
    const number = node.process?.number ?? 0
    if (this.#reconciled.has(`${node.key.peer}#${number}|${other.key.peer}`)) return
    this.#fail('R9', `${node.name} signs for ${other.name} before they compared the account`)
  }

  /** I7: what may come to be owed is within the line when another call is let in. */
  #checkExposure(call: Call, creditLimit: bigint): void {
    const { statements, heads, open } = call.account
    const head = statements.get(heads.seller.sequence)
    let exposure = head === undefined ? 0n : head.owed - head.paid
    for (const each of open.seller) {
      exposure += each.marks.seller === 'live' ? each.amountMax : claimIn(each)
    }
    // The call that is let in is on the disk by now.
    if (exposure > creditLimit) this.#fail('I7', `${exposure} micros may come to be owed, the line is ${creditLimit}`)
  }

  // From time to time.

  /** I9: no hold outlives its call. */
  tick(): void {
    this.figures.callSeconds += this.#live.size
    for (const call of this.#live) {
      for (const side of ['buyer', 'seller'] as const) {
        const isLeaking = call.marks[side] === 'live' && this.#time.nowMs - call.overAtMs[side] > HOLD_LEAK_MS
        if (isLeaking && !this.#lawless.has(call.account[side].key.peer)) {
          this.#fail('I9', `${call.account[side].name} holds on to a call that is over`)
        }
      }
    }
  }

  /** Why the two sides of some honest account do not agree with nothing open; undefined when all do (I8). */
  disagreement(): string | undefined {
    for (const { buyer, seller, heads, pending, open } of this.#accounts.values()) {
      if (this.#lawless.has(buyer.key.peer) || this.#lawless.has(seller.key.peer)) continue
      const pair = `${buyer.name} and ${seller.name}`
      if (heads.buyer.id !== heads.seller.id) {
        return `${pair} stand at ${heads.buyer.sequence} and ${heads.seller.sequence}`
      }
      if (pending.buyer || pending.seller) return `${pair} have a proposal without an answer`
      for (const side of ['buyer', 'seller'] as const) {
        const [call] = open[side]
        if (call !== undefined) return `${pair} have open call ${call.id.slice(0, 8)}: ${describe(call)}`
      }
    }
    return undefined
  }

  /** What both sides hold in the end, call by call. */
  finish(): void {
    for (const call of this.#calls.values()) {
      const { newest, recorded, sentTokens, windowTokens, settledTokens = 0, settledAmount, account } = call
      if (this.#lawless.has(account.seller.key.peer)) continue
      if (call.isForgotten) continue
      const lost = sentTokens - Math.max(settledTokens, recorded?.tokens ?? 0)
      this.figures.lostTokensMax = Math.max(this.figures.lostTokensMax, lost)
      this.figures.lostBeyondWindowMax = Math.max(this.figures.lostBeyondWindowMax, lost - windowTokens)
      if (lost > windowTokens + EVENT_TOKENS_MAX)
        this.#fail('I2', `${lost} tokens are lost, the window is ${windowTokens}`)
      if (this.#lawless.has(account.buyer.key.peer)) continue
      if (settledAmount === undefined && claimIn(call) > 0n) this.#fail('I8', `${claimIn(call)} micros are not settled`)
      if ((settledAmount ?? 0n) > (newest?.amount ?? 0n)) this.#fail('I3', 'more was settled than promised')
    }
  }

  /** The accounts as they truly are, to compare with what each node says. */
  truth(): readonly { buyer: string; seller: string; statements: number; owed: bigint }[] {
    return [...this.#accounts.values()].map(({ buyer, seller, statements }) => ({
      buyer: buyer.key.peer,
      seller: seller.key.peer,
      statements: statements.size,
      owed: statements.get(statements.size)?.owed ?? 0n,
    }))
  }

  #accountOf(fields: Fields): Account {
    const { buyer, seller } = fields
    const id = accountIdOf(fields)
    const known = this.#accounts.get(id)
    if (known !== undefined) return known
    const buyerNode = this.#nodes.get(hex(buyer as Bytes))
    const sellerNode = this.#nodes.get(hex(seller as Bytes))
    if (buyerNode === undefined || sellerNode === undefined) throw new Error('an account of nobody in this simulation')
    const account: Account = {
      id,
      buyer: buyerNode,
      seller: sellerNode,
      statements: new Map(),
      heads: { buyer: NO_HEAD, seller: NO_HEAD },
      proposals: new Map(),
      countersigned: new Set(),
      rejected: new Map(),
      open: { buyer: new Set(), seller: new Set() },
      pending: { buyer: false, seller: false },
    }
    this.#accounts.set(id, account)
    this.#accountOfPair.set(`${buyerNode.key.peer}|${sellerNode.key.peer}`, account)
    return account
  }

  #accountBetween(buyer: string, seller: string): Account | undefined {
    return this.#accountOfPair.get(`${buyer}|${seller}`)
  }

  /** A fault of the auditor itself must not pass for one of those it watches, nor be lost in them. */
  #judge(actor: AuditedNode, check: () => void): void {
    const before = this.violation
    try {
      check()
    } catch (thrown) {
      this.#fail('auditor', thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown))
    }
    if (this.#lawless.has(actor.key.peer)) this.violation = before
  }

  #fail(rule: string, what: string): void {
    this.violation ??= { rule, what, atMs: this.#time.nowMs, step: this.#time.steps }
  }
}

/** For people. */
function describe({ marks, newest, recorded, receipted, settledAmount }: Call): string {
  return `${marks.buyer} at the buyer with ${newest?.amount ?? 0n} promised, ${marks.seller} at the seller with ${recorded?.amount ?? 0n}, receipt ${receipted ?? 'none'}, settled at ${settledAmount ?? 'nothing'}`
}

/** What the seller can prove it is owed for a call that is over. */
function claimIn({ recorded, receipted }: Call): bigint {
  const promised = recorded?.amount ?? 0n
  return receipted !== undefined && receipted < promised ? receipted : promised
}

function sideOf(account: Account, node: AuditedNode): Side {
  return account.buyer === node ? 'buyer' : 'seller'
}

function sidesOf(account: Account, node: AuditedNode): readonly Side[] {
  return [
    ...(account.buyer === node ? (['buyer'] as const) : []),
    ...(account.seller === node ? (['seller'] as const) : []),
  ]
}

function keyText(space: number, id: Bytes): string {
  return String.fromCharCode(space) + Buffer.from(id).toString('latin1')
}
