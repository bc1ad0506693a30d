/**
 * Runs test/clients: the command-line agents and SDKs themselves, from npm, against a node. `npm run test:clients`, with
 * any words of Vitest's after `--`.
 *
 * They are installed once, into the folder TOK_CLIENTS_CACHE names or the user's cache: a gigabyte that no
 * `npm ci` of a contributor should bring. Without npm's registry and without that folder this fails; it never skips.
 */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

/** Each agent in the one version its settings and habits are known for, with the name of its executable. */
const AGENTS = [
  { name: '@openai/codex', version: '0.169.0', executable: 'codex' },
  { name: '@anthropic-ai/claude-code', version: '2.1.330', executable: 'claude' },
  { name: 'opencode-ai', version: '1.18.33', executable: 'opencode' },
] as const

/** The SDKs that test/support/sdk-*.ts load from there, and what they need beside them. */
const SDKS = [
  { name: 'ai', version: '7.0.173' },
  { name: '@ai-sdk/openai', version: '4.0.118' },
  { name: '@ai-sdk/anthropic', version: '4.0.105' },
  { name: '@ai-sdk/openai-compatible', version: '3.0.92' },
  { name: '@langchain/core', version: '1.4.0' },
  { name: '@langchain/openai', version: '1.6.0' },
  { name: '@langchain/anthropic', version: '1.5.11' },
  { name: '@openai/agents', version: '0.20.0' },
  { name: 'zod', version: '4.6.7' },
] as const
const PACKAGES = [...AGENTS, ...SDKS]

const INSTALL_TIMEOUT_MS = 240_000
const VERSION_TIMEOUT_MS = 20_000
const UNFINISHED = '.unfinished-'
const LEFT_AFTER_MS = 3_600_000

const runFile = promisify(execFile)

/** The folder with the clients in `cache`, installed first unless it is there. */
async function installedClients(cache: string): Promise<string> {
  const contents = JSON.stringify([PACKAGES, process.platform, process.arch])
  const folder = join(cache, `clients-${createHash('sha256').update(contents).digest('hex').slice(0, 12)}`)
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  await removeLeftovers(cache)
  // Installed beside, then renamed: the folder is whole or not there, whoever else is installing at the same time.
  const unfinished = await mkdtemp(folder + UNFINISHED)
  try {
    await install(unfinished)
    await rename(unfinished, folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
  return folder
}

/** A run that was killed while it installed leaves a gigabyte. */
async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.includes(UNFINISHED)) continue
    // It may have been renamed meanwhile.
    const mtimeMs = await stat(join(cache, name)).then((found) => found.mtimeMs, Date.now)
    if (Date.now() - mtimeMs > LEFT_AFTER_MS) await rm(join(cache, name), { recursive: true, force: true })
  }
}

async function install(folder: string): Promise<void> {
  const dependencies = Object.fromEntries(PACKAGES.map(({ name, version }) => [name, version]))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  console.error(`installing ${PACKAGES.map(({ name, version }) => `${name}@${version}`).join(', ')}`)
  // Each comes as an optional package for the platform, put in its place by a script.
  const flags = ['--include=optional', '--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error']
  await runFile('npm', ['install', '--prefix', folder, ...flags], { cwd: folder, timeout: INSTALL_TIMEOUT_MS })
  const home = await mkdtemp(join(tmpdir(), 'tok-client-'))
  try {
    for (const { name, version, executable } of AGENTS) {
      const path = join(folder, 'node_modules', '.bin', executable)
      const env = { PATH: process.env['PATH'], HOME: home, TMPDIR: home }
      const { stdout } = await runFile(path, ['--version'], { cwd: home, env, timeout: VERSION_TIMEOUT_MS })
      if (!stdout.includes(version)) throw new Error(`${name} ${version} says its version is ${stdout.trim()}`)
    }
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

async function main(words: readonly string[]): Promise<number> {
  const { TOK_CLIENTS_CACHE: chosen, XDG_CACHE_HOME: userCache = join(homedir(), '.cache') } = process.env
  const cache = resolve(chosen ?? join(userCache, 'tok-node'))
  let folder
  try {
    folder = await installedClients(cache)
  } catch (error) {
    const { message, stderr } = error as Error & { stderr?: string }
    const reason = (stderr?.trim() || message).split('\n')[0]
    console.error(`test:clients: the clients are not in ${cache} and cannot be installed: ${reason}`)
    return 1
  }
  const vitest = join(import.meta.dirname, '..', 'node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', '--project', 'clients', ...words], {
    cwd: join(import.meta.dirname, '..'),
    env: { ...process.env, TOK_CLIENTS: folder },
    stdio: 'inherit',
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

process.exitCode = await main(process.argv.slice(2))
