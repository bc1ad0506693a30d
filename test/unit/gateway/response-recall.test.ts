import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { createResponseRecall, type ResponseRecallOptions } from '../../../src/gateway/response-recall.ts'

let nowS = 0

function recallOf(options: Partial<ResponseRecallOptions> = {}) {
  nowS = 1_760_000_000
  return createResponseRecall({ nowS: () => nowS }, { countMax: 100, bytesMax: 100_000, lifetimeS: 60, ...options })
}

const message = (id: string, text = 'said') => ({ id, type: 'message', role: 'assistant', content: text })

test('an item is found by its id as it was noted, by nobody but its owner', () => {
  const recall = recallOf()
  recall.note('ada', [message('msg_1'), { type: 'message' }, 'no item'])
  recall.note('bob', [message('msg_2')])
  expect(recall.find('ada', 'msg_1')).toEqual(message('msg_1'))
  expect(recall.find('bob', 'msg_2')).toEqual(message('msg_2'))
  for (const [owner, id] of [
    ['bob', 'msg_1'],
    ['ada', 'msg_2'],
    ['ada', ''],
  ] as const) {
    expect(recall.find(owner, id)).toBeUndefined()
  }
})

test('an id that two unlike items had names neither, one that the same item had twice names it', () => {
  const recall = recallOf()
  recall.note('ada', [message('msg_1', 'one'), message('msg_2')])
  recall.note('ada', [message('msg_1', 'two'), message('msg_2')])
  recall.note('ada', [message('msg_1', 'two')])
  recall.note('bob', [message('msg_1', 'three')])
  expect(recall.find('ada', 'msg_1')).toBeUndefined()
  expect(recall.find('ada', 'msg_2')).toEqual(message('msg_2'))
  expect(recall.find('bob', 'msg_1')).toEqual(message('msg_1', 'three'))
})

test('what was forgotten is not found', () => {
  const recall = recallOf()
  recall.note('ada', [message('msg_1'), message('msg_2')])
  recall.forget('ada', [message('msg_1'), message('msg_3')])
  expect(recall.find('ada', 'msg_1')).toBeUndefined()
  expect(recall.find('ada', 'msg_2')).toEqual(message('msg_2'))
})

test('beyond the count, what was used longest ago gives way', () => {
  const recall = recallOf({ countMax: 2 })
  recall.note('ada', [message('msg_1'), message('msg_2')])
  recall.find('ada', 'msg_1')
  recall.note('ada', [message('msg_3')])
  expect(recall.find('ada', 'msg_2')).toBeUndefined()
  expect([recall.find('ada', 'msg_1'), recall.find('ada', 'msg_3')]).toEqual([message('msg_1'), message('msg_3')])
})

test('an item is held for its lifetime, counted from its last use', () => {
  const recall = recallOf()
  recall.note('ada', [message('msg_1'), message('msg_2')])
  nowS += 59
  expect(recall.find('ada', 'msg_1')).toBeDefined()
  nowS += 1
  expect(recall.find('ada', 'msg_2')).toBeUndefined()
  nowS += 58
  expect(recall.find('ada', 'msg_1')).toBeDefined()
  nowS += 60
  expect(recall.find('ada', 'msg_1')).toBeUndefined()
})

test('an item larger than all that may be held is not held, and pushes no other out', () => {
  const recall = recallOf({ bytesMax: 10_000 })
  recall.note('ada', [message('msg_1'), message('msg_2', 'x'.repeat(10_000))])
  expect(recall.find('ada', 'msg_1')).toBeDefined()
  expect(recall.find('ada', 'msg_2')).toBeUndefined()
})

test('memory stays flat over many answers', () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const recall = recallOf({ countMax: 1_000_000, bytesMax: 2_000_000 })
  const heapAfter = (from: number, to: number): number => {
    for (let number = from; number < to; number += 1) {
      recall.note('ada', [message(`msg_${number}`, `${number} `.repeat(500))])
    }
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const filled = heapAfter(0, 1_000)
  // A hundred megabytes more have passed through.
  expect(heapAfter(1_000, 20_000) - filled).toBeLessThan(2_000_000)
  expect(recall.find('ada', 'msg_1000')).toBeUndefined()
  expect(recall.find('ada', 'msg_19999')).toBeDefined()
})
