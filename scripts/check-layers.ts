/**
 * Holds src to the layers of docs/ARCHITECTURE.md: `node scripts/check-layers.ts` names every import and file
 * that breaks a rule, and exits 1 if there is one. The launcher (src/cli/tok-node.mjs) is plain JavaScript and
 * not read: it imports one file, beside it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { parseAst } from 'vitest/node'

/** A folder of src imports only from rows above its own; folders in one row never import each other. */
const ROWS: readonly (readonly string[])[] = [
  ['base'],
  ['config', 'wire'],
  ['dialects', 'ledger', 'accounts', 'market', 'network'],
  ['providers', 'audit'],
  ['routing', 'seller', 'buyer'],
  ['gateway'],
  ['node'],
  ['cli'],
]

/** Words that name no thing. */
const EMPTY_WORDS = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'service', 'misc'])

/** What breaks a rule: `src/wire/advert.ts:3: …`. */
export type Violation = string

interface Import {
  /** Undefined where the module is computed at run time. */
  readonly specifier: string | undefined
  readonly line: number
}

/**
 * Checks source files against the layers and the naming rules.
 * @param files text of each TypeScript file by its path from the package's root ("src/wire/advert.ts")
 * @param dependencies the packages that src may import: the `dependencies` of package.json
 */
export function checkLayers(files: ReadonlyMap<string, string>, dependencies: ReadonlySet<string>): Violation[] {
  return [...files].flatMap(([path, text]) => [
    ...checkName(path),
    ...readImports(path, text).flatMap(({ specifier, line }) => {
      const broken = checkImport(path, specifier, files, dependencies)
      return broken === undefined ? [] : [`${path}:${line}: ${broken}`]
    }),
  ])
}

function checkName(path: string): Violation[] {
  const names = path.replace(/\.ts$/, '').split('/').slice(1)
  const violations: Violation[] = []
  if (rowOf(path) === -1) {
    violations.push(
      `${path}:1: not in a folder of the layers table; add the folder to it, and say why in docs/decisions`,
    )
  }
  if (names.at(-1) === 'index') violations.push(`${path}:1: a barrel; import the file that defines a thing`)
  for (const word of names.flatMap((name) => name.split('-'))) {
    if (EMPTY_WORDS.has(word)) violations.push(`${path}:1: "${word}" names no thing`)
  }
  return violations
}

function checkImport(
  path: string,
  specifier: string | undefined,
  files: ReadonlyMap<string, string>,
  dependencies: ReadonlySet<string>,
): string | undefined {
  if (specifier === undefined) return 'an import of a computed module cannot be checked; write it as a literal'
  if (specifier.startsWith('node:')) return undefined
  if (!specifier.startsWith('.')) {
    const packageName = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
    return dependencies.has(packageName)
      ? undefined
      : `imports "${specifier}", which is neither a relative path nor one of the dependencies in package.json`
  }
  const target = posix.join(posix.dirname(path), specifier)
  if (!target.startsWith('src/')) return `imports "${specifier}", which is outside src`
  if (!target.endsWith('.ts')) return `imports "${specifier}" without .ts`
  if (!files.has(target)) return `imports "${specifier}", which does not exist`
  const [from, to] = [folderOf(path), folderOf(target)]
  if (from === to || rowOf(target) < rowOf(path)) return undefined
  return rowOf(target) === rowOf(path)
    ? `${from} imports ${to} ("${specifier}"), and both are in row ${rowOf(path)}`
    : `${from} (row ${rowOf(path)}) imports ${to} (row ${rowOf(target)}) ("${specifier}"), which is below it`
}

function folderOf(path: string): string {
  return path.split('/')[1] ?? ''
}

function rowOf(path: string): number {
  return ROWS.findIndex((row) => row.includes(folderOf(path)))
}

/** Every module a file names: static, dynamic, re-exported, and in types, which are bound to the layers too. */
function readImports(path: string, text: string): Import[] {
  const imports: Import[] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { type, source, start } = node as { type?: unknown; source?: { value?: unknown } | null; start?: number }
    const namesModule = typeof type === 'string' && /^(Import|Export|TSImport)/.test(type)
    if (namesModule && source !== undefined && source !== null) {
      imports.push({
        specifier: typeof source.value === 'string' ? source.value : undefined,
        line: text.slice(0, start).split('\n').length,
      })
    }
    Object.values(node).forEach(visit)
  }
  visit(parseAst(text, { lang: 'ts' }, path))
  return imports
}

if (import.meta.main) {
  const root = dirname(import.meta.dirname)
  const paths = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `src/${path.replaceAll('\\', '/')}`)
  const files = new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
  const packageJson: { dependencies: Record<string, string> } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const violations = checkLayers(files, new Set(Object.keys(packageJson.dependencies)))
  for (const violation of violations) console.error(violation)
  console.log(`layers: ${files.size} files, ${violations.length} against the rules`)
  if (violations.length > 0) process.exitCode = 1
}
