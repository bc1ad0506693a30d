import { describe, expect, test } from 'vitest'
import { checkLayers } from '../../../scripts/check-layers.ts'

const NEIGHBOURS: readonly [string, string][] = [
  ['src/base/clock.ts', ''],
  ['src/wire/advert.ts', ''],
  ['src/market/credit-policy.ts', ''],
  ['src/ledger/store.ts', ''],
  ['src/buyer/purchase.ts', ''],
  ['src/seller/meter.ts', ''],
]

/** What the rules say about one file among its neighbours. */
function check(path: string, text: string): string[] {
  return checkLayers(new Map([...NEIGHBOURS, [path, text]]), new Set(['libp2p', '@ipld/dag-cbor']))
}

describe('a file may import', () => {
  test.each([
    ['from a row above', 'src/market/x.ts', "import { a } from '../wire/advert.ts'"],
    ['from its own folder', 'src/market/x.ts', "import { a } from './credit-policy.ts'"],
    ['what Node has', 'src/market/x.ts', "import { a } from 'node:fs'"],
    ['a dependency, or a part of one', 'src/market/x.ts', "import 'libp2p'\nimport { a } from '@ipld/dag-cbor/codec'"],
  ])('%s', (_, path, text) => {
    expect(check(path, text)).toEqual([])
  })
})

describe('a file may not import', () => {
  test.each([
    ['from a row below', "import { a } from '../buyer/purchase.ts'", 'market (row 2) imports buyer (row 4)'],
    ['from another folder of its row', "import { a } from '../ledger/store.ts'", 'both are in row 2'],
    ['types across the layers', "import type { A } from '../ledger/store.ts'", 'both are in row 2'],
    ['across the layers inside a type', "type A = import('../ledger/store.ts').A", 'both are in row 2'],
    ['across the layers at run time', "await import('../ledger/store.ts')", 'both are in row 2'],
    ['by exporting from there', "export * from '../ledger/store.ts'", 'both are in row 2'],
    ['by exporting a name from there', "export { a } from '../ledger/store.ts'", 'both are in row 2'],
    ['without .ts', "import { a } from '../wire/advert'", 'without .ts'],
    ['what is not there', "import { a } from '../wire/missing.ts'", 'does not exist'],
    ['scripts', "import { a } from '../../scripts/bench.ts'", 'outside src'],
    ['tests', "import { a } from '../../test/support/network.ts'", 'outside src'],
    ['a package that is not a dependency', "import { a } from '@libp2p/memory'", 'nor one of the dependencies'],
    ['by a path alias', "import { a } from '@/wire/advert.ts'", 'nor one of the dependencies'],
    ['a computed module', "await import(`../ledger/${'store'}.ts`)", 'computed module'],
  ])('%s', (_, text, rule) => {
    const violations = check('src/market/x.ts', `// First line.\n${text}`)
    expect(violations).toHaveLength(1)
    expect(violations[0]).toMatch(/^src\/market\/x\.ts:2: /)
    expect(violations[0]).toContain(rule)
  })

  test('the other side of a trade, even in one process', () => {
    expect(check('src/buyer/x.ts', "import { a } from '../seller/meter.ts'")).toEqual([
      'src/buyer/x.ts:1: buyer imports seller ("../seller/meter.ts"), and both are in row 4',
    ])
  })
})

test('an import in a comment or a text is none', () => {
  expect(
    check('src/base/x.ts', "// import '../buyer/purchase.ts'\nconst a = \"import '../buyer/purchase.ts'\""),
  ).toEqual([])
})

describe('a file is refused', () => {
  test.each([
    ['as a barrel', 'src/market/index.ts', 'a barrel'],
    ['when its name says nothing', 'src/market/price-utils.ts', '"utils" names no thing'],
    ['when its folder says nothing', 'src/market/common/price.ts', '"common" names no thing'],
    ['in a folder that has no layer', 'src/extras/price.ts', 'not in a folder of the layers table'],
    ['outside any folder', 'src/price.ts', 'not in a folder of the layers table'],
  ])('%s', (_, path, rule) => {
    const violations = check(path, '')
    expect(violations).toHaveLength(1)
    expect(violations[0]).toContain(rule)
  })
})
