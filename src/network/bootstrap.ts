/**
 * Joins the network and stays in it: while there are few connections, dials bootstrap addresses and known
 * peers in turn, for ever. libp2p's own bootstrap module dials once, so a bootstrap that is late or restarts
 * would be lost to it.
 */
import type { Logger } from 'pino'
import type { RandomBytes } from '../base/bytes.ts'
import { sleep, type Clock } from '../base/clock.ts'
import { reasonOf } from '../base/errors.ts'

/** Below this many connected peers the loop looks for more. */
const PEERS_WANTED = 8

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 15_000
/** After a success: the next one soon, but not in one burst with every other node that starts. */
const NEXT_MS = 250
/** With nobody to dial: alone, and among some peers. */
const ALONE_MS = 1_000
const SETTLED_MS = 5_000

/** What the loop needs of the host. */
export interface BootstrapDependencies {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly logger: Logger
  connectedPeers(): number
  /** Bootstrap addresses, and peers known from the DHT or the local network, that are not connected now. */
  bootstrapTargets(): readonly string[]
  knownTargets(): Promise<readonly string[]>
  /** Connects. Bounded in time, and ended by the host's stop. */
  dial(target: string): Promise<unknown>
}

/** Runs until the signal aborts; never rejects. */
export async function keepJoined(dependencies: BootstrapDependencies, signal: AbortSignal): Promise<void> {
  const { clock, random, logger, connectedPeers, bootstrapTargets, knownTargets, dial } = dependencies
  const fraction = (): number => new DataView(random(4).buffer).getUint32(0) / 2 ** 32

  const pick = async (attempt: number): Promise<string | undefined> => {
    if (connectedPeers() >= PEERS_WANTED) return undefined
    const bootstraps = bootstrapTargets()
    const known = await knownTargets()
    const turn = attempt % 2 === 0 ? bootstraps : known
    const targets = turn.length > 0 ? turn : [...bootstraps, ...known]
    return targets[Math.floor(fraction() * targets.length)]
  }

  let failures = 0
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    let waitMs: number
    let target: string | undefined
    try {
      target = await pick(attempt)
      if (target === undefined) {
        waitMs = connectedPeers() === 0 ? ALONE_MS : SETTLED_MS
      } else {
        await dial(target)
        failures = 0
        waitMs = NEXT_MS
      }
    } catch (thrown) {
      logger.debug({ target, reason: reasonOf(thrown) }, 'a peer cannot be reached')
      waitMs = Math.min(FIRST_RETRY_MS * 1.5 ** failures, LAST_RETRY_MS)
      failures += 1
    }
    try {
      await sleep(clock, waitMs * (0.75 + fraction() / 2), signal)
    } catch {
      return // the signal
    }
  }
}
