import { expect, test } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import type { TokError } from '../../../src/base/errors.ts'
import { Call, type CallCarrier } from '../../../src/network/call.ts'

test('a handler that throws at the end of its call is reported, and harms no other call', () => {
  const faults: TokError[] = []
  const carrier: CallCarrier = {
    peer: 'peer',
    choked: false,
    enter: () => 1,
    transmit: () => undefined,
    wantsToSend: () => undefined,
    wantsRoom: () => undefined,
    release: () => undefined,
    report: (fault) => faults.push(fault),
  }
  const call = new Call(carrier, systemClock, 1)
  call.attach({
    onFrame: () => undefined,
    onWritable: () => undefined,
    onClosed() {
      throw new Error('a fault of its user')
    },
  })
  call.end(undefined)
  expect(faults.map(({ code, message }) => [code, message])).toEqual([
    ['internal_error', 'an unexpected failure: a fault of its user'],
  ])
})
