/**
 * Other gateways that translate, beside which this one is measured. They come from npm, once, into the folder that
 * TOK_GATEWAYS_CACHE names or the user's cache; without them the bench goes on and says so.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Listening } from './messages.ts'
import type { Program, Workbench } from './workbench.ts'

/** A gateway that can be asked. */
export interface OtherGateway {
  /** Its package and version. */
  readonly title: string
  readonly url: string
  readonly pid: number
}

/** The newest versions whose dependencies npm has. */
const PACKAGES = {
  ccr: { '@musistudio/claude-code-router': '2.0.0' },
  // Its range admits newer ones of this, with which it answers every request with status 500.
  portkey: { '@portkey-ai/gateway': '1.15.2', '@hono/node-server': '1.14.1' },
} as const

const INSTALL_MS = 60_000

/** Installs a gateway where that is needed, and starts it; undefined, with a line on the terminal, where it cannot be had. */
export async function startGateway(
  bench: Workbench,
  name: keyof typeof PACKAGES,
  providerUrl: string,
): Promise<OtherGateway | undefined> {
  const [title = name] = Object.entries(PACKAGES[name]).map((entry) => entry.join(' '))
  try {
    const folder = await installed(name)
    const words = [name, folder, providerUrl, await bench.directory()]
    const { ready, pid }: Program<never, never> & { readonly ready: Listening } = await bench.program(
      'dialects-gateway',
      words,
    )
    return { title, url: ready.url, pid }
  } catch (error) {
    const { message, stderr } = error as Error & { readonly stderr?: string }
    console.log(`without ${title}: ${(stderr?.trim() || message).split('\n')[0]}`)
    return undefined
  }
}

async function installed(name: keyof typeof PACKAGES): Promise<string> {
  const { TOK_GATEWAYS_CACHE: chosen, XDG_CACHE_HOME: userCache = join(homedir(), '.cache') } = process.env
  const cache = chosen ?? join(userCache, 'tok-node')
  const dependencies = PACKAGES[name]
  const folder = join(cache, `gateway-${name}-${Object.values(dependencies).join('-')}`)
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  // Installed beside, then renamed: the folder is whole or not there.
  const unfinished = await mkdtemp(`${folder}.unfinished-`)
  try {
    await writeFile(
      join(unfinished, 'package.json'),
      JSON.stringify({ private: true, dependencies, overrides: dependencies }),
    )
    const flags = ['--no-audit', '--no-fund', '--loglevel=error']
    await promisify(execFile)('npm', ['install', '--prefix', unfinished, ...flags], {
      cwd: unfinished,
      timeout: INSTALL_MS,
    })
    await rename(unfinished, folder)
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
  return folder
}
