/**
 * `tok-node stop`: ends the running node after its answers under way.
 */
import type { Command } from 'commander'
import { systemClock } from '../base/clock.ts'
import { TokError } from '../base/errors.ts'
import type { StatusView } from '../gateway/admin-api.ts'
import { connectAdmin, isAlive } from './admin-client.ts'
import { addConfigFlags, loadCommandConfig, wantsJson } from './config-flags.ts'
import { print, printJson } from './output.ts'

/** Beyond the grace for running answers: closing the network and the ledger. */
const CLOSING_MS = 15_000
const POLL_MS = 50

export function defineStop(command: Command): void {
  addConfigFlags(command).action(() => stop(command))
}

async function stop(command: Command): Promise<void> {
  const { config } = await loadCommandConfig(command)
  const directory = config.dataDirectory
  const admin = await connectAdmin(directory)
  const { pid, peerId } = admin.runtime
  // A killed node leaves its file, and its process id may by now be another program's.
  const status = await admin.ask<StatusView>('status')
  if (status.pid !== pid || status.peerId !== peerId) {
    throw new TokError('node_unreachable', { directory, reason: 'another node answers at its address' })
  }
  process.kill(pid, 'SIGTERM')
  const deadlineMs = systemClock.monotonicMs() + config.drainGraceMs + CLOSING_MS
  while (isAlive(pid)) {
    if (systemClock.monotonicMs() > deadlineMs) {
      throw new TokError('node_unreachable', { directory, reason: `process ${pid} did not end in time after SIGTERM` })
    }
    await waitABit()
  }
  if (wantsJson(command)) printJson({ stopped: true, pid, peerId })
  else print(`stopped (process ${pid})`)
}

/** Keeps the process alive while it waits, unlike the clock's timers. */
function waitABit(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, POLL_MS)
  })
}
