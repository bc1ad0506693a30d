/**
 * Gives back the memory that starting has used up: compiling and linking a thousand modules leaves some 50 MB of garbage, which
 * V8 would keep until a busy node makes it collect. One full collection, once, when the start is over.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** By then the network is joined; a collection takes some 30 ms, so it should not meet the first requests. */
const AFTER_START_MS = 3_000

/** Collects once, some seconds from now. Never keeps the process alive. */
export function collectStartGarbage(): void {
  setTimeout(() => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as (options?: { readonly type: string; readonly flavor: string }) => void
    collect()
    collect({ type: 'major', flavor: 'last-resort' }) // gives the emptied pages back to the system
  }, AFTER_START_MS).unref()
}
