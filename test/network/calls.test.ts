import { afterEach, describe, expect, test } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { TokError } from '../../src/base/errors.ts'
import type { CallChannel } from '../../src/network/network.ts'
import { FRAMES, LIMITS } from '../../src/wire/registry.ts'
import { addressOf, createTestHosts, recordCall, type RecordedCall, until, within } from '../support/network.ts'

const hosts = createTestHosts()
afterEach(() => hosts.stop())

const EMPTY = new Uint8Array(0)
const PART_BYTES = 32_768

/** A seller that keeps the calls it is offered, and a buyer that knows its address. */
async function startPair(callsPerStream: number, onCall?: (call: CallChannel) => void) {
  const served: RecordedCall[] = []
  const seller = await hosts.start({ onCall: onCall ?? ((call) => served.push(recordCall(call))) })
  const buyer = await hosts.start({ callsPerStream })
  await buyer.connect(addressOf(seller), within(5_000))
  const open = async (options?: { readonly consume?: boolean }): Promise<RecordedCall> =>
    recordCall(await buyer.openCall(seller.peer, within(5_000)), options)
  return { seller, buyer, served, open }
}

function numbered(value: number, length = 4): Uint8Array {
  const payload = new Uint8Array(length)
  new DataView(payload.buffer).setUint32(0, value)
  return payload
}

function numbersIn(call: RecordedCall, type: number): number[] {
  return call.frames
    .filter((frame) => frame.type === type)
    .map(({ payload }) => new DataView(payload.buffer, payload.byteOffset).getUint32(0))
}

/** Sends `count` PART frames as fast as `send` allows, then END. */
function streamParts(channel: CallChannel, count: number, bytes = PART_BYTES): { sent: number } {
  const progress = { sent: 0 }
  const go = (): void => {
    while (progress.sent < count) {
      progress.sent += 1
      const more = channel.send(FRAMES.part, numbered(progress.sent, bytes))
      if (progress.sent === count) channel.send(FRAMES.end, EMPTY)
      if (!more) return
    }
  }
  channel.attach({ onFrame: () => undefined, onWritable: go, onClosed: () => undefined })
  go()
  return progress
}

describe.each([
  ['on one shared stream', 128],
  ['on a stream each', 1],
])('calls %s', (_, callsPerStream) => {
  test('carry frames both ways, in order, and end on both sides when one closes', async () => {
    const { served, open, buyer, seller } = await startPair(callsPerStream)
    const call = await open()
    call.channel.send(FRAMES.order, utf8('order'))
    call.channel.send(FRAMES.body, utf8('body'))
    await until(() => served[0]?.frames.length === 2)
    const sale = served[0]!
    expect(sale.channel.peer).toBe(buyer.peer)
    expect(call.channel.peer).toBe(seller.peer)
    expect(sale.frames.map(({ type }) => type)).toEqual([FRAMES.order, FRAMES.body])
    sale.channel.send(FRAMES.acceptance, utf8('yes'))
    sale.channel.send(FRAMES.part, utf8('part'))
    sale.channel.send(FRAMES.receipt, utf8('receipt'))
    sale.channel.close()
    await until(() => call.closed !== undefined)
    expect(call.frames.map(({ type }) => type)).toEqual([FRAMES.acceptance, FRAMES.part, FRAMES.receipt])
    expect(call.closed).toEqual({ error: undefined })
    expect(sale.closed).toBeUndefined()
  })

  test('a hundred at once keep their order and their credit', async () => {
    const parts = 60 // 1.9 MB each: about twice the credit, so each has to be granted more
    const { open } = await startPair(callsPerStream, (channel) => streamParts(channel, parts))
    const calls = await Promise.all(Array.from({ length: 100 }, () => open()))
    for (const call of calls) call.channel.send(FRAMES.order, utf8('order'))
    await until(() => calls.every(({ frames }) => frames.at(-1)?.type === FRAMES.end), 30_000)
    const expected = Array.from({ length: parts }, (__, index) => index + 1)
    for (const call of calls) expect(numbersIn(call, FRAMES.part)).toEqual(expected)
  })

  test('a reader that does not consume holds back its own writer and nobody else', async () => {
    const sales: { sent: number }[] = []
    const parts = 200
    const { open } = await startPair(callsPerStream, (channel) => sales.push(streamParts(channel, parts)))
    const slow = await open({ consume: false })
    slow.channel.send(FRAMES.order, utf8('slow'))
    await until(() => slow.frames.length === LIMITS.callCreditBytes / PART_BYTES)
    const quick = await open()
    quick.channel.send(FRAMES.order, utf8('quick'))
    await until(() => quick.frames.at(-1)?.type === FRAMES.end)

    expect(slow.frames).toHaveLength(LIMITS.callCreditBytes / PART_BYTES)
    expect(sales[0]!.sent).toBeLessThanOrEqual(LIMITS.callCreditBytes / PART_BYTES + 1)

    slow.channel.consumed(LIMITS.callCreditBytes / 4)
    await until(() => slow.frames.length === (1.25 * LIMITS.callCreditBytes) / PART_BYTES)
    for (let read = slow.frames.length; read < parts; read = slow.frames.length) {
      slow.channel.consumed(LIMITS.callCreditBytes / 4)
      await until(() => slow.frames.length > read)
    }
    await until(() => slow.frames.at(-1)?.type === FRAMES.end)
    expect(numbersIn(slow, FRAMES.part)).toEqual(Array.from({ length: parts }, (__, index) => index + 1))
  })

  test('a control frame never overtakes the parts before it, and ABORT does', async () => {
    const { served, open } = await startPair(callsPerStream)
    const call = await open({ consume: false })
    call.channel.send(FRAMES.order, utf8('order'))
    await until(() => served.length === 1)
    const sale = served[0]!.channel
    for (let sent = 0; sent < LIMITS.callCreditBytes / PART_BYTES; sent += 1)
      sale.send(FRAMES.part, new Uint8Array(PART_BYTES))
    expect(sale.send(FRAMES.part, utf8('no credit for this one'))).toBe(false)
    sale.send(FRAMES.receipt, utf8('after it'))
    await until(() => call.frames.length === LIMITS.callCreditBytes / PART_BYTES)
    sale.send(FRAMES.abort, EMPTY)
    await until(() => call.frames.at(-1)?.type === FRAMES.abort)
    expect(call.frames.some(({ type }) => type === FRAMES.receipt)).toBe(false)
  })

  test('what came before a handler was attached is delivered then', async () => {
    const channels: CallChannel[] = []
    const { open } = await startPair(callsPerStream, (channel) => channels.push(channel))
    const call = await open()
    call.channel.send(FRAMES.order, utf8('order'))
    call.channel.send(FRAMES.voucher, utf8('voucher'))
    call.channel.close()
    await until(() => channels.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const sale = recordCall(channels[0]!)
    expect(sale.frames.map(({ type }) => type)).toEqual([FRAMES.order, FRAMES.voucher])
    expect(sale.closed).toEqual({ error: undefined })
  })

  test('more control frames than may wait for a handler end the stream', async () => {
    const channels: CallChannel[] = []
    const { open } = await startPair(callsPerStream, (channel) => channels.push(channel))
    const call = await open()
    call.channel.send(FRAMES.order, utf8('order'))
    for (let sent = 0; sent < LIMITS.callControlFrames; sent += 1) call.channel.send(FRAMES.voucher, EMPTY)
    await until(() => call.closed !== undefined)
    expect(call.closed!.error).toMatchObject({ code: 'stream_incomplete' })
    const sale = recordCall(channels[0]!)
    expect(sale.closed!.error).toMatchObject({ code: 'limit_exceeded' })
  })

  test('a host that stops ends its calls on both sides within a second', async () => {
    const { served, open, seller } = await startPair(callsPerStream)
    const calls = await Promise.all([open(), open(), open()])
    for (const call of calls) call.channel.send(FRAMES.order, utf8('order'))
    await until(() => served.length === 3)
    const stopped = seller.stop()
    await until(() => [...calls, ...served].every(({ closed }) => closed !== undefined), 1_000)
    for (const { closed } of served) expect(closed!.error).toMatchObject({ code: 'node_stopping' })
    for (const { closed } of calls) expect(closed!.error).toMatchObject({ code: 'stream_incomplete' })
    await stopped
  })

  test('a fault in one handler ends that call and no other', async () => {
    const fault = new Error('a fault in the handler')
    const sales: RecordedCall[] = []
    const ended: (Error | undefined)[] = []
    const { open } = await startPair(callsPerStream, (channel) => {
      if (sales.length === 1) {
        channel.attach({
          onFrame() {
            throw fault
          },
          onWritable: () => undefined,
          onClosed: (error) => ended.push(error),
        })
      }
      sales.push(recordCallOnce(channel, sales.length))
    })
    const sound = await open()
    sound.channel.send(FRAMES.order, utf8('sound'))
    await until(() => sales.length === 1)
    const faulty = await open()
    faulty.channel.send(FRAMES.order, utf8('faulty'))
    await until(() => faulty.closed !== undefined)
    expect(ended[0]).toBeInstanceOf(TokError)
    expect((ended[0] as TokError).cause).toBe(fault)
    sound.channel.send(FRAMES.body, utf8('still here'))
    await until(() => sales[0]!.frames.length === 2)
    expect(sound.closed).toBeUndefined()
  })

  test('three hundred, one after the other, fit in a connection of 128 streams', async () => {
    const { open, seller, buyer } = await startPair(callsPerStream, (channel) => {
      channel.attach({
        onFrame() {
          channel.send(FRAMES.receipt, EMPTY)
          channel.close()
        },
        onWritable: () => undefined,
        onClosed: () => undefined,
      })
    })
    for (let made = 0; made < 300; made += 1) {
      const call = await open()
      call.channel.send(FRAMES.order, utf8('order'))
      await until(() => call.closed !== undefined)
      expect(call.frames.map(({ type }) => type)).toEqual([FRAMES.receipt])
    }
    expect(buyer.isConnected(seller.peer)).toBe(true)
  })
})

function recordCallOnce(channel: CallChannel, index: number): RecordedCall {
  return index === 0 ? recordCall(channel) : { channel, frames: [], closed: undefined, writable: 0 }
}

describe('opening a call', () => {
  test('to a peer that nobody knows fails as unreachable', async () => {
    const buyer = await hosts.start()
    const stranger = await hosts.start()
    await stranger.stop()
    await expect(buyer.openCall(stranger.peer, within(10_000))).rejects.toMatchObject({ code: 'seller_unreachable' })
  })

  test('is given up with the reason of its signal', async () => {
    const { buyer, seller } = await startPair(128)
    const reason = new TokError('client_left')
    await expect(buyer.openCall(seller.peer, AbortSignal.abort(reason))).rejects.toBe(reason)
  })

  test('to something that is no peer ID fails as unreachable', async () => {
    const buyer = await hosts.start()
    await expect(buyer.openCall('nobody', within(5_000))).rejects.toMatchObject({ code: 'seller_unreachable' })
  })
})
