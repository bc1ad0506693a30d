/**
 * Another gateway in a process of its own, started as its own command starts it: `ccr` or `portkey`, the folder it is installed
 * in, the provider's base URL, and a home of its own.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, Server, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { serveJobs } from './serve-jobs.ts'

const LISTEN_MS = 15_000

const [name = '', folder = '', providerUrl = '', home = ''] = process.argv.slice(2)
const port = await freePort()

const STARTS: Readonly<Record<string, { readonly file: string; readonly words: readonly string[] }>> = {
  ccr: { file: '@musistudio/claude-code-router/dist/cli.js', words: ['start'] },
  portkey: { file: '@portkey-ai/gateway/build/start-server.js', words: [`--port=${port}`, '--headless'] },
}

const start = STARTS[name]
if (start === undefined) throw new Error(`no gateway is called ${name}`)
process.env['HOME'] = home
process.env['TMPDIR'] = home
if (name === 'ccr') configureCcr()
if (name === 'portkey') listenOnLoopbackOnly()
silence()
const file = join(folder, 'node_modules', start.file)
process.argv = [process.execPath, file, ...start.words]
await import(pathToFileURL(file).href)
await untilListening()
serveJobs({ url: `http://127.0.0.1:${port}` }, () => Promise.reject(new Error('it takes no jobs')))

function configureCcr(): void {
  const directory = join(home, '.claude-code-router')
  mkdirSync(directory, { recursive: true })
  const config = {
    PORT: port,
    HOST: '127.0.0.1',
    LOG: false,
    NON_INTERACTIVE_MODE: true,
    Providers: [
      { name: 'bench', api_base_url: `${providerUrl}/v1/chat/completions`, api_key: 'bench', models: ['bench'] },
    ],
    Router: { default: 'bench,bench' },
  }
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config))
}

/** It listens on every interface and has no setting for that; the bench is nobody else's business. */
function listenOnLoopbackOnly(): void {
  const { listen } = Server.prototype
  Server.prototype.listen = function (this: Server, asked: unknown, ...more: unknown[]) {
    const words =
      typeof asked === 'number'
        ? [asked, '127.0.0.1', ...more.filter((word) => typeof word === 'function')]
        : [asked, ...more]
    return Reflect.apply(listen, this, words) as Server
  } as typeof listen
}

/** Its greetings would stand in the midst of the bench's table. */
function silence(): void {
  process.stdout.write = () => true
  process.stderr.write = () => true
}

async function untilListening(): Promise<void> {
  for (const endAtMs = performance.now() + LISTEN_MS; performance.now() < endAtMs; await wait(50)) {
    const isUp = await fetch(`http://127.0.0.1:${port}/`).then(
      async (answer) => answer.body?.cancel().then(() => true) ?? true,
      () => false,
    )
    if (isUp) return
  }
  throw new Error(`${name} does not listen`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port: free } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return free
}
