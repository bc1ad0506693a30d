import pino from 'pino'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { keepJoined } from '../../../src/network/bootstrap.ts'

test('joining goes on after known peers could not be read', async () => {
  const stop = new AbortController()
  const dialled: string[] = []
  let reads = 0
  await keepJoined(
    {
      clock: { ...systemClock, after: (_, callback) => systemClock.after(0, callback) },
      random: (length) => new Uint8Array(length),
      logger: pino({ enabled: false }),
      connectedPeers: () => 0,
      bootstrapTargets: () => ['/ip4/192.0.2.1/tcp/4001'],
      async knownTargets() {
        reads += 1
        if (reads === 1) throw new Error('the store cannot be read')
        return []
      },
      async dial(target) {
        dialled.push(target)
        stop.abort()
      },
    },
    stop.signal,
  )
  expect(dialled).toEqual(['/ip4/192.0.2.1/tcp/4001'])
})
