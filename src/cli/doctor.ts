/**
 * `tok-node doctor`: checks this machine, the configuration and the running node, each with what to do.
 */
import { access, constants, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import type { StatusView } from '../gateway/admin-api.ts'
import { reasonOf, toTokError } from '../base/errors.ts'
import { connectAdmin } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { EXIT, failureOf } from './failure.ts'
import { harmless, paint, print, printJson } from './output.ts'

/** One line of the report. */
interface Finding {
  readonly check: string
  readonly outcome: 'ok' | 'warn' | 'fail'
  readonly says: string
  /** What to do; absent where nothing is to be done. */
  readonly next?: string
}

const PROBE_TIMEOUT_MS = 1_000
/** Permissions of anybody but the owner. */
const OTHERS = 0o077

export function defineDoctor(command: Command): void {
  addConfigFlags(command).action(() => doctor(command))
}

async function doctor(command: Command): Promise<void> {
  const findings = [...(await checkMachine()), ...(await checkNode(command))]
  if (wantsJson(command)) {
    printJson({ ok: findings.every(({ outcome }) => outcome !== 'fail'), findings })
  } else {
    print(...findings.flatMap(findingLines))
  }
  if (findings.some(({ outcome }) => outcome === 'fail')) process.exitCode = EXIT.failed
}

function findingLines({ check, outcome, says, next }: Finding): string[] {
  const style = ({ ok: 'green', warn: 'yellow', fail: 'red' } as const)[outcome]
  return [
    `${paint(style, outcome.padEnd(4))} ${check.padEnd(14)} ${harmless(says)}`,
    ...(next === undefined ? [] : [`     ${' '.repeat(14)} ${paint('dim', 'next:')} ${harmless(next)}`]),
  ]
}

async function checkMachine(): Promise<Finding[]> {
  return [
    { check: 'node', outcome: 'ok', says: `Node ${process.versions.node} on ${process.platform} ${process.arch}` },
    await checkClock(),
  ]
}

/** Orders, adverts and accounts carry times; a clock before the installation of this package is surely wrong. */
async function checkClock(): Promise<Finding> {
  const { mtimeMs } = await stat(join(import.meta.dirname, '../../package.json'))
  const says = new Date().toISOString()
  return Date.now() >= mtimeMs
    ? { check: 'clock', outcome: 'ok', says }
    : {
        check: 'clock',
        outcome: 'fail',
        says: `${says} is before this program was installed`,
        next: 'set the clock; peers refuse orders with wrong times',
      }
}

async function checkNode(command: Command): Promise<Finding[]> {
  const loaded = await loadCommandConfig(command).catch((error: unknown) => toTokError(error))
  if (loaded instanceof Error) {
    const { message, next } = failureOf(loaded)
    return [{ check: 'configuration', outcome: 'fail', says: message, next }]
  }
  const { config, entries, configDirectory } = loaded
  const set = entries.filter(({ origin }) => origin !== 'default').length
  const from = configDirectory === undefined ? 'without files' : `from ${configDirectory}`
  const running = await findStatus(config)
  return [
    { check: 'configuration', outcome: 'ok', says: `valid, ${from}, ${set} keys set` },
    await checkDataDirectory(config.dataDirectory),
    await checkKey(config.dataDirectory),
    await checkPort(config, running),
    ...(await checkModelServers(config)),
    ...checkRunning(config, running),
  ]
}

/** What the running node says of itself, or why there is nothing. */
type Running = StatusView | Error

function findStatus({ dataDirectory }: Config): Promise<Running> {
  return connectAdmin(dataDirectory)
    .then((admin) => admin.ask<StatusView>('status'))
    .catch((error: unknown) => (error instanceof Error ? error : toTokError(error)))
}

async function checkDataDirectory(directory: string): Promise<Finding> {
  const check = 'data directory'
  try {
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    const isOpen = process.platform !== 'win32' && ((await stat(directory)).mode & OTHERS) !== 0
    return isOpen
      ? { check, outcome: 'warn', says: `${directory} is open to other users`, next: `chmod 700 ${directory}` }
      : { check, outcome: 'ok', says: `${directory} is writable and private` }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? {
          check,
          outcome: 'warn',
          says: `${directory} is not there yet`,
          next: 'run `tok-node init`; start makes it too',
        }
      : {
          check,
          outcome: 'fail',
          says: `${directory}: ${reasonOf(error)}`,
          next: 'give this user write access, or choose another --data-dir',
        }
  }
}

async function checkKey(directory: string): Promise<Finding> {
  const check = 'node key'
  const { nodeKeyFile, readNodeKey } = await import('../node/data-directory.ts')
  try {
    const own = await readNodeKey(directory)
    return own === undefined
      ? {
          check,
          outcome: 'warn',
          says: `no ${nodeKeyFile(directory)} yet`,
          next: 'run `tok-node init`; start makes it too',
        }
      : { check, outcome: 'ok', says: `peer ID ${own.key.peer}` }
  } catch (error) {
    const { message, next } = failureOf(error)
    return { check, outcome: 'fail', says: message, next }
  }
}

async function checkPort({ facade: { host, port } }: Config, running: Running): Promise<Finding> {
  const check = 'port'
  if (port === 0) return { check, outcome: 'ok', says: 'any free one is taken' }
  const failure = await tryListen(host, port)
  if (failure === undefined) return { check, outcome: 'ok', says: `${host}:${port} is free` }
  const isOurs = !(running instanceof Error) && new URL(running.facade).port === String(port)
  return isOurs
    ? { check, outcome: 'ok', says: `${host}:${port} is taken by this node` }
    : {
        check,
        outcome: 'fail',
        says: `${host}:${port}: ${failure}`,
        next: 'stop the other program, or choose another --facade-port',
      }
}

/** Why the address cannot be listened on; undefined if it can. */
function tryListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(reasonOf(error)))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

async function checkModelServers({ providers, facade }: Config): Promise<Finding[]> {
  const { openai, anthropic, servers, discover, discoveryPorts } = providers
  const { probeEngine, USUAL_PORTS } = await import('../providers/discover-engines.ts')
  const ports = discover
    ? [...new Set([...USUAL_PORTS.keys(), ...discoveryPorts])].filter((port) => port !== facade.port)
    : []
  const { signal } = new AbortController()
  const probes = await Promise.all(ports.map((port) => probeEngine(port, PROBE_TIMEOUT_MS, signal)))
  const engines = probes.flatMap((probe) => (probe.state === 'found' ? [probe.engine] : []))
  const keys = [
    openai.apiKey === undefined ? [] : ['openai'],
    anthropic.apiKey === undefined ? [] : ['anthropic'],
  ].flat()
  const hasNone = engines.length === 0 && keys.length === 0 && servers === ''
  return [
    {
      check: 'local engines',
      outcome: hasNone ? 'warn' : 'ok',
      says:
        engines.length === 0
          ? `none found${discover ? ` on ports ${ports.join(', ')}` : ': discover is off'}`
          : engines.map(({ program, baseUrl, models }) => `${program} ${baseUrl} (${models.length} models)`).join(', '),
      ...(hasNone
        ? { next: 'start Ollama or another engine, set a provider or an API key, or buy with --role buyer' }
        : {}),
    },
    {
      check: 'hosted keys',
      outcome: 'ok',
      says: keys.length === 0 ? 'none set' : `set for ${keys.join(' and ')}`,
    },
  ]
}

function checkRunning({ role, network }: Config, running: Running): Finding[] {
  const check = 'running node'
  if (running instanceof Error) {
    const { code, message, next } = failureOf(running)
    return [{ check, outcome: code === 'node_not_running' ? 'warn' : 'fail', says: message, next }]
  }
  const down = running.providers.filter(({ health }) => health === 'down').map(({ name }) => name)
  const findings: Finding[] = [
    down.length === 0
      ? { check, outcome: 'ok', says: `tok-node ${running.version} at ${running.facade}, role ${running.role}` }
      : {
          check,
          outcome: 'warn',
          says: `it cannot reach ${down.join(', ')}`,
          next: 'start them, or take them out of the configuration',
        },
  ]
  if (running.role === 'local') return findings
  const peers: Finding =
    running.peersConnected > 0
      ? { check: 'peers', outcome: 'ok', says: `${running.peersConnected} connected, network ${running.network}` }
      : {
          check: 'peers',
          outcome: 'warn',
          says: `none connected, network ${running.network}`,
          next:
            network.bootstrap.length === 0
              ? 'give --bootstrap an address of another node'
              : 'check that the bootstrap nodes run and can be reached',
        }
  if (role !== running.role) {
    findings.push({
      check,
      outcome: 'warn',
      says: `it runs as ${running.role}; the configuration says ${role}`,
      next: 'start it again to change its role',
    })
  }
  return [...findings, peers]
}
