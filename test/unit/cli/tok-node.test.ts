import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const LAUNCHER = join(import.meta.dirname, '../../../src/cli/tok-node.mjs')

/** Loaded before the launcher, makes this Node say that it is Node 20. A child of the launcher is not affected. */
const PRETEND_NODE_20 = `data:text/javascript,${encodeURIComponent(
  "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })",
)}`

/** Stands for the program: says who runs it, then does what its first argument asks. */
const MAIN = `
if (process.argv[2] === 'wait') {
  setTimeout(() => {}, 60_000)
  process.once(process.argv[3], () => process.exit(7))
}
process.stdout.write(JSON.stringify({ node: process.versions.node, args: process.argv.slice(2), pid: process.pid }) + '\\n')
if (process.argv[2] === 'exit') process.exitCode = Number(process.argv[3])
if (process.argv[2] === 'die') process.kill(process.pid, 'SIGKILL')
`

let root: string
let started: ChildProcess[]

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tok-node-launcher-'))
  started = []
  await mkdir(join(root, 'src/cli'), { recursive: true })
  await copyFile(LAUNCHER, join(root, 'src/cli/tok-node.mjs'))
  await writeFile(join(root, 'src/cli/main.ts'), MAIN)
  await writeFile(join(root, 'package.json'), '{ "type": "module" }')
})

afterEach(async () => {
  for (const child of started) child.kill('SIGKILL')
  await rm(root, { recursive: true })
})

function launch(nodeArgs: readonly string[], args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [...nodeArgs, join(root, 'src/cli/tok-node.mjs'), ...args])
  started.push(child)
  return child
}

async function ending(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout!), text(child.stderr!)])
  return { code: code as number | null, stdout, stderr }
}

/** Puts a Node package into the install, as npm would for this platform; its executable is the running Node. */
async function installNode(version: string, executable = process.execPath): Promise<void> {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const directory = join(root, `node_modules/node-${platform}-${process.arch}`)
  await mkdir(join(directory, 'bin'), { recursive: true })
  await writeFile(join(directory, 'package.json'), JSON.stringify({ version, bin: { node: 'bin/node' } }))
  await symlink(executable, join(directory, 'bin/node'))
}

describe('on a Node that is new enough', () => {
  test('the program runs in the same process, with its arguments', async () => {
    const child = launch([], ['exit', '3', 'a b'])
    const { code, stdout } = await ending(child)
    expect(JSON.parse(stdout)).toEqual({ node: process.versions.node, args: ['exit', '3', 'a b'], pid: child.pid })
    expect(code).toBe(3)
  })

  test('a compiled program is preferred, as in a packed install', async () => {
    await writeFile(join(root, 'src/cli/main.js'), "process.stdout.write('compiled')")
    expect((await ending(launch([], []))).stdout).toBe('compiled')
  })
})

describe('on a Node that is too old', () => {
  const onNode20 = ['--import', PRETEND_NODE_20]

  test('the Node of the install takes over, and its exit code is kept', async () => {
    await installNode('24.21.0')
    const child = launch(onNode20, ['exit', '3', 'a b'])
    const { code, stdout, stderr } = await ending(child)
    expect(JSON.parse(stdout)).toMatchObject({ node: process.versions.node, args: ['exit', '3', 'a b'] })
    expect(JSON.parse(stdout).pid).not.toBe(child.pid)
    expect(stderr).toBe('')
    expect(code).toBe(3)
  })

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s reaches the program, which ends in its own way',
    async (signal) => {
      await installNode('24.21.0')
      const child = launch(onNode20, ['wait', signal])
      await once(child.stdout!, 'data')
      child.kill(signal)
      expect((await once(child, 'exit'))[0]).toBe(7)
    },
  )

  test('a program that is killed ends the launcher with the code of a shell', async () => {
    await installNode('24.21.0')
    expect((await ending(launch(onNode20, ['die']))).code).toBe(128 + 9)
  })

  test.each([
    ['without a Node in the install', async () => {}, 'no newer one is installed'],
    ['with one that is too old as well', () => installNode('22.18.0'), 'no newer one is installed'],
    ['with one that does not start here', () => installNode('24.21.0', '/nowhere/node'), 'does not start'],
  ])('%s it says in one line what is needed, what was found and what to do', async (_, install, reason) => {
    await install()
    const { code, stdout, stderr } = await ending(launch(onNode20, ['exit', '0']))
    expect(stdout).toBe('')
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(stderr).toContain('needs Node 22.19.0 or later; this is Node 20.20.2')
    expect(stderr).toContain(reason)
    expect(stderr).toContain('npm ci')
    expect(code).toBe(1)
  })
})
