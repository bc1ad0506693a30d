import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCli, spawnCli, type CliResult } from '../support/cli.ts'
import { startScriptedProvider, type ScriptedProvider } from '../support/scripted-provider.ts'

/** What `start --json` prints when it is ready. */
interface Ready {
  readonly event: string
  readonly facade: string
  readonly peerId: string
  readonly multiaddrs: readonly string[]
  readonly pid: number
}

let home = ''
let provider: ScriptedProvider
let env: Record<string, string> = {}
const started: ChildProcess[] = []

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tok-start-'))
  provider = await startScriptedProvider({ models: ['test-model'] })
  env = {
    TOKLIGENCE_DISCOVER: 'false',
    TOKLIGENCE_PROVIDERS: `mine=${provider.url}`,
    TOKLIGENCE_LISTEN: '/ip4/127.0.0.1/tcp/0',
    TOKLIGENCE_MDNS: 'false',
    TOKLIGENCE_DRAIN_GRACE_MS: '5000',
  }
})
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
  await provider.close()
  await rm(home, { recursive: true })
})

function cli(words: string): Promise<CliResult> {
  return runCli(words.split(' '), { home, env })
}

/** Starts a node and waits for its first line. */
async function start(words = ''): Promise<{ child: ChildProcess; line: string; ready: Ready }> {
  const child = spawnCli(['start', '--facade-port', '0', ...`${words} --json`.split(' ').filter(Boolean)], {
    home,
    env,
  })
  started.push(child)
  child.stderr?.resume()
  const [line] = (await once(createInterface(child.stdout!), 'line', { signal: AbortSignal.timeout(15_000) })) as [
    string,
  ]
  return { child, line, ready: JSON.parse(line) as Ready }
}

function ask(facade: string): Promise<Response> {
  return fetch(`${facade}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'test-model', stream: true, messages: [{ role: 'user', content: 'hello' }] }),
  })
}

/** An answer that begins at once and ends after `pauseMs`. */
function scriptSlowAnswer(pauseMs: number): void {
  provider.script({
    headers: { 'content-type': 'text/event-stream' },
    body: ['data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', pauseMs, 'data: [DONE]\n\n'],
  })
}

describe('start', () => {
  it('prints one line when it serves, is found by the other commands, and stops when asked', async () => {
    const { child, ready } = await start()
    expect(ready).toMatchObject({ event: 'ready', pid: child.pid })
    expect(ready.facade).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect((await ask(ready.facade)).status).toBe(200)

    const status = await cli('status --json')
    expect(status.json()).toMatchObject({ pid: child.pid, peerId: ready.peerId, role: 'local', facade: ready.facade })

    const exited = once(child, 'exit')
    const stopped = await cli('stop --json')
    expect(stopped.json()).toEqual({ stopped: true, pid: child.pid, peerId: ready.peerId })
    expect(await exited).toEqual([0, null])
    await expect(access(join(home, '.tok-node/node.json'))).rejects.toThrow('ENOENT')
    expect((await cli('status')).code).toBe(3)
  })

  it('keeps its identity and its journal over a restart', async () => {
    const first = await start()
    const response = await ask(first.ready.facade)
    const requestId = response.headers.get('x-request-id') ?? ''
    await response.text()
    await cli('stop')
    const second = await start()
    expect(second.ready.peerId).toBe(first.ready.peerId)
    expect((await cli(`ledger show ${requestId} --json`)).json()).toMatchObject({
      kind: 'inference',
      journal: { requestId, direction: 'local', status: 'completed' },
    })
  })

  it('a second one on the same data directory is refused, and the first goes on', async () => {
    const { ready, child } = await start()
    const second = await cli('start --facade-port 0 --json')
    expect(second.json()).toMatchObject({ error: { code: 'data_directory_in_use' } })
    expect((second.json() as { error: { message: string } }).error.message).toContain(`(process ${child.pid}`)
    expect(second.code).toBe(1)
    expect((await ask(ready.facade)).status).toBe(200)
  })

  it('starts again where a killed one left its file', async () => {
    const first = await start()
    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    const second = await start()
    expect(second.ready.peerId).toBe(first.ready.peerId)
  })

  it('a port that is taken is one clear line', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      const { code, stderr } = await cli(`start --facade-port ${port}`)
      expect(stderr).toContain(`the address 127.0.0.1:${port} is taken by another program`)
      expect(code).toBe(1)
    } finally {
      server.close()
    }
  })

  it('a route to an unknown target stops it before it serves', async () => {
    env = { ...env, TOKLIGENCE_ROUTES: '*=>nowhere' }
    const { code, stderr } = await cli('start --facade-port 0')
    expect(stderr).toContain('nowhere')
    expect(code).toBe(4)
  })
})

describe('a signal', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('%s lets the answer under way finish', async (signal) => {
    const { child, ready } = await start()
    scriptSlowAnswer(500)
    const response = await ask(ready.facade)
    const exited = once(child, 'exit')
    child.kill(signal)
    expect(await response.text()).toContain('[DONE]')
    expect(await exited).toEqual([0, null])
  })

  it('a second one ends it at once', async () => {
    const { child, ready } = await start()
    scriptSlowAnswer(4_000)
    const response = await ask(ready.facade)
    const cutOff = response.text().catch(() => 'cut off')
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await wait(200)
    const beforeMs = performance.now()
    child.kill('SIGTERM')
    expect(await exited).toEqual([143, null])
    expect(performance.now() - beforeMs).toBeLessThan(1_000)
    expect(await cutOff).toBe('cut off')
  })
})
