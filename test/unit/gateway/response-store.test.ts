import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../../src/base/clock.ts'
import {
  openResponseStore,
  type ResponseStore,
  type ResponseStoreOptions,
} from '../../../src/gateway/response-store.ts'

const OWNER = 'local'

let directory: string
let nowMs: number
let timers: { readonly atMs: number; readonly callback: () => void }[]
let store: ResponseStore | undefined

const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => nowMs,
  after(delayMs, callback) {
    const timer = { atMs: nowMs + delayMs, callback }
    timers.push(timer)
    return () => {
      timers = timers.filter((each) => each !== timer)
    }
  },
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tok-node-store-'))
  nowMs = 1_760_000_000_000
  timers = []
})

afterEach(async () => {
  await store?.close()
  store = undefined
  await rm(directory, { recursive: true })
})

async function open(options: Partial<ResponseStoreOptions> = {}): Promise<ResponseStore> {
  store = await openResponseStore(directory, { clock }, { lifetimeMs: 1_000, bytesMax: 1_000_000, ...options })
  return store
}

async function reopen(options: Partial<ResponseStoreOptions> = {}): Promise<ResponseStore> {
  await store?.close()
  return open(options)
}

function answer(id: string, text = 'yes'): { response: { id: string; text: string }; input: unknown[] } {
  return { response: { id, text }, input: [{ role: 'user', content: 'well?' }] }
}

async function kept(opened: ResponseStore, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map(async (id) => ((await opened.get(OWNER, id)) === undefined ? [] : [id])))
  return found.flat()
}

describe('an answer that is kept', () => {
  test('is there at once, and after a restart', async () => {
    const opened = await open()
    const writing = opened.put(OWNER, 'resp_1', answer('resp_1'))
    expect(await opened.get(OWNER, 'resp_1')).toEqual(answer('resp_1'))
    expect(await writing).toBe(true)
    expect(await (await reopen()).get(OWNER, 'resp_1')).toEqual(answer('resp_1'))
  })

  test("is nobody else's to see or to delete", async () => {
    const opened = await open()
    await opened.put('anna', 'resp_1', answer('resp_1'))
    expect(await opened.get('ben', 'resp_1')).toBeUndefined()
    expect(await opened.delete('ben', 'resp_1')).toBe(false)
    expect(await opened.get('anna', 'resp_1')).toEqual(answer('resp_1'))
  })

  test('is gone for good once it is deleted', async () => {
    const opened = await open()
    await opened.put(OWNER, 'resp_1', answer('resp_1'))
    expect(await opened.delete(OWNER, 'resp_1')).toBe(true)
    expect(await opened.delete(OWNER, 'resp_1')).toBe(false)
    expect(await kept(await reopen(), ['resp_1'])).toEqual([])
  })

  test('replaces one of the same id, and counts once', async () => {
    const opened = await open({ bytesMax: 200 })
    for (const text of ['a', 'b', 'c', 'd']) await opened.put(OWNER, 'resp_1', answer('resp_1', text))
    await opened.put(OWNER, 'resp_2', answer('resp_2'))
    expect(await opened.get(OWNER, 'resp_1')).toEqual(answer('resp_1', 'd'))
    expect(await kept(await reopen({ bytesMax: 200 }), ['resp_1', 'resp_2'])).toEqual(['resp_1', 'resp_2'])
  })

  test('is gone when its time is over, though nobody asked meanwhile', async () => {
    const opened = await open()
    await opened.put(OWNER, 'resp_1', answer('resp_1'))
    nowMs += 999
    expect(await kept(opened, ['resp_1'])).toEqual(['resp_1'])
    nowMs += 1
    expect(await kept(opened, ['resp_1'])).toEqual([])
    nowMs += 3_600_000
    for (const { callback } of timers.filter(({ atMs }) => atMs <= nowMs)) callback()
    await opened.close()
    store = undefined
    expect(await everyKey()).toEqual([])
  })

  test('that expired while the node was down is removed at the start', async () => {
    await (await open()).put(OWNER, 'resp_1', answer('resp_1'))
    nowMs += 1_000
    await (await reopen()).close()
    store = undefined
    expect(await everyKey()).toEqual([])
  })
})

describe('a store that is full', () => {
  test('by count lets the oldest go', async () => {
    const opened = await open({ countMax: 2 })
    for (const id of ['resp_1', 'resp_2', 'resp_3']) {
      nowMs += 1
      await opened.put(OWNER, id, answer(id))
    }
    expect(await kept(opened, ['resp_1', 'resp_2', 'resp_3'])).toEqual(['resp_2', 'resp_3'])
    expect(await kept(await reopen({ countMax: 2 }), ['resp_1', 'resp_2', 'resp_3'])).toEqual(['resp_2', 'resp_3'])
  })

  test('by size lets as many of the oldest go as make room', async () => {
    const opened = await open({ bytesMax: 400 })
    for (const id of ['resp_1', 'resp_2', 'resp_3']) {
      nowMs += 1
      await opened.put(OWNER, id, answer(id))
    }
    await opened.put(OWNER, 'resp_4', answer('resp_4', 'x'.repeat(200)))
    expect(await kept(opened, ['resp_1', 'resp_2', 'resp_3', 'resp_4'])).toEqual(['resp_3', 'resp_4'])
  })

  test('does not make room for what would never fit', async () => {
    const opened = await open({ bytesMax: 200 })
    await opened.put(OWNER, 'resp_1', answer('resp_1'))
    expect(await opened.put(OWNER, 'resp_2', answer('resp_2', 'x'.repeat(200)))).toBe(false)
    expect(await kept(opened, ['resp_1', 'resp_2'])).toEqual(['resp_1'])
  })

  test('takes smaller bounds at the next start', async () => {
    const opened = await open()
    for (const id of ['resp_1', 'resp_2', 'resp_3']) {
      nowMs += 1
      await opened.put(OWNER, id, answer(id))
    }
    expect(await kept(await reopen({ countMax: 1 }), ['resp_1', 'resp_2', 'resp_3'])).toEqual(['resp_3'])
  })
})

test('writes that come together leave what came last', async () => {
  const opened = await open()
  const texts = Array.from({ length: 50 }, (_, index) => `text ${index}`)
  await Promise.all(texts.map((text) => opened.put(OWNER, 'resp_1', answer('resp_1', text))))
  await opened.put(OWNER, 'resp_2', answer('resp_2'))
  await Promise.all([opened.delete(OWNER, 'resp_2'), opened.put(OWNER, 'resp_3', answer('resp_3'))])
  const again = await reopen()
  expect(await again.get(OWNER, 'resp_1')).toEqual(answer('resp_1', 'text 49'))
  expect(await kept(again, ['resp_2', 'resp_3'])).toEqual(['resp_3'])
})

test('a crash among writes loses none that were done, and leaves nothing half written', async () => {
  const source = pathToFileURL(join(import.meta.dirname, '../../../src')).href
  const script = `
    import { systemClock } from '${source}/base/clock.ts'
    import { openResponseStore } from '${source}/gateway/response-store.ts'
    const options = { lifetimeMs: 1e12, bytesMax: 60_000 }
    const store = await openResponseStore(${JSON.stringify(directory)}, { clock: systemClock }, options)
    for (let number = 0; ; number += 1) {
      const writes = [0, 1, 2].map((each) => 'resp_' + number + '_' + each)
      await Promise.all(writes.map((id) => store.put('local', id, { response: { id, text: 'x'.repeat(1_000) }, input: [] })))
      console.log(number)
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let last = -1
  for await (const text of child.stdout.setEncoding('utf8')) {
    last = Number((text as string).trim().split('\n').at(-1))
    if (last >= 100) child.kill('SIGKILL')
  }
  nowMs = Date.now()
  const opened = await open({ lifetimeMs: 1e12, bytesMax: 60_000 })
  const known = [last - 2, last - 1, last].flatMap((number) => [0, 1, 2].map((each) => `resp_${number}_${each}`))
  expect(await kept(opened, known)).toEqual(known)
  await opened.close()
  store = undefined
  const keys = await everyKey()
  const records = keys.filter((key) => key.startsWith('r')).map((key) => key.slice(1))
  const ages = keys.filter((key) => key.startsWith('i')).map((key) => key.slice(key.indexOf(':') + 1))
  expect(ages.toSorted()).toEqual(records.toSorted())
})

test('a second process is told that the store is in use', async () => {
  await open()
  await expect(openResponseStore(directory, { clock }, { lifetimeMs: 1, bytesMax: 1 })).rejects.toMatchObject({
    code: 'data_directory_in_use',
  })
})

async function everyKey(): Promise<string[]> {
  const level = new Level<string, string>(directory)
  const keys = await level.keys().all()
  await level.close()
  return keys
}
