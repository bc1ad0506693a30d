#!/usr/bin/env node
/**
 * The launcher: runs tok-node on a Node that can run it. Plain JavaScript for Node 18 and later, because an older
 * Node has to get as far as saying what is missing. An install carries its own Node as an optional dependency
 * (docs/decisions/node-runtime.md); where the Node that was called is too old, that one takes over.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import module from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'

/** The first Node with everything that the code uses, as in package.json's `engines`. */
const NEEDED = '22.19.0'

if (isOlder(process.versions.node, NEEDED)) {
  const node = findPinnedNode()
  if (node === undefined) refuse('no newer one is installed beside tok-node')
  else runWith(node)
} else {
  accountForBodies()
  module.enableCompileCache?.()
  // A packed tok-node is compiled: Node strips no types inside node_modules.
  await (existsSync(new URL('main.js', import.meta.url)) ? import('./main.js') : import('./main.ts'))
}

/**
 * Request bodies live outside V8's heap, and V8 counts them against a small limit of their own: bodies of 60 KB then bring a full
 * collection every few hundred requests. Counted with the heap, as this flag has it, they bring few. V8 12 does not know the flag.
 */
function accountForBodies() {
  if (Number.parseInt(process.versions.v8, 10) < 13) return
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}

/** The executable of the platform's Node package, or undefined if it is absent or too old itself. */
function findPinnedNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  try {
    const packageFile = module.createRequire(import.meta.url).resolve(`node-${platform}-${process.arch}/package.json`)
    const { version, bin } = JSON.parse(readFileSync(packageFile, 'utf8'))
    return isOlder(version, NEEDED) ? undefined : join(dirname(packageFile), bin.node)
  } catch {
    return undefined
  }
}

/** Runs this program again with the Node at `node`, and ends as it ends. */
function runWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal sends these two to both processes already, and a node stops at once on a second signal.
      if (!(onTerminal && signal !== 'SIGTERM')) child.kill(signal)
    })
  }
  child.on('error', (error) => refuse(`the one at ${node} does not start: ${error.message}`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

function refuse(reason) {
  console.error(
    `tok-node needs Node ${NEEDED} or later; this is Node ${process.versions.node}, and ${reason}. ` +
      'Install a current Node from https://nodejs.org, or run `npm ci` in the package without --omit=optional.',
  )
  process.exit(1)
}

function isOlder(version, needed) {
  const [major, minor] = version.split('.').map(Number)
  const [neededMajor, neededMinor] = needed.split('.').map(Number)
  return major < neededMajor || (major === neededMajor && minor < neededMinor)
}
