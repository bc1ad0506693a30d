/**
 * `tok-node start`: runs a node until it is told to stop.
 */
import { constants } from 'node:os'
import type { Command } from 'commander'
import type { Logger } from 'pino'
import { TokError } from '../base/errors.ts'
import type { RunningNode } from '../node/node.ts'
import { findAdmin } from './admin-client.ts'
import { addConfigFlags, FLAG_KEYS, loadCommandConfig, wantsJson } from './config-flags.ts'
import { collectStartGarbage } from './collect-start-garbage.ts'
import { createLogger } from './create-logger.ts'
import { EXIT } from './failure.ts'
import { paint, print, printJson } from './output.ts'

/** After everything was closed, a handle that keeps the process alive is a fault; it does not keep the operator waiting. */
const LINGER_MS = 3_000

/** Where the innermost line of a stack stands if libp2p itself failed. */
const NETWORK_CODE = /node_modules[\\/](?:@libp2p|@chainsafe|@multiformats|libp2p|it-[\w-]+)[\\/]/

const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

export function defineStart(command: Command): void {
  addConfigFlags(command, FLAG_KEYS)
    .addHelpText(
      'after',
      '\nPrints one line when it is ready. SIGTERM and Ctrl-C finish the answers under way; a second one ends at once.',
    )
    .action(() => start(command))
}

async function start(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command, FLAG_KEYS)
  await refuseSecondStart(config.dataDirectory)
  const logger = createLogger(config.log)
  const stopAsked = listenForSignals(logger)
  surviveNetworkFaults(logger)
  const { createNode } = await import('../node/node.ts')
  const node = await createNode({ config, logger })
  announce(node, config.role, wantsJson(command))
  collectStartGarbage()
  await Promise.race([stopAsked, node.whenStopped])
  await node.stop()
  logger.flush()
  setTimeout(() => {
    logger.warn({ open: process.getActiveResourcesInfo() }, 'something is still open after the stop; ending anyway')
    process.exit()
  }, LINGER_MS).unref()
}

async function refuseSecondStart(directory: string): Promise<void> {
  const running = await findAdmin(directory)
  if (running === undefined) return
  const { pid, facade } = running.runtime
  throw new TokError('data_directory_in_use', { directory, detail: ` (process ${pid}, ${facade})` })
}

/** Resolves at the first signal; the second ends the process at once. */
function listenForSignals(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    for (const signal of STOP_SIGNALS) {
      process.on(signal, () => {
        if (asked) process.exit(128 + constants.signals[signal])
        asked = true
        logger.info({ signal }, 'stopping; a second signal ends at once')
        resolve()
      })
    }
  })
}

/**
 * libp2p runs in this process, and a fault in one of its event handlers is nobody's to catch (js-libp2p #3512): a peer must not be
 * able to end the node with it. Any other uncaught error means a state that nothing is known of, and ends the process as ever; what
 * was signed is on disk.
 */
function surviveNetworkFaults(logger: Logger): void {
  process.on('uncaughtException', (error, origin) => {
    const [, innermost = ''] = String(error.stack ?? '').split(/\n\s+at /)
    if (NETWORK_CODE.test(innermost)) {
      logger.error({ err: error, origin }, 'libp2p failed; the node goes on')
      return
    }
    logger.fatal({ err: error, origin }, 'an unexpected failure; ending')
    logger.flush()
    process.exit(EXIT.failed)
  })
}

function announce(node: RunningNode, role: string, json: boolean): void {
  const { facadeUrl, peerId } = node
  if (json) {
    printJson({ event: 'ready', facade: facadeUrl, peerId, multiaddrs: node.multiaddrs(), pid: process.pid })
  } else {
    print(`${paint('green', 'tok-node is ready')} at ${paint('bold', facadeUrl)}, role ${role}, peer ${peerId}`)
  }
}
