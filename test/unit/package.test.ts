import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

interface PackageJson {
  readonly scripts: Record<string, string>
  readonly dependencies: Record<string, string>
  readonly optionalDependencies: Record<string, string>
  readonly devDependencies: Record<string, string>
}

const packageJson = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as PackageJson
const pinned = Object.entries({
  ...packageJson.dependencies,
  ...packageJson.optionalDependencies,
  ...packageJson.devDependencies,
})

test('every dependency is pinned to one version: a range resolves differently under another Node', () => {
  for (const [name, version] of pinned) expect(version, name).toMatch(/^\d+\.\d+\.\d+$/)
})

test('every dependency, in its version, has a line in docs/decisions', () => {
  const page = readFileSync(join(ROOT, 'docs/decisions/README.md'), 'utf8')
  const listed = [...page.matchAll(/^\| `([^`]+)` \| (\d\S*) \|/gm)].map(([, name, version]) => [name, version])
  expect(listed.toSorted()).toEqual(pinned.toSorted())
})

test('libp2p has one copy of its interface, or its parts would not know each other', () => {
  const copies = readdirSync(join(ROOT, 'node_modules'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith(join('@libp2p', 'interface', 'package.json')),
  )
  expect(copies).toHaveLength(1)
})
